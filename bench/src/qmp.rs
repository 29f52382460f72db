//! How long a QMP client waits for `query-status`: of a machine that idles, of one that is busy, and beside a client that never stops
//! asking.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::Result;
use crate::client::{Background, Qmp};
use crate::program::{QEMU, firmware, has_qemu, southbridge};
use crate::report::Row;
use crate::stats::Series;

/// Turns of ours and the peer's.
const RUNS: usize = 7;
/// Commands a turn.
const COMMANDS: u32 = 1000;
/// What is asked.
const ASK: &str = r#"{"execute": "query-status"}"#;
const BOARD: &str = "mps2-an385";

/// What else goes on.
#[derive(Clone, Copy, PartialEq)]
enum Load {
    /// The machine stands.
    Standing,
    /// The guest computes without end.
    Busy,
    /// The same, and a second client asks without a pause.
    Flooded,
}

/// Two rows a load: the middle and the slowest hundredth.
pub(crate) fn measure() -> Result<Vec<Row>> {
    let qemu = has_qemu();
    let mut rows = Vec::new();
    for (load, name) in [
        (Load::Standing, "machine stands"),
        (Load::Busy, "guest busy"),
        (Load::Flooded, "guest busy, second client floods"),
    ] {
        let mut ours = (Series::default(), Series::default());
        let mut theirs = (Series::default(), Series::default());
        for _ in 0..RUNS {
            let both = latency(Command::new(southbridge()?), load)?;
            ours.0.push(both.quantile(0.5));
            ours.1.push(both.quantile(0.99));
            if qemu {
                let both = latency(Command::new(QEMU), load)?;
                theirs.0.push(both.quantile(0.5));
                theirs.1.push(both.quantile(0.99));
            }
        }
        let row = |share: &str, ours, theirs| {
            Row::new(format!("QMP query-status, {name}, {share}"), "us", ours).beside("QEMU", theirs)
        };
        rows.push(row("p50", ours.0, theirs.0));
        rows.push(row("p99", ours.1, theirs.1));
    }
    Ok(rows)
}

/// Microseconds of each of many commands.
fn latency(mut c: Command, load: Load) -> Result<Series> {
    let folder = tempfile::tempdir()?;
    let sockets = [folder.path().join("a"), folder.path().join("b")];
    c.args([
        "-M",
        BOARD,
        "-display",
        "none",
        "-nodefaults",
        "-serial",
        "null",
        "-semihosting",
    ]);
    c.arg("-kernel").arg(firmware("coremark-like", BOARD)?);
    c.args(["-append", "x iterations=1000000000"]);
    for s in &sockets {
        c.arg("-qmp").arg(format!("unix:{},server=on,wait=off", s.display()));
    }
    if load == Load::Standing {
        c.arg("-S");
    }
    let _program = Background::start(&mut c)?;
    let mut client = Qmp::connect(&sockets[0])?;
    let done = AtomicBool::new(false);
    std::thread::scope(|s| {
        let flood = (load == Load::Flooded).then(|| s.spawn(|| flood(&sockets[1], &done).map_err(|e| e.to_string())));
        let series = ask(&mut client);
        done.store(true, Ordering::Relaxed);
        if let Some(flood) = flood {
            flood.join().map_err(|_| "the flood panicked")??;
        }
        series
    })
}

fn ask(client: &mut Qmp) -> Result<Series> {
    let mut series = Series::default();
    for _ in 0..COMMANDS / 10 {
        client.run(ASK)?;
    }
    for _ in 0..COMMANDS {
        let begin = Instant::now();
        client.run(ASK)?;
        series.push_us(begin.elapsed());
    }
    Ok(series)
}

fn flood(socket: &Path, done: &AtomicBool) -> Result<()> {
    let mut client = Qmp::connect(socket)?;
    while !done.load(Ordering::Relaxed) {
        client.run(ASK)?;
    }
    Ok(())
}
