//! `virtio-rng`: the host's entropy for the guest (Virtio 1.3, section 5.4). One queue of buffers to fill, at no more than `max-bytes` in
//! each `period`.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use southbridge_backend_rng::{MAX_REQUEST, RngFront};
use southbridge_bus_virtio::{Chain, VirtioCx, VirtioModel, spec};
use southbridge_core::clock::TimerIndex;
use southbridge_core::{Build, Category, Completion, CreateError, LoadError, PropKind, Properties, SavedState};
use std::collections::VecDeque;

use crate::types::{IOEVENTFD, ModelType, NO_BUSES, property};

const VERSION: u32 = 1;
const QUEUE: u16 = 0;
const QUEUE_SIZE: u16 = 8;
const PORT: u32 = 0;
const PERIOD: TimerIndex = 0;

crate::virtio_types! {
    /// The types.
    pub static TYPES = "virtio-rng", [pci, transitional, non_transitional, device] {
        category: Category::Misc,
        summary: "Entropy of the host",
        model: ModelType { class: 0x00ff, legacy: true, vectors: |_| 2, create: Rng::create },
        vectors: "4294967295",
        properties: [
            property("rng", PropKind::Backend("rng"), None, "source of entropy; the host's own if not given"),
            property(
                "max-bytes",
                PropKind::Uint(64),
                Some("9223372036854775807"),
                "bytes that the guest gets in each period at most",
            ),
            property("period", PropKind::Uint(32), Some("65536"), "the period, in milliseconds"),
        ],
        pci: [IOEVENTFD],
        buses: NO_BUSES,
    }
}

/// A `virtio-rng`.
pub struct Rng {
    // Fixed.
    max_bytes: u64,
    period_ns: u64,
    // Glue.
    source: RngFront,
    /// The source has been asked.
    asked: bool,
    // Volatile.
    state: State,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    /// Buffers to fill.
    chains: VecDeque<Chain>,
    /// Bytes left in this period.
    quota: u64,
    /// The period runs.
    running: bool,
}

impl Rng {
    fn create(p: &Properties, build: &mut Build<'_>) -> Result<Box<dyn VirtioModel>, CreateError> {
        let (max_bytes, period) = (p.uint("max-bytes"), p.uint("period"));
        let bad = |property, value: u64, expected: &str| CreateError::BadValue {
            property,
            value: value.to_string(),
            expected: expected.into(),
        };
        if max_bytes == 0 || i64::try_from(max_bytes).is_err() {
            return Err(bad("max-bytes", max_bytes, "a number from 1 to 9223372036854775807"));
        }
        if period == 0 {
            return Err(bad("period", period, "a number from 1 to 4294967295"));
        }
        Ok(Box::new(Self {
            max_bytes,
            period_ns: period.saturating_mul(1_000_000),
            source: RngFront::attach(p, "rng", PORT, build)?,
            asked: false,
            state: State::new(max_bytes),
        }))
    }

    /// Asks the source for as much as there is room and quota for.
    fn ask(&mut self, cx: &mut VirtioCx<'_, '_>) {
        if !cx.ready() {
            return;
        }
        if !std::mem::replace(&mut self.state.running, true) {
            let end = cx.ctx().now().after_ns(self.period_ns);
            cx.ctx().set_timer(PERIOD, end);
        }
        let room: u64 = self.state.chains.iter().map(Chain::writable_len).sum();
        let len = room.min(self.state.quota).min(MAX_REQUEST as u64) as usize;
        if len > 0 && !self.asked {
            self.asked = true;
            self.source.request(len, cx.ctx());
        }
    }

    fn fill(&mut self, bytes: &[u8], cx: &mut VirtioCx<'_, '_>) {
        self.asked = false;
        self.state.quota = self.state.quota.saturating_sub(bytes.len() as u64);
        let mut rest = bytes;
        while let (false, Some(chain)) = (rest.is_empty(), self.state.chains.pop_front()) {
            let n = chain.writable_len().min(rest.len() as u64) as usize;
            let (now, later) = rest.split_at(n);
            let written = if cx.write(&chain, 0, now).is_ok() { n as u32 } else { 0 };
            cx.push(chain, written);
            rest = later;
        }
    }
}

impl State {
    const fn new(quota: u64) -> Self {
        Self {
            chains: VecDeque::new(),
            quota,
            running: false,
        }
    }
}

impl VirtioModel for Rng {
    fn device_id(&self) -> u16 {
        spec::id::RNG
    }

    fn features(&self) -> u64 {
        0
    }

    fn queues(&self) -> Vec<u16> {
        vec![QUEUE_SIZE]
    }

    fn config(&self) -> Vec<u8> {
        Vec::new()
    }

    fn reset(&mut self, cx: &mut VirtioCx<'_, '_>) {
        self.source.cancel(cx.ctx());
        cx.ctx().cancel_timer(PERIOD);
        self.asked = false;
        self.state = State::new(self.max_bytes);
    }

    fn queue_reset(&mut self, _: u16, _: &mut VirtioCx<'_, '_>) {
        self.state.chains.clear();
    }

    fn on_notify(&mut self, _: u16, cx: &mut VirtioCx<'_, '_>) {
        while let Some(chain) = cx.pop(QUEUE) {
            if chain.writable_len() == 0 {
                cx.push(chain, 0);
            } else {
                self.state.chains.push_back(chain);
            }
        }
        self.ask(cx);
    }

    fn on_timer(&mut self, _: TimerIndex, cx: &mut VirtioCx<'_, '_>) {
        self.state.quota = self.max_bytes;
        self.state.running = false;
        if !self.state.chains.is_empty() {
            self.ask(cx);
        }
    }

    fn on_completion(&mut self, done: Completion, cx: &mut VirtioCx<'_, '_>) {
        if let Some(bytes) = self.source.entropy(done, cx.ctx()) {
            self.fill(&bytes, cx);
            self.ask(cx);
        }
    }

    fn save(&self) -> SavedState {
        let Self {
            max_bytes: _,
            period_ns: _,
            source: _,
            asked: _,
            state,
        } = self;
        SavedState::of(VERSION, state)
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        let state: State = state.read(VERSION)?;
        if state.chains.len() > QUEUE_SIZE.into() {
            return Err(LoadError::Impossible("more buffers than the queue has"));
        }
        self.state = state;
        self.asked = false;
        Ok(())
    }

    fn after_load(&mut self, cx: &mut VirtioCx<'_, '_>) {
        if !self.state.chains.is_empty() {
            self.ask(cx);
        }
    }
}
