//! What the firmware does at reset: harts as a guest in supervisor mode expects them, and the first one on its way.

use southbridge_core::System;
use southbridge_cpu_rv64::Rv64;

use crate::hart::Harts;

/// Control and status registers of machine mode (privileged specification, table 2.4) that the firmware sets.
mod csr {
    pub(super) const MEDELEG: u16 = 0x302;
    pub(super) const MIDELEG: u16 = 0x303;
    pub(super) const MCOUNTEREN: u16 = 0x306;
    pub(super) const MENVCFG: u16 = 0x30a;
    pub(super) const MSTATEEN0: u16 = 0x30c;
    pub(super) const PMPCFG0: u16 = 0x3a0;
    pub(super) const PMPADDR0: u16 = 0x3b0;
}

/// All exceptions that supervisor mode can handle: everything but calls from supervisor and machine mode.
const EXCEPTIONS: u64 = 0xb1ff | 1 << 18 | 1 << 19;
/// Supervisor software, timer and external interrupts, and counter overflow.
const INTERRUPTS: u64 = 1 << 1 | 1 << 5 | 1 << 9 | 1 << 13;
/// Read, write, execute for a range in the NAPOT encoding.
const PMP_ALL: u64 = 0x1f;

/// What the firmware starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Boot {
    /// Address of the guest's first instruction.
    pub entry: u64,
    /// Second argument: address of the device tree.
    pub device_tree: u64,
}

/// Delegation, counters, features and memory protection, as firmware in machine mode leaves them.
pub(crate) fn prepare(hart: &mut Rv64, sys: &mut System) {
    /// Hardware that updates A and D bits is the guest's to ask for (firmware features, SBI 3.0), so it stays off.
    const ADUE: u64 = 1 << 61;
    let registers = [
        (csr::MEDELEG, EXCEPTIONS),
        (csr::MIDELEG, INTERRUPTS),
        (csr::MCOUNTEREN, u64::MAX),
        (csr::MENVCFG, !ADUE),
        (csr::MSTATEEN0, u64::MAX),
        (csr::PMPADDR0, u64::MAX >> 10),
        (csr::PMPCFG0, PMP_ALL),
    ];
    for (number, value) in registers {
        // What the hart has not, it does not need.
        hart.set_csr(number, value, sys);
    }
}

impl Boot {
    /// Hart 0 goes to the guest; the others wait to be started by it.
    pub(crate) fn start(&self, harts: &mut Harts<'_>, sys: &mut System) {
        for id in 0..harts.count() {
            let Some(hart) = harts.get(id) else { continue };
            prepare(hart, sys);
            if id == 0 {
                hart.start(self.entry, id, self.device_tree);
            } else {
                hart.stop();
            }
        }
    }
}
