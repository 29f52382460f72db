//! From a region to Cranelift's IR.
//!
//! Guest registers are variables: Cranelift makes SSA of them and keeps them in host registers across the region. What is written to one
//! also goes home at once, so that leaving the region, or having the engine execute an instruction, takes nothing else: stores are
//! cheap, and much less code has to be made than if each way out brought home what is stale there. Only registers that are mostly
//! overwritten unseen (flags: [`Layout::lazy`]) go home as late as they can. Whatever is rare stands in cold blocks behind the function.

mod memory;
mod shape;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    AbiParam, Block as Label, Function, InstBuilder, MemFlagsData, SigRef, Signature, Type, Value as V, types,
};
use cranelift_codegen::isa::{CallConv, TargetFrontendConfig};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Switch, Variable};

use crate::ir::{Binary, Block, Call, End, Op, Region, Target, Unary, Value};
use crate::layout::{Chain, Layout, NOTE, Slot, Window};

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

    /// Reads a field of the engine's struct.
    fn home(&mut self, slot: Slot, ty: Type) -> V {
        let have = match slot.bytes() {
            1 => types::I8,
            4 => types::I32,
            _ => types::I64,
        };
        let v = self.b.ins().load(have, PLAIN, self.fixed.guest, slot.offset());
        self.resize(v, have, ty)
    }

    fn resize(&mut self, v: V, from: Type, to: Type) -> V {
        match from.bits().cmp(&to.bits()) {
            std::cmp::Ordering::Less => self.b.ins().uextend(to, v),
            std::cmp::Ordering::Equal => v,
            std::cmp::Ordering::Greater => self.b.ins().ireduce(to, v),
        }
    }

    fn put_home(&mut self, slot: Slot, v: V) {
        let to = match slot.bytes() {
            1 => types::I8,
            4 => types::I32,
            _ => types::I64,
        };
        let from = self.b.func.dfg.value_type(v);
        let v = self.resize(v, from, to);
        self.b.ins().store(PLAIN, v, self.fixed.guest, slot.offset());
    }

    /// Fetches a register from home.
    fn reload(&mut self, r: u8) {
        if let Some(variable) = self.variables[usize::from(r)] {
            let v = self.home(self.layout.registers[usize::from(r)], self.word);
            self.b.def_var(variable, v);
        }
    }

    /// Brings home what is stale, the PC and the count of instructions.
    fn flush_all(&mut self, pc: V) {
        self.flush();
        self.put_home(self.layout.pc, pc);
        let retired = self.b.use_var(self.retired);
        self.put_home(self.layout.retired, retired);
    }

    fn pc_at(&mut self, at: i64) -> V {
        let pc = self.b.ins().iadd_imm_s(self.fixed.pc, at);
        match self.word {
            types::I32 => self.b.ins().band_imm_u(pc, 0xffff_ffff),
            _ => pc,
        }
    }

    /// Ends the run before the block in hand.
    fn leave_before(&mut self, block: &Block) -> Label {
        let here = self.b.current_block();
        let label = self.b.create_block();
        self.b.set_cold_block(label);
        self.b.switch_to_block(label);
        let pc = self.pc_at(block.at);
        self.flush_all(pc);
        let look = self.b.ins().iconst(types::I64, LOOK);
        self.b.ins().return_(&[look]);
        if let Some(here) = here {
            self.b.switch_to_block(here);
        }
        label
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

    pub(super) fn get(&mut self, r: u8) -> V {
        match self.variables.get(usize::from(r)).copied().flatten() {
            Some(variable) => self.b.use_var(variable),
            None => self.word(0),
        }
    }

    pub(super) fn set(&mut self, r: u8, v: V) {
        if let Some(variable) = self.variables.get(usize::from(r)).copied().flatten() {
            self.b.def_var(variable, v);
            match self.keep.get(self.at).copied().unwrap_or(0) >> r & 1 {
                0 => self.put_home(self.layout.registers[usize::from(r)], v),
                _ => self.stale |= 1 << r,
            }
        }
    }

    /// Brings home what is stale there.
    fn flush(&mut self) {
        self.flush_some(self.stale);
    }

    fn flush_some(&mut self, stale: u64) {
        for r in (0..self.variables.len()).filter(|r| stale >> r & 1 != 0) {
            if let Some(variable) = self.variables[r] {
                let v = self.b.use_var(variable);
                self.put_home(self.layout.registers[r], v);
            }
        }
    }

    fn op(&mut self, op: &Op) -> Option<V> {
        Some(match *op {
            Op::Constant(v) => self.word(v),
            Op::Address(at) => {
                let v = self.pc_at(at);
                self.resize(v, types::I64, self.word)
            }
            Op::Get(r) => self.get(r),
            Op::Unary(op, a) => {
                let a = self.value(a);
                self.unary(op, a)
            }
            Op::Binary(Binary::Xor, a, b) if let Some((op, x, y)) = self.negated(a, b) => {
                let (x, y) = (self.value(x), self.value(y));
                self.flag(op, x, y)
            }
            Op::Binary(op, a, b) => {
                let (a, b) = (self.value(a), self.value(b));
                self.binary(op, a, b)
            }
            Op::Select(c, a, b) => {
                let (c, a, b) = (self.value(c), self.value(a), self.value(b));
                self.b.ins().select(c, a, b)
            }
            Op::Set(r, v) => {
                let v = self.value(v);
                self.set(r, v);
                return None;
            }
            Op::Load {
                address,
                width,
                register,
                slow,
            } => {
                self.exact = self.known(address);
                let address = self.value(address);
                self.load(address, width, register, slow);
                return None;
            }
            Op::Store {
                address,
                width,
                value,
                slow,
            } => {
                let (address, value) = (self.value(address), self.value(value));
                self.store(address, width, value, slow);
                return None;
            }
            Op::LoadMany {
                address,
                registers,
                downwards,
                slow,
            } => {
                let address = self.value(address);
                let all = crate::ir::registers(registers, downwards);
                self.load_many(address, &all, slow);
                return None;
            }
            Op::StoreMany {
                address,
                registers,
                downwards,
                slow,
            } => {
                let address = self.value(address);
                let all = crate::ir::registers(registers, downwards);
                self.store_many(address, &all, slow);
                return None;
            }
            Op::CallsAt(at) => {
                self.calls_at = Some(at);
                return None;
            }
            // They are for others to look at.
            Op::If(..) | Op::Origin(_) | Op::Entry => return None,
            Op::Hint { window, plain } => {
                self.hint = Some((window, plain));
                return None;
            }
            Op::Call(call) => {
                self.call(call, false);
                self.stale = 0;
                self.reload_context();
                for r in (0..64).filter(|r| call.writes >> r & 1 != 0) {
                    if usize::from(r) < self.variables.len() {
                        self.reload(r);
                    }
                }
                return None;
            }
            Op::Fence => {
                self.b.ins().fence();
                return None;
            }
        })
    }

    /// The engine executes an instruction; goes on here if the region is to go on. `is_cold` says that this is off the usual
    /// way.
    fn call(&mut self, call: Call, is_cold: bool) {
        self.flush();
        if self.layout.note.is_some() {
            return self.leave_at(call);
        }
        // That at the start of the block.
        let retired = self.b.use_var(self.retired);
        self.put_home(self.layout.retired, retired);
        if let Some(at) = self.calls_at {
            let pc = self.pc_at(at);
            self.put_home(self.layout.pc, pc);
        }
        let thunk = self.constant(self.shared.thunk);
        let what = self.constant(call.what.into());
        let arguments = [self.fixed.guest, self.fixed.world, what];
        self.b.ins().call_indirect(self.thunk, thunk, &arguments);
        let exit = self.home(self.layout.exit, types::I64);
        let (out, on) = (self.out, self.b.create_block());
        if is_cold {
            self.b.set_cold_block(on);
        }
        self.b.ins().brif(exit, out, &[], on, &[]);
        self.b.switch_to_block(on);
    }

    /// Ends the run before an instruction that the engine is to execute.
    fn leave_at(&mut self, call: Call) {
        let pc = self.pc_at(call.at);
        self.put_home(self.layout.pc, pc);
        let retired = self.b.use_var(self.retired);
        let retired = self.b.ins().iadd_imm_s(retired, i64::from(call.index));
        self.put_home(self.layout.retired, retired);
        let look = self.b.ins().iconst(types::I64, LOOK);
        self.b.ins().return_(&[look]);
        // Nothing gets here.
        let on = self.b.create_block();
        self.b.switch_to_block(on);
    }

    /// Tells the engine of a store that is about to be done.
    fn note(&mut self, address: V, bytes: u8) {
        if let Some(slot) = self.layout.note {
            self.put_home(slot, address);
            let thunk = self.constant(self.shared.thunk);
            let what = self.constant(NOTE | u64::from(bytes));
            let arguments = [self.fixed.guest, self.fixed.world, what];
            self.b.ins().call_indirect(self.thunk, thunk, &arguments);
        }
    }

    /// The comparison that says the opposite of `a`, if that is a comparison and `b` is 1.
    fn negated(&self, a: Value, b: Value) -> Option<(IntCC, Value, Value)> {
        let ops = &self.region.blocks[self.at].ops;
        if ops.get(b.0 as usize) != Some(&Op::Constant(1)) {
            return None;
        }
        match *ops.get(a.0 as usize)? {
            Op::Binary(Binary::Equal, x, y) => Some((IntCC::NotEqual, x, y)),
            Op::Binary(Binary::NotEqual, x, y) => Some((IntCC::Equal, x, y)),
            Op::Binary(Binary::LessUnsigned, x, y) => Some((IntCC::UnsignedGreaterThanOrEqual, x, y)),
            Op::Binary(Binary::LessSigned, x, y) => Some((IntCC::SignedGreaterThanOrEqual, x, y)),
            _ => None,
        }
    }

    fn flag(&mut self, condition: IntCC, a: V, b: V) -> V {
        let c = self.b.ins().icmp(condition, a, b);
        self.b.ins().uextend(self.word, c)
    }

    fn binary(&mut self, op: Binary, a: V, b: V) -> V {
        match op {
            Binary::Add => self.b.ins().iadd(a, b),
            Binary::Sub => self.b.ins().isub(a, b),
            Binary::Mul => self.b.ins().imul(a, b),
            Binary::MulHighUnsigned => self.b.ins().umulhi(a, b),
            Binary::MulHighSigned => self.b.ins().smulhi(a, b),
            Binary::DivUnsigned => self.b.ins().udiv(a, b),
            Binary::RemUnsigned => self.b.ins().urem(a, b),
            Binary::DivSigned => self.b.ins().sdiv(a, b),
            Binary::RemSigned => self.b.ins().srem(a, b),
            Binary::And => self.b.ins().band(a, b),
            Binary::Or => self.b.ins().bor(a, b),
            Binary::Xor => self.b.ins().bxor(a, b),
            Binary::ShiftLeft => self.b.ins().ishl(a, b),
            Binary::ShiftRight => self.b.ins().ushr(a, b),
            Binary::ShiftRightSigned => self.b.ins().sshr(a, b),
            Binary::RotateLeft => self.b.ins().rotl(a, b),
            Binary::RotateRight => self.b.ins().rotr(a, b),
            Binary::Equal => self.flag(IntCC::Equal, a, b),
            Binary::NotEqual => self.flag(IntCC::NotEqual, a, b),
            Binary::LessUnsigned => self.flag(IntCC::UnsignedLessThan, a, b),
            Binary::LessSigned => self.flag(IntCC::SignedLessThan, a, b),
            Binary::CarryOfAdd => {
                let sum = self.b.ins().iadd(a, b);
                self.flag(IntCC::UnsignedLessThan, sum, a)
            }
        }
    }

    fn unary(&mut self, op: Unary, a: V) -> V {
        match op {
            Unary::Not => self.b.ins().bnot(a),
            Unary::LeadingZeros => self.b.ins().clz(a),
            Unary::TrailingZeros => self.b.ins().ctz(a),
            Unary::Ones => self.b.ins().popcnt(a),
            Unary::SwapBytes => self.b.ins().bswap(a),
            Unary::ReverseBits => self.b.ins().bitrev(a),
            Unary::Signed8 => self.sign(a, types::I8),
            Unary::Signed16 => self.sign(a, types::I16),
            Unary::Signed32 => self.sign(a, types::I32),
        }
    }

    fn sign(&mut self, a: V, ty: Type) -> V {
        if ty == self.word {
            return a;
        }
        let low = self.b.ins().ireduce(ty, a);
        self.b.ins().sextend(self.word, low)
    }

    fn end(&mut self, end: &End) {
        match end {
            End::Jump(target) => {
                self.flush_before(&[*target]);
                let (label, at) = self.target(*target);
                self.b.ins().jump(label, &[]);
                self.outside(label, at);
            }
            End::Branch(condition, then, other) => {
                let condition = self.value(*condition);
                let targets = [*then, *other];
                self.flush_before(&targets);
                let labels = targets.map(|t| self.target(t));
                let mut ways = labels.map(|(label, _)| label);
                for (way, target) in ways.iter_mut().zip(targets) {
                    if matches!(target, Target::Block(_)) && self.stale & !self.kept(target) != 0 {
                        *way = self.b.create_block();
                    }
                }
                self.b.ins().brif(condition, ways[0], &[], ways[1], &[]);
                for ((target, (label, at)), way) in targets.iter().zip(labels).zip(ways) {
                    self.outside(label, at);
                    if way != label {
                        self.b.switch_to_block(way);
                        self.flush_some(self.stale & !self.kept(*target));
                        self.b.ins().jump(label, &[]);
                    }
                }
            }
            End::Indirect(to, guesses) => {
                let to = self.value(*to);
                let to = self.resize(to, self.word, types::I64);
                let targets: Vec<Target> = guesses.iter().map(|g| Target::Block(*g)).collect();
                let kept = targets.iter().fold(self.layout.lazy, |kept, t| kept & self.kept(*t));
                self.flush_some(self.stale & !kept);
                self.stale &= kept;
                if guesses.len() >= MANY && self.origin().is_some() {
                    return self.one_of(to, guesses);
                }
                for guess in guesses {
                    let Some(block) = self.region.blocks.get(*guess as usize) else {
                        continue;
                    };
                    let there = self.pc_at(block.at);
                    let is = self.b.ins().icmp(IntCC::Equal, to, there);
                    let label = self.labels[*guess as usize];
                    self.unless(is, label);
                }
                self.go_to(to);
            }
        }
    }

    /// Registers that may be stale where control goes.
    fn kept(&self, target: Target) -> u64 {
        match target {
            Target::Block(n) => self.keep.get(n as usize).copied().unwrap_or(0),
            // Leaving brings all of them home by itself.
            Target::Outside(_) => 0,
        }
    }

    /// Brings home what must not be stale wherever control goes.
    fn flush_before(&mut self, targets: &[Target]) {
        let kept = targets.iter().fold(0, |kept, t| kept | self.kept(*t));
        self.flush_some(self.stale & !kept);
        self.stale &= kept;
    }

    /// Goes to one of many blocks, or leaves.
    fn one_of(&mut self, to: V, guesses: &[u32]) {
        let mut ways = Switch::new();
        for guess in guesses {
            let Some(block) = self.region.blocks.get(*guess as usize) else {
                continue;
            };
            let address = self.address(block.at).into();
            if !ways.entries().contains_key(&address) {
                ways.set_entry(address, self.labels[*guess as usize]);
            }
        }
        let other = self.b.create_block();
        ways.emit(&mut self.b, to, other);
        self.b.switch_to_block(other);
        self.go_to(to);
    }

    /// Where to jump, and, if that leaves the region, the distance of the guest address.
    fn target(&mut self, target: Target) -> (Label, Option<i64>) {
        match target {
            Target::Block(n) => match self.labels.get(n as usize) {
                Some(label) => (*label, None),
                None => (self.b.create_block(), Some(0)),
            },
            Target::Outside(at) => (self.b.create_block(), Some(at)),
        }
    }

    fn outside(&mut self, label: Label, at: Option<i64>) {
        if let Some(at) = at {
            self.b.switch_to_block(label);
            let pc = self.pc_at(at);
            match known_key(self.layout, self.region, at) {
                Some(key) => self.go_to_known(pc, key),
                None => self.go_to(pc),
            }
        }
    }

    /// Leaves the region for a guest address whose code has that key.
    fn go_to_known(&mut self, pc: V, key: u64) {
        self.flush_all(pc);
        if let Some((_, link)) = self.links.iter().find(|(k, _)| *k == key) {
            let link = self.constant(*link);
            let code = self.b.ins().load(types::I64, PLAIN, link, 0);
            self.b.ins().return_(&[code]);
            return;
        }
        let entry = self.constant(self.shared.table + self.shared.slot(key) * ENTRY as u64);
        self.follow(entry, Key::Known(key));
    }

    /// Ends with the code of a table's entry, if it has that key.
    fn follow(&mut self, entry: V, key: Key) {
        let fail = self.fail;
        let have = self.b.ins().load(types::I64, PLAIN, entry, 0);
        let other = match key {
            Key::Value(key) => self.b.ins().icmp(IntCC::NotEqual, have, key),
            Key::Known(key) => {
                let key = self.constant(key);
                self.b.ins().icmp(IntCC::NotEqual, have, key)
            }
        };
        self.unless(other, fail);
        let code = self.b.ins().load(types::I64, PLAIN, entry, 8);
        self.b.ins().return_(&[code]);
    }

    /// Leaves the region for a guest address.
    fn go_to(&mut self, pc: V) {
        self.flush_all(pc);
        let dispatch = self.dispatch;
        self.b.ins().jump(dispatch, &[pc.into()]);
    }

    /// The end of the function: finds the region of a guest address.
    fn dispatch(&mut self) {
        let fail = self.fail;
        self.b.switch_to_block(self.dispatch);
        let pc = self.b.append_block_param(self.dispatch, types::I64);
        let key = match self.layout.chain {
            Chain::Paged { fetch, context } => {
                let context = self.home(context, types::I64);
                let (page, entry) = self.page(pc, fetch);
                let want = self.b.ins().bor(page, context);
                let tag = self.b.ins().load(types::I64, PLAIN, entry, fetch.offset as i32);
                let other = self.b.ins().icmp(IntCC::NotEqual, tag, want);
                self.unless(other, fail);
                let rest = self.b.ins().load(types::I64, PLAIN, entry, fetch.offset as i32 + 8);
                let rest = self.b.ins().band_imm_s(rest, !0xfff);
                self.b.ins().iadd(pc, rest)
            }
            Chain::Plain { beside } => {
                let beside = self.home(beside, types::I64);
                let upper = self.b.ins().ishl_imm_u(beside, 32);
                self.b.ins().bor(pc, upper)
            }
        };
        let low = self.b.ins().ushr_imm_u(key, 1);
        let high = self.b.ins().ushr_imm_u(key, 13);
        let hash = self.b.ins().bxor(low, high);
        let slot = self.b.ins().band_imm_u(hash, self.shared.entries as i64 - 1);
        let slot = self.b.ins().imul_imm_u(slot, ENTRY);
        let table = self.constant(self.shared.table);
        let entry = self.b.ins().iadd(table, slot);
        self.follow(entry, Key::Value(key));
        self.b.set_cold_block(fail);
        self.b.switch_to_block(fail);
        let look = self.b.ins().iconst(types::I64, LOOK);
        self.b.ins().return_(&[look]);
        self.b.set_cold_block(self.out);
        self.b.switch_to_block(self.out);
        let exit = self.home(self.layout.exit, types::I64);
        self.b.ins().return_(&[exit]);
    }
}

/// The key of a region, worked out now or by the code.
enum Key {
    Known(u64),
    Value(V),
}
