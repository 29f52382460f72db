//! What a debugger or a test needs beyond running: registers by name, and breakpoints.

use crate::bus::Bus;
use crate::engine::Engine;

impl<B: Bus> Engine<B> {
    /// Sets or removes a breakpoint.
    pub fn set_breakpoint(&mut self, addr: u32, on: bool) {
        if on {
            self.breakpoints.insert(addr & !1);
        } else {
            self.breakpoints.remove(&(addr & !1));
        }
        self.cache.clear();
    }

    /// Names and values of all registers, R0 first.
    pub fn registers(&self) -> Vec<(&'static str, u32)> {
        REGISTERS
            .iter()
            .filter_map(|name| Some((*name, self.register(name)?)))
            .collect()
    }

    /// The register called `name` (see [`REGISTERS`]).
    pub fn register(&self, name: &str) -> Option<u32> {
        let s = &self.core.s;
        Some(match name {
            "sp" => s.regs[13],
            "lr" => s.regs[14],
            "pc" => s.pc,
            "xpsr" => s.xpsr(),
            "msp" => s.msp(),
            "psp" => s.psp(),
            "primask" => s.primask.into(),
            "basepri" => s.basepri.into(),
            "faultmask" => s.faultmask.into(),
            "control" => s.control.into(),
            _ => s.regs[general(name)?],
        })
    }

    /// Sets a register; false if there is none of that name. Writing `xpsr` sets flags, T and ITSTATE, not the exception number.
    pub fn set_register(&mut self, name: &str, v: u32) -> bool {
        let s = &mut self.core.s;
        match name {
            "sp" => s.regs[13] = v & !3,
            "lr" => s.regs[14] = v,
            // As in a vector: an odd address says Thumb. Where a loader starts code, no vector has said so.
            "pc" => {
                s.pc = v & !1;
                s.t |= v & 1 != 0;
            }
            "xpsr" => s.set_xpsr_flags(v),
            "msp" => s.set_msp(v),
            "psp" => s.set_psp(v),
            "primask" => s.primask = v & 1 != 0,
            "basepri" => s.basepri = v as u8 & self.core.cfg.priority_mask(),
            "faultmask" => s.faultmask = v & 1 != 0,
            "control" => s.set_mode(s.ipsr, v as u8),
            _ => match general(name) {
                Some(i) => s.regs[i] = v,
                None => return false,
            },
        }
        self.core.rights_changed(false);
        true
    }
}

/// Register names in the order of gdb's m-profile and m-system features.
pub const REGISTERS: [&str; 23] = [
    "r0",
    "r1",
    "r2",
    "r3",
    "r4",
    "r5",
    "r6",
    "r7",
    "r8",
    "r9",
    "r10",
    "r11",
    "r12",
    "sp",
    "lr",
    "pc",
    "xpsr",
    "msp",
    "psp",
    "primask",
    "basepri",
    "faultmask",
    "control",
];

fn general(name: &str) -> Option<usize> {
    name.strip_prefix('r')?.parse().ok().filter(|n| *n < 13)
}
