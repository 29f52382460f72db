//! What an access on a bus can come back with instead of data.

use thiserror::Error;

/// An access that no target completed. A CPU turns it into its architecture's bus fault; a device that did DMA into its error status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BusError {
    /// Nothing is mapped at the address.
    #[error("nothing is mapped there")]
    Unmapped,
    /// The target does not take an access of this width or alignment.
    #[error("the target does not take this width or alignment")]
    Size,
    /// The target is in the middle of the access that led here (a device's DMA reached its own registers), or the chain of devices
    /// that reach each other by DMA is too long.
    #[error("the target is busy with the access that caused this one")]
    Busy,
    /// The target itself refuses.
    #[error("the target refuses")]
    Target,
}
