//! `stellaris-i2c`: the I2C interface of the LM3S6965.
//!
//! The master is whole, but takes no time on the wire. The slave's registers are there, and it is never addressed: boards have no other
//! master. Loopback of the master to the own slave is not modelled; the master finds nobody there.

mod regs;
mod state;
#[cfg(test)]
mod tests;

use southbridge_bus_i2c::{self as bus, I2cEvent};
use southbridge_core::{
    Access, Build, BusDecl, BusKind, Category, CreateError, Ctx, Device, DeviceType, Line, LineId, LoadError, Mmio,
    Properties, Region, ResetPhase, SavedState, role,
};

use state::{State, Wires};

const STATE_VERSION: u32 = 1;
const IRQ: LineId = 0;
const BUS: usize = 0;

/// The device.
pub struct StellarisI2c {
    state: State,
}

impl StellarisI2c {
    fn create(_: &Properties, _: &mut Build<'_>) -> Result<Box<dyn Device>, CreateError> {
        Ok(Box::new(Self { state: State::new() }))
    }

    fn sync(&self, cx: &mut Ctx<'_>) {
        cx.set_line(IRQ, self.state.interrupt());
    }
}

impl Wires for Ctx<'_> {
    fn start(&mut self, address: u8, read: bool) -> bool {
        bus::start(self, BUS, address, read)
    }

    fn send(&mut self, address: u8, byte: u8) -> bool {
        bus::send(self, BUS, address, byte)
    }

    fn receive(&mut self, address: u8, last: bool) -> u8 {
        let byte = bus::receive(self, BUS, address);
        if last {
            bus::event(self, BUS, address, I2cEvent::Nack);
        }
        byte
    }

    fn stop(&mut self, address: u8) {
        bus::event(self, BUS, address, I2cEvent::Stop);
    }
}

impl Device for StellarisI2c {
    /// A transfer that a reset cuts short needs no stop: the targets on the bus are reset as well.
    fn reset(&mut self, phase: ResetPhase, cx: &mut Ctx<'_>) {
        match phase {
            ResetPhase::Enter => self.state = State::new(),
            ResetPhase::Hold => self.sync(cx),
            ResetPhase::Exit => {}
        }
    }

    fn save(&self) -> SavedState {
        SavedState::of(STATE_VERSION, &self.state)
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        let state: State = state.read(STATE_VERSION)?;
        if !state.valid() {
            return Err(LoadError::Impossible(
                "an I2C address of more than 7 bits or an unknown error",
            ));
        }
        self.state = state;
        Ok(())
    }
}

impl Mmio for StellarisI2c {
    fn read(&mut self, access: Access, _: &mut Ctx<'_>) -> u64 {
        self.state.read(access.offset).into()
    }

    fn write(&mut self, access: Access, value: u64, cx: &mut Ctx<'_>) {
        if access.offset == regs::MCR && value as u32 & regs::MCR_LPBK != 0 {
            cx.unimplemented(format_args!("loopback: the master finds no slave"));
        }
        self.state.write(access.offset, value as u32, cx);
        self.sync(cx);
    }
}

/// `stellaris-i2c`.
pub static TYPE: DeviceType = DeviceType {
    name: "stellaris-i2c",
    category: Category::Bridge,
    summary: "I2C interface of the LM3S6965",
    regions: &[Region::mmio32("registers", 0x1000, regs::REGISTERS)],
    lines: &[Line::out("irq")],
    buses: &[BusDecl {
        name: "i2c",
        kind: BusKind::I2c,
    }],
    roles: &[role!(StellarisI2c as dyn Mmio)],
    create: StellarisI2c::create,
    ..DeviceType::BASE
};
