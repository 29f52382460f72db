//! Resets, power-off and crashes: what monitors hear, what `-no-reboot`, `-no-shutdown` and `-action` make of it, and the status.

mod common;

use common::qmp::Client;
use common::{Guard, firmware, program};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Stdio;

struct Run {
    guard: Guard,
    client: Client,
    _folder: tempfile::TempDir,
}

impl Run {
    /// A machine that stands before its first instruction; `DIR` in its words is a folder with the firmware of this file.
    fn new(words: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write_firmware(folder.path());
        let path = folder.path().join("qmp");
        let words = words.replace("DIR", folder.path().to_str().unwrap());
        let child = program()
            .args(["-S", "-nodefaults", "-display", "none"])
            .args(["-qmp", &format!("unix:{},server=on,wait=off", path.display())])
            .args(words.split_whitespace())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let guard = Guard(child);
        let mut client = Client::ready(&path);
        client.ok("cont", json!({}));
        Self {
            guard,
            client,
            _folder: folder,
        }
    }

    /// What happens until the process ends, in short, and its status.
    fn end(mut self) -> (String, i32) {
        let events = self.client.events_to_the_end();
        let status = self.guard.0.wait().unwrap();
        (short(&events), status.code().unwrap())
    }

    /// What happens until the machine stands.
    fn stand(&mut self) -> String {
        let mut events = Vec::new();
        loop {
            let v = self.client.receive();
            let name = v["event"].as_str().unwrap_or_default().to_owned();
            let stands = name == "STOP";
            events.push((name, v.get("data").cloned().unwrap_or_default()));
            if stands {
                return short(&events);
            }
        }
    }

    fn status(&mut self) -> Value {
        self.client.ok("query-status", json!({}))["status"].clone()
    }
}

fn short(events: &[(String, Value)]) -> String {
    let one = |(name, data): &(String, Value)| {
        let word = |key| data.get(key).and_then(Value::as_str).map(str::to_owned);
        match (word("reason"), word("action")) {
            (Some(reason), _) => {
                // Exactly these two.
                assert_eq!(data.as_object().unwrap().len(), 2, "{data}");
                assert_eq!(data["guest"], reason.starts_with("guest"), "{data}");
                format!("{name}:{reason}")
            }
            (None, Some(action)) => format!("{name}:{action}"),
            _ => name.clone(),
        }
    };
    let all: Vec<_> = events.iter().map(one).filter(|t| t != "RESUME").collect();
    all.join(" ")
}

fn write_firmware(folder: &Path) {
    let file = |name: &str, words: &[u32]| {
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        std::fs::write(folder.join(name), bytes).unwrap();
    };
    // Stack and start; ldr r0, AIRCR; ldr r1, SYSRESETREQ with its key; str r1, [r0]; b .
    file(
        "reset.bin",
        &[0x2000_1000, 0x9, 0x4902_4801, 0xe7fe_6001, 0xe000_ed0c, 0x05fa_0004],
    );
    // lui t0, 0x100; lui t1, high; addi t1, t1, low; sw t1, 0(t0); j .
    let finisher = |high: u32, low: u32| {
        [
            0x0010_02b7,
            high << 12 | 0x337,
            low << 20 | 0x0003_0313,
            0x0062_a023,
            0x6f,
        ]
    };
    file("off.bin", &finisher(0x5, 0x555));
    file("fail.bin", &finisher(0x33, 0x333));
    file("again.bin", &finisher(0x7, 0x777));
}

const RESETS: &str = "-M lm3s6965evb -kernel DIR/reset.bin";
const LOCKS_UP: &str = "-M lm3s6965evb";

fn virt(image: &str) -> String {
    format!("-M virt -bios DIR/{image}.bin")
}

#[test]
fn a_guest_that_wants_a_reset() {
    for machine in [RESETS.to_owned(), virt("again")] {
        for words in ["-no-reboot", "-action reboot=shutdown"] {
            let run = Run::new(&format!("{machine} {words}"));
            assert_eq!(run.end(), ("SHUTDOWN:guest-reset".into(), 0), "{machine} {words}");
        }
        let mut run = Run::new(&format!("{machine} -no-reboot -no-shutdown"));
        assert_eq!(run.stand(), "SHUTDOWN:guest-reset STOP");
        assert_eq!(run.status(), "shutdown");
        let mut run = Run::new(&format!("{machine} -action reboot=reset"));
        for _ in 0..2 {
            let data = run.client.event("RESET")["data"].clone();
            assert_eq!(data, json!({"guest": true, "reason": "guest-reset"}));
        }
        assert!(run.guard.terminate().success());
    }
}

#[test]
fn a_guest_that_switches_off() {
    let run = Run::new(&virt("off"));
    assert_eq!(run.end(), ("SHUTDOWN:guest-shutdown".into(), 0));
    // The finisher's other word is a failure, with a number.
    assert_eq!(Run::new(&virt("fail")).end(), ("SHUTDOWN:guest-panic".into(), 3));
    for words in ["-no-shutdown", "-action shutdown=pause"] {
        let mut run = Run::new(&format!("{} {words}", virt("off")));
        assert_eq!(run.stand(), "SHUTDOWN:guest-shutdown STOP");
        assert_eq!(run.status(), "shutdown");
        let refused = run.client.run("cont", json!({}));
        assert_eq!(refused["error"]["class"], "GenericError");
        run.client.ok("system_reset", json!({}));
        assert_eq!(run.status(), "prelaunch");
        run.client.ok("set-action", json!({"shutdown": "poweroff"}));
        run.client.ok("cont", json!({}));
        assert_eq!(run.end(), ("SHUTDOWN:guest-shutdown".into(), 0), "{words}");
    }
    // A program under a debugger ends by semihosting: heard once.
    let kernel = firmware("hello-mps2-an385.elf");
    let run = Run::new(&format!("-M mps2-an385 -semihosting -kernel {kernel}"));
    assert_eq!(run.end().0, "SHUTDOWN:guest-shutdown");
}

#[test]
fn somebody_outside_resets_and_ends() {
    let waits = virt("off") + " -no-shutdown";
    let mut run = Run::new(&waits);
    run.stand();
    run.client.ok("system_reset", json!({}));
    run.client.ok("quit", json!({}));
    // Although the user wants machines to stay.
    assert_eq!(run.end(), ("SHUTDOWN:host-qmp-quit".into(), 0));

    let mut run = Run::new(&format!("{waits} -no-reboot"));
    run.stand();
    run.client.ok("system_reset", json!({}));
    let data = run.client.event("SHUTDOWN")["data"].clone();
    assert_eq!(data, json!({"guest": false, "reason": "host-qmp-system-reset"}));
    assert_eq!(run.status(), "shutdown");
    common::signal("INT", run.guard.0.id());
    assert_eq!(run.end(), ("SHUTDOWN:host-signal".into(), 0));

    let mut run = Run::new(&format!("{RESETS} -no-reboot -no-shutdown"));
    run.stand();
    run.client
        .ok("set-action", json!({"reboot": "shutdown", "shutdown": "poweroff"}));
    run.client.ok("system_reset", json!({}));
    assert_eq!(run.end(), ("SHUTDOWN:host-qmp-system-reset".into(), 0));
}

#[test]
fn a_guest_that_cannot_go_on() {
    let off = "GUEST_PANICKED:poweroff STOP SHUTDOWN:guest-panic";
    for words in ["", "-action panic=shutdown", "-action panic=exit-failure"] {
        let run = Run::new(&format!("{LOCKS_UP} {words}"));
        assert_eq!(run.end(), (off.into(), 1), "{words}");
    }
    // What stays when it is switched off stays when it crashes.
    for words in ["-action panic=pause", "-no-shutdown"] {
        let mut run = Run::new(&format!("{LOCKS_UP} {words}"));
        assert_eq!(run.stand(), "GUEST_PANICKED:pause STOP", "{words}");
        assert_eq!(run.status(), "guest-panicked", "{words}");
        assert!(run.guard.terminate().success());
    }
    // A processor that is locked up stands, whatever else is done.
    let mut run = Run::new(&format!("{LOCKS_UP} -action panic=none"));
    assert_eq!(run.stand(), "GUEST_PANICKED:pause STOP");
    run.client.ok("set-action", json!({"panic": "exit-failure"}));
    run.client.ok("system_reset", json!({}));
    run.client.ok("cont", json!({}));
    assert_eq!(run.end(), (off.into(), 1));
    let mut run = Run::new(&format!("{LOCKS_UP} -action panic=exit-failure,shutdown=pause"));
    assert_eq!(run.stand(), "GUEST_PANICKED:poweroff STOP");
    run.client.event("SHUTDOWN");
    assert_eq!(run.status(), "shutdown");
}
