//! Instructions per second on a CoreMark-class program, on a machine's real address space:
//! `cargo run --release -p southbridge-cpu-armv7m --example armv7m-mips [jit] [perf] [show=0x…]`: interpreted, or with
//! compiled code; names for `perf`; what became of the code at an address.

use southbridge_core::cpu::{Cpu, Exit};
use southbridge_core::memory::{Mapping, RamBlock, Target};
use southbridge_core::{ClockRate, System};
use southbridge_cpu_armv7m::{CORTEX_M3, Config, CortexM};
use std::time::Instant;

/// What this thread has had of the processor, on a host that counts it.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = text.split(' ').next().and_then(|n| n.parse::<f64>().ok());
    first.unwrap_or(0.0) / 1e9
}

fn main() -> std::io::Result<()> {
    let image = include_bytes!("coremark_like.bin");
    for _ in 0..3 {
        let mut sys = System::new(ClockRate::Hz(25_000_000))?;
        sys.set_cpu_count(1);
        for (name, start, len, readonly) in [("rom", 0, 0x4_0000, true), ("ram", 0x2000_0000, 0x1_0000, false)] {
            let block = RamBlock::new(name, len)?;
            if readonly {
                assert!(block.write(0, image));
            }
            let target = Target::Ram {
                block,
                offset: 0,
                readonly,
            };
            sys.memory.map(Mapping {
                start,
                len,
                priority: 0,
                name: name.into(),
                target,
            });
        }
        let mut cpu = CortexM::new(Config::new(&CORTEX_M3, 32));
        cpu.set_semihosting(true);
        if std::env::args().any(|a| a == "jit") {
            cpu.set_jit(Some(southbridge_cpu_armv7m::jit::Options {
                perf_map: std::env::args().any(|a| a == "perf"),
                ..Default::default()
            }))
            .expect("a compiler for this host");
        }
        cpu.reset(&mut sys);
        let (entry, stack) = (cpu.pc(), cpu.engine().register("sp").unwrap_or(0));
        // Many times over, so that it shows how fast code runs and not how fast it is made.
        let mut result = 0;
        let (mut start, mut before, mut cpu_before) = (Instant::now(), 0, 0.0);
        for i in 0..40 {
            if i == 20 {
                (start, before, cpu_before) = (Instant::now(), sys.clock.executed(), cpu_seconds());
            }
            assert!(cpu.set_register("pc", entry) && cpu.set_register("sp", stack.into()));
            result = loop {
                match cpu.run(&mut sys, 1_000_000) {
                    Exit::Budget => {}
                    Exit::Semihosting { arg, .. } => break arg,
                    exit => panic!("stopped with {exit:?}: {:x?}", cpu.registers()),
                }
            };
        }
        let seconds = start.elapsed().as_secs_f64();
        let n = sys.clock.executed() - before;
        let mips = |seconds: f64| n as f64 / seconds / 1e6;
        println!(
            "checksum {result:#06x}, {n} instructions in {seconds:.3} s: {:.1} million/s, {:.1} million/s of processor time",
            mips(seconds),
            mips(cpu_seconds() - cpu_before),
        );
        if std::env::args().any(|a| a == "jit") {
            println!("{}", cpu.execution().join("\n"));
            let at = std::env::args().find_map(|a| u32::from_str_radix(a.strip_prefix("show=0x")?, 16).ok());
            if let Some(text) = at.and_then(|at| cpu.engine().show_compiled(at)) {
                println!("{}", text.join("\n\n"));
            }
        }
    }
    Ok(())
}
