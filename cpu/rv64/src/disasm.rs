//! Text of instructions, from the rows of the instruction table.

use crate::csr;
use crate::debug::{F_NAMES, X_NAMES};
use crate::decode::Decoder;
use crate::ext::Extensions;
use crate::insn::{Format, Insn};
use std::sync::LazyLock;

/// Texts exist for everything, whatever the hart at hand has.
static ALL: LazyLock<Decoder> = LazyLock::new(|| Decoder::new(Extensions::all()));

/// The instruction at `pc`, of which `code` has the first bytes, and its length. `None` if those are too few.
pub fn at(pc: u64, code: &[u8]) -> Option<(usize, String)> {
    let first = u16::from_le_bytes([*code.first()?, *code.get(1)?]);
    let raw = match Decoder::length(first) {
        2 => u32::from(first),
        _ => u32::from(first) | u32::from(u16::from_le_bytes([*code.get(2)?, *code.get(3)?])) << 16,
    };
    let len = usize::from(Decoder::length(first));
    let text = match ALL.decode(raw) {
        Some(insn) => text(pc, &insn),
        None if len == 2 => format!(".half 0x{raw:04x}"),
        None => format!(".word 0x{raw:08x}"),
    };
    Some((len, text))
}

fn x(n: u8) -> &'static str {
    X_NAMES[usize::from(n & 31)]
}

fn f(n: u8) -> &'static str {
    F_NAMES[usize::from(n & 31)]
}

fn rounding(imm: i32) -> &'static str {
    match imm & 7 {
        0 => ", rne",
        1 => ", rtz",
        2 => ", rdn",
        3 => ", rup",
        4 => ", rmm",
        7 => "",
        _ => ", reserved",
    }
}

fn csr_name(imm: i32) -> String {
    csr::name(imm as u16).map_or_else(|| format!("0x{imm:x}"), str::to_owned)
}

fn fence_set(bits: i32) -> String {
    let set: String = ["i", "o", "r", "w"]
        .into_iter()
        .enumerate()
        .filter(|(i, _)| bits >> (3 - i) & 1 != 0)
        .map(|(_, s)| s)
        .collect();
    if set.is_empty() { "0".to_owned() } else { set }
}

fn text(pc: u64, i: &Insn) -> String {
    let (rd, rs1, rs2, imm) = (i.rd, i.rs1, i.rs2, i.imm);
    let target = pc.wrapping_add(imm as i64 as u64);
    let rm = rounding(imm);
    let operands = match i.entry.format {
        Format::None | Format::Here => String::new(),
        Format::R => format!("{}, {}, {}", x(rd), x(rs1), x(rs2)),
        Format::R2 => format!("{}, {}", x(rd), x(rs1)),
        Format::I | Format::Shift | Format::ShiftW => format!("{}, {}, {imm}", x(rd), x(rs1)),
        Format::Load | Format::Jalr => format!("{}, {imm}({})", x(rd), x(rs1)),
        Format::Store => format!("{}, {imm}({})", x(rs2), x(rs1)),
        Format::Branch => format!("{}, {}, 0x{target:x}", x(rs1), x(rs2)),
        Format::Lui | Format::Auipc => format!("{}, 0x{:x}", x(rd), imm as u32 >> 12),
        Format::Jal => format!("{}, 0x{target:x}", x(rd)),
        Format::Csr => format!("{}, {}, {}", x(rd), csr_name(imm), x(rs1)),
        Format::CsrImm => format!("{}, {}, {rs1}", x(rd), csr_name(imm)),
        Format::Amo => format!("{}, {}, ({})", x(rd), x(rs2), x(rs1)),
        Format::Lr => format!("{}, ({})", x(rd), x(rs1)),
        Format::Fence2 => format!("{}, {}", x(rs1), x(rs2)),
        Format::Address => format!("({})", x(rs1)),
        Format::Fence => format!("{}, {}", fence_set(imm >> 4), fence_set(imm)),
        Format::FLoad => format!("{}, {imm}({})", f(rd), x(rs1)),
        Format::FStore => format!("{}, {imm}({})", f(rs2), x(rs1)),
        Format::F3 => format!("{}, {}, {}", f(rd), f(rs1), f(rs2)),
        Format::F3Rm => format!("{}, {}, {}{rm}", f(rd), f(rs1), f(rs2)),
        Format::F4Rm => format!("{}, {}, {}, {}{rm}", f(rd), f(rs1), f(rs2), f((imm >> 8) as u8)),
        Format::F2Rm => format!("{}, {}{rm}", f(rd), f(rs1)),
        Format::FCompare => format!("{}, {}, {}", x(rd), f(rs1), f(rs2)),
        Format::FToXRm => format!("{}, {}{rm}", x(rd), f(rs1)),
        Format::XToFRm => format!("{}, {}{rm}", f(rd), x(rs1)),
        Format::FToX => format!("{}, {}", x(rd), f(rs1)),
        Format::XToF => format!("{}, {}", f(rd), x(rs1)),
    };
    match operands.as_str() {
        "" => i.entry.name.to_owned(),
        operands => format!("{:<10} {operands}", i.entry.name),
    }
}
