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
    let info = source.wait_for("active");
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
