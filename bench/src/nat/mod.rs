//! What the NAT of `user` costs by itself: a scripted guest, which does no more than TCP needs, against a sink or a source on the host's
//! loopback; beside it libslirp with the same guest, where a C compiler and the library's headers are installed.
//!
//! Beside them also stand the calls of the socket alone, which no NAT in user space can do without.
//!
//! What is told is bits per second of processor time of the thread that runs engine and guest: the speed of one core that has nothing else
//! to do. The sink or source is another thread and stands for the rest of the host.

pub(crate) mod engine;
mod guest;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use southbridge_backend_usernet::{Config, Gso, Meta, Offloads};

use self::engine::Engine;
use self::guest::{Guest, HEADERS};
use crate::Result;
use crate::report::{Goal, Row};
use crate::stats::Series;

const RUNS: usize = 5;
const SPAN: Duration = Duration::from_secs(1);
/// Frames of the guest in one turn.
const BATCH: usize = 64;
const MSS: usize = 1460;
/// While there is nothing to do.
const IDLE: Duration = Duration::from_millis(1);

/// Which way bytes go, and what the guest's device leaves undone.
#[derive(Clone, Copy)]
enum Case {
    /// Bytes of the guest in one frame, more than [`MSS`] for a big segment; without checksums.
    Up(usize, bool),
    Down(Offloads),
}

/// Rows for both ways. libslirp knows no offloads, so it stands beside all of them with the same numbers.
pub(crate) fn measure() -> Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let slirp = build_slirp(folder.path());
    let mut rows = Vec::new();
    for (name, direction, cases) in [
        (
            "guest to host",
            "up",
            [Case::Up(MSS, false), Case::Up(MSS, true), Case::Up(43 * MSS, true)],
        ),
        (
            "host to guest",
            "down",
            [
                Case::Down(Offloads::empty()),
                Case::Down(Offloads::CHECKSUM),
                Case::Down(Offloads::CHECKSUM | Offloads::TSO4),
            ],
        ),
    ] {
        let mut ours: [Series; 3] = Default::default();
        let (mut peer, mut bare) = (Series::default(), Series::default());
        for _ in 0..RUNS {
            bare.push(calls(direction == "down")?);
            for (case, series) in cases.into_iter().zip(&mut ours) {
                series.push(run(case)?);
            }
            if let Some(program) = &slirp {
                peer.push(run_slirp(program, direction)?);
            }
        }
        let what = format!("NAT alone, {name}, MTU 1500, checksums");
        rows.push(
            Row::new(what, "Gbit/s", ours[0].clone())
                .beside("calls of the socket alone", bare)
                .goal(Goal::Above(10.0)),
        );
        let kinds = [
            ("MTU 1500, checksums", Goal::AtLeastTimesPeer(4.0)),
            ("MTU 1500, checksum offload", Goal::None),
            ("segmentation offload", Goal::None),
        ];
        for ((kind, goal), series) in kinds.into_iter().zip(ours) {
            let what = format!("NAT alone, {name}, {kind}");
            rows.push(
                Row::new(what, "Gbit/s", series)
                    .beside("libslirp", peer.clone())
                    .goal(goal),
            );
        }
    }
    Ok(rows)
}

fn processor() -> Duration {
    let t = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(t.tv_sec as u64, t.tv_nsec as u32)
}

fn gbit(bytes: u64, time: Duration) -> f64 {
    bytes as f64 * 8.0 / time.as_secs_f64() / 1e9
}

/// A sink or a source, for one connection.
fn host(down: bool) -> Result<(u16, std::thread::JoinHandle<()>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let thread = std::thread::spawn(move || {
        let Ok((mut stream, _)) = listener.accept() else { return };
        let mut buffer = vec![7; 1 << 20];
        match down {
            true => while stream.write_all(&buffer).is_ok() {},
            false => while stream.read(&mut buffer).is_ok_and(|n| n > 0) {},
        }
    });
    Ok((port, thread))
}

/// Waits for the host's side. Where nobody has come, it gets a visitor who goes at once.
fn finish(port: u16, host: std::thread::JoinHandle<()>) -> Result<()> {
    drop(TcpStream::connect(("127.0.0.1", port)));
    Ok(host.join().map_err(|_| "the host's side has failed")?)
}

fn run(case: Case) -> Result<f64> {
    let (port, host) = host(matches!(case, Case::Down(_)))?;
    let rate = match case {
        Case::Up(payload, offload) => upload(port, payload, offload),
        Case::Down(offloads) => download(port, offloads),
    };
    finish(port, host)?;
    rate
}

/// What no NAT can do without: the same bytes between the same socket and memory that is always the same, in pieces as the engine has them.
fn calls(down: bool) -> Result<f64> {
    const PIECE: usize = 256 << 10;
    let (port, host) = host(down)?;
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    let mut buffer = vec![7; PIECE];
    let (wall, cpu) = (Instant::now(), processor());
    let mut bytes = 0;
    while wall.elapsed() < SPAN {
        bytes += match down {
            true => stream.read(&mut buffer)?,
            false => stream.write(&buffer)?,
        };
    }
    let rate = gbit(bytes as u64, processor() - cpu);
    drop(stream);
    finish(port, host)?;
    Ok(rate)
}

fn connect(engine: &mut Engine, guest: &mut Guest) -> Result<()> {
    // The router learns where the guest is from the packet itself.
    engine.frame(&guest.syn(), &guest.meta());
    while !guest.connected {
        engine.turn(IDLE)?;
        engine.out.take(|f| {
            guest.take(f);
        });
    }
    let meta = guest.meta();
    engine.frame(guest.acknowledgement(), &meta);
    Ok(())
}

fn upload(port: u16, payload: usize, offload: bool) -> Result<f64> {
    let mut guest = Guest::new(port, payload, offload);
    let mut engine = Engine::new(Config::default(), Offloads::empty())?;
    connect(&mut engine, &mut guest)?;
    let mut meta = guest.meta();
    if payload > MSS {
        meta = Meta {
            gso: Gso::Tcp4,
            segment: MSS as u16,
            headers: HEADERS as u16,
            ..meta
        };
    }
    let (wall, cpu) = (Instant::now(), processor());
    let mut bytes = 0;
    while wall.elapsed() < SPAN {
        let mut sent = 0;
        while sent < BATCH
            && let Some(frame) = guest.data()
        {
            engine.frame(frame, &meta);
            sent += 1;
        }
        bytes += (sent * payload) as u64;
        engine.turn(if sent == 0 { IDLE } else { Duration::ZERO })?;
        engine.out.take(|f| {
            guest.take(f);
        });
    }
    Ok(gbit(bytes, processor() - cpu))
}

fn download(port: u16, offloads: Offloads) -> Result<f64> {
    let mut guest = Guest::new(port, 0, true);
    let mut engine = Engine::new(Config::default(), offloads)?;
    connect(&mut engine, &mut guest)?;
    let (wall, cpu) = (Instant::now(), processor());
    let (meta, mut has_news) = (guest.meta(), true);
    while wall.elapsed() < SPAN {
        engine.turn(if has_news { Duration::ZERO } else { IDLE })?;
        has_news = false;
        engine.out.take(|f| has_news |= guest.take(f));
        if has_news {
            engine.frame(guest.acknowledgement(), &meta);
        }
    }
    Ok(gbit(guest.received, processor() - cpu))
}

/// The peer's program, where it can be made.
fn build_slirp(folder: &Path) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("slirp/nat.c");
    let program = folder.join("nat");
    let mut cc = Command::new("cc");
    cc.arg("-O2").arg(source).arg("-lslirp").arg("-o").arg(&program);
    let made = cc.stderr(Stdio::null()).status().is_ok_and(|s| s.success());
    if !made {
        eprintln!("  no C compiler, or no libslirp with its headers: no numbers beside ours");
    }
    made.then_some(program)
}

fn run_slirp(program: &Path, direction: &str) -> Result<f64> {
    let (port, host) = host(direction == "down")?;
    let mut c = Command::new(program);
    c.args([direction, &port.to_string(), &SPAN.as_secs_f64().to_string()]);
    let out = c.stderr(Stdio::null()).output()?;
    finish(port, host)?;
    let text = String::from_utf8_lossy(&out.stdout);
    let numbers: Vec<u64> = text
        .split_whitespace()
        .map(str::parse)
        .collect::<std::result::Result<_, _>>()?;
    let &[bytes, _, cpu] = numbers.as_slice() else {
        return Err("libslirp has said nothing".into());
    };
    Ok(gbit(bytes, Duration::from_nanos(cpu)))
}
