//! Packets as typed commands ("Packets", "General Query Packets", "vCont", E.2 to E.4).

use crate::hex::{from_hex, number};

/// A thread in a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thread {
    /// `-1`.
    All,
    /// `0`.
    Any,
    /// Any other; the first is 1.
    One(u32),
}

/// For what a thread is selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhichThread {
    /// Registers and memory (`Hg`).
    General,
    /// Stepping and continuing (`Hc`).
    Resume,
}

/// How a thread goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Until something stops it.
    Continue,
    /// One instruction.
    Step,
    /// While the PC is in `start..end`.
    Range {
        /// First address.
        start: u64,
        /// The address behind the last.
        end: u64,
    },
    /// Stop.
    Stop,
}

/// What stops the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopKind {
    /// An instruction, by patching it (`Z0`).
    Software,
    /// An instruction, by comparing (`Z1`).
    Hardware,
    /// A write to data (`Z2`).
    Write,
    /// A read of data (`Z3`).
    Read,
    /// Either (`Z4`).
    Access,
}

/// A packet from gdb.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `!`: the connection is to outlive the program.
    Extended,
    /// `?`
    WhyStopped,
    /// `qSupported` with what gdb can.
    Supported(Vec<String>),
    /// `QStartNoAckMode`
    NoAcks,
    /// `H`
    Select(WhichThread, Thread),
    /// `T`
    IsAlive(Thread),
    /// `qfThreadInfo`
    FirstThreads,
    /// `qsThreadInfo`
    MoreThreads,
    /// `qThreadExtraInfo`
    ThreadName(Thread),
    /// `qC`
    CurrentThread,
    /// `qAttached`
    Attached,
    /// `g`
    ReadRegisters,
    /// `G`
    WriteRegisters(Vec<u8>),
    /// `p`
    ReadRegister(u64),
    /// `P`
    WriteRegister(u64, Vec<u8>),
    /// `m`
    ReadMemory {
        /// Where.
        address: u64,
        /// Bytes.
        len: u64,
    },
    /// `M` and `X`
    WriteMemory {
        /// Where.
        address: u64,
        /// What.
        data: Vec<u8>,
    },
    /// `qCRC`
    Crc {
        /// Where.
        address: u64,
        /// Bytes.
        len: u64,
    },
    /// `c`, `s`, `C`, `S`, from an address if there is one.
    Resume(Action, Option<u64>),
    /// `vCont?`
    CanContinue,
    /// `vCont`: for each thread the first action that fits.
    Continue(Vec<(Action, Thread)>),
    /// `bc`
    ReverseContinue,
    /// `bs`
    ReverseStep,
    /// `Z` (`on`) and `z`
    Stop {
        /// Insert, not remove.
        on: bool,
        /// What kind.
        kind: StopKind,
        /// Where.
        address: u64,
        /// Bytes of data, or the size of the instruction.
        len: u64,
    },
    /// `k` and `vKill`; the latter is answered.
    Kill {
        /// Whether it is answered.
        answered: bool,
    },
    /// `D`
    Detach,
    /// `R`
    Restart,
    /// `qRcmd`
    Monitor(String),
    /// `qXfer:OBJECT:read:ANNEX:offset,length`
    Transfer {
        /// What.
        object: String,
        /// Which one of those.
        annex: String,
        /// First byte.
        offset: u64,
        /// Bytes.
        len: u64,
    },
    /// `vFlashErase`
    FlashErase {
        /// Where.
        address: u64,
        /// Bytes.
        len: u64,
    },
    /// `vFlashWrite`
    FlashWrite {
        /// Where.
        address: u64,
        /// What.
        data: Vec<u8>,
    },
    /// `vFlashDone`
    FlashDone,
    /// `qqemu.sstepbits`: which bits `Qqemu.sstep` knows.
    StepBits,
    /// `qqemu.sstep`
    StepMode,
    /// `Qqemu.sstep`
    SetStepMode(u64),
    /// `qqemu.PhyMemMode`: whether addresses in packets are physical.
    PhysicalMode,
    /// `Qqemu.PhyMemMode`
    SetPhysicalMode(bool),
    /// One of a known name whose arguments make no sense.
    Malformed,
    /// Any other: answered by an empty packet.
    Unknown,
}

/// What a packet says.
pub fn parse(packet: &[u8]) -> Command {
    let Some((first, rest)) = packet.split_first() else {
        return Command::Unknown;
    };
    let parsed = match first {
        b'!' => Some(Command::Extended),
        b'?' => Some(Command::WhyStopped),
        b'q' | b'Q' | b'v' => named(packet),
        b'H' => select(rest),
        b'T' => thread(rest).map(Command::IsAlive),
        b'g' => Some(Command::ReadRegisters),
        b'G' => from_hex(rest).map(Command::WriteRegisters),
        b'p' => number(rest).map(Command::ReadRegister),
        b'P' => split(rest, b'=').and_then(|(n, v)| Some(Command::WriteRegister(number(n)?, from_hex(v)?))),
        b'm' => pair(rest).map(|(address, len)| Command::ReadMemory { address, len }),
        b'M' => write(rest, from_hex),
        b'X' => write(rest, |data| Some(data.to_vec())),
        b'c' | b's' => resume(*first, rest),
        // The signal to go on with means nothing to a machine.
        b'C' | b'S' => match split(rest, b';') {
            Some((_, address)) => resume(first.to_ascii_lowercase(), address),
            None => resume(first.to_ascii_lowercase(), b""),
        },
        b'b' => match rest {
            b"c" => Some(Command::ReverseContinue),
            b"s" => Some(Command::ReverseStep),
            _ => Some(Command::Unknown),
        },
        b'Z' | b'z' => stop(*first == b'Z', rest),
        b'k' => Some(Command::Kill { answered: false }),
        b'D' => Some(Command::Detach),
        b'R' => Some(Command::Restart),
        _ => Some(Command::Unknown),
    };
    parsed.unwrap_or(Command::Malformed)
}

/// Packets with names; `None` if the name is known and the rest makes no sense.
fn named(packet: &[u8]) -> Option<Command> {
    let (name, rest) = match packet.iter().position(|c| matches!(c, b':' | b',' | b';' | b'?')) {
        Some(end) if packet[end] == b'?' => (&packet[..=end], &packet[end + 1..]),
        Some(end) => (&packet[..end], &packet[end + 1..]),
        None => (packet, &b""[..]),
    };
    Some(match name {
        b"qSupported" => {
            let text = String::from_utf8_lossy(rest);
            Command::Supported(text.split(';').map(str::to_owned).collect())
        }
        b"QStartNoAckMode" => Command::NoAcks,
        b"qfThreadInfo" => Command::FirstThreads,
        b"qsThreadInfo" => Command::MoreThreads,
        b"qThreadExtraInfo" => Command::ThreadName(thread(rest)?),
        b"qC" => Command::CurrentThread,
        b"qAttached" => Command::Attached,
        b"qCRC" => pair(rest).map(|(address, len)| Command::Crc { address, len })?,
        b"qRcmd" => Command::Monitor(String::from_utf8_lossy(&from_hex(rest)?).into_owned()),
        b"qXfer" => transfer(rest)?,
        b"qqemu.sstepbits" => Command::StepBits,
        b"qqemu.sstep" => Command::StepMode,
        _ if name.starts_with(b"Qqemu.sstep=") => Command::SetStepMode(number(name.get(12..)?)?),
        b"qqemu.PhyMemMode" => Command::PhysicalMode,
        b"Qqemu.PhyMemMode" => Command::SetPhysicalMode(number(rest)? != 0),
        b"vCont?" => Command::CanContinue,
        b"vCont" => Command::Continue(actions(rest)?),
        b"vKill" => Command::Kill { answered: true },
        b"vFlashErase" => pair(rest).map(|(address, len)| Command::FlashErase { address, len })?,
        b"vFlashWrite" => {
            let (address, data) = split(rest, b':')?;
            Command::FlashWrite {
                address: number(address)?,
                data: data.to_vec(),
            }
        }
        b"vFlashDone" => Command::FlashDone,
        _ => Command::Unknown,
    })
}

fn select(rest: &[u8]) -> Option<Command> {
    let (which, id) = rest.split_first()?;
    let which = match which {
        b'g' => WhichThread::General,
        b'c' => WhichThread::Resume,
        _ => return None,
    };
    Some(Command::Select(which, thread(id)?))
}

fn thread(text: &[u8]) -> Option<Thread> {
    if text == b"-1" {
        return Some(Thread::All);
    }
    match u32::try_from(number(text)?).ok()? {
        0 => Some(Thread::Any),
        n => Some(Thread::One(n)),
    }
}

fn resume(letter: u8, address: &[u8]) -> Option<Command> {
    let action = if letter == b's' { Action::Step } else { Action::Continue };
    let from = match address {
        b"" => None,
        text => Some(number(text)?),
    };
    Some(Command::Resume(action, from))
}

/// `action[:thread]` for each, between semicolons.
fn actions(rest: &[u8]) -> Option<Vec<(Action, Thread)>> {
    rest.split(|c| *c == b';')
        .map(|one| {
            let (what, who) = match split(one, b':') {
                Some((what, who)) => (what, thread(who)?),
                None => (one, Thread::All),
            };
            Some((action(what)?, who))
        })
        .collect()
}

fn action(text: &[u8]) -> Option<Action> {
    let (letter, rest) = text.split_first()?;
    Some(match letter {
        b'c' | b'C' => Action::Continue,
        b's' | b'S' => Action::Step,
        b'r' => {
            let (start, end) = pair(rest)?;
            Action::Range { start, end }
        }
        b't' => Action::Stop,
        _ => return None,
    })
}

fn stop(on: bool, rest: &[u8]) -> Option<Command> {
    let (kind, rest) = split(rest, b',')?;
    let kind = match kind {
        b"0" => StopKind::Software,
        b"1" => StopKind::Hardware,
        b"2" => StopKind::Write,
        b"3" => StopKind::Read,
        b"4" => StopKind::Access,
        _ => return Some(Command::Unknown),
    };
    // Conditions and commands behind `;` are not advertised, and so never sent.
    let rest = split(rest, b';').map_or(rest, |(place, _)| place);
    let (address, len) = pair(rest)?;
    Some(Command::Stop { on, kind, address, len })
}

fn transfer(rest: &[u8]) -> Option<Command> {
    let mut parts = rest.split(|c| *c == b':');
    let (object, read, annex, place) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let (offset, len) = pair(place)?;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Some(match read {
        b"read" => Command::Transfer {
            object: text(object),
            annex: text(annex),
            offset,
            len,
        },
        _ => Command::Unknown,
    })
}

fn write(rest: &[u8], decode: impl Fn(&[u8]) -> Option<Vec<u8>>) -> Option<Command> {
    let (place, data) = split(rest, b':')?;
    let (address, len) = pair(place)?;
    let data = decode(data)?;
    (data.len() as u64 == len).then_some(Command::WriteMemory { address, data })
}

fn split(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let i = text.iter().position(|c| *c == at)?;
    Some((&text[..i], &text[i + 1..]))
}

fn pair(text: &[u8]) -> Option<(u64, u64)> {
    let (a, b) = split(text, b',')?;
    Some((number(a)?, number(b)?))
}
