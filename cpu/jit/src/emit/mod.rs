//! From a region to Cranelift's IR.
//!
//! Guest registers are variables: Cranelift makes SSA of them and keeps them in host registers across the region. What is written to one
//! also goes home at once, so that leaving the region, or having the engine execute an instruction, takes nothing else: stores are
//! cheap, and much less code has to be made than if each way out brought home what is stale there. Only registers that are mostly
//! overwritten unseen (flags: [`Layout::lazy`]) go home as late as they can. Whatever is rare stands in cold blocks behind the function.

mod homes;
mod leave;
mod memory;
mod operation;
mod shape;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    AbiParam, Block as Label, Function, InstBuilder, MemFlagsData, SigRef, Signature, Type, Value as V, types,
};
use cranelift_codegen::isa::{CallConv, TargetFrontendConfig};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Switch, Variable};

use crate::ir::{Block, End, Op, Region, Target, Value};
use crate::layout::{Chain, Layout, Window};

/// What compiled code has in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shared {
    /// Address of the table of regions by key.
    pub(crate) table: u64,
    /// Its entries, a power of two, each a key and an address.
    pub(crate) entries: u64,
    /// Address of the function that has the engine execute an instruction.
    pub(crate) thunk: u64,
    /// Whether each block looks at the limit (and loops at the flag that somebody waits), or only those that `shape::checks` picks.
    pub(crate) each_block: bool,
}

/// Bytes of an entry of the table of regions.
pub(crate) const ENTRY: i64 = 16;

impl Shared {
    /// The entry of the table that a key has.
    pub(crate) fn slot(&self, key: u64) -> u64 {
        ((key >> 1) ^ (key >> 13)) & (self.entries - 1)
    }
}

/// So many places that an indirect jump may go to are searched rather than looked at in turn.
const MANY: usize = 4;

/// What a region returns when the engine is to look for the code at the PC.
pub(crate) const LOOK: i64 = 1;

const PLAIN: MemFlagsData = MemFlagsData::new().with_notrap();

/// The signature of a region: engine's struct, the engine's world, the flag that says that somebody waits. It returns where to go on (an
/// even address), or an [`crate::Exit`]. No register survives it.
pub(crate) fn region_signature() -> Signature {
    signature(CallConv::Winch, 3, true)
}

/// The signature of the function that calls the engine: struct, world, what. All registers survive it.
pub(crate) fn thunk_signature() -> Signature {
    signature(CallConv::PreserveAll, 3, false)
}

/// A signature of 64-bit integers.
pub(crate) fn signature(convention: CallConv, parameters: usize, returns: bool) -> Signature {
    let mut s = Signature::new(convention);
    s.params = vec![AbiParam::new(types::I64); parameters];
    s.returns = vec![AbiParam::new(types::I64); usize::from(returns)];
    s
}

/// Makes the function of a region.
pub(crate) fn region(
    f: &mut Function,
    context: &mut FunctionBuilderContext,
    config: TargetFrontendConfig,
    layout: &Layout,
    region: &Region,
    shared: Shared,
    links: &[(u64, u64)],
) {
    f.signature = region_signature();
    let b = FunctionBuilder::new(f, context);
    Emitter::new(b, layout, region, shared, links).all(config);
}

/// The key of the code at a distance from a region's start, where that can be told now.
fn known_key(layout: &Layout, region: &Region, at: i64) -> Option<u64> {
    let key = region.key.wrapping_add(at as u64);
    match layout.chain {
        // On the same page the translation is the same.
        Chain::Paged { .. } => ((key ^ region.key) >> 12 == 0).then_some(key),
        // An address of 32 bits, and what stands beside it.
        Chain::Plain { .. } => Some(key & 0xffff_ffff | region.key & !0xffff_ffff),
    }
}

/// The keys of all places outside that a region goes to directly.
pub(crate) fn exits(layout: &Layout, region: &Region) -> Vec<u64> {
    let targets = region.blocks.iter().flat_map(|b| match &b.end {
        End::Jump(t) => [Some(*t), None],
        End::Branch(_, t, e) => [Some(*t), Some(*e)],
        End::Indirect(..) => [None, None],
    });
    let outside = targets.flatten().filter_map(|t| match t {
        Target::Outside(at) => known_key(layout, region, at),
        Target::Block(_) => None,
    });
    let mut keys: Vec<u64> = outside.collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// The values that live as long as the function.
#[derive(Clone, Copy)]
struct Fixed {
    guest: V,
    world: V,
    attention: V,
    /// Guest address of the region's start.
    pc: V,
}

struct Emitter<'a> {
    b: FunctionBuilder<'a>,
    layout: &'a Layout,
    region: &'a Region,
    shared: Shared,
    /// By key of what is outside: the address of the word that has the address of its code.
    links: &'a [(u64, u64)],
    word: Type,
    fixed: Fixed,
    thunk: SigRef,
    /// Guest registers that the region has to do with.
    variables: Vec<Option<Variable>>,
    retired: Variable,
    /// What tags of data pages carry. Only an instruction that the engine executes changes it.
    context: Variable,
    /// Where each block begins.
    labels: Vec<Label>,
    /// Looks for the region of an address.
    dispatch: Label,
    /// Returns to have the engine look.
    fail: Label,
    /// Returns what the engine left.
    out: Label,
    /// Registers whose home is stale, here.
    stale: u64,
    /// Those that may be when each block is entered.
    keep: Vec<u64>,
    /// Where the next access mostly goes.
    hint: Option<(Window, bool)>,
    /// Where it goes, if that is the same each time.
    exact: Option<u64>,
    /// What is called if the access in hand is none of RAM.
    asks: u32,
    /// The block in hand: its number, where calls find the PC if that is told, and its values so far.
    at: usize,
    calls_at: Option<i64>,
    values: Vec<Option<V>>,
}

impl<'a> Emitter<'a> {
    fn new(
        mut b: FunctionBuilder<'a>,
        layout: &'a Layout,
        region: &'a Region,
        shared: Shared,
        links: &'a [(u64, u64)],
    ) -> Self {
        let word = if layout.word == 64 { types::I64 } else { types::I32 };
        let entry = b.create_block();
        b.append_block_params_for_function_params(entry);
        b.switch_to_block(entry);
        let [guest, world, attention] = b.block_params(entry)[..] else {
            unreachable!("the signature has three parameters");
        };
        let thunk = b.import_signature(thunk_signature());
        let touched = shape::touched(region);
        let variables = (0..layout.registers.len())
            .map(|r| (touched >> r & 1 != 0).then(|| b.declare_var(word)))
            .collect();
        let (retired, context) = (b.declare_var(types::I64), b.declare_var(types::I64));
        let labels = region.blocks.iter().map(|_| b.create_block()).collect();
        let dispatch = b.create_block();
        let (fail, out) = (b.create_block(), b.create_block());
        let mut e = Emitter {
            b,
            layout,
            region,
            shared,
            links,
            word,
            fixed: Fixed {
                guest,
                world,
                attention,
                pc: guest,
            },
            thunk,
            variables,
            retired,
            context,
            labels,
            dispatch,
            fail,
            out,
            stale: 0,
            keep: Vec::new(),
            hint: None,
            exact: None,
            asks: 0,
            at: 0,
            calls_at: None,
            values: Vec::new(),
        };
        let origin = region.blocks[0].ops.iter().find_map(|op| match op {
            Op::Origin(at) => Some(*at),
            _ => None,
        });
        e.fixed.pc = match origin {
            Some(at) => e.constant(at),
            None => e.home(layout.pc, types::I64),
        };
        e.reload_context();
        if let Some(base) = layout.base {
            let pc = e.fixed.pc;
            e.put_home(base, pc);
        }
        e
    }

    fn all(mut self, config: TargetFrontendConfig) {
        let v = self.home(self.layout.retired, types::I64);
        self.b.def_var(self.retired, v);
        for r in 0..self.variables.len() {
            self.reload(r as u8);
        }
        self.enter();
        self.keep = shape::keep(self.region, self.layout.lazy, self.layout.is_late());
        let stale = shape::stale(self.region, &self.keep);
        let loops = shape::loops(self.region);
        let needs: Vec<u32> = match self.shared.each_block {
            true => self.region.blocks.iter().map(|b| b.count).collect(),
            false => shape::checks(self.region, &loops),
        };
        for (i, block) in self.region.blocks.iter().enumerate() {
            self.at = i;
            self.stale = stale[i];
            self.block(block, needs[i], loops[i]);
        }
        self.dispatch();
        self.b.seal_all_blocks();
        self.b.finalize(config);
    }

    /// To the block that the PC says.
    fn enter(&mut self) {
        let mut entries = Switch::new();
        for i in shape::entries(self.region) {
            entries.set_entry(self.address(self.region.blocks[i].at).into(), self.labels[i]);
        }
        let first = self.labels[0];
        if entries.entries().is_empty() {
            self.b.ins().jump(first, &[]);
        } else {
            let pc = self.home(self.layout.pc, types::I64);
            entries.emit(&mut self.b, pc, first);
        }
    }

    /// The guest address at which the region begins, if that is always the same.
    fn origin(&self) -> Option<u64> {
        self.region.blocks[0].ops.iter().find_map(|op| match op {
            Op::Origin(at) => Some(*at),
            _ => None,
        })
    }

    /// The guest address at a distance from the start of a region that begins at a known place.
    fn address(&self, at: i64) -> u64 {
        let address = self.origin().unwrap_or(0).wrapping_add(at as u64);
        if self.word == types::I32 {
            address & 0xffff_ffff
        } else {
            address
        }
    }

    fn constant(&mut self, v: u64) -> V {
        self.b.ins().iconst(types::I64, v as i64)
    }

    fn word(&mut self, v: u64) -> V {
        let cut = if self.word == types::I32 {
            v as i32 as i64
        } else {
            v as i64
        };
        self.b.ins().iconst(self.word, cut)
    }

    fn pc_at(&mut self, at: i64) -> V {
        let pc = self.b.ins().iadd_imm_s(self.fixed.pc, at);
        match self.word {
            types::I32 => self.b.ins().band_imm_u(pc, 0xffff_ffff),
            _ => pc,
        }
    }

    /// `need` instructions must be left, if it is not 0.
    fn block(&mut self, block: &'a Block, need: u32, loops: bool) {
        let label = self.labels[self.at];
        self.b.switch_to_block(label);
        if need > 0 || loops {
            let leave = self.leave_before(block);
            let retired = self.b.use_var(self.retired);
            let then = self.b.ins().iadd_imm_s(retired, i64::from(need));
            let limit = self.home(self.layout.limit, types::I64);
            let over = self.b.ins().icmp(IntCC::UnsignedGreaterThan, then, limit);
            self.unless(over, leave);
            if loops && self.shared.each_block {
                let waits = self.b.ins().load(types::I8, PLAIN, self.fixed.attention, 0);
                self.unless(waits, leave);
            }
        }
        self.values.clear();
        self.calls_at = None;
        self.ops(&block.ops);
        // Calls of this block count from its start.
        let retired = self.b.use_var(self.retired);
        let then = self.b.ins().iadd_imm_s(retired, i64::from(block.count));
        self.b.def_var(self.retired, then);
        self.end(&block.end);
    }

    fn ops(&mut self, ops: &[Op]) {
        let mut rest = ops;
        while let Some((op, behind)) = rest.split_first() {
            rest = behind;
            if let Op::If(condition, n) = op {
                let (inner, behind) = behind.split_at((*n as usize).min(behind.len()));
                rest = behind;
                self.when(*condition, inner);
            } else {
                let v = self.op(op);
                self.values.push(v);
            }
        }
    }

    fn when(&mut self, condition: Value, inner: &[Op]) {
        self.values.push(None);
        let (then, on) = (self.b.create_block(), self.b.create_block());
        let condition = self.value(condition);
        self.b.ins().brif(condition, then, &[], on, &[]);
        self.b.switch_to_block(then);
        let before = self.stale;
        self.ops(inner);
        self.stale |= before;
        self.b.ins().jump(on, &[]);
        self.b.switch_to_block(on);
    }

    /// Goes on here unless the condition holds.
    fn unless(&mut self, condition: V, other: Label) {
        let on = self.b.create_block();
        self.b.ins().brif(condition, other, &[], on, &[]);
        self.b.switch_to_block(on);
    }

    /// A value, if it is the same each time.
    fn known(&self, v: Value) -> Option<u64> {
        match self.region.blocks[self.at].ops.get(v.0 as usize) {
            Some(Op::Constant(v)) => Some(*v),
            _ => None,
        }
    }

    fn value(&mut self, v: Value) -> V {
        match self.values.get(v.0 as usize).copied().flatten() {
            Some(v) => v,
            // A value that no operation made is a mistake of the lifter; zero is as good as any answer.
            None => self.word(0),
        }
    }
}
