//! `mps2-fpgaio`: LEDs, buttons and free-running counters of the MPS2 boards (AN385, "FPGA system control and I/O").
//!
//! Beyond what QEMU has: LEDs, buttons and switches are lines of the board.

mod regs;
mod state;
#[cfg(test)]
mod tests;

use southbridge_core::{
    Access, Build, CreateError, Ctx, Device, DeviceType, Line, LineId, LoadError, Mmio, PropKind, Properties, Property,
    Region, ResetPhase, SavedState, role,
};
use state::{Config, State};

/// The type.
pub static TYPE: DeviceType = DeviceType {
    name: "mps2-fpgaio",
    summary: "MPS2 FPGA system control and I/O",
    properties: &[
        property(
            "prescale-clk",
            PropKind::Uint(32),
            "20000000",
            "clock of the prescale counter in Hz",
        ),
        property(
            "num-leds",
            PropKind::Uint(32),
            "2",
            "number of LEDs in LED0, at most 32",
        ),
        property("has-switches", PropKind::Bool, "off", "the SWITCH register exists"),
        property("has-dbgctrl", PropKind::Bool, "off", "the DBGCTRL register exists"),
    ],
    regions: &[Region::mmio32("mps2-fpgaio", 0x1000, &regs::TABLE)],
    lines: &[
        Line::outs("led", regs::MAX_LEDS as u16),
        Line::inputs("button", regs::BUTTONS),
        Line::inputs("switch", regs::SWITCHES),
    ],
    roles: &[role!(FpgaIo as dyn Mmio)],
    create,
    ..DeviceType::BASE
};

const VERSION: u32 = 1;

const fn property(name: &'static str, kind: PropKind, default: &'static str, help: &'static str) -> Property {
    Property {
        name,
        kind,
        default: Some(default),
        help,
    }
}

/// The device.
struct FpgaIo {
    config: Config,
    leds: u16,
    state: State,
}

fn create(props: &Properties, _: &mut Build<'_>) -> Result<Box<dyn Device>, CreateError> {
    let leds = props.uint("num-leds");
    if leds > u64::from(regs::MAX_LEDS) {
        return Err(CreateError::BadValue {
            property: "num-leds",
            value: leds.to_string(),
            expected: format!("a number up to {}", regs::MAX_LEDS),
        });
    }
    let config = Config {
        prescale_hz: props.uint("prescale-clk"),
        led_mask: ((1u64 << leds) - 1) as u32,
        has_switches: props.bool("has-switches"),
        has_dbgctrl: props.bool("has-dbgctrl"),
    };
    Ok(Box::new(FpgaIo {
        config,
        leds: leds as u16,
        state: State::new(southbridge_core::VirtualTime(0)),
    }))
}

impl FpgaIo {
    fn sync(&self, cx: &mut Ctx<'_>) {
        for i in 0..self.leds {
            cx.set_line(i, self.state.leds() >> i & 1 != 0);
        }
    }

    /// Whether this FPGA image has the register; logs if not.
    fn has(&self, access: Access, cx: &mut Ctx<'_>) -> bool {
        let has = self.config.has(access.offset);
        if !has {
            cx.guest_error(format_args!(
                "this FPGA image has no register at offset {:#x}",
                access.offset
            ));
        }
        has
    }
}

impl Mmio for FpgaIo {
    fn read(&mut self, access: Access, cx: &mut Ctx<'_>) -> u64 {
        if !self.has(access, cx) {
            return 0;
        }
        self.state.read(access.offset, &self.config, cx.now()).into()
    }

    fn write(&mut self, access: Access, value: u64, cx: &mut Ctx<'_>) {
        if !self.has(access, cx) {
            return;
        }
        match access.offset {
            regs::MISC => cx.unimplemented(format_args!("MISC keeps its bits but controls no other device")),
            regs::DBGCTRL => cx.unimplemented(format_args!("DBGCTRL keeps its bits but controls nothing")),
            _ => {}
        }
        self.state.write(access.offset, value as u32, &self.config, cx.now());
        self.sync(cx);
    }
}

impl Device for FpgaIo {
    fn reset(&mut self, phase: ResetPhase, cx: &mut Ctx<'_>) {
        match phase {
            ResetPhase::Enter => self.state.reset(cx.now()),
            ResetPhase::Hold => self.sync(cx),
            ResetPhase::Exit => {}
        }
    }

    fn save(&self) -> SavedState {
        SavedState::of(VERSION, &self.state)
    }

    fn load(&mut self, saved: &SavedState) -> Result<(), LoadError> {
        let state: State = saved.read(VERSION)?;
        if !state.valid(&self.config) {
            return Err(LoadError::Impossible("LED0"));
        }
        self.state = state;
        Ok(())
    }

    fn on_line(&mut self, input: LineId, level: bool, _: &mut Ctx<'_>) {
        match input.checked_sub(regs::BUTTONS) {
            None => self.state.set_button(input, level),
            Some(switch) => self.state.set_switch(switch, level),
        }
    }
}
