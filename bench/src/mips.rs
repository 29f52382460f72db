//! Instructions per second of both tiers on compiled C, beside QEMU's JIT on the same file, all as programs of their own.

use std::path::{Path, PathBuf};

use southbridge_core::Outcome;

use crate::program::{QEMU, command, firmware, has_qemu, southbridge, time_to_end};
use crate::report::{Goal, Row};
use crate::stats::Series;
use crate::{Result, board};

const BOARD: &str = "mps2-an385";
const RUNS: usize = 3;
/// The program, its iterations for some seconds compiled, whether there are goals. A run that is over sooner measures compilers.
const PROGRAMS: [(&str, u32, bool); 2] = [("coremark-like", 40_000, true), ("dhrystone-like", 160_000, false)];
/// Of so many, the interpreter does one.
const SHORTER: u32 = 10;
const ICOUNT: &str = "-icount shift=auto,sleep=off";

/// A row a program and way to execute it.
pub(crate) fn measure() -> Result<Vec<Row>> {
    let ours = southbridge()?;
    let qemu = has_qemu().then(|| PathBuf::from(QEMU));
    let mut rows = Vec::new();
    for (name, iterations, goals) in PROGRAMS {
        let instructions = count(name, iterations)?;
        let few = iterations / SHORTER;
        let instructions_of_few = count(name, few)?;
        let (mut jit, mut interp) = (Series::default(), Series::default());
        let (mut tcg, mut icount) = (Series::default(), Series::default());
        for _ in 0..RUNS {
            let speed = |program: &Path, mode: &str| -> Result<f64> {
                Ok(instructions / seconds(program, name, iterations, mode)? / 1e6)
            };
            jit.push(speed(&ours, "-accel jit")?);
            interp.push(instructions_of_few / seconds(&ours, name, few, "-accel interp")? / 1e6);
            if let Some(qemu) = &qemu {
                tcg.push(speed(qemu, "")?);
                icount.push(speed(qemu, ICOUNT)?);
            }
        }
        let goal = |goal| if goals { goal } else { Goal::None };
        let row = |tier: &str, series: &Series| {
            Row::new(
                format!("{name}, {tier}, million instructions/s"),
                "MIPS",
                series.clone(),
            )
        };
        let twice = row("compiled", &jit).beside("QEMU (JIT)", tcg.clone());
        rows.push(twice.goal(goal(Goal::AtLeastTimesPeer(2.0))));
        let thrice = row("compiled", &jit).beside("QEMU -icount shift=auto", icount);
        rows.push(thrice.goal(goal(Goal::AtLeastTimesPeer(3.0))));
        let alone = row("interpreted", &interp).beside("QEMU (JIT)", tcg);
        rows.push(alone.goal(goal(Goal::Above(150.0))));
    }
    Ok(rows)
}

/// Instructions of a run, as the machine counts them: every run has as many.
fn count(name: &str, iterations: u32) -> Result<f64> {
    let words = format!("x iterations={iterations}");
    let mut built = board::with_file(BOARD, &firmware(name, BOARD)?, &words)?;
    let outcome = built.machine.run();
    if outcome != Outcome::GuestExit(0) {
        return Err(format!("{name} ended with {outcome:?}").into());
    }
    Ok(built.machine.sys.clock.executed() as f64)
}

/// Seconds for the program alone: its time less that of a program that only says hello.
fn seconds(program: &Path, name: &str, iterations: u32, mode: &str) -> Result<f64> {
    let words = format!("-M {BOARD} -nographic -semihosting {mode}");
    let run = |name: &str| -> Result<f64> {
        let mut c = command(program, &words, &firmware(name, BOARD)?);
        c.arg("-append").arg(format!("iterations={iterations}"));
        Ok(time_to_end(c)?.as_secs_f64())
    };
    Ok((run(name)? - run("hello")?).max(1e-3))
}
