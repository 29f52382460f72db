//! `riscv.sifive.test`: the test finisher, through which a guest ends or restarts the machine. Linux calls it syscon.

#[cfg(test)]
mod tests;

use southbridge_core::{
    Access, CreateError, Ctx, Device, DeviceType, LoadError, Mmio, Properties, Region, ResetPhase, SavedState, role,
};

/// Half-words of the register: what to do, and with which code.
const FAIL: u64 = 0x3333;
const PASS: u64 = 0x5555;
const RESET: u64 = 0x7777;

/// The type.
pub static TYPE: DeviceType = DeviceType {
    name: "riscv.sifive.test",
    summary: "SiFive test finisher: power-off and reset",
    regions: &[Region {
        valid: (2, 4),
        native: (2, 4),
        ..Region::mmio32("regs", 0x1000, &[])
    }],
    roles: &[role!(Finisher as dyn Mmio)],
    create: Finisher::create,
    ..DeviceType::BASE
};

/// A test finisher. It has no state.
pub struct Finisher;

impl Finisher {
    fn create(_: &Properties, _: &mut southbridge_core::Build<'_>) -> Result<Box<dyn Device>, CreateError> {
        Ok(Box::new(Self))
    }
}

impl Mmio for Finisher {
    fn read(&mut self, _: Access, _: &mut Ctx<'_>) -> u64 {
        0
    }

    fn write(&mut self, access: Access, value: u64, cx: &mut Ctx<'_>) {
        let code = (value >> 16 & 0xffff) as u16;
        match (access.offset, value & 0xffff) {
            // A failure without a number is one all the same.
            (0, FAIL) => cx.request_failure(code.max(1)),
            (0, PASS) => cx.request_exit(code),
            (0, RESET) => cx.request_reset(),
            _ => cx.guest_error(format_args!(
                "write of {value:#x} at offset {:#x} means nothing",
                access.offset
            )),
        }
    }
}

impl Device for Finisher {
    fn reset(&mut self, _: ResetPhase, _: &mut Ctx<'_>) {}

    fn save(&self) -> SavedState {
        SavedState::of(1, &())
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        state.read(1)
    }
}
