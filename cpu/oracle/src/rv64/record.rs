//! Cases with what the oracle made of them, in a file, so that the comparison means something where no QEMU is.
//!
//! Little-endian throughout. Head: magic, count (u32), length (u8) and text of the oracle's version. A case: kind (u8), seed (u64), slot
//! (u32), and how its memory differs from [`Case::blank`]: number (u16) of runs, each its first word's number (u16), how many (u8), and
//! these words. Then hashes (u64) of the oracle's outcome: one for each of [`PARTS`].

use std::ops::Range;

use super::case::{Case, Kind};
use super::layout::*;

const MAGIC: &[u8; 8] = b"sbrv64o1";

/// Parts of an outcome.
pub const PARTS: [(&str, Range<usize>); 5] = [
    ("traps", LOGGED..RESULT_X),
    ("integer registers", RESULT_X..RESULT_F),
    ("floating-point registers", RESULT_F..RESULT_CSR),
    ("CSRs", RESULT_CSR..CODE),
    ("memory", CODE..SLOT),
];

/// One recorded case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// What was run.
    pub case: Case,
    /// Hash of each of [`PARTS`].
    pub hashes: [u64; 5],
}

impl Recorded {
    /// What to keep of an outcome.
    pub fn new(case: &Case, outcome: &[u8]) -> Self {
        Self {
            case: case.clone(),
            hashes: hashes(outcome),
        }
    }

    /// The parts in which our outcome differs.
    pub fn differences(&self, ours: &[u8]) -> Vec<&'static str> {
        let hashes = hashes(ours);
        (0..5)
            .filter(|i| hashes[*i] != self.hashes[*i])
            .map(|i| PARTS[i].0)
            .collect()
    }
}

/// FNV-1a over words.
fn hashes(image: &[u8]) -> [u64; 5] {
    std::array::from_fn(|i| {
        let part = image.get(PARTS[i].1.clone()).unwrap_or_default();
        part.chunks(8).fold(0xcbf2_9ce4_8422_2325, |h, b| {
            (h ^ super::case::word(b, 0))
                .wrapping_mul(0x0100_0000_01b3)
                .rotate_left(23)
        })
    })
}

/// Runs of words in which a case is not what its seed alone makes it.
fn runs(case: &Case) -> Vec<(u16, Vec<u64>)> {
    let blank = Case::blank(case.seed, case.kind, case.slot);
    let mut out: Vec<(u16, Vec<u64>)> = Vec::new();
    for n in 0..SLOT / 8 {
        if case.get(8 * n) == blank.get(8 * n) {
            continue;
        }
        match out.last_mut() {
            Some((first, words)) if usize::from(*first) + words.len() == n && words.len() < 255 => {
                words.push(case.get(8 * n))
            }
            _ => out.push((n as u16, vec![case.get(8 * n)])),
        }
    }
    out
}

/// Writes a file's contents.
pub fn encode(oracle: &str, all: &[Recorded]) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend((all.len() as u32).to_le_bytes());
    let name = &oracle.as_bytes()[..oracle.len().min(255)];
    out.push(name.len() as u8);
    out.extend(name);
    for Recorded { case, hashes } in all {
        out.push(u8::from(case.kind == Kind::Pages));
        out.extend(case.seed.to_le_bytes());
        out.extend(case.slot.to_le_bytes());
        let runs = runs(case);
        out.extend((runs.len() as u16).to_le_bytes());
        for (first, words) in runs {
            out.extend(first.to_le_bytes());
            out.push(words.len() as u8);
            out.extend(words.iter().flat_map(|w| w.to_le_bytes()));
        }
        out.extend(hashes.iter().flat_map(|h| h.to_le_bytes()));
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
    fn u16(&mut self) -> Option<u16> {
        self.bytes().map(u16::from_le_bytes)
    }
    fn u64(&mut self) -> Option<u64> {
        self.bytes().map(u64::from_le_bytes)
    }
    fn one(&mut self) -> Option<Recorded> {
        let [kind] = self.bytes()?;
        let kind = if kind == 0 { Kind::Stream } else { Kind::Pages };
        let seed = self.u64()?;
        let slot = u32::from_le_bytes(self.bytes()?);
        let mut case = Case::blank(seed, kind, slot);
        for _ in 0..self.u16()? {
            let first = usize::from(self.u16()?);
            let [n] = self.bytes()?;
            for i in first..first + usize::from(n) {
                let v = self.u64()?;
                (i < SLOT / 8).then(|| case.put(8 * i, v))?;
            }
        }
        let mut hashes = [0; 5];
        for h in &mut hashes {
            *h = self.u64()?;
        }
        Some(Recorded { case, hashes })
    }
}

/// Reads a file's contents: the oracle's version, and the cases.
pub fn decode(bytes: &[u8]) -> Option<(String, Vec<Recorded>)> {
    let mut r = Reader(bytes.strip_prefix(MAGIC)?);
    let count = u32::from_le_bytes(r.bytes()?);
    let [len] = r.bytes()?;
    let (name, rest) = r.0.split_at_checked(len.into())?;
    let name = String::from_utf8_lossy(name).into_owned();
    r.0 = rest;
    let all = (0..count).map(|_| r.one()).collect::<Option<Vec<_>>>()?;
    r.0.is_empty().then_some((name, all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let all: Vec<_> = (0..20u32)
            .map(|n| {
                let kind = if n % 2 == 0 { Kind::Stream } else { Kind::Pages };
                let case = super::super::campaign::generate(kind, n.into(), n);
                Recorded::new(&case, &case.image)
            })
            .collect();
        let bytes = encode("someone 1.0", &all);
        assert_eq!(decode(&bytes), Some(("someone 1.0".to_owned(), all)));
        assert_eq!(decode(&bytes[..bytes.len() - 1]), None);
    }
}
