//! What a stream begins with: mode, CSRs, protection, translation.

use super::*;

const V: u64 = 1;
const RWX: u64 = 7 << 1;
const U: u64 = 1 << 4;
const AD: u64 = 3 << 6;
const LOCK: u8 = 1 << 7;

impl Stream {
    pub(super) fn set_up(&mut self) {
        let (base, data) = (self.case.base(), self.case.base() + DATA as u64);
        self.case.put(X, base + START as u64);
        self.case.put(CODE_AT, base + CODE as u64);
        for (n, at) in [(2, 0x1000), (3, 0x2800), (8, 0x800), (9, 0x1800)] {
            let fine = u64::from(self.r.below(8)) * 16;
            self.case.set_x(n, data + at + fine);
        }
        let odd = [
            data + 0xffc,
            data + 0x1ffd,
            data + 0x3ff8,
            0xb000_0000,
            0xb000_0ffe,
            u64::MAX - 15,
            1 << 63,
            0x7fff_ffff_f000,
            1 << 40,
        ];
        let tp = *self.r.pick(&odd);
        self.case.set_x(4, tp);
        self.mode = *self.r.pick(&[mode::M, mode::S, mode::U]);
        self.csrs();
        self.protection();
        if self.r.chance(45) {
            self.translation();
        }
    }

    fn csrs(&mut self) {
        let r = &mut self.r;
        let fs = *r.pick(&[3, 3, 3, 3, 3, 3, 3, 0u64]);
        let rare = |r: &mut Rng| r.u64() & r.u64() & r.u64();
        let status = self.mode << 11 | fs << 13 | r.u64() & 0x1a0 | rare(r) & 0x7c_0002 | r.u64() & 0x8 & rare(r);
        let escape = u64::from(r.below(2));
        self.case.put(FLAGS, escape * flag::ESCAPE_ILLEGAL);
        let kept = if escape == 1 { 1 << 2 } else { 1 << 3 };
        let r = &mut self.r;
        let delegated = if r.chance(60) { r.u64() & !kept } else { 0 };
        let mut all = vec![
            ("mstatus", status),
            ("menvcfg", r.u64()),
            ("medeleg", delegated),
            ("mideleg", r.u64()),
            ("mcounteren", r.u64()),
            ("scounteren", r.u64()),
            ("senvcfg", r.u64()),
            ("mstateen0", r.u64() | r.u64()),
            ("mscratch", r.u64()),
            ("sscratch", r.u64()),
            ("mcause", r.u64() >> 32),
            ("scause", r.u64() >> 32),
            ("sepc", r.u64()),
            ("mtval", r.u64()),
            ("stval", r.u64()),
            ("stimecmp", u64::MAX),
            ("fcsr", u64::from(r.below(256))),
        ];
        if r.chance(25) {
            all.extend([("mie", r.u64()), ("mip", r.u64())]);
        }
        for (name, v) in all {
            self.case.set_csr(name, v);
        }
    }

    /// All of the slot for everybody, behind some entries over the second half of the data.
    fn protection(&mut self) {
        let base = self.case.base();
        self.case.set_csr("pmpaddr14", RAM >> 2 | 0x1ff);
        self.case.set_csr("pmpaddr15", base >> 2 | 0x1fff);
        let mut cfg = [0u8; 16];
        (cfg[14], cfg[15]) = (0x1d, 0x1f);
        let n = self.r.below(4).saturating_sub(1) as usize;
        for i in 0..n {
            let r = &mut self.r;
            let at = base + DATA as u64 + 0x2000 + u64::from(r.below(0x2000));
            let span = r.below(11);
            let (how, addr) = match r.below(4) {
                0 => (2, at >> 2),
                // The range begins where the entry before ends, which may be nowhere.
                1 => (1, at >> 2),
                _ => (3, at >> 2 & !((1 << span) - 1) | ((1 << span) - 1)),
            };
            let rights = *r.pick(&[0, 1, 3, 4, 5, 7]);
            cfg[3 * i + 1] = how << 3 | rights;
            if self.r.chance(8) {
                // M-mode obeys this one, until a reset.
                cfg[3 * i + 1] |= LOCK;
                let flags = self.case.get(FLAGS);
                self.case.put(FLAGS, flags | flag::RESET_AFTER);
            }
            let names = ["pmpaddr1", "pmpaddr4", "pmpaddr7"];
            self.case.set_csr(names[i], addr);
            if how == 1 {
                let below = ["pmpaddr0", "pmpaddr3", "pmpaddr6"];
                let from = addr.saturating_sub(u64::from(self.r.below(0x400)));
                self.case.set_csr(below[i], from);
            }
        }
        for (name, half) in [("pmpcfg0", &cfg[..8]), ("pmpcfg2", &cfg[8..])] {
            self.case.put(csr_in(name), super::super::case::word(half, 0));
        }
    }

    /// The slot and the harness where they are; code and data are for the mode that the stream begins in or, from M-mode, for U-mode.
    fn translation(&mut self) {
        let levels = 3 + self.r.below(3);
        let base = self.case.base();
        let user = if self.mode == mode::S { 0 } else { U };
        let mut next = TABLES + 0x1000;
        map(&mut self.case, levels, &mut next, RAM, V | 5 << 1 | AD);
        map(&mut self.case, levels, &mut next, base, V | RWX | AD);
        for page in 1..6u64 {
            let mut flags = V | RWX | AD | user;
            if page >= 3 && self.r.chance(40) {
                flags ^= self.r.u64() & self.r.u64() & (V | RWX | U | 1 << 5 | 3 << 8);
            }
            map(&mut self.case, levels, &mut next, base + 0x1000 * page, flags);
        }
        let asid = u64::from(self.r.below(4));
        let satp = u64::from(5 + levels) << 60 | asid << 44 | (base + TABLES as u64) >> 12;
        self.case.set_csr("satp", satp);
    }
}

/// Maps the page at `addr` to itself.
fn map(case: &mut Case, levels: u32, next: &mut usize, addr: u64, flags: u64) {
    let mut table = TABLES;
    for level in (0..levels).rev() {
        let at = table + (addr >> (12 + 9 * level) & 511) as usize * 8;
        if level == 0 {
            case.put(at, addr >> 12 << 10 | flags);
            return;
        }
        if case.get(at) == 0 {
            let to = case.base() + *next as u64;
            case.put(at, to >> 12 << 10 | V);
            *next += 0x1000;
        }
        table = ((case.get(at) >> 10 << 12) - case.base()) as usize;
    }
}
