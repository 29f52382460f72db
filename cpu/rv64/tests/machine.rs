//! The hart in a machine: time, interrupts, sleep, debuggers, save and load, and guests that mean harm.

mod common;

use common::{RAM, config, hart, machine, program};
use proptest::prelude::*;
use southbridge_core::cpu::{CpuDebug, Exit, WatchKind, Watchpoint};
use southbridge_core::{LogItems, Machine, SavedState, VirtualTime};
use southbridge_cpu_rv64::{Config, Extensions, Mmu, csr};

const A0: u32 = 10;
const A1: u32 = 11;
const T0: u32 = 5;
const T1: u32 = 6;
const SUPERVISOR: u64 = 1;

const fn addi(rd: u32, rs1: u32, imm: i32) -> u32 {
    (imm as u32 & 0xfff) << 20 | rs1 << 15 | rd << 7 | 0x13
}
const fn jal(rd: u32, offset: i32) -> u32 {
    let o = offset as u32;
    (o >> 20 & 1) << 31 | (o >> 1 & 0x3ff) << 21 | (o >> 11 & 1) << 20 | (o >> 12 & 0xff) << 12 | rd << 7 | 0x6f
}
const fn sd(rs2: u32, rs1: u32, imm: u32) -> u32 {
    (imm >> 5) << 25 | rs2 << 20 | rs1 << 15 | 3 << 12 | (imm & 31) << 7 | 0x23
}
const fn ld(rd: u32, rs1: u32, imm: u32) -> u32 {
    imm << 20 | rs1 << 15 | 3 << 12 | rd << 7 | 0x03
}
const ECALL: u32 = 0x73;
const WFI: u32 = 0x1050_0073;

fn put_csr(m: &mut Machine, name: &str, v: u64) {
    let n = csr::number(name).expect("a CSR");
    let Machine { cpus, sys, .. } = m;
    let cpu: &mut dyn std::any::Any = &mut *cpus[0];
    let hart: &mut southbridge_cpu_rv64::Rv64 = cpu.downcast_mut().expect("a hart");
    assert!(hart.set_csr(n, v, sys), "{name}");
}

fn register(m: &Machine, name: &str) -> u64 {
    m.cpus[0].register(name, &m.sys).expect("a register")
}

fn run(m: &mut Machine, n: u64) -> Exit {
    let Machine { cpus, sys, .. } = m;
    cpus[0].run(sys, n)
}

/// A machine in S-mode with traps delegated, its handler at RAM + 0x100.
fn supervisor(words: &[u32]) -> Machine {
    let mut m = machine(Config {
        firmware: true,
        ..config()
    });
    m.start();
    m.sys.write(RAM + 0x100, 4, jal(0, 0).into()).expect("RAM");
    program(&mut m, words);
    for (name, v) in [
        ("pmpaddr0", u64::MAX >> 10),
        ("pmpcfg0", 0x1f),
        ("medeleg", u64::MAX),
        ("mideleg", u64::MAX),
        ("mcounteren", 7),
        ("menvcfg", 1 << 63),
        ("stvec", RAM + 0x100),
    ] {
        put_csr(&mut m, name, v);
    }
    hart(&mut m).start(RAM, 0, 0);
    m
}

#[test]
fn a_timer_strikes_at_its_instruction() {
    let mut m = supervisor(&[addi(A0, A0, 1), jal(0, -4)]);
    // 10 MHz against 1 GHz: 100 instructions a count.
    put_csr(&mut m, "stimecmp", 5);
    put_csr(&mut m, "sie", 1 << 5);
    put_csr(&mut m, "sstatus", 1 << 1);
    assert_eq!(run(&mut m, 500), Exit::Budget);
    assert_eq!(
        m.cpus[0].pc(),
        RAM,
        "its moment has come, and the next instruction is not executed yet"
    );
    run(&mut m, 1);
    assert_eq!(register(&m, "scause"), 1 << 63 | 5);
    assert_eq!(register(&m, "sepc"), RAM);
    assert_eq!(register(&m, "a0"), 250);
}

#[test]
fn how_runs_are_cut_is_invisible() {
    let all = |slices: &[u64]| {
        let mut m = supervisor(&[addi(A0, A0, 1), sd(A0, A1, 0), ld(T0, A1, 0), jal(0, -12)]);
        m.cpus[0].set_register("a1", RAM + 0x800);
        put_csr(&mut m, "stimecmp", 3);
        put_csr(&mut m, "sie", 1 << 5);
        put_csr(&mut m, "sstatus", 1 << 1);
        // The handler sets the timer far away and goes back.
        let handler = [0x14d0_1073 | 31 << 15, 0x1020_0073];
        let bytes: Vec<u8> = handler.iter().flat_map(|w: &u32| w.to_le_bytes()).collect();
        m.sys.load_bytes(RAM + 0x100, &bytes).expect("RAM");
        m.cpus[0].set_register("t6", u64::MAX);
        for n in slices {
            run(&mut m, *n);
        }
        m.cpus[0].save()
    };
    let whole = all(&[1000]);
    assert_eq!(all(&[1; 1000]), whole);
    assert_eq!(all(&[299, 1, 1, 1, 698]), whole);
}

#[test]
fn waiting_lasts_until_the_timer() {
    let mut m = supervisor(&[WFI, addi(A0, 0, 7), jal(0, 0)]);
    put_csr(&mut m, "stimecmp", 1_000_000);
    put_csr(&mut m, "sie", 1 << 5);
    let until = Some(VirtualTime(100_000_000));
    assert_eq!(run(&mut m, 100), Exit::Idle { until });
    m.run_until(VirtualTime(100_000_010));
    assert_eq!(register(&m, "a0"), 7);
    assert!(m.sys.clock.executed() < 20, "the time passed without instructions");
}

#[test]
fn calls_from_supervisor_mode_are_for_the_firmware() {
    let mut m = supervisor(&[ECALL, addi(A0, A0, 1), jal(0, 0)]);
    assert_eq!(run(&mut m, 100), Exit::FirmwareCall);
    assert_eq!(m.cpus[0].pc(), RAM);
    hart(&mut m).set_gpr(10, 41);
    hart(&mut m).finish_firmware_call();
    run(&mut m, 2);
    assert_eq!(register(&m, "a0"), 42);
}

#[test]
fn a_stopped_hart_waits_for_its_start() {
    let mut m = supervisor(&[jal(0, 0)]);
    hart(&mut m).stop();
    assert!(hart(&mut m).is_stopped());
    put_csr(&mut m, "mie", 2);
    hart(&mut m).set_pending(1, true);
    assert_eq!(run(&mut m, 10), Exit::Idle { until: None });
    hart(&mut m).start(RAM + 0x40, 3, 4);
    assert_eq!(run(&mut m, 0), Exit::Budget);
    let seen = (
        m.cpus[0].pc(),
        register(&m, "a0"),
        register(&m, "a1"),
        register(&m, "priv"),
    );
    assert_eq!(seen, (RAM + 0x40, 3, 4, SUPERVISOR));
}

#[test]
fn code_that_is_overwritten_is_decoded_anew() {
    // Replaces its own loop body after the first turn.
    let mut m = supervisor(&[addi(A0, A0, 1), sd(T0, T1, 0), jal(0, -8)]);
    let new = u64::from(addi(A0, A0, 100)) | u64::from(sd(T0, T1, 0)) << 32;
    m.cpus[0].set_register("t0", new);
    m.cpus[0].set_register("t1", RAM);
    run(&mut m, 4);
    assert_eq!(register(&m, "a0"), 101);
    // Somebody else writes.
    run(&mut m, 2);
    m.sys.write(RAM, 4, addi(A0, A0, 7).into()).expect("RAM");
    m.cpus[0].set_register("t0", u64::from(addi(A0, A0, 7)) | u64::from(sd(T0, T1, 0)) << 32);
    run(&mut m, 1);
    assert_eq!(register(&m, "a0"), 108);
}

#[test]
fn stops_of_a_debugger() {
    let mut m = supervisor(&[
        addi(A0, A0, 1),
        addi(A0, A0, 1),
        sd(A0, A1, 0),
        ld(T0, A1, 0),
        jal(0, -16),
    ]);
    m.cpus[0].set_register("a1", RAM + 0x800);
    run(&mut m, 15);
    hart(&mut m).set_stops(&[RAM + 4], &[]);
    assert_eq!(run(&mut m, 100), Exit::Debug);
    assert_eq!((m.cpus[0].pc(), register(&m, "a0")), (RAM + 4, 7));
    assert_eq!(
        run(&mut m, 100),
        Exit::Debug,
        "it goes over the stop and comes to it again"
    );
    assert_eq!((m.cpus[0].pc(), register(&m, "a0")), (RAM + 4, 9));
    let watched = Watchpoint {
        first: RAM + 0x804,
        last: RAM + 0x804,
        kind: WatchKind::Read,
    };
    hart(&mut m).set_stops(&[], &[watched]);
    assert_eq!(run(&mut m, 100), Exit::Debug);
    assert_eq!(m.cpus[0].pc(), RAM + 16, "behind the load, not the store");
    assert_eq!(hart(&mut m).take_watch_hit(), Some((watched, RAM + 0x804)));
    assert_eq!(hart(&mut m).take_watch_hit(), None);
}

#[test]
fn triggers_of_the_guest() {
    let mut m = supervisor(&[addi(A0, A0, 1), sd(A0, A1, 0), jal(0, -8)]);
    m.cpus[0].set_register("a1", RAM + 0x800);
    run(&mut m, 6);
    put_csr(&mut m, "tselect", 1);
    put_csr(&mut m, "tdata2", RAM + 0x803);
    // mcontrol6: S-mode, store.
    put_csr(&mut m, "tdata1", 6 << 60 | 1 << 4 | 1 << 1);
    run(&mut m, 2);
    let trap = |m: &Machine| (register(m, "scause"), register(m, "sepc"), register(m, "stval"));
    assert_eq!(trap(&m), (3, RAM + 4, RAM + 0x800));
    assert_eq!(register(&m, "pc"), RAM + 0x100);
    put_csr(&mut m, "tdata2", RAM + 8);
    put_csr(&mut m, "tdata1", 6 << 60 | 1 << 4 | 1 << 2);
    m.cpus[0].set_register("pc", RAM);
    run(&mut m, 3);
    assert_eq!(trap(&m), (3, RAM + 8, RAM + 8));
}

#[test]
fn semihosting_is_three_instructions() {
    let mut m = supervisor(&[0x01f0_1013, 0x0010_0073, 0x4070_5013, addi(A1, 0, 5), jal(0, 0)]);
    hart(&mut m).set_semihosting(true);
    m.cpus[0].set_register("a0", 0x18);
    m.cpus[0].set_register("a1", 99);
    assert_eq!(run(&mut m, 100), Exit::Semihosting { op: 0x18, arg: 99 });
    m.cpus[0].finish_semihosting(3);
    run(&mut m, 2);
    assert_eq!((register(&m, "a0"), register(&m, "a1")), (3, 5));
}

#[test]
fn misaligned_accesses_cross_pages() {
    let mut m = supervisor(&[sd(A0, A1, 0), ld(T0, A1, 0), jal(0, 0)]);
    m.cpus[0].set_register("a0", 0x1122_3344_5566_7788);
    m.cpus[0].set_register("a1", RAM + 0x1ffd);
    run(&mut m, 2);
    assert_eq!(register(&m, "t0"), 0x1122_3344_5566_7788);
    assert_eq!(m.sys.read(RAM + 0x2000, 4), Ok(0x2233_4455));
}

#[test]
fn messages_become_interrupts() {
    let mut m = machine(Config {
        imsic_ids: 255,
        extensions: config().extensions | Extensions::SMAIA | Extensions::SSAIA,
        ..config()
    });
    m.start();
    program(&mut m, &[jal(0, 0)]);
    put_csr(&mut m, "mideleg", 1 << 9);
    put_csr(&mut m, "mstateen0", u64::MAX);
    for (select, v) in [(0x70, 1), (0xc2, 1 << 6)] {
        put_csr(&mut m, "siselect", select);
        put_csr(&mut m, "sireg", v);
    }
    let Machine { cpus, sys, .. } = &mut m;
    cpus[0].on_line(0x1_0000 | 1 << 12 | 71, true, sys);
    assert_eq!(register(&m, "sip") & 1 << 9, 0, "identity 71 is not enabled");
    let Machine { cpus, sys, .. } = &mut m;
    cpus[0].on_line(0x1_0000 | 1 << 12 | 70, true, sys);
    assert_eq!(register(&m, "sip") & 1 << 9, 1 << 9);
    assert_eq!(register(&m, "stopei"), 70 << 16 | 70);
    put_csr(&mut m, "sie", 1 << 9);
    assert_eq!(register(&m, "stopi"), 9 << 16 | 1);
    put_csr(&mut m, "stopei", 0);
    assert_eq!((register(&m, "stopei"), register(&m, "sip")), (0, 0));
}

#[test]
fn a_saved_hart_goes_on_elsewhere() {
    let words = [addi(A0, A0, 1), sd(A0, A1, 0), 0xc020_2073 | T0 << 7, jal(0, -12)];
    let mut a = supervisor(&words);
    a.cpus[0].set_register("a1", RAM + 0x800);
    run(&mut a, 333);
    let saved = a.cpus[0].save();
    let mut b = supervisor(&words);
    b.cpus[0].load(&saved).expect("it was just saved");
    assert_eq!(b.cpus[0].save(), saved);
    run(&mut a, 100);
    run(&mut b, 100);
    assert_eq!(a.cpus[0].save(), b.cpus[0].save());
}

/// Register-register: opcode, funct3, funct7.
const fn rr(op: u32, f3: u32, f7: u32, rd: u32, rs1: u32, rs2: u32) -> u32 {
    f7 << 25 | rs2 << 20 | rs1 << 15 | f3 << 12 | rd << 7 | op
}

#[test]
fn conditional_zero() {
    let words = [rr(0x33, 5, 7, T0, A0, A1), rr(0x33, 7, 7, T1, A0, A1), jal(0, 0)];
    for (condition, eqz, nez) in [(0, 0, 9), (1 << 40, 9, 0)] {
        let mut m = supervisor(&words);
        m.cpus[0].set_register("a0", 9);
        m.cpus[0].set_register("a1", condition);
        run(&mut m, 2);
        assert_eq!((register(&m, "t0"), register(&m, "t1")), (eqz, nez));
    }
}

#[test]
fn compare_and_swap() {
    // amocas.w, .d and .q of what is at a1, with t1 (and t2) as the new value.
    let cas = |f3| rr(0x2f, f3, 0x05 << 2, A0, A1, T1);
    let one = |f3, old: [u64; 2], want: [u64; 2]| {
        let mut m = supervisor(&[cas(f3), jal(0, 0)]);
        for (i, v) in old.into_iter().enumerate() {
            m.sys.write(RAM + 0x800 + 8 * i as u64, 8, v).expect("RAM");
        }
        let values = [("a0", want[0]), ("t1", 5), ("t2", 6)];
        for (name, v) in values {
            m.cpus[0].set_register(name, v);
        }
        // a1 is the address, and of a pair in a0 the upper half: the same number serves as both.
        m.cpus[0].set_register("a1", RAM + 0x800);
        run(&mut m, 1);
        let now = [0, 8].map(|o| m.sys.read(RAM + 0x800 + o, 8).expect("RAM"));
        (now, register(&m, "a0"))
    };
    let high = 7 << 32;
    assert_eq!(
        one(2, [high | 0x8000_0001, 1], [0x8000_0001, 0]),
        ([high | 5, 1], !0x7fff_fffe)
    );
    assert_eq!(one(2, [high | 3, 1], [4, 0]), ([high | 3, 1], 3));
    assert_eq!(one(3, [high | 3, 1], [high | 3, 0]), ([5, 1], high | 3));
    assert_eq!(one(3, [high | 3, 1], [3, 0]), ([high | 3, 1], high | 3));
    assert_eq!(one(4, [3, RAM + 0x800], [3, 0]), ([5, 6], 3));
    assert_eq!(one(4, [3, 1], [3, 0]), ([3, 1], 3));
}

#[test]
fn who_spins_passes_the_turn_on() {
    // pause, wrs.sto
    let mut m = supervisor(&[0x0100_000f, 0x01d0_0073, addi(A0, 0, 1), jal(0, 0)]);
    for executed in [1, 2] {
        let Exit::Idle { until: Some(until) } = run(&mut m, 100) else {
            panic!("it does not yield");
        };
        assert_eq!((m.sys.clock.executed(), until), (executed, m.sys.clock.now()));
    }
    assert_eq!(run(&mut m, 10), Exit::Budget);
    assert_eq!(register(&m, "a0"), 1);
}

#[test]
fn page_tables_of_every_scheme() {
    // Maps one page at the highest canonical gigabyte's begin, through all levels of each scheme; loads through it.
    /// V, R, W, X, A, D.
    const LEAF: u64 = 0xcf;
    for (mode, levels) in [(8u64, 3u64), (9, 4), (10, 5)] {
        let mut m = supervisor(&[ld(T0, A1, 0), sd(T0, A1, 8), jal(0, 0)]);
        let virt = 0u64.wrapping_sub(1 << (12 + 9 * levels - 1));
        let mut table = RAM + 0x1_0000;
        for level in (0..levels).rev() {
            let index = virt >> (12 + 9 * level) & 511;
            let next = table + 0x1000;
            let pte = if level == 0 {
                (RAM + 0x8000) >> 12 << 10 | 7
            } else {
                next >> 12 << 10 | 1
            };
            m.sys.write(table + 8 * index, 8, pte).expect("RAM");
            table = next;
        }
        // The code itself runs in a gigabyte that means itself.
        let (root, inner) = (RAM + 0x1_0000, RAM + 0x2_0000);
        let (gigabyte, index) = (RAM >> 12 << 10 | LEAF, 8 * (RAM >> 30));
        let pointer = |to: u64| to >> 12 << 10 | 1;
        let entries = match levels {
            3 => vec![(root + index, gigabyte)],
            4 => vec![(root, pointer(inner)), (inner + index, gigabyte)],
            _ => vec![
                (root, pointer(inner)),
                (inner, pointer(inner + 0x1000)),
                (inner + 0x1000 + index, gigabyte),
            ],
        };
        for (at, pte) in entries {
            m.sys.write(at, 8, pte).expect("RAM");
        }
        m.sys.write(RAM + 0x8000, 8, 0x1234).expect("RAM");
        put_csr(&mut m, "satp", mode << 60 | (RAM + 0x1_0000) >> 12);
        put_csr(&mut m, "menvcfg", 1 << 61);
        m.cpus[0].set_register("a1", virt);
        run(&mut m, 2);
        assert_eq!(register(&m, "scause"), 0, "Sv{}", 12 + 9 * levels);
        assert_eq!(m.sys.read(RAM + 0x8008, 8), Ok(0x1234));
        let Machine { cpus, sys, .. } = &mut m;
        assert_eq!(cpus[0].translate(virt + 0x123, sys), Some(RAM + 0x8123));
        assert_eq!(cpus[0].translate(virt + 0x1000, sys), None);
        let leaf = RAM + 0x1_0000 + 0x1000 * (levels - 1);
        let pte = m.sys.read(leaf, 8).expect("RAM");
        assert_eq!(pte & 0xc0, 0xc0, "the page is marked as accessed and dirty");
    }
}

#[test]
fn the_log_tells_traps() {
    #[derive(Clone, Default)]
    struct Text(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);
    impl std::io::Write for Text {
        fn write(&mut self, b: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("no panic").extend_from_slice(b);
            Ok(b.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let text = Text::default();
    // An illegal instruction; its handler returns behind it.
    let mut m = supervisor(&[0, addi(A0, 0, 3), jal(0, 0)]);
    m.sys.log = southbridge_core::log::Log::new(LogItems::INT | LogItems::EXEC, Box::new(text.clone()));
    for (i, w) in [addi(T0, T0, 4), 0x1412_9073, 0x1020_0073].into_iter().enumerate() {
        m.sys.write(RAM + 0x100 + 4 * i as u64, 4, w.into()).expect("RAM");
    }
    m.cpus[0].set_register("t0", RAM);
    put_csr(&mut m, "sstatus", 1 << 8);
    run(&mut m, 5);
    assert_eq!(register(&m, "a0"), 3);
    let text = String::from_utf8(text.0.lock().expect("no panic").clone()).expect("text");
    assert_eq!(
        text,
        "CPU 0: exec 0x0000000080000000 (1 instructions)\n\
         CPU 0: trap 0x2 [illegal instruction] taken to S, from pc 0x80000000 to 0x80000100, tval 0x0\n\
         CPU 0: exec 0x0000000080000100 (3 instructions)\n\
         CPU 0: returns to S, pc 0x80000004\n\
         CPU 0: exec 0x0000000080000004 (2 instructions)\n"
    );
}

#[test]
fn gdb_finds_every_register() {
    let m = supervisor(&[jal(0, 0)]);
    let features = m.cpus[0].gdb_features();
    let all: Vec<_> = features.iter().flat_map(|f| &f.registers).collect();
    assert!(all.len() > 100);
    assert!(all.windows(2).all(|w| w[0].number < w[1].number));
    for r in all {
        assert!(m.cpus[0].register(r.name, &m.sys).is_some(), "{}", r.name);
    }
}

#[test]
fn extensions_by_name() {
    let mut c = config();
    assert_eq!(Extensions::default().to_string().split('_').next(), Some("rv64imafdc"));
    assert!(c.set_property("zba", false) && !c.extensions.contains(Extensions::ZBA));
    assert!(c.set_property("f", false));
    assert!(!c.extensions.intersects(Extensions::D | Extensions::ZFH | Extensions::F));
    assert!(c.set_property("sv57", false));
    assert_eq!(c.mmu, Mmu::Sv48);
    assert!(!c.set_property("zbq", true));
}

#[test]
fn texts_of_instructions() {
    let m = supervisor(&[]);
    let text = |raw: u32| m.cpus[0].disassemble(RAM, &raw.to_le_bytes()).expect("a text");
    assert_eq!(text(addi(A0, A1, -3)), (4, "addi       a0, a1, -3".into()));
    assert_eq!(text(jal(1, 16)).1, "jal        ra, 0x80000010");
    assert_eq!(text(0x3002_9073).1, "csrrw      zero, mstatus, t0");
    assert_eq!(text(0x4505).0, 2);
    assert_eq!(text(0x4505).1, "addi       a0, zero, 1");
    assert_eq!(text(0).1, ".half 0x0000");
}

/// Runs whatever it is for a while.
fn survive(words: &[u32], registers: &[u64], satp: u64, prv: u64) {
    let mut m = supervisor(words);
    for (i, v) in registers.iter().enumerate() {
        m.cpus[0].set_register(&format!("x{}", i + 1), *v);
    }
    put_csr(&mut m, "satp", satp);
    put_csr(&mut m, "mstatus", 1 << 13 | 1 << 17);
    m.cpus[0].set_register("priv", prv);
    for _ in 0..20 {
        match run(&mut m, 50) {
            Exit::FirmwareCall => hart(&mut m).finish_firmware_call(),
            Exit::Idle { .. } => break,
            _ => {}
        }
    }
    let executed = m.sys.clock.executed();
    assert!(executed <= 1000, "{executed}");
}

fn address() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        (0..0x2000u64).prop_map(|o| RAM + o),
        (0..64u64).prop_map(|o| 0u64.wrapping_sub(o))
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_guest_makes_it_panic(
        words in proptest::collection::vec(any::<u32>(), 1..64),
        registers in proptest::collection::vec(address(), 31),
        root in 0..0x400u64,
        scheme in prop_oneof![Just(0u64), 8..11u64],
        prv in prop_oneof![Just(0u64), Just(1), Just(3)],
    ) {
        survive(&words, &registers, (scheme << 60) | ((RAM >> 12) + root), prv);
    }

    #[test]
    fn no_csr_makes_it_panic(
        accesses in proptest::collection::vec((0..4096u32, 1..32u32, 1..4u32), 1..64),
        registers in proptest::collection::vec(address(), 31),
    ) {
        let words: Vec<u32> = accesses.iter().map(|(n, r, f)| n << 20 | r << 15 | f << 12 | r << 7 | 0x73).collect();
        let mut m = supervisor(&words);
        for (i, v) in registers.iter().enumerate() {
            m.cpus[0].set_register(&format!("x{}", i + 1), *v);
        }
        m.cpus[0].set_register("priv", 3);
        for i in 0..words.len() as u64 {
            m.cpus[0].set_register("pc", RAM + 4 * i);
            m.cpus[0].set_register("priv", 3);
            run(&mut m, 1);
        }
        let _ = m.cpus[0].registers();
    }

    #[test]
    fn no_saved_state_makes_it_panic(at in any::<prop::sample::Index>(), byte in any::<u8>(), more in any::<prop::sample::Index>()) {
        let mut m = supervisor(&[addi(A0, A0, 1), jal(0, -4)]);
        let mut saved: SavedState = m.cpus[0].save();
        let len = saved.cbor.len();
        saved.cbor[at.index(len)] = byte;
        saved.cbor[more.index(len)] ^= byte;
        if m.cpus[0].load(&saved).is_ok() {
            run(&mut m, 100);
        }
    }
}
