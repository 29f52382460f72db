//! virtio over PCI (Virtio 1.3, section 4.1): modern, transitional and legacy functions.
//!
//! BAR 0 has the legacy registers (I/O ports), BAR 1 the MSI-X table, BAR 2 the notification port if asked for, BAR 4 the modern
//! registers, as QEMU lays them out. A function in a PCI Express slot is an endpoint without legacy registers unless the user wants it
//! otherwise; on the root bus it is a conventional one.

mod legacy;
mod modern;
pub mod properties;
mod shape;
#[cfg(test)]
mod tests;
mod window;

use serde::{Deserialize, Serialize};
use southbridge_bus_pci::{Pci, PciFunction, PciState, PlugPlace, common};
use southbridge_bus_virtio::spec::{NO_VECTOR, feature};
use southbridge_bus_virtio::{Endpoint, EndpointState, VirtioCx, VirtioDevice, VirtioModel};
use southbridge_core::clock::TimerIndex;
use southbridge_core::machine::Moving;
use southbridge_core::{
    Access, Build, Completion, CreateError, Ctx, Device, Endian, Line, LoadError, Mmio, Properties, Region, RegionKind,
    ResetPhase, Role, SavedState, role,
};

use crate::types::{Flavor, ModelType, ring_features};
use shape::Shape;

const VERSION: u32 = 1;
const INTX: u16 = 0;
// Regions, in the order of `REGIONS`.
const LEGACY: usize = 0;
const MSIX: usize = 1;
const NOTIFY_PORT: usize = 2;
const MODERN: usize = 3;

const fn registers(name: &'static str, size: u64) -> Region {
    Region {
        name,
        kind: RegionKind::Mmio,
        size,
        valid: (1, 8),
        native: (1, 4),
        endian: Endian::Little,
        registers: &[],
    }
}

/// Regions of every virtio function; those that it has no BAR for stay unmapped.
pub const REGIONS: &[Region] = &[
    registers("virtio-pci", 32),
    southbridge_bus_pci::msix_region!("msix", 4096),
    registers("virtio-pci-notify-pio", 4),
    registers("virtio-pci-modern", 0x4000),
];

/// Lines of every virtio function.
pub const LINES: &[Line] = &[Line::out("intx")];

/// Roles of every virtio function.
pub const ROLES: &[Role] = &[
    role!(VirtioPci as dyn PciFunction),
    role!(VirtioPci as dyn Mmio),
    role!(VirtioPci as dyn VirtioDevice),
];

/// A virtio device on PCI.
pub struct VirtioPci {
    // Fixed.
    shape: Shape,
    /// Where the capability for access through configuration space is.
    window: Option<u16>,
    // Sub-machines.
    pci: Pci,
    endpoint: Endpoint,
    // Volatile.
    selectors: Selectors,
    // Glue.
    /// INTx as last set.
    level: bool,
}

/// Registers that say which of several things others are about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Selectors {
    device_features: u32,
    driver_features: u32,
    queue: u16,
    config_vector: u16,
}

impl Selectors {
    const fn new() -> Self {
        Self {
            device_features: 0,
            driver_features: 0,
            queue: 0,
            config_vector: NO_VECTOR,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Saved {
    pci: PciState,
    selectors: Selectors,
    endpoint: EndpointState,
}

/// Makes a device of a model.
///
/// # Errors
/// When the model or a property is refused.
pub fn create(
    model_type: &'static ModelType,
    flavor: Flavor,
    p: &Properties,
    build: &mut Build<'_>,
) -> Result<Box<dyn Device>, CreateError> {
    let model = (model_type.create)(p, build)?;
    let mut endpoint = Endpoint::new(model, ring_features(p));
    let id = endpoint.device_id();
    let shape = Shape::new(model_type, flavor, p, id, endpoint.queue_count(), endpoint.config_len())?;
    if shape.modern {
        endpoint.offer(feature::VERSION_1);
    }
    build.region_size(LEGACY, shape.legacy_len());
    build.region_size(MODERN, shape.modern_len());
    let table = southbridge_bus_pci::MsixLayout::exclusive_size(shape.vectors.max(1));
    build.region_size(MSIX, table);
    let (mut pci, window) = shape.build();
    common::apply(&mut pci, p, build)?;
    Ok(Box::new(VirtioPci {
        shape,
        window,
        pci,
        endpoint,
        selectors: Selectors::new(),
        level: false,
    }))
}

impl VirtioPci {
    /// Runs `f` on the shared half, with the bus's permission as it is now, and delivers what it leaves behind.
    fn with<T>(&mut self, cx: &mut Ctx<'_>, f: impl FnOnce(&mut Endpoint, &mut Ctx<'_>) -> T) -> T {
        self.endpoint.set_may_dma(self.pci.is_master());
        let answer = f(&mut self.endpoint, cx);
        self.deliver(cx);
        answer
    }

    /// Every interrupt from state and from what the last call raised.
    fn deliver(&mut self, cx: &mut Ctx<'_>) {
        let signals = self.endpoint.take_signals();
        if self.pci.msix_enabled() {
            for n in signals.queues {
                let vector = self.endpoint.queue(n).map_or(NO_VECTOR, |q| q.config().vector);
                self.send(vector, cx);
            }
            if signals.config {
                self.send(self.selectors.config_vector, cx);
            }
        }
        let level = self.endpoint.isr() != 0;
        if level != self.level {
            self.level = level;
            self.pci.set_intx(level, cx);
        }
    }

    fn send(&mut self, vector: u16, cx: &mut Ctx<'_>) {
        if vector != NO_VECTOR {
            self.pci.notify(vector, cx);
        }
    }

    /// What a vector register holds after `value` was written: a vector that is not there reads back as none.
    fn vector(&self, value: u64) -> u16 {
        match u16::try_from(value) {
            Ok(v) if v < self.shape.vectors => v,
            _ => NO_VECTOR,
        }
    }

    fn set_status(&mut self, value: u8, cx: &mut Ctx<'_>) {
        if value == 0 {
            self.reset_device(cx);
        } else {
            self.with(cx, |e, cx| e.set_status(value, cx));
        }
    }

    /// A reset by the driver: configuration space stays.
    fn reset_device(&mut self, cx: &mut Ctx<'_>) {
        self.selectors = Selectors::new();
        self.with(cx, |e, cx| e.reset(cx));
    }

    fn clear(&mut self, power_on: bool, cx: &mut Ctx<'_>) {
        self.pci.reset(power_on, cx);
        self.level = false;
        self.reset_device(cx);
    }
}

impl PciFunction for VirtioPci {
    fn pci(&self) -> &Pci {
        &self.pci
    }

    fn pci_mut(&mut self) -> &mut Pci {
        &mut self.pci
    }

    fn function_reset(&mut self, cx: &mut Ctx<'_>) {
        self.clear(false, cx);
    }

    fn about_to_plug(&mut self, place: PlugPlace) {
        if place.express_port == self.shape.express {
            return;
        }
        self.shape.express = place.express_port;
        let rom = self.pci.rom().copied();
        (self.pci, self.window) = self.shape.build();
        if let Some(rom) = rom {
            self.pci.add_rom(rom.region, rom.size);
        }
    }

    fn config_read(&mut self, offset: u16, size: u8, cx: &mut Ctx<'_>) -> u32 {
        self.window_read(offset, size, cx);
        self.pci.config_read(offset, size)
    }

    fn config_changed(&mut self, offset: u16, size: u8, cx: &mut Ctx<'_>) -> southbridge_bus_pci::Effects {
        self.window_written(offset, size, cx);
        southbridge_bus_pci::Effects::empty()
    }
}

impl Mmio for VirtioPci {
    fn read(&mut self, access: Access, cx: &mut Ctx<'_>) -> u64 {
        match access.region {
            LEGACY => self.legacy_read(access.offset, access.size, cx),
            MODERN => self.modern_read(access.offset, access.size, cx),
            _ => self.pci.msix_read(access).unwrap_or(0),
        }
    }

    fn write(&mut self, access: Access, value: u64, cx: &mut Ctx<'_>) {
        match access.region {
            LEGACY => self.legacy_write(access.offset, access.size, value, cx),
            MODERN => self.modern_write(access.offset, access.size, value, cx),
            NOTIFY_PORT => self.with(cx, |e, cx| e.kick(value as u16, cx)),
            _ => {
                self.pci.msix_write(access, value, cx);
            }
        }
    }
}

impl VirtioDevice for VirtioPci {
    fn enter(&mut self, f: &mut dyn FnMut(&mut dyn VirtioModel, &mut VirtioCx<'_, '_>), cx: &mut Ctx<'_>) {
        self.with(cx, |e, cx| e.call(cx, |m, cx| f(m, cx)));
    }

    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn selected_queue(&self) -> Option<u16> {
        Some(self.selectors.queue)
    }

    fn drive(&mut self, f: &mut dyn FnMut(&mut Endpoint, &mut Ctx<'_>), cx: &mut Ctx<'_>) {
        self.with(cx, |e, cx| f(e, cx));
    }
}

impl Device for VirtioPci {
    fn reset(&mut self, phase: ResetPhase, cx: &mut Ctx<'_>) {
        if phase == ResetPhase::Enter {
            self.clear(true, cx);
        }
    }

    fn save(&self) -> SavedState {
        let Self {
            shape: _,
            window: _,
            pci,
            endpoint,
            selectors,
            level: _,
        } = self;
        SavedState::of(
            VERSION,
            &Saved {
                pci: pci.save(),
                selectors: selectors.clone(),
                endpoint: endpoint.save(),
            },
        )
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        let Saved {
            pci,
            selectors,
            endpoint,
        } = state.read(VERSION)?;
        self.pci.check(&pci)?;
        self.endpoint.load(endpoint)?;
        self.pci.load(pci)?;
        self.selectors = selectors;
        self.level = self.endpoint.isr() != 0;
        Ok(())
    }

    fn after_load(&mut self, cx: &mut Ctx<'_>) {
        self.with(cx, |e, cx| e.after_load(cx));
    }

    fn on_moving(&mut self, step: &Moving, cx: &mut Ctx<'_>) {
        self.with(cx, |e, cx| e.on_moving(step, cx));
    }

    fn migration_blocker(&self) -> Option<String> {
        self.endpoint.migration_blocker()
    }

    fn on_timer(&mut self, timer: TimerIndex, cx: &mut Ctx<'_>) {
        self.with(cx, |e, cx| e.on_timer(timer, cx));
    }

    fn on_completion(&mut self, done: Completion, cx: &mut Ctx<'_>) {
        self.with(cx, |e, cx| e.on_completion(done, cx));
    }
}
