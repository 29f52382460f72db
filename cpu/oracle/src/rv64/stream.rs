//! Random instruction streams. Registers that point somewhere are never a destination, code runs forward, and everything else may trap.

use super::asm::*;
use super::case::{Case, Kind};
use super::forms::{self, Form};
use super::layout::*;
use super::values;
use crate::picture::Picture;
use crate::rng::Rng;

mod control;
mod setup;
mod system;

/// Registers that instructions write; `x30` and `x31` lose what idioms put there.
const FREE: [u32; 25] = [
    5, 6, 7, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
];
/// Registers that point into data: `sp`, `gp`, `s0`, `s1`; and `tp`, which points to odd places.
const POINTERS: [u32; 9] = [2, 3, 8, 9, 2, 3, 8, 9, 4];

/// Modes as `mstatus.MPP` has them.
pub(super) mod mode {
    pub(crate) const U: u64 = 0;
    pub(crate) const S: u64 = 1;
    pub(crate) const M: u64 = 3;
}

/// A piece of code, with at most one distance to another that is known only in the end.
#[derive(Clone, Debug, Default)]
pub(super) struct Item {
    bytes: Vec<u8>,
    patch: Option<Patch>,
}

#[derive(Clone, Copy, Debug)]
struct Patch {
    /// Where in the item the instruction is that holds the distance, which counts from the item's begin.
    at: usize,
    encode: fn(u32) -> u32,
    target: Target,
}

#[derive(Clone, Copy, Debug)]
enum Target {
    /// So many items further on.
    Ahead(usize),
    /// An offset in the slot.
    At(usize),
}

impl Item {
    fn word(raw: u32) -> Self {
        Self::words(&[raw])
    }
    fn words(raw: &[u32]) -> Self {
        Self {
            bytes: raw.iter().flat_map(|w| w.to_le_bytes()).collect(),
            patch: None,
        }
    }
    fn half(raw: u32) -> Self {
        Self {
            bytes: (raw as u16).to_le_bytes().into(),
            patch: None,
        }
    }
    fn to(mut self, at: usize, encode: fn(u32) -> u32, ahead: usize) -> Self {
        let target = Target::Ahead(ahead);
        self.patch = Some(Patch { at, encode, target });
        self
    }
}

/// What a generator knows while it goes on.
pub(super) struct Stream {
    pub(super) r: Rng,
    /// The mode that code is in here, if nothing strange happened.
    pub(super) mode: u64,
    pub(super) case: Case,
    items: Vec<Item>,
    constants: usize,
}

/// The stream of a seed.
pub fn generate(seed: u64, slot: u32) -> Case {
    let mut g = Stream {
        r: Rng::new(seed),
        mode: mode::M,
        case: Case::blank(seed, Kind::Stream, slot),
        items: Vec::new(),
        constants: 0,
    };
    g.set_up();
    let n = 8 + g.r.below(60);
    for _ in 0..n {
        g.one();
    }
    g.lay_out();
    g.case
}

impl Stream {
    fn one(&mut self) {
        match self.r.below(100) {
            0..26 => self.form(forms::PLAIN),
            26..44 => self.float(),
            44..58 => self.form(forms::MEMORY),
            58..66 => self.pointed(),
            66..78 => self.short(),
            78..85 => self.control(),
            85..94 => self.csr(),
            94..96 => self.form(forms::SYSTEM),
            96..97 => self.lower(),
            _ => self.noise(),
        }
    }

    fn destination(&mut self) -> u32 {
        if self.r.chance(4) { 0 } else { *self.r.pick(&FREE) }
    }

    /// Fills a picture's fields.
    fn fill(&mut self, p: Picture) -> u32 {
        let short = p.len() == 16;
        let mut raw = p.blank();
        for letter in p.letters() {
            let r = &mut self.r;
            let v = match letter {
                b'd' => self.destination(),
                b'a' => r.below(32),
                b'b' if short => 1 + r.below(31),
                b'b' => r.below(32),
                b'D' | b'A' | b'B' | b'C' => r.below(32),
                b'p' => *r.pick(&POINTERS),
                b'u' => T6,
                b't' => 0,
                b'm' => *r.pick(&[0, 1, 2, 3, 4, 7, 7, 7, 7, 7, 7, r.clone().below(8)]),
                b'w' => r.below(3),
                b'j' => r.below(16),
                b'e' | b'F' => r.below(8),
                b'f' => 2 + r.below(6),
                b'q' => r.below(2),
                _ if r.chance(60) => r.u32() & !7,
                _ => r.u32(),
            };
            raw = p.put(raw, letter, v);
        }
        raw
    }

    fn pick(&mut self, of: &[Form]) -> u32 {
        loop {
            let (_, picture) = *self.r.pick(of);
            let raw = self.fill(picture);
            if super::exclude::excluded(raw).is_none() {
                return raw;
            }
        }
    }

    fn push(&mut self, item: Item) {
        self.items.push(item);
    }

    fn form(&mut self, of: &[Form]) {
        let raw = self.pick(of);
        self.push(Item::word(raw));
    }

    /// With the reserved format, which only some instructions have as another one, left to [`Stream::noise`].
    fn float(&mut self) {
        self.form(forms::FLOAT);
    }

    fn short(&mut self) {
        let raw = self.pick(forms::SHORT);
        self.push(Item::half(raw));
    }

    /// Points `x31` somewhere, and accesses it; mostly where the access is aligned, and sometimes with a second access there.
    fn pointed(&mut self) {
        let r = &mut self.r;
        let imm = match r.below(8) {
            0 => r.u32(),
            1 => r.u32() & !3,
            2..5 => r.u32() & !7,
            _ => r.u32() & !15,
        };
        let p = *r.pick(&POINTERS);
        let mut words = vec![addi(T6, p, imm as i32 & 0x7ff)];
        if self.r.chance(25) {
            // LR and SC of the same width, and perhaps something between them.
            let width = self.r.below(2) as usize;
            words.push(self.fill(forms::POINTED[width].1));
            let between = self.pick(forms::PLAIN);
            if self.r.chance(50) && between >> 7 & 31 != T6 {
                words.push(between);
            }
            if words[1] >> 7 & 31 != T6 {
                words.push(self.fill(forms::POINTED[2 + width].1));
            }
        } else {
            let one = self.pick(forms::POINTED);
            words.push(one);
        }
        self.push(Item::words(&words));
    }

    /// Instructions behind one that loads `x31`; nothing jumps between them.
    fn with_constant(&mut self, v: u64, words: &[u32]) {
        let at = CODE + 8 * self.constants;
        if at >= START {
            return;
        }
        self.constants += 1;
        self.case.put(at, v);
        let mut item = Item::words(&[&[auipc(T6, 0), ld(T6, T6, 0)], words].concat());
        item.patch = Some(Patch {
            at: 4,
            encode: control::immediate,
            target: Target::At(at),
        });
        self.push(item);
    }

    /// Bits that no table of ours has, so that both sides must refuse them.
    fn noise(&mut self) {
        let raw = match self.r.below(4) {
            0 => self.r.u32() | 3,
            1 => self.r.u32() & 0xffff,
            _ => {
                let table = *self.r.pick(&[
                    forms::PLAIN,
                    forms::FLOAT,
                    forms::POINTED,
                    forms::SYSTEM,
                    forms::SHORT,
                    forms::MEMORY,
                ]);
                let (_, picture) = *self.r.pick(table);
                let flips = 1 << self.r.below(picture.len() as u32) | 1 << self.r.below(picture.len() as u32);
                self.fill(picture) ^ flips
            }
        };
        let text = southbridge_cpu_rv64::disasm::at(0, &raw.to_le_bytes());
        if super::exclude::excluded(raw).is_none() && text.is_some_and(|(_, t)| t.starts_with('.')) {
            self.push(if raw & 3 == 3 { Item::word(raw) } else { Item::half(raw) });
        }
    }

    fn lay_out(&mut self) {
        let mut at = START;
        let mut places = Vec::new();
        // Behind the last item the code is over, wherever a target lies.
        while places.len() < self.items.len() && at + self.items[places.len()].bytes.len() + 8 < LIMIT {
            places.push(at);
            at += self.items[places.len() - 1].bytes.len();
        }
        let end = at;
        for (i, place) in places.iter().enumerate() {
            let item = &mut self.items[i];
            if let Some(Patch { at, encode, target }) = item.patch {
                let target = match target {
                    Target::At(at) => at,
                    Target::Ahead(n) => places.get(i + n).copied().unwrap_or(end),
                };
                let bits = encode(target.wrapping_sub(*place) as u32);
                for (b, bits) in item.bytes[at..].iter_mut().zip(bits.to_le_bytes()) {
                    *b |= bits;
                }
            }
            self.case.image[*place..place + item.bytes.len()].copy_from_slice(&item.bytes);
        }
        let base = self.case.base();
        self.case.put(END_PC, base + end as u64);
        self.case.set_x(RA, base + end as u64);
        self.case.image[end..end + 8].copy_from_slice(&[0x73, 0, 0x10, 0, 0x73, 0, 0x10, 0]);
    }
}
