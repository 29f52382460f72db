//! Debian's kernel with its own drivers on virtio input, serial, balloon and socket devices, on both transports, before and after a
//! snapshot was loaded. The guest is made by `guest/build`; without it these tests are skipped, visibly.

mod common;

use common::linux::{Guest, PATIENCE, have_guest};
use common::qmp::Client;
use common::wait;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

struct Run {
    guest: Guest,
    qmp: Client,
    /// Hears events, as the other passes them over.
    events: Client,
    folder: tempfile::TempDir,
    console: BufReader<UnixStream>,
    port: BufReader<UnixStream>,
}

fn connect(path: &Path) -> BufReader<UnixStream> {
    let mut stream = None;
    wait("the socket", || {
        stream = UnixStream::connect(path).ok();
        stream.is_some()
    });
    let stream = stream.unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    BufReader::new(stream)
}

/// Waits for what the guest takes its time for.
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "{what} does not come");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn say(to: &mut BufReader<UnixStream>, text: &str) {
    to.get_mut().write_all(text.as_bytes()).unwrap();
}

fn hear(from: &mut BufReader<UnixStream>) -> String {
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

const MODULES: [&str; 8] = [
    "virtio_pci",
    "virtio_mmio",
    "virtio_input",
    "evdev",
    "virtio_console",
    "virtio_balloon",
    "vmw_vsock_virtio_transport",
    "vsock",
];

impl Run {
    fn new() -> Self {
        let mut run = Self::start(tempfile::tempdir().unwrap(), "");
        run.guest.wait_for_shell();
        for module in MODULES {
            run.guest.shell(&format!("load {module} 2>/dev/null; true"));
        }
        run
    }

    /// The program, with a monitor and the other ends of its chardevs, in a folder.
    fn start(folder: tempfile::TempDir, more: &str) -> Self {
        let at = |name: &str| folder.path().join(name).display().to_string();
        let socket = |id: &str| format!("socket,id={id},path={},server=on,wait=off", at(id));
        let words = format!(
            "-device virtio-keyboard-pci -device virtio-mouse-pci -device virtio-tablet-pci \
             -device virtio-serial-pci,id=vs -chardev {} -device virtconsole,chardev=con \
             -chardev {} -device virtserialport,chardev=port,id=p1,name=org.example.0 \
             -device virtio-balloon-device,id=balloon,free-page-reporting=on \
             -device vhost-vsock-pci,guest-cid=42,uds={} -qmp unix:{},server=on,wait=off {more}",
            socket("con"),
            socket("port"),
            at("vsock"),
            at("qmp")
        );
        let words: Vec<&str> = words.split_whitespace().collect();
        let guest = Guest::boot_extra(&["input", "vsock"], &words, "");
        let qmp = Client::ready(&folder.path().join("qmp"));
        let events = Client::ready(&folder.path().join("qmp"));
        let (console, port) = (
            connect(&folder.path().join("con")),
            connect(&folder.path().join("port")),
        );
        Self {
            guest,
            qmp,
            events,
            folder,
            console,
            port,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn hmp(&mut self, line: &str) -> String {
        let answer = self.qmp.ok("human-monitor-command", json!({ "command-line": line }));
        answer.as_str().unwrap_or_default().to_owned()
    }

    /// The event device with that name.
    fn event_device(&mut self, name: &str) -> String {
        let found = self
            .guest
            .shell(&format!("grep -l '{name}' /sys/class/input/event*/device/name"));
        let node = found.split('/').nth(4).unwrap_or_default().to_owned();
        assert!(node.starts_with("event"), "no '{name}': {found}");
        format!("/dev/input/{node}")
    }

    /// What `evtest` prints of a device while `f` works.
    fn evtest(&mut self, name: &str, f: impl FnOnce(&mut Self)) -> String {
        let device = self.event_device(name);
        self.guest.shell(&format!(
            "evtest {device} >/tmp/events 2>&1 & echo $! >/tmp/pid; sleep 1"
        ));
        f(self);
        self.guest
            .shell("sleep 1; kill -TERM $(cat /tmp/pid); wait $(cat /tmp/pid); true");
        self.guest.shell("cat /tmp/events")
    }
}

#[track_caller]
fn has_in_order(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => panic!("no '{part}' in its place in\n{text}"),
        }
    }
}

/// The guest's input layer passes on what is new: a place it has been at is none.
fn keys_and_pointers(run: &mut Run, x: u32, y: u32) {
    let typed = run.evtest("Virtio Keyboard", |run| {
        assert_eq!(run.hmp("sendkey ctrl-alt-x 50"), "");
    });
    has_in_order(
        &typed,
        &[
            "bus 0x6 vendor 0x627 product 0x1 version 0x1",
            "\"QEMU Virtio Keyboard\"",
            "code 29 (KEY_LEFTCTRL), value 1",
            "SYN_REPORT",
            "code 56 (KEY_LEFTALT), value 1",
            "code 45 (KEY_X), value 1",
            "code 45 (KEY_X), value 0",
            "code 56 (KEY_LEFTALT), value 0",
            "code 29 (KEY_LEFTCTRL), value 0",
        ],
    );
    let moved = run.evtest("Virtio Mouse", |run| {
        let mice = run.hmp("info mice");
        let mouse = mice.lines().find(|l| l.contains("Virtio Mouse")).unwrap_or_default();
        let index: String = mouse.chars().filter(char::is_ascii_digit).collect();
        run.hmp(&format!("mouse_set {index}"));
        assert!(
            run.hmp("info mice")
                .contains(&format!("* Mouse #{index}: QEMU Virtio Mouse"))
        );
        run.hmp("mouse_move 7 -3 1");
        run.hmp("mouse_button 1");
        run.hmp("mouse_button 0");
    });
    has_in_order(
        &moved,
        &[
            "code 0 (REL_X), value 7",
            "code 1 (REL_Y), value -3",
            "code 8 (REL_WHEEL), value 1",
            "code 272 (BTN_LEFT), value 1",
            "code 272 (BTN_LEFT), value 0",
        ],
    );
    let placed = run.evtest("Virtio Tablet", |run| {
        let at = |axis, value| json!({ "type": "abs", "data": { "axis": axis, "value": value } });
        run.qmp
            .ok("input-send-event", json!({ "events": [at("x", x), at("y", y)] }));
    });
    let (x, y) = (
        format!("code 0 (ABS_X), value {x}\n"),
        format!("code 1 (ABS_Y), value {y}\n"),
    );
    has_in_order(&placed, &[&x, &y, "SYN_REPORT"]);
}

fn console_and_port(run: &mut Run, first: bool) {
    // The terminal is itself again when it is closed: one that stays open echoes nothing.
    run.guest.type_line(
        "exec 4<>/dev/hvc0; stty -echo <&4; echo from hvc >&4; read line <&4; echo \"got $line\"; exec 4>&-",
    );
    assert_eq!(hear(&mut run.console), "from hvc");
    say(&mut run.console, "to hvc\n");
    run.guest.wait_for("got to hvc");

    let node = run.guest.shell("grep -l org.example.0 /sys/class/virtio-ports/*/name");
    let node = node.split('/').nth(4).unwrap().to_owned();
    say(&mut run.port, "ping\n");
    run.guest.shell(&format!(
        "exec 3<>/dev/{node}; read line <&3; echo \"back $line\" >&3; exec 3>&-"
    ));
    assert_eq!(hear(&mut run.port), "back ping");
    if first {
        let opened = run.events.event("VSERPORT_CHANGE");
        assert_eq!(opened["data"]["id"], "p1");
    }
    // A megabyte, faster than anybody reads.
    run.guest
        .type_line(&format!("dd if=/dev/zero bs=1024 count=1024 2>/dev/null >/dev/{node}"));
    let mut all = vec![1; 1 << 20];
    run.port.read_exact(&mut all).unwrap();
    assert!(all.iter().all(|b| *b == 0));
    run.guest.shell("true");
}

fn kilobytes(text: &str, name: &str) -> u64 {
    let line = text.lines().find(|l| l.starts_with(name)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// Memory of the host that the machine takes, in KiB.
fn resident(run: &Run) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", run.guest.child.id())).unwrap();
    kilobytes(&status, "RssShmem:")
}

fn balloon_to(run: &mut Run, megabytes: u64) {
    run.qmp.ok("balloon", json!({ "value": megabytes << 20 }));
    let mut actual = Value::Null;
    until("the balloon", || {
        actual = run.qmp.ok("query-balloon", json!({}))["actual"].clone();
        actual == json!(megabytes << 20)
    });
}

fn balloon(run: &mut Run, first: bool) {
    let total = |run: &mut Run| kilobytes(&run.guest.shell("cat /proc/meminfo"), "MemTotal:");
    if first {
        run.guest
            .shell("dd if=/dev/zero of=/tmp/big bs=1M count=200 2>/dev/null; rm /tmp/big");
    }
    let (before, taken) = (total(run), resident(run));
    balloon_to(run, 256);
    assert_eq!(before - total(run), 256 << 10, "the guest has so much less");
    assert_eq!(run.hmp("info balloon").trim(), "balloon: actual=256");
    if first {
        assert!(resident(run) + (50 << 10) < taken, "{} of {taken} KiB", resident(run));
        assert!(run.events.event("BALLOON_CHANGE")["data"]["actual"].as_u64().unwrap() < 512 << 20);
    }
    let path = "/machine/peripheral/balloon";
    let interval = json!({ "path": path, "property": "guest-stats-polling-interval", "value": 1 });
    run.qmp.ok("qom-set", interval);
    until("statistics", || {
        let stats = run
            .qmp
            .ok("qom-get", json!({ "path": path, "property": "guest-stats" }));
        let total = stats["stats"]["stat-total-memory"].as_u64().unwrap();
        stats["last-update"] != 0 && (100 << 20..256 << 20).contains(&total)
    });
    balloon_to(run, 512);
    assert_eq!(total(run), before);
}

fn sockets(run: &mut Run, port: u32) {
    let listener = UnixListener::bind(run.path(&format!("vsock_{port}"))).unwrap();
    run.guest
        .type_line(&format!("echo hello host | socat -t 5 - VSOCK-CONNECT:2:{port}"));
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut stream = BufReader::new(stream);
    assert_eq!(hear(&mut stream), "hello host");
    say(&mut stream, "hello guest\n");
    drop(stream);
    run.guest.wait_for("hello guest");
    run.guest.shell("true");

    run.guest
        .shell(&format!("socat -t 60 VSOCK-LISTEN:{port} EXEC:cat & sleep 2"));
    let mut stream = connect(&run.path("vsock"));
    say(&mut stream, &format!("CONNECT {port}\n"));
    let answer = hear(&mut stream);
    assert!(answer.starts_with("OK "), "{answer}");
    // A megabyte there and back: far more than the credit of either side.
    let data: Vec<u8> = (0..1u32 << 20).map(|i| ((i * 7) >> 3) as u8).collect();
    let (mut writer, sent) = (stream.get_ref().try_clone().unwrap(), data.clone());
    let thread = std::thread::spawn(move || {
        writer.write_all(&sent).unwrap();
        writer.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    thread.join().unwrap();
    assert!(back == data, "{} of {} bytes came back", back.len(), data.len());
}

#[test]
fn drivers_of_linux_on_every_device_before_and_after_a_snapshot() {
    if !have_guest("drivers_of_linux_on_every_device_before_and_after_a_snapshot") {
        return;
    }
    let mut run = Run::new();
    keys_and_pointers(&mut run, 20000, 400);
    console_and_port(&mut run, true);
    balloon(&mut run, true);
    sockets(&mut run, 5000);

    assert_eq!(run.hmp("savevm s1"), "");
    run.guest.shell("touch /tmp/after");
    assert_eq!(run.hmp("loadvm s1"), "");
    run.guest.type_line("");
    run.guest.shell("[ ! -e /tmp/after ]");
    keys_and_pointers(&mut run, 100, 30000);
    console_and_port(&mut run, false);
    balloon(&mut run, false);
    sockets(&mut run, 5001);

    // A port that comes while the guest runs, and goes.
    let path = run.path("late").display().to_string();
    let address = json!({ "type": "unix", "data": { "path": path } });
    let backend = json!({ "type": "socket", "data": { "addr": address, "server": true, "wait": false } });
    run.qmp.ok("chardev-add", json!({ "id": "late", "backend": backend }));
    let port = json!({ "driver": "virtserialport", "id": "p2", "chardev": "late", "name": "late", "nr": 9 });
    run.qmp.ok("device_add", port);
    let found = "sleep 1; grep -l late /sys/class/virtio-ports/*/name";
    assert!(run.guest.shell(found).contains("p9/name"));
    run.qmp.ok("device_del", json!({ "id": "p2" }));
    run.guest
        .shell("sleep 1; ! grep -l late /sys/class/virtio-ports/*/name");
    run.guest.type_line("poweroff -f");
    assert_eq!(run.guest.ended(), Some(0));
}

/// What a guest calls free while its machine moves is not sent, whatever stood there, and what it takes back meanwhile is.
#[test]
fn memory_that_a_guest_calls_free_does_not_move() {
    if !have_guest("memory_that_a_guest_calls_free_does_not_move") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let saved = folder.path().join("saved");
    let start = |more: &str| {
        let words = format!(
            "-object iothread,id=t0 -device virtio-balloon-pci,free-page-hint=on,iothread=t0 \
             -qmp unix:{},server=on,wait=off {more}",
            folder.path().join("qmp").display()
        );
        let words: Vec<&str> = words.split_whitespace().collect();
        let guest = Guest::boot_with(&words, "");
        let qmp = Client::ready(&folder.path().join("qmp"));
        (guest, qmp)
    };
    let free = |guest: &mut Guest| kilobytes(&guest.shell("cat /proc/meminfo"), "MemFree:");
    let (mut guest, mut qmp) = start("");
    guest.wait_for_shell();
    guest.shell("load virtio_pci 2>/dev/null; load virtio_balloon 2>/dev/null; true");
    guest.shell("for i in $(seq 1 150); do head -c 1000000 /bin/busybox; done >/tmp/big; cp /bin/busybox /tmp/kept; rm /tmp/big");
    let before = free(&mut guest);
    guest.shell("(for i in $(seq 1 40); do cp /bin/busybox /tmp/$i; usleep 20000; done; echo ok >/tmp/done) & true");
    let status = std::fs::read_to_string(format!("/proc/{}/status", guest.child.id())).unwrap();
    let taken = kilobytes(&status, "RssShmem:") << 10;
    qmp.ok("migrate", json!({ "uri": format!("file:{}", saved.display()) }));
    until("the end of the move", || {
        qmp.ok("query-migrate", json!({}))["status"] == "completed"
    });
    let sent = std::fs::metadata(&saved).unwrap().len();
    println!("{} MiB of {} were sent", sent >> 20, taken >> 20);
    assert!(sent + (100 << 20) < taken, "{sent} of {taken} bytes");
    assert_eq!(qmp.ok("query-migrate", json!({}))["ram"]["dirty-sync-count"], 3);
    qmp.ok("quit", json!({}));
    guest.ended();
    std::fs::remove_file(folder.path().join("qmp")).unwrap_or_default();

    let (mut guest, _qmp) = start(&format!("-incoming file:{}", saved.display()));
    guest.type_line("");
    guest.shell("while [ ! -e /tmp/done ]; do usleep 100000; done");
    guest.shell("for i in kept $(seq 1 40); do cmp /bin/busybox /tmp/$i || exit 1; done");
    // What it held back for the search it has again.
    guest.shell("rm /tmp/[0-9]*");
    let after = free(&mut guest);
    assert!(after + (40 << 10) > before, "{after} KiB are free, {before} were");
    guest.type_line("poweroff -f");
    assert_eq!(guest.ended(), Some(0));
}

/// A line of QMP for one key.
fn key(run: &mut Run, name: &str, down: bool) {
    let data = json!({ "down": down, "key": { "type": "qcode", "data": name } });
    run.qmp.ok(
        "input-send-event",
        json!({ "events": [{ "type": "key", "data": data }] }),
    );
}

/// What devices have in hand between the guest and the host goes along, in either direction.
#[test]
fn a_guest_moves_with_every_device_in_use() {
    if !have_guest("a_guest_moves_with_every_device_in_use") {
        return;
    }
    let mut run = Run::new();
    let node = run.guest.shell("grep -l org.example.0 /sys/class/virtio-ports/*/name");
    let node = node.split('/').nth(4).unwrap().to_owned();
    run.guest
        .shell(&format!("exec 3<>/dev/{node}; mount -t debugfs none /mnt"));
    say(&mut run.port, "unread\n");
    run.guest.shell(&format!(
        "until grep -q 'bytes_received: 7' /mnt/virtio-ports/{node}; do usleep 10000; done"
    ));
    // More than all buffers on the way have room for.
    run.guest
        .shell("(seq 1 150000 >&3; echo >/tmp/written) & usleep 300000; [ ! -e /tmp/written ]");
    balloon_to(&mut run, 256);
    let total = kilobytes(&run.guest.shell("cat /proc/meminfo"), "MemTotal:");
    let keyboard = run.event_device("Virtio Keyboard");
    run.guest.shell(&format!(
        "evtest {keyboard} >/tmp/events 2>&1 & until grep -q Testing /tmp/events; do usleep 10000; done"
    ));
    key(&mut run, "q", true);
    run.guest
        .shell("until grep -q 'KEY_Q), value 1' /tmp/events; do usleep 10000; done");
    let listener = UnixListener::bind(run.path("vsock_6000")).unwrap();
    run.guest
        .type_line("sleep 9999 | socat - VSOCK-CONNECT:2:6000 >/dev/null 2>&1 &");
    let (mut there, _) = listener.accept().unwrap();
    there.set_read_timeout(Some(Duration::from_secs(60))).unwrap();

    let saved = run.path("saved").display().to_string();
    run.qmp.ok("migrate", json!({ "uri": format!("file:{saved}") }));
    until("the end of the migration", || {
        let status = run.qmp.ok("query-migrate", json!({}));
        assert_ne!(status["status"], "failed", "{status}");
        status["status"] == "completed"
    });
    run.qmp.ok("quit", json!({}));
    assert_eq!(run.guest.ended(), Some(0));
    let mut came = String::new();
    run.port.read_to_string(&mut came).unwrap();
    assert_eq!(
        there.read(&mut [0; 16]).unwrap(),
        0,
        "the host's side of the connection ends"
    );

    let mut run = Run::start(run.folder, &format!("-incoming file:{saved}"));
    // Ports are numbered as they were, and what was on the way to them comes first.
    let mut port = run.port.get_ref().try_clone().unwrap();
    let reader = std::thread::spawn(move || {
        let mut more = String::new();
        while !more.ends_with("\n150000\n") {
            let mut buffer = [0; 4096];
            let n = port.read(&mut buffer).unwrap();
            assert!(n > 0, "the port ends after {more}");
            more += std::str::from_utf8(&buffer[..n]).unwrap();
        }
        more
    });
    run.guest.type_line("");
    let more = reader.join().unwrap();
    let expected: String = (1..=150_000).map(|n| format!("{n}\n")).collect();
    assert!(expected.starts_with(&came) && expected.ends_with(&more));
    // What the back end had taken and nobody read is gone with the process, and nothing else.
    let gone = expected.len() as isize - (came.len() + more.len()) as isize;
    assert!((0..=64 << 10).contains(&gone), "{gone} bytes");
    run.guest
        .shell("until [ -e /tmp/written ]; do usleep 10000; done; read line <&3; [ $line = unread ]");
    // The balloon is what it was, and can become another.
    assert_eq!(run.qmp.ok("query-balloon", json!({}))["actual"], json!(256 << 20));
    assert_eq!(kilobytes(&run.guest.shell("cat /proc/meminfo"), "MemTotal:"), total);
    balloon_to(&mut run, 512);
    assert_eq!(
        kilobytes(&run.guest.shell("cat /proc/meminfo"), "MemTotal:"),
        total + (256 << 10)
    );
    // The key is down until it is let go.
    run.guest.shell("! grep -q 'KEY_Q), value 0' /tmp/events");
    key(&mut run, "q", false);
    run.guest
        .shell("until grep -q 'KEY_Q), value 0' /tmp/events; do usleep 10000; done");
    // Connections do not go along; the guest is told, and can make new ones.
    run.guest.shell("while pidof socat; do usleep 10000; done");
    sockets(&mut run, 6001);
    run.guest.type_line("poweroff -f");
    assert_eq!(run.guest.ended(), Some(0));
}
