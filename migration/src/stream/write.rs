//! From a picture to bytes.

use southbridge_core::SavedState;
use std::io::{self, Write};

use super::frame::cbor;
use super::read::{BOARD, CPU, DESCRIPTION, DEVICE, FIRMWARE, MEMORY, SEMIHOSTING};
use super::{FrameWriter, MAGIC, Picture, VERSION};

/// Writes the whole stream.
///
/// # Errors
/// Those of `out`.
pub fn write(picture: &Picture, out: impl Write) -> io::Result<()> {
    let mut frames = FrameWriter::new(out, MAGIC, VERSION)?;
    frames.section(DESCRIPTION, &[&cbor(&picture.about)])?;
    parts(picture, &mut frames)?;
    frames.end()
}

fn parts<W: Write>(picture: &Picture, frames: &mut FrameWriter<W>) -> io::Result<()> {
    let whole = &picture.whole;
    frames.section(BOARD, &state(&whole.board).pieces())?;
    for cpu in &whole.cpus {
        frames.section(CPU, &state(cpu).pieces())?;
    }
    if let Some(firmware) = &whole.firmware {
        frames.section(FIRMWARE, &state(firmware).pieces())?;
    }
    if let Some(host) = &whole.semihosting {
        frames.section(SEMIHOSTING, &state(host).pieces())?;
    }
    for (i, d) in (0u32..).zip(&whole.devices) {
        let s = state(&d.state);
        frames.section(DEVICE, &[&i.to_le_bytes(), &s.version, s.cbor])?;
    }
    for (i, block) in (0u32..).zip(&whole.ram) {
        for (offset, data) in &block.runs {
            frames.section(MEMORY, &[&i.to_le_bytes(), &offset.to_le_bytes(), data])?;
        }
    }
    Ok(())
}

struct StatePieces<'a> {
    version: [u8; 4],
    cbor: &'a [u8],
}

impl StatePieces<'_> {
    fn pieces(&self) -> [&[u8]; 2] {
        [&self.version, self.cbor]
    }
}

fn state(s: &SavedState) -> StatePieces<'_> {
    StatePieces {
        version: s.version.to_le_bytes(),
        cbor: &s.cbor,
    }
}

/// Bytes that [`write()`] will write.
pub fn encoded_len(picture: &Picture) -> u64 {
    /// Counts.
    struct Count(u64);
    impl Write for Count {
        fn write(&mut self, data: &[u8]) -> io::Result<usize> {
            self.0 += data.len() as u64;
            Ok(data.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let whole = &picture.whole;
    let mut bare = picture.clone_without_memory();
    bare.whole.ram.clear();
    let mut count = Count(0);
    let _ = write(&bare, &mut count);
    let runs = whole.ram.iter().flat_map(|r| &r.runs);
    count.0 + runs.map(|(_, data)| data.len() as u64 + 24).sum::<u64>()
}

impl Picture {
    fn clone_without_memory(&self) -> Self {
        let whole = &self.whole;
        Self {
            about: self.about.clone(),
            whole: southbridge_core::machine::Whole {
                board: whole.board.clone(),
                devices: whole.devices.clone(),
                cpus: whole.cpus.clone(),
                firmware: whole.firmware.clone(),
                semihosting: whole.semihosting.clone(),
                ram: Vec::new(),
            },
        }
    }

    /// A sum over everything that the guest can see, for comparing two runs. Semihosting is left out: its files stand outside. The
    /// processor's part also says when it was last looked at, which is no business of the guest: leave it out unless that was alike.
    pub fn sum(&self, processor: bool) -> u32 {
        struct Sum(crc32fast::Hasher);
        impl Write for Sum {
            fn write(&mut self, data: &[u8]) -> io::Result<usize> {
                self.0.update(data);
                Ok(data.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut sum = Sum(crc32fast::Hasher::new());
        let whole = &self.whole;
        let cpus = whole.cpus.iter().filter(|_| processor);
        let states = [Some(&whole.board), whole.firmware.as_ref()]
            .into_iter()
            .flatten()
            .chain(cpus);
        for s in states.chain(whole.devices.iter().map(|d| &d.state)) {
            let _ = sum.write(&(s.cbor.len() as u64).to_le_bytes());
            let _ = sum.write(&s.cbor);
        }
        for (offset, data) in whole.ram.iter().flat_map(|r| &r.runs) {
            let _ = sum.write(&offset.to_le_bytes());
            let _ = sum.write(data);
        }
        sum.0.finalize()
    }
}
