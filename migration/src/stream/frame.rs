//! Head and sections: what streams of machines and recordings have in common.

use std::io::{self, Read, Write};

use super::StreamError;

/// Four letters that say what a section holds.
pub(crate) type Kind = [u8; 4];

/// Closes every stream.
pub(crate) const END: Kind = *b"END_";

/// Bytes that are reserved for a section because it says so: no stretch of memory that is written is longer.
const AT_ONCE: usize = (64 << 10) + 16;

/// Writes sections.
pub(crate) struct FrameWriter<W> {
    out: W,
    sections: u32,
    all: crc32fast::Hasher,
}

impl<W: Write> FrameWriter<W> {
    pub(crate) fn new(mut out: W, magic: [u8; 8], version: u32) -> io::Result<Self> {
        out.write_all(&magic)?;
        out.write_all(&version.to_le_bytes())?;
        out.write_all(&[0; 4])?;
        let all = crc32fast::Hasher::new();
        Ok(Self { out, sections: 0, all })
    }

    /// One section; its contents in pieces.
    pub(crate) fn section(&mut self, kind: Kind, pieces: &[&[u8]]) -> io::Result<()> {
        let len: usize = pieces.iter().map(|p| p.len()).sum();
        let len = u32::try_from(len).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        let mut head = [0; 8];
        head[..4].copy_from_slice(&kind);
        head[4..].copy_from_slice(&len.to_le_bytes());
        let mut crc = crc32fast::Hasher::new();
        crc.update(&head);
        self.out.write_all(&head)?;
        for piece in pieces {
            crc.update(piece);
            self.out.write_all(piece)?;
        }
        let crc = crc.finalize().to_le_bytes();
        self.all.update(&crc);
        self.sections = self.sections.wrapping_add(1);
        self.out.write_all(&crc)
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// The last section.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        let (sections, all) = (self.sections.to_le_bytes(), self.all.clone().finalize().to_le_bytes());
        self.section(END, &[&sections, &all])?;
        self.out.flush()
    }
}

/// Reads sections from somebody who may not be trusted.
pub(crate) struct FrameReader<R> {
    input: R,
    sections: u32,
    all: crc32fast::Hasher,
}

/// A section that is whole.
pub(crate) struct Section {
    pub(crate) kind: Kind,
    pub(crate) data: Vec<u8>,
}

impl<R: Read> FrameReader<R> {
    pub(crate) fn new(mut input: R, magic: [u8; 8], version: u32) -> Result<Self, StreamError> {
        let mut head = [0; 16];
        fill(&mut input, &mut head)?;
        if head[..8] != magic {
            return Err(StreamError::NotOurs);
        }
        let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let found = number(8);
        if found != version || number(12) != 0 {
            let expected = version;
            return Err(StreamError::Version { found, expected });
        }
        let all = crc32fast::Hasher::new();
        Ok(Self {
            input,
            sections: 0,
            all,
        })
    }

    /// The next section. `most` bounds the length of the kind that it says it is; `None` means that such a section may not stand here.
    pub(crate) fn section(&mut self, most: impl FnOnce(Kind) -> Option<u32>) -> Result<Section, StreamError> {
        let mut head = [0; 8];
        fill(&mut self.input, &mut head)?;
        let [a, b, c, d, l0, l1, l2, l3] = head;
        let (kind, len) = ([a, b, c, d], u32::from_le_bytes([l0, l1, l2, l3]));
        let most = match kind {
            END => Some(8),
            _ => most(kind),
        };
        let name = || String::from_utf8_lossy(&kind).escape_debug().to_string();
        let Some(most) = most else {
            return Err(StreamError::Damaged(format!("a section '{}' out of place", name())));
        };
        if len > most {
            let text = format!("a section '{}' of {len} bytes, where {most} are the most", name());
            return Err(StreamError::Damaged(text));
        }
        // Memory grows with what really comes, not with what was announced.
        let mut data = Vec::with_capacity((len as usize).min(AT_ONCE));
        let read = (&mut self.input).take(len.into()).read_to_end(&mut data)?;
        if read < len as usize {
            return Err(StreamError::Truncated);
        }
        let mut crc = [0; 4];
        fill(&mut self.input, &mut crc)?;
        let mut expected = crc32fast::Hasher::new();
        expected.update(&head);
        expected.update(&data);
        if expected.finalize().to_le_bytes() != crc {
            return Err(StreamError::Damaged(format!(
                "the sum of a section '{}' is wrong",
                name()
            )));
        }
        if kind == END {
            self.check_end(&data)?;
        }
        self.all.update(&crc);
        self.sections = self.sections.wrapping_add(1);
        Ok(Section { kind, data })
    }

    fn check_end(&self, data: &[u8]) -> Result<(), StreamError> {
        let mut expected = self.sections.to_le_bytes().to_vec();
        expected.extend(self.all.clone().finalize().to_le_bytes());
        if data != expected {
            return Err(StreamError::Damaged("sections are missing or out of order".into()));
        }
        Ok(())
    }
}

fn fill(input: &mut impl Read, out: &mut [u8]) -> Result<(), StreamError> {
    input.read_exact(out).map_err(|e| match e.kind() {
        io::ErrorKind::UnexpectedEof => StreamError::Truncated,
        _ => StreamError::from(e),
    })
}

/// A CBOR structure.
pub(crate) fn cbor<T: serde::Serialize>(value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    // Writing into memory cannot fail, and none of our structures has what CBOR lacks.
    let _ = ciborium::into_writer(value, &mut out);
    out
}

/// A CBOR structure from somebody who may not be trusted.
pub(crate) fn from_cbor<T: serde::de::DeserializeOwned>(what: &str, data: &[u8]) -> Result<T, StreamError> {
    ciborium::from_reader(data).map_err(|e| StreamError::Damaged(format!("{what}: {e}")))
}
