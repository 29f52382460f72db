//! The device with a server played by the test, message by message.

use rustix::fd::AsFd;
use southbridge_backend_chardev::testing::Loop;
use southbridge_core::{ClockRate, InterruptWish, LogItems, PlaceWish, PropValue, System, log::Log};
use southbridge_testing::{Bench, Noise, check_device, probe};

use super::*;
use crate::link::VECTORS;
use crate::rig::{Paper, count, event, ring};
use rustix::fd::OwnedFd;

const MASK: u64 = regs::INTRMASK as u64;
const STATUS: u64 = regs::INTRSTATUS as u64;
const POSITION: u64 = regs::IVPOSITION as u64;
const DOORBELL: u64 = regs::DOORBELL as u64;
const SIZE: u64 = 0x1_0000;

/// A device on a bench, the test as its server, and what was written to the user.
struct Setup {
    bench: Bench,
    server: Loop,
    log: Paper,
    warnings: Paper,
}

impl Setup {
    fn new() -> Self {
        let mut sys = System::new(ClockRate::Hz(1_000_000_000)).unwrap();
        let (log, warnings) = (Paper::default(), Paper::default());
        sys.log = Log::new(LogItems::GUEST_ERRORS, Box::new(log.clone()));
        sys.log.set_warnings(Box::new(warnings.clone()));
        let (id, server) = Loop::new(&mut sys);
        let p = Properties::default()
            .with("chardev", PropValue::Backend("ivsh".into(), id))
            .with("shmem-size", PropValue::Uint(SIZE));
        Self {
            bench: Bench::on(sys, &TYPE, p),
            server,
            log,
            warnings,
        }
    }

    fn say(&mut self, number: i64, fd: Option<&OwnedFd>) {
        let fds = fd.map(|fd| fd.try_clone().unwrap()).into_iter().collect();
        self.server.feed_with_fds(&number.to_le_bytes(), fds);
        self.bench.poll_host();
    }

    /// Version, id and memory.
    fn greet(&mut self, id: i64, memory: &RamBlock) {
        self.say(0, None);
        self.say(id, None);
        self.say(-1, Some(&memory.fd().try_clone_to_owned().unwrap()));
    }

    fn greeted() -> (Self, RamBlock) {
        let mut s = Self::new();
        let memory = RamBlock::new("test", SIZE).unwrap();
        s.greet(5, &memory);
        (s, memory)
    }
}

#[test]
fn generic() {
    check_device(|| Setup::new().bench);
    check_device(|| {
        let (mut s, _) = Setup::greeted();
        s.say(5, Some(&event()));
        s.bench
    });
}

#[test]
fn needs_a_chardev_and_a_sane_size() {
    let create = |p: Properties| {
        let mut sys = System::new(ClockRate::Hz(1)).unwrap();
        let (id, _) = Loop::new(&mut sys);
        let p = if p.get("shmem-size").is_some() {
            p.with("chardev", PropValue::Backend("c".into(), id))
        } else {
            p
        };
        sys.add_device(&TYPE, None, p, &[]).map_err(|e| e.to_string())
    };
    assert_eq!(
        create(Properties::default()),
        Err("needs 'chardev=ID (of a socket that leads to an ivshmem server)'".into())
    );
    let sized = |n| create(Properties::default().with("shmem-size", PropValue::Uint(n)));
    assert!(sized(0).is_err() && sized(1 << 32).is_err() && sized(1 << 20).is_ok());
}

#[test]
fn placement_in_both_spellings() {
    let with = |list: &[(&str, PropValue)]| {
        let mut p = Properties::default();
        for (name, value) in list {
            p.set(name, value.clone());
        }
        p.apply_defaults(PROPERTIES);
        placement::wish(&p).map_err(|e| e.to_string())
    };
    let text = |s: &str| PropValue::Str(s.into());
    let open = PlaceWish {
        addresses: vec![None, None],
        interrupt: InterruptWish::Auto,
    };
    assert_eq!(with(&[]), Ok(open));
    assert_eq!(
        with(&[
            ("x-irq-qompath", text("/machine/soc/v7m/nvic/unnamed-gpio-in[7]")),
            ("x-bus-qompath", text("/sysbus")),
            ("x-bus-address-iomem", PropValue::Uint(0x400f_f000)),
            ("x-bus-address-shmem", PropValue::Uint(0x4010_0000)),
        ]),
        Ok(PlaceWish {
            addresses: vec![Some(0x400f_f000), Some(0x4010_0000)],
            interrupt: InterruptWish::Input(7)
        })
    );
    assert_eq!(
        with(&[("irq", text("off"))]).map(|p| p.interrupt),
        Ok(InterruptWish::Off)
    );
    assert_eq!(
        with(&[("irq", text("31"))]).map(|p| p.interrupt),
        Ok(InterruptWish::Input(31))
    );
    for wrong in [
        ("irq", "loud"),
        ("x-irq-qompath", "/machine/nvic"),
        ("x-bus-qompath", "/pci.0"),
    ] {
        assert!(with(&[(wrong.0, text(wrong.1))]).is_err(), "{wrong:?}");
    }
}

#[test]
fn greeting_gives_id_and_memory() {
    let mut s = Setup::new();
    assert_eq!(s.bench.read32(POSITION), u32::MAX, "no id yet");
    assert_eq!(s.bench.read(SHMEM, 0, 4), 0, "no memory yet");
    let memory = RamBlock::new("test", SIZE).unwrap();
    s.greet(5, &memory);
    assert_eq!(s.bench.read32(POSITION), 5);
    s.bench.write(SHMEM, SIZE - 4, 4, 0x1234_5678);
    let mut seen = [0; 4];
    assert!(memory.read(SIZE - 4, &mut seen));
    assert_eq!(seen, 0x1234_5678u32.to_le_bytes());
    assert!(memory.write(8, &[7]));
    assert_eq!(s.bench.read(SHMEM, 8, 1), 7);
    assert_eq!(s.warnings.take(), "");
}

#[test]
fn the_machine_waits_for_the_first_own_vector() {
    let (mut s, _) = Setup::greeted();
    assert_eq!(s.bench.sys.start_holds, 1);
    s.say(3, Some(&event()));
    assert_eq!(s.bench.sys.start_holds, 1);
    s.say(5, Some(&event()));
    s.say(5, Some(&event()));
    assert_eq!(s.bench.sys.start_holds, 0);
}

#[test]
fn a_doorbell_reaches_its_vector() {
    let (mut s, _) = Setup::greeted();
    let (zero, one) = (event(), event());
    s.say(3, Some(&zero));
    s.say(3, Some(&one));
    s.bench.write32(DOORBELL, ring(3, 1));
    s.bench.write32(DOORBELL, ring(3, 1));
    s.bench.write32(DOORBELL, ring(3, 0));
    assert_eq!((count(&zero), count(&one)), (1, 2));
    assert_eq!(s.log.take(), "");
    s.bench.write32(DOORBELL, ring(3, 2));
    assert!(s.log.take().contains("vector 2, which peer 3 does not have"));
    s.bench.write32(DOORBELL, ring(4, 0));
    assert!(s.log.take().contains("peer 4, which is not there"));
    s.say(3, None);
    s.bench.write32(DOORBELL, ring(3, 0));
    assert!(s.log.take().contains("peer 3, which is not there"));
    assert_eq!(count(&zero), 0);
}

#[test]
fn a_full_counter_does_not_block() {
    let (mut s, _) = Setup::greeted();
    let full = event();
    rustix::io::write(&full, &(u64::MAX - 1).to_ne_bytes()).unwrap();
    s.say(3, Some(&full));
    let flags = rustix::fs::fcntl_getfl(&full).unwrap();
    rustix::fs::fcntl_setfl(&full, flags - rustix::fs::OFlags::NONBLOCK).unwrap(); // as another holder may
    s.bench.write32(DOORBELL, ring(3, 0));
    rustix::fs::fcntl_setfl(&full, flags).unwrap();
    assert_eq!(count(&full), u64::MAX - 1);
    assert_eq!(s.log.take(), "", "it rings already");
}

#[test]
fn peers_pulse_the_line_of_a_guest_that_sets_no_mask() {
    let (mut s, _) = Setup::greeted();
    let own = event();
    s.say(5, Some(&own));
    let seen = probe(&mut s.bench, "irq", 0);
    for _ in 0..2 {
        rustix::io::write(&own, &1u64.to_ne_bytes()).unwrap();
        s.bench.poll_host();
    }
    let levels: Vec<bool> = seen.take(&mut s.bench.sys).into_iter().map(|(_, l)| l).collect();
    assert_eq!(levels, [true, false, true, false]);
    assert_eq!(
        (s.bench.read32(STATUS), s.bench.read32(STATUS)),
        (1, 0),
        "reading clears"
    );
}

#[test]
fn peers_raise_the_line_of_a_guest_that_sets_the_mask() {
    let (mut s, _) = Setup::greeted();
    let own = event();
    s.say(5, Some(&own));
    s.bench.write32(MASK, u32::MAX);
    assert_eq!(s.bench.read32(MASK), 1);
    rustix::io::write(&own, &1u64.to_ne_bytes()).unwrap();
    s.bench.poll_host();
    assert!(s.bench.line("irq", 0));
    assert_eq!(s.bench.read32(STATUS), 1);
    assert!(!s.bench.line("irq", 0));
    s.bench.write32(STATUS, 1);
    assert!(s.bench.line("irq", 0), "the status can be written");
    s.bench.write32(MASK, 0);
    assert!(!s.bench.line("irq", 0));
}

#[test]
fn one_can_ring_oneself() {
    let (mut s, _) = Setup::greeted();
    s.say(5, Some(&event()));
    s.bench.write32(DOORBELL, ring(5, 1));
    assert_eq!(s.bench.read32(STATUS), 0);
    assert!(s.log.take().contains("vector 1"));
    s.bench.write32(DOORBELL, ring(5, 0));
    assert_eq!(s.bench.read32(STATUS), 1);
}

#[test]
fn memory_of_another_size_is_refused_and_the_rest_works() {
    for other in [SIZE / 2, SIZE * 2] {
        let mut s = Setup::new();
        s.greet(5, &RamBlock::new("test", other).unwrap());
        let text = s.warnings.take();
        assert!(
            text.contains(&format!("has {other} bytes")) && text.contains("shmem-size=65536"),
            "{text}"
        );
        s.bench.write(SHMEM, 0, 4, 1);
        assert_eq!(s.bench.read(SHMEM, 0, 4), 0);
        let peer = event();
        s.say(3, Some(&peer));
        s.bench.write32(DOORBELL, ring(3, 0));
        assert_eq!(count(&peer), 1);
    }
}

#[test]
fn a_server_that_lies_is_left_alone() {
    let (mut s, _) = Setup::greeted();
    let peer = event();
    s.say(3, Some(&peer));
    s.bench.write(SHMEM, 0, 4, 9);
    s.say(-7, None);
    let text = s.warnings.take();
    assert!(
        text.starts_with("warning: ivshmem-flat 'dut': ivshmem server: message 4 is -7"),
        "{text}"
    );
    assert_eq!(s.bench.sys.start_holds, 0);
    s.say(0, None);
    s.server.disconnect();
    s.bench.poll_host();
    assert_eq!(s.warnings.take(), "", "once");
    s.bench.write32(DOORBELL, ring(3, 0));
    assert_eq!((count(&peer), s.bench.read(SHMEM, 0, 4)), (0, 9));
}

#[test]
fn a_server_that_dies_in_the_greeting() {
    for messages in 0..3 {
        let mut s = Setup::new();
        s.say(0, None);
        if messages > 0 {
            s.say(5, None);
        }
        s.server.disconnect();
        s.bench.poll_host();
        let text = s.warnings.take();
        assert!(text.contains("neither memory nor doorbells"), "{text}");
        assert_eq!(s.bench.sys.start_holds, 0);
    }
}

#[test]
fn peers_outlive_a_server_that_goes() {
    let (mut s, _) = Setup::greeted();
    let (peer, own) = (event(), event());
    s.say(3, Some(&peer));
    s.say(5, Some(&own));
    s.server.disconnect();
    s.bench.poll_host();
    assert!(s.warnings.take().contains("server is gone"));
    s.bench.write32(DOORBELL, ring(3, 0));
    rustix::io::write(&own, &1u64.to_ne_bytes()).unwrap();
    s.bench.poll_host();
    assert_eq!((count(&peer), s.bench.read32(STATUS)), (1, 1));
}

#[test]
fn a_server_that_comes_back_starts_anew() {
    let (mut s, _) = Setup::greeted();
    let (peer, own) = (event(), event());
    s.say(3, Some(&peer));
    s.say(5, Some(&own));
    s.bench.write(SHMEM, 0, 4, 9);
    s.server.disconnect();
    s.bench.poll_host();
    s.server.reconnect();
    s.bench.poll_host();
    assert_eq!(s.bench.read32(POSITION), u32::MAX);
    assert_eq!(s.bench.read(SHMEM, 0, 4), 9, "the old memory until there is a new one");
    s.greet(6, &RamBlock::new("test", SIZE).unwrap());
    assert_eq!((s.bench.read32(POSITION), s.bench.read(SHMEM, 0, 4)), (6, 0));
    s.bench.write32(DOORBELL, ring(3, 0));
    rustix::io::write(&own, &1u64.to_ne_bytes()).unwrap();
    s.bench.poll_host();
    assert_eq!(
        (count(&peer), s.bench.read32(STATUS)),
        (0, 0),
        "the old peers are forgotten"
    );
    let again = event();
    s.say(6, Some(&again));
    rustix::io::write(again.as_fd(), &1u64.to_ne_bytes()).unwrap();
    s.bench.poll_host();
    assert_eq!(s.bench.read32(STATUS), 1);
}

#[test]
fn it_says_why_it_cannot_move() {
    let (mut s, _) = Setup::greeted();
    let why = s.bench.with::<IvshmemFlat, _>(|d, _| d.migration_blocker());
    assert!(why.is_some_and(|w| w.contains("ivshmem server")));
}

/// A descriptor of any kind but the right one, or the right one.
fn some_descriptor(n: u64) -> OwnedFd {
    match n % 4 {
        0 => std::fs::File::open("/dev/null").unwrap().into(),
        1 => RamBlock::new("test", SIZE).unwrap().fd().try_clone_to_owned().unwrap(),
        2 => std::io::pipe().unwrap().1.into(),
        _ => event(),
    }
}

#[test]
fn whatever_a_server_says_is_survived() {
    let mut noise = Noise::new(11);
    for _ in 0..60 {
        let mut s = Setup::new();
        for value in [0, 5, -1] {
            let n = noise.next_u64();
            let fd = (value < 0).then(|| some_descriptor(1 + n % 3 / 2));
            s.say(value, fd.as_ref());
        }
        for _ in 0..40 {
            let n = noise.next_u64();
            let number = if n & 31 == 0 { n as i64 } else { (n >> 8 & 7) as i64 };
            let fd = (n & 2 == 0).then(|| some_descriptor(n >> 16));
            s.say(number, fd.as_ref());
            s.bench
                .write32(DOORBELL, ring((n >> 20 & 7) as u16, (n >> 24 & 3) as u16));
            s.bench.write(SHMEM, n >> 32 & 0xfff0, 4, n);
            match n >> 56 {
                0..4 => s.server.disconnect(),
                4..8 => s.server.reconnect(),
                _ => {}
            }
            s.bench.poll_host();
        }
        assert!(s.bench.sys.start_holds <= 1);
    }
}

#[test]
fn doorbells_are_traced_and_can_get_lost() {
    use southbridge_core::inject::{FaultAction, FaultKind, FaultRule};
    let (mut s, _) = Setup::greeted();
    s.bench.sys.trace_enable("ivshmem_flat_*", true);
    s.log.take();
    let (peer, own) = (event(), event());
    s.say(3, Some(&peer));
    s.say(5, Some(&own));
    let mut lost = FaultRule::new("lost", FaultKind::Completion, FaultAction::Drop);
    lost.number = Some(VECTORS);
    s.bench.sys.add_fault(lost).unwrap();
    for (rings, status) in [(1, 0), (2, 1)] {
        rustix::io::write(&own, &1u64.to_ne_bytes()).unwrap();
        s.bench.poll_host();
        assert_eq!(s.bench.read32(STATUS), status, "ring {rings}");
    }
    s.bench.write32(DOORBELL, ring(3, 0));
    s.bench.write32(DOORBELL, ring(9, 0));
    s.say(3, None);
    let names: Vec<_> = s
        .log
        .take()
        .lines()
        .filter_map(|l| Some(l.split_once("ivshmem_flat_")?.1.to_owned()))
        .collect();
    assert_eq!(
        names,
        [
            "peer_joined dut peer=3 vector=0",
            "doorbell_in dut",
            "doorbell_out dut peer=3 vector=0",
            "doorbell_lost dut peer=9 vector=0",
            "peer_left dut peer=3",
        ]
    );
}

#[test]
fn a_server_whose_message_is_lost_or_fails_is_given_up() {
    use southbridge_core::inject::{FaultAction, FaultKind, FaultRule};
    use southbridge_core::trace::Glob;
    for (action, backend, is_struck) in [
        (FaultAction::Drop, "loop", true),
        (FaultAction::Fail, "loop", true),
        (FaultAction::Xor(0xff), "loop", true),
        (FaultAction::Drop, "another", false),
    ] {
        let mut s = Setup::new();
        let mut rule = FaultRule::new("id", FaultKind::Message, action);
        (rule.nth, rule.name, rule.byte) = (2, Glob::new(backend), 7);
        s.bench.sys.add_fault(rule).unwrap();
        s.greet(5, &RamBlock::new("test", SIZE).unwrap());
        let warnings = s.warnings.take();
        assert_eq!(
            warnings.contains("neither memory nor doorbells"),
            is_struck,
            "{action:?}: {warnings}"
        );
        let id = if is_struck { u32::MAX } else { 5 };
        assert_eq!(s.bench.read32(POSITION), id, "{action:?}");
        assert_eq!(
            s.bench.sys.start_holds,
            u32::from(!is_struck),
            "the machine waits no longer"
        );
        assert_eq!(s.bench.sys.faults().rules()[0].struck, u64::from(is_struck));
    }
}
