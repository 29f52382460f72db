//! Memory back ends: where the memory that a guest sees comes from, and how other processes can be given it.
//!
//! A [`MemoryBackend`] stands among a machine's back ends, so that a device's property `memdev=` names it as `chardev=` names a
//! character back end; boards take the [`RamBlock`] itself. Whatever is behind it has a descriptor and is shareable.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fd::OwnedFd;
use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags, fallocate, fcntl_add_seals, ftruncate, memfd_create};
use southbridge_core::{Backend, BackendId, HostCx, HostEvent, RamBlock, System};
use thiserror::Error;

/// What is behind the memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Nothing that has a name.
    Ram,
    /// A file, or a new one without a name in a folder (a mount of hugetlbfs).
    File {
        /// The file or folder.
        path: PathBuf,
        /// Where in the file the memory begins, in bytes.
        offset: u64,
        /// The file is only read.
        readonly: bool,
        /// Its contents are given up at the end.
        discard: bool,
    },
    /// A memfd.
    Memfd {
        /// In huge pages, of this many bytes or, if 0, of the host's usual size.
        huge: Option<u64>,
        /// Its size cannot change any more.
        seal: bool,
    },
    /// POSIX shared memory whose name is gone as soon as it is open.
    Shm,
}

/// A memory back end as the user wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What is behind it.
    pub kind: Kind,
    /// Bytes.
    pub size: u64,
    /// What the guest writes is seen by whoever has the same file. Memory without a file is always shareable.
    pub share: bool,
    /// The host sets it aside now.
    pub prealloc: bool,
}

/// Why there is no such memory.
#[derive(Debug, Error)]
pub enum MemoryError {
    /// A size that no memory has.
    #[error("memory has at least one byte")]
    Empty,
    /// The file cannot be used.
    #[error("'{path}': {error}")]
    File {
        /// The file.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// Something that this program does not do.
    #[error("{0}")]
    NotYet(&'static str),
    /// The host has none left.
    #[error("the host does not give {size} bytes of memory: {error}")]
    Host {
        /// Bytes.
        size: u64,
        /// Why.
        error: io::Error,
    },
}

/// Memory that stands among a machine's back ends.
pub struct MemoryBackend {
    block: RamBlock,
    config: Config,
    file: Option<File>,
}

impl MemoryBackend {
    /// Takes memory from the host.
    ///
    /// # Errors
    /// When the host refuses, or a file does not fit.
    pub fn open(name: &str, config: &Config) -> Result<Self, MemoryError> {
        let size = config.size;
        if size == 0 {
            return Err(MemoryError::Empty);
        }
        let host = |error: io::Error| MemoryError::Host { size, error };
        let mut file = None;
        let fd = match &config.kind {
            Kind::Ram => anonymous(name, size, MemfdFlags::CLOEXEC).map_err(host)?,
            Kind::Memfd { huge, seal } => memfd(name, size, *huge, *seal).map_err(host)?,
            Kind::Shm => shared(name, size).map_err(host)?,
            Kind::File { path, .. } => {
                let (fd, keep) = from_file(name, path, config)?;
                file = keep;
                fd
            }
        };
        if config.prealloc {
            fallocate(&fd, FallocateFlags::empty(), 0, size).map_err(|e| host(e.into()))?;
        }
        let block = RamBlock::from_fd(fd, size).map_err(host)?;
        Ok(Self {
            block,
            config: config.clone(),
            file,
        })
    }

    /// The same, put among the back ends of a machine.
    ///
    /// # Errors
    /// As [`MemoryBackend::open`].
    pub fn add(sys: &mut System, name: &str, config: &Config) -> Result<(BackendId, RamBlock), MemoryError> {
        let mut block = None;
        let id = sys.host.add(|_| {
            let this = Self::open(name, config)?;
            block = Some(this.block.clone());
            Ok::<Box<dyn Backend>, MemoryError>(Box::new(this))
        })?;
        let block = block.ok_or(MemoryError::Empty)?;
        Ok((id, block))
    }

    /// The memory. Cheap to clone.
    pub fn block(&self) -> &RamBlock {
        &self.block
    }

    /// Whether the guest must not write.
    pub fn is_readonly(&self) -> bool {
        matches!(self.config.kind, Kind::File { readonly: true, .. })
    }

    /// How it was asked for.
    pub fn config(&self) -> &Config {
        &self.config
    }
}

impl Backend for MemoryBackend {
    fn on_host(&mut self, _: HostEvent, _: &mut HostCx<'_>) {}

    fn close(&mut self, _: &mut HostCx<'_>) {
        if let (Kind::File { discard: true, .. }, Some(file)) = (&self.config.kind, &self.file) {
            let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            let _ = fallocate(file, hole, 0, self.config.size);
        }
    }
}

fn anonymous(name: &str, size: u64, flags: MemfdFlags) -> io::Result<OwnedFd> {
    let fd = memfd_create(name, flags)?;
    ftruncate(&fd, size)?;
    Ok(fd)
}

fn memfd(name: &str, size: u64, huge: Option<u64>, seal: bool) -> io::Result<OwnedFd> {
    let mut flags = MemfdFlags::CLOEXEC;
    if seal {
        flags |= MemfdFlags::ALLOW_SEALING;
    }
    if let Some(page) = huge {
        flags |= MemfdFlags::HUGETLB;
        if page != 0 {
            // The size is a power of two and stands in the flags as its exponent (memfd_create(2)).
            flags |= MemfdFlags::from_bits_retain(page.trailing_zeros() << 26);
        }
    }
    let fd = anonymous(name, size, flags)?;
    if seal {
        fcntl_add_seals(&fd, SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
    }
    Ok(fd)
}

/// The name only has to be free for a moment.
fn shared(name: &str, size: u64) -> io::Result<OwnedFd> {
    use rustix::shm;
    for attempt in 0..100 {
        let name = format!("/southbridge-{}-{name}-{attempt}", std::process::id());
        let flags = shm::OFlags::CREATE | shm::OFlags::EXCL | shm::OFlags::RDWR;
        match shm::open(&name, flags, shm::Mode::RUSR | shm::Mode::WUSR) {
            Ok(fd) => {
                shm::unlink(&name)?;
                ftruncate(&fd, size)?;
                return Ok(fd);
            }
            Err(rustix::io::Errno::EXIST) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// The descriptor to map, and the file itself if it is to be cared for at the end.
fn from_file(name: &str, path: &Path, config: &Config) -> Result<(OwnedFd, Option<File>), MemoryError> {
    let wrong = |error: io::Error| MemoryError::File {
        path: path.display().to_string(),
        error,
    };
    let Kind::File { offset, readonly, .. } = config.kind else {
        return Err(MemoryError::Empty);
    };
    if path.is_dir() {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::TMPFILE.bits() as i32)
            .open(path);
        let file = file.or_else(|_| unnamed(path, name)).map_err(wrong)?;
        file.set_len(config.size).map_err(wrong)?;
        return Ok((file.into(), None));
    }
    if config.share && (readonly || offset != 0) {
        return Err(MemoryError::NotYet(
            "'share=on' goes with neither 'readonly=on' nor 'offset' yet; with 'share=off' both work",
        ));
    }
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(config.share)
        .create(config.share)
        .truncate(false);
    let mut file = options.open(path).map_err(wrong)?;
    if config.share {
        if file.metadata().map_err(wrong)?.len() < config.size {
            file.set_len(config.size).map_err(wrong)?;
        }
        let fd = file.try_clone().map_err(wrong)?;
        return Ok((fd.into(), Some(file)));
    }
    // A copy is what a private mapping is to its owner, and unlike one it can be handed on.
    let mut copy = File::from(anonymous(name, config.size, MemfdFlags::CLOEXEC).map_err(wrong)?);
    file.seek(SeekFrom::Start(offset)).map_err(wrong)?;
    io::copy(&mut file.take(config.size), &mut copy).map_err(wrong)?;
    copy.flush().map_err(wrong)?;
    Ok((copy.into(), None))
}

/// A new file in a folder of a file system that has no files without names: its name is gone at once.
fn unnamed(folder: &Path, name: &str) -> io::Result<File> {
    let path = folder.join(format!("southbridge-{}-{name}", std::process::id()));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(kind: Kind) -> Config {
        Config {
            kind,
            size: 8192,
            share: true,
            prealloc: true,
        }
    }

    fn file(path: &Path, offset: u64) -> Kind {
        Kind::File {
            path: path.to_owned(),
            offset,
            readonly: false,
            discard: false,
        }
    }

    #[test]
    fn all_kinds_hold_what_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let memfd = Kind::Memfd { huge: None, seal: true };
        for kind in [
            Kind::Ram,
            memfd,
            Kind::Shm,
            file(folder.path(), 0),
            file(&folder.path().join("f"), 0),
        ] {
            let m = MemoryBackend::open("m", &config(kind)).unwrap();
            assert!(m.block().write(8190, b"xy") && !m.block().write(8191, b"xy"));
            let mut two = [0; 2];
            assert!(m.block().read(8190, &mut two));
            assert_eq!(&two, b"xy");
        }
        let left: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(left, ["f"], "the folder's own file has no name");
        assert_eq!(std::fs::metadata(folder.path().join("f")).unwrap().len(), 8192);
    }

    #[test]
    fn sharing_is_what_it_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, [7; 10_000]).unwrap();
        let shared = MemoryBackend::open("m", &config(file(&path, 0))).unwrap();
        let private = Config {
            share: false,
            ..config(file(&path, 4096))
        };
        let private = MemoryBackend::open("m", &private).unwrap();
        assert!(shared.block().write(0, b"s") && private.block().write(0, b"p"));
        let now = std::fs::read(&path).unwrap();
        assert_eq!((now[0], now[4096], now.len()), (b's', 7, 10_000));
        let mut byte = [0; 2];
        assert!(private.block().read(10_000 - 4096 - 1, &mut byte));
        assert_eq!(byte, [7, 0], "behind the file's end there are zeros");
    }

    #[test]
    fn what_the_host_refuses_is_told() {
        let missing = Config {
            share: false,
            ..config(file(Path::new("/nowhere/at/all"), 0))
        };
        let error = MemoryBackend::open("m", &missing).err().unwrap().to_string();
        assert!(error.contains("/nowhere/at/all"), "{error}");
        let empty = Config {
            size: 0,
            ..config(Kind::Ram)
        };
        assert!(matches!(MemoryBackend::open("m", &empty), Err(MemoryError::Empty)));
    }
}
