//! `cmsdk-apb-uart`: the simple 8N1 UART of the Cortex-M System Design Kit (DDI 0479, "APB UART"), one byte deep each way.
//!
//! Bytes take no time on the wire, as in QEMU; BAUDDIV is kept and checked. Where QEMU differs: a byte that was written while the
//! transmitter was off goes out when it is switched on, as in hardware; there it stays until the next write.

mod regs;
mod state;
#[cfg(test)]
mod tests;

use southbridge_backend_chardev::{CharEvent, CharFront};
use southbridge_core::{
    Access, Build, Completion, CreateError, Ctx, Device, DeviceType, Line, LineId, LoadError, Mmio, PropKind,
    Properties, Property, Region, ResetPhase, SavedState, role,
};
use state::State;

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

/// The device.
struct Uart {
    pclk_frq: u64,
    chardev: CharFront,
    state: State,
}

fn create(props: &Properties, build: &mut Build<'_>) -> Result<Box<dyn Device>, CreateError> {
    Ok(Box::new(Uart {
        pclk_frq: props.uint("pclk-frq"),
        chardev: CharFront::attach(props, "chardev", 0, build)?,
        state: State::new(),
    }))
}

impl Uart {
    /// Sends what can be sent, then derives lines and room from the state.
    fn sync(&mut self, cx: &mut Ctx<'_>) {
        if let Some(byte) = self.state.pending()
            && self.chardev.write(&[byte], cx) > 0
        {
            self.state.sent();
        }
        let interrupts = self.state.interrupts();
        for i in 0..4 {
            cx.set_line(TXINT + i, interrupts >> i & 1 != 0);
        }
        cx.set_line(UARTINT, interrupts != 0);
        self.chardev.set_room(self.state.has_room().into(), cx);
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
            ResetPhase::Enter => self.state = State::new(),
            ResetPhase::Hold => self.sync(cx),
            ResetPhase::Exit => {}
        }
    }

    fn save(&self) -> SavedState {
        SavedState::of(VERSION, &self.state)
    }

    fn load(&mut self, saved: &SavedState) -> Result<(), LoadError> {
        let state: State = saved.read(VERSION)?;
        if !state.valid() {
            return Err(LoadError::Impossible("STATE, CTRL, INTSTATUS or BAUDDIV"));
        }
        self.state = state;
        Ok(())
    }

    fn on_completion(&mut self, done: Completion, cx: &mut Ctx<'_>) {
        if let Some(CharEvent::Data { bytes, .. }) = CharEvent::from_completion(done) {
            for byte in bytes {
                self.state.received(byte);
            }
        }
        // Writable needs no more than another try.
        self.sync(cx);
    }
}
