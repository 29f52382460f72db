//! QMP as clients see it: whole conversations, several clients, clients that misbehave.
//!
//! Transcripts stand in `qmp/*.txt`: lines with `>` are sent, the others must come, with times as 0 and what differs from run to run
//! as `…`. `SOUTHBRIDGE_BLESS=1` writes them anew.

mod common;

use common::qmp::Client;
use common::{Guard, firmware, program, wait};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A machine with a monitor.
struct Run {
    guard: Guard,
    path: PathBuf,
    folder: tempfile::TempDir,
}

fn start(words: &str) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qmp");
    let mut command = program();
    command.args(words.split_whitespace());
    command.args(["-qmp", &format!("unix:{},server=on,wait=off", path.display())]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    Run {
        guard: Guard(child),
        path,
        folder,
    }
}

fn board() -> Run {
    let kernel = firmware("hello-mps2-an385.elf");
    start(&format!(
        "-M mps2-an385 -S -nodefaults -display none -name tester -uuid 12345678-1234-1234-1234-123456789abc \
         -chardev ringbuf,id=r0 -serial chardev:r0 -semihosting -kernel {kernel}"
    ))
}

fn normal(mut v: Value, run: &Run) -> String {
    if let Some(t) = v.get_mut("timestamp") {
        *t = json!(0);
    }
    let text = v.to_string().replace(&run.folder.path().display().to_string(), "DIR");
    let number = text
        .split("\"thread-id\":")
        .nth(1)
        .and_then(|t| t.split([',', '}']).next())
        .map(str::to_owned);
    match number {
        Some(n) => text.replace(&format!("\"thread-id\":{n}"), "\"thread-id\":\"…\""),
        None => text,
    }
}

/// Plays a transcript and compares.
fn transcript(name: &str, run: &Run) {
    let file = format!("{}/tests/qmp/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&file).unwrap();
    let mut client = Client::connect(&run.path);
    let mut out = String::new();
    writeln!(out, "{}", normal(client.receive(), run)).unwrap();
    for sent in text.lines().filter(|l| l.starts_with('>') || l.starts_with('#')) {
        writeln!(out, "{sent}").unwrap();
        let Some(sent) = sent.strip_prefix('>') else { continue };
        client.send(&format!(
            "{}\n",
            sent.trim().replace("DIR", &run.folder.path().display().to_string())
        ));
        loop {
            let v = client.receive();
            let event = v.get("event").is_some();
            writeln!(out, "{}", normal(v, run)).unwrap();
            if !event {
                break;
            }
        }
        if sent.contains("\"quit\"") {
            // As in QEMU the answer comes first.
            writeln!(out, "{}", normal(client.receive(), run)).unwrap();
        }
    }
    if std::env::var_os("SOUTHBRIDGE_BLESS").is_some() {
        std::fs::write(&file, &out).unwrap();
    }
    assert_eq!(out, std::fs::read_to_string(&file).unwrap(), "{file}");
}

#[test]
fn the_control_group() {
    transcript("control", &board());
}

#[test]
fn objects_and_devices() {
    transcript("objects", &board());
}

#[test]
fn memory_and_channels() {
    transcript("memory", &board());
}

/// What libvirt sends to find out what an emulator can do, with the command line that it uses.
#[test]
fn the_probe_of_libvirt() {
    let folder = tempfile::tempdir().unwrap();
    let (path, pid) = (folder.path().join("qmp.monitor"), folder.path().join("pid"));
    let qmp = format!("unix:{},server=on,wait=off", path.display());
    let words = "-S -no-user-config -nodefaults -nographic -machine none,accel=tcg";
    let status = program()
        .args(words.split_whitespace())
        .args(["-qmp", &qmp, "-pidfile", pid.to_str().unwrap(), "-daemonize"])
        .status()
        .unwrap();
    assert!(status.success());
    let number: u32 = std::fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
    let mut c = Client::connect(&path);
    assert!(c.receive()["QMP"].is_object());
    c.ok("qmp_capabilities", json!({}));
    assert_eq!(c.ok("query-version", json!({}))["qemu"]["major"], 10);
    assert_eq!(c.ok("query-target", json!({}))["arch"], "arm");
    let commands = c.ok("query-commands", json!({}));
    assert!(commands.as_array().unwrap().contains(&json!({"name": "device_add"})));
    assert_eq!(
        c.ok("query-kvm", json!({})),
        json!({"enabled": false, "present": false})
    );
    let types = c.ok("qom-list-types", json!({"implements": "device"}));
    for t in types.as_array().unwrap() {
        assert!(t["name"].is_string() && t.get("abstract").is_none(), "{t}");
    }
    assert!(types.as_array().unwrap().iter().any(|t| t["name"] == "ivshmem-flat"));
    c.ok("device-list-properties", json!({"typename": "ivshmem-flat"}));
    let machines = c.ok("query-machines", json!({}));
    assert!(machines.as_array().unwrap().iter().any(|m| m["name"] == "none"));
    assert_eq!(c.ok("query-cpu-definitions", json!({}))[0]["name"], "cortex-m3");
    let options = c.ok("query-command-line-options", json!({}));
    assert!(options.as_array().unwrap().iter().any(|o| o["option"] == "chardev"));
    assert!(c.ok("query-qmp-schema", json!({})).as_array().unwrap().len() > 100);
    for absent in [
        "query-tpm-models",
        "query-tpm-types",
        "query-sev-capabilities",
        "query-cpu-model-expansion",
    ] {
        assert_eq!(c.run(absent, json!({}))["error"]["class"], "CommandNotFound");
    }
    c.ok("quit", json!({}));
    wait("the end", || {
        !path.exists() && !pid.exists() && !Path::new(&format!("/proc/{number}")).exists()
    });
}

#[test]
fn many_clients_each_with_its_own_conversation() {
    let run = board();
    let mut all: Vec<Client> = (0..5).map(|_| Client::ready(&run.path)).collect();
    let mut early = Client::connect(&run.path);
    early.receive();
    for (i, c) in all.iter_mut().enumerate() {
        c.send(&json!({"execute": "query-status", "id": i}).to_string());
    }
    for (i, c) in all.iter_mut().enumerate() {
        assert_eq!(c.receive()["id"], i);
    }
    all[0].ok("system_reset", json!({}));
    for c in &mut all[1..] {
        assert_eq!(c.event("RESET")["data"]["reason"], "host-qmp-system-reset");
    }
    drop(all.pop());
    early.ok("qmp_capabilities", json!({}));
    early.ok("query-status", json!({}));
}

#[test]
fn one_byte_at_a_time_and_garbage() {
    let run = board();
    let mut c = Client::ready(&run.path);
    for b in b"{'execute' : \"query-name\", 'id': [1, {}]}" {
        c.out.write_all(&[*b]).unwrap();
    }
    assert_eq!(c.receive(), json!({"return": {"name": "tester"}, "id": [1, {}]}));
    c.send("no json at all #\n{'execute': 'query-name', 'id': 2}");
    loop {
        let v = c.receive();
        match v.get("error") {
            Some(e) => assert_eq!(e["class"], "GenericError"),
            None => break assert_eq!(v["id"], 2),
        }
    }
}

/// The guest goes on, and other clients are served, whatever one client does.
#[test]
fn a_client_that_does_not_read_disturbs_nobody() {
    let run = board();
    let mut deaf = Client::ready(&run.path);
    deaf.out.set_nonblocking(true).unwrap();
    let ask = "{'execute':'query-qmp-schema'}\n".repeat(100);
    let mut sent = 0;
    // Until it would block: the monitor has stopped reading.
    while sent < 1 << 22 {
        match deaf.out.write(ask.as_bytes()) {
            Ok(n) => sent += n,
            Err(_) => break,
        }
        std::thread::yield_now();
    }
    let mut c = Client::ready(&run.path);
    for _ in 0..200 {
        c.ok("system_reset", json!({}));
    }
    c.ok("quit", json!({}));
}

#[test]
fn the_guest_runs_prints_and_ends() {
    let run = board();
    let mut c = Client::ready(&run.path);
    c.ok("cont", json!({}));
    let end = c.event("SHUTDOWN");
    assert_eq!(end["data"], json!({"guest": true, "reason": "guest-shutdown"}));
    let mut rest = String::new();
    c.lines.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
}

#[test]
fn plugging_in_a_loop_leaks_nothing() {
    let mut run = board();
    let server = run.folder.path().join("iv");
    let mut c = Client::ready(&run.path);
    c.ok(
        "object-add",
        json!({"qom-type": "ivshmem-server", "id": "s", "path": server, "size": 65536}),
    );
    let pid = run.guard.0.id();
    let files = || std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let mut before = None;
    for round in 0..40 {
        let address = json!({"type": "unix", "data": {"path": server}});
        let backend = json!({"type": "socket", "data": {"addr": address, "server": false}});
        c.ok("chardev-add", json!({"id": "iv", "backend": backend}));
        c.ok(
            "device_add",
            json!({"driver": "ivshmem-flat", "id": "d", "chardev": "iv", "shmem-size": 65536}),
        );
        assert_eq!(
            c.ok(
                "qom-get",
                json!({"path": "/machine/peripheral/d", "property": "hotplugged"})
            ),
            true
        );
        assert!(
            c.run("chardev-remove", json!({"id": "iv"}))["error"].is_object(),
            "in use"
        );
        c.send(&json!({"execute": "device_del", "arguments": {"id": "d"}}).to_string());
        assert_eq!(
            c.event("DEVICE_DELETED")["data"],
            json!({"device": "d", "path": "/machine/peripheral/d"})
        );
        assert_eq!(c.receive(), json!({"return": {}}));
        c.ok("chardev-remove", json!({"id": "iv"}));
        if round == 10 {
            // The server closes its side a moment later than we ours.
            std::thread::sleep(Duration::from_millis(50));
            before = Some(files());
        }
    }
    wait("the old number of descriptors", || Some(files()) <= before);
    c.ok("object-del", json!({"id": "s"}));
    assert!(!server.exists());
    c.ok("quit", json!({}));
    assert!(run.guard.0.wait().unwrap().success());
}

#[test]
fn descriptors_come_along() {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    use std::os::fd::AsFd;
    let run = board();
    let mut c = Client::ready(&run.path);
    let path = run.folder.path().join("dump");
    let file = std::fs::File::create(&path).unwrap();
    let pass = |c: &Client, text: &str| {
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fds = [file.as_fd()];
        assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
        let parts = [std::io::IoSlice::new(text.as_bytes())];
        sendmsg(&c.out, &parts, &mut control, SendFlags::empty()).unwrap();
    };
    pass(&c, "{'execute':'getfd','arguments':{'fdname':'f'}}");
    assert_eq!(c.receive(), json!({"return": {}}));
    c.ok("dump-guest-memory", json!({"paging": false, "protocol": "fd:f"}));
    let mut head = [0; 20];
    std::fs::File::open(&path).unwrap().read_exact(&mut head).unwrap();
    assert_eq!((&head[..4], head[16], head[18]), (&b"\x7fELF"[..], 4, 40));
    pass(&c, "{'execute':'add-fd','arguments':{'opaque':'o'}}");
    let added = c.receive()["return"].clone();
    let sets = c.ok("query-fdsets", json!({}));
    assert_eq!(
        sets,
        json!([{"fdset-id": added["fdset-id"], "fds": [{"fd": added["fd"], "opaque": "o"}]}])
    );
    c.ok("remove-fd", json!({"fdset-id": added["fdset-id"]}));
    assert_eq!(c.ok("query-fdsets", json!({})), json!([]));
}

#[test]
fn a_signal_is_told() {
    let run = board();
    let mut c = Client::ready(&run.path);
    common::signal("TERM", run.guard.0.id());
    assert_eq!(
        c.event("SHUTDOWN")["data"],
        json!({"guest": false, "reason": "host-signal"})
    );
}

/// The same over a chardev that is no server, and indented.
#[test]
fn set_action_decides_what_a_watchdog_does() {
    let kernel = firmware("t-watchdog-mps2-an385.elf");
    let run = start(&format!(
        "-M mps2-an385 -S -nodefaults -display none -serial null -semihosting -pace skip -kernel {kernel}"
    ));
    let mut c = Client::ready(&run.path);
    c.ok("set-action", json!({"watchdog": "pause"}));
    c.ok("cont", json!({}));
    c.event("STOP");
    assert_eq!(
        c.ok("query-status", json!({}))["running"],
        false,
        "the firmware lets its watchdog expire once"
    );
    c.ok("watchdog-set-action", json!({"action": "poweroff"}));
    assert!(run.guard.terminate().success());
}

#[test]
fn on_standard_input_and_output() {
    let mut child = program()
        .args("-M none -nodefaults -display none -chardev stdio,id=c -mon chardev=c,mode=control,pretty=on".split(' '))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input
        .write_all(b"{'execute':'qmp_capabilities'} {'execute':'query-status'} {'execute':'quit'}")
        .unwrap();
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(
        text.contains("    \"return\": {\r\n        \"running\": true,\r\n"),
        "{text}"
    );
    assert!(text.contains("\"reason\": \"host-qmp-quit\""), "{text}");
}

/// The client library that QEMU's own tools use. Skipped where it is not installed; `SOUTHBRIDGE_PYTHON` names a Python that has it.
#[test]
fn the_python_package_connects_and_runs_commands() {
    let python = std::env::var("SOUTHBRIDGE_PYTHON").unwrap_or_else(|_| "python3".into());
    let has = Command::new(&python)
        .args(["-c", "import qemu.qmp"])
        .stderr(Stdio::null())
        .status();
    if !has.is_ok_and(|s| s.success()) {
        eprintln!("skipped: {python} has no package qemu.qmp (pip install qemu.qmp; SOUTHBRIDGE_PYTHON=…)");
        return;
    }
    let run = board();
    Client::ready(&run.path);
    let script = "import asyncio, sys\n\
        from qemu.qmp import QMPClient, ExecuteError\n\
        async def main():\n\
        \x20   c = QMPClient('t')\n\
        \x20   await c.connect(sys.argv[1])\n\
        \x20   assert (await c.execute('query-status'))['status'] == 'prelaunch'\n\
        \x20   try:\n\
        \x20       await c.execute('nosuch')\n\
        \x20   except ExecuteError as e:\n\
        \x20       assert e.error.error.class_ == 'CommandNotFound'\n\
        \x20   with c.listener('RESET') as events:\n\
        \x20       await c.execute('system_reset')\n\
        \x20       print((await events.get())['event'])\n\
        \x20   await c.disconnect()\n\
        asyncio.run(main())\n";
    let out = Command::new(&python)
        .args(["-c", script])
        .arg(&run.path)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(
        out.status.success() && text == "RESET\n",
        "{text}{}",
        String::from_utf8_lossy(&out.stderr)
    );
}

/// Memory that a process holds, in bytes.
fn resident(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[test]
fn plugging_in_a_loop_grows_no_memory() {
    let run = board();
    let server = run.folder.path().join("iv");
    let mut c = Client::ready(&run.path);
    c.ok(
        "object-add",
        json!({"qom-type": "ivshmem-server", "id": "s", "path": server, "size": 65536}),
    );
    let pid = run.guard.0.id();
    let mut rounds = |n: u32| {
        for _ in 0..n {
            let address = json!({"type": "unix", "data": {"path": server}});
            let backend = json!({"type": "socket", "data": {"addr": address, "server": false}});
            c.ok("chardev-add", json!({"id": "iv", "backend": backend}));
            c.ok(
                "device_add",
                json!({"driver": "ivshmem-flat", "id": "d", "chardev": "iv", "shmem-size": 65536}),
            );
            c.send(&json!({"execute": "device_del", "arguments": {"id": "d"}}).to_string());
            c.event("DEVICE_DELETED");
            assert_eq!(c.receive(), json!({"return": {}}));
            c.ok("chardev-remove", json!({"id": "iv"}));
        }
        resident(pid)
    };
    let warm = rounds(150);
    let after = rounds(300);
    // A device costs some kilobytes: one that stays behind in each round would be seen many times over.
    assert!(
        after < warm + (512 << 10),
        "{warm} bytes after 150 rounds, {after} after 450"
    );
}
