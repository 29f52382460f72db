//! The 16-bit encodings (ARM ARM A5.2).

use super::{Encoding, Fields};
use crate::insn::{Alu, Insn, Kind, Mode, Shift, Src, Width};

const fn row(name: &'static str, picture: &'static str, build: fn(&Fields) -> Insn) -> Encoding {
    Encoding::new(name, picture, build)
}

#[rustfmt::skip]
pub(super) static TABLE: &[Encoding] = &[
    row("MOV (reg) T2", "00000 00000 mmm ddd", |f| two(f, Alu::Mov, Src::Reg, 0)),
    row("LSL (imm) T1", "00000 iiiii mmm ddd", |f| two(f, Alu::Mov, Src::Lsl, f.get(b'i'))),
    row("LSR (imm) T1", "00001 iiiii mmm ddd", |f| two(f, Alu::Mov, Src::Lsr, amount(f))),
    row("ASR (imm) T1", "00010 iiiii mmm ddd", |f| two(f, Alu::Mov, Src::Asr, amount(f))),
    row("ADD (reg) T1", "0001100 mmm nnn ddd", |f| alu(f, Alu::Add, Src::Reg).n(f.get(b'n')).d(f.get(b'd')).m(f.get(b'm'))),
    row("SUB (reg) T1", "0001101 mmm nnn ddd", |f| alu(f, Alu::Sub, Src::Reg).n(f.get(b'n')).d(f.get(b'd')).m(f.get(b'm'))),
    row("ADD (imm) T1", "0001110 iii nnn ddd", |f| alu(f, Alu::Add, Src::Imm).n(f.get(b'n')).d(f.get(b'd')).m(0).imm(f.get(b'i'))),
    row("SUB (imm) T1", "0001111 iii nnn ddd", |f| alu(f, Alu::Sub, Src::Imm).n(f.get(b'n')).d(f.get(b'd')).m(0).imm(f.get(b'i'))),
    row("MOV (imm) T1", "00100 ddd iiiiiiii", |f| by_imm8(f, Alu::Mov)),
    row("CMP (imm) T1", "00101 ddd iiiiiiii", |f| by_imm8(f, Alu::Cmp)),
    row("ADD (imm) T2", "00110 ddd iiiiiiii", |f| by_imm8(f, Alu::Add)),
    row("SUB (imm) T2", "00111 ddd iiiiiiii", |f| by_imm8(f, Alu::Sub)),
    row("AND (reg) T1", "0100000000 mmm ddd", |f| two(f, Alu::And, Src::Reg, 0)),
    row("EOR (reg) T1", "0100000001 mmm ddd", |f| two(f, Alu::Eor, Src::Reg, 0)),
    row("LSL (reg) T1", "0100000010 mmm ddd", |f| shift(f, Shift::Lsl)),
    row("LSR (reg) T1", "0100000011 mmm ddd", |f| shift(f, Shift::Lsr)),
    row("ASR (reg) T1", "0100000100 mmm ddd", |f| shift(f, Shift::Asr)),
    row("ADC (reg) T1", "0100000101 mmm ddd", |f| two(f, Alu::Adc, Src::Reg, 0)),
    row("SBC (reg) T1", "0100000110 mmm ddd", |f| two(f, Alu::Sbc, Src::Reg, 0)),
    row("ROR (reg) T1", "0100000111 mmm ddd", |f| shift(f, Shift::Ror)),
    row("TST (reg) T1", "0100001000 mmm ddd", |f| two(f, Alu::Tst, Src::Reg, 0)),
    row("RSB (imm) T1", "0100001001 nnn ddd", |f| alu(f, Alu::Rsb, Src::Imm).n(f.get(b'n')).d(f.get(b'd')).m(0)),
    row("CMP (reg) T1", "0100001010 mmm ddd", |f| two(f, Alu::Cmp, Src::Reg, 0)),
    row("CMN (reg) T1", "0100001011 mmm ddd", |f| two(f, Alu::Cmn, Src::Reg, 0)),
    row("ORR (reg) T1", "0100001100 mmm ddd", |f| two(f, Alu::Orr, Src::Reg, 0)),
    row("MUL T1",       "0100001101 nnn ddd", |f| Insn::new(Kind::Mul { s: !f.in_it }).d(f.get(b'd')).n(f.get(b'n')).m(f.get(b'd'))),
    row("BIC (reg) T1", "0100001110 mmm ddd", |f| two(f, Alu::Bic, Src::Reg, 0)),
    row("MVN (reg) T1", "0100001111 mmm ddd", |f| two(f, Alu::Mvn, Src::Reg, 0)),
    row("ADD (reg) T2", "01000100 d mmmm ddd", add_high),
    row("CMP (reg) T2", "01000101 d mmmm ddd", |f| plain(Alu::Cmp, f.get(b'd'), f.get(b'm'))),
    row("MOV (reg) T1", "01000110 d mmmm ddd", mov_high),
    row("BX T1",        "010001110 mmmm 000", |f| branch_reg(f, Kind::Bx)),
    row("BLX (reg) T1", "010001111 mmmm 000", |f| branch_reg(f, Kind::Blx)),
    row("LDR (lit) T1", "01001 ddd iiiiiiii", |f| load(Width::Word, Mode::Offset).d(f.get(b'd')).n(15).imm((f.pc4() & !3).wrapping_add(f.get(b'i') << 2))),
    row("STR (reg) T1",   "0101000 mmm nnn ddd", |f| by_reg(f, store(Width::Word, Mode::Reg))),
    row("STRH (reg) T1",  "0101001 mmm nnn ddd", |f| by_reg(f, store(Width::Half, Mode::Reg))),
    row("STRB (reg) T1",  "0101010 mmm nnn ddd", |f| by_reg(f, store(Width::Byte, Mode::Reg))),
    row("LDRSB (reg) T1", "0101011 mmm nnn ddd", |f| by_reg(f, load(Width::SignedByte, Mode::Reg))),
    row("LDR (reg) T1",   "0101100 mmm nnn ddd", |f| by_reg(f, load(Width::Word, Mode::Reg))),
    row("LDRH (reg) T1",  "0101101 mmm nnn ddd", |f| by_reg(f, load(Width::Half, Mode::Reg))),
    row("LDRB (reg) T1",  "0101110 mmm nnn ddd", |f| by_reg(f, load(Width::Byte, Mode::Reg))),
    row("LDRSH (reg) T1", "0101111 mmm nnn ddd", |f| by_reg(f, load(Width::SignedHalf, Mode::Reg))),
    row("STR (imm) T1",   "01100 iiiii nnn ddd", |f| by_imm5(f, store(Width::Word, Mode::Offset), 2)),
    row("LDR (imm) T1",   "01101 iiiii nnn ddd", |f| by_imm5(f, load(Width::Word, Mode::Offset), 2)),
    row("STRB (imm) T1",  "01110 iiiii nnn ddd", |f| by_imm5(f, store(Width::Byte, Mode::Offset), 0)),
    row("LDRB (imm) T1",  "01111 iiiii nnn ddd", |f| by_imm5(f, load(Width::Byte, Mode::Offset), 0)),
    row("STRH (imm) T1",  "10000 iiiii nnn ddd", |f| by_imm5(f, store(Width::Half, Mode::Offset), 1)),
    row("LDRH (imm) T1",  "10001 iiiii nnn ddd", |f| by_imm5(f, load(Width::Half, Mode::Offset), 1)),
    row("STR (imm) T2",   "10010 ddd iiiiiiii", |f| store(Width::Word, Mode::Offset).d(f.get(b'd')).n(13).imm(f.get(b'i') << 2)),
    row("LDR (imm) T2",   "10011 ddd iiiiiiii", |f| load(Width::Word, Mode::Offset).d(f.get(b'd')).n(13).imm(f.get(b'i') << 2)),
    row("ADR T1",         "10100 ddd iiiiiiii", |f| constant(f.get(b'd'), (f.pc4() & !3).wrapping_add(f.get(b'i') << 2))),
    row("ADD (SP+imm) T1","10101 ddd iiiiiiii", |f| sp_imm(Alu::Add, f.get(b'd'), f.get(b'i') << 2)),
    row("ADD (SP+imm) T2","101100000 iiiiiii",  |f| sp_imm(Alu::Add, 13, f.get(b'i') << 2)),
    row("SUB (SP-imm) T1","101100001 iiiiiii",  |f| sp_imm(Alu::Sub, 13, f.get(b'i') << 2)),
    row("SXTH T1", "1011001000 mmm ddd", |f| unary(f, Kind::Sxth)),
    row("SXTB T1", "1011001001 mmm ddd", |f| unary(f, Kind::Sxtb)),
    row("UXTH T1", "1011001010 mmm ddd", |f| unary(f, Kind::Uxth)),
    row("UXTB T1", "1011001011 mmm ddd", |f| unary(f, Kind::Uxtb)),
    row("CBZ T1",  "101100 i 1 iiiii nnn", |f| cbz(f, false)),
    row("CBNZ T1", "101110 i 1 iiiii nnn", |f| cbz(f, true)),
    row("PUSH T1", "1011010 l rrrrrrrr", |f| list(Kind::StoreMulti { db: true, wb: true }, 13, f.get(b'r') | f.get(b'l') << 14)),
    row("POP T1",  "1011110 p rrrrrrrr", |f| list(Kind::LoadMulti { db: false, wb: true }, 13, f.get(b'r') | f.get(b'p') << 15)),
    row("CPS T1",  "10110110011 i 00 if", |f| Insn::new(Kind::Cps).imm((f.raw & 3) | (f.raw & 16))),
    row("REV T1",   "1011101000 mmm ddd", |f| unary(f, Kind::Rev)),
    row("REV16 T1", "1011101001 mmm ddd", |f| unary(f, Kind::Rev16)),
    row("REVSH T1", "1011101011 mmm ddd", |f| unary(f, Kind::Revsh)),
    row("BKPT T1",  "10111110 iiiiiiii", |f| Insn::new(Kind::Bkpt).imm(f.get(b'i'))),
    row("WFE T1",   "1011111100100000", |_| Insn::new(Kind::Wfe)),
    row("WFI T1",   "1011111100110000", |_| Insn::new(Kind::Wfi)),
    row("SEV T1",   "1011111101000000", |_| Insn::new(Kind::Sev)),
    row("NOP T1",   "10111111 hhhh 0000", |_| Insn::new(Kind::Nop)),
    row("IT T1",    "10111111 cccc mmmm", it),
    row("STM T1",   "11000 nnn rrrrrrrr", |f| list(Kind::StoreMulti { db: false, wb: true }, f.get(b'n'), f.get(b'r'))),
    row("LDM T1",   "11001 nnn rrrrrrrr", |f| list(Kind::LoadMulti { db: false, wb: f.get(b'r') >> f.get(b'n') & 1 == 0 }, f.get(b'n'), f.get(b'r'))),
    row("UDF T1",   "11011110 iiiiiiii", |_| Insn::new(Kind::Udf)),
    row("SVC T1",   "11011111 iiiiiiii", |f| Insn::new(Kind::Svc).imm(f.get(b'i'))),
    row("B T1",     "1101 cccc iiiiiiii", |f| Insn::new(Kind::Bcond(f.get(b'c') as u8)).imm(target(f, f.get(b'i'), 8))),
    row("B T2",     "11100 iiiiiiiiiii", |f| Insn::new(Kind::B).imm(target(f, f.get(b'i'), 11))),
];

/// A flag-setting operation outside an IT block, one that leaves the flags alone inside.
fn alu(f: &Fields, op: Alu, src: Src) -> Insn {
    Insn::new(Kind::Alu { op, s: !f.in_it, src })
}
/// `d` is both first operand and destination.
fn two(f: &Fields, op: Alu, src: Src, shift: u32) -> Insn {
    let d = f.get(b'd');
    let s = !f.in_it || matches!(op, Alu::Tst | Alu::Cmp | Alu::Cmn);
    let n = if matches!(op, Alu::Mov | Alu::Mvn) { 15 } else { d };
    Insn::new(Kind::Alu { op, s, src }).d(d).n(n).m(f.get(b'm')).imm(shift)
}
fn by_imm8(f: &Fields, op: Alu) -> Insn {
    let d = f.get(b'd');
    let s = !f.in_it || op == Alu::Cmp;
    Insn::new(Kind::Alu { op, s, src: Src::Imm })
        .d(d)
        .n(if op == Alu::Mov { 15 } else { d })
        .m(0)
        .imm(f.get(b'i'))
}
/// A right shift by 0 is encoded for 32.
fn amount(f: &Fields) -> u32 {
    match f.get(b'i') {
        0 => 32,
        n => n,
    }
}
fn shift(f: &Fields, ty: Shift) -> Insn {
    Insn::new(Kind::ShiftReg { ty, s: !f.in_it })
        .d(f.get(b'd'))
        .n(f.get(b'd'))
        .m(f.get(b'm'))
}
fn plain(op: Alu, d: u32, m: u32) -> Insn {
    let s = op == Alu::Cmp;
    Insn::new(Kind::Alu { op, s, src: Src::Reg })
        .d(d)
        .n(if op == Alu::Mov { 15 } else { d })
        .m(m)
}
fn constant(d: u32, value: u32) -> Insn {
    Insn::new(Kind::Alu {
        op: Alu::Mov,
        s: false,
        src: Src::Imm,
    })
    .d(d)
    .m(0)
    .imm(value)
}
fn sp_imm(op: Alu, d: u32, value: u32) -> Insn {
    Insn::new(Kind::Alu {
        op,
        s: false,
        src: Src::Imm,
    })
    .d(d)
    .n(13)
    .m(0)
    .imm(value)
}
fn add_high(f: &Fields) -> Insn {
    match (f.get(b'd'), f.get(b'm')) {
        (15, 15) => Insn::new(Kind::B).imm(f.pc4().wrapping_mul(2) & !1),
        (15, m) => Insn::new(Kind::AddPc).m(m).imm(f.pc4()),
        (d, 15) => Insn::new(Kind::Alu {
            op: Alu::Add,
            s: false,
            src: Src::Imm,
        })
        .d(d)
        .n(d)
        .m(0)
        .imm(f.pc4()),
        (d, m) => plain(Alu::Add, d, m),
    }
}
fn mov_high(f: &Fields) -> Insn {
    match (f.get(b'd'), f.get(b'm')) {
        (15, 15) => Insn::new(Kind::B).imm(f.pc4()),
        (15, m) => Insn::new(Kind::MovPc).m(m),
        (d, 15) => constant(d, f.pc4()),
        (d, m) => plain(Alu::Mov, d, m),
    }
}
fn branch_reg(f: &Fields, kind: Kind) -> Insn {
    match f.get(b'm') {
        15 => Insn::new(Kind::Udf),
        m => Insn::new(kind).m(m),
    }
}
fn load(width: Width, mode: Mode) -> Insn {
    Insn::new(Kind::Load { width, mode })
}
fn store(width: Width, mode: Mode) -> Insn {
    Insn::new(Kind::Store { width, mode })
}
fn by_reg(f: &Fields, insn: Insn) -> Insn {
    insn.d(f.get(b'd')).n(f.get(b'n')).m(f.get(b'm'))
}
fn by_imm5(f: &Fields, insn: Insn, scale: u32) -> Insn {
    insn.d(f.get(b'd')).n(f.get(b'n')).imm(f.get(b'i') << scale)
}
fn unary(f: &Fields, kind: Kind) -> Insn {
    Insn::new(kind).d(f.get(b'd')).m(f.get(b'm'))
}
fn cbz(f: &Fields, nonzero: bool) -> Insn {
    Insn::new(Kind::Cbz(nonzero))
        .n(f.get(b'n'))
        .imm(f.pc4().wrapping_add(f.get(b'i') << 1))
}
/// An empty list is UNPREDICTABLE; refused, as in QEMU.
fn list(kind: Kind, n: u32, list: u32) -> Insn {
    Insn::new(if list == 0 { Kind::Udf } else { kind }).n(n).imm(list)
}
/// Condition 15 in IT is reserved, and so is 14 with an "else" (ARM ARM A7.7.38): QEMU lets both run, and so do we.
fn it(f: &Fields) -> Insn {
    Insn::new(Kind::It).imm(f.raw & 0xff)
}
/// A branch target from a signed halfword offset of `bits` bits.
fn target(f: &Fields, offset: u32, bits: u32) -> u32 {
    let shift = 32 - bits;
    f.pc4()
        .wrapping_add(((((offset << shift) as i32) >> shift) << 1) as u32)
}
