//! The 32-bit encodings of the Cortex-M3 (ARM ARM A5.3), first halfword on top.

use super::{Encoding, Fields};
use crate::insn::{Alu, Insn, Kind, Mode, Shift, Src, Width};

const fn row(name: &'static str, picture: &'static str, build: fn(&Fields) -> Insn) -> Encoding {
    Encoding::new(name, picture, build)
}

#[rustfmt::skip]
pub(super) static TABLE: &[Encoding] = &[
    // Load and store multiple, A5.3.5
    row("STM T2",   "1110100010 w 0 nnnn 0 r 0 rrrrrrrrrrrrr", |f| multiple(f, false, false)),
    row("LDM T2",   "1110100010 w 1 nnnn rr 0 rrrrrrrrrrrrr", |f| multiple(f, true, false)),
    row("STMDB T1", "1110100100 w 0 nnnn 0 r 0 rrrrrrrrrrrrr", |f| multiple(f, false, true)),
    row("LDMDB T1", "1110100100 w 1 nnnn rr 0 rrrrrrrrrrrrr", |f| multiple(f, true, true)),
    // Dual, exclusive, table branch, A5.3.6
    row("STREX T1",  "111010000100 nnnn tttt dddd iiiiiiii", |f| strex(f, Width::Word).imm(f.get(b'i') << 2)),
    row("LDREX T1",  "111010000101 nnnn tttt 1111 iiiiiiii", |f| ldrex(f, Width::Word).imm(f.get(b'i') << 2)),
    row("STREXB T1", "111010001100 nnnn tttt 1111 0100 dddd", |f| strex(f, Width::Byte)),
    row("STREXH T1", "111010001100 nnnn tttt 1111 0101 dddd", |f| strex(f, Width::Half)),
    row("TBB T1",    "111010001101 nnnn 1111 0000 0000 mmmm", |f| table_branch(f, false)),
    row("TBH T1",    "111010001101 nnnn 1111 0000 0001 mmmm", |f| table_branch(f, true)),
    row("LDREXB T1", "111010001101 nnnn tttt 1111 0100 1111", |f| ldrex(f, Width::Byte)),
    row("LDREXH T1", "111010001101 nnnn tttt 1111 0101 1111", |f| ldrex(f, Width::Half)),
    row("STRD T1 post", "11101000 u 110 nnnn tttt hhhh iiiiiiii", |f| dual(f, false, Mode::Post)),
    row("LDRD T1 post", "11101000 u 111 nnnn tttt hhhh iiiiiiii", |f| dual(f, true, Mode::Post)),
    row("STRD T1",      "11101001 u 100 nnnn tttt hhhh iiiiiiii", |f| dual(f, false, Mode::Offset)),
    row("LDRD T1",      "11101001 u 101 nnnn tttt hhhh iiiiiiii", |f| dual(f, true, Mode::Offset)),
    row("STRD T1 pre",  "11101001 u 110 nnnn tttt hhhh iiiiiiii", |f| dual(f, false, Mode::Pre)),
    row("LDRD T1 pre",  "11101001 u 111 nnnn tttt hhhh iiiiiiii", |f| dual(f, true, Mode::Pre)),
    // Data processing, shifted register, A5.3.11
    row("TST (reg) T2", "111010100001 nnnn - iii 1111 ii tt mmmm", |f| shifted(f, Alu::Tst)),
    row("AND (reg) T2", "11101010000 s nnnn - iii dddd ii tt mmmm", |f| shifted(f, Alu::And)),
    row("BIC (reg) T2", "11101010001 s nnnn - iii dddd ii tt mmmm", |f| shifted(f, Alu::Bic)),
    row("MOV (reg) T3", "11101010010 s 1111 - iii dddd ii tt mmmm", |f| shifted(f, Alu::Mov)),
    row("ORR (reg) T2", "11101010010 s nnnn - iii dddd ii tt mmmm", |f| shifted(f, Alu::Orr)),
    row("MVN (reg) T2", "11101010011 s 1111 - iii dddd ii tt mmmm", |f| shifted(f, Alu::Mvn)),
    row("ORN (reg) T1", "11101010011 s nnnn - iii dddd ii tt mmmm", |f| shifted(f, Alu::Orn)),
    row("TEQ (reg) T1", "111010101001 nnnn - iii 1111 ii tt mmmm", |f| shifted(f, Alu::Teq)),
    row("EOR (reg) T2", "11101010100 s nnnn - iii dddd ii tt mmmm", |f| shifted(f, Alu::Eor)),
    row("CMN (reg) T2", "111010110001 nnnn - iii 1111 ii tt mmmm", |f| shifted(f, Alu::Cmn)),
    row("ADD (reg) T3", "11101011000 s nnnn - iii dddd ii tt mmmm", |f| shifted(f, Alu::Add)),
    row("ADC (reg) T2", "11101011010 s nnnn - iii dddd ii tt mmmm", |f| shifted(f, Alu::Adc)),
    row("SBC (reg) T2", "11101011011 s nnnn - iii dddd ii tt mmmm", |f| shifted(f, Alu::Sbc)),
    row("CMP (reg) T3", "111010111011 nnnn - iii 1111 ii tt mmmm", |f| shifted(f, Alu::Cmp)),
    row("SUB (reg) T2", "11101011101 s nnnn - iii dddd ii tt mmmm", |f| shifted(f, Alu::Sub)),
    row("RSB (reg) T1", "11101011110 s nnnn - iii dddd ii tt mmmm", |f| shifted(f, Alu::Rsb)),
    // Coprocessors: none on this core, A5.3.18
    row("coprocessor",  "111-110- ---- ---- ---- ---- ---- ----", |_| Insn::new(Kind::NoCp)),
    row("coprocessor",  "111-1110 ---- ---- ---- ---- ---- ----", |_| Insn::new(Kind::NoCp)),
    // Data processing, modified immediate, A5.3.1
    row("TST (imm) T1", "11110 i 000001 nnnn 0 iii 1111 iiiiiiii", |f| modified(f, Alu::Tst)),
    row("AND (imm) T1", "11110 i 00000 s nnnn 0 iii dddd iiiiiiii", |f| modified(f, Alu::And)),
    row("BIC (imm) T1", "11110 i 00001 s nnnn 0 iii dddd iiiiiiii", |f| modified(f, Alu::Bic)),
    row("MOV (imm) T2", "11110 i 00010 s 1111 0 iii dddd iiiiiiii", |f| modified(f, Alu::Mov)),
    row("ORR (imm) T1", "11110 i 00010 s nnnn 0 iii dddd iiiiiiii", |f| modified(f, Alu::Orr)),
    row("MVN (imm) T1", "11110 i 00011 s 1111 0 iii dddd iiiiiiii", |f| modified(f, Alu::Mvn)),
    row("ORN (imm) T1", "11110 i 00011 s nnnn 0 iii dddd iiiiiiii", |f| modified(f, Alu::Orn)),
    row("TEQ (imm) T1", "11110 i 001001 nnnn 0 iii 1111 iiiiiiii", |f| modified(f, Alu::Teq)),
    row("EOR (imm) T1", "11110 i 00100 s nnnn 0 iii dddd iiiiiiii", |f| modified(f, Alu::Eor)),
    row("CMN (imm) T1", "11110 i 010001 nnnn 0 iii 1111 iiiiiiii", |f| modified(f, Alu::Cmn)),
    row("ADD (imm) T3", "11110 i 01000 s nnnn 0 iii dddd iiiiiiii", |f| modified(f, Alu::Add)),
    row("ADC (imm) T1", "11110 i 01010 s nnnn 0 iii dddd iiiiiiii", |f| modified(f, Alu::Adc)),
    row("SBC (imm) T1", "11110 i 01011 s nnnn 0 iii dddd iiiiiiii", |f| modified(f, Alu::Sbc)),
    row("CMP (imm) T2", "11110 i 011011 nnnn 0 iii 1111 iiiiiiii", |f| modified(f, Alu::Cmp)),
    row("SUB (imm) T3", "11110 i 01101 s nnnn 0 iii dddd iiiiiiii", |f| modified(f, Alu::Sub)),
    row("RSB (imm) T2", "11110 i 01110 s nnnn 0 iii dddd iiiiiiii", |f| modified(f, Alu::Rsb)),
    // Data processing, plain immediate, A5.3.3
    row("ADR T3",        "11110 i 100000 1111 0 iii dddd iiiiiiii", |f| constant(f, (f.pc4() & !3).wrapping_add(f.get(b'i')))),
    row("ADD (imm) T4",  "11110 i 100000 nnnn 0 iii dddd iiiiiiii", |f| wide_imm(f, Alu::Add)),
    row("MOV (imm) T3",  "11110 i 100100 nnnn 0 iii dddd iiiiiiii", |f| constant(f, f.get(b'n') << 12 | f.get(b'i'))),
    row("ADR T2",        "11110 i 101010 1111 0 iii dddd iiiiiiii", |f| constant(f, (f.pc4() & !3).wrapping_sub(f.get(b'i')))),
    row("SUB (imm) T4",  "11110 i 101010 nnnn 0 iii dddd iiiiiiii", |f| wide_imm(f, Alu::Sub)),
    row("MOVT T1",       "11110 i 101100 nnnn 0 iii dddd iiiiiiii", |f| Insn::new(to_reg(f, Kind::Movt)).d(f.get(b'd')).imm(f.get(b'n') << 12 | f.get(b'i'))),
    row("SSAT T1",       "11110 - 1100 z 0 nnnn 0 iii dddd ii - bbbbb", |f| saturate(f, Kind::Ssat)),
    row("SBFX T1",       "11110 - 110100 nnnn 0 iii dddd ii - wwwww", |f| extract(f, Kind::Sbfx)),
    row("BFC T1",        "11110 - 110110 1111 0 iii dddd ii - wwwww", |f| insert(f, Kind::Bfc)),
    row("BFI T1",        "11110 - 110110 nnnn 0 iii dddd ii - wwwww", |f| insert(f, Kind::Bfi)),
    row("USAT T1",       "11110 - 1110 z 0 nnnn 0 iii dddd ii - bbbbb", |f| saturate(f, Kind::Usat)),
    row("UBFX T1",       "11110 - 111100 nnnn 0 iii dddd ii - wwwww", |f| extract(f, Kind::Ubfx)),
    // Branches and miscellaneous control, A5.3.4
    row("MSR T1",   "11110 0 1110 0- nnnn 10-0 mm-- ssssssss", |f| Insn::new(Kind::Msr).n(f.get(b'n')).imm(f.get(b's') | f.get(b'm') << 8)),
    row("WFE T2",   "11110 0 1110 1- ---- 10-0 -000 00000010", |_| Insn::new(Kind::Wfe)),
    row("WFI T2",   "11110 0 1110 1- ---- 10-0 -000 00000011", |_| Insn::new(Kind::Wfi)),
    row("SEV T2",   "11110 0 1110 10 ---- 10-0 -000 00000100", |_| Insn::new(Kind::Sev)),
    row("NOP T2",   "11110 0 1110 10 ---- 10-0 -000 --------", |_| Insn::new(Kind::Nop)),
    row("CLREX T1", "11110 0 1110 11 ---- 10-0 ---- 0010 ----", |_| Insn::new(Kind::Clrex)),
    row("DSB T1",   "11110 0 1110 11 ---- 10-0 ---- 0100 ----", |_| Insn::new(Kind::Nop)),
    row("DMB T1",   "11110 0 1110 11 ---- 10-0 ---- 0101 ----", |_| Insn::new(Kind::Nop)),
    row("ISB T1",   "11110 0 1110 11 ---- 10-0 ---- 0110 ----", |_| Insn::new(Kind::Nop)),
    row("MRS T1",   "11110 0 1111 1- ---- 10-0 dddd ssssssss", |f| Insn::new(to_reg(f, Kind::Mrs)).d(f.get(b'd')).imm(f.get(b's'))),
    row("UDF T2",   "111101111111 ---- 1010 ---- --------", |_| Insn::new(Kind::Udf)),
    row("reserved", "11110 - 111- -- ---- 10-0 ---- --------", |_| Insn::new(Kind::Udf)),
    row("B T3",     "11110 s cccc iiiiii 10 j 0 k iiiiiiiiiii", |f| Insn::new(Kind::Bcond(f.get(b'c') as u8)).imm(conditional(f))),
    row("B T4",     "11110 s iiiiiiiiii 10 j 1 k iiiiiiiiiii", |f| Insn::new(Kind::B).imm(unconditional(f))),
    row("BL T1",    "11110 s iiiiiiiiii 11 j 1 k iiiiiiiiiii", |f| Insn::new(Kind::Bl).imm(unconditional(f))),
    // Store single, A5.3.10
    row("STRB (imm) T2", "111110001000 nnnn tttt iiiiiiiiiiii", |f| store(f, Width::Byte, Mode::Offset).imm(f.get(b'i'))),
    row("STRH (imm) T2", "111110001010 nnnn tttt iiiiiiiiiiii", |f| store(f, Width::Half, Mode::Offset).imm(f.get(b'i'))),
    row("STR (imm) T3",  "111110001100 nnnn tttt iiiiiiiiiiii", |f| store(f, Width::Word, Mode::Offset).imm(f.get(b'i'))),
    row("STRB (imm) T3", "111110000000 nnnn tttt 1 puw iiiiiiii", |f| indexed(f, |m| store(f, Width::Byte, m))),
    row("STRH (imm) T3", "111110000010 nnnn tttt 1 puw iiiiiiii", |f| indexed(f, |m| store(f, Width::Half, m))),
    row("STR (imm) T4",  "111110000100 nnnn tttt 1 puw iiiiiiii", |f| indexed(f, |m| store(f, Width::Word, m))),
    row("STRB (reg) T2", "111110000000 nnnn tttt 000000 ii mmmm", |f| by_reg(f, store(f, Width::Byte, Mode::Reg))),
    row("STRH (reg) T2", "111110000010 nnnn tttt 000000 ii mmmm", |f| by_reg(f, store(f, Width::Half, Mode::Reg))),
    row("STR (reg) T2",  "111110000100 nnnn tttt 000000 ii mmmm", |f| by_reg(f, store(f, Width::Word, Mode::Reg))),
    // Load word, byte, halfword and memory hints, A5.3.7 to A5.3.9
    row("LDRB (lit) T1",  "11111000 u 001 1111 tttt iiiiiiiiiiii", |f| literal(f, Width::Byte)),
    row("LDRH (lit) T1",  "11111000 u 011 1111 tttt iiiiiiiiiiii", |f| literal(f, Width::Half)),
    row("LDR (lit) T2",   "11111000 u 101 1111 tttt iiiiiiiiiiii", |f| literal(f, Width::Word)),
    row("LDRSB (lit) T1", "11111001 u 001 1111 tttt iiiiiiiiiiii", |f| literal(f, Width::SignedByte)),
    row("LDRSH (lit) T1", "11111001 u 011 1111 tttt iiiiiiiiiiii", |f| literal(f, Width::SignedHalf)),
    row("LDRB (imm) T2",  "111110001001 nnnn tttt iiiiiiiiiiii", |f| load(f, Width::Byte, Mode::Offset).imm(f.get(b'i'))),
    row("LDRH (imm) T2",  "111110001011 nnnn tttt iiiiiiiiiiii", |f| load(f, Width::Half, Mode::Offset).imm(f.get(b'i'))),
    row("LDR (imm) T3",   "111110001101 nnnn tttt iiiiiiiiiiii", |f| load(f, Width::Word, Mode::Offset).imm(f.get(b'i'))),
    row("LDRSB (imm) T1", "111110011001 nnnn tttt iiiiiiiiiiii", |f| load(f, Width::SignedByte, Mode::Offset).imm(f.get(b'i'))),
    row("LDRSH (imm) T1", "111110011011 nnnn tttt iiiiiiiiiiii", |f| load(f, Width::SignedHalf, Mode::Offset).imm(f.get(b'i'))),
    row("LDRB (imm) T3",  "111110000001 nnnn tttt 1 puw iiiiiiii", |f| indexed(f, |m| load(f, Width::Byte, m))),
    row("LDRH (imm) T3",  "111110000011 nnnn tttt 1 puw iiiiiiii", |f| indexed(f, |m| load(f, Width::Half, m))),
    row("LDR (imm) T4",   "111110000101 nnnn tttt 1 puw iiiiiiii", |f| indexed(f, |m| load(f, Width::Word, m))),
    row("LDRSB (imm) T2", "111110010001 nnnn tttt 1 puw iiiiiiii", |f| indexed(f, |m| load(f, Width::SignedByte, m))),
    row("LDRSH (imm) T2", "111110010011 nnnn tttt 1 puw iiiiiiii", |f| indexed(f, |m| load(f, Width::SignedHalf, m))),
    row("LDRB (reg) T2",  "111110000001 nnnn tttt 000000 ii mmmm", |f| by_reg(f, load(f, Width::Byte, Mode::Reg))),
    row("LDRH (reg) T2",  "111110000011 nnnn tttt 000000 ii mmmm", |f| by_reg(f, load(f, Width::Half, Mode::Reg))),
    row("LDR (reg) T2",   "111110000101 nnnn tttt 000000 ii mmmm", |f| by_reg(f, load(f, Width::Word, Mode::Reg))),
    row("LDRSB (reg) T2", "111110010001 nnnn tttt 000000 ii mmmm", |f| by_reg(f, load(f, Width::SignedByte, Mode::Reg))),
    row("LDRSH (reg) T2", "111110010011 nnnn tttt 000000 ii mmmm", |f| by_reg(f, load(f, Width::SignedHalf, Mode::Reg))),
    // Data processing, register, A5.3.12 to A5.3.15
    row("LSL (reg) T2", "11111010000 s nnnn 1111 dddd 0000 mmmm", |f| shift(f, Shift::Lsl)),
    row("LSR (reg) T2", "11111010001 s nnnn 1111 dddd 0000 mmmm", |f| shift(f, Shift::Lsr)),
    row("ASR (reg) T2", "11111010010 s nnnn 1111 dddd 0000 mmmm", |f| shift(f, Shift::Asr)),
    row("ROR (reg) T2", "11111010011 s nnnn 1111 dddd 0000 mmmm", |f| shift(f, Shift::Ror)),
    row("SXTH T2",  "1111101000001111 1111 dddd 1- ii mmmm", |f| extend(f, Kind::Sxth)),
    row("UXTH T2",  "1111101000011111 1111 dddd 1- ii mmmm", |f| extend(f, Kind::Uxth)),
    row("SXTB T2",  "1111101001001111 1111 dddd 1- ii mmmm", |f| extend(f, Kind::Sxtb)),
    row("UXTB T2",  "1111101001011111 1111 dddd 1- ii mmmm", |f| extend(f, Kind::Uxtb)),
    row("REV T2",   "111110101001 ---- 1111 dddd 1000 mmmm", |f| extend(f, Kind::Rev)),
    row("REV16 T2", "111110101001 ---- 1111 dddd 1001 mmmm", |f| extend(f, Kind::Rev16)),
    row("RBIT T1",  "111110101001 ---- 1111 dddd 1010 mmmm", |f| extend(f, Kind::Rbit)),
    row("REVSH T2", "111110101001 ---- 1111 dddd 1011 mmmm", |f| extend(f, Kind::Revsh)),
    row("CLZ T1",   "111110101011 ---- 1111 dddd 1000 mmmm", |f| extend(f, Kind::Clz)),
    // Multiply and divide, A5.3.16 and A5.3.17
    row("MUL T2",   "111110110000 nnnn 1111 dddd 0000 mmmm", |f| three(f, Kind::Mul { s: false })),
    row("MLA T1",   "111110110000 nnnn aaaa dddd 0000 mmmm", |f| three(f, Kind::Mla).imm(f.get(b'a'))),
    row("MLS T1",   "111110110000 nnnn aaaa dddd 0001 mmmm", |f| three(f, Kind::Mls).imm(f.get(b'a'))),
    row("SMULL T1", "111110111000 nnnn dddd hhhh 0000 mmmm", |f| long(f, Kind::Smull)),
    row("SDIV T1",  "111110111001 nnnn ---- dddd 1111 mmmm", |f| three(f, Kind::Sdiv)),
    row("UMULL T1", "111110111010 nnnn dddd hhhh 0000 mmmm", |f| long(f, Kind::Umull)),
    row("UDIV T1",  "111110111011 nnnn ---- dddd 1111 mmmm", |f| three(f, Kind::Udiv)),
    row("SMLAL T1", "111110111100 nnnn dddd hhhh 0000 mmmm", |f| long(f, Kind::Smlal)),
    row("UMLAL T1", "111110111110 nnnn dddd hhhh 0000 mmmm", |f| long(f, Kind::Umlal)),
];

/// Refuses the PC as destination of an operation that cannot branch.
fn to_reg(f: &Fields, kind: Kind) -> Kind {
    if f.get(b'd') == 15 { Kind::Udf } else { kind }
}

/// UNPREDICTABLE forms as in QEMU: an empty list, base PC, and writeback to a listed base are refused, single registers work.
fn multiple(f: &Fields, load: bool, db: bool) -> Insn {
    let list = f.raw & 0xdfff;
    let (n, wb) = (f.get(b'n'), f.get(b'w') == 1);
    if list == 0 || n == 15 || (wb && list >> n & 1 == 1) {
        return Insn::new(Kind::Udf);
    }
    let kind = if load {
        Kind::LoadMulti { db, wb }
    } else {
        Kind::StoreMulti { db, wb }
    };
    Insn::new(kind).n(n).imm(list)
}

/// Status and value in one register, SP and PC are UNPREDICTABLE; refused, as in QEMU.
fn strex(f: &Fields, width: Width) -> Insn {
    let (d, t, n) = (f.get(b'd'), f.get(b't'), f.get(b'n'));
    let refused = d == n || d == t || n == 15 || [d, t].iter().any(|r| *r == 13 || *r == 15);
    Insn::new(if refused { Kind::Udf } else { Kind::Strex(width) })
        .d(d)
        .m(t)
        .n(n)
}

fn ldrex(f: &Fields, width: Width) -> Insn {
    let (t, n) = (f.get(b't'), f.get(b'n'));
    let refused = n == 15 || t == 13 || t == 15;
    Insn::new(if refused { Kind::Udf } else { Kind::Ldrex(width) })
        .d(t)
        .n(n)
}

fn table_branch(f: &Fields, half: bool) -> Insn {
    let n = f.get(b'n');
    // `imm` is the PC as operand; with base 15 (which reads as zero) it is the table's base as well.
    Insn::new(Kind::Tbx(half)).n(n).m(f.get(b'm')).imm(f.pc4())
}

fn signed_offset(f: &Fields, offset: u32) -> u32 {
    if f.get(b'u') == 1 {
        offset
    } else {
        offset.wrapping_neg()
    }
}

fn dual(f: &Fields, load: bool, mode: Mode) -> Insn {
    let (n, t, h) = (f.get(b'n'), f.get(b't'), f.get(b'h'));
    let offset = signed_offset(f, f.get(b'i') << 2);
    let refused = t == 15 || h == 15 || (n == 15 && (!load || mode != Mode::Offset));
    if refused {
        return Insn::new(Kind::Udf);
    }
    let kind = if load {
        Kind::LoadDual { mode }
    } else {
        Kind::StoreDual { mode }
    };
    let offset = if n == 15 {
        (f.pc4() & !3).wrapping_add(offset)
    } else {
        offset
    };
    Insn::new(kind).d(t).m(h).n(n).imm(offset)
}

/// An immediate shift in its canonical form (ARM ARM A7.4.2).
fn shifted(f: &Fields, op: Alu) -> Insn {
    let (src, amount) = match (f.get(b't'), f.get(b'i')) {
        (0, 0) => (Src::Reg, 0),
        (0, n) => (Src::Lsl, n),
        (1, n) => (Src::Lsr, if n == 0 { 32 } else { n }),
        (2, n) => (Src::Asr, if n == 0 { 32 } else { n }),
        (_, 0) => (Src::Rrx, 0),
        (_, n) => (Src::Ror, n),
    };
    operation(f, op, src).m(f.get(b'm')).imm(amount)
}

/// The operation with its destination and first operand; refuses the PC as destination.
fn operation(f: &Fields, op: Alu, src: Src) -> Insn {
    let test = matches!(op, Alu::Tst | Alu::Teq | Alu::Cmn | Alu::Cmp);
    let (d, n) = (f.get(b'd'), f.get(b'n'));
    if !test && d == 15 {
        return Insn::new(Kind::Udf);
    }
    let unary = matches!(op, Alu::Mov | Alu::Mvn);
    let s = test || f.get(b's') == 1;
    Insn::new(Kind::Alu { op, s, src })
        .d(if test { 15 } else { d })
        .n(if unary { 15 } else { n })
}

/// ThumbExpandImm_C (ARM ARM A5.3.2): the constant, and 0 (carry unchanged), 2 (clear) or 3 (set).
pub(super) fn expand(imm12: u32) -> (u32, u32) {
    let byte = imm12 & 0xff;
    match imm12 >> 8 {
        0 => (byte, 0),
        1 => (byte | byte << 16, 0),
        2 => (byte << 8 | byte << 24, 0),
        3 => (byte * 0x0101_0101, 0),
        _ => {
            let value = (0x80 | byte & 0x7f).rotate_right(imm12 >> 7);
            (value, 2 | value >> 31)
        }
    }
}

fn modified(f: &Fields, op: Alu) -> Insn {
    let (value, carry) = expand(f.get(b'i'));
    operation(f, op, Src::Imm).imm(value).m(carry)
}

fn constant(f: &Fields, value: u32) -> Insn {
    Insn::new(to_reg(
        f,
        Kind::Alu {
            op: Alu::Mov,
            s: false,
            src: Src::Imm,
        },
    ))
    .d(f.get(b'd'))
    .m(0)
    .imm(value)
}

fn wide_imm(f: &Fields, op: Alu) -> Insn {
    Insn::new(to_reg(
        f,
        Kind::Alu {
            op,
            s: false,
            src: Src::Imm,
        },
    ))
    .d(f.get(b'd'))
    .n(f.get(b'n'))
    .m(0)
    .imm(f.get(b'i'))
}

/// A shift right by 0 is encoded as nothing: those places are the parallel saturations of the DSP extension.
fn saturate(f: &Fields, kind: Kind) -> Insn {
    let (shift, asr) = (f.get(b'i'), f.get(b'z'));
    if asr == 1 && shift == 0 {
        return Insn::new(Kind::Udf);
    }
    let bits = f.get(b'b') + (kind == Kind::Ssat) as u32;
    Insn::new(to_reg(f, kind))
        .d(f.get(b'd'))
        .n(f.get(b'n'))
        .imm(bits | shift << 8 | asr << 16)
}

fn extract(f: &Fields, kind: Kind) -> Insn {
    let (lsb, width) = (f.get(b'i'), f.get(b'w') + 1);
    let kind = if lsb + width > 32 { Kind::Udf } else { to_reg(f, kind) };
    Insn::new(kind).d(f.get(b'd')).n(f.get(b'n')).imm(lsb | width << 8)
}

fn insert(f: &Fields, kind: Kind) -> Insn {
    let (lsb, msb) = (f.get(b'i'), f.get(b'w'));
    let kind = if msb < lsb { Kind::Udf } else { to_reg(f, kind) };
    Insn::new(kind)
        .d(f.get(b'd'))
        .n(f.get(b'n'))
        .imm(lsb | (msb.wrapping_sub(lsb).wrapping_add(1) & 63) << 8)
}

fn conditional(f: &Fields) -> u32 {
    let top = f.get(b's') << 2 | f.get(b'k') << 1 | f.get(b'j');
    branch(f, top << 17 | f.get(b'i'), 20)
}

fn unconditional(f: &Fields) -> u32 {
    let s = f.get(b's');
    let (i1, i2) = (f.get(b'j') ^ s ^ 1, f.get(b'k') ^ s ^ 1);
    branch(f, (s << 2 | i1 << 1 | i2) << 21 | f.get(b'i'), 24)
}

fn branch(f: &Fields, halfwords: u32, bits: u32) -> u32 {
    let shift = 32 - bits;
    f.pc4()
        .wrapping_add(((((halfwords << shift) as i32) >> shift) << 1) as u32)
}

fn store(f: &Fields, width: Width, mode: Mode) -> Insn {
    let refused = f.get(b'n') == 15 || f.get(b't') == 15;
    let kind = if refused {
        Kind::Udf
    } else {
        Kind::Store { width, mode }
    };
    Insn::new(kind).d(f.get(b't')).n(f.get(b'n'))
}

/// Loads of the PC branch; narrower loads of the PC are memory hints.
fn load(f: &Fields, width: Width, mode: Mode) -> Insn {
    let kind = match (f.get(b't'), width, mode) {
        (15, Width::Word, Mode::Unpriv) => Kind::Udf,
        (15, Width::Word, _) => Kind::LoadPc { mode },
        (15, _, Mode::Offset | Mode::Reg) => Kind::Nop,
        (15, _, _) => Kind::Udf,
        _ => Kind::Load { width, mode },
    };
    Insn::new(kind).d(f.get(b't')).n(f.get(b'n'))
}

fn literal(f: &Fields, width: Width) -> Insn {
    let insn = load(f, width, Mode::Offset);
    insn.n(15)
        .imm((f.pc4() & !3).wrapping_add(signed_offset(f, f.get(b'i'))))
}

/// The 8-bit immediate forms: P, U and W choose mode and sign.
fn indexed(f: &Fields, make: impl Fn(Mode) -> Insn) -> Insn {
    let imm = f.get(b'i');
    match (f.get(b'p'), f.get(b'u'), f.get(b'w')) {
        (1, 1, 0) => make(Mode::Unpriv).imm(imm),
        (1, 0, 0) => make(Mode::Offset).imm(imm.wrapping_neg()),
        (0, _, 0) => Insn::new(Kind::Udf),
        // Writeback to the transferred register is UNPREDICTABLE: as in QEMU, a loaded value wins, and the old one is stored.
        (p, _, _) => make(if p == 1 { Mode::Pre } else { Mode::Post }).imm(signed_offset(f, imm)),
    }
}

fn by_reg(f: &Fields, insn: Insn) -> Insn {
    insn.m(f.get(b'm')).imm(f.get(b'i'))
}

fn shift(f: &Fields, ty: Shift) -> Insn {
    three(
        f,
        Kind::ShiftReg {
            ty,
            s: f.get(b's') == 1,
        },
    )
}

fn extend(f: &Fields, kind: Kind) -> Insn {
    Insn::new(to_reg(f, kind))
        .d(f.get(b'd'))
        .m(f.get(b'm'))
        .imm(f.get(b'i') * 8)
}

fn three(f: &Fields, kind: Kind) -> Insn {
    Insn::new(to_reg(f, kind)).d(f.get(b'd')).n(f.get(b'n')).m(f.get(b'm'))
}

fn long(f: &Fields, kind: Kind) -> Insn {
    let (lo, hi) = (f.get(b'd'), f.get(b'h'));
    let refused = lo == 15 || hi == 15 || lo == hi;
    Insn::new(if refused { Kind::Udf } else { kind })
        .d(lo)
        .n(f.get(b'n'))
        .m(f.get(b'm'))
        .imm(hi)
}
