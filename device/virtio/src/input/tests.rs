//! A driver's view of keyboards and pointers.

use southbridge_backend_input::{self as hub, Axis, Button, InputEvent, Key, Leds, TouchKind};
use southbridge_bus_virtio::spec::feature;
use southbridge_bus_virtio::testing::{Guest, system};
use southbridge_core::{DeviceType, PropValue, Properties, VirtualTime};

use super::regs::*;

fn device_type(name: &str) -> &'static DeviceType {
    let all = [
        super::KEYBOARD,
        super::MOUSE,
        super::TABLET,
        super::MULTITOUCH,
        super::HOST,
    ];
    let mut all = all.into_iter().flatten();
    all.find(|t| t.name == format!("virtio-{name}-device")).expect("a type")
}

fn guest(name: &str) -> Guest {
    let p = Properties::default().with("packed", PropValue::Bool(true));
    let mut g = Guest::new(device_type(name), p);
    g.start(0);
    g
}

/// What the configuration space answers to a selection.
fn ask(g: &mut Guest, select: u8, subsel: u8) -> Vec<u8> {
    g.drive(|e, cx| {
        e.config_write(0, 1, select.into(), cx);
        e.config_write(1, 1, subsel.into(), cx);
        let size = e.config_read(2, 1);
        (0..size).map(|i| e.config_read(8 + i, 1) as u8).collect()
    })
}

fn hex(data: &[u8]) -> String {
    data.iter().map(|b| format!("{b:02x}")).collect()
}

/// Gives the guest's device room, and takes what has come.
fn buffers(g: &mut Guest, n: usize) {
    for _ in 0..n {
        g.add(0, &[], &[8]);
    }
    g.kick(0);
}

fn events(g: &mut Guest) -> Vec<(u16, u16, i32)> {
    g.sys.deliver_completions();
    std::iter::from_fn(|| g.used(0))
        .map(|u| {
            assert_eq!(u.len, 8);
            let d = &u.data;
            let kind = u16::from_le_bytes([d[0], d[1]]);
            (
                kind,
                u16::from_le_bytes([d[2], d[3]]),
                i32::from_le_bytes([d[4], d[5], d[6], d[7]]),
            )
        })
        .collect()
}

fn send(g: &mut Guest, what: &[InputEvent]) {
    let (input, mut cx) = hub::of(&mut g.sys.host).expect("input");
    input.send(None, what, &mut cx).expect("the device takes it");
}

fn key(name: &str, down: bool) -> InputEvent {
    let key = Key::named(name).expect("a key");
    InputEvent::Key { key, down }
}

const SYNC: (u16, u16, i32) = (EV_SYN, SYN_REPORT, 0);

/// Each line is what QEMU 10.0.2 answers: selector, sub-selector, bytes.
fn check_answers(g: &mut Guest, lines: &[(u8, u8, &str)]) {
    let mut found = Vec::new();
    for select in [1, 2, 3, 0x10, 0x11, 0x12] {
        for subsel in 0..64 {
            let answer = ask(g, select, subsel);
            if !answer.is_empty() {
                found.push((select, subsel, hex(&answer)));
            }
        }
    }
    let expected: Vec<_> = lines.iter().map(|(a, b, c)| (*a, *b, (*c).to_owned())).collect();
    assert_eq!(found, expected);
}

const BUTTON_BITS: &str = "000000000000000000000000000000000000000000000000000000000000000000001f0000000000000403";

#[test]
fn a_keyboard_says_of_itself_what_qemus_says() {
    let p = Properties::default().with("serial", PropValue::Str("abc".into()));
    let mut g = Guest::new(device_type("keyboard"), p);
    check_answers(
        &mut g,
        &[
            (1, 0, "51454d552056697274696f204b6579626f61726400"),
            (2, 0, "616263"),
            (3, 0, "0600270601000100"),
            (0x11, 1, "feffffffffffffffffffcf7bffffbefeffdf00f8783080ff0700000004"),
            (0x11, 0x11, "07"),
            (0x11, 0x14, "00"),
        ],
    );
    assert_eq!(g.drive(|e, _| e.config_len()), 8 + 29);
}

#[test]
fn pointers_say_of_themselves_what_qemus_say() {
    let position = "00000000ff7f0000000000000000000000000000";
    let slot = "000000000a000000000000000000000000000000";
    check_answers(
        &mut guest("mouse"),
        &[
            (1, 0, "51454d552056697274696f204d6f75736500"),
            (3, 0, "0600270602000200"),
            (0x11, 1, BUTTON_BITS),
            (0x11, 2, "0301"),
        ],
    );
    check_answers(
        &mut guest("tablet"),
        &[
            (1, 0, "51454d552056697274696f205461626c657400"),
            (3, 0, "0600270603000200"),
            (0x11, 1, BUTTON_BITS),
            (0x11, 2, "0001"),
            (0x11, 3, "03"),
            (0x12, 0, position),
            (0x12, 1, position),
        ],
    );
    check_answers(
        &mut guest("multitouch"),
        &[
            (1, 0, "51454d552056697274696f204d756c7469546f75636800"),
            (3, 0, "0600270603000100"),
            (0x10, 0, "02"),
            (0x11, 1, BUTTON_BITS),
            (0x11, 3, "0000000000806002"),
            (0x12, 0x2f, slot),
            (0x12, 0x35, position),
            (0x12, 0x36, position),
            (0x12, 0x39, slot),
        ],
    );
}

#[test]
fn keys_arrive_on_both_kinds_of_rings() {
    for features in [0, feature::RING_PACKED, feature::EVENT_IDX] {
        let mut g = guest("keyboard");
        g.start(features);
        buffers(&mut g, 8);
        send(&mut g, &[key("a", true), key("a", false)]);
        assert_eq!(events(&mut g), [(EV_KEY, 30, 1), (EV_KEY, 30, 0), SYNC]);
    }
}

#[test]
fn pointers_move_and_click() {
    let mut g = guest("mouse");
    buffers(&mut g, 16);
    let button = |button, down| InputEvent::Button { button, down };
    let moved = |axis, value| InputEvent::Rel { axis, value };
    send(
        &mut g,
        &[
            moved(Axis::X, -3),
            moved(Axis::Y, 9),
            button(Button::Right, true),
            button(Button::WheelDown, true),
            button(Button::WheelLeft, true),
        ],
    );
    let expected = [
        (EV_REL, REL_X, -3),
        (EV_REL, REL_Y, 9),
        (EV_KEY, BTN_RIGHT, 1),
        (EV_REL, REL_WHEEL, -1),
        SYNC,
    ];
    assert_eq!(events(&mut g), expected);

    let mut g = guest("multitouch");
    buffers(&mut g, 16);
    let touch = |kind, tracking, axis, value| InputEvent::Touch {
        kind,
        slot: 1,
        tracking,
        axis,
        value,
    };
    send(
        &mut g,
        &[
            touch(TouchKind::Begin, 7, Axis::X, 0),
            touch(TouchKind::Data, 7, Axis::X, 100),
            touch(TouchKind::Data, 7, Axis::Y, 200),
            button(Button::Touch, true),
        ],
    );
    let expected = [
        (EV_ABS, ABS_MT_SLOT, 1),
        (EV_ABS, ABS_MT_TRACKING_ID, 7),
        (EV_ABS, ABS_MT_POSITION_X, 100),
        (EV_ABS, ABS_MT_POSITION_Y, 200),
        (EV_KEY, BTN_TOUCH, 1),
        SYNC,
    ];
    assert_eq!(events(&mut g), expected);
}

#[test]
fn a_wheel_may_be_two_buttons() {
    let p = Properties::default().with("wheel-axis", PropValue::Bool(false));
    let mut g = Guest::new(device_type("tablet"), p);
    g.start(0);
    assert_eq!(hex(&ask(&mut g, 3, 0)), "0600270603000100");
    assert_eq!(ask(&mut g, 0x11, 2), []);
    buffers(&mut g, 4);
    let tick = |down| InputEvent::Button {
        button: Button::WheelUp,
        down,
    };
    send(&mut g, &[tick(true), tick(false)]);
    assert_eq!(
        events(&mut g),
        [(EV_KEY, BTN_GEAR_UP, 1), (EV_KEY, BTN_GEAR_UP, 0), SYNC]
    );
}

#[test]
fn a_moment_that_does_not_fit_is_lost_whole() {
    let mut g = guest("keyboard");
    buffers(&mut g, 2);
    send(&mut g, &[key("a", true), key("b", true)]);
    assert_eq!(events(&mut g), []);
    send(&mut g, &[key("c", true)]);
    assert_eq!(events(&mut g), [(EV_KEY, 46, 1), SYNC]);
}

#[test]
fn buffers_of_any_size_and_direction_do_no_harm() {
    let mut g = guest("keyboard");
    g.add(0, &[], &[3]);
    g.add(0, &[b"for reading"], &[]);
    g.kick(0);
    send(&mut g, &[key("a", true)]);
    g.sys.deliver_completions();
    assert_eq!(g.used(0).map(|u| u.len), Some(3));
    assert_eq!(g.used(0).map(|u| u.len), Some(0));
    // Status events that are none, and one that is too short.
    for event in [&b"\x14\0\0\0\x01\0\0\0"[..], b"\x11\0", b""] {
        let buffer: &[&[u8]] = if event.is_empty() { &[] } else { &[event] };
        let used = g.request(1, buffer, if event.is_empty() { &[4] } else { &[] });
        assert_eq!(used.len, 0);
    }
    assert!(!g.needs_reset());
}

#[test]
fn the_guest_switches_lights() {
    let mut g = guest("keyboard");
    let led = |code: u8, on: u8| [0x11, 0, code, 0, on, 0, 0, 0];
    g.request(1, &[&led(1, 1)], &[]);
    g.request(1, &[&led(0, 1)], &[]);
    g.request(1, &[&led(1, 0)], &[]);
    let leds = |g: &mut Guest| hub::of(&mut g.sys.host).expect("input").0.leds();
    assert_eq!(leds(&mut g), Leds::NUM);
    let mut g = g.move_to(Guest::new(device_type("keyboard"), Properties::default()));
    assert_eq!(leds(&mut g), Leds::NUM);
}

#[test]
fn a_key_that_is_held_is_let_go_where_the_machine_goes() {
    let mut g = guest("keyboard");
    buffers(&mut g, 8);
    let (input, mut cx) = hub::of(&mut g.sys.host).expect("input");
    input.send_keys(&hub::parse_keys("shift-a").expect("keys"), 100, &mut cx);
    assert_eq!(events(&mut g), [(EV_KEY, 42, 1), SYNC]);
    let due = g.sys.next_deadline().expect("a timer");
    assert_eq!(due, VirtualTime(100_000_000));
    let mut g = g.move_to(guest("keyboard"));
    // Timers are the machine's to restore.
    let device = g.device;
    g.sys.with_device(device, |_, cx| cx.set_timer(0, due));
    g.sys.advance_to(VirtualTime(1_000_000_000));
    let expected = [(EV_KEY, 30, 1), SYNC, (EV_KEY, 30, 0), SYNC, (EV_KEY, 42, 0), SYNC];
    assert_eq!(events(&mut g), expected);
}

#[test]
fn who_has_a_driver_is_asked_first() {
    let mut sys = system();
    sys.add_device(device_type("mouse"), None, Properties::default(), &[])
        .expect("a mouse");
    let mut g = Guest::on(sys, device_type("tablet"), Properties::default());
    let current = |g: &mut Guest| {
        let (input, _) = hub::of(&mut g.sys.host).expect("input");
        input.mice().into_iter().find(|m| m.current).map(|m| m.name)
    };
    assert_eq!(current(&mut g), Some("QEMU Virtio Mouse"));
    g.start(0);
    assert_eq!(current(&mut g), Some("QEMU Virtio Tablet"));
    g.set_status(0);
    assert_eq!(current(&mut g), Some("QEMU Virtio Mouse"));
}

#[test]
fn a_device_of_the_host_must_be_one() {
    for path in ["/dev/null", "/nowhere/event0"] {
        let p = Properties::default().with("evdev", PropValue::Str(path.into()));
        let e = system()
            .add_device(device_type("input-host"), None, p, &[])
            .expect_err("none");
        assert!(e.to_string().starts_with(&format!("'evdev' cannot be '{path}'")), "{e}");
    }
    let e = system().add_device(device_type("input-host"), None, Properties::default(), &[]);
    assert_eq!(e.expect_err("none").to_string(), "needs 'evdev=FILE'");
}

/// Without a device of the host at hand: what one of its would say.
#[test]
fn facts_of_the_host_become_answers() {
    use southbridge_backend_input::{AbsRange, HostFacts};
    let facts = HostFacts {
        name: "A pad".into(),
        ids: [3, 0x1234, 0x5678, 9],
        codes: vec![(EV_KEY, vec![BTN_TOUCH]), (EV_ABS, vec![ABS_X])],
        axes: vec![AbsRange {
            axis: ABS_X,
            info: [-5, 5, 1, 2, 3],
        }],
    };
    let a = super::config::of_host(&facts, None);
    assert_eq!(a.get(select::ID_NAME, 0), Some(&b"A pad"[..]));
    assert_eq!(
        a.get(select::ID_DEVIDS, 0).map(hex).as_deref(),
        Some("0300341278560900")
    );
    assert_eq!(a.get(select::EV_BITS, EV_ABS as u8), Some(&[1][..]));
    let range = a.get(select::ABS_INFO, 0).map(hex);
    assert_eq!(range.as_deref(), Some("fbffffff05000000010000000200000003000000"));
}
