//! Instructions per second of the interpreter on a CoreMark-class program, on a machine's real address space:
//! `cargo run --release -p southbridge-cpu-rv64 --example mips [jit] [sv39]`: with compiled code; in S-mode under Sv39.

use southbridge_core::cpu::{Cpu, Exit};
use southbridge_core::memory::{Mapping, RamBlock, Target};
use southbridge_core::{ClockRate, CpuId, System};
use southbridge_cpu_rv64::{Config, Rv64};
use std::time::Instant;

const RAM: u64 = 0x8000_0000;
const ROOT: u64 = RAM + 0x20_0000;
const SATP: u16 = 0x180;
/// V, R, W, X, A, D.
const LEAF: u64 = 0xcf;

fn main() -> std::io::Result<()> {
    // A program of more rounds than the one that is built in: see build.sh.
    let image = match std::env::args().find_map(|a| a.strip_prefix("file=").map(std::fs::read)) {
        Some(file) => file?,
        None => include_bytes!("coremark_like.bin").to_vec(),
    };
    let translated = std::env::args().any(|a| a == "sv39");
    for _ in 0..3 {
        let mut sys = System::new(ClockRate::Hz(1_000_000_000))?;
        sys.set_cpu_count(1);
        let block = RamBlock::new("ram", 4 << 20)?;
        assert!(block.write(0, &image));
        // One leaf of 1 GiB maps all of RAM onto itself.
        assert!(block.write(ROOT - RAM + 2 * 8, &(RAM >> 12 << 10 | LEAF).to_le_bytes()));
        let target = Target::Ram {
            block,
            offset: 0,
            readonly: false,
        };
        sys.memory.map(Mapping {
            start: RAM,
            len: 4 << 20,
            priority: 0,
            name: "ram".into(),
            target,
        });
        let mut cpu = Rv64::new(Config {
            reset_pc: RAM,
            pmp: if translated { 0 } else { 16 },
            ..Config::new(CpuId(0), 0)
        });
        cpu.set_semihosting(true);
        if std::env::args().any(|a| a == "jit") {
            cpu.set_jit(Some(southbridge_cpu_rv64::jit::Options::default()))
                .expect("a compiler for this host");
        }
        cpu.reset(&mut sys);
        if translated {
            cpu.start(RAM, 0, 0);
            assert!(cpu.set_csr(SATP, 8 << 60 | ROOT >> 12, &mut sys));
        }
        let start = Instant::now();
        let exit = loop {
            match cpu.run(&mut sys, 1_000_000) {
                Exit::Budget => {}
                exit => break exit,
            }
        };
        let seconds = start.elapsed().as_secs_f64();
        let n = sys.clock.executed();
        let Exit::Semihosting { arg, .. } = exit else {
            panic!("stopped with {exit:?} at {:#x}", cpu.pc())
        };
        println!(
            "checksum {arg:#06x}, {n} instructions in {seconds:.3} s: {:.1} million/s",
            n as f64 / seconds / 1e6
        );
        if let Some(numbers) = cpu.jit_statistics() {
            println!("{numbers:?}");
        }
    }
    Ok(())
}
