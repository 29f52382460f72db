//! A running machine driven in ways that need a second channel: back ends that change, events of tracing, gdb on a chardev, commands out
//! of band, several processors, the monitor beside a serial port elsewhere, messages that nobody reads, and words with lists inside.

mod common;

use common::qmp::Client;
use common::{Guard, firmware, program, wait};
use serde_json::json;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

struct Run {
    _guard: Guard,
    folder: tempfile::TempDir,
}

impl Run {
    /// `DIR` in the words is the folder of this run.
    fn new(words: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let words = words.replace("DIR", folder.path().to_str().unwrap());
        let child = program()
            .args(["-nodefaults", "-display", "none"])
            .args(words.split_whitespace())
            .args([
                "-qmp",
                &format!("unix:{}/qmp,server=on,wait=off", folder.path().display()),
            ])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            _guard: Guard(child),
            folder,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn client(&self) -> Client {
        Client::ready(&self.path("qmp"))
    }
}

fn connect(path: &Path) -> UnixStream {
    let mut stream = None;
    wait("the socket", || {
        stream = UnixStream::connect(path).ok();
        stream.is_some()
    });
    let stream = stream.unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

fn receive(stream: &mut UnixStream, text: &str) {
    let mut all = String::new();
    let mut buffer = [0; 256];
    while !all.contains(text) {
        let n = stream
            .read(&mut buffer)
            .unwrap_or_else(|e| panic!("{e} instead of {text:?} after {all:?}"));
        assert!(n > 0, "the end instead of {text:?} after {all:?}");
        all += &String::from_utf8_lossy(&buffer[..n]);
    }
}

#[test]
fn a_serial_port_gets_another_back_end() {
    let run = Run::new(
        "-M lm3s6965evb -accel qtest -qtest unix:DIR/qtest,server=on,wait=off -chardev ringbuf,id=c -serial chardev:c",
    );
    let mut client = run.client();
    let mut qtest = connect(&run.path("qtest"));
    let mut ask = |command: &str, answer: &str| {
        qtest.write_all(format!("{command}\n").as_bytes()).unwrap();
        receive(&mut qtest, answer);
    };
    ask("writel 0x4000c030 0x301", "OK");
    ask("writel 0x4000c000 0x61", "OK");
    ask("clock_step 1000000000", "OK");
    let read = json!({"device": "c", "size": 100});
    assert_eq!(client.ok("ringbuf-read", read.clone()), "a");

    let address = json!({"type": "unix", "data": {"path": run.path("port")}});
    let socket = json!({"type": "socket", "data": {"addr": address, "server": true, "wait": false}});
    client.ok("chardev-change", json!({"id": "c", "backend": socket}));
    let mut port = connect(&run.path("port"));
    ask("writel 0x4000c000 0x62", "OK");
    ask("clock_step 1000000000", "OK");
    receive(&mut port, "b");
    port.write_all(b"z").unwrap();
    // Received: full, as the FIFO is off and has one place; then the character.
    wait("the character", || {
        let mut other = String::new();
        qtest.write_all(b"clock_step 1000000\nreadl 0x4000c018\n").unwrap();
        while other.matches('\n').count() < 2 {
            let mut buffer = [0; 64];
            let n = qtest.read(&mut buffer).unwrap();
            other += &String::from_utf8_lossy(&buffer[..n]);
        }
        other.contains("OK 0x00000000000000c0")
    });
    qtest.write_all(b"readl 0x4000c000\n").unwrap();
    receive(&mut qtest, "OK 0x000000000000007a");

    // What cannot be opened leaves the port with what it has.
    let address = json!({"type": "unix", "data": {"path": "/nonexistent/x"}});
    let broken = json!({"type": "socket", "data": {"addr": address, "server": true, "wait": false}});
    let refused = client.run("chardev-change", json!({"id": "c", "backend": broken}));
    assert_eq!(refused["error"]["class"], "GenericError");
    qtest
        .write_all(b"writel 0x4000c000 0x63\nclock_step 1000000000\n")
        .unwrap();
    receive(&mut port, "c");
}

#[test]
fn events_of_tracing_are_switched() {
    let run = Run::new("-M lm3s6965evb -S");
    let mut client = run.client();
    let state = |client: &mut Client, name: &str| {
        let all = client.ok("trace-event-get-state", json!({"name": name}));
        let all = all.as_array().unwrap().clone();
        assert!(!all.is_empty());
        assert!(all.iter().all(|e| e.as_object().unwrap().len() == 2), "{all:?}");
        let mut states: Vec<_> = all.iter().map(|e| e["state"].as_str().unwrap().to_owned()).collect();
        states.sort();
        states.dedup();
        states
    };
    assert_eq!(state(&mut client, "mmio_*"), ["disabled"]);
    client.ok("trace-event-set-state", json!({"name": "mmio_read", "enable": true}));
    assert_eq!(state(&mut client, "mmio_read"), ["enabled"]);
    assert_eq!(state(&mut client, "mmio_*"), ["disabled", "enabled"]);
    client.ok("trace-event-set-state", json!({"name": "mmio_*", "enable": false}));
    assert_eq!(state(&mut client, "mmio_*"), ["disabled"]);
    for command in ["trace-event-get-state", "trace-event-set-state"] {
        let mut arguments = json!({"name": "nosuch"});
        if command.contains("set") {
            arguments["enable"] = true.into();
        }
        assert_eq!(client.run(command, arguments.clone())["error"]["class"], "GenericError");
        if command.contains("set") {
            arguments["ignore-unavailable"] = true.into();
            let refused = client.run(command, arguments);
            assert_eq!(
                refused["error"]["class"], "GenericError",
                "there is still no such event"
            );
        }
    }
}

fn speaks_gdb(path: &Path) {
    let mut gdb = connect(path);
    gdb.write_all(b"+$?#3f").unwrap();
    receive(&mut gdb, "$T");
    gdb.write_all(b"+$qAttached#8f").unwrap();
    receive(&mut gdb, "$1#31");
}

#[test]
fn gdb_on_a_character_device() {
    let channel = "-chardev socket,path=DIR/gdb,server=on,wait=off,id=g";
    let run = Run::new(&format!("-M lm3s6965evb -S {channel} -gdb chardev:g"));
    speaks_gdb(&run.path("gdb"));
    let run = Run::new(&format!("-M virt -S {channel}"));
    let mut client = run.client();
    let mut say = |line: &str| client.ok("human-monitor-command", json!({"command-line": line}));
    let said = say("gdbserver chardev:nosuch");
    assert!(said.as_str().unwrap().contains("nosuch"), "{said}");
    let said = say("gdbserver chardev:g");
    assert!(said.as_str().unwrap().contains("chardev:g"), "{said}");
    speaks_gdb(&run.path("gdb"));
    say("gdbserver none");
}

#[test]
fn commands_out_of_band() {
    let run = Run::new("-M none");
    let mut plain = run.client();
    plain.send("{\"exec-oob\": \"migrate-pause\", \"id\": 1}\n");
    let refused = plain.receive();
    assert_eq!(
        (&refused["error"]["class"], &refused["id"]),
        (&json!("GenericError"), &json!(1))
    );
    let mut client = Client::connect(&run.path("qmp"));
    client.receive();
    let enable = json!({"execute": "qmp_capabilities", "arguments": {"enable": ["oob"]}});
    assert_eq!(client.ask(&enable), json!({"return": {}}));
    // Each is answered once, with its own id, whatever the order.
    client.send(
        "{\"execute\": \"query-qmp-schema\", \"id\": \"slow\"}{\"exec-oob\": \"migrate-pause\", \"id\": \"pause\"}\
         {\"exec-oob\": \"query-status\", \"id\": \"not\"}\n",
    );
    let mut seen = Vec::new();
    for _ in 0..3 {
        let answer = client.receive();
        let id = answer["id"].as_str().unwrap().to_owned();
        assert_eq!(answer.get("return").is_some(), id == "slow", "{id}");
        seen.push(id);
    }
    seen.sort();
    assert_eq!(seen, ["not", "pause", "slow"]);
}

#[test]
fn several_processors() {
    let run = Run::new("-M virt -smp 3 -S");
    let mut client = run.client();
    let all = client.ok("query-cpus-fast", json!({}));
    let indices: Vec<_> = all.as_array().unwrap().iter().map(|c| c["cpu-index"].clone()).collect();
    assert_eq!(indices, [0, 1, 2]);
    let mut paths: Vec<_> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["qom-path"].to_string())
        .collect();
    paths.dedup();
    assert_eq!(paths.len(), 3, "{all}");
    let mut say = |line: &str, cpu: Option<u32>| {
        let mut arguments = json!({"command-line": line});
        if let Some(cpu) = cpu {
            arguments["cpu-index"] = cpu.into();
        }
        let said = client.run("human-monitor-command", arguments);
        said["return"].as_str().unwrap_or_else(|| panic!("{said}")).to_owned()
    };
    let listed = say("info cpus", None);
    assert_eq!(listed.lines().filter(|l| l.contains("CPU #")).count(), 3, "{listed}");
    let hart = |text: &str| {
        let line = text
            .lines()
            .find(|l| l.contains("mhartid"))
            .unwrap_or_else(|| panic!("{text}"));
        let at = line.find("mhartid").unwrap();
        let number = line[at..].split_whitespace().nth(1).unwrap().trim_start_matches("0x");
        u64::from_str_radix(number, 16).unwrap()
    };
    for cpu in 0..3 {
        assert_eq!(hart(&say("info registers", Some(cpu))), u64::from(cpu));
    }
    let all = say("info registers -a", None);
    assert_eq!(all.matches("mhartid").count(), 3, "{all}");
    let refused = client.run(
        "human-monitor-command",
        json!({"command-line": "info cpus", "cpu-index": 3}),
    );
    assert_eq!(refused["error"]["class"], "GenericError");
}

#[test]
fn the_monitor_stays_where_the_serial_port_leaves() {
    let folder = tempfile::tempdir().unwrap();
    for (words, monitor) in [
        (format!("-serial file:{}", folder.path().join("s").display()), true),
        ("-serial null".into(), true),
        ("-serial null -monitor none".into(), false),
        ("-monitor none".into(), false),
    ] {
        let pid = folder.path().join("pid");
        let _ = std::fs::remove_file(&pid);
        let mut child = program()
            .arg("-pidfile")
            .arg(&pid)
            .args([
                "-M",
                "lm3s6965evb",
                "-nographic",
                "-S",
                "-kernel",
                &firmware("hello-lm3s6965evb.elf"),
            ])
            .args(words.split(' '))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"info status\nquit\n").unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let mut guard = Guard(child);
        if monitor {
            wait("the end of the monitor", || guard.0.try_wait().unwrap().is_some());
        } else {
            // Before, it does not listen for signals.
            wait("the pid file", || {
                std::fs::read_to_string(&pid).is_ok_and(|t| t.ends_with('\n'))
            });
            assert!(guard.terminate().success(), "{words}");
        }
        let mut said = String::new();
        stdout.read_to_string(&mut said).unwrap();
        assert_eq!(
            said.contains("VM status: paused (prelaunch)"),
            monitor,
            "{words}: {said:?}"
        );
        assert_eq!(said.contains("(qemu)"), monitor, "{words}: {said:?}");
    }
}

/// More than a pipe holds, and nobody who reads: the machine runs to its end.
#[test]
fn messages_that_nobody_reads() {
    let mut child = program()
        .args(["-M", "mps2-an385", "-nographic", "-semihosting", "-d", "in_asm,exec"])
        .args(["-kernel", &firmware("t-newlib-mps2-an385.elf"), "-pace", "skip"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut unread = child.stderr.take().unwrap();
    let mut guard = Guard(child);
    let mut status = None;
    let end = std::time::Instant::now() + Duration::from_secs(120);
    while status.is_none() && std::time::Instant::now() < end {
        status = guard.0.try_wait().unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(status.expect("it waits for a reader").success());
    let mut said = Vec::new();
    unread.read_to_end(&mut said).unwrap();
    assert!(said.len() > 30_000, "the pipe was full: {}", said.len());
}

/// What gdb says to these commands about a dump of a machine that stands at its beginning, and what the monitor says of its registers.
fn dumped(words: &str, commands: &[&str]) -> Option<(String, String)> {
    let gdb = std::process::Command::new("gdb-multiarch").arg("--version").output();
    if gdb.is_err() {
        eprintln!("SKIPPED: there is no gdb-multiarch to open the dump with");
        return None;
    }
    let run = Run::new(&format!("{words} -S"));
    let mut client = run.client();
    let core = run.path("core").display().to_string();
    client.ok(
        "dump-guest-memory",
        json!({"paging": false, "protocol": format!("file:{core}")}),
    );
    let registers = client.ok("human-monitor-command", json!({"command-line": "info registers"}));
    let mut gdb = std::process::Command::new("gdb-multiarch");
    gdb.args(["-nx", "-batch", "-ex", &format!("core-file {core}")]);
    for command in commands {
        gdb.args(["-ex", command]);
    }
    let said = gdb.output().unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
    Some((said, registers.as_str().unwrap().to_owned()))
}

#[test]
fn gdb_opens_a_dump() {
    let hello = firmware("hello-mps2-an385.elf");
    let words = format!("-M mps2-an385 -kernel {hello} -device loader,addr=0x20000000,data=0x12345678,data-len=4");
    let commands = [
        "printf \"sp=%x start=%x\\n\", *(unsigned *) 0, *(unsigned *) 4 & ~1",
        "printf \"is=%x at=%x\\n\", $sp, $pc",
        "x/1xw 0x20000000",
    ];
    let Some((said, _)) = dumped(&words, &commands) else {
        return;
    };
    let value = |key: &str| {
        said.split(key)
            .nth(1)
            .and_then(|t| t.split_whitespace().next())
            .map(str::to_owned)
    };
    assert!(value("sp=").is_some() && value("sp=") == value("is="), "{said}");
    assert!(value("start=").is_some() && value("start=") == value("at="), "{said}");
    assert!(said.contains("0x20000000:\t0x12345678"), "{said}");
}

#[test]
fn gdb_opens_a_dump_of_64_bits() {
    let words = "-M virt -smp 2 -m 4M -device loader,addr=0x80000100,data=0x123456789abcdef0,data-len=8";
    let commands = [
        "info threads",
        "thread 1",
        "printf \"at=%lx\\n\", $pc",
        "x/1xg 0x80000100",
    ];
    let Some((said, registers)) = dumped(words, &commands) else {
        return;
    };
    assert!(said.contains("LWP 1") && said.contains("LWP 2"), "{said}");
    assert!(said.contains("0x80000100:\t0x123456789abcdef0"), "{said}");
    let at = said.split("at=").nth(1).unwrap().split_whitespace().next().unwrap();
    let at = u64::from_str_radix(at, 16).unwrap();
    let words: Vec<&str> = registers.split_whitespace().collect();
    let pc = words
        .iter()
        .position(|w| *w == "pc")
        .unwrap_or_else(|| panic!("{registers}"));
    assert_eq!(
        u64::from_str_radix(words[pc + 1].trim_start_matches("0x"), 16),
        Ok(at),
        "{registers}"
    );
}

/// Lists inside a device's words come in JSON, on the command line and later, and are told again as they came.
#[test]
fn queues_of_a_disk_are_given_to_threads_in_json() {
    let run = Run::new(
        "-M virt -S -object iothread,id=t0 -object iothread,id=t1 -blockdev null-co,node-name=a -blockdev null-co,node-name=b \
         -device {\"driver\":\"virtio-blk-pci\",\"id\":\"d\",\"drive\":\"a\",\"num-queues\":2,\"iothread-vq-mapping\":\
         [{\"iothread\":\"t0\",\"vqs\":[1]},{\"iothread\":\"t1\",\"vqs\":[0]}]} -device pcie-root-port,id=port",
    );
    let mut qmp = run.client();
    let path = json!({ "path": "/machine/peripheral/d", "property": "iothread-vq-mapping" });
    assert_eq!(
        qmp.ok("qom-get", path),
        json!([{ "iothread": "t0", "vqs": [1] }, { "iothread": "t1", "vqs": [0] }])
    );
    let plug = |mapping| {
        let mut words = json!({ "driver": "virtio-blk-pci", "id": "e", "drive": "b", "bus": "port", "num-queues": 3 });
        words["iothread-vq-mapping"] = mapping;
        words
    };
    let refused = qmp.run("device_add", plug(json!([{ "iothread": "t0" }, { "iothread": "t0" }])));
    let why = refused["error"]["desc"].as_str().unwrap_or_default().to_owned();
    assert!(why.contains("each thread once"), "{refused}");
    let refused = qmp.run("device_add", plug(json!([{ "iothread": "t7" }])));
    let why = refused["error"]["desc"].as_str().unwrap_or_default().to_owned();
    assert!(why.contains("-object iothread"), "{refused}");
    qmp.ok("device_add", plug(json!([{ "iothread": "t0" }, { "iothread": "t1" }])));
    // Who is at work for a disk cannot go.
    let refused = qmp.run("object-del", json!({ "id": "t1" }));
    assert!(refused["error"].is_object(), "{refused}");
}
