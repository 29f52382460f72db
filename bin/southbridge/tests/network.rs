//! The network from the command line: boards get an address and talk TCP through back ends, to each other and to a QEMU; the monitor
//! changes back ends while machines run.

mod common;
use common::qmp::Client;
use common::switches::dpdk;
use common::{Guard, err, firmware, out, program, run, wait};
use serde_json::json;
use southbridge_testing::private::{is_private, sh};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

const BOARDS: [&str; 2] = ["lm3s6965evb", "mps2-an385"];

/// A server that gives everything back; its port.
fn echo() -> u16 {
    echo_at("127.0.0.1")
}

fn echo_at(address: &str) -> u16 {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut buffer = [0; 4096];
            while let Ok(n) = stream.read(&mut buffer)
                && n > 0
            {
                if stream.write_all(&buffer[..n]).is_err() {
                    break;
                }
            }
        }
    });
    port
}

/// A port that nobody has just now.
fn free_port() -> u16 {
    let l = TcpListener::bind("127.0.0.1:0").unwrap();
    l.local_addr().unwrap().port()
}

/// The words that run the firmware on a board, here and with QEMU.
fn words(board: &str, options: &str, network: &[&str]) -> Vec<String> {
    let kernel = firmware(&format!("net-{board}.elf"));
    let arg = options
        .split_whitespace()
        .map(|o| format!(",arg={o}"))
        .collect::<String>();
    let semihosting = format!("enable=on,arg=net{arg}");
    let fixed = [
        "-M",
        board,
        "-display",
        "none",
        "-monitor",
        "none",
        "-serial",
        "stdio",
        "-semihosting-config",
        &semihosting,
        "-kernel",
        &kernel,
    ];
    fixed.iter().chain(network).map(|w| (*w).to_owned()).collect()
}

fn spawn(mut command: Command, words: &[String]) -> Guard {
    let child = command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    Guard(child.expect("it starts"))
}

fn finishes(mut machine: Guard) -> String {
    let mut text = String::new();
    machine.0.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(machine.0.wait().unwrap().success(), "{text}");
    text
}

#[test]
fn boards_get_an_address_and_talk_tcp_through_user() {
    let port = echo();
    for board in BOARDS {
        for network in [
            &["-nic", "user,mac=52:54:00:aa:bb:cc"][..],
            &["-netdev", "user,id=n", "-net", "nic,netdev=n,macaddr=52:54:00:aa:bb:cc"],
            &["-net", "nic,macaddr=52:54:00:aa:bb:cc", "-net", "user"],
        ] {
            let result = run(program().args(words(board, &format!("port={port} bytes=10000"), network)));
            let text = out(&result);
            assert!(result.status.success(), "{network:?}: {text}{}", err(&result));
            assert!(text.contains("52:54:00:aa:bb:cc"), "{text}");
            assert!(
                text.contains("address 10.0.2.15") && text.contains("8 passed, 0 failed"),
                "{text}"
            );
        }
    }
}

#[test]
fn restrict_keeps_a_guest_in() {
    let port = echo();
    let words = words(
        "mps2-an385",
        &format!("server=10.0.2.2 port={port} bytes=10"),
        &["-nic", "user,restrict=on"],
    );
    let result = run(program().args(words));
    let text = out(&result);
    assert!(text.contains("address 10.0.2.15"), "DHCP is inside: {text}");
    assert!(!result.status.success() && text.contains("FAIL TCP connects"), "{text}");
}

#[test]
fn the_options_of_user_reach_the_guest() {
    let port = echo();
    let network = [
        "-nic",
        "user,net=192.168.76.0/24,host=192.168.76.9,dhcpstart=192.168.76.40,dns=192.168.76.3",
    ];
    let result = run(program().args(words("lm3s6965evb", &format!("port={port}"), &network)));
    let text = out(&result);
    assert!(result.status.success(), "{text}{}", err(&result));
    assert!(
        text.contains("address 192.168.76.40") && text.contains("server 192.168.76.9"),
        "{text}"
    );
}

#[test]
fn a_port_of_the_host_leads_to_the_guest() {
    let port = free_port();
    let forward = format!("user,hostfwd=tcp:127.0.0.1:{port}-:7");
    let guest = spawn(program(), &words("lm3s6965evb", "listen=1", &["-nic", &forward]));
    let mut stream = None;
    wait("the forwarded port", || {
        stream = std::net::TcpStream::connect(("127.0.0.1", port)).ok();
        stream.is_some()
    });
    let mut stream = stream.unwrap();
    stream.write_all(b"through the wall").unwrap();
    let mut back = [0; 16];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"through the wall");
    drop(stream);
    assert!(finishes(guest).contains("echoed 16 bytes"));
}

#[test]
fn two_boards_talk_over_every_socket() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let (p, q, r) = (free_port(), free_port(), free_port());
    for [one, other] in [
        [
            format!("socket,listen=127.0.0.1:{p}"),
            format!("socket,connect=127.0.0.1:{p}"),
        ],
        [
            format!("stream,server=on,addr.type=unix,addr.path={}", at("s")),
            format!("stream,addr.type=unix,addr.path={},reconnect-ms=100", at("s")),
        ],
        [
            format!(
                "dgram,local.type=unix,local.path={},remote.type=unix,remote.path={}",
                at("x"),
                at("y")
            ),
            format!(
                "dgram,local.type=unix,local.path={},remote.type=unix,remote.path={}",
                at("y"),
                at("x")
            ),
        ],
        [
            format!("socket,udp=127.0.0.1:{r},localaddr=127.0.0.1:{q}"),
            format!("socket,udp=127.0.0.1:{q},localaddr=127.0.0.1:{r}"),
        ],
    ] {
        pair([program(), program()], [&one, &other]);
    }
}

/// Whoever connects must find a listener: waits for the TCP port or the socket in the file system that a back end was told to make.
fn wait_for_listener(options: &str) {
    let value = |key: &str| options.split(',').find_map(|o| o.strip_prefix(key));
    let port = value("addr.port=").or_else(|| value("listen=").and_then(|l| l.rsplit(':').next()));
    let path = value("addr.path=").or_else(|| value("local.path="));
    let is_there = || match (port.and_then(|p| p.parse::<u16>().ok()), path) {
        (Some(port), _) => {
            let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
            // Local address, remote address, state 0A: listening.
            table
                .lines()
                .any(|l| l.contains(&format!(":{port:04X} ")) && l.contains(" 0A "))
        }
        (None, Some(path)) => std::path::Path::new(path).exists(),
        // Datagrams of UDP may be lost before the other side is there; the guests say things again.
        (None, None) => true,
    };
    for _ in 0..6000 {
        if is_there() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("nobody listens: {options}");
}

/// One machine listens on the network, the other connects.
fn pair([server, client]: [Command; 2], [one, other]: [&str; 2]) {
    let [a, b] = [format!("{one},id=n"), format!("{other},id=n")];
    let network = ["-netdev", &a, "-net", "nic,netdev=n,macaddr=52:54:00:00:00:02"];
    let server = spawn(server, &words("mps2-an385", "listen=1 address=192.168.7.1", &network));
    wait_for_listener(one);
    let options = "address=192.168.7.2 server=192.168.7.1 bytes=5000";
    let network = ["-netdev", &b, "-net", "nic,netdev=n,macaddr=52:54:00:00:00:04"];
    let client = spawn(client, &words("lm3s6965evb", options, &network));
    let text = finishes(client);
    assert!(text.contains("PASS as they were"), "{one}: {text}");
    let text = finishes(server);
    assert!(text.contains("echoed 5000 bytes"), "{one}: {text}");
}

#[test]
fn qemu_is_the_peer() {
    let qemu = || Command::new("qemu-system-arm");
    if qemu().arg("--version").output().is_err() {
        return southbridge_testing::skip("qemu_is_the_peer", "there is no qemu-system-arm");
    }
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let (p, q) = (free_port(), free_port());
    pair(
        [qemu(), program()],
        [
            &format!("socket,listen=127.0.0.1:{p}"),
            &format!("socket,connect=127.0.0.1:{p}"),
        ],
    );
    pair(
        [program(), qemu()],
        [
            &format!("stream,server=on,addr.type=inet,addr.host=127.0.0.1,addr.port={q}"),
            &format!("stream,addr.type=inet,addr.host=127.0.0.1,addr.port={q}"),
        ],
    );
    pair(
        [program(), qemu()],
        [
            &format!(
                "dgram,local.type=unix,local.path={},remote.type=unix,remote.path={}",
                at("x"),
                at("y")
            ),
            &format!(
                "dgram,local.type=unix,local.path={},remote.type=unix,remote.path={}",
                at("y"),
                at("x")
            ),
        ],
    );
}

#[test]
fn boards_talk_to_the_kernel_over_tap() {
    if !is_private("boards_talk_to_the_kernel_over_tap", &["/dev/net/tun"], &[]) {
        return;
    }
    let port = echo_at("0.0.0.0");
    let dir = tempfile::tempdir().unwrap();
    let up = dir.path().join("up");
    std::fs::write(&up, "#!/bin/sh -e\nip addr add 10.9.8.1/24 dev $1\nip link set $1 up\n").unwrap();
    std::fs::set_permissions(&up, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for board in BOARDS {
        let options = format!("address=10.9.8.2 server=10.9.8.1 port={port} bytes=20000");
        let network = format!("tap,script={},downscript=no", up.display());
        let result = run(program().args(words(board, &options, &["-nic", &network])));
        let text = out(&result);
        assert!(result.status.success(), "{text}{}", err(&result));
        assert!(text.contains("PASS as they were"), "{text}");
    }
}

#[test]
fn boards_get_an_address_and_talk_tcp_through_passt() {
    const NAME: &str = "boards_get_an_address_and_talk_tcp_through_passt";
    if !is_private(NAME, &[], &["passt"]) {
        return;
    }
    // The network of the host that passt tells of: it takes addresses from there, and is the host at the router's address.
    sh(
        "ip link add d0 type veth peer name d1 && ip link set d1 up && ip addr add 192.0.2.2/24 dev d0 && ip link set d0 up",
    );
    sh("ip route add default via 192.0.2.1");
    let port = echo();
    for board in BOARDS {
        let options = format!("port={port} bytes=20000");
        let result = run(program().args(words(board, &options, &["-nic", "passt,ipv6=off"])));
        let text = out(&result);
        assert!(text.contains("address 192.0.2.2"), "{text}{}", err(&result));
        // The Stellaris controller fills short frames up to 60 bytes, as the wire wants it, and passt of Debian 12 takes what
        // stands behind the packet for a part of it: a SYN with data, which it drops. With QEMU it does the same.
        if board != "lm3s6965evb" {
            assert!(result.status.success() && text.contains("PASS as they were"), "{text}");
        }
    }
}

#[test]
fn qemu_is_the_peer_in_a_group_and_a_session() {
    const NAME: &str = "qemu_is_the_peer_in_a_group_and_a_session";
    if !is_private(NAME, &[], &["qemu-system-arm"]) {
        return;
    }
    let qemu = || Command::new("qemu-system-arm");
    let group = "socket,mcast=230.0.0.1:1234,localaddr=127.0.0.1";
    let session = |src: &str, dst: &str, tx: u32, rx: u32, more: &str| {
        format!("l2tpv3,src={src},dst={dst},txsession={tx},rxsession={rx}{more}")
    };
    let ends = |more: &str, one: &str, other: &str| {
        [
            session("127.0.0.1", "127.0.0.2", 5, 6, &format!("{more}{one}")),
            session("127.0.0.2", "127.0.0.1", 6, 5, &format!("{more}{other}")),
        ]
    };
    let udp = ",udp=on,cookie64=on,txcookie=7,rxcookie=7,counter=on";
    let all = [
        [group.to_owned(), group.to_owned()],
        ends("", "", ""),
        ends(udp, ",srcport=5001,dstport=5002", ",srcport=5002,dstport=5001"),
    ];
    for [one, other] in &all {
        pair([program(), qemu()], [one, other]);
    }
}

#[test]
fn boards_talk_through_the_switch_of_another_process() {
    const NAME: &str = "boards_talk_through_the_switch_of_another_process";
    if !is_private(NAME, &[], &["dpdk-testpmd"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let [one, other] = ["one", "other"].map(|n| dir.path().join(n));
    let _switch = dpdk([&one, &other]);
    let board = |board: &str, options: &str, path: &Path, mac: u8| {
        let chardev = format!("socket,id=c,path={},reconnect-ms=100", path.display());
        let nic = format!("nic,netdev=n,macaddr=52:54:00:00:00:0{mac}");
        let network = [
            "-chardev",
            &chardev,
            "-netdev",
            "vhost-user,id=n,chardev=c",
            "-net",
            &nic,
        ];
        spawn(program(), &words(board, options, &network))
    };
    let server = board("mps2-an385", "listen=1 address=192.168.7.1", &one, 2);
    let options = "address=192.168.7.2 server=192.168.7.1 bytes=5000";
    let text = finishes(board("lm3s6965evb", options, &other, 4));
    assert!(text.contains("PASS as they were"), "{text}");
    let text = finishes(server);
    assert!(text.contains("echoed 5000 bytes"), "{text}");
}

#[test]
fn the_monitor_changes_the_network() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let (socket, path) = (at("qmp"), at("stream"));
    let qmp = format!("unix:{socket},server=on,wait=off");
    let nic = format!("stream,id=n,server=on,addr.type=unix,addr.path={path}");
    let machine = program()
        .args([
            "-M",
            "lm3s6965evb",
            "-S",
            "-display",
            "none",
            "-serial",
            "null",
            "-monitor",
            "none",
            "-qmp",
            &qmp,
            "-nic",
            &nic,
        ])
        .spawn();
    let _machine = Guard(machine.unwrap());
    let mut c = Client::ready(Path::new(&socket));
    let human = |c: &mut Client, line: &str| {
        let answer = c.ok("human-monitor-command", json!({ "command-line": line }));
        answer.as_str().unwrap().replace("\r\n", "\n")
    };
    let text = human(&mut c, "info network");
    assert_eq!(
        text,
        "stellaris_enet.0: index=0,type=nic,model=stellaris_enet,macaddr=52:54:00:12:34:56\n \\ n: index=0,type=stream,listening\n"
    );
    let mut peer = std::os::unix::net::UnixStream::connect(&path).unwrap();
    let event = c.event("NETDEV_STREAM_CONNECTED");
    assert_eq!(event["data"]["netdev-id"], "n");
    assert_eq!(event["data"]["addr"], json!({ "type": "unix", "path": path }));
    c.ok(
        "announce-self",
        json!({ "initial": 50, "max": 550, "rounds": 1, "step": 50 }),
    );
    let mut frame = [0; 64];
    peer.read_exact(&mut frame).unwrap();
    assert_eq!(frame[..4], [0, 0, 0, 60]);
    assert_eq!(frame[10..18], [0x52, 0x54, 0, 0x12, 0x34, 0x56, 0x80, 0x35]);
    c.ok("set_link", json!({ "name": "stellaris_enet.0", "up": false }));
    assert!(human(&mut c, "info network").contains("link=off"));
    c.ok("set_link", json!({ "name": "n", "up": true }));
    drop(peer);
    assert_eq!(c.event("NETDEV_STREAM_DISCONNECTED")["data"]["netdev-id"], "n");
    let user =
        json!({ "type": "user", "id": "u", "hostfwd": [{ "str": "tcp:127.0.0.1:0-:22" }], "net": "10.9.0.0/16" });
    c.ok("netdev_add", user);
    assert!(human(&mut c, "info network").contains("u: index=0,type=user,net=10.9.0.0,restrict=off"));
    assert_eq!(human(&mut c, "hostfwd_add u tcp:127.0.0.1:0-:80"), "");
    assert!(human(&mut c, "info usernet").contains("TCP[HOST_FORWARD]"));
    let why = human(&mut c, "hostfwd_add u nonsense");
    assert!(why.contains("invalid host forwarding rule"), "{why}");
    let answer = c.run("netdev_add", json!({ "type": "user", "id": "u" }));
    assert_eq!(answer["error"]["desc"], "there is a netdev 'u' already");
    c.ok("netdev_del", json!({ "id": "u" }));
    let answer = c.run("netdev_del", json!({ "id": "u" }));
    assert_eq!(answer["error"]["class"], "DeviceNotFound");
    let answer = c.run("query-rx-filter", json!({ "name": "stellaris_enet.0" }));
    assert!(
        answer["error"]["desc"]
            .as_str()
            .unwrap()
            .contains("tells nothing of its filter")
    );
}

#[test]
fn what_is_wrong_on_the_line_is_marked() {
    for (words, what) in [
        (
            &["-M", "lm3s6965evb", "-netdev", "usr,id=n"][..],
            "no network back end 'usr'",
        ),
        (&["-M", "lm3s6965evb", "-netdev", "user"], "-netdev needs 'id'"),
        (
            &["-M", "lm3s6965evb", "-netdev", "user,id=n,hostfw=x"],
            "did you mean 'hostfwd'?",
        ),
        (
            &["-M", "lm3s6965evb", "-netdev", "user,id=n,net=300.0.0.0"],
            "it is not an IPv4 network",
        ),
        (
            &["-M", "lm3s6965evb", "-nic", "user,model=e1000"],
            "no network device for this machine 'e1000'",
        ),
        (
            &["-M", "lm3s6965evb", "-nic", "user,mac=banana"],
            "six bytes in hexadecimal",
        ),
        (&["-M", "lm3s6965evb", "-net", "nic,netdev=x"], "no netdev 'x'"),
        (&["-M", "lm3s6965evb", "-nic", "af-xdp"], "'af-xdp': not here yet"),
        (&["-M", "lm3s6965evb", "-nic", "tap,fd=99"], "cannot use descriptor 99"),
    ] {
        let result = run(program().args(words).args(["-display", "none", "-serial", "null"]));
        let text = err(&result);
        assert!(!result.status.success() && text.contains(what), "{words:?}: {text}");
    }
    let text = out(&run(program().args(["-netdev", "help"])));
    assert!(
        text.contains("  user ") && text.contains("  tap ") && !text.contains("netmap"),
        "{text}"
    );
    let text = out(&run(program().args(["-M", "mps2-an385", "-nic", "model=help"])));
    assert_eq!(text, "Available NIC models:\nlan9118\n");
}
