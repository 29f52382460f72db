//! The reference page of the book.

use std::fmt::Write;

use super::text::{Entity, Kind, Member, Schema};

/// The page, in Markdown.
pub fn page(schema: &Schema) -> String {
    let mut out = String::from(
        "# QMP reference\n\n\
         The machine-readable monitor (`-qmp`) takes JSON objects such as `{\"execute\": \"query-status\"}` and answers each with\n\
         `{\"return\": …}` or `{\"error\": {\"class\": …, \"desc\": …}}`. The names and shapes are those of QEMU 10.\n\n\
         This page is made from `monitor/schema`; `SOUTHBRIDGE_BLESS=1 cargo test -p southbridge-monitor` writes it anew.\n",
    );
    for (i, (_, title)) in schema.groups.iter().enumerate() {
        // Writing to a String cannot fail, here and below.
        let _ = write!(out, "\n## {title}\n");
        for e in schema.entities.iter().filter(|e| e.group == i && (!e.text.is_empty())) {
            entity(&mut out, e);
        }
    }
    out
}

fn entity(out: &mut String, e: &Entity) {
    let what = match &e.kind {
        Kind::Command(_) => "command",
        Kind::Event(_) => "event",
        Kind::Enum(_) => "enum",
        Kind::Struct(_) | Kind::Union { .. } => "object",
    };
    let _ = write!(out, "\n### `{}` ({what})\n\n{}.\n", e.name, e.text);
    match &e.kind {
        Kind::Enum(words) if words.iter().all(|w| w.text.is_empty()) => {
            let all: Vec<_> = words.iter().map(|w| format!("`{}`", w.name)).collect();
            let _ = write!(out, "\n{}\n", all.join(", "));
        }
        Kind::Enum(words) => list(out, words, false),
        Kind::Struct(members) | Kind::Event(members) => list(out, members, true),
        Kind::Union { base, tag, cases } => {
            list(out, base, true);
            for (value, of) in cases {
                let _ = writeln!(out, "- with `{tag}` = `{value}`: the members of `{of}`");
            }
        }
        Kind::Command(c) => {
            list(out, &c.arguments, true);
            if let Some(of) = &c.takes {
                let _ = write!(out, "\nArguments: the members of `{of}`.\n");
            }
            if let Some(of) = &c.returns {
                let list = if of.list { "a list of " } else { "" };
                let _ = write!(out, "\nAnswers: {list}`{}`.\n", of.name);
            }
        }
    }
}

fn list(out: &mut String, members: &[Member], typed: bool) {
    if !members.is_empty() {
        out.push('\n');
    }
    for m in members {
        let optional = if m.optional { ", optional" } else { "" };
        let of = match (typed, m.of.list) {
            (false, _) => String::new(),
            (true, false) => format!(" (`{}`{optional})", m.of.name),
            (true, true) => format!(" (list of `{}`{optional})", m.of.name),
        };
        let _ = writeln!(out, "- `{}`{of}: {}", m.name, m.text);
    }
}
