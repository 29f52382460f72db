//! The human monitor from outside: on standard input, beside a guest on one terminal, and on a socket beside QMP.

mod common;

use common::{Guard, program, wait};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::Duration;

fn typed(args: &[&str], keys: &str) -> String {
    let mut child = program()
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(keys.as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "{out:?}");
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn a_script_on_standard_input() {
    let args = [
        "-M",
        "mps2-an385",
        "-display",
        "none",
        "-serial",
        "null",
        "-S",
        "-monitor",
        "stdio",
    ];
    let out = typed(&args, "info status\np/x 6*7\nquit\n");
    assert!(
        out.starts_with("QEMU 10.0.2 monitor - type 'help' for more information"),
        "{out}"
    );
    assert!(
        out.contains("(qemu) info status\r\nVM status: paused (prelaunch)\r\n(qemu) p/x 6*7\r\n0x2a\r\n"),
        "{out}"
    );
}

#[test]
fn a_terminal_shared_with_the_guest() {
    let out = typed(
        &["-M", "mps2-an385", "-nographic", "-S"],
        "for the guest\x01cinfo name\nquit\n",
    );
    assert!(
        out.starts_with("QEMU 10.0.2 monitor") && out.contains("(qemu) info name\r\n"),
        "{out}"
    );
}

#[test]
fn a_socket_beside_qmp() {
    let dir = tempfile::tempdir().unwrap();
    let (human, qmp) = (dir.path().join("human"), dir.path().join("qmp"));
    let child = program()
        .args(["-M", "mps2-an385", "-display", "none", "-S", "-mon", "h", "-chardev"])
        .arg(format!("socket,id=h,path={},server=on,wait=off", human.display()))
        .arg("-qmp")
        .arg(format!("unix:{},server=on,wait=off", qmp.display()))
        .spawn()
        .unwrap();
    let mut child = Guard(child);
    let mut stream = None;
    wait("the sockets", || {
        stream = UnixStream::connect(&human).ok();
        stream.is_some()
    });
    let mut human = stream.unwrap();
    human.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    wait("QMP", || qmp.exists());
    let mut program = UnixStream::connect(&qmp).unwrap();
    program.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut lines = BufReader::new(program.try_clone().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    let commands = r#"{"execute":"qmp_capabilities"}
        {"execute":"human-monitor-command","arguments":{"command-line":"info status"}}"#;
    program.write_all(commands.as_bytes()).unwrap();
    line.clear();
    lines.read_line(&mut line).unwrap();
    lines.read_line(&mut line).unwrap();
    assert!(line.contains(r#""VM status: paused (prelaunch)\r\n""#), "{line}");
    human.write_all(b"system_reset\nquit\n").unwrap();
    let mut text = String::new();
    human.read_to_string(&mut text).unwrap();
    assert!(text.contains("(qemu) system_reset\r\n(qemu) quit\r\n"), "{text}");
    let mut events = String::new();
    lines.read_to_string(&mut events).unwrap();
    let at = |name: &str| events.find(&format!("\"{name}\""));
    assert!(at("RESET").is_some() && at("RESET") < at("SHUTDOWN"), "{events}");
    assert!(child.0.wait().unwrap().success());
}
