//! gdb's packets on a small machine that runs between them.

use southbridge_core::machine::Pacing;
use southbridge_core::memory::{Mapping, Target};
use southbridge_core::{ClockRate, Machine};
use southbridge_cpu_armv7m::{CORTEX_M3, Config, CortexM};
use southbridge_cpu_gdb::{Minimal, Session, Surroundings};
use southbridge_protocol_gdb::frame;

/// Packets of one input that are looked at.
const PACKETS: usize = 64;
/// Virtual nanoseconds that the machine may run after each.
const RUN: u64 = 20_000;

/// Each line is a packet; a line that begins with `!` goes over the wire as it is.
pub fn gdb(data: &[u8]) {
    southbridge_protocol_gdb::fuzz(data);
    let Some(mut machine) = machine() else { return };
    machine.start();
    let mut session = Session::open(&mut machine);
    for line in data.split(|b| *b == b'\n').take(PACKETS) {
        let bytes = match line.strip_prefix(b"!") {
            Some(raw) => raw.to_vec(),
            None => frame(line),
        };
        session.receive(&bytes, &mut Surroundings::new(&mut machine, &mut Minimal));
        if machine.is_running() {
            let end = machine.sys.clock.now().after_ns(RUN);
            let outcome = machine.run_until(end);
            if session.hold(&outcome, &mut machine) {
                machine.pause(southbridge_core::RunState::Debug);
            }
        }
        let _ = session.take_output();
    }
    session.close(&mut machine);
}

/// RAM at 0 with a loop that counts into memory, and RAM where data is.
fn machine() -> Option<Machine> {
    let mut machine = Machine::empty(ClockRate::Hz(25_000_000)).ok()?;
    for (name, start) in [("code", 0), ("data", 0x2000_0000)] {
        let block = machine.add_ram(name, 0x4000).ok()?;
        machine.sys.memory.map(Mapping {
            start,
            len: block.len(),
            priority: 0,
            name: name.into(),
            target: Target::Ram {
                block,
                offset: 0,
                readonly: start == 0,
            },
        });
    }
    // Stack and start; `adds r1, #1; str r1, [sp, #4]; svc #0; b .-6`, and everything else starts there as well.
    let mut code = 0x2000_1000u32.to_le_bytes().to_vec();
    code.extend(std::iter::repeat_n(0x41u32.to_le_bytes(), 15).flatten());
    code.extend([0x01, 0x31, 0x01, 0x91, 0x00, 0xdf, 0xfb, 0xe7]);
    machine.sys.load_bytes(0, &code).ok()?;
    machine.set_cpu(Box::new(CortexM::new(Config::new(&CORTEX_M3, 8))));
    machine.pacing = Pacing::SkipIdle;
    Some(machine)
}
