use super::TYPE;
use southbridge_core::{ClockRate, CreateError, PropValue, Properties, System};
use southbridge_testing::{Bench, check_device};

const LED0: u64 = 0x0;
const BUTTON: u64 = 0x8;
const CLK1HZ: u64 = 0x10;
const CLK100HZ: u64 = 0x14;
const COUNTER: u64 = 0x18;
const PRESCALE: u64 = 0x1c;
const PSCNTR: u64 = 0x20;
const SWITCH: u64 = 0x28;
const MISC: u64 = 0x4c;
const SECOND: u64 = 1_000_000_000;

/// PSCNTR ticks once a microsecond.
fn bench() -> Bench {
    Bench::new(
        &TYPE,
        Properties::default().with("prescale-clk", PropValue::Uint(1_000_000)),
    )
}

#[test]
fn generic() {
    check_device(bench);
    check_device(|| {
        let all = Properties::default()
            .with("num-leds", PropValue::Uint(32))
            .with("prescale-clk", PropValue::Uint(0))
            .with("has-switches", PropValue::Bool(true))
            .with("has-dbgctrl", PropValue::Bool(true));
        Bench::new(&TYPE, all)
    });
}

#[test]
fn slow_clocks_count_from_what_was_written() {
    let mut b = bench();
    b.advance_ns(3 * SECOND - 1);
    assert_eq!((b.read32(CLK1HZ), b.read32(CLK100HZ)), (2, 299));
    b.advance_ns(1);
    assert_eq!((b.read32(CLK1HZ), b.read32(CLK100HZ)), (3, 300));
    b.write32(CLK1HZ, u32::MAX);
    b.write32(CLK100HZ, 7);
    b.advance_ns(SECOND);
    assert_eq!((b.read32(CLK1HZ), b.read32(CLK100HZ)), (0, 107));
}

#[test]
fn the_counter_goes_up_each_time_the_prescaler_reloads() {
    let mut b = bench();
    b.write32(PRESCALE, 5);
    b.write32(PSCNTR, 7);
    b.write32(COUNTER, 100);
    let seen: Vec<_> = (1..=14)
        .map(|_| {
            b.advance_ns(1000);
            (b.read32(PSCNTR), b.read32(COUNTER) - 100)
        })
        .collect();
    let expected = [6, 5, 4, 3, 2, 1, 0, 5, 4, 3, 2, 1, 0, 5];
    let ups = [0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 2];
    assert_eq!(seen, expected.into_iter().zip(ups).collect::<Vec<_>>());
    b.advance_ns(6_000_000);
    assert_eq!((b.read32(PSCNTR), b.read32(COUNTER)), (5, 1102));
}

#[test]
fn without_prescale_it_counts_every_tick() {
    let mut b = bench();
    b.advance_ns(1_000_500);
    assert_eq!(b.read32(COUNTER), 1000);
    // Looking does not lose the half tick.
    b.advance_ns(500);
    assert_eq!(b.read32(COUNTER), 1001);
}

#[test]
fn leds_buttons_and_switches() {
    let mut b = bench();
    b.write32(LED0, 0xffff_fffe);
    assert_eq!((b.read32(LED0), b.line("led", 0), b.line("led", 1)), (2, false, true));
    b.set_input("button", 1, true);
    b.set_input("switch", 2, true);
    assert_eq!(
        (b.read32(BUTTON), b.read32(SWITCH)),
        (2, 0),
        "AN385 has no SWITCH register"
    );
    b.write32(MISC, 0x3ff);
    assert_eq!(b.read32(MISC), 0x3ff);
    b.sys.reset();
    assert_eq!((b.read32(BUTTON), b.read32(MISC), b.line("led", 1)), (2, 0, false));
    let mut b = Bench::new(&TYPE, Properties::default().with("has-switches", PropValue::Bool(true)));
    b.set_input("switch", 2, true);
    assert_eq!(b.read32(SWITCH), 4);
}

#[test]
fn too_many_leds_are_refused() {
    let mut sys = System::new(ClockRate::Hz(1)).expect("a system");
    let bad = Properties::default().with("num-leds", PropValue::Uint(33));
    let e = sys.add_device(&TYPE, None, bad, &[]);
    assert!(
        matches!(
            e,
            Err(CreateError::BadValue {
                property: "num-leds",
                ..
            })
        ),
        "{e:?}"
    );
}
