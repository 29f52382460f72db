//! What surrounds an operation: the rounding direction it shall use and the exceptions it raised.

/// Rounding-direction attributes (IEEE 754-2019, 4.3). The numbers are RISC-V's `frm` encoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Rounding {
    /// To nearest, ties to even (RNE).
    #[default]
    NearestEven = 0,
    /// Towards zero (RTZ).
    TowardZero = 1,
    /// Towards minus infinity (RDN).
    Down = 2,
    /// Towards plus infinity (RUP).
    Up = 3,
    /// To nearest, ties away from zero (RMM).
    NearestAway = 4,
}

impl Rounding {
    /// The mode that RISC-V's `frm` or `rm` field (3 bits) names; `None` for the reserved 5 and 6, and for 7 (dynamic).
    pub const fn from_frm(frm: u8) -> Option<Self> {
        Some(match frm {
            0 => Self::NearestEven,
            1 => Self::TowardZero,
            2 => Self::Down,
            3 => Self::Up,
            4 => Self::NearestAway,
            _ => return None,
        })
    }
}

/// The five exceptions (IEEE 754-2019, 7) as a set. The bits are RISC-V's `fflags`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(u8);

impl Flags {
    /// No exception.
    pub const NONE: Self = Self(0);
    /// NX: the result was rounded.
    pub const INEXACT: Self = Self(1);
    /// UF: the result is tiny and inexact.
    pub const UNDERFLOW: Self = Self(2);
    /// OF: the rounded result exceeds the largest finite number.
    pub const OVERFLOW: Self = Self(4);
    /// DZ: an exact infinite result from finite operands.
    pub const DIVIDE_BY_ZERO: Self = Self(8);
    /// NV: there is no usefully definable result.
    pub const INVALID: Self = Self(16);

    /// The flags of an `fflags` value; bits above 4 are dropped.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & 0x1f)
    }

    /// As an `fflags` value.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether all of `other` is set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Adds `other`. Flags are sticky: nothing in this crate clears one.
    pub const fn raise(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// Rounding mode in, exceptions out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Env {
    /// The direction that results are rounded in.
    pub rounding: Rounding,
    /// Exceptions so far. Passing the sticky flags of the guest in, instead of none, lets operations whose only possible
    /// exception is already set take a shorter way.
    pub flags: Flags,
}

impl Env {
    /// A mode, and no exceptions yet.
    pub const fn new(rounding: Rounding) -> Self {
        Self {
            rounding,
            flags: Flags::NONE,
        }
    }
}
