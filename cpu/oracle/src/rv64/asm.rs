//! Instructions that generators need by name.

/// `ra`, where traps outside of the code go on: only jumps write it.
pub const RA: u32 = 1;
/// Where constants are found.
pub const GP: u32 = 3;
/// Scratch of multi-instruction idioms.
pub const T5: u32 = 30;
/// Another.
pub const T6: u32 = 31;

/// I-type.
pub const fn i(op: u32, f3: u32, rd: u32, rs1: u32, imm: i32) -> u32 {
    (imm as u32 & 0xfff) << 20 | rs1 << 15 | f3 << 12 | rd << 7 | op
}
/// S-type.
pub const fn s(op: u32, f3: u32, rs2: u32, rs1: u32, imm: i32) -> u32 {
    let imm = imm as u32;
    (imm >> 5 & 0x7f) << 25 | rs2 << 20 | rs1 << 15 | f3 << 12 | (imm & 31) << 7 | op
}
/// R-type.
pub const fn r(op: u32, f3: u32, f7: u32, rd: u32, rs1: u32, rs2: u32) -> u32 {
    f7 << 25 | rs2 << 20 | rs1 << 15 | f3 << 12 | rd << 7 | op
}
/// `addi`.
pub const fn addi(rd: u32, rs1: u32, imm: i32) -> u32 {
    i(0x13, 0, rd, rs1, imm)
}
/// `ld`.
pub const fn ld(rd: u32, rs1: u32, imm: i32) -> u32 {
    i(0x03, 3, rd, rs1, imm)
}
/// `sd`.
pub const fn sd(rs2: u32, rs1: u32, imm: i32) -> u32 {
    s(0x23, 3, rs2, rs1, imm)
}
/// `auipc`.
pub const fn auipc(rd: u32, imm: u32) -> u32 {
    imm & 0xffff_f000 | rd << 7 | 0x17
}
/// `csrrw` (1), `csrrs` (2), `csrrc` (3) and their forms with an immediate (5 to 7).
pub const fn csr(f3: u32, rd: u32, number: u32, rs1: u32) -> u32 {
    number << 20 | rs1 << 15 | f3 << 12 | rd << 7 | 0x73
}
/// `sfence.vma`.
pub const fn sfence(rs1: u32, rs2: u32) -> u32 {
    r(0x73, 0, 9, 0, rs1, rs2)
}
/// `mret`.
pub const MRET: u32 = 0x3020_0073;
/// `sret`.
pub const SRET: u32 = 0x1020_0073;
