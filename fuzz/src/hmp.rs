//! What is typed at the human monitor of a board.

use southbridge_backend_chardev::Chardevs;
use southbridge_core::machine::Pacing;
use southbridge_core::{ClockRate, Machine};
use southbridge_machine::build::{Options, build};
use southbridge_machine::{BOARDS, objects::Objects, registry};
use southbridge_monitor::schema::SysEmuTarget;
use southbridge_monitor::{Facts, World};

use crate::parts::REGISTRY;

/// Any bytes as keys; lines that would reach into the host are typed but not run.
pub fn hmp(data: &[u8]) {
    let Some(board) = BOARDS.iter().find(|b| b.name == "lm3s6965evb") else {
        return;
    };
    let Ok(machine) = Machine::empty(ClockRate::Hz(1)) else {
        return;
    };
    let built = build(machine, board, &REGISTRY, &Options::default()).expect("every board builds");
    let mut machine = built.machine;
    machine.pacing = Pacing::SkipIdle;
    machine.start_paused = true;
    machine.start();
    let facts = Facts {
        name: None,
        uuid: [0; 16],
        target: SysEmuTarget::Arm,
        machines: Vec::new(),
        kernel: String::new(),
        append: String::new(),
    };
    let mut world = World::new(facts, built.layout, registry(), Chardevs::default(), Objects::default());
    southbridge_monitor::hmp::fuzz(&mut machine, &mut world, data);
}
