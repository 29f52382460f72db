//! Decoded instructions as text, in the syntax of the ARM ARM (UAL) as far as the decoded form still tells.
//!
//! It prints what the engine will do rather than what an assembler was given: constants that involve the PC are already folded, so
//! that a literal load shows its address and ADR the value. Encodings that decode to the same thing print alike, except where the
//! encoding's own name says more (barriers, hints).

use crate::decode::{decode, find, is_wide};
use crate::insn::{Alu, Insn, Kind, Mode, Shift, Src, Width};

const REGISTERS: [&str; 16] = [
    "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "sp", "lr", "pc",
];
const CONDITIONS: [&str; 16] = [
    "eq", "ne", "cs", "cc", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt", "gt", "le", "", "",
];

fn reg(i: u8) -> &'static str {
    REGISTERS[usize::from(i & 15)]
}

/// The instruction `raw` (a 32-bit one with its first halfword on top), decoded to `insn`, with ITSTATE `it` before it.
pub fn text(raw: u32, insn: &Insn, it: u8) -> String {
    let (name, operands) = parts(raw, insn);
    let condition = if it != 0 { CONDITIONS[usize::from(it >> 4)] } else { "" };
    match operands.is_empty() {
        true => format!("{name}{condition}"),
        false => format!("{:<7} {operands}", format!("{name}{condition}")),
    }
}

/// The instruction at `pc` that `code` begins with, as if in no IT block, and its length in bytes; `None` if `code` ends within it.
pub fn at(pc: u32, code: &[u8]) -> Option<(usize, String)> {
    let half = |i: usize| Some(u16::from_le_bytes([*code.get(i)?, *code.get(i + 1)?]));
    let first = half(0)?;
    let wide = is_wide(first);
    let raw = match wide {
        true => u32::from(first) << 16 | u32::from(half(2)?),
        false => first.into(),
    };
    let size = if wide { 4 } else { 2 };
    Some((size, text(raw, &decode(raw, wide, pc, false), 0)))
}

/// Mnemonic and operands.
fn parts(raw: u32, i: &Insn) -> (String, String) {
    use Kind::*;
    let (d, n, m, r) = (reg(i.d), reg(i.n), reg(i.m), reg(i.imm as u8));
    let plain = |name: &str, operands: String| (name.to_owned(), operands);
    match i.kind {
        Nop => plain(&encoding(raw, i), String::new()),
        Alu { op, s, src } => alu(i, op, s, src),
        ShiftReg { ty, s } => (flags(shift_name(ty), s), format!("{d}, {n}, {m}")),
        Movt => plain("movt", format!("{d}, #{:#x}", i.imm)),
        Bfc => plain("bfc", format!("{d}, #{}, #{}", i.imm & 0xff, i.imm >> 8)),
        Bfi | Sbfx | Ubfx => plain(
            mnemonic(i.kind),
            format!("{d}, {n}, #{}, #{}", i.imm & 0xff, i.imm >> 8),
        ),
        Ssat | Usat => plain(mnemonic(i.kind), saturate(i)),
        Sxtb | Sxth | Uxtb | Uxth => {
            let turn = if i.imm != 0 {
                format!(", ror #{}", i.imm)
            } else {
                String::new()
            };
            plain(mnemonic(i.kind), format!("{d}, {m}{turn}"))
        }
        Rev | Rev16 | Revsh | Rbit | Clz => plain(mnemonic(i.kind), format!("{d}, {m}")),
        Mul { s } => (flags("mul", s), format!("{d}, {n}, {m}")),
        Mla | Mls => plain(mnemonic(i.kind), format!("{d}, {n}, {m}, {r}")),
        Smull | Umull | Smlal | Umlal => plain(mnemonic(i.kind), format!("{d}, {r}, {n}, {m}")),
        Sdiv | Udiv => plain(mnemonic(i.kind), format!("{d}, {n}, {m}")),
        Load { width, mode } => (access("ldr", width, mode), format!("{d}, {}", address(i, mode))),
        LoadPc { mode } => plain("ldr", format!("pc, {}", address(i, mode))),
        Store { width, mode } => (access("str", width, mode), format!("{d}, {}", address(i, mode))),
        LoadDual { mode } => plain("ldrd", format!("{d}, {m}, {}", address(i, mode))),
        StoreDual { mode } => plain("strd", format!("{d}, {m}, {}", address(i, mode))),
        LoadMulti { db, wb } => multiple(i, true, db, wb),
        StoreMulti { db, wb } => multiple(i, false, db, wb),
        Ldrex(width) => (
            access("ldrex", width, Mode::Offset),
            format!("{d}, {}", address(i, Mode::Offset)),
        ),
        Strex(width) => (
            access("strex", width, Mode::Offset),
            format!("{d}, {m}, {}", address(i, Mode::Offset)),
        ),
        B | Bl => plain(mnemonic(i.kind), format!("{:#010x}", i.imm)),
        Bcond(code) => (
            format!("b{}", CONDITIONS[usize::from(code & 15)]),
            format!("{:#010x}", i.imm),
        ),
        Bx | Blx => plain(mnemonic(i.kind), m.to_owned()),
        Cbz(nonzero) => plain(if nonzero { "cbnz" } else { "cbz" }, format!("{n}, {:#010x}", i.imm)),
        MovPc => plain("mov", format!("pc, {m}")),
        AddPc => plain("add", format!("pc, {m}")),
        Tbx(false) => plain("tbb", format!("[{n}, {m}]")),
        Tbx(true) => plain("tbh", format!("[{n}, {m}, lsl #1]")),
        It => if_then(i.imm),
        Svc | Bkpt => plain(mnemonic(i.kind), format!("#{}", i.imm)),
        Udf | NoCp => (format!("<{}>", encoding(raw, i)), String::new()),
        Mrs => plain("mrs", format!("{d}, {}", special(i.imm))),
        Msr => plain("msr", format!("{}, {n}", special(i.imm & 0xff))),
        Cps => {
            let mut which = String::new();
            which.extend((i.imm & 2 != 0).then_some('i'));
            which.extend((i.imm & 1 != 0).then_some('f'));
            plain(if i.imm & 16 != 0 { "cpsid" } else { "cpsie" }, which)
        }
        Clrex | Wfi | Wfe | Sev => plain(mnemonic(i.kind), String::new()),
    }
}

/// Mnemonics of kinds that have one name whatever their operands.
fn mnemonic(kind: Kind) -> &'static str {
    use Kind::*;
    match kind {
        Bfi => "bfi",
        Sbfx => "sbfx",
        Ubfx => "ubfx",
        Ssat => "ssat",
        Usat => "usat",
        Sxtb => "sxtb",
        Sxth => "sxth",
        Uxtb => "uxtb",
        Uxth => "uxth",
        Rev => "rev",
        Rev16 => "rev16",
        Revsh => "revsh",
        Rbit => "rbit",
        Clz => "clz",
        Mla => "mla",
        Mls => "mls",
        Smull => "smull",
        Umull => "umull",
        Smlal => "smlal",
        Umlal => "umlal",
        Sdiv => "sdiv",
        Udiv => "udiv",
        Clrex => "clrex",
        B => "b",
        Bl => "bl",
        Bx => "bx",
        Blx => "blx",
        Svc => "svc",
        Bkpt => "bkpt",
        Wfi => "wfi",
        Wfe => "wfe",
        Sev => "sev",
        _ => "?",
    }
}

/// The name of the encoding without its number: `dsb`, `nop`.
fn encoding(raw: u32, i: &Insn) -> String {
    let wide = i.size == 4 || is_wide((raw >> 16) as u16);
    let name = find(raw, wide).map_or("undefined", |e| e.name);
    name.split(' ').next().unwrap_or(name).to_lowercase()
}

fn flags(name: &str, s: bool) -> String {
    format!("{name}{}", if s { "s" } else { "" })
}

fn shift_name(ty: Shift) -> &'static str {
    match ty {
        Shift::Lsl => "lsl",
        Shift::Lsr => "lsr",
        Shift::Asr => "asr",
        Shift::Ror => "ror",
    }
}

fn alu(i: &Insn, op: Alu, s: bool, src: Src) -> (String, String) {
    let (d, n, m) = (reg(i.d), reg(i.n), reg(i.m));
    let shift = match src {
        Src::Lsl => "lsl",
        Src::Lsr => "lsr",
        Src::Asr => "asr",
        Src::Ror => "ror",
        Src::Rrx => "rrx",
        Src::Imm | Src::Reg => "",
    };
    if op == Alu::Mov && !shift.is_empty() {
        let amount = if src == Src::Rrx {
            String::new()
        } else {
            format!(", #{}", i.imm)
        };
        return (flags(shift, s), format!("{d}, {m}{amount}"));
    }
    let second = match src {
        Src::Imm => format!("#{:#x}", i.imm),
        Src::Reg => m.to_owned(),
        Src::Rrx => format!("{m}, rrx"),
        _ => format!("{m}, {shift} #{}", i.imm),
    };
    let name = match op {
        Alu::And => "and",
        Alu::Bic => "bic",
        Alu::Orr => "orr",
        Alu::Orn => "orn",
        Alu::Eor => "eor",
        Alu::Add => "add",
        Alu::Adc => "adc",
        Alu::Sbc => "sbc",
        Alu::Sub => "sub",
        Alu::Rsb => "rsb",
        Alu::Mov => "mov",
        Alu::Mvn => "mvn",
        Alu::Tst => "tst",
        Alu::Teq => "teq",
        Alu::Cmn => "cmn",
        Alu::Cmp => "cmp",
    };
    match op {
        Alu::Mov | Alu::Mvn => (flags(name, s), format!("{d}, {second}")),
        Alu::Tst | Alu::Teq | Alu::Cmn | Alu::Cmp => (name.to_owned(), format!("{n}, {second}")),
        _ => (flags(name, s), format!("{d}, {n}, {second}")),
    }
}

fn saturate(i: &Insn) -> String {
    let (bits, shift, asr) = (i.imm & 0xff, i.imm >> 8 & 0xff, i.imm >> 16 & 1);
    let shift = match (shift, asr) {
        (0, _) => String::new(),
        (n, 0) => format!(", lsl #{n}"),
        (n, _) => format!(", asr #{n}"),
    };
    format!("{}, #{bits}, {}{shift}", reg(i.d), reg(i.n))
}

fn access(name: &str, width: Width, mode: Mode) -> String {
    let width = match width {
        Width::Word => "",
        Width::Half => "h",
        Width::Byte => "b",
        Width::SignedHalf => "sh",
        Width::SignedByte => "sb",
    };
    let t = if mode == Mode::Unpriv { "t" } else { "" };
    format!("{name}{width}{t}")
}

fn address(i: &Insn, mode: Mode) -> String {
    let n = reg(i.n);
    let offset = i.imm as i32;
    let sign = if offset < 0 { "-" } else { "" };
    let offset = format!("#{sign}{:#x}", offset.unsigned_abs());
    match mode {
        Mode::Offset | Mode::Unpriv if i.n == 15 => format!("[{:#010x}]", i.imm),
        Mode::Offset | Mode::Unpriv if i.imm == 0 => format!("[{n}]"),
        Mode::Offset | Mode::Unpriv => format!("[{n}, {offset}]"),
        Mode::Pre => format!("[{n}, {offset}]!"),
        Mode::Post => format!("[{n}], {offset}"),
        Mode::Reg if i.imm == 0 => format!("[{n}, {}]", reg(i.m)),
        Mode::Reg => format!("[{n}, {}, lsl #{}]", reg(i.m), i.imm),
    }
}

fn multiple(i: &Insn, load: bool, db: bool, wb: bool) -> (String, String) {
    let names: Vec<_> = (0..16u8).filter(|r| i.imm >> r & 1 != 0).map(reg).collect();
    let list = format!("{{{}}}", names.join(", "));
    match (load, i.n, db, wb) {
        (false, 13, true, true) => ("push".into(), list),
        (true, 13, false, true) => ("pop".into(), list),
        _ => {
            let name = if load { "ldm" } else { "stm" };
            let order = if db { "db" } else { "ia" };
            (
                format!("{name}{order}"),
                format!("{}{}, {list}", reg(i.n), if wb { "!" } else { "" }),
            )
        }
    }
}

/// `ite eq`: each further instruction's letter compares its condition's low bit with the first one's.
fn if_then(state: u32) -> (String, String) {
    let (cond, mask) = (state >> 4 & 15, state & 15);
    let mut name = String::from("it");
    for bit in (mask.trailing_zeros() + 1..4).rev() {
        name.push(if mask >> bit & 1 == cond & 1 { 't' } else { 'e' });
    }
    let cond = if cond >= 14 { "al" } else { CONDITIONS[cond as usize] };
    (name, cond.to_owned())
}

/// Special registers by SYSm (ARM ARM B5.2.2).
fn special(sysm: u32) -> String {
    let name = match sysm {
        0 => "apsr",
        1 => "iapsr",
        2 => "eapsr",
        3 => "xpsr",
        5 => "ipsr",
        6 => "epsr",
        7 => "iepsr",
        8 => "msp",
        9 => "psp",
        16 => "primask",
        17 => "basepri",
        18 => "basepri_max",
        19 => "faultmask",
        20 => "control",
        n => return format!("#{n}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::text;
    use crate::decode::decode;

    fn narrow(raw: u32) -> String {
        text(raw, &decode(raw, false, 0x100, false), 0)
    }
    fn wide(raw: u32) -> String {
        text(raw, &decode(raw, true, 0x100, false), 0)
    }

    // Expected texts are what arm-none-eabi-objdump prints for these words, but for spacing and folded addresses.
    #[test]
    fn halfwords_read_like_assembly() {
        assert_eq!(narrow(0x2005), "movs    r0, #0x5");
        assert_eq!(narrow(0x1840), "adds    r0, r0, r1");
        assert_eq!(narrow(0x0049), "lsls    r1, r1, #1");
        assert_eq!(narrow(0xb510), "push    {r4, lr}");
        assert_eq!(narrow(0xbd10), "pop     {r4, pc}");
        assert_eq!(narrow(0x4770), "bx      lr");
        assert_eq!(narrow(0x6848), "ldr     r0, [r1, #0x4]");
        assert_eq!(narrow(0xd0fe), "beq     0x00000100");
        assert_eq!(narrow(0xbf0c), "ite     eq");
        assert_eq!(narrow(0xbf18), "it      ne");
        assert_eq!(narrow(0xb672), "cpsid   i");
        assert_eq!(narrow(0xbf30), "wfi");
        assert_eq!(narrow(0xbf00), "nop");
        assert_eq!(narrow(0x4901), "ldr     r1, [0x00000108]");
    }

    #[test]
    fn words_read_like_assembly() {
        assert_eq!(wide(0xf7ff_fffe), "bl      0x00000100");
        assert_eq!(wide(0xf3bf_8f4f), "dsb");
        assert_eq!(wide(0xf3ef_8008), "mrs     r0, msp");
        assert_eq!(wide(0xfbb0_f1f2), "udiv    r1, r0, r2");
        assert_eq!(wide(0xe8d0_f001), "tbb     [r0, r1]");
        assert_eq!(wide(0xf851_0b04), "ldr     r0, [r1], #0x4");
        assert_eq!(wide(0xea4f_0030), "rrx     r0, r0");
        assert_eq!(wide(0xf04f_30ff), "mov     r0, #0xffffffff");
        assert_eq!(wide(0xee00_0a10), "<coprocessor>");
    }

    #[test]
    fn conditions_of_an_it_block_show() {
        let insn = decode(0x2001, false, 0x100, true);
        assert_eq!(text(0x2001, &insn, 0x18), "movne   r0, #0x1");
    }
}
