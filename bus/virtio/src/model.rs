//! What a virtio device is, apart from its transport.

use std::any::Any;

use southbridge_core::clock::TimerIndex;
use southbridge_core::machine::Moving;
use southbridge_core::{Completion, Ctx, LoadError, SavedState};

use crate::cx::VirtioCx;
use crate::endpoint::Endpoint;

/// A device model. It is embedded in a transport's device; it never locks and never blocks.
///
/// Order of calls: `reset`, then `driver_ok` once the driver is ready, then `on_notify` and the rest; nothing but `config` and
/// `write_config` is called between `reset` and `driver_ok`, except `on_timer`, `on_completion`, `on_moving` and `after_load`, for which a
/// model looks at [`VirtioCx::ready`] (or just calls `pop`, which gives nothing then).
///
/// Buffers that are pushed become visible, and the driver gets its interrupt, when the call returns.
pub trait VirtioModel: Any + Send {
    /// What it is (Virtio 1.3, section 5).
    fn device_id(&self) -> u16;

    /// Feature bits of the device that it offers (0 to 23, 50 to 127 as far as 64 bits reach). Bits of rings and transports are the
    /// core's.
    fn features(&self) -> u64;

    /// Those of them, or more, that only drivers of before version 1 see.
    fn legacy_features(&self) -> u64 {
        0
    }

    /// Whether a choice of features can be worked with; a choice with bits that were not offered has been refused before.
    fn accepts(&self, _features: u64) -> bool {
        true
    }

    /// Largest size of each queue, fixed at creation.
    fn queues(&self) -> Vec<u16>;

    /// The whole configuration space, little-endian. Its length is fixed at creation.
    fn config(&self) -> Vec<u8>;

    /// The driver wrote to configuration space: 1 to 8 bytes that are inside it.
    fn write_config(&mut self, _offset: usize, _data: &[u8], _cx: &mut VirtioCx<'_, '_>) {}

    /// The driver is ready: features and queues are settled.
    fn driver_ok(&mut self, _cx: &mut VirtioCx<'_, '_>) {}

    /// The driver (or the machine) resets the device: forget all chains, cancel timers, volatile state to its beginning.
    fn reset(&mut self, cx: &mut VirtioCx<'_, '_>);

    /// The driver resets one queue: forget the chains of that queue.
    fn queue_reset(&mut self, _queue: u16, _cx: &mut VirtioCx<'_, '_>) {}

    /// The driver says that it has put buffers into a queue.
    fn on_notify(&mut self, queue: u16, cx: &mut VirtioCx<'_, '_>);

    /// A timer that the model armed by `cx.ctx()` is due. Numbers are the model's own.
    fn on_timer(&mut self, _timer: TimerIndex, _cx: &mut VirtioCx<'_, '_>) {}

    /// Something that the host did for (or to) this device.
    fn on_completion(&mut self, _done: Completion, _cx: &mut VirtioCx<'_, '_>) {}

    /// The model's volatile state, with the chains in its hands.
    fn save(&self) -> SavedState;

    /// Takes a saved state back. The input is hostile; on error the model is unchanged. Chains in flight are submitted again in
    /// `after_load`.
    fn load(&mut self, state: &SavedState) -> Result<(), LoadError>;

    /// The whole machine has been loaded.
    fn after_load(&mut self, _cx: &mut VirtioCx<'_, '_>) {}

    /// The machine is about to move elsewhere, and the guest still runs.
    fn on_moving(&mut self, _step: &Moving, _cx: &mut VirtioCx<'_, '_>) {}

    /// Why this device cannot be saved now, if so.
    fn migration_blocker(&self) -> Option<String> {
        None
    }
}

/// The role of all devices that have a model inside: how monitors and devices below a model's own bus reach it.
pub trait VirtioDevice {
    /// Calls `f` with the model; what it pushed and raised takes effect before this returns. See [`with_model`].
    fn enter(&mut self, f: &mut dyn FnMut(&mut dyn VirtioModel, &mut VirtioCx<'_, '_>), cx: &mut Ctx<'_>);

    /// The shared half, for those who look.
    fn endpoint(&self) -> &Endpoint;

    /// The queue that the driver's registers are about; `None` where they are another device's ([`crate::wiring::VirtioSlot`]).
    fn selected_queue(&self) -> Option<u16>;

    /// Runs `f` on the shared half and lets what it left behind take effect: how a transport that is a device of its own reaches it.
    fn drive(&mut self, f: &mut dyn FnMut(&mut Endpoint, &mut Ctx<'_>), cx: &mut Ctx<'_>);
}

/// Calls `f` with the model of a device, if it is an `M`.
pub fn with_model<M: VirtioModel, T>(
    device: &mut dyn VirtioDevice,
    cx: &mut Ctx<'_>,
    f: impl FnOnce(&mut M, &mut VirtioCx<'_, '_>) -> T,
) -> Option<T> {
    let mut f = Some(f);
    let mut answer = None;
    device.enter(
        &mut |model, cx| {
            let any: &mut dyn Any = model;
            if let (Some(model), Some(f)) = (any.downcast_mut::<M>(), f.take()) {
                answer = Some(f(model, cx));
            }
        },
        cx,
    );
    answer
}
