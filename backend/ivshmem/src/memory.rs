//! The memory that all peers share: where it comes from, how it gets its size, and that its name goes away in the end.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, Mode, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use rustix::shm;

use crate::error::ServerError;

/// Sizes are tried up to here when the host wants whole huge pages.
const LARGEST_HUGE_PAGE: u64 = 1 << 30;

/// Where shared memory comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Memory without a name. Sealed, so that no peer can shrink it under the others.
    Anonymous,
    /// A POSIX shared memory object. An existing one is used (and resized), and the name is removed in the end, as
    /// QEMU's server does.
    Named(String),
    /// A file without a name in this folder, which may be a hugetlbfs mount.
    Folder(PathBuf),
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("anonymous shared memory"),
            Self::Named(name) => write!(f, "shared memory object '{name}'"),
            Self::Folder(folder) => write!(f, "shared memory in '{}'", folder.display()),
        }
    }
}

/// Shared memory with its size, and its name while it lives.
#[derive(Debug)]
pub(crate) struct SharedMemory {
    fd: OwnedFd,
    size: u64,
    name: Option<String>,
}

impl SharedMemory {
    /// Creates the memory with at least `size` bytes: the next power of two, because it may become a PCI BAR.
    pub(crate) fn create(memory: &Memory, size: u64) -> Result<Self, ServerError> {
        let size = rounded(size)?;
        let failed = |source: io::Error| ServerError::Memory {
            what: memory.to_string(),
            source,
        };
        let (fd, name) = match memory {
            Memory::Anonymous => {
                let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
                (memfd_create("ivshmem", flags).map_err(|e| failed(e.into()))?, None)
            }
            Memory::Named(name) => {
                let flags = shm::OFlags::CREATE | shm::OFlags::RDWR;
                let fd = shm::open(name.as_str(), flags, Mode::RUSR | Mode::WUSR).map_err(|e| failed(e.into()))?;
                (fd, Some(name.clone()))
            }
            Memory::Folder(folder) => (nameless_file(folder).map_err(failed)?.into(), None),
        };
        let mut made = Self { fd, size, name };
        made.size = resize(&made.fd, size).map_err(|source| {
            let what = memory.to_string();
            ServerError::Resize { what, size, source }
        })?;
        if *memory == Memory::Anonymous {
            let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
            fcntl_add_seals(&made.fd, seals).map_err(ServerError::host("seal the shared memory"))?;
        }
        Ok(made)
    }

    /// Bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }
}

impl AsFd for SharedMemory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            // Somebody may have removed it already, which is as good.
            let _ = shm::unlink(name.as_str());
        }
    }
}

fn rounded(size: u64) -> Result<u64, ServerError> {
    if size == 0 {
        return Err(ServerError::NoSize);
    }
    size.checked_next_power_of_two()
        .filter(|size| *size <= 1 << 62)
        .ok_or(ServerError::TooLarge(size))
}

/// Sets the size, or the next one up that the file system accepts (hugetlbfs takes whole pages only).
fn resize(fd: &OwnedFd, size: u64) -> io::Result<u64> {
    if rustix::fs::fstat(fd).is_ok_and(|stat| u64::try_from(stat.st_size) == Ok(size)) {
        return Ok(size);
    }
    let mut candidate = size;
    loop {
        match ftruncate(fd, candidate) {
            Ok(()) => return Ok(candidate),
            Err(error) if candidate >= LARGEST_HUGE_PAGE => return Err(error.into()),
            Err(_) => candidate *= 2,
        }
    }
}

fn nameless_file(folder: &Path) -> io::Result<File> {
    let mut attempt = 0u32;
    loop {
        let path = folder.join(format!("ivshmem.{}.{attempt}", std::process::id()));
        match OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
        {
            Ok(file) => {
                fs::remove_file(&path)?;
                return Ok(file);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < 1000 => attempt += 1,
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of(memory: &SharedMemory) -> i64 {
        rustix::fs::fstat(memory).unwrap().st_size
    }

    #[test]
    fn sizes_round_up_to_powers_of_two() {
        for (asked, given) in [(1, 1), (4096, 4096), (4097, 8192), (3 << 20, 4 << 20)] {
            let memory = SharedMemory::create(&Memory::Anonymous, asked).unwrap();
            assert_eq!((memory.size(), size_of(&memory)), (given, given as i64));
        }
        assert!(matches!(
            SharedMemory::create(&Memory::Anonymous, 0),
            Err(ServerError::NoSize)
        ));
        assert!(matches!(
            SharedMemory::create(&Memory::Anonymous, u64::MAX),
            Err(ServerError::TooLarge(_))
        ));
    }

    #[test]
    fn nobody_can_shrink_anonymous_memory() {
        let memory = SharedMemory::create(&Memory::Anonymous, 8192).unwrap();
        assert!(ftruncate(&memory, 0).is_err());
        assert_eq!(size_of(&memory), 8192);
    }

    #[test]
    fn a_named_object_lives_as_long_as_its_server() {
        let name = format!("southbridge-memory-test-{}", std::process::id());
        let path = Path::new("/dev/shm").join(&name);
        let memory = SharedMemory::create(&Memory::Named(name), 5000).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), 8192);
        drop(memory);
        assert!(!path.exists());
    }

    #[test]
    fn a_folder_keeps_no_trace() {
        let folder = tempfile::tempdir().unwrap();
        let memory = SharedMemory::create(&Memory::Folder(folder.path().into()), 4096).unwrap();
        assert_eq!(
            (size_of(&memory), fs::read_dir(folder.path()).unwrap().count()),
            (4096, 0)
        );
        let error = SharedMemory::create(&Memory::Folder("/nonexistent".into()), 4096).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot create shared memory in '/nonexistent': No such file or directory (os error 2)"
        );
    }
}
