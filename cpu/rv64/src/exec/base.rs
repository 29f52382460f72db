//! RV64I: the base integer instructions (Unprivileged ISA, chapters RV32I and RV64I).

use southbridge_core::System;
use southbridge_cpu_jit::Word;
use southbridge_cpu_jit::ir::Width;

use super::{binary, sext, with_imm};
use crate::ext::Extensions as X;
use crate::hart::{Flow, Hart};
use crate::insn::{Entry, Format, Kind, Op};
use crate::lift::Meaning;

pub(crate) static TABLE: &[Entry] = &[
    Entry::i("addi", 0x13, 0, X::I, addi),
    Entry::i("slti", 0x13, 2, X::I, slti),
    Entry::i("sltiu", 0x13, 3, X::I, sltiu),
    Entry::i("xori", 0x13, 4, X::I, xori),
    Entry::i("ori", 0x13, 6, X::I, ori),
    Entry::i("andi", 0x13, 7, X::I, andi),
    Entry::shift("slli", 0x13, 1, 0x00, true, X::I, slli),
    Entry::shift("srli", 0x13, 5, 0x00, true, X::I, srli),
    Entry::shift("srai", 0x13, 5, 0x10, true, X::I, srai),
    Entry::i("addiw", 0x1b, 0, X::I, addiw),
    Entry::shift("slliw", 0x1b, 1, 0x00, false, X::I, slliw),
    Entry::shift("srliw", 0x1b, 5, 0x00, false, X::I, srliw),
    Entry::shift("sraiw", 0x1b, 5, 0x20, false, X::I, sraiw),
    Entry::r("add", 0x33, 0, 0x00, X::I, add),
    Entry::r("sub", 0x33, 0, 0x20, X::I, sub),
    Entry::r("sll", 0x33, 1, 0x00, X::I, sll),
    Entry::r("slt", 0x33, 2, 0x00, X::I, slt),
    Entry::r("sltu", 0x33, 3, 0x00, X::I, sltu),
    Entry::r("xor", 0x33, 4, 0x00, X::I, xor),
    Entry::r("srl", 0x33, 5, 0x00, X::I, srl),
    Entry::r("sra", 0x33, 5, 0x20, X::I, sra),
    Entry::r("or", 0x33, 6, 0x00, X::I, or),
    Entry::r("and", 0x33, 7, 0x00, X::I, and),
    Entry::r("addw", 0x3b, 0, 0x00, X::I, addw),
    Entry::r("subw", 0x3b, 0, 0x20, X::I, subw),
    Entry::r("sllw", 0x3b, 1, 0x00, X::I, sllw),
    Entry::r("srlw", 0x3b, 5, 0x00, X::I, srlw),
    Entry::r("sraw", 0x3b, 5, 0x20, X::I, sraw),
    Entry::new("lui", 0x7f, 0x37, Format::Lui, X::I, lui).kind(Kind::Pure),
    Entry::new("auipc", 0x7f, 0x17, Format::Auipc, X::I, auipc).kind(Kind::Pure),
    Entry::new("jal", 0x7f, 0x6f, Format::Jal, X::I, jal).kind(Kind::Ends),
    Entry::op3("jalr", 0x67, 0, Format::Jalr, X::I, jalr).kind(Kind::Ends),
    Entry::op3("beq", 0x63, 0, Format::Branch, X::I, beq).kind(Kind::Ends),
    Entry::op3("bne", 0x63, 1, Format::Branch, X::I, bne).kind(Kind::Ends),
    Entry::op3("blt", 0x63, 4, Format::Branch, X::I, blt).kind(Kind::Ends),
    Entry::op3("bge", 0x63, 5, Format::Branch, X::I, bge).kind(Kind::Ends),
    Entry::op3("bltu", 0x63, 6, Format::Branch, X::I, bltu).kind(Kind::Ends),
    Entry::op3("bgeu", 0x63, 7, Format::Branch, X::I, bgeu).kind(Kind::Ends),
    Entry::op3("lb", 0x03, 0, Format::Load, X::I, lb),
    Entry::op3("lh", 0x03, 1, Format::Load, X::I, lh),
    Entry::op3("lw", 0x03, 2, Format::Load, X::I, lw),
    Entry::op3("ld", 0x03, 3, Format::Load, X::I, ld),
    Entry::op3("lbu", 0x03, 4, Format::Load, X::I, lbu),
    Entry::op3("lhu", 0x03, 5, Format::Load, X::I, lhu),
    Entry::op3("lwu", 0x03, 6, Format::Load, X::I, lwu),
    Entry::op3("sb", 0x23, 0, Format::Store, X::I, sb),
    Entry::op3("sh", 0x23, 1, Format::Store, X::I, sh),
    Entry::op3("sw", 0x23, 2, Format::Store, X::I, sw),
    Entry::op3("sd", 0x23, 3, Format::Store, X::I, sd),
    Entry::op3("fence", 0x0f, 0, Format::Fence, X::I, fence),
    Entry::op3("fence.i", 0x0f, 1, Format::None, X::ZIFENCEI, fence_i).kind(Kind::Ends),
];

with_imm! { IMMEDIATE:
    addi(a, imm) = a.wrapping_add(imm);
    slti(a, imm) = a.less(imm);
    sltiu(a, imm) = a.below(imm);
    xori(a, imm) = a ^ imm;
    ori(a, imm) = a | imm;
    andi(a, imm) = a & imm;
    slli(a, imm) = a.shl(imm);
    srli(a, imm) = a.shr(imm);
    srai(a, imm) = a.sar(imm);
    addiw(a, imm) = a.wrapping_add(imm).signed32();
    slliw(a, imm) = a.shl(imm).signed32();
    srliw(a, imm) = a.low(32).shr(imm).signed32();
    sraiw(a, imm) = a.signed32().sar(imm);
}

binary! { REGISTER:
    add(a, b) = a.wrapping_add(b);
    sub(a, b) = a.wrapping_sub(b);
    sll(a, b) = a.shl(b);
    slt(a, b) = a.less(b);
    sltu(a, b) = a.below(b);
    xor(a, b) = a ^ b;
    srl(a, b) = a.shr(b);
    sra(a, b) = a.sar(b);
    or(a, b) = a | b;
    and(a, b) = a & b;
    addw(a, b) = a.wrapping_add(b).signed32();
    subw(a, b) = a.wrapping_sub(b).signed32();
    sllw(a, b) = a.shl(b.low(5)).signed32();
    srlw(a, b) = a.low(32).shr(b.low(5)).signed32();
    sraw(a, b) = a.signed32().sar(b.low(5));
}

/// What is not a matter of values alone.
pub(crate) static OTHERS: &[(&str, Meaning)] = &[
    ("lui", Meaning::Upper),
    ("auipc", Meaning::UpperOfPc),
    ("jal", Meaning::Jump),
    ("jalr", Meaning::JumpTo),
    ("fence", Meaning::Fence),
];

#[inline]
pub(super) fn lui(h: &mut Hart, _: &mut System, op: &Op) -> Flow {
    h.set_x(op.rd, op.imm as i64 as u64);
    Flow::NEXT
}

#[inline]
pub(super) fn auipc(h: &mut Hart, _: &mut System, op: &Op) -> Flow {
    let v = h.relative(op);
    h.set_x(op.rd, v);
    Flow::NEXT
}

#[inline]
pub(super) fn jal(h: &mut Hart, _: &mut System, op: &Op) -> Flow {
    let target = h.relative(op);
    if h.misaligned(target) {
        return h.raise(crate::hart::cause::FETCH_MISALIGNED, target);
    }
    h.set_x(op.rd, h.s.pc.wrapping_add(op.rs2.into()));
    h.jump(target)
}

#[inline]
pub(super) fn jalr(h: &mut Hart, _: &mut System, op: &Op) -> Flow {
    let target = h.x(op.rs1).wrapping_add(op.imm as i64 as u64) & !1;
    if h.misaligned(target) {
        return h.raise(crate::hart::cause::FETCH_MISALIGNED, target);
    }
    h.set_x(op.rd, h.s.pc.wrapping_add(op.rs2.into()));
    h.jump(target)
}

macro_rules! branches {
    ($($name:ident($a:ident, $b:ident) = $taken:expr;)+) => { $(
        #[inline]
        pub(super) fn $name(h: &mut Hart, _: &mut System, op: &Op) -> Flow {
            let ($a, $b) = (h.x(op.rs1), h.x(op.rs2));
            if $taken != 0 {
                let target = h.relative(op);
                if h.misaligned(target) {
                    return h.raise(crate::hart::cause::FETCH_MISALIGNED, target);
                }
                h.jump(target)
            } else {
                Flow::NEXT
            }
        }
    )+
    pub(crate) static BRANCHES: &[(&str, Meaning)] = &[$((stringify!($name), Meaning::Branch(|$a, $b| $taken)),)+];
    };
}
branches! {
    beq(a, b) = a.is(b);
    bne(a, b) = a.is_not(b);
    blt(a, b) = a.less(b);
    bge(a, b) = a.less(b).is(a.constant(0));
    bltu(a, b) = a.below(b);
    bgeu(a, b) = a.below(b).is(a.constant(0));
}

macro_rules! loads {
    ($($name:ident: $t:ty, $sign:literal, $v:ident => $wide:expr;)+) => { $(
        #[inline]
        pub(super) fn $name(h: &mut Hart, sys: &mut System, op: &Op) -> Flow {
            // The way that is mostly gone saves no registers: the other one is a function that is jumped to.
            #[cold]
            #[inline(never)]
            fn slow(h: &mut Hart, sys: &mut System, op: &Op, addr: u64) -> Flow {
                match h.load::<$t>(sys, addr, op.idx) {
                    Ok($v) => {
                        h.set_x(op.rd, $wide);
                        h.after_access(sys)
                    }
                    Err(flow) => flow,
                }
            }
            let addr = h.x(op.rs1).wrapping_add(op.imm as i64 as u64);
            match h.tlb.load::<$t>(addr, h.data_context) {
                Some($v) => {
                    h.set_x(op.rd, $wide);
                    Flow::NEXT
                }
                None => slow(h, sys, op, addr),
            }
        }
    )+
    pub(crate) static LOADS: &[(&str, Meaning)] =
        &[$((stringify!($name), Meaning::Load(Width { bytes: size_of::<$t>() as u8, signed: $sign })),)+];
    };
}
loads! {
    lb: u8, true, v => v as i8 as i64 as u64;
    lh: u16, true, v => v as i16 as i64 as u64;
    lw: u32, true, v => sext(v);
    ld: u64, false, v => v;
    lbu: u8, false, v => v.into();
    lhu: u16, false, v => v.into();
    lwu: u32, false, v => v.into();
}

macro_rules! stores {
    ($($name:ident: $t:ty;)+) => { $(
        #[inline]
        pub(super) fn $name(h: &mut Hart, sys: &mut System, op: &Op) -> Flow {
            let addr = h.x(op.rs1).wrapping_add(op.imm as i64 as u64);
            h.store::<$t>(sys, addr, h.x(op.rs2) as $t, op.idx)
        }
    )+
    pub(crate) static STORES: &[(&str, Meaning)] =
        &[$((stringify!($name), Meaning::Store(Width { bytes: size_of::<$t>() as u8, signed: false })),)+];
    };
}
stores! {
    sb: u8;
    sh: u16;
    sw: u32;
    sd: u64;
}

/// Accesses are done in program order already.
fn fence(_: &mut Hart, _: &mut System, _: &Op) -> Flow {
    Flow::NEXT
}

/// Blocks follow writes by themselves; what is decoded behind this one must only be looked up anew.
fn fence_i(h: &mut Hart, _: &mut System, _: &Op) -> Flow {
    h.look_up = true;
    Flow::SYNC
}
