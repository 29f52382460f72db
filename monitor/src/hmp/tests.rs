//! Consoles as people and scripts use them, on real boards.

use southbridge_backend_chardev::Chardevs;
use southbridge_backend_chardev::testing::Loop;
use southbridge_core::machine::Outcome;
use southbridge_core::{Attendant, BackendId, ClockRate, Machine, VirtualTime};
use southbridge_machine::add::{Spec, Surroundings, add_device};
use southbridge_machine::build::{Options, build};
use southbridge_machine::{BOARDS, Objects, registry};
use std::time::Duration;

use super::*;
use crate::Facts;
use crate::schema::SysEmuTarget;

struct Bench {
    machine: Machine,
    monitor: Monitor,
    terminal: Loop,
}

fn machine_and_world(board: &str, prepare: impl FnOnce(&mut Machine) -> Vec<Option<BackendId>>) -> (Machine, World) {
    let mut machine = Machine::empty(ClockRate::Hz(1)).unwrap();
    let board = BOARDS.iter().find(|b| b.name == board).unwrap();
    let options = Options {
        serial: prepare(&mut machine),
        ..Options::default()
    };
    let built = build(machine, board, &registry(), &options).unwrap();
    let mut machine = built.machine;
    machine.start_paused = true;
    machine.start();
    let facts = Facts {
        name: Some("bench".into()),
        uuid: [0x5a; 16],
        target: SysEmuTarget::Arm,
        machines: Vec::new(),
        kernel: String::new(),
        append: String::new(),
    };
    let world = World::new(facts, built.layout, registry(), Chardevs::default(), Objects::default());
    (machine, world)
}

/// A console on a channel; `shared` puts it behind the menu, with the first serial port before it.
fn bench(board: &str, shared: bool) -> Bench {
    let mut terminal = None;
    let mut console = None;
    let (mut machine, mut world) = machine_and_world(board, |machine| {
        let (id, peer) = Loop::new(&mut machine.sys);
        (terminal, console) = (Some(peer), Some(id));
        if shared {
            let (chardev, _) = machine
                .sys
                .host
                .get::<southbridge_backend_chardev::Chardev>(id)
                .unwrap();
            chardev.share(1);
            return vec![Some(id)];
        }
        Vec::new()
    });
    assert!(world.chardevs.adopt("mon0", console.unwrap()));
    let mut monitor = Monitor::new(world);
    monitor.listen_human(&mut machine, "mon0", false).unwrap();
    let mut bench = Bench {
        machine,
        monitor,
        terminal: terminal.unwrap(),
    };
    bench.pump();
    bench
}

impl Bench {
    fn pump(&mut self) {
        for _ in 0..4 {
            self.machine.sys.host.wait(Some(Duration::ZERO)).unwrap();
            self.machine.sys.deliver_completions();
            self.monitor.attend(&mut self.machine);
        }
        self.machine.sys.host.wait(Some(Duration::ZERO)).unwrap();
    }

    fn type_in(&mut self, keys: &str) -> String {
        self.terminal.feed(keys.as_bytes());
        self.pump();
        String::from_utf8(self.terminal.take()).unwrap()
    }

    /// A line as a script sends it: what comes back, without echo and prompt.
    fn run(&mut self, line: &str) -> String {
        self.monitor.with(&mut self.machine, |cx| execute(cx, line))
    }

    /// A conversation as a person sees it.
    fn transcript(&mut self, lines: &[&str]) -> String {
        let mut out = String::new();
        for line in lines {
            out += &format!("(qemu) {line}\n{}", self.run(line));
        }
        // Only where it is shown as such: its digits may stand in any dump.
        out.replace(&format!("thread_id={}", std::process::id()), "thread_id=PID")
    }
}

#[test]
fn a_console_greets_echoes_and_prompts() {
    let mut b = bench("mps2-an385", false);
    let greeting = String::from_utf8(b.terminal.take()).unwrap();
    assert!(
        greeting.starts_with("QEMU 10.0.2 monitor - type 'help' for more information"),
        "{greeting}"
    );
    assert!(
        greeting.contains("Southbridge") && greeting.ends_with("\r\n(qemu) "),
        "{greeting}"
    );
    assert_eq!(
        b.type_in("info status\r\n"),
        "info status\r\nVM status: paused (prelaunch)\r\n(qemu) "
    );
    assert_eq!(b.type_in("\n"), "\r\n(qemu) ");
    assert_eq!(b.type_in("foo\n"), "foo\r\nunknown command: 'foo'\r\n(qemu) ");
}

/// What a terminal of one line shows in the end.
fn screen(output: &str) -> String {
    let (mut line, mut at): (Vec<char>, usize) = (Vec::new(), 0);
    let mut chars = output.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\x1b' {
            line.truncate(line.len().max(at));
            if at < line.len() {
                line[at] = c;
            } else {
                line.push(c);
            }
            at += 1;
            continue;
        }
        assert_eq!(chars.next(), Some('['));
        let mut n = 0;
        while let Some(d) = chars.peek().and_then(|c| c.to_digit(10)) {
            n = 10 * n + d as usize;
            chars.next();
        }
        match chars.next() {
            Some('D') => at -= n,
            Some('C') => at += n,
            Some('K') => line.truncate(at),
            other => panic!("{other:?}"),
        }
    }
    line.into_iter().collect()
}

#[test]
fn lines_are_edited() {
    let cases = [
        ("abc\x7f\x7fd", "ad"),
        ("abc\x01x\x05y", "xabcy"),
        ("abc\x1b[D\x1b[DX", "aXbc"),
        ("abc\x1b[H\x1b[3~", "bc"),
        ("abc\x1bOH\x1b[C\x0b", "a"),
        ("one two  three\x17!", "one two  !"),
        ("one two\x1b[D\x15", "o"),
        ("one two\x1b[1~\x1b[4~s", "one twos"),
        ("one two\x1bb\x1bd\x1bbX", "Xone "),
        ("grün\x7f\x7fß", "grß"),
        ("a\x02b\x06c\x04", "bac"),
        ("abc\x03x", "x"),
        ("\x1b[1;5D\x1b[99999999Zok", "ok"),
    ];
    for (keys, expected) in cases {
        let mut e = line::Editor::default();
        keys.bytes()
            .for_each(|k| assert_eq!(e.key(k), line::Key::Nothing, "{keys:?}"));
        assert_eq!(screen(&e.take_echo()), expected, "{keys:?} on the screen");
        assert_eq!(e.key(b'\r'), line::Key::Line(expected.into()), "{keys:?}");
    }
}

#[test]
fn history_is_gone_through() {
    let mut e = line::Editor::default();
    let mut lines = Vec::new();
    let typed = "one\rtwo\r\rone\rtyp\x1b[A\x1b[A\x1b[B\x1b[Bed\x10\x10 2\r";
    for k in typed.bytes() {
        if let line::Key::Line(l) = e.key(k) {
            lines.push(l);
        }
    }
    assert_eq!(lines, ["one", "two", "", "one", "two 2"]);
    assert_eq!(e.history(), ["two", "one", "two 2"], "each line once, the newest last");
    for n in 0..200 {
        format!("line {n}\r").bytes().for_each(|k| drop(e.key(k)));
    }
    assert_eq!(e.history().len(), 64);
    (0..10_000).for_each(|_| drop(e.key(b'x')));
    assert!(
        matches!(e.key(b'\r'), line::Key::Line(l) if l.len() == 4095),
        "a line has an end"
    );
}

#[test]
fn completion_is_from_the_tables() {
    let mut b = bench("mps2-an385", false);
    b.terminal.take();
    assert_eq!(b.type_in("system_r\t\r"), "system_reset \r\n(qemu) ");
    let listed = b.type_in("info q\t");
    assert_eq!(listed, "info q\r\nqom-tree  qtree\r\n(qemu) info q");
    assert_eq!(b.type_in("t\t\x15"), "tree \x1b[11D\x1b[K");
    let mut complete = |line: &str| {
        let found = b.monitor.with(&mut b.machine, |cx| complete::candidates(cx, line));
        (found.addition(), found.words)
    };
    assert_eq!(complete("he").0.as_deref(), Some("lp "));
    assert_eq!(complete("help info reg").0.as_deref(), Some("isters "));
    assert_eq!(complete("qom-list /mach").0.as_deref(), Some("ine "));
    assert_eq!(complete("qom-list /machine/arm").0.as_deref(), Some("v7m "));
    assert_eq!(complete("qom-set -j /machine/arm").0.as_deref(), Some("v7m "));
    assert_eq!(complete("info qom-tree /chardevs/m").0.as_deref(), Some("on0 "));
    assert_eq!(complete("chardev-remove ").0.as_deref(), Some("mon0 "));
    assert_eq!(complete("trace-event mmio_* o").1, ["off", "on"]);
    assert_eq!(
        complete("device_add ivshmem-flat,chardev=x,x-irq").0.as_deref(),
        Some("-qompath=")
    );
    assert_eq!(complete("device_add ivshmem-flat,chardev=").1, Vec::<String>::new());
    assert!(complete("device_add ivshmem-f").0.is_some_and(|a| a.starts_with("lat")));
    assert_eq!(complete("device_add ivshmem-flat,chard").0.as_deref(), Some("ev="));
    assert_eq!(complete("chardev-add null,i").0.as_deref(), Some("d="));
    assert_eq!(complete("nothing at all").1, Vec::<String>::new());
    assert_eq!(complete("x /4xw ").1, Vec::<String>::new());
}

#[test]
fn every_command_has_help_and_a_short_line() {
    let mut b = bench("mps2-an385", false);
    for c in COMMANDS.iter().filter(|c| c.names[0] != "info") {
        for name in c.names {
            let text = b.run(&format!("help {name}"));
            assert!(
                text.starts_with(&c.names.join("|")) && text.contains(" -- ") && text.len() < 160,
                "{text}"
            );
        }
    }
    let mut names: Vec<_> = COMMANDS.iter().flat_map(|c| c.names).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), COMMANDS.iter().map(|c| c.names.len()).sum::<usize>());
    insta::assert_snapshot!(b.transcript(&["help", "help info", "help info mtree", "help foo", "info", "help a b"]));
}

#[test]
fn what_a_board_looks_like() {
    let mut b = bench("lm3s6965evb", false);
    insta::assert_snapshot!(b.transcript(&[
        "info name",
        "info uuid",
        "info status",
        "info cpus",
        "info registers",
        "info registers 1",
        "info chardev",
        "info qtree -b",
        "info qtree",
        "info mtree",
        "info mtree -f",
        "info qom-tree",
        "info qom-tree /chardevs",
        "info irq",
        "info pic",
        "info roms",
        "info snapshots",
    ]));
}

#[test]
fn memory_and_expressions() {
    let mut b = bench("mps2-an385", false);
    let code = [
        0x08, 0x4b, 0x00, 0xf0, 0x12, 0xf8, 0x00, 0xbf, 0xfe, 0xe7, b'\'', b'A', 0xff, 0x80, 0, 0,
    ];
    b.machine.sys.write_bytes(0x2000_0000, &code).unwrap();
    insta::assert_snapshot!(b.transcript(&[
        "xp /8xb 0x20000000",
        "x 0x20000000",
        "xp /2xg 0x20000000",
        "xp /3dh 0x2000000c",
        "xp /2ub 0x2000000c",
        "xp /2ow 0x20000000",
        "xp /6cb 0x20000008",
        "x /4i 0x20000000",
        "x /2i 0x3fffffff",
        "x /4xw 0x203ffff8+8",
        "x /xw 0xf0000000",
        "x /2xw 0xe000ed00",
        "x/1xw 0x20000004",
        "xp /9z 0",
        "xp /99999999999999999999x 0",
        "xp /9999999x 0",
        "x",
        "x 1 2",
        "x 0x",
        "p 1+2*3",
        "p (1+2)*3",
        "p 6&3+1",
        "p/x ~0",
        "p/o 8",
        "p/c 65",
        "p -7/2",
        "p -7%3",
        "print $r13",
        "p $nope",
        "p 1/0",
        "p 'a'",
        "p 017",
        "p 08",
        "p (1",
        "p $pc + 4",
        "p 0x8000000000000000/-1",
        "i/w 0x10",
        "i 0x3f8",
        "o /b 0x10 1",
        "o 0x10",
        "i/g 0",
    ]));
    assert!(b.run(&format!("p {}1", "(".repeat(10_000))).contains("too deep"));
    assert!(b.run(&format!("p {}1", "-~".repeat(10_000))).contains("too deep"));
}

#[test]
fn running_and_snapshots() {
    let mut b = bench("mps2-an385", false);
    let text = b.transcript(&[
        "cont",
        "info status",
        "stop",
        "info status",
        "cont 3",
        "system_powerdown",
        "nmi",
        "loadvm here",
        "savevm here",
    ]);
    insta::assert_snapshot!(text);
    let first = b.machine.sys.clock.now();
    b.machine.sys.write(0x2000_0100, 4, 0x1234).unwrap();
    b.machine.sys.advance_to(VirtualTime(first.0 + 5_000_000));
    b.run("savevm there");
    let listed = b.run("info snapshots");
    let lines: Vec<_> = listed.lines().collect();
    assert_eq!(lines.len(), 4, "{listed}");
    assert!(
        lines[1].starts_with("ID      TAG               VM_SIZE                DATE"),
        "{listed}"
    );
    assert!(
        lines[2].starts_with("--      here") && lines[3].contains(" 0000:00:00.005 "),
        "{listed}"
    );
    assert_eq!(b.run("loadvm here"), "");
    assert_eq!(
        (b.machine.sys.clock.now(), b.machine.sys.read(0x2000_0100, 4)),
        (first, Ok(0))
    );
    assert_eq!(b.run("loadvm there"), "");
    assert_eq!(b.machine.sys.read(0x2000_0100, 4), Ok(0x1234));
    assert_eq!(b.run("delvm here"), "");
    assert_eq!(b.run("delvm here"), "Error: there is no snapshot 'here'\n");
    b.run("savevm");
    assert_eq!(b.run("info snapshots").lines().count(), 4);
    b.run("quit");
    assert_eq!(b.machine.run(), Outcome::Stopped);
}

#[test]
fn migrations_have_settings() {
    let mut b = bench("mps2-an385", false);
    let migration = southbridge_migration::Migration::attach(&mut b.machine, "mps2-an385");
    b.monitor
        .with(&mut b.machine, |cx| cx.world.set_migration(cx.machine, migration));
    let mut set = |text: &str| b.run(&format!("migrate_set_{text}"));
    for good in [
        "parameter max-bandwidth 1g",
        "parameter avail-switchover-bandwidth 3",
        "parameter downtime-limit 0x10",
        "parameter cpu-throttle-tailslow on",
        "parameter multifd-compression zstd",
        "parameter tls-creds \"\"",
        "capability xbzrle on",
        "capability events on",
        "capability multifd off",
    ] {
        assert_eq!(set(good), "", "{good}");
    }
    for (bad, why) in [
        ("parameter nothing 1", "there is no parameter 'nothing'"),
        (
            "parameter downtime-limit 2000001",
            "'downtime-limit' expects a number from 0 to 2000000",
        ),
        ("parameter downtime-limit x", "is a number, not 'x'"),
        ("parameter max-bandwidth 99999999999999999999", "is a number"),
        ("parameter max-bandwidth 99999999999999g", "is a number"),
        ("parameter xbzrle-cache-size 5000", "expects a power of two"),
        (
            "parameter max-cpu-throttle 19",
            "from that of cpu-throttle-initial to 99",
        ),
        ("parameter multifd-channels 256", "multifd-channels"),
        ("parameter mode cpr-reboot", "is not there"),
        ("parameter mode other", "mode"),
        ("parameter tls-creds c", "not encrypted"),
        ("parameter direct-io maybe", "on or off"),
        ("capability multifd on", "capability 'multifd' is not there"),
        ("capability nothing on", "nothing"),
    ] {
        let said = set(bad);
        assert!(said.contains(why), "{bad}: {said}");
    }
    let all = b.run("info migrate_parameters");
    for line in [
        "max-bandwidth: 1073741824 bytes/second",
        "avail-switchover-bandwidth: 3145728 bytes/second",
        "downtime-limit: 16 ms",
        "cpu-throttle-tailslow: on",
        "multifd-compression: zstd",
        "mode: normal",
        "tls-creds: ''",
    ] {
        assert!(all.lines().any(|l| l == line), "{line}: {all}");
    }
    assert_eq!(all.lines().count(), 25);
    let all = b.run("info migrate_capabilities");
    let on: Vec<_> = all.lines().filter(|l| l.ends_with(": on")).collect();
    assert_eq!(on, ["xbzrle: on", "events: on"]);
    assert_eq!(all.lines().count(), 22);
}

#[test]
fn things_come_and_go() {
    let mut b = bench("mps2-an385", false);
    insta::assert_snapshot!(b.transcript(&[
        "chardev-add null,id=n",
        "chardev-add ringbuf,id=r,size=4096,logfile=",
        "chardev-add null",
        "chardev-add nil,id=x",
        "chardev-add null,id=n",
        "info chardev",
        "chardev-send-break n",
        "chardev-remove n",
        "chardev-remove n",
        "device_add",
        "device_add foo",
        "device_add pl011,id=u",
        "device_add cmsdk-apb-uart",
        "device_add ivshmem-flat,id=1x",
        "device_del foo",
        "device_del /machine/unattached/device[12]",
        "object_add foo",
        "object_add foo,id=o",
        "object_add ivshmem-server,id=o",
        "object_del o",
        "qom-list",
        "qom-list /",
        "qom-list /nope",
        "qom-get /machine type",
        "qom-get /machine nothing",
        "qom-set /machine type x",
        "qom-set -j /machine type {",
        "log foo",
        "log cpu",
        "log int,guest_errors",
        "log none",
        "log",
        "trace-event nope on",
        "trace-event mmio_* on",
        "info trace-events mmio_*",
        "trace-event mmio_* maybe",
        "logfile /nonexistent/log",
        "gdbserver none",
        "gdbserver foo",
        "info history",
        "# a comment",
        "device_add \"quoted\" more",
    ]));
}

#[test]
fn the_log_goes_to_a_file() {
    let mut b = bench("mps2-an385", false);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    assert_eq!(b.run(&format!("logfile \"{}\"", path.display())), "");
    assert_eq!(b.run("log unimp,guest_errors"), "");
    b.run("xp /1xw 0x40003000");
    b.run("log none");
    b.run("xp /1xw 0x40003000");
    let text = std::fs::read_to_string(path).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn a_shared_terminal_is_the_guests_until_it_is_switched() {
    let mut b = bench("mps2-an385", true);
    // The guest's port takes nothing before its driver enables it: the keys must not reach the monitor instead.
    assert_eq!(b.type_in("stop\r"), "", "in the background the monitor keeps quiet");
    assert!(b.type_in("\x01c").ends_with("\r\n(qemu) "));
    assert_eq!(
        b.type_in("info status\r"),
        "info status\r\nVM status: paused (prelaunch)\r\n(qemu) "
    );
    assert_eq!(b.type_in("info na\x01c"), "info na");
    assert_eq!(b.type_in("q\x01c"), "(qemu) info na");
    assert_eq!(b.type_in("me\r"), "me\r\nbench\r\n(qemu) ");
}

#[test]
fn a_client_that_never_reads_costs_one_answer() {
    let mut b = bench("mps2-an385", false);
    b.terminal.accept(Some(0));
    for _ in 0..200 {
        b.terminal.feed(b"xp /100000xw 0x20000000\r".repeat(50).as_slice());
        b.pump();
    }
    // Nothing was lost, and nothing ran ahead.
    b.terminal.accept(None);
    b.pump();
    for _ in 0..3 {
        b.pump();
    }
    let text = String::from_utf8_lossy(&b.terminal.take()).into_owned();
    assert!(text.matches("0000000020000000:").count() >= 1);
    b.terminal.disconnect();
    b.pump();
    b.terminal.reconnect();
    b.terminal.take();
    b.pump();
    assert!(String::from_utf8_lossy(&b.terminal.take()).contains("(qemu) "));
}

#[test]
fn other_attendants_run_lines_too() {
    let Bench {
        mut machine, monitor, ..
    } = bench("mps2-an385", false);
    assert_eq!(execute_on(&mut machine, "info name"), None);
    machine.add_attendant(Box::new(monitor));
    assert_eq!(execute_on(&mut machine, "info name").as_deref(), Some("bench\n"));
    assert_eq!(execute_on(&mut machine, "p $r1").as_deref(), Some("0x0\n"));
}

#[test]
fn any_keys_do_no_harm() {
    let (mut machine, mut world) = machine_and_world("mps2-an385", |_| Vec::new());
    let words = b"x /9i 0xe000e000\rp 1<2\rinfo \t\t\x1b[A\x1b[A\r\"\\\rqom-get / /\rinfo mtree -x\rsavevm\rloadvm \t\r\xff\xfe\xc3\r";
    fuzz(&mut machine, &mut world, words);
    let mut state = 1u64;
    let noise: Vec<u8> = (0..20_000)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u8
        })
        .collect();
    fuzz(&mut machine, &mut world, &noise);
}

#[test]
fn virtio_devices_from_inside() {
    let mut b = bench("virt", false);
    assert_eq!(b.run("info virtio"), "No VirtIO devices\n");
    // As `-device` does: the root bus takes nothing while the machine runs.
    let registry = registry();
    for (driver, id) in [("virtio-rng-pci", "r0"), ("virtio-rng-device", "r1")] {
        let spec = Spec {
            driver,
            id: Some(id),
            bus: None,
            properties: Vec::new(),
        };
        let around = Surroundings {
            registry: &registry,
            globals: &[],
            chardev: &|_| None,
            memdev: &|_| None,
            netdev: &|_| None,
        };
        let layout = &mut b.monitor.world().layout;
        add_device(&mut b.machine, layout, &around, &spec).unwrap();
    }
    insta::assert_snapshot!(b.transcript(&[
        "info virtio",
        "info virtio-status /machine/peripheral/r0/virtio-backend",
        "info virtio-status /machine/peripheral/r1",
        "info virtio-queue-status /machine/peripheral/r0/virtio-backend 0",
        "info virtio-queue-status /machine/peripheral/r0/virtio-backend 1",
        "info virtio-queue-status /machine/peripheral/r0/virtio-backend 70000",
        "info virtio-queue-element /machine/peripheral/r0/virtio-backend 0",
        "info virtio-vhost-queue-status /machine/peripheral/r0/virtio-backend 0",
        "info virtio-status /machine",
        "info virtio-status nix",
    ]));
}

#[test]
fn drives_come_and_go_and_are_in_no_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk");
    std::fs::write(&path, [7; 4096]).unwrap();
    let path = path.display();
    let mut b = bench("virt", false);
    assert_eq!(b.run("savevm empty"), "");
    assert_eq!(
        b.run(&format!("drive_add 0 if=none,id=d0,format=raw,file={path}")),
        "OK\n"
    );
    let refused = "Error: Device 'd0' is writable but does not support snapshots\n";
    assert_eq!(b.run("savevm full"), refused);
    assert_eq!(b.run("loadvm empty"), refused);
    assert_eq!(b.run("drive_del d0"), "");
    assert_eq!(b.run("loadvm empty"), "");
    assert!(b.run("drive_del d0").contains("d0"));
    assert_eq!(
        b.run(&format!("drive_add 0 if=none,id=d0,format=raw,readonly=on,file={path}")),
        "OK\n"
    );
    assert_eq!(b.run("savevm read-only"), "", "what is only read stays as it is");
    assert!(b.run("drive_add 0 if=virtio,file=x").contains("if=none"));
    assert_eq!(b.run("drive_add -n 0 driver=null-co,node-name=n0"), "");
    assert!(b.run("drive_del n0").contains("blockdev-del"));
    let over = format!("drive_add 0 if=none,id=d1,format=raw,snapshot=on,file={path}");
    assert_eq!(b.run(&over), "OK\n");
    assert!(b.run("info block d1").contains("overlay"), "{}", b.run("info block"));
    assert!(b.run("savevm over").contains("'d1' is writable"));
}
