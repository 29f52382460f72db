//! A few x86-64 instructions as bytes (Intel SDM, volume 2): what the quick compiler needs, and no more.

/// A host register by its number in encodings.
pub(super) type Host = u8;

pub(super) const RAX: Host = 0;
pub(super) const RCX: Host = 1;
pub(super) const RDX: Host = 2;
pub(super) const RSP: Host = 4;
/// First parameter of a function.
pub(super) const RDI: Host = 7;

/// Where an operand is that may be in memory.
#[derive(Clone, Copy)]
pub(super) enum Rm {
    Reg(Host),
    /// At a register plus a distance.
    At(Host, i32),
    /// At the sum of two registers plus a distance.
    Sum(Host, Host, i32),
    /// At an address within 2 GiB of the code.
    Near(u64),
}

/// Operations of two operands that the first eight rows of the opcode map have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Alu {
    Add = 0,
    Or = 1,
    And = 4,
    Sub = 5,
    Xor = 6,
    Cmp = 7,
}

/// Shifts and rotations by their number in the group.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shift {
    Rol = 0,
    Ror = 1,
    Shl = 4,
    Shr = 5,
    Sar = 7,
}

/// Conditions by their number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cc {
    Below = 2,
    AboveOrEqual = 3,
    Equal = 4,
    NotEqual = 5,
    Above = 7,
    Less = 12,
    GreaterOrEqual = 13,
}

impl Cc {
    /// The opposite.
    pub(super) fn not(self) -> Self {
        match self {
            Cc::Below => Cc::AboveOrEqual,
            Cc::AboveOrEqual => Cc::Below,
            Cc::Equal => Cc::NotEqual,
            Cc::NotEqual => Cc::Equal,
            Cc::Less => Cc::GreaterOrEqual,
            // Nobody asks for what is at most.
            Cc::GreaterOrEqual | Cc::Above => Cc::Less,
        }
    }
}

/// A jump whose target is not known yet: where its distance stands.
#[derive(Clone, Copy)]
pub(super) struct Jump(usize);

/// Code that will be executed at `base`.
pub(super) struct Asm {
    pub(super) code: Vec<u8>,
    base: u64,
}

impl Asm {
    pub(super) fn new(base: u64) -> Self {
        Self {
            code: Vec::with_capacity(512),
            base,
        }
    }

    pub(super) fn here(&self) -> usize {
        self.code.len()
    }

    fn imm32(&mut self, v: i32) {
        self.code.extend(v.to_le_bytes());
    }

    /// Prefix, REX, opcode, operands. `after` bytes of immediate follow.
    fn emit(&mut self, prefix: Option<u8>, wide: bool, op: &[u8], reg: u8, rm: Rm, after: usize) {
        self.code.extend(prefix);
        let (x, b) = match rm {
            Rm::Reg(r) | Rm::At(r, _) => (0, r >> 3),
            Rm::Sum(base, index, _) => (index >> 3, base >> 3),
            Rm::Near(_) => (0, 0),
        };
        let rex = 0x40 | u8::from(wide) << 3 | (reg >> 3) << 2 | x << 1 | b;
        // Byte registers above the first four need the prefix even if it is empty.
        let is_byte = matches!(op, [0x88] | [0x0f, 0xb6 | 0xbe] | [0x0f, 0x90..=0x9f]);
        if rex != 0x40 || is_byte {
            self.code.push(rex);
        }
        self.code.extend(op);
        self.operands(reg & 7, rm, after);
    }

    fn operands(&mut self, reg: u8, rm: Rm, after: usize) {
        let reg = reg << 3;
        match rm {
            Rm::Reg(r) => self.code.push(0xc0 | reg | r & 7),
            Rm::At(base, d) => {
                let small = i8::try_from(d);
                self.code.push(if small.is_ok() { 0x40 } else { 0x80 } | reg | base & 7);
                if base & 7 == RSP {
                    self.code.push(0x24);
                }
                self.distance(small, d);
            }
            Rm::Sum(base, index, d) => {
                let small = i8::try_from(d);
                self.code.push(if small.is_ok() { 0x44 } else { 0x84 } | reg);
                self.code.push((index & 7) << 3 | base & 7);
                self.distance(small, d);
            }
            Rm::Near(at) => {
                self.code.push(5 | reg);
                let end = self.base + (self.here() + 4 + after) as u64;
                self.imm32(at.wrapping_sub(end) as i32);
            }
        }
    }

    fn distance<E>(&mut self, small: Result<i8, E>, d: i32) {
        match small {
            Ok(d) => self.code.push(d as u8),
            Err(_) => self.imm32(d),
        }
    }

    pub(super) fn load(&mut self, r: Host, from: Rm) {
        self.emit(None, true, &[0x8b], r, from, 0);
    }

    /// Reads 1 to 8 bytes and fills the register.
    pub(super) fn load_part(&mut self, r: Host, from: Rm, bytes: u8, signed: bool) {
        match (bytes, signed) {
            (1, false) => self.emit(None, false, &[0x0f, 0xb6], r, from, 0),
            (1, true) => self.emit(None, true, &[0x0f, 0xbe], r, from, 0),
            (2, false) => self.emit(None, false, &[0x0f, 0xb7], r, from, 0),
            (2, true) => self.emit(None, true, &[0x0f, 0xbf], r, from, 0),
            (4, false) => self.emit(None, false, &[0x8b], r, from, 0),
            (4, true) => self.emit(None, true, &[0x63], r, from, 0),
            _ => self.load(r, from),
        }
    }

    pub(super) fn store(&mut self, r: Host, to: Rm, bytes: u8) {
        match bytes {
            1 => self.emit(None, false, &[0x88], r, to, 0),
            2 => self.emit(Some(0x66), false, &[0x89], r, to, 0),
            4 => self.emit(None, false, &[0x89], r, to, 0),
            _ => self.emit(None, true, &[0x89], r, to, 0),
        }
    }

    /// All 64 bits of what is in memory become a sign-extended constant.
    pub(super) fn store_constant(&mut self, v: i32, to: Rm) {
        self.emit(None, true, &[0xc7], 0, to, 4);
        self.imm32(v);
    }

    pub(super) fn copy(&mut self, to: Host, from: Host) {
        if to != from {
            self.load(to, Rm::Reg(from));
        }
    }

    pub(super) fn constant(&mut self, r: Host, v: u64) {
        if let Ok(v) = u32::try_from(v) {
            if r >= 8 {
                self.code.push(0x41);
            }
            self.code.push(0xb8 | r & 7);
            self.imm32(v as i32);
        } else if let Ok(v) = i32::try_from(v as i64) {
            self.store_constant(v, Rm::Reg(r));
        } else {
            self.code.extend([0x48 | r >> 3, 0xb8 | r & 7]);
            self.code.extend(v.to_le_bytes());
        }
    }

    /// `r = r op with`.
    pub(super) fn alu(&mut self, op: Alu, r: Host, with: Rm) {
        self.emit(None, true, &[(op as u8) << 3 | 3], r, with, 0);
    }

    pub(super) fn alu_constant(&mut self, op: Alu, to: Rm, v: i32) {
        match i8::try_from(v) {
            Ok(v) => {
                self.emit(None, true, &[0x83], op as u8, to, 1);
                self.code.push(v as u8);
            }
            Err(_) => {
                self.emit(None, true, &[0x81], op as u8, to, 4);
                self.imm32(v);
            }
        }
    }

    /// The same on the low 32 bits; those above become 0.
    pub(super) fn and32(&mut self, r: Host, v: i32) {
        self.emit(None, false, &[0x81], Alu::And as u8, Rm::Reg(r), 4);
        self.imm32(v);
    }

    /// One less of 32 bits in memory.
    pub(super) fn count_down(&mut self, at: Rm) {
        self.emit(None, false, &[0x83], Alu::Sub as u8, at, 1);
        self.code.push(1);
    }

    pub(super) fn lea(&mut self, r: Host, at: Rm) {
        self.emit(None, true, &[0x8d], r, at, 0);
    }

    pub(super) fn shift(&mut self, op: Shift, r: Host, n: u8) {
        self.emit(None, true, &[0xc1], op as u8, Rm::Reg(r), 1);
        self.code.push(n & 63);
    }

    /// By as much as RCX says.
    pub(super) fn rotate_by_cl(&mut self, op: Shift, r: Host) {
        self.emit(None, true, &[0xd3], op as u8, Rm::Reg(r), 0);
    }

    /// `to = from shifted by n` (BMI2).
    pub(super) fn shift_by(&mut self, op: Shift, to: Host, from: Host, n: Host) {
        let pp = match op {
            Shift::Shl => 1,
            Shift::Sar => 2,
            _ => 3,
        };
        let high = |r: u8| u8::from(r < 8);
        self.code.extend([
            0xc4,
            high(to) << 7 | 1 << 6 | high(from) << 5 | 2,
            0x80 | (!n & 15) << 3 | pp,
            0xf7,
        ]);
        self.code.push(0xc0 | (to & 7) << 3 | from & 7);
    }

    pub(super) fn multiply(&mut self, r: Host, by: Rm) {
        self.emit(None, true, &[0x0f, 0xaf], r, by, 0);
    }

    /// RDX:RAX = RAX times; or quotient in RAX and remainder in RDX of RDX:RAX. Numbers of the group: 4 mul, 5 imul, 6 div, 7 idiv.
    pub(super) fn group3(&mut self, n: u8, r: Host) {
        self.emit(None, true, &[0xf7], n, Rm::Reg(r), 0);
    }

    pub(super) fn not(&mut self, r: Host) {
        self.group3(2, r);
    }

    /// RDX becomes the sign of RAX.
    pub(super) fn cqo(&mut self) {
        self.code.extend([0x48, 0x99]);
    }

    pub(super) fn swap_bytes(&mut self, r: Host) {
        self.code.extend([0x48 | r >> 3, 0x0f, 0xc8 | r & 7]);
    }

    /// LZCNT (0xbd), TZCNT (0xbc), POPCNT (0xb8).
    pub(super) fn count_bits(&mut self, op: u8, to: Host, from: Host) {
        self.emit(Some(0xf3), true, &[0x0f, op], to, Rm::Reg(from), 0);
    }

    pub(super) fn test(&mut self, r: Host) {
        self.emit(None, true, &[0x85], r, Rm::Reg(r), 0);
    }

    /// Whether any of these low bits is set.
    pub(super) fn test_bits(&mut self, r: Host, bits: i32) {
        self.emit(None, false, &[0xf7], 0, Rm::Reg(r), 4);
        self.imm32(bits);
    }

    pub(super) fn compare_byte_with_0(&mut self, at: Rm) {
        self.emit(None, false, &[0x80], Alu::Cmp as u8, at, 1);
        self.code.push(0);
    }

    /// `r` becomes 1 if the condition holds, else 0.
    pub(super) fn set(&mut self, cc: Cc, r: Host) {
        self.emit(None, false, &[0x0f, 0x90 | cc as u8], 0, Rm::Reg(r), 0);
        self.emit(None, false, &[0x0f, 0xb6], r, Rm::Reg(r), 0);
    }

    pub(super) fn copy_if(&mut self, cc: Cc, to: Host, from: Host) {
        self.emit(None, true, &[0x0f, 0x40 | cc as u8], to, Rm::Reg(from), 0);
    }

    pub(super) fn fence(&mut self) {
        self.code.extend([0x0f, 0xae, 0xf0]);
    }

    pub(super) fn jump_through(&mut self, at: Rm) {
        self.emit(None, false, &[0xff], 4, at, 0);
    }

    pub(super) fn ret(&mut self) {
        self.code.push(0xc3);
    }

    pub(super) fn call(&mut self, to: u64) {
        self.code.push(0xe8);
        self.far(to);
    }

    pub(super) fn jump_far(&mut self, to: u64) {
        self.code.push(0xe9);
        self.far(to);
    }

    pub(super) fn jump_far_if(&mut self, cc: Cc, to: u64) {
        self.code.extend([0x0f, 0x80 | cc as u8]);
        self.far(to);
    }

    fn far(&mut self, to: u64) {
        let end = self.base + self.here() as u64 + 4;
        self.imm32(to.wrapping_sub(end) as i32);
    }

    pub(super) fn jump_if(&mut self, cc: Cc) -> Jump {
        self.code.extend([0x0f, 0x80 | cc as u8]);
        self.imm32(0);
        Jump(self.here())
    }

    pub(super) fn jump(&mut self) -> Jump {
        self.code.push(0xe9);
        self.imm32(0);
        Jump(self.here())
    }

    /// The jump goes to a place in this code.
    pub(super) fn bind(&mut self, jump: Jump, to: usize) {
        let distance = (to as i64 - jump.0 as i64) as i32;
        if let Some(there) = self.code.get_mut(jump.0 - 4..jump.0) {
            there.copy_from_slice(&distance.to_le_bytes());
        }
    }
}
