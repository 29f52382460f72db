//! What computes, over the registers and flags of a block that is being lifted.

use southbridge_cpu_jit::{Traced, Tracer, Word};
use std::cell::Cell;

use crate::block::Block;
use crate::bus::Bus;
use crate::fast::register;
use crate::insn::{Alu, Insn, Kind, Mode, Src};
use crate::meaning::{self, Flags, kind};

/// Something about the flags: as it was at the start of the block, no longer known, or known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fact<T> {
    AsBefore,
    Lost,
    Is(T),
}

impl<T: Copy + PartialEq> Fact<T> {
    fn get(self) -> Option<T> {
        match self {
            Fact::Is(v) => Some(v),
            _ => None,
        }
    }

    /// What is known where both ways meet.
    fn meet(self, other: Self) -> Self {
        if self == other { self } else { Fact::Lost }
    }

    /// What it comes to if this much is known before.
    fn after(self, before: Self) -> Self {
        match self {
            Fact::AsBefore => before,
            other => other,
        }
    }
}

/// What is known of the flags beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// Whether N and Z are of the sum or difference, too.
    pub(super) whole: Fact<bool>,
    /// What C and V are those of.
    pub(super) rest: Fact<u32>,
}

impl Known {
    pub(super) const AS_BEFORE: Self = Self {
        whole: Fact::AsBefore,
        rest: Fact::AsBefore,
    };
    pub(super) const NOTHING: Self = Self {
        whole: Fact::Lost,
        rest: Fact::Lost,
    };

    fn is(kind: u32) -> Self {
        Self {
            whole: Fact::Is(kind & kind::WHOLE != 0),
            rest: Fact::Is(kind & REST),
        }
    }

    pub(super) fn meet(self, other: Self) -> Self {
        Self {
            whole: self.whole.meet(other.whole),
            rest: self.rest.meet(other.rest),
        }
    }

    pub(super) fn after(self, before: Self) -> Self {
        Self {
            whole: self.whole.after(before.whole),
            rest: self.rest.after(before.rest),
        }
    }
}

const REST: u32 = kind::DIFFERENCE | kind::SUM;

/// A block that is being lifted.
pub(super) struct Work<'a, B: Bus> {
    pub(super) t: &'a Tracer,
    pub(super) id: u32,
    pub(super) block: &'a Block<B>,
    /// What is known of the flags.
    pub(super) known: Cell<Known>,
    /// The condition under which results count.
    pub(super) only_if: Cell<Option<Traced<'a>>>,
}

impl<'a, B: Bus> Work<'a, B> {
    pub(super) fn k(&self, v: u32) -> Traced<'a> {
        self.t.constant(v.into())
    }

    /// A register; 15 reads as zero.
    pub(super) fn r(&self, r: u8) -> Traced<'a> {
        match r & 15 {
            15 => self.k(0),
            r => self.t.get(r),
        }
    }

    pub(super) fn set(&self, r: u8, v: Traced<'a>) {
        let v = match self.only_if.get() {
            Some(c) => c.pick(v, self.t.get(r)),
            None => v,
        };
        self.t.set(r, v);
    }

    pub(super) fn put(&self, r: u8, v: Traced<'a>) {
        if r & 15 != 15 {
            self.set(r & 15, v);
        }
    }

    pub(super) fn flags(&self) -> Flags<Traced<'a>> {
        Flags {
            kind: self.t.get(register::KIND),
            nz: self.t.get(register::NZ),
            a: self.t.get(register::A),
            b: self.t.get(register::B),
        }
    }

    pub(super) fn carry(&self) -> Traced<'a> {
        self.flags().c(self.known.get().rest.get())
    }

    fn set_kind(&self, kind: u32) {
        self.set(register::KIND, self.k(kind));
        self.known.set(Known::is(kind));
    }

    /// N and Z are those of `r`; C and V stay.
    pub(super) fn set_nz(&self, r: Traced<'a>) {
        let known = self.known.get();
        match (known.whole, known.rest) {
            (Fact::Is(false), _) => {}
            (_, Fact::Is(rest)) => self.set_kind(rest),
            _ => {
                self.set(register::KIND, self.t.get(register::KIND) & self.k(REST));
                let whole = Fact::Is(false);
                self.known.set(Known { whole, ..known });
            }
        }
        self.set(register::NZ, r);
    }

    /// All of them, V as it was if it is not given.
    pub(super) fn set_nzcv(&self, r: Traced<'a>, c: Traced<'a>, v: Option<Traced<'a>>) {
        let v = v.unwrap_or_else(|| self.flags().v(self.known.get().rest.get()));
        self.set_kind(kind::EXPLICIT);
        self.set(register::NZ, r);
        self.set(register::A, c);
        self.set(register::B, v);
    }

    /// All of them, those of a sum or difference.
    pub(super) fn set_all(&self, kind: u32, a: Traced<'a>, b: Traced<'a>) {
        self.set_kind(kind | kind::WHOLE);
        self.set(register::A, a);
        self.set(register::B, b);
    }

    pub(super) fn condition(&self, code: u8) -> Traced<'a> {
        let (f, known) = (self.flags(), self.known.get());
        if known == Known::is(kind::DIFFERENCE | kind::WHOLE)
            && let Some(c) = meaning::compared(code, f.a, f.b)
        {
            return c;
        }
        let (whole, kind) = (known.whole.get(), known.rest.get());
        let nz = f.nz(whole, kind);
        // Of C and V only what the condition asks for.
        let c = if matches!(code, 2 | 3 | 8 | 9) { f.c(kind) } else { nz };
        let v = if matches!(code, 6 | 7 | 10..=13) { f.v(kind) } else { nz };
        meaning::condition(code, nz, nz, c, v)
    }

    /// What only computes; `false` if it is something else.
    pub(super) fn computes(&self, insn: &Insn) -> bool {
        let (d, n, m, imm) = (insn.d, insn.n, insn.m, insn.imm);
        let put = |v| self.put(d, v);
        match insn.kind {
            Kind::Nop | Kind::It => {}
            Kind::Alu { op, s, src } => {
                let shifted = || match src {
                    Src::Imm => (m & 2 != 0).then(|| self.k((m & 1).into())),
                    _ => meaning::shifted_out(src as u8, self.r(m), imm),
                };
                let a = self.r(n);
                let b = match src {
                    Src::Imm => self.k(imm),
                    _ => meaning::operand(src as u8, self.r(m), imm, || self.carry()),
                };
                let result = || meaning::alu(op as u8, a, b, || self.carry());
                let r = match op {
                    Alu::Cmp | Alu::Cmn => a,
                    _ => result(),
                };
                if s {
                    match op {
                        Alu::Sub | Alu::Cmp => self.set_all(kind::DIFFERENCE, a, b),
                        Alu::Rsb => self.set_all(kind::DIFFERENCE, b, a),
                        Alu::Add | Alu::Cmn => self.set_all(kind::SUM, a, b),
                        _ => match meaning::carried(op as u8, a, b, r, || self.carry()) {
                            Some(f) => self.set_nzcv(r, f.c, Some(f.v)),
                            None => match shifted() {
                                Some(c) => self.set_nzcv(r, c, None),
                                None => self.set_nz(r),
                            },
                        },
                    }
                }
                if !meaning::only_tests(op as u8) {
                    put(r);
                }
            }
            Kind::ShiftReg { ty, s } => {
                let (v, n) = (self.r(n), self.r(m));
                let r = meaning::shift(ty as u8, v, n);
                if s {
                    let c = meaning::shift_carry(ty as u8, v, n, self.carry());
                    self.set_nzcv(r, c, None);
                }
                put(r);
            }
            Kind::Movt => put(meaning::movt(self.r(d), imm)),
            Kind::Bfi => put(meaning::bfi(self.r(d), self.r(n), imm)),
            Kind::Bfc => put(meaning::bfc(self.r(d), imm)),
            Kind::Ubfx => put(meaning::ubfx(self.r(n), imm)),
            Kind::Sbfx => put(meaning::sbfx(self.r(n), imm)),
            Kind::Sxtb => put(meaning::sxtb(self.r(m), imm)),
            Kind::Sxth => put(meaning::sxth(self.r(m), imm)),
            Kind::Uxtb => put(meaning::uxtb(self.r(m), imm)),
            Kind::Uxth => put(meaning::uxth(self.r(m), imm)),
            Kind::Rev => put(meaning::rev(self.r(m), imm)),
            Kind::Rev16 => put(meaning::rev16(self.r(m), imm)),
            Kind::Revsh => put(meaning::revsh(self.r(m), imm)),
            Kind::Rbit => put(meaning::rbit(self.r(m), imm)),
            Kind::Clz => put(meaning::clz(self.r(m), imm)),
            Kind::Mul { s } => {
                let r = self.r(n).wrapping_mul(self.r(m));
                put(r);
                if s {
                    self.set_nz(r);
                }
            }
            Kind::Mla => put(self.r(n).wrapping_mul(self.r(m)).wrapping_add(self.r(imm as u8))),
            Kind::Mls => put(self.r(imm as u8).wrapping_sub(self.r(n).wrapping_mul(self.r(m)))),
            Kind::Smull | Kind::Umull | Kind::Smlal | Kind::Umlal => {
                let signed = matches!(insn.kind, Kind::Smull | Kind::Smlal);
                let mut r = meaning::product(signed, self.r(n), self.r(m));
                if matches!(insn.kind, Kind::Smlal | Kind::Umlal) {
                    r = meaning::add_long(r, (self.r(d), self.r(imm as u8)));
                }
                put(r.0);
                self.put(imm as u8, r.1);
            }
            _ => return false,
        }
        self.align(insn);
        true
    }

    /// SP has no low bits.
    pub(super) fn align(&self, insn: &Insn) {
        if insn.may_misalign_sp() {
            self.set(13, self.r(13) & self.k(!3));
        }
    }

    /// The address of an access, and the base register's new value if it gets one.
    pub(super) fn address(&self, mode: Mode, insn: &Insn) -> (Traced<'a>, Option<Traced<'a>>) {
        let base = self.r(insn.n);
        match mode {
            Mode::Offset if insn.n & 15 == 15 => (self.k(insn.imm), None),
            Mode::Reg => (base.wrapping_add(self.r(insn.m).shl(self.k(insn.imm & 3))), None),
            Mode::Post => (base, Some(base.plus(insn.imm.into()))),
            Mode::Pre => {
                let moved = base.plus(insn.imm.into());
                (moved, Some(moved))
            }
            Mode::Offset | Mode::Unpriv => (base.plus(insn.imm.into()), None),
        }
    }
}

/// First address and the base's new value of a multiple access.
pub(super) fn span<'a, B: Bus>(w: &Work<'a, B>, insn: &Insn, db: bool) -> (Traced<'a>, Traced<'a>) {
    let base = w.r(insn.n);
    let size = (insn.imm & 0xffff).count_ones() * 4;
    if db {
        let low = base.wrapping_sub(w.k(size));
        (low, low)
    } else {
        (base, base.plus(size.into()))
    }
}

/// Whether an instruction computes without flags: then its result can be picked or left. Division is not among them.
pub(super) fn is_pure(insn: &Insn) -> bool {
    use Kind::*;
    match insn.kind {
        Kind::Alu { s, .. } | ShiftReg { s, .. } | Mul { s } => !s,
        Nop | Movt | Bfi | Bfc | Ubfx | Sbfx | Sxtb | Sxth | Uxtb | Uxth | Rev | Rev16 | Revsh | Rbit | Clz | Mla
        | Mls | Smull | Umull | Smlal | Umlal => true,
        _ => false,
    }
}

/// Whether an instruction leaves the flags alone.
pub(super) fn is_without_flags(insn: &Insn) -> bool {
    match insn.kind {
        Kind::Alu { s, .. } | Kind::ShiftReg { s, .. } | Kind::Mul { s } => !s,
        Kind::Msr => false,
        _ => true,
    }
}
