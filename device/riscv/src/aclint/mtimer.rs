//! `riscv.aclint.mtimer`: one comparator a hart against the counter of the board (ACLINT 1.0, chapter 2).
//!
//! The counter itself is the machine's timebase, which harts read too: a write of MTIME moves it for everybody. A reset sets it to zero,
//! as the specification has it, and also the comparators, which the specification leaves open.

use serde::{Deserialize, Serialize};
use southbridge_core::clock::TimerIndex;
use southbridge_core::{
    Access, Build, CreateError, Ctx, Device, DeviceType, Endian, Line, LineId, LoadError, Mmio, Properties, Region,
    RegionKind, ResetPhase, SavedState, role,
};

use crate::{MAX_HARTS, in_range, uint32};

const VERSION: u32 = 1;

/// The type.
pub static TYPE: DeviceType = DeviceType {
    name: "riscv.aclint.mtimer",
    summary: "RISC-V ACLINT machine timer",
    properties: &[
        uint32("hartid-base", "0", "the first hart that it serves"),
        uint32("num-harts", "1", "how many harts it serves"),
        uint32("timecmp-base", "0", "offset of the first comparator"),
        uint32("time-base", "0x7ff8", "offset of the counter"),
        uint32("aperture-size", "0x8000", "bytes of registers"),
        uint32(
            "timebase-freq",
            "0",
            "accepted for QEMU's sake: the rate of the board's counter is the board's",
        ),
    ],
    regions: &[Region {
        name: "regs",
        kind: RegionKind::Mmio,
        size: 0x8000,
        valid: (4, 8),
        native: (4, 8),
        endian: Endian::Little,
        registers: &[],
    }],
    lines: &[Line::outs("mtip", MAX_HARTS)],
    roles: &[role!(Mtimer as dyn Mmio)],
    create: Mtimer::create,
    ..DeviceType::BASE
};

/// A machine timer.
pub struct Mtimer {
    // Fixed.
    harts: usize,
    timecmp_base: u64,
    time_base: u64,
    // Volatile.
    state: State,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    /// MTIMECMP of each hart.
    timecmp: Vec<u64>,
}

/// Which 64-bit register, and what of it.
enum Register {
    Timecmp(usize),
    Time,
}

impl Mtimer {
    fn create(p: &Properties, build: &mut Build<'_>) -> Result<Box<dyn Device>, CreateError> {
        let size = in_range(p, "aperture-size", 8, 0x10_0000)?;
        let harts = in_range(p, "num-harts", 1, MAX_HARTS.into())?;
        let timecmp_base = in_range(p, "timecmp-base", 0, size - 8 * harts.min(size / 8))?;
        let time_base = in_range(p, "time-base", 0, size - 8)?;
        for (property, base) in [("timecmp-base", timecmp_base), ("time-base", time_base)] {
            if base % 8 != 0 {
                return Err(CreateError::BadValue {
                    property,
                    value: format!("{base:#x}"),
                    expected: "a multiple of 8".into(),
                });
            }
        }
        build.region_size(0, size);
        Ok(Box::new(Self {
            harts: harts as usize,
            timecmp_base,
            time_base,
            state: State {
                timecmp: vec![0; harts as usize],
            },
        }))
    }

    /// The register at an offset, and how many bits above its start the access is.
    fn decode(&self, access: Access) -> Option<(Register, u32)> {
        let shift = (access.offset & 4) as u32 * 8;
        let start = access.offset & !7;
        if start == self.time_base {
            return Some((Register::Time, shift));
        }
        let hart = usize::try_from(start.checked_sub(self.timecmp_base)? / 8).ok()?;
        (hart < self.harts).then_some((Register::Timecmp(hart), shift))
    }

    fn value(&self, register: &Register, cx: &Ctx<'_>) -> u64 {
        match register {
            Register::Time => cx.timebase().at(cx.now()),
            Register::Timecmp(hart) => self.state.timecmp.get(*hart).copied().unwrap_or(0),
        }
    }

    /// The lines follow the comparison; where it is still to come, a timer waits for it.
    fn sync(&mut self, cx: &mut Ctx<'_>) {
        let (base, now) = (cx.timebase(), cx.now());
        let time = base.at(now);
        for (hart, timecmp) in self.state.timecmp.iter().enumerate() {
            let due = time >= *timecmp;
            cx.set_line(hart as LineId, due);
            if due {
                cx.cancel_timer(hart as TimerIndex);
            } else {
                cx.set_timer(hart as TimerIndex, base.reaches(*timecmp, now));
            }
        }
    }
}

impl Mmio for Mtimer {
    fn read(&mut self, access: Access, cx: &mut Ctx<'_>) -> u64 {
        match self.decode(access) {
            Some((register, shift)) => self.value(&register, cx) >> shift,
            None => {
                cx.guest_error(format_args!("no register at offset {:#x}", access.offset));
                0
            }
        }
    }

    fn write(&mut self, access: Access, value: u64, cx: &mut Ctx<'_>) {
        let Some((register, shift)) = self.decode(access) else {
            cx.guest_error(format_args!("no register at offset {:#x}", access.offset));
            return;
        };
        let value = if access.size == 8 {
            value
        } else {
            let mask = 0xffff_ffff << shift;
            self.value(&register, cx) & !mask | (value & 0xffff_ffff) << shift
        };
        match register {
            Register::Time => cx.set_timebase(value),
            Register::Timecmp(hart) => {
                if let Some(t) = self.state.timecmp.get_mut(hart) {
                    *t = value;
                }
            }
        }
        self.sync(cx);
    }
}

impl Device for Mtimer {
    fn reset(&mut self, phase: ResetPhase, cx: &mut Ctx<'_>) {
        match phase {
            ResetPhase::Enter => self.state.timecmp.fill(0),
            ResetPhase::Hold => {
                cx.set_timebase(0);
                self.sync(cx);
            }
            ResetPhase::Exit => {}
        }
    }

    fn save(&self) -> SavedState {
        let Self {
            harts: _,
            timecmp_base: _,
            time_base: _,
            state,
        } = self;
        SavedState::of(VERSION, state)
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        let state: State = state.read(VERSION)?;
        if state.timecmp.len() != self.harts {
            return Err(LoadError::Impossible("number of comparators"));
        }
        self.state = state;
        Ok(())
    }

    fn on_timer(&mut self, _timer: TimerIndex, cx: &mut Ctx<'_>) {
        self.sync(cx);
    }
}
