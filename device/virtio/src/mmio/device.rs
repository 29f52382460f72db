//! `virtio-X-device`: a device without registers of its own, on the bus of a transport.

use serde::{Deserialize, Serialize};
use southbridge_bus_virtio::{Endpoint, EndpointState, VirtioCx, VirtioDevice, VirtioModel};
use southbridge_core::clock::TimerIndex;
use southbridge_core::machine::Moving;
use southbridge_core::{
    Build, Completion, CreateError, Ctx, Device, Line, LoadError, Properties, ResetPhase, Role, SavedState, role,
};

use crate::types::{ModelType, ring_features};

const VERSION: u32 = 1;
const IRQ: u16 = 0;

/// Lines of every such device: it joins the transport's wire.
pub const LINES: &[Line] = &[Line::out("irq")];

/// Roles of every such device.
pub const ROLES: &[Role] = &[role!(OnBus as dyn VirtioDevice)];

/// A device on the bus of a transport.
pub struct OnBus {
    endpoint: Endpoint,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    endpoint: EndpointState,
}

/// Makes a device of a model.
///
/// # Errors
/// When the model or a property is refused.
pub fn create(
    model_type: &'static ModelType,
    p: &Properties,
    build: &mut Build<'_>,
) -> Result<Box<dyn Device>, CreateError> {
    let model = (model_type.create)(p, build)?;
    let mut endpoint = Endpoint::new(model, ring_features(p));
    // Nothing stands between it and memory.
    endpoint.set_may_dma(true);
    Ok(Box::new(OnBus { endpoint }))
}

impl OnBus {
    fn with<T>(&mut self, cx: &mut Ctx<'_>, f: impl FnOnce(&mut Endpoint, &mut Ctx<'_>) -> T) -> T {
        let answer = f(&mut self.endpoint, cx);
        // There is one wire, which says what the interrupt status says.
        self.endpoint.take_signals();
        cx.set_line(IRQ, self.endpoint.isr() != 0);
        answer
    }
}

impl VirtioDevice for OnBus {
    fn enter(&mut self, f: &mut dyn FnMut(&mut dyn VirtioModel, &mut VirtioCx<'_, '_>), cx: &mut Ctx<'_>) {
        self.with(cx, |e, cx| e.call(cx, |m, cx| f(m, cx)));
    }

    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn selected_queue(&self) -> Option<u16> {
        None
    }

    fn drive(&mut self, f: &mut dyn FnMut(&mut Endpoint, &mut Ctx<'_>), cx: &mut Ctx<'_>) {
        self.with(cx, |e, cx| f(e, cx));
    }
}

impl Device for OnBus {
    fn reset(&mut self, phase: ResetPhase, cx: &mut Ctx<'_>) {
        if phase == ResetPhase::Enter {
            self.with(cx, |e, cx| e.reset(cx));
        }
    }

    fn save(&self) -> SavedState {
        let Self { endpoint } = self;
        let endpoint = endpoint.save();
        SavedState::of(VERSION, &Saved { endpoint })
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        let Saved { endpoint } = state.read(VERSION)?;
        self.endpoint.load(endpoint)
    }

    fn after_load(&mut self, cx: &mut Ctx<'_>) {
        self.with(cx, |e, cx| e.after_load(cx));
    }

    fn on_moving(&mut self, step: &Moving, cx: &mut Ctx<'_>) {
        self.with(cx, |e, cx| e.on_moving(step, cx));
    }

    fn migration_blocker(&self) -> Option<String> {
        self.endpoint.migration_blocker()
    }

    fn on_timer(&mut self, timer: TimerIndex, cx: &mut Ctx<'_>) {
        self.with(cx, |e, cx| e.on_timer(timer, cx));
    }

    fn on_completion(&mut self, done: Completion, cx: &mut Ctx<'_>) {
        self.with(cx, |e, cx| e.on_completion(done, cx));
    }
}
