//! Loads and stores (DDI 0403, A5.2.4, A5.3.5 to A5.3.10).

use super::Maker;
use crate::layout::{CODE, SCRATCH};

/// Margin that keeps accesses clear of the ends of scratch memory.
const EDGE: u32 = 16;

/// Addressing of a single access.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// 16-bit, five bits of offset in units of the size.
    Imm5,
    /// 16-bit, low register offset.
    Reg16,
    /// 16-bit, SP and eight bits in words.
    Sp,
    Imm12,
    /// Eight bits downward.
    Negative,
    Pre,
    Post,
    Unprivileged,
    /// Register shifted left by 0 to 3.
    Reg,
    Literal,
}
use Form::*;

/// What is moved: size and sign as in A5.3.10 (`op` bits), and whether it is a load.
#[derive(Clone, Copy)]
struct What {
    size: u32,
    signed: bool,
    load: bool,
}

impl Maker {
    /// A single load or store, after loading a base register if need be.
    pub(super) fn single(&mut self) {
        let what = self.what();
        let form = *self.rng.pick(&[
            Imm5,
            Reg16,
            Sp,
            Imm12,
            Negative,
            Pre,
            Post,
            Unprivileged,
            Reg,
            Literal,
            Imm12,
            Pre,
            Post,
        ]);
        self.access(what, form);
    }

    /// One that needs no other instruction.
    pub(super) fn single_in_it(&mut self) {
        let what = self.what();
        let wanted = |k: &Option<u32>| k.is_some_and(|v| (SCRATCH.start + 256..SCRATCH.end - 256).contains(&v));
        let found = (0..13).filter(|i| wanted(&self.known[*i])).collect::<Vec<_>>();
        if found.is_empty() {
            return self.data(super::WIDE);
        }
        let n = *self.rng.pick(&found) as u32;
        let t = self.register_but(&[n]);
        let form = *self.rng.pick(&[Negative, Pre, Post, Imm12]);
        let offset = self.rng.below(200);
        let up = self.rng.chance(50);
        self.encode(what, form, t, n, offset, up);
    }

    fn what(&mut self) -> What {
        let size = *self.rng.pick(&[4, 4, 2, 1]);
        let load = self.rng.chance(55);
        What {
            size,
            load,
            signed: load && size < 4 && self.rng.chance(50),
        }
    }

    /// An address to access; sometimes unaligned, through the bit-band alias, or where nothing is.
    fn target(&mut self, size: u32) -> u32 {
        let span = SCRATCH.end - SCRATCH.start - 2 * EDGE;
        let at = SCRATCH.start + EDGE + self.rng.below(span);
        match self.rng.below(100) {
            0..=8 => 0x2200_0000 + (at - 0x2000_0000) * 32 + 4 * self.rng.below(8),
            9 => (0x6000_0000 + self.rng.below(0x4000_0000)) & !3,
            10..=24 => at,
            _ => at & !(size - 1),
        }
    }

    fn access(&mut self, what: What, form: Form) {
        let target = self.target(what.size);
        if form == Literal {
            return self.literal(what);
        }
        if form == Sp {
            return self.sp_relative(what.load);
        }
        let low = matches!(form, Imm5 | Reg16);
        let mut n = if low { self.low() } else { self.register() };
        // A base that is known already saves the loading.
        let reach = |v: u32| target.checked_sub(v);
        let fits = |v: u32| match form {
            Imm5 => reach(v).is_some_and(|d| d.is_multiple_of(what.size) && d / what.size < 32),
            Imm12 => reach(v).is_some_and(|d| d < 4096),
            Unprivileged | Pre => reach(v).is_some_and(|d| d < 256),
            Post => v == target,
            _ => false,
        };
        let count = if low { 8 } else { 13 };
        if let Some(i) = (0..count).find(|i| self.known[*i].is_some_and(fits)) {
            n = i as u32;
        }
        let t = match (low, matches!(form, Pre | Post)) {
            (true, _) => self.low(),
            (_, true) => self.register_but(&[n]),
            _ => self.register(),
        };
        match self.known[n as usize].filter(|v| fits(*v)) {
            Some(v) => {
                let d = if form == Post { self.rng.below(256) } else { target - v };
                self.encode(what, form, t, n, d, true);
            }
            None => self.with_new_base(what, form, t, n, target),
        }
    }

    fn with_new_base(&mut self, what: What, form: Form, t: u32, n: u32, target: u32) {
        let up = self.rng.chance(50);
        let offset = match form {
            Imm5 => self.rng.below(32) * what.size,
            Imm12 => self.rng.below(4096),
            _ => self.rng.below(256),
        };
        match form {
            Reg16 | Reg => {
                let m = if form == Reg16 { self.low() } else { self.register() };
                if m == n {
                    return self.data(super::NARROW);
                }
                let shift = if form == Reg { self.rng.below(4) } else { 0 };
                let index = self.rng.below(64);
                self.set(m, index);
                self.set(n, target.wrapping_sub(index << shift));
                self.encode_reg(what, form, t, n, m, shift);
            }
            Post => {
                self.set(n, target);
                self.encode(what, form, t, n, offset, up);
            }
            Pre if !up => {
                self.set(n, target.wrapping_add(offset));
                self.encode(what, form, t, n, offset, false);
            }
            Negative => {
                self.set(n, target.wrapping_add(offset));
                self.encode(what, form, t, n, offset, false);
            }
            _ => {
                self.set(n, target.wrapping_sub(offset));
                self.encode(what, form, t, n, offset, true);
            }
        }
    }

    fn encode(&mut self, what: What, form: Form, t: u32, n: u32, offset: u32, up: bool) {
        let wide = wide_op(what) | n << 16 | t << 12;
        match form {
            Imm5 => {
                if what.signed {
                    // There is no such 16-bit form.
                    return self.encode(what, Imm12, t, n, offset, up);
                }
                let base = match (what.size, what.load) {
                    (4, false) => 0x6000,
                    (4, true) => 0x6800,
                    (1, false) => 0x7000,
                    (1, true) => 0x7800,
                    (_, false) => 0x8000,
                    (_, true) => 0x8800,
                };
                self.narrow(base | ((offset / what.size) & 31) << 6 | n << 3 | t);
            }
            Negative => self.wide(wide | 0xc00 | offset & 255),
            Unprivileged => self.wide(wide | 0xe00 | offset & 255),
            Pre => self.wide(wide | 0xd00 | u32::from(up) << 9 | offset & 255),
            Post => self.wide(wide | 0x900 | u32::from(up) << 9 | offset & 255),
            _ => self.wide(wide | 0x0080_0000 | offset & 4095),
        }
        if matches!(form, Pre | Post) {
            let moved = |v: u32| {
                if up {
                    v.wrapping_add(offset & 255)
                } else {
                    v.wrapping_sub(offset & 255)
                }
            };
            self.known[n as usize] = self.known[n as usize].map(moved);
        }
        if what.load {
            self.forget(t);
        }
    }

    fn encode_reg(&mut self, what: What, form: Form, t: u32, n: u32, m: u32, shift: u32) {
        if form == Reg16 {
            let op = match (what.size, what.signed, what.load) {
                (4, _, false) => 0,
                (2, _, false) => 1,
                (1, _, false) => 2,
                (1, true, _) => 3,
                (4, ..) => 4,
                (2, false, _) => 5,
                (1, ..) => 6,
                _ => 7,
            };
            self.narrow(0x5000 | op << 9 | m << 6 | n << 3 | t);
        } else {
            self.wide(wide_op(what) | n << 16 | t << 12 | shift << 4 | m);
        }
        if what.load {
            self.forget(t);
        }
    }

    fn sp_relative(&mut self, load: bool) {
        let Some(room) = self.stack(4).map(|sp| (SCRATCH.end - sp) / 4) else {
            return;
        };
        let (t, imm) = (self.low(), self.rng.below(room.min(256)));
        self.narrow(if load { 0x9800 } else { 0x9000 } | t << 8 | imm);
        if load {
            self.forget(t);
        }
    }

    /// A load from the code area, whose contents are what this stream is.
    fn literal(&mut self, what: What) {
        let t = self.register();
        let pc = (self.here() + 4) & !3;
        self.forget(t);
        if t < 8 && self.rng.chance(40) {
            let room = (CODE.end - 4 - pc.min(CODE.end - 4)) / 4;
            let imm = self.rng.below(room.clamp(1, 64));
            return self.narrow(0x4800 | t << 8 | imm);
        }
        let at = CODE.start + self.rng.below(CODE.end - CODE.start - 4);
        let load = What { load: true, ..what };
        let (up, offset) = if at >= pc { (1, at - pc) } else { (0, pc - at) };
        self.wide(wide_op(load) | 0x000f_0000 | up << 23 | t << 12 | offset);
    }

    /// The stack pointer, set anew unless it is known and has `bytes` of room on both sides.
    pub(super) fn stack(&mut self, bytes: u32) -> Option<u32> {
        if !self.own_stack {
            return None;
        }
        let room = SCRATCH.start + 0x90 + bytes..=SCRATCH.end - bytes - 0x20;
        let good = |v: &u32| room.contains(v) && v.is_multiple_of(4);
        if let Some(sp) = self.known[13].filter(good) {
            return Some(sp);
        }
        let r = self.register();
        let sp = SCRATCH.start + 0x180 + 4 * self.rng.below(64);
        self.set(r, sp);
        self.narrow(0x4685 | r << 3); // MOV SP, r
        self.known[13] = Some(sp);
        self.known[13].filter(good)
    }

    /// LDM, STM, PUSH, POP.
    pub(super) fn multiple(&mut self) {
        let load = self.rng.chance(50);
        match self.rng.below(5) {
            0 => self.push_pop(load),
            4 => self.move_stack(),
            1 => self.multiple16(load),
            _ => self.multiple32(load),
        }
    }

    fn push_pop(&mut self, pop: bool) {
        let list = (self.rng.u32() & self.rng.u32() & 255).max(1);
        let lr = u32::from(!pop && self.rng.chance(30));
        let bytes = 4 * (list.count_ones() + lr);
        let Some(sp) = self.stack(bytes) else { return };
        self.narrow(if pop { 0xbc00 } else { 0xb400 } | lr << 8 | list);
        self.known[13] = Some(if pop { sp + bytes } else { sp - bytes });
        if pop {
            self.forget_list(list);
        }
    }

    /// ADD and SUB of SP and a small constant.
    fn move_stack(&mut self) {
        let Some(sp) = self.stack(64) else { return };
        let (down, words) = (self.rng.chance(50), self.rng.below(16));
        self.narrow(if down { 0xb080 } else { 0xb000 } | words);
        self.known[13] = Some(if down { sp - 4 * words } else { sp + 4 * words });
    }

    fn forget_list(&mut self, list: u32) {
        for i in (0..15).filter(|i| list >> i & 1 != 0) {
            self.forget(i);
        }
    }

    /// A base in `r` with `bytes` of scratch memory from `-down` on.
    fn base(&mut self, r: u32, down: u32, up: u32) -> u32 {
        let good = |v: &u32| (SCRATCH.start + down..=SCRATCH.end - up).contains(v) && v.is_multiple_of(4);
        if let Some(v) = self.known[r as usize].filter(good) {
            return v;
        }
        let at = SCRATCH.start + down + 4 * self.rng.below((SCRATCH.end - SCRATCH.start - down - up) / 4);
        self.set(r, at);
        at
    }

    fn multiple16(&mut self, load: bool) {
        let n = self.low();
        let mut list = self.rng.u32() & 255;
        if !load {
            // The base may only be stored if it is the lowest (A7.7.159).
            list &= !(1 << n);
            if self.rng.chance(20) {
                list = (list | 1 << n) >> n << n;
            }
        }
        let list = if list == 0 { 1 << n } else { list };
        let bytes = 4 * list.count_ones();
        let at = self.base(n, 0, bytes);
        self.narrow(if load { 0xc800 } else { 0xc000 } | n << 8 | list);
        self.known[n as usize] = Some(at + bytes);
        if load {
            self.forget_list(list);
        }
    }

    fn multiple32(&mut self, load: bool) {
        let n = self.register();
        let (wb, down) = (self.rng.chance(50), self.rng.chance(50));
        let mut list = loop {
            let mut l = self.rng.u32() & 0x5fff;
            if self.rng.chance(50) {
                l &= self.rng.u32();
            }
            if wb {
                l &= !(1 << n);
            }
            if l.count_ones() >= 2 {
                break l;
            }
        };
        list &= 0x5fff;
        let bytes = 4 * list.count_ones();
        let at = if down {
            self.base(n, bytes, 0)
        } else {
            self.base(n, 0, bytes)
        };
        let op = if down { 0xe900_0000 } else { 0xe880_0000u32 };
        self.wide(op | u32::from(wb) << 21 | u32::from(load) << 20 | n << 16 | list);
        if wb {
            self.known[n as usize] = Some(if down { at - bytes } else { at + bytes });
        }
        if load {
            self.forget_list(list);
        }
    }

    /// LDRD and STRD.
    pub(super) fn dual(&mut self) {
        let load = self.rng.chance(50);
        let n = self.register();
        let (p, w) = *self.rng.pick(&[(1, 0), (1, 1), (0, 1)]);
        let t = self.register_but(&[n]);
        let h = self.register_but(&[n, t]);
        let up = self.rng.chance(50);
        let imm = self.rng.below(64);
        let mut at = self.base(n, 256, 264);
        if self.rng.chance(4) {
            at += 2; // unaligned: a fault
            self.set(n, at);
        }
        self.wide(
            0xe840_0000
                | p << 24
                | u32::from(up) << 23
                | w << 21
                | u32::from(load) << 20
                | n << 16
                | t << 12
                | h << 8
                | imm,
        );
        if w == 1 {
            self.known[n as usize] = Some(if up { at + 4 * imm } else { at - 4 * imm });
        }
        if load {
            self.forget(t);
            self.forget(h);
        }
    }

    /// LDREX, something between, STREX.
    pub(super) fn exclusive(&mut self) {
        let n = self.register();
        let t = self.register_but(&[n]);
        let (v, d) = (self.register_but(&[n]), self.register_but(&[n]));
        let d = if d == v { self.register_but(&[n, v]) } else { d };
        self.base(n, 0, 0x84);
        let size = self.rng.below(3);
        let imm = self.rng.below(32);
        match size {
            0 => self.wide(0xe850_0f00 | n << 16 | t << 12 | imm),
            1 => self.wide(0xe8d0_0f4f | n << 16 | t << 12),
            _ => self.wide(0xe8d0_0f5f | n << 16 | t << 12),
        }
        self.forget(t);
        match self.rng.below(8) {
            0 => self.wide(0xf3bf_8f2f), // CLREX
            1 => {
                // The call clears the reservation too; the base comes back.
                let base = self.known[n as usize];
                self.svc(1);
                if let Some(base) = base {
                    self.set(n, base);
                }
            }
            2 => self.wide(0xf880_0000 | n << 16 | v << 12 | imm),
            _ => {}
        }
        let store = match size {
            0 => 0xe840_0000 | n << 16 | v << 12 | d << 8 | imm,
            1 => 0xe8c0_0f40 | n << 16 | v << 12 | d,
            _ => 0xe8c0_0f50 | n << 16 | v << 12 | d,
        };
        self.wide(store);
        if self.rng.chance(25) {
            // The first one has used the reservation up.
            let spare = self.register_but(&[n, v, d]);
            self.forget(spare);
            self.wide(match size {
                0 => store & !0xf00 | spare << 8,
                _ => store & !0xf | spare,
            });
        }
        self.forget(d);
    }
}

/// The first bits of a 32-bit single access, eight-bit offset form.
fn wide_op(what: What) -> u32 {
    let size = match what.size {
        1 => 0,
        2 => 1,
        _ => 2,
    };
    0xf800_0000 | u32::from(what.signed) << 24 | size << 21 | u32::from(what.load) << 20
}
