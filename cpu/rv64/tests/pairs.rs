//! Blocks and pairs of instructions are nothing that a guest could tell: many instructions in one run do what they do one by one.

mod common;

use common::{RAM, config, machine, program};
use proptest::prelude::*;
use southbridge_core::cpu::RegisterValue;

/// `csrr x31, mepc; addi x31, x31, 4; csrw mepc, x31; mret`: goes on behind what trapped.
const HANDLER: [u32; 4] = [0x3410_2ff3, 0x004f_8f93, 0x341f_9073, 0x3020_0073];
const CODE: u64 = RAM + 0x100;
const STEPS: u64 = 400;
/// Those that `instruction` likes, and some others.
const NAMES: [&str; 12] = ["ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "s11"];

/// Instructions of compiled code: major opcodes of the base, everything else as it comes.
fn instruction() -> impl Strategy<Value = u32> {
    let opcodes = prop::sample::select(vec![
        0x13, 0x33, 0x1b, 0x3b, 0x03, 0x23, 0x37, 0x17, 0x13, 0x03, 0x23, 0x63, 0x67,
    ]);
    (any::<u32>(), opcodes, any::<bool>()).prop_map(|(bits, opcode, plain)| {
        // Mostly the operations without bits in funct7, with registers of a few.
        let bits = if plain {
            bits & 0x01f7_ffff & !(3 << 18) & !(3 << 10)
        } else {
            bits
        };
        bits & !0x7f | opcode
    })
}

/// All registers after the steps, in runs of these many.
fn after(words: &[u32], registers: &[u64], runs: &[u64]) -> Vec<RegisterValue> {
    let mut m = machine(config());
    let mut all = HANDLER.to_vec();
    all.resize(((CODE - RAM) / 4) as usize, 0x13);
    all.extend(words);
    // Around again.
    all.push(0x0000_0013);
    all.push(
        0x0000_006f | (0u32.wrapping_sub(4 * (words.len() as u32 + 1)) & 0x7fe) << 20 | 0xff << 12 | 1 << 20 | 1 << 31,
    );
    program(&mut m, &all);
    m.reset();
    let cpu = &mut m.cpus[0];
    cpu.set_register("mtvec", RAM);
    cpu.set_register("pc", CODE);
    for (name, v) in NAMES.iter().zip(registers) {
        assert!(cpu.set_register(name, *v));
    }
    let mut left = STEPS;
    for n in runs.iter().cycle() {
        let n = (*n).min(left);
        cpu.run(&mut m.sys, n);
        left -= n;
        if left == 0 {
            break;
        }
    }
    assert_eq!(m.sys.clock.executed(), STEPS);
    cpu.registers()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn many_at_once_are_the_same_as_one_by_one(
        words in prop::collection::vec(instruction(), 1..60),
        registers in prop::collection::vec(prop_oneof![RAM..RAM + 0x10000, any::<u64>()], NAMES.len()),
        runs in prop::collection::vec(1..50u64, 1..8),
    ) {
        let one_by_one = after(&words, &registers, &[1]);
        prop_assert_eq!(&after(&words, &registers, &[STEPS]), &one_by_one);
        prop_assert_eq!(&after(&words, &registers, &runs), &one_by_one);
    }
}
