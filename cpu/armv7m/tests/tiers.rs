//! Compiled code against the interpreter: random programs with loops, faults, interrupts and code that changes itself, state for state
//! after any number of instructions.

use southbridge_core::cpu::{Cpu, CpuDebug, Exit};
use southbridge_core::memory::{Mapping, RamBlock, Target};
use southbridge_core::{ClockRate, System};
use southbridge_cpu_armv7m::{CORTEX_M3, Config, CortexM, jit};

const ROM: u64 = 0;
const RAM: u64 = 0x2000_0000;
const LEN: u64 = 0x4000;
/// Where programs stand. Data is below, stacks above.
const CODE: u32 = 0x2000_1000;
const HALVES: u32 = 160;
/// Handlers, as vectors.
const RESTART: u32 = 0x201;
const COUNT: u32 = 0x281;

/// Everything is compiled, and at once.
const AT_ONCE: jit::Options = jit::Options {
    cache_size: 1 << 20,
    threads: 0,
    hot: 1,
    perf_map: false,
    check: false,
};

struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) as u32
    }
    fn below(&mut self, n: u32) -> u32 {
        self.next() % n
    }
    fn one_in(&mut self, n: u32) -> bool {
        self.below(n) == 0
    }
}

struct Machine {
    sys: System,
    cpu: CortexM,
    ram: RamBlock,
}

impl Machine {
    fn new(rom: &[u8], compiled: Option<jit::Options>) -> Self {
        let mut sys = System::new(ClockRate::Hz(25_000_000)).expect("a system");
        sys.set_cpu_count(1);
        let mut add = |name: &str, start, readonly| {
            let block = RamBlock::new(name, LEN).expect("memory");
            sys.memory.map(Mapping {
                start,
                len: LEN,
                priority: 0,
                name: name.into(),
                target: Target::Ram {
                    block: block.clone(),
                    offset: 0,
                    readonly,
                },
            });
            block
        };
        assert!(add("rom", ROM, true).write(0, rom));
        let ram = add("ram", RAM, false);
        let mut cpu = CortexM::new(Config::new(&CORTEX_M3, 32));
        if let Some(options) = compiled {
            cpu.set_jit(Some(options)).expect("a compiler for this host");
        }
        cpu.reset(&mut sys);
        Self { sys, cpu, ram }
    }

    fn private(&mut self, address: u64, value: u32) {
        assert!(self.cpu.write_private(address, 4, value.into(), &mut self.sys));
    }

    fn memory(&self) -> Vec<u8> {
        let mut all = vec![0; LEN as usize];
        assert!(self.ram.read(0, &mut all));
        all
    }
}

/// A register that mostly has a value that may have been anything.
fn low(r: &mut Random) -> u32 {
    r.below(8)
}

/// One instruction, or a few that belong together.
fn instruction(r: &mut Random, out: &mut Vec<u16>) {
    let start = out.len();
    let mut wide = |first: u32, second: u32| out.extend([first as u16, second as u16]);
    let (a, b, c, d) = (r.below(13), r.below(13), r.below(13), r.below(13));
    match r.below(31) {
        // Shifts, add, subtract, compare, by registers and small constants.
        0..=4 => out.push(r.below(0x4400) as u16),
        5 => out.push((0x4000 | r.below(0x400)) as u16),
        6 => out.push((0x4400 | r.below(3) << 8 | r.below(13) << 3 | low(r)) as u16),
        // Addresses into data, by the stack pointer and from registers that mostly stay.
        7 | 8 => out.push((0x4640 | r.below(4) << 3 | low(r)) as u16),
        9 => out.push((0xa800 | r.below(0x7ff)) as u16),
        // Loads and stores.
        10 | 11 => out.push((0x5000 | r.below(0x5000)) as u16),
        12 => wide(
            0xf800 | r.below(2) << 8 | r.below(6) << 4 | (8 + r.below(3)),
            d << 12 | 0x900 | r.below(8) << 8 & 0x700 | r.below(128),
        ),
        13 => wide(
            0xf880 | r.below(2) << 8 | r.below(3) << 5 | r.below(2) << 4 | (8 + r.below(2)),
            d << 12 | r.below(0x200),
        ),
        14 => wide(
            0xe840 | r.below(16) << 5 & 0x1a0 | r.below(2) << 4 | 0x100 | (8 + r.below(2)),
            a << 12 | b << 8 | r.below(32),
        ),
        15 => wide(
            0xe880 | r.below(2) << 4 | r.below(2) << 5 | 8,
            r.below(0x2000) & !(1 << 8),
        ),
        16 => out.push((0xb400 | r.below(2) << 11 | r.below(256)) as u16),
        17 => out.push((0xc000 | r.below(0x1000)) as u16),
        // Data processing in 32 bits.
        18 => wide(
            0xea00 | r.below(32) << 4 | a,
            r.below(8) << 12 | b << 8 | r.below(16) << 4 | c,
        ),
        19 => wide(
            0xf000 | r.below(2) << 10 | r.below(32) << 4 | a,
            r.below(8) << 12 | b << 8 | r.below(256),
        ),
        20 => wide(
            0xfb00 | r.below(16) << 4 | a,
            b << 12 | c << 8 | if r.one_in(2) { 0xf0 } else { r.below(2) << 4 } | d,
        ),
        21 => match r.below(3) {
            0 => wide(0xfa00 | r.below(8) << 4 | a, 0xf000 | b << 8 | c),
            1 => wide((0xfab0 - (r.below(2) << 5)) | c, 0xf080 | b << 8 | r.below(4) << 4 | c),
            _ => wide(
                0xf340 | r.below(8) << 5 & 0xe0 | a,
                r.below(8) << 12 | b << 8 | r.below(4) << 6 | r.below(32),
            ),
        },
        22 => {
            out.push((0xbf00 | r.below(15) << 4 | (1 + r.below(15))) as u16);
            (0..r.below(4)).for_each(|_| instruction(r, out));
        }
        23 => {
            let near = r.below(48) as i32 - 30;
            match r.below(6) {
                0 => out.push((0xb100 | r.below(2) << 11 | r.below(0x20) << 3 | low(r)) as u16),
                1 => out.push((0xe000 | near as u32 & 0x7ff) as u16),
                _ => out.push((0xd000 | r.below(14) << 8 | near as u32 & 0xff) as u16),
            }
        }
        24 => match r.below(12) {
            0..=3 => {
                let near = (r.below(80) as i32 - 40) as u32;
                let s = near >> 31;
                wide(0xf000 | s << 10 | near >> 11 & 0x3ff, 0xf800 | near & 0x7ff);
            }
            4..=6 => out.push(0x4770),
            // MOV LR, PC would be odd: an address of code, into a register, and there.
            7 => out.extend([0xf20f, 0x0001 | (r.below(64) << 1) as u16, 0x4780]),
            8 => wide(0xe8d0 | 8, 0xf000 | r.below(2) << 4 | 12),
            9 => out.push((0xbd00 | r.below(8)) as u16),
            10 => out.push((0xb660 | r.below(2) << 4 | r.below(4)) as u16),
            _ => wide(0xf380 | a, 0x8800 | r.below(22)),
        },
        // Flags into a register, and a register into them.
        25..=28 => wide(0xf3ef, 0x8000 | r.below(8) << 8),
        29 => wide(0xf380 | r.below(8), 0x8800),
        _ => match r.below(6) {
            0 => out.push((0xdf00 | r.below(256)) as u16),
            1 => out.push(r.next() as u16),
            2 => wide(0xf8df, a << 12 | r.below(64)),
            3 => wide(0xe850 | 8, a << 12 | 0xf00 | r.below(4)),
            4 => wide(0xe840 | 8, a << 12 | b << 8 | r.below(4)),
            _ => out.push((0x4800 | r.below(0x720)) as u16),
        },
    }
    debug_assert!(out.len() > start);
}

fn program(r: &mut Random) -> Vec<u16> {
    let mut all = Vec::new();
    while all.len() < HALVES as usize {
        instruction(r, &mut all);
    }
    // And around.
    let back = (-(all.len() as i32) - 2) as u32;
    all.push((0xe000 | back & 0x7ff) as u16);
    all
}

/// Two machines that have to do the same.
struct Pair([Machine; 2]);

impl Pair {
    fn new(r: &mut Random, options: jit::Options) -> Self {
        let handlers = include_bytes!("guest/restart.bin");
        let mut rom = vec![0u8; 0x200];
        rom.extend(handlers);
        let vector = |r: &mut Random, n: usize| match n {
            2..=6 => RESTART,
            _ if r.one_in(2) => COUNT,
            _ => (CODE + 2 * r.below(HALVES)) | 1,
        };
        rom[..4].copy_from_slice(&0x2000_3800u32.to_le_bytes());
        for n in 1..64 {
            rom[4 * n..4 * n + 4].copy_from_slice(&vector(r, n).to_le_bytes());
        }
        let mut pair = Pair([Machine::new(&rom, None), Machine::new(&rom, Some(options))]);
        let code: Vec<u8> = program(r).iter().flat_map(|h| h.to_le_bytes()).collect();
        let data: Vec<u8> = (0..0x1000).map(|_| r.next() as u8).collect();
        pair.each(|m| {
            assert!(m.ram.write(u64::from(CODE) - RAM, &code) && m.ram.write(0, &data));
        });
        pair.registers(r);
        pair.system(r);
        pair
    }

    fn each(&mut self, mut f: impl FnMut(&mut Machine)) {
        self.0.iter_mut().for_each(&mut f);
    }

    fn registers(&mut self, r: &mut Random) {
        let values: Vec<u32> = (0..13)
            .map(|n| match n {
                8 | 9 => 0x2000_0400 + 4 * r.below(0x100),
                10 => CODE + 4 * r.below(HALVES / 2),
                11 => 0x2000_0800 + r.below(0x40),
                12 => r.below(40),
                _ if r.one_in(2) => 0x2000_0000 + r.below(0x1000),
                _ => r.next() >> r.below(32),
            })
            .collect();
        let pc = CODE + 2 * r.below(HALVES / 4);
        self.each(|m| {
            for (n, v) in values.iter().enumerate() {
                assert!(m.cpu.set_register(&format!("r{n}"), u64::from(*v)));
            }
            assert!(m.cpu.set_register("lr", u64::from(CODE | 1)) && m.cpu.set_register("pc", pc.into()));
        });
    }

    /// Interrupts, faults, the timer and the MPU as may be.
    fn system(&mut self, r: &mut Random) {
        let mut all = vec![(0xe000_e100, r.next()), (0xe000_ed24, r.below(8) << 16)];
        all.push((0xe000_ed14, r.next() & 0x218 | 1));
        (0..8).for_each(|n| all.push((0xe000_e400 + 4 * n, r.next())));
        (0..3).for_each(|n| all.push((0xe000_ed18 + 4 * n, r.next())));
        if r.one_in(2) {
            all.extend([(0xe000_e014, 20 + r.below(300)), (0xe000_e010, 7)]);
        }
        if r.one_in(3) {
            // 128 bytes of data that can only be read, 32 that cannot be reached, and code for all.
            all.extend([
                (0xe000_ed9c, 0x2000_0480 | 0x10),
                (0xe000_eda0, 0x0600_0001 | 6 << 1),
                (0xe000_ed9c, 0x2000_0440 | 0x11),
                (0xe000_eda0, 1 | 4 << 1),
                (0xe000_ed9c, 0x2000_1000 | 0x12),
                (0xe000_eda0, 0x0300_0001 | 11 << 1),
                (0xe000_ed94, 5),
            ]);
        }
        self.each(|m| all.iter().for_each(|(a, v)| m.private(*a, *v)));
    }

    /// Runs both; whether it goes on.
    fn step(&mut self, r: &mut Random) -> bool {
        let budget = match r.below(4) {
            0 => 1 + r.below(12),
            1 => 1 + r.below(500),
            _ => 1 + r.below(3000),
        };
        let exits = self.0.each_mut().map(|m| m.cpu.run(&mut m.sys, budget.into()));
        assert_eq!(format!("{:?}", exits[0]), format!("{:?}", exits[1]));
        match &exits[0] {
            Exit::Budget => {}
            Exit::Idle { .. } => {
                let n = r.below(32);
                self.each(|m| {
                    m.cpu.on_line(n, true, &mut m.sys);
                    m.cpu.on_line(n, false, &mut m.sys);
                });
            }
            Exit::Lockup(_) | Exit::Reset => {
                self.each(|m| m.cpu.reset(&mut m.sys));
                self.registers(r);
                self.system(r);
            }
            _ => return false,
        }
        if r.one_in(5) {
            let (n, level) = (r.below(32), r.one_in(2));
            self.each(|m| m.cpu.on_line(n, level, &mut m.sys));
        }
        if r.one_in(20) {
            // Somebody else writes into the code.
            let (at, bytes) = (
                u64::from(CODE) + u64::from(2 * r.below(HALVES)),
                (r.next() as u16).to_le_bytes(),
            );
            self.each(|m| m.sys.write_bytes(at, &bytes).expect("RAM"));
        }
        true
    }

    fn compare(&mut self, what: &str) {
        let [a, b] = &mut self.0;
        assert_eq!(a.sys.clock.executed(), b.sys.clock.executed(), "{what}: time");
        if a.cpu.save() != b.cpu.save() {
            let [x, y] = [a, b].map(|m| format!("{:x?}\n{:x?}", m.cpu.engine().registers(), m.cpu.engine().state()));
            panic!("{what}: interpreted, compiled:\n{x}\n{y}");
        }
        assert!(a.memory() == b.memory(), "{what}: memory");
    }
}

/// AND to ORN, EOR, ADD, ADC, SBC, SUB, RSB.
const OPERATIONS: &[u32] = &[0, 1, 2, 3, 4, 8, 10, 11, 13, 14];

fn pick(r: &mut Random, from: &[u32]) -> u32 {
    from[r.below(from.len() as u32) as usize]
}

/// An instruction that computes with R0 to R7, perhaps under a condition.
fn computing(r: &mut Random) -> Vec<u16> {
    let mut all = Vec::new();
    if r.one_in(4) {
        all.push((0xbf08 | r.below(14) << 4) as u16);
    }
    let (a, b, c, d) = (low(r), low(r), low(r), low(r));
    let mut wide = |first: u32, second: u32| all.extend([first as u16, second as u16]);
    match r.below(10) {
        0 | 1 => all.push(r.below(0x4000) as u16),
        2 => all.push((0x4000 | r.below(0x400)) as u16),
        3 => all.push((0xb200 | r.below(0x100)) as u16),
        4 => wide(
            0xea00 | pick(r, OPERATIONS) << 5 | r.below(2) << 4 | a,
            r.below(8) << 12 | b << 8 | r.below(16) << 4 | c,
        ),
        5 => wide(
            0xf000 | r.below(2) << 10 | pick(r, OPERATIONS) << 5 | r.below(2) << 4 | a,
            r.below(8) << 12 | b << 8 | r.below(256),
        ),
        6 => match r.below(3) {
            // ADDW, MOVW, SUBW, MOVT; then fields and saturation.
            0 => wide(
                0xf200 | r.below(2) << 10 | pick(r, &[0, 4, 10, 12]) << 4 | a,
                r.below(8) << 12 | b << 8 | r.below(256),
            ),
            _ => {
                let (op, lsb, n) = (pick(r, &[16, 20, 22, 24, 28]), r.below(16), r.below(16));
                let last = if op == 22 { lsb + n } else { n };
                wide(
                    0xf300 | (op & 15) << 4 | a,
                    lsb >> 2 << 12 | b << 8 | (lsb & 3) << 6 | last,
                );
            }
        },
        7 => match r.below(3) {
            0 => wide(0xfa00 | r.below(8) << 4 | a, 0xf000 | b << 8 | c),
            1 => wide(
                0xfa0f | pick(r, &[0, 1, 4, 5]) << 4,
                0xf080 | b << 8 | r.below(4) << 4 | c,
            ),
            _ if r.one_in(4) => wide(0xfab0 | c, 0xf080 | b << 8 | c),
            _ => wide(0xfa90 | c, 0xf080 | b << 8 | r.below(4) << 4 | c),
        },
        8 if r.one_in(3) => wide(0xfb90 | r.below(2) << 5 | a, 0xf0f0 | b << 8 | c),
        8 => wide(
            0xfb00 | a,
            if r.one_in(2) { 0xf000 } else { d << 12 } | b << 8 | r.below(2) << 4 & !(d >> 2) | c,
        ),
        _ => wide(
            0xfb80 | pick(r, &[0, 2, 4, 6]) << 4 | a,
            d << 12 | ((d + 1) & 7) << 8 | c,
        ),
    }
    all
}

/// Each instruction with registers and flags as memory has them, over and over; all that it made goes to memory.
#[test]
fn what_instructions_compute() {
    const GROUPS: u16 = 5;
    let mut r = Random(7);
    for round in 0..60 {
        let mut pair = Pair::new(&mut r, AT_ONCE);
        let mut code = Vec::new();
        let mut shown = String::new();
        for _ in 0..GROUPS {
            let insn = computing(&mut r);
            shown += &format!("{insn:04x?} ");
            // LDM R10!, {R0-R7}; MSR APSR, R7
            code.extend([0xe8ba, 0x00ff, 0xf387, 0x8800]);
            code.extend(insn);
            // MRS R11, APSR; STM R12!, {R0-R7, R11}
            code.extend([0xf3ef, 0x8b00, 0xe8ac, 0x08ff]);
        }
        // Back by all but a word of what was read, and all but a byte's worth of what was written; and around.
        code.extend([0xf2aa, 0x0a00 | (32 * GROUPS - 4), 0xf2ac, 0x0c00 | (36 * GROUPS - 32)]);
        let back = (-(code.len() as i32) - 2) as u32;
        code.push((0xe000 | back & 0x7ff) as u16);
        let bytes: Vec<u8> = code.iter().flat_map(|h| h.to_le_bytes()).collect();
        pair.each(|m| {
            m.sys.write_bytes(CODE.into(), &bytes).expect("RAM");
            m.private(0xe000_e010, 0);
            m.private(0xe000_ed94, 0);
            for (name, v) in [
                ("pc", CODE),
                ("r10", 0x2000_0000),
                ("r12", 0x2000_2000),
                ("sp", 0x2000_3800),
            ] {
                assert!(m.cpu.set_register(name, v.into()));
            }
            m.cpu.run(&mut m.sys, 150 * 28);
        });
        let at = pair.0[0].cpu.pc() as u32;
        assert!((CODE..CODE + 0x200).contains(&at), "a fault: {shown}");
        pair.compare(&format!("round {round}: {shown}"));
    }
}

fn lock_step(seed: u64, options: jit::Options) -> u64 {
    let mut r = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut pair = Pair::new(&mut r, options);
    for turn in 0..60 {
        let on = pair.step(&mut r);
        pair.compare(&format!("seed {seed}, turn {turn}"));
        if !on {
            break;
        }
    }
    let s = pair.0[1].cpu.engine().jit_statistics().unwrap_or_default();
    if std::env::var("SEEDS").is_ok() {
        eprintln!(
            "seed {seed}: {} instructions, {} regions of {}, {} dropped",
            pair.0[0].sys.clock.executed(),
            s.regions,
            s.instructions,
            s.dropped
        );
    }
    s.regions
}

#[test]
fn random_programs_in_lock_step() {
    let seeds = std::env::var("SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(25);
    let regions: u64 = (0..seeds).map(|seed| lock_step(seed, AT_ONCE)).sum();
    assert!(regions > 2 * seeds, "only {regions} regions were compiled");
}

#[test]
fn checked_code_passes() {
    let options = jit::Options { check: true, ..AT_ONCE };
    let regions: u64 = (100..112).map(|seed| lock_step(seed, options)).sum();
    assert!(regions > 24, "only {regions} regions were compiled");
}
