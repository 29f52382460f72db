//! Streams with what the oracle made of them, in a file, so that the comparison means something where no QEMU is.
//!
//! Little-endian throughout. Head: magic, count (u32), length (u8) and text of the oracle's version. A stream: seed (u64), set-up (6
//! bytes), halfwords of code (count u8) and of the handler (the same). Its outcome: for the words of `collect` and for the exception frame a mask (u32, u8) of those
//! that are not what a stream without effects would leave, and these; then a hash of the scratch memory (u64).

use crate::layout::RESULT_WORDS;
use crate::stream::{Outcome, Setup, Stream};

const MAGIC: &[u8; 8] = b"sboracl2";

/// One recorded stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// What was run.
    pub stream: Stream,
    /// Words of the result.
    pub words: [u32; RESULT_WORDS],
    /// The exception frame, zero if there was none.
    pub frame: [u32; 8],
    /// [`Outcome::scratch_hash`].
    pub scratch: u64,
}

impl Recorded {
    /// What to keep of an outcome.
    pub fn new(stream: &Stream, outcome: &Outcome) -> Self {
        Recorded {
            stream: stream.clone(),
            words: outcome.words,
            frame: outcome.frame().unwrap_or_default(),
            scratch: outcome.scratch_hash(),
        }
    }
    /// How our outcome differs, in words; empty if it does not.
    pub fn differences(&self, ours: &Outcome) -> Vec<String> {
        let other = Recorded::new(&self.stream, ours);
        let mut out = Vec::new();
        for (i, (a, b)) in other.words.iter().zip(&self.words).enumerate() {
            if a != b {
                out.push(format!(
                    "{}: ours {a:08x}, oracle {b:08x}",
                    crate::layout::RESULT_NAMES[i]
                ));
            }
        }
        for (i, (a, b)) in other.frame.iter().zip(&self.frame).enumerate() {
            if a != b {
                out.push(format!("frame word {i}: ours {a:08x}, oracle {b:08x}"));
            }
        }
        if other.scratch != self.scratch {
            out.push("scratch memory".into());
        }
        out
    }
}

/// What words and frame are if nothing happens to them.
fn expected(stream: &Stream) -> ([u32; RESULT_WORDS], [u32; 8]) {
    let i = stream.initial();
    let mut words = [0; RESULT_WORDS];
    words[..8].copy_from_slice(&i.r[4..12]);
    (
        words,
        [i.r[0], i.r[1], i.r[2], i.r[3], i.r[12], i.lr, stream.end(), i.xpsr],
    )
}

fn put(out: &mut Vec<u8>, have: &[u32], base: &[u32], mask_bytes: usize) {
    let mask = (0..have.len()).fold(0u32, |m, i| m | u32::from(have[i] != base[i]) << i);
    out.extend(&mask.to_le_bytes()[..mask_bytes]);
    for (a, _) in have.iter().zip(base).filter(|(a, b)| a != b) {
        out.extend(a.to_le_bytes());
    }
}

/// Writes a file's contents.
pub fn encode(oracle: &str, all: &[Recorded]) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend((all.len() as u32).to_le_bytes());
    let name = &oracle.as_bytes()[..oracle.len().min(255)];
    out.push(name.len() as u8);
    out.extend(name);
    for r in all {
        let s = &r.stream;
        out.extend(s.seed.to_le_bytes());
        out.extend([
            s.setup.control | u8::from(s.setup.primask) << 7,
            s.setup.basepri,
            s.setup.enables,
            s.setup.it,
        ]);
        out.extend(s.setup.ccr.to_le_bytes());
        for code in [&s.code, &s.handler] {
            out.push(code.len() as u8);
            out.extend(code.iter().flat_map(|h| h.to_le_bytes()));
        }
        let (words, frame) = expected(s);
        put(&mut out, &r.words, &words, 4);
        put(&mut out, &r.frame, &frame, 1);
        out.extend(r.scratch.to_le_bytes());
    }
    out
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }
    fn u8(&mut self) -> Option<u8> {
        self.bytes::<1>().map(|b| b[0])
    }
    fn words<const N: usize>(&mut self, mut base: [u32; N], mask: u32) -> Option<[u32; N]> {
        for (i, word) in base.iter_mut().enumerate() {
            if mask >> i & 1 != 0 {
                *word = u32::from_le_bytes(self.bytes()?);
            }
        }
        Some(base)
    }
    fn code(&mut self) -> Option<Vec<u16>> {
        let n = self.u8()?;
        (0..n).map(|_| self.bytes().map(u16::from_le_bytes)).collect()
    }
    fn one(&mut self) -> Option<Recorded> {
        let seed = u64::from_le_bytes(self.bytes()?);
        let [control, basepri, enables, it] = self.bytes()?;
        let setup = Setup {
            control: control & 3,
            primask: control & 0x80 != 0,
            basepri,
            enables,
            it,
            ccr: u16::from_le_bytes(self.bytes()?),
        };
        let (code, handler) = (self.code()?, self.code()?);
        let stream = Stream {
            seed,
            setup,
            code,
            handler,
        };
        let (words, frame) = expected(&stream);
        let mask = u32::from_le_bytes(self.bytes()?);
        let words = self.words(words, mask)?;
        let mask = self.u8()?;
        let frame = self.words(frame, mask.into())?;
        let scratch = u64::from_le_bytes(self.bytes()?);
        Some(Recorded {
            stream,
            words,
            frame,
            scratch,
        })
    }
}

/// Reads a file's contents: the oracle's version, and the streams.
pub fn decode(bytes: &[u8]) -> Option<(String, Vec<Recorded>)> {
    let mut r = Reader(bytes.strip_prefix(MAGIC)?);
    let count = u32::from_le_bytes(r.bytes()?);
    let len = r.u8()?;
    let (name, rest) = r.0.split_at_checked(len.into())?;
    let name = String::from_utf8_lossy(name).into_owned();
    r.0 = rest;
    let all = (0..count).map(|_| r.one()).collect::<Option<Vec<_>>>()?;
    r.0.is_empty().then_some((name, all))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ours::{Ours, Ran};

    #[test]
    fn what_is_written_is_read() {
        let mut ours = Ours::new();
        let all: Vec<_> = (0..40)
            .map(crate::generate::stream)
            .filter_map(|s| match ours.run(&s) {
                Ran::Done(o) => Some(Recorded::new(&s, &o)),
                Ran::Outside(_) => None,
            })
            .collect();
        assert!(all.len() > 20);
        let bytes = encode("someone 1.0", &all);
        assert_eq!(decode(&bytes), Some(("someone 1.0".to_owned(), all)));
        assert_eq!(decode(&bytes[..bytes.len() - 1]), None);
    }
}
