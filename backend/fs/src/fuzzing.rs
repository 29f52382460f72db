//! Entry points for a fuzzer: any bytes as messages of a client; no panic, no growth without bound.

use rustix::fs::{CWD, Mode, OFlags};
use std::path::Path;
use std::sync::Arc;

use crate::local::{Local, Model};
use crate::session::{Export, Session};
use crate::synth::Synth;

/// A session on its own, without machine and threads.
pub struct Bare(Session);

impl Bare {
    /// A session of a client of the folder `path`; `model` chooses one of the four security models.
    ///
    /// # Errors
    /// The folder cannot be opened.
    pub fn local(path: &Path, model: u8, readonly: bool) -> std::io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
        let model = match model % 4 {
            0 => Model::MappedXattr,
            1 => Model::MappedFile,
            2 => Model::Passthrough,
            _ => Model::None,
        };
        Ok(Self::new(Box::new(Local::new(root, model, 0o600, 0o700)), readonly))
    }

    /// A session of a client of the made-up tree.
    pub fn synth() -> Self {
        Self::new(Box::new(Synth::new(true)), false)
    }

    fn new(fs: Box<dyn crate::fs::FileSystem>, readonly: bool) -> Self {
        Self(Session::new(Arc::new(Export {
            fs,
            readonly,
            multidevs: crate::qid::MultiDevices::Remap,
            most_open: 32,
        })))
    }

    /// The reply to a message.
    pub fn answer(&self, message: &[u8], room: usize) -> Vec<u8> {
        self.0.answer(message, room)
    }

    /// The session after it was saved and restored, on the same folder.
    #[must_use]
    pub fn saved_and_restored(self) -> Self {
        let saved = self.0.save();
        assert!(saved.is_possible(), "a session saves what it does not take back");
        let fresh = Session::new(self.0.export());
        fresh.restore(&saved);
        Self(fresh)
    }
}
