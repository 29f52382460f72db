//! `cmsdk-apb-uart`: the simple 8N1 UART of the Cortex-M System Design Kit (DDI 0479, "APB UART"), one byte deep each way.
//!
//! Bytes that go out take no time on the wire, as in QEMU; those that come in keep the distance that BAUDDIV says. Where QEMU differs: a byte that was written while the
//! transmitter was off goes out when it is switched on, as in hardware; there it stays until the next write.

mod regs;
mod state;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use southbridge_backend_chardev::{CharEvent, CharFront};
use southbridge_core::clock::TimerIndex;
use southbridge_core::{
    Access, Build, Completion, CreateError, Ctx, Device, DeviceType, Line, LineId, LoadError, Mmio, PropKind,
    Properties, Property, Region, ResetPhase, SavedState, VirtualTime, role,
};
use state::State;
use std::collections::VecDeque;

/// The type.
pub static TYPE: DeviceType = DeviceType {
    name: "cmsdk-apb-uart",
    summary: "Arm CMSDK APB UART",
    properties: &[
        Property {
            name: "chardev",
            kind: PropKind::Backend("chardev"),
            default: None,
            help: "where the serial line goes",
        },
        Property {
            name: "pclk-frq",
            kind: PropKind::Uint(32),
            default: Some("0"),
            help: "clock of the baud-rate divisor in Hz; 0 takes the pclk input",
        },
    ],
    regions: &[Region::mmio32("uart", 0x1000, &regs::TABLE)],
    lines: &[
        Line::out("TXINT"),
        Line::out("RXINT"),
        Line::out("TXOVRINT"),
        Line::out("RXOVRINT"),
        Line::out("UARTINT"),
    ],
    clocks: &["pclk"],
    roles: &[role!(Uart as dyn Mmio)],
    create,
    ..DeviceType::BASE
};

const VERSION: u32 = 1;
const TXINT: LineId = 0;
const UARTINT: LineId = 4;
const NEXT_BYTE: TimerIndex = 0;

/// The device.
struct Uart {
    // Fixed.
    pclk_frq: u64,
    // The host's side.
    chardev: CharFront,
    /// The host may send a byte, or has sent it and it is on its way.
    invited: bool,
    /// What came from the host and waits for the receive buffer. One byte is always welcome here, whatever the guest does: so none is
    /// lost that was on its way when the guest switched the receiver off, and a restored machine need not ask for input again.
    inbox: VecDeque<u8>,
    /// No byte comes in before. After the guest has taken one, the next takes its time on the wire, so that a driver which reads DATA
    /// and then clears the interrupt does not clear that of the next byte.
    quiet_until: VirtualTime,
    // The guest's side.
    state: State,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    inbox: VecDeque<u8>,
    quiet_until: VirtualTime,
    state: State,
}

/// One invited byte, and one that a saved state brings along while another is on its way.
const INBOX: usize = 2;

fn create(props: &Properties, build: &mut Build<'_>) -> Result<Box<dyn Device>, CreateError> {
    Ok(Box::new(Uart {
        pclk_frq: props.uint("pclk-frq"),
        chardev: CharFront::attach(props, "chardev", 0, build)?,
        invited: false,
        inbox: VecDeque::new(),
        quiet_until: VirtualTime(0),
        state: State::new(),
    }))
}

impl Uart {
    /// Moves bytes as far as they can go, then derives the lines from the state.
    fn sync(&mut self, cx: &mut Ctx<'_>) {
        if let Some(byte) = self.state.pending()
            && self.chardev.write(&[byte], cx) > 0
        {
            self.state.sent();
        }
        self.take_input(cx);
        if self.inbox.is_empty() && !self.invited {
            self.invited = true;
            self.chardev.set_room(1, cx);
        }
        let interrupts = self.state.interrupts();
        for i in 0..4 {
            cx.set_line(TXINT + i, interrupts >> i & 1 != 0);
        }
        cx.set_line(UARTINT, interrupts != 0);
    }

    /// The next byte from the host, when its time has come.
    fn take_input(&mut self, cx: &mut Ctx<'_>) {
        let wanted = self.state.has_room() && !self.inbox.is_empty();
        let later = cx.now() < self.quiet_until;
        if wanted
            && !later
            && let Some(byte) = self.inbox.pop_front()
        {
            self.state.received(byte);
        }
        crate::arm(cx, NEXT_BYTE, (wanted && later).then_some(self.quiet_until));
    }

    /// The guest took a byte.
    fn rest(&mut self, cx: &Ctx<'_>) {
        if let hz @ 1.. = self.clock(cx) {
            self.quiet_until = cx.now().after_ticks(self.state.ticks_per_byte(), hz);
        }
    }

    fn clock(&self, cx: &Ctx<'_>) -> u64 {
        match self.pclk_frq {
            0 => cx.clock_hz(0),
            hz => hz,
        }
    }
}

impl Mmio for Uart {
    fn read(&mut self, access: Access, cx: &mut Ctx<'_>) -> u64 {
        let value = self.state.read(access.offset);
        if access.offset == regs::DATA {
            self.rest(cx);
        }
        // A guest that waits for an empty buffer also gets a byte going that a restored machine brought along.
        if access.offset == regs::DATA || self.state.pending().is_some() {
            self.sync(cx);
        }
        value.into()
    }

    fn write(&mut self, access: Access, value: u64, cx: &mut Ctx<'_>) {
        self.state.write(access.offset, value as u32);
        if access.offset == regs::CTRL && self.state.transmits_at_bad_rate(self.clock(cx)) {
            cx.guest_error(format_args!(
                "the transmitter is on, but BAUDDIV is not from 16 to the clock"
            ));
        }
        self.sync(cx);
    }
}

impl Device for Uart {
    fn reset(&mut self, phase: ResetPhase, cx: &mut Ctx<'_>) {
        match phase {
            ResetPhase::Enter => {
                self.state = State::new();
                self.quiet_until = VirtualTime(0);
            }
            ResetPhase::Hold => self.sync(cx),
            ResetPhase::Exit => {}
        }
    }

    fn save(&self) -> SavedState {
        let saved = Saved {
            inbox: self.inbox.clone(),
            quiet_until: self.quiet_until,
            state: self.state.clone(),
        };
        SavedState::of(VERSION, &saved)
    }

    fn load(&mut self, saved: &SavedState) -> Result<(), LoadError> {
        let Saved {
            inbox,
            quiet_until,
            state,
        } = saved.read(VERSION)?;
        if !state.valid() || inbox.len() > INBOX {
            return Err(LoadError::Impossible("STATE, CTRL, INTSTATUS, BAUDDIV or input"));
        }
        self.inbox = inbox;
        self.quiet_until = quiet_until;
        self.state = state;
        Ok(())
    }

    fn on_timer(&mut self, _: TimerIndex, cx: &mut Ctx<'_>) {
        self.sync(cx);
    }

    fn on_completion(&mut self, done: Completion, cx: &mut Ctx<'_>) {
        if let Some(CharEvent::Data { bytes, .. }) = CharEvent::from_completion(done) {
            self.invited = false;
            self.inbox.extend(bytes);
        }
        // Writable needs no more than another try.
        self.sync(cx);
    }
}
