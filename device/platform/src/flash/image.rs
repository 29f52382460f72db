//! What the flash holds, and the file on the host that it comes from.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use southbridge_core::{CreateError, RamBlock};

const PROPERTY: &str = "drive";
const CHUNK: usize = 1 << 16;

/// The contents, and where changes go.
pub(crate) struct Image {
    pub(crate) memory: RamBlock,
    file: Option<File>,
}

impl Image {
    /// Erased flash as QEMU has it without a drive: zeros, forgotten at the end.
    pub(crate) fn blank(size: u64) -> Result<Self, CreateError> {
        let memory =
            RamBlock::new("flash", size).map_err(|e| CreateError::Host(format!("no memory for flash: {e}")))?;
        Ok(Self { memory, file: None })
    }

    /// The bytes of a raw file, which must fill the flash exactly. Changes go back unless the file is only to be read.
    pub(crate) fn of(path: &str, size: u64, readonly: bool) -> Result<Self, CreateError> {
        let refused = |expected: String| CreateError::BadValue {
            property: PROPERTY,
            value: path.to_owned(),
            expected,
        };
        let file = OpenOptions::new().read(true).write(!readonly).open(Path::new(path));
        let mut file = file.map_err(|e| refused(format!("a raw file that can be opened ({e})")))?;
        let len = file.metadata().map(|m| m.len()).unwrap_or(0);
        if len != size {
            return Err(refused(format!(
                "a raw file of {size} bytes and this one has {len} ('truncate -s {size} FILE' makes it so)"
            )));
        }
        let image = Self::blank(size)?;
        image
            .fill(&mut file)
            .map_err(|e| refused(format!("a raw file that can be read ({e})")))?;
        Ok(Self {
            file: Some(file).filter(|_| !readonly),
            ..image
        })
    }

    fn fill(&self, file: &mut File) -> io::Result<()> {
        let mut buffer = vec![0; CHUNK];
        let mut at = 0;
        while at < self.memory.len() {
            let n = (self.memory.len() - at).min(CHUNK as u64) as usize;
            let part = &mut buffer[..n];
            file.read_exact(part)?;
            // Memory is zero already; what is not touched costs nothing.
            if part.iter().any(|b| *b != 0) && !self.memory.write(at, part) {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            at += n as u64;
        }
        Ok(())
    }

    pub(crate) fn read(&self, offset: u64, out: &mut [u8]) -> bool {
        self.memory.read(offset, out)
    }

    /// Changes the contents, here and in the file. What does not lie inside is dropped.
    pub(crate) fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        match &self.file {
            _ if !self.memory.write(offset, data) => Ok(()),
            Some(file) => file.write_all_at(data, offset),
            None => Ok(()),
        }
    }

    /// Writes all contents to the file: a state was loaded that may differ in any place.
    pub(crate) fn write_back(&self) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let (mut here, mut there) = (vec![0; CHUNK], vec![0; CHUNK]);
        let mut at = 0;
        while at < self.memory.len() {
            let n = (self.memory.len() - at).min(CHUNK as u64) as usize;
            file.read_exact_at(&mut there[..n], at)?;
            if self.memory.read(at, &mut here[..n]) && here[..n] != there[..n] {
                file.write_all_at(&here[..n], at)?;
            }
            at += n as u64;
        }
        Ok(())
    }
}
