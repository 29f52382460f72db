//! Sessions on small guests, in this process. `guest/*.s` are their sources; `arm-none-eabi-as -mcpu=cortex-m3` makes the binaries.

use proptest::prelude::*;
use southbridge_backend_chardev::testing::Loop;
use southbridge_core::machine::{Cause, Pacing};
use southbridge_core::memory::{Mapping, Target};
use southbridge_core::{Attendant, Caller, ClockRate, Machine, MachineEvent, Outcome, VirtualTime};
use southbridge_cpu_armv7m as armv7m;
use southbridge_cpu_semihosting::{Config, HeapInfo, Semihosting};
use southbridge_machine::load::{Format, install, parse};
use southbridge_machine::{BOARDS, Built, Options, build, registry};
use southbridge_protocol_gdb::{Input, Receiver, frame};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use crate::{GdbServer, Minimal, Session, Surroundings};

const STOPS: &[u8] = include_bytes!("guest/stops.bin");
const ECHO: &[u8] = include_bytes!("guest/echo.bin");

fn board(program: &[u8], serial: bool) -> (Built, Option<Loop>) {
    let board = BOARDS.iter().find(|b| b.name == "mps2-an385").unwrap();
    let mut machine = Machine::empty(ClockRate::Hz(1)).unwrap();
    let mut options = Options::default();
    let line = serial.then(|| {
        let (id, line) = Loop::new(&mut machine.sys);
        options.serial = vec![Some(id)];
        line
    });
    let mut built = build::build(machine, board, &registry(), &options).unwrap();
    install(&mut built.machine, "test", parse(program, Format::Raw, 0).unwrap()).unwrap();
    let config = Config {
        word: 4,
        command_line: String::new(),
        heap: HeapInfo::default(),
        epoch: 0,
        console: Box::new(std::io::sink()),
    };
    built.enable_semihosting(Box::new(Semihosting::new(config)));
    built.machine.pacing = Pacing::SkipIdle;
    (built, line)
}

/// A client that says one thing after another, each when the one before is answered. `^C` needs no answer before it.
struct Client {
    session: Session,
    script: VecDeque<&'static str>,
    waits: bool,
    receiver: Receiver,
    log: Arc<Mutex<String>>,
    caller: Caller,
}

impl Client {
    fn listen(&mut self) {
        for byte in self.session.take_output() {
            if let Some(Input::Packet(p)) = self.receiver.push(byte) {
                self.waits &= p.starts_with(b"O") && p != b"OK";
                let text = String::from_utf8_lossy(&p).into_owned();
                self.log.lock().unwrap().push_str(&format!("<- {text}\n"));
            }
        }
    }
}

impl Attendant for Client {
    fn attend(&mut self, machine: &mut Machine) {
        loop {
            self.listen();
            let interrupts = self.script.front() == Some(&"^C");
            if self.waits && !interrupts {
                return;
            }
            let Some(say) = self.script.pop_front() else {
                return machine.stop_handle().stop(Cause::HostQuit);
            };
            self.log.lock().unwrap().push_str(&format!("-> {say}\n"));
            self.waits = true;
            let bytes = if interrupts { vec![3] } else { frame(say.as_bytes()) };
            self.session
                .receive(&bytes, &mut Surroundings::new(machine, &mut Minimal));
        }
    }

    fn on_event(&mut self, event: &MachineEvent, machine: &mut Machine) {
        if *event == MachineEvent::Stop {
            self.session.on_stop(machine);
            self.caller.call();
        }
    }

    fn hold(&mut self, outcome: &Outcome, machine: &mut Machine) -> bool {
        let held = self.session.hold(outcome, machine);
        self.listen();
        self.caller.call();
        held
    }
}

/// Runs a script against a guest that waits at its first instruction, and gives what was said and how the run ended.
fn talk(program: &[u8], script: &[&'static str]) -> (String, Outcome) {
    talk_to(&mut board(program, false).0.machine, script)
}

fn talk_to(machine: &mut Machine, script: &[&'static str]) -> (String, Outcome) {
    machine.start_paused = true;
    machine.start();
    let log = Arc::new(Mutex::new(String::new()));
    let client = Client {
        session: Session::open(machine),
        script: script.iter().copied().collect(),
        waits: false,
        receiver: Receiver::default(),
        log: log.clone(),
        caller: machine.caller(),
    };
    machine.add_attendant(Box::new(client));
    machine.caller().call();
    let outcome = machine.run();
    let text = log.lock().unwrap().clone();
    (text, outcome)
}

/// What was answered to the last thing said.
fn last(text: &str) -> &str {
    text.lines().last().unwrap_or("").trim_start_matches("<- ")
}

#[test]
fn a_session_reads_and_steps() {
    let script = [
        "qSupported:multiprocess+",
        "?",
        "qC",
        "qfThreadInfo",
        "qsThreadInfo",
        "T1",
        "T2",
        "Hg0",
        "g",
        "pf",
        "p19",
        "p1f",
        "p99",
        "m40,4",
        "mf0000000,4",
        "me000ed00,4",
        "M20000100,4:78563412",
        "m20000100,4",
        "P1=2a000000",
        "p1",
        "vCont?",
        "s",
        "pf",
        "vCont;s:1",
        "pf",
        "qCRC:40,4",
        "Qqemu.sstep=7",
        "Qqemu.sstep=1",
        "vMustReplyEmpty",
        "mzz,1",
        "qXfer:nothing:read::0,10",
    ];
    let (text, outcome) = talk(STOPS, &script);
    insta::assert_snapshot!("reads_and_steps", text);
    assert_eq!(outcome, Outcome::Stopped);
}

#[test]
fn breakpoints_and_watchpoints_stop_where_they_should() {
    let script = [
        "Z0,46,2",
        "c",
        "pf",
        "p1",
        "c",
        "z0,46,2",
        "Z2,20000100,4",
        "c",
        "pf",
        "m20000100,4",
        "c",
        "z2,20000100,4",
        "Z3,20000102,1",
        "c",
        "pf",
        "p2",
        "z3,20000102,1",
        "Z2,20000100,1",
        "c",
        "pf",
        "m20000100,4",
        // Nothing that is not watched for: a read, and a write beside it.
        "z2,20000100,1",
        "Z2,20000104,4",
        "c",
    ];
    let (text, outcome) = talk(STOPS, &script);
    insta::assert_snapshot!("stops", text);
    assert_eq!(outcome, Outcome::GuestExit(42));
}

#[test]
fn backwards_over_writes_and_to_the_begin() {
    let script = [
        "Z1,54,2",
        "c",
        "pf",
        "p1",
        "bs",
        "pf",
        "bs",
        "p4",
        "Z2,20000100,4",
        "bc",
        "pf",
        "m20000100,4",
        "bc",
        "pf",
        "m20000100,4",
        "bc",
        "z2,20000100,4",
        "bc",
        "pf",
        "bs",
        "c",
        "pf",
        "p1",
        "z1,54,2",
        "c",
    ];
    let (text, outcome) = talk(STOPS, &script);
    insta::assert_snapshot!("backwards", text);
    assert_eq!(outcome, Outcome::GuestExit(42));
}

#[test]
fn a_change_of_the_past_changes_what_follows() {
    // At the first store R1 becomes 5: the loop ends there.
    let script = [
        "Z1,46,2",
        "c",
        "c",
        "c",
        "bc",
        "bc",
        "P1=05000000",
        "z1,46,2",
        "Z1,4c,2",
        "c",
        "m20000100,4",
        "bs",
        "bs",
        "bs",
        "p1",
    ];
    let (text, _) = talk(STOPS, &script);
    insta::assert_snapshot!("changed_past", text);
}

#[test]
fn a_processor_that_locks_up_can_be_looked_at() {
    let (text, outcome) = talk(
        STOPS,
        &[
            "M0c,4:00000000",
            "c",
            "pf",
            "p3",
            "qRcmd,73797374656d5f7265736574",
            "pf",
        ],
    );
    assert!(text.contains("<- T0bthread:01;"), "{text}");
    assert_eq!(last(&text), "40000000", "after the reset\n{text}");
    assert_eq!(outcome, Outcome::Stopped);
}

#[test]
fn ctrl_c_stops_a_busy_guest() {
    let (text, outcome) = talk(ECHO, &["c", "^C", "?"]);
    assert_eq!(last(&text), "T02thread:01;", "{text}");
    assert_eq!(outcome, Outcome::Stopped);
}

#[test]
fn a_client_that_detaches_leaves_the_guest_running() {
    let (text, outcome) = talk(STOPS, &["Z0,46,2", "D"]);
    assert!(text.ends_with("<- OK\n"), "{text}");
    assert!(matches!(outcome, Outcome::GuestExit(42) | Outcome::Stopped));
    let (text, outcome) = talk(STOPS, &["vKill;1"]);
    assert_eq!((last(&text), outcome), ("OK", Outcome::Stopped));
}

#[test]
fn descriptions_are_xml_of_the_right_registers() {
    let (mut built, _) = board(STOPS, false);
    let xml = crate::registers::description(&built.machine);
    assert!(
        xml.contains("<reg name=\"xpsr\" bitsize=\"32\" regnum=\"25\"/>"),
        "{xml}"
    );
    assert!(
        xml.contains("<feature name=\"org.gnu.gdb.arm.m-system\"><reg name=\"msp\""),
        "{xml}"
    );
    insta::assert_snapshot!(
        "memory_map",
        crate::map::memory_map(&mut built.machine).replace("><", ">\n<")
    );
}

/// Everything of a machine, for comparison.
fn everything(machine: &mut Machine) -> southbridge_core::SavedState {
    machine.save().unwrap()
}

#[test]
fn the_past_is_the_same_to_the_instruction_with_its_input() {
    let (mut built, line) = board(ECHO, true);
    let (machine, line) = (&mut built.machine, line.unwrap());
    machine.start();
    machine.keep_history(true);
    let mut moments = Vec::new();
    for (i, input) in [b"a".as_slice(), b"bc", b"", b"defghijkl", b"m"].iter().enumerate() {
        line.feed(input);
        // Output that the host does not take for a while is part of what happened.
        line.accept(if i == 1 { Some(1) } else { None });
        let end = machine.sys.clock.now().after_ns(60_000_000);
        assert_eq!(machine.run_until(end), Outcome::Deadline);
        moments.push((machine.sys.clock.executed(), everything(machine)));
        // The next input is for another moment: who goes back to one finds all that entered at it.
        let end = machine.sys.clock.now().after_ns(1_000_000);
        assert_eq!(machine.run_until(end), Outcome::Deadline);
    }
    let heard = machine.sys.tape.entries().count();
    assert!(heard > 5, "completions were recorded: {heard}");
    let sent = line.take();
    for (executed, then) in moments.iter().rev().chain(&moments) {
        machine.rewind(*executed).unwrap();
        machine.run_past(*executed);
        assert_eq!(machine.sys.clock.executed(), *executed);
        assert!(everything(machine) == *then, "the state after {executed} instructions");
    }
    assert!(line.take().is_empty(), "what was sent once is not sent again");
    assert!(sent.starts_with(b"ab"), "{sent:?}");
    // Back in the present new input arrives.
    line.feed(b"z");
    let end = machine.sys.clock.now().after_ns(60_000_000);
    assert_eq!(machine.run_until(end), Outcome::Deadline);
    assert_eq!(line.take(), b"z");
}

#[test]
fn a_replay_of_another_run_goes_back_too() {
    use southbridge_core::tape::Moment;
    let run = |machine: &mut southbridge_core::Machine, ns| {
        let end = machine.sys.clock.now().after_ns(ns);
        assert_eq!(machine.run_until(end), Outcome::Deadline);
    };
    let (mut built, line) = board(ECHO, true);
    let (machine, line) = (&mut built.machine, line.unwrap());
    machine.start();
    machine.sys.tape.record();
    machine.keep_history(true);
    assert!(
        machine
            .has_past()
            .unwrap_err()
            .to_string()
            .contains("recorded to a file")
    );
    let mut moments = Vec::new();
    for input in [b"a".as_slice(), b"bc", b"", b"defghijkl", b"m"] {
        line.feed(input);
        run(machine, 60_000_000);
        moments.push((machine.sys.clock.executed(), everything(machine)));
        run(machine, 1_000_000);
    }
    let inputs: Vec<_> = machine.sys.tape.entries().cloned().collect();
    let sent = line.take();
    assert!(sent.starts_with(b"ab"), "{sent:?}");

    let (mut built, line) = board(ECHO, true);
    let (machine, line) = (&mut built.machine, line.unwrap());
    let never = Moment {
        executed: u64::MAX,
        ticks: u64::MAX,
    };
    machine.sys.tape.play(inputs, never);
    machine.sys.tape.play_aloud();
    machine.start();
    machine.keep_history(true);
    // Up to the third moment, and back and forth there.
    for (executed, then) in &moments[..3] {
        run(machine, 60_000_000);
        assert_eq!(machine.sys.clock.executed(), *executed);
        assert!(everything(machine) == *then, "the replay after {executed} instructions");
        run(machine, 1_000_000);
    }
    let said = line.take();
    assert!(sent.starts_with(&said) && said.len() < sent.len(), "{said:?}");
    for (executed, then) in moments[..3].iter().rev().chain(&moments[..2]) {
        machine.rewind(*executed).unwrap();
        machine.run_past(*executed);
        assert!(everything(machine) == *then, "the state after {executed} instructions");
    }
    assert!(line.take().is_empty(), "nothing is said twice");
    // From the past through what was the present to the end.
    let (executed, then) = &moments[4];
    machine.run_past(*executed);
    assert!(everything(machine) == *then, "the state after {executed} instructions");
    run(machine, 1_000_000);
    assert_eq!([said, line.take()].concat(), sent);
    assert_eq!(machine.sys.tape.broken(), None);
}

#[test]
fn real_firmware_is_the_same_on_the_way_back() {
    for name in ["t-timers", "t-systick", "t-semihosting", "t-watchdog"] {
        let path = format!(
            "{}/../../firmware/prebuilt/{name}-mps2-an385.elf",
            env!("CARGO_MANIFEST_DIR")
        );
        let (mut built, _) = board(STOPS, false);
        let machine = &mut built.machine;
        machine.images.clear();
        install(
            machine,
            name,
            parse(&std::fs::read(path).unwrap(), Format::Detect, 0).unwrap(),
        )
        .unwrap();
        machine.start();
        machine.keep_history(true);
        let mut moments = Vec::new();
        let mut at = 7;
        loop {
            machine.halt_at = Some(at);
            if machine.run() != Outcome::Debug {
                break;
            }
            moments.push((at, everything(machine)));
            at += at / 2 + 13;
        }
        machine.halt_at = None;
        assert!(moments.len() > 5, "{name} ran for {at} instructions");
        for (executed, then) in moments.iter().rev() {
            machine.rewind(*executed).unwrap();
            assert_eq!(
                machine.run_past(*executed),
                southbridge_core::machine::Reached::There,
                "{name}"
            );
            assert!(
                everything(machine) == *then,
                "{name}: the state after {executed} instructions"
            );
        }
        assert!(machine.has_past().is_ok(), "{name}");
    }
}

#[test]
fn clients_come_and_vanish_at_any_moment() {
    let (mut built, _) = board(ECHO, false);
    let machine = &mut built.machine;
    let (channel, peer) = Loop::new(&mut machine.sys);
    GdbServer::attach(machine, channel, Box::new(Minimal)).unwrap();
    machine.start();
    let whole: Vec<u8> = [
        &b"+"[..],
        &frame(b"?"),
        b"+",
        &frame(b"Z0,52,2"),
        &frame(b"c"),
        b"\x03",
        &frame(b"bs"),
        &frame(b"bc"),
    ]
    .concat();
    for cut in 0..=whole.len() {
        peer.reconnect();
        peer.feed(&whole[..cut]);
        run_a_while(machine);
        peer.disconnect();
        run_a_while(machine);
        assert!(machine.has_past().is_err(), "the history went with the client");
    }
    assert!(!peer.take().is_empty());
    machine.resume();
    // A stop that came late ends one more run.
    run_a_while(machine);
    let _ = machine.run_until(machine.sys.clock.now());
    let before = machine.sys.clock.executed();
    let end = machine.sys.clock.now().after_ns(1_000_000);
    assert_eq!(machine.run_until(end), Outcome::Deadline);
    assert!(machine.sys.clock.executed() > before, "no stop is left behind");
}

/// Some virtual time if it runs; who stands still is left alone after a moment.
fn run_a_while(machine: &mut Machine) {
    machine.caller().call();
    let _ = machine.sys.host.wait(Some(std::time::Duration::ZERO));
    let end = machine.sys.clock.now().after_ns(10_000);
    let stop = machine.stop_handle();
    let alarm = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(10));
        stop.stop(Cause::HostSignal);
    });
    let outcome = machine.run_until(end);
    assert!(matches!(outcome, Outcome::Deadline | Outcome::Stopped), "{outcome:?}");
    alarm.join().unwrap();
}

#[test]
fn a_machine_that_cannot_go_back_says_why() {
    let (mut built, _) = board(STOPS, false);
    let machine = &mut built.machine;
    machine.start();
    let mut session = Session::open(machine);
    let uart = registry().get("cmsdk-apb-timer").unwrap();
    machine
        .sys
        .add_device(uart, Some("new"), southbridge_core::Properties::default(), &[])
        .unwrap();
    session.receive(&frame(b"bs"), &mut Surroundings::new(machine, &mut Minimal));
    let output = session.take_output();
    let mut receiver = Receiver::default();
    let said: Vec<_> = output.iter().filter_map(|b| receiver.push(*b)).collect();
    let why = "this machine cannot go back in time: a device was plugged in\n";
    let text = format!("O{}", southbridge_protocol_gdb::to_hex(why.as_bytes()));
    let packets = [text.as_bytes(), b"T05thread:01;replaylog:begin;"].map(|p| Input::Packet(p.to_vec()));
    assert_eq!(said[1..], packets);
    session.close(machine);
}

#[test]
fn a_past_with_an_end_of_time_is_not_waited_for() {
    let (mut built, _) = board(STOPS, false);
    let machine = &mut built.machine;
    machine.start();
    machine.keep_history(true);
    assert!(machine.rewind(0).is_ok());
    machine.keep_history(false);
    assert!(machine.rewind(0).is_err());
    assert_eq!(machine.run_until(VirtualTime(u64::MAX)), Outcome::GuestExit(42));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn no_packet_panics(packets in proptest::collection::vec(packet(), 1..20)) {
        let (mut built, _) = board(ECHO, false);
        built.machine.start();
        let bytes: Vec<u8> = packets.iter().flat_map(|p| frame(p)).collect();
        crate::fuzz(&mut built.machine, &bytes);
    }
}

/// Known beginnings with any rest.
fn packet() -> impl Strategy<Value = Vec<u8>> {
    let heads = vec![
        "m",
        "M",
        "X",
        "Z0,",
        "Z2,",
        "z4,",
        "vCont;",
        "qXfer:features:read:",
        "qRcmd,",
        "P",
        "p",
        "G",
        "bs",
        "bc",
        "vFlashErase:",
        "qCRC:",
        "H",
        "c",
        "s",
        "?",
        "qSupported",
        "k",
        "D",
        "R",
    ];
    let numbers = prop_oneof![
        any::<u32>().prop_map(|n| format!("{n:x},{:x}", n & 0xff)),
        any::<u64>().prop_map(|n| format!("{n:x},{n:x}:{n:x}")),
        Just("0,ffffffffffffffff".to_owned()),
        "[ -~]{0,20}",
    ];
    (proptest::sample::select(heads), numbers).prop_map(|(head, rest)| format!("{head}{rest}").into_bytes())
}

/// Two cores that share memory: each adds 1 to r1 for ever.
fn two_cores() -> Machine {
    let mut machine = Machine::empty(ClockRate::Hz(1_000_000_000)).unwrap();
    let block = machine.add_ram("code", 0x1000).unwrap();
    machine.sys.memory.map(Mapping {
        start: 0,
        len: 0x1000,
        priority: 0,
        name: "code".into(),
        target: Target::Ram {
            block,
            offset: 0,
            readonly: false,
        },
    });
    let mut code = 0x800u32.to_le_bytes().to_vec();
    code.extend(std::iter::repeat_n(0x41u32.to_le_bytes(), 15).flatten());
    // adds r1, #1; nop; b .-4
    code.extend([0x01, 0x31, 0x00, 0xbf, 0xfc, 0xe7]);
    machine.sys.load_bytes(0, &code).unwrap();
    for cpu in 0..2 {
        let mut config = armv7m::Config::new(&armv7m::CORTEX_M3, 8);
        config.cpu = cpu;
        machine.add_cpu(Box::new(armv7m::CortexM::new(config)));
    }
    machine.pacing = Pacing::SkipIdle;
    machine
}

#[test]
fn cores_are_threads() {
    let script = [
        "qfThreadInfo",
        "T2",
        "T3",
        "qXfer:threads:read::0,200",
        // One core steps, the other stands.
        "vCont;s:2",
        "pf",
        "Hg1",
        "pf",
        // One core steps, the other goes on meanwhile.
        "vCont;s:1;c",
        "qC",
        "pf",
        // Both go on to a breakpoint that either may be first at.
        "Z0,42,2",
        "vCont;c",
        "qC",
        "vCont;c",
        "z0,42,2",
        // Registers of the one that is looked at.
        "Hg2",
        "P1=78563412",
        "p1",
        "Hg1",
        "p1",
        "bs",
        "bs",
    ];
    let (text, _) = talk_to(&mut two_cores(), &script);
    insta::assert_snapshot!(text);
}
