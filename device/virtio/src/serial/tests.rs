//! A driver's view of ports, and a program's at the other end.

use southbridge_backend_chardev::testing::Loop;
use southbridge_bus_virtio::spec::feature;
use southbridge_bus_virtio::testing::{Guest, system};
use southbridge_bus_virtio::{VirtioDevice, with_model};
use southbridge_core::{DeviceId, DeviceType, NoticeValue, PropValue, Properties, System};
use std::time::Duration;

use super::regs::*;
use super::{CONSOLE, PORT, Serial, TYPES};

fn device_type() -> &'static DeviceType {
    TYPES.iter().find(|t| t.name == "virtio-serial-device").expect("a type")
}

/// A guest with a serial device; `ports` come to it one after another.
struct Bench {
    g: Guest,
    ends: Vec<Loop>,
    ports: Vec<DeviceId>,
}

/// What a port is made of: its type, `nr`, `name`.
type Wanted = (&'static DeviceType, Option<u64>, Option<&'static str>);

fn plug(sys: &mut System, owner: DeviceId, (t, nr, name): Wanted) -> Result<(DeviceId, Loop), String> {
    let (backend, end) = Loop::new(sys);
    let mut p = Properties::default().with("chardev", PropValue::Backend("c".into(), backend));
    if let Some(nr) = nr {
        p.set("nr", PropValue::Uint(nr));
    }
    if let Some(name) = name {
        p.set("name", PropValue::Str(name.into()));
    }
    let id = name.map(|n| format!("id-{n}"));
    let port = sys.add_device(t, id.as_deref(), p, &[]).map_err(|e| e.to_string())?;
    let plugged =
        sys.with_role::<dyn VirtioDevice, _>(owner, |d, cx| with_model::<Serial, _>(d, cx, |s, cx| s.plug(port, cx)));
    let nr = plugged.flatten().expect("a serial device")?;
    let bus = sys
        .buses()
        .find(|(_, b)| b.owner == owner)
        .map(|(id, _)| id)
        .expect("a bus");
    sys.plug(bus, port, nr);
    sys.settle();
    Ok((port, end))
}

impl Bench {
    fn bare(properties: Properties, ports: &[Wanted]) -> Self {
        let mut sys = system();
        let device = sys
            .add_device(device_type(), Some("dut"), properties, &[])
            .expect("a device");
        let mut this = Self {
            g: Guest::around(sys, device),
            ends: Vec::new(),
            ports: Vec::new(),
        };
        for wanted in ports {
            this.plug(*wanted).expect("a port");
        }
        this.poll();
        this
    }

    fn new(ports: &[Wanted]) -> Self {
        let mut this = Self::bare(Properties::default(), ports);
        this.g.start(F_MULTIPORT | F_EMERG_WRITE);
        this
    }

    fn plug(&mut self, wanted: Wanted) -> Result<(), String> {
        let (port, end) = plug(&mut self.g.sys, self.g.device, wanted)?;
        self.ports.push(port);
        self.ends.push(end);
        Ok(())
    }

    fn poll(&mut self) {
        self.g.poll(Duration::ZERO);
    }

    fn room_for_control(&mut self, n: usize) {
        for _ in 0..n {
            self.g.add(CONTROL_IN, &[], &[64]);
        }
        self.g.kick(CONTROL_IN);
    }

    fn control(&mut self, nr: u32, event: u16, value: u16) {
        let message = [&nr.to_le_bytes()[..], &event.to_le_bytes(), &value.to_le_bytes()].concat();
        self.g.request(CONTROL_OUT, &[&message], &[]);
    }

    /// Control messages of the device: port, event, value, what follows.
    fn messages(&mut self) -> Vec<(u32, u16, u16, Vec<u8>)> {
        std::iter::from_fn(|| self.g.used(CONTROL_IN))
            .map(|u| {
                let d = &u.data;
                let nr = u32::from_le_bytes([d[0], d[1], d[2], d[3]]);
                let event = u16::from_le_bytes([d[4], d[5]]);
                (nr, event, u16::from_le_bytes([d[6], d[7]]), d[8..].to_vec())
            })
            .collect()
    }

    /// Says hello as Linux does, and opens these ports.
    fn open(&mut self, ports: &[u32]) {
        self.room_for_control(16);
        self.control(0, event::DEVICE_READY, 1);
        for nr in ports {
            self.control(*nr, event::PORT_READY, 1);
            self.control(*nr, event::PORT_OPEN, 1);
        }
        self.messages();
    }

    fn read(&mut self, queue: u16) -> Vec<u8> {
        std::iter::from_fn(|| self.g.used(queue)).flat_map(|u| u.data).collect()
    }
}

#[test]
fn queues_and_configuration_are_those_of_the_specification() {
    assert_eq!(
        [in_queue(0), out_queue(0), in_queue(1), out_queue(1), in_queue(30)],
        [0, 1, 4, 5, 62]
    );
    for q in 0..64 {
        match port_of(q) {
            Some((nr, true)) => assert_eq!(out_queue(nr), q),
            Some((nr, false)) => assert_eq!(in_queue(nr), q),
            None => assert!(q == CONTROL_IN || q == CONTROL_OUT),
        }
    }
    let mut b = Bench::bare(Properties::default(), &[]);
    let (count, len, most) = b.g.drive(|e, _| (e.queue_count(), e.config_len(), e.config_read(4, 4)));
    assert_eq!((count, len, most), (64, 12, 31));
    let one = Properties::default()
        .with("max_ports", PropValue::Uint(1))
        .with("emergency-write", PropValue::Bool(false));
    let mut b = Bench::bare(one, &[]);
    let (offered, count, len) = b.g.drive(|e, _| (e.offered(), e.queue_count(), e.config_len()));
    assert_eq!((offered & (F_MULTIPORT | F_EMERG_WRITE), count, len), (0, 4, 8));
    for n in [0, 512] {
        let p = Properties::default().with("max_ports", PropValue::Uint(n));
        let e = system()
            .add_device(device_type(), None, p, &[])
            .expect_err("refused")
            .to_string();
        assert_eq!(
            e,
            format!("'max_ports' cannot be '{n}'; it takes a number from 1 to 511")
        );
    }
}

#[test]
fn ports_have_numbers_and_names() {
    let mut b = Bench::bare(Properties::default().with("max_ports", PropValue::Uint(4)), &[]);
    let nr = |b: &Bench, i: usize| {
        let mut buses = b.g.sys.buses();
        buses.find_map(|(_, bus)| bus.children.iter().find(|c| c.0 == b.ports[i]).map(|c| c.1))
    };
    b.plug((&PORT, None, Some("a"))).expect("port 1");
    b.plug((&CONSOLE, None, None)).expect("port 0");
    b.plug((&CONSOLE, None, None)).expect("port 2");
    assert_eq!((nr(&b, 0), nr(&b, 1), nr(&b, 2)), (Some(1), Some(0), Some(2)));
    let mut refused = |wanted| b.plug(wanted).expect_err("refused");
    assert_eq!(refused((&PORT, Some(1), None)), "has a port 1 already");
    assert_eq!(refused((&PORT, Some(4), None)), "has ports 0 to 3 and no port 4");
    assert_eq!(refused((&PORT, None, Some("a"))), "has a port of the name 'a' already");
    assert_eq!(
        refused((&PORT, Some(0), None)),
        "'nr' cannot be '0'; it takes a number from 1 on: port 0 is for a virtconsole"
    );
    b.plug((&PORT, None, None)).expect("port 3");
    let e = b.plug((&PORT, None, None)).expect_err("full");
    assert_eq!(e, "has no port left of its 4, of which 0 is for a console");
}

#[test]
fn the_driver_hears_of_every_port() {
    let mut b = Bench::new(&[(&CONSOLE, None, None), (&PORT, None, Some("org.example"))]);
    // No buffer yet: what is said waits.
    b.control(0, event::DEVICE_READY, 1);
    assert_eq!(b.messages(), []);
    b.room_for_control(10);
    assert_eq!(
        b.messages(),
        [(0, event::PORT_ADD, 1, vec![]), (1, event::PORT_ADD, 1, vec![])]
    );
    b.control(0, event::PORT_READY, 1);
    assert_eq!(
        b.messages(),
        [(0, event::CONSOLE_PORT, 1, vec![]), (0, event::PORT_OPEN, 1, vec![])]
    );
    b.control(1, event::PORT_READY, 1);
    assert_eq!(
        b.messages(),
        [
            (1, event::PORT_NAME, 1, b"org.example\0".to_vec()),
            (1, event::PORT_OPEN, 1, vec![])
        ]
    );
    b.ends[1].disconnect();
    b.poll();
    assert_eq!(b.messages(), [(1, event::PORT_OPEN, 0, vec![])]);
    b.ends[1].reconnect();
    b.poll();
    assert_eq!(b.messages(), [(1, event::PORT_OPEN, 1, vec![])]);
}

#[test]
fn bytes_go_both_ways() {
    for features in [0, feature::RING_PACKED, feature::EVENT_IDX] {
        let p = Properties::default().with("packed", PropValue::Bool(true));
        let mut b = Bench::bare(p, &[(&PORT, None, Some("p"))]);
        b.g.start(F_MULTIPORT | features);
        b.open(&[1]);
        let used = b.g.request(out_queue(1), &[b"from ", b"the guest"], &[]);
        assert_eq!(used.len, 0);
        assert_eq!(b.ends[0].take(), b"from the guest");
        b.ends[0].feed(b"from the host");
        b.poll();
        assert_eq!(b.read(in_queue(1)), b"", "no buffer, no credit");
        for _ in 0..4 {
            b.g.add(in_queue(1), &[], &[4]);
        }
        b.g.kick(in_queue(1));
        for _ in 0..8 {
            b.poll();
        }
        assert_eq!(b.read(in_queue(1)), b"from the host");
    }
}

#[test]
fn a_slow_program_holds_a_port_back_but_not_a_console() {
    let mut b = Bench::new(&[(&CONSOLE, None, None), (&PORT, None, Some("p"))]);
    b.open(&[0, 1]);
    let big = vec![b'x'; 300_000];
    for end in &b.ends {
        end.accept(Some(10));
    }
    b.poll();
    b.g.request(out_queue(0), &[&big], &[]);
    b.g.add(out_queue(1), &[&big], &[]);
    b.g.kick(out_queue(1));
    assert!(b.g.used(out_queue(1)).is_none(), "it waits");
    b.ends[1].accept(None);
    let mut got = 0;
    b.g.wait(|g| {
        got += b.ends[1].take().len();
        g.used(out_queue(1)).is_some()
    });
    b.poll();
    got += b.ends[1].take().len();
    assert_eq!(got, big.len(), "nothing is lost on a port");
}

#[test]
fn who_is_not_there_gets_nothing_and_holds_nothing_up() {
    let mut b = Bench::new(&[(&PORT, None, Some("p"))]);
    b.open(&[1]);
    b.ends[0].accept(Some(0));
    b.poll();
    let big = vec![0; 200_000];
    b.g.add(out_queue(1), &[&big], &[]);
    b.g.kick(out_queue(1));
    assert!(b.g.used(out_queue(1)).is_none());
    b.ends[0].disconnect();
    b.poll();
    assert!(b.g.used(out_queue(1)).is_some(), "given back");
    b.g.request(out_queue(1), &[b"to nobody"], &[]);
    // A queue of a port that is not plugged in.
    b.g.request(out_queue(9), &[b"to nobody"], &[]);
}

#[test]
fn the_emergency_register_works_at_any_time() {
    let mut b = Bench::bare(Properties::default(), &[(&PORT, None, None), (&CONSOLE, None, None)]);
    b.g.drive(|e, cx| e.config_write(8, 4, b'!'.into(), cx));
    b.g.drive(|e, cx| e.config_write(8, 4, 0, cx));
    b.g.drive(|e, cx| e.config_write(0, 4, 7, cx));
    b.poll();
    assert_eq!((b.ends[0].take(), b.ends[1].take()), (vec![], b"!".to_vec()));
}

#[test]
fn a_driver_that_knows_no_ports_has_the_first_console() {
    let mut b = Bench::bare(Properties::default(), &[(&CONSOLE, None, None)]);
    b.g.start(0);
    b.g.request(1, &[b"hello"], &[]);
    assert_eq!(b.ends[0].take(), b"hello");
    b.g.add(0, &[], &[16]);
    b.g.kick(0);
    b.ends[0].feed(b"you");
    b.poll();
    assert_eq!(b.read(0), b"you");
}

#[test]
fn opening_and_closing_is_told() {
    let mut b = Bench::new(&[(&PORT, None, Some("p"))]);
    b.g.sys.take_notices();
    let told = |b: &mut Bench| {
        let all = b.g.sys.take_notices();
        all.into_iter().map(|n| (n.event, n.members)).collect::<Vec<_>>()
    };
    let member = |open| {
        vec![
            ("id", NoticeValue::Text("id-p".into())),
            ("open", NoticeValue::Bool(open)),
        ]
    };
    b.control(1, event::PORT_OPEN, 1);
    assert_eq!(told(&mut b), [("VSERPORT_CHANGE", member(true))]);
    b.g.set_status(0);
    assert_eq!(told(&mut b), [("VSERPORT_CHANGE", member(false))]);
}

#[test]
fn ports_come_and_go_while_the_guest_runs() {
    let mut b = Bench::new(&[]);
    b.open(&[]);
    b.g.interrupts();
    b.plug((&PORT, Some(5), Some("new"))).expect("a port");
    b.poll();
    assert_eq!(b.messages()[0], (5, event::PORT_ADD, 1, vec![]));
    b.control(5, event::PORT_OPEN, 1);
    b.ends[0].accept(Some(0));
    b.poll();
    b.g.add(out_queue(5), &[&vec![1; 100_000]], &[]);
    b.g.kick(out_queue(5));
    let (port, device) = (b.ports[0], b.g.device);
    b.g.with_model::<Serial, _>(|s, cx| s.unplug(port, cx));
    b.g.sys.remove_device(port);
    assert!(b.g.used(out_queue(5)).is_some(), "its buffers are given back");
    assert_eq!(b.messages().last(), Some(&(5, event::PORT_REMOVE, 1, vec![])));
    plug(&mut b.g.sys, device, (&PORT, Some(5), Some("new"))).expect("the place is free again");
}

fn one_port() -> Bench {
    Bench::bare(Properties::default(), &[(&PORT, None, Some("p"))])
}

/// A port whose other end takes three bytes, and what the driver has put into its ring.
fn stuck() -> (Bench, Vec<u8>) {
    let mut b = one_port();
    b.g.start(F_MULTIPORT);
    b.open(&[1]);
    b.ends[0].accept(Some(3));
    b.poll();
    let data: Vec<u8> = (0..300_000u32).map(|i| (i % 251) as u8).collect();
    b.g.add(out_queue(1), &[&data], &[]);
    (b, data)
}

#[test]
fn what_is_on_its_way_moves_with_the_machine() {
    let (mut b, data) = stuck();
    b.g.kick(out_queue(1));
    assert!(b.g.used(out_queue(1)).is_none());
    let other = one_port();
    let end = other.ends[0].clone();
    // What the old end has in its own buffer goes there.
    let mut g = b.g.move_to(other.g);
    g.wait(|g| g.used(out_queue(1)).is_some());
    g.poll(Duration::ZERO);
    let rest = end.take();
    assert!(!rest.is_empty());
    assert_eq!(rest, data[data.len() - rest.len()..], "the end of it, without a gap");
}

#[test]
fn what_is_on_its_way_waits_for_who_listens_elsewhere() {
    let (mut b, data) = stuck();
    b.g.add(out_queue(1), &[b"last"], &[]);
    b.g.kick(out_queue(1));
    let mut other = one_port();
    let end = other.ends[0].clone();
    end.disconnect();
    other.poll();
    let mut g = b.g.move_to(other.g);
    g.poll(Duration::ZERO);
    assert!(g.used(out_queue(1)).is_none(), "nobody is there yet");
    end.reconnect();
    g.wait(|g| g.used(out_queue(1)).is_some());
    g.wait(|g| g.used(out_queue(1)).is_some());
    g.poll(Duration::ZERO);
    let rest = end.take();
    let all = [&data[..], b"last"].concat();
    assert!(rest.len() > 200_000);
    assert_eq!(rest, all[all.len() - rest.len()..], "the end of it, without a gap");
}

#[test]
fn control_messages_that_are_none_do_no_harm() {
    let mut b = Bench::new(&[(&PORT, None, None)]);
    b.room_for_control(4);
    for (nr, event, value) in [
        (99, event::PORT_OPEN, 1),
        (1, 77, 1),
        (1, event::PORT_READY, 0),
        (0, event::DEVICE_READY, 0),
    ] {
        b.control(nr, event, value);
    }
    b.g.request(CONTROL_OUT, &[b"short"], &[]);
    assert_eq!(b.messages(), []);
    // Nobody reads what the device has to say: it keeps so much and no more.
    for _ in 0..3000 {
        b.control(1, event::PORT_READY, 1);
    }
    assert!(!b.g.needs_reset());
}
