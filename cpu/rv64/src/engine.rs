//! The run loop: blocks, budgets, and what happens between instructions.

use southbridge_core::clock::Timebase;
use southbridge_core::{System, VirtualTime};
use std::collections::BTreeSet;

use crate::block::Cache;
use crate::check::{self, Checked};
use crate::config::Config;
use crate::decode::Decoder;
use crate::hart::{Flow, Hart, Trap, cause};
use crate::insn::Op;
use crate::observe::{Event, Observe};
use crate::state::{Sleep, irq};
use crate::tlb::Access;

/// Why [`Engine::run`] came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The budget is used up, or the machine asked for attention.
    Budget,
    /// The hart sleeps; its timer wakes it at `until`, if it is armed.
    Idle { until: Option<VirtualTime> },
    /// An ECALL for the firmware on the host's side. The PC is at it.
    Firmware,
    /// A semihosting call. The PC is at its EBREAK.
    Semihosting,
    /// A breakpoint is at the PC, or the last instruction touched watched data.
    Debug,
    /// Compiled code did not do what the interpreter did. How they differ.
    Differs(String),
}

/// Instructions that compiled code executes without a look at whether somebody waits: some microseconds.
const STRETCH: u64 = 1 << 16;

/// A hart with its decoded blocks.
pub(crate) struct Engine {
    pub(crate) hart: Hart,
    pub(crate) cache: Cache,
    pub(crate) breakpoints: BTreeSet<u64>,
    /// Where the next run must not stop again: the last one did.
    stopped_at: Option<u64>,
    generation: u64,
    /// When `stimecmp` is reached, for the `stimecmp` and the time base that it was worked out from.
    timer: Option<(u64, Timebase, VirtualTime)>,
    /// Whether it was said that the hart sleeps.
    told_asleep: bool,
    /// Published instructions when counters were last looked at.
    counted: u64,
}

impl Engine {
    pub(crate) fn new(cfg: Config) -> Self {
        Engine {
            cache: Cache::new(Decoder::new(cfg.extensions)),
            hart: Hart::new(cfg),
            breakpoints: BTreeSet::new(),
            stopped_at: None,
            generation: 0,
            timer: None,
            told_asleep: false,
            counted: 0,
        }
    }

    /// Executes `budget` instructions, exactly so many unless something else comes first.
    pub(crate) fn run(&mut self, sys: &mut System, budget: u64) -> Stop {
        self.begin(sys);
        let end = self.hart.s.retired.saturating_add(budget);
        let stop = loop {
            if let Some(stop) = self.between(sys, end) {
                break stop;
            }
            let until = self.next_look(sys, end);
            if let Some(stop) = self.blocks(sys, until) {
                break stop;
            }
        };
        self.hart.publish(sys, 0);
        self.hart.update_timer(sys);
        self.hart.seen = (sys.clock.ticks(), sys.timebase.at(sys.clock.now()));
        stop
    }

    /// Takes over what changed while others ran: the memory map, and what is to be told.
    pub(crate) fn begin(&mut self, sys: &mut System) {
        let h = &mut self.hart;
        h.published = h.s.retired;
        self.counted = h.published;
        let observe = Observe::of(sys);
        if observe.contains(Observe::CODE) && !h.observe.contains(Observe::CODE) {
            // Who reads along wants to see what is decoded already, too.
            self.cache.clear();
        }
        self.hart.observe = observe;
        self.follow_map(sys);
        if let Some(fast) = &mut self.cache.fast {
            fast.begin(sys);
        }
    }

    fn follow_map(&mut self, sys: &mut System) {
        if sys.memory.generation() != self.generation {
            self.generation = sys.memory.generation();
            self.cache.follow_map(sys);
            self.hart.tlb.follow_map(sys);
        }
    }

    /// Line changes, messages, and writes into code.
    pub(crate) fn news(&mut self, sys: &mut System) {
        let cpu = self.hart.cfg.cpu;
        if sys.cpu_news(cpu) {
            for (input, level) in sys.take_lines(cpu) {
                self.hart.line(input, level);
            }
            for w in sys.take_code_writes(cpu) {
                self.cache.written(w.block, w.offset, w.len);
            }
        }
        self.follow_map(sys);
    }

    /// Everything that is due between two instructions. `Some` ends the run.
    fn between(&mut self, sys: &mut System, end: u64) -> Option<Stop> {
        self.news(sys);
        let h = &mut self.hart;
        h.look_up = false;
        h.publish(sys, 0);
        h.update_timer(sys);
        h.note_overflows(sys, h.published.wrapping_sub(self.counted));
        self.counted = h.published;
        if h.watch.hit.is_some() {
            return Some(Stop::Debug);
        }
        if h.s.sleep == Sleep::Yields {
            h.s.sleep = Sleep::Awake;
            let until = Some(sys.clock.now());
            return Some(Stop::Idle { until });
        }
        if h.s.sleep != Sleep::Awake {
            let wakes = h.s.sleep == Sleep::Wfi && h.pending() & h.s.mie != 0;
            if !wakes {
                if !std::mem::replace(&mut self.told_asleep, true) {
                    h.tell(sys, Event::Sleep);
                }
                let until = self.timer_deadline(sys);
                return Some(Stop::Idle { until });
            }
            self.hart.s.sleep = Sleep::Awake;
        }
        if std::mem::take(&mut self.told_asleep) {
            self.hart.tell(sys, Event::Wake);
        }
        let h = &mut self.hart;
        if h.s.retired >= end || sys.attention() {
            return Some(Stop::Budget);
        }
        if let Some((n, to_s)) = h.takeable() {
            h.interrupt(sys, n, to_s);
        }
        if !self.breakpoints.is_empty() {
            let pc = h.s.pc;
            if self.breakpoints.contains(&pc) && self.stopped_at.replace(pc) != Some(pc) {
                return Some(Stop::Debug);
            }
            self.stopped_at = None;
        }
        None
    }

    /// When `stimecmp` will be reached and its interrupt can wake the hart, if it ever is.
    fn timer_deadline(&mut self, sys: &System) -> Option<VirtualTime> {
        let h = &self.hart;
        if !h.has_timer() || h.s.stimecmp == u64::MAX || h.s.mie & irq::STI == 0 || h.s.sleep == Sleep::Stopped {
            return None;
        }
        self.timer_moment(sys)
    }

    fn timer_moment(&mut self, sys: &System) -> Option<VirtualTime> {
        let compare = self.hart.s.stimecmp;
        match self.timer {
            Some((c, base, at)) if c == compare && base == sys.timebase => Some(at),
            _ => {
                let at = sys.timebase.reaches(compare, sys.clock.now());
                self.timer = Some((compare, sys.timebase, at));
                Some(at)
            }
        }
        .filter(|at| *at < VirtualTime(u64::MAX))
    }

    /// The count of instructions at which the hart must look up: the end, its timer, a counter's overflow, a breakpoint right here.
    fn next_look(&mut self, sys: &System, end: u64) -> u64 {
        let h = &self.hart;
        let now = h.s.retired;
        let mut until = end;
        if h.has_timer()
            && h.s.stimecmp != u64::MAX
            && h.s.mip & irq::STI == 0
            && let Some(at) = self.timer_moment(sys)
        {
            until = until.min(now.saturating_add(sys.clock.ticks_until(at).max(1)));
        }
        if let Some(left) = self.hart.until_overflow(sys) {
            until = until.min(now.saturating_add(left));
        }
        until
    }

    /// Executes blocks until `stop`, or something needs a look between two instructions.
    fn blocks(&mut self, sys: &mut System, stop: u64) -> Option<Stop> {
        // Whoever wants to see each block, or to stop in one, gets it from here.
        let told = self.hart.observe.contains(Observe::BLOCKS);
        let stops = self.stops();
        // A load that touches watched data must be the last of its run.
        let watching = !self.hart.watch.points.is_empty();
        let single = told || watching || !stops.is_empty();
        // Where blocks may run on without a look at what is to be stopped at.
        let free = if single { 0 } else { stop };
        if !single {
            self.cache.take_compiled();
        }
        let (mut from, mut stuck) = (0, false);
        while self.hart.s.retired < stop {
            if single && self.hart.triggers_at(self.hart.s.pc) {
                self.fault(
                    sys,
                    Trap {
                        cause: cause::BREAKPOINT,
                        tval: self.hart.s.pc,
                    },
                );
                return None;
            }
            let mut id = match self.locate(sys) {
                Ok(id) => id,
                Err(trap) => {
                    self.fault(sys, trap);
                    return None;
                }
            };
            let Self { hart: h, cache, .. } = self;
            if from != 0 {
                cache.link(from, id);
            }
            if told {
                h.publish(sys, 0);
                let (pc, count) = (h.s.pc, cache.get(id).count);
                h.tell(sys, Event::Block { pc, count });
            }
            let mut hot = None;
            let flow = loop {
                let block = cache.get(id);
                let start = h.s.pc;
                if !std::mem::take(&mut stuck)
                    && let Some(code) = block.code.get()
                    && free.saturating_sub(h.s.retired) >= block.count.into()
                    && let Some(fast) = &cache.fast
                {
                    let before = h.s.retired;
                    h.limit = free.min(before.saturating_add(STRETCH));
                    if fast.check {
                        match check::run(cache, fast, id, code, h, sys) {
                            Checked::Same(None) => return None,
                            Checked::Same(Some(id)) => {
                                hot = Some(id);
                                break None;
                            }
                            Checked::Nothing => {
                                stuck = true;
                                continue;
                            }
                            Checked::Differs(text) => return Some(Stop::Differs(text)),
                        }
                    }
                    let exit = fast.run(block, code, h, sys);
                    if let Some((flow, idx, id)) = exit.called() {
                        return self.finish(sys, id, Flow(flow), idx);
                    }
                    hot = exit.hot();
                    if hot.is_none() && (h.s.retired >= free || h.look_up || sys.attention()) {
                        return None;
                    }
                    // Too near to the limit: this block is the interpreter's.
                    stuck = hot.is_none() && h.s.retired == before;
                    id = 0;
                    break None;
                }
                if free.saturating_sub(h.s.retired) < block.count.into()
                    && let budget = match (single, watching) {
                        (_, true) => 1,
                        (true, _) => (stop - h.s.retired).min(before_stop(&stops, start, block)),
                        _ => stop - h.s.retired,
                    }
                    && budget < block.count.into()
                {
                    let (flow, idx) = cache.some(h, sys, block, budget);
                    if flow != Flow::NEXT {
                        break Some((flow, idx));
                    }
                    h.s.retired += budget;
                    h.s.pc = h.s.pc.wrapping_add(block.at(budget as usize));
                    return None;
                }
                let (flow, idx) = execute(h, sys, &block.ops);
                match flow {
                    Flow::NEXT => h.s.pc = start.wrapping_add(block.len.into()),
                    Flow::BRANCH => {}
                    _ => break Some((flow, idx)),
                }
                h.s.retired += u64::from(block.count);
                if h.s.retired >= free || h.look_up || sys.attention() {
                    return None;
                }
                if block.is_hot() {
                    hot = Some(id);
                    break None;
                }
                let pc = h.s.pc;
                let key = block.key_near(start, pc).or_else(|| h.tlb.fetch(pc, h.fetch_context));
                match key.and_then(|key| cache.follow(block, key)) {
                    Some(next) => id = next,
                    None => break None,
                }
            };
            from = id;
            if let Some((flow, idx)) = flow {
                return self.finish(sys, id, flow, idx);
            }
            if let Some(id) = hot {
                self.cache.compile(&mut self.hart, id);
                if self.hart.look_up || sys.attention() {
                    return None;
                }
            }
        }
        None
    }

    /// Where the run may have to stop before an instruction.
    fn stops(&self) -> BTreeSet<u64> {
        let mut triggers = self.hart.execute_triggers().peekable();
        if self.breakpoints.is_empty() && triggers.peek().is_none() {
            return BTreeSet::new();
        }
        self.breakpoints.iter().copied().chain(triggers).collect()
    }

    /// The block at the PC.
    fn locate(&mut self, sys: &mut System) -> Result<u32, Trap> {
        let Self { hart: h, cache, .. } = self;
        let pc = h.s.pc;
        let mut whole = true;
        let key = match h.tlb.fetch(pc, h.fetch_context) {
            Some(key) => key,
            None => {
                h.publish(sys, 0);
                let page = h.translate(sys, pc, 2, Access::Fetch)?;
                whole = page.whole;
                if whole {
                    let context = h.fetch_context;
                    h.tlb.keep(sys, Access::Fetch, pc, page.paddr, page.shift, context);
                }
                page.paddr
            }
        };
        if whole && let Some(id) = cache.find(key) {
            let Some(second) = cache.get(id).second else {
                return Ok(id);
            };
            // An instruction across two pages: the second may have moved.
            let next = (pc | 0xfff).wrapping_add(1);
            let page = h.translate(sys, next, 2, Access::Fetch)?;
            if page.paddr == second {
                return Ok(id);
            }
            cache.drop_block(id);
        }
        cache.build(h, sys, key, whole)
    }

    /// An instruction ended its block in other ways than by a plain branch.
    #[cold]
    fn finish(&mut self, sys: &mut System, id: u32, flow: Flow, idx: u8) -> Option<Stop> {
        let Self { hart: h, cache, .. } = self;
        let block = cache.get(id);
        let i = usize::from(idx);
        let (this, next) = (h.s.pc.wrapping_add(block.at(i)), h.s.pc.wrapping_add(block.at(i + 1)));
        match flow {
            Flow::SYNC => h.s.pc = next,
            Flow::TRAP => {
                h.s.pc = this;
                let mut trap = h.trap;
                if trap.cause == cause::ILLEGAL {
                    trap.tval = block.raw(i).into();
                }
                h.s.retired += u64::from(idx) + 1;
                h.publish(sys, 0);
                h.exception(sys, trap);
                return None;
            }
            Flow::FIRMWARE | Flow::SEMIHOSTING => {
                h.s.pc = this;
                h.s.retired += u64::from(idx) + 1;
                return Some(match flow {
                    Flow::FIRMWARE => Stop::Firmware,
                    _ => Stop::Semihosting,
                });
            }
            // SYNC_BRANCH, and BRANCH out of a block that the budget cut: the PC is set.
            _ => {}
        }
        h.s.retired += u64::from(idx) + 1;
        None
    }

    /// The instruction at the PC traps before it is executed.
    #[cold]
    fn fault(&mut self, sys: &mut System, trap: Trap) {
        let h = &mut self.hart;
        h.s.retired += 1;
        h.publish(sys, 0);
        h.exception(sys, trap);
    }

    /// Sets all breakpoints anew.
    pub(crate) fn set_breakpoints(&mut self, breakpoints: &[u64]) {
        self.breakpoints = breakpoints.iter().copied().collect();
    }

    /// Forgets what is kept beside the state.
    pub(crate) fn state_changed(&mut self) {
        self.stopped_at = None;
        self.timer = None;
        self.cache.clear();
        self.hart.tlb.clear();
        self.hart.rights_changed();
    }
}

/// Instructions of the block at `pc` before the first address of `stops`; one that stands first was dealt with.
fn before_stop(stops: &BTreeSet<u64>, pc: u64, block: &crate::block::Block) -> u64 {
    let end = pc.saturating_add(block.len.into());
    let first = stops.range(pc.saturating_add(1)..end.max(pc.saturating_add(1))).next();
    first.map_or(u64::MAX, |at| block.before(at - pc).max(1))
}

/// Runs operations until one does more than go on; how it ended, and the number of its instruction.
#[inline(always)]
fn execute(h: &mut Hart, sys: &mut System, ops: &[Op]) -> (Flow, u8) {
    for op in ops {
        let flow = (op.run)(h, sys, op);
        if flow != Flow::NEXT {
            return flow.whose(op.idx);
        }
    }
    (Flow::NEXT, 0)
}
