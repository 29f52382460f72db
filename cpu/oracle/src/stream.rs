//! One stream: the state it starts in, its code, and what an implementation makes of it.

use crate::layout::{self, CODE, END, HANDLER, INPUT, RESULT_NAMES, RESULT_WORDS, SCRATCH, SCRATCH_LEN, result};
use crate::rng::Rng;

/// Everything that a run depends on. The registers and memory that it starts with are a function of `seed` and `setup`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Fills registers and scratch memory.
    pub seed: u64,
    /// How the core is set up.
    pub setup: Setup,
    /// Instructions, in halfwords.
    pub code: Vec<u16>,
    /// The handler of SVC, in halfwords.
    pub handler: Vec<u16>,
}

/// Core state at the start, packed as it is recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Setup {
    /// Bit 0 nPRIV, bit 1 SPSEL.
    pub control: u8,
    /// PRIMASK.
    pub primask: bool,
    /// BASEPRI.
    pub basepri: u8,
    /// Bits 0 to 2: MEMFAULTENA, BUSFAULTENA, USGFAULTENA.
    pub enables: u8,
    /// CCR: bits 3 (UNALIGN_TRP), 4 (DIV_0_TRP) and 9 (STKALIGN).
    pub ccr: u16,
    /// ITSTATE.
    pub it: u8,
}

/// Register values at the start.
#[derive(Clone, Debug)]
pub struct Initial {
    /// R0 to R12.
    pub r: [u32; 13],
    /// Link register.
    pub lr: u32,
    /// The stack pointer in use.
    pub sp: u32,
    /// The other one.
    pub other_sp: u32,
    /// xPSR.
    pub xpsr: u32,
    /// Contents of the scratch memory, before the first exception frame.
    pub scratch: Box<[u8; SCRATCH_LEN]>,
}

/// Values at which arithmetic is interesting.
const CORNERS: [u32; 12] = [
    0,
    1,
    2,
    31,
    32,
    33,
    0xff,
    0x7fff_ffff,
    0x8000_0000,
    0x8000_0001,
    0xffff_ffff,
    0xffff_8000,
];

impl Stream {
    /// The registers and memory that `seed` and `setup` stand for. Frozen with [`Rng`]: recorded streams depend on it.
    pub fn initial(&self) -> Initial {
        let mut rng = Rng::new(self.seed ^ 0x5eed_0f57_a7e5_0001);
        let mut scratch = Box::new([0; SCRATCH_LEN]);
        for chunk in scratch.chunks_mut(8) {
            chunk.copy_from_slice(&rng.u64().to_le_bytes());
        }
        let r = std::array::from_fn(|_| match rng.below(8) {
            0 => *rng.pick(&CORNERS),
            1 => rng.below(256),
            2..=4 => SCRATCH.start + 0x100 + 4 * rng.below(128),
            _ => rng.u32(),
        });
        let lr = CODE.start | 1;
        let sp = SCRATCH.start + 0x200 + 4 * rng.below(32);
        let other_sp = SCRATCH.start + 0xc0 + 4 * rng.below(16);
        let it = u32::from(self.setup.it);
        let align = sp >> 2 & 1;
        let xpsr = rng.u32() & 0xf800_0000 | 1 << 24 | align << 9 | (it & 3) << 25 | (it >> 2) << 10;
        Initial {
            r,
            lr,
            sp,
            other_sp,
            xpsr,
            scratch,
        }
    }

    /// What the host writes to guest memory from [`INPUT`] to the end of [`SCRATCH`].
    pub fn image(&self) -> Vec<u8> {
        let i = self.initial();
        let s = &self.setup;
        let on_psp = s.control & 2 != 0;
        // The frame that `start` returns through; the stack is set so that SP ends where it should.
        let aligned = if s.ccr & 0x200 != 0 { 7 } else { 0 };
        let frame = (i.sp & !aligned) - 32;
        let (msp, psp) = if on_psp {
            (i.other_sp, frame)
        } else {
            (frame, i.other_sp)
        };
        let exc_return = if on_psp { 0xffff_fffd } else { 0xffff_fff9 };
        let ccr = u32::from(s.ccr) & 0x218;
        let head = [
            u32::from(s.enables & 7) << 16,
            ccr,
            msp,
            psp,
            u32::from(s.control & 1),
            s.primask.into(),
            s.basepri.into(),
            exc_return,
        ];
        let mut out = Vec::with_capacity((SCRATCH.end - INPUT) as usize);
        for word in head.iter().chain(&i.r[4..12]) {
            out.extend(word.to_le_bytes());
        }
        out.resize((CODE.start - INPUT) as usize, 0);
        for (code, end) in [(&self.code, CODE.end), (&self.handler, HANDLER.end)] {
            let end = (end - INPUT) as usize;
            out.extend(code.iter().flat_map(|h| h.to_le_bytes()));
            while out.len() < end {
                out.extend(END.to_le_bytes());
            }
            out.truncate(end);
        }
        out.extend(*i.scratch);
        let words = [i.r[0], i.r[1], i.r[2], i.r[3], i.r[12], i.lr, CODE.start, i.xpsr];
        let at = (frame - INPUT) as usize;
        for (word, place) in words.iter().zip(out[at..].chunks_mut(4)) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        out
    }

    /// The address of the UDF behind the last instruction.
    pub fn end(&self) -> u32 {
        CODE.start + 2 * self.code.len() as u32
    }
}

/// What a stream came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The words that `collect` wrote.
    pub words: [u32; RESULT_WORDS],
    /// Scratch memory, which holds the exception frame.
    pub scratch: Box<[u8; SCRATCH_LEN]>,
}

/// Names of the words of an exception frame.
const FRAME: [&str; 8] = ["r0", "r1", "r2", "r3", "r12", "lr", "pc", "xpsr"];

impl Outcome {
    /// From memory as it lies in the guest, [`SCRATCH`] and [`layout::RESULT`] in one piece.
    pub fn from_memory(bytes: &[u8]) -> Option<Self> {
        let (scratch, rest) = bytes.split_at_checked(SCRATCH_LEN)?;
        let mut words = [0; RESULT_WORDS];
        for (w, b) in words.iter_mut().zip(rest.chunks_exact(4)) {
            *w = u32::from_le_bytes(b.try_into().ok()?);
        }
        let mut o = Outcome {
            words,
            scratch: Box::new(scratch.try_into().ok()?),
        };
        o.forget_stale();
        Some(o)
    }

    /// MMFAR and BFAR count only while CFSR says that they are valid (B3.2.15).
    fn forget_stale(&mut self) {
        for (valid, at) in [(1 << 7, result::MMFAR), (1 << 15, result::BFAR)] {
            if self.words[result::CFSR] & valid == 0 {
                self.words[at] = 0;
            }
        }
    }

    /// The exception frame, if it was stacked in scratch memory.
    pub fn frame(&self) -> Option<[u32; 8]> {
        let at = if self.words[result::EXC_RETURN] & 4 == 0 {
            self.words[result::MSP]
        } else {
            self.words[result::PSP]
        };
        let at = at.checked_sub(SCRATCH.start)? as usize;
        let bytes = self.scratch.get(at..at + 32)?;
        Some(std::array::from_fn(|i| {
            u32::from_le_bytes([bytes[4 * i], bytes[4 * i + 1], bytes[4 * i + 2], bytes[4 * i + 3]])
        }))
    }

    /// Where two outcomes differ, one line each: name, this one's value, the other's.
    pub fn differences(&self, other: &Outcome) -> Vec<(String, u32, u32)> {
        let mut out = Vec::new();
        for (name, (a, b)) in RESULT_NAMES.iter().zip(self.words.iter().zip(&other.words)) {
            if a != b {
                out.push((name.to_string(), *a, *b));
            }
        }
        if let (Some(a), Some(b)) = (self.frame(), other.frame()) {
            for (name, (a, b)) in FRAME.iter().zip(a.iter().zip(&b)) {
                if a != b {
                    out.push((format!("stacked {name}"), *a, *b));
                }
            }
        }
        let words = |o: &Outcome| -> Vec<u32> {
            o.scratch
                .chunks_exact(4)
                .map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect()
        };
        for ((a, b), at) in words(self)
            .into_iter()
            .zip(words(other))
            .zip((SCRATCH.start..).step_by(4))
        {
            if a != b {
                out.push((format!("[{at:#010x}]"), a, b));
            }
        }
        out
    }

    /// FNV-1a of the scratch memory, for the record.
    pub fn scratch_hash(&self) -> u64 {
        self.scratch.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| {
            (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3)
        })
    }
}

const _: () = assert!(layout::RESULT.start == SCRATCH.end, "one read fetches both");
