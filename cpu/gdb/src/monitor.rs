//! `monitor …`: commands that gdb passes on.

use southbridge_core::machine::Cause;
use southbridge_core::{Machine, Outcome};
use std::fmt::Write;

/// Who understands monitor commands.
pub trait Monitor: Send {
    /// Does one command and gives what it prints.
    fn command(&mut self, line: &str, machine: &mut Machine) -> String;
}

/// The few commands that a debugger cannot do without, for a machine without a monitor.
#[derive(Debug, Default, Clone, Copy)]
pub struct Minimal;

impl Monitor for Minimal {
    fn command(&mut self, line: &str, machine: &mut Machine) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] => String::new(),
            ["help" | "?"] => {
                "help -- show this\ninfo registers -- show the processor's registers\ninfo status -- show what the \
                               machine does\nquit -- end the program\nsystem_reset -- reset the machine\n"
                    .into()
            }
            ["info", "registers"] => registers(machine),
            ["info", "status"] => format!("VM status: {}\n", status(machine)),
            ["quit" | "q"] => {
                machine.stop_handle().stop(Cause::HostQuit);
                String::new()
            }
            ["system_reset"] => {
                machine.reset_from_outside();
                String::new()
            }
            _ => format!("unknown command: '{line}'; 'help' lists those that there are\n"),
        }
    }
}

fn status(machine: &Machine) -> String {
    match machine.is_running() {
        true => "running".into(),
        false => format!("paused ({})", machine.run_state().name()),
    }
}

fn registers(machine: &Machine) -> String {
    let mut out = String::new();
    let current = machine.cpu(machine.current_cpu());
    for (i, r) in current.iter().flat_map(|c| c.registers()).enumerate() {
        let end = if i % 4 == 3 { '\n' } else { ' ' };
        let digits = usize::from(r.bits).div_ceil(4);
        let _ = write!(out, "{:>9}={:0digits$x}{end}", r.name, r.value);
    }
    if !out.ends_with('\n') {
        out.push('\n');
    }
    out
}

/// The status with which a client sees the program end.
pub(crate) fn exit_status(outcome: &Outcome) -> u8 {
    match outcome {
        Outcome::GuestExit(status) => (*status & 0xff) as u8,
        _ => 0,
    }
}
