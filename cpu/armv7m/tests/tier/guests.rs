//! Small guest programs (assembled from `guest/*.s` by `build.sh`) that report what they see to a device; the tests know what an
//! ARMv7-M core must have reported.

use southbridge_cpu_armv7m::{Bus, CORTEX_M3, Config, Engine, Exit, FlatBus};

const TAP: u32 = 0x4000_0000;

fn machine(image: &[u8], line: u32) -> (Engine<FlatBus>, FlatBus) {
    let mut bus = FlatBus::new();
    bus.add(0, 0x4_0000, true);
    bus.add(0x2000_0000, 0x1_0000, false);
    bus.tap(TAP, line);
    assert!(bus.load(0, image));
    let mut engine = Engine::new(Config::new(&CORTEX_M3, 32));
    engine.set_semihosting(true);
    engine.set_jit(super::options()).expect("a compiler for this host");
    engine.reset(&mut bus);
    (engine, bus)
}

/// Runs to the end in slices of `slice` instructions; sleeping takes no time but SysTick's.
fn run(engine: &mut Engine<FlatBus>, bus: &mut FlatBus, mut slice: impl FnMut() -> u64) -> Exit {
    for _ in 0..100_000 {
        let (before, n) = (bus.cycles(), slice());
        let exit = engine.run(bus, n);
        assert!(bus.cycles() - before <= n, "the budget was overrun");
        match exit {
            Exit::Budget => assert_eq!(bus.cycles() - before, n),
            Exit::Idle { until: Some(at) } => bus.sleep_until(at),
            exit => return exit,
        }
    }
    panic!("no end: {:x?}", engine.registers());
}

fn reports(image: &[u8]) -> Vec<u32> {
    let (mut engine, mut bus) = machine(image, 1000);
    let exit = run(&mut engine, &mut bus, || 1_000_000);
    assert!(matches!(exit, Exit::Semihosting { .. }), "{exit:?}");
    bus.stores.iter().map(|(_, v)| *v).collect()
}

/// LR of a handler that interrupted thread mode on the main stack.
const TO_MAIN: u32 = 0xffff_fff9;
const TO_PROCESS: u32 = 0xffff_fffd;

#[test]
fn exceptions_nest_chain_and_wait_for_their_turn() {
    #[rustfmt::skip]
    let expected = [
        // Two at once: number order, and the second one chains onto the first one's frame.
        TO_MAIN, 16, 0x2000_0fd8, TO_MAIN, 17, 0x2000_0fd8, 0x1001,
        // A more urgent one preempts; ICSR shows RETTOBASE only when nothing is below.
        0x2000, 0x3000, 0x13, 0x812, 0x2001, 0x1002,
        // One priority group: no preemption, the pending one shows in ICSR.
        0x2000, 0x41_3812, 0x2001, 0x3000, 0x813, 0x1003,
        0x1004, 0x3000, 0x41_2813, 0x2000, 0x812, 0x2001, 0x1005,
        // BASEPRI, and BASEPRI_MAX which only raises.
        0x3000, 0x41_2813, 0x1006, 0x40, 0x2000, 0x41_0812, 0x2001, TO_MAIN, 16, 0x2000_0fe0, 0x1007,
        // FAULTMASK.
        0x1008, TO_MAIN, 16, 0x2000_0fe0, 0x1009,
        // PendSV after SVC.
        0x5000, 7, 0x4000, 0x5000, 0x100a,
    ];
    assert_eq!(reports(include_bytes!("../guest/preempt.bin")), expected);
}

#[test]
fn faults_say_what_they_are() {
    const STALE: u32 = 0x3000_0008;
    // Handler (by exception number), CFSR, HFSR, BFAR, stacked ITSTATE.
    #[rustfmt::skip]
    let expected = [
        0xf3, 0x8200, 0x4000_0000, 0x3000_0000, 0, // everything off: HardFault, FORCED
        0xf5, 0x8200, 0, 0x3000_0004, 0,
        0xf5, 0x8200, 0, 0x3000_0008, 0,
        0xf6, 0x1_0000, 0, STALE, 0, // UNDEFINSTR
        0xf6, 0x8_0000, 0, STALE, 0, // NOCP
        0xf6, 0x100_0000, 0, STALE, 0, // UNALIGNED
        0xf6, 0x200_0000, 0, STALE, 0, // DIVBYZERO
        0, // quotient without the trap
        0xf6, 0x100_0000, 0, STALE, 0, // LDRD
        0xf6, 0x100_0000, 0, STALE, 0, // LDM
        0xf6, 0x100_0000, 0, STALE, 0, // LDREX
        0xf5, 0x100, 0, STALE, 0, // IBUSERR
        0xf4, 1, 0, STALE, 0, // IACCVIOL
        0xf6, 0x2_0000, 0, STALE, 0, // INVSTATE
        0xf5, 0x8200, 0, 0x3000_0000, 0xc00, 2, // third of ITETE
    ];
    assert_eq!(reports(include_bytes!("../guest/faults.bin")), expected);
}

#[test]
fn threads_have_their_stack_and_no_privilege() {
    #[rustfmt::skip]
    let expected = [
        0x2000_0804, TO_PROCESS, 0x2000_07e0, 1, 0x0100_0200, // aligned, and the frame says so
        0x2000_0804, 0x99, 3,
        TO_PROCESS, 0x2000_07e0, 2, 0, 2,
        0xf5, 0x8200, 0xe000_ed00, // the SCS is for the privileged
        TO_PROCESS, 0x2000_07e0, 2,
        TO_PROCESS, 0x2000_07e0, 3, 0xf6, 0x4_0000, 0xffff_fff3, // INVPC
        0x77,
    ];
    assert_eq!(reports(include_bytes!("../guest/threads.bin")), expected);
}

#[test]
fn timers_and_sleep() {
    #[rustfmt::skip]
    let expected = [
        1, 0x200, 0x200, 0x200, 0x1_0007, 7, 0x200, 0x100,
        0x101, 0x102, 0x103, // WFE
        0x200, 0x200, 0x200, 0x200, 0x200, 0x104, // SLEEPONEXIT
    ];
    assert_eq!(reports(include_bytes!("../guest/timer.bin")), expected);
}

#[test]
fn systick_fires_at_its_cycle() {
    let (mut engine, mut bus) = machine(include_bytes!("../guest/timer.bin"), 1000);
    run(&mut engine, &mut bus, || 1_000_000);
    let ticks: Vec<u64> = bus
        .stores
        .iter()
        .filter(|(_, v)| *v == 0x200)
        .map(|(at, _)| *at)
        .collect();
    assert_eq!(
        [ticks[1] - ticks[0], ticks[2] - ticks[1], ticks[3] - ticks[2]],
        [100; 3]
    );
}

#[test]
fn memory_is_banded_protected_and_watched() {
    #[rustfmt::skip]
    let expected = [
        0x108, 1, 0x100, // bit-band
        0, 1, 1, 1, // exclusives
        1, 2, 3, // code that changes itself
        0xf4, 0x82, 0x2000_0440, 0x500, 0xf4, 0x82, 0x2000_2000, // MPU: a subregion, then no region
        0xf5, 0x8200, // allowed, but nothing is there
        0xf4, 1, 0x2000_2000, 0x501, // execute never (MMFAR is old)
        0x1f5, 0x1000, 0x600, // STKERR, then the interrupt
    ];
    assert_eq!(reports(include_bytes!("../guest/memory.bin")), expected);
}

#[test]
fn a_fault_in_hard_fault_locks_up_until_nmi() {
    let (mut engine, mut bus) = machine(include_bytes!("../guest/lockup.bin"), 1000);
    assert_eq!(run(&mut engine, &mut bus, || 1000), Exit::Lockup);
    assert_eq!(engine.register("pc"), Some(0xffff_fffe));
    assert_eq!(bus.stores.iter().map(|(_, v)| *v).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(engine.run(&mut bus, 1000), Exit::Lockup);
    bus.line(southbridge_cpu_armv7m::NMI_LINE, true);
    assert!(
        matches!(engine.run(&mut bus, 1000), Exit::Semihosting { .. }),
        "the NMI handler runs"
    );
    assert_eq!(bus.stores.last().map(|(_, v)| *v), Some(0xbad));
}

#[test]
fn nmi_in_lockup_without_a_stack_ends() {
    let (mut engine, mut bus) = machine(include_bytes!("../guest/lockup.bin"), 1000);
    assert_eq!(run(&mut engine, &mut bus, || 1000), Exit::Lockup);
    engine.set_register("sp", 0x3000_0000);
    bus.line(southbridge_cpu_armv7m::NMI_LINE, true);
    // The handler starts, and its own push is one fault too many.
    assert_eq!(engine.run(&mut bus, 1000), Exit::Lockup);
    assert_eq!(engine.run(&mut bus, 1000), Exit::Lockup);
}

/// What a run leaves behind.
fn outcome(engine: &Engine<FlatBus>, bus: &FlatBus) -> (String, u64, Vec<(u64, u32)>) {
    (
        serde_json::to_string(engine.state()).expect("state is data"),
        bus.cycles(),
        bus.stores.clone(),
    )
}

#[test]
fn slicing_and_saving_change_nothing() {
    let image = include_bytes!("../guest/slices.bin");
    let (mut engine, mut bus) = machine(image, 0);
    assert!(matches!(
        run(&mut engine, &mut bus, || u64::MAX / 2),
        Exit::Semihosting { .. }
    ));
    let whole = outcome(&engine, &bus);
    assert!(whole.2.len() > 10, "the device line was used");
    let mut seed = 1u64;
    for max in [1, 2, 3, 7, 50, 300] {
        let (mut engine, mut bus) = machine(image, 0);
        let exit = run(&mut engine, &mut bus, || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            1 + (seed >> 33) % max
        });
        assert!(matches!(exit, Exit::Semihosting { .. }));
        assert_eq!(outcome(&engine, &bus), whole, "slices of up to {max}");
    }
    // Saved at some instruction, restored into a core that has seen nothing.
    for at in [100, 777, 1234, 3001] {
        let (mut engine, mut bus) = machine(image, 0);
        assert_eq!(engine.run(&mut bus, at), Exit::Budget);
        let saved = serde_json::to_string(engine.state()).expect("state is data");
        let mut other = Engine::new(Config::new(&CORTEX_M3, 32));
        other.set_semihosting(true);
        other.set_state(serde_json::from_str(&saved).expect("what was saved"));
        run(&mut other, &mut bus, || 1_000_000);
        assert_eq!(outcome(&other, &bus), whole, "saved at {at}");
    }
}

#[test]
fn breakpoints_stop_before_their_instruction_and_are_passed_once() {
    let (mut engine, mut bus) = machine(include_bytes!("../guest/slices.bin"), 1000);
    engine.run(&mut bus, 100);
    let at = engine.register("pc").expect("pc");
    let cycles = bus.cycles();
    engine.set_breakpoint(at, true);
    assert_eq!(engine.run(&mut bus, 1000), Exit::Breakpoint);
    assert_eq!(bus.cycles(), cycles);
    assert_eq!(engine.run(&mut bus, 1000), Exit::Breakpoint, "around the loop");
    assert!(bus.cycles() > cycles);
    engine.set_breakpoint(at, false);
    assert_eq!(engine.run(&mut bus, 10), Exit::Budget);
}

#[test]
fn a_compiled_program_gets_its_result() {
    // The same C compiled for and run on the host gives this checksum.
    let (mut engine, mut bus) = machine(include_bytes!("../../examples/coremark_like.bin"), 1000);
    let exit = run(&mut engine, &mut bus, || 10_000_000);
    assert_eq!(exit, Exit::Semihosting { op: 0x18, arg: 0x8fa9 });
}
