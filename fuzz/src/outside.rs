//! What programs outside say to a machine: QMP text, qtest lines, streams of saved machines.

use southbridge_core::machine::Pacing;
use southbridge_core::{ClockRate, Machine};
use southbridge_machine::BOARDS;
use southbridge_machine::build::{Built, Options, build};
use southbridge_qtest::{Session, take_over};

use crate::parts::REGISTRY;

const BOARD: &str = "lm3s6965evb";

fn machine() -> Option<Built> {
    let board = BOARDS.iter().find(|b| b.name == BOARD)?;
    let machine = Machine::empty(ClockRate::Hz(1)).ok()?;
    let mut built = build(machine, board, &REGISTRY, &Options::default()).expect("every board builds");
    built.machine.pacing = Pacing::SkipIdle;
    built.machine.reset();
    Some(built)
}

/// Any bytes as a QMP client, in chunks that must not matter.
pub fn qmp(data: &[u8]) {
    southbridge_protocol_qmp::fuzzing::client(data);
}

/// Any bytes as qtest lines, carried out on a board.
pub fn qtest(data: &[u8]) {
    let Some(Built { mut machine, .. }) = machine() else {
        return;
    };
    take_over(&mut machine);
    let mut session = Session::default();
    // Steps through time are bounded by the step, not by us: an hour of a device's shortest period is not what is looked for.
    for line in String::from_utf8_lossy(data).lines().filter(|l| l.len() < 80).take(32) {
        if !line.starts_with("clock") || line.len() < 18 {
            session.execute(line, &mut machine);
        }
    }
}

/// Any bytes as a stream for a board, and as a recording: as they are, and again with every sum put right, which leads behind them.
///
/// Bytes that begin with `edit` alter the board's own stream instead, five bytes an alteration: where (two), what, with which value
/// (two). So a small input is nearly a whole state.
pub fn stream(data: &[u8]) {
    let Some(Built { mut machine, .. }) = machine() else {
        return;
    };
    let fuzzing = |machine: &mut Machine, bytes: &[u8]| southbridge_migration::fuzzing::stream(machine, BOARD, bytes);
    if let Some(edits) = data.strip_prefix(b"edit") {
        let own = southbridge_migration::fuzzing::saved(&mut machine, BOARD).expect("a fresh board can be saved");
        let altered = edit(own, edits);
        fuzzing(&mut machine, &southbridge_migration::fuzzing::resealed(&altered));
    } else {
        southbridge_migration::fuzzing::recording(data);
        fuzzing(&mut machine, data);
        let resealed = southbridge_migration::fuzzing::resealed(data);
        southbridge_migration::fuzzing::recording(&resealed);
        fuzzing(&mut machine, &resealed);
    }
    // Whatever was taken in is a machine that runs.
    let end = machine.sys.clock.now().after_ns(1000);
    machine.sys.advance_at_most(end, 100);
}

fn edit(mut stream: Vec<u8>, edits: &[u8]) -> Vec<u8> {
    for [a, b, what, c, d] in edits.as_chunks::<5>().0 {
        let (at, value) = (u16::from_le_bytes([*a, *b]), u16::from_le_bytes([*c, *d]));
        // The head is another target's business: none of this would be looked at.
        let at = 16 + usize::from(at) % (stream.len() - 16).max(1);
        let length = usize::from(value) % (stream.len() + 1 - at).max(1);
        match what % 5 {
            0 => stream[at] = *c,
            1 => stream[at] ^= 1 << (c % 8),
            2 => stream.truncate(at.max(17)),
            3 => drop(stream.drain(at..at + length.min(stream.len().saturating_sub(17)))),
            _ => {
                let again = stream[at..at + length].to_vec();
                stream.splice(at..at, again);
            }
        }
        if stream.len() < 18 {
            break;
        }
    }
    stream
}
