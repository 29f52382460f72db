//! Decoded blocks: straight runs of instructions, found by the physical address at which they begin.
//!
//! Blocks remember who came next, so that a hot loop never searches. A write to memory that blocks were decoded from drops them; a
//! dropped block keeps its place with a key that nothing matches, so that a stale link is harmless. A block stays on one page, so that
//! one translation is good for all of it; an instruction across two pages is a block by itself and remembers both.

use southbridge_core::memory::CODE_GRANULE;
use southbridge_core::{RamBlock, RamWindow, System};
use southbridge_cpu_jit::Code;
use std::cell::Cell;
use std::collections::HashMap;

use crate::decode::Decoder;
use crate::exec;
use crate::exec::pairs::{self, Pairs};
use crate::fast::Fast;
use crate::hart::{Flow, Hart, Trap};
use crate::insn::{Entry, Insn, Kind, Op};
use crate::tlb::Access;

/// Instructions in a block at most.
const MAX_INSNS: usize = 48;
/// Bytes in a block at most: distances within one fit a byte.
const MAX_BYTES: u64 = 240;
/// Blocks kept before all are dropped: bounds memory for guests that write code all the time.
const MAX_BLOCKS: usize = 1 << 16;
/// Blocks noted for one granule before all of it is dropped.
const MAX_PER_GRANULE: usize = 1024;
const QUICK: usize = 1 << 13;

/// The key of no block. No instruction begins at an odd address; odd is also the key of what crosses into another page, which
/// nobody may follow unseen.
const DEAD: u64 = u64::MAX;
const ACROSS: u64 = 1;
/// Where the block is kept that must not be found again: code that is in no RAM.
const ONCE: u32 = 1;

/// What was done to make a block fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tier {
    /// Nothing.
    None,
    /// Quick code was made, or it was seen that it cannot be.
    Quick,
    /// The same, and it was hot once, but a part of a region that begins elsewhere.
    Later,
    /// A region that begins with it was compiled, or is being.
    Best,
}

/// Where an instruction stands in its block, and what it is.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) at: u8,
    pub(crate) raw: u32,
}

pub(crate) struct Block {
    key: u64,
    pub(crate) ops: Box<[Op]>,
    places: Box<[Place]>,
    /// Instructions.
    pub(crate) count: u32,
    /// Bytes.
    pub(crate) len: u8,
    /// Physical address of the second half of an instruction that begins on one page and ends on the next.
    pub(crate) second: Option<u64>,
    /// Blocks that came next: 0 behind it, 1 elsewhere.
    next: [Cell<u32>; 2],
    /// Compiled code that begins here.
    pub(crate) code: Cell<Option<Code>>,
    /// Runs until it is worth compiling.
    pub(crate) heat: Cell<u32>,
    pub(crate) tier: Cell<Tier>,
}

impl Block {
    fn dead() -> Self {
        Block {
            key: DEAD,
            ops: [].into(),
            places: [].into(),
            count: 0,
            len: 0,
            second: None,
            next: [Cell::new(0), Cell::new(0)],
            code: Cell::new(None),
            heat: Cell::new(0),
            tier: Cell::new(Tier::None),
        }
    }

    /// Whether this is an instruction across two pages.
    fn is_across_at(&self, key: u64) -> bool {
        self.second.is_some() && self.key == key | ACROSS
    }

    /// The key of what begins at `pc`, for a block that began at `start`: known without the translation if both are on one page.
    #[inline(always)]
    pub(crate) fn key_near(&self, start: u64, pc: u64) -> Option<u64> {
        ((start ^ pc) >> 12 == 0 && self.key & 1 == 0).then(|| self.key.wrapping_add(pc.wrapping_sub(start)))
    }

    /// Where instruction `i` is from the block's start, or what follows the block.
    pub(crate) fn at(&self, i: usize) -> u64 {
        self.places.get(i).map_or(self.len, |p| p.at).into()
    }

    /// Counts a run; whether that made it worth compiling.
    #[inline(always)]
    pub(crate) fn is_hot(&self) -> bool {
        let left = self.heat.get().wrapping_sub(1);
        self.heat.set(left);
        left == 0
    }

    /// Begins anew, as if it never ran.
    fn cool(&self, fast: &Fast) {
        self.code.set(None);
        self.tier.set(Tier::None);
        self.heat.set(fast.first);
    }

    /// The key, of a block on one page that can be found by it.
    pub(crate) fn even_key(&self) -> Option<u64> {
        (self.key & 1 == 0).then_some(self.key)
    }

    /// Instruction `i` as an operation of its own; `insn` is what its bits mean, if anything.
    pub(crate) fn operation(&self, i: usize, insn: Option<&Insn>) -> Op {
        let at = self.at(i) as u8;
        match insn {
            Some(insn) => insn.lower(i as u8, at, Decoder::length(self.raw(i) as u16)),
            None => exec::undefined(i as u8),
        }
    }

    /// The bits of instruction `i`.
    pub(crate) fn raw(&self, i: usize) -> u32 {
        self.places.get(i).map_or(0, |p| p.raw)
    }

    /// Instructions before the first of which one begins at `at` or behind.
    pub(crate) fn before(&self, at: u64) -> u64 {
        self.places.partition_point(|p| u64::from(p.at) < at) as u64
    }
}

/// All decoded blocks of a hart.
pub(crate) struct Cache {
    blocks: Vec<Block>,
    index: HashMap<u64, u32>,
    quick: Box<[u32]>,
    free: Vec<u32>,
    /// Blocks by memory and granule that they were decoded from.
    granules: HashMap<(u64, u64), Vec<u32>>,
    decoder: Decoder,
    pairs: Pairs,
    /// The memory that blocks were decoded from.
    windows: Vec<RamWindow>,
    /// The fast tier, if it is used.
    pub(crate) fast: Option<Fast>,
}

#[inline(always)]
fn quick_slot(key: u64) -> usize {
    ((key >> 1) ^ (key >> 13)) as usize & (QUICK - 1)
}

impl Cache {
    pub(crate) fn new(decoder: Decoder) -> Self {
        Cache {
            blocks: vec![Block::dead(), Block::dead()],
            index: HashMap::new(),
            quick: vec![0; QUICK].into(),
            free: Vec::new(),
            granules: HashMap::new(),
            decoder,
            pairs: pairs::all(),
            windows: Vec::new(),
            fast: None,
        }
    }

    /// Executes the first `n` instructions of a block, one by one, unless one does more than go on; how it ended, and its number.
    #[cold]
    pub(crate) fn some(&self, h: &mut Hart, sys: &mut System, block: &Block, n: u64) -> (Flow, u8) {
        for (idx, place) in (0..).zip(block.places.iter().take(n as usize)) {
            let op = match self.decoder.decode(place.raw) {
                Some(insn) => insn.lower(idx, place.at, Decoder::length(place.raw as u16)),
                None => exec::undefined(idx),
            };
            let flow = (op.run)(h, sys, &op);
            if flow != Flow::NEXT {
                return (flow, idx);
            }
        }
        (Flow::NEXT, 0)
    }

    /// Drops everything. Marks stay: other harts may have decoded the same.
    pub(crate) fn clear(&mut self) {
        if let Some(fast) = &mut self.fast {
            fast.clear();
        }
        self.windows.clear();
        self.blocks.truncate(2);
        self.index.clear();
        self.quick.fill(0);
        self.free.clear();
        self.granules.clear();
    }

    /// The memory map has changed: drops everything, unless all that was decoded from is where it was.
    pub(crate) fn follow_map(&mut self, sys: &mut System) {
        let mut windows = self.windows.iter();
        if !windows.all(|w| sys.ram_window(w.start).is_some_and(|now| now.is_same(w))) {
            self.clear();
        }
    }

    #[inline(always)]
    pub(crate) fn get(&self, id: u32) -> &Block {
        // Ids come from this cache; 0 is a dead block that always exists.
        self.blocks.get(id as usize).unwrap_or(&self.blocks[0])
    }

    /// The successor of `from` that begins at `key`, if it is known and on one page. `key` is even.
    #[inline(always)]
    pub(crate) fn follow(&self, from: &Block, key: u64) -> Option<u32> {
        let a = from.next[0].get();
        if self.get(a).key == key {
            return Some(a);
        }
        let b = from.next[1].get();
        (self.get(b).key == key).then_some(b)
    }

    /// The key of the block that came last after this one, other than the one behind it.
    pub(crate) fn last_elsewhere(&self, from: &Block) -> Option<u64> {
        self.get(from.next[1].get()).even_key()
    }

    /// Remembers that `to` came after `from`.
    pub(crate) fn link(&self, from: u32, to: u32) {
        let (from, target) = (self.get(from), self.get(to).key);
        let elsewhere = target != from.key.wrapping_add(from.len.into());
        from.next[usize::from(elsewhere)].set(to);
    }

    /// The block at `key`, if there is one.
    pub(crate) fn find(&mut self, key: u64) -> Option<u32> {
        let quick = &mut self.quick[quick_slot(key)];
        let is_it = |b: &Block| b.key == key || b.is_across_at(key);
        if self.blocks.get(*quick as usize).is_some_and(is_it) {
            return Some(*quick);
        }
        let id = *self.index.get(&key).or_else(|| self.index.get(&(key | ACROSS)))?;
        *quick = id;
        Some(id)
    }

    /// Drops one block.
    pub(crate) fn drop_block(&mut self, id: u32) {
        let Some(b) = self.blocks.get_mut(id as usize).filter(|b| b.key != DEAD) else {
            return;
        };
        let key = b.key;
        self.index.remove(&key);
        *b = Block::dead();
        self.free.push(id);
        let Some(fast) = &mut self.fast else { return };
        fast.unname(key);
        for entry in fast.dropped(id) {
            if let Some(b) = self.blocks.get(entry as usize) {
                b.cool(fast);
            }
        }
    }

    /// A block has run often enough for something to be done about it: quick code, or the region that begins with it is compiled.
    #[cold]
    pub(crate) fn compile(&mut self, h: &mut Hart, id: u32) {
        let Some(mut fast) = self.fast.take() else { return };
        if fast.is_full(h.calls.len()) {
            fast.clear();
            self.blocks.iter().for_each(|b| b.cool(&fast));
        }
        if fast.is_empty() {
            h.calls.clear();
        }
        match self.get(id).tier.get() {
            Tier::None if fast.first < fast.hot => self.compile_quickly(&mut fast, h, id),
            _ => self.compile_well(&mut fast, h, id),
        }
        self.fast = Some(fast);
    }

    fn compile_quickly(&self, fast: &mut Fast, h: &mut Hart, id: u32) {
        let region = crate::lift::single(self, id, &mut h.calls);
        let code = region.and_then(|region| fast.quick(&region));
        let block = self.get(id);
        block.code.set(code);
        block.tier.set(Tier::Quick);
        // Without quick code it goes on being counted here.
        block.heat.set(fast.hot);
    }

    fn compile_well(&self, fast: &mut Fast, h: &mut Hart, id: u32) {
        let block = self.get(id);
        let is_part = block.tier.get() == Tier::Quick && fast.is_part(id);
        if is_part {
            // It may be reached by that from now on.
            block.tier.set(Tier::Later);
        }
        if is_part || fast.is_busy() {
            // Later, when fewer wait.
            block.heat.set(fast.hot);
            fast.count_anew(block);
            return;
        }
        let Some((region, members)) = crate::lift::region(self, &|b| fast.is_warm(b), id, &mut h.calls) else {
            return;
        };
        block.tier.set(Tier::Best);
        if let Ok(Some(code)) = fast.submit(id, region, members) {
            block.code.set(Some(code));
        }
    }

    /// Takes over what was compiled meanwhile.
    #[inline]
    pub(crate) fn take_compiled(&mut self) {
        if let Some(fast) = &mut self.fast {
            for (id, code) in fast.take() {
                if let Some(b) = self.blocks.get(id as usize) {
                    b.code.set(Some(code));
                }
            }
        }
    }

    /// The block that begins at `key`, if it is decoded.
    pub(crate) fn known(&self, key: u64) -> Option<u32> {
        self.index.get(&key).copied()
    }

    /// What bits mean.
    pub(crate) fn decode(&self, raw: u32) -> Option<Insn> {
        self.decoder.decode(raw)
    }

    /// Something wrote to `len` bytes at `offset` of memory `memory`: drops what was decoded there.
    pub(crate) fn written(&mut self, memory: u64, offset: u64, len: u64) {
        if len > CODE_GRANULE * 1024 {
            return self.clear();
        }
        let last = offset.saturating_add(len.max(1) - 1) / CODE_GRANULE;
        for granule in offset / CODE_GRANULE..=last {
            self.drop_granule((memory, granule));
        }
    }

    fn drop_granule(&mut self, place: (u64, u64)) {
        for id in self.granules.remove(&place).unwrap_or_default() {
            self.drop_block(id);
        }
    }

    /// Decodes the block at the hart's PC, which is at physical address `key`. `whole` says that all of its page may be executed;
    /// otherwise each instruction is asked about each time.
    pub(crate) fn build(&mut self, h: &mut Hart, sys: &mut System, key: u64, whole: bool) -> Result<u32, Trap> {
        let mut reader = Reader {
            start: h.s.pc,
            key,
            second: None,
            whole,
            once: !whole,
            sources: Vec::new(),
        };
        let block = reader.block(h, sys, &self.decoder, &self.pairs)?;
        if h.observe.contains(crate::observe::Observe::CODE) {
            tell_code(h, sys, &block);
        }
        if reader.once {
            self.blocks[ONCE as usize] = Block { key: DEAD, ..block };
            return Ok(ONCE);
        }
        if self.index.len() >= MAX_BLOCKS {
            self.clear();
        }
        let id = self.free.pop().unwrap_or_else(|| {
            self.blocks.push(Block::dead());
            (self.blocks.len() - 1) as u32
        });
        for (window, memory, offset) in &reader.sources {
            if !self.windows.iter().any(|w| w.is_same(window)) {
                self.windows.push(window.clone());
            }
            memory.mark_code(*offset);
            let place = (memory.id(), offset / CODE_GRANULE);
            // Blocks that were dropped otherwise left their numbers here; a guest must not make them grow without end.
            if self.granules.get(&place).is_some_and(|g| g.len() >= MAX_PER_GRANULE) {
                self.drop_granule(place);
            }
            self.granules.entry(place).or_default().push(id);
        }
        self.index.insert(block.key, id);
        block.heat.set(self.fast.as_ref().map_or(0, |f| f.first));
        self.blocks[id as usize] = block;
        Ok(id)
    }
}

/// Reads instructions, and remembers from where.
struct Reader {
    start: u64,
    key: u64,
    second: Option<u64>,
    whole: bool,
    once: bool,
    sources: Vec<(RamWindow, RamBlock, u64)>,
}

impl Reader {
    fn block(&mut self, h: &mut Hart, sys: &mut System, decoder: &Decoder, pairs: &Pairs) -> Result<Block, Trap> {
        let mut ops = Ops {
            pairs,
            all: Vec::new(),
            last: None,
        };
        let mut places: Vec<Place> = Vec::new();
        let mut at = 0;
        // What crosses into another page stands alone.
        let page_left = 0x1000 - (self.key & 0xfff);
        while places.len() < MAX_INSNS && at < MAX_BYTES && at < page_left {
            let first = match self.half(h, sys, at) {
                Ok(first) => first,
                Err(trap) if at == 0 => return Err(trap),
                Err(_) => break,
            };
            let len = Decoder::length(first);
            let mut raw = u32::from(first);
            if len == 4 {
                if at + 2 >= page_left && at > 0 {
                    break;
                }
                match self.half(h, sys, at + 2) {
                    Ok(second) => raw |= u32::from(second) << 16,
                    Err(trap) if at == 0 => return Err(trap),
                    Err(_) => break,
                }
            }
            let insn = decoder.decode(raw);
            let idx = places.len() as u8;
            places.push(Place { at: at as u8, raw });
            let kind = match &insn {
                Some(insn) => ops.push(insn, idx, at as u8, len),
                None => {
                    ops.all.push(exec::undefined(idx));
                    Kind::Ends
                }
            };
            at += u64::from(len);
            if kind == Kind::Ends || !self.whole {
                break;
            }
        }
        Ok(Block {
            key: self.key | if self.second.is_some() { ACROSS } else { 0 },
            count: places.len() as u32,
            ops: ops.all.into(),
            places: places.into(),
            len: at as u8,
            second: self.second,
            next: [Cell::new(0), Cell::new(0)],
            code: Cell::new(None),
            heat: Cell::new(0),
            tier: Cell::new(Tier::None),
        })
    }

    fn half(&mut self, h: &mut Hart, sys: &mut System, at: u64) -> Result<u16, Trap> {
        let mut paddr = self.key.wrapping_add(at);
        let crosses = at >= 0x1000 - (self.key & 0xfff);
        if crosses || !self.whole {
            let page = h.translate(sys, self.start.wrapping_add(at), 2, Access::Fetch)?;
            paddr = page.paddr;
            if crosses {
                self.second = Some(paddr);
            }
            self.once |= !page.whole;
        }
        let Some((_, w)) = h.tlb.window(sys, paddr) else {
            // Code in a device's registers: read as it is, never seen to change.
            self.once = true;
            let v = sys
                .read(paddr, 2)
                .map_err(|_| Access::Fetch.denied(self.start.wrapping_add(at)))?;
            return Ok(v as u16);
        };
        let offset = paddr.wrapping_sub(w.start);
        let place = w.block_offset().wrapping_add(offset);
        let known = |(_, b, o): &(RamWindow, RamBlock, u64)| {
            b.id() == w.block().id() && o / CODE_GRANULE == place / CODE_GRANULE
        };
        if !self.sources.iter().any(known) {
            self.sources.push((w.clone(), w.block().clone(), place));
        }
        w.read_u16(offset)
            .ok_or(Access::Fetch.denied(self.start.wrapping_add(at)))
    }
}

/// The operations of a block that is being decoded.
struct Ops<'a> {
    pairs: &'a Pairs,
    all: Vec<Op>,
    /// The row of the last one, unless it is a pair already.
    last: Option<&'static Entry>,
}

impl Ops<'_> {
    /// The operation of one instruction. What only writes `x0` takes none: its place among the instructions is enough.
    fn push(&mut self, insn: &Insn, idx: u8, at: u8, len: u8) -> Kind {
        let kind = insn.entry.kind;
        if kind == Kind::Pure && insn.rd == 0 {
            return kind;
        }
        let op = insn.lower(idx, at, len);
        if let (Some(row), Some(before)) = (self.last.take(), self.all.last_mut())
            && before.idx.checked_add(1) == Some(idx)
            && let Some(run) = self.pairs.get(&(row.name, insn.entry.name))
        {
            *before = op.after(before, *run);
            return kind;
        }
        self.all.push(op);
        self.last = Some(insn.entry);
        kind
    }
}

#[cold]
fn tell_code(h: &Hart, sys: &mut System, block: &Block) {
    let cpu = h.cfg.cpu.0;
    sys.log.line(format_args!("CPU {cpu}: in:"));
    for i in 0..block.count as usize {
        let (pc, raw) = (h.s.pc.wrapping_add(block.at(i)), block.raw(i));
        let text = crate::disasm::at(pc, &raw.to_le_bytes()).map_or_else(String::new, |(_, text)| text);
        let digits = if raw & 3 == 3 { 8 } else { 4 };
        sys.log.line(format_args!(
            "0x{pc:016x}:  {raw:0digits$x}{:pad$}  {text}",
            "",
            pad = 8 - digits
        ));
    }
}
