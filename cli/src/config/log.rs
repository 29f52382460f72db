//! `-d` and `-D`: what is logged, and where to. Names of the items are QEMU's.

use std::collections::BTreeSet;

use crate::argv::RawOption;
use crate::command::HelpTopic;
use crate::error::OptError;
use crate::location::{Located, Location};

use super::{Config, Info};

/// A kind of log message that `-d` turns on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LogItem {
    /// Guest instructions as they are decoded.
    InAsm,
    /// Each block as it is executed.
    Exec,
    /// Exceptions and interrupts.
    Int,
    /// Registers at reset of a processor.
    CpuReset,
    /// Memory protection.
    Mmu,
    /// What the guest used and the device does not do.
    Unimp,
    /// What the guest did and should not have.
    GuestErrors,
}

/// One word of `-d`.
#[derive(Debug, Clone, Copy)]
pub struct LogWord {
    /// As the user writes it.
    pub name: &'static str,
    /// What it turns on; `None` if QEMU has it and this program does not.
    pub item: Option<LogItem>,
    /// One line.
    pub summary: &'static str,
}

const fn word(name: &'static str, item: LogItem, summary: &'static str) -> LogWord {
    LogWord {
        name,
        item: Some(item),
        summary,
    }
}

const fn later(name: &'static str, summary: &'static str) -> LogWord {
    LogWord {
        name,
        item: None,
        summary,
    }
}

/// All words of `-d`, besides `all` and `trace:PATTERN`.
pub const LOG_WORDS: &[LogWord] = &[
    word(
        "unimp",
        LogItem::Unimp,
        "registers and functions that a device does not have here",
    ),
    word(
        "guest_errors",
        LogItem::GuestErrors,
        "mistakes of the guest, such as access to registers that do not exist",
    ),
    word("int", LogItem::Int, "exceptions and interrupts, one line each"),
    word(
        "cpu_reset",
        LogItem::CpuReset,
        "registers of a processor when it is reset",
    ),
    word(
        "exec",
        LogItem::Exec,
        "address of each block that is executed (very much)",
    ),
    later("cpu", "registers before each block"),
    word("in_asm", LogItem::InAsm, "guest instructions when they are decoded"),
    word("mmu", LogItem::Mmu, "decisions of memory protection and translation"),
    later(
        "invalid_mem",
        "accesses to addresses where nothing is: here part of guest_errors",
    ),
    later("nochain", "every block in 'exec' and 'cpu', also within loops"),
    later("out_asm", "generated host code"),
    later("op", "intermediate code"),
    later("op_opt", "intermediate code after optimization"),
    later("op_ind", "intermediate code before lowering"),
    later("op_plugin", "intermediate code before plugins"),
    later("fpu", "floating-point registers in 'cpu'"),
    later("vpu", "vector registers in 'cpu'"),
    later("pcall", "far calls of x86"),
    later("page", "memory map of user programs"),
    later("plugin", "output of plugins"),
    later("strace", "system calls of user programs"),
    later("tid", "one log file per thread"),
];

/// `-d` and `-D`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogOpt {
    /// What is logged.
    pub items: BTreeSet<LogItem>,
    /// Patterns of trace events, `*` for any text.
    pub trace: Vec<Located<String>>,
    /// Where to; standard error without it.
    pub file: Option<Located<String>>,
}

/// As in QEMU the last `-d` counts.
pub(super) fn parse(option: &RawOption, config: &mut Config) -> Result<(), OptError> {
    config.log.items.clear();
    config.log.trace.clear();
    let mut start = 0;
    for name in option.source.text.split(',') {
        let at = Location::new(&option.source, start..start + name.len());
        start += name.len() + 1;
        match name {
            // A trailing comma is harmless.
            "" => {}
            "help" | "?" => config.show(Info::Help(HelpTopic::LogItems)),
            "all" => config.log.items.extend(LOG_WORDS.iter().filter_map(|w| w.item)),
            _ => one(name, at, config)?,
        }
    }
    Ok(())
}

fn one(name: &str, at: Location, config: &mut Config) -> Result<(), OptError> {
    if let Some(pattern) = name.strip_prefix("trace:") {
        match pattern {
            "" => return Err(OptError::missing("-d trace:", "a pattern", at)),
            "help" => config.show(Info::Help(HelpTopic::TraceEvents)),
            _ => config
                .log
                .trace
                .push(Located::new(pattern.to_owned(), at.part(6..name.len()))),
        }
        return Ok(());
    }
    match LOG_WORDS.iter().find(|w| w.name == name) {
        Some(LogWord { item: Some(item), .. }) => {
            config.log.items.insert(*item);
            Ok(())
        }
        Some(_) => Err(OptError::not_yet(format!("-d {name}"), at)),
        None => {
            let here = LOG_WORDS.iter().filter(|w| w.item.is_some()).map(|w| w.name);
            Err(OptError::no_such(
                "log item",
                name,
                here.chain(["all", "trace:PATTERN"]),
                at,
            ))
        }
    }
}

/// What `-d help` prints.
pub fn help_text() -> String {
    let mut out = String::from("Log items, separated by commas:\n");
    for w in LOG_WORDS.iter().filter(|w| w.item.is_some()) {
        out.push_str(&format!("{:<15} {}\n", w.name, w.summary));
    }
    out.push_str("all             all of these\n");
    out.push_str("trace:PATTERN   trace events that match, into the log; -d trace:help lists them\n");
    let missing: Vec<&str> = LOG_WORDS.iter().filter(|w| w.item.is_none()).map(|w| w.name).collect();
    out.push_str(&format!("\n(in QEMU, not here yet: {})\n", missing.join(", ")));
    out
}
