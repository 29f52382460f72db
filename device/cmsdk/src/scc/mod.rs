//! `mps2-scc`: the Serial Configuration Controller of the MPS2 boards' FPGA images (AN385, section "Serial Configuration Controller").
//!
//! Beyond what QEMU has: LEDs and switches are lines of the board. The oscillators that a guest can program drive nothing, there or
//! here: the FPGA images take their clocks as they were at power-on.

mod regs;
mod state;
#[cfg(test)]
mod tests;

use regs::Image;
use southbridge_core::{
    Access, Build, CreateError, Ctx, Device, DeviceType, Line, LineId, LoadError, Mmio, PropKind, Properties, Property,
    Region, ResetPhase, SavedState, role,
};
use state::{Config, State};

/// The type.
pub static TYPE: DeviceType = DeviceType {
    name: "mps2-scc",
    summary: "MPS2 serial configuration controller",
    properties: &[
        uint32("scc-cfg0", "CFG_REG0 after reset"),
        uint32("scc-cfg4", "CFG_REG4: board revision"),
        uint32("scc-aid", "SCC_AID: identification of the FPGA image"),
        uint32("scc-id", "SCC_ID: application note and revision"),
        Property {
            name: "oscclk",
            kind: PropKind::Str,
            default: Some(""),
            help: "frequencies of the board's oscillators in Hz, separated by commas",
        },
    ],
    regions: &[Region::mmio32("mps2-scc", 0x1000, &regs::TABLE)],
    lines: &[Line::out("remap"), Line::outs("led", 8), Line::inputs("switch", 8)],
    roles: &[role!(Scc as dyn Mmio)],
    create,
    ..DeviceType::BASE
};

const VERSION: u32 = 1;
const REMAP: LineId = 0;
const LED: LineId = 1;

const fn uint32(name: &'static str, help: &'static str) -> Property {
    Property {
        name,
        kind: PropKind::Uint(32),
        default: Some("0"),
        help,
    }
}

/// The device.
struct Scc {
    config: Config,
    image: Image,
    state: State,
}

fn create(props: &Properties, _: &mut Build<'_>) -> Result<Box<dyn Device>, CreateError> {
    let word = |name| props.uint(name) as u32;
    let config = Config {
        cfg0: word("scc-cfg0"),
        cfg4: word("scc-cfg4"),
        aid: word("scc-aid"),
        id: word("scc-id"),
        oscclk: frequencies(props.str("oscclk").unwrap_or(""))?,
    };
    Ok(Box::new(Scc {
        image: Image::of(config.id),
        state: State::new(&config),
        config,
    }))
}

fn frequencies(text: &str) -> Result<Vec<u32>, CreateError> {
    let words = text.split(',').map(str::trim).filter(|w| !w.is_empty());
    words
        .map(|w| {
            w.parse().map_err(|_| CreateError::BadValue {
                property: "oscclk",
                value: text.to_owned(),
                expected: "numbers of 32 bits, separated by commas".to_owned(),
            })
        })
        .collect()
}

impl Scc {
    fn sync(&self, cx: &mut Ctx<'_>) {
        cx.set_line(REMAP, self.state.remap(self.image));
        let leds = self.state.leds(self.image);
        for i in 0..8 {
            cx.set_line(LED + i, leds >> i & 1 != 0);
        }
    }

    /// Whether this FPGA image has the register; logs if not.
    fn has(&self, access: Access, cx: &mut Ctx<'_>) -> bool {
        let has = self.image.has(access.offset);
        if !has {
            cx.guest_error(format_args!(
                "this FPGA image has no register at offset {:#x}",
                access.offset
            ));
        }
        has
    }
}

impl Mmio for Scc {
    fn read(&mut self, access: Access, cx: &mut Ctx<'_>) -> u64 {
        if !self.has(access, cx) {
            return 0;
        }
        self.state.read(access.offset, &self.config).into()
    }

    fn write(&mut self, access: Access, value: u64, cx: &mut Ctx<'_>) {
        if !self.has(access, cx) {
            return;
        }
        self.state.write(access.offset, value as u32);
        if access.offset == regs::CFGCTRL && self.state.command_failed() {
            cx.guest_error(format_args!(
                "SYS_CFGCTRL={value:#x} names no function or device of this board"
            ));
        }
        self.sync(cx);
    }
}

impl Device for Scc {
    fn reset(&mut self, phase: ResetPhase, cx: &mut Ctx<'_>) {
        match phase {
            ResetPhase::Enter => self.state.reset(&self.config),
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
            return Err(LoadError::Impossible("oscclk or SYS_CFGCTRL"));
        }
        self.state = state;
        Ok(())
    }

    fn on_line(&mut self, input: LineId, level: bool, _: &mut Ctx<'_>) {
        self.state.set_switch(input, level);
    }
}
