//! Back ends that lead into the host's kernel or to its programs, for real: each test in a network of its own.

mod common;

use common::cable::{CABLE, Cable};
use common::{World, arp_for, frame, is_arp_answer};
use southbridge_core::{Ctx, Device, DeviceId, PropValue, Properties};
use southbridge_testing::private::{Elsewhere, is_private, sh};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread::JoinHandle;

const TUN: &[&str] = &["/dev/net/tun"];

/// A cable between two back ends of a machine, and what has gone through it.
struct Joined {
    w: World,
    device: DeviceId,
}

impl Joined {
    fn new(one: &str, other: &str) -> Self {
        let mut w = World::new();
        let ends = [("one", one), ("other", other)].map(|(id, o)| (id, w.netdev(id, o)));
        let mut props = Properties::default();
        for (id, backend) in ends {
            props.set(id, PropValue::Backend(id.into(), backend));
        }
        let device = w.sys.add_device(&CABLE, None, props, &[]).expect("a cable");
        w.sys
            .with_device(device, |d, cx| Cable::of(d).start(cx))
            .expect("it is there");
        Self { w, device }
    }

    fn cable<R>(&mut self, f: impl FnOnce(&mut Cable) -> R) -> R {
        let r = self.w.sys.with_device(self.device, |d, _| f(Cable::of(d)));
        r.expect("it is there")
    }

    /// Runs the machine until somebody else is done.
    fn run_for<R>(&mut self, other: JoinHandle<R>) -> R {
        self.w.until("the streams to end", |_| other.is_finished());
        other.join().expect("the streams carry what they should")
    }
}

/// Bytes that are no pattern of any protocol.
fn stream(len: usize) -> Vec<u8> {
    let mut x = 0x9e37_79b9_u32;
    let next = |_| {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        x as u8
    };
    (0..len).map(next).collect()
}

/// As many streams at once as asked for, from here to `there` and back, each as long as asked for.
fn streams(there: &Elsewhere, address: &'static str, count: usize, len: usize) -> JoinHandle<()> {
    let listener = there.run(|| TcpListener::bind((address, 7)).expect("a port"));
    std::thread::spawn(move || {
        for _ in 0..count {
            let (mut s, _) = listener.accept().expect("a stream");
            std::thread::spawn(move || {
                let mut all = Vec::new();
                s.read_to_end(&mut all).expect("the stream");
                s.write_all(&all).expect("the way back");
            });
        }
    });
    std::thread::spawn(move || {
        let one = move || {
            let mut s = TcpStream::connect((address, 7)).expect("the other network");
            let out = stream(len);
            s.write_all(&out).expect("the way there");
            s.shutdown(Shutdown::Write).expect("the end");
            let mut back = Vec::new();
            s.read_to_end(&mut back).expect("the way back");
            assert!(back == out, "{} of {len} bytes came back, or others", back.len());
        };
        let all: Vec<_> = (0..count).map(|_| std::thread::spawn(one)).collect();
        all.into_iter().for_each(|t| t.join().expect("a stream"));
    })
}

/// Two kernels, each with an interface `tap` of ours, and the streams between them.
fn two_kernels(options: &str, count: usize, len: usize) -> Joined {
    let (mut j, there) = joined_kernels(options);
    j.run_for(streams(&there, "10.9.0.2", count, len));
    j
}

/// The same before the streams.
fn joined_kernels(options: &str) -> (Joined, Elsewhere) {
    let there = Elsewhere::new();
    let tap = |name: &str| format!("tap,ifname={name},script=no,downscript=no{options}");
    let j = Joined::new(&tap("here"), &tap("there"));
    sh("ip addr add 10.9.0.1/24 dev here && ip link set here up");
    sh(&format!("ip link set there netns {}", there.pid()));
    there.sh("ip addr add 10.9.0.2/24 dev there && ip link set there up");
    (j, there)
}

#[test]
fn tap_leaves_segments_to_the_kernel_that_takes_them() {
    if !is_private("tap_leaves_segments_to_the_kernel_that_takes_them", TUN, &[]) {
        return;
    }
    let mut j = two_kernels("", 1, 4 << 20);
    let longest = j.cable(|c| c.longest);
    assert!(longest > 10_000, "{longest} bytes at most");
    assert_eq!(j.w.describe("one"), "ifname=here,script=no,downscript=no");
}

#[test]
fn tap_without_header_has_whole_frames() {
    if !is_private("tap_without_header_has_whole_frames", TUN, &[]) {
        return;
    }
    let mut j = two_kernels(",vnet_hdr=off", 1, 1 << 20);
    let longest = j.cable(|c| c.longest);
    assert!(longest <= 1514, "{longest} bytes");
}

#[test]
fn tap_of_one_end_does_what_the_other_lacks() {
    if !is_private("tap_of_one_end_does_what_the_other_lacks", TUN, &[]) {
        return;
    }
    let there = Elsewhere::new();
    let mut j = Joined::new(
        "tap,ifname=here,script=no,downscript=no",
        "tap,ifname=there,script=no,downscript=no,vnet_hdr=off",
    );
    sh("ip addr add 10.9.0.1/24 dev here && ip link set here up");
    sh(&format!("ip link set there netns {}", there.pid()));
    there.sh("ip addr add 10.9.0.2/24 dev there && ip link set there up");
    // The cable says that it takes segments, so the kernel here leaves them, and they are cut on the way.
    let other = streams(&there, "10.9.0.2", 1, 1 << 20);
    j.run_for(other);
    assert!(j.cable(|c| c.longest) > 10_000);
}

#[test]
fn tap_has_several_queues() {
    if !is_private("tap_has_several_queues", TUN, &[]) {
        return;
    }
    let mut j = two_kernels(",queues=3", 24, 100_000);
    let queues = j.cable(|c| c.frames.clone());
    assert_eq!(queues.len(), 3);
    assert!(queues.iter().all(|n| *n > 0), "frames by queue: {queues:?}");
}

#[test]
fn a_kernel_sends_nothing_to_queues_that_nobody_works_on() {
    if !is_private("a_kernel_sends_nothing_to_queues_that_nobody_works_on", TUN, &[]) {
        return;
    }
    let (mut j, there) = joined_kernels(",queues=3");
    for used in [1, 3, 2] {
        let change = |d: &mut dyn Device, cx: &mut Ctx<'_>| {
            Cable::of(d).use_queues(used, cx);
            Cable::of(d).frames.fill(0);
        };
        j.w.sys.with_device(j.device, change).expect("it is there");
        j.run_for(streams(&there, "10.9.0.2", 24, 100_000));
        let frames = j.cable(|c| c.frames.clone());
        let is_right = |(queue, n): (usize, &usize)| (*n > 0) == (queue < used);
        assert!(frames.iter().enumerate().all(is_right), "{used} queues: {frames:?}");
    }
}

fn script(path: &Path, text: &str) -> String {
    std::fs::write(path, format!("#!/bin/sh -e\n{text}\n")).expect("a script");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("executable");
    path.display().to_string()
}

/// Whether the kernel at that address answers a NIC.
fn kernel_answers(w: &mut World, nic: usize, address: [u8; 4]) {
    assert!(w.send(nic, &arp_for(address)));
    w.until("the kernel's answer", |w| {
        w.take(nic).iter().any(|f| is_arp_answer(f, address))
    });
}

#[test]
fn tap_runs_its_scripts() {
    if !is_private("tap_runs_its_scripts", TUN, &[]) {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let log = dir.path().join("log");
    let said = || std::fs::read_to_string(&log).unwrap_or_default();
    let note = |what: &str| format!("echo \"{what} $1\" >> {}", log.display());
    let up = script(
        &dir.path().join("up"),
        &format!("ip addr add 10.9.1.1/24 dev $1\nip link set $1 up\n{}", note("up")),
    );
    let down = script(&dir.path().join("down"), &note("down"));
    let mut w = World::with(&format!("tap,ifname=s0,script={up},downscript={down}"));
    assert_eq!(said(), "up s0\n");
    assert_eq!(w.describe("n"), format!("ifname=s0,script={up},downscript={down}"));
    kernel_answers(&mut w, 0, [10, 9, 1, 1]);
    drop(w);
    assert_eq!(said(), "up s0\ndown s0\n");
    assert!(
        !Path::new("/proc/sys/net/ipv4/conf/s0").exists(),
        "the interface is gone"
    );
    let fails = script(&dir.path().join("fails"), "exit 3");
    let e = World::new().try_netdev("n", &format!("tap,script={fails}"));
    let e = e.expect_err("a script that fails").to_string();
    assert!(
        e.contains("fails tap0' failed (exit status: 3); script=no runs none"),
        "{e}"
    );
}

/// The descriptors of this process that lead to /dev/net/tun.
fn tuns() -> Vec<String> {
    let all = std::fs::read_dir("/proc/self/fd").expect("descriptors").flatten();
    let is_tun = |e: &std::fs::DirEntry| std::fs::read_link(e.path()).is_ok_and(|to| to == Path::new(TUN[0]));
    all.filter(is_tun)
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect()
}

#[test]
fn tap_by_descriptors() {
    if !is_private("tap_by_descriptors", TUN, &[]) {
        return;
    }
    // Who started this process would have opened them; a first back end does it here.
    let mut opener = World::new();
    opener.netdev("n", "tap,ifname=t0,queues=2,script=no,downscript=no");
    sh("ip addr add 10.9.2.1/24 dev t0 && ip link set t0 up");
    let fds = tuns();
    assert_eq!(fds.len(), 2);
    let mut several = World::with(&format!("tap,fds={}", fds.join(":")));
    assert_eq!(several.describe("n"), format!("fd={}", fds.join(":")));
    drop(opener);
    kernel_answers(&mut several, 0, [10, 9, 2, 1]);
    let mut one = World::with(&format!("tap,fd={}", tuns()[0]));
    drop(several);
    kernel_answers(&mut one, 0, [10, 9, 2, 1]);
}

const HELPER: &str = "/usr/lib/qemu/qemu-bridge-helper";

#[test]
fn bridge_by_its_helper() {
    if !is_private("bridge_by_its_helper", TUN, &[HELPER, "mount"]) {
        return;
    }
    sh("mkdir -p /etc/qemu && mount -t tmpfs none /etc/qemu && echo allow all > /etc/qemu/bridge.conf");
    sh("ip link add br7 type bridge forward_delay 0 && ip addr add 10.9.3.1/24 dev br7 && ip link set br7 up");
    let mut a = World::with("bridge,br=br7");
    let mut b = World::with(&format!("tap,helper={HELPER},br=br7"));
    let mut c = World::with(&format!("tap,helper={HELPER} --br=br7"));
    assert_eq!(a.describe("n"), format!("helper={HELPER},br=br7"));
    for w in [&mut a, &mut b, &mut c] {
        kernel_answers(w, 0, [10, 9, 3, 1]);
    }
    assert!(a.send(0, &frame(1, 100)));
    for w in [&mut b, &mut c] {
        w.until("the bridge", |w| w.take(0).contains(&frame(1, 100)));
    }
    let e = World::new()
        .try_netdev("n", "bridge,br=none")
        .expect_err("no such bridge")
        .to_string();
    assert!(e.contains("gave no interface (exit status: 1)"), "{e}");
}

#[test]
fn l2tpv3_with_the_kernel() {
    if !is_private("l2tpv3_with_the_kernel", &[], &[]) {
        return;
    }
    let tunnel = "ip l2tp add tunnel tunnel_id 1 peer_tunnel_id 2 encap udp local 127.0.0.1 remote 127.0.0.2 \
                  udp_sport 5001 udp_dport 5002";
    let made = std::process::Command::new("sh")
        .args(["-c", tunnel])
        .output()
        .expect("a shell");
    if !made.status.success() {
        return southbridge_testing::skip(
            "l2tpv3_with_the_kernel",
            "the kernel has no L2TP (modules l2tp_netlink and l2tp_eth)",
        );
    }
    sh("ip l2tp add session name l2 tunnel_id 1 session_id 17 peer_session_id 18 cookie 00000007 peer_cookie 00000009");
    sh("ip addr add 10.9.4.1/24 dev l2 && ip link set l2 up");
    let mut w = World::with(
        "l2tpv3,src=127.0.0.2,dst=127.0.0.1,udp=on,srcport=5002,dstport=5001,txsession=17,rxsession=18,txcookie=7,rxcookie=9,\
         offset=4",
    );
    kernel_answers(&mut w, 0, [10, 9, 4, 1]);
}

#[test]
fn l2tpv3_over_ip_itself() {
    if !is_private("l2tpv3_over_ip_itself", &[], &[]) {
        return;
    }
    sh("ip -6 addr add fd00::2/128 dev lo nodad");
    for (a, b, options) in [
        ("127.0.0.1", "127.0.0.2", ""),
        ("::1", "fd00::2", ",ipv6=on,counter=on,txcookie=1,rxcookie=1"),
    ] {
        let end = |src: &str, dst: &str, tx: u32, rx: u32| {
            World::with(&format!(
                "l2tpv3,src={src},dst={dst},txsession={tx},rxsession={rx}{options}"
            ))
        };
        let (mut one, mut other) = (end(a, b, 5, 6), end(b, a, 6, 5));
        for n in 0..3 {
            assert!(one.send(0, &frame(n, 1514)));
            other.until("a frame", |w| w.take(0).contains(&frame(n, 1514)));
            assert!(other.send(0, &frame(n, 60)));
            one.until("a frame", |w| w.take(0).contains(&frame(n, 60)));
        }
    }
}

#[test]
fn vde_joins_a_switch() {
    let Some(switch) = southbridge_testing::private::find("vde_switch") else {
        return southbridge_testing::skip("vde_joins_a_switch", "there is no program 'vde_switch'");
    };
    let dir = tempfile::tempdir().expect("a directory");
    let at = dir.path().join("switch");
    let mut c = std::process::Command::new(switch);
    c.arg("-sock")
        .arg(&at)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null());
    let mut switch = c.spawn().expect("the switch");
    let mut w = World::new();
    w.until("the switch", |_| at.join("ctl").exists());
    let at = at.display();
    let mut a = World::with(&format!("vde,sock={at}"));
    let mut b = World::with(&format!("vde,sock={at},port=7,mode=0600"));
    assert_eq!(a.describe("n"), format!("sock={at}"));
    for n in 0..3 {
        assert!(a.send(0, &frame(n, 1514)));
        b.until("a frame", |w| w.take(0).contains(&frame(n, 1514)));
        assert!(b.send(0, &frame(n, 60)));
        a.until("a frame", |w| w.take(0).contains(&frame(n, 60)));
    }
    let e = World::new()
        .try_netdev("n", &format!("vde,sock={at}/none"))
        .expect_err("no switch")
        .to_string();
    assert!(e.contains("cannot join the switch"), "{e}");
    let own = || {
        std::fs::read_dir(dir.path().join("switch"))
            .expect("its folder")
            .flatten()
            .count()
    };
    let before = own();
    drop(a);
    w.until("its socket to be gone", |_| own() < before);
    let heard = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let ears = heard.clone();
    b.netdevs.messages().on_message(move |m| {
        if let southbridge_backend_net::Message::Warning(text) = m {
            ears.lock().expect("ears").push_str(text);
        }
    });
    switch.kill().expect("it was there");
    switch.wait().expect("its end");
    b.until("word of its end", |_| !heard.lock().expect("ears").is_empty());
    assert!(heard.lock().expect("ears").contains("the switch has ended"));
    assert!(b.send(0, &frame(9, 60)), "lost");
}

#[test]
fn a_group_on_an_interface_of_its_own() {
    if !is_private("a_group_on_an_interface_of_its_own", &[], &[]) {
        return;
    }
    // Two hosts with one wire between them.
    let there = Elsewhere::new();
    sh(&format!("ip link add w0 type veth peer name w1 netns {}", there.pid()));
    sh("ip addr add 10.9.5.1/24 dev w0 && ip link set w0 up");
    there.sh("ip addr add 10.9.5.2/24 dev w1 && ip link set w1 up");
    let mut here = World::with("socket,mcast=230.0.0.1:1234,localaddr=10.9.5.1");
    let mut other = there.run(|| {
        World::with("dgram,remote.type=inet,remote.host=230.0.0.1,remote.port=1234,local.type=inet,local.host=10.9.5.2")
    });
    assert!(here.send(0, &frame(1, 1000)));
    other.until("a frame of the group", |w| w.take(0).contains(&frame(1, 1000)));
    assert!(other.send(0, &frame(2, 1000)));
    here.until("a frame of the group", |w| w.take(0).contains(&frame(2, 1000)));
}
