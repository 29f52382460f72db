//! A compiler that makes mistakes is caught.

use southbridge_core::memory::{Mapping, RamBlock, Target};
use southbridge_core::{ClockRate, System};
use southbridge_cpu_jit::ir::{Binary, Op, Region};
use southbridge_cpu_jit::{Options, is_available};

use crate::block::key;
use crate::engine::{Engine, Exit};
use crate::lift::Seen;
use crate::variant::{CORTEX_M3, Config};

const RAM: u32 = 0x2000_0000;
const CODE: u32 = RAM + 0x1000;

/// 0: adds r0, r0, #3; eors r1, r0; str r1, [r2, #4]; cmp r0, #9; it hi; movhi r3, r1; ldr r4, [r2, #4]; push {r3, r4}; pop {r5, r6}; b 0
#[rustfmt::skip]
const PROGRAM: [u16; 10] = [0x3003, 0x4041, 0x6051, 0x2809, 0xbf88, 0x460b, 0x6854, 0xb418, 0xbc60, 0xe7f5];

fn machine() -> (Engine<System>, System) {
    let mut sys = System::new(ClockRate::Hz(25_000_000)).expect("a system");
    sys.set_cpu_count(1);
    let block = RamBlock::new("ram", 0x4000).expect("memory");
    sys.memory.map(Mapping {
        start: RAM.into(),
        len: 0x4000,
        priority: 0,
        name: "ram".into(),
        target: Target::Ram {
            block,
            offset: 0,
            readonly: false,
        },
    });
    let bytes: Vec<u8> = PROGRAM.iter().flat_map(|h| h.to_le_bytes()).collect();
    sys.write_bytes(CODE.into(), &bytes).expect("RAM");
    let mut engine = Engine::new(Config::new(&CORTEX_M3, 8));
    engine.core.s.lockup = false;
    for (name, v) in [("pc", CODE), ("r2", RAM), ("sp", RAM + 0x800), ("r1", 0x1234_5678)] {
        engine.set_register(name, v);
    }
    (engine, sys)
}

/// Runs the program in checking mode with what `change` makes of its region; how it ended.
fn checked(change: impl Fn(&mut Region)) -> (Exit, String) {
    let (mut engine, mut sys) = machine();
    let options = Options {
        threads: 0,
        hot: 1_000_000,
        check: true,
        ..Default::default()
    };
    engine.set_jit(Some(options)).expect("a compiler for this host");
    assert_eq!(engine.run(&mut sys, 100), Exit::Budget);
    let Engine { core, cache, .. } = &mut engine;
    let id = cache.known(key(CODE, 0)).expect("it was executed");
    let seen = Seen {
        windows: &core.windows,
        regs: core.s.regs,
        fixed: true,
        is_plain: &|_| false,
        learned: &std::collections::HashMap::new(),
        check: true,
    };
    let mut lifted = crate::lift::region(cache, id, &mut core.calls, seen).expect("a region");
    change(&mut lifted.region);
    let mut fast = cache.fast.take().expect("a compiler");
    let code = fast
        .submit(lifted.region, lifted.members, vec![(id, CODE)], 0)
        .expect("there is room");
    cache.get(id).code.set(Some((code.expect("compiled at once"), 0)));
    cache.fast = Some(fast);
    let before = sys.clock.executed();
    let exit = engine.run(&mut sys, 100_000);
    assert!(exit != Exit::Budget || sys.clock.executed() == before + 100_000);
    (exit, engine.difference().to_owned())
}

fn each_op(region: &mut Region, f: impl Fn(&mut Op)) {
    region.blocks.iter_mut().flat_map(|b| &mut b.ops).for_each(f);
}

#[test]
fn what_is_right_passes() {
    if is_available().is_err() {
        return;
    }
    let (exit, text) = checked(|_| {});
    assert_eq!((exit, text.as_str()), (Exit::Budget, ""));
}

#[test]
fn a_wrong_register_is_caught() {
    if is_available().is_err() {
        return;
    }
    let (exit, text) = checked(|region| {
        each_op(region, |op| {
            if let Op::Binary(Binary::Xor, a, b) = *op {
                *op = Op::Binary(Binary::Or, a, b);
            }
        });
    });
    assert_eq!(exit, Exit::Differs);
    let line = |name: &str| {
        text.lines()
            .find(|l| l.contains(&format!(" {name}  ")))
            .unwrap_or_default()
    };
    assert!(line("r1").starts_with('*') && line("r0").starts_with(' '), "{text}");
    assert!(text.contains("from 0x20001000"), "{text}");
}

#[test]
fn a_wrong_store_is_caught() {
    if is_available().is_err() {
        return;
    }
    let (exit, text) = checked(|region| {
        each_op(region, |op| {
            if let Op::Store { address, value, .. } = op {
                *value = *address;
            }
        });
    });
    assert_eq!(exit, Exit::Differs);
    assert!(text.lines().any(|l| l.starts_with("* [0x20000004]")), "{text}");
}

#[test]
fn wrong_flags_and_a_wrong_count_are_caught() {
    if is_available().is_err() {
        return;
    }
    let (exit, text) = checked(|region| {
        each_op(region, |op| {
            // What is compared with what.
            if let Op::Set(register @ (16 | 17), _) = op {
                *register = 33 - *register;
            }
        });
    });
    assert_eq!(exit, Exit::Differs);
    assert!(text.lines().any(|l| l.starts_with("*         apsr")), "{text}");
    let (exit, text) = checked(|region| region.blocks[0].count += 1);
    assert_eq!(exit, Exit::Differs);
    assert!(text.lines().any(|l| l.starts_with('*')), "{text}");
}
