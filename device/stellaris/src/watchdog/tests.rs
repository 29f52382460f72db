use super::TYPE;
use super::regs::*;
use southbridge_core::Properties;
use southbridge_core::system::{Requests, WatchdogPolicy};
use southbridge_testing::{Bench, check_device, probe};

/// On the bench, the clock has a period of 1 µs.
fn bench() -> Bench {
    Bench::new(&TYPE, Properties::default())
}

const US: u64 = 1000;

#[test]
fn general() {
    check_device(bench);
}

#[test]
fn identification() {
    let mut b = bench();
    let id: Vec<u32> = (0..12).map(|i| b.read32(PERIPH_ID4 + 4 * i)).collect();
    assert_eq!(id, [0, 0, 0, 0, 0x05, 0x18, 0x18, 0x01, 0x0d, 0xf0, 0x05, 0xb1]);
    assert_eq!((b.read32(LOAD), b.read32(VALUE)), (u32::MAX, u32::MAX));
}

#[test]
fn the_first_time_out_interrupts_and_the_second_resets() {
    let mut b = bench();
    let reset = probe(&mut b, "reset", 0);
    b.write32(LOAD, 100);
    b.write32(CTL, CTL_INTEN | CTL_RESEN);
    b.advance_ns(99 * US);
    assert_eq!(b.read32(VALUE), 1);
    assert!(!b.line("irq", 0));
    b.advance_ns(US);
    assert!(b.line("irq", 0));
    assert_eq!((b.read32(RIS), b.read32(MIS)), (1, 1));
    b.advance_ns(100 * US);
    assert!(!b.sys.requests.contains(Requests::RESET));
    b.advance_ns(US);
    assert!(b.sys.requests.contains(Requests::RESET));
    assert_eq!(reset.take(&mut b.sys).len(), 2, "one pulse");
}

#[test]
fn feeding_keeps_the_system_alive() {
    let mut b = bench();
    b.write32(LOAD, 100);
    b.write32(CTL, CTL_INTEN | CTL_RESEN);
    for _ in 0..50 {
        b.advance_ns(100 * US);
        assert!(b.line("irq", 0));
        b.write32(ICR, 0);
        assert!(!b.line("irq", 0));
    }
    assert!(!b.sys.requests.contains(Requests::RESET));
}

#[test]
fn without_the_reset_enabled_it_only_interrupts() {
    let mut b = bench();
    b.write32(LOAD, 10);
    b.write32(CTL, CTL_INTEN);
    b.advance_ns(1000 * US);
    assert!(b.line("irq", 0));
    assert!(!b.sys.requests.contains(Requests::RESET));
    // The driver library enables the reset after the counter.
    b.write32(CTL, CTL_INTEN | CTL_RESEN);
    b.advance_ns(20 * US);
    assert!(b.sys.requests.contains(Requests::RESET));
}

#[test]
fn the_interrupt_cannot_be_disabled_again() {
    let mut b = bench();
    b.write32(CTL, CTL_INTEN);
    b.write32(CTL, 0);
    assert_eq!(b.read32(CTL), CTL_INTEN);
    b.sys.reset();
    assert_eq!(b.read32(CTL), 0);
}

#[test]
fn a_locked_watchdog_takes_no_writes() {
    let mut b = bench();
    b.write32(LOCK, 1);
    assert_eq!(b.read32(LOCK), 1);
    b.write32(LOAD, 5);
    b.write32(TEST, 0x100);
    assert_eq!((b.read32(LOAD), b.read32(TEST)), (u32::MAX, 0));
    b.write32(LOCK, UNLOCK);
    assert_eq!(b.read32(LOCK), 0);
    b.write32(LOAD, 5);
    b.write32(TEST, 0x1ff);
    assert_eq!((b.read32(LOAD), b.read32(VALUE), b.read32(TEST)), (5, 5, 0x100));
}

#[test]
fn what_follows_the_second_time_out_is_the_user_s_choice() {
    for (policy, asked) in [
        (WatchdogPolicy::Poweroff, Requests::SHUTDOWN),
        (WatchdogPolicy::Pause, Requests::PAUSE),
        (WatchdogPolicy::Ignore, Requests::empty()),
    ] {
        let mut b = bench();
        let reset = probe(&mut b, "reset", 0);
        b.sys.watchdog = policy;
        b.write32(LOAD, 100);
        b.write32(CTL, CTL_INTEN | CTL_RESEN);
        b.advance_ns(201 * US);
        assert_eq!(b.sys.requests, asked, "{policy:?}");
        assert!(reset.take(&mut b.sys).is_empty(), "no cause of a reset to note");
    }
}
