//! What is not compared, and why: one table.

use super::case::{Kind, traps, word};
use super::layout::{CODE, END_PC, ENTRY, LOG, SLOT, START, csr_out};
use crate::picture::Picture;

/// What generators avoid although the architecture defines it, with the reason.
pub static BY_CONSTRUCTION: &[(&str, &str)] = &[
    (
        "UXL and SXL",
        "QEMU's harts change to RV32, or abort in the translator; ours have one width",
    ),
    (
        "FS initial or clean",
        "QEMU leaves FS as it is where only the flags of fcsr change (conversions to integers, comparisons)",
    ),
    (
        "PBMT 3",
        "reserved, a page fault; QEMU 10.0.2 takes it for no memory type",
    ),
    (
        "PMP entries over page tables with R and without W",
        "an update of A or D is a store, and refused (Privileged ISA, address translation, step 9); QEMU 10.0.2 makes it all the same",
    ),
    (
        "NAPOT sizes that are none, with A or D clear",
        "QEMU 10.0.2 sets A and D before it refuses them",
    ),
    (
        "misaligned LR and AMOs through page tables",
        "QEMU sets A and D before it looks at the alignment, we after",
    ),
    (
        "two interrupts enabled and pending",
        "QEMU 10.0.2 without AIA takes the lower number, not the higher priority",
    ),
    (
        "page tables where no memory is",
        "an access fault; QEMU 10.0.2 says page fault",
    ),
    (
        "SFENCE.VMA of addresses that are none",
        "has no effect (Privileged ISA, \"SFENCE.VMA\"), so that what was there before may still be used, or not",
    ),
    ("satp with mode 0 and other fields", "what happens is unspecified"),
    (
        "locked PMP entries over the harness",
        "M-mode has to write there. Those over data are ended by a reset, of which QEMU 10.0.2 needs help (`harness/rv64.s`)",
    ),
    (
        "entries into pages at odd addresses",
        "mepc<0> is always zero (Privileged ISA, \"mepc\"); QEMU 10.0.2 goes to the odd address",
    ),
    (
        "one hart",
        "QEMU has a second one that sleeps: with one alone it says that misaligned AMOs are loads",
    ),
];

/// Encodings that streams avoid.
type Row = (Picture, &'static str);

/// The table.
pub static TABLE: &[Row] = &[(
    Picture("00101 ii bbbbb aaaaa www 00000 0101111"),
    "AMOCAS with x0 as rd: x0 is zero whatever is written (Unprivileged ISA, 2.1). QEMU 10.0.2 overwrites the zero that \
         the rest of its block shares, so that later instructions read another x0, and divisions kill QEMU itself (SIGFPE)",
)];

/// Ranges of CSR numbers that random reads avoid.
pub static CSRS: &[(u32, u32, &str)] = &[
    (0x3a4, 0x3af, "QEMU refuses PMP entries that it does not have"),
    (0x3c0, 0x3ef, "QEMU refuses PMP entries that it does not have"),
    (0xb00, 0xb02, "counters: each side has its own time"),
    (0xc00, 0xc02, "counters: each side has its own time"),
    (
        0x31c,
        0x31f,
        "the upper halves that RV32 has, which QEMU 10.0.2 shows on RV64 too",
    ),
    (
        0xb13,
        0xb1f,
        "counters that count nothing are zero (Privileged ISA, \"Hardware Performance Monitor\"); QEMU 10.0.2 refuses them",
    ),
    (
        0xc13,
        0xc1f,
        "whether counters that are not there are zero or refused is open (Unprivileged ISA, Zihpm)",
    ),
    (0xf12, 0xf13, "marchid and mimpid name the implementation"),
];

/// Fields of CSRs that are written and that both sides keep; the others are the implementation's choice (WARL), or QEMU's mistake.
pub static FIELDS: &[(&str, u64, &str)] = &[
    (
        "menvcfg",
        0xe000_0000_0000_00f1,
        "what ours has; and CBIE is never 2, which QEMU keeps",
    ),
    ("senvcfg", 0xf1, "what ours has; and CBIE is never 2, which QEMU keeps"),
    (
        "mcounteren",
        0x7_ffff,
        "counters 19 to 31 count nothing; QEMU keeps no bits for them",
    ),
    (
        "scounteren",
        0x7_ffff,
        "counters 19 to 31 count nothing; QEMU keeps no bits for them",
    ),
    (
        "mstateen0",
        3 << 62,
        "bits over state that a hart does not have are zero (Smstateen); QEMU also keeps bit 56, over hedelegh, without a hypervisor",
    ),
    (
        "sstateen0",
        !(3 << 62),
        "bits 32 and up are of mstateen alone, U-mode cannot reach that state anyhow (Smstateen); QEMU 10.0.2 keeps SE0 and ENVCFG",
    ),
    (
        "sstateen2",
        !(1 << 63),
        "bits 32 and up are of mstateen alone, U-mode cannot reach that state anyhow (Smstateen); QEMU 10.0.2 keeps SE",
    ),
    (
        "mepc",
        !1,
        "QEMU 10.0.2 keeps and shows the lowest bit, which is always zero",
    ),
    (
        "sepc",
        !1,
        "QEMU 10.0.2 keeps and shows the lowest bit, which is always zero",
    ),
    (
        "medeleg",
        0xb3ff,
        "QEMU keeps bits of the hypervisor extension and of software checks",
    ),
    (
        "mideleg",
        0x222,
        "QEMU keeps bits of the hypervisor extension and of counter overflow without either",
    ),
    (
        "mie",
        0x222,
        "QEMU keeps every bit; never two at once, of which QEMU without AIA takes that of the lower number",
    ),
    ("sie", 0x222, "as with mie"),
    (
        "mhpmevent3",
        0,
        "WARL, and which events there are is the platform's to say, but for 0 (Privileged ISA, \"Hardware Performance Monitor\")",
    ),
    ("mhpmevent18", 0, "as with mhpmevent3"),
    ("mhpmevent31", 0, "as with mhpmevent3"),
    (
        "pmpcfg0",
        0x1f1f_1f1f_1f1f_1f1f,
        "locks would stay; and never W without R, which is reserved",
    ),
    (
        "pmpcfg2",
        0x1f1f_1f1f_1f1f_1f1f,
        "locks would stay; and never W without R, which is reserved",
    ),
    (
        "pmpaddr0",
        (1 << 54) - 1,
        "QEMU 10.0.2 keeps all 64 bits, of which 10 are always zero",
    ),
    (
        "pmpaddr5",
        (1 << 54) - 1,
        "QEMU 10.0.2 keeps all 64 bits, of which 10 are always zero",
    ),
    (
        "pmpaddr13",
        (1 << 54) - 1,
        "QEMU 10.0.2 keeps all 64 bits, of which 10 are always zero",
    ),
    ("mip", 0x222, "QEMU keeps VSSIP without the hypervisor extension"),
];

/// `v` with the fields of [`FIELDS`] only; `None` where nothing is said of that CSR.
pub fn legal(name: &str, v: u64) -> Option<u64> {
    let (_, fields, _) = FIELDS.iter().find(|(n, ..)| *n == name)?;
    let v = if name.ends_with("ie") {
        v & fields & (v & fields).wrapping_neg()
    } else {
        v
    };
    let readable = if name.starts_with("pmpcfg") {
        (v & fields & 0x0202_0202_0202_0202) >> 1
    } else {
        0
    };
    let reserved = name.ends_with("envcfg") && v & 0x30 == 0x20;
    Some(v & fields | readable | if reserved { 0x10 } else { 0 })
}

/// Puts into QEMU's outcome what it would be without a fault that cannot be avoided: the trap value of EBREAK is the instruction's virtual
/// address, or zero (Privileged ISA, "mtval"). QEMU 10.0.2 has the address in translated code, which it finds again at other ones.
pub fn mend(image: &mut [u8]) {
    for (i, [_, cause, epc, tval, _]) in traps(image).into_iter().enumerate() {
        if cause == 3 && tval != 0 {
            set_tval(image, i, tval, epc);
        }
    }
}

/// Another trap value in the log, and in the register if that still has it.
fn set_tval(image: &mut [u8], entry: usize, old: u64, new: u64) {
    let all = traps(image);
    let level = all[entry][0];
    let register = csr_out(if level == 3 { "mtval" } else { "stval" });
    let last = all[entry + 1..].iter().all(|later| later[0] != level);
    let mut places = vec![LOG + 8 * (ENTRY * entry + 3)];
    places.extend((last && word(image, register) == old).then_some(register));
    for at in places {
        image[at..at + 8].copy_from_slice(&new.to_le_bytes());
    }
}

/// Takes what is not compared out of an outcome: QEMU 10.0.2 gives the address of the block, not that in the register, for a CBO.ZERO
/// that traps (Unprivileged ISA, "CMO": it is the one in the register), and no instruction for CBOs that `envcfg` refuses (Privileged ISA,
/// "mtval": the instruction, or zero).
pub fn forget(image: &mut [u8], base: u64) {
    for i in 0..traps(image).len() {
        let at = LOG + 8 * ENTRY * i;
        let [cause, epc, tval] = [1, 2, 3].map(|f| word(image, at + 8 * f));
        let kept = match (cause, instruction(image, base, epc)) {
            (2, Some(raw)) if STALE.iter().any(|p| p.matches(raw)) => 0,
            (5 | 7 | 13 | 15, Some(raw)) if CBO.matches(raw) => tval & !63,
            _ => continue,
        };
        set_tval(image, i, tval, kept);
    }
}

/// Illegal where they stand, and QEMU 10.0.2 tells another instruction, or none, in the trap value: CBOs, MRET, SRET, WRS.NTO.
static STALE: [Picture; 4] = [
    CBO,
    Picture("0011000 00010 00000 000 00000 1110011"),
    Picture("0001000 00010 00000 000 00000 1110011"),
    Picture("0000000 01101 00000 000 00000 1110011"),
];
const CBO: Picture = Picture("000000000iii aaaaa 010 00000 0001111");
const READ_TVAL: Picture = Picture("00i1 0100 0011 aaaaa iii ddddd 1110011");
const SC: Picture = Picture("00011 ii bbbbb aaaaa 01w ddddd 0101111");
const INVALIDATE: Picture = Picture("0001100 0000i 00000 000 00000 1110011");

/// The instruction at an address of the code.
fn instruction(image: &[u8], base: u64, epc: u64) -> Option<u32> {
    let at = epc.checked_sub(base).and_then(|at| usize::try_from(at).ok())?;
    let bytes = image.get(at..at + 4)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

/// Whether the code looks at a trap value itself.
fn reads_tval(image: &[u8], base: u64) -> bool {
    let code = base + START as u64..word(image, END_PC);
    code.step_by(2)
        .any(|at| instruction(image, base, at).is_some_and(|raw| raw >> 12 & 3 != 0 && READ_TVAL.matches(raw)))
}

/// Why our outcome is not compared.
pub fn incomparable(kind: Kind, image: &[u8], base: u64) -> Option<&'static str> {
    let own = base..base + SLOT as u64;
    traps(image).iter().find_map(|[_, cause, epc, tval, _]| {
        let raw = instruction(image, base, *epc).unwrap_or(0);
        let forgotten = matches!(cause, 2) && STALE.iter().any(|p| p.matches(raw))
            || matches!(cause, 5 | 7 | 13 | 15) && CBO.matches(raw);
        match cause {
            _ if forgotten && reads_tval(image, base) => {
                Some("reads a trap value that is not compared: the instruction or zero for CBOs and returns, blocks of CBO.ZERO")
            }
            5..=7 | 13 | 15 if SC.matches(raw) => Some("an SC without a reservation may trap, or fail before it looks"),
            5 if kind == Kind::Pages && (base + CODE as u64..base + START as u64).contains(tval) => {
                Some("the PMP keeps a constant from being loaded: CSRs get what is there instead, which nobody made legal")
            }
            5 | 7 if CBO.matches(raw) && (kind == Kind::Pages || own.contains(tval)) => {
                Some("CBOs that the PMP refuses: where it differs within a block, or allows only fetches, that is open (CMO)")
            }
            5 | 7 if kind == Kind::Pages && tval & 0xfff > 0xff8 => {
                Some("across two pages, of which each is refused for another reason: which of the two is said is open")
            }
            2 if INVALIDATE.matches(raw) => Some("QEMU 10.0.2 lets U-mode execute SFENCE.W.INVAL and SFENCE.INVAL.IR"),
            4 | 6 if kind == Kind::Pages || !own.contains(tval) => {
                Some("misaligned and not there: which of the two is said is open (Privileged ISA, table 15)")
            }
            _ => None,
        }
    })
}

/// Why bits are not run on both.
pub fn excluded(raw: u32) -> Option<&'static str> {
    let bits = if raw & 3 == 3 { 32 } else { 16 };
    let found = TABLE.iter().find(|(p, _)| p.len() == bits && p.matches(raw));
    found.map(|(_, why)| *why)
}

/// Why a CSR is not read on both.
pub fn excluded_csr(number: u32) -> Option<&'static str> {
    let found = CSRS.iter().find(|(from, to, _)| (*from..=*to).contains(&number));
    found.map(|(_, _, why)| *why)
}
