//! The book and the README against the program: tables, links and included code. What can be derived is compared, so that it cannot rot.
//!
//! `SOUTHBRIDGE_BLESS=1 cargo test -p southbridge-example --test book` writes the derived tables anew.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use southbridge_core::Registry;
use southbridge_machine::board::{BOARDS, Board, Irq, MemoryKind, Part};
use southbridge_machine::registry;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The README, and all pages of the book.
fn pages() -> Vec<PathBuf> {
    let src = root().join("docs/src");
    let folder = std::fs::read_dir(&src).expect("the book has a folder");
    let mut pages: Vec<_> = folder.map(|e| e.expect("a page").path()).collect();
    pages.push(root().join("README.md"));
    pages.retain(|p| p.extension().is_some_and(|e| e == "md"));
    pages.sort();
    pages
}

#[test]
fn every_device_type_stands_in_the_readme() {
    let readme = read(&root().join("README.md"));
    let table = readme.split("## Devices").nth(1).and_then(|t| t.split("\n## ").next());
    let table = table.expect("the README has a section on devices");
    let registry = registry();
    for t in registry.iter() {
        assert!(
            table.contains(&format!("`{}`", t.name)),
            "{} is not in the README's table",
            t.name
        );
    }
    let rows = table.lines().filter(|l| l.starts_with("| `"));
    for name in rows.filter_map(|l| l.split('|').nth(1)).flat_map(|c| c.split(',')) {
        let name = name.trim().trim_matches('`');
        assert!(
            registry.get(name).is_some(),
            "the README's table has {name}, the program does not"
        );
    }
}

#[test]
fn the_board_tables_of_the_book_are_the_boards() {
    let path = root().join("docs/src/boards.md");
    let mut page = read(&path);
    for board in BOARDS.iter().filter(|b| b.cpu.is_some()) {
        let begin = format!("<!-- {}: begin -->\n", board.name);
        let end = format!("<!-- {}: end -->", board.name);
        let from = page.find(&begin).expect("the page has a place for the board") + begin.len();
        let to = page.find(&end).expect("the place has an end");
        let table = board_table(board, &registry());
        if std::env::var_os("SOUTHBRIDGE_BLESS").is_some() {
            page.replace_range(from..to, &table);
            std::fs::write(&path, &page).expect("the page can be written");
        } else {
            assert_eq!(page[from..to], table, "SOUTHBRIDGE_BLESS=1 writes it anew");
        }
    }
}

fn address(at: u64) -> String {
    format!("`0x{:04x}_{:04x}`", at >> 16, at & 0xffff)
}

fn bytes(n: u64) -> String {
    match n {
        n if n.is_multiple_of(1 << 20) => format!("{} MiB", n >> 20),
        n if n.is_multiple_of(1 << 10) => format!("{} KiB", n >> 10),
        n => format!("{n} bytes"),
    }
}

fn board_table(board: &Board, registry: &Registry) -> String {
    let mut t = String::from("\n| memory | from | size | |\n|---|---|---|---|\n");
    let description = board.by_default();
    for m in &description.memory {
        let kind = match m.kind {
            MemoryKind::Ram | MemoryKind::Backed(_) => "RAM".to_owned(),
            MemoryKind::Rom => "ROM for the guest".to_owned(),
            MemoryKind::MirrorOf(of) => format!("`{of}` again"),
        };
        let _ = writeln!(t, "| `{}` | {} | {} | {kind} |", m.name, address(m.start), bytes(m.len));
    }
    t += "\n| part | device | from | size | interrupts |\n|---|---|---|---|---|\n";
    for p in &description.parts {
        let region = registry.get(p.device).and_then(|d| d.regions.first());
        let (from, size) = match (p.at, region) {
            (Some(at), Some(r)) => (address(at), format!("{:#x}", r.size)),
            _ => (String::new(), String::new()),
        };
        let _ = writeln!(
            t,
            "| {} | `{}` | {from} | {size} | {} |",
            p.name,
            p.device,
            interrupts(p)
        );
    }
    t += "\n| not modelled | from | size |\n|---|---|---|\n";
    for (name, at, size) in &description.unimplemented {
        let _ = writeln!(t, "| {name} | {} | {size:#x} |", address(*at));
    }
    t.push('\n');
    t
}

fn interrupts(part: &Part) -> String {
    let one = |(line, index, irq): &(&str, u16, Irq)| {
        let several = part.irqs.iter().filter(|i| i.0 == *line).count() > 1;
        let line = if several {
            format!("{line}[{index}]")
        } else {
            (*line).to_owned()
        };
        match irq {
            Irq::Line(n) => format!("{line} {n}"),
            Irq::Nmi => format!("{line} NMI"),
        }
    };
    part.irqs.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[test]
fn links_lead_somewhere() {
    for page in pages() {
        let text = read(&page);
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|t| !t.starts_with("http") && !t.starts_with('#')) {
            let file = target.split('#').next().unwrap_or(target);
            let path = page.with_file_name(file);
            assert!(
                path.exists(),
                "{} links to {target}, which is not there",
                page.display()
            );
        }
    }
}

#[test]
fn every_page_is_in_the_summary() {
    let summary = read(&root().join("docs/src/SUMMARY.md"));
    let listed: BTreeSet<_> = summary
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .collect();
    for page in pages() {
        let name = page.file_name().and_then(|n| n.to_str()).unwrap_or("");
        assert!(
            matches!(name, "SUMMARY.md" | "README.md") || listed.contains(name),
            "{name} is not in the summary"
        );
    }
}

/// `{{#include FILE:ANCHOR}}` names a file and an anchor that exist.
#[test]
fn included_code_exists() {
    let mut seen = 0;
    for page in pages() {
        for include in read(&page).split("{{#include ").skip(1) {
            let what = include.split("}}").next().unwrap_or("");
            let (file, anchor) = what.split_once(':').unwrap_or((what, ""));
            let source = read(&page.with_file_name(file));
            for mark in ["ANCHOR", "ANCHOR_END"] {
                assert!(
                    anchor.is_empty() || source.contains(&format!("{mark}: {anchor}\n")),
                    "{file} has no {mark} {anchor}"
                );
            }
            seen += 1;
        }
    }
    assert!(seen > 0, "the book includes the example");
}
