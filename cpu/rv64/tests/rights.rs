//! What only a reset ends, and what no software changes: locked entries of the PMP, bits over state that is not there, and `x0`.

mod common;

use common::{RAM, config, machine, program};
use southbridge_core::Machine;
use southbridge_cpu_rv64::{Config, Extensions, csr};

const STORE: u32 = 0x00b5_3023; // sd a1, 0(a0)
const LOAD: u32 = 0x0005_3603; // ld a2, 0(a0)
const SPIN: u32 = 0x0000_006f; // j .
const DATA: u64 = RAM + 0x1000;
const HANDLER: u64 = RAM + 0x100;

fn put(m: &mut Machine, name: &str, v: u64) {
    let n = csr::number(name).expect("a CSR");
    let Machine { cpus, sys, .. } = m;
    let cpu: &mut dyn std::any::Any = &mut *cpus[0];
    let hart: &mut southbridge_cpu_rv64::Rv64 = cpu.downcast_mut().expect("a hart");
    assert!(hart.set_csr(n, v, sys), "{name}");
}

fn get(m: &Machine, name: &str) -> u64 {
    m.cpus[0].register(name, &m.sys).expect("a register")
}

/// A hart in M-mode with a program, the address of data in `a0`, and a handler that stays where it is.
fn started(config: Config, words: &[u32]) -> Machine {
    let mut m = machine(config);
    m.start();
    program(&mut m, words);
    m.sys.write(HANDLER, 4, SPIN.into()).expect("RAM");
    put(&mut m, "mtvec", HANDLER);
    m.cpus[0].set_register("a0", DATA);
    m
}

fn run(m: &mut Machine, n: u64) {
    let Machine { cpus, sys, .. } = m;
    cpus[0].run(sys, n);
}

/// Privileged ISA, "Locking and Privilege Mode": M-mode obeys a locked entry, and nobody writes it, nor the bottom of its range.
#[test]
fn a_locked_entry_is_for_machine_mode_too() {
    let mut m = started(config(), &[LOAD, STORE, SPIN]);
    put(&mut m, "pmpaddr2", DATA >> 2);
    put(&mut m, "pmpaddr3", (DATA + 0x1000) >> 2);
    // Entry 3: to the top of a range, read only; at first for lower modes alone.
    put(&mut m, "pmpcfg0", 0x09 << 24);
    run(&mut m, 3);
    assert_eq!(get(&m, "mcause"), 0, "without the lock, M-mode may do anything");

    let mut m = started(config(), &[LOAD, STORE, SPIN]);
    put(&mut m, "pmpaddr2", DATA >> 2);
    put(&mut m, "pmpaddr3", (DATA + 0x1000) >> 2);
    put(&mut m, "pmpcfg0", 0x89 << 24);
    for (name, v) in [
        ("pmpaddr2", 0),
        ("pmpaddr3", 0),
        ("pmpcfg0", 0),
        ("pmpcfg0", 0x1f << 24),
    ] {
        put(&mut m, name, v);
    }
    assert_eq!(get(&m, "pmpaddr2"), DATA >> 2, "the bottom of a locked range");
    assert_eq!(get(&m, "pmpaddr3"), (DATA + 0x1000) >> 2);
    assert_eq!(get(&m, "pmpcfg0"), 0x89 << 24);
    // The entry below the bottom is free.
    put(&mut m, "pmpaddr1", 5);
    assert_eq!(get(&m, "pmpaddr1"), 5);
    run(&mut m, 3);
    assert_eq!(
        (get(&m, "mcause"), get(&m, "mepc"), get(&m, "mtval")),
        (7, RAM + 4, DATA)
    );

    let Machine { cpus, sys, .. } = &mut m;
    cpus[0].reset(sys);
    assert_eq!(
        get(&m, "pmpcfg0") & 0x98 << 24,
        0,
        "a reset ends the lock, and switches the entry off"
    );
    put(&mut m, "pmpaddr3", 0);
    assert_eq!(get(&m, "pmpaddr3"), 0);
}

/// Privileged ISA, "Smstateen": bits over state that the hart does not have are zero, and `sstateen` has none from 32 up.
#[test]
fn state_that_is_not_there_has_no_enable_bit() {
    const IMSIC: u64 = 1 << 58;
    const AIA: u64 = 3 << 59;
    const ALWAYS: u64 = 3 << 62;
    let aia = config().extensions | Extensions::SMAIA | Extensions::SSAIA;
    for (extensions, imsic_ids, bits) in [
        (config().extensions, 0, ALWAYS),
        (aia, 0, ALWAYS | AIA),
        (aia, 255, ALWAYS | AIA | IMSIC),
    ] {
        let mut m = started(
            Config {
                extensions,
                imsic_ids,
                ..config()
            },
            &[SPIN],
        );
        put(&mut m, "mstateen0", u64::MAX);
        assert_eq!(get(&m, "mstateen0"), bits);
        for name in ["sstateen0", "sstateen1", "sstateen2", "sstateen3"] {
            put(&mut m, name, u64::MAX);
            assert_eq!(get(&m, name), 0, "{name}");
        }
    }
}

/// A compare-and-swap that could write `x0` (Unprivileged ISA, 2.1): memory is compared to zero and changed, `x0` stays.
#[test]
fn compare_and_swap_leaves_x0() {
    for (f3, old, new) in [(2, 0x77, 0x77), (2, 0, 9), (3, 0x77, 0x77), (3, 0, 9)] {
        // amocas rd=x0, rs1=a0, rs2=a1; add a2, x0, x0.
        let cas = 0x28b5_002f | f3 << 12;
        let mut m = started(config(), &[cas, 0x0000_0633, SPIN]);
        m.sys.write(DATA, 8, old).expect("RAM");
        m.cpus[0].set_register("a1", 9);
        m.cpus[0].set_register("a2", 1);
        run(&mut m, 2);
        assert_eq!(m.sys.read(DATA, 8).expect("RAM"), new);
        assert_eq!(get(&m, "a2"), 0);
    }
}

/// Unprivileged ISA, "CMO": a block whose page allows reads, but which the PMP refuses, is an access fault; and D is left as it is.
#[test]
fn managing_a_refused_block_is_an_access_fault() {
    const TABLE: u64 = RAM + 0x2000;
    const CBO_CLEAN: u32 = 0x0015_200f; // cbo.clean (a0)
    const READ: u64 = 0x43; // V, R, A
    const WRITE: u64 = 0x47; // and W, but not D
    for (flags, rights, cause) in [
        (READ, 0, 7),
        (WRITE, 0, 7),
        (READ, 0x1f, 0),
        (WRITE, 0x1f, 0),
        (0x49, 0x1f, 15),
    ] {
        let mut m = started(config(), &[CBO_CLEAN, SPIN]);
        let entry = TABLE + 8 * (RAM >> 30);
        let pte = RAM >> 12 << 10 | flags;
        m.sys.write(entry, 8, pte).expect("RAM");
        for (name, v) in [
            ("pmpaddr0", DATA >> 2 | 0x1f),
            ("pmpaddr1", u64::MAX >> 10),
            ("pmpcfg0", 0x1f00 | 0x18 | rights),
            ("menvcfg", 1 << 61),
            ("satp", 8 << 60 | TABLE >> 12),
            // Accesses with the rights of S-mode.
            ("mstatus", 1 << 17 | 1 << 11),
        ] {
            put(&mut m, name, v);
        }
        m.cpus[0].set_register("a0", DATA + 5);
        run(&mut m, 1);
        let tval = if cause == 0 { 0 } else { DATA + 5 };
        assert_eq!(
            (get(&m, "mcause"), get(&m, "mtval")),
            (cause, tval),
            "{flags:x} {rights:x}"
        );
        assert_eq!(m.sys.read(entry, 8).expect("RAM"), pte, "{flags:x} {rights:x}");
    }
}
