//! Whatever the guest does, the engine neither panics nor overruns: random code, random registers, random system registers.

use proptest::prelude::*;
use southbridge_cpu_armv7m::{Bus, CORTEX_M3, Config, Engine, Exit, FlatBus, REGISTERS, State};

const CODE: u32 = 0x2000_1000;

fn machine(code: &[u16], vectors: u32) -> (Engine<FlatBus>, FlatBus) {
    let mut bus = FlatBus::new();
    bus.add(0, 0x1000, true);
    bus.add(0x2000_0000, 0x8000, false);
    bus.tap(0x4000_0000, 1);
    bus.load(0, &0x2000_4000u32.to_le_bytes());
    for n in 1..64 {
        bus.load(4 * n, &vectors.wrapping_add((n * 8) & 0x7f).to_le_bytes());
    }
    let bytes: Vec<u8> = code.iter().flat_map(|h| h.to_le_bytes()).collect();
    bus.load(CODE, &bytes);
    let mut engine = Engine::new(Config::new(&CORTEX_M3, 40));
    engine.set_jit(super::options()).expect("a compiler for this host");
    engine.reset(&mut bus);
    (engine, bus)
}

/// Runs `total` instructions in slices; lockup and reset end it, sleep is left by a line.
fn drive(engine: &mut Engine<FlatBus>, bus: &mut FlatBus, total: u64, slice: u64) {
    let end = bus.cycles() + total;
    let mut turns = 0;
    while bus.cycles() < end && turns < 10_000 {
        turns += 1;
        let budget = slice.min(end - bus.cycles());
        let before = bus.cycles();
        let exit = engine.run(bus, budget);
        assert!(bus.cycles() - before <= budget, "overran");
        match exit {
            Exit::Budget => {}
            Exit::Idle { until } => {
                bus.sleep_until(until.unwrap_or(0).clamp(bus.cycles() + 1, bus.cycles() + 1000));
                bus.line(turns % 40, turns % 3 != 0);
            }
            Exit::Reset => engine.reset(bus),
            _ => return,
        }
    }
}

fn interesting() -> impl Strategy<Value = u32> {
    prop_oneof![
        any::<u32>(),
        (0u32..0x8000).prop_map(|n| 0x2000_0000 + n),
        (0u32..0x100).prop_map(|n| CODE + n),
        (0u32..0x1000).prop_map(|n| 0xe000_e000 + n),
        (0u32..16).prop_map(|n| 0xffff_fff0 + n),
        prop::sample::select(vec![
            0,
            0x4000_0000,
            0x2200_0000,
            0x2200_8004,
            0xe000_1000,
            0xe004_0000,
            0xe00f_f000,
            0x1000
        ]),
    ]
}

/// Halfwords that are likely to decode to something.
fn code() -> impl Strategy<Value = Vec<u16>> {
    let half = prop_oneof![4 => any::<u16>(), 1 => 0x4000u16..0xe000, 2 => 0xe800u16.., 1 => 0xbf00u16..0xc000];
    prop::collection::vec(half, 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if super::options().is_some() { 600 } else { 3000 }))]

    #[test]
    fn random_code(code in code(), regs in prop::collection::vec(interesting(), REGISTERS.len()), vectors in interesting(), slice in 1u64..50) {
        let (mut engine, mut bus) = machine(&code, vectors);
        for (name, v) in REGISTERS.iter().zip(regs) {
            engine.set_register(name, v);
        }
        engine.set_register("pc", CODE);
        drive(&mut engine, &mut bus, 400, slice);
    }

    /// Code that stores random words all over the system registers, then lets interrupts come.
    #[test]
    fn random_system_registers(writes in prop::collection::vec((0u32..0x1000, any::<u32>()), 1..40), vectors in interesting()) {
        // ldr r0, [r2], #4; ldr r1, [r2], #4; str r1, [r0]; b .-10
        let (mut engine, mut bus) = machine(&[0xf852, 0x0b04, 0xf852, 0x1b04, 0x6001, 0xe7f9], vectors);
        for (i, (offset, value)) in (0u32..).zip(writes) {
            bus.load(0x2000_2000 + 8 * i, &(0xe000_e000 + (offset & !3)).to_le_bytes());
            bus.load(0x2000_2004 + 8 * i, &value.to_le_bytes());
        }
        engine.set_register("r2", 0x2000_2000);
        engine.set_register("pc", CODE);
        drive(&mut engine, &mut bus, 600, 37);
    }

    /// Cutting a run anywhere gives the same state as not cutting it, whatever the code.
    #[test]
    fn slicing_random_code(code in code(), regs in prop::collection::vec(interesting(), 15), slice in 1u64..9) {
        let run = |slice: u64| {
            let (mut engine, mut bus) = machine(&code, CODE | 1);
            for (name, v) in REGISTERS.iter().zip(&regs) {
                engine.set_register(name, *v);
            }
            engine.set_register("sp", 0x2000_6000);
            engine.set_register("pc", CODE);
            let mut left = 150;
            while left > 0 {
                let before = bus.cycles();
                if engine.run(&mut bus, slice.min(left)) != Exit::Budget {
                    break;
                }
                left -= bus.cycles() - before;
            }
            (serde_json::to_string(engine.state()).expect("data"), bus.cycles(), bus.stores)
        };
        prop_assert_eq!(run(slice), run(1_000));
    }

    /// A state from outside is data like any other.
    #[test]
    fn hostile_state(code in code(), noise in prop::collection::vec((any::<u32>(), any::<prop::sample::Index>()), 1..20)) {
        let (mut engine, mut bus) = machine(&code, CODE | 1);
        let text = serde_json::to_string(engine.state()).expect("data");
        // Replaces some of the numbers in the saved form.
        let mut parts: Vec<String> = text.split_inclusive(|c: char| !c.is_ascii_digit()).map(str::to_owned).collect();
        for (value, at) in noise {
            let i = at.index(parts.len());
            let p = &mut parts[i];
            if p.starts_with(|c: char| c.is_ascii_digit()) {
                let tail = p.trim_start_matches(|c: char| c.is_ascii_digit()).to_owned();
                *p = format!("{}{tail}", if value & 1 == 0 { value } else { value & 0xff });
            }
        }
        let Ok(state) = serde_json::from_str::<State>(&parts.concat()) else { return Ok(()) };
        engine.set_state(state);
        drive(&mut engine, &mut bus, 300, 40);
    }
}
