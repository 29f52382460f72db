//! Instructions per second of the interpreter on a CoreMark-class program: `cargo run --release -p southbridge-cpu-armv7m --example mips`.

use southbridge_cpu_armv7m::{Bus, CORTEX_M3, Config, Engine, Exit, FlatBus};
use std::time::Instant;

fn main() {
    let image = include_bytes!("coremark_like.bin");
    for _ in 0..3 {
        let mut bus = FlatBus::new();
        bus.add(0, 0x4_0000, true);
        bus.add(0x2000_0000, 0x1_0000, false);
        assert!(bus.load(0, image));
        let mut engine = Engine::new(Config::new(&CORTEX_M3, 32));
        engine.set_semihosting(true);
        engine.reset(&mut bus);
        let start = Instant::now();
        let exit = engine.run(&mut bus, u64::MAX / 2);
        let seconds = start.elapsed().as_secs_f64();
        let n = bus.cycles();
        let Exit::Semihosting { arg, .. } = exit else {
            panic!("stopped with {exit:?}: {:x?}", engine.registers())
        };
        println!(
            "checksum {arg:#06x}, {n} instructions in {seconds:.3} s: {:.1} million/s",
            n as f64 / seconds / 1e6
        );
    }
}
