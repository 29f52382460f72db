//! Special registers, hints, and the instructions that raise exceptions (ARM ARM A4.9 to A4.11, B5).

use super::Op;
use crate::bus::Bus;
use crate::core::{Core, Fault, Flow};

pub(super) fn nop<B: Bus>(_: &mut Core<B>, _: &mut B, _: &Op<B>) -> Flow {
    Flow::NEXT
}
pub(super) fn svc<B: Bus>(_: &mut Core<B>, _: &mut B, _: &Op<B>) -> Flow {
    Flow::SVC
}
pub(super) fn bkpt<B: Bus>(_: &mut Core<B>, _: &mut B, _: &Op<B>) -> Flow {
    Flow::BKPT
}
pub(super) fn udf<B: Bus>(core: &mut Core<B>, _: &mut B, _: &Op<B>) -> Flow {
    core.raise(Fault::Undefined)
}
pub(super) fn nocp<B: Bus>(core: &mut Core<B>, _: &mut B, _: &Op<B>) -> Flow {
    core.raise(Fault::NoCoprocessor)
}

/// The engine sleeps when it has seen that nothing is pending that would end the sleep at once.
pub(super) fn wfi<B: Bus>(core: &mut Core<B>, _: &mut B, _: &Op<B>) -> Flow {
    core.s.sleep = crate::state::Sleep::Interrupt;
    Flow::SLEEP
}
pub(super) fn wfe<B: Bus>(core: &mut Core<B>, _: &mut B, _: &Op<B>) -> Flow {
    if core.s.event {
        core.s.event = false;
    } else {
        core.s.sleep = crate::state::Sleep::Event;
    }
    Flow::SLEEP
}
pub(super) fn sev<B: Bus>(core: &mut Core<B>, _: &mut B, _: &Op<B>) -> Flow {
    core.s.event = true;
    Flow::NEXT
}

/// SYSm numbers (ARM ARM B5.2.2).
mod sysm {
    pub(super) const MSP: u32 = 8;
    pub(super) const PSP: u32 = 9;
    pub(super) const PRIMASK: u32 = 16;
    pub(super) const BASEPRI: u32 = 17;
    pub(super) const BASEPRI_MAX: u32 = 18;
    pub(super) const FAULTMASK: u32 = 19;
    pub(super) const CONTROL: u32 = 20;
}

pub(super) fn mrs<B: Bus>(core: &mut Core<B>, _: &mut B, op: &Op<B>) -> Flow {
    let s = &core.s;
    let privileged = s.privileged();
    let v = match op.imm {
        // xPSR and its parts: bit 0 adds IPSR, bit 2 leaves APSR out; EPSR reads as zero.
        n @ 0..=7 => {
            let ipsr = if n & 1 != 0 && privileged { u32::from(s.ipsr) } else { 0 };
            ipsr | if n & 4 == 0 { s.apsr() } else { 0 }
        }
        sysm::CONTROL => u32::from(s.control),
        _ if !privileged => 0,
        sysm::MSP => s.msp(),
        sysm::PSP => s.psp(),
        sysm::PRIMASK => s.primask.into(),
        sysm::BASEPRI | sysm::BASEPRI_MAX => s.basepri.into(),
        sysm::FAULTMASK => s.faultmask.into(),
        _ => 0,
    };
    core.w(op.d, v);
    Flow::NEXT
}

pub(super) fn msr<B: Bus>(core: &mut Core<B>, _: &mut B, op: &Op<B>) -> Flow {
    let v = core.r(op.n);
    let register = op.imm & 0xff;
    if register < 4 {
        // Only the flags can be written; without the DSP extension the mask knows nothing else.
        if op.imm >> 9 & 1 != 0 {
            core.s.set_apsr(v);
        }
        return Flow::NEXT;
    }
    if core.s.privileged() {
        set_special(core, register, v);
    }
    Flow::SYNC
}

fn set_special<B: Bus>(core: &mut Core<B>, register: u32, v: u32) {
    let mask = core.cfg.priority_mask();
    let s = &mut core.s;
    match register {
        sysm::MSP => s.set_msp(v),
        sysm::PSP => s.set_psp(v),
        sysm::PRIMASK => s.primask = v & 1 != 0,
        sysm::BASEPRI => s.basepri = v as u8 & mask,
        sysm::BASEPRI_MAX => {
            let v = v as u8 & mask;
            if v != 0 && (v < s.basepri || s.basepri == 0) {
                s.basepri = v;
            }
        }
        sysm::FAULTMASK => set_faultmask(core, v & 1 != 0),
        sysm::CONTROL => {
            // SPSEL can only be written in thread mode.
            let control = if s.ipsr == 0 {
                v & 3
            } else {
                v & 1 | u32::from(s.control) & 2
            };
            s.set_mode(s.ipsr, control as u8);
            core.rights_changed(false);
        }
        _ => {}
    }
}

/// FAULTMASK cannot be set at priority -1 or above.
fn set_faultmask<B: Bus>(core: &mut Core<B>, on: bool) {
    if !on || core.execution_priority() > -1 {
        core.s.faultmask = on;
        core.rights_changed(false);
    }
}

pub(super) fn cps<B: Bus>(core: &mut Core<B>, _: &mut B, op: &Op<B>) -> Flow {
    let disable = op.imm & 16 != 0;
    if core.s.privileged() {
        if op.imm & 2 != 0 {
            core.s.primask = disable;
        }
        if op.imm & 1 != 0 {
            set_faultmask(core, disable);
        }
    }
    Flow::SYNC
}
