//! The gdb remote server of a machine.
//!
//! [`GdbServer`] is an attendant over a character channel; what it does with packets is [`Session`], which needs no channel and which
//! tests drive directly. Everything goes through the machine: registers by the names that the engine lists, memory as the core sees
//! it, stops that the engine makes. Stepping and running backwards stand on the machine's history.
//!
//! A step is one instruction with whatever interrupt comes at it: masking them, as gdb can ask QEMU to, would make stepping another
//! run than the one that is debugged, and the way back would not lead where one came from.

mod map;
mod memory;
mod monitor;
mod registers;
mod reverse;
mod server;
mod session;
mod threads;

pub use monitor::{Minimal, Monitor};
pub use server::GdbServer;
pub use session::{Session, Surroundings};

/// Any bytes from a client to a machine, for fuzzing: nothing panics, and a session ends as it should.
pub fn fuzz(machine: &mut southbridge_core::Machine, data: &[u8]) {
    let mut session = Session::open(machine);
    let mut monitor = Minimal;
    session.receive(data, &mut Surroundings::new(machine, &mut monitor));
    let _ = session.take_output();
    session.close(machine);
}

#[cfg(test)]
mod tests;
