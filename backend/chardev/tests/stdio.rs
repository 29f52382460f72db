//! `stdio` needs a process of its own: each test runs this program again with another `STDIO_CHILD`, and `child` plays that part.

mod common;

use common::Bench;
use rustix::fs::{Mode, OFlags};
use rustix::termios::{LocalModes, tcgetattr};
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Not a test by itself: the machine in the child process.
#[test]
#[ignore = "the other half of the tests in this file"]
fn child() {
    let Ok(part) = std::env::var("STDIO_CHILD") else { return };
    let mut b = Bench::new();
    let signal = if part.contains("guest-signals") { "off" } else { "on" };
    b.open("stdio", "c", &[("signal", signal)]);
    assert_eq!(
        b.error("stdio", &[]),
        "[backend] 'backend' can be stdio only once; give that chardev mux=on and share it"
    );
    let d = b.attach("c");
    match part.as_str() {
        "flood" => {
            // Somebody reads slowly or not at all: the machine goes on all the same.
            while b.write(d, &[b'#'; 1000]) == 1000 {}
            b.probe(d, |p, _| p.events.clear());
            std::fs::write(std::env::var("STDIO_NOTE").unwrap(), "full").unwrap();
            b.until_event(d, "writable");
            b.write(d, b"flowing again\n");
        }
        "panic" => {
            b.until("input", |b| b.received(d).contains('q'));
            b.write(d, b"panic now\n");
            panic!("as asked");
        }
        _ => {
            // Echoes until `q`, or says what came until the end.
            b.write(d, b"ready\n");
            let mut seen = 0;
            b.until("q", |b| {
                let all = b.received(d);
                let new = all[seen..].to_owned();
                seen = all.len();
                b.write(d, new.to_uppercase().as_bytes());
                all.contains('q')
            });
            b.write(d, b"bye\n");
            // After the end of the input output still goes.
            for _ in 0..5 {
                b.sys.host.wait(Some(Duration::from_millis(1))).unwrap();
            }
            b.write(d, b"still here\n");
        }
    }
    b.pump();
    b.close();
}

fn command(part: &str) -> Command {
    let mut c = Command::new(std::env::current_exe().unwrap());
    c.args(["--exact", "child", "--ignored", "--nocapture"]);
    c.env("STDIO_CHILD", part);
    c
}

fn read_until(from: &mut impl Read, end: &str) -> String {
    let mut text = String::new();
    let mut one = [0];
    while !text.ends_with(end) {
        match from.read(&mut one) {
            Ok(1) => text.push(one[0].into()),
            other => panic!("{other:?} before {end:?}, after {text:?}"),
        }
    }
    text
}

fn ends_well(mut child: Child) {
    assert!(child.wait().unwrap().success());
}

#[test]
fn pipes() {
    let mut child = command("echo")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut to, mut from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    read_until(&mut from, "ready\n");
    to.write_all(b"abc").unwrap();
    read_until(&mut from, "ABC");
    let flags = rustix::fs::fcntl_getfl(&to).unwrap() | rustix::fs::fcntl_getfl(&from).unwrap();
    assert!(!flags.contains(OFlags::NONBLOCK), "our ends are as they were");
    to.write_all(b"q").unwrap();
    drop(to);
    let rest = read_until(&mut from, "still here\n");
    assert!(rest.starts_with("Qbye\n"), "{rest:?}");
    ends_well(child);
}

#[test]
fn shared_pipes_stay_blocking() {
    // The write end that the child has as its standard output is the test's too.
    let (reader, writer) = std::io::pipe().unwrap();
    let ours = writer.try_clone().unwrap();
    let mut child = command("echo").stdin(Stdio::piped()).stdout(writer).spawn().unwrap();
    let mut reader = reader;
    read_until(&mut reader, "ready\n");
    assert!(!rustix::fs::fcntl_getfl(&ours).unwrap().contains(OFlags::NONBLOCK));
    child.stdin.take().unwrap().write_all(b"q").unwrap();
    read_until(&mut reader, "still here\n");
    drop(ours);
    std::io::copy(&mut reader, &mut std::io::sink()).unwrap();
    ends_well(child);
}

#[test]
fn sockets_as_standard_input_and_output() {
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    let (mut near, far) = UnixStream::pair().unwrap();
    let far2: OwnedFd = far.try_clone().unwrap().into();
    let child = command("echo").stdin(OwnedFd::from(far)).stdout(far2).spawn().unwrap();
    read_until(&mut near, "ready\n");
    near.write_all(b"xyq").unwrap();
    read_until(&mut near, "XYQ");
    read_until(&mut near, "still here\n");
    std::io::copy(&mut near, &mut std::io::sink()).unwrap();
    ends_well(child);
}

#[test]
fn files() {
    let dir = tempfile::tempdir().unwrap();
    let (input, output) = (dir.path().join("in"), dir.path().join("out"));
    std::fs::write(&input, "from a file: q").unwrap();
    let child = command("echo")
        .stdin(File::open(&input).unwrap())
        .stdout(File::create(&output).unwrap())
        .spawn()
        .unwrap();
    ends_well(child);
    let text = std::fs::read_to_string(output).unwrap();
    assert!(text.contains("FROM A FILE: Q"), "{text}");
    assert!(text.contains("still here"), "{text}");
}

#[test]
fn a_reader_that_stops_holds_up_the_device_and_not_the_machine() {
    let dir = tempfile::tempdir().unwrap();
    let note = dir.path().join("note");
    let mut child = command("flood")
        .env("STDIO_NOTE", &note)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut from = child.stdout.take().unwrap();
    // The machine runs on with a full pipe: it writes the note.
    while !note.exists() {
        assert!(child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(5));
    }
    let text = read_until(&mut from, "flowing again\n");
    assert!(text.matches('#').count() > 64 << 10);
    std::io::copy(&mut from, &mut std::io::sink()).unwrap();
    ends_well(child);
}

#[test]
fn a_reader_that_leaves_does_not_end_the_machine() {
    let mut child = command("echo")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut from = child.stdout.take().unwrap();
    read_until(&mut from, "ready\n");
    drop(from);
    let mut to = child.stdin.take().unwrap();
    to.write_all(b"more q").unwrap();
    // The harness around the child cannot print its verdict, so only this much is asked: no signal ended it.
    let status = child.wait().unwrap();
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&status),
        None,
        "{status:?}"
    );
}

/// A terminal, and the child on its other side as leader of a session.
fn on_a_terminal(part: &str) -> (File, File, Child) {
    let exe = std::env::current_exe().unwrap();
    let exe = exe.to_str().unwrap();
    session(part, &[exe, "--exact", "child", "--ignored", "--nocapture"])
}

/// A terminal, and a session of that command on its other side.
fn session(part: &str, command: &[&str]) -> (File, File, Child) {
    let master = rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY).unwrap();
    rustix::pty::grantpt(&master).unwrap();
    rustix::pty::unlockpt(&master).unwrap();
    let name = rustix::pty::ptsname(&master, Vec::new()).unwrap();
    let tty = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    let tty = File::from(tty);
    // setsid(1) makes the terminal its own, as a login would.
    let child = Command::new("setsid")
        .args(["--ctty", "--wait"])
        .args(command)
        .env("STDIO_CHILD", part)
        .stdin(tty.try_clone().unwrap())
        .stdout(tty.try_clone().unwrap())
        .stderr(tty.try_clone().unwrap())
        .spawn()
        .unwrap();
    (File::from(master), tty, child)
}

#[test]
fn a_terminal_is_raw_and_then_as_before() {
    let (mut master, tty, child) = on_a_terminal("echo");
    let before = tcgetattr(&tty).unwrap();
    assert!(
        before
            .local_modes
            .contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    );
    read_until(&mut master, "ready\r\n");
    let during = tcgetattr(&tty).unwrap();
    assert!(!during.local_modes.intersects(LocalModes::ICANON | LocalModes::ECHO));
    assert!(
        during.local_modes.contains(LocalModes::ISIG),
        "Ctrl-C still ends the run"
    );
    assert!(!rustix::fs::fcntl_getfl(&tty).unwrap().contains(OFlags::NONBLOCK));
    // No line end needed, and no echo in between.
    master.write_all(b"k").unwrap();
    assert_eq!(read_until(&mut master, "K"), "K");
    master.write_all(b"q").unwrap();
    read_until(&mut master, "still here\r\n");
    drain(&mut master, child);
    let after = tcgetattr(&tty).unwrap();
    assert_eq!(after.local_modes, before.local_modes);
    assert_eq!(after.input_modes, before.input_modes);
}

#[test]
fn a_background_job_leaves_the_terminal_to_the_shell() {
    let exe = std::env::current_exe().unwrap();
    let script = r#""$0" --exact child --ignored --nocapture & read line; echo "shell got $line"; fg >/dev/null"#;
    let (mut master, tty, child) = session("echo", &["bash", "-mc", script, exe.to_str().unwrap()]);
    read_until(&mut master, "ready\r\n");
    assert!(tcgetattr(&tty).unwrap().local_modes.contains(LocalModes::ICANON));
    master.write_all(b"a line\n").unwrap();
    let text = read_until(&mut master, "shell got a line\r\n");
    assert!(!text.contains("A LINE"), "{text}");
    // In the foreground it takes the terminal after a while.
    let end = std::time::Instant::now() + Duration::from_secs(20);
    while tcgetattr(&tty).unwrap().local_modes.contains(LocalModes::ICANON) {
        assert!(std::time::Instant::now() < end, "it never took the terminal");
        std::thread::sleep(Duration::from_millis(20));
    }
    master.write_all(b"q").unwrap();
    read_until(&mut master, "Qbye\r\n");
    drain(&mut master, child);
}

#[test]
fn with_signal_off_the_guest_gets_ctrl_c() {
    let (mut master, tty, child) = on_a_terminal("guest-signals");
    read_until(&mut master, "ready\r\n");
    assert!(!tcgetattr(&tty).unwrap().local_modes.contains(LocalModes::ISIG));
    master.write_all(b"\x03q").unwrap();
    read_until(&mut master, "\x03Qbye\r\n");
    drain(&mut master, child);
}

#[test]
fn a_panic_gives_the_terminal_back() {
    let (mut master, tty, child) = on_a_terminal("panic");
    let before = tcgetattr(&tty).unwrap();
    master.write_all(b"q").unwrap();
    read_until(&mut master, "panic now\r\n");
    drain(&mut master, child);
    assert_eq!(tcgetattr(&tty).unwrap().local_modes, before.local_modes);
}

/// Waits for the end, reading what the harness prints so that it can.
fn drain(master: &mut File, mut child: Child) {
    let mut reader = master.try_clone().unwrap();
    std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
    child.wait().unwrap();
}
