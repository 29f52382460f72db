//! The Supervisor Binary Interface 2.0 as firmware that the host executes: what a RISC-V guest in supervisor mode asks of the machine below
//! it, answered without guest code in machine mode.
//!
//! It is no model of a firmware's own run: no instruction is executed, and the guest's clock stands while a call is answered. What it
//! sets up at reset (delegation, counters, protection) is what a firmware in machine mode would leave behind.

mod boot;
mod console;
mod hart;
mod pmu;
pub mod spec;

use serde::{Deserialize, Serialize};
use southbridge_core::cpu::{Firmware, FirmwareDone};
use southbridge_core::{Cpu, CpuId, LoadError, SavedState, System};
use southbridge_cpu_rv64::Rv64;

pub use boot::Boot;

use console::Console;
use hart::Harts;
use pmu::{FirmwareEvent, Pmu};
use spec::{SbiError, SbiResult, extension, hart_state, suspend};

/// SBI 2.0: the minor version in the low 24 bits (4.1).
const SPEC_VERSION: u64 = 2 << 24;
/// No registered implementation; the letters SB.
const IMPLEMENTATION: u64 = 0x5342;
const IMPLEMENTATION_VERSION: u64 = 1;

/// Registers of the calling convention (3): extension, function, arguments and results.
const A0: u8 = 10;
const A1: u8 = 11;
const A6: u8 = 16;
const A7: u8 = 17;

/// Input of a hart that raises its supervisor software interrupt.
const SSIP: u32 = 1;

const MVENDORID: u16 = 0xf11;
const MARCHID: u16 = 0xf12;
const MIMPID: u16 = 0xf13;
const MIP: u16 = 0x344;

/// The firmware of one machine.
pub struct Sbi {
    console: Console,
    boot: Boot,
    state: State,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct State {
    harts: Vec<HartState>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct HartState {
    /// It went to sleep by a call, and was not seen awake since.
    suspended: bool,
    pmu: Pmu,
}

const STATE_VERSION: u32 = 1;

/// What a call leads to.
enum Answer {
    /// Error in a0, value in a1.
    Result(SbiResult),
    /// The old convention: a0 alone.
    Legacy(u64),
    /// The hart does not come back from the call.
    Gone,
    /// The machine ends or begins anew.
    Machine(FirmwareDone),
}

impl From<SbiResult> for Answer {
    fn from(r: SbiResult) -> Self {
        Self::Result(r)
    }
}

impl Sbi {
    /// Firmware with its console on the 16550 at `uart`, that starts the guest as `boot` says.
    pub fn new(uart: u64, boot: Boot) -> Self {
        Self {
            console: Console(uart),
            boot,
            state: State::default(),
        }
    }

    fn hart_state(&mut self, id: u64) -> &mut HartState {
        let i = id as usize;
        if self.state.harts.len() <= i {
            self.state.harts.resize_with(i + 1, HartState::default);
        }
        &mut self.state.harts[i]
    }

    fn answer(&mut self, harts: &mut Harts<'_>, sys: &mut System) -> Option<Answer> {
        let me = u64::from(harts.caller.0);
        let hart = harts.caller()?;
        let (ext, function) = (hart.gpr(A7), hart.gpr(A6));
        let a: [u64; 6] = std::array::from_fn(|i| hart.gpr(A0 + i as u8));
        self.hart_state(me).suspended = false;
        Some(match ext {
            extension::LEGACY_SET_TIMER => {
                self.set_timer(a[0], harts, sys)?;
                Answer::Legacy(0)
            }
            extension::LEGACY_PUTCHAR => {
                self.console.put(a[0] as u8, sys);
                Answer::Legacy(0)
            }
            extension::LEGACY_GETCHAR => Answer::Legacy(self.console.get(sys).map_or(u64::MAX, u64::from)),
            extension::LEGACY_CLEAR_IPI => {
                let pending = hart.csr(MIP, sys).unwrap_or(0);
                hart.set_pending(SSIP as u8, false);
                Answer::Legacy(pending >> SSIP & 1)
            }
            extension::LEGACY_SHUTDOWN => Answer::Machine(FirmwareDone::Shutdown),
            extension::BASE => base(function, a[0], hart, sys).into(),
            extension::TIME if function == 0 => {
                self.set_timer(a[0], harts, sys)?;
                Answer::Result(Ok(0))
            }
            extension::IPI if function == 0 => self.send_ipi(a[0], a[1], harts, sys).into(),
            extension::RFENCE => self.fence(function, a, harts).into(),
            extension::HSM => self.hart_management(function, a, harts, sys)?,
            extension::SRST if function == 0 => system_reset(a[0], a[1]),
            extension::PMU => self.hart_state(me).pmu.call(function, a, hart, sys).into(),
            extension::DBCN => self.debug_console(function, a, sys).into(),
            extension::SUSP if function == 0 => self.system_suspend(a, harts)?,
            _ => Answer::Result(Err(SbiError::NotSupported)),
        })
    }

    fn set_timer(&mut self, time: u64, harts: &mut Harts<'_>, sys: &mut System) -> Option<()> {
        harts.caller()?.set_timer(time, sys);
        self.hart_state(harts.caller.0.into())
            .pmu
            .count(FirmwareEvent::SetTimer);
        Some(())
    }

    fn send_ipi(&mut self, mask: u64, base: u64, harts: &mut Harts<'_>, sys: &mut System) -> SbiResult {
        let targets = harts.masked(mask, base).ok_or(SbiError::InvalidParam)?;
        for id in targets {
            sys.message_cpu(CpuId(id as u8), SSIP);
            self.hart_state(id).pmu.count(FirmwareEvent::IpiReceived);
        }
        self.hart_state(harts.caller.0.into()).pmu.count(FirmwareEvent::IpiSent);
        Ok(0)
    }

    /// Remote fences (8): they are done when the call returns, since no other hart executes meanwhile.
    fn fence(&mut self, function: u64, a: [u64; 6], harts: &mut Harts<'_>) -> SbiResult {
        let (sent, received) = match function {
            0 => (FirmwareEvent::FenceISent, FirmwareEvent::FenceIReceived),
            1 => (FirmwareEvent::SfenceSent, FirmwareEvent::SfenceReceived),
            2 => (FirmwareEvent::SfenceAsidSent, FirmwareEvent::SfenceAsidReceived),
            // The others are for the hypervisor extension.
            _ => return Err(SbiError::NotSupported),
        };
        let targets = harts.masked(a[0], a[1]).ok_or(SbiError::InvalidParam)?;
        // Both zero, or a length of all ones, mean everything (8, table 3).
        let everything = (a[2] == 0 && a[3] == 0) || a[3] == u64::MAX;
        let range = (!everything).then_some((a[2], a[3]));
        for id in targets {
            let Some(hart) = harts.get(id) else { continue };
            match function {
                0 => hart.flush_icache(),
                1 => hart.flush_tlb(range, None),
                _ => hart.flush_tlb(range, Some(a[4] as u16)),
            }
            self.hart_state(id).pmu.count(received);
        }
        self.hart_state(harts.caller.0.into()).pmu.count(sent);
        Ok(0)
    }

    fn hart_management(
        &mut self,
        function: u64,
        a: [u64; 6],
        harts: &mut Harts<'_>,
        sys: &mut System,
    ) -> Option<Answer> {
        let result = match function {
            0 => self.hart_start(a, harts, sys),
            1 => {
                harts.caller()?.stop();
                return Some(Answer::Gone);
            }
            2 => self.hart_status(a[0], harts),
            3 => return self.hart_suspend(a, harts),
            _ => Err(SbiError::NotSupported),
        };
        Some(result.into())
    }

    fn hart_start(&mut self, [id, start, opaque, ..]: [u64; 6], harts: &mut Harts<'_>, sys: &mut System) -> SbiResult {
        let hart = harts.get(id).ok_or(SbiError::InvalidParam)?;
        if !hart.is_stopped() {
            return Err(SbiError::AlreadyAvailable);
        }
        boot::prepare(hart, sys);
        hart.start(start, id, opaque);
        Ok(0)
    }

    fn hart_status(&mut self, id: u64, harts: &mut Harts<'_>) -> SbiResult {
        let hart = harts.get(id).ok_or(SbiError::InvalidParam)?;
        let (stopped, asleep) = (hart.is_stopped(), hart.is_suspended());
        let state = self.hart_state(id);
        state.suspended &= asleep;
        Ok(match (stopped, state.suspended) {
            (true, _) => hart_state::STOPPED,
            (_, true) => hart_state::SUSPENDED,
            _ => hart_state::STARTED,
        })
    }

    fn hart_suspend(&mut self, [kind, resume, opaque, ..]: [u64; 6], harts: &mut Harts<'_>) -> Option<Answer> {
        let me = u64::from(harts.caller.0);
        let hart = harts.caller()?;
        // The type is an unsigned 32-bit value (9.4).
        match kind as u32 {
            suspend::RETENTIVE => {
                hart.set_gpr(A0, 0);
                hart.set_gpr(A1, 0);
                hart.finish_firmware_call();
            }
            suspend::NON_RETENTIVE => hart.start(resume, me, opaque),
            1..0x1000_0000 | 0x8000_0001..0x9000_0000 => return Some(Answer::Result(Err(SbiError::InvalidParam))),
            _ => return Some(Answer::Result(Err(SbiError::NotSupported))),
        }
        hart.suspend();
        self.hart_state(me).suspended = true;
        Some(Answer::Gone)
    }

    fn system_suspend(&mut self, [kind, resume, opaque, ..]: [u64; 6], harts: &mut Harts<'_>) -> Option<Answer> {
        if kind as u32 != 0 {
            return Some(Answer::Result(Err(SbiError::InvalidParam)));
        }
        let me = u64::from(harts.caller.0);
        for id in (0..harts.count()).filter(|id| *id != me) {
            if !harts.get(id)?.is_stopped() {
                return Some(Answer::Result(Err(SbiError::Denied)));
            }
        }
        let hart = harts.caller()?;
        hart.start(resume, me, opaque);
        hart.suspend();
        Some(Answer::Gone)
    }

    fn debug_console(&mut self, function: u64, a: [u64; 6], sys: &mut System) -> SbiResult {
        match function {
            0 => self.console.write(a[0], a[1], a[2], sys),
            1 => self.console.read(a[0], a[1], a[2], sys),
            2 if self.console.put(a[0] as u8, sys) => Ok(0),
            2 => Err(SbiError::Failed),
            _ => Err(SbiError::NotSupported),
        }
    }
}

/// The base extension (4).
fn base(function: u64, argument: u64, hart: &mut Rv64, sys: &mut System) -> SbiResult {
    let mut id = |number| Ok(hart.csr(number, sys).unwrap_or(0));
    match function {
        0 => Ok(SPEC_VERSION),
        1 => Ok(IMPLEMENTATION),
        2 => Ok(IMPLEMENTATION_VERSION),
        3 => Ok(is_known(argument).into()),
        4 => id(MVENDORID),
        5 => id(MARCHID),
        6 => id(MIMPID),
        _ => Err(SbiError::NotSupported),
    }
}

fn is_known(ext: u64) -> bool {
    use extension::*;
    matches!(
        ext,
        LEGACY_SET_TIMER
            ..=LEGACY_CLEAR_IPI | LEGACY_SHUTDOWN | BASE | TIME | IPI | RFENCE | HSM | SRST | PMU | DBCN | SUSP
    )
}

/// System reset (10.1): types and reasons that are not reserved.
fn system_reset(kind: u64, reason: u64) -> Answer {
    match (kind as u32, reason as u32) {
        (0, 0 | 1) => Answer::Machine(FirmwareDone::Shutdown),
        (1 | 2, 0 | 1) => Answer::Machine(FirmwareDone::Reset),
        (0xf000_0000.., _) => Answer::Result(Err(SbiError::NotSupported)),
        _ => Answer::Result(Err(SbiError::InvalidParam)),
    }
}

impl Firmware for Sbi {
    fn call(&mut self, cpu: CpuId, cpus: &mut [Box<dyn Cpu>], sys: &mut System) -> FirmwareDone {
        let mut harts = Harts { all: cpus, caller: cpu };
        let Some(answer) = self.answer(&mut harts, sys) else {
            return FirmwareDone::Continue;
        };
        let Some(hart) = harts.caller() else {
            return FirmwareDone::Continue;
        };
        match answer {
            Answer::Gone => return FirmwareDone::Continue,
            Answer::Machine(done) => return done,
            Answer::Legacy(value) => hart.set_gpr(A0, value),
            Answer::Result(Ok(value)) => {
                hart.set_gpr(A0, 0);
                hart.set_gpr(A1, value);
            }
            Answer::Result(Err(e)) => {
                hart.set_gpr(A0, e as i64 as u64);
                hart.set_gpr(A1, 0);
            }
        }
        hart.finish_firmware_call();
        FirmwareDone::Continue
    }

    fn reset(&mut self, cpus: &mut [Box<dyn Cpu>], sys: &mut System) {
        self.state = State::default();
        let mut harts = Harts {
            all: cpus,
            caller: CpuId(0),
        };
        self.boot.start(&mut harts, sys);
    }

    fn save(&self) -> SavedState {
        SavedState::of(STATE_VERSION, &self.state)
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        let state: State = state.read(STATE_VERSION)?;
        if state.harts.len() > usize::from(u8::MAX) + 1 {
            return Err(LoadError::Impossible("more harts than a machine has"));
        }
        self.state = state;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
