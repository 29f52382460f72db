//! Everything that makes up the state of the core, and so everything that is saved. Caches of the engine are not in here.

use serde::{Deserialize, Serialize};

use crate::scs::{dwt::Dwt, mpu::Mpu, nvic::Nvic, scb::Scb, systick::SysTick};
use crate::variant::Config;

/// Architectural state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// R0 to R14; R13 is the stack pointer in use. Slot 15 is always zero: see `insn.rs`.
    pub regs: [u32; 16],
    /// Address of the next instruction.
    pub pc: u32,
    pub(crate) nz: NegativeZero,
    /// Carry.
    pub(crate) c: bool,
    pub(crate) v: Overflow,
    /// Saturation.
    pub(crate) q: bool,
    /// EPSR.T: clear only on the way into an INVSTATE fault.
    pub(crate) t: bool,
    /// ITSTATE of the next instruction.
    pub(crate) it: u8,
    /// Exception number of the running handler, 0 in thread mode.
    pub(crate) ipsr: u16,
    /// The stack pointer that is not in R13: PSP while MSP is in use, else MSP.
    pub(crate) other_sp: u32,
    /// CONTROL: bit 0 nPRIV, bit 1 SPSEL (which in handler mode only reads as 0).
    pub(crate) control: u8,
    pub(crate) primask: bool,
    pub(crate) faultmask: bool,
    pub(crate) basepri: u8,
    /// WFE's event register.
    pub(crate) event: bool,
    pub(crate) sleep: Sleep,
    pub(crate) lockup: bool,
    /// Address and size (1, 2, 4) of an open exclusive access, with the value it read.
    pub(crate) exclusive: Option<(u32, u8, u32)>,
    pub(crate) nvic: Nvic,
    pub(crate) scb: Scb,
    pub(crate) systick: SysTick,
    pub(crate) mpu: Mpu,
    pub(crate) dwt: Dwt,
}

/// N and Z. Saved as a number whose sign is N and whose low half is zero for Z.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(from = "i64", into = "i64")]
pub(crate) struct NegativeZero {
    /// N is bit 31.
    pub(crate) n: u32,
    /// Z means that it is 0.
    pub(crate) z: u32,
}

impl NegativeZero {
    pub(crate) fn is_negative(self) -> bool {
        self.n >> 31 != 0
    }
    pub(crate) fn is_zero(self) -> bool {
        self.z == 0
    }
}

/// What a result says.
impl From<u32> for NegativeZero {
    #[inline(always)]
    fn from(r: u32) -> Self {
        Self { n: r, z: r }
    }
}
impl From<i64> for NegativeZero {
    fn from(v: i64) -> Self {
        Self {
            n: (v >> 32) as u32,
            z: v as u32,
        }
    }
}
impl From<NegativeZero> for i64 {
    fn from(f: NegativeZero) -> Self {
        i64::from(f.is_negative()) << 63 | i64::from(!f.is_zero())
    }
}
impl PartialEq for NegativeZero {
    fn eq(&self, other: &Self) -> bool {
        i64::from(*self) == i64::from(*other)
    }
}
impl Eq for NegativeZero {}

/// V: bit 31.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(from = "bool", into = "bool")]
pub(crate) struct Overflow(pub(crate) u32);

impl From<u32> for Overflow {
    #[inline(always)]
    fn from(v: u32) -> Self {
        Self(v)
    }
}
impl From<bool> for Overflow {
    fn from(v: bool) -> Self {
        Self(u32::from(v) << 31)
    }
}
impl From<Overflow> for bool {
    fn from(v: Overflow) -> Self {
        v.0 >> 31 != 0
    }
}
impl PartialEq for Overflow {
    fn eq(&self, other: &Self) -> bool {
        bool::from(*self) == bool::from(*other)
    }
}
impl Eq for Overflow {}

/// What a sleeping core waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Sleep {
    Awake,
    /// WFI or SLEEPONEXIT.
    Interrupt,
    /// WFE.
    Event,
}

impl State {
    /// State between reset and the fetch of the vectors, at cycle `now`.
    pub(crate) fn new(cfg: &Config, now: u64, rates: crate::scs::systick::Rates) -> Self {
        let mut dwt = Dwt::default();
        dwt.advance(now, false);
        State {
            regs: [0; 16],
            pc: 0,
            nz: 1u32.into(),
            c: false,
            v: false.into(),
            q: false,
            t: true,
            it: 0,
            ipsr: 0,
            other_sp: 0,
            control: 0,
            primask: false,
            faultmask: false,
            basepri: 0,
            event: false,
            sleep: Sleep::Awake,
            lockup: false,
            exclusive: None,
            nvic: Nvic::default(),
            scb: Scb::new(cfg.vtor),
            systick: SysTick::new(now, rates),
            mpu: Mpu::default(),
            dwt,
        }
    }

    /// Thread mode or handler mode with full rights.
    pub(crate) fn privileged(&self) -> bool {
        self.ipsr != 0 || self.control & 1 == 0
    }
    /// Whether R13 is the process stack pointer.
    pub(crate) fn on_psp(&self) -> bool {
        self.ipsr == 0 && self.control & 2 != 0
    }
    pub(crate) fn msp(&self) -> u32 {
        if self.on_psp() { self.other_sp } else { self.regs[13] }
    }
    pub(crate) fn psp(&self) -> u32 {
        if self.on_psp() { self.regs[13] } else { self.other_sp }
    }
    pub(crate) fn set_msp(&mut self, v: u32) {
        let v = v & !3;
        *(if self.on_psp() {
            &mut self.other_sp
        } else {
            &mut self.regs[13]
        }) = v;
    }
    pub(crate) fn set_psp(&mut self, v: u32) {
        let v = v & !3;
        *(if self.on_psp() {
            &mut self.regs[13]
        } else {
            &mut self.other_sp
        }) = v;
    }
    /// Changes mode and CONTROL, keeping R13 the stack pointer that they select.
    pub(crate) fn set_mode(&mut self, ipsr: u16, control: u8) {
        let before = self.on_psp();
        self.ipsr = ipsr & 0x1ff;
        self.control = control & 3;
        if self.on_psp() != before {
            std::mem::swap(&mut self.regs[13], &mut self.other_sp);
        }
    }

    /// N, Z, C, V and Q in their places in the APSR.
    pub(crate) fn apsr(&self) -> u32 {
        u32::from(self.nz.is_negative()) << 31
            | u32::from(self.nz.is_zero()) << 30
            | u32::from(self.c) << 29
            | u32::from(bool::from(self.v)) << 28
            | u32::from(self.q) << 27
    }
    pub(crate) fn set_apsr(&mut self, v: u32) {
        self.nz = (i64::from(v >> 31) << 63 | i64::from(v >> 30 & 1 == 0)).into();
        self.c = v >> 29 & 1 != 0;
        self.v = (v >> 28 & 1 != 0).into();
        self.q = v >> 27 & 1 != 0;
    }
    /// The combined program status register.
    pub fn xpsr(&self) -> u32 {
        let it = u32::from(self.it);
        self.apsr() | (it & 3) << 25 | (it >> 2) << 10 | u32::from(self.t) << 24 | u32::from(self.ipsr)
    }
    /// Sets all parts of the xPSR but the exception number.
    pub(crate) fn set_xpsr_flags(&mut self, v: u32) {
        self.set_apsr(v);
        self.t = v >> 24 & 1 != 0;
        self.it = (v >> 25 & 3 | v >> 8 & 0xfc) as u8;
    }

    /// Makes a deserialised state safe to run: what the fields' types do not enforce.
    pub(crate) fn sanitize(&mut self) {
        self.regs[15] = 0;
        self.regs[13] &= !3;
        self.other_sp &= !3;
        self.pc &= !1;
        self.ipsr &= 0xff;
        self.control &= 3;
        self.nvic.prigroup &= 7;
    }
}

/// Whether condition `code` (ARM ARM A7.3) holds.
#[inline(always)]
pub(crate) fn holds(s: &State, code: u8) -> bool {
    crate::meaning::condition(code, s.nz.n, s.nz.z, s.c.into(), s.v.0) != 0
}
