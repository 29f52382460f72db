//! The instruction table's row, the operands that a format has, and the operation that a block holds.
//!
//! Each file under `exec/` has the rows of its extension at its head and their semantics below. Decoder and disassembler know nothing
//! but rows; a row is also what a second engine would translate from.

use southbridge_core::System;

use crate::ext::Extensions;
use crate::hart::{Flow, Hart};

/// What an operation does. It reads operands from the [`Op`], never from raw bits.
pub(crate) type Handler = fn(&mut Hart, &mut System, &Op) -> Flow;

/// Which operands an instruction has and where they stand in its 32 bits (Unprivileged ISA, "Instruction Formats"). `F` registers are
/// never renamed; an integer destination `x0` becomes [`SINK`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// No operands.
    None,
    /// No operands; `imm` is the instruction's own distance from the block's start.
    Here,
    /// `rd, rs1, rs2`.
    R,
    /// `rd, rs1`.
    R2,
    /// `rd, rs1, imm`.
    I,
    /// `rd, rs1, shamt` of 6 bits.
    Shift,
    /// `rd, rs1, shamt` of 5 bits.
    ShiftW,
    /// `rd, imm(rs1)`.
    Load,
    /// `rd, imm(rs1)` that jumps.
    Jalr,
    /// `rs2, imm(rs1)`.
    Store,
    /// `rs1, rs2, target`; `imm` is the distance from the block's start.
    Branch,
    /// `rd, imm`; `imm` is the sign-extended value of the upper 20 bits.
    Lui,
    /// As [`Format::Lui`], but `imm` is the distance from the block's start.
    Auipc,
    /// `rd, target`; `imm` is the distance from the block's start.
    Jal,
    /// `rd, csr, rs1`; `imm` is the number of the CSR.
    Csr,
    /// `rd, csr, uimm`; the immediate is in `rs1`.
    CsrImm,
    /// `rd, rs2, (rs1)`.
    Amo,
    /// `rd, (rs1)`.
    Lr,
    /// `rs1, rs2` without a destination (`sfence.vma`).
    Fence2,
    /// `(rs1)` without a destination (cache blocks).
    Address,
    /// Predecessor and successor sets in `imm`.
    Fence,
    /// `fd, imm(rs1)`.
    FLoad,
    /// `fs2, imm(rs1)`.
    FStore,
    /// `fd, fs1, fs2`.
    F3,
    /// `fd, fs1, fs2, rm`; `imm` is the rounding mode field.
    F3Rm,
    /// `fd, fs1, fs2, fs3, rm`; `imm` is rm | fs3 << 8.
    F4Rm,
    /// `fd, fs1, rm`.
    F2Rm,
    /// `rd, fs1, fs2`.
    FCompare,
    /// `rd, fs1, rm`.
    FToXRm,
    /// `fd, rs1, rm`.
    XToFRm,
    /// `rd, fs1`.
    FToX,
    /// `fd, rs1`.
    XToF,
}

impl Format {
    /// Whether the destination is an integer register.
    pub(crate) const fn writes_x(self) -> bool {
        use Format::*;
        matches!(
            self,
            R | R2
                | I
                | Shift
                | ShiftW
                | Load
                | Jalr
                | Lui
                | Auipc
                | Jal
                | Csr
                | CsrImm
                | Amo
                | Lr
                | FCompare
                | FToXRm
                | FToX
        )
    }
}

/// How an instruction and its block go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Only writes its integer destination: does nothing at all when that is `x0`.
    Pure,
    /// Goes on with the next instruction unless its [`Flow`] says otherwise.
    Plain,
    /// The last of its block.
    Ends,
}

/// A row of the instruction table.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Mnemonic.
    pub(crate) name: &'static str,
    /// Bits that make the instruction what it is.
    pub(crate) mask: u32,
    /// What those bits are.
    pub(crate) bits: u32,
    /// Operands.
    pub(crate) format: Format,
    /// All of these must be there.
    pub(crate) ext: Extensions,
    /// Place in a block.
    pub(crate) kind: Kind,
    /// Semantics.
    pub(crate) run: Handler,
}

const OPCODE: u32 = 0x7f;
const FUNCT3: u32 = 7 << 12;
const FUNCT7: u32 = 0x7f << 25;
const RS2: u32 = 31 << 20;

impl Entry {
    /// Any row.
    pub(crate) const fn new(
        name: &'static str,
        mask: u32,
        bits: u32,
        format: Format,
        ext: Extensions,
        run: Handler,
    ) -> Self {
        Self {
            name,
            mask,
            bits,
            format,
            ext,
            kind: Kind::Plain,
            run,
        }
    }

    /// Register-register: opcode, funct3, funct7. Pure.
    pub(crate) const fn r(name: &'static str, op: u32, f3: u32, f7: u32, ext: Extensions, run: Handler) -> Self {
        let bits = op | f3 << 12 | f7 << 25;
        Self::new(name, OPCODE | FUNCT3 | FUNCT7, bits, Format::R, ext, run).kind(Kind::Pure)
    }

    /// Register-register with the rs2 field as part of the opcode (`rd, rs1`). Pure.
    pub(crate) const fn r2(
        name: &'static str,
        op: u32,
        f3: u32,
        f7: u32,
        rs2: u32,
        ext: Extensions,
        run: Handler,
    ) -> Self {
        let bits = op | f3 << 12 | f7 << 25 | rs2 << 20;
        Self::new(name, OPCODE | FUNCT3 | FUNCT7 | RS2, bits, Format::R2, ext, run).kind(Kind::Pure)
    }

    /// Register-immediate: opcode, funct3. Pure.
    pub(crate) const fn i(name: &'static str, op: u32, f3: u32, ext: Extensions, run: Handler) -> Self {
        Self::new(name, OPCODE | FUNCT3, op | f3 << 12, Format::I, ext, run).kind(Kind::Pure)
    }

    /// Shift by an immediate: opcode, funct3, the bits above the shift amount (funct6 for 6-bit amounts, funct7 for 5-bit ones). Pure.
    pub(crate) const fn shift(
        name: &'static str,
        op: u32,
        f3: u32,
        top: u32,
        wide: bool,
        ext: Extensions,
        run: Handler,
    ) -> Self {
        let (mask, bits, format) = if wide {
            (0x3f << 26, top << 26, Format::Shift)
        } else {
            (FUNCT7, top << 25, Format::ShiftW)
        };
        Self::new(name, OPCODE | FUNCT3 | mask, op | f3 << 12 | bits, format, ext, run).kind(Kind::Pure)
    }

    /// Opcode and funct3, with another format.
    pub(crate) const fn op3(
        name: &'static str,
        op: u32,
        f3: u32,
        format: Format,
        ext: Extensions,
        run: Handler,
    ) -> Self {
        Self::new(name, OPCODE | FUNCT3, op | f3 << 12, format, ext, run)
    }

    /// Floating point with a rounding mode: funct7, and rs2 if it is part of the opcode.
    pub(crate) const fn fp_rm(
        name: &'static str,
        f7: u32,
        rs2: Option<u32>,
        format: Format,
        ext: Extensions,
        run: Handler,
    ) -> Self {
        match rs2 {
            Some(rs2) => Self::new(
                name,
                OPCODE | FUNCT7 | RS2,
                0x53 | f7 << 25 | rs2 << 20,
                format,
                ext,
                run,
            ),
            None => Self::new(name, OPCODE | FUNCT7, 0x53 | f7 << 25, format, ext, run),
        }
    }

    /// Floating point with funct3 in the rounding mode's place: funct7, funct3, and rs2 if it is part of the opcode.
    pub(crate) const fn fp(
        name: &'static str,
        f7: u32,
        f3: u32,
        rs2: Option<u32>,
        format: Format,
        ext: Extensions,
        run: Handler,
    ) -> Self {
        let e = Self::fp_rm(name, f7, rs2, format, ext, run);
        Self {
            mask: e.mask | FUNCT3,
            bits: e.bits | f3 << 12,
            ..e
        }
    }

    /// The same with another place in its block.
    pub(crate) const fn kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }
}

/// Where writes to `x0` go. Reads of `x0` find the register that nothing writes.
pub(crate) const SINK: u8 = 32;

/// One operation of a decoded block.
#[derive(Clone, Copy)]
pub(crate) struct Op {
    /// What it does.
    pub(crate) run: Handler,
    /// Immediate, or as the format says.
    pub(crate) imm: i32,
    /// Destination: integer with `x0` as [`SINK`], or floating point.
    pub(crate) rd: u8,
    /// First source.
    pub(crate) rs1: u8,
    /// Second source. For jumps with a link: the distance of the next instruction from the block's start.
    pub(crate) rs2: u8,
    /// Instructions before this one in the block.
    pub(crate) idx: u8,
    /// Of the instruction before, where one operation does both ([`crate::exec::pairs`]): immediate, destination, sources.
    pub(crate) before: (i32, u8, u8, u8),
}

impl Op {
    /// The first of two instructions as an operation of its own, but for its handler.
    #[inline(always)]
    pub(crate) fn first(&self) -> Op {
        let (imm, rd, rs1, rs2) = self.before;
        Op {
            run: self.run,
            imm,
            rd,
            rs1,
            rs2,
            idx: self.idx.wrapping_sub(1),
            before: (0, 0, 0, 0),
        }
    }

    /// This operation and the one before it in one.
    pub(crate) fn after(self, first: &Op, run: Handler) -> Op {
        Op {
            run,
            before: (first.imm, first.rd, first.rs1, first.rs2),
            ..self
        }
    }
}

/// A decoded instruction.
#[derive(Clone, Copy)]
pub(crate) struct Insn {
    /// Its row.
    pub(crate) entry: &'static Entry,
    /// Destination register field.
    pub(crate) rd: u8,
    /// First source field.
    pub(crate) rs1: u8,
    /// Second source field.
    pub(crate) rs2: u8,
    /// Immediate, relative to the instruction itself where it is a distance.
    pub(crate) imm: i32,
}

impl Insn {
    /// Reads the operands of `raw`, an instruction of that row.
    pub(crate) fn of(entry: &'static Entry, raw: u32) -> Self {
        let field = |at: u32| (raw >> at & 31) as u8;
        Self {
            entry,
            rd: field(7),
            rs1: field(15),
            rs2: field(20),
            imm: immediate(entry.format, raw),
        }
    }

    /// The operation that does it as number `idx` of a block, `at` bytes behind the block's start, `len` bytes long.
    pub(crate) fn lower(&self, idx: u8, at: u8, len: u8) -> Op {
        let format = self.entry.format;
        let relative = matches!(format, Format::Branch | Format::Auipc | Format::Jal | Format::Here);
        let links = matches!(format, Format::Jal | Format::Jalr);
        Op {
            run: self.entry.run,
            imm: if relative {
                self.imm.wrapping_add(at.into())
            } else {
                self.imm
            },
            rd: if self.rd == 0 && format.writes_x() {
                SINK
            } else {
                self.rd
            },
            rs1: self.rs1,
            rs2: if links { at.wrapping_add(len) } else { self.rs2 },
            idx,
            before: (0, 0, 0, 0),
        }
    }
}

fn immediate(format: Format, raw: u32) -> i32 {
    use Format::*;
    let s = raw as i32;
    let bits = |lo: u32, n: u32, to: u32| ((raw >> lo & ((1 << n) - 1)) << to) as i32;
    match format {
        I | Load | Jalr | FLoad => s >> 20,
        Shift => bits(20, 6, 0),
        ShiftW => bits(20, 5, 0),
        Store | FStore => (s >> 25 << 5) | bits(7, 5, 0),
        Branch => (s >> 31 << 12) | bits(7, 1, 11) | bits(25, 6, 5) | bits(8, 4, 1),
        Lui | Auipc => s & !0xfff,
        Jal => (s >> 31 << 20) | bits(12, 8, 12) | bits(20, 1, 11) | bits(21, 10, 1),
        Csr | CsrImm | Fence => bits(20, 12, 0),
        F3Rm | F2Rm | FToXRm | XToFRm => bits(12, 3, 0),
        F4Rm => bits(12, 3, 0) | bits(27, 5, 8),
        None | Here | R | R2 | Amo | Lr | Fence2 | Address | F3 | FCompare | FToX | XToF => 0,
    }
}
