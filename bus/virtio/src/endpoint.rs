//! What every transport drives: a device model with the state that all virtio devices have.
//!
//! A transport translates its registers into calls of [`Endpoint`] and delivers the interrupts that they leave behind
//! ([`Endpoint::take_signals`]). It knows no rings, and this module knows no registers.

mod saved;

pub use saved::EndpointState;

use smallvec::SmallVec;
use southbridge_core::clock::TimerIndex;
use southbridge_core::machine::Moving;
use southbridge_core::{Completion, Ctx, RamView};
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::cx::VirtioCx;
use crate::dma::Dma;
use crate::lane::Lane;
use crate::model::VirtioModel;
use crate::queue::{Queue, QueueConfig};
use crate::spec::{MAX_QUEUES, MAX_RING, feature, isr, status};

/// Features that mean something before version 1 alone.
const LEGACY_ALONE: u64 = feature::NOTIFY_ON_EMPTY | feature::ANY_LAYOUT;

/// Interrupts to deliver.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signals {
    /// Queues whose used buffers the driver wants to hear of.
    pub queues: SmallVec<[u16; 4]>,
    /// The configuration changed, or the device needs a reset.
    pub config: bool,
}

/// State that all devices have.
#[derive(Debug)]
pub struct Virtio {
    // Fixed.
    offered: u64,
    queues: Vec<Queue>,
    // Volatile.
    pub(crate) driver_features: u64,
    status: u8,
    isr: u8,
    generation: u32,
    /// The device stopped because the driver broke the rules.
    broken: bool,
    /// `driver_ok` has been called since the last reset.
    started: bool,
    // Glue.
    pub(crate) may_dma: bool,
    signals: Signals,
    /// Queues that were used within the call.
    touched: SmallVec<[u16; 4]>,
    /// Queues that the driver notified of before it was ready: they come when it is.
    early: SmallVec<[u16; 4]>,
    /// Queues that another thread has; what stands in `queues` is their configuration alone.
    lanes: BTreeMap<u16, Arc<Lane>>,
}

impl Drop for Virtio {
    fn drop(&mut self) {
        self.recall_all();
    }
}

impl Virtio {
    pub(crate) fn queue(&self, n: u16) -> Option<&Queue> {
        self.queues.get(usize::from(n))
    }

    pub(crate) fn queue_mut(&mut self, n: u16) -> Option<&mut Queue> {
        self.queues.get_mut(usize::from(n))
    }

    /// Whether the driver is ready and has broken no rule. A driver of before version 1 may use queues before it says that it is.
    pub(crate) fn is_ready(&self) -> bool {
        self.started && !self.broken
    }

    pub(crate) fn queue_and_dma<'a, 'c>(
        &'a mut self,
        n: u16,
        ctx: &'a mut Ctx<'c>,
    ) -> Option<(&'a mut Queue, Dma<'a, 'c>)> {
        if self.lanes.contains_key(&n) {
            return None;
        }
        self.touch(n);
        let allowed = self.may_dma;
        Some((self.queues.get_mut(usize::from(n))?, Dma { ctx, allowed }))
    }

    pub(crate) fn touch(&mut self, n: u16) {
        if !self.touched.contains(&n) {
            self.touched.push(n);
        }
    }

    // ----- queues on loan ------------------------------------------------------------------------------------------------------

    pub(crate) fn lane(&self, n: u16) -> Option<Arc<Lane>> {
        self.lanes.get(&n).cloned()
    }

    pub(crate) fn lend(&mut self, n: u16, memory: RamView) -> Option<Arc<Lane>> {
        let lane = Arc::new(Lane::new(self.queue(n)?.clone(), memory));
        self.lanes.insert(n, lane.clone());
        Some(lane)
    }

    pub(crate) fn recall(&mut self, n: u16) {
        let lent = self.lanes.remove(&n).and_then(|lane| lane.take());
        if let (Some(mut back), Some(q)) = (lent, self.queues.get_mut(usize::from(n))) {
            // The one thing that may have changed meanwhile.
            back.config.vector = q.config.vector;
            *q = back;
            // What the thread could not show the driver.
            self.touch(n);
        }
    }

    fn recall_all(&mut self) {
        while let Some((n, _)) = self.lanes.first_key_value() {
            self.recall(*n);
        }
    }

    /// A queue wherever it is.
    fn queue_now(&self, n: u16) -> Option<Queue> {
        let here = self.queue(n)?;
        let lent = self.lanes.get(&n).and_then(|lane| lane.copy());
        Some(lent.map_or_else(
            || here.clone(),
            |mut q| {
                q.config.vector = here.config.vector;
                q
            },
        ))
    }

    pub(crate) fn signal(&mut self, n: u16) {
        self.isr |= isr::QUEUE;
        if !self.signals.queues.contains(&n) {
            self.signals.queues.push(n);
        }
    }

    pub(crate) fn config_changed(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        // A driver that is not there yet reads the configuration when it comes.
        if self.status & status::DRIVER_OK != 0 {
            self.isr |= isr::QUEUE_AND_CONFIG;
            self.signals.config = true;
        }
    }

    pub(crate) fn break_off(&mut self) {
        if std::mem::replace(&mut self.broken, true) {
            return;
        }
        self.recall_all();
        if self.driver_features & feature::VERSION_1 != 0 {
            self.status |= status::NEEDS_RESET;
            if self.status & status::DRIVER_OK != 0 {
                self.isr |= isr::QUEUE_AND_CONFIG;
                self.signals.config = true;
            }
        }
    }

    /// Shows the driver what was pushed to a queue, and when it should notify.
    pub(crate) fn settle_queue(&mut self, n: u16, ctx: &mut Ctx<'_>) {
        if self.broken || self.lanes.contains_key(&n) {
            return;
        }
        let allowed = self.may_dma;
        let Some(q) = self.queues.get_mut(usize::from(n)) else {
            return;
        };
        let mut dma = Dma { ctx, allowed };
        let result = q.flush(&mut dma).and_then(|signal| {
            q.ask_for_kicks(&mut dma)?;
            Ok(signal)
        });
        match result {
            Ok(false) => {}
            Ok(true) => self.signal(n),
            Err(e) => VirtioCx { virtio: self, ctx }.broken(format_args!("queue {n}: {e}")),
        }
    }

    fn settle(&mut self, ctx: &mut Ctx<'_>) {
        for n in std::mem::take(&mut self.touched) {
            self.settle_queue(n, ctx);
        }
    }

    fn reset(&mut self) {
        self.recall_all();
        let Self {
            offered: _,
            queues,
            driver_features,
            status,
            isr,
            generation: _,
            broken,
            started,
            may_dma: _,
            signals,
            touched,
            early,
            lanes: _,
        } = self;
        queues.iter_mut().for_each(Queue::reset);
        *driver_features = 0;
        *status = 0;
        *isr = 0;
        *broken = false;
        *started = false;
        *signals = Signals::default();
        touched.clear();
        early.clear();
    }
}

/// A device model with what all devices have: the half of a device that does not depend on its transport.
pub struct Endpoint {
    virtio: Virtio,
    model: Box<dyn VirtioModel>,
}

impl Endpoint {
    /// A device that offers `features` of rings and transports beside those of its model.
    pub fn new(model: Box<dyn VirtioModel>, features: u64) -> Self {
        let sizes = model.queues();
        let queues = (0..).zip(sizes.into_iter().take(MAX_QUEUES));
        let virtio = Virtio {
            offered: features | model.features() | model.legacy_features(),
            queues: queues.map(|(n, size)| Queue::new(n, size.min(MAX_RING))).collect(),
            driver_features: 0,
            status: 0,
            isr: 0,
            generation: 0,
            broken: false,
            started: false,
            may_dma: false,
            signals: Signals::default(),
            touched: SmallVec::new(),
            early: SmallVec::new(),
            lanes: BTreeMap::new(),
        };
        Self { virtio, model }
    }

    // ----- what it is ----------------------------------------------------------------------------------------------------------

    /// The model's kind (Virtio 1.3, section 5).
    pub fn device_id(&self) -> u16 {
        self.model.device_id()
    }

    /// The model.
    pub fn model(&self) -> &dyn VirtioModel {
        &*self.model
    }

    /// All features that it offers.
    pub fn offered(&self) -> u64 {
        self.virtio.offered
    }

    /// Those that a driver of version 1 sees.
    pub fn offered_modern(&self) -> u64 {
        self.virtio.offered & !(LEGACY_ALONE | self.model.legacy_features())
    }

    /// Those that a driver of before version 1 sees: 32 bits.
    pub fn offered_legacy(&self) -> u64 {
        self.virtio.offered & u64::from(u32::MAX)
    }

    /// Offers more: what the transport turns out to be able to do. Before the driver comes.
    pub fn offer(&mut self, features: u64) {
        self.virtio.offered |= features;
    }

    /// Features that the driver chose.
    pub fn driver_features(&self) -> u64 {
        self.virtio.driver_features
    }

    /// Device status.
    pub fn status(&self) -> u8 {
        self.virtio.status
    }

    /// Whether the driver broke the rules, so that the device stopped.
    pub fn is_broken(&self) -> bool {
        self.virtio.broken
    }

    /// Whether the driver is ready, or was: the device works since.
    pub fn is_started(&self) -> bool {
        self.virtio.started
    }

    /// Interrupt status.
    pub fn isr(&self) -> u8 {
        self.virtio.isr
    }

    /// Configuration generation.
    pub fn generation(&self) -> u32 {
        self.virtio.generation
    }

    /// Number of queues.
    pub fn queue_count(&self) -> u16 {
        self.virtio.queues.len() as u16
    }

    /// A queue as it stands now, also while another thread has it.
    pub(crate) fn queue_now(&self, n: u16) -> Option<Queue> {
        self.virtio.queue_now(n)
    }

    /// A queue. While another thread has it only what the driver has set up of it is true.
    pub fn queue(&self, n: u16) -> Option<&Queue> {
        self.virtio.queue(n)
    }

    // ----- what the driver does --------------------------------------------------------------------------------------------------

    /// Whether the device may reach memory from now on: bus mastering.
    pub fn set_may_dma(&mut self, may: bool) {
        if !may {
            self.virtio.recall_all();
        }
        self.virtio.may_dma = may;
    }

    /// The driver chooses features, 32 bits of them at bit 0 or 32. Too late once they are settled.
    pub fn choose_features(&mut self, high: bool, bits: u32, cx: &mut Ctx<'_>) {
        let v = &mut self.virtio;
        if v.status & status::FEATURES_OK != 0 || v.started {
            return cx.guest_error(format_args!("features are settled; a choice now has no effect"));
        }
        let (shift, keep) = if high {
            (32, 0xffff_ffff)
        } else {
            (0, 0xffff_ffff_0000_0000)
        };
        v.driver_features = v.driver_features & keep | u64::from(bits) << shift;
    }

    /// The driver writes the device status. 0 resets.
    pub fn set_status(&mut self, value: u8, cx: &mut Ctx<'_>) {
        if value == 0 {
            return self.reset(cx);
        }
        let v = &mut self.virtio;
        // The driver can only add bits; what it cannot set it does not take away either.
        let mut now = value & !status::NEEDS_RESET | v.status & status::NEEDS_RESET;
        if now & !v.status & status::FEATURES_OK != 0 && !self.features_are_good(cx) {
            now &= !(status::FEATURES_OK | status::DRIVER_OK);
        }
        let v = &mut self.virtio;
        v.status = now;
        if now & status::DRIVER_OK != 0 {
            self.start(cx);
        }
    }

    fn features_are_good(&mut self, cx: &mut Ctx<'_>) -> bool {
        let v = &self.virtio;
        let chosen = v.driver_features;
        let needs = v.offered & (feature::ACCESS_PLATFORM | feature::VERSION_1);
        let good = if chosen & !v.offered != 0 {
            Err("features that were not offered")
        } else if chosen & feature::ACCESS_PLATFORM != needs & feature::ACCESS_PLATFORM {
            Err("a device whose addresses are the platform's without that feature")
        } else if chosen & feature::VERSION_1 == 0 && chosen & (feature::RING_PACKED | feature::ACCESS_PLATFORM) != 0 {
            Err("features of version 1 without version 1")
        } else if !self.model.accepts(chosen) {
            Err("features that do not go together")
        } else {
            Ok(())
        };
        if let Err(what) = good {
            cx.guest_error(format_args!("the driver chose {what} ({chosen:#x})"));
        }
        good.is_ok()
    }

    /// Lets the model work; once. Drivers of before version 1 may use queues without saying that they are ready.
    fn start(&mut self, cx: &mut Ctx<'_>) {
        let v = &mut self.virtio;
        if std::mem::replace(&mut v.started, true) {
            return;
        }
        if v.status & status::FEATURES_OK == 0 {
            // Before version 1 nobody said when features were settled, and those that are not there had no effect.
            v.driver_features &= v.offered & !(feature::VERSION_1 | feature::RING_PACKED);
        }
        let features = v.driver_features;
        v.queues.iter_mut().for_each(|q| q.features = features);
        let early = std::mem::take(&mut v.early);
        self.call(cx, |model, cx| {
            model.driver_ok(cx);
            early.into_iter().for_each(|n| model.on_notify(n, cx));
        });
    }

    /// The driver (or the machine) resets the device.
    pub fn reset(&mut self, cx: &mut Ctx<'_>) {
        self.virtio.reset();
        self.call(cx, |model, cx| model.reset(cx));
    }

    /// The driver resets one queue.
    pub fn reset_queue(&mut self, n: u16, cx: &mut Ctx<'_>) {
        if self.virtio.driver_features & feature::RING_RESET == 0 {
            return;
        }
        self.virtio.recall(n);
        let Some(q) = self.virtio.queue_mut(n) else { return };
        let vector = q.config.vector;
        q.reset();
        q.config.vector = vector;
        self.call(cx, |model, cx| model.queue_reset(n, cx));
    }

    /// Changes what the driver has set up of a queue; does nothing to one that is enabled, but for its vector.
    pub fn configure(&mut self, n: u16, cx: &mut Ctx<'_>, change: impl FnOnce(&mut QueueConfig)) {
        let packed = self.virtio.driver_features & feature::RING_PACKED != 0;
        let Some(q) = self.virtio.queue_mut(n) else { return };
        let mut wanted = q.config;
        change(&mut wanted);
        let frozen = q.config.enabled;
        let vector = wanted.vector;
        if frozen {
            wanted = QueueConfig { vector, ..q.config };
        }
        let size = wanted.size;
        if !may_have(size, q.max, packed) {
            cx.guest_error(format_args!("queue {n} cannot have {size} entries"));
            wanted.size = q.config.size;
        }
        q.config = wanted;
    }

    /// The driver says that all of a queue is set. It stays so until a reset.
    pub fn enable_queue(&mut self, n: u16) {
        let features = self.virtio.driver_features;
        if let Some(q) = self.virtio.queue_mut(n) {
            q.config.enabled = true;
            q.features = features;
        }
    }

    /// The driver takes that back, on transports where it can: the queue begins anew.
    pub fn disable_queue(&mut self, n: u16) {
        self.virtio.recall(n);
        if let Some(q) = self.virtio.queue_mut(n) {
            let QueueConfig { vector, .. } = q.config;
            q.reset();
            q.config.vector = vector;
        }
    }

    /// The driver has put buffers into a queue.
    pub fn kick(&mut self, n: u16, cx: &mut Ctx<'_>) {
        let v = &mut self.virtio;
        if v.broken || !v.queue(n).is_some_and(Queue::is_live) {
            return;
        }
        if !v.started {
            if v.status & status::FEATURES_OK != 0 {
                if !v.early.contains(&n) {
                    v.early.push(n);
                }
                return cx.guest_error(format_args!("queue {n} is used before the driver is ready; it waits"));
            }
            self.start(cx);
        }
        self.call(cx, |model, cx| model.on_notify(n, cx));
    }

    /// 1, 2, 4 or 8 bytes of configuration space; zero beyond its end.
    pub fn config_read(&self, offset: u64, size: u8) -> u64 {
        let config = self.model.config();
        let at = |i: u64| {
            let index = usize::try_from(offset.checked_add(i)?).ok()?;
            config.get(index).copied()
        };
        (0..u64::from(size.min(8))).fold(0, |value, i| value | u64::from(at(i).unwrap_or(0)) << (8 * i))
    }

    /// Length of configuration space, in bytes.
    pub fn config_len(&self) -> usize {
        self.model.config().len()
    }

    /// Writes 1, 2, 4 or 8 bytes of configuration space; what is not all inside has no effect.
    pub fn config_write(&mut self, offset: u64, size: u8, value: u64, cx: &mut Ctx<'_>) {
        let size = usize::from(size.min(8));
        let end = usize::try_from(offset).ok().and_then(|o| o.checked_add(size));
        let Some(end) = end.filter(|end| *end <= self.config_len()) else {
            return cx.guest_error(format_args!(
                "a write beyond the configuration at {offset:#x} has no effect"
            ));
        };
        let bytes = value.to_le_bytes();
        self.call(cx, |model, cx| {
            model.write_config(end - size, bytes.get(..size).unwrap_or_default(), cx);
        });
    }

    /// Reads the interrupt status, which clears it.
    pub fn take_isr(&mut self) -> u8 {
        std::mem::take(&mut self.virtio.isr)
    }

    /// Clears bits of the interrupt status.
    pub fn acknowledge(&mut self, bits: u8) {
        self.virtio.isr &= !bits;
    }

    // ----- what others do ----------------------------------------------------------------------------------------------------------

    /// A timer of the model is due.
    pub fn on_timer(&mut self, timer: TimerIndex, cx: &mut Ctx<'_>) {
        self.call(cx, |model, cx| model.on_timer(timer, cx));
    }

    /// Something that the host did.
    pub fn on_completion(&mut self, done: Completion, cx: &mut Ctx<'_>) {
        self.call(cx, |model, cx| model.on_completion(done, cx));
    }

    /// The machine has been loaded.
    pub fn after_load(&mut self, cx: &mut Ctx<'_>) {
        self.call(cx, |model, cx| model.after_load(cx));
    }

    /// The machine is about to move.
    pub fn on_moving(&mut self, step: &Moving, cx: &mut Ctx<'_>) {
        self.call(cx, |model, cx| model.on_moving(step, cx));
    }

    /// Calls the model and lets what it did take effect.
    pub fn call<T>(
        &mut self,
        ctx: &mut Ctx<'_>,
        f: impl FnOnce(&mut dyn VirtioModel, &mut VirtioCx<'_, '_>) -> T,
    ) -> T {
        let Self { virtio, model } = self;
        let answer = f(&mut **model, &mut VirtioCx { virtio, ctx });
        self.virtio.settle(ctx);
        answer
    }

    /// Interrupts to deliver; the transport asks after each call.
    pub fn take_signals(&mut self) -> Signals {
        std::mem::take(&mut self.virtio.signals)
    }
}

/// Whether a ring can have that many entries: those of split rings are a power of two.
fn may_have(size: u16, max: u16, packed: bool) -> bool {
    size <= max && (packed || size == 0 || size.is_power_of_two())
}
