//! virtio (Virtio 1.3): what every device has, whatever it is and however the guest reaches it.
//!
//! # How to write a virtio device
//! 1. A struct with the device's state that implements [`VirtioModel`]. Its way out is [`VirtioCx`]:
//!    ```text
//!    fn on_notify(&mut self, queue: u16, cx: &mut VirtioCx<'_, '_>) {
//!        while let Some(chain) = cx.pop(queue) {
//!            let mut header = [0; 16];
//!            let answer = match cx.read(&chain, 0, &mut header) { … };
//!            let written = match cx.write(&chain, 0, &answer) { Ok(()) => answer.len() as u32, Err(_) => 0 };
//!            cx.push(chain, written);
//!        }
//!    }
//!    ```
//!    A chain may be kept and pushed later, from `on_completion` or `on_timer`. It is plain data: save it with the model's state.
//! 2. One table in `device/virtio` declares what users see: `virtio-X-pci` and its brothers. See `southbridge_device_virtio::types`.
//! 3. Tests play the guest with [`testing`].
//!
//! # What a model need not care for
//! Both ring formats, indirect tables, interrupt suppression, in-order use, resets: a chain from before a reset is refused by `read` and
//! `write` and vanishes in `push`. A driver that breaks the rules finds the device needing a reset; `pop` gives nothing then.

mod chain;
mod cx;
mod dma;
mod endpoint;
pub mod inspect;
mod lane;
pub mod legacy;
mod model;
pub mod names;
mod queue;
pub mod spec;
pub mod testing;
pub mod wiring;

pub use chain::{Chain, ChainError, Segment};
pub use cx::VirtioCx;
pub use endpoint::{Endpoint, EndpointState, Signals, Virtio};
pub use lane::{Lane, LaneCx, Odd};
pub use model::{VirtioDevice, VirtioModel, with_model};
pub use queue::{Queue, QueueConfig, RingError};
