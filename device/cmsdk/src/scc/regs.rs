//! Registers of the Serial Configuration Controller (AN385, "SCC register summary"; AN524 and AN536 for the ones that only those have).

use southbridge_core::Register;

pub(super) const CFG0: u64 = 0x00;
pub(super) const CFG1: u64 = 0x04;
pub(super) const CFG2: u64 = 0x08;
pub(super) const CFG3: u64 = 0x0c;
pub(super) const CFG4: u64 = 0x10;
pub(super) const CFG5: u64 = 0x14;
pub(super) const CFG6: u64 = 0x18;
pub(super) const CFG7: u64 = 0x1c;
pub(super) const CFGDATA_RTN: u64 = 0xa0;
pub(super) const CFGDATA_OUT: u64 = 0xa4;
pub(super) const CFGCTRL: u64 = 0xa8;
pub(super) const CFGSTAT: u64 = 0xac;
pub(super) const DLL: u64 = 0x100;
pub(super) const AID: u64 = 0xff8;
pub(super) const ID: u64 = 0xffc;

pub(super) static TABLE: [Register; 15] = [
    Register::rw(CFG0, "CFG_REG0"),
    Register::rw(CFG1, "CFG_REG1"),
    Register::rw(CFG2, "CFG_REG2"),
    Register::ro(CFG3, "CFG_REG3"),
    Register::ro(CFG4, "CFG_REG4"),
    Register::rw(CFG5, "CFG_REG5"),
    Register::rw(CFG6, "CFG_REG6"),
    Register::rw(CFG7, "CFG_REG7"),
    Register::ro(CFGDATA_RTN, "SYS_CFGDATA_RTN"),
    Register::rw(CFGDATA_OUT, "SYS_CFGDATA_OUT"),
    Register::rw(CFGCTRL, "SYS_CFGCTRL"),
    Register::ro(CFGSTAT, "SYS_CFGSTAT"),
    Register::rw(DLL, "SCC_DLL"),
    Register::ro(AID, "SCC_AID"),
    Register::ro(ID, "SCC_ID"),
];

/// Bits of SYS_CFGCTRL.
pub(super) mod cfgctrl {
    /// Runs the command.
    pub(crate) const START: u32 = 1 << 31;
    /// It is a write.
    pub(crate) const WRITE: u32 = 1 << 30;
    /// What is kept: START reads as 0, two fields are reserved.
    pub(crate) const KEPT: u32 = WRITE | 0x3f << 20 | 0xfff;
    /// After reset: the clock function is selected.
    pub(crate) const RESET: u32 = FUNCTION_CLOCK << 20;
    /// The only function that the boards have: the oscillators.
    pub(crate) const FUNCTION_CLOCK: u32 = 1;

    /// Which function.
    pub(crate) const fn function(word: u32) -> u32 {
        word >> 20 & 0x3f
    }

    /// Which of the function's devices.
    pub(crate) const fn device(word: u32) -> u32 {
        word & 0xfff
    }
}

/// Bits of SYS_CFGSTAT.
pub(super) mod cfgstat {
    /// The command is done.
    pub(crate) const DONE: u32 = 1 << 0;
    /// And it failed.
    pub(crate) const ERROR: u32 = 1 << 1;
}

/// SCC_DLL: everything locked, no mask.
pub(super) const DLL_RESET: u32 = 0xffff_0001;
/// SCC_DLL: which locks bit 0 looks at; all that a guest can write.
pub(super) const DLL_LOCK_MASK: u32 = 0xff00_0000;

/// Which configuration registers an FPGA image has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Image(u32);

impl Image {
    /// By the part number, bits 15:4 of SCC_ID (0x385, 0x524).
    pub(super) const fn of(id: u32) -> Self {
        Self(id >> 4 & 0xfff)
    }

    /// Whether the register at `offset` exists.
    pub(super) const fn has(self, offset: u64) -> bool {
        match offset {
            CFG2 | CFG5 => matches!(self.0, 0x524 | 0x547 | 0x536),
            CFG3 => !matches!(self.0, 0x524 | 0x547 | 0x536),
            CFG6 => matches!(self.0, 0x524 | 0x536),
            CFG7 => matches!(self.0, 0x536),
            _ => true,
        }
    }

    /// Whether CFG_REG0 bit 0 remaps memory and CFG_REG1 drives LEDs; in AN536 they do other things.
    pub(super) const fn has_remap_and_leds(self) -> bool {
        self.0 != 0x536
    }
}
