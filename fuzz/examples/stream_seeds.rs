//! Writes the seeds of the target `stream`: streams of a small board at several moments, parts of them, and alterations.
//! `cargo run -p southbridge-fuzz --example stream_seeds`.

use southbridge_core::machine::Pacing;
use southbridge_core::{ClockRate, Machine};
use southbridge_machine::{BOARDS, Options, build, registry};
use southbridge_migration::fuzzing::saved;
use southbridge_testing::Noise;
use std::path::Path;

const BOARD: &str = "lm3s6965evb";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/stream");
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes);
    let board = BOARDS.iter().find(|b| b.name == BOARD).ok_or("no such board")?;
    let machine = Machine::empty(ClockRate::Hz(1))?;
    let mut machine = build::build(machine, board, &registry(), &Options::default())?.machine;
    machine.pacing = Pacing::SkipIdle;
    machine.reset();
    let whole = saved(&mut machine, BOARD).ok_or("it cannot be saved")?;
    write("fresh", &whole)?;
    let mut ends = vec![16];
    while let Some(at) = ends.last().copied().filter(|at| at + 8 <= whole.len()) {
        let length = whole[at + 4..at + 8].try_into().map(u32::from_le_bytes)?;
        ends.push(at + 12 + length as usize);
    }
    // The first sections alone; and without one in the middle.
    for n in [0, 1, 2, 3, 6] {
        write(&format!("first-{n}"), &whole[..ends[n.min(ends.len() - 1)]])?;
    }
    for n in [1, 2, 4] {
        let without = [&whole[..ends[n]], &whole[ends[n + 1]..]].concat();
        write(&format!("without-{n}"), &without)?;
    }
    // A UART that has spoken, a timer that runs, a page of memory.
    for (address, value) in [
        (0x4000_c030, 0x301),
        (0x4000_c000, 65),
        (0x4003_0028, 1000),
        (0x4003_000c, 1),
        (0x2000_0000, 7),
    ] {
        let _ = machine.sys.write(address, 4, value);
    }
    machine.sys.advance_at_most(machine.sys.clock.now().after_ns(5000), 100);
    write("in-use", &saved(&mut machine, BOARD).ok_or("it cannot be saved")?)?;
    let mut noise = Noise::new(11);
    for n in 1..=16 {
        let mut edits = b"edit".to_vec();
        for _ in 0..n {
            let mut one = noise.bytes(5);
            // Mostly single bytes, which leave the sections where they are.
            one[2] = if one[2] < 200 { one[2] % 2 } else { one[2] % 5 };
            edits.extend(one);
        }
        write(&format!("edit-{n:02}"), &edits)?;
    }
    Ok(())
}
