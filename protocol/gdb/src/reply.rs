//! Replies that have a form of their own.

use crate::hex::to_hex;

/// Signals by gdb's own numbers ("include/gdb/signals.def"), as far as a machine has a use for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Stopped from outside.
    Interrupt = 2,
    /// The machine is switched off.
    Quit = 3,
    /// Breakpoint, watchpoint, step, or nothing special.
    Trap = 5,
    /// The processor cannot go on.
    Segv = 11,
}

/// Why the machine stands ("Stop Reply Packets", E.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReply {
    /// By a signal, in a thread.
    Signal(Signal, u32),
    /// At a watchpoint.
    Watch {
        /// `watch`, `rwatch` or `awatch`.
        kind: &'static str,
        /// The data's address.
        address: u64,
        /// The thread that touched it.
        thread: u32,
    },
    /// At the begin of recorded history.
    HistoryBegins(u32),
    /// The program has ended with this status.
    Exited(u8),
}

impl StopReply {
    /// The packet.
    pub fn packet(&self) -> String {
        match self {
            Self::Signal(signal, thread) => format!("T{:02x}thread:{thread:02x};", *signal as u8),
            Self::Watch { kind, address, thread } => format!("T05thread:{thread:02x};{kind}:{address:x};"),
            Self::HistoryBegins(thread) => format!("T05thread:{thread:02x};replaylog:begin;"),
            Self::Exited(status) => format!("W{status:02x}"),
        }
    }

    /// A packet that has gdb show a text while it waits for a stop.
    pub fn console(text: &str) -> String {
        format!("O{}", to_hex(text.as_bytes()))
    }
}

/// The answer to a `qXfer:…:read`: part of `whole`, marked `m` if more follows and `l` if not.
pub fn slice_of(whole: &[u8], offset: u64, len: u64) -> Vec<u8> {
    let from = usize::try_from(offset).unwrap_or(usize::MAX).min(whole.len());
    let most = usize::try_from(len).unwrap_or(usize::MAX).min(crate::MAX_PACKET / 2);
    let to = from.saturating_add(most).min(whole.len());
    let mut out = vec![if to < whole.len() { b'm' } else { b'l' }];
    out.extend_from_slice(&whole[from..to]);
    out
}
