//! The quick tier: one block of guest code becomes host code at once, without a look at anything but that block.
//!
//! Cranelift makes better code, and takes a thousand times as long: it is for what runs often. This is for what runs more than a few
//! times. Guest registers are read from home when first used and kept in host registers to the block's end; what is written goes home at
//! once. So nothing has to be brought home where a block ends or the engine is called. x86-64 hosts only, guests with words of 64 bits
//! and pages only; elsewhere the interpreter runs until Cranelift's code is there.
//!
//! A block is called as a region is ([`crate::emit::region_signature`]), and goes to other code by a jump. PC and count of instructions
//! are at home where it begins and where it ends. Each runs a counter down: when that is at 0 the engine is told, which may have Cranelift
//! look at the place.

mod asm;
mod memory;
mod ops;

use asm::{Alu, Asm, Cc, Host, Jump, RAX, RCX, RDI, RDX, RSP, Rm};

use crate::emit::ENTRY;
use crate::ir::{Binary, Block, Call, End, Op, Region, Target, Value};
use crate::layout::{Chain, Layout, Memory, Slot};

/// Addresses that the code refers to; all but the table are within 2 GiB of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fixed {
    /// Where the code will be.
    pub(crate) at: u64,
    /// The function that has the engine execute an instruction.
    pub(crate) thunk: u64,
    /// Code that returns to have the engine look.
    pub(crate) fail: u64,
    /// The counter of 32 bits that this block runs down.
    pub(crate) counter: u64,
    /// What the block returns when that is at 0.
    pub(crate) hot: u64,
    /// The table of regions by key, and its entries: a power of two.
    pub(crate) table: u64,
    pub(crate) entries: u64,
}

/// Whether this host has the instructions that the code is made of.
pub(crate) fn is_available(layout: &Layout) -> bool {
    #[cfg(target_arch = "x86_64")]
    let has = std::arch::is_x86_feature_detected!("bmi1")
        && std::arch::is_x86_feature_detected!("bmi2")
        && std::arch::is_x86_feature_detected!("lzcnt")
        && std::arch::is_x86_feature_detected!("popcnt");
    #[cfg(not(target_arch = "x86_64"))]
    let has = false;
    has && layout.word == 64 && matches!(layout.memory, Memory::Paged { .. })
}

/// A block that cannot be compiled so: something in it is not known here.
#[derive(Debug)]
pub(crate) struct Unknown;

/// The places that the block of a region of one block goes to by a direct jump on its own page.
pub(crate) fn exits(region: &Region) -> impl Iterator<Item = u64> {
    let targets = match region.blocks.first().map(|b| &b.end) {
        Some(End::Jump(t)) => [Some(*t), None],
        Some(End::Branch(_, t, e)) => [Some(*t), Some(*e)],
        _ => [None, None],
    };
    let start = region.key;
    let keys = targets.into_iter().flatten().filter_map(move |t| match t {
        Target::Outside(at) => Some(start.wrapping_add(at as u64)),
        Target::Block(_) => None,
    });
    keys.filter(move |key| (key ^ start) >> 12 == 0)
}

/// The code of the block of a region of one block. `links` has, for each of [`exits`], the address of a word that has the address of the
/// code there.
pub(crate) fn block(layout: &Layout, region: &Region, links: &[u64], fixed: Fixed) -> Result<Vec<u8>, Unknown> {
    let [block] = &region.blocks[..] else {
        return Err(Unknown);
    };
    let (last, fused) = uses(block);
    let quick = Quick {
        asm: Asm::new(fixed.at),
        layout,
        fixed,
        region,
        block,
        links: exits(region).zip(links.iter().copied()).collect(),
        values: vec![Place::None; block.ops.len()],
        last,
        fused,
        hosts: [Holder::default(); 16],
        guests: [Guest::Home; 64],
        slow: Vec::new(),
        turn: 0,
    };
    quick.all()
}

/// Where a value is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    None,
    Host(Host),
    Constant(u64),
}

/// What a host register has.
#[derive(Clone, Copy, Default)]
struct Holder {
    /// The guest register whose value it has, too.
    guest: Option<u8>,
    /// Values that are in it and will be used.
    values: u32,
}

/// Where, beside home, a guest register's value is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Guest {
    Home,
    Host(Host),
    Constant(u64),
}

/// What is done out of the way.
struct Slow {
    from: Vec<Jump>,
    call: Call,
    /// The register to read anew: guest's, host's.
    result: Option<(u8, Host)>,
    back: usize,
}

/// A comparison that is a block's last.
#[derive(Clone, Copy)]
struct Fused {
    cc: Cc,
    a: Value,
    b: Value,
}

struct Quick<'a> {
    asm: Asm,
    layout: &'a Layout,
    fixed: Fixed,
    region: &'a Region,
    block: &'a Block,
    links: Vec<(u64, u64)>,
    values: Vec<Place>,
    /// Which operation uses a value last; that after the last one is the end.
    last: Vec<Option<usize>>,
    fused: Option<Fused>,
    hosts: [Holder; 16],
    guests: [Guest; 64],
    slow: Vec<Slow>,
    /// The register that was given away last.
    turn: usize,
}

/// Registers that hold values; the others are for a moment's use, or (the frame's, RBP) the caller's.
const HOSTS: [Host; 9] = [3, 8, 9, 10, 11, 12, 13, 14, 15];

fn condition(op: Binary) -> Option<Cc> {
    Some(match op {
        Binary::Equal => Cc::Equal,
        Binary::NotEqual => Cc::NotEqual,
        Binary::LessUnsigned => Cc::Below,
        Binary::LessSigned => Cc::Less,
        _ => return None,
    })
}

fn operands(op: &Op) -> [Option<Value>; 3] {
    match *op {
        Op::Set(_, a) | Op::Unary(_, a) | Op::If(a, _) => [Some(a), None, None],
        Op::Binary(_, a, b) => [Some(a), Some(b), None],
        Op::Select(a, b, c) => [Some(a), Some(b), Some(c)],
        Op::Load { address, .. } => [Some(address), None, None],
        Op::Store { address, value, .. } => [Some(address), Some(value), None],
        _ => [None; 3],
    }
}

/// Who uses each value last, and the comparison that can be a part of the block's end.
fn uses(block: &Block) -> (Vec<Option<usize>>, Option<Fused>) {
    let ops = &block.ops;
    let mut last = vec![None; ops.len()];
    let mut times = vec![0u32; ops.len()];
    let mut use_at = |v: Value, i: usize| {
        if let (Some(last), Some(times)) = (last.get_mut(v.0 as usize), times.get_mut(v.0 as usize)) {
            *last = Some(i);
            *times += 1;
        }
    };
    for (i, op) in ops.iter().enumerate() {
        operands(op).into_iter().flatten().for_each(|v| use_at(v, i));
    }
    match &block.end {
        End::Branch(v, ..) | End::Indirect(v, _) => use_at(*v, ops.len()),
        End::Jump(_) => {}
    }
    let End::Branch(decision, ..) = &block.end else {
        return (last, None);
    };
    let once = |v: Value| times.get(v.0 as usize) == Some(&1);
    let compare = |v: Value| match ops.get(v.0 as usize) {
        Some(Op::Binary(op, a, b)) if once(v) => condition(*op).map(|cc| Fused { cc, a: *a, b: *b }),
        _ => None,
    };
    let zero = |v: Value| ops.get(v.0 as usize) == Some(&Op::Constant(0));
    let mut fused = compare(*decision);
    let mut gone = vec![*decision];
    if let Some(Fused { cc: Cc::Equal, a, b }) = fused
        && zero(b)
        && let Some(inner) = compare(a)
    {
        gone.push(a);
        fused = Some(Fused {
            cc: inner.cc.not(),
            ..inner
        });
    }
    if let Some(f) = &fused {
        for v in gone {
            last[v.0 as usize] = None;
        }
        for v in [f.a, f.b] {
            if let Some(last) = last.get_mut(v.0 as usize) {
                *last = Some(ops.len());
            }
        }
    }
    (last, fused)
}

fn home(slot: Slot) -> Rm {
    Rm::At(RDI, slot.offset())
}

impl Quick<'_> {
    fn all(mut self) -> Result<Vec<u8>, Unknown> {
        let (layout, count) = (self.layout, self.block.count as i32);
        self.asm.count_down(Rm::Near(self.fixed.counter));
        let hot = self.asm.jump_if(Cc::Equal);
        self.asm.load(RAX, home(layout.retired));
        self.asm.alu_constant(Alu::Add, Rm::Reg(RAX), count);
        self.asm.alu(Alu::Cmp, RAX, home(layout.limit));
        self.asm.jump_far_if(Cc::Above, self.fixed.fail);
        for (i, op) in self.block.ops.iter().enumerate() {
            self.op(i, op)?;
            self.release(i);
        }
        self.end()?;
        for slow in std::mem::take(&mut self.slow) {
            for from in slow.from {
                let here = self.asm.here();
                self.asm.bind(from, here);
            }
            self.engine(slow.call);
            if let Some((guest, host)) = slow.result {
                self.asm.load(host, self.guest_home(guest)?);
            }
            let back = self.asm.jump();
            self.asm.bind(back, slow.back);
        }
        let here = self.asm.here();
        self.asm.bind(hot, here);
        self.asm.constant(RAX, self.fixed.hot);
        self.asm.ret();
        Ok(self.asm.code)
    }

    fn guest_home(&self, r: u8) -> Result<Rm, Unknown> {
        self.layout
            .registers
            .get(usize::from(r))
            .map(|s| home(*s))
            .ok_or(Unknown)
    }

    /// Whether a value is the comparison, or a part of it, that the block's end does.
    fn is_fused(&self, i: usize) -> bool {
        self.fused.is_some() && self.last.get(i) == Some(&None) && matches!(self.block.ops.get(i), Some(Op::Binary(..)))
    }

    /// Values that operation `i` used for the last time are gone.
    fn release(&mut self, i: usize) {
        let Some(op) = self.block.ops.get(i) else { return };
        let mut all = operands(op).map(|v| v.map(|v| v.0 as usize));
        // One that is used twice by the operation ends once.
        if all[1] == all[0] {
            all[1] = None;
        }
        if all[2] == all[0] || all[2] == all[1] {
            all[2] = None;
        }
        for n in all.into_iter().flatten() {
            if self.last.get(n) == Some(&Some(i)) {
                self.drop_value(n);
            }
        }
        if self.last.get(i) == Some(&None) {
            self.drop_value(i);
        }
    }

    fn drop_value(&mut self, n: usize) {
        if let Some(Place::Host(h)) = self.values.get(n).copied() {
            let holder = &mut self.hosts[usize::from(h & 15)];
            holder.values = holder.values.saturating_sub(1);
            self.values[n] = Place::None;
        }
    }

    /// A host register for a new value.
    fn fresh(&mut self) -> Result<Host, Unknown> {
        let free = |h: &&Host| self.hosts[usize::from(**h)].values == 0;
        let empty = HOSTS
            .iter()
            .filter(free)
            .find(|h| self.hosts[usize::from(**h)].guest.is_none());
        if let Some(h) = empty {
            return Ok(*h);
        }
        let turn = self.turn;
        let mut around = HOSTS.iter().cycle().skip(turn).take(HOSTS.len());
        let h = *around.find(free).ok_or(Unknown)?;
        self.turn = HOSTS.iter().position(|o| *o == h).unwrap_or(0) + 1;
        self.forget(h);
        Ok(h)
    }

    /// A host register has no guest register's value any more.
    fn forget(&mut self, h: Host) {
        if let Some(g) = self.hosts[usize::from(h)].guest.take() {
            self.guests[usize::from(g & 63)] = Guest::Home;
        }
    }

    /// A guest register's value is no longer where it was.
    fn forget_guest(&mut self, r: u8) {
        if let Guest::Host(h) = std::mem::replace(&mut self.guests[usize::from(r & 63)], Guest::Home) {
            self.hosts[usize::from(h)].guest = None;
        }
    }

    /// A host register has a guest register's value now.
    fn is_in(&mut self, r: u8, h: Host) {
        self.forget_guest(r);
        self.forget(h);
        self.hosts[usize::from(h)].guest = Some(r & 63);
        self.guests[usize::from(r & 63)] = Guest::Host(h);
    }

    fn place(&self, v: Value) -> Result<Place, Unknown> {
        match self.values.get(v.0 as usize).copied() {
            None | Some(Place::None) => Err(Unknown),
            Some(place) => Ok(place),
        }
    }

    /// The host register that has a value; `scratch`, if it is a constant.
    fn host(&mut self, v: Value, scratch: Host) -> Result<Host, Unknown> {
        Ok(match self.place(v)? {
            Place::Host(h) => h,
            Place::Constant(c) => {
                self.asm.constant(scratch, c);
                scratch
            }
            Place::None => return Err(Unknown),
        })
    }

    /// Operation `i` made its value in a host register.
    fn made(&mut self, i: usize, h: Host) {
        self.values[i] = Place::Host(h);
        self.hosts[usize::from(h)].values += 1;
    }

    /// The engine executes an instruction. All registers but those for a moment's use survive it. What it ends with other than 0 is
    /// returned.
    fn engine(&mut self, call: Call) {
        if self.layout.note.is_some() {
            // Code that is checked ends before what the engine would have to execute.
            self.asm.alu_constant(Alu::Add, home(self.layout.pc), call.at as i32);
            self.asm
                .alu_constant(Alu::Add, home(self.layout.retired), call.index.into());
            return self.asm.jump_far(self.fixed.fail);
        }
        if let Some(base) = self.layout.base {
            self.asm.load(RAX, home(self.layout.pc));
            self.asm.store(RAX, home(base), 8);
        }
        self.tell(call.what.into());
        self.asm.load(RAX, home(self.layout.exit));
        self.asm.test(RAX);
        let on = self.asm.jump_if(Cc::Equal);
        self.asm.ret();
        let here = self.asm.here();
        self.asm.bind(on, here);
    }

    /// Calls the engine's function.
    fn tell(&mut self, what: u64) {
        // The stack is aligned where the return address is above it.
        self.asm.alu_constant(Alu::Sub, Rm::Reg(RSP), 8);
        self.asm.constant(RDX, what);
        self.asm.call(self.fixed.thunk);
        self.asm.alu_constant(Alu::Add, Rm::Reg(RSP), 8);
    }

    fn end(&mut self) -> Result<(), Unknown> {
        let count = self.block.count as i32;
        self.asm.alu_constant(Alu::Add, home(self.layout.retired), count);
        match &self.block.end {
            End::Jump(target) => self.go(*target),
            End::Branch(decision, then, other) => {
                let cc = match self.fused {
                    Some(Fused { cc, a, b }) => {
                        self.compare(a, b)?;
                        cc
                    }
                    None => {
                        let h = self.host(*decision, RAX)?;
                        self.asm.test(h);
                        Cc::NotEqual
                    }
                };
                let taken = self.asm.jump_if(cc);
                self.go(*other)?;
                let here = self.asm.here();
                self.asm.bind(taken, here);
                self.go(*then)
            }
            End::Indirect(to, _) => {
                let h = self.host(*to, RDX)?;
                self.asm.store(h, home(self.layout.pc), 8);
                self.dispatch(h)
            }
        }
    }

    /// Goes on at another place.
    fn go(&mut self, target: Target) -> Result<(), Unknown> {
        let Target::Outside(at) = target else {
            return Err(Unknown);
        };
        let Ok(distance) = i32::try_from(at) else {
            return Err(Unknown);
        };
        if distance == 0 {
            let back = self.asm.jump();
            self.asm.bind(back, 0);
            return Ok(());
        }
        self.asm.alu_constant(Alu::Add, home(self.layout.pc), distance);
        let key = self.region.key.wrapping_add(at as u64);
        match self.links.iter().find(|(k, _)| *k == key) {
            Some((_, link)) => {
                self.asm.jump_through(Rm::Near(*link));
                Ok(())
            }
            None => {
                self.asm.load(RDX, home(self.layout.pc));
                self.dispatch(RDX)
            }
        }
    }

    /// Goes to the code of the guest address in a register, which is the PC.
    fn dispatch(&mut self, pc: Host) -> Result<(), Unknown> {
        let Chain::Paged { fetch, context } = self.layout.chain else {
            return Err(Unknown);
        };
        let (fetch, fail) = (fetch, self.fixed.fail);
        self.entry(pc, fetch);
        self.asm.copy(RAX, pc);
        self.asm.shift(asm::Shift::Shr, RAX, 12);
        self.asm.alu(Alu::Or, RAX, home(context));
        self.asm.alu(Alu::Cmp, RAX, Rm::Sum(RDI, RCX, fetch.tag()));
        self.asm.jump_far_if(Cc::NotEqual, fail);
        self.asm.load(RAX, Rm::Sum(RDI, RCX, fetch.rest()));
        self.asm.alu_constant(Alu::And, Rm::Reg(RAX), -4096);
        self.asm.alu(Alu::Add, RAX, Rm::Reg(pc));
        // The key is in RAX.
        self.asm.copy(RCX, RAX);
        self.asm.copy(RDX, RAX);
        self.asm.shift(asm::Shift::Shr, RCX, 1);
        self.asm.shift(asm::Shift::Shr, RDX, 13);
        self.asm.alu(Alu::Xor, RCX, Rm::Reg(RDX));
        self.asm.and32(RCX, self.fixed.entries as i32 - 1);
        self.asm.shift(asm::Shift::Shl, RCX, ENTRY.trailing_zeros() as u8);
        self.asm.constant(RDX, self.fixed.table);
        self.asm.alu(Alu::Cmp, RAX, Rm::Sum(RDX, RCX, 0));
        self.asm.jump_far_if(Cc::NotEqual, fail);
        self.asm.jump_through(Rm::Sum(RDX, RCX, 8));
        Ok(())
    }
}
