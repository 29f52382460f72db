//! Random page tables. M-mode makes accesses with the rights of S-mode and U-mode (MPRV), enters pages of theirs, and changes tables
//! and address spaces in between, with the fences that this needs.

use std::collections::BTreeMap;

use super::asm::*;
use super::case::{Case, Kind};
use super::layout::*;
use super::values;
use crate::rng::Rng;

const V: u64 = 1;
const W: u64 = 1 << 2;
const RWX: u64 = 7 << 1;
const U: u64 = 1 << 4;
const G: u64 = 1 << 5;
const A: u64 = 1 << 6;
const D: u64 = 1 << 7;
const RESERVED: u32 = 54;
const PBMT: u32 = 61;
const N: u64 = 1 << 63;
const MPRV: u64 = 1 << 17;
const SUM_MXR: u64 = 3 << 18;
const MPP: u64 = 3 << 11;
/// Tables that a case has.
const TABLE_PAGES: usize = (SLOT - TABLES) / 0x1000;

/// Where an address was probed.
#[derive(Clone, Copy)]
struct Probed {
    addr: u64,
    /// Offset of the last entry that the walk comes to, and its level.
    at: usize,
    level: u32,
}

struct Tables {
    r: Rng,
    case: Case,
    levels: u32,
    asid: u64,
    pages: usize,
    decided: BTreeMap<usize, bool>,
    probed: Vec<Probed>,
    /// High parts of addresses, so that tables are shared.
    prefixes: Vec<u64>,
    code: Vec<u32>,
    constants: usize,
    results: u32,
    /// Whether there was more than one address space.
    switched: bool,
}

/// The case of a seed.
pub fn generate(seed: u64, slot: u32) -> Case {
    let mut r = Rng::new(seed);
    let levels = 3 + r.below(3);
    let mut t = Tables {
        levels,
        asid: u64::from(r.below(3)),
        prefixes: (0..3).map(|_| r.u64()).collect(),
        r,
        case: Case::blank(seed, Kind::Pages, slot),
        pages: 1,
        decided: BTreeMap::new(),
        probed: Vec::new(),
        code: Vec::new(),
        constants: 0,
        results: 0,
        switched: false,
    };
    t.set_up();
    // A program that has no room for another probe ends.
    while t.constants < 110 && t.code.len() < 225 && t.probed.len() < 20 {
        match t.r.below(12) {
            0 => t.change(),
            1 => t.switch(),
            _ => t.probe(),
        }
    }
    t.finish();
    t.case
}

impl Tables {
    fn set_up(&mut self) {
        let base = self.case.base();
        let r = &mut self.r;
        let envcfg = r.u64() | 3 << 4 | 1 << 6 | 1 << 7;
        for (name, v) in [
            ("mstatus", 3 << 11 | 3 << 13),
            ("menvcfg", envcfg),
            ("senvcfg", envcfg),
            ("mstateen0", u64::MAX),
            ("stimecmp", u64::MAX),
            ("medeleg", 0),
        ] {
            self.case.set_csr(name, v);
        }
        self.case.put(X, base + START as u64);
        self.case.put(CODE_AT, base + CODE as u64);
        self.case.put(FLAGS, flag::RESUME_M);
        self.case.set_x(GP, base + CODE as u64);
        // What is stored must be as harmless to run into as what was there.
        for n in 5..30 {
            let v = values::trapping(&mut self.r);
            self.case.set_x(n, v);
        }
        let satp = self.satp(self.asid);
        self.case.set_csr("satp", satp);
        self.protection();
        // The ends of some pages are the first half of an instruction that goes on in the next.
        for page in 0..4 {
            if self.r.chance(50) {
                let at = DATA + 0x1000 * page + 0xff8;
                let v = self.case.get(at) & !0 >> 16 | 0x0013 << 48;
                self.case.put(at, v);
            }
        }
    }

    fn satp(&self, asid: u64) -> u64 {
        u64::from(5 + self.levels) << 60 | asid << 44 | (self.case.base() + TABLES as u64) >> 12
    }

    /// Everything is open, but for some entries over tables or data.
    fn protection(&mut self) {
        let base = self.case.base();
        self.case.set_csr("pmpaddr15", u64::MAX >> 10);
        let mut cfg = [0u8; 16];
        cfg[15] = 0x1f;
        for i in 0..self.r.below(5).saturating_sub(2) as usize {
            let r = &mut self.r;
            let at = base + u64::from(r.below(SLOT as u32 / 2)) * if r.chance(50) { 1 } else { 2 } + DATA as u64 / 2;
            let span = r.below(12);
            // Over tables, what may be read may be written: QEMU asks only for reads.
            let rights = if at + (16 << span) < base + TABLES as u64 {
                r.below(8)
            } else {
                *r.pick(&[0, 3, 4, 7])
            };
            let rights = if rights & 3 == 2 { 0 } else { rights as u8 };
            cfg[i] = rights | *r.pick(&[2, 3, 3, 3]) << 3;
            let addr = if cfg[i] >> 3 == 2 {
                at >> 2
            } else {
                // The lowest zero says where the range ends, and must be ours.
                at >> 2 & !((2 << span) - 1) | ((1 << span) - 1)
            };
            self.case.set_csr(["pmpaddr0", "pmpaddr1", "pmpaddr2"][i], addr);
        }
        for (name, half) in [("pmpcfg0", &cfg[..8]), ("pmpcfg2", &cfg[8..])] {
            self.case.set_csr(name, super::case::word(half, 0));
        }
    }

    /// A place in the data, with the ends of pages preferred.
    fn target(&mut self) -> u64 {
        let r = &mut self.r;
        let page = u64::from(r.below(4)) * 0x1000;
        let at = match r.below(4) {
            0 => 0x1000 - u64::from(r.below(12)),
            1 => u64::from(r.below(16)),
            _ => u64::from(r.below(0x1000)),
        };
        let fine = match r.below(10) {
            0..3 => at & !15,
            3..6 => at & !7,
            _ => at,
        };
        self.case.base() + DATA as u64 + (page + fine).min(0x3fff)
    }

    /// An address that leads to `target`, if the tables are so kind.
    fn address(&mut self, target: u64) -> u64 {
        let bits = 12 + 9 * self.levels;
        let r = &mut self.r;
        let same = *r.pick(&[30, 30, 30, 39, 21, 12]);
        let low = (1u64 << same) - 1;
        let high = *r.pick(&self.prefixes) & !low | target & low;
        let sign = |v: u64| ((v << (64 - bits)) as i64 >> (64 - bits)) as u64;
        if r.chance(4) { high } else { sign(high) }
    }

    /// Whether an address is one at all: all bits above are as the highest.
    fn valid(&self, addr: u64) -> bool {
        let above = 64 - (12 + 9 * self.levels);
        ((addr << above) as i64 >> above) as u64 == addr
    }

    /// Follows an address down, and decides what was not decided before.
    fn walk(&mut self, addr: u64, target: u64) -> Probed {
        let mut table = TABLES;
        let mut level = self.levels - 1;
        loop {
            let at = table + (addr >> (12 + 9 * level) & 511) as usize * 8;
            let known = self.decided.get(&at).copied();
            let down = known.unwrap_or_else(|| self.decide(at, level, addr, target));
            if !down || level == 0 {
                return Probed { addr, at, level };
            }
            table = ((self.case.get(at) & ((1 << 54) - 1)) >> 10 << 12).wrapping_sub(self.case.base()) as usize;
            level -= 1;
        }
    }

    /// Writes an entry; whether it leads further down.
    fn decide(&mut self, at: usize, level: u32, addr: u64, target: u64) -> bool {
        // A large page must lead where the case's memory is.
        let inside = (1u64 << (12 + 9 * level)) - 1;
        let fits = level <= 2 && addr & inside == target & inside;
        let room = self.pages < TABLE_PAGES;
        let down = level > 0 && room && (!fits || self.r.chance(75));
        let pte = if down {
            let to = self.case.base() + (TABLES + 0x1000 * self.pages) as u64;
            self.pages += 1;
            self.pointer(to)
        } else if fits {
            self.leaf(target & !inside, level)
        } else {
            0
        };
        self.case.put(at, pte);
        self.decided.insert(at, down);
        down
    }

    fn pointer(&mut self, to: u64) -> u64 {
        let r = &mut self.r;
        let mut pte = to >> 12 << 10 | V;
        if r.chance(3) {
            pte ^= *r.pick(&[V, U, A, D, W, N, 1 << PBMT, 2 << PBMT, 1 << RESERVED, 1 << 60]);
        }
        if r.chance(10) {
            pte |= G;
        }
        if r.chance(10) {
            pte |= 3 << 8;
        }
        pte
    }

    fn leaf(&mut self, to: u64, level: u32) -> u64 {
        let r = &mut self.r;
        let mut pte = to >> 12 << 10 | V | RWX | A | D;
        pte |= if r.chance(50) { U } else { 0 } | if r.chance(20) { G } else { 0 };
        for (bits, percent) in [
            (V, 3),
            (1 << 1, 12),
            (W, 15),
            (1 << 3, 25),
            (A, 18),
            (D, 25),
            (1 << 8, 20),
        ] {
            if r.chance(percent) {
                pte ^= bits;
            }
        }
        if pte & RWX == 0 {
            // Without rights it would lead to a table, and data are none.
            pte |= 1 << 3;
        }
        if r.chance(10) {
            pte |= *r.pick(&[1, 2]) << PBMT;
        }
        if r.chance(2) {
            pte |= 1 << (RESERVED + r.below(7));
        }
        if r.chance(4) && level > 0 {
            pte |= 1 << (10 + r.below(9 * level));
        }
        if r.chance(2) {
            pte |= 1 << (10 + 26 + r.below(18));
        }
        if r.chance(if level == 0 { 15 } else { 3 }) {
            // 64 KiB: the slot as a whole; or a size that is none.
            pte |= N;
            if r.chance(80) {
                pte = pte & !(15 << 10) | 8 << 10;
            }
            if level > 0 || pte >> 10 & 15 != 8 {
                pte |= A | D;
            }
        }
        pte
    }

    fn emit(&mut self, words: &[u32]) {
        self.code.extend(words);
    }

    /// A constant into a register.
    fn constant(&mut self, rd: u32, v: u64) {
        let at = 8 * self.constants;
        self.constants += 1;
        self.case.put(CODE + at, v);
        self.emit(&[ld(rd, GP, at as i32)]);
    }

    /// A register that keeps a result, each in its turn.
    fn result(&mut self) -> u32 {
        self.results += 1;
        5 + self.results % 20
    }

    fn probe(&mut self) {
        let target = self.target();
        let again = !self.probed.is_empty() && self.r.chance(45);
        let addr = if again {
            // The same page of some size at another place.
            let old = self.r.pick(&self.probed).addr;
            let same = *self.r.pick(&[12, 12, 16, 21]);
            old & !((1 << same) - 1) | target & ((1 << same) - 1)
        } else {
            self.address(target)
        };
        let probed = self.walk(addr, target);
        if !self.stays(probed) {
            return;
        }
        self.probed.push(probed);
        let r = &mut self.r;
        let status = MPRV | (r.u64() & SUM_MXR) | u64::from(r.below(2)) << 11;
        let mstatus = number("mstatus");
        // x29 has what is cleared.
        self.constant(T6, status);
        let fetch = self.r.chance(22);
        self.constant(T5, addr);
        self.constant(29, MPRV | SUM_MXR | MPP);
        if fetch {
            self.constant(T6, status & !MPRV);
            // PMP may have kept the constants from being loaded: whatever is there instead, the address is even.
            self.emit(&[
                i(0x13, 7, T5, T5, -2),
                csr(3, 0, mstatus, 29),
                csr(2, 0, mstatus, T6),
                csr(1, 0, number("mepc"), T5),
            ]);
            // `ra` is behind MRET: where the trap there goes on.
            self.emit(&[auipc(RA, 0), addi(RA, RA, 12), MRET]);
            return;
        }
        self.emit(&[csr(3, 0, mstatus, 29), csr(2, 0, mstatus, T6)]);
        self.access(addr & 15 == 0);
        self.emit(&[csr(3, 0, mstatus, 29)]);
    }

    /// Whether what is behind an address is data of the case: not its tables, and not another case.
    fn stays(&self, p: Probed) -> bool {
        let napot = self.case.get(p.at) & N != 0;
        let inside = (1u64 << (12 + 9 * p.level).max(if napot { 16 } else { 12 })) - 1;
        let data = self.case.base() + DATA as u64;
        let at = (p.addr & inside).wrapping_sub(data & inside);
        inside == 0xfff || at < (TABLES - DATA) as u64 - 16
    }

    fn access(&mut self, aligned: bool) {
        let (rd, rs2) = (self.result(), self.result());
        let f5 = |n: u32| n << 27 | 0x2f | T5 << 15;
        let width = 2 + self.r.below(2);
        let raw = match self.r.below(20) {
            0..9 => i(0x03, self.r.below(7), rd, T5, 0),
            9..14 => s(0x23, self.r.below(4), rs2, T5, 0),
            14..18 if !aligned => i(0x03, 3, rd, T5, 0),
            14 => f5(2) | width << 12 | rd << 7,
            15 => f5(*self.r.pick(&[1, 8, 12])) | width << 12 | rd << 7 | rs2 << 20,
            16 => f5(5) | width << 12 | rd << 7 | rs2 << 20,
            17 => f5(5) | 4 << 12 | (rd & !1) << 7 | (rs2 & !1) << 20,
            18 => i(0x0f, 2, 0, T5, *self.r.pick(&[0, 1, 2, 4])),
            _ if self.r.chance(50) => i(0x07, 1 + self.r.below(3), self.r.below(32), T5, 0),
            _ => s(0x27, 1 + self.r.below(3), self.r.below(32), T5, 0),
        };
        self.emit(&[raw]);
    }

    /// Another entry in place of one that was used, and the smallest fence that covers it.
    fn change(&mut self) {
        if self.probed.is_empty() {
            return;
        }
        let p = *self.r.pick(&self.probed);
        let old = self.case.get(p.at);
        // What leads nowhere would lead to address 0.
        if old == 0 {
            return;
        }
        let leaf = old & RWX != 0;
        let new = if leaf {
            let bits = *self.r.pick(&[V, W, 1 << 1, 1 << 3, U, A, D, D | A]);
            let bits = if (old ^ bits) & RWX == 0 { V } else { bits };
            old ^ if old & N != 0 { bits & !(A | D) } else { bits }
        } else {
            old ^ V
        };
        self.constant(T5, self.case.base() + p.at as u64);
        self.constant(T6, new);
        self.constant(28, p.addr);
        self.constant(29, self.asid);
        self.emit(&[sd(T6, T5, 0)]);
        let by_addr = leaf && self.valid(p.addr) && p.level == 0 && old & N == 0 && self.r.chance(60);
        let by_asid = old & G == 0 && leaf && !self.switched && self.r.chance(40);
        let (rs1, rs2) = (if by_addr { 28 } else { 0 }, if by_asid { 29 } else { 0 });
        self.emit(&[sfence(rs1, rs2)]);
    }

    /// Another address space identifier for the same tables.
    fn switch(&mut self) {
        self.asid = u64::from(self.r.below(4));
        self.switched = true;
        let satp = self.satp(self.asid);
        self.constant(T6, satp);
        self.emit(&[csr(1, 0, number("satp"), T6)]);
    }

    fn finish(&mut self) {
        let end = START + 4 * self.code.len();
        for (word, place) in self.code.iter().zip(self.case.image[START..].chunks_mut(4)) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        let base = self.case.base();
        self.case.put(END_PC, base + end as u64);
        self.case.set_x(RA, base + end as u64);
        self.case.image[end..end + 8].copy_from_slice(&[0x73, 0, 0x10, 0, 0x73, 0, 0x10, 0]);
    }
}
