//! `pl011`: Arm's PrimeCell UART, and `pl011_luminary`, the same in Stellaris chips with other identification.
//!
//! It sends as fast as the host takes and never blocks: what the host does not take stays in the transmit FIFO, and the guest sees
//! "full". It is not paced by its baud rate; only the receive timeout, which is defined by silence on the wire, runs in virtual time
//! (and not at all while the guest has set no divisor or the board gives no clock, so that nothing depends on it by surprise).
//! The enable bits do not gate anything: too much firmware never sets them.

mod regs;
mod state;
#[cfg(test)]
mod tests;

use southbridge_core::clock::TimerIndex;
use southbridge_core::{
    Access, Build, Completion, CreateError, Ctx, Device, DeviceType, Line, LineId, LoadError, Mmio, PropKind,
    Properties, Property, Region, ResetPhase, SavedState, role,
};

use southbridge_backend_chardev::{CharEvent, CharFront};
use state::{Effect, State};

const VERSION: u32 = 1;
/// The only timer: silence on the receive wire.
const TIMEOUT: TimerIndex = 0;
/// The only input clock.
const CLOCK: usize = 0;

/// Arm's part.
pub static TYPE: DeviceType = DeviceType {
    name: "pl011",
    summary: "Arm PrimeCell UART (PL011)",
    create: |p, b| Pl011::create(&regs::ID_ARM, p, b),
    ..BASE
};

/// The part in Stellaris chips.
pub static TYPE_LUMINARY: DeviceType = DeviceType {
    name: "pl011_luminary",
    summary: "Arm PrimeCell UART (PL011) as in Stellaris chips",
    create: |p, b| Pl011::create(&regs::ID_LUMINARY, p, b),
    ..BASE
};

const BASE: DeviceType = DeviceType {
    properties: &[
        Property {
            name: "chardev",
            kind: PropKind::Backend("chardev"),
            default: None,
            help: "what is at the other end of the wire",
        },
        Property {
            name: "migrate-clk",
            kind: PropKind::Bool,
            default: Some("on"),
            help: "accepted for QEMU's sake; the clock is part of every saved machine",
        },
    ],
    regions: &[Region::mmio32("regs", 0x1000, regs::TABLE)],
    // UARTINTR, UARTRXINTR, UARTTXINTR, UARTRTINTR, UARTMSINTR, UARTEINTR.
    lines: &[Line::outs("irq", 6)],
    clocks: &["clk"],
    roles: &[role!(Pl011 as dyn Mmio)],
    ..DeviceType::BASE
};

/// A PL011.
pub struct Pl011 {
    // Fixed.
    id: &'static [u8; 8],
    front: CharFront,
    // How much of the room that the back end was told of has not arrived yet. Some of it may be on its way already, so more room is
    // only announced when this is used up; otherwise the same place would be given away twice.
    announced: usize,
    // Volatile.
    state: State,
}

impl Pl011 {
    fn create(id: &'static [u8; 8], p: &Properties, build: &mut Build<'_>) -> Result<Box<dyn Device>, CreateError> {
        Ok(Box::new(Self {
            id,
            front: CharFront::attach(p, "chardev", 0, build)?,
            announced: 0,
            state: State::new(),
        }))
    }

    /// Everything outside follows from the state: the transmitter, the interrupt lines, the room for input.
    fn sync(&mut self, cx: &mut Ctx<'_>) {
        let pending = self.state.pending();
        if !pending.is_empty() {
            let count = self.front.write(pending, cx);
            self.state.sent(count);
        }
        for (line, level) in self.state.outputs().into_iter().enumerate() {
            cx.set_line(line as LineId, level);
        }
        let room = self.state.room();
        if room < self.announced || self.announced == 0 && room > 0 {
            self.announced = room;
            self.front.set_room(room, cx);
        }
    }

    /// Starts to wait for silence again, or stops waiting if nothing is left to read.
    fn restart_timeout(&mut self, cx: &mut Ctx<'_>) {
        match self.state.bit_quarter_ticks().filter(|_| self.state.received() > 0) {
            Some(quarter) => {
                let ticks = quarter * regs::TIMEOUT_BITS / 4;
                let hz = cx.clock_hz(CLOCK);
                if hz > 0 {
                    cx.set_timer(TIMEOUT, cx.now().after_ticks(ticks, hz));
                }
            }
            None => cx.cancel_timer(TIMEOUT),
        }
    }

    fn arrive(&mut self, characters: impl IntoIterator<Item = u16>, cx: &mut Ctx<'_>) {
        for c in characters {
            self.state.arrive(c);
        }
        self.restart_timeout(cx);
    }
}

impl Mmio for Pl011 {
    fn read(&mut self, access: Access, cx: &mut Ctx<'_>) -> u64 {
        if let Some(i) = access.offset.checked_sub(regs::PERIPH_ID0) {
            return self.id.get((i / 4) as usize).copied().unwrap_or(0).into();
        }
        let value = self.state.read(access.offset);
        if access.offset == regs::DR {
            self.restart_timeout(cx);
            self.sync(cx);
        }
        value.into()
    }

    fn write(&mut self, access: Access, value: u64, cx: &mut Ctx<'_>) {
        let before = self.state.received();
        match self.state.write(access.offset, value as u32) {
            Effect::None | Effect::Transmit => {}
            Effect::TransmitDisabled => cx.guest_error(format_args!("data written while the transmitter is disabled")),
            Effect::TransmitLost => {
                cx.guest_error(format_args!("data written while the transmit FIFO is full is lost"))
            }
            Effect::Break => self.front.send_break(cx),
            Effect::Dma => cx.unimplemented(format_args!("DMA requests have no DMA controller to go to")),
        }
        if self.state.received() != before {
            self.restart_timeout(cx); // loopback, or the FIFOs were flushed
        }
        self.sync(cx);
    }
}

impl Device for Pl011 {
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
        let Self {
            id: _,
            front: _,
            announced: _,
            state,
        } = self;
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

    fn on_completion(&mut self, done: Completion, cx: &mut Ctx<'_>) {
        match CharEvent::from_completion(done) {
            Some(CharEvent::Data { bytes, .. }) => {
                // Empty: what was on its way got lost, and the room for it is free again.
                let lost = bytes.is_empty();
                self.announced = if lost {
                    0
                } else {
                    self.announced.saturating_sub(bytes.len())
                };
                self.arrive(bytes.into_iter().map(u16::from), cx);
            }
            Some(CharEvent::Break) => self.arrive([regs::RxError::BREAK.bits()], cx),
            Some(CharEvent::Writable | CharEvent::Opened | CharEvent::Closed) | None => {}
        }
        self.sync(cx);
    }
}
