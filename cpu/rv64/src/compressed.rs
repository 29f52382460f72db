//! C: each 16-bit instruction as the 32-bit one that does the same (Unprivileged ISA, chapter "C", RV64C tables).

/// Bits of `raw`, `n` from `lo` on, moved to `to`.
const fn bits(raw: u16, lo: u32, n: u32, to: u32) -> u32 {
    ((raw as u32 >> lo) & ((1 << n) - 1)) << to
}

const fn i_type(imm: u32, rs1: u32, f3: u32, rd: u32, op: u32) -> u32 {
    (imm & 0xfff) << 20 | rs1 << 15 | f3 << 12 | rd << 7 | op
}

const fn s_type(imm: u32, rs2: u32, rs1: u32, f3: u32, op: u32) -> u32 {
    (imm >> 5 & 0x7f) << 25 | rs2 << 20 | rs1 << 15 | f3 << 12 | (imm & 31) << 7 | op
}

const fn r_type(f7: u32, rs2: u32, rs1: u32, f3: u32, rd: u32, op: u32) -> u32 {
    f7 << 25 | rs2 << 20 | rs1 << 15 | f3 << 12 | rd << 7 | op
}

const fn b_type(imm: u32, rs1: u32, f3: u32) -> u32 {
    (imm >> 12 & 1) << 31
        | (imm >> 5 & 0x3f) << 25
        | rs1 << 15
        | f3 << 12
        | (imm >> 1 & 0xf) << 8
        | (imm >> 11 & 1) << 7
        | 0x63
}

const fn j_type(imm: u32, rd: u32) -> u32 {
    (imm >> 20 & 1) << 31 | (imm >> 1 & 0x3ff) << 21 | (imm >> 11 & 1) << 20 | (imm >> 12 & 0xff) << 12 | rd << 7 | 0x6f
}

/// `v` of `n` bits, sign-extended.
const fn sign(v: u32, n: u32) -> u32 {
    ((v << (32 - n)) as i32 >> (32 - n)) as u32
}

/// The 6-bit immediate of the CI format.
const fn imm6(raw: u16) -> u32 {
    sign(bits(raw, 12, 1, 5) | bits(raw, 2, 5, 0), 6)
}

const SP: u32 = 2;

/// The equivalent; `None` if reserved. `double`: whether the floating-point loads and stores exist.
pub(crate) fn expand(raw: u16, double: bool) -> Option<u32> {
    match raw & 3 {
        0 => quadrant0(raw, double),
        1 => quadrant1(raw),
        2 => quadrant2(raw, double),
        _ => None,
    }
}

fn quadrant0(raw: u16, double: bool) -> Option<u32> {
    let (rs1, rd) = (8 + bits(raw, 7, 3, 0), 8 + bits(raw, 2, 3, 0));
    let word = bits(raw, 10, 3, 3) | bits(raw, 6, 1, 2) | bits(raw, 5, 1, 6);
    let dword = bits(raw, 10, 3, 3) | bits(raw, 5, 2, 6);
    Some(match raw >> 13 {
        0 => {
            let imm = bits(raw, 11, 2, 4) | bits(raw, 7, 4, 6) | bits(raw, 6, 1, 2) | bits(raw, 5, 1, 3);
            if imm == 0 {
                return None;
            }
            i_type(imm, SP, 0, rd, 0x13)
        }
        1 if double => i_type(dword, rs1, 3, rd, 0x07),
        2 => i_type(word, rs1, 2, rd, 0x03),
        3 => i_type(dword, rs1, 3, rd, 0x03),
        5 if double => s_type(dword, rd, rs1, 3, 0x27),
        6 => s_type(word, rd, rs1, 2, 0x23),
        7 => s_type(dword, rd, rs1, 3, 0x23),
        _ => return None,
    })
}

fn quadrant1(raw: u16) -> Option<u32> {
    let rd = bits(raw, 7, 5, 0);
    let short = 8 + bits(raw, 7, 3, 0);
    let branch = sign(
        bits(raw, 12, 1, 8) | bits(raw, 10, 2, 3) | bits(raw, 5, 2, 6) | bits(raw, 3, 2, 1) | bits(raw, 2, 1, 5),
        9,
    );
    Some(match raw >> 13 {
        0 => i_type(imm6(raw), rd, 0, rd, 0x13),
        1 if rd != 0 => i_type(imm6(raw), rd, 0, rd, 0x1b),
        2 => i_type(imm6(raw), 0, 0, rd, 0x13),
        3 if rd == SP => {
            let imm =
                bits(raw, 12, 1, 9) | bits(raw, 6, 1, 4) | bits(raw, 5, 1, 6) | bits(raw, 3, 2, 7) | bits(raw, 2, 1, 5);
            if imm == 0 {
                return None;
            }
            i_type(sign(imm, 10), SP, 0, SP, 0x13)
        }
        3 => {
            if imm6(raw) == 0 {
                return None;
            }
            imm6(raw) << 12 | rd << 7 | 0x37
        }
        4 => return arithmetic(raw, short),
        5 => {
            let imm = bits(raw, 12, 1, 11)
                | bits(raw, 11, 1, 4)
                | bits(raw, 9, 2, 8)
                | bits(raw, 8, 1, 10)
                | bits(raw, 7, 1, 6)
                | bits(raw, 6, 1, 7)
                | bits(raw, 3, 3, 1)
                | bits(raw, 2, 1, 5);
            j_type(sign(imm, 12), 0)
        }
        6 => b_type(branch, short, 0),
        7 => b_type(branch, short, 1),
        _ => return None,
    })
}

fn arithmetic(raw: u16, rd: u32) -> Option<u32> {
    let shamt = bits(raw, 12, 1, 5) | bits(raw, 2, 5, 0);
    let rs2 = 8 + bits(raw, 2, 3, 0);
    Some(match (raw >> 10 & 3, raw >> 12 & 1, raw >> 5 & 3) {
        (0, ..) => i_type(shamt, rd, 5, rd, 0x13),
        (1, ..) => i_type(shamt | 0x400, rd, 5, rd, 0x13),
        (2, ..) => i_type(imm6(raw), rd, 7, rd, 0x13),
        (3, 0, 0) => r_type(0x20, rs2, rd, 0, rd, 0x33),
        (3, 0, 1) => r_type(0, rs2, rd, 4, rd, 0x33),
        (3, 0, 2) => r_type(0, rs2, rd, 6, rd, 0x33),
        (3, 0, 3) => r_type(0, rs2, rd, 7, rd, 0x33),
        (3, 1, 0) => r_type(0x20, rs2, rd, 0, rd, 0x3b),
        (3, 1, 1) => r_type(0, rs2, rd, 0, rd, 0x3b),
        _ => return None,
    })
}

fn quadrant2(raw: u16, double: bool) -> Option<u32> {
    let (rd, rs2) = (bits(raw, 7, 5, 0), bits(raw, 2, 5, 0));
    let load_word = bits(raw, 12, 1, 5) | bits(raw, 4, 3, 2) | bits(raw, 2, 2, 6);
    let load_dword = bits(raw, 12, 1, 5) | bits(raw, 5, 2, 3) | bits(raw, 2, 3, 6);
    let store_word = bits(raw, 9, 4, 2) | bits(raw, 7, 2, 6);
    let store_dword = bits(raw, 10, 3, 3) | bits(raw, 7, 3, 6);
    Some(match raw >> 13 {
        0 => i_type(bits(raw, 12, 1, 5) | rs2, rd, 1, rd, 0x13),
        1 if double => i_type(load_dword, SP, 3, rd, 0x07),
        2 if rd != 0 => i_type(load_word, SP, 2, rd, 0x03),
        3 if rd != 0 => i_type(load_dword, SP, 3, rd, 0x03),
        4 => match (raw >> 12 & 1, rd, rs2) {
            (0, 0, 0) => return None,
            (0, _, 0) => i_type(0, rd, 0, 0, 0x67),
            (0, ..) => r_type(0, rs2, 0, 0, rd, 0x33),
            (_, 0, 0) => 0x0010_0073,
            (_, _, 0) => i_type(0, rd, 0, 1, 0x67),
            _ => r_type(0, rs2, rd, 0, rd, 0x33),
        },
        5 if double => s_type(store_dword, rs2, SP, 3, 0x27),
        6 => s_type(store_word, rs2, SP, 2, 0x23),
        7 => s_type(store_dword, rs2, SP, 3, 0x23),
        _ => return None,
    })
}
