//! Random streams: well-formed, weighted over the whole instruction set of the Cortex-M3, a few faults, and raw bit patterns.
//!
//! A stream is built from units. The maker knows the value of some registers (those that it set itself and nothing wrote since), so that
//! loads and stores stay inside scratch memory. That knowledge need not be perfect: a stream that goes astray is noticed when our engine
//! runs it, and left out.

mod branch;
pub mod forms;
mod memory;
mod system;

use crate::exclude;
use crate::layout::{CODE, HANDLER};
use crate::rng::Rng;
use crate::stream::{Setup, Stream};
use forms::{Form, NARROW, WIDE, plain_registers};

use southbridge_cpu_armv7m::decode::is_wide;

/// Halfwords that a stream may have; the rest of the code area stays UDF.
const MOST: usize = 192;

/// The stream of a seed.
pub fn stream(seed: u64) -> Stream {
    let mut rng = Rng::new(seed);
    let setup = setup(&mut rng);
    let raw = rng.chance(15);
    let units = if raw { 1 + rng.below(4) } else { 6 + rng.below(34) };
    let mut stream = Stream {
        seed,
        setup,
        code: Vec::new(),
        handler: Vec::new(),
    };
    stream.handler = handler(rng.u64(), &stream);
    let mut maker = Maker::new(rng, &stream);
    if setup.it != 0 {
        maker.it_block(setup.it);
    }
    for _ in 0..units {
        if maker.code.len() > MOST - 40 {
            break;
        }
        maker.begin_unit();
        if raw {
            maker.raw();
        } else {
            maker.unit();
        }
    }
    maker.finish();
    stream.code = maker.code;
    stream
}

/// EXC_RETURN values that are wrong, or may be (B1.5.8); see `exclude` for those that are missing.
const RETURNS: [u32; 4] = [0xffff_fff9, 0xffff_fff0, 0xffff_fff5, 0xffff_ffff];

/// A handler of SVC: it does something in handler mode, and returns in one of the ways there are.
fn handler(seed: u64, stream: &Stream) -> Vec<u16> {
    let mut rng = Rng::new(seed);
    if rng.chance(40) {
        return vec![0x4770]; // BX LR
    }
    let end = rng.below(10);
    let mut maker = Maker::new(rng, stream);
    maker.base = HANDLER.start;
    maker.known = [None; 15];
    maker.own_stack = false;
    maker.privileged = true;
    maker.narrow(if end < 4 { 0xb510 } else { 0xb500 }); // PUSH {R4, LR}, PUSH {LR}
    for _ in 0..1 + maker.rng.below(5) {
        match maker.rng.below(10) {
            _ if maker.code.len() > 26 => break,
            0..=2 => maker.data(NARROW),
            3..=5 => maker.data(WIDE),
            6 | 7 => maker.single(),
            _ => maker.system(),
        }
    }
    match end {
        0..=3 => maker.narrow(0xbd10),
        4 | 5 => maker.narrow(0xbd00),
        6 => maker.wide(0xf85d_fb04), // LDR PC, [SP], #4
        7 | 8 => {
            maker.wide(0xf85d_eb04); // LDR LR, [SP], #4
            maker.narrow(0x4770);
        }
        _ => {
            maker.narrow(0xb001); // ADD SP, #4
            let link = *maker.rng.pick(&RETURNS);
            maker.set(14, link);
            maker.narrow(0x4770);
        }
    }
    maker.code
}

fn setup(rng: &mut Rng) -> Setup {
    let mut s = Setup {
        enables: rng.below(8) as u8,
        ..Setup::default()
    };
    if rng.chance(30) {
        s.control = rng.below(4) as u8;
    }
    s.primask = rng.chance(8);
    if rng.chance(12) {
        s.basepri = rng.u32() as u8;
    }
    if rng.chance(25) {
        s.ccr = rng.u32() as u16 & 0x18;
    }
    if rng.chance(90) {
        s.ccr |= 0x200;
    }
    if rng.chance(6) {
        s.it = random_it(rng);
    }
    s
}

/// ITSTATE of a whole block: condition, and 1 to 4 instructions. "Always" has no else.
fn random_it(rng: &mut Rng) -> u8 {
    if rng.chance(5) {
        return 0xe0 | 1 << rng.below(4);
    }
    ((rng.below(14) << 4) | (1 + rng.below(15))) as u8
}

/// Instructions that an ITSTATE covers.
fn it_length(it: u8) -> u32 {
    4 - (it & 15).trailing_zeros().min(3)
}

/// Where a forward branch is to be completed.
#[derive(Clone, Copy, Debug)]
enum Fix {
    /// B<c>, 8 bits.
    B8,
    /// B, 11 bits.
    B11,
    /// B<c>.W.
    B20,
    /// B.W and BL.
    B24,
    Cbz,
    /// MOVW, with bit 0 set or not.
    Movw(bool),
    /// MOVW of the distance from this address, for ADD PC.
    Distance(u32),
    /// A byte or halfword of a table whose branch reads the PC as this.
    TableByte(u32, bool),
    TableHalf(u32),
}

struct Fixup {
    at: usize,
    fix: Fix,
    unit: usize,
}

struct Maker {
    rng: Rng,
    code: Vec<u16>,
    /// Where the code will stand.
    base: u32,
    /// Whether it may move SP as it likes.
    own_stack: bool,
    units: Vec<usize>,
    fixups: Vec<Fixup>,
    /// Values of R0 to R14 where they are known.
    known: [Option<u32>; 15],
    /// What will be known at most from a unit on, because a branch goes there.
    joins: Vec<(usize, [Option<u32>; 15])>,
    in_it: bool,
    privileged: bool,
    /// CCR.DIV_0_TRP.
    div_trap: bool,
}

impl Maker {
    fn new(rng: Rng, stream: &Stream) -> Self {
        let i = stream.initial();
        let mut known = [None; 15];
        for (k, v) in known.iter_mut().zip(i.r) {
            *k = Some(v);
        }
        known[13] = Some(i.sp);
        known[14] = Some(i.lr);
        Maker {
            rng,
            code: Vec::new(),
            base: CODE.start,
            own_stack: true,
            units: Vec::new(),
            fixups: Vec::new(),
            known,
            joins: Vec::new(),
            in_it: false,
            privileged: stream.setup.control & 1 == 0,
            div_trap: stream.setup.ccr & 0x10 != 0,
        }
    }

    fn narrow(&mut self, h: u32) {
        self.code.push(h as u16);
    }
    fn wide(&mut self, w: u32) {
        self.code.extend([(w >> 16) as u16, w as u16]);
    }
    /// Address of the next instruction.
    fn here(&self) -> u32 {
        self.base + 2 * self.code.len() as u32
    }

    fn begin_unit(&mut self) {
        let n = self.units.len();
        self.units.push(self.code.len());
        for (unit, known) in std::mem::take(&mut self.joins) {
            if unit > n {
                self.joins.push((unit, known));
                continue;
            }
            for (mine, theirs) in self.known.iter_mut().zip(known) {
                if *mine != theirs {
                    *mine = None;
                }
            }
        }
    }

    fn unit(&mut self) {
        match self.rng.below(1000) {
            0..=239 => self.data(NARROW),
            240..=529 => self.data(WIDE),
            530..=709 => self.single(),
            710..=759 => self.multiple(),
            760..=789 => self.dual(),
            790..=814 => self.exclusive(),
            815..=884 => {
                let it = random_it(&mut self.rng);
                self.narrow(0xbf00 | u32::from(it));
                self.it_block(it);
            }
            885..=944 => self.branch(),
            945..=984 => self.system(),
            985..=992 => self.fault(),
            _ => self.raw(),
        }
    }

    /// One instruction of a table.
    fn data(&mut self, table: &'static [Form]) {
        let total: u32 = table.iter().map(|f| f.weight).sum();
        let mut at = self.rng.below(total);
        let pick = table.iter().find(|f| {
            let hit = at < f.weight;
            at = at.wrapping_sub(f.weight);
            hit
        });
        let Some(form) = pick.filter(|f| f.in_it || !self.in_it) else {
            return self.data(table);
        };
        let p = form.picture;
        if self.begins_block(p.blank()) {
            if self.in_it {
                return self.data(NARROW);
            }
            self.wide(0xf3bf_8f6f); // ISB
        }
        let raw = loop {
            let mut raw = p.blank();
            for letter in p.letters() {
                raw = p.put(raw, letter, self.field(p.width(letter)));
            }
            if p.width(b'k') == 4 {
                raw = p.put(raw, b'k', p.get(raw, b'm'));
            }
            if plain_registers(p, raw) && (form.ok)(p, raw) {
                break raw;
            }
        };
        for letter in *b"dhD" {
            if p.width(letter) > 0 {
                self.forget(p.get(raw, letter));
            }
        }
        if p == forms::NARROW[6].picture {
            self.forget(raw >> 8 & 7);
        }
        if p.len() == 16 {
            self.narrow(raw)
        } else {
            self.wide(raw)
        }
    }

    /// What an ISB must precede, so that it begins a translation block of QEMU's: see `exclude::BY_CONSTRUCTION`.
    fn begins_block(&self, raw: u32) -> bool {
        let divides = raw & 0xffd0_f0f0 == 0xfb90_f0f0;
        let signed_field = raw & 0xfff0_8020 == 0xf340_0000;
        divides && self.div_trap || signed_field
    }

    /// A value for a field: uniform, with some preference for the ends.
    fn field(&mut self, width: u32) -> u32 {
        match self.rng.below(8) {
            0 if width > 4 => 0,
            1 if width > 4 => (1 << width) - 1,
            _ => self.rng.u32() & ((1 << width) - 1),
        }
    }

    /// A supervisor call: the handler may change any register that is not stacked.
    fn svc(&mut self, number: u32) {
        self.narrow(0xdf00 | number);
        let sp = self.known[13];
        self.known = [None; 15];
        self.known[13] = sp;
    }

    /// A register's value is no longer known.
    fn forget(&mut self, r: u32) {
        if let Some(k) = self.known.get_mut(r as usize) {
            *k = None;
        }
    }

    /// The instructions that an ITSTATE covers.
    fn it_block(&mut self, it: u8) {
        self.in_it = true;
        let n = it_length(it);
        for i in 0..n {
            match self.rng.below(20) {
                0..=6 => self.data(NARROW),
                7..=13 => self.data(WIDE),
                14..=16 => self.single_in_it(),
                17 if i + 1 == n => self.branch_in_it(),
                18 if self.rng.chance(30) => self.narrow(0xdf00), // SVC
                19 if self.rng.chance(20) => self.narrow(0xde00), // UDF
                _ => self.data(NARROW),
            }
        }
        self.in_it = false;
        // Conditional instructions may or may not have written.
        self.known = [None; 15];
    }

    /// A random bit pattern, as far as both sides must agree on it.
    fn raw(&mut self) {
        for _ in 0..1000 {
            let first = match self.rng.below(3) {
                0 => self.rng.u32(),
                _ => self.rng.u32() | 0xe800,
            } & 0xffff;
            if is_wide(first as u16) {
                let raw = first << 16 | self.rng.u32() & 0xffff;
                if exclude::excluded(raw, true).is_none() && !self.begins_block(raw) {
                    self.known = [None; 15];
                    return self.wide(raw);
                }
            } else if exclude::excluded(first, false).is_none() {
                self.known = [None; 15];
                return self.narrow(first);
            }
        }
    }

    /// Puts a value into a register.
    fn set(&mut self, r: u32, value: u32) {
        self.wide(movw(r, value));
        self.wide(movw(r, value >> 16) | 0x0080_0000);
        if let Some(k) = self.known.get_mut(r as usize) {
            *k = Some(value);
        }
    }

    /// R0 to R12.
    fn register(&mut self) -> u32 {
        self.rng.below(13)
    }
    /// R0 to R7.
    fn low(&mut self) -> u32 {
        self.rng.below(8)
    }
    /// R0 to R12, none of `not`.
    fn register_but(&mut self, not: &[u32]) -> u32 {
        loop {
            let r = self.register();
            if !not.contains(&r) {
                return r;
            }
        }
    }
}

/// MOVW; MOVT has bit 23 of it set too.
fn movw(r: u32, value: u32) -> u32 {
    let v = value & 0xffff;
    0xf240_0000 | (v >> 11 & 1) << 26 | v >> 12 << 16 | (v >> 8 & 7) << 12 | r << 8 | v & 0xff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_a_function_of_their_seed() {
        for seed in 0..200 {
            let s = stream(seed);
            assert_eq!(s, stream(seed));
            assert!(
                !s.code.is_empty() && s.code.len() <= 208 && s.handler.len() <= 48,
                "{seed}: {}",
                s.code.len()
            );
        }
    }

    #[test]
    fn moves_are_encoded() {
        assert_eq!(movw(3, 0x1234), 0xf241_2334);
        assert_eq!(movw(12, 0xf9ff), 0xf64f_1cff);
    }
}
