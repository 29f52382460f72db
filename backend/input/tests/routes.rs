//! Who gets what and when, seen by devices.

use southbridge_backend_input::{
    self as input, Axis, Button, Due, InputError, InputEvent, InputFront, InputQueue, Key, Kinds, Mouse, Seat, Step,
};
use southbridge_core::clock::{ClockRate, TimerIndex};
use southbridge_core::host::Completion;
use southbridge_core::{
    Build, CreateError, Ctx, Device, DeviceId, DeviceType, LoadError, PropKind, PropValue, Properties, Property,
    ResetPhase, SavedState, System, VirtualTime,
};

/// Writes down what it hears.
struct Listener {
    front: InputFront,
    queue: InputQueue,
    heard: Vec<(u64, String)>,
}

impl Listener {
    fn hear(&mut self, due: Due, cx: &mut Ctx<'_>) {
        for event in due.events {
            let text = match event {
                Some(InputEvent::Key { key, down }) => format!("{}{}", if down { '+' } else { '-' }, key.name()),
                Some(other) => format!("{other:?}"),
                None => "sync".into(),
            };
            self.heard.push((cx.now().0, text));
        }
        if let Some(at) = due.timer {
            cx.set_timer(0, at);
        }
    }
}

impl Device for Listener {
    fn reset(&mut self, _phase: ResetPhase, _cx: &mut Ctx<'_>) {}
    fn save(&self) -> SavedState {
        SavedState::of(1, &self.queue)
    }
    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        self.queue = state.read(1)?;
        self.queue.check()
    }
    fn on_timer(&mut self, _timer: TimerIndex, cx: &mut Ctx<'_>) {
        let due = self.queue.due(cx.now());
        self.hear(due, cx);
    }
    fn on_completion(&mut self, done: Completion, cx: &mut Ctx<'_>) {
        let due = self.queue.arrived(&done, cx.now());
        self.hear(due, cx);
    }
}

fn create(props: &Properties, build: &mut Build<'_>) -> Result<Box<dyn Device>, CreateError> {
    let (name, kinds) = match props.str("kind") {
        Some("keyboard") => ("a keyboard", Kinds::KEY),
        Some("mouse") => ("a mouse", Kinds::BUTTON | Kinds::REL),
        _ => ("a tablet", Kinds::BUTTON | Kinds::ABS),
    };
    let seat = props.str("display").map(|display| Seat {
        display: display.into(),
        head: 0,
    });
    Ok(Box::new(Listener {
        front: InputFront::attach(build, 0, name, kinds, seat),
        queue: InputQueue::default(),
        heard: Vec::new(),
    }))
}

static PROPERTIES: &[Property] = &[
    Property {
        name: "kind",
        kind: PropKind::Str,
        default: None,
        help: "what it is",
    },
    Property {
        name: "display",
        kind: PropKind::Str,
        default: None,
        help: "its seat",
    },
];
static LISTENER: DeviceType = DeviceType {
    name: "listener",
    properties: PROPERTIES,
    create,
    ..DeviceType::BASE
};

fn add(sys: &mut System, props: &[(&str, &str)]) -> DeviceId {
    let mut p = Properties::default();
    for (name, value) in props {
        p.set(name, PropValue::Str((*value).into()));
    }
    sys.add_device(&LISTENER, None, p, &[]).expect("a listener")
}

fn system() -> System {
    System::new(ClockRate::Hz(1_000_000_000)).expect("a system")
}

fn with<R>(sys: &mut System, id: DeviceId, f: impl FnOnce(&mut Listener, &mut Ctx<'_>) -> R) -> R {
    let found = sys.with_device(id, |d, cx| {
        let any: &mut dyn std::any::Any = d;
        f(any.downcast_mut().expect("a listener"), cx)
    });
    found.expect("the device")
}

fn heard(sys: &mut System, device: DeviceId) -> Vec<(u64, String)> {
    sys.deliver_completions();
    with(sys, device, |l, _| std::mem::take(&mut l.heard))
}

fn texts(sys: &mut System, device: DeviceId) -> Vec<String> {
    heard(sys, device).into_iter().map(|h| h.1).collect()
}

fn key(name: &str, down: bool) -> InputEvent {
    let key = Key::named(name).expect("a key");
    InputEvent::Key { key, down }
}

#[test]
fn keys_are_let_go_in_virtual_time_and_one_line_after_another() {
    let mut sys = system();
    let keyboard = add(&mut sys, &[("kind", "keyboard")]);
    let keys = input::parse_keys("ctrl-a").expect("keys");
    let (hub, mut cx) = input::of(&mut sys.host).expect("input");
    hub.send_keys(&keys, 100, &mut cx);
    hub.send_keys(&input::parse_keys("b").expect("a key"), 0, &mut cx);
    sys.deliver_completions();
    sys.advance_to(VirtualTime(1_000_000_000));
    let ms = |n: u64| n * 1_000_000;
    let expected: Vec<(u64, String)> = [
        (0, "+ctrl"),
        (100, "+a"),
        (200, "-a"),
        (300, "-ctrl"),
        (400, "+b"),
        (410, "-b"),
    ]
    .into_iter()
    .flat_map(|(at, text)| [(ms(at), text.to_owned()), (ms(at), "sync".to_owned())])
    .collect();
    assert_eq!(heard(&mut sys, keyboard), expected);
}

#[test]
fn the_newest_active_device_of_a_kind_is_asked_first() {
    let mut sys = system();
    let mouse = add(&mut sys, &[("kind", "mouse")]);
    let tablet = add(&mut sys, &[("kind", "tablet")]);
    let press = [InputEvent::Button {
        button: Button::Left,
        down: true,
    }];
    let send = |sys: &mut System| {
        let (hub, mut cx) = input::of(&mut sys.host).expect("input");
        hub.send(None, &press, &mut cx).expect("somebody takes it");
    };
    send(&mut sys);
    assert_eq!(texts(&mut sys, mouse).len(), 2);
    with(&mut sys, tablet, |l, cx| l.front.activate(cx));
    send(&mut sys);
    assert!(texts(&mut sys, mouse).is_empty());
    assert_eq!(texts(&mut sys, tablet).len(), 2);
    let (hub, _) = input::of(&mut sys.host).expect("input");
    let mice = hub.mice();
    let tablet_first = Mouse {
        name: "a tablet",
        number: 2,
        current: true,
        absolute: true,
    };
    assert_eq!(mice.last(), Some(&tablet_first));
    assert_eq!(hub.choose_mouse(1), Ok(()));
    assert_eq!(hub.mice().last().map(|m| m.number), Some(1));
    assert_eq!(hub.choose_mouse(9), Err(InputError::NoMouse(9)));
    // Whoever is unplugged gets nothing and is no longer told of.
    sys.remove_device(mouse);
    send(&mut sys);
    assert_eq!(texts(&mut sys, tablet).len(), 2);
    let (hub, _) = input::of(&mut sys.host).expect("input");
    assert_eq!(hub.mice().len(), 1);
}

#[test]
fn one_command_for_two_devices_ends_with_a_sync_for_each() {
    let mut sys = system();
    let (keyboard, mouse) = (
        add(&mut sys, &[("kind", "keyboard")]),
        add(&mut sys, &[("kind", "mouse")]),
    );
    let both = [
        key("shift", true),
        InputEvent::Rel {
            axis: Axis::X,
            value: -5,
        },
        key("sysrq", true),
    ];
    let (hub, mut cx) = input::of(&mut sys.host).expect("input");
    hub.send(None, &both, &mut cx).expect("both are there");
    assert_eq!(texts(&mut sys, keyboard), ["+shift", "+print", "sync"]);
    assert_eq!(texts(&mut sys, mouse), ["Rel { axis: X, value: -5 }", "sync"]);
    let touch = [InputEvent::Abs {
        axis: Axis::X,
        value: 1,
    }];
    let (hub, mut cx) = input::of(&mut sys.host).expect("input");
    assert_eq!(hub.send(None, &touch, &mut cx), Err(InputError::NoHandler("abs")));
    assert!(texts(&mut sys, mouse).is_empty());
}

#[test]
fn a_seat_has_its_own_devices_and_borrows_the_common_ones() {
    let mut sys = system();
    let own = add(&mut sys, &[("kind", "keyboard"), ("display", "second")]);
    let common = add(&mut sys, &[("kind", "keyboard")]);
    let seat = |display: &str| Seat {
        display: display.into(),
        head: 0,
    };
    for (seat, to) in [
        (Some(seat("second")), own),
        (Some(seat("third")), common),
        (None, common),
    ] {
        let (hub, mut cx) = input::of(&mut sys.host).expect("input");
        hub.send(seat.as_ref(), &[key("a", true)], &mut cx).expect("a keyboard");
        assert_eq!(texts(&mut sys, to), ["+a", "sync"]);
    }
}

#[test]
fn buttons_change_one_by_one() {
    let mut sys = system();
    let mouse = add(&mut sys, &[("kind", "mouse")]);
    let mut set = |state| {
        let (hub, mut cx) = input::of(&mut sys.host).expect("input");
        hub.set_buttons(state, &mut cx);
        texts(&mut sys, mouse)
    };
    assert_eq!(
        set(3),
        [
            "Button { button: Left, down: true }",
            "Button { button: Right, down: true }",
            "sync"
        ]
    );
    assert_eq!(set(2), ["Button { button: Left, down: false }", "sync"]);
    assert!(set(2).is_empty());
}

#[test]
fn a_held_key_survives_save_and_load_and_damage_brings_nothing() {
    let mut sys = system();
    let keyboard = add(&mut sys, &[("kind", "keyboard")]);
    let (hub, mut cx) = input::of(&mut sys.host).expect("input");
    hub.send_keys(&[Key::named("a").expect("a")], 50, &mut cx);
    assert_eq!(texts(&mut sys, keyboard), ["+a", "sync"]);
    let saved = with(&mut sys, keyboard, |l, _| {
        let saved = l.save();
        l.queue = InputQueue::default();
        saved
    });
    with(&mut sys, keyboard, |l, _| l.load(&saved).expect("its own state"));
    sys.advance_to(VirtualTime(60_000_000));
    assert_eq!(texts(&mut sys, keyboard), ["-a", "sync"]);
    let mut done = Completion::plain(0, 1, 0);
    done.data = vec![0xff; 40];
    assert_eq!(InputQueue::default().arrived(&done, VirtualTime(0)), Due::default());
    let steps = [Step::Sync; 3];
    let (hub, mut cx) = input::of(&mut sys.host).expect("input");
    hub.route(None, &steps, &mut cx);
    assert!(texts(&mut sys, keyboard).is_empty());
}
