//! The human monitor (HMP): lines that people type, and texts that they and their scripts read.
//!
//! One table (`table`) says what commands there are; arguments, help and completion derive from it. Commands that QMP has too run as
//! QMP commands; only their words and texts are of this module. A console (`Consoles`) is a channel with a line editor; [`execute`]
//! is the same without one, for `human-monitor-command` and for gdb's `monitor`.
//!
//! Output has the shape of QEMU 10's, for those who parse it; sentences for people are ours.

mod args;
mod block;
mod complete;
mod console;
mod expr;
mod info;
mod input;
mod line;
mod log;
mod memory;
mod more;
mod net;
mod pci;
mod plug;
mod riscv;
mod run;
mod snapshot;
mod table;
#[cfg(test)]
mod tests;
mod tree;
mod virtio;

use southbridge_core::{CpuId, Machine};
use southbridge_protocol_qmp as qmp;
use std::collections::VecDeque;
use std::fmt::Write;

use crate::{Cx, Monitor, World};
use args::Values;
pub(crate) use console::Consoles;
use table::{COMMANDS, Command, INFOS};

/// What the human monitor remembers of a machine.
#[derive(Default)]
pub struct Memory {
    dump: memory::Shape,
    /// The processor that commands are about.
    pub(crate) cpu: CpuId,
}

/// A command at work.
struct Call<'a, 'b> {
    cx: &'a mut Cx<'b>,
    args: Values,
    out: String,
    /// Lines typed before, where somebody types.
    history: &'a [String],
}

/// Why a command did nothing.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    /// It could not.
    Failed(String),
    /// Its words are wrong.
    Usage(String),
}

impl From<qmp::Error> for Refusal {
    fn from(e: qmp::Error) -> Self {
        Self::Failed(e.desc)
    }
}

fn failed<T>(why: impl ToString) -> Result<T, Refusal> {
    Err(Refusal::Failed(why.to_string()))
}

impl Call<'_, '_> {
    /// A line of output.
    fn say(&mut self, text: std::fmt::Arguments<'_>) {
        let _ = self.out.write_fmt(text);
        self.out.push('\n');
    }

    /// A command of QMP.
    fn qmp(&mut self, name: &str, arguments: serde_json::Value) -> Result<serde_json::Value, Refusal> {
        let arguments = match arguments {
            serde_json::Value::Object(map) => map,
            _ => serde_json::Map::new(),
        };
        Ok(crate::run(self.cx, name, arguments, false)?)
    }
}

/// Runs one line and gives its output.
pub fn execute(cx: &mut Cx<'_>, line: &str) -> String {
    execute_with(cx, line, &[])
}

/// The same with the line ends of a terminal, as QMP hands it on.
pub(crate) fn execute_for_qmp(cx: &mut Cx<'_>, line: &str) -> String {
    execute(cx, line).replace('\n', "\r\n")
}

fn execute_with(cx: &mut Cx<'_>, line: &str, history: &[String]) -> String {
    let (command, rest) = match find(line) {
        Ok(None) => return String::new(),
        Ok(Some(found)) => found,
        Err(name) => return format!("unknown command: '{name}'\n"),
    };
    let cpu = cx.world.hmp.cpu;
    let registers = |name: &str| register(cx.machine, cpu, name);
    let args = match args::parse(command, rest, &registers) {
        Ok(args) => args,
        Err(why) => return usage(command, &why),
    };
    let mut call = Call {
        cx,
        args,
        out: String::new(),
        history,
    };
    match (command.run)(&mut call) {
        Ok(()) => call.out,
        Err(Refusal::Failed(why)) => format!("{}Error: {why}\n", call.out),
        Err(Refusal::Usage(why)) => usage(command, &why),
    }
}

fn usage(command: &Command, why: &str) -> String {
    let group = if INFOS.iter().any(|i| std::ptr::eq(i, command)) {
        "info "
    } else {
        ""
    };
    format!(
        "{group}{}: {why}\nTry \"help {group}{}\" for more information\n",
        command.names[0], command.names[0]
    )
}

/// The command of a line and the rest of the line; the name where there is none. `p/x` needs no space.
fn find(line: &str) -> Result<Option<(&'static Command, &str)>, String> {
    let Some((name, rest)) = first_word(line).filter(|(name, _)| !name.starts_with('#')) else {
        return Ok(None);
    };
    let command = table::find(COMMANDS, name).ok_or_else(|| name.to_owned())?;
    if command.names[0] != "info" {
        return Ok(Some((command, rest)));
    }
    match first_word(rest) {
        None => Ok(Some((command, rest))),
        Some((sub, rest)) => match table::find(INFOS, sub) {
            Some(info) => Ok(Some((info, rest))),
            None => Err(format!("info {sub}")),
        },
    }
}

fn first_word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let end = text
        .char_indices()
        .position(|(i, c)| c.is_whitespace() || (c == '/' && i > 0))
        .and_then(|n| text.char_indices().nth(n))
        .map_or(text.len(), |(i, _)| i);
    (!text.is_empty()).then(|| text.split_at(end))
}

/// A register of the processor as expressions name it (`$r0`, `$R15`).
fn register(machine: &Machine, cpu: CpuId, name: &str) -> Option<u64> {
    let name = name.to_ascii_lowercase();
    let cpu = machine.cpu(cpu)?;
    let name = match name.as_str() {
        "r13" if cpu.arch().name == "arm" => "sp",
        "r14" if cpu.arch().name == "arm" => "lr",
        "r15" if cpu.arch().name == "arm" => "pc",
        "cpsr" => "xpsr",
        other => other,
    };
    cpu.register(name, &machine.sys)
}

/// Runs one line on a machine that has a [`Monitor`] among its attendants; `None` if it has none, or it is at work itself.
pub fn execute_on(machine: &mut Machine, line: &str) -> Option<String> {
    machine.with_attendant(|monitor: &mut Monitor, machine| monitor.with(machine, |cx| execute(cx, line)))
}

/// gdb's `monitor`, where gdb's server is one of the machine's attendants beside [`Monitor`].
#[derive(Debug, Default, Clone, Copy)]
pub struct Remote;

impl southbridge_cpu_gdb::Monitor for Remote {
    fn command(&mut self, line: &str, machine: &mut Machine) -> String {
        execute_on(machine, line).unwrap_or_else(|| "Error: the monitor is at work\n".into())
    }
}

/// Any bytes typed at a console and run as lines, for fuzzing.
pub fn fuzz(machine: &mut Machine, world: &mut World, data: &[u8]) {
    let mut editor = line::Editor::default();
    let mut sent = VecDeque::new();
    for byte in data {
        match editor.key(*byte) {
            line::Key::Line(text) => {
                // Commands that reach into the host (files, channels, sockets) have fuzzers of their own.
                let harmless = |c: &Command| !c.host;
                if !matches!(find(&text), Ok(Some((c, _))) if !harmless(c)) {
                    let mut cx = Cx {
                        machine,
                        world,
                        sent: &mut sent,
                    };
                    let history = editor.history().to_vec();
                    let _ = execute_with(&mut cx, &text, &history);
                }
            }
            line::Key::Complete(before) => {
                let cx = Cx {
                    machine,
                    world,
                    sent: &mut sent,
                };
                let _ = complete::candidates(&cx, &before);
            }
            line::Key::Nothing => {}
        }
        let _ = editor.take_echo();
    }
}
