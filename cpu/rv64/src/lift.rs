//! From decoded blocks to regions of IR.
//!
//! A region is what can be reached by direct jumps on one page from a block that proved hot, as far as it has been decoded. What an
//! instruction means comes from the instruction tables; one without a [`Meaning`] there, and every access that is not plain RAM, is
//! executed by its handler.

use southbridge_cpu_jit::ir::{Block as Piece, Call, End, Op as Step, Region, Target, Value, Width};
use southbridge_cpu_jit::{Traced, Tracer};
use std::collections::HashMap;
use std::sync::LazyLock;

use crate::block::{Block, Cache};
use crate::exec::{MEANINGS, TABLES};
use crate::insn::{Entry, Insn, Kind, Op};

/// What an instruction does, in terms that become IR.
#[derive(Clone, Copy)]
pub(crate) enum Meaning {
    /// `rd` from `rs1` and `rs2`.
    Two(for<'a> fn(Traced<'a>, Traced<'a>) -> Traced<'a>),
    /// `rd` from `rs1` and the immediate.
    Immediate(for<'a> fn(Traced<'a>, Traced<'a>) -> Traced<'a>),
    /// Jumps if that is not 0.
    Branch(for<'a> fn(Traced<'a>, Traced<'a>) -> Traced<'a>),
    Load(Width),
    Store(Width),
    Upper,
    UpperOfPc,
    Jump,
    JumpTo,
    Fence,
}

/// The meaning of each row that has one, by where the row stands in the tables.
static BY_ROW: LazyLock<HashMap<usize, Meaning>> = LazyLock::new(|| {
    let by_name: HashMap<&str, Meaning> = MEANINGS.iter().flat_map(|list| list.iter().copied()).collect();
    let rows = TABLES.iter().flat_map(|table| table.iter());
    let known = rows.filter_map(|row| {
        let name = row.name.replace('.', "_");
        Some((place(row), *by_name.get(name.as_str())?))
    });
    known.collect()
});

fn place(row: &'static Entry) -> usize {
    std::ptr::from_ref(row).addr()
}

/// The meaning of a row.
fn meaning(row: &'static Entry) -> Option<Meaning> {
    BY_ROW.get(&place(row)).copied()
}

/// Guest instructions in a region at most.
const MAX_INSTRUCTIONS: u32 = 300;
/// Blocks in a region at most.
const MAX_BLOCKS: usize = 80;
/// A jump to this address register or one from it is a call or a return (Unprivileged ISA, table of return-address hints).
const fn is_link(r: u8) -> bool {
    r == 1 || r == 5
}

/// An instruction that the engine executes for compiled code.
#[derive(Clone, Copy)]
pub(crate) struct Called {
    pub(crate) op: Op,
    /// Its block, and how far behind the region's start that begins.
    pub(crate) block: u32,
    pub(crate) at: i64,
}

/// All such of a hart.
pub(crate) type Calls = Vec<Called>;

/// The region that begins with block `first`, and the blocks that it is made of. `None` if the block cannot begin one.
pub(crate) fn region(
    cache: &Cache,
    warm: &dyn Fn(&Block) -> bool,
    first: u32,
    calls: &mut Calls,
) -> Option<(Region, Vec<u32>)> {
    lift(cache, Some(warm), first, calls)
}

/// The same of that block alone.
pub(crate) fn single(cache: &Cache, first: u32, calls: &mut Calls) -> Option<Region> {
    lift(cache, None, first, calls).map(|(region, _)| region)
}

fn lift(cache: &Cache, warm: Option<Warm>, first: u32, calls: &mut Calls) -> Option<(Region, Vec<u32>)> {
    let start = cache.get(first);
    let start_key = start.even_key()?;
    let mut lifter = Lifter {
        cache,
        start: start_key,
        blocks: vec![first],
        at: HashMap::from([(start_key, 0)]),
        warm,
        left: MAX_INSTRUCTIONS.saturating_sub(start.count),
        returns: Vec::new(),
        calls,
    };
    let mut pieces = Vec::new();
    while let Some(id) = lifter.blocks.get(pieces.len()).copied() {
        pieces.push(lifter.piece(id));
    }
    let returns = std::mem::take(&mut lifter.returns);
    for piece in &mut pieces {
        if let End::Indirect(_, guesses) = &mut piece.end {
            let others = returns.iter().filter(|r| !guesses.contains(r));
            let others: Vec<u32> = others.copied().collect();
            guesses.extend(others);
        }
    }
    let name = format!("{start_key:#x}");
    let blocks = lifter.blocks;
    Some((
        Region {
            name,
            key: start_key,
            blocks: pieces,
        },
        blocks,
    ))
}

type Warm<'a> = &'a dyn Fn(&Block) -> bool;

struct Lifter<'a> {
    cache: &'a Cache,
    /// Key of the region's start.
    start: u64,
    /// Blocks taken in.
    blocks: Vec<u32>,
    /// Their places, by key.
    at: HashMap<u64, u32>,
    /// Which blocks ran often enough to be taken in. Without it none is.
    warm: Option<Warm<'a>>,
    /// Instructions that may still be taken in.
    left: u32,
    /// Blocks behind calls.
    returns: Vec<u32>,
    calls: &'a mut Calls,
}

/// A block that is being lifted.
struct Piecework<'a> {
    tracer: Tracer,
    id: u32,
    block: &'a Block,
    /// Distance from the region's start.
    at: i64,
}

impl Piecework<'_> {
    fn x(&self, r: u8) -> Traced<'_> {
        match r {
            0 => self.tracer.constant(0),
            r => self.tracer.get(r - 1),
        }
    }

    /// The address at which a call comes back.
    fn link(&self, rd: u8, behind: i64) {
        if rd != 0 {
            self.put(rd, self.tracer.push(Step::Address(behind)));
        }
    }

    fn put(&self, rd: u8, v: Traced<'_>) {
        if rd != 0 {
            self.tracer.set(rd - 1, v);
        }
    }
}

impl Lifter<'_> {
    /// The block `distance` behind the region's start, taken in if it can be.
    fn inside(&mut self, distance: i64) -> Option<u32> {
        let warm = self.warm?;
        let key = self.start.wrapping_add(distance as u64);
        if (key ^ self.start) >> 12 != 0 {
            return None;
        }
        if let Some(n) = self.at.get(&key) {
            return Some(*n);
        }
        let id = self.cache.known(key)?;
        let block = self.cache.get(id);
        block.even_key()?;
        // What ran but now and then so far is left to the interpreter until it proves otherwise.
        if !warm(block) {
            return None;
        }
        self.left = self
            .left
            .checked_sub(block.count)
            .filter(|_| self.blocks.len() < MAX_BLOCKS)?;
        let n = self.blocks.len() as u32;
        self.blocks.push(id);
        self.at.insert(key, n);
        Some(n)
    }

    fn target(&mut self, distance: i64) -> Target {
        self.inside(distance).map_or(Target::Outside(distance), Target::Block)
    }

    fn piece(&mut self, id: u32) -> Piece {
        let cache = self.cache;
        let block = cache.get(id);
        let at = block.even_key().unwrap_or(self.start).wrapping_sub(self.start) as i64;
        let work = Piecework {
            tracer: Tracer::default(),
            id,
            block,
            at,
        };
        let mut end = None;
        for i in 0..block.count as usize {
            end = self.instruction(&work, i);
        }
        let behind = at + i64::from(block.len);
        Piece {
            id,
            at,
            count: block.count,
            end: end.unwrap_or_else(|| End::Jump(self.target(behind))),
            ops: work.tracer.finish(),
        }
    }

    /// Instruction `i` of a block; how the block ends if that is by this one.
    fn instruction(&mut self, work: &Piecework<'_>, i: usize) -> Option<End> {
        let raw = work.block.raw(i);
        let Some(insn) = self.cache.decode(raw) else {
            self.call(work, i, None);
            return None;
        };
        let what = meaning(insn.entry);
        if insn.entry.kind == Kind::Pure && insn.rd == 0 {
            return None;
        }
        let Some(what) = what else {
            self.call(work, i, Some(&insn));
            return None;
        };
        self.known(work, i, &insn, what)
    }

    fn known(&mut self, work: &Piecework<'_>, i: usize, insn: &Insn, what: Meaning) -> Option<End> {
        let t = &work.tracer;
        let imm = i64::from(insn.imm);
        let here = work.at + work.block.at(i) as i64;
        let behind = work.at + work.block.at(i + 1) as i64;
        match what {
            Meaning::Two(f) => work.put(insn.rd, f(work.x(insn.rs1), work.x(insn.rs2))),
            Meaning::Immediate(f) => work.put(insn.rd, f(work.x(insn.rs1), t.constant(imm as u64))),
            Meaning::Upper => work.put(insn.rd, t.constant(imm as u64)),
            Meaning::UpperOfPc => work.put(insn.rd, t.push(Step::Address(here + imm))),
            Meaning::Load(width) if insn.rd != 0 => {
                let (address, slow) = (self.address(work, insn), self.slow(work, i, insn));
                let register = insn.rd - 1;
                t.push(Step::Load {
                    address,
                    width,
                    register,
                    slow,
                });
            }
            // A load for its fault alone.
            Meaning::Load(_) => self.call(work, i, Some(insn)),
            Meaning::Store(width) => {
                let (address, slow) = (self.address(work, insn), self.slow(work, i, insn));
                let value = work.x(insn.rs2).value;
                t.push(Step::Store {
                    address,
                    width,
                    value,
                    slow,
                });
            }
            Meaning::Fence => {
                t.push(Step::Fence);
            }
            Meaning::Branch(f) => {
                let taken = f(work.x(insn.rs1), work.x(insn.rs2)).value;
                let target = self.target(here + imm);
                return Some(End::Branch(taken, target, self.target(behind)));
            }
            Meaning::Jump => {
                work.link(insn.rd, behind);
                if is_link(insn.rd) {
                    let back = self.inside(behind);
                    self.returns.extend(back);
                }
                return Some(End::Jump(self.target(here + imm)));
            }
            Meaning::JumpTo => {
                use southbridge_cpu_jit::Word;
                let to = work.x(insn.rs1).plus(imm as u64) & t.constant(!1);
                work.link(insn.rd, behind);
                if is_link(insn.rd) {
                    let back = self.inside(behind);
                    self.returns.extend(back);
                }
                // Where it went last is where it will mostly go.
                let guess = self.cache.last_elsewhere(work.block);
                let guess = guess.and_then(|key| self.inside(key.wrapping_sub(self.start) as i64));
                return Some(End::Indirect(to.value, guess.into_iter().collect()));
            }
        }
        None
    }

    fn address(&self, work: &Piecework<'_>, insn: &Insn) -> Value {
        use southbridge_cpu_jit::Word;
        work.x(insn.rs1).plus(i64::from(insn.imm) as u64).value
    }

    /// What the engine does where the fast way is closed.
    fn slow(&mut self, work: &Piecework<'_>, i: usize, insn: &Insn) -> Call {
        self.by_engine(work, i, Some(insn))
    }

    fn call(&mut self, work: &Piecework<'_>, i: usize, insn: Option<&Insn>) {
        let call = self.by_engine(work, i, insn);
        work.tracer.push(Step::Call(call));
    }

    fn by_engine(&mut self, work: &Piecework<'_>, i: usize, insn: Option<&Insn>) -> Call {
        let op = work.block.operation(i, insn);
        let writes = match insn {
            // The only one that writes two.
            Some(insn) if insn.entry.name == "amocas.q" => {
                3u64.checked_shl(u32::from(insn.rd).wrapping_sub(1)).unwrap_or(0)
            }
            Some(insn) if insn.entry.format.writes_x() && insn.rd != 0 => 1 << (insn.rd - 1),
            _ => 0,
        };
        self.calls.push(Called {
            op,
            block: work.id,
            at: work.at,
        });
        Call {
            what: self.calls.len() as u32 - 1,
            writes,
            index: i as u8,
            at: work.at + work.block.at(i) as i64,
        }
    }
}
