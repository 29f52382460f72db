//! Where things stand in guest memory, agreed with `harness/rv64.s`.

use southbridge_cpu_rv64::csr;

/// Enters cases, keeps the log of traps, stores results. It stands at the begin of RAM.
pub const HARNESS: &[u8] = include_bytes!("../../harness/rv64.bin");
/// Begin of RAM.
pub const RAM: u64 = 0x8000_0000;
/// Where the harness has the number of slots to run; the next of them and the address of the first follow.
pub const COUNT: u64 = 8;
/// Begin of slot 0.
pub const SLOTS: u64 = RAM + 0x1_0000;
/// Bytes of a slot: all of a case's memory.
pub const SLOT: usize = 0x1_0000;
/// A write of [`OVER`] here says that the last case is done (`riscv.sifive.test`, "finisher").
pub const FINISHER: u64 = 0x10_0000;
/// The page of hart 0's `mtimecmp` (ACLINT), which the harness disarms.
pub const TIMER: u64 = 0x200_4000;
/// All done: the machine goes off.
pub const OVER: u32 = 0x5555;
/// The machine is to be reset, for state that only a reset clears.
pub const RESET: u32 = 0x7777;

/// Offset of the PC to enter at, and of `x1` and on behind it.
pub const X: usize = 0;
/// Offset of `f0` and on.
pub const F: usize = 0x100;
/// Offset of [`CSRS`].
pub const CSRS_IN: usize = 0x200;
/// Where the case's code ends.
pub const END_PC: usize = 0x400;
/// [`flag`]s.
pub const FLAGS: usize = 0x408;
/// Address of the page of code; traps elsewhere go on at `ra`.
pub const CODE_AT: usize = 0x410;
/// How many traps were logged.
pub const LOGGED: usize = 0x4c0;
/// The log: level, cause, epc, tval, status.
pub const LOG: usize = 0x500;
/// Words of an entry of the log.
pub const ENTRY: usize = 5;
/// Entries of the log; the case ends when they are full.
pub const LOG_MOST: usize = 24;
/// Offset of `x0`, `x1`, … as the case left them.
pub const RESULT_X: usize = 0x900;
/// Offset of `f0` and on as the case left them.
pub const RESULT_F: usize = 0xa00;
/// Offset of [`CSRS`] and [`CSRS_OUT`] as the case left them.
pub const RESULT_CSR: usize = 0xb00;
/// Offset of the page of code. It begins with constants.
pub const CODE: usize = 0x1000;
/// Offset of the first instruction: the constants are within reach of what is relative to the PC.
pub const START: usize = 0x1400;
/// Where code must end.
pub const LIMIT: usize = 0x1800;
/// Offset of the data.
pub const DATA: usize = 0x2000;
/// Offset of the page tables.
pub const TABLES: usize = 0x6000;

/// Bits at [`FLAGS`].
pub mod flag {
    /// Resets the machine behind this case.
    pub const RESET_AFTER: u64 = 1;
    /// Goes on in M-mode after a trap outside of the code.
    pub const RESUME_M: u64 = 2;
    /// S-mode gives up by an illegal instruction instead of EBREAK.
    pub const ESCAPE_ILLEGAL: u64 = 4;
}

/// CSRs that are set before and read after, in the harness's order.
pub const CSRS: [&str; 40] = [
    "mstatus",
    "menvcfg",
    "medeleg",
    "mideleg",
    "mie",
    "mcounteren",
    "scounteren",
    "senvcfg",
    "mstateen0",
    "sstateen0",
    "satp",
    "mscratch",
    "sscratch",
    "mcause",
    "scause",
    "sepc",
    "mtval",
    "stval",
    "stimecmp",
    "mip",
    "mcountinhibit",
    "pmpaddr0",
    "pmpaddr1",
    "pmpaddr2",
    "pmpaddr3",
    "pmpaddr4",
    "pmpaddr5",
    "pmpaddr6",
    "pmpaddr7",
    "pmpaddr8",
    "pmpaddr9",
    "pmpaddr10",
    "pmpaddr11",
    "pmpaddr12",
    "pmpaddr13",
    "pmpaddr14",
    "pmpaddr15",
    "pmpcfg0",
    "pmpcfg2",
    "fcsr",
];

/// CSRs that are only read, behind the others.
pub const CSRS_OUT: [&str; 7] = ["mepc", "sstatus", "sie", "sip", "mtvec", "stvec", "misa"];

/// Address of a slot.
pub const fn base(slot: u32) -> u64 {
    SLOTS + slot as u64 * SLOT as u64
}

/// Offset of a CSR's value at the start.
pub fn csr_in(name: &str) -> usize {
    let at = CSRS.iter().position(|n| *n == name).expect("one of the table");
    CSRS_IN + 8 * at
}

/// Offset of a CSR's value at the end.
pub fn csr_out(name: &str) -> usize {
    csr_in(name) - CSRS_IN + RESULT_CSR
}

/// Number of a CSR.
pub fn number(name: &str) -> u32 {
    csr::number(name).expect("a CSR of the engine").into()
}

/// What stands at an offset of a slot, for people.
pub fn name(at: usize) -> String {
    let (at, word) = (at & !7, at / 8);
    match at {
        LOGGED => "traps".into(),
        LOG..RESULT_X => {
            let (entry, field) = ((at - LOG) / 8 / ENTRY, (at - LOG) / 8 % ENTRY);
            let field = ["level", "cause", "epc", "tval", "status"][field];
            format!("trap {entry} {field}")
        }
        RESULT_X..RESULT_F => format!("x{}", word & 31),
        RESULT_F..RESULT_CSR => format!("f{}", word & 31),
        RESULT_CSR..CODE => {
            let i = (at - RESULT_CSR) / 8;
            let name = CSRS.iter().chain(&CSRS_OUT).nth(i);
            name.map_or_else(|| format!("+{at:#x}"), |n| (*n).to_owned())
        }
        TABLES.. => format!("pte +{at:#x}"),
        _ => format!("+{at:#x}"),
    }
}
