//! `pl022`: Arm's PrimeCell synchronous serial port, as the controller of an SSI bus.
//!
//! Words go over the bus as soon as the port is enabled and the receive FIFO has room; there is no line speed. Only the receive timeout
//! runs in virtual time, when the board gives a clock and the guest a prescaler. Chip selects are the board's (GPIO lines to the devices).
//! Nobody can be the controller of a bus that this port would be a slave on, so slave mode never moves a word.

mod regs;
mod state;
#[cfg(test)]
mod tests;

use southbridge_bus_ssi as ssi;
use southbridge_core::clock::TimerIndex;
use southbridge_core::{
    Access, BusDecl, BusKind, Ctx, Device, DeviceType, Line, LineId, LoadError, Mmio, Region, ResetPhase, SavedState,
    role,
};

use state::{Effect, State};

const VERSION: u32 = 1;
const IRQ: LineId = 0;
const TIMEOUT: TimerIndex = 0;
/// The only bus and the only clock.
const BUS: usize = 0;
const CLOCK: usize = 0;

/// The device type.
pub static TYPE: DeviceType = DeviceType {
    name: "pl022",
    summary: "Arm PrimeCell synchronous serial port (PL022)",
    regions: &[Region::mmio32("regs", 0x1000, regs::TABLE)],
    lines: &[Line::out("irq")],
    clocks: &["clk"],
    buses: &[BusDecl {
        name: "ssi",
        kind: BusKind::Ssi,
    }],
    roles: &[role!(Pl022 as dyn Mmio)],
    create: |_, _| Ok(Box::new(Pl022 { state: State::new() })),
    ..DeviceType::BASE
};

/// A PL022.
pub struct Pl022 {
    state: State,
}

impl Pl022 {
    fn sync(&mut self, cx: &mut Ctx<'_>) {
        cx.set_line(IRQ, self.state.interrupt());
    }

    /// Moves what can be moved: at most a FIFO's worth, as the receive FIFO fills up.
    fn shift(&mut self, cx: &mut Ctx<'_>) {
        while let Some(word) = self.state.next() {
            let word = u32::from(word);
            let answer = if self.state.loopback() {
                word
            } else {
                ssi::transfer(cx, BUS, word)
            };
            self.state.receive(answer);
        }
    }

    /// Data in the receive FIFO was touched, or the clock changed: its time starts anew.
    fn restart_timeout(&mut self, cx: &mut Ctx<'_>) {
        let hz = cx.clock_hz(CLOCK);
        match self.state.bit_ticks() {
            Some(bit) if hz > 0 && self.state.received() > 0 => {
                cx.set_timer(TIMEOUT, cx.now().after_ticks(bit * regs::TIMEOUT_BITS, hz));
            }
            _ => cx.cancel_timer(TIMEOUT),
        }
    }
}

impl Mmio for Pl022 {
    fn read(&mut self, access: Access, cx: &mut Ctx<'_>) -> u64 {
        if let Some(i) = access.offset.checked_sub(regs::PERIPH_ID0) {
            return regs::ID.get((i / 4) as usize).copied().unwrap_or(0).into();
        }
        let value = self.state.read(access.offset);
        if access.offset == regs::DR {
            self.shift(cx);
            self.restart_timeout(cx);
            self.sync(cx);
        }
        value.into()
    }

    fn write(&mut self, access: Access, value: u64, cx: &mut Ctx<'_>) {
        let before = self.state.received();
        match self.state.write(access.offset, value as u32) {
            Effect::None => {}
            Effect::Lost => cx.guest_error(format_args!("data written while the transmit FIFO is full is lost")),
            Effect::Slave => cx.unimplemented(format_args!("slave mode: no other controller is on the bus")),
            Effect::Dma => cx.unimplemented(format_args!("DMA requests have no DMA controller to go to")),
        }
        self.shift(cx);
        if self.state.received() != before {
            self.restart_timeout(cx);
        }
        self.sync(cx);
    }
}

impl Device for Pl022 {
    fn reset(&mut self, phase: ResetPhase, cx: &mut Ctx<'_>) {
        match phase {
            ResetPhase::Enter => self.state = State::new(),
            ResetPhase::Hold => {
                cx.cancel_timer(TIMEOUT);
                self.sync(cx);
            }
            ResetPhase::Exit => {}
        }
    }

    fn save(&self) -> SavedState {
        let Self { state } = self;
        SavedState::of(VERSION, state)
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        let state: State = state.read(VERSION)?;
        state.check()?;
        self.state = state;
        Ok(())
    }

    fn on_timer(&mut self, _timer: TimerIndex, cx: &mut Ctx<'_>) {
        self.state.receive_timeout();
        self.sync(cx);
    }
}
