//! How long a board's save and restore take, and for how long a running machine stands for it. `cargo run --release -p
//! southbridge-migration --example pause`.

use southbridge_core::machine::Pacing;
use southbridge_core::{ClockRate, Machine, VirtualTime};
use southbridge_machine::load::{Format, install, parse};
use southbridge_machine::{BOARDS, Options, build, registry};
use southbridge_migration::stream::{self, Picture};
use std::time::{Duration, Instant};

const RUNS: usize = 51;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for board in BOARDS.iter().filter(|b| b.cpu.is_some()) {
        for fill in [false, true] {
            measure(board.name, fill)?;
        }
    }
    Ok(())
}

/// `fill`: all of its memory has been written, the worst case.
fn measure(name: &str, fill: bool) -> Result<(), Box<dyn std::error::Error>> {
    let board = BOARDS.iter().find(|b| b.name == name).ok_or("no such board")?;
    let machine = Machine::empty(ClockRate::Hz(1))?;
    let mut built = build::build(machine, board, &registry(), &Options::default())?;
    let root = env!("CARGO_MANIFEST_DIR");
    let program = std::fs::read(format!("{root}/../firmware/prebuilt/coremark-like-{name}.elf"))?;
    install(&mut built.machine, "coremark-like", parse(&program, Format::Detect, 0)?)?;
    let machine = &mut built.machine;
    machine.pacing = Pacing::SkipIdle;
    if fill {
        for (_, block) in &machine.ram {
            let page = [0x5a; 4096];
            for at in (0..block.len()).step_by(4096) {
                let n = usize::try_from(block.len() - at).unwrap_or(4096).min(4096);
                let _ = block.write(at, &page[..n]);
            }
        }
    }
    machine.run_until(VirtualTime(100_000));
    let (mut pause, mut save, mut restore) = (Vec::new(), Vec::new(), Vec::new());
    let mut size = 0;
    for _ in 0..RUNS {
        let begin = Instant::now();
        let picture = Picture::take(machine, name)?;
        pause.push(begin.elapsed());
        let mut out = Vec::new();
        stream::write(&picture, &mut out)?;
        save.push(begin.elapsed());
        size = out.len();
        let begin = Instant::now();
        let here = stream::describe(machine, name)?;
        let read = stream::read(out.as_slice(), &here)?;
        machine.load_whole(&read.whole)?;
        restore.push(begin.elapsed());
    }
    let memory = if fill { "all memory written" } else { "as it runs" };
    println!(
        "{name}, {memory}: {} KiB; stands {:.2} ms, save {:.2} ms, restore {:.2} ms (medians of {RUNS})",
        size >> 10,
        median(pause),
        median(save),
        median(restore)
    );
    Ok(())
}

fn median(mut all: Vec<Duration>) -> f64 {
    all.sort();
    all.get(all.len() / 2).map_or(0.0, |d| d.as_secs_f64() * 1e3)
}
