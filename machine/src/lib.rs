//! Machines: boards described as data, and the builder that makes a [`southbridge_core::Machine`] out of one.
//!
//! A board file says what stands where and what is wired to what, read top to bottom; it implements nothing. [`build`] turns it into a
//! machine, [`add`] creates devices that the user adds and [`place`] finds a place for them, [`load`] puts programs into memory.

mod acpi;
pub mod add;
pub mod board;
pub mod boot;
pub mod build;
mod fault;
pub mod fdt;
pub mod help;
pub mod later;
pub mod load;
pub mod nic;
pub mod objects;
pub mod pci;
pub mod place;
mod ports;
pub mod qom;

pub use add::{AddError, Added, Spec, add_device, remove_device};
pub use board::{BOARDS, Board};
pub use build::{BuildError, Built, Layout, Options};
pub use nic::NicWish;
pub use objects::Objects;

use southbridge_core::Registry;

/// Every device type there is: all are in the one binary.
pub fn registry() -> Registry {
    let mut r = Registry::default();
    southbridge_device_cmsdk::register(&mut r);
    southbridge_device_ivshmem::register(&mut r);
    southbridge_device_net::register(&mut r);
    southbridge_device_pci::register(&mut r);
    southbridge_device_platform::register(&mut r);
    southbridge_device_virtio::register(&mut r);
    southbridge_device_primecell::register(&mut r);
    southbridge_device_riscv::register(&mut r);
    southbridge_device_ssi::register(&mut r);
    southbridge_device_stellaris::register(&mut r);
    r
}

#[cfg(test)]
mod tests;
