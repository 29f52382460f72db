//! What a device finds when it is told that the whole machine has been loaded.

use std::any::Any;

use southbridge_core::memory::{Mapping, Target};
use southbridge_core::{
    ClockRate, Ctx, Device, DeviceId, DeviceType, LoadError, Machine, Properties, ResetPhase, SavedState,
};

const RAM: u64 = 0x8000_0000;

/// Looks into memory after a load, as a device does that goes on with a ring of its driver.
#[derive(Default)]
struct Reader {
    found: Option<[u8; 4]>,
}

impl Device for Reader {
    fn reset(&mut self, _: ResetPhase, _: &mut Ctx<'_>) {}
    fn save(&self) -> SavedState {
        SavedState::of(1, &())
    }
    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        state.read(1)
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

fn found(m: &mut Machine, device: DeviceId) -> Option<[u8; 4]> {
    let reader = |d: &mut dyn Device| {
        let any: &mut dyn Any = d;
        any.downcast_ref::<Reader>().and_then(|r| r.found)
    };
    m.sys.with_device(device, |d, _| reader(d))?
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
