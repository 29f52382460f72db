//! Machines that move between two processes, start from snapshots, and run again from a recording.

mod common;

use common::{Guard, err, firmware, program, run, wait};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

struct Qmp(BufReader<UnixStream>);

impl Qmp {
    fn connect(path: &Path) -> Self {
        let mut stream = None;
        wait("the monitor's socket", || {
            stream = UnixStream::connect(path).ok();
            stream.is_some()
        });
        let stream = stream.unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut this = Self(BufReader::new(stream));
        this.receive();
        this.ok("qmp_capabilities", json!({}));
        this
    }

    fn receive(&mut self) -> Value {
        let mut line = String::new();
        assert!(self.0.read_line(&mut line).unwrap() > 0, "the connection ended");
        serde_json::from_str(&line).unwrap()
    }

    fn ask(&mut self, name: &str, arguments: Value) -> Value {
        let command = json!({"execute": name, "arguments": arguments}).to_string();
        self.0.get_mut().write_all(command.as_bytes()).unwrap();
        loop {
            let v = self.receive();
            if v.get("event").is_none() {
                return v;
            }
        }
    }

    fn ok(&mut self, name: &str, arguments: Value) -> Value {
        let answer = self.ask(name, arguments);
        answer
            .get("return")
            .unwrap_or_else(|| panic!("{name}: {answer}"))
            .clone()
    }

    fn status(&mut self) -> String {
        self.ok("query-status", json!({}))["status"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    fn migration(&mut self) -> Value {
        self.ok("query-migrate", json!({}))
    }

    fn wait_for(&mut self, status: &str) -> Value {
        let mut last = Value::Null;
        wait(status, || {
            last = self.migration();
            last["status"] == status
        });
        last
    }
}

/// A board whose program never ends, with a monitor.
fn board(folder: &Path, name: &str, more: &[&str]) -> Command {
    let mut c = program();
    let socket = folder.join(name);
    c.args([
        "-M",
        "mps2-an385",
        "-display",
        "none",
        "-serial",
        "null",
        "-semihosting",
        "-kernel",
    ])
    .arg(firmware("coremark-like-mps2-an385.elf"))
    .args(["-append", "x iterations=100000000"])
    .arg("-qmp")
    .arg(format!("unix:{},server=on,wait=off", socket.display()))
    .args(more)
    .stdout(Stdio::null());
    c
}

/// Moves a running machine and gives both monitors. The source is started first, the destination by `start` where the way needs it.
fn moves(way: &str, listens: &str, before: bool) {
    let folder = tempfile::tempdir().unwrap();
    let in_folder = |text: &str| text.replace("DIR", folder.path().to_str().unwrap());
    let (way, listens) = (in_folder(way), in_folder(listens));
    let _source = Guard(board(folder.path(), "a", &[]).spawn().unwrap());
    let mut source = Qmp::connect(&folder.path().join("a"));
    assert_eq!(source.migration(), json!({}));
    let destination = || Guard(board(folder.path(), "b", &["-incoming", &listens]).spawn().unwrap());
    let mut guard = None;
    if before {
        guard = Some(destination());
        assert_eq!(Qmp::connect(&folder.path().join("b")).status(), "inmigrate");
    }
    source.ok("migrate", json!({"uri": way}));
    let info = source.wait_for("completed");
    assert!(info["ram"]["transferred"].as_u64().unwrap() > 10_000, "{info}");
    assert_eq!(info["ram"]["remaining"], 0);
    assert_eq!(source.status(), "postmigrate");
    let _guard = guard.unwrap_or_else(destination);
    let mut destination = Qmp::connect(&folder.path().join("b"));
    wait("the machine runs on", || destination.status() == "running");
    assert!(
        destination
            .ask("migrate-incoming", json!({"uri": "tcp::0"}))
            .get("error")
            .is_some()
    );
    assert!(
        source.ask("migrate", json!({"uri": way})).get("error").is_some(),
        "it is gone"
    );
}

#[test]
fn over_a_file() {
    moves("file:DIR/state", "file:DIR/state", false);
}

#[test]
fn over_a_unix_socket() {
    moves("unix:DIR/way", "unix:DIR/way", true);
}

#[test]
fn over_tcp() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    moves(&format!("tcp:127.0.0.1:{port}"), &format!("tcp:127.0.0.1:{port}"), true);
}

#[test]
fn over_commands() {
    moves("exec:gzip -c > DIR/state.gz", "exec:gzip -cd DIR/state.gz", false);
}

/// Each event in a word or two, until the migration is over.
fn events(monitor: &mut Qmp) -> Vec<String> {
    let mut out = Vec::new();
    loop {
        let v = monitor.receive();
        out.push(match v["event"].as_str().unwrap() {
            "MIGRATION" => v["data"]["status"].as_str().unwrap().to_owned(),
            "MIGRATION_PASS" => format!("pass {}", v["data"]["pass"]),
            other => other.to_owned(),
        });
        if ["completed", "failed", "cancelled"].contains(&out.last().unwrap().as_str()) {
            return out;
        }
    }
}

/// The order is QEMU 10's, recorded from it.
#[test]
fn events_come_in_their_order_on_both_sides() {
    let wanted = json!({"capabilities": [{"capability": "events", "state": true}]});
    for runs in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let way = format!("unix:{}/way", folder.path().display());
        let _source = Guard(board(folder.path(), "a", &[]).spawn().unwrap());
        let _destination = Guard(board(folder.path(), "b", &["-incoming", "defer"]).spawn().unwrap());
        let mut source = Qmp::connect(&folder.path().join("a"));
        let mut destination = Qmp::connect(&folder.path().join("b"));
        source.ok("migrate-set-capabilities", wanted.clone());
        destination.ok("migrate-set-capabilities", wanted.clone());
        if !runs {
            source.ok("stop", json!({}));
        }
        let said = |monitor: &mut Qmp, name: &str| {
            let command = json!({"execute": name, "arguments": {"uri": way}}).to_string();
            monitor.0.get_mut().write_all(command.as_bytes()).unwrap();
            let setup = monitor.receive();
            assert_eq!(setup["data"], json!({"status": "setup"}), "before the answer: {setup}");
            assert_eq!(monitor.receive(), json!({"return": {}}));
        };
        said(&mut destination, "migrate-incoming");
        said(&mut source, "migrate");
        let both = |more: &[&str], start: &[&str], end: &[&str]| {
            let more = if runs { more } else { &[] };
            [start, more, end]
                .concat()
                .into_iter()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            events(&mut source),
            both(&["STOP"], &["pass 1", "active"], &["device", "pass 2", "completed"])
        );
        assert_eq!(events(&mut destination), both(&["RESUME"], &["active"], &["completed"]));
        assert_eq!(destination.status(), if runs { "running" } else { "paused" });
    }
}

#[test]
fn a_migration_that_fails_or_is_taken_back_says_so_and_the_guest_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let _source = Guard(board(folder.path(), "a", &[]).spawn().unwrap());
    let mut source = Qmp::connect(&folder.path().join("a"));
    source.ok(
        "migrate-set-capabilities",
        json!({"capabilities": [{"capability": "events", "state": true}]}),
    );
    source.ok("migrate", json!({"uri": "exec:cat > /dev/null; exit 3"}));
    assert_eq!(
        events(&mut source),
        ["pass 1", "active", "STOP", "device", "pass 2", "failed"]
    );
    assert_eq!(source.receive()["event"], "RESUME");
    source.ok("migrate", json!({"uri": "exec:sleep 1000"}));
    for expected in ["MIGRATION_PASS", "MIGRATION", "STOP", "MIGRATION", "MIGRATION_PASS"] {
        assert_eq!(source.receive()["event"], expected);
    }
    let command = json!({"execute": "migrate_cancel"}).to_string();
    source.0.get_mut().write_all(command.as_bytes()).unwrap();
    let mut rest = Vec::new();
    while rest.last().is_none_or(|last| last != "cancelled") {
        let v = source.receive();
        match v.get("return") {
            Some(_) => assert_eq!(rest, ["cancelling"], "before the answer"),
            None => rest.push(v["data"]["status"].as_str().unwrap_or("RESUME").to_owned()),
        }
    }
    assert_eq!(rest, ["cancelling", "RESUME", "cancelled"]);
}

#[test]
fn a_failure_lets_the_source_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let _source = Guard(board(folder.path(), "a", &[]).spawn().unwrap());
    let mut source = Qmp::connect(&folder.path().join("a"));
    source.ok(
        "migrate",
        json!({"uri": format!("unix:{}/nobody", folder.path().display())}),
    );
    let info = source.wait_for("failed");
    assert!(info["error-desc"].as_str().unwrap().contains("No such file"), "{info}");
    assert_eq!(source.status(), "running");
    source.ok("migrate", json!({"uri": "exec:cat > /dev/null; exit 3"}));
    source.wait_for("failed");
    assert_eq!(source.status(), "running");
}

#[test]
fn a_peer_that_does_not_read_stalls_nobody_and_can_be_left() {
    let folder = tempfile::tempdir().unwrap();
    let _source = Guard(board(folder.path(), "a", &[]).spawn().unwrap());
    let mut source = Qmp::connect(&folder.path().join("a"));
    source.ok(
        "migrate-set-capabilities",
        json!({"capabilities": [{"capability": "events", "state": true}]}),
    );
    source.ok("migrate", json!({"uri": "exec:sleep 1000"}));
    let info = source.wait_for("device");
    assert!(info["total-time"].is_number(), "{info}");
    assert_eq!(source.status(), "finish-migrate");
    assert!(
        source.ask("migrate", json!({"uri": "tcp::1"})).get("error").is_some(),
        "one at a time"
    );
    source.ok("migrate_cancel", json!({}));
    source.wait_for("cancelled");
    assert_eq!(source.status(), "running");
}

#[test]
fn a_foreign_state_ends_the_destination_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    std::fs::write(&path, b"QEVM\0\0\0\x03 something else entirely").unwrap();
    let mut c = board(folder.path(), "b", &["-incoming", &format!("file:{}", path.display())]);
    let out = run(&mut c);
    assert_eq!(out.status.code(), Some(1));
    assert!(err(&out).contains("no saved machine of this program"), "{}", err(&out));
}

#[test]
fn a_snapshot_outlives_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let states = folder.path().join("states").display().to_string();
    let mut c = board(folder.path(), "a", &["-snapshot-dir", &states]);
    let first = Guard(c.spawn().unwrap());
    let mut monitor = Qmp::connect(&folder.path().join("a"));
    let said = monitor.ok("human-monitor-command", json!({"command-line": "savevm one"}));
    assert_eq!(said, "");
    assert!(Path::new(&states).join("one.sbvm").is_file());
    drop(first);
    let _second = Guard(
        board(folder.path(), "b", &["-snapshot-dir", &states, "-loadvm", "one"])
            .spawn()
            .unwrap(),
    );
    assert_eq!(Qmp::connect(&folder.path().join("b")).status(), "running");
    let out = run(&mut board(
        folder.path(),
        "c",
        &["-snapshot-dir", &states, "-loadvm", "two"],
    ));
    assert!(err(&out).contains("there is no snapshot 'two'"), "{}", err(&out));
}

/// What a serial program got from a peer, it gets again without one.
#[test]
fn a_recorded_conversation_is_replayed_without_its_peer() {
    for name in ["lm3s6965evb", "mps2-an385"] {
        let folder = tempfile::tempdir().unwrap();
        let (socket, file) = (folder.path().join("serial"), folder.path().join("run"));
        let command = |mode: &str, serial: &str| {
            let mut c = program();
            c.args([
                "-M",
                name,
                "-display",
                "none",
                "-monitor",
                "none",
                "-semihosting",
                "-kernel",
            ])
            .arg(firmware(&format!("t-uart-{name}.elf")))
            .args(["-serial", serial, "-icount"])
            .arg(format!("shift=5,rr={mode},rrfile={}", file.display()));
            c
        };
        let serial = format!("unix:{},server=on,wait=on", socket.display());
        let mut recorded = Guard(command("record", &serial).stderr(Stdio::null()).spawn().unwrap());
        let mut peer = None;
        wait("the serial port's socket", || {
            peer = UnixStream::connect(&socket).ok();
            peer.is_some()
        });
        let mut peer = peer.unwrap();
        peer.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let mut heard = Vec::new();
        for _ in 0..40 {
            let mut some = [0; 256];
            match peer.read(&mut some) {
                Ok(0) => break,
                Ok(n) => heard.extend(&some[..n]),
                Err(_) => {}
            }
            let _ = peer.write_all(b"hello, board\r\n");
        }
        let status = match recorded.0.try_wait().unwrap() {
            Some(status) => status,
            None => recorded.terminate(),
        };
        let out = folder.path().join("out");
        let replayed = run(&mut command("replay", &format!("file:{}", out.display())));
        assert_eq!(replayed.status.code(), status.code(), "{name}: {}", err(&replayed));
        let said = std::fs::read(&out).unwrap();
        assert!(heard.len() > 16, "{name}: the program said something");
        assert_eq!(status.code(), Some(0), "{name}");
        assert!(
            !said.is_empty() && said.starts_with(&heard[..heard.len().min(said.len())]),
            "{name}"
        );
    }
}

/// Passes an open file to a monitor by a name.
fn give(monitor: &mut Qmp, name: &str, file: &std::fs::File) {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    use std::os::fd::AsFd;
    let text = json!({"execute": "getfd", "arguments": {"fdname": name}}).to_string();
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [file.as_fd()];
    assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
    let parts = [std::io::IoSlice::new(text.as_bytes())];
    sendmsg(monitor.0.get_ref(), &parts, &mut control, SendFlags::empty()).unwrap();
    while monitor.receive().get("return").is_none() {}
}

#[test]
fn over_descriptors_that_the_monitors_were_given() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let _source = Guard(board(folder.path(), "a", &[]).spawn().unwrap());
    let mut source = Qmp::connect(&folder.path().join("a"));
    let way = json!({"uri": "fd:mine"});
    let answer = source.ask("migrate", way.clone());
    let text = answer["error"]["desc"].as_str().unwrap();
    assert!(text.contains("'mine'"), "{answer}");
    give(&mut source, "mine", &std::fs::File::create(&path).unwrap());
    source.ok("migrate", way.clone());
    source.wait_for("completed");
    let _destination = Guard(board(folder.path(), "b", &["-incoming", "defer"]).spawn().unwrap());
    let mut destination = Qmp::connect(&folder.path().join("b"));
    assert_eq!(destination.status(), "inmigrate");
    assert!(
        destination
            .ask("migrate", json!({"uri": "tcp::1"}))
            .get("error")
            .is_some()
    );
    give(&mut destination, "mine", &std::fs::File::open(&path).unwrap());
    destination.ok("migrate-incoming", way);
    wait("the machine runs on", || destination.status() == "running");
}

#[test]
fn a_file_keeps_what_stands_before_the_state() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    std::fs::write(&path, [0x77; 6000]).unwrap();
    let uri = format!("file:{},offset=0x1000", path.display());
    let _source = Guard(board(folder.path(), "a", &[]).spawn().unwrap());
    let mut source = Qmp::connect(&folder.path().join("a"));
    source.ok("migrate", json!({"uri": uri, "detach": true}));
    source.wait_for("completed");
    let file = std::fs::read(&path).unwrap();
    assert!(file[..4096].iter().all(|b| *b == 0x77), "the start is untouched");
    assert_eq!(&file[4096..4104], b"\x89SBVM\r\n\x1a");
    let _destination = Guard(board(folder.path(), "b", &["-incoming", &uri]).spawn().unwrap());
    let mut destination = Qmp::connect(&folder.path().join("b"));
    wait("the machine runs on", || destination.status() == "running");
}

#[test]
fn both_sides_tell_how_far_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let uri = format!("file:{}", folder.path().join("state").display());
    let _source = Guard(board(folder.path(), "a", &[]).spawn().unwrap());
    let mut source = Qmp::connect(&folder.path().join("a"));
    let on_now = |source: &mut Qmp| {
        let all = source.ok("query-migrate-capabilities", json!({}));
        let all = all.as_array().unwrap().clone();
        assert_eq!(all.len(), 22);
        all.into_iter().filter(|c| c["state"] == true).collect::<Value>()
    };
    assert_eq!(on_now(&mut source), json!([]));
    let on = json!({"capabilities": [{"capability": "events", "state": true}]});
    source.ok("migrate-set-capabilities", on.clone());
    assert_eq!(on_now(&mut source), on["capabilities"]);
    let wrong = json!({"capabilities": [{"capability": "warp", "state": true}]});
    assert_eq!(
        source.ask("migrate-set-capabilities", wrong)["error"]["class"],
        "GenericError"
    );
    source.ok("migrate", json!({"uri": uri}));
    assert_eq!(events(&mut source).last().unwrap(), "completed");
    let info = source.migration();
    let members = |v: &Value| v.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(
        members(&info),
        ["downtime", "ram", "setup-time", "status", "total-time"]
    );
    let ram = [
        "dirty-pages-rate",
        "dirty-sync-count",
        "dirty-sync-missed-zero-copy",
        "downtime-bytes",
        "duplicate",
        "mbps",
        "multifd-bytes",
        "normal",
        "normal-bytes",
        "page-size",
        "pages-per-second",
        "postcopy-bytes",
        "postcopy-requests",
        "precopy-bytes",
        "remaining",
        "total",
        "transferred",
    ];
    assert_eq!(members(&info["ram"]), ram);
    let _destination = Guard(board(folder.path(), "b", &["-incoming", "defer"]).spawn().unwrap());
    let mut destination = Qmp::connect(&folder.path().join("b"));
    destination.ok("migrate-set-capabilities", on);
    destination.ok("migrate-incoming", json!({"uri": uri}));
    assert_eq!(events(&mut destination), ["active", "RESUME", "completed"]);
    assert_eq!(destination.migration(), json!({"status": "completed"}));
}

#[test]
fn the_human_monitor_migrates() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state").display().to_string();
    let _source = Guard(board(folder.path(), "a", &[]).spawn().unwrap());
    let mut source = Qmp::connect(&folder.path().join("a"));
    let line = |m: &mut Qmp, text: &str| {
        let said = m.ok("human-monitor-command", json!({"command-line": text}));
        said.as_str().unwrap().to_owned()
    };
    assert_eq!(line(&mut source, "info migrate"), "");
    assert_eq!(
        line(&mut source, &format!("migrate -d \"exec:cat > {path}; exit 1\"")),
        ""
    );
    source.wait_for("failed");
    let said = line(&mut source, "info migrate");
    assert!(
        said.starts_with("Migration status: failed (the command failed"),
        "{said}"
    );
    assert!(line(&mut source, "migrate nowhere").starts_with("Error: "));
    assert_eq!(line(&mut source, "migrate_cancel"), "", "there is none to take back");
    assert_eq!(line(&mut source, &format!("migrate file:{path}")), "");
    source.wait_for("completed");
    let said = line(&mut source, "info migrate");
    assert!(said.starts_with("Migration status: completed\r\n"), "{said:?}");
    assert!(said.contains("remaining ram: 0 kbytes"), "{said:?}");
    let said = line(&mut source, &format!("migrate_incoming file:{path}"));
    assert!(
        said.starts_with("Error: ") && said.contains("-incoming defer"),
        "{said}"
    );
    let _destination = Guard(board(folder.path(), "b", &["-incoming", "defer"]).spawn().unwrap());
    let mut destination = Qmp::connect(&folder.path().join("b"));
    assert_eq!(line(&mut destination, &format!("migrate_incoming file:{path}")), "");
    wait("the machine runs on", || destination.status() == "running");
}

/// A board with megabytes that do not compress, so that no socket swallows its state whole.
fn big_board(folder: &Path, name: &str, more: &[&str]) -> Command {
    let image = folder.join("noise");
    let mut noise = 1u32;
    let next = |_| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (noise >> 24) as u8 | 1
    };
    std::fs::write(&image, (0..6 << 20).map(next).collect::<Vec<u8>>()).unwrap();
    let loader = format!("loader,file={},addr=0x21000000,force-raw=on", image.display());
    board(folder, name, &[&["-device", &loader], more].concat())
}

enum Listener {
    Unix(std::os::unix::net::UnixListener),
    Tcp(std::net::TcpListener),
}

/// Both kinds of sockets, with the way to each.
fn listeners(folder: &Path) -> Vec<(String, Listener)> {
    let path = folder.join("peer");
    let unix = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = tcp.local_addr().unwrap().port();
    vec![
        (format!("unix:{}", path.display()), Listener::Unix(unix)),
        (format!("tcp:127.0.0.1:{port}"), Listener::Tcp(tcp)),
    ]
}

/// Takes a peer in and reads so much of what it says.
fn accept(listener: &Listener, bytes: usize) -> Box<dyn Read> {
    let mut stream: Box<dyn Read> = match listener {
        Listener::Unix(l) => Box::new(l.accept().unwrap().0),
        Listener::Tcp(l) => Box::new(l.accept().unwrap().0),
    };
    stream.read_exact(&mut vec![0; bytes]).unwrap();
    stream
}

#[test]
fn a_peer_that_dies_in_the_middle_lets_the_source_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let _source = Guard(big_board(folder.path(), "a", &[]).spawn().unwrap());
    let mut source = Qmp::connect(&folder.path().join("a"));
    for (uri, listener) in listeners(folder.path()) {
        for read in [0, 1000, 100_000] {
            source.ok("migrate", json!({"uri": uri}));
            drop(accept(&listener, read));
            let info = source.wait_for("failed");
            assert!(!info["error-desc"].as_str().unwrap().is_empty(), "{info}");
            assert_eq!(source.status(), "running", "{uri} after {read}");
        }
    }
    // It can still be moved.
    let uri = format!("file:{}", folder.path().join("state").display());
    source.ok("migrate", json!({"uri": uri}));
    let info = source.wait_for("completed");
    assert!(info["ram"]["transferred"].as_u64().unwrap() > 6 << 20, "{info}");
}

#[test]
fn a_source_that_dies_in_the_middle_ends_the_destination_or_lets_it_wait_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    {
        let _source = Guard(board(folder.path(), "a", &[]).spawn().unwrap());
        let mut source = Qmp::connect(&folder.path().join("a"));
        source.ok("migrate", json!({"uri": format!("file:{}", path.display())}));
        source.wait_for("completed");
    }
    let state = std::fs::read(&path).unwrap();
    let way = folder.path().join("way");
    let uri = format!("unix:{}", way.display());
    let mut ends = Guard(
        board(folder.path(), "b", &["-incoming", &uri])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut stream = None;
    wait("the way in", || {
        stream = UnixStream::connect(&way).ok();
        stream.is_some()
    });
    stream.take().unwrap().write_all(&state[..state.len() / 2]).unwrap();
    assert_eq!(ends.0.wait().unwrap().code(), Some(1));
    let mut said = String::new();
    ends.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.contains("too early"), "{said}");

    let _waits = Guard(board(folder.path(), "c", &["-incoming", "defer"]).spawn().unwrap());
    let mut waits = Qmp::connect(&folder.path().join("c"));
    for end in [0, 16, state.len() / 2, state.len() - 1] {
        waits.ok("migrate-incoming", json!({"uri": uri, "exit-on-error": false}));
        let mut stream = UnixStream::connect(&way).unwrap();
        stream.write_all(&state[..end]).unwrap();
        drop(stream);
        waits.wait_for("failed");
        assert_eq!(waits.status(), "inmigrate", "cut at {end}");
    }
    waits.ok("migrate-incoming", json!({"uri": uri}));
    UnixStream::connect(&way).unwrap().write_all(&state).unwrap();
    wait("the machine runs on", || waits.status() == "running");
}

#[test]
fn a_reader_that_stops_stalls_no_monitor() {
    let folder = tempfile::tempdir().unwrap();
    let _source = Guard(big_board(folder.path(), "a", &[]).spawn().unwrap());
    let mut source = Qmp::connect(&folder.path().join("a"));
    for (uri, listener) in listeners(folder.path()) {
        source.ok("migrate", json!({"uri": uri}));
        let _silent = accept(&listener, 10_000);
        let info = source.wait_for("device");
        assert!(info["ram"]["total"].as_u64().unwrap() > 6 << 20, "{info}");
        for _ in 0..50 {
            assert_eq!(source.status(), "finish-migrate");
        }
        assert!(source.migration()["ram"]["remaining"].as_u64().unwrap() > 0);
        source.ok("migrate_cancel", json!({}));
        source.wait_for("cancelled");
        assert_eq!(source.status(), "running");
    }
}

/// One process is saved at several moments and goes on; for each another takes the state and must execute the very same blocks.
#[test]
fn another_process_executes_what_this_one_does() {
    for (name, firmware_name, arguments) in [
        ("mps2-an385", "coremark-like", "x iterations=2"),
        ("lm3s6965evb", "t-exceptions", "x"),
        ("mps2-an385", "t-timers", "x"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let states = folder.path().join("states");
        let start = |id: &str, more: &[&str]| {
            let mut c = program();
            c.args([
                "-M",
                name,
                "-display",
                "none",
                "-serial",
                "null",
                "-monitor",
                "none",
                "-semihosting",
                "-pace",
                "skip",
            ])
            .args(["-append", arguments, "-kernel"])
            .arg(firmware(&format!("{firmware_name}-{name}.elf")))
            .args(["-d", "exec", "-D"])
            .arg(folder.path().join(format!("{id}.log")))
            .arg("-snapshot-dir")
            .arg(&states)
            .arg("-qmp")
            .arg(format!("unix:{}/{id},server=on,wait=off", folder.path().display()))
            .args(more)
            .stdout(Stdio::null());
            Guard(c.spawn().unwrap())
        };
        let mut first = start("first", &["-S"]);
        let mut monitor = Qmp::connect(&folder.path().join("first"));
        let mut saved = Vec::new();
        for n in 0..6u64 {
            let tag = format!("at-{n}");
            if n > 0 {
                monitor.ok("cont", json!({}));
                // Where it stands then is chance, and must not matter.
                std::thread::sleep(Duration::from_micros(n * 700));
                let stop = json!({"execute": "stop"}).to_string();
                let sent = monitor.0.get_mut().write_all(stop.as_bytes());
                let mut line = String::new();
                while sent.is_ok() && monitor.0.read_line(&mut line).unwrap_or(0) > 0 && !line.contains("return") {
                    line.clear();
                }
                if line.is_empty() {
                    break;
                }
            }
            let save = json!({"command-line": format!("savevm {tag}")});
            assert_eq!(monitor.ok("human-monitor-command", save), "");
            saved.push(tag);
        }
        if first.0.try_wait().unwrap().is_none() {
            let _ = monitor.0.get_mut().write_all(b"{\"execute\": \"cont\"}");
        }
        let status = first.0.wait().unwrap();
        let whole = std::fs::read_to_string(folder.path().join("first.log")).unwrap();
        assert!(whole.lines().count() > 100, "{firmware_name}: it has run");
        // Each stop cuts a block in two, in the first process alone. So its own trace serves from its last stop on, where there is
        // none any more; before that it is that of the process which began at the beginning and was never stopped.
        let (mut parts, last) = (0, saved.len() - 1);
        let mut reference = String::new();
        for (n, tag) in saved.into_iter().enumerate() {
            let mut second = start(&tag, &["-loadvm", &tag]);
            assert_eq!(second.0.wait().unwrap(), status, "{firmware_name} from {tag}");
            let part = std::fs::read_to_string(folder.path().join(format!("{tag}.log"))).unwrap();
            let (_, after_first) = part.split_once('\n').unwrap();
            if n == 0 {
                reference.clone_from(&part);
            }
            assert!(
                reference.ends_with(after_first),
                "{firmware_name} from {tag}: another way"
            );
            assert!(
                n != last || whole.ends_with(&part),
                "{firmware_name} from {tag}: not its own way"
            );
            parts += usize::from(part.len() < reference.len());
        }
        assert!(
            parts > 0 || firmware_name != "coremark-like",
            "saved in the middle at least once"
        );
    }
}
