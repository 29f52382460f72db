//! The firmware that is built into `virt`: the SBI, and what firmware in machine mode sets up on this board before supervisor mode starts.

use southbridge_core::cpu::{Firmware, FirmwareDone};
use southbridge_core::{Cpu, CpuId, LoadError, SavedState, System};
use southbridge_cpu_sbi::{Boot, Sbi};

use super::{Aia, Variant, map};
use crate::fdt::Node;

/// Registers of an interrupt domain (AIA 1.0, 4.5).
const SOURCECFG: u64 = 0;
const MMSICFGADDR: u64 = 0x1bc0;
/// A source that is handed down to the first child.
const DELEGATED: u64 = 1 << 10;

pub(super) struct BuiltIn {
    sbi: Sbi,
    /// Offsets and values that go to the machine-level interrupt domain, if there is one.
    domain: Vec<(u64, u64)>,
}

impl BuiltIn {
    pub(super) fn new(boot: Boot, v: &Variant) -> Self {
        Self {
            sbi: Sbi::new(map::UART0.0, boot),
            domain: domain(v),
        }
    }
}

/// All sources belong to supervisor mode; its domain has to be told where messages go, which only machine mode can say.
fn domain(v: &Variant) -> Vec<(u64, u64)> {
    if v.aia == Aia::None {
        return Vec::new();
    }
    let sources = (1..=u64::from(map::SOURCES)).map(|n| (SOURCECFG + 4 * n, DELEGATED));
    let mut writes: Vec<_> = sources.collect();
    if v.aia == Aia::Imsic {
        let hart_bits = u64::from(map::index_bits(v.harts.into()));
        let supervisor = u64::from(v.guest_bits()) << 20;
        let values = [map::IMSIC_M >> 12, hart_bits << 12, map::IMSIC_S >> 12, supervisor];
        writes.extend((0..).map(|i| MMSICFGADDR + 4 * i).zip(values));
    }
    writes
}

/// What firmware changes in the device tree: the parts of machine mode are its own.
pub(super) fn claim(tree: &mut Node) {
    for at in [map::IMSIC_M, map::APLIC_M.0] {
        let name = format!("interrupt-controller@{at:x}");
        let soc = tree.child_mut("soc");
        if let Some(node) = soc.children.iter_mut().find(|n| n.name == name) {
            node.set("status", b"disabled\0".to_vec());
        }
    }
}

impl Firmware for BuiltIn {
    fn call(&mut self, cpu: CpuId, cpus: &mut [Box<dyn Cpu>], sys: &mut System) -> FirmwareDone {
        self.sbi.call(cpu, cpus, sys)
    }

    fn reset(&mut self, cpus: &mut [Box<dyn Cpu>], sys: &mut System) {
        for (offset, value) in &self.domain {
            // The board has put the domain there.
            let _ = sys.write(map::APLIC_M.0 + offset, 4, *value);
        }
        self.sbi.reset(cpus, sys);
    }

    fn save(&self) -> SavedState {
        self.sbi.save()
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        self.sbi.load(state)
    }
}
