//! Compiled code against the interpreter: random programs with jumps, faults, self-modification and timer interrupts, cut into runs of
//! random length, compared state for state and byte for byte.

mod common;

use common::{RAM, config, hart, machine};
use southbridge_core::Machine;
use southbridge_cpu_rv64::jit::{Options, is_available};
use southbridge_cpu_rv64::{Config, csr};

/// Two pages, the second of which the trap handler maps to another place each time.
const CODE: u64 = 0x2000;
const HANDLER: u64 = RAM + 0x2000;
const TABLE: u64 = RAM + 0x4000;
const MIDDLE: u64 = RAM + 0x5000;
const LEAVES: u64 = RAM + 0x6000;
const DATA: u64 = RAM + 0x1_0000;

/// xorshift64*: the same programs on each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 33) % n
    }
    fn reg(&mut self) -> u32 {
        self.below(32) as u32
    }
}

const fn r(op: u32, f3: u32, f7: u32, rd: u32, rs1: u32, rs2: u32) -> u32 {
    f7 << 25 | rs2 << 20 | rs1 << 15 | f3 << 12 | rd << 7 | op
}
const fn i(op: u32, f3: u32, rd: u32, rs1: u32, imm: u32) -> u32 {
    (imm & 0xfff) << 20 | rs1 << 15 | f3 << 12 | rd << 7 | op
}
const fn s(f3: u32, rs1: u32, rs2: u32, imm: u32) -> u32 {
    (imm >> 5 & 0x7f) << 25 | rs2 << 20 | rs1 << 15 | f3 << 12 | (imm & 31) << 7 | 0x23
}
const fn branch(f3: u32, rs1: u32, rs2: u32, offset: i32) -> u32 {
    let o = offset as u32;
    (o >> 12 & 1) << 31
        | (o >> 5 & 63) << 25
        | rs2 << 20
        | rs1 << 15
        | f3 << 12
        | (o >> 1 & 15) << 8
        | (o >> 11 & 1) << 7
        | 0x63
}
const fn jal(rd: u32, offset: i32) -> u32 {
    let o = offset as u32;
    (o >> 20 & 1) << 31 | (o >> 1 & 0x3ff) << 21 | (o >> 11 & 1) << 20 | (o >> 12 & 0xff) << 12 | rd << 7 | 0x6f
}

/// Register 7 has the bit SUM; 8 to 11 point to data or code. Programs mostly leave them alone.
fn target(random: &mut Random) -> u32 {
    match random.reg() {
        7..=11 if random.below(8) != 0 => 12,
        rd => rd,
    }
}

fn instruction(random: &mut Random, at: u64) -> u32 {
    let (rd, rs1, rs2) = (target(random), random.reg(), random.reg());
    let imm = random.next() as u32;
    let base = 8 + random.below(4) as u32;
    // Mostly within the page on either side of the pointer.
    let near = if random.below(16) == 0 { imm } else { imm & 0xf8 };
    let distance = (random.below(64) as i32 - 40) * 4;
    let distance = distance.clamp(-(at as i32), (CODE - 4 - at) as i32);
    match random.below(32) {
        0..=5 => i(0x13, random.below(8) as u32, rd, rs1, imm),
        6..=9 => r(
            0x33,
            random.below(8) as u32,
            [0, 0, 0x20, 1, 0x10, 5][random.below(6) as usize],
            rd,
            rs1,
            rs2,
        ),
        10..=11 => r(
            0x3b,
            random.below(8) as u32,
            [0, 0x20, 1, 4, 0x30, 0x10][random.below(6) as usize],
            rd,
            rs1,
            rs2,
        ),
        12 => i(0x1b, random.below(8) as u32, rd, rs1, imm),
        13 => r(
            0x33,
            random.below(8) as u32,
            [0x30, 0x24, 0x34, 0x14, 7][random.below(5) as usize],
            rd,
            rs1,
            rs2,
        ),
        14 => i(
            0x13,
            1 + 4 * random.below(2) as u32,
            rd,
            rs1,
            [0x600, 0x280, 0x480, 0x680, 0x6b8, 0x287][random.below(6) as usize] | imm & 7,
        ),
        15..=18 => i(0x03, random.below(7) as u32, rd, base, near),
        19..=22 => s(random.below(4) as u32, base, rs2, near),
        23..=26 => branch([0, 1, 4, 5, 6, 7][random.below(6) as usize], rs1, rs2, distance),
        27 => {
            // Anywhere, on either page.
            let far = (random.below(CODE) & !3) as i32 - at as i32;
            let distance = if random.below(3) == 0 { far } else { distance };
            jal([0, 1][random.below(2) as usize], distance)
        }
        28 => [
            i(0x67, 0, 0, 1, 0),
            i(0x67, 0, 1, 11, imm & 0xffc),
            (imm & !0xfff) | rd << 7 | 0x37,
            0x17 | rd << 7,
        ][random.below(4) as usize],
        // time, minstret; SUM on, off; fence; fence.i; sfence.vma; lr.d, sc.d, amoadd.d
        29 => [
            0xc010_2073 | rd << 7,
            0xb020_2073 | rd << 7,
            0x1003_a073,
            0x1003_b073,
            0x0ff0_000f,
            0x100f,
            0x1200_0073,
        ][random.below(7) as usize],
        30 => {
            [0x1000_302f, 0x1800_302f, 0x0000_302f][random.below(3) as usize]
                | rd << 7
                | base << 15
                | (rs2 * u32::from(random.below(3) != 0)) << 20
        }
        _ => random.next() as u32 | 3,
    }
}

fn put_csr(m: &mut Machine, name: &str, v: u64) {
    let n = csr::number(name).expect("a CSR");
    let Machine { cpus, sys, .. } = m;
    let cpu: &mut dyn std::any::Any = &mut *cpus[0];
    let hart: &mut southbridge_cpu_rv64::Rv64 = cpu.downcast_mut().expect("a hart");
    assert!(hart.set_csr(n, v, sys), "{name}");
}

/// Goes on behind the instruction that trapped, on the pages of the program, and sets the timer anew. The second page becomes the first
/// one's memory, or again its own.
const HANDLER_CODE: [u32; 18] = [
    0x340f_9ff3,                 // csrrw x31, mscratch, x31
    0x140f_1f73,                 // csrrw x30, sscratch, x30
    0x0000_4f17,                 // auipc x30, 4: the second leaf
    i(0x03, 3, 31, 30, 0),       // ld x31, 0(x30)
    i(0x13, 4, 31, 31, 1 << 10), // xori x31, x31, 1024
    s(3, 30, 31, 0),             // sd x31, 0(x30)
    0x1200_0073,                 // sfence.vma
    0x140f_1f73,                 // csrrw x30, sscratch, x30
    0xc010_2ff3,                 // csrr x31, time
    i(0x13, 0, 31, 31, 3),
    0x14df_9073, // csrw stimecmp, x31
    0x3410_2ff3, // csrr x31, mepc
    i(0x13, 0, 31, 31, 4),
    i(0x13, 1, 31, 31, 51),
    i(0x13, 5, 31, 31, 51),
    i(0x13, 1, 31, 31, 0x280 | 31), // bseti x31, x31, 31
    0x341f_9073,                    // csrw mepc, x31
    0x340f_9ff3,                    // csrrw x31, mscratch, x31
];
const MRET: u32 = 0x3020_0073;

/// A machine with the random program of that seed; in S-mode behind a page table if so wished.
fn guest(seed: u64, translated: bool, jit: Option<Options>) -> Machine {
    let mut random = Random(seed | 1);
    let mut m = machine(Config {
        firmware: translated,
        ..config()
    });
    hart(&mut m).set_jit(jit).expect("a compiler");
    m.start();
    let program: Vec<u8> = (0..CODE / 4)
        .flat_map(|n| instruction(&mut random, n * 4).to_le_bytes())
        .collect();
    m.sys.load_bytes(RAM, &program).expect("RAM");
    let handler: Vec<u8> = HANDLER_CODE
        .iter()
        .chain([&MRET])
        .flat_map(|w| w.to_le_bytes())
        .collect();
    m.sys.load_bytes(HANDLER, &handler).expect("RAM");
    // V, R, W, X, A, D: leaves of 4 KiB map RAM onto itself.
    let mut put = |at: u64, entry: u64| m.sys.load_bytes(at, &entry.to_le_bytes()).expect("RAM");
    put(TABLE + 16, MIDDLE >> 12 << 10 | 1);
    put(MIDDLE, LEAVES >> 12 << 10 | 1);
    for n in 0..512 {
        put(LEAVES + n * 8, ((RAM >> 12) + n) << 10 | 0xcf);
    }
    // And the same again one GiB on, in one, as the user's.
    m.sys
        .load_bytes(TABLE + 24, &(RAM >> 12 << 10 | 0xdf).to_le_bytes())
        .expect("RAM");
    for (name, v) in [
        ("mtvec", HANDLER),
        ("pmpaddr0", u64::MAX >> 10),
        ("pmpcfg0", 0x1f),
        ("mcounteren", 7),
        ("menvcfg", 1 << 63),
        ("stimecmp", 20),
        ("mie", 1 << 5),
        ("mstatus", 1 << 3 | 3 << 13),
    ] {
        put_csr(&mut m, name, v);
    }
    if translated {
        hart(&mut m).start(RAM, 0, 0);
        put_csr(&mut m, "satp", 8 << 60 | TABLE >> 12);
    }
    for n in 12..32 {
        hart(&mut m).set_gpr(n, random.next() >> random.below(60));
    }
    for (n, at) in [
        (8, DATA),
        (7, 1 << 18),
        (9, DATA + 0xfc0 + if translated { 1 << 30 } else { 0 }),
        (10, DATA + 0x2008),
        (11, RAM + random.below(CODE >> 8) * 0x100),
    ] {
        hart(&mut m).set_gpr(n, at);
    }
    m
}

fn memory(m: &mut Machine) -> Vec<u8> {
    let mut all = vec![0; 0x2_0000];
    assert!(m.sys.ram_window(RAM).expect("RAM").block().read(0, &mut all));
    all
}

/// Both machines run in step; how many instructions, how many regions were compiled, and how many blocks quickly.
fn compare(seed: u64, translated: bool, options: Options, rounds: u32) -> [u64; 3] {
    let mut slow = guest(seed, translated, None);
    let mut fast = guest(seed, translated, Some(options));
    let mut random = Random(seed ^ 0x5555);
    for round in 0..rounds {
        let budget = 1 + random.below(if round % 4 == 0 { 40 } else { 3000 });
        let exits = [&mut slow, &mut fast].map(|m| {
            let Machine { cpus, sys, .. } = m;
            cpus[0].run(sys, budget)
        });
        let what = || format!("seed {seed:#x}, translated {translated}, round {round}");
        assert_eq!(exits[0], exits[1], "{}", what());
        let registers = [&slow, &fast].map(|m| {
            m.cpus[0]
                .registers()
                .iter()
                .map(|r| (r.name, r.value))
                .collect::<Vec<_>>()
        });
        assert_eq!(registers[0], registers[1], "{}", what());
        let saved = [&slow, &fast].map(|m| m.cpus[0].save());
        assert!(saved[0] == saved[1], "saved states differ: {}", what());
        if round % 16 == 15 {
            assert!(memory(&mut slow) == memory(&mut fast), "memory differs: {}", what());
        }
        assert_eq!(slow.sys.clock.executed(), fast.sys.clock.executed(), "{}", what());
    }
    assert!(memory(&mut slow) == memory(&mut fast), "memory differs: seed {seed:#x}");
    let compiled = hart(&mut fast).jit_statistics().expect("compiled code");
    [slow.sys.clock.executed(), compiled.regions, compiled.quick_blocks]
}

/// Programs for each test; more by `TIERS=N`.
fn seeds() -> std::ops::Range<u64> {
    0..std::env::var("TIERS").ok().and_then(|n| n.parse().ok()).unwrap_or(40)
}

fn all(translated: bool, options: Options) {
    // A thread may not be done before the programs are.
    let at_least = match options.threads {
        0 if options.hot < 1000 => 50,
        0 => 0,
        _ => 1,
    };
    if let Err(why) = is_available() {
        eprintln!("skipped: nothing can be compiled here: {why}");
        return;
    }
    let [mut executed, mut regions, mut blocks] = [0; 3];
    for n in seeds() {
        let one = compare(0x1234_5678 + n * 0x9e37_79b9, translated, options, 64);
        executed += one[0];
        regions += one[1];
        blocks += one[2];
    }
    println!("{executed} instructions, {regions} regions, {blocks} blocks");
    assert!(
        blocks >= 50 || cfg!(not(target_arch = "x86_64")),
        "{blocks} quick blocks"
    );
    // Some programs go to sleep soon; most must not.
    assert!(
        executed > 10_000 && regions >= at_least,
        "{executed} instructions, {regions} regions"
    );
}

const AT_ONCE: Options = Options {
    cache_size: 8 << 20,
    threads: 0,
    hot: 1,
    perf_map: false,
    check: false,
};

#[test]
fn compiled_code_does_what_the_interpreter_does() {
    all(false, AT_ONCE);
}

#[test]
fn compiled_code_does_the_same_behind_a_page_table() {
    all(true, AT_ONCE);
}

/// Never hot: quick code alone, where this host has it.
const QUICKLY: Options = Options {
    hot: 1 << 30,
    ..AT_ONCE
};

#[test]
fn quick_code_does_what_the_interpreter_does() {
    if cfg!(target_arch = "x86_64") {
        all(false, QUICKLY);
        all(true, QUICKLY);
        all(true, Options { check: true, ..QUICKLY });
    }
}

#[test]
fn quick_code_becomes_better_code() {
    all(true, Options { hot: 10, ..AT_ONCE });
}

#[test]
fn it_does_not_matter_when_a_thread_is_done() {
    all(false, Options { threads: 2, ..AT_ONCE });
}

#[test]
fn a_cache_that_is_always_full_is_no_more_than_slow() {
    all(
        true,
        Options {
            cache_size: 1 << 16,
            ..AT_ONCE
        },
    );
}

#[test]
fn checked_code_passes() {
    all(false, Options { check: true, ..AT_ONCE });
    all(true, Options { check: true, ..AT_ONCE });
}
