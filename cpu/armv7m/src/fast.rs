//! The fast tier: which regions there are, what they are made of, and running them.

use southbridge_core::host::AttentionFlag;
use southbridge_cpu_jit::ir::Region;
use southbridge_cpu_jit::{
    Busy, Chain, Code, Exit, Jit, Layout, Memory, NOTE, Options, Reach, Slot, Statistics, WindowsAt, slot,
};
use std::collections::{HashMap, HashSet};
use std::mem::offset_of;
use std::sync::atomic::AtomicBool;

use crate::bus::{Bus, Window as _};
use crate::core::{Core, Flow};
use crate::exec::Op;
use crate::lift::Learned;
use crate::meaning::{Flags, kind};
use crate::windows;

/// Instructions noted for [`call`] before all is dropped.
const MAX_CALLS: usize = 1 << 20;
/// How often an access may go to another window than it was thought to before the code is made anew.
const PATIENCE: u32 = 300;
/// Sets of rights that one region may be known to be executable under.
const MAX_RIGHTS: usize = 8;

/// Guest registers of the layout: R0 to R14, then these.
pub(crate) mod register {
    /// [`crate::meaning::Flags`].
    pub(crate) const NZ: u8 = 15;
    pub(crate) const A: u8 = 16;
    pub(crate) const B: u8 = 17;
    pub(crate) const KIND: u8 = 18;
    /// Where a branch goes that had to read it from memory first: no part of the state.
    pub(crate) const TARGET: u8 = 19;
    /// All that the guest knows of.
    pub(crate) const ALL: u64 = (1 << 20) - 1;
}

/// Instructions that the engine executes for compiled code: the operations of each, and its block.
pub(crate) struct Calls<B: Bus> {
    ops: Vec<Op<B>>,
    /// First operation, their number, and the block.
    list: Vec<(u32, u32, u32)>,
    /// How often an access went to another window than it was thought to, by number, and the window's.
    misses: HashMap<u32, (u32, usize)>,
    /// Whether there is something for [`Calls::take_learned`].
    pub(crate) has_learned: bool,
}

impl<B: Bus> Calls<B> {
    pub(crate) fn new() -> Self {
        Self {
            ops: Vec::new(),
            list: Vec::new(),
            misses: HashMap::new(),
            has_learned: false,
        }
    }

    /// The access of instruction `who` went to another window than it was thought to.
    #[cold]
    fn missed(&mut self, who: u32, slot: usize) {
        let miss = self.misses.entry(who).or_insert((0, slot));
        *miss = (miss.0.saturating_add(1), slot);
        self.has_learned |= miss.0 == PATIENCE;
    }

    /// Instructions whose accesses went elsewhere than thought, by block and number in it, and the windows where they went.
    pub(crate) fn take_learned(&mut self) -> Vec<(u32, u8, usize)> {
        self.has_learned = false;
        let often = self.misses.extract_if(|_, (n, _)| *n > PATIENCE / 10);
        let of = |(who, (_, slot)): (u32, (u32, usize))| {
            let (first, _, block) = *self.list.get(who as usize)?;
            Some((block, self.ops.get(first as usize)?.idx, slot))
        };
        often.filter_map(of).collect()
    }

    /// Where to [`Calls::forget`] to.
    pub(crate) fn mark(&self) -> (usize, usize) {
        (self.ops.len(), self.list.len())
    }

    /// Forgets what was noted since.
    pub(crate) fn forget(&mut self, (ops, list): (usize, usize)) {
        self.ops.truncate(ops);
        self.list.truncate(list);
    }

    /// Notes an instruction; its number.
    pub(crate) fn add(&mut self, ops: &[Op<B>], block: u32) -> u32 {
        self.list.push((self.ops.len() as u32, ops.len() as u32, block));
        self.ops.extend_from_slice(ops);
        self.list.len() as u32 - 1
    }
}

/// Compiled code of a core. Each region is known by the block that it begins with.
pub(crate) struct Fast<B: Bus> {
    jit: Jit<Core<B>, B>,
    regions: HashMap<u32, Entry>,
    /// Regions by the blocks where they are entered.
    by_entry: HashMap<u32, u32>,
    /// Regions by the blocks that they are made of.
    by_member: HashMap<u32, Vec<u32>>,
    /// Block of each region on its way.
    waiting: HashMap<u64, u32>,
    attention: Option<AttentionFlag>,
    /// For a world that has no such flag.
    never: AtomicBool,
    pub(crate) hot: u32,
    /// Whether the interpreter does it all again; see [`crate::check`].
    pub(crate) check: bool,
    /// Whether code relies on windows to stay as they are: as long as the MPU plays no part, they do.
    pub(crate) fixed: bool,
    /// Memory that such code goes to.
    pub(crate) holders: Vec<B::Window>,
    /// Memory that code was decoded from, ever.
    coded: HashSet<u64>,
    /// Whether no other core decodes any.
    alone: bool,
    /// See [`crate::lift::Seen`].
    pub(crate) learned: HashMap<u32, Learned>,
    /// Memory of which compiled code relies on that no code is there.
    plain: HashSet<u64>,
}

struct Entry {
    /// The name that it was compiled under.
    key: u64,
    /// Sets of rights under which all of it was found executable.
    rights: Vec<u32>,
    /// Blocks where it is entered, and their addresses.
    entries: Vec<(u32, u32)>,
    members: Vec<u32>,
}

impl Entry {
    /// All names that it may have.
    fn keys(&self) -> impl Iterator<Item = u64> {
        let all = self.rights.iter();
        all.flat_map(|r| self.entries.iter().map(|(_, pc)| key(*pc, *r)))
    }
}

pub(crate) fn layout<B: Bus>(check: bool) -> Layout {
    let r = Slot::new::<Core<B>, u32>(offset_of!(Core<B>, s.regs), |c| &c.s.regs[0]);
    let flags = [
        slot!(Core<B>, flags.nz),
        slot!(Core<B>, flags.a),
        slot!(Core<B>, flags.b),
        slot!(Core<B>, flags.kind),
        slot!(Core<B>, target),
    ];
    Layout {
        word: 32,
        registers: (0..15).map(|n| r.element(n, 16)).chain(flags).collect(),
        // Flags, and what stands for them: set more often than asked for.
        lazy: 0x1f << register::NZ,
        pc: slot!(Core<B>, s.pc),
        base: None,
        retired: slot!(Core<B>, cycles),
        limit: slot!(Core<B>, limit),
        exit: slot!(Core<B>, exit),
        note: check.then_some(slot!(Core<B>, note)),
        memory: Memory::Windows(WindowsAt::new::<Core<B>, { windows::COUNT }>(
            offset_of!(Core<B>, windows.all),
            |c| &c.windows.all,
            windows::SHIFT,
        )),
        chain: Chain::Plain {
            beside: slot!(Core<B>, rights),
        },
    }
}

/// An instruction that compiled code leaves to its handler.
extern "C" fn call<B: Bus>(core: &mut Core<B>, bus: &mut B, what: u64) {
    if let Some(reach) = Reach::new(what) {
        core.exit = reach.through(core.windows.around(reach.address));
        if core.exit != 0 {
            core.calls.missed(reach.who, windows::slot(reach.address));
        }
        return;
    }
    if what & NOTE != 0 {
        return core.note_store((what & !NOTE) as u8);
    }
    let Some((first, n, block)) = core.calls.list.get(what as usize).copied() else {
        // Cannot be; to look at the PC again is always right.
        core.limit = 0;
        return;
    };
    let rights = core.rights;
    let (mut at, end) = (first, first + n);
    core.exit = 0;
    core.put_flags();
    let flags = (core.s.nz, core.s.c, core.s.v);
    while at < end
        && let Some(op) = core.calls.ops.get(at as usize).copied()
    {
        at += 1;
        let flow = (op.run)(core, bus, &op);
        match flow.skipped() {
            _ if flow == Flow::NEXT => {}
            Some(n) => at += n,
            None => {
                core.exit = Exit::word(flow.0, op.idx, block);
                return;
            }
        }
    }
    let unspeakable = flags != (core.s.nz, core.s.c, core.s.v) && !core.take_flags();
    if unspeakable || core.rights != rights {
        let last = core.calls.ops.get(end as usize - 1).map_or(0, |op| op.idx);
        core.exit = Exit::word(Flow::SYNC.0, last, block);
    }
    if bus.attention() {
        core.limit = 0;
    }
}

impl<B: Bus> Core<B> {
    /// Has the flags where compiled code looks for them. `false` if it cannot express them: zero and negative at once.
    #[inline]
    pub(crate) fn take_flags(&mut self) -> bool {
        let (n, z) = (self.s.nz.is_negative(), self.s.nz.is_zero());
        self.flags = Flags {
            kind: kind::EXPLICIT,
            nz: u32::from(n) << 31 | u32::from(!z),
            a: self.s.c.into(),
            b: self.s.v.0,
        };
        !(n && z)
    }

    /// Brings them home.
    fn put_flags(&mut self) {
        self.s.nz = self.flags.nz(None, None).into();
        self.s.c = self.flags.c(None) != 0;
        self.s.v = self.flags.v(None).into();
    }
}

/// The name of the code at an address under some rights.
fn key(pc: u32, rights: u32) -> u64 {
    u64::from(pc) | u64::from(rights) << 32
}

impl<B: Bus> Fast<B> {
    pub(crate) fn new(options: Options) -> Result<Self, String> {
        Ok(Self {
            jit: Jit::loose(layout::<B>(options.check), call::<B>, options)?,
            regions: HashMap::new(),
            by_entry: HashMap::new(),
            by_member: HashMap::new(),
            waiting: HashMap::new(),
            attention: None,
            never: AtomicBool::new(false),
            hot: options.hot.max(1),
            check: options.check,
            fixed: true,
            holders: Vec::new(),
            coded: HashSet::new(),
            alone: false,
            learned: HashMap::new(),
            plain: HashSet::new(),
        })
    }

    pub(crate) fn begin(&mut self, bus: &B) {
        self.attention = bus.attention_flag();
        self.alone = bus.is_alone();
    }

    /// Runs code that begins at `pc` under the present rights. The flags are in [`Core::flags`].
    #[inline]
    pub(crate) fn run(&self, code: Code, core: &mut Core<B>, bus: &mut B) -> Exit {
        self.jit.remember(key(core.s.pc, core.rights), code);
        let flag = self.attention.as_ref().map_or(&self.never, AttentionFlag::flag);
        let exit = self.jit.run(code, core, bus, flag);
        if exit == Exit::LOOK {
            core.put_flags();
        }
        exit
    }

    /// Whether any region has block `id` in it.
    pub(crate) fn is_member(&self, id: u32) -> bool {
        self.by_member.get(&id).is_some_and(|all| !all.is_empty())
    }

    /// Whether such a region is still being compiled.
    pub(crate) fn waits_with(&self, id: u32) -> bool {
        let all = self.by_member.get(&id).into_iter().flatten();
        let mut entries = all.filter_map(|first| self.regions.get(first));
        !self.waiting.is_empty() && entries.any(|e| self.waiting.contains_key(&e.key))
    }

    fn entered(&self, id: u32) -> Option<&Entry> {
        self.regions.get(self.by_entry.get(&id)?)
    }

    /// Blocks of the region that is entered at block `id`.
    pub(crate) fn members(&self, id: u32) -> &[u32] {
        self.entered(id).map_or(&[], |e| &e.members)
    }

    /// Whether that was found before of the region that is entered at block `id`; see [`Fast::allow`].
    pub(crate) fn allows(&self, id: u32, rights: u32) -> bool {
        self.entered(id).is_some_and(|e| e.rights.contains(&rights))
    }

    /// All of the region that is entered at block `id` may be executed under `rights`: notes that it will be found so.
    pub(crate) fn allow(&mut self, id: u32, rights: u32) {
        let first = self.by_entry.get(&id);
        let Some(entry) = first.and_then(|first| self.regions.get_mut(first)) else {
            return;
        };
        if entry.rights.contains(&rights) {
            return;
        }
        if entry.rights.len() >= MAX_RIGHTS {
            let gone = entry.rights.remove(0);
            entry.entries.iter().for_each(|(_, pc)| self.jit.unname(key(*pc, gone)));
        }
        entry.rights.push(rights);
    }

    /// Whether it is time to begin anew.
    pub(crate) fn is_full(&self, calls: &Calls<B>) -> bool {
        self.jit.is_full() || calls.ops.len() > MAX_CALLS
    }

    /// Whether there is nothing that could refer to a noted instruction.
    pub(crate) fn is_empty(&self) -> bool {
        self.regions.is_empty()
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        self.jit.clear();
        self.regions.clear();
        self.by_entry.clear();
        self.holders.clear();
        self.plain.clear();
        self.by_member.clear();
        self.waiting.clear();
    }

    /// Code was decoded from a memory. Whether compiled code relies on that there is none.
    pub(crate) fn decoded(&mut self, memory: u64) -> bool {
        self.coded.insert(memory) && self.plain.contains(&memory)
    }

    /// Whether no code was ever decoded from a memory.
    pub(crate) fn is_plain(&self, memory: u64) -> bool {
        self.alone && !self.coded.contains(&memory)
    }

    /// Keeps memory in its place for as long as there is code that goes to it.
    pub(crate) fn hold<'a>(&mut self, all: impl Iterator<Item = &'a B::Window>)
    where
        B::Window: 'a,
    {
        for w in all {
            let Some((first, _)) = w.host() else { continue };
            let same =
                |held: &B::Window| held.host().is_some_and(|h| h.0 == first) && held.place(first) == w.place(first);
            if self.is_plain(w.place(first).0) {
                self.plain.insert(w.place(first).0);
            }
            if !self.holders.iter().any(same) {
                self.holders.push(w.clone());
            }
        }
    }

    /// Has a region compiled that begins with the first of `entries`; its code, if that is there at once.
    pub(crate) fn submit(
        &mut self,
        region: Region,
        members: Vec<u32>,
        entries: Vec<(u32, u32)>,
        rights: u32,
    ) -> Result<Option<Code>, Busy> {
        let Some((id, pc)) = entries.first().copied() else {
            return Ok(None);
        };
        let key = key(pc, rights);
        let ready = self.jit.submit(Region { key, ..region })?;
        for member in &members {
            self.by_member.entry(*member).or_default().push(id);
        }
        // Who was entered elsewhere stays there.
        let is_new = |(e, _): &(u32, u32)| *e == id || !self.by_entry.contains_key(e);
        let entries: Vec<_> = entries.into_iter().filter(is_new).collect();
        self.by_entry.extend(entries.iter().map(|(e, _)| (*e, id)));
        let entry = Entry {
            key,
            rights: vec![rights],
            entries,
            members,
        };
        self.regions.insert(id, entry);
        if ready.is_none() {
            self.waiting.insert(key, id);
        }
        Ok(ready.map(|r| r.code))
    }

    /// Blocks where the region is entered that begins with block `id`.
    pub(crate) fn entries(&self, id: u32) -> &[(u32, u32)] {
        self.regions.get(&id).map_or(&[], |e| &e.entries)
    }

    /// What was compiled since: blocks, the code that begins with them, and the rights that it was lifted under.
    #[inline]
    pub(crate) fn take(&mut self) -> Vec<(u32, Code, u32)> {
        let done = self.jit.take();
        done.into_iter()
            .filter_map(|r| Some((self.waiting.remove(&r.key)?, r.code, (r.key >> 32) as u32)))
            .collect()
    }

    /// A block is gone: no region that it is a part of may run again. The blocks where those were entered.
    pub(crate) fn dropped(&mut self, id: u32) -> Vec<u32> {
        let gone = self.by_member.remove(&id).unwrap_or_default();
        gone.into_iter().flat_map(|first| self.drop_region(first)).collect()
    }

    /// Regions that a block is a part of, by their first blocks.
    pub(crate) fn regions_with(&self, id: u32) -> Vec<u32> {
        self.by_member.get(&id).cloned().unwrap_or_default()
    }

    /// The region that begins with a block may not run again. The blocks where it was entered.
    pub(crate) fn drop_region(&mut self, first: u32) -> Vec<u32> {
        let Some(entry) = self.regions.remove(&first) else {
            return Vec::new();
        };
        self.waiting.remove(&entry.key);
        self.jit.forget(entry.key);
        entry.keys().for_each(|k| self.jit.unname(k));
        for (at, _) in &entry.entries {
            self.by_entry.remove(at);
        }
        for member in entry.members {
            if let Some(all) = self.by_member.get_mut(&member) {
                all.retain(|e| *e != first);
            }
        }
        entry.entries.into_iter().map(|(at, _)| at).collect()
    }

    /// Numbers for people.
    pub(crate) fn statistics(&self) -> Statistics {
        self.jit.statistics()
    }
}
