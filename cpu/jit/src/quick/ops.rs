//! Operations on values.

use super::asm::{Alu, Cc, Host, RAX, RCX, RDX, Rm, Shift};
use super::{Place, Quick, Unknown, condition, home};
use crate::ir::{Binary, Op, Unary, Value};
use crate::word::Word;

/// What an operation gives for constants.
fn fold(op: Binary, a: u64, b: u64) -> u64 {
    match op {
        Binary::Add => a.wrapping_add(b),
        Binary::Sub => a.wrapping_sub(b),
        Binary::Mul => a.wrapping_mul(b),
        Binary::MulHighUnsigned => a.mul_high_unsigned(b),
        Binary::MulHighSigned => a.mul_high_signed(b),
        Binary::DivUnsigned => a.div_unsigned(b),
        Binary::RemUnsigned => a.rem_unsigned(b),
        Binary::DivSigned => a.div_signed(b),
        Binary::RemSigned => a.rem_signed(b),
        Binary::And => a & b,
        Binary::Or => a | b,
        Binary::Xor => a ^ b,
        Binary::ShiftLeft => Word::shl(a, b),
        Binary::ShiftRight => Word::shr(a, b),
        Binary::ShiftRightSigned => a.sar(b),
        Binary::RotateLeft => a.rotl(b),
        Binary::RotateRight => a.rotr(b),
        Binary::Equal => a.is(b),
        Binary::NotEqual => a.is_not(b),
        Binary::LessUnsigned => a.below(b),
        Binary::LessSigned => a.less(b),
        Binary::CarryOfAdd => a.carries(b),
    }
}

fn commutes(op: Binary) -> bool {
    use Binary::*;
    matches!(op, Add | Mul | And | Or | Xor | Equal | NotEqual)
}

/// The second operand of an instruction that takes it from anywhere.
enum Second {
    Host(Host),
    Small(i32),
}

impl Quick<'_> {
    pub(super) fn op(&mut self, i: usize, op: &Op) -> Result<(), Unknown> {
        match *op {
            Op::Constant(c) => self.values[i] = Place::Constant(c),
            Op::Address(at) => {
                let h = self.fresh()?;
                self.asm.load(h, home(self.layout.pc));
                self.asm
                    .alu_constant(Alu::Add, Rm::Reg(h), i32::try_from(at).map_err(|_| Unknown)?);
                self.made(i, h);
            }
            Op::Get(r) => self.get(i, r)?,
            Op::Set(r, v) => self.set(r, v)?,
            Op::Unary(op, a) => self.unary(i, op, a)?,
            Op::Binary(..) if self.is_fused(i) => {}
            Op::Binary(op, a, b) => self.binary(i, op, a, b)?,
            Op::Select(c, a, b) => self.select(i, c, a, b)?,
            Op::Load {
                address,
                width,
                register,
                slow,
            } => self.load(address, width, register, slow)?,
            Op::Store {
                address,
                width,
                value,
                slow,
            } => self.store(address, width, value, slow)?,
            Op::Call(call) => self.call(call),
            Op::Fence => self.asm.fence(),
            // Guests without pages have those.
            Op::LoadMany { .. }
            | Op::StoreMany { .. }
            | Op::If(..)
            | Op::CallsAt(_)
            | Op::Origin(_)
            | Op::Entry
            | Op::Hint { .. } => return Err(Unknown),
        }
        Ok(())
    }

    /// A register with a copy of `a` that operation `i` may change: its own, if nobody else wants it.
    fn copy_of(&mut self, i: usize, a: Value, other: Option<Value>) -> Result<Host, Unknown> {
        if let Place::Host(h) = self.place(a)? {
            let holder = self.hosts[usize::from(h)];
            let another = other.map(|o| self.place(o)).transpose()?;
            if self.last.get(a.0 as usize) == Some(&Some(i))
                && holder.values == 1
                && holder.guest.is_none()
                && another != Some(Place::Host(h))
            {
                return Ok(h);
            }
        }
        let h = self.fresh()?;
        match self.place(a)? {
            Place::Host(a) => self.asm.copy(h, a),
            Place::Constant(c) => self.asm.constant(h, c),
            Place::None => return Err(Unknown),
        }
        Ok(h)
    }

    fn second(&mut self, b: Value) -> Result<Second, Unknown> {
        Ok(match self.place(b)? {
            Place::Constant(c) => match i32::try_from(c as i64) {
                Ok(c) => Second::Small(c),
                Err(_) => Second::Host(self.host(b, RCX)?),
            },
            _ => Second::Host(self.host(b, RCX)?),
        })
    }

    fn alu(&mut self, op: Alu, r: Host, b: Second) {
        match b {
            Second::Host(b) => self.asm.alu(op, r, Rm::Reg(b)),
            Second::Small(c) => self.asm.alu_constant(op, Rm::Reg(r), c),
        }
    }

    /// Sets the flags.
    pub(super) fn compare(&mut self, a: Value, b: Value) -> Result<(), Unknown> {
        let h = self.host(a, RAX)?;
        match self.second(b)? {
            Second::Small(0) => self.asm.test(h),
            b => self.alu(Alu::Cmp, h, b),
        }
        Ok(())
    }

    fn binary(&mut self, i: usize, op: Binary, a: Value, b: Value) -> Result<(), Unknown> {
        let (a, b) = match (self.place(a)?, self.place(b)?) {
            (Place::Constant(a), Place::Constant(b)) => {
                self.values[i] = Place::Constant(fold(op, a, b));
                return Ok(());
            }
            (Place::Constant(_), _) if commutes(op) => (b, a),
            _ => (a, b),
        };
        if let Some(cc) = condition(op) {
            self.compare(a, b)?;
            let h = self.fresh()?;
            self.asm.set(cc, h);
            self.made(i, h);
            return Ok(());
        }
        let h = match op {
            Binary::Add => self.add(i, a, b)?,
            Binary::And => self.and(i, a, b)?,
            Binary::Sub => self.plain(i, Alu::Sub, a, b)?,
            Binary::Or => self.plain(i, Alu::Or, a, b)?,
            Binary::Xor => self.plain(i, Alu::Xor, a, b)?,
            Binary::Mul => {
                let h = self.copy_of(i, a, Some(b))?;
                let b = self.host(b, RCX)?;
                self.asm.multiply(h, Rm::Reg(b));
                h
            }
            Binary::ShiftLeft => self.shift(i, Shift::Shl, a, b)?,
            Binary::ShiftRight => self.shift(i, Shift::Shr, a, b)?,
            Binary::ShiftRightSigned => self.shift(i, Shift::Sar, a, b)?,
            Binary::RotateLeft => self.rotate(i, Shift::Rol, a, b)?,
            Binary::RotateRight => self.rotate(i, Shift::Ror, a, b)?,
            Binary::MulHighUnsigned => self.by_pair(4, RDX, a, b)?,
            Binary::MulHighSigned => self.by_pair(5, RDX, a, b)?,
            Binary::DivUnsigned => self.by_pair(6, RAX, a, b)?,
            Binary::RemUnsigned => self.by_pair(6, RDX, a, b)?,
            Binary::DivSigned => self.by_pair(7, RAX, a, b)?,
            Binary::RemSigned => self.by_pair(7, RDX, a, b)?,
            Binary::CarryOfAdd => {
                let from = self.host(a, RAX)?;
                self.asm.copy(RAX, from);
                let b = self.second(b)?;
                self.alu(Alu::Add, RAX, b);
                let h = self.fresh()?;
                self.asm.set(Cc::Below, h);
                h
            }
            // They are conditions.
            Binary::Equal | Binary::NotEqual | Binary::LessUnsigned | Binary::LessSigned => return Err(Unknown),
        };
        self.put(i, h);
        Ok(())
    }

    /// As [`Quick::made`], in a register that may have been an operand's that is gone with this operation.
    fn put(&mut self, i: usize, h: Host) {
        self.made(i, h);
    }

    fn plain(&mut self, i: usize, op: Alu, a: Value, b: Value) -> Result<Host, Unknown> {
        let h = self.copy_of(i, a, Some(b))?;
        let b = self.second(b)?;
        self.alu(op, h, b);
        Ok(h)
    }

    fn add(&mut self, i: usize, a: Value, b: Value) -> Result<Host, Unknown> {
        let from = self.host(a, RAX)?;
        match self.second(b)? {
            Second::Small(0) => self.copy_of(i, a, None),
            Second::Small(c) => {
                let h = self.fresh()?;
                self.asm.lea(h, Rm::At(from, c));
                Ok(h)
            }
            Second::Host(b) => {
                let h = self.fresh()?;
                self.asm.lea(h, Rm::Sum(from, b, 0));
                Ok(h)
            }
        }
    }

    fn and(&mut self, i: usize, a: Value, b: Value) -> Result<Host, Unknown> {
        let bytes = match self.place(b)? {
            Place::Constant(0xff) => 1,
            Place::Constant(0xffff) => 2,
            Place::Constant(0xffff_ffff) => 4,
            _ => return self.plain(i, Alu::And, a, b),
        };
        let from = self.host(a, RAX)?;
        let h = self.fresh()?;
        self.asm.load_part(h, Rm::Reg(from), bytes, false);
        Ok(h)
    }

    fn shift(&mut self, i: usize, op: Shift, a: Value, n: Value) -> Result<Host, Unknown> {
        if let Place::Constant(n) = self.place(n)? {
            let h = self.copy_of(i, a, None)?;
            self.asm.shift(op, h, n as u8);
            return Ok(h);
        }
        let (a, n) = (self.host(a, RAX)?, self.host(n, RCX)?);
        let h = self.fresh()?;
        self.asm.shift_by(op, h, a, n);
        Ok(h)
    }

    fn rotate(&mut self, i: usize, op: Shift, a: Value, n: Value) -> Result<Host, Unknown> {
        let h = self.copy_of(i, a, Some(n))?;
        match self.place(n)? {
            Place::Constant(n) => self.asm.shift(op, h, n as u8),
            _ => {
                let n = self.host(n, RCX)?;
                self.asm.copy(RCX, n);
                self.asm.rotate_by_cl(op, h);
            }
        }
        Ok(h)
    }

    /// Multiplication to and division of a pair of registers; the result is in one of the two.
    fn by_pair(&mut self, n: u8, result: Host, a: Value, b: Value) -> Result<Host, Unknown> {
        let from = self.host(a, RAX)?;
        self.asm.copy(RAX, from);
        let b = self.host(b, RCX)?;
        match n {
            6 => self.asm.alu(Alu::Xor, RDX, Rm::Reg(RDX)),
            7 => self.asm.cqo(),
            _ => {}
        }
        self.asm.group3(n, b);
        let h = self.fresh()?;
        self.asm.copy(h, result);
        Ok(h)
    }

    fn select(&mut self, i: usize, c: Value, a: Value, b: Value) -> Result<(), Unknown> {
        let c = match self.place(c)? {
            Place::Constant(c) => {
                // Only one of them counts.
                let v = if c != 0 { a } else { b };
                match self.place(v)? {
                    Place::Host(h) => self.made(i, h),
                    place => self.values[i] = place,
                }
                return Ok(());
            }
            _ => self.host(c, RAX)?,
        };
        let h = self.fresh()?;
        let other = self.host(b, h)?;
        self.asm.copy(h, other);
        let a = self.host(a, RCX)?;
        self.asm.test(c);
        self.asm.copy_if(Cc::NotEqual, h, a);
        self.made(i, h);
        Ok(())
    }

    fn unary(&mut self, i: usize, op: Unary, a: Value) -> Result<(), Unknown> {
        if let Place::Constant(c) = self.place(a)? {
            let v = match op {
                Unary::Not => !c,
                Unary::LeadingZeros => c.clz(),
                Unary::TrailingZeros => c.ctz(),
                Unary::Ones => c.ones(),
                Unary::SwapBytes => c.rev_bytes(),
                Unary::ReverseBits => c.rev_bits(),
                Unary::Signed8 => c.signed8(),
                Unary::Signed16 => c.signed16(),
                Unary::Signed32 => c.signed32(),
            };
            self.values[i] = Place::Constant(v);
            return Ok(());
        }
        let h = match op {
            Unary::Not | Unary::SwapBytes => {
                let h = self.copy_of(i, a, None)?;
                match op {
                    Unary::Not => self.asm.not(h),
                    _ => self.asm.swap_bytes(h),
                }
                h
            }
            Unary::ReverseBits => return Err(Unknown),
            _ => {
                let from = self.host(a, RAX)?;
                let h = self.fresh()?;
                match op {
                    Unary::LeadingZeros => self.asm.count_bits(0xbd, h, from),
                    Unary::TrailingZeros => self.asm.count_bits(0xbc, h, from),
                    Unary::Ones => self.asm.count_bits(0xb8, h, from),
                    Unary::Signed8 => self.asm.load_part(h, Rm::Reg(from), 1, true),
                    Unary::Signed16 => self.asm.load_part(h, Rm::Reg(from), 2, true),
                    _ => self.asm.load_part(h, Rm::Reg(from), 4, true),
                }
                h
            }
        };
        self.made(i, h);
        Ok(())
    }
}
