//! Forward branches to the beginnings of later units (DDI 0403, A5.2.6, A5.3.4, A5.3.6).

use super::{Fix, Fixup, Maker, movw};
use crate::layout::CODE;

impl Maker {
    /// Notes that the instruction at the end of the code branches to one of the next units.
    fn later(&mut self, at: usize, fix: Fix) {
        let unit = self.units.len() + self.rng.below(3) as usize;
        self.goes_to(at, fix, unit);
    }

    fn goes_to(&mut self, at: usize, fix: Fix, unit: usize) {
        self.fixups.push(Fixup { at, fix, unit });
        self.joins.push((unit, self.known));
    }

    fn narrow_branch(&mut self, bits: u32, fix: Fix) {
        let at = self.code.len();
        self.narrow(bits);
        self.later(at, fix);
    }
    fn wide_branch(&mut self, bits: u32, fix: Fix) {
        let at = self.code.len();
        self.wide(bits);
        self.later(at, fix);
    }

    /// One branch.
    pub(super) fn branch(&mut self) {
        let cond = self.rng.below(14);
        match self.rng.below(14) {
            0..=2 => self.narrow_branch(0xd000 | cond << 8, Fix::B8),
            3 => self.narrow_branch(0xe000, Fix::B11),
            4 | 5 => self.wide_branch(0xf000_8000 | cond << 22, Fix::B20),
            6 => self.wide_branch(0xf000_9000, Fix::B24),
            7 => {
                self.forget(14);
                self.wide_branch(0xf000_d000, Fix::B24);
            }
            8 | 9 => {
                let n = self.low();
                let op = if self.rng.chance(50) { 0xb100 } else { 0xb900 };
                self.narrow_branch(op | n, Fix::Cbz);
                // It cannot go to the very next halfword.
                self.narrow(0xbf00);
            }
            10 => self.by_register(),
            11 => self.by_load(),
            12 => self.table(false),
            _ => self.table(true),
        }
    }

    /// The last instruction of an IT block.
    pub(super) fn branch_in_it(&mut self) {
        match self.rng.below(3) {
            0 => self.narrow_branch(0xe000, Fix::B11),
            1 => self.wide_branch(0xf000_9000, Fix::B24),
            _ => self.wide_branch(0xf000_d000, Fix::B24),
        }
    }

    /// Loads the address of a later unit; `thumb` sets bit 0.
    fn address(&mut self, r: u32, thumb: bool) {
        self.forget(r);
        let at = self.code.len();
        self.wide(movw(r, 0));
        self.later(at, Fix::Movw(thumb));
        self.wide(movw(r, CODE.start >> 16) | 0x0080_0000);
    }

    fn by_register(&mut self) {
        let r = self.register();
        match self.rng.below(4) {
            0 => {
                self.address(r, true);
                self.narrow(0x4700 | r << 3); // BX
            }
            1 => {
                self.address(r, true);
                self.forget(14);
                self.narrow(0x4780 | r << 3); // BLX
            }
            2 => {
                let thumb = self.rng.chance(50);
                self.address(r, thumb);
                self.narrow(0x4687 | r << 3); // MOV PC
            }
            _ => {
                self.forget(r);
                let at = self.code.len();
                self.wide(movw(r, 0));
                let pc = self.here() + 4;
                self.later(at, Fix::Distance(pc));
                self.narrow(0x4487 | r << 3); // ADD PC
            }
        }
    }

    /// The PC from memory: POP, LDM, LDR.
    fn by_load(&mut self) {
        let r = self.register();
        if self.stack(32).is_none() {
            return;
        }
        self.address(r, true);
        match self.rng.below(4) {
            0 => {
                self.wide(0xf84d_0d04 | r << 12); // PUSH {r}
                self.narrow(0xbd00);
            }
            1 => {
                self.wide(0xf84d_0d04 | r << 12);
                self.wide(0xf85d_fb04); // LDR PC, [SP], #4
            }
            2 => {
                let t = self.low();
                self.wide(0xf84d_0d04 | r << 12);
                self.narrow(0xb400 | 1 << t);
                self.narrow(0xbd00 | 1 << t);
                self.forget(t);
            }
            _ => {
                let t = self.register();
                self.wide(0xf84d_0d04 | r << 12);
                self.wide(0xf84d_0d04 | r << 12);
                self.wide(0xe8bd_8000 | 1 << t); // LDM SP!, {t, PC}
                self.forget(t);
            }
        }
    }

    /// TBB or TBH with the table behind it.
    fn table(&mut self, half: bool) {
        let m = self.low();
        let entries = 2 + 2 * self.rng.below(3);
        let index = self.rng.below(entries);
        self.narrow(0x2000 | m << 8 | index); // MOVS
        self.known[m as usize] = Some(index);
        let pc = self.here() + 4;
        self.wide(0xe8df_f000 | u32::from(half) << 4 | m);
        for i in 0..entries {
            let unit = self.units.len() + self.rng.below(3) as usize;
            let at = self.code.len();
            if half {
                self.narrow(0);
                self.goes_to(at, Fix::TableHalf(pc), unit);
            } else {
                if i % 2 == 0 {
                    self.narrow(0);
                }
                let at = self.code.len() - 1;
                self.goes_to(at, Fix::TableByte(pc, i % 2 == 1), unit);
            }
        }
    }

    /// Completes the branches.
    pub(super) fn finish(&mut self) {
        for f in std::mem::take(&mut self.fixups) {
            let target = self.units.get(f.unit).copied().unwrap_or(self.code.len());
            let at = |i: usize| CODE.start + 2 * i as u32;
            let to = at(target);
            let distance = to.wrapping_sub(at(f.at) + 4) / 2;
            let low = u32::from(self.code[f.at]);
            match f.fix {
                // Not too far: a stream is 2 * 236 bytes, and the next units are within 128.
                Fix::B8 => self.code[f.at] |= (distance & 0xff) as u16,
                Fix::B11 => self.code[f.at] |= (distance & 0x7ff) as u16,
                Fix::B20 => {
                    self.code[f.at] |= (distance >> 11 & 0x3f) as u16;
                    self.code[f.at + 1] |= (distance & 0x7ff) as u16;
                }
                Fix::B24 => {
                    // J1 = J2 = 1 for short forward distances.
                    self.code[f.at] |= (distance >> 11 & 0x3ff) as u16;
                    self.code[f.at + 1] |= 0x2800 | (distance & 0x7ff) as u16;
                }
                Fix::Cbz => {
                    let d = distance.min(63);
                    self.code[f.at] = (low | (d >> 5) << 9 | (d & 31) << 3) as u16;
                }
                Fix::Movw(thumb) => self.patch_movw(f.at, (to & 0xffff) | u32::from(thumb)),
                Fix::Distance(pc) => self.patch_movw(f.at, to.wrapping_sub(pc) & 0xffff),
                Fix::TableByte(pc, high) => {
                    let d = (to.wrapping_sub(pc) / 2).min(255) as u16;
                    self.code[f.at] |= if high { d << 8 } else { d };
                }
                Fix::TableHalf(pc) => self.code[f.at] = (to.wrapping_sub(pc) / 2) as u16,
            }
        }
    }

    fn patch_movw(&mut self, at: usize, value: u32) {
        let r = u32::from(self.code[at + 1]) >> 8 & 15;
        let w = movw(r, value);
        (self.code[at], self.code[at + 1]) = ((w >> 16) as u16, w as u16);
    }
}
