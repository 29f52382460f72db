//! `riscv.aclint.swi`: software interrupts from hart to hart (ACLINT 1.0, chapters 3 and 4).
//!
//! MSWI holds a level for each hart; with `sswi=on` it is SSWI, whose registers hold nothing: a write of 1 is an edge that sets a bit in
//! the hart, and only the hart takes it back.

use serde::{Deserialize, Serialize};
use southbridge_core::{
    Access, Build, CreateError, Ctx, Device, DeviceType, Line, LineId, LoadError, Mmio, Properties, Region, ResetPhase,
    SavedState, role,
};

use crate::{MAX_HARTS, flag, in_range, uint32};

const VERSION: u32 = 1;

/// The type.
pub static TYPE: DeviceType = DeviceType {
    name: "riscv.aclint.swi",
    summary: "RISC-V ACLINT software interrupts",
    properties: &[
        uint32("hartid-base", "0", "the first hart that it serves"),
        uint32("num-harts", "1", "how many harts it serves"),
        flag("sswi", "off", "for supervisor mode: edges instead of levels"),
    ],
    regions: &[Region {
        valid: (4, 4),
        ..Region::mmio32("regs", 0x4000, &[])
    }],
    lines: &[Line::outs("swi", MAX_HARTS)],
    roles: &[role!(Swi as dyn Mmio)],
    create: Swi::create,
    ..DeviceType::BASE
};

/// MSWI or SSWI.
pub struct Swi {
    // Fixed.
    harts: usize,
    edges: bool,
    // Volatile.
    state: State,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    /// MSIP of each hart; all false in SSWI.
    msip: Vec<bool>,
}

impl Swi {
    fn create(p: &Properties, _: &mut Build<'_>) -> Result<Box<dyn Device>, CreateError> {
        let harts = in_range(p, "num-harts", 1, MAX_HARTS.into())? as usize;
        Ok(Box::new(Self {
            harts,
            edges: p.bool("sswi"),
            state: State {
                msip: vec![false; harts],
            },
        }))
    }

    fn sync(&mut self, cx: &mut Ctx<'_>) {
        for (hart, level) in self.state.msip.iter().enumerate() {
            cx.set_line(hart as LineId, *level);
        }
    }
}

impl Mmio for Swi {
    fn read(&mut self, access: Access, cx: &mut Ctx<'_>) -> u64 {
        match self.state.msip.get((access.offset / 4) as usize) {
            Some(level) => u64::from(*level),
            None => {
                cx.guest_error(format_args!("no hart at offset {:#x}", access.offset));
                0
            }
        }
    }

    fn write(&mut self, access: Access, value: u64, cx: &mut Ctx<'_>) {
        let hart = (access.offset / 4) as usize;
        let on = value & 1 != 0;
        match self.state.msip.get_mut(hart) {
            Some(_) if self.edges => {
                if on {
                    cx.pulse_line(hart as LineId);
                }
            }
            Some(level) => {
                *level = on;
                self.sync(cx);
            }
            None => cx.guest_error(format_args!("no hart at offset {:#x}", access.offset)),
        }
    }
}

impl Device for Swi {
    fn reset(&mut self, phase: ResetPhase, cx: &mut Ctx<'_>) {
        match phase {
            ResetPhase::Enter => self.state.msip.fill(false),
            ResetPhase::Hold => self.sync(cx),
            ResetPhase::Exit => {}
        }
    }

    fn save(&self) -> SavedState {
        let Self {
            harts: _,
            edges: _,
            state,
        } = self;
        SavedState::of(VERSION, state)
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        let state: State = state.read(VERSION)?;
        if state.msip.len() != self.harts || self.edges && state.msip.contains(&true) {
            return Err(LoadError::Impossible("software interrupts"));
        }
        self.state = state;
        Ok(())
    }
}
