//! The decoded instruction: what the decoder says and the executor reads. No raw bits live past this point.
//!
//! Register 15 as an *operand* never means the program counter here: the decoder folds the PC into `imm`, and slot 15 of the
//! register file always reads as zero, so that a literal load is a plain load with base 15.

/// Data-processing operation (ARM ARM A5.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Alu {
    And,
    Bic,
    Orr,
    Orn,
    Eor,
    Add,
    Adc,
    Sbc,
    Sub,
    Rsb,
    Mov,
    Mvn,
    Tst,
    Teq,
    Cmn,
    Cmp,
}

/// Second operand of a data-processing operation. Shift amounts (1..=32) are in `imm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Src {
    /// `imm`; `m` tells the carry out: 0 unchanged, 2 clear, 3 set.
    Imm,
    Reg,
    Lsl,
    Lsr,
    Asr,
    Ror,
    Rrx,
}

/// Shift kind of a register-controlled shift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Shift {
    Lsl,
    Lsr,
    Asr,
    Ror,
}

/// Width and extension of a memory access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Width {
    Word,
    Half,
    Byte,
    SignedHalf,
    SignedByte,
}

/// Addressing mode. `Reg` takes the left shift of `m` from `imm`; all others add `imm` (two's complement).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Mode {
    Offset,
    Pre,
    Post,
    Reg,
    /// Offset, done with unprivileged rights (LDRT, STRT).
    Unpriv,
}

/// What an instruction does. Operands are in [`Insn`]; each variant says where unusual ones are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Does nothing: NOP, YIELD, DBG, PLD, PLI, DSB, DMB, ISB.
    Nop,
    /// `d = n op src`.
    #[allow(missing_docs)]
    Alu { op: Alu, s: bool, src: Src },
    /// `d = n shifted by m`.
    #[allow(missing_docs)]
    ShiftReg { ty: Shift, s: bool },
    /// Top half of `d` becomes `imm`.
    Movt,
    /// Bit field operations: `imm` = lsb | width << 8.
    Bfi,
    /// See [`Kind::Bfi`].
    Bfc,
    /// See [`Kind::Bfi`].
    Sbfx,
    /// See [`Kind::Bfi`].
    Ubfx,
    /// Saturate: `imm` = bits | shift << 8 | asr << 16; operand `n`.
    Ssat,
    /// See [`Kind::Ssat`]; to 0..2^bits.
    Usat,
    /// Extend `m` rotated right by `imm`.
    Sxtb,
    /// See [`Kind::Sxtb`].
    Sxth,
    /// See [`Kind::Sxtb`].
    Uxtb,
    /// See [`Kind::Sxtb`].
    Uxth,
    /// Byte and bit reversal and CLZ of `m`.
    Rev,
    /// See [`Kind::Rev`].
    Rev16,
    /// See [`Kind::Rev`].
    Revsh,
    /// See [`Kind::Rev`].
    Rbit,
    /// See [`Kind::Rev`].
    Clz,
    /// `d = n * m`; N and Z when `s`.
    #[allow(missing_docs)]
    Mul { s: bool },
    /// `d = n * m + r[imm]`.
    Mla,
    /// `d = r[imm] - n * m`.
    Mls,
    /// Long multiplies: low half to `d`, high half to `r[imm]`.
    Smull,
    /// See [`Kind::Smull`].
    Umull,
    /// See [`Kind::Smull`].
    Smlal,
    /// See [`Kind::Smull`].
    Umlal,
    /// `d = n / m`.
    Sdiv,
    /// `d = n / m`.
    Udiv,
    /// `d = [address]`.
    #[allow(missing_docs)]
    Load { width: Width, mode: Mode },
    /// Word load into the PC.
    #[allow(missing_docs)]
    LoadPc { mode: Mode },
    /// `[address] = d`.
    #[allow(missing_docs)]
    Store { width: Width, mode: Mode },
    /// `d`, `m` = two words.
    #[allow(missing_docs)]
    LoadDual { mode: Mode },
    /// See [`Kind::LoadDual`].
    #[allow(missing_docs)]
    StoreDual { mode: Mode },
    /// Register list in `imm`, base `n`; `db` = decrement before.
    #[allow(missing_docs)]
    LoadMulti { db: bool, wb: bool },
    /// See [`Kind::LoadMulti`].
    #[allow(missing_docs)]
    StoreMulti { db: bool, wb: bool },
    /// Load exclusive of Word, Half or Byte.
    Ldrex(Width),
    /// Store exclusive: status to `d`, value in `m`.
    Strex(Width),
    /// Drops the exclusive reservation.
    Clrex,
    /// Branch to `imm`.
    B,
    /// Branch to `imm` under the condition.
    Bcond(u8),
    /// Branch to `imm` with link.
    Bl,
    /// Interworking branch to `m`.
    Bx,
    /// Interworking branch to `m` with link.
    Blx,
    /// Branch to `imm` if `n` is zero (or, with true, is not).
    Cbz(bool),
    /// Branch to `r[m]` without interworking (MOV PC).
    MovPc,
    /// Branch to `r[m] + imm` without interworking (ADD PC).
    AddPc,
    /// Table branch: `imm` = the PC read as operand, `n` base, `m` index; true = halfwords.
    Tbx(bool),
    /// If-Then: `imm` = ITSTATE.
    It,
    /// Supervisor call.
    Svc,
    /// Breakpoint with number `imm`.
    Bkpt,
    /// Undefined, or unpredictable and refused.
    Udf,
    /// Coprocessor that is not there.
    NoCp,
    /// `d` = special register `imm`.
    Mrs,
    /// Special register `imm` & 255 = `n`; mask in bits 8..
    Msr,
    /// Change processor state: `imm` bit 0 F, bit 1 I, bit 4 disable.
    Cps,
    /// Wait for interrupt.
    Wfi,
    /// Wait for event.
    Wfe,
    /// Send event.
    Sev,
}

/// One decoded instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Insn {
    /// What it does.
    pub kind: Kind,
    /// Destination (or transfer) register.
    pub d: u8,
    /// First operand or base register.
    pub n: u8,
    /// Second operand register, or as the kind says.
    pub m: u8,
    /// Immediate, or as the kind says.
    pub imm: u32,
    /// Length in bytes: 2 or 4.
    pub size: u8,
}

impl Insn {
    /// An instruction without operands.
    pub(crate) const fn new(kind: Kind) -> Self {
        Insn {
            kind,
            d: 15,
            n: 15,
            m: 15,
            imm: 0,
            size: 2,
        }
    }
    pub(crate) const fn d(mut self, r: u32) -> Self {
        self.d = (r & 15) as u8;
        self
    }
    pub(crate) const fn n(mut self, r: u32) -> Self {
        self.n = (r & 15) as u8;
        self
    }
    pub(crate) const fn m(mut self, r: u32) -> Self {
        self.m = (r & 15) as u8;
        self
    }
    pub(crate) const fn imm(mut self, v: u32) -> Self {
        self.imm = v;
        self
    }

    /// True when no instruction of the same block may follow this one.
    pub fn ends_block(&self) -> bool {
        use Kind::*;
        match self.kind {
            B
            | Bcond(_)
            | Bl
            | Bx
            | Blx
            | Cbz(_)
            | MovPc
            | AddPc
            | Tbx(_)
            | LoadPc { .. }
            | Svc
            | Bkpt
            | Udf
            | NoCp
            | Wfi
            | Wfe => true,
            LoadMulti { .. } => self.imm & 0x8000 != 0,
            _ => false,
        }
    }

    /// True when the instruction may leave SP with its low two bits set, which the register cannot hold.
    pub(crate) fn may_misalign_sp(&self) -> bool {
        use Kind::*;
        match self.kind {
            Alu {
                op: self::Alu::Tst | self::Alu::Teq | self::Alu::Cmp | self::Alu::Cmn,
                ..
            } => false,
            Alu {
                op: self::Alu::Add | self::Alu::Sub,
                src: Src::Imm,
                ..
            } => self.d == 13 && !(self.n == 13 && self.imm & 3 == 0),
            Load { mode, .. } => self.d == 13 || wb_odd(mode, self),
            Store { mode, .. } | LoadPc { mode } => wb_odd(mode, self),
            LoadDual { mode } => self.d == 13 || self.m == 13 || wb_odd(mode, self),
            StoreDual { mode } => wb_odd(mode, self),
            LoadMulti { .. } => self.imm & 0x2000 != 0,
            Smull | Umull | Smlal | Umlal => self.d == 13 || self.imm == 13,
            StoreMulti { .. } | B | Bcond(_) | Bl | Bx | Blx | Cbz(_) | Tbx(_) | Msr | Nop => false,
            _ => self.d == 13,
        }
    }
}

fn wb_odd(mode: Mode, insn: &Insn) -> bool {
    matches!(mode, Mode::Pre | Mode::Post) && insn.n == 13 && insn.imm & 3 != 0
}
