//! PCI and PCI Express: what every function has, and how a host bridge reaches it.
//!
//! # How to write a PCI device
//! 1. Embed a [`Pci`] and make it in `create`:
//!    ```ignore
//!    let mut pci = Pci::conventional(Identity::new(0x1af4, 0x1110, 0x0500).revision(1)); // or Pci::express(..) + add_express
//!    pci.add_bar(0, Bar::mem32(REGS, 0x100));              // BAR 0 shows region REGS of the device type
//!    pci.add_bar(1, Bar::mem32(MSIX, MsixLayout::exclusive_size(vectors)));
//!    pci.add_bar(2, Bar::mem64_prefetch(SHMEM, size));     // a Ram region of that size: build.region_size(SHMEM, size)
//!    pci.add_msix(0x40, MsixLayout::exclusive(1, vectors));
//!    pci.set_intx_pin(1, INTX);                            // only if it has INTx: output line "intx"
//!    common::apply(&mut pci, properties, build)?;          // romfile=, multifunction=, …
//!    ```
//!    BARs are ordinary regions of the type (`Region` with `valid`/`native` widths, or `Region::ram`). They are mapped when the guest
//!    enables them; the device does nothing for that. A BAR's size is a power of two, at least 16 bytes (4 for I/O), and is given to
//!    [`Bar`]; the region may be shorter.
//! 2. Declare the type: `bus: BusKind::Pci`, `properties: pci_properties![own…]`, `lines: &[Line::out("intx")]` if it has INTx,
//!    `roles: &[role!(Me as dyn PciFunction), role!(Me as dyn Mmio)]`.
//! 3. Implement [`PciFunction`]: `pci`, `pci_mut` and `function_reset` (the device's own state and `self.pci.reset(false, cx)`); and in
//!    `Device::reset`, phase `Enter`, the same with `self.pci.reset(true, cx)`.
//! 4. In [`Mmio`](southbridge_core::Mmio) with MSI-X: `if let Some(v) = self.pci.msix_read(access) { return v }` and
//!    `if self.pci.msix_write(access, value, cx) { return }` first. Its region: `msix_region!("msix", 4096)`.
//! 5. Interrupts: `if !self.pci.notify(vector, cx) { self.pci.set_intx(level, cx) }`. Memory: [`Pci::dma_read`], [`Pci::dma_write`].
//! 6. State: put `pci: self.pci.save()` ([`PciState`]) into the saved struct; load with `self.pci.load(state.pci)?` first, as it fails
//!    without having changed anything.
//! 7. What follows a change of configuration space (the guest enabled MSI-X, say): override [`PciFunction::config_changed`].
//! 8. Virtual functions: `pci.add_sriov(0x160, &Sriov{..})`, `pci.add_virtual_bar(0, kind, size)` and [`PciFunction::virtual_type`] in
//!    the physical function; a type of their own that begins with [`Pci::virtual_function`], whose `add_bar` says no more than which
//!    region is which BAR.

mod bar;
pub mod bridge;
pub mod caps;
pub mod common;
mod config;
pub mod decode;
pub mod doe;
pub mod errors;
mod function;
mod msi;
pub mod regs;
pub mod sriov;
#[cfg(test)]
mod tests;
pub mod wiring;

pub use bar::{Bar, BarKind};
pub use bridge::Windows;
pub use config::{ConfigSpace, SavedConfig};
pub use decode::Decode;
pub use function::{Effects, Identity, Pci, PciState};
pub use msi::{Message, Msi, MsixLayout};

use southbridge_core::{Ctx, DeviceType, Properties};

/// A function on a PCI bus: the role by which a host bridge reaches it. Its address on the bus is slot × 8 + function.
pub trait PciFunction {
    /// The embedded half.
    fn pci(&self) -> &Pci;

    /// The embedded half.
    fn pci_mut(&mut self) -> &mut Pci;

    /// To the state of creation by function-level reset, by a reset of the bus, or because power came back: the device's own state and
    /// [`Pci::reset`].
    fn function_reset(&mut self, cx: &mut Ctx<'_>);

    /// The type of virtual functions of a physical one, and what each is made with. How many there are, [`Pci::add_sriov`] says.
    fn virtual_type(&self) -> Option<(&'static DeviceType, Properties)> {
        None
    }

    /// The function is about to come to a bus, before anybody has seen it: the last moment at which it can be another for it.
    fn about_to_plug(&mut self, _place: PlugPlace) {}

    /// A read of configuration space: 1, 2 or 4 bytes, at any offset.
    fn config_read(&mut self, offset: u16, size: u8, _cx: &mut Ctx<'_>) -> u32 {
        self.pci().config_read(offset, size)
    }

    /// A write of configuration space: 1, 2 or 4 bytes, at any offset. What the result asks of others is the host bridge's to do; a
    /// reset of the function itself is done already.
    fn config_write(&mut self, offset: u16, size: u8, value: u32, cx: &mut Ctx<'_>) -> Effects {
        let effects = self.pci_mut().config_write(offset, size, value, cx);
        if effects.contains(Effects::RESET) {
            self.function_reset(cx);
        }
        effects | self.config_changed(offset, size, cx)
    }

    /// A message on its way up from here or from below; tells whether it goes on. Root ports take it in.
    fn message(&mut self, message: errors::PciMessage, _cx: &mut Ctx<'_>) -> bool {
        self.pci_mut().pass_message(message)
    }

    /// Software wrote `size` bytes at `offset`, and the write has had its usual effects.
    fn config_changed(&mut self, _offset: u16, _size: u8, _cx: &mut Ctx<'_>) -> Effects {
        Effects::empty()
    }
}

/// What kind of place a function comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlugPlace {
    /// A slot of PCI Express, below a root port or a switch: not the root bus, nor a conventional bus.
    pub express_port: bool,
}

/// Why a slot does not take a function, or does not let it go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SlotError {
    /// The port leads to one device, at slot 0.
    #[error("takes one device, at slot 0")]
    OnlySlot0,
    /// Nothing can come or go while the machine runs.
    #[error("does not support hot-plugging")]
    NoHotPlug,
    /// The interlock holds what is in the slot.
    #[error("is electromechanically locked")]
    Locked,
    /// The guest is in the middle of a change (its power indicator blinks).
    #[error("is busy: its power indicator blinks")]
    Busy,
}

/// When a function that is asked to leave does so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaves {
    /// At once: the slot has no power.
    Now,
    /// When the guest lets it go.
    WhenReleased,
}

/// The role of bridges with a say in what is plugged into the bus below them.
pub trait PciSlot {
    /// Whether a function may come to `devfn`; `hot` while the machine runs.
    ///
    /// # Errors
    /// When not.
    fn may_plug(&self, devfn: u8, hot: bool) -> Result<(), SlotError>;

    /// A function came.
    fn plugged(&mut self, devfn: u8, hot: bool, cx: &mut Ctx<'_>);

    /// The user wants a function gone.
    ///
    /// # Errors
    /// When it cannot leave.
    fn unplug(&mut self, devfn: u8, cx: &mut Ctx<'_>) -> Result<Leaves, SlotError>;

    /// A driver of a function below has let it go: whether what was asked to leave does so now.
    fn released(&mut self, cx: &mut Ctx<'_>) -> bool;
}

/// `msix_region!("msix", 4096)`: the region of a BAR that holds nothing but an MSI-X table and its pending bits.
#[macro_export]
macro_rules! msix_region {
    ($name:literal, $size:expr) => {
        ::southbridge_core::Region {
            name: $name,
            kind: ::southbridge_core::RegionKind::Mmio,
            size: $size,
            valid: (1, 8),
            native: (4, 8),
            endian: ::southbridge_core::Endian::Little,
            registers: &[],
        }
    };
}
