//! How a hart is configured: what `-cpu` says of it, and what its board does.

use southbridge_core::CpuId;

use crate::ext::Extensions;

/// The largest translation scheme of a hart; it has the smaller ones too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mmu {
    /// No translation: `satp` is zero.
    Bare,
    /// Three levels.
    Sv39,
    /// Four levels.
    Sv48,
    /// Five levels.
    Sv57,
}

impl Mmu {
    /// Name in a device tree (`mmu-type`).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bare => "riscv,none",
            Self::Sv39 => "riscv,sv39",
            Self::Sv48 => "riscv,sv48",
            Self::Sv57 => "riscv,sv57",
        }
    }

    /// Levels of the scheme that a `satp.MODE` means, if the hart has it.
    pub(crate) fn levels(self, satp_mode: u64) -> Option<u32> {
        let (scheme, levels) = match satp_mode {
            8 => (Self::Sv39, 3),
            9 => (Self::Sv48, 4),
            10 => (Self::Sv57, 5),
            _ => return None,
        };
        (scheme <= self).then_some(levels)
    }
}

/// Bytes of a cache block, for `cbo.*` and in the device tree.
pub const CACHE_BLOCK: u64 = 64;

/// A hart's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which CPU of the machine it is.
    pub cpu: CpuId,
    /// `mhartid`.
    pub hart_id: u64,
    /// The model's name in `-cpu`.
    pub model: &'static str,
    /// Extensions.
    pub extensions: Extensions,
    /// Largest translation scheme.
    pub mmu: Mmu,
    /// PMP entries, 0 to 16.
    pub pmp: u8,
    /// Interrupt identities of each interrupt file: 63 to 2047, one less than a multiple of 64. 0: no interrupt files.
    pub imsic_ids: u32,
    /// Whether an ECALL from S-mode is for firmware on the host's side (`Exit::FirmwareCall`) instead of a trap.
    pub firmware: bool,
    /// The PC after reset.
    pub reset_pc: u64,
    /// `mvendorid`.
    pub vendor_id: u32,
    /// `marchid`.
    pub arch_id: u64,
    /// `mimpid`.
    pub imp_id: u64,
}

impl Config {
    /// `-cpu rv64` as hart `hart_id`, CPU number `cpu` of its machine.
    pub fn new(cpu: CpuId, hart_id: u64) -> Self {
        Self {
            cpu,
            hart_id,
            model: "rv64",
            extensions: Extensions::default().normalized(),
            mmu: Mmu::Sv57,
            pmp: 16,
            imsic_ids: 0,
            firmware: false,
            reset_pc: 0x1000,
            vendor_id: 0,
            arch_id: 0,
            imp_id: 0,
        }
    }

    /// `-cpu max`: everything.
    pub fn max(cpu: CpuId, hart_id: u64) -> Self {
        Self {
            model: "max",
            // AIA is the board's to say. Who has both schemes of A and D starts with page faults: hardware updates are asked for.
            extensions: Extensions::all() - Extensions::SMAIA - Extensions::SSAIA,
            ..Self::new(cpu, hart_id)
        }
    }

    /// Switches a property of `-cpu` on or off: an extension, `mmu`, `pmp`, `sv39`, `sv48` or `sv57`. `false` if there is none of that
    /// name.
    pub fn set_property(&mut self, name: &str, on: bool) -> bool {
        if let Some(ext) = Extensions::named(name) {
            self.extensions.set(ext, on);
            if !on {
                // What implies it goes too.
                for (_, other, _) in crate::ext::NAMES {
                    if let Some(flag) = Extensions::named(other)
                        && self.extensions.contains(flag)
                        && flag.normalized().contains(ext)
                        && flag != ext
                        && ext != Extensions::I
                    {
                        self.extensions.remove(flag);
                    }
                }
            }
            self.extensions = self.extensions.normalized();
            return true;
        }
        let scheme = |mmu, below| if on { mmu } else { below };
        match name {
            "mmu" => self.mmu = scheme(self.mmu.max(Mmu::Sv39), Mmu::Bare),
            "pmp" => self.pmp = if on { 16 } else { 0 },
            "sv39" => self.mmu = scheme(self.mmu.max(Mmu::Sv39), Mmu::Bare),
            "sv48" => self.mmu = scheme(self.mmu.max(Mmu::Sv48), self.mmu.min(Mmu::Sv39)),
            "sv57" => self.mmu = scheme(self.mmu.max(Mmu::Sv57), self.mmu.min(Mmu::Sv48)),
            _ => return false,
        }
        true
    }
}
