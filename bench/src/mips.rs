//! Instructions per second of the interpreter on compiled C, beside QEMU's JIT on the same file.

use std::time::Instant;

use southbridge_core::Outcome;

use crate::program::{QEMU, command, firmware, has_qemu, time_to_end};
use crate::report::{Goal, Row};
use crate::stats::Series;
use crate::{Result, board};

const BOARD: &str = "mps2-an385";
const RUNS: usize = 5;
/// The program, its iterations for one to three seconds, the goal in millions of instructions per second.
const PROGRAMS: [(&str, u32, Goal); 2] = [
    ("coremark-like", 2000, Goal::Above(150.0)),
    ("dhrystone-like", 20_000, Goal::None),
];

/// One row a program and QEMU mode.
pub(crate) fn measure() -> Result<Vec<Row>> {
    let qemu = has_qemu();
    let mut rows = Vec::new();
    for (name, iterations, goal) in PROGRAMS {
        let (mut ours, mut tcg, mut icount) = (Series::default(), Series::default(), Series::default());
        for _ in 0..RUNS {
            let (instructions, seconds) = run_ours(name, iterations)?;
            ours.push(instructions / seconds / 1e6);
            if qemu {
                tcg.push(instructions / run_qemu(name, iterations, "")? / 1e6);
                icount.push(instructions / run_qemu(name, iterations, "-icount shift=auto,sleep=off")? / 1e6);
            }
        }
        let row = Row::new(format!("{name}, million instructions/s"), "MIPS", ours);
        rows.push(row.clone().beside("QEMU (JIT)", tcg).goal(goal));
        rows.push(row.beside("QEMU -icount shift=auto", icount));
    }
    Ok(rows)
}

/// Instructions that were executed, and seconds.
fn run_ours(name: &str, iterations: u32) -> Result<(f64, f64)> {
    let words = format!("x iterations={iterations}");
    let mut built = board::with_file(BOARD, &firmware(name, BOARD)?, &words)?;
    let begin = Instant::now();
    let outcome = built.machine.run();
    let seconds = begin.elapsed().as_secs_f64();
    if outcome != Outcome::GuestExit(0) {
        return Err(format!("{name} ended with {outcome:?}").into());
    }
    Ok((built.machine.sys.clock.executed() as f64, seconds))
}

/// Seconds for the program alone: the time of the program less that of one that only says hello.
fn run_qemu(name: &str, iterations: u32, mode: &str) -> Result<f64> {
    let words = format!("-M {BOARD} -nographic -semihosting {mode}");
    let run = |name: &str| -> Result<f64> {
        let mut c = command(QEMU, &words, &firmware(name, BOARD)?);
        c.arg("-append").arg(format!("iterations={iterations}"));
        Ok(time_to_end(c)?.as_secs_f64())
    };
    Ok((run(name)? - run("hello")?).max(1e-3))
}
