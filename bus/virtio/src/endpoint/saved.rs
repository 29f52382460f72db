//! What a device saves of the state that all have, and how it takes it back: the input is hostile.

use serde::{Deserialize, Serialize};
use southbridge_core::{LoadError, SavedState};

use super::{Endpoint, Signals, may_have};
use crate::queue::{Position, Queue, QueueConfig};
use crate::spec::feature;

#[derive(Serialize, Deserialize)]
struct SavedQueue {
    config: QueueConfig,
    at: Position,
}

/// The saved form of an [`Endpoint`].
#[derive(Serialize, Deserialize)]
pub struct EndpointState {
    driver_features: u64,
    status: u8,
    isr: u8,
    generation: u32,
    broken: bool,
    started: bool,
    queues: Vec<SavedQueue>,
    model: SavedState,
}

impl Endpoint {
    /// Why it cannot be saved now, if so.
    pub fn migration_blocker(&self) -> Option<String> {
        self.model.migration_blocker()
    }

    /// The guest-visible state.
    pub fn save(&self) -> EndpointState {
        let v = &self.virtio;
        let queue = |q: Queue| SavedQueue {
            config: q.config,
            at: q.at,
        };
        EndpointState {
            driver_features: v.driver_features,
            status: v.status,
            isr: v.isr,
            generation: v.generation,
            broken: v.broken,
            started: v.started,
            queues: (0..self.queue_count())
                .filter_map(|n| v.queue_now(n))
                .map(queue)
                .collect(),
            model: self.model.save(),
        }
    }

    /// Takes a saved state back.
    ///
    /// # Errors
    /// When it is of another device, or has values that cannot be; nothing has changed then.
    pub fn load(&mut self, state: EndpointState) -> Result<(), LoadError> {
        let EndpointState {
            driver_features,
            status,
            isr,
            generation,
            broken,
            started,
            queues,
            model,
        } = state;
        let v = &mut self.virtio;
        if queues.len() != v.queues.len() {
            return Err(LoadError::Impossible("the number of virtio queues"));
        }
        let packed = driver_features & feature::RING_PACKED != 0;
        if driver_features & !v.offered != 0 && started {
            return Err(LoadError::Impossible("virtio features that are not offered"));
        }
        for (q, s) in v.queues.iter().zip(&queues) {
            s.check(q.max, packed)?;
        }
        self.model.load(&model)?;
        v.recall_all();
        for (q, s) in v.queues.iter_mut().zip(queues) {
            *q = Queue::loaded(q.index, q.max, s.config, s.at, driver_features);
        }
        v.driver_features = driver_features;
        v.status = status;
        v.isr = isr;
        v.generation = generation;
        v.broken = broken;
        v.started = started;
        v.signals = Signals::default();
        v.touched.clear();
        Ok(())
    }
}

impl SavedQueue {
    fn check(&self, max: u16, packed: bool) -> Result<(), LoadError> {
        let Self { config, at } = self;
        let size = config.size;
        if !may_have(size, max, packed) {
            return Err(LoadError::Impossible("the size of a virtio queue"));
        }
        let outside = packed && (at.avail >= size.max(1) || at.used >= size.max(1));
        if outside || at.in_use > size || at.order.len() > usize::from(size) {
            return Err(LoadError::Impossible("the place in a virtio ring"));
        }
        Ok(())
    }
}
