use super::TYPE;
use super::regs::*;
use southbridge_core::Properties;
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
fn reset_values() {
    let mut b = bench();
    for (offset, value) in [
        (TAILR, u32::MAX),
        (TBILR, 0xffff),
        (TAMATCHR, u32::MAX),
        (TBMATCHR, 0xffff),
        (TAR, u32::MAX),
        (TBR, 0xffff),
        (CTL, 0),
    ] {
        assert_eq!(b.read32(offset), value, "at {offset:#x}");
    }
}

#[test]
fn a_32_bit_one_shot_fires_once() {
    let mut b = bench();
    b.write32(TAMR, MR_ONE_SHOT);
    b.write32(TAILR, 0x0002_0000);
    b.write32(IMR, INT_TIME_OUT);
    b.write32(CTL, 1);
    b.advance_ns(0x1_ffff * US);
    assert_eq!(b.read32(TAR), 1);
    assert!(!b.line("irq", 0));
    b.advance_ns(US);
    assert!(b.line("irq", 0));
    assert_eq!(b.read32(CTL), 0, "stopped itself");
    assert_eq!(b.read32(MIS), 1);
    b.write32(ICR, 1);
    assert!(!b.line("irq", 0));
    b.advance_ns(0x10_0000 * US);
    assert_eq!(b.read32(RIS), 0);
}

#[test]
fn a_periodic_timer_has_a_period_of_its_load_value_plus_one() {
    let mut b = bench();
    let irq = probe(&mut b, "irq", 0);
    b.write32(TAMR, MR_PERIODIC);
    b.write32(TAILR, 9);
    b.write32(IMR, INT_TIME_OUT);
    b.write32(CTL, 1);
    for _ in 0..3 {
        b.advance_ns(10 * US);
        b.write32(ICR, 1);
    }
    let ups: Vec<u64> = irq.take(&mut b.sys).iter().filter(|e| e.1).map(|e| e.0 / US).collect();
    assert_eq!(ups, [9, 19, 29]);
}

#[test]
fn two_16_bit_timers_with_prescalers_run_apart() {
    let mut b = bench();
    b.write32(CFG, CFG_16_BIT);
    b.write32(TAMR, MR_PERIODIC);
    b.write32(TBMR, MR_ONE_SHOT);
    b.write32(TAILR, 0xdead_0064);
    b.write32(TBILR, 50);
    b.write32(TAPR, 9);
    b.write32(TBPR, 1);
    b.write32(IMR, 0x101);
    b.write32(CTL, 0x101);
    assert_eq!(b.read32(TAILR), 100);
    b.advance_ns(99 * US);
    assert_eq!((b.read32(TAR), b.read32(TBR)), (91, 1));
    b.advance_ns(US);
    assert!(b.line("irq-b", 0) && !b.line("irq", 0));
    assert_eq!(b.read32(CTL), 0x001);
    b.advance_ns(899 * US);
    assert!(!b.line("irq", 0));
    b.advance_ns(US);
    assert!(b.line("irq", 0));
    assert_eq!(b.read32(RIS), 0x101);
}

#[test]
fn a_load_value_written_while_counting_is_taken_at_once() {
    let mut b = bench();
    b.write32(TAMR, MR_PERIODIC);
    b.write32(TAILR, 1000);
    b.write32(CTL, 1);
    b.advance_ns(500 * US);
    assert_eq!(b.read32(TAR), 500);
    b.write32(TAILR, 20);
    b.advance_ns(19 * US);
    assert_eq!(b.read32(RIS), 0);
    b.advance_ns(US);
    assert_eq!(b.read32(RIS), 1);
}

#[test]
fn a_changed_clock_changes_the_pace_of_a_running_timer() {
    let mut b = bench();
    b.write32(TAMR, MR_ONE_SHOT);
    b.write32(TAILR, 100);
    b.write32(CTL, 1);
    b.advance_ns(50 * US);
    let node = b.sys.slot(b.device).and_then(|s| s.clocks[0]).expect("bound");
    b.sys.set_clock_hz(node, 10_000_000);
    b.sys.settle();
    b.advance_ns(4_900);
    assert_eq!(b.read32(TAR), 1);
    b.advance_ns(100);
    assert_eq!(b.read32(RIS), 1);
}

#[test]
fn the_trigger_pulses_at_each_time_out_even_if_the_interrupt_is_still_pending() {
    let mut b = bench();
    let trigger = probe(&mut b, "trigger", 0);
    b.write32(TAMR, MR_PERIODIC);
    b.write32(TAILR, 4);
    b.write32(CTL, 1 | CTL_TRIGGER);
    b.advance_ns(20 * US);
    let edges: Vec<_> = trigger.take(&mut b.sys).iter().map(|e| (e.0 / US, e.1)).collect();
    let pulse = |t| [(t, true), (t, false)];
    assert_eq!(edges, [pulse(4), pulse(9), pulse(14), pulse(19)].concat());
}

#[test]
fn the_real_time_clock_counts_seconds_and_rolls_over_after_its_match() {
    let mut b = bench();
    b.write32(CFG, CFG_RTC);
    b.write32(TAMATCHR, 3);
    b.write32(IMR, INT_RTC);
    b.write32(CTL, 1);
    assert_eq!(b.read32(TAR), 1);
    b.advance_ns(2_000_000_000);
    assert_eq!(b.read32(TAR), 3);
    assert!(!b.line("irq", 0));
    b.advance_ns(1_000_000_000);
    assert_eq!(b.read32(TAR), 0);
    assert!(b.line("irq", 0));
    b.advance_ns(6_000_000_000);
    assert_eq!(b.read32(TAR), 2);
}

#[test]
fn edges_are_counted_down_to_the_match() {
    let mut b = bench();
    b.write32(CFG, CFG_16_BIT);
    b.write32(TAMR, MR_CAPTURE);
    b.write32(TAILR, 10);
    b.write32(TAMATCHR, 8);
    b.write32(IMR, INT_CAPTURE_MATCH);
    b.write32(CTL, 1 | 1 << CTL_EVENT_SHIFT);
    b.set_input("ccp", 0, true);
    assert_eq!(b.read32(TAR), 10, "rising edges do not count");
    b.set_input("ccp", 0, false);
    assert_eq!(b.read32(TAR), 9);
    b.set_input("ccp", 0, false);
    assert!(b.line("irq", 0));
    assert_eq!(b.read32(CTL) & 1, 0);
    assert_eq!(b.read32(TAR), 10);
}

#[test]
fn the_time_of_an_edge_is_captured() {
    let mut b = bench();
    b.write32(CFG, CFG_16_BIT);
    b.write32(TBMR, MR_CAPTURE | MR_EDGE_TIME);
    b.write32(TBILR, 1000);
    b.write32(IMR, INT_CAPTURE_EVENT << 8);
    b.write32(CTL, 0x100 | 3 << 10);
    b.advance_ns(100 * US);
    b.set_input("ccp", 1, true);
    b.advance_ns(7 * US);
    assert_eq!(b.read32(TBR), 900);
    assert!(b.line("irq-b", 0));
    b.write32(ICR, 0x400);
    b.set_input("ccp", 1, false);
    assert_eq!(b.read32(TBR), 893);
}

#[test]
fn pwm_is_high_from_the_start_value_down_to_the_match() {
    let mut b = bench();
    let pwm = probe(&mut b, "pwm", 0);
    b.write32(CFG, CFG_16_BIT);
    b.write32(TAMR, MR_PERIODIC | MR_PWM);
    b.write32(TAILR, 9);
    b.write32(TAMATCHR, 6);
    b.write32(CTL, 1);
    b.advance_ns(15 * US);
    let edges: Vec<_> = pwm.take(&mut b.sys).iter().map(|e| (e.0 / US, e.1)).collect();
    assert_eq!(edges, [(0, true), (3, false), (10, true), (13, false)]);
    b.write32(CTL, 1 | CTL_PWM_INVERT);
    assert!(b.line("pwm", 0));
    assert_eq!(b.read32(RIS), 0, "PWM has no interrupts");
}

#[test]
fn the_shortest_period_does_not_hang_time() {
    let mut b = bench();
    b.write32(TAMR, MR_PERIODIC);
    b.write32(TAILR, 0);
    b.write32(CTL, 1 | CTL_TRIGGER);
    b.advance_ns(100 * US);
    assert_eq!(b.read32(RIS), 1);
}
