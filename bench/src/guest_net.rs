//! The network as a guest sees it: `net-bench` in Debian on `virt`, on a `virtio-net-pci`, beside QEMU with the same guest.
//!
//! Three cards are in the machine at once: behind `user`, behind a `tap` of the kernel, and behind a `stream` to this process, which
//! has the NAT's engine at its other end. The other side of each connection is a thread of this process. All is in a network of its own,
//! which takes root.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use southbridge_backend_usernet::{Config, Ipv4Config, Meta, Offloads};
use southbridge_testing::private::Elsewhere;

use crate::Result;
use crate::nat::engine::Engine;
use crate::report::Row;
use crate::shell::{Guest, Shell, empty, programs, row};

const RUNS: usize = 3;
const PORT: u16 = 5001;
/// The cards: back end, how the guest names them, its address there, and that of the host.
const CARDS: [(&str, &str, &str, &str); 3] = [
    ("user", "eth0", "10.0.2.15", "10.0.2.2"),
    ("tap", "eth1", "10.0.3.15", "10.0.3.2"),
    ("stream", "eth2", "10.0.4.15", "10.0.4.2"),
];
/// Pieces of one transfer.
const PIECES: u32 = 2000;
const PIECE: f64 = 65_536.0;
const ROUNDS: u32 = 5000;

/// What is measured: what `net-bench` does, and how often.
const WORKS: [(&str, &str, u32, &str); 4] = [
    ("TCP to the host", "send", PIECES, "Gbit/s"),
    ("TCP from the host", "receive", PIECES, "Gbit/s"),
    ("round trip of one byte by TCP", "tcp", ROUNDS, "us"),
    ("round trip of one byte by UDP", "udp", ROUNDS, "us"),
];

/// Rows for each kind of work on each back end.
pub(crate) fn measure() -> Result<Vec<Row>> {
    let mut probe = Command::new("unshare");
    let probe = probe
        .args(["--net", "ip", "link", "set", "lo", "up"])
        .stderr(Stdio::null());
    if !probe.status().is_ok_and(|s| s.success()) {
        return Err("it wants a network of its own: unshare, ip and the right to use them".into());
    }
    let network = Elsewhere::new();
    network.sh("ip tuntap add dev t0 mode tap && ip addr add 10.0.3.2/24 dev t0 && ip link set t0 up");
    // An error may not leave the thread.
    Ok(network.run(|| all().map_err(|e| e.to_string()))?)
}

fn all() -> Result<Vec<Row>> {
    serve()?;
    let guest = Guest::find(&[])?;
    let programs = programs()?;
    let mut taken: Vec<_> = (0..WORKS.len() * CARDS.len()).map(|_| empty(&programs)).collect();
    for _ in 0..RUNS {
        for (i, program) in programs.iter().enumerate() {
            let folder = tempfile::tempdir()?;
            let mut shell = Shell::boot(&guest, program, &machine(folder.path())?)?;
            set_up(&mut shell)?;
            let all = CARDS.iter().flat_map(|c| WORKS.iter().map(move |w| (c, w)));
            for (((_, _, _, host), (_, what, amount, unit)), series) in all.zip(&mut taken) {
                let command = |amount| format!("net-bench to={host} port={PORT} do={what} amount={amount}");
                // Both programs translate the guest's code while it runs: what was never executed before is not what is asked for.
                shell.time(&command(amount / 4))?;
                let seconds = shell.time(&command(*amount))?.as_secs_f64();
                let amount = f64::from(*amount);
                series[i].push(match *unit {
                    "us" => seconds * 1e6 / amount,
                    _ => amount * PIECE * 8.0 / seconds / 1e9,
                });
            }
        }
    }
    let names = CARDS.iter().flat_map(|c| WORKS.iter().map(move |w| (c, w)));
    Ok(names
        .zip(taken)
        .map(|((c, w), series)| row(format!("Linux on virt, virtio-net over {}: {}", c.0, w.0), w.3, series))
        .collect())
}

/// Options of the machine, whose `stream` is answered.
fn machine(folder: &Path) -> Result<String> {
    let path = folder.join("stream");
    let listener = UnixListener::bind(&path)?;
    std::thread::spawn(move || {
        let Ok((stream, _)) = listener.accept() else { return };
        // It ends with the machine.
        let _ = answer(stream);
    });
    let netdevs = [
        "user,id=n0".to_owned(),
        "tap,id=n1,ifname=t0,script=no,downscript=no".to_owned(),
        format!("stream,id=n2,addr.type=unix,addr.path={}", path.display()),
    ];
    let words = netdevs.iter().enumerate();
    Ok(words
        .map(|(i, n)| format!("-netdev {n} -device virtio-net-pci,netdev=n{i} "))
        .collect())
}

fn set_up(shell: &mut Shell) -> Result<()> {
    shell.run("load virtio_pci; load virtio_net; until [ -e /sys/class/net/eth2 ]; do sleep 0.1; done")?;
    for (_, card, address, _) in CARDS {
        shell.run(&format!("ip addr add {address}/24 dev {card} && ip link set {card} up"))?;
    }
    Ok(())
}

/// The other side of `net-bench`, at every address of this network.
fn serve() -> Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", PORT))?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A guest that goes away is the end of a connection.
            std::thread::spawn(move || drop(connection(stream)));
        }
    });
    let socket = UdpSocket::bind(("0.0.0.0", PORT))?;
    std::thread::spawn(move || {
        let mut byte = [0; 64];
        while let Ok((n, from)) = socket.recv_from(&mut byte) {
            let _ = socket.send_to(&byte[..n], from);
        }
    });
    Ok(())
}

/// One connection: a word says what it is for, and another how much comes (`firmware/c/net-bench.c`).
fn connection(mut stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut head = [0; 8];
    stream.read_exact(&mut head)?;
    let amount = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
    let mut buffer = vec![b'h'; 1 << 20];
    stream.write_all(b"!")?;
    match head[0] {
        b's' => {
            let mut rest = u64::from(amount) << 16;
            while rest > 0 {
                let n = stream.read(&mut buffer)?;
                if n == 0 {
                    return Ok(());
                }
                rest -= n as u64;
            }
            stream.write_all(b"!")?;
        }
        b'r' => {
            for _ in 0..amount {
                stream.write_all(&buffer[..1 << 16])?;
            }
        }
        _ => {
            for _ in 0..amount {
                stream.read_exact(&mut buffer[..1])?;
                stream.write_all(&buffer[..1])?;
            }
        }
    }
    // The guest closes, so there is nothing more.
    match stream.read(&mut buffer)? {
        0 => Ok(()),
        _ => Err("the guest says more than it promised".into()),
    }
}

/// The other end of a `stream`: each frame stands behind its length in four bytes, and goes through the engine of `user`.
fn answer(mut stream: UnixStream) -> Result<()> {
    const WAIT: Duration = Duration::from_millis(100);
    stream.set_nonblocking(true)?;
    let config = Config {
        ipv4: Some(Ipv4Config {
            network: [10, 0, 4, 0].into(),
            prefix: 24,
            host: [10, 0, 4, 2].into(),
            dns: [10, 0, 4, 3].into(),
            dhcp_start: [10, 0, 4, 15].into(),
        }),
        ..Config::default()
    };
    let mut engine = Engine::new(config, Offloads::empty())?;
    engine.also_wait_for(&stream)?;
    let (mut from, mut to) = (Vec::new(), Vec::new());
    let mut chunk = vec![0; 256 << 10];
    loop {
        let mut heard = false;
        match stream.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(n) => {
                from.extend_from_slice(&chunk[..n]);
                heard = true;
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            Err(e) => return Err(e.into()),
        }
        let mut done = 0;
        while let Some((head, rest)) = from[done..].split_first_chunk()
            && let Some(frame) = rest.get(..u32::from_be_bytes(*head) as usize)
        {
            engine.frame(frame, &Meta::default());
            done += 4 + frame.len();
        }
        from.drain(..done);
        engine.turn(if heard { Duration::ZERO } else { WAIT })?;
        engine.out.take(|frame| {
            to.extend((frame.len() as u32).to_be_bytes());
            to.extend_from_slice(frame);
        });
        give(&mut stream, &mut to)?;
    }
}

/// Writes all, however long it takes: the machine reads as fast as it can.
fn give(stream: &mut UnixStream, to: &mut Vec<u8>) -> Result<()> {
    stream.set_nonblocking(false)?;
    stream.write_all(to)?;
    stream.set_nonblocking(true)?;
    to.clear();
    Ok(())
}
