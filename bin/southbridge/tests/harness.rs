//! Lines as test harnesses write them: they listen, the program connects for qtest and QMP, and ends when it is told to.

mod common;

use common::{Guard, err, program, run, wait};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// What harnesses add to their lines and machines must take.
const WORDS: [&str; 30] = [
    "",
    "-nodefaults",
    "-S",
    "-net none",
    "-nic none",
    "-vga none",
    "-monitor none",
    "-parallel none",
    "-serial none",
    "-no-shutdown",
    "-no-reboot",
    "-nodefaults -S -net none -nic none -vga none -monitor none -parallel none -serial none",
    "-name x,debug-threads=on",
    "-uuid 12345678-1234-1234-1234-123456789abc",
    "-global driver=pl011,property=migrate-clk,value=off",
    "-rtc base=2020-01-01T00:00:00",
    "-rtc base=utc,clock=vm",
    "-boot order=c,menu=on",
    "-sandbox off",
    "-msg timestamp=on",
    "-overcommit mem-lock=off",
    "-D DIR/log -d unimp,guest_errors",
    "-pidfile DIR/pid",
    "-readconfig DIR/in",
    "-writeconfig DIR/out",
    "-no-user-config",
    "-accel tcg",
    "-accel kvm -accel tcg",
    "-smp 1",
    "-action reboot=shutdown,shutdown=pause,panic=pause",
];

fn accept(listener: &UnixListener, child: &mut Guard, line: &str) -> UnixStream {
    listener.set_nonblocking(true).unwrap();
    let mut found = None;
    wait(line, || {
        assert_eq!(child.0.try_wait().unwrap(), None, "{line}");
        found = listener.accept().ok();
        found.is_some()
    });
    let stream = found.unwrap().0;
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

fn answer(stream: &mut BufReader<UnixStream>, line: &str) -> Value {
    loop {
        let mut text = String::new();
        stream.read_line(&mut text).unwrap();
        let v: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{line}: {text:?}"));
        if v.get("event").is_none() {
            return v;
        }
    }
}

fn harness(machine: &str, words: &str, folder: &Path) {
    let line = format!("{machine} | {words}");
    let path = |name: &str| folder.join(name).display().to_string();
    for old in ["q", "m"] {
        let _ = std::fs::remove_file(path(old));
    }
    let (q, m) = (
        UnixListener::bind(path("q")).unwrap(),
        UnixListener::bind(path("m")).unwrap(),
    );
    let all = format!(
        "-qtest unix:{} -qtest-log /dev/null -chardev socket,path={},id=char0 -mon chardev=char0,mode=control \
         -display none -audio none -accel qtest -machine {machine} {}",
        path("q"),
        path("m"),
        words.replace("DIR", &folder.display().to_string())
    );
    let mut command = program();
    command
        .args(all.split_whitespace())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = Guard(command.spawn().unwrap());
    let mut qtest = accept(&q, &mut child, &line);
    let mut qmp = accept(&m, &mut child, &line);
    let mut lines = BufReader::new(qmp.try_clone().unwrap());
    assert!(answer(&mut lines, &line)["QMP"].is_object());
    qmp.write_all(b"{\"execute\": \"qmp_capabilities\"}\n").unwrap();
    assert!(answer(&mut lines, &line)["return"].is_object());
    qtest.write_all(b"clock_step 1000\nendianness\n").unwrap();
    let mut said = [0; 18];
    qtest.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"OK 1000\nOK little\n", "{line}");
    qmp.write_all(b"{\"execute\": \"quit\"}\n").unwrap();
    assert!(answer(&mut lines, &line)["return"].is_object());
    drop(qtest);
    let status = child.0.wait().unwrap();
    let mut complaint = String::new();
    child.0.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
    assert_eq!((status.code(), complaint.as_str()), (Some(0), ""), "{line}");
}

#[test]
fn every_machine_takes_the_lines_of_harnesses() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("in"), "[name]\n  guest = \"from a file\"\n").unwrap();
    for machine in ["none", "lm3s6965evb", "mps2-an385", "virt"] {
        for words in WORDS {
            harness(machine, words, folder.path());
        }
    }
}

/// What cannot be had is an error that says what would be right, at once and before anything listens.
#[test]
fn what_is_not_here_says_what_would_be_right() {
    for (words, hint) in [
        ("-sandbox on,spawn=deny", "write -sandbox off"),
        ("-accel kvm", "-accel tcg"),
        ("-accel kvm:tcg", "give -accel once for each"),
        ("-preconfig", "-S"),
        ("-cpu max", "there is cortex-m3"),
        ("-smp 2", "takes 1"),
        ("-boot order=zz", "letters from a to p"),
        ("-overcommit mem-lock=on", "mem-lock=off"),
        ("-global pl011.foo=1", "it takes chardev"),
        ("-uuid x", "a UUID, such as"),
        ("-rtc base=yesterday", "base"),
        ("-nosuchoption", "no option"),
    ] {
        let result = run(program().args("-M lm3s6965evb".split(' ')).args(words.split(' ')));
        let said = err(&result);
        assert_eq!(result.status.code(), Some(1), "{words}: {said}");
        assert!(said.contains(hint), "{words}: {said}");
        assert!(!said.contains("panicked"), "{words}: {said}");
    }
    let result = run(program().args("-M lm3s6965evb -kernel /nope -msg timestamp=on,guest-name=on -name g".split(' ')));
    let said = err(&result);
    let (time, rest) = said.split_once(' ').unwrap();
    assert!(
        time.len() == 27 && time.ends_with('Z') && time.starts_with("2"),
        "{said}"
    );
    assert!(rest.starts_with("g "), "{said}");
}
