//! One operation of the IR.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Type, Value as V, types};

use super::Emitter;
use crate::ir::{Binary, Op, Unary, Value};

impl Emitter<'_> {
    pub(super) fn op(&mut self, op: &Op) -> Option<V> {
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

    /// The comparison that says the opposite of `a`, if that is a comparison and `b` is 1.
    pub(super) fn negated(&self, a: Value, b: Value) -> Option<(IntCC, Value, Value)> {
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

    pub(super) fn flag(&mut self, condition: IntCC, a: V, b: V) -> V {
        let c = self.b.ins().icmp(condition, a, b);
        self.b.ins().uextend(self.word, c)
    }

    pub(super) fn binary(&mut self, op: Binary, a: V, b: V) -> V {
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

    pub(super) fn unary(&mut self, op: Unary, a: V) -> V {
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

    pub(super) fn sign(&mut self, a: V, ty: Type) -> V {
        if ty == self.word {
            return a;
        }
        let low = self.b.ins().ireduce(ty, a);
        self.b.ins().sextend(self.word, low)
    }
}
