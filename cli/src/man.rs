//! The man page, in roff, from the option table.

use crate::help::FORMS;
use crate::options::{self, Category, Complete, OptionDef, Repeat, Status};
use crate::personality::{QEMU_VERSION, VERSION};

/// The whole page.
pub fn page() -> String {
    let mut out = format!(
        ".TH SOUTHBRIDGE 1 \"\" \"Southbridge {}\" \"User Commands\"\n",
        escape(VERSION)
    );
    section(&mut out, "NAME");
    out.push_str("southbridge \\- emulate machines and their devices\n");
    section(&mut out, "SYNOPSIS");
    for (form, _) in FORMS {
        out.push_str(&format!(".B southbridge\n{}\n.br\n", escape(form)));
    }
    section(&mut out, "DESCRIPTION");
    paragraph(
        &mut out,
        &format!(
            "Southbridge runs a guest on an emulated machine. Its command line is that of QEMU {QEMU_VERSION}: options, \
             keys and values have the same names and meanings. Called through a link named qemu-system-arm it shows \
             itself as that program."
        ),
    );
    paragraph(
        &mut out,
        "Lists are written key=value,key=value. A comma inside a value is written twice. The first key of most lists may \
         be left out. A key alone switches it on, and with 'no' before it off. Sizes take the suffixes B, K, M, G, T, P \
         and E. The arguments of -device and -object may be JSON objects. Two dashes before an option are the same as one.",
    );
    for category in Category::ALL {
        let defs: Vec<_> = options::all()
            .filter(|d| d.category == category && d.status == Status::Works)
            .collect();
        if !defs.is_empty() {
            section(&mut out, &category.title().to_uppercase());
            defs.iter().for_each(|def| entry(&mut out, def));
        }
    }
    section(&mut out, "NOT HERE YET");
    paragraph(&mut out, "These options of QEMU are known and refused by name:");
    let later: Vec<String> = options::all()
        .filter(|d| d.status != Status::Works)
        .map(OptionDef::dashed)
        .collect();
    paragraph(&mut out, &later.join(", "));
    section(&mut out, "EXIT STATUS");
    paragraph(
        &mut out,
        "0 when the guest ended the run, or SIGINT, SIGTERM or SIGHUP did; 1 when the command line, a file or the host \
         refused. A guest may set another status through semihosting.",
    );
    section(&mut out, "ENVIRONMENT");
    paragraph(
        &mut out,
        "NO_COLOR, if set and not empty, keeps colours out of errors and of 'up'.",
    );
    out
}

fn section(out: &mut String, title: &str) {
    out.push_str(&format!(".SH \"{}\"\n", escape(title)));
}

fn paragraph(out: &mut String, text: &str) {
    out.push_str(&format!(".PP\n{}\n", escape(text)));
}

fn entry(out: &mut String, def: &OptionDef) {
    let names = def
        .names()
        .map(|n| format!("\\fB{}\\fR", escape(&format!("-{n}"))))
        .collect::<Vec<_>>()
        .join(", ");
    let shape = def
        .argument
        .map(|a| format!(" \\fI{}\\fR", escape(a)))
        .unwrap_or_default();
    out.push_str(&format!(".TP\n{names}{shape}\n{}.\n", escape(&capital(def.summary))));
    if let Complete::Words(words) = def.complete
        && !def.argument.is_some_and(|a| a.contains('|'))
    {
        out.push_str(&format!("Among the values: {}.\n", escape(&words.join(", "))));
    }
    if !def.detail.is_empty() {
        out.push_str(&format!("{}\n", escape(def.detail)));
    }
    match def.repeat {
        Repeat::Adds => out.push_str("May be given several times.\n"),
        Repeat::Merges => out.push_str("Given several times, the lists are merged.\n"),
        Repeat::LastWins => {}
    }
    if !def.in_qemu && !def.detail.contains("not in QEMU") {
        out.push_str("Not in QEMU.\n");
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map(|c| c.to_uppercase().chain(chars).collect())
        .unwrap_or_default()
}

/// Roff reads backslashes, and dots and quotes at the start of a line; a plain dash would become a hyphen.
fn escape(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-");
    if escaped.starts_with(['.', '\'']) {
        format!("\\&{escaped}")
    } else {
        escaped
    }
}
