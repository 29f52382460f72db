//! The model.

use serde::{Deserialize, Serialize};
use southbridge_backend_block::IoThread;
use southbridge_bus_virtio::spec::id;
use southbridge_bus_virtio::{Chain, VirtioCx, VirtioModel};
use southbridge_core::clock::TimerIndex;
use southbridge_core::machine::{Asking, Moving};
use southbridge_core::{
    Backend, Build, CreateError, HostCx, HostEvent, LoadError, NoticeValue, Properties, SavedState,
};
use std::sync::{Arc, Weak};

use super::hints::Hints;
use super::regs::*;

const VERSION: u32 = 2;
/// The model's timer: asks for statistics.
const POLL: TimerIndex = 0;
/// Most pages in one request; Linux sends 256.
const MOST_PAGES: u64 = 1 << 16;
/// Pages that are read in one go.
const BATCH: usize = 256;
const NS: u64 = 1_000_000_000;

/// Volatile state.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct State {
    /// Pages that the host wants to have.
    wanted: u32,
    /// Pages that it has, says the guest.
    actual: u32,
    /// The pattern of free pages.
    poison: u32,
    /// The buffer that asks for statistics when it is given back.
    request: Option<Chain>,
    stats: [Option<u64>; STATS_NAMES.len()],
    /// When they came, in seconds since 1970; 0 for never.
    updated: u64,
    /// Seconds between requests; 0 for none.
    interval: u32,
    hints: Hints,
}

impl State {
    const fn new() -> Self {
        Self {
            wanted: 0,
            actual: 0,
            poison: 0,
            request: None,
            stats: [None; STATS_NAMES.len()],
            updated: 0,
            interval: 0,
            hints: Hints::new(),
        }
    }
}

/// What the guest says of its memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestStats {
    /// When it came, in seconds since 1970 of the machine's clock; 0 for never.
    pub last_update: u64,
    /// By name; `None` for what the guest does not say.
    pub stats: Vec<(&'static str, Option<u64>)>,
}

/// The machine's one balloon.
#[derive(Default)]
struct Only(Weak<()>);

impl Backend for Only {
    fn on_host(&mut self, _event: HostEvent, _cx: &mut HostCx<'_>) {}
}

/// A memory balloon.
pub struct Balloon {
    // Fixed.
    features: u64,
    config_len: usize,
    // Glue.
    _only: Arc<()>,
    /// Used in name only; but who names a thread keeps it.
    _thread: Option<Arc<IoThread>>,
    /// A search that the guest has been asked for.
    asking: Option<Asking>,
    // Volatile.
    state: State,
}

impl Balloon {
    pub(super) fn create(p: &Properties, build: &mut Build<'_>) -> Result<Box<dyn VirtioModel>, CreateError> {
        let thread = thread(p, build)?;
        if p.bool("free-page-hint") && thread.is_none() {
            return Err(CreateError::Host(
                "'free-page-hint' requires 'iothread' to be set".into(),
            ));
        }
        let only = Arc::new(());
        let backend = build.only_backend::<Only>();
        match build.backend::<Only>(backend) {
            Some((slot, _)) if slot.0.strong_count() == 0 => slot.0 = Arc::downgrade(&only),
            _ => {
                return Err(CreateError::Host(
                    "a machine has one balloon, and there is one already".into(),
                ));
            }
        }
        let bit = |name, feature| if p.bool(name) { feature } else { 0 };
        let poison = bit("page-poison", F_PAGE_POISON);
        let hints = bit("free-page-hint", F_HINTS);
        Ok(Box::new(Self {
            features: F_STATS_VQ
                | poison
                | hints
                | bit("deflate-on-oom", F_DEFLATE_ON_OOM)
                | bit("free-page-reporting", F_REPORTING),
            config_len: match () {
                () if poison != 0 || p.bool("qemu-4-0-config-size") => CONFIG_LONG,
                () if hints != 0 => CONFIG_HINTS,
                () => CONFIG_SHORT,
            },
            _only: only,
            _thread: thread,
            asking: None,
            state: State::new(),
        }))
    }

    /// How many bytes the balloon has, says the guest.
    pub fn size(&self) -> u64 {
        u64::from(self.state.actual) * PAGE
    }

    /// Asks the guest for a balloon of so many bytes.
    pub fn resize(&mut self, bytes: u64, cx: &mut VirtioCx<'_, '_>) {
        self.state.wanted = u32::try_from(bytes / PAGE).unwrap_or(u32::MAX);
        cx.config_changed();
    }

    /// What the guest has said last.
    pub fn stats(&self) -> GuestStats {
        GuestStats {
            last_update: self.state.updated,
            stats: STATS_NAMES.into_iter().zip(self.state.stats).collect(),
        }
    }

    /// Seconds between two requests for statistics; 0 for none.
    pub fn interval(&self) -> u32 {
        self.state.interval
    }

    /// Changes that. The first request comes at once.
    pub fn set_interval(&mut self, seconds: u32, cx: &mut VirtioCx<'_, '_>) {
        let before = std::mem::replace(&mut self.state.interval, seconds);
        match (before, seconds) {
            (_, 0) => cx.ctx().cancel_timer(POLL),
            (0, _) => {
                let now = cx.ctx().now();
                cx.ctx().set_timer(POLL, now);
            }
            (before, now) if before != now => self.poll_later(cx),
            _ => {}
        }
    }

    fn poll_later(&self, cx: &mut VirtioCx<'_, '_>) {
        if self.state.interval > 0 {
            let at = cx.ctx().now().after_ns(u64::from(self.state.interval) * NS);
            cx.ctx().set_timer(POLL, at);
        }
    }

    /// Pages by their numbers, 32 bits each.
    fn inflate(&mut self, cx: &mut VirtioCx<'_, '_>) {
        while let Some(chain) = cx.pop(INFLATE) {
            let pages = chain.readable_len() / 4;
            if pages > MOST_PAGES {
                cx.ctx()
                    .guest_error(format_args!("{pages} pages in one request: {MOST_PAGES} are looked at"));
            }
            let mut run = Run::default();
            let mut at = 0;
            let pages = pages.min(MOST_PAGES);
            while at < pages {
                let n = BATCH.min((pages - at) as usize);
                let Ok(numbers) = cx.read_vec(&chain, at * 4, n * 4) else {
                    break;
                };
                for number in numbers.as_chunks::<4>().0 {
                    run.add(u32::from_le_bytes(*number).into(), cx);
                }
                at += n as u64;
            }
            run.give_back(cx);
            cx.push(chain, 0);
        }
    }

    /// Memory that the guest takes back needs nothing: it comes as it is touched.
    fn deflate(&mut self, cx: &mut VirtioCx<'_, '_>) {
        while let Some(chain) = cx.pop(DEFLATE) {
            cx.push(chain, 0);
        }
    }

    /// The queue for hints, if there is one.
    fn hints_queue(&self) -> Option<u16> {
        (self.features & F_HINTS != 0).then_some(FIRST_OPTIONAL)
    }

    fn reports_queue(&self) -> u16 {
        FIRST_OPTIONAL + u16::from(self.features & F_HINTS != 0)
    }

    /// A readable segment says which command what follows is for, or that there is no more; each writable one is a stretch of free memory.
    fn hints(&mut self, queue: u16, cx: &mut VirtioCx<'_, '_>) {
        while let Some(chain) = cx.pop(queue) {
            if chain.readable_len() > 0 {
                let mut id = [0; 4];
                if cx.read(&chain, 0, &mut id).is_err() {
                    cx.broken(format_args!("a command for hints that cannot be read"));
                    return;
                }
                if !self.state.hints.hear(u32::from_le_bytes(id)) {
                    self.asking = None;
                }
            }
            for s in chain.writable() {
                self.hint(s.addr, s.len.into(), cx);
            }
            cx.push(chain, 0);
        }
    }

    fn hint(&mut self, address: u64, len: u64, cx: &mut VirtioCx<'_, '_>) {
        let Some(asking) = self.asking.as_ref().filter(|_| self.state.hints.is_open()) else {
            return;
        };
        // Pages that must come back with their pattern cannot go.
        if self.state.poison == 0 {
            cx.ctx().discard_free_ram(address, len, asking.search());
        }
        if !asking.search().hear(len) {
            self.asking = None;
            self.state.hints.stop();
            cx.config_changed();
        }
    }

    /// What was hinted is the guest's again.
    fn end_hints(&mut self, cx: &mut VirtioCx<'_, '_>) {
        self.asking = None;
        if self.state.hints.end() {
            cx.config_changed();
        }
    }

    /// Each writable segment is a stretch of free memory.
    fn reports(&mut self, cx: &mut VirtioCx<'_, '_>) {
        while let Some(chain) = cx.pop(self.reports_queue()) {
            // Pages that must come back with their pattern cannot go.
            if self.state.poison == 0 {
                for s in chain.writable() {
                    cx.ctx().discard_ram(s.addr, s.len.into());
                }
            }
            cx.push(chain, 0);
        }
    }

    fn receive_stats(&mut self, cx: &mut VirtioCx<'_, '_>) {
        while let Some(chain) = cx.pop(STATS) {
            self.state.stats = [None; STATS_NAMES.len()];
            // More than one of each says nothing new.
            let most = STAT_LEN * STATS_NAMES.len();
            let len = most.min(usize::try_from(chain.readable_len()).unwrap_or(most));
            let told = cx.read_vec(&chain, 0, len).unwrap_or_default();
            for [tag_low, tag_high, value @ ..] in told.as_chunks::<STAT_LEN>().0 {
                let tag = usize::from(u16::from_le_bytes([*tag_low, *tag_high]));
                // The guest says -1 for what it cannot tell now.
                let value = Some(u64::from_le_bytes(*value)).filter(|v| *v != u64::MAX);
                if let Some(stat) = self.state.stats.get_mut(tag) {
                    *stat = value;
                }
            }
            let now = cx.ctx().now().0;
            self.state.updated = cx.ctx().rtc_base_ns().saturating_add(now) / NS;
            if let Some(older) = self.state.request.replace(chain) {
                cx.push(older, 0);
            }
            self.poll_later(cx);
        }
    }
}

/// The thread that the user names.
fn thread(p: &Properties, build: &mut Build<'_>) -> Result<Option<Arc<IoThread>>, CreateError> {
    let Some(name) = p.str("iothread") else { return Ok(None) };
    let thread = IoThread::find_for(build, name).ok_or_else(|| CreateError::BadValue {
        property: "iothread",
        value: name.to_owned(),
        expected: "the id of an -object iothread".into(),
    })?;
    Ok(Some(thread))
}

/// Neighbouring pages go together: one system call for many.
#[derive(Default)]
struct Run {
    first: u64,
    count: u64,
}

impl Run {
    fn add(&mut self, page: u64, cx: &mut VirtioCx<'_, '_>) {
        if self.count > 0 && page == self.first + self.count {
            self.count += 1;
        } else if self.count > 0 && page + 1 == self.first {
            self.first = page;
            self.count += 1;
        } else {
            self.give_back(cx);
            *self = Self { first: page, count: 1 };
        }
    }

    fn give_back(&mut self, cx: &mut VirtioCx<'_, '_>) {
        if self.count > 0 {
            cx.ctx().discard_ram(self.first * PAGE, self.count * PAGE);
        }
        self.count = 0;
    }
}

impl VirtioModel for Balloon {
    fn device_id(&self) -> u16 {
        id::BALLOON
    }

    fn features(&self) -> u64 {
        self.features
    }

    fn queues(&self) -> Vec<u16> {
        let mut all = vec![QUEUE_SIZE; 3];
        if self.features & F_HINTS != 0 {
            all.push(HINTS_SIZE);
        }
        if self.features & F_REPORTING != 0 {
            all.push(REPORTING_SIZE);
        }
        all
    }

    fn config(&self) -> Vec<u8> {
        let s = &self.state;
        let words = [s.wanted, s.actual, s.hints.command(), s.poison];
        let mut config: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        config.truncate(self.config_len);
        config
    }

    fn write_config(&mut self, offset: usize, data: &[u8], cx: &mut VirtioCx<'_, '_>) {
        let mut config = self.config();
        let Some(place) = config.get_mut(offset..).and_then(|c| c.get_mut(..data.len())) else {
            return;
        };
        place.copy_from_slice(data);
        let word = |at: usize| match config.get(at..at + 4) {
            Some([a, b, c, d]) => u32::from_le_bytes([*a, *b, *c, *d]),
            _ => 0,
        };
        let before = std::mem::replace(&mut self.state.actual, word(ACTUAL));
        self.state.poison = if cx.has(F_PAGE_POISON) { word(POISON) } else { 0 };
        if before != self.state.actual {
            let size = i64::try_from(self.size()).unwrap_or(i64::MAX);
            cx.ctx()
                .notify("BALLOON_CHANGE", &[("balloon", NoticeValue::Number(size))]);
        }
    }

    fn driver_ok(&mut self, cx: &mut VirtioCx<'_, '_>) {
        self.poll_later(cx);
        self.receive_stats(cx);
    }

    fn reset(&mut self, cx: &mut VirtioCx<'_, '_>) {
        cx.ctx().cancel_timer(POLL);
        let State {
            wanted,
            actual,
            poison: _,
            request: _,
            stats: _,
            updated: _,
            interval,
            ref hints,
        } = self.state;
        // What the host wants stays; what the guest has, the next driver says.
        self.state = State {
            wanted,
            actual,
            interval,
            hints: hints.after_reset(),
            ..State::new()
        };
        self.asking = None;
    }

    fn queue_reset(&mut self, queue: u16, _cx: &mut VirtioCx<'_, '_>) {
        if queue == STATS {
            self.state.request = None;
        }
    }

    fn on_notify(&mut self, queue: u16, cx: &mut VirtioCx<'_, '_>) {
        match queue {
            INFLATE => self.inflate(cx),
            DEFLATE => self.deflate(cx),
            STATS => self.receive_stats(cx),
            other if Some(other) == self.hints_queue() => self.hints(other, cx),
            _ => self.reports(cx),
        }
    }

    fn on_moving(&mut self, step: &Moving, cx: &mut VirtioCx<'_, '_>) {
        match step {
            Moving::Search(search) if cx.ready() && cx.has(F_HINTS) => {
                self.asking = Some(search.ask());
                self.state.hints.begin();
                cx.config_changed();
            }
            Moving::Search(_) => {}
            Moving::Over => self.end_hints(cx),
        }
    }

    fn on_timer(&mut self, _timer: TimerIndex, cx: &mut VirtioCx<'_, '_>) {
        match self.state.request.take() {
            Some(chain) => cx.push(chain, 0),
            None => self.poll_later(cx),
        }
    }

    fn save(&self) -> SavedState {
        SavedState::of(VERSION, &self.state)
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        let state: State = state.read(VERSION)?;
        if state.request.as_ref().is_some_and(|c| c.queue() != STATS) {
            return Err(LoadError::Impossible("a buffer of another queue"));
        }
        self.state = state;
        self.asking = None;
        Ok(())
    }

    fn after_load(&mut self, cx: &mut VirtioCx<'_, '_>) {
        // Whoever asked is not here.
        self.end_hints(cx);
    }
}
