//! The clock as Linux's driver reads it, and its alarm.

use southbridge_core::{ClockRate, PropValue, Properties, System};
use southbridge_testing::{Bench, check_device_that_survives_reset};

use super::*;

const BASE: u64 = 1_700_000_000_123_456_789;

fn bench_with(p: Properties) -> Bench {
    let mut sys = System::new(ClockRate::Hz(1_000_000_000)).unwrap();
    sys.rtc_base_ns = BASE;
    Bench::on(sys, &TYPE, p)
}

fn bench() -> Bench {
    bench_with(Properties::default())
}

fn time(b: &mut Bench) -> u64 {
    let low = b.read32(TIME_LOW);
    u64::from(b.read32(TIME_HIGH)) << 32 | u64::from(low)
}

fn set_alarm(b: &mut Bench, at: u64) {
    b.write32(ALARM_HIGH, (at >> 32) as u32);
    b.write32(ALARM_LOW, at as u32);
}

#[test]
fn generic() {
    check_device_that_survives_reset(bench);
}

#[test]
fn it_shows_the_date_in_virtual_time() {
    let mut b = bench();
    assert_eq!(time(&mut b), BASE);
    b.advance_ns(5_000_000_000);
    assert_eq!(time(&mut b), BASE + 5_000_000_000);
    let (low, _) = (b.read32(TIME_LOW), b.advance_ns(1 << 33));
    assert_eq!(low, (BASE + 5_000_000_000) as u32);
    assert_eq!(
        b.read32(TIME_HIGH),
        ((BASE + 5_000_000_000) >> 32) as u32,
        "as of the low word"
    );
}

#[test]
fn the_guest_sets_it_and_a_reset_leaves_it() {
    let mut b = bench();
    b.write32(TIME_HIGH, 7);
    b.write32(TIME_LOW, 9);
    assert_eq!(time(&mut b), 7 << 32 | 9);
    b.advance_ns(10);
    b.sys.rtc_base_ns = 0;
    b.sys.reset();
    assert_eq!(time(&mut b), 7 << 32 | 19);
}

#[test]
fn the_alarm_rings_once() {
    let mut b = bench();
    b.write32(IRQ_ENABLED, 0xff);
    set_alarm(&mut b, BASE + 1000);
    assert_eq!((b.read32(ALARM_STATUS), b.read32(IRQ_ENABLED)), (1, 1));
    b.advance_ns(999);
    assert!(!b.line("irq", 0));
    b.advance_ns(1);
    assert_eq!((b.line("irq", 0), b.read32(ALARM_STATUS)), (true, 0));
    b.write32(CLEAR_INTERRUPT, 1);
    assert!(!b.line("irq", 0));
    b.advance_ns(1_000_000_000);
    assert!(!b.line("irq", 0));
    assert_eq!(
        u64::from(b.read32(ALARM_HIGH)) << 32 | u64::from(b.read32(ALARM_LOW)),
        BASE + 1000
    );
}

#[test]
fn an_alarm_of_the_past_rings_at_once() {
    let mut b = bench();
    set_alarm(&mut b, BASE - 1);
    assert!(!b.line("irq", 0));
    b.write32(IRQ_ENABLED, 1);
    assert!(b.line("irq", 0), "it waited for the enable bit");
}

#[test]
fn an_alarm_can_be_taken_back() {
    let mut b = bench();
    b.write32(IRQ_ENABLED, 1);
    set_alarm(&mut b, BASE + 1000);
    b.write32(CLEAR_ALARM, 1);
    assert_eq!(b.read32(ALARM_STATUS), 0);
    b.advance_ns(2000);
    assert!(!b.line("irq", 0));
}

#[test]
fn an_alarm_follows_the_clock() {
    let mut b = bench();
    b.write32(IRQ_ENABLED, 1);
    set_alarm(&mut b, 50 << 32);
    b.advance_ns(1);
    assert!(b.line("irq", 0), "long ago");
    b.write32(CLEAR_INTERRUPT, 0);
    b.write32(TIME_HIGH, 10);
    set_alarm(&mut b, 50 << 32);
    b.advance_ns(1);
    assert!(!b.line("irq", 0));
    b.write32(TIME_HIGH, 60);
    assert!(b.line("irq", 0));
}

#[test]
fn registers_in_the_other_order() {
    let mut b = bench_with(Properties::default().with("big-endian", PropValue::Bool(true)));
    b.write32(IRQ_ENABLED, 0x0100_0000);
    assert_eq!(b.read32(IRQ_ENABLED), 0x0100_0000);
    assert_eq!(b.read32(TIME_LOW), (BASE as u32).swap_bytes());
}

#[test]
fn the_date_is_saved() {
    let mut a = bench();
    a.write32(TIME_HIGH, 1);
    let saved = a.save();
    let mut b = bench();
    b.sys.with_device(b.device, |d, _| d.load(&saved)).unwrap().unwrap();
    assert_eq!(time(&mut b), time(&mut a));
}

/// A system with the clock at address 0, not switched on yet.
fn off(base: u64) -> System {
    let mut sys = System::new(ClockRate::Hz(1_000_000_000)).unwrap();
    sys.rtc_base_ns = base;
    let id = sys.add_device(&TYPE, None, Properties::default(), &[]).unwrap();
    sys.map_device(id, 0, 0, 0);
    sys
}

#[test]
fn a_run_that_is_played_again_has_the_date_of_then() {
    let mut then = off(BASE);
    then.tape.record();
    then.reset();
    let heard: Vec<_> = then.tape.entries().cloned().collect();
    let mut now = off(2 * BASE);
    let end = now.moment();
    now.tape.play(heard, end);
    now.reset();
    assert_eq!(now.read(TIME_LOW, 4), then.read(TIME_LOW, 4));
    assert_eq!(now.read(TIME_HIGH, 4), Ok(BASE >> 32));
}
