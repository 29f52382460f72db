//! gdb's remote serial protocol ("Debugging with GDB", appendix E): frames, commands, replies. Bytes in, typed commands out.
//!
//! What it is not: a server. Who has a machine to show decides what each command does.
//!
//! Why not the `gdbstub` crate: there one target type is fixed for the life of a session, and it holds what it debugs. Here the machine
//! owns the session and lends itself for the length of a call, which no type without `unsafe` can express to that crate. Its register
//! file is fixed when it is compiled, while ours is what the engine lists; and reverse execution by searching snapshots wants to
//! answer a resume packet from inside it.

mod command;
mod frame;
mod hex;
mod reply;

pub use command::{Action, Command, StopKind, Thread, WhichThread, parse};
pub use frame::{Input, MAX_PACKET, Receiver, frame};
pub use hex::{from_hex, to_hex};
pub use reply::{Signal, StopReply, slice_of};

/// Anything at all as input: for fuzzing.
pub fn fuzz(data: &[u8]) {
    let mut receiver = Receiver::default();
    for byte in data {
        if let Some(Input::Packet(packet)) = receiver.push(*byte) {
            let _ = parse(&packet);
        }
    }
    let _ = parse(data);
}

#[cfg(test)]
mod tests;
