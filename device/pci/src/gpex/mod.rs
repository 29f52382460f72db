//! `gpex-pcihost`: the generic PCI Express host bridge, and `gpex-root`, the function that stands for it on its bus.
//!
//! It answers the ECAM window (PCI Express Base 6.0, section 7.2.2), where each function has 4096 bytes at bus × 1 MiB + slot ×
//! 32 KiB + function × 4 KiB, and owns the windows into I/O ports and memory: reads of what no BAR covers give ones. Where BARs are
//! visible is worked out anew, by [`placements`], after every write that changed what a function answers to.
//!
//! INTx has no part in this: functions drive the four outputs' wires directly, as plugged.

mod root;
#[cfg(test)]
mod tests;
mod tree;

pub use root::TYPE as ROOT_TYPE;
pub use tree::Tree;

use southbridge_bus_pci::decode::{HostWindow, placements};
use southbridge_bus_pci::{Effects, PciFunction, PciSlot};
use southbridge_core::{
    Access, Build, BusDecl, BusKind, Category, CreateError, Ctx, Device, DeviceId, DeviceType, Endian, Line, LoadError,
    Mmio, PropKind, Properties, Property, Region, RegionKind, ResetPhase, SavedState, role,
};

const VERSION: u32 = 1;
/// Regions by number.
const ECAM: usize = 0;
const MMIO32: usize = 1;
const MMIO64: usize = 2;
const PIO: usize = 3;

const fn window(name: &'static str, size: u64, native: u8) -> Region {
    Region {
        name,
        kind: RegionKind::Mmio,
        size,
        valid: (1, 8),
        native: (1, native),
        endian: Endian::Little,
        registers: &[],
    }
}

const fn address(name: &'static str, help: &'static str) -> Property {
    Property {
        name,
        kind: PropKind::Uint(64),
        default: Some("0"),
        help,
    }
}

const fn size(name: &'static str, help: &'static str) -> Property {
    Property {
        name,
        kind: PropKind::Size,
        default: Some("0"),
        help,
    }
}

/// The device type. Regions of size 0 are not there; those with a base address are mapped there at reset.
pub static TYPE: DeviceType = DeviceType {
    name: "gpex-pcihost",
    category: Category::Bridge,
    summary: "Generic PCI Express host bridge",
    properties: &[
        Property {
            name: "allow-unmapped-accesses",
            kind: PropKind::Bool,
            default: Some("on"),
            help: "reads where no BAR is give ones instead of a bus error",
        },
        address("x-ecam-base", "where configuration space is"),
        size("x-ecam-size", "bytes of it, 1 MiB a bus"),
        address("x-pio-base", "where I/O ports are"),
        size("x-pio-size", "bytes of them"),
        address("x-below-4g-mmio-base", "memory window below 4 GiB"),
        size("x-below-4g-mmio-size", "bytes of it"),
        address("x-above-4g-mmio-base", "memory window above 4 GiB"),
        size("x-above-4g-mmio-size", "bytes of it"),
        Property {
            name: "num-irqs",
            kind: PropKind::Uint(8),
            default: Some("4"),
            help: "interrupt lines; there are always 4 here",
        },
    ],
    regions: &[
        window("ecam", 256 << 20, 4),
        window("mmio32", 0, 8),
        window("mmio64", 0, 8),
        window("pio", 0, 4),
    ],
    lines: &[Line::outs("intx", 4)],
    buses: &[BusDecl {
        name: "pcie",
        kind: BusKind::Pci,
    }],
    roles: &[role!(Gpex as dyn Mmio)],
    create: Gpex::create,
    ..DeviceType::BASE
};

/// A `gpex-pcihost`.
pub struct Gpex {
    // Fixed.
    /// Windows into the bus.
    windows: Vec<HostWindow>,
    /// First address of each region, if the board gave it as a property.
    bases: [Option<u64>; 4],
    buses: u64,
    // Derived.
    tree: Tree,
}

impl Gpex {
    fn create(p: &Properties, build: &mut Build<'_>) -> Result<Box<dyn Device>, CreateError> {
        let names = ["x-ecam", "x-below-4g-mmio", "x-above-4g-mmio", "x-pio"];
        let mut bases = [None; 4];
        let mut windows = Vec::new();
        for (region, name) in names.iter().enumerate() {
            let size = p.uint(&format!("{name}-size"));
            let base = p.uint(&format!("{name}-base"));
            if size == 0 {
                continue;
            }
            build.region_size(region, size);
            bases[region] = Some(base);
            if region != ECAM {
                let io = region == PIO;
                windows.push(HostWindow {
                    cpu: base,
                    bus: if io { 0 } else { base },
                    size,
                    io,
                });
            }
        }
        Ok(Box::new(Self {
            windows,
            bases,
            buses: build.region_len(ECAM) >> 20,
            tree: Tree::default(),
        }))
    }

    /// Reads what functions answer to and places their windows.
    fn refresh(&mut self, cx: &mut Ctx<'_>) {
        self.tree.refresh(cx);
        for p in placements(self.tree.nodes(), &self.windows) {
            cx.place_parts(p.device, p.region, &p.parts, p.priority);
        }
    }

    /// The function that an ECAM offset names, and the offset in its configuration space.
    fn target(&mut self, offset: u64, cx: &mut Ctx<'_>) -> Option<(DeviceId, u16)> {
        let bus = u8::try_from(offset >> 20).ok().filter(|b| u64::from(*b) < self.buses)?;
        let devfn = (offset >> 12) as u8;
        let device = self.tree.find(bus, devfn, cx)?;
        Some((device, (offset & 0xfff) as u16))
    }

    fn config_write(&mut self, offset: u64, size: u8, value: u32, cx: &mut Ctx<'_>) {
        let Some((device, at)) = self.target(offset, cx) else {
            return;
        };
        let answer = cx.with_role::<dyn PciFunction, _>(device, |f, cx| {
            let (before, driven) = (f.pci().decode(), f.pci().is_driven());
            let effects = f.config_write(at, size, value, cx);
            let virtuals = (before.virtuals, f.pci().virtuals());
            let let_go = driven && !f.pci().is_driven();
            (effects, f.pci().decode() != before, virtuals, let_go)
        });
        let Some((effects, moved, virtuals, let_go)) = answer else {
            return cx.guest_error(format_args!(
                "configuration write to a function that is doing DMA is lost"
            ));
        };
        if let (Some(before), Some(now)) = virtuals
            && before.enabled != now.enabled
        {
            self.reset_virtuals(device, cx);
        }
        if effects.contains(Effects::RESET_BELOW) {
            self.reset_below(device, cx);
        }
        if effects.contains(Effects::EJECT) {
            Self::eject_below(device, cx);
        }
        if let_go && let Some((slot, _)) = cx.parent_of(device) {
            let leaves = cx.with_role::<dyn PciSlot, _>(slot, |s, cx| s.released(cx));
            if leaves == Some(true) {
                Self::eject_below(slot, cx);
            }
        }
        if moved || effects.intersects(Effects::RESET | Effects::RESET_BELOW) {
            self.refresh(cx);
        }
    }

    fn eject_below(bridge: DeviceId, cx: &mut Ctx<'_>) {
        for (child, _) in cx.children_of(bridge, 0) {
            cx.request_unplug(child);
        }
    }

    /// Virtual functions begin and end in the state of reset.
    fn reset_virtuals(&mut self, physical: DeviceId, cx: &mut Ctx<'_>) {
        for device in self.tree.virtuals_of(physical) {
            cx.with_role::<dyn PciFunction, _>(device, |f, cx| f.function_reset(cx));
        }
    }

    fn reset_below(&mut self, bridge: DeviceId, cx: &mut Ctx<'_>) {
        self.tree.refresh(cx);
        for device in self.tree.below(bridge) {
            cx.with_role::<dyn PciFunction, _>(device, |f, cx| f.function_reset(cx));
        }
    }
}

impl Mmio for Gpex {
    fn read(&mut self, access: Access, cx: &mut Ctx<'_>) -> u64 {
        if access.region != ECAM {
            return u64::MAX;
        }
        let Some((device, at)) = self.target(access.offset, cx) else {
            return u64::MAX;
        };
        cx.with_role::<dyn PciFunction, _>(device, |f, cx| f.config_read(at, access.size, cx))
            .map_or(u64::MAX, u64::from)
    }

    fn write(&mut self, access: Access, value: u64, cx: &mut Ctx<'_>) {
        if access.region == ECAM {
            self.config_write(access.offset, access.size, value as u32, cx);
        }
    }
}

impl Device for Gpex {
    fn reset(&mut self, phase: ResetPhase, cx: &mut Ctx<'_>) {
        match phase {
            ResetPhase::Enter => {
                for (region, base) in self.bases.iter().enumerate() {
                    if let Some(base) = base {
                        cx.place_region(cx.me(), region, Some((*base, 0)));
                    }
                }
            }
            ResetPhase::Hold => {}
            // By now every function has its reset state.
            ResetPhase::Exit => self.refresh(cx),
        }
    }

    fn save(&self) -> SavedState {
        // Everything is derived from the functions.
        SavedState::of(VERSION, &())
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        state.read(VERSION)
    }

    fn after_load(&mut self, cx: &mut Ctx<'_>) {
        self.refresh(cx);
    }
}

const _: () = assert!(MMIO32 == 1 && MMIO64 == 2);
