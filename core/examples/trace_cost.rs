//! What tracing costs one register access: switched off, on for something else, and on:
//! `cargo run --release -p southbridge-core --example trace_cost`.

use southbridge_core::inject::{FaultAction, FaultKind, FaultRule};
use southbridge_core::trace::{Record, Sink};
use southbridge_core::{
    Access, ClockRate, Ctx, Device, DeviceType, LoadError, Mmio, Properties, Region, Register, ResetPhase, SavedState,
    System, role,
};
use std::hint::black_box;
use std::time::Instant;

struct Counter(u64);

impl Mmio for Counter {
    fn read(&mut self, _: Access, _: &mut Ctx<'_>) -> u64 {
        self.0
    }
    fn write(&mut self, _: Access, value: u64, cx: &mut Ctx<'_>) {
        self.0 = value;
        cx.set_line(0, value & 1 != 0);
    }
}

impl Device for Counter {
    fn reset(&mut self, _: ResetPhase, _: &mut Ctx<'_>) {}
    fn save(&self) -> SavedState {
        SavedState::of(1, &())
    }
    fn load(&mut self, _: &SavedState) -> Result<(), LoadError> {
        Ok(())
    }
}

static TYPE: DeviceType = DeviceType {
    name: "counter",
    summary: "a register",
    regions: &[Region::mmio32("regs", 4, &[Register::rw(0, "VALUE")])],
    lines: &[southbridge_core::Line::out("odd")],
    roles: &[role!(Counter as dyn Mmio)],
    create: |_, _| Ok(Box::new(Counter(0))),
    ..DeviceType::BASE
};

/// Takes records and does nothing.
struct Nowhere;

impl Sink for Nowhere {
    fn record(&mut self, record: &Record<'_>) {
        black_box(record.values.len());
    }
}

fn main() -> std::io::Result<()> {
    let mut sys = System::new(ClockRate::Hz(25_000_000))?;
    sys.trace.add_sink(Box::new(Nowhere));
    let Ok(device) = sys.add_device(&TYPE, None, Properties::default(), &[]) else {
        return Err(std::io::ErrorKind::Other.into());
    };
    sys.map_device(device, 0, 0x4000_0000, 0);
    for _ in 0..3 {
        report(&mut sys, "all off");
        sys.trace_enable("cpu_*", true);
        report(&mut sys, "cpu_* on");
        sys.trace_enable("mmio_*", true);
        report(&mut sys, "mmio_* on, to a sink that does nothing");
        sys.trace_enable("*", false);
        let _ = sys.add_fault(FaultRule::new("f", FaultKind::Timer, FaultAction::Drop));
        report(&mut sys, "a fault rule for timers");
        sys.remove_fault("f");
    }
    Ok(())
}

fn report(sys: &mut System, what: &str) {
    const N: u64 = 2_000_000;
    let start = Instant::now();
    for i in 0..N {
        let _ = black_box(sys.write(black_box(0x4000_0000), 4, i));
    }
    let ns = start.elapsed().as_secs_f64() * 1e9 / N as f64;
    println!("{ns:7.1} ns a write   {what}");
}
