//! Saving and restoring a machine: the whole stream, and for how long a running machine stands for it.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use southbridge_core::VirtualTime;
use southbridge_core::machine::{Draft, Machine, Pacing};
use southbridge_migration::stream::{self, Picture};

use crate::client::{Background, Qmp};
use crate::program::{QEMU, firmware, has_qemu, southbridge};
use crate::report::{Goal, Row};
use crate::stats::Series;
use crate::{Result, board};

const RUNS: usize = 31;
/// Processes that are saved, each once.
const PROCESSES: usize = 7;
const BOARDS: [&str; 2] = ["lm3s6965evb", "mps2-an385"];
/// Bytes that the firmware's own memory does not reach: what is written there stays.
const FILLED: u64 = 24 << 20;

/// Rows from inside for each board, plain and full; and one from outside beside QEMU.
pub(crate) fn measure() -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for name in BOARDS {
        rows.extend(inside(name, 0)?);
    }
    rows.extend(inside("mps2-an385", FILLED)?);
    rows.push(outside()?);
    Ok(rows)
}

fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

/// Writes to all of its memory, up to so many bytes.
fn fill(machine: &Machine, mut bytes: u64) {
    let page = [0x5a; 4096];
    for (_, block) in &machine.ram {
        for at in (0..block.len()).step_by(page.len()) {
            let n = (block.len() - at).min(bytes).min(page.len() as u64);
            if n > 0 {
                let _ = block.write(at, &page[..n as usize]);
            }
            bytes -= n;
        }
    }
}

fn inside(name: &str, filled: u64) -> Result<Vec<Row>> {
    let mut built = board::with_file(name, &firmware("coremark-like", name)?, "x iterations=1000000")?;
    let machine = &mut built.machine;
    machine.pacing = Pacing::SkipIdle;
    fill(machine, filled);
    machine.run_until(VirtualTime(100_000));
    let [mut copy, mut pause, mut save, mut restore] = std::array::from_fn(|_| Series::default());
    let mut size = 0;
    for _ in 0..RUNS {
        // As a migration does it: memory is copied while the guest still runs.
        let begin = Instant::now();
        let draft = Draft::of(machine.ram.iter().map(|(_, block)| block));
        let copying = begin.elapsed();
        copy.push(ms(copying));
        machine.run_until(machine.sys.clock.now().after_ns(100_000));
        let begin = Instant::now();
        let picture = Picture::take_from(machine, name, draft)?;
        pause.push(ms(begin.elapsed()));
        let mut out = Vec::with_capacity(usize::try_from(stream::encoded_len(&picture))?);
        stream::write(&picture, &mut out)?;
        save.push(ms(copying + begin.elapsed()));
        size = out.len();
        let begin = Instant::now();
        let here = stream::describe(machine, name)?;
        let read = stream::read(out.as_slice(), &here)?;
        machine.load_whole(&read.whole)?;
        restore.push(ms(begin.elapsed()));
        machine.run_until(machine.sys.clock.now().after_ns(100_000));
    }
    let whose = match filled {
        0 => name.to_owned(),
        n => format!("{name} with {} MiB written", n >> 20),
    };
    let row = |what: &str, series, goal| Row::new(format!("{whose}: {what}"), "ms", series).goal(Goal::Below(goal));
    Ok(vec![
        Row::new(format!("{whose}: copying memory, guest runs"), "ms", copy),
        row("taking the picture, guest stands", pause, 5.0),
        row(&format!("saving, stream of {} KiB", size >> 10), save, 20.0),
        row("restoring", restore, 20.0),
    ])
}

/// `migrate` of a running board to a file; the times that the programs themselves tell are in whole milliseconds.
fn outside() -> Result<Row> {
    let qemu = has_qemu();
    let (mut ours, mut theirs) = (Series::default(), Series::default());
    for _ in 0..PROCESSES {
        ours.push(downtime(Command::new(southbridge()?))?);
        if qemu {
            theirs.push(downtime(Command::new(QEMU))?);
        }
    }
    let row = Row::new("mps2-an385: 'migrate' to a file, guest stands", "ms", ours);
    Ok(row.beside("QEMU", theirs).goal(Goal::Below(5.0)))
}

fn downtime(mut c: Command) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("state");
    let mut client = busy(&mut c, &folder.path().join("qmp"))?;
    client.1.run(&format!(
        r#"{{"execute": "migrate", "arguments": {{"uri": "file:{}"}}}}"#,
        file.display()
    ))?;
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let info = client.1.run(r#"{"execute": "query-migrate"}"#)?;
        match info["status"].as_str() {
            Some("completed") => return Ok(info["downtime"].as_f64().ok_or("no downtime")?),
            Some("failed") => return Err(info.to_string().into()),
            _ if Instant::now() > end => return Err("the migration does not end".into()),
            _ => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

fn busy(c: &mut Command, socket: &Path) -> Result<(Background, Qmp)> {
    c.args([
        "-M",
        "mps2-an385",
        "-display",
        "none",
        "-nodefaults",
        "-serial",
        "null",
        "-semihosting",
    ]);
    c.arg("-kernel").arg(firmware("coremark-like", "mps2-an385")?);
    c.args(["-append", "x iterations=1000000000"]);
    c.arg("-qmp")
        .arg(format!("unix:{},server=on,wait=off", socket.display()));
    let program = Background::start(c)?;
    let client = Qmp::connect(socket)?;
    Ok((program, client))
}
