//! Decoded blocks: straight runs of instructions, found by the address (and ITSTATE) at which they begin.
//!
//! Blocks remember who came next, so that a hot loop never searches. A write to memory that blocks were decoded from drops them; a
//! dropped block keeps its place with a key that nothing matches, so that a stale link is harmless.

use southbridge_cpu_jit::{Busy, Code};
use std::cell::Cell;
use std::collections::HashMap;

use crate::bus::{Bus, CODE_GRANULE, Window};
use crate::core::{Core, Fault};
use crate::decode::{decode, is_wide};
use crate::exec::{Op, align_sp, guard, lower};
use crate::fast::{Calls, Fast};
use crate::insn::{Insn, Kind};
use crate::lift::{Learned, Seen};
use crate::observe::{Line, Observation, Observe};
use crate::scs::mpu::Access;

/// Instructions in a block at most; an IT block is never cut.
const MAX_INSNS: usize = 64;
/// Blocks kept before all are dropped: bounds memory for guests that write code all the time.
const MAX_BLOCKS: usize = 1 << 16;
const QUICK: usize = 1 << 12;
/// How much hotter a block must be to begin a region of its own if it is a part of another.
const AGAIN: u32 = 20;
/// The key of no block.
const DEAD: u64 = u64::MAX;

/// What a block is found by.
#[inline(always)]
pub(crate) fn key(pc: u32, it: u8) -> u64 {
    u64::from(pc) | u64::from(it) << 32
}

/// Where an instruction of a block stands, and the ITSTATE before it.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) pc: u32,
    pub(crate) it: u8,
    /// The instruction's bits, the first halfword on top of one of 32 bits.
    raw: u32,
}

pub(crate) struct Block<B: Bus> {
    key: u64,
    pub(crate) ops: Box<[Op<B>]>,
    /// One per instruction, and one for what follows the block.
    places: Box<[Place]>,
    pub(crate) count: u32,
    /// Where the block ends.
    pub(crate) end: Place,
    /// `Core::rights` under which all of it was last found executable.
    pub(crate) rights: Cell<u32>,
    /// Blocks that came next: 0 behind it, 1 elsewhere.
    next: [Cell<u32>; 2],
    /// Compiled code that begins here, and `Core::rights` under which all of it was last found executable.
    pub(crate) code: Cell<Option<(Code, u32)>>,
    /// Runs until it is worth compiling.
    heat: Cell<u32>,
    /// It was hot once, when it already was a part of a region.
    was_hot: Cell<bool>,
}

impl<B: Bus> Block<B> {
    fn dead() -> Self {
        let end = Place { pc: 0, it: 0, raw: 0 };
        let next = [Cell::new(0), Cell::new(0)];
        Block {
            key: DEAD,
            ops: [].into(),
            places: [end].into(),
            count: 0,
            end,
            rights: Cell::new(0),
            next,
            code: Cell::new(None),
            heat: Cell::new(0),
            was_hot: Cell::new(false),
        }
    }
    /// Instruction `i`, or what follows the block.
    pub(crate) fn place(&self, i: usize) -> Place {
        self.places.get(i).copied().unwrap_or(self.end)
    }

    /// Instruction `i`.
    pub(crate) fn insn(&self, i: usize) -> Insn {
        let Place { pc, it, raw } = self.place(i);
        decode(raw, raw >> 16 != 0, pc, it != 0)
    }

    /// Where it begins, if no IT block reaches into it or out of it.
    pub(crate) fn plain(&self) -> Option<u32> {
        (self.key >> 32 == 0 && self.end.it == 0).then_some(self.key as u32)
    }

    /// Counts a run; whether that made it worth compiling.
    #[inline(always)]
    pub(crate) fn is_hot(&self) -> bool {
        let left = self.heat.get().wrapping_sub(1);
        self.heat.set(left);
        left == 0
    }
}

/// Blocks decoded from one granule of memory.
struct Granule<W> {
    window: W,
    addr: u32,
    blocks: Vec<u32>,
}

/// All decoded blocks.
pub(crate) struct Cache<B: Bus> {
    blocks: Vec<Block<B>>,
    index: HashMap<u64, u32>,
    quick: Box<[u32]>,
    free: Vec<u32>,
    granules: HashMap<(u64, u64), Granule<B::Window>>,
    /// The fast tier, if it is used.
    pub(crate) fast: Option<Fast<B>>,
}

impl<B: Bus> Cache<B> {
    pub(crate) fn new() -> Self {
        Cache {
            blocks: vec![Block::dead()],
            index: HashMap::new(),
            quick: vec![0; QUICK].into(),
            free: Vec::new(),
            granules: HashMap::new(),
            fast: None,
        }
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        for granule in self.granules.values() {
            granule.window.mark_code(granule.addr, false);
        }
        let mut fast = self.fast.take();
        if let Some(fast) = &mut fast {
            fast.clear();
        }
        *self = Cache { fast, ..Cache::new() };
    }

    #[inline(always)]
    pub(crate) fn get(&self, id: u32) -> &Block<B> {
        // Ids come from this cache; 0 is a dead block that always exists.
        self.blocks.get(id as usize).unwrap_or(&self.blocks[0])
    }

    /// The successor of `id` that begins at `key`, if it is known.
    #[inline(always)]
    pub(crate) fn follow(&self, from: &Block<B>, key: u64) -> Option<u32> {
        let a = from.next[0].get();
        if self.get(a).key == key {
            return Some(a);
        }
        let b = from.next[1].get();
        (self.get(b).key == key).then_some(b)
    }

    /// Remembers that `to` came after `from`.
    pub(crate) fn link(&self, from: u32, to: u32) {
        let (from, target) = (self.get(from), self.get(to).key);
        let elsewhere = target != key(from.end.pc, from.end.it);
        from.next[usize::from(elsewhere)].set(to);
    }

    /// The block at `key`, if there is one.
    pub(crate) fn find(&mut self, key: u64) -> Option<u32> {
        let quick = &mut self.quick[(key >> 1) as usize & (QUICK - 1)];
        if self.blocks.get(*quick as usize).is_some_and(|b| b.key == key) {
            return Some(*quick);
        }
        let id = *self.index.get(&key)?;
        *quick = id;
        Some(id)
    }

    /// Drops one block.
    pub(crate) fn drop_block(&mut self, id: u32) {
        if let Some(b) = self.blocks.get_mut(id as usize).filter(|b| b.key != DEAD) {
            self.index.remove(&b.key);
            *b = Block::dead();
            self.free.push(id);
            let Some(fast) = &mut self.fast else { return };
            for entry in fast.dropped(id) {
                if let Some(b) = self.blocks.get(entry as usize) {
                    b.code.set(None);
                    b.heat.set(fast.hot);
                }
            }
        }
    }

    /// The block at `key`, if it is decoded.
    pub(crate) fn known(&self, key: u64) -> Option<u32> {
        self.index.get(&key).copied()
    }

    /// Has the region that begins with a block compiled.
    #[cold]
    pub(crate) fn compile(&mut self, core: &mut Core<B>, id: u32) {
        let Some(mut fast) = self.fast.take() else { return };
        let block = self.get(id);
        if fast.waits_with(id) || (fast.is_member(id) && !block.was_hot.replace(true)) {
            // Mostly that region will do.
            block.heat.set(fast.hot.saturating_mul(AGAIN));
            self.fast = Some(fast);
            return;
        }
        let rights = self.get(id).rights.get();
        if fast.is_full(&core.calls) || (rights != 0 && fast.fixed) {
            fast.fixed &= rights == 0;
            self.drop_code(&mut fast);
        }
        if fast.is_empty() {
            core.calls = Calls::new();
        }
        let seen = Seen {
            windows: &core.windows,
            regs: core.s.regs,
            fixed: fast.fixed,
            is_plain: &|memory| fast.is_plain(memory),
            learned: &fast.learned,
            check: fast.check,
        };
        if let Some(lifted) = crate::lift::region(self, id, &mut core.calls, seen) {
            if fast.fixed {
                fast.hold(core.windows.holders());
            }
            let entries = lifted.entries.iter().map(|e| (*e, self.get(*e).place(0).pc)).collect();
            match fast.submit(lifted.region, lifted.members, entries, rights) {
                Ok(Some(code)) => self.install(&fast, id, code, rights),
                Ok(None) => {}
                // Later, when fewer wait.
                Err(Busy) => self.get(id).heat.set(fast.hot),
            }
        }
        self.fast = Some(fast);
    }

    /// Has code made anew that goes to other memory than was thought when it was made.
    #[cold]
    pub(crate) fn relearn(&mut self, core: &mut Core<B>) {
        let Some(mut fast) = self.fast.take() else { return };
        for (id, idx, slot) in core.calls.take_learned() {
            let block = self.get(id);
            if block.key == DEAD {
                continue;
            }
            let times = fast.learned.get(&block.place(idx.into()).pc).map_or(0, |l| l.times) + 1;
            fast.learned.insert(block.place(idx.into()).pc, Learned { slot, times });
            for first in fast.regions_with(id) {
                for entry in fast.drop_region(first) {
                    self.get(entry).code.set(None);
                    self.get(entry).heat.set(if entry == first { 1 } else { fast.hot });
                }
            }
        }
        self.fast = Some(fast);
    }

    /// Drops all compiled code.
    fn drop_code(&self, fast: &mut Fast<B>) {
        fast.clear();
        for b in &self.blocks {
            b.code.set(None);
            b.heat.set(fast.hot);
        }
    }

    /// Lets the code of the region that begins with block `id` be run.
    fn install(&self, fast: &Fast<B>, id: u32, code: Code, rights: u32) {
        for (entry, _) in fast.entries(id) {
            if let Some(b) = self.blocks.get(*entry as usize) {
                b.code.set(Some((code, rights)));
            }
        }
    }

    /// Where control went from a block that ends with a branch to a register.
    pub(crate) fn went(&self, block: &Block<B>) -> Vec<u32> {
        let next = block.next.iter().map(|n| self.get(n.get()));
        next.filter_map(Block::plain).collect()
    }

    /// The region that begins at `pc` as text: IR, host code. `None` without compiler or code.
    pub(crate) fn show(&self, core: &Core<B>, pc: u32) -> Option<[String; 2]> {
        let id = self.known(key(pc, 0))?;
        let seen = Seen {
            windows: &core.windows,
            regs: core.s.regs,
            fixed: self.fast.as_ref()?.fixed,
            is_plain: &|_| false,
            learned: &HashMap::new(),
            check: false,
        };
        let lifted = crate::lift::region(self, id, &mut Calls::new(), seen)?;
        southbridge_cpu_jit::show(&crate::fast::layout::<B>(false), &lifted.region).ok()
    }

    /// Takes over what was compiled meanwhile.
    #[inline]
    pub(crate) fn take_compiled(&mut self) {
        let Some(fast) = &mut self.fast else { return };
        let done = fast.take();
        if !done.is_empty()
            && let Some(fast) = &self.fast
        {
            for (id, code, rights) in done {
                self.install(fast, id, code, rights);
            }
        }
    }

    /// The code that begins with a block, if all of it may be executed under the present rights.
    #[inline(always)]
    pub(crate) fn code(&mut self, core: &Core<B>, id: u32) -> Option<Code> {
        let (code, rights) = self.get(id).code.get()?;
        (rights == core.rights || self.allow(core, id, code)).then_some(code)
    }

    #[cold]
    fn allow(&mut self, core: &Core<B>, id: u32, code: Code) -> bool {
        let Some(mut fast) = self.fast.take() else { return false };
        if fast.fixed {
            // From now on the MPU does play a part.
            fast.fixed = false;
            self.drop_code(&mut fast);
            self.fast = Some(fast);
            return false;
        }
        // The number stands for all that decides: what was allowed under it is so for ever.
        let known = fast.allows(id, core.rights);
        let all = known || {
            let mut members = fast.members(id).iter().map(|m| self.get(*m));
            members.all(|b| b.rights.get() == core.rights || executable(core, b))
        };
        if all {
            fast.allow(id, core.rights);
            self.get(id).code.set(Some((code, core.rights)));
        }
        self.fast = Some(fast);
        all
    }

    /// Something wrote to `len` bytes at `offset` of memory `memory`: drops what was decoded there.
    pub(crate) fn written(&mut self, memory: u64, offset: u64, len: u64) {
        if len > CODE_GRANULE * 1024 {
            return self.clear();
        }
        let last = offset.saturating_add(len.max(1) - 1) / CODE_GRANULE;
        for granule in offset / CODE_GRANULE..=last {
            if let Some(g) = self.granules.remove(&(memory, granule)) {
                g.window.mark_code(g.addr, false);
                for id in g.blocks {
                    self.drop_block(id);
                }
            }
        }
    }

    /// Decodes the block at the core's PC and ITSTATE. It ends before any of `stops`.
    pub(crate) fn build(&mut self, core: &mut Core<B>, bus: &mut B, stops: &Stops) -> Result<u32, Fault> {
        let decoded = Decoded::of(core, bus, stops)?;
        if !decoded.lines.is_empty() {
            core.tell(bus, Observe::CODE, &Observation::Decoded(&decoded.lines));
        }
        if self.index.len() >= MAX_BLOCKS {
            self.clear();
        }
        let id = self.free.pop().unwrap_or_else(|| {
            self.blocks.push(Block::dead());
            (self.blocks.len() - 1) as u32
        });
        let start = decoded.block.key;
        decoded.block.heat.set(self.fast.as_ref().map_or(0, |fast| fast.hot));
        for (w, addr) in &decoded.windows {
            let (memory, offset) = w.place(*addr);
            w.mark_code(*addr, true);
            if let Some(mut fast) = self.fast.take() {
                if fast.decoded(memory) {
                    self.drop_code(&mut fast);
                }
                self.fast = Some(fast);
            }
            let g = self
                .granules
                .entry((memory, offset / CODE_GRANULE))
                .or_insert_with(|| Granule {
                    window: w.clone(),
                    addr: *addr,
                    blocks: Vec::new(),
                });
            g.blocks.push(id);
        }
        self.blocks[id as usize] = decoded.block;
        self.index.insert(start, id);
        Ok(id)
    }
}

/// Addresses at which the engine must look up before it executes.
pub(crate) type Stops = std::collections::BTreeSet<u32>;

struct Decoded<B: Bus> {
    block: Block<B>,
    /// The granules it was decoded from.
    windows: Vec<(B::Window, u32)>,
    /// For those who read along.
    lines: Vec<Line>,
}

impl<B: Bus> Decoded<B> {
    fn of(core: &mut Core<B>, bus: &mut B, stops: &Stops) -> Result<Self, Fault> {
        let (start, mut it) = (core.s.pc, core.s.it);
        let mut pc = start;
        let mut reader = Reader { windows: Vec::new() };
        let mut ops = Vec::new();
        let mut places = Vec::new();
        let mut lines = Vec::new();
        while places.len() < MAX_INSNS || (it != 0 && places.len() < MAX_INSNS + 8) {
            if pc != start && stops.contains(&pc) {
                break;
            }
            let (insn, raw) = match reader.insn(core, bus, pc, it != 0) {
                Ok(decoded) => decoded,
                Err(fault) if places.is_empty() => return Err(fault),
                Err(_) => break,
            };
            push(&mut ops, &insn, it, places.len() as u8);
            if core.observe.contains(Observe::CODE) {
                lines.push(Line { pc, raw, it, insn });
            }
            places.push(Place { pc, it, raw });
            pc = pc.wrapping_add(insn.size.into());
            it = match insn.kind {
                Kind::It => insn.imm as u8,
                _ => advance(it),
            };
            if insn.ends_block() {
                break;
            }
        }
        let block = Block {
            key: key(start, core.s.it),
            count: places.len() as u32,
            ops: ops.into(),
            places: places.into(),
            end: Place { pc, it, raw: 0 },
            rights: Cell::new(core.rights),
            next: [Cell::new(0), Cell::new(0)],
            code: Cell::new(None),
            heat: Cell::new(0),
            was_hot: Cell::new(false),
        };
        Ok(Decoded {
            block,
            windows: reader.windows,
            lines,
        })
    }
}

/// ITAdvance (ARM ARM A7.3.3).
fn advance(it: u8) -> u8 {
    if it & 7 == 0 { 0 } else { it & 0xe0 | it << 1 & 0x1f }
}

/// The operations of one instruction.
fn push<B: Bus>(ops: &mut Vec<Op<B>>, insn: &Insn, it: u8, idx: u8) {
    // What does nothing takes no operation: its place among the instructions is enough.
    if matches!(insn.kind, Kind::Nop | Kind::It) {
        return;
    }
    let align = insn.may_misalign_sp();
    if it != 0 && it >> 4 < 14 {
        ops.push(guard(it >> 4, 1 + u8::from(align), idx));
    }
    ops.push(lower(insn, idx));
    if align {
        ops.push(align_sp(idx));
    }
}

/// Reads instructions, and remembers from where.
struct Reader<W> {
    windows: Vec<(W, u32)>,
}

impl<W: Window> Reader<W> {
    fn insn<B: Bus<Window = W>>(
        &mut self,
        core: &Core<B>,
        bus: &mut B,
        pc: u32,
        in_it: bool,
    ) -> Result<(Insn, u32), Fault> {
        let first = self.half(core, bus, pc)?;
        if !is_wide(first) {
            return Ok((decode(first.into(), false, pc, in_it), first.into()));
        }
        let second = self.half(core, bus, pc.wrapping_add(2))?;
        let raw = u32::from(first) << 16 | u32::from(second);
        Ok((decode(raw, true, pc, in_it), raw))
    }

    fn half<B: Bus<Window = W>>(&mut self, core: &Core<B>, bus: &mut B, addr: u32) -> Result<u16, Fault> {
        let (rights, _) = core.s.mpu.rights(addr, core.s.privileged(), core.negative());
        if !rights.allow(Access::Fetch) {
            core.tell_mpu(bus, addr, Access::Fetch, core.s.privileged());
            return Err(Fault::FetchAccess);
        }
        let here = |w: &W, at: u32| {
            let ((m1, o1), (m2, o2)) = (w.place(at), w.place(addr));
            m1 == m2 && o1 / CODE_GRANULE == o2 / CODE_GRANULE
        };
        if let Some((w, _)) = self.windows.iter().find(|(w, at)| here(w, *at))
            && let Some(v) = w.read_u16(addr)
        {
            return Ok(v);
        }
        if let Some(w) = bus.window(addr)
            && let Some(v) = w.read_u16(addr)
        {
            self.windows.push((w, addr));
            return Ok(v);
        }
        // Code in a device's registers: read as it is, never seen to change.
        bus.read(addr, 2).map(|v| v as u16).map_err(|_| Fault::FetchBus)
    }
}

/// Whether every instruction of a block may be fetched under the core's present rights.
pub(crate) fn executable<B: Bus>(core: &Core<B>, block: &Block<B>) -> bool {
    let first = block.place(0).pc;
    let last = block.end.pc.wrapping_sub(1);
    let mut at = first;
    loop {
        let (rights, span) = core.s.mpu.rights(at, core.s.privileged(), core.negative());
        if !rights.execute {
            return false;
        }
        if span.last >= last || last < first {
            return true;
        }
        at = span.last + 1;
    }
}
