//! The register machine of system control: values in, values and the system clock's frequency out.

use serde::{Deserialize, Serialize};

use super::regs::*;

/// What is burnt into a part or soldered on its board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Part {
    pub(super) did: [u32; 2],
    pub(super) dc: [u32; 5],
    pub(super) user: [u32; 2],
    /// The crystal at the main oscillator, in Hz.
    pub(super) crystal_hz: u64,
}

/// All registers that can change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    pborctl: u32,
    ldopctl: u32,
    srcr: [u32; 3],
    ris: u32,
    imc: u32,
    resc: u32,
    rcc: u32,
    rcc2: u32,
    moscctl: u32,
    rcgc: [u32; 3],
    scgc: [u32; 3],
    dcgc: [u32; 3],
    dslpclkcfg: u32,
    clkvclr: u32,
    ldoarst: u32,
    fmpre: [u32; 4],
    fmppe: [u32; 4],
}

impl State {
    /// After a reset. RESC alone survives a reset, so the caller says what it was.
    pub(super) fn new(resc: u32) -> Self {
        let gates = [GATE0_RESET, 0, 0];
        Self {
            pborctl: PBORCTL_RESET,
            ldopctl: 0,
            srcr: [0; 3],
            ris: 0,
            imc: 0,
            resc,
            rcc: RCC_RESET,
            rcc2: RCC2_RESET,
            moscctl: 0,
            rcgc: gates,
            scgc: gates,
            dcgc: gates,
            dslpclkcfg: DSLPCLKCFG_RESET,
            clkvclr: 0,
            ldoarst: 0,
            fmpre: [u32::MAX; 4],
            fmppe: [u32::MAX; 4],
        }
    }

    pub(super) fn resc(&self) -> u32 {
        self.resc
    }

    /// Adds a cause to RESC.
    pub(super) fn note_reset(&mut self, cause: u32) {
        self.resc |= cause;
    }

    pub(super) fn interrupt(&self) -> bool {
        self.ris & self.imc != 0
    }

    pub(super) fn read(&self, offset: u64, part: &Part) -> u32 {
        match offset {
            DID0 => part.did[0],
            DID1 => part.did[1],
            DC0 => part.dc[0],
            DC1..=DC4 => nth(&part.dc[1..], offset - DC1),
            PBORCTL => self.pborctl,
            LDOPCTL => self.ldopctl,
            SRCR0..=SRCR2 => nth(&self.srcr, offset - SRCR0),
            RIS => self.ris,
            IMC => self.imc,
            MISC => self.ris & self.imc,
            RESC => self.resc,
            RCC => self.rcc,
            PLLCFG => self.pllcfg(),
            RCC2 => self.rcc2,
            MOSCCTL => self.moscctl,
            RCGC0..=RCGC2 => nth(&self.rcgc, offset - RCGC0),
            SCGC0..=SCGC2 => nth(&self.scgc, offset - SCGC0),
            DCGC0..=DCGC2 => nth(&self.dcgc, offset - DCGC0),
            DSLPCLKCFG => self.dslpclkcfg,
            CLKVCLR => self.clkvclr,
            LDOARST => self.ldoarst,
            USER_DBG => USER_DBG_RESET,
            USER0 => part.user[0],
            USER1 => part.user[1],
            FMPRE => self.fmpre[0],
            FMPPE => self.fmppe[0],
            FMPRE0..=FMPRE3 => nth(&self.fmpre, offset - FMPRE0),
            FMPPE0..=FMPPE3 => nth(&self.fmppe, offset - FMPPE0),
            _ => 0,
        }
    }

    pub(super) fn write(&mut self, offset: u64, value: u32, part: &Part) {
        match offset {
            PBORCTL => self.pborctl = value & 0xffff,
            LDOPCTL => self.ldopctl = value & 0x3f,
            SRCR0..=SRCR2 => set_nth(&mut self.srcr, offset - SRCR0, |i, _| value & gate_mask(i, part)),
            IMC => self.imc = value & INT_MASK,
            MISC => self.ris &= !value,
            RESC => self.resc = value & RESC_MASK,
            RCC => self.set_rcc(value),
            RCC2 => self.set_rcc2(value),
            MOSCCTL => self.moscctl = value & 1,
            RCGC0..=RCGC2 => set_nth(&mut self.rcgc, offset - RCGC0, |i, _| value & gate_mask(i, part)),
            SCGC0..=SCGC2 => set_nth(&mut self.scgc, offset - SCGC0, |i, _| value & gate_mask(i, part)),
            DCGC0..=DCGC2 => set_nth(&mut self.dcgc, offset - DCGC0, |i, _| value & gate_mask(i, part)),
            DSLPCLKCFG => self.dslpclkcfg = value & DSLPCLKCFG_MASK,
            CLKVCLR => self.clkvclr = value & 1,
            LDOARST => self.ldoarst = value & 1,
            // Protection can only be tightened.
            FMPRE => self.fmpre[0] &= value,
            FMPPE => self.fmppe[0] &= value,
            FMPRE0..=FMPRE3 => set_nth(&mut self.fmpre, offset - FMPRE0, |_, old| old & value),
            FMPPE0..=FMPPE3 => set_nth(&mut self.fmppe, offset - FMPPE0, |_, old| old & value),
            _ => {}
        }
    }

    fn set_rcc(&mut self, value: u32) {
        let new = self.rcc & !RCC_WRITABLE | value & RCC_WRITABLE;
        self.note_pll_start(self.rcc, new);
        self.rcc = new;
    }

    fn set_rcc2(&mut self, value: u32) {
        let new = value & RCC2_WRITABLE;
        self.note_pll_start(self.rcc2, new);
        self.rcc2 = new;
    }

    /// The PLL locks at once: guests poll for it, and nothing on the board depends on the half millisecond that it takes.
    fn note_pll_start(&mut self, old: u32, new: u32) {
        if old & PWRDN != 0 && new & PWRDN == 0 {
            self.ris |= INT_PLL_LOCK;
        }
    }

    fn pllcfg(&self) -> u32 {
        let (f, r) = PLL_FACTORS[(self.rcc >> 6 & 0xf) as usize];
        f << 5 | r
    }

    /// The system clock in Hz, as RCC and RCC2 choose it.
    pub(super) fn system_hz(&self, part: &Part) -> u64 {
        let rcc2 = self.rcc2 & RCC2_USERCC2 != 0;
        let (bypass, divisor, source) = if rcc2 {
            (self.rcc2 & BYPASS, self.rcc2 >> 23 & 0x3f, self.rcc2 >> 4 & 7)
        } else {
            (self.rcc & BYPASS, self.rcc >> 23 & 0xf, self.rcc >> 4 & 3)
        };
        let divisor = u64::from(divisor) + 1;
        if bypass == 0 {
            return PLL_HZ / divisor;
        }
        let oscillator = match source {
            0 => part.crystal_hz,
            1 => IOSC_HZ,
            2 => IOSC_HZ / 4,
            7 => HIBERNATION_HZ,
            _ => LOW_HZ,
        };
        if self.rcc & RCC_USESYSDIV != 0 {
            oscillator / divisor
        } else {
            oscillator
        }
    }
}

/// Which bits of the `i`th gating or reset register stand for units that this part has.
fn gate_mask(i: usize, part: &Part) -> u32 {
    match i {
        0 => part.dc[1] & GATE0_UNITS | GATE0_ADC_SPEED,
        1 => part.dc[2],
        _ => part.dc[4],
    }
}

fn nth(registers: &[u32], byte: u64) -> u32 {
    registers.get((byte / 4) as usize).copied().unwrap_or(0)
}

fn set_nth(registers: &mut [u32], byte: u64, new: impl FnOnce(usize, u32) -> u32) {
    let i = (byte / 4) as usize;
    if let Some(r) = registers.get_mut(i) {
        *r = new(i, *r);
    }
}
