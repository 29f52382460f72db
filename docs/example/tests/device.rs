//! The metronome alone on a bench: the test plays the guest.

use southbridge_core::{CreateError, PropValue, Properties, Registry};
use southbridge_example::TYPE;
use southbridge_testing::{Bench, check_device, probe};

const CTRL: u64 = 0x00;
const PERIOD: u64 = 0x04;
const COUNT: u64 = 0x08;
const STATUS: u64 = 0x0c;
const ACK: u64 = 0x10;
/// A period of the bench's clocks, which run at 1 MHz.
const TICK: u64 = 1000;

// ANCHOR: generic
fn bench() -> Bench {
    Bench::new(&TYPE, Properties::default())
}

/// Reset, save and restore, damaged states, 200 random sequences of accesses and time.
#[test]
fn generic() {
    check_device(bench);
}

#[test]
fn the_table_has_no_faults() {
    let mut r = Registry::default();
    southbridge_example::register(&mut r);
    assert_eq!(r.check(), [] as [String; 0]);
}
// ANCHOR_END: generic

// ANCHOR: beats
#[test]
fn it_beats_to_the_nanosecond() {
    let mut b = bench();
    let irq = probe(&mut b, "irq", 0);
    b.write32(PERIOD, 10);
    b.write32(CTRL, 3);
    b.advance_ns(10 * TICK - 1);
    assert_eq!((b.read32(STATUS), b.line("irq", 0)), (0, false));
    b.advance_ns(1);
    assert_eq!((b.read32(STATUS), b.line("irq", 0)), (1, true));
    b.write32(ACK, 1);
    b.advance_ns(25 * TICK);
    assert_eq!(b.read32(COUNT), 3, "beats count on while one waits");
    assert_eq!(
        irq.take(&mut b.sys),
        [(10 * TICK, true), (10 * TICK, false), (20 * TICK, true)]
    );
}
// ANCHOR_END: beats

#[test]
fn a_shortest_beat_that_nobody_acknowledges_costs_nothing() {
    let mut b = bench();
    b.write32(PERIOD, 1);
    b.write32(CTRL, 3);
    b.advance_ns(TICK);
    assert!(b.line("irq", 0));
    assert_eq!(b.sys.next_deadline(), None);
    b.advance_ns(999 * TICK);
    assert_eq!(b.read32(COUNT), 1000);
}

#[test]
fn the_bus_keeps_wrong_accesses_away() {
    let mut b = bench();
    b.write32(COUNT, 7);
    assert_eq!(b.read32(COUNT), 0, "read-only");
    assert_eq!(b.read32(ACK), 0, "write-only");
    assert!(b.sys.read(1, 4).is_err(), "misaligned");
}

#[test]
fn a_clock_change_begins_a_new_beat() {
    let mut b = bench();
    b.write32(PERIOD, 10);
    b.write32(CTRL, 3);
    b.advance_ns(5 * TICK);
    let clock = b.clocks()[0];
    b.sys.set_clock_hz(clock, 2_000_000);
    b.sys.settle();
    b.advance_ns(5 * TICK - 1);
    assert!(!b.line("irq", 0));
    b.advance_ns(1);
    assert!(b.line("irq", 0));
}

#[test]
fn a_prescaler_of_zero_is_refused() {
    let sys = bench().sys;
    let properties = Properties::default().with("prescale", PropValue::Uint(0));
    match Bench::try_on(sys, &TYPE, properties) {
        Err(CreateError::BadValue {
            property: "prescale", ..
        }) => {}
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was created"),
    }
}
