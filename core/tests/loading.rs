//! What a device finds when it is told that the whole machine has been loaded.

use std::any::Any;

use southbridge_core::clock::VirtualTime;
use southbridge_core::line::Sink;
use southbridge_core::machine::Cause;
use southbridge_core::memory::{Mapping, Target};
use southbridge_core::{
    ClockRate, Completion, CpuId, Ctx, Device, DeviceId, DeviceType, Line, LoadError, Machine, Outcome, Properties,
    ResetPhase, RunState, SavedState,
};

const RAM: u64 = 0x8000_0000;

/// Looks into memory after a load, as a device does that goes on with a ring of its driver.
#[derive(Default)]
struct Reader {
    found: Option<[u8; 4]>,
    /// Words of the host that it has had.
    heard: usize,
}

impl Device for Reader {
    fn reset(&mut self, _: ResetPhase, _: &mut Ctx<'_>) {}
    fn save(&self) -> SavedState {
        SavedState::of(1, &())
    }
    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        state.read(1)
    }
    fn on_completion(&mut self, _: Completion, _: &mut Ctx<'_>) {
        self.heard += 1;
    }
    fn after_load(&mut self, cx: &mut Ctx<'_>) {
        let mut bytes = [0; 4];
        cx.dma_read(RAM, &mut bytes).expect("memory");
        self.found = Some(bytes);
    }
}

static READER: DeviceType = DeviceType {
    name: "reader",
    summary: "reads memory after a load",
    create: |_, _| Ok(Box::new(Reader::default())),
    ..DeviceType::BASE
};

fn machine(content: &[u8; 4]) -> (Machine, DeviceId) {
    let mut m = Machine::empty(ClockRate::Hz(1_000_000_000)).expect("a machine");
    let block = m.add_ram("ram", 0x2000).expect("memory");
    assert!(block.write(0, content));
    m.sys.memory.map(Mapping {
        start: RAM,
        len: block.len(),
        priority: 0,
        name: "ram".to_owned(),
        target: Target::Ram {
            block,
            offset: 0,
            readonly: false,
        },
    });
    let Ok(device) = m.sys.add_device(&READER, None, Properties::default(), &[]) else {
        panic!("it has nothing that could be refused");
    };
    m.start();
    (m, device)
}

fn reader<R>(m: &mut Machine, device: DeviceId, f: impl FnOnce(&Reader) -> R) -> R {
    let reader = |d: &mut dyn Device| {
        let any: &mut dyn Any = d;
        any.downcast_ref::<Reader>().map(f)
    };
    let r = m.sys.with_device(device, |d, _| reader(d)).flatten();
    r.expect("a reader")
}

fn found(m: &mut Machine, device: DeviceId) -> Option<[u8; 4]> {
    reader(m, device, |r| r.found)
}

#[test]
fn memory_is_there_before_devices_go_on() {
    let (mut there, _) = machine(b"ring");
    let saved = there.save_whole().expect("its state");
    let (mut here, device) = machine(b"none");
    here.load_whole(&saved).expect("taken");
    assert_eq!(found(&mut here, device), Some(*b"ring"));
}

#[test]
fn who_refuses_a_state_goes_on_with_its_own_memory() {
    let (mut there, _) = machine(b"ring");
    let mut saved = there.save_whole().expect("its state");
    saved.devices[0].state = SavedState::of(1, &"something else");
    let (mut here, device) = machine(b"none");
    here.load_whole(&saved).expect_err("no state of this device");
    assert_eq!(found(&mut here, device), Some(*b"none"));
}

static CARD: DeviceType = DeviceType {
    name: "card",
    summary: "reads memory after a load, and has a line and a timer",
    lines: &[Line::out("irq")],
    create: |_, _| Ok(Box::new(Reader::default())),
    ..DeviceType::BASE
};

/// Plugs a card in, with its line high and its timer set.
fn plug(m: &mut Machine) -> DeviceId {
    let Ok(device) = m.sys.add_device(&CARD, None, Properties::default(), &[]) else {
        panic!("it has nothing that could be refused");
    };
    m.sys.wire(device, 0, Sink::Cpu(CpuId(0), 7));
    m.sys.with_device(device, |_, cx| {
        cx.set_line(0, true);
        cx.set_timer(0, VirtualTime(5_000));
    });
    device
}

/// Whether devices have come and gone makes no difference to where a machine can go.
#[test]
fn a_machine_moves_though_devices_have_come_and_gone() {
    let (mut from, _) = machine(b"here");
    let gone = plug(&mut from);
    from.sys.remove_device(gone);
    let (mut to, _) = machine(b"void");
    to.load_whole(&from.save_whole().expect("a state")).expect("it fits");

    // One that took the place of another.
    let again = plug(&mut from);
    assert_ne!(again, gone);
    let (mut to, _) = machine(b"void");
    let there = plug(&mut to);
    to.sys.with_device(there, |_, cx| cx.cancel_timer(0));
    to.sys.with_device(there, |_, cx| cx.set_line(0, false));
    to.load_whole(&from.save_whole().expect("a state")).expect("it fits");
    assert!(to.sys.output_level(there, 0));
    let due = to.sys.with_device(there, |_, cx| cx.timer_deadline(0));
    assert_eq!(due, Some(Some(VirtualTime(5_000))));
    assert_eq!(found(&mut to, there), Some(*b"here"), "it is told as well");
    // And back, to where the place is that of one that went.
    let state = to.save_whole().expect("a state");
    from.load_whole(&state).expect("it fits");
    // A device that is not there is still a difference.
    let (mut other, _) = machine(b"void");
    assert!(other.load_whole(&state).is_err());
}

/// Says something for a device from outside.
fn say(m: &mut Machine, device: DeviceId) {
    m.sys.host.inject(device, Completion::plain(0, 0, 0));
}

/// What it has heard, after a turn.
fn heard(m: &mut Machine, device: DeviceId) -> usize {
    m.stop_handle().stop(Cause::HostQuit);
    assert_eq!(m.run(), Outcome::Stopped);
    reader(m, device, |r| r.heard)
}

#[test]
fn what_the_host_says_while_a_state_is_away_waits_for_who_goes_on() {
    let (mut m, device) = machine(b"here");
    say(&mut m, device);
    assert_eq!(heard(&mut m, device), 1);
    say(&mut m, device);
    m.pause(RunState::FinishMigrate);
    assert!(m.save_whole().is_ok());
    assert_eq!(heard(&mut m, device), 2, "what was said before belongs to the state");
    for state in [RunState::FinishMigrate, RunState::Postmigrate] {
        m.pause(state);
        say(&mut m, device);
        assert_eq!(heard(&mut m, device), 2, "{state:?}");
    }
    m.resume();
    assert_eq!(
        heard(&mut m, device),
        4,
        "the migration failed, or somebody wants both machines"
    );
}

#[test]
fn what_the_host_says_before_a_state_comes_is_for_the_guest_that_comes() {
    let saved = machine(b"ring").0.save_whole().expect("its state");
    let (mut m, device) = machine(b"none");
    m.pause(RunState::Inmigrate);
    say(&mut m, device);
    assert_eq!(heard(&mut m, device), 0);
    say(&mut m, device);
    m.load_whole(&saved).expect("taken");
    assert_eq!(heard(&mut m, device), 0, "it has not begun yet");
    m.resume();
    assert_eq!(heard(&mut m, device), 2);
}
