//! virtio-net: a network card (virtio 1.3, section 5.1).
//!
//! All offloads are offered whatever the back end can do: what neither guest nor back end does is done in software between them, by the
//! back end's crate. Nothing is coalesced: `guest_rsc_ext` is accepted and never offered.
//!
//! - `spec`: numbers of the specification
//! - `control`: messages of the control queue, parsed
//! - `filter`, `steer`: which frames the driver gets, and by which queue
//! - `state`: what changes, and is saved
//! - `device`, `traffic`: the model

mod control;
mod device;
mod filter;
mod properties;
mod spec;
mod state;
mod steer;
#[cfg(test)]
mod tests;
mod traffic;

pub use device::Net;
pub use properties::TYPES;
