//! Character back ends: what stands on the host's side of a serial port, a console or an ivshmem device.
//!
//! One concrete [`Chardev`] holds what all kinds have in common: a bounded output buffer, credit for input, front ends, the log file
//! and the menu behind `Ctrl-a`. Each kind is a narrow link in its own file, and one table of [`Kind`]s gives their names, options,
//! help and errors. Nothing here blocks the machine; [`Chardevs::wait_for_clients`] is the one place that waits, before it starts.
//!
//! Not here: who uses a back end. A device holds a [`CharFront`], a monitor or a test a [`CharHandle`].

mod chardev;
mod chardevs;
mod error;
mod front;
pub mod fuzzing;
mod kind;
mod link;
mod mux;
mod program;
pub mod testing;

pub use chardev::{AttachError, Chardev};
pub use chardevs::{Chardevs, Interrupted, open};
pub use error::CharError;
pub use front::{CharEvent, CharFront, CharHandle};
pub use kind::stdio::restore_terminal;
pub use kind::{COMMON, KINDS, Kind, find, help, kind_help, parse};
pub use link::LentListeners;
pub use mux::{DEFAULT_ESCAPE, Key, Menu};
pub use program::{Message, Messages, QuitRequest};

impl Chardev {
    /// The oldest bytes of a `ringbuf`, out of it. `None` for other kinds.
    pub fn ringbuf_read(&mut self, most: usize) -> Option<Vec<u8>> {
        self.link::<kind::ringbuf::Ringbuf>().map(|r| r.read(most))
    }

    /// Adds to a `ringbuf` as if a device had written it. `false` for other kinds.
    pub fn ringbuf_write(&mut self, data: &[u8]) -> bool {
        self.link::<kind::ringbuf::Ringbuf>().map(|r| r.append(data)).is_some()
    }
}
