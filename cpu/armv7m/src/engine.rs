//! The run loop: blocks, budgets, and what happens between instructions.

use crate::block::{Cache, Place, Stops, executable, key};
use crate::bus::Bus;
use crate::check::{self, Checked};
use crate::core::{Core, Fault, Flow};
use crate::exception::fetch_vector;
use crate::fast::Fast;
use crate::observe::{Observation, Observe};
use crate::scs::nvic::number::*;
use crate::scs::regs::sync_systick;
use crate::scs::scb::demcr;
use crate::scs::systick::Rates;
use crate::state::{Sleep, State};
use crate::variant::Config;

/// Why [`Engine::run`] came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The budget is used up, or the bus asked for attention.
    Budget,
    /// The core sleeps; its own timer wakes it when the clock reaches `until` cycles, if it is armed.
    Idle {
        /// Cycle count of SysTick's next interrupt.
        until: Option<u64>,
    },
    /// AIRCR.SYSRESETREQ was written.
    Reset,
    /// BKPT 0xAB with semihosting on: R0 and R1. The PC is already behind it; the result goes to R0.
    Semihosting {
        /// R0.
        op: u32,
        /// R1.
        arg: u32,
    },
    /// A fault while a fault of the highest priority was handled (B1.5.15). Only a reset (or NMI) helps.
    Lockup,
    /// Compiled code did not do what the interpreter did: see [`Engine::difference`].
    Differs,
    /// A breakpoint is at the PC, or the last instruction touched watched data.
    Breakpoint,
}

/// The input number of NMI for [`Bus::take_lines`] and [`Engine::line`]; external interrupts are 0 to 239.
pub const NMI_LINE: u32 = 0x1000;

/// Instructions that compiled code executes without a look at whether somebody waits: some microseconds.
const STRETCH: u64 = 1 << 13;

/// A Cortex-M core with its decoded blocks.
pub struct Engine<B: Bus> {
    pub(crate) core: Core<B>,
    pub(crate) cache: Cache<B>,
    pub(crate) breakpoints: Stops,
    /// Breakpoint at which the last run stopped; the next one goes over it.
    stopped_at: Option<u32>,
    generation: u64,
    semihosting: bool,
    difference: String,
}

impl<B: Bus> Engine<B> {
    /// A core that has not been reset yet.
    pub fn new(cfg: Config) -> Self {
        Engine {
            core: Core::new(cfg),
            cache: Cache::new(),
            breakpoints: Stops::new(),
            stopped_at: None,
            generation: 0,
            semihosting: false,
            difference: String::new(),
        }
    }

    /// How it was configured.
    pub fn config(&self) -> &Config {
        &self.core.cfg
    }

    /// Whether BKPT 0xAB leaves [`Engine::run`] with [`Exit::Semihosting`].
    pub fn set_semihosting(&mut self, on: bool) {
        self.semihosting = on;
    }

    /// Compiles hot code, or no longer does. An error says why it cannot be done here.
    pub fn set_jit(&mut self, options: Option<southbridge_cpu_jit::Options>) -> Result<(), String> {
        self.cache.clear();
        self.cache.fast = options.map(Fast::new).transpose()?;
        Ok(())
    }

    /// After [`Exit::Differs`]: what differs, for people.
    pub fn difference(&self) -> &str {
        &self.difference
    }

    /// Numbers about compiled code, if there is any.
    pub fn jit_statistics(&self) -> Option<southbridge_cpu_jit::Statistics> {
        self.cache.fast.as_ref().map(Fast::statistics)
    }

    /// What is made of the code at `pc`, as text: the fast tier's IR and host code. `None` if nothing is
    /// compiled, or that code was not executed yet.
    pub fn show_compiled(&self, pc: u32) -> Option<[String; 2]> {
        self.cache.show(&self.core, pc)
    }

    /// Takes reset (B1.5.5): registers to their reset values, SP and PC from the vector table. Input lines keep their levels.
    pub fn reset(&mut self, bus: &mut B) {
        self.begin(bus);
        // The devices were reset just now: lines that they let go must not be seen as still high.
        self.news(bus);
        let rates = Rates {
            cpu_hz: bus.cpu_hz(),
            ref_hz: self.core.cfg.ref_hz,
        };
        let level = self.core.s.nvic.level;
        let core = &mut self.core;
        core.cpu_hz = rates.cpu_hz;
        core.s = State::new(&core.cfg, core.cycles, rates);
        core.s.regs[14] = u32::MAX;
        core.s.nvic.level = level;
        level.each(|n| core.s.nvic.pending.put(n, true));
        core.reset_request = false;
        core.rights_changed(true);
        core.flush_tlb();
        self.cache.clear();
        let vtor = core.s.scb.vtor;
        match (fetch_vector(bus, vtor), fetch_vector(bus, vtor.wrapping_add(4))) {
            (Some(sp), Some(pc)) => {
                core.s.regs[13] = sp & !3;
                core.s.pc = pc & !1;
                core.s.t = pc & 1 != 0;
            }
            // A vector that cannot be read at reset is lockup at priority -1 (B1.5.15).
            _ => core.s.lockup = true,
        }
        if core.observe.contains(Observe::RESET) {
            let registers = self.registers();
            self.core.tell(bus, Observe::RESET, &Observation::Reset(&registers));
        }
    }

    /// Executes `budget` instructions, exactly so many unless another exit comes first.
    pub fn run(&mut self, bus: &mut B, budget: u64) -> Exit {
        self.begin(bus);
        let end = self.core.cycles.saturating_add(budget);
        let exit = loop {
            if let Some(exit) = self.between(bus, end) {
                break exit;
            }
            let rates = self.core.rates();
            let stop = self.core.s.systick.next_event(rates).map_or(end, |at| at.min(end));
            if let Some(exit) = self.blocks(bus, stop) {
                break exit;
            }
        };
        self.settle(bus);
        if exit == Exit::Lockup {
            let (hfsr, cfsr) = (self.core.s.scb.hfsr, self.core.s.scb.cfsr);
            self.core
                .tell(bus, Observe::EXCEPTIONS, &Observation::Lockup { hfsr, cfsr });
        }
        exit
    }

    /// Brings everything that is evaluated late up to now, so that the state does not tell how runs were cut.
    fn settle(&mut self, bus: &mut B) {
        let core = &mut self.core;
        core.publish(bus, 0);
        sync_systick(core, core.cycles);
        core.s.dwt.advance(core.cycles, core.s.scb.demcr & demcr::TRCENA != 0);
    }

    /// Takes over what changed while others ran: time, clock rate, the memory map.
    pub(crate) fn begin(&mut self, bus: &mut B) {
        let core = &mut self.core;
        core.cycles = bus.cycles();
        core.published = core.cycles;
        core.observe = bus.observes();
        if let Some(fast) = &mut self.cache.fast {
            fast.begin(bus);
        }
        if bus.cpu_hz() != core.cpu_hz {
            sync_systick(core, core.cycles);
            core.cpu_hz = bus.cpu_hz();
        }
        if bus.generation() != self.generation {
            self.generation = bus.generation();
            self.cache.clear();
            self.core.flush_tlb();
        }
    }

    /// Everything that is due between two instructions. `Some` ends the run.
    fn between(&mut self, bus: &mut B, end: u64) -> Option<Exit> {
        self.news(bus);
        let core = &mut self.core;
        core.look_up = false;
        sync_systick(core, core.cycles);
        core.publish(bus, 0);
        if core.reset_request {
            core.reset_request = false;
            return Some(Exit::Reset);
        }
        if core.watch.has_hit() {
            return Some(Exit::Breakpoint);
        }
        if core.s.lockup {
            // Only NMI preempts, and only a lockup at priority -1.
            if core.takeable() != Some(NMI) {
                return Some(Exit::Lockup);
            }
            core.s.lockup = false;
        }
        if core.s.sleep != Sleep::Awake {
            if !core.wakes() {
                if !core.told_asleep {
                    core.told_asleep = true;
                    core.tell(bus, Observe::SLEEP, &Observation::Sleep(core.s.sleep == Sleep::Event));
                }
                return Some(Exit::Idle {
                    until: core.s.systick.next_event(core.rates()),
                });
            }
            if core.s.sleep == Sleep::Event {
                core.s.event = false;
            }
            core.s.sleep = Sleep::Awake;
            if std::mem::take(&mut core.told_asleep) {
                core.tell(bus, Observe::SLEEP, &Observation::Wake);
            }
        }
        if core.cycles >= end || bus.attention() {
            return Some(Exit::Budget);
        }
        if core.takeable().is_some() {
            core.enter(bus);
            if core.s.lockup {
                return Some(Exit::Lockup);
            }
        }
        if self.core.watch.has_hit() {
            // Exception entry pushed onto watched data.
            return Some(Exit::Breakpoint);
        }
        if !self.breakpoints.is_empty() {
            let pc = self.core.s.pc;
            if self.breakpoints.contains(&pc) && self.stopped_at.replace(pc) != Some(pc) {
                return Some(Exit::Breakpoint);
            }
            self.stopped_at = None;
        }
        None
    }

    /// Line changes and writes into code.
    fn news(&mut self, bus: &mut B) {
        let cpu = self.core.cfg.cpu;
        if !bus.news(cpu) {
            return;
        }
        for (input, level) in bus.take_lines(cpu) {
            self.line(input, level);
        }
        for (memory, offset, len) in bus.take_code_writes(cpu) {
            self.cache.written(memory, offset, len);
        }
        if bus.generation() != self.generation {
            self.generation = bus.generation();
            self.cache.clear();
            self.core.flush_tlb();
        }
    }

    /// An interrupt input changes. Unknown inputs are ignored.
    pub fn line(&mut self, input: u32, level: bool) {
        let n = match input {
            NMI_LINE => NMI,
            n if n < self.core.cfg.irqs.into() => EXTERNAL + n as u16,
            _ => return,
        };
        let nvic = &mut self.core.s.nvic;
        let before = nvic.pending.has(n);
        nvic.line(n, level);
        if nvic.pending.has(n) && !before {
            self.core.pended();
        }
    }

    /// Executes blocks until `stop` cycles, or something needs a look between two instructions.
    fn blocks(&mut self, bus: &mut B, stop: u64) -> Option<Exit> {
        // Whoever reads each block's address gets it from here: then no block is followed by another without this loop.
        let told = self.core.observe.contains(Observe::BLOCKS);
        let single = told || !self.breakpoints.is_empty();
        // What compiled code touches it does not tell one by one.
        let fast = self.cache.fast.is_some() && !single && !self.core.watch.is_watching();
        if fast {
            self.cache.take_compiled();
        }
        let (mut from, mut stuck) = (0, false);
        while !self.core.s.lockup && self.core.cycles < stop {
            let Self { core, cache, .. } = self;
            if !core.s.t {
                return self.fault(bus, Fault::InvalidState);
            }
            let here = key(core.s.pc, core.s.it);
            let mut id = match cache.find(here) {
                Some(id) => id,
                None => match cache.build(core, bus, &self.breakpoints) {
                    Ok(id) => id,
                    Err(fault) => return self.fault(bus, fault),
                },
            };
            if from != 0 {
                cache.link(from, id);
            }
            if told {
                core.publish(bus, 0);
                let (pc, count) = (core.s.pc, cache.get(id).count);
                core.tell(bus, Observe::BLOCKS, &Observation::Block { pc, count });
            }
            let mut hot = None;
            let flow = loop {
                if fast
                    && !std::mem::take(&mut stuck)
                    && stop - core.cycles >= u64::from(cache.get(id).count)
                    && let Some(code) = cache.code(core, id)
                    && core.take_flags()
                    && let Some(fast) = &cache.fast
                {
                    let before = core.cycles;
                    core.limit = stop.min(before.saturating_add(STRETCH));
                    if fast.check {
                        match check::run(cache, fast, id, code, core, bus) {
                            Checked::Same => return None,
                            Checked::Nothing => {
                                stuck = true;
                                continue;
                            }
                            Checked::Differs(text) => {
                                self.difference = text;
                                return Some(Exit::Differs);
                            }
                        }
                    }
                    let exit = fast.run(code, core, bus);
                    if let Some((flow, idx, id)) = exit.called() {
                        return self.finish(bus, id, Flow(flow), idx);
                    }
                    if core.calls.has_learned {
                        cache.relearn(core);
                    }
                    if bus.attention() {
                        return None;
                    }
                    // Too near to the limit: this block is the interpreter's.
                    stuck = core.cycles == before;
                    id = 0;
                    break None;
                }
                let block = cache.get(id);
                if block.rights.get() != core.rights {
                    if !executable(core, block) {
                        cache.drop_block(id);
                        break None;
                    }
                    block.rights.set(core.rights);
                }
                if stop - core.cycles < u64::from(block.count) {
                    let budget = (stop - core.cycles) as u8;
                    let ops = &block.ops[..block.ops.partition_point(|op| op.idx < budget)];
                    let (flow, idx) = execute(core, bus, block.end, ops);
                    let Some(flow) = flow else {
                        core.cycles = stop;
                        let place = block.place(budget.into());
                        (core.s.pc, core.s.it) = (place.pc, place.it);
                        return None;
                    };
                    break Some((flow, idx));
                }
                let (flow, idx) = execute(core, bus, block.end, &block.ops);
                if !matches!(flow, None | Some(Flow::BRANCH)) {
                    break flow.map(|f| (f, idx));
                }
                core.cycles += u64::from(block.count);
                if single || bus.attention() {
                    return None;
                }
                if fast && block.is_hot() {
                    hot = Some(id);
                    break None;
                }
                match cache.follow(block, key(core.s.pc, core.s.it)) {
                    Some(next) if core.cycles < stop => id = next,
                    _ => break None,
                }
            };
            from = id;
            if let Some((flow, idx)) = flow {
                return self.finish(bus, id, flow, idx);
            }
            if let Some(id) = hot {
                self.cache.compile(&mut self.core, id);
            }
        }
        None
    }

    /// An instruction ended its block in other ways than by a plain branch.
    #[cold]
    fn finish(&mut self, bus: &mut B, id: u32, flow: Flow, idx: u8) -> Option<Exit> {
        let block = self.cache.get(id);
        let (this, next) = (block.place(idx.into()), block.place(usize::from(idx) + 1));
        let core = &mut self.core;
        core.cycles += u64::from(idx) + 1;
        let mut go = |to: Place| (core.s.pc, core.s.it) = (to.pc, to.it);
        match flow {
            Flow::SYNC => {
                go(next);
                core.s.regs[13] &= !3;
            }
            Flow::SLEEP => go(next),
            Flow::EXCEPTION_RETURN => {
                core.publish(bus, 0);
                core.exception_return(bus);
            }
            Flow::FAULT => {
                go(this);
                core.publish(bus, 0);
                core.instruction_fault(bus, core.fault);
            }
            Flow::SVC => {
                go(next);
                core.publish(bus, 0);
                core.synchronous(bus, SVCALL);
            }
            Flow::BKPT => {
                let number = self.cache.get(id).ops.last().map_or(0, |op| op.imm);
                if self.semihosting && number == 0xab {
                    go(next);
                    return Some(Exit::Semihosting {
                        op: core.s.regs[0],
                        arg: core.s.regs[1],
                    });
                }
                go(this);
                core.publish(bus, 0);
                core.breakpoint(bus);
            }
            // SYNC_BRANCH, and BRANCH out of a block that the budget cut: the PC is set.
            _ => {}
        }
        None
    }

    /// The instruction at the PC faults before it is executed.
    #[cold]
    fn fault(&mut self, bus: &mut B, fault: Fault) -> Option<Exit> {
        self.core.cycles += 1;
        self.core.publish(bus, 0);
        self.core.instruction_fault(bus, fault);
        None
    }

    /// The architectural state, to save.
    pub fn state(&self) -> &State {
        &self.core.s
    }

    /// Goes on from a saved state. Impossible values are made harmless.
    pub fn set_state(&mut self, mut state: State) {
        state.sanitize();
        self.stopped_at = None;
        self.core.s = state;
        self.core.flush_tlb();
        self.core.rights_changed(true);
        self.cache.clear();
    }
}

/// Runs operations until one does more than go on; which, and the number of its instruction.
#[inline(always)]
pub(crate) fn execute<B: Bus>(
    core: &mut Core<B>,
    bus: &mut B,
    end: Place,
    ops: &[crate::exec::Op<B>],
) -> (Option<Flow>, u8) {
    (core.s.pc, core.s.it) = (end.pc, end.it);
    let mut rest = ops.iter();
    while let Some(op) = rest.next() {
        let flow = (op.run)(core, bus, op);
        if flow != Flow::NEXT {
            if flow.0 < 16 {
                return (Some(flow), op.idx);
            }
            for _ in 0..flow.skipped().unwrap_or(0) {
                rest.next();
            }
        }
    }
    (None, 0)
}
