//! The processor on a bus of RAM: any bytes as code, and its own registers.

use southbridge_core::SavedState;
use southbridge_cpu_armv7m::{CORTEX_M3, Config, Engine, Exit, FlatBus, NMI_LINE, State};

const CODE: u32 = 0x140;
const RAM: u32 = 0x2000_0000;
const DEVICE: u32 = 0x4000_0000;
const BUDGET: u64 = 5_000;
/// Sleeps, resets and calls of the host in one run; each is a turn of a machine's loop.
const TURNS: u32 = 500;

struct Cpu {
    bus: FlatBus,
    engine: Engine<FlatBus>,
}

impl Cpu {
    /// RAM at 0 and at [`RAM`], a device that raises interrupt 3; vectors that all lead to `handler(n)`.
    fn new(code: &[u8], readonly: bool, handler: impl Fn(u32) -> u32) -> Self {
        let mut bus = FlatBus::new();
        bus.add(0, 0x1000, readonly);
        bus.add(RAM, 0x1000, false);
        bus.tap(DEVICE, 3);
        bus.load(0, &(RAM + 0x800).to_le_bytes());
        for n in 1..CODE / 4 {
            bus.load(n * 4, &(handler(n) | 1).to_le_bytes());
        }
        bus.load(CODE, code);
        let mut engine = Engine::new(Config::new(&CORTEX_M3, 64));
        engine.set_semihosting(true);
        engine.reset(&mut bus);
        Self { bus, engine }
    }

    fn cycles(&self) -> u64 {
        southbridge_cpu_armv7m::Bus::cycles(&self.bus)
    }

    /// Runs to `end` in slices, as a machine would: sleeps are skipped, calls of the host answered, resets done.
    fn run_to(&mut self, end: u64, mut slice: impl FnMut(&mut Self) -> u64) -> Option<Exit> {
        let mut turns = 0;
        while self.cycles() < end && turns < TURNS {
            let budget = slice(self).clamp(1, end - self.cycles());
            let before = self.cycles();
            let exit = self.engine.run(&mut self.bus, budget);
            let done = self.cycles() - before;
            assert!(done <= budget, "{done} instructions in a budget of {budget}");
            match exit {
                Exit::Budget => assert_eq!(done, budget, "the budget is used to the last instruction"),
                Exit::Idle { until } => {
                    turns += 1;
                    let now = self.cycles();
                    let until = until.unwrap_or(end).min(end);
                    assert!(
                        until > now || now >= end,
                        "a sleep that does not end by itself ends later than now"
                    );
                    self.bus.sleep_until(until);
                }
                Exit::Reset => {
                    turns += 1;
                    self.engine.reset(&mut self.bus);
                }
                Exit::Semihosting { op, .. } => {
                    turns += 1;
                    self.engine.set_register("r0", op ^ 0x55);
                }
                Exit::Lockup | Exit::Breakpoint => return Some(exit),
                Exit::Differs => panic!("the tiers differ: {}", self.engine.difference()),
            }
        }
        None
    }

    /// Saved, restored into a new engine, and on.
    fn reload(&mut self) {
        let saved = SavedState::of(1, self.engine.state());
        let state: State = saved.read(1).expect("a state can be read back");
        assert_eq!(&state, self.engine.state());
        let mut engine = Engine::new(Config::new(&CORTEX_M3, 64));
        engine.set_semihosting(true);
        engine.set_state(state);
        assert_eq!(
            engine.state(),
            self.engine.state(),
            "a state of a running core has nothing impossible"
        );
        self.engine = engine;
    }
}

/// The first byte has options, the second the length of slices, eight more set registers; the rest is code.
///
/// It runs twice, in one piece and in slices with saves between them; both must come to the same.
pub fn cpu_code(data: &[u8]) {
    let Some(([options, length, registers @ ..], code)) = data.split_first_chunk::<10>() else {
        return;
    };
    let make = || {
        let mut cpu = Cpu::new(code, options & 1 != 0, |n| CODE + (n * 6) % (code.len() as u32).max(1));
        let fixed = [
            RAM,
            0xe000_e000,
            0xe000_ed00,
            DEVICE,
            0x2200_0000,
            RAM + 0x400,
            CODE,
            0xe000_1000,
        ];
        for (n, value) in fixed.into_iter().enumerate() {
            cpu.engine.set_register(NAMES[n], value + u32::from(registers[n]) * 4);
        }
        cpu
    };
    let mut whole = make();
    let whole_exit = whole.run_to(BUDGET, |_| u64::MAX);
    let mut cut = make();
    let mut slices = 0u32;
    let cut_exit = cut.run_to(BUDGET, |cpu| {
        slices += 1;
        if options & 2 != 0 && slices.is_multiple_of(128) {
            cpu.reload();
        }
        u64::from(*length) + 1
    });
    assert_eq!((whole_exit, whole.cycles()), (cut_exit, cut.cycles()));
    assert_eq!(whole.engine.state(), cut.engine.state(), "slices cannot be seen");
    for at in (0..0x1000).step_by(4) {
        assert_eq!(whole.bus.word(at), cut.bus.word(at));
        assert_eq!(whole.bus.word(RAM + at), cut.bus.word(RAM + at));
    }
}

const NAMES: [&str; 8] = ["r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7"];

/// Where the loads and stores of [`cpu_registers`] begin: one every 8 bytes, each followed by NOPs.
const STUBS: u32 = 0x200;
/// `ldr`, `ldrh`, `ldrb`, `str`, `strh`, `strb` of R1 at R0.
const ACCESSES: [u16; 6] = [0x6801, 0x8801, 0x7801, 0x6001, 0x8001, 0x7001];
const NOP: u16 = 0xbf00;
const BRANCH_TO_SELF: u16 = 0xe7fe;
/// Pages of the private peripheral bus: SCS, DWT, FPB, ITM, TPIU, ETM, the ROM table, and two with nothing.
const PAGES: [u32; 9] = [
    0xe000_e000,
    0xe000_1000,
    0xe000_2000,
    0xe000_0000,
    0xe004_0000,
    0xe004_1000,
    0xe00f_f000,
    0xe000_3000,
    0xe010_0000,
];

/// Eight bytes an operation: an access to the private bus, a line, time, or a state that is saved and restored.
pub fn cpu_registers(data: &[u8]) {
    let mut code = Vec::new();
    for access in ACCESSES {
        code.extend([access, NOP, NOP, BRANCH_TO_SELF].map(u16::to_le_bytes).concat());
    }
    // Handlers return at once.
    let mut cpu = Cpu::new(&0x4770u16.to_le_bytes(), false, |_| CODE);
    cpu.bus.load(STUBS, &code);
    for [kind, page, o0, o1, value @ ..] in data.as_chunks::<8>().0 {
        let value = u32::from_le_bytes(*value);
        match kind & 0xf {
            0..=11 => {
                // Most registers are in the first page; its first half is the busy one.
                let base = PAGES[usize::from(page.saturating_sub(0xc0)) % PAGES.len()];
                let offset = u32::from(u16::from_le_bytes([*o0, *o1]) & 0xfff);
                let stub = u32::from(*kind) % ACCESSES.len() as u32;
                cpu.engine.set_register("r0", base + offset);
                cpu.engine.set_register("r1", value);
                cpu.engine.set_register("pc", STUBS + stub * 8);
                let end = cpu.cycles() + 6;
                cpu.run_to(end, |_| 6);
            }
            12 => cpu
                .bus
                .line(if *page == 0xff { NMI_LINE } else { u32::from(*page) }, o0 & 1 != 0),
            13 => {
                let end = cpu.cycles() + u64::from(value & 0x1ff);
                cpu.run_to(end, |_| u64::from(*page) + 1);
            }
            14 => {
                let until = cpu.cycles() + u64::from(value);
                cpu.bus.sleep_until(until);
            }
            _ if *page == 0 => cpu.engine.reset(&mut cpu.bus),
            _ => cpu.reload(),
        }
    }
}
