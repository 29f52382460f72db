//! A case: all memory of a slot before it is run; and an outcome, the same memory after.

use super::exclude;
use super::layout::*;
use super::values;
use crate::rng::Rng;

/// The two generators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Random instructions.
    Stream,
    /// Random page tables, and accesses through them.
    Pages,
}

/// One case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// What it is made from.
    pub seed: u64,
    /// By which generator.
    pub kind: Kind,
    /// The slot that its addresses mean.
    pub slot: u32,
    /// The slot's memory.
    pub image: Box<[u8]>,
}

impl Case {
    /// Empty memory.
    pub fn new(seed: u64, kind: Kind, slot: u32) -> Self {
        let image = vec![0; SLOT].into();
        Self {
            seed,
            kind,
            slot,
            image,
        }
    }

    /// Memory before a generator says more: registers and data, which only the seed determines. Records keep what differs from it.
    pub fn blank(seed: u64, kind: Kind, slot: u32) -> Self {
        let mut case = Self::new(seed, kind, slot);
        let mut r = Rng::new(seed ^ 0x5eed);
        for n in 1..32 {
            case.set_x(n, values::integer(&mut r));
        }
        for n in 0..32 {
            case.put(F + 8 * n, values::float(&mut r));
        }
        for at in (DATA..TABLES).step_by(8) {
            let v = match kind {
                Kind::Stream => values::integer(&mut r),
                Kind::Pages => values::trapping(&mut r),
            };
            case.put(at, v);
        }
        case
    }

    /// Address of the slot.
    pub fn base(&self) -> u64 {
        base(self.slot)
    }

    /// The word at an offset.
    pub fn get(&self, at: usize) -> u64 {
        word(&self.image, at)
    }

    /// Sets the word at an offset.
    pub fn put(&mut self, at: usize, v: u64) {
        self.image[at..at + 8].copy_from_slice(&v.to_le_bytes());
    }

    /// Sets what integer register `n` starts as.
    pub fn set_x(&mut self, n: u32, v: u64) {
        self.put(X + 8 * n as usize, v);
    }

    /// Sets what a CSR starts as, as far as both sides agree on its fields.
    pub fn set_csr(&mut self, name: &str, v: u64) {
        let v = exclude::legal(name, v).unwrap_or(v);
        self.put(csr_in(name), v);
    }

    /// Instructions, by address; the constants behind them are left out.
    pub fn disassembly(&self) -> Vec<(u64, String)> {
        let end = (self.get(END_PC).wrapping_sub(self.base()) as usize).clamp(START, LIMIT);
        let (mut at, mut out) = (START, Vec::new());
        while at < end {
            let pc = self.base() + at as u64;
            let Some((len, text)) = southbridge_cpu_rv64::disasm::at(pc, &self.image[at..]) else {
                break;
            };
            out.push((pc, text));
            at += len;
        }
        out
    }
}

/// The word at an offset of a slot's memory.
pub fn word(image: &[u8], at: usize) -> u64 {
    let bytes = image.get(at..at + 8).and_then(|b| b.try_into().ok());
    u64::from_le_bytes(bytes.unwrap_or_default())
}

/// Offsets of the words in which two outcomes differ.
pub fn differences(a: &[u8], b: &[u8]) -> Vec<usize> {
    (0..SLOT)
        .step_by(8)
        .filter(|at| a.get(*at..at + 8) != b.get(*at..at + 8))
        .collect()
}

/// The traps of an outcome: level, cause, epc, tval, status.
pub fn traps(image: &[u8]) -> Vec<[u64; ENTRY]> {
    let n = (word(image, LOGGED) as usize).min(LOG_MOST);
    (0..n)
        .map(|i| std::array::from_fn(|f| word(image, LOG + 8 * (ENTRY * i + f))))
        .collect()
}
