//! Help texts that follow from the option table alone.

use crate::command::HelpTopic;
use crate::config::{AccelOpt, log};
use crate::options::{self, Category, OptionDef, Status};
use crate::personality::{Personality, Role};

/// The text for a topic; `None` where the machine layer must make it from its tables of machines, devices and objects.
pub fn text(topic: &HelpTopic, personality: &Personality) -> Option<String> {
    match topic {
        HelpTopic::Usage => Some(usage(personality)),
        HelpTopic::Option(name) => options::find(name).map(option),
        HelpTopic::LogItems => Some(log::help_text()),
        HelpTopic::Accels => Some(format!(
            "Accelerators supported in this program:\n{}\n",
            AccelOpt::NAMES.join("\n")
        )),
        HelpTopic::AccelProperties(name) => Some(accel(name)),
        HelpTopic::Displays => Some("Available display backend types:\nnone\n".to_owned()),
        HelpTopic::Netdevs
        | HelpTopic::NetdevProperties(_)
        | HelpTopic::NicModels
        | HelpTopic::Fsdevs
        | HelpTopic::FsdevProperties(_)
        | HelpTopic::Chardevs
        | HelpTopic::BlockDrivers
        | HelpTopic::BlockDriverProperties(_)
        | HelpTopic::ChardevProperties(_)
        | HelpTopic::Machines
        | HelpTopic::MachineProperties(_)
        | HelpTopic::Cpus
        | HelpTopic::Devices
        | HelpTopic::DeviceProperties(_)
        | HelpTopic::Objects
        | HelpTopic::ObjectProperties(_)
        | HelpTopic::TraceEvents => None,
    }
}

fn accel(name: &str) -> String {
    let properties = AccelOpt::properties(name);
    if properties.is_empty() {
        return format!("The accelerator '{name}' has no options.\n");
    }
    let mut text = format!("{name} options:\n");
    for (name, kind, what) in properties {
        text += &format!("  {name}=<{kind}>  - {what}\n");
    }
    text
}

/// The forms of a call, one a line, without the program's name.
pub(crate) const FORMS: [(&str, &str); 6] = [
    ("[OPTION]...", "run a machine"),
    (
        "up FILE",
        "run the demo that the file describes: several machines and servers",
    ),
    ("man", "write the man page to standard output, in roff"),
    (
        "completion bash|zsh|fish",
        "write a completion script to standard output",
    ),
    (
        "ivshmem-server [OPTION]...",
        "run the server for shared memory; -h shows its options",
    ),
    (
        "ivshmem-client [OPTION]...",
        "run the test client for shared memory; -h shows its options",
    ),
];

/// `-help`.
fn usage(personality: &Personality) -> String {
    let mut out = personality.version_text();
    let program = &personality.program;
    let forms = if personality.role == Role::Southbridge {
        FORMS.as_slice()
    } else {
        &FORMS[..1]
    };
    out.push_str("\nUsage:\n");
    for (form, does) in forms {
        out.push_str(&format!("  {:<44} {does}\n", format!("{program} {form}")));
    }
    for category in Category::ALL {
        let here: Vec<&OptionDef> = options::all()
            .filter(|d| d.category == category && d.status == Status::Works)
            .collect();
        if here.is_empty() {
            continue;
        }
        out.push_str(&format!("\n{}:\n", category.title()));
        for def in here {
            out.push_str(&row(def));
        }
    }
    out.push_str("\nTwo dashes are the same as one. A comma inside a value is written twice.\n");
    out.push_str("Most lists show their keys with 'help', e.g. -device help and -device pl011,help.\n");
    out.push_str(&absent());
    out
}

/// An option's left column is this wide; longer ones get a line of their own.
const LEFT: usize = 26;

fn row(def: &OptionDef) -> String {
    let head = head(def);
    if head.len() < LEFT {
        format!("{head:<LEFT$}{}\n", def.summary)
    } else {
        format!("{head}\n{:LEFT$}{}\n", "", def.summary)
    }
}

/// `-machine, -M [type=]NAME[,PROPERTY=VALUE]...`.
fn head(def: &OptionDef) -> String {
    let names = def.names().map(|n| format!("-{n}")).collect::<Vec<_>>().join(", ");
    match def.argument {
        Some(shape) => format!("{names} {shape}"),
        None => names,
    }
}

/// The options of QEMU that are missing, wrapped.
fn absent() -> String {
    let mut out = String::from("\nOptions of QEMU that this program does not have yet:\n");
    let names: Vec<String> = options::all()
        .filter(|d| d.status != Status::Works)
        .map(|d| {
            let only = if matches!(d.status, Status::NoneOnly(_)) {
                " (but 'none')"
            } else {
                ""
            };
            format!("-{}{only}", d.name)
        })
        .collect();
    out.push_str(&wrap(&names.join(", "), 100, "  "));
    out
}

/// Breaks a text at blanks into lines of at most `width` characters, each beginning with `indent`.
pub(crate) fn wrap(text: &str, width: usize, indent: &str) -> String {
    let mut out = String::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && indent.len() + line.len() + 1 + word.len() > width {
            out.push_str(&format!("{indent}{line}\n"));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    out.push_str(&format!("{indent}{line}\n"));
    out
}

/// `-icount help`: one option alone.
fn option(def: &OptionDef) -> String {
    let mut out = row(def);
    if !def.detail.is_empty() {
        out.push_str(&wrap(def.detail, 100, "  "));
    }
    out
}
