//! `riscv.imsic`: the memory side of a hart's incoming MSI controller (RISC-V AIA specification 1.0, chapter 3).
//!
//! One page for each interrupt file: machine level alone, or supervisor level and then its guests. A write here is a message to the hart,
//! which keeps all state (pending, enabled, threshold) because only its CSRs show it; so this part has none.

#[cfg(test)]
mod tests;

use southbridge_core::cpu::CpuId;
use southbridge_core::{
    Access, Build, CreateError, Ctx, Device, DeviceType, LoadError, Mmio, Properties, Region, ResetPhase, SavedState,
    role,
};

use crate::{MAX_HARTS, flag, in_range, uint32};

const PAGE: u64 = 0x1000;
/// Registers of a page (section 3.5): the identity in either byte order.
const SETEIPNUM_LE: u64 = 0;
const SETEIPNUM_BE: u64 = 4;

/// Inputs of a hart from this on are messages: file and identity.
const MESSAGE: u32 = 0x10000;
const FILE_SHIFT: u32 = 12;
const FILE_SUPERVISOR: u32 = 1;
/// Identities that the specification has room for, and one.
const MAX_IRQS: u64 = 2048;
/// A supervisor's file and those of as many guests as a register has bits for.
const MAX_PAGES: u64 = 64;

/// The type.
pub static TYPE: DeviceType = DeviceType {
    name: "riscv.imsic",
    summary: "RISC-V incoming MSI controller (IMSIC)",
    properties: &[
        flag("mmode", "off", "the machine-level file instead of the supervisor's"),
        uint32("hartid", "0", "the hart that hears"),
        uint32("num-pages", "1", "interrupt files: the supervisor's and its guests'"),
        uint32("num-irqs", "256", "interrupt identities, with 0, which does not exist"),
    ],
    regions: &[Region {
        valid: (4, 4),
        ..Region::mmio32("files", PAGE, &[])
    }],
    roles: &[role!(Imsic as dyn Mmio)],
    create: Imsic::create,
    ..DeviceType::BASE
};

/// The memory side of an IMSIC.
pub struct Imsic {
    hart: CpuId,
    first_file: u32,
    irqs: u32,
}

impl Imsic {
    fn create(p: &Properties, build: &mut Build<'_>) -> Result<Box<dyn Device>, CreateError> {
        let machine = p.bool("mmode");
        let pages = in_range(p, "num-pages", 1, if machine { 1 } else { MAX_PAGES })?;
        let irqs = in_range(p, "num-irqs", 64, MAX_IRQS)?;
        if irqs % 64 != 0 {
            return Err(CreateError::BadValue {
                property: "num-irqs",
                value: irqs.to_string(),
                expected: "a multiple of 64".into(),
            });
        }
        let hart = in_range(p, "hartid", 0, u64::from(MAX_HARTS) - 1)?;
        build.region_size(0, pages * PAGE);
        Ok(Box::new(Self {
            hart: CpuId(hart as _),
            first_file: if machine { 0 } else { FILE_SUPERVISOR },
            irqs: irqs as u32,
        }))
    }
}

impl Mmio for Imsic {
    /// All registers read as zero (section 3.5).
    fn read(&mut self, _: Access, _: &mut Ctx<'_>) -> u64 {
        0
    }

    fn write(&mut self, access: Access, value: u64, cx: &mut Ctx<'_>) {
        let identity = match access.offset % PAGE {
            SETEIPNUM_LE => value as u32,
            SETEIPNUM_BE => (value as u32).swap_bytes(),
            _ => {
                cx.guest_error(format_args!("no register at offset {:#x}", access.offset));
                return;
            }
        };
        // Identities that are not implemented are ignored (section 3.5).
        if (1..self.irqs).contains(&identity) {
            let file = self.first_file + (access.offset / PAGE) as u32;
            cx.message_cpu(self.hart, MESSAGE | file << FILE_SHIFT | identity);
        }
    }
}

impl Device for Imsic {
    fn reset(&mut self, _: ResetPhase, _: &mut Ctx<'_>) {}

    fn save(&self) -> SavedState {
        let Self {
            hart: _,
            first_file: _,
            irqs: _,
        } = self;
        SavedState::of(1, &())
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        state.read(1)
    }
}
