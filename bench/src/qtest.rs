//! One register read by a qtest client over a unix socket, there and back.

use std::os::unix::net::UnixListener;
use std::process::Command;
use std::time::Instant;

use crate::Result;
use crate::client::{Background, Lines};
use crate::place::{Cores, Placement};
use crate::program::{QEMU, has_qemu, southbridge};
use crate::report::{Goal, Row};
use crate::stats::Series;

/// Turns of ours and the peer's.
const RUNS: usize = 9;
/// Reads a turn.
const READS: u32 = 4000;
/// ID of the board's system controller, which is the same on both.
const READ: &[u8] = b"readl 0x4002fff8\n";

/// One row a placement, and one without a CPU.
pub(crate) fn measure() -> Result<Vec<Row>> {
    let qemu = has_qemu();
    let cores = Cores::ask()?;
    let mut rows = Vec::new();
    for placement in Placement::ALL {
        let (mut ours, mut bare, mut theirs) = (Series::default(), Series::default(), Series::default());
        for _ in 0..RUNS {
            ours.push(round_trip(Command::new(southbridge()?), "-S", &cores, placement)?);
            bare.push(round_trip(
                Command::new(southbridge()?),
                "-accel qtest",
                &cores,
                placement,
            )?);
            if qemu {
                theirs.push(round_trip(Command::new(QEMU), "-S", &cores, placement)?);
            }
        }
        let goal = if placement == Placement::Free {
            Goal::TimesPeer(1.0)
        } else {
            Goal::None
        };
        let what = format!("qtest register read, round trip, -S, {}", placement.name());
        rows.push(Row::new(what, "us", ours).beside("QEMU -S", theirs.clone()).goal(goal));
        let what = format!("qtest register read, round trip, -accel qtest, {}", placement.name());
        rows.push(Row::new(what, "us", bare).beside("QEMU -S", theirs).goal(goal));
    }
    Ok(rows)
}

/// Microseconds for each of many reads.
fn round_trip(mut c: Command, mode: &str, cores: &Cores, placement: Placement) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("qtest");
    let listener = UnixListener::bind(&path)?;
    c.args(["-M", "mps2-an385", "-display", "none", "-nodefaults", "-serial", "null"]);
    c.args(mode.split(' ')).args(["-qtest-log", "none"]);
    c.args(["-qtest", &format!("unix:{}", path.display())]);
    let _program = cores.as_process(placement, true, || Background::start(&mut c))?;
    let mut client = Lines::accept(&listener)?;
    cores.as_process(placement, false, || {
        let mut read = |n: u32| -> Result<()> {
            for _ in 0..n {
                client.send(READ)?;
                let answer = client.receive()?;
                if !answer.starts_with("OK 0x00000000") {
                    return Err(format!("the answer is {answer}").into());
                }
            }
            Ok(())
        };
        read(READS / 10)?;
        let begin = Instant::now();
        read(READS)?;
        Ok(begin.elapsed().as_secs_f64() * 1e6 / f64::from(READS))
    })
}
