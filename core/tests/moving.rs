//! A machine that is about to move: who asks its guest, and when the guest hears of it.
#![allow(unused_crate_dependencies)]

use southbridge_core::line::Sink;
use southbridge_core::machine::{Draft, FreeSearch, Moving};
use southbridge_core::{
    ClockRate, Ctx, Device, DeviceType, Line, LineId, LoadError, Machine, Properties, ResetPhase, SavedState,
};
use std::any::Any;
use std::sync::Arc;

/// Asks by a line, which leads back to it.
#[derive(Default)]
struct Asker {
    search: Option<Arc<FreeSearch>>,
    heard: Vec<bool>,
}

impl Device for Asker {
    fn reset(&mut self, _: ResetPhase, _: &mut Ctx<'_>) {}
    fn save(&self) -> SavedState {
        SavedState::of(1, &())
    }
    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        state.read(1)
    }
    fn on_moving(&mut self, step: &Moving, cx: &mut Ctx<'_>) {
        self.search = match step {
            Moving::Search(search) => Some(search.clone()),
            Moving::Over => None,
        };
        cx.set_line(0, self.search.is_some());
    }
    fn on_line(&mut self, _: LineId, level: bool, _: &mut Ctx<'_>) {
        self.heard.push(level);
    }
}

static ASKER: DeviceType = DeviceType {
    name: "asker",
    summary: "asks its guest",
    lines: &[Line::out("irq"), Line::input("ear")],
    create: |_, _| Ok(Box::new(Asker::default())),
    ..DeviceType::BASE
};

#[test]
fn a_guest_that_sleeps_hears_of_a_search_at_once() {
    let mut m = Machine::empty(ClockRate::Hz(1_000_000_000)).expect("a machine");
    let Ok(device) = m.sys.add_device(&ASKER, None, Properties::default(), &[]) else {
        panic!("it has nothing that could be refused");
    };
    m.sys.wire(device, 0, Sink::Device(device, 0));
    let heard = |m: &mut Machine| {
        let asker = |d: &mut dyn Device| {
            let any: &mut dyn Any = d;
            any.downcast_mut::<Asker>().map(|a| std::mem::take(&mut a.heard))
        };
        m.sys.with_device(device, |d, _| asker(d)).flatten()
    };
    // One that stands cannot be asked.
    m.search_free(Draft::default());
    assert_eq!(heard(&mut m), Some(vec![]));
    m.start();
    m.search_free(Draft::default());
    assert_eq!(heard(&mut m), Some(vec![true]));
    m.end_search();
    assert_eq!(heard(&mut m), Some(vec![false]));
}
