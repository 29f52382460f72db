//! `serial-mm`: a 16550A UART whose registers stand in memory, a power of two bytes apart.
//!
//! It sends as fast as the host takes and never blocks; only the receive timeout, which is defined by silence on the wire, runs in
//! virtual time. The modem lines are those of a peer that is always ready and never changes its mind.

mod regs;
mod state;
#[cfg(test)]
mod tests;

use southbridge_backend_chardev::{CharEvent, CharFront};
use southbridge_core::clock::TimerIndex;
use southbridge_core::{
    Access, Build, Completion, CreateError, Ctx, Device, DeviceType, Endian, Line, LineId, LoadError, Mmio, PropKind,
    Properties, Property, Region, RegionKind, ResetPhase, SavedState, role,
};

use state::{Effect, State};

const VERSION: u32 = 1;
const IRQ: LineId = 0;
/// The only timer: silence on the receive wire.
const TIMEOUT: TimerIndex = 0;
/// `endianness=` as QEMU numbers it: 1 is big, 0 (native) and 2 are little.
const BIG_ENDIAN: u64 = 1;

/// The type.
pub static TYPE: DeviceType = DeviceType {
    name: "serial-mm",
    summary: "16550A UART with registers in memory",
    properties: &[
        Property {
            name: "chardev",
            kind: PropKind::Backend("chardev"),
            default: None,
            help: "what is at the other end of the wire",
        },
        Property {
            name: "regshift",
            kind: PropKind::Uint(8),
            default: Some("0"),
            help: "registers are 2 to this power of bytes apart",
        },
        Property {
            name: "baudbase",
            kind: PropKind::Uint(32),
            default: Some("115200"),
            help: "the baud rate at a divisor of 1",
        },
        Property {
            name: "endianness",
            kind: PropKind::Uint(8),
            default: Some("0"),
            help: "byte order of wide accesses: 1 is big, 0 and 2 are little",
        },
        Property {
            name: "wakeup",
            kind: PropKind::Bool,
            default: Some("off"),
            help: "accepted for QEMU's sake: there is no sleep from which input would wake",
        },
    ],
    regions: &[Region {
        name: "regs",
        kind: RegionKind::Mmio,
        size: 8,
        valid: (1, 8),
        native: (1, 8),
        endian: Endian::Little,
        registers: &[],
    }],
    lines: &[Line::out("irq")],
    roles: &[role!(Serial as dyn Mmio)],
    create: Serial::create,
    ..DeviceType::BASE
};

/// A 16550A.
pub struct Serial {
    // Fixed.
    shift: u32,
    baud_base: u32,
    big_endian: bool,
    front: CharFront,
    // How much of the room that the back end was told of has not arrived yet; more is only announced when this is used up, so that the
    // same place is not given away twice.
    announced: usize,
    // Volatile.
    state: State,
}

impl Serial {
    fn create(p: &Properties, build: &mut Build<'_>) -> Result<Box<dyn Device>, CreateError> {
        let shift = p.uint("regshift");
        if shift > 8 {
            return Err(CreateError::BadValue {
                property: "regshift",
                value: shift.to_string(),
                expected: "0 to 8".into(),
            });
        }
        build.region_size(0, 8 << shift);
        Ok(Box::new(Self {
            shift: shift as u32,
            baud_base: p.uint("baudbase") as u32,
            big_endian: p.uint("endianness") == BIG_ENDIAN,
            front: CharFront::attach(p, "chardev", 0, build)?,
            announced: 0,
            state: State::new(),
        }))
    }

    /// Everything outside follows from the state: the transmitter, the interrupt, the room for input.
    fn sync(&mut self, cx: &mut Ctx<'_>) {
        let pending = self.state.pending();
        if !pending.is_empty() {
            let count = self.front.write(&pending, cx);
            self.state.sent(count);
        }
        cx.set_line(IRQ, self.state.interrupt());
        self.tell_room(cx);
    }

    fn tell_room(&mut self, cx: &mut Ctx<'_>) {
        // In loopback the wire is off: what has not come yet waits at the other side.
        let room = if self.state.loopback() { 0 } else { self.state.room() };
        if room < self.announced || self.announced == 0 && room > 0 {
            self.announced = room;
            self.front.set_room(room, cx);
        }
    }

    fn act(&mut self, effect: Effect, cx: &mut Ctx<'_>) {
        match effect {
            Effect::None => {}
            Effect::RestartTimeout => self.restart_timeout(cx),
            Effect::Break => self.front.send_break(cx),
        }
        self.sync(cx);
    }

    fn restart_timeout(&mut self, cx: &mut Ctx<'_>) {
        if self.state.awaits_timeout() {
            let ns = self.state.character_ns(self.baud_base) * regs::TIMEOUT_CHARACTERS;
            cx.set_timer(TIMEOUT, cx.now().after_ns(ns));
        } else {
            cx.cancel_timer(TIMEOUT);
        }
    }

    /// Where the low byte of a register is in a wide access.
    fn lane(&self, access: Access) -> u32 {
        match self.big_endian {
            true => 8 * (u32::from(access.size) - 1),
            false => 0,
        }
    }
}

impl Mmio for Serial {
    fn read(&mut self, access: Access, cx: &mut Ctx<'_>) -> u64 {
        let (value, effect) = self.state.read((access.offset >> self.shift) as u8);
        self.act(effect, cx);
        u64::from(value) << self.lane(access)
    }

    fn write(&mut self, access: Access, value: u64, cx: &mut Ctx<'_>) {
        let value = (value >> self.lane(access)) as u8;
        let effect = self.state.write((access.offset >> self.shift) as u8, value);
        self.act(effect, cx);
    }
}

impl Device for Serial {
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
            shift: _,
            baud_base: _,
            big_endian: _,
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

    fn after_load(&mut self, cx: &mut Ctx<'_>) {
        self.tell_room(cx);
    }

    fn on_timer(&mut self, _timer: TimerIndex, cx: &mut Ctx<'_>) {
        self.state.receive_timeout();
        self.sync(cx);
    }

    fn on_completion(&mut self, done: Completion, cx: &mut Ctx<'_>) {
        let effect = match CharEvent::from_completion(done) {
            Some(CharEvent::Data { bytes, .. }) => {
                // Empty: what was on its way got lost, and the room for it is free again.
                let lost = bytes.is_empty();
                self.announced = if lost {
                    0
                } else {
                    self.announced.saturating_sub(bytes.len())
                };
                bytes.into_iter().for_each(|c| self.state.receive(c));
                Effect::RestartTimeout
            }
            Some(CharEvent::Break) => {
                self.state.receive_break();
                Effect::RestartTimeout
            }
            Some(CharEvent::Writable | CharEvent::Opened | CharEvent::Closed) | None => Effect::None,
        };
        self.act(effect, cx);
    }
}
