//! The fast tier: which regions there are, what they are made of, and running them.

use southbridge_core::System;
use southbridge_core::host::AttentionFlag;
use southbridge_cpu_jit::ir::Region;
use southbridge_cpu_jit::{Busy, Chain, Code, Exit, Jit, Layout, Memory, NOTE, Options, Pages, Statistics, slot};
use std::collections::HashMap;
use std::mem::offset_of;

use crate::block::{Block, Tier};
use crate::hart::{Flow, Hart};
use crate::state::Regs;
use crate::tlb::SIZE;

/// Instructions noted for [`call`] before all is dropped.
const MAX_CALLS: usize = 1 << 18;
/// Runs of a block after which quick code is made for it, at most.
const QUICK: u32 = 12;
/// What has quick code may run so many times longer until it is compiled well: that costs fifty times as much.
const PATIENCE: u32 = 10;

/// Compiled code of a hart. Each region is known by the block that it begins with.
pub(crate) struct Fast {
    jit: Jit<Hart, System>,
    /// Regions by the blocks that they are made of.
    regions: HashMap<u32, Vec<u32>>,
    /// Key and blocks of each region.
    members: HashMap<u32, (u64, Vec<u32>)>,
    /// Block of each key on its way.
    waiting: HashMap<u64, u32>,
    /// Blocks with quick code, since everything was dropped last.
    quick: usize,
    attention: Option<AttentionFlag>,
    /// What compiled code does is done again by the interpreter.
    pub(crate) check: bool,
    /// Runs of a block after which it is compiled well.
    pub(crate) hot: u32,
    /// Runs of a block after which something is done about it: quick code, if there is such a thing here.
    pub(crate) first: u32,
}

pub(crate) fn layout(check: bool) -> Layout {
    let x = Regs::slot();
    Layout {
        word: 64,
        registers: (1..32).map(|n| x.element(n, 64)).collect(),
        lazy: 0,
        pc: slot!(Hart, s.pc),
        base: Some(slot!(Hart, base)),
        retired: slot!(Hart, s.retired),
        limit: slot!(Hart, limit),
        exit: slot!(Hart, exit),
        note: check.then_some(slot!(Hart, note)),
        memory: Memory::Paged {
            read: Pages::new::<Hart, SIZE>(offset_of!(Hart, tlb.read), |h| &h.tlb.read),
            write: Pages::new::<Hart, SIZE>(offset_of!(Hart, tlb.write), |h| &h.tlb.write),
            context: slot!(Hart, data_context),
        },
        chain: Chain::Paged {
            fetch: Pages::new::<Hart, SIZE>(offset_of!(Hart, tlb.fetch), |h| &h.tlb.fetch),
            context: slot!(Hart, fetch_context),
        },
    }
}

/// An instruction that compiled code leaves to its handler.
extern "C" fn call(h: &mut Hart, sys: &mut System, what: u64) {
    if what & NOTE != 0 {
        return h.note_store(what as u8);
    }
    let Some(crate::lift::Called { op, block, at }) = h.calls.get(what as usize).copied() else {
        // Cannot be. The run ends where the region began.
        h.s.pc = h.base;
        h.exit = Exit::word(Flow::BRANCH.0, 0, 0);
        return;
    };
    h.s.pc = h.base.wrapping_add(at as u64);
    let flow = (op.run)(h, sys, &op);
    h.exit = match flow {
        Flow::NEXT => 0,
        Flow(how) => Exit::word(how, op.idx, block),
    };
    if flow == Flow::NEXT && (h.look_up || sys.attention()) {
        // Nothing that happens is so late that it matters: accesses say so themselves ([`Hart::after_access`]).
        h.limit = 0;
    }
}

impl Fast {
    pub(crate) fn new(options: Options) -> Result<Self, String> {
        let jit = Jit::loose(layout(options.check), call, options)?;
        let (first, hot) = match jit.is_quick() {
            true => ((options.hot / 2).clamp(1, QUICK), options.hot.saturating_mul(PATIENCE)),
            false => (options.hot, options.hot),
        };
        Ok(Self {
            jit,
            first,
            quick: 0,
            regions: HashMap::new(),
            members: HashMap::new(),
            waiting: HashMap::new(),
            attention: None,
            check: options.check,
            hot,
        })
    }

    pub(crate) fn begin(&mut self, sys: &System) {
        self.attention = Some(sys.attention_flag());
    }

    /// Runs code that begins with `block`.
    #[inline]
    pub(crate) fn run(&self, block: &Block, code: Code, h: &mut Hart, sys: &mut System) -> Exit {
        let Some(attention) = &self.attention else {
            return Exit::LOOK;
        };
        if let Some(key) = block.even_key() {
            self.jit.remember(key, code);
        }
        self.jit.run(code, h, sys, attention.flag())
    }

    /// Whether it is time to begin anew.
    pub(crate) fn is_full(&self, calls: usize) -> bool {
        self.jit.is_full() || calls > MAX_CALLS
    }

    /// Whether so many regions wait that there is no room for one more.
    pub(crate) fn is_busy(&self) -> bool {
        self.jit.is_busy()
    }

    /// Whether there is nothing that could refer to a noted instruction.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.quick == 0
    }

    /// Makes quick code for the block of a region of one block, if that can be done.
    pub(crate) fn quick(&mut self, region: &Region) -> Option<Code> {
        if self.first == self.hot {
            return None;
        }
        let code = self.jit.quick(region, self.hot)?;
        self.quick += 1;
        Some(code)
    }

    /// Whether a block ran so often that it may be a part of what is hot.
    pub(crate) fn is_warm(&self, block: &Block) -> bool {
        let hot = self.hot;
        let left = block.even_key().and_then(|key| self.jit.runs_left(key)).unwrap_or(0);
        let ran = match block.tier.get() {
            Tier::None => self.first.wrapping_sub(block.heat.get()),
            Tier::Quick => hot.wrapping_sub(left),
            // Whoever has better code was hot. It may count on.
            Tier::Best | Tier::Later => return true,
        };
        // What surrounds a loop runs much less often than the loop, and must not be another region for that.
        ran >= hot / 64
    }

    /// Whether a block is a part of a region.
    pub(crate) fn is_part(&self, id: u32) -> bool {
        self.regions.get(&id).is_some_and(|r| !r.is_empty())
    }

    /// The quick code of a block is to say again when it is hot.
    pub(crate) fn count_anew(&self, block: &Block) {
        if let Some(key) = block.even_key() {
            self.jit.set_runs(key, self.hot);
        }
    }

    /// No code may go on at a key any more.
    pub(crate) fn unname(&mut self, key: u64) {
        self.jit.unname(key);
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        self.jit.clear();
        self.regions.clear();
        self.members.clear();
        self.waiting.clear();
        self.quick = 0;
    }

    /// Has a region compiled that begins with block `id`; its code, if that is there at once.
    pub(crate) fn submit(&mut self, id: u32, region: Region, members: Vec<u32>) -> Result<Option<Code>, Busy> {
        let key = region.key;
        let ready = self.jit.submit(region)?;
        for member in &members {
            self.regions.entry(*member).or_default().push(id);
        }
        self.members.insert(id, (key, members));
        if ready.is_none() {
            self.waiting.insert(key, id);
        }
        Ok(ready.map(|r| r.code))
    }

    /// What was compiled since: blocks and the code that begins with them.
    #[inline]
    pub(crate) fn take(&mut self) -> Vec<(u32, Code)> {
        let done = self.jit.take();
        done.into_iter()
            .filter_map(|r| Some((self.waiting.remove(&r.key)?, r.code)))
            .collect()
    }

    /// A block is gone: no region that it is a part of may run again. The blocks with which those begin.
    pub(crate) fn dropped(&mut self, id: u32) -> Vec<u32> {
        let gone = self.regions.remove(&id).unwrap_or_default();
        for entry in &gone {
            let Some((key, members)) = self.members.remove(entry) else {
                continue;
            };
            self.jit.forget(key);
            self.waiting.remove(&key);
            for member in members {
                if let Some(all) = self.regions.get_mut(&member) {
                    all.retain(|e| e != entry);
                }
            }
        }
        gone
    }

    /// Numbers for people.
    pub(crate) fn statistics(&self) -> Statistics {
        self.jit.statistics()
    }
}
