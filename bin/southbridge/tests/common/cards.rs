//! Guests with network cards: what tests of the network share.

use super::linux::{Guest, PATIENCE, guest_file, initramfs, machine};
use super::qmp::Client;
use super::{Guard, wait};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

/// One piece of what is sent: a mebibyte, the same everywhere.
pub const PIECE: &str = "seq 1 200000 | head -c 1048576";
/// Pieces of the long exchange.
pub const MANY: u32 = 100;

/// Sends that many pieces to its output.
pub fn stream(pieces: u32) -> String {
    format!("(i=0; while [ $i -lt {pieces} ]; do cat /tmp/piece; i=$((i+1)); done)")
}

/// The checksum of that many pieces, by the host's own tools.
pub fn checksum(pieces: u32) -> String {
    let script = format!("{PIECE} >piece; i=0; while [ $i -lt {pieces} ]; do cat piece; i=$((i+1)); done | md5sum");
    let folder = tempfile::tempdir().unwrap();
    let out = Command::new("sh")
        .args(["-c", &script])
        .current_dir(folder.path())
        .output()
        .unwrap();
    String::from_utf8(out.stdout).unwrap()[..32].to_owned()
}

pub struct Side {
    pub guest: Guest,
    pub qmp: Client,
}

/// Starts a guest with a monitor; does not wait for its shell.
pub fn boot(folder: &Path, name: &str, sets: &[&str], words: &str) -> Side {
    let socket = folder.join(name);
    let monitor = format!("unix:{},server=on,wait=off", socket.display());
    let mut command = machine();
    command.args(["-M", "virt", "-m", "256M", "-nographic", "-no-reboot", "-kernel"]);
    command.arg(guest_file("vmlinux")).arg("-initrd").arg(initramfs(sets));
    command
        .args(["-append", "console=ttyS0", "-qmp", &monitor])
        .args(words.split_whitespace());
    Side {
        guest: Guest::start(&mut command),
        qmp: Client::ready(&socket),
    }
}

impl Side {
    /// The shell is there, the driver is loaded, and the card has its addresses.
    pub fn set_up(&mut self, number: u8) {
        self.guest.wait_for_shell();
        self.load();
        self.guest.shell(&format!("{PIECE} >/tmp/piece"));
        self.address("eth0", number);
    }

    pub fn load(&mut self) {
        for module in ["virtio_pci", "virtio_mmio", "virtio_net", "af_packet"] {
            self.guest.shell(&format!("load {module} 2>/dev/null; true"));
        }
    }

    pub fn address(&mut self, card: &str, number: u8) {
        self.until(&format!("ip link show {card}"));
        // Without duplicate address detection the address is there at once.
        self.guest.shell(&format!(
            "echo 0 >/proc/sys/net/ipv6/conf/{card}/accept_dad; ip link set {card} up"
        ));
        self.guest.shell(&format!("ip addr add 10.1.0.{number}/24 dev {card}"));
        self.guest
            .shell(&format!("ip -6 addr add fd01::{number}/64 dev {card}"));
    }

    /// Repeats a command until its status is 0.
    pub fn until(&mut self, command: &str) {
        self.guest
            .shell(&format!("until {command} >/dev/null 2>&1; do sleep 0.2; done"));
    }

    /// Begins to wait for a stream; its checksum will be in `/tmp/sum`. What is typed meanwhile is not for the listener, which would
    /// take it as the end of its own half and so end the exchange.
    pub fn listen(&mut self, port: u16) {
        self.guest.shell(&format!(
            "rm -f /tmp/sum; (tail -f /dev/null | nc -l -p {port} | md5sum >/tmp/sum) & true"
        ));
        self.until(&listens(port));
    }

    pub fn sum(&mut self) -> String {
        self.guest
            .shell("while [ ! -s /tmp/sum ]; do sleep 0.05; done; cut -d' ' -f1 /tmp/sum")
    }

    /// Streams of pieces to the host and from it; both must be as they were sent.
    pub fn streams_with(&mut self, host: &HostPeer, address: &str) {
        // It says that it has nothing to say, and hears all the same.
        self.streams_hearing(host, address, "</dev/null");
    }

    /// The same, with what the guest says while it hears, as a redirection of the shell.
    pub fn streams_hearing(&mut self, host: &HostPeer, address: &str, said: &str) {
        let begin = Instant::now();
        let (sink, source, pieces) = (host.sink, host.source, host.pieces);
        self.guest.shell(&format!("{} | nc {address} {sink}", stream(pieces)));
        let sum = host.sums.recv_timeout(PATIENCE).expect("a stream's end");
        assert_eq!(sum, host.expected, "to {address}");
        let sum = self.guest.shell(&format!("nc {address} {source} {said} | md5sum"));
        assert_eq!(sum[..32], host.expected, "from {address}");
        let seconds = begin.elapsed().as_secs_f64();
        eprintln!("{pieces} MiB each way with {address} in {seconds:.1} s");
    }

    /// A server of iperf3 that stays.
    pub fn iperf_server(&mut self) {
        self.guest.shell("ip link set lo up; iperf3 -s -D");
        self.until(&listens(IPERF));
    }

    /// What iperf3 measured. (It looks after each interval whether it is done.)
    #[track_caller]
    pub fn iperf(&mut self, address: &str, words: &str) {
        let command = format!("iperf3 -J -i 0.1 -c {address} {words} >/tmp/told; cat /tmp/told");
        measured(&format!("{address} {words}"), || self.guest.shell(&command));
    }
}

/// What iperf3 tries with each peer: TCP and UDP, each way.
pub const BOTH_WAYS: [&str; 4] = ["-n 32M", "-n 32M -R", "-u -b 20M -n 1M", "-u -b 20M -n 1M -R"];
/// The port of iperf3.
pub const IPERF: u16 = 5201;

/// A command that says whether somebody listens on a port of TCP.
fn listens(port: u16) -> String {
    // Local address, remote address, state 0A: listening.
    format!("grep -q ':{port:04X} .* 0A ' /proc/net/tcp /proc/net/tcp6")
}

/// Somebody listens on a port of this host.
pub fn wait_for_port(port: u16) {
    wait("a listener", || {
        let test = Command::new("sh").args(["-c", &listens(port)]).status();
        test.is_ok_and(|s| s.success())
    });
}

/// A server of iperf3 on this host, for as long as the value lives.
pub fn iperf_server(port: u16) -> Guard {
    let mut c = Command::new("iperf3");
    c.args(["-s", "-p", &port.to_string()]);
    c.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let server = Guard(c.spawn().expect("iperf3, which was asked for"));
    wait_for_port(port);
    server
}

/// The host measures.
#[track_caller]
pub fn iperf_from_host(words: &str) {
    measured(words, || {
        let mut c = Command::new("iperf3");
        c.arg("-J").args(words.split_whitespace());
        let out = c.output().expect("iperf3, which was asked for");
        String::from_utf8_lossy(&out.stdout).into_owned()
    });
}

/// No error, and what was sent has come. (TCP's receiver does not count what is on its way at the end, which may be much; UDP loses some
/// where the host is busy. The checksums of streams are another matter.)
#[track_caller]
fn measured(what: &str, mut run: impl FnMut() -> String) {
    let begin = Instant::now();
    let (text, told) = loop {
        let text = run();
        // It may warn of something before.
        let json = text.find('{').map_or("", |at| &text[at..]);
        let told: Value = serde_json::from_str(json).unwrap_or_else(|e| panic!("{what}: {e}: {text}"));
        // The server may still be about the end of the test before, and says so or hangs up.
        let excuses = [
            "server is busy",
            "unable to receive control message",
            "unable to send cookie",
        ];
        let busy = told["error"]
            .as_str()
            .is_some_and(|e| excuses.iter().any(|x| e.contains(x)));
        if !busy || begin.elapsed() > PATIENCE {
            break (text, told);
        }
    };
    assert_eq!(told["error"], Value::Null, "{what}: {text}");
    let end = &told["end"];
    let udp = end["sum_received"].is_null() || told["start"]["test_start"]["protocol"] == "UDP";
    let (sent, received) = if udp {
        let [packets, lost] = ["packets", "lost_packets"].map(|n| end["sum"][n].as_f64().expect("a number"));
        (packets, packets - lost)
    } else {
        let bytes = |side: &str| end[side]["bytes"].as_f64().expect("a number");
        (bytes("sum_sent"), bytes("sum_received"))
    };
    assert!(
        received > 0.0 && received >= sent / 10.0,
        "{what}: {received} of {sent}: {text}"
    );
    let rate = end["sum_received"]["bits_per_second"]
        .as_f64()
        .or_else(|| end["sum"]["bits_per_second"].as_f64());
    eprintln!(
        "iperf3 {what}: {received} of {sent}, {:.0} Mbit/s",
        rate.unwrap_or_default() / 1e6
    );
}

/// Servers on this host at all its addresses, to the end of the test: one that takes streams, and one that sends pieces to whoever comes.
pub struct HostPeer {
    pub sink: u16,
    pub source: u16,
    pub sums: Receiver<String>,
    pub pieces: u32,
    pub expected: String,
}

impl HostPeer {
    pub fn new(pieces: u32) -> Self {
        let [sink, source] = [(); 2].map(|()| TcpListener::bind("[::]:0").unwrap());
        let [sink_port, source_port] = [&sink, &source].map(|l| l.local_addr().unwrap().port());
        let (send, sums) = channel();
        std::thread::spawn(move || {
            for stream in sink.incoming() {
                let _ = send.send(sum_of(&mut stream.unwrap()));
            }
        });
        std::thread::spawn(move || {
            let piece = Command::new("sh").args(["-c", PIECE]).output().unwrap().stdout;
            for stream in source.incoming() {
                let mut stream = stream.unwrap();
                // Whoever leaves early will miss some of its checksum.
                let _ = (0..pieces).try_for_each(|_| stream.write_all(&piece));
            }
        });
        Self {
            sink: sink_port,
            source: source_port,
            sums,
            pieces,
            expected: checksum(pieces),
        }
    }
}

/// Sends pieces over TCP; they must arrive.
pub fn transfer(from: &mut Side, to: &mut Side, address: &str, pieces: u32, expected: &str) {
    to.listen(5001);
    let begin = Instant::now();
    from.guest.shell(&format!("{} | nc {address} 5001", stream(pieces)));
    assert_eq!(to.sum(), expected);
    let seconds = begin.elapsed().as_secs_f64();
    eprintln!("{pieces} MiB to {address} in {seconds:.1} s");
}

pub const DHCP: &str = "printf '#!/bin/sh\\n[ \"$1\" = bound ] || exit 0\\nip addr add $ip/$mask dev $interface\\n\
                    ip route add default via $router\\necho nameserver $dns >/etc/resolv.conf\\n' >/tmp/dhcp; chmod +x /tmp/dhcp";

/// The checksum of a stream, by the host's own tool.
pub fn sum_of(stream: &mut TcpStream) -> String {
    let mut child = Command::new("md5sum");
    child
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped());
    let mut child = child.spawn().unwrap();
    let mut to = child.stdin.take().unwrap();
    let mut buffer = vec![0; 1 << 16];
    while let Ok(n @ 1..) = stream.read(&mut buffer) {
        to.write_all(&buffer[..n]).unwrap();
    }
    drop(to);
    let out = child.wait_with_output().unwrap();
    String::from_utf8(out.stdout).unwrap()[..32].to_owned()
}
