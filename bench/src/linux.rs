//! Debian's kernel on `virt`, beside QEMU with the same kernel and initramfs: time to the shell, memory there, a doorbell round trip to
//! a microcontroller; how long programs take in it; and instructions per second of compiled C on the bare machine.
//!
//! Processor time is told beside the wall's: on a machine that others use it is the steadier of the two.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use southbridge_backend_ivshmem::{Server, ServerConfig};

use crate::Result;
use crate::memory::field;
use crate::program::{Running, command, firmware, southbridge};
use crate::report::{Goal, Row};
use crate::shell::{Guest, empty, programs, row};

const RUNS: usize = 3;
const ROUNDS: u32 = 10_000;
/// The bare programs, with the iterations of some thousand million instructions, and what is aimed at.
const BARE: [(&str, u32, Goal); 2] = [
    ("coremark-like", 12_000, Goal::AtLeastTimesPeer(1.5)),
    ("dhrystone-like", 80_000, Goal::None),
];
/// What is typed into the shell, with a name.
const TYPED: [(&str, &str); 4] = [
    ("coremark-like, 12,000 iterations", "coremark-like iterations=12000"),
    ("dhrystone-like, 80,000 iterations", "dhrystone-like iterations=80000"),
    ("sha256sum of 69 MB of text", "sha256sum /tmp/large"),
    ("gzip of 6.9 MB of text", "gzip -c /tmp/small"),
];
/// Of `/proc/PID/stat`: the same on every Linux.
const CLOCK_TICKS: f64 = 100.0;
const SETTLE: Duration = Duration::from_millis(500);

/// All rows.
pub(crate) fn measure() -> Result<Vec<Row>> {
    let guest = Guest::find(&[])?;
    let programs = programs()?;
    let mut rows = Vec::new();
    for harts in [1, 4] {
        rows.extend(to_the_shell(&guest, &programs, harts)?);
    }
    for (name, iterations, goal) in BARE {
        rows.push(bare(&programs, name, iterations)?.goal(goal));
    }
    rows.extend(in_the_shell(&guest, &programs)?);
    rows.push(doorbell(&guest, &programs)?);
    Ok(rows)
}

/// Wall and processor time to the shell, and what is resident there.
fn to_the_shell(guest: &Guest, programs: &[PathBuf], harts: u32) -> Result<[Row; 3]> {
    let (mut wall, mut busy, mut resident) = (empty(programs), empty(programs), empty(programs));
    for _ in 0..RUNS {
        for (i, program) in programs.iter().enumerate() {
            let begin = Instant::now();
            let mut running = Running::start(guest.on(program, &format!("-smp {harts}"), ""))?;
            running.line("guest: shell after")?;
            wall[i].push(begin.elapsed().as_secs_f64());
            busy[i].push(processor_seconds(running.pid())?);
            std::thread::sleep(SETTLE);
            resident[i].push(field(&format!("/proc/{}/status", running.pid()), "VmRSS:")?);
        }
    }
    let name = |what: &str| format!("virt, Debian's kernel, -smp {harts}: {what}");
    Ok([
        row(name("start to the shell"), "s", wall).goal(Goal::TimesPeer(0.7)),
        row(name("processor time to the shell"), "s", busy),
        row(name("resident at the shell, -m 512M"), "MiB", resident),
    ])
}

/// User and system time of all threads of a process so far.
fn processor_seconds(pid: u32) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field is the name in parentheses, which may have anything in it; user and system time are the 14th and 15th.
    let (_, fields) = text.rsplit_once(')').ok_or("no such file as /proc has")?;
    let mut times = fields.split_whitespace().skip(11).map(str::parse::<f64>);
    let (Some(user), Some(system)) = (times.next(), times.next()) else {
        return Err("no times in /proc".into());
    };
    Ok((user? + system?) / CLOCK_TICKS)
}

/// Millions of instructions a second on the bare machine.
fn bare(programs: &[PathBuf], name: &str, iterations: u32) -> Result<Row> {
    let file = firmware(&format!("{name}-bare"), "virt")?;
    let run = |program: &Path, iterations: u32| -> Result<(f64, f64)> {
        let mut c = command(program, "-M virt -nographic -bios none -semihosting", &file);
        c.arg("-append").arg(format!("iterations={iterations}"));
        let begin = Instant::now();
        let out = c.output()?;
        let text = String::from_utf8_lossy(&out.stdout);
        if !out.status.success() {
            return Err(format!("{c:?} ended with {}: {text}", out.status).into());
        }
        Ok((begin.elapsed().as_secs_f64(), instructions(&text)?))
    };
    let mut speed = empty(programs);
    for _ in 0..RUNS {
        let mut count = None;
        for (i, program) in programs.iter().enumerate() {
            let (seconds, minstret) = run(program, iterations)?;
            let start = run(program, 0)?.0;
            // Ours comes first, and counts; QEMU's counter without -icount is a clock.
            let count = *count.get_or_insert(minstret);
            speed[i].push(count / (seconds - start).max(1e-3) / 1e6);
        }
    }
    Ok(row(
        format!("virt, bare: {name}, million instructions/s"),
        "MIPS",
        speed,
    ))
}

/// Seconds of the wall clock that programs take in the guest's shell.
fn in_the_shell(guest: &Guest, programs: &[PathBuf]) -> Result<Vec<Row>> {
    let mut taken: Vec<_> = TYPED.iter().map(|_| empty(programs)).collect();
    for _ in 0..RUNS {
        for (i, program) in programs.iter().enumerate() {
            let mut shell = guest.on(program, "", "");
            shell.stdin(Stdio::piped());
            let mut shell = Running::start(shell)?;
            shell.line("guest: shell after")?;
            // What is typed comes back; the quotes keep it from being taken for what is said.
            shell.say(
                "cd /tmp; seq 1 1000000 >small; s=small; cat $s $s $s $s $s $s $s $s $s $s >large; echo rea''dy",
            )?;
            shell.line("ready")?;
            for ((_, typed), series) in TYPED.iter().zip(&mut taken) {
                shell.say(&format!("echo beg''in; {typed} >/dev/null && echo do''ne"))?;
                shell.line("begin")?;
                let begin = Instant::now();
                shell.line("done")?;
                series[i].push(begin.elapsed().as_secs_f64());
            }
        }
    }
    let rows = TYPED.iter().zip(taken);
    Ok(rows
        .map(|((name, _), series)| row(format!("virt, Debian's kernel: {name}"), "s", series))
        .collect())
}

/// What the program counted: `cycles 123 by minstret`, or from 2^32 on `cycles 0x…`.
fn instructions(text: &str) -> Result<f64> {
    let word = text.split("cycles ").nth(1).and_then(|t| t.split_whitespace().next());
    let word = word.ok_or("the program tells no count")?;
    Ok(match word.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16)? as f64,
        None => word.parse()?,
    })
}

/// Microseconds a round between a program in Linux and a microcontroller, which is ours on both sides.
fn doorbell(guest: &Guest, programs: &[PathBuf]) -> Result<Row> {
    let mut rounds = empty(programs);
    for _ in 0..RUNS {
        for (i, program) in programs.iter().enumerate() {
            rounds[i].push(play(guest, program)?);
        }
    }
    Ok(row(
        "doorbell, round trip between Linux on virt and mps2-an385, free".to_owned(),
        "us",
        rounds,
    ))
}

fn play(guest: &Guest, program: &Path) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("ivshmem.sock");
    let _server = Server::bind(&ServerConfig::new(&socket))?.spawn(drop)?;
    let chardev = format!("-chardev socket,id=i,path={}", socket.display());
    let append = format!("quiet guest.load=uio_pci_generic guest.run=ivshmem-doorbell-bench,rounds={ROUNDS},leader");
    let mut linux = Running::start(guest.on(
        program,
        &format!("{chardev} -device ivshmem-doorbell,chardev=i -device edu"),
        &append,
    ))?;
    let words = format!("-M mps2-an385 -nographic -semihosting {chardev} -device ivshmem-flat,chardev=i");
    let board = command(southbridge()?, &words, &firmware("doorbell-bench", "mps2-an385")?);
    let mut board = Running::start(board)?;
    board.line("ready")?;
    linux.line("ready")?;
    let begin = Instant::now();
    linux.line("done:")?;
    Ok(begin.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS))
}
