//! From the start of the process to the guest's first word, and how much of it is the board.

use std::time::{Duration, Instant};

use southbridge_core::VirtualTime;

use crate::program::{QEMU, Running, command, firmware, has_qemu, southbridge};
use crate::report::{Goal, Row};
use crate::stats::Series;
use crate::{Result, board};

const RUNS: usize = 31;

/// One row a board from outside, one from inside.
pub(crate) fn measure() -> Result<Vec<Row>> {
    let qemu = has_qemu();
    let ours = southbridge()?;
    let mut rows = Vec::new();
    for name in ["lm3s6965evb", "mps2-an385"] {
        let hello = firmware("hello", name)?;
        let words = format!("-M {name} -nographic -semihosting");
        let (mut us, mut them, mut inside) = (Series::default(), Series::default(), Series::default());
        for _ in 0..RUNS {
            us.push(ms(first_word(command(&ours, &words, &hello))?));
            if qemu {
                them.push(ms(first_word(command(QEMU, &words, &hello))?));
            }
            inside.push(ms(first_instruction(name, &hello)?));
        }
        let outside = Row::new(format!("{name}: process start to the guest's first byte"), "ms", us);
        rows.push(outside.beside("QEMU", them).goal(Goal::Below(15.0)));
        let what = format!("{name}: of it: building, loading, reset, first instruction");
        rows.push(Row::new(what, "ms", inside));
    }
    Ok(rows)
}

fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

/// Later than the first instruction by the few thousand that the program needs to its first word: an upper bound, and the same for all.
fn first_word(c: std::process::Command) -> Result<Duration> {
    let begin = Instant::now();
    let mut running = Running::start(c)?;
    running.first_byte()?;
    Ok(begin.elapsed())
}

fn first_instruction(name: &str, program: &std::path::Path) -> Result<Duration> {
    let begin = Instant::now();
    let mut built = board::with_file(name, program, "")?;
    built.machine.run_until(VirtualTime(1));
    Ok(begin.elapsed())
}
