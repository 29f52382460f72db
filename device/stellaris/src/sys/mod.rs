//! `stellaris-sys`: system control of the LM3S6965. It identifies the part, gates and divides clocks, and drives the system clock.
//!
//! Not here: clock gating and software reset (SRCR) of the other peripherals are registers without effect, as in QEMU; deep sleep keeps
//! the run-mode clock.

mod regs;
mod state;
#[cfg(test)]
mod tests;

use southbridge_core::system::ClockNode;
use southbridge_core::{
    Access, Build, Category, CreateError, Ctx, Device, DeviceType, Line, LineId, LoadError, Mmio, PropKind, Properties,
    Property, Region, ResetPhase, SavedState, role,
};

use state::{Part, State};

const STATE_VERSION: u32 = 1;
const IRQ: LineId = 0;

/// The device.
pub struct StellarisSys {
    // Fixed.
    part: Part,
    clock: Option<ClockNode>,
    // Volatile.
    state: State,
}

impl StellarisSys {
    fn create(props: &Properties, build: &mut Build<'_>) -> Result<Box<dyn Device>, CreateError> {
        let reg = |name| props.uint(name) as u32;
        let part = Part {
            did: [reg("did0"), reg("did1")],
            dc: [reg("dc0"), reg("dc1"), reg("dc2"), reg("dc3"), reg("dc4")],
            user: [reg("user0"), reg("user1")],
            crystal_hz: props.uint("crystal-hz"),
        };
        Ok(Box::new(Self {
            part,
            clock: build.clock_node(0),
            state: State::new(regs::RESC_POR),
        }))
    }

    fn sync(&self, cx: &mut Ctx<'_>) {
        cx.set_line(IRQ, self.state.interrupt());
        if let Some(node) = self.clock {
            cx.set_clock(node, self.state.system_hz(&self.part));
        }
    }
}

impl Device for StellarisSys {
    fn reset(&mut self, phase: ResetPhase, cx: &mut Ctx<'_>) {
        match phase {
            ResetPhase::Enter => self.state = State::new(self.state.resc()),
            ResetPhase::Hold => self.sync(cx),
            ResetPhase::Exit => {}
        }
    }

    fn save(&self) -> SavedState {
        SavedState::of(STATE_VERSION, &self.state)
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        self.state = state.read(STATE_VERSION)?;
        Ok(())
    }

    /// The watchdog is about to reset the system.
    fn on_line(&mut self, _: LineId, level: bool, _: &mut Ctx<'_>) {
        if level {
            self.state.note_reset(regs::RESC_WDT);
        }
    }
}

impl Mmio for StellarisSys {
    fn read(&mut self, access: Access, _: &mut Ctx<'_>) -> u64 {
        self.state.read(access.offset, &self.part).into()
    }

    fn write(&mut self, access: Access, value: u64, cx: &mut Ctx<'_>) {
        if (regs::SRCR0..=regs::SRCR2).contains(&access.offset) && value != 0 {
            cx.unimplemented(format_args!(
                "software reset of peripherals ({value:#x} to SRCR{}) has no effect",
                (access.offset - regs::SRCR0) / 4
            ));
        }
        self.state.write(access.offset, value as u32, &self.part);
        self.sync(cx);
    }
}

const fn word(name: &'static str, help: &'static str) -> Property {
    Property {
        name,
        kind: PropKind::Uint(32),
        default: Some("0"),
        help,
    }
}

/// `stellaris-sys`.
pub static TYPE: DeviceType = DeviceType {
    name: "stellaris-sys",
    category: Category::Misc,
    summary: "System control of the LM3S6965",
    properties: &[
        word("user0", "first half of the MAC address, three bytes from the lowest"),
        word("user1", "second half of the MAC address"),
        word("did0", "device identification 0"),
        word("did1", "device identification 1"),
        word("dc0", "device capabilities 0: memory sizes"),
        word("dc1", "device capabilities 1: system units"),
        word("dc2", "device capabilities 2: timers, serial units, comparators"),
        word("dc3", "device capabilities 3: pins"),
        word("dc4", "device capabilities 4: GPIO ports, Ethernet"),
        Property {
            name: "crystal-hz",
            kind: PropKind::Uint(32),
            default: Some("8000000"),
            help: "crystal at the main oscillator",
        },
    ],
    regions: &[Region::mmio32("registers", 0x1000, regs::REGISTERS)],
    lines: &[Line::out("irq"), Line::input("watchdog-reset")],
    clocks: &["SYSCLK"],
    roles: &[role!(StellarisSys as dyn Mmio)],
    create: StellarisSys::create,
    ..DeviceType::BASE
};
