//! `versatile_i2c`: the two wires of an I2C bus, moved by the guest itself (SBCon, in MPS2, Versatile and RealView boards).
//!
//! After reset the wires are released and read as 1. QEMU's model reads 0 until the first write.

mod regs;
mod state;
#[cfg(test)]
mod tests;

use southbridge_bus_i2c::{self as i2c, I2cEvent};
use southbridge_core::{
    Access, Build, BusDecl, BusKind, CreateError, Ctx, Device, DeviceType, LoadError, Mmio, Properties, Region,
    ResetPhase, SavedState, role,
};
use state::{State, Targets};

/// The type.
pub static TYPE: DeviceType = DeviceType {
    name: "versatile_i2c",
    summary: "Arm SBCon two-wire interface",
    regions: &[Region::mmio32("arm_sbcon_i2c", 0x1000, &regs::TABLE)],
    buses: &[BusDecl {
        name: "i2c",
        kind: BusKind::I2c,
    }],
    roles: &[role!(SbconI2c as dyn Mmio)],
    create,
    ..DeviceType::BASE
};

const VERSION: u32 = 1;
/// The only bus.
const BUS: usize = 0;

/// The device.
struct SbconI2c {
    state: State,
}

fn create(_: &Properties, _: &mut Build<'_>) -> Result<Box<dyn Device>, CreateError> {
    Ok(Box::new(SbconI2c { state: State::new() }))
}

/// The devices on the bus.
struct Children<'a, 'b>(&'a mut Ctx<'b>);

impl Targets for Children<'_, '_> {
    fn start(&mut self, address: u8, read: bool) -> bool {
        i2c::start(self.0, BUS, address, read)
    }

    fn send(&mut self, address: u8, byte: u8) -> bool {
        i2c::send(self.0, BUS, address, byte)
    }

    fn receive(&mut self, address: u8) -> u8 {
        i2c::receive(self.0, BUS, address)
    }

    fn nack(&mut self, address: u8) {
        i2c::event(self.0, BUS, address, I2cEvent::Nack);
    }

    fn stop(&mut self, address: u8) {
        i2c::event(self.0, BUS, address, I2cEvent::Stop);
    }
}

impl Mmio for SbconI2c {
    fn read(&mut self, _: Access, _: &mut Ctx<'_>) -> u64 {
        let scl = if self.state.scl() { regs::SCL } else { 0 };
        let sda = if self.state.sda() { regs::SDA } else { 0 };
        (scl | sda).into()
    }

    fn write(&mut self, access: Access, value: u64, cx: &mut Ctx<'_>) {
        let release = access.offset == regs::CONTROL_SET;
        let new = |old: bool, bit: u32| if value as u32 & bit != 0 { release } else { old };
        let scl = new(self.state.scl(), regs::SCL);
        let sda = new(self.state.sda_out(), regs::SDA);
        self.state.set(scl, sda, &mut Children(cx));
    }
}

impl Device for SbconI2c {
    fn reset(&mut self, phase: ResetPhase, _: &mut Ctx<'_>) {
        if phase == ResetPhase::Enter {
            self.state = State::new();
        }
    }

    fn save(&self) -> SavedState {
        SavedState::of(VERSION, &self.state)
    }

    fn load(&mut self, saved: &SavedState) -> Result<(), LoadError> {
        let state: State = saved.read(VERSION)?;
        if !state.valid() {
            return Err(LoadError::Impossible("bits of a byte"));
        }
        self.state = state;
        Ok(())
    }
}
