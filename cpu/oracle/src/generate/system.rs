//! Special registers, hints, barriers, supervisor calls, and faults on purpose (DDI 0403, A5.2.5, A5.3.4, B5.2).

use super::Maker;

/// SYSm values that MRS knows (B5.2.2).
const READABLE: [u32; 14] = [0, 1, 2, 3, 5, 6, 7, 8, 9, 16, 17, 18, 19, 20];

impl Maker {
    /// One system instruction, or a pair that belongs together.
    pub(super) fn system(&mut self) {
        match self.rng.below(20) {
            0..=4 => {
                let (d, r) = (self.register(), *self.rng.pick(&READABLE));
                self.forget(d);
                self.wide(0xf3ef_8000 | d << 8 | r);
            }
            5..=7 => {
                let n = self.register();
                self.wide(0xf380_8800 | n << 16); // MSR APSR_nzcvq
            }
            8 | 9 => {
                let (n, r) = (self.register(), *self.rng.pick(&[16, 17, 18]));
                self.wide(0xf380_8800 | n << 16 | r);
            }
            10 if self.rng.chance(50) => self.system_register(),
            10 => {
                let word = if self.rng.chance(50) { 0xb662 } else { 0xb672 }; // CPSIE I, CPSID I
                self.narrow(word);
            }
            11 => self.faultmask(),
            12 => self.stack_pointers(),
            13 => self.control(),
            14 | 15 => {
                let n = self.rng.below(256);
                self.svc(n);
            }
            _ => self.hint(),
        }
    }

    /// A word of the System Control Block; a bus fault for the unprivileged (B3.2.2).
    fn system_register(&mut self) {
        let (n, t) = (self.register(), self.register());
        let at = match self.rng.below(3) {
            0 => 0x40 + 4 * self.rng.below(13),
            _ => *self
                .rng
                .pick(&[0, 4, 8, 0xc, 0x10, 0x14, 0x18, 0x1c, 0x20, 0x24, 0x28, 0x2c, 0x30]),
        };
        self.set(n, 0xe000_ed00);
        self.forget(t);
        self.wide(0xf8d0_0000 | n << 16 | t << 12 | at);
    }

    /// A fault while FAULTMASK is set would be lockup, so nothing that can fault stands between.
    fn faultmask(&mut self) {
        let d = self.register();
        self.forget(d);
        if self.privileged {
            self.narrow(0xb671); // CPSID F
        }
        self.wide(0xf3ef_8013 | d << 8);
        if self.privileged {
            self.narrow(0xb661); // CPSIE F
        }
    }

    /// MSP and PSP, the one that is not in use with what it may hold, read and written.
    fn stack_pointers(&mut self) {
        let (d, which) = (self.register(), 8 + self.rng.below(2));
        self.forget(d);
        self.wide(0xf3ef_8000 | d << 8 | which);
        self.wide(0xf380_8800 | d << 16 | which);
    }

    /// CONTROL, with the barrier that it needs. Giving up privilege cannot be undone.
    fn control(&mut self) {
        let (r, v) = (self.register(), self.rng.below(4));
        self.set(r, v);
        self.wide(0xf380_8814 | r << 16);
        self.wide(0xf3bf_8f6f); // ISB
        self.privileged &= v & 1 == 0;
        self.known[13] = None;
    }

    fn hint(&mut self) {
        match self.rng.below(11) {
            0 => self.narrow(0xbf00),    // NOP
            1 => self.narrow(0xbf10),    // YIELD
            2 => self.wide(0xf3af_8000), // NOP.W
            3 => self.wide(0xf3af_8001), // YIELD.W
            4 => self.wide(0xf3af_80f5), // DBG
            5 => self.wide(0xf3bf_8f4f), // DSB
            6 => self.wide(0xf3bf_8f5f), // DMB
            7 => self.wide(0xf3bf_8f6f), // ISB
            8 => self.wide(0xf3bf_8f2f), // CLREX
            9 => {
                self.narrow(0xbf40); // SEV
                self.narrow(0xbf20); // WFE
            }
            _ => {
                let (n, imm) = (self.register(), self.rng.below(4096));
                let op = *self.rng.pick(&[0xf890_f000, 0xf990_f000]); // PLD, PLI
                self.wide(op | n << 16 | imm);
            }
        }
    }

    /// Something that faults; most end the stream.
    pub(super) fn fault(&mut self) {
        let r = self.register();
        match self.rng.below(11) {
            0 => self.narrow(0xde00),
            10 => {
                let op = *self.rng.pick(&[0xf7e0_8000, 0xf7f0_8000]); // HVC, SMC: not on this architecture
                self.wide(op);
            }
            1 => self.wide(0xf7f0_a000),
            2 => self.wide(0xee00_0a10 | r << 12), // MCR
            3 => self.wide(0xed90_0b00 | r << 16), // LDC, VLDR
            4 => {
                self.set(r, 0x2000_0100);
                self.narrow(0x4700 | r << 3); // BX to ARM state
            }
            5 => {
                self.set(r, 0x6000_0001); // nothing there
                self.narrow(0x4700 | r << 3);
            }
            6 => {
                self.set(r, 0xa000_0001); // execute never
                self.narrow(0x4780 | r << 3);
            }
            7 => {
                self.set(r, 0x2000_0302); // unaligned
                self.wide(0xe890_000c | r << 16);
            }
            8 => {
                self.set(r, 0);
                let d = self.register();
                self.wide(0xf3bf_8f6f); // ISB: see `begins_block`
                self.wide(0xfb90_f0f0 | d << 16 | d << 8 | r); // SDIV by zero
                self.forget(d);
            }
            _ => {
                self.set(r, 0x2000_0301);
                self.wide(0xe850_0f00 | r << 16 | ((r + 1) % 13) << 12); // LDREX, unaligned
            }
        }
    }
}
