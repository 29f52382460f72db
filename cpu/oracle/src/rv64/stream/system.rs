//! CSRs, and ways to a lower mode.

use super::super::exclude;
use super::*;

/// Read as they are by anything, whether that is allowed or not. Counters change by themselves: nobody looks at their value.
const READ: &[&str] = &[
    "fflags",
    "frm",
    "fcsr",
    "sstatus",
    "sie",
    "stvec",
    "scounteren",
    "senvcfg",
    "sscratch",
    "sepc",
    "scause",
    "stval",
    "sip",
    "satp",
    "stimecmp",
    "mstatus",
    "misa",
    "medeleg",
    "mideleg",
    "mie",
    "mtvec",
    "mcounteren",
    "menvcfg",
    "mscratch",
    "mepc",
    "mcause",
    "mtval",
    "mip",
    "pmpcfg0",
    "pmpcfg2",
    "pmpaddr0",
    "pmpaddr7",
    "mvendorid",
    "mhartid",
    "mconfigptr",
    "mstateen0",
    "mstateen1",
    "mcountinhibit",
    "mhpmevent3",
    "mimpid",
];
const COUNTERS: [&str; 6] = ["cycle", "time", "instret", "hpmcounter3", "mcycle", "minstret"];
/// Written with anything: nothing depends on them, or what does is meant.
const WRITTEN: [&str; 22] = [
    "fflags",
    "frm",
    "fcsr",
    "fcsr",
    "frm",
    "sscratch",
    "sepc",
    "scause",
    "stval",
    "scounteren",
    "senvcfg",
    "mscratch",
    "mepc",
    "mcause",
    "mtval",
    "mcounteren",
    "mstateen0",
    "mideleg",
    "sie",
    "mie",
    "sip",
    "mip",
];
/// Written and put back at once; what could be read in between is compared.
const PROBED: &[&str] = &[
    "mtvec",
    "stvec",
    "satp",
    "medeleg",
    "menvcfg",
    "pmpaddr0",
    "pmpaddr5",
    "pmpaddr13",
    "mhpmevent3",
    "mhpmevent18",
    "mhpmevent31",
    "mcountinhibit",
    "mstateen1",
    "mstateen3",
    "sstateen0",
    "sstateen2",
    "pmpcfg0",
    "pmpcfg2",
    "misa",
];
/// What of `mstatus` is set and cleared: SIE, MIE, SPIE, MPIE, SPP, MPP, FS, SUM, MXR, TVM, TW, TSR.
const STATUS: u64 = 0x7c_79aa;
/// The supervisor timer: while it is on, STIP is the hart's, and what software wrote is not kept the same way.
const STCE: u64 = 1 << 63;
const FS: u64 = 3 << 13;
const MPRV: u64 = 1 << 17;

impl Stream {
    pub(super) fn csr(&mut self) {
        match self.r.below(20) {
            0..6 => {
                let name = *self.r.pick(READ);
                let rd = self.destination();
                // Setting nothing is no write; clearing by an immediate of zero neither.
                let f3 = *self.r.pick(&[2, 3, 6, 7]);
                self.push(Item::word(csr(f3, rd, number(name), 0)));
            }
            6 => {
                let name = *self.r.pick(&COUNTERS);
                self.push(Item::word(csr(2, 0, number(name), 0)));
            }
            7..12 => self.write(),
            12..15 => self.status(),
            15..18 => self.probe(),
            _ => {
                let n = self.r.below(4096);
                if exclude::excluded_csr(n).is_none() {
                    let rd = self.destination();
                    self.push(Item::word(csr(2, rd, n, 0)));
                }
            }
        }
    }

    /// Whether to write such a register here: in a mode that may not, it traps, which is worth a try now and then.
    fn may(&mut self, name: &str) -> bool {
        let lowest = u64::from(number(name) >> 8 & 3);
        self.mode >= lowest || self.r.chance(15)
    }

    fn write(&mut self) {
        let name = *self.r.pick(&WRITTEN);
        if !self.may(name) {
            return;
        }
        let (n, rd) = (number(name), self.destination());
        let v = values::integer(&mut self.r);
        if let Some(v) = exclude::legal(name, v) {
            self.with_constant(v, &[csr(1, rd, n, T6)]);
            return;
        }
        let f3 = 1 + self.r.below(3) + 4 * self.r.below(2);
        if f3 < 4 && self.r.chance(70) {
            self.with_constant(v, &[csr(f3, rd, n, T6)]);
        } else {
            let source = self.r.below(32);
            self.push(Item::word(csr(f3, rd, n, source)));
        }
    }

    /// Bits of `mstatus` or `sstatus` on or off.
    fn status(&mut self) {
        let name = if self.mode == mode::M && self.r.chance(70) {
            "mstatus"
        } else {
            "sstatus"
        };
        let v = self.r.u64() & self.r.u64() & (STATUS | if self.r.chance(30) { MPRV } else { 0 });
        // FS as a whole: between off and dirty, the two sides differ.
        let v = if v & FS != 0 { v | FS } else { v };
        let (rd, f3) = (self.destination(), 2 + self.r.below(2));
        self.with_constant(v, &[csr(f3, rd, number(name), T6)]);
    }

    fn probe(&mut self) {
        let name = *self.r.pick(PROBED);
        let allowed = self.may(name);
        if !allowed || (name == "satp" && self.mode != mode::M) {
            return;
        }
        let n = number(name);
        let v = match name {
            "menvcfg" => exclude::legal(name, self.r.u64()).unwrap_or(0) & !STCE,
            "satp" => *self.r.pick(&[0u64, 1, 7, 8, 9, 10, 11, 15]) << 60 | self.r.u64() >> 4,
            _ => values::integer(&mut self.r),
        };
        let v = exclude::legal(name, v).unwrap_or(v);
        let v = if name == "satp" && v >> 60 == 0 { 0 } else { v };
        let rd = *self.r.pick(&FREE[..23]);
        self.with_constant(v, &[csr(1, T6, n, T6), csr(2, rd, n, 0), csr(1, 0, n, T6)]);
    }

    /// To a lower mode: what MRET and SRET do is only half of it, the fields behind are set before.
    pub(super) fn lower(&mut self) {
        let from_m = self.mode == mode::M || self.r.chance(10);
        let to = if from_m && self.r.chance(50) { mode::S } else { mode::U };
        let mut item = if from_m {
            let status = number("mstatus");
            // x30 = 0x1800: MPP off, then on as wanted.
            let mut words = vec![auipc(T5, 0), addi(T5, T5, 0), csr(1, 0, number("mepc"), T5)];
            words.extend([0x37 | T5 << 7 | 2 << 12, addi(T5, T5, -0x800), csr(3, 0, status, T5)]);
            words.extend([
                addi(T5, 0, (to as i32) << 10),
                r(0x33, 0, 0, T5, T5, T5),
                csr(2, 0, status, T5),
                MRET,
            ]);
            Item::words(&words)
        } else {
            let status = number("sstatus");
            let words = [auipc(T5, 0), addi(T5, T5, 0), csr(1, 0, number("sepc"), T5)];
            let more = [addi(T5, 0, 0x100), csr(3, 0, status, T5), SRET];
            Item::words(&[words, more].concat())
        };
        item = item.to(4, control::immediate, 1);
        self.push(item);
        self.mode = to;
    }
}
