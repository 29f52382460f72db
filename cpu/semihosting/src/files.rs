//! The guest's open files.

use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};

/// The name of the console (section "SYS_OPEN").
const CONSOLE: &str = ":tt";
/// The name of the file that says which extensions there are (section "Feature bits").
const FEATURES: &str = ":semihosting-features";
/// Magic `SHFB`, then SH_EXT_EXIT_EXTENDED and SH_EXT_STDOUT_STDERR.
const FEATURE_BYTES: [u8; 5] = [0x53, 0x48, 0x46, 0x42, 0b11];
/// Files open at one time.
const MAX_OPEN: usize = 256;

enum Open {
    Console,
    Features { at: u64 },
    Host(File),
}

/// Handles are indexes plus one, so that 0 is never valid.
#[derive(Default)]
pub(crate) struct Files(Vec<Option<Open>>);

/// An open file as a saved state has it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum SavedFile {
    Console,
    Features { at: u64 },
}

fn bad_handle() -> io::Error {
    io::Error::from_raw_os_error(9)
}

impl Files {
    /// The open files by slot; `None` if one is a file of the host.
    pub(crate) fn save(&self) -> Option<Vec<Option<SavedFile>>> {
        let saved = |open: &Open| match open {
            Open::Console => Some(SavedFile::Console),
            Open::Features { at } => Some(SavedFile::Features { at: *at }),
            Open::Host(_) => None,
        };
        let slots = self.0.iter();
        slots
            .map(|s| s.as_ref().map(saved).map_or(Some(None), |f| f.map(Some)))
            .collect()
    }

    /// The same files again; `None` if there are too many.
    pub(crate) fn load(saved: &[Option<SavedFile>]) -> Option<Self> {
        let open = |f: &SavedFile| match *f {
            SavedFile::Console => Open::Console,
            SavedFile::Features { at } => Open::Features {
                at: at.min(FEATURE_BYTES.len() as u64),
            },
        };
        (saved.len() <= MAX_OPEN).then(|| Self(saved.iter().map(|f| f.as_ref().map(open)).collect()))
    }

    /// Opens by the mode numbers 0 to 11, those of `fopen` from `r` to `a+b`.
    pub(crate) fn open(&mut self, name: &str, mode: u64) -> io::Result<u64> {
        if mode > 11 {
            return Err(io::Error::from_raw_os_error(22));
        }
        let open = match name {
            CONSOLE => Open::Console,
            FEATURES if mode <= 1 => Open::Features { at: 0 },
            FEATURES => return Err(io::Error::from_raw_os_error(13)),
            _ => Open::Host(open_host(name, mode)?),
        };
        let slot = match self.0.iter().position(Option::is_none) {
            Some(free) => free,
            None if self.0.len() < MAX_OPEN => {
                self.0.push(None);
                self.0.len() - 1
            }
            None => return Err(io::Error::from_raw_os_error(24)),
        };
        self.0[slot] = Some(open);
        Ok(slot as u64 + 1)
    }

    /// A replay: the file got this handle when the run was recorded. Only the console opens again.
    pub(crate) fn opened_before(&mut self, name: Option<&str>, handle: u64) {
        let slot = handle.checked_sub(1).and_then(|i| usize::try_from(i).ok());
        if let Some(slot) = slot.filter(|i| *i < MAX_OPEN) {
            if self.0.len() <= slot {
                self.0.resize_with(slot + 1, || None);
            }
            self.0[slot] = (name == Some(CONSOLE)).then_some(Open::Console);
        }
    }

    fn slot(&mut self, handle: u64) -> io::Result<&mut Option<Open>> {
        let i = handle
            .checked_sub(1)
            .and_then(|i| usize::try_from(i).ok())
            .ok_or_else(bad_handle)?;
        self.0.get_mut(i).filter(|s| s.is_some()).ok_or_else(bad_handle)
    }

    fn get(&mut self, handle: u64) -> io::Result<&mut Open> {
        self.slot(handle)?.as_mut().ok_or_else(bad_handle)
    }

    pub(crate) fn close(&mut self, handle: u64) -> io::Result<()> {
        *self.slot(handle)? = None;
        Ok(())
    }

    pub(crate) fn is_console(&mut self, handle: u64) -> io::Result<bool> {
        Ok(matches!(self.get(handle)?, Open::Console))
    }

    pub(crate) fn write(&mut self, handle: u64, data: &[u8]) -> io::Result<()> {
        match self.get(handle)? {
            Open::Host(f) => f.write_all(data),
            _ => Err(bad_handle()),
        }
    }

    /// Reads until the buffer is full or the file ends.
    pub(crate) fn read(&mut self, handle: u64, out: &mut [u8]) -> io::Result<usize> {
        match self.get(handle)? {
            Open::Console => Ok(0),
            Open::Features { at } => {
                let rest = FEATURE_BYTES.get(*at as usize..).unwrap_or_default();
                let n = rest.len().min(out.len());
                out[..n].copy_from_slice(&rest[..n]);
                *at += n as u64;
                Ok(n)
            }
            Open::Host(f) => {
                let mut done = 0;
                while done < out.len() {
                    match f.read(&mut out[done..])? {
                        0 => break,
                        n => done += n,
                    }
                }
                Ok(done)
            }
        }
    }

    pub(crate) fn seek(&mut self, handle: u64, to: u64) -> io::Result<()> {
        match self.get(handle)? {
            Open::Console => Err(io::Error::from_raw_os_error(29)),
            Open::Features { at } => {
                *at = to.min(FEATURE_BYTES.len() as u64);
                Ok(())
            }
            Open::Host(f) => f.seek(SeekFrom::Start(to)).map(|_| ()),
        }
    }

    pub(crate) fn len(&mut self, handle: u64) -> io::Result<u64> {
        match self.get(handle)? {
            Open::Console => Err(io::Error::from_raw_os_error(29)),
            Open::Features { .. } => Ok(FEATURE_BYTES.len() as u64),
            Open::Host(f) => Ok(f.metadata()?.len()),
        }
    }
}

fn open_host(name: &str, mode: u64) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let plus = mode & 2 != 0;
    let mut options = OpenOptions::new();
    match mode / 4 {
        0 => options.read(true).write(plus),
        1 => options.write(true).read(plus).create(true).truncate(true),
        _ => options.append(true).read(plus).create(true),
    };
    // A FIFO or a terminal could block the machine, so the open itself must not, and only regular files stay open.
    let file = options
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32)
        .open(name)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::from_raw_os_error(22));
    }
    Ok(file)
}
