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

/// Any bytes as a stream for a board, and as a recording.
pub fn stream(data: &[u8]) {
    southbridge_migration::fuzzing::recording(data);
    if let Some(Built { mut machine, .. }) = machine() {
        southbridge_migration::fuzzing::stream(&mut machine, BOARD, data);
    }
}
