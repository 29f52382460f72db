//! Reads and writes past the host's cache (`O_DIRECT`): memory, offset and length must be multiples of what the host works in.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{PoisonError, RwLock};

/// Largest unit of any host, and the alignment of memory that suits all.
const MOST: usize = 4096;

/// What the host works in, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Direct {
    unit: usize,
}

/// Memory that begins at a multiple of [`MOST`].
struct Aligned {
    memory: Vec<u8>,
    start: usize,
    len: usize,
}

impl Aligned {
    fn new(len: usize) -> Self {
        let memory = vec![0; len + MOST];
        let start = memory.as_ptr().align_offset(MOST).min(MOST);
        Self { memory, start, len }
    }

    fn bytes(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.len]
    }
}

impl Direct {
    /// Finds the unit out by reading.
    pub(crate) fn probe(file: &File) -> Self {
        let works = |unit: usize| file.read_at(Aligned::new(unit).bytes(), 0).is_ok();
        Self {
            unit: if works(512) { 512 } else { MOST },
        }
    }

    /// The whole units around a stretch: where they begin, how long they are, and where in them the stretch begins.
    fn around(self, offset: u64, len: usize) -> (u64, usize, usize) {
        let unit = self.unit as u64;
        let start = offset - offset % unit;
        let before = (offset - start) as usize;
        (start, (before + len).next_multiple_of(self.unit), before)
    }

    pub(crate) fn read(self, file: &File, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let (start, len, before) = self.around(offset, out.len());
        let mut units = Aligned::new(len);
        self.read_units(file, start, units.bytes())?;
        out.copy_from_slice(&units.bytes()[before..before + out.len()]);
        Ok(())
    }

    /// A write of parts of units reads the rest of them first. Whole units may be written by many at once, but not meanwhile.
    pub(crate) fn write(self, file: &File, offset: u64, data: &[u8], turns: &RwLock<()>) -> io::Result<()> {
        let (start, len, before) = self.around(offset, data.len());
        let mut units = Aligned::new(len);
        if len == data.len() {
            let _many = turns.read().unwrap_or_else(PoisonError::into_inner);
            units.bytes().copy_from_slice(data);
            return file.write_all_at(units.bytes(), start);
        }
        let _one = turns.write().unwrap_or_else(PoisonError::into_inner);
        self.read_units(file, start, units.bytes())?;
        units.bytes()[before..before + data.len()].copy_from_slice(data);
        file.write_all_at(units.bytes(), start)
    }

    /// Fills `out`, whole units; zeros behind the end of the file, which need not be at the end of a unit.
    fn read_units(self, file: &File, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut done = 0;
        while done < out.len() {
            match file.read_at(&mut out[done..], offset.saturating_add(done as u64)) {
                Ok(n) if n == 0 || !n.is_multiple_of(self.unit) => {
                    out[done + n..].fill(0);
                    break;
                }
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}
