//! Guest code, IR and host code side by side, as text that is kept.

use southbridge_core::cpu::Cpu;
use southbridge_core::memory::{Mapping, RamBlock, Target};
use southbridge_core::{ClockRate, CpuId, System};
use southbridge_cpu_jit::show;
use std::fmt::Write;

use crate::{Config, Rv64};

const RAM: u64 = 0x8000_0000;

/// The region that begins where a program does, after it ran for so many instructions.
fn region(program: &[u32], instructions: u64) -> String {
    let mut sys = System::new(ClockRate::Hz(1_000_000_000)).expect("a system");
    sys.set_cpu_count(1);
    let block = RamBlock::new("ram", 1 << 20).expect("memory");
    let code: Vec<u8> = program.iter().flat_map(|w| w.to_le_bytes()).collect();
    assert!(block.write(0, &code));
    let target = Target::Ram {
        block,
        offset: 0,
        readonly: false,
    };
    sys.memory.map(Mapping {
        start: RAM,
        len: 1 << 20,
        priority: 0,
        name: "ram".into(),
        target,
    });
    let mut cpu = Rv64::new(Config {
        reset_pc: RAM,
        ..Config::max(CpuId(0), 0)
    });
    cpu.reset(&mut sys);
    cpu.run(&mut sys, instructions);
    let cache = &cpu.engine.cache;
    let first = cache.known(RAM).expect("the program was decoded");
    let (region, members) = crate::lift::region(cache, &|_| true, first, &mut Vec::new()).expect("a region");
    let mut out = String::new();
    for id in members {
        let block = cache.get(id);
        for i in 0..block.count as usize {
            let raw = block.raw(i);
            let text = crate::disasm::at(0, &raw.to_le_bytes()).map_or_else(String::new, |(_, text)| text);
            let _ = writeln!(
                out,
                "{:+5}  {text}",
                block.even_key().unwrap_or(0).wrapping_sub(RAM) + block.at(i)
            );
        }
    }
    let [ir, host] = show(&crate::fast::layout(false), &region).expect("a compiler");
    let _ = write!(out, "\n{ir}");
    if cfg!(target_arch = "x86_64") {
        let _ = write!(out, "\n{host}");
    }
    out
}

#[test]
fn a_loop_stays_in_registers() {
    // addi a0, a0, 1; bne a0, a1, -4; ret
    insta::assert_snapshot!(region(&[0x0015_0513, 0xfeb5_1ee3, 0x0000_8067], 6));
}

#[test]
fn memory_is_a_few_instructions() {
    // ld a1, 8(a0); sw a1, 4(a0); j 0
    insta::assert_snapshot!(region(&[0x0085_3583, 0x00b5_2223, 0xff9f_f06f], 6));
}
