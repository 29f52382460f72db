use super::TYPE;
use super::regs::*;
use southbridge_core::Properties;
use southbridge_testing::{Bench, check_device};

fn bench() -> Bench {
    Bench::new(&TYPE, Properties::default())
}

/// Offset of a register of a sequencer.
fn seq(n: u64, register: u64) -> u64 {
    SEQUENCER + n * SEQUENCER_STRIDE + register
}

fn fifo(b: &mut Bench, n: u64) -> Vec<u32> {
    let mut results = Vec::new();
    while b.read32(seq(n, SSFSTAT)) & FIFO_EMPTY == 0 {
        results.push(b.read32(seq(n, SSFIFO)));
    }
    results
}

#[test]
fn general() {
    check_device(bench);
}

#[test]
fn reset_values() {
    let mut b = bench();
    assert_eq!(b.read32(SSPRI), 0x3210);
    for n in 0..4 {
        assert_eq!(b.read32(seq(n, SSFSTAT)), FIFO_EMPTY);
    }
}

#[test]
fn the_processor_starts_a_sequence() {
    let mut b = bench();
    b.write32(seq(0, SSCTL), 0x6000 | STEP_TEMPERATURE << 4);
    b.write32(IM, 1);
    b.write32(PSSI, 1);
    assert!(fifo(&mut b, 0).is_empty(), "not active yet");
    b.write32(ACTSS, 1);
    b.write32(PSSI, 1);
    assert!(b.line("irq", 0));
    assert_eq!((b.read32(RIS), b.read32(ISC)), (1, 1));
    let results = fifo(&mut b, 0);
    assert_eq!(results.len(), 4, "up to the step with the end bit");
    for (i, r) in results.iter().enumerate() {
        let level = if i == 1 { ROOM_TEMPERATURE } else { IDLE_INPUT };
        assert!((level..level + 8).contains(r), "{r:#x}");
    }
    b.write32(ISC, 1);
    assert!(!b.line("irq", 0));
}

#[test]
fn a_timer_pulse_samples_for_whom_it_may_concern() {
    let mut b = bench();
    b.write32(seq(3, SSCTL), 6);
    b.write32(seq(2, SSCTL), 6);
    b.write32(EMUX, 0x5000);
    b.write32(IM, 0xf);
    b.write32(ACTSS, 0xf);
    b.set_input("timer", 0, true);
    b.set_input("timer", 0, false);
    assert!(b.line("irq", 3) && !b.line("irq", 2));
    assert_eq!(fifo(&mut b, 3).len(), 1);
    assert!(fifo(&mut b, 2).is_empty());
}

#[test]
fn each_input_is_the_event_that_emux_names() {
    for (name, index, event) in [
        ("comparator", 0, 1),
        ("comparator", 1, 2),
        ("external", 0, 4),
        ("timer", 0, 5),
        ("pwm", 0, 6),
        ("pwm", 2, 8),
    ] {
        let mut b = bench();
        b.write32(seq(1, SSCTL), 6);
        b.write32(EMUX, event << 4);
        b.write32(ACTSS, 2);
        b.set_input(name, index, true);
        assert_eq!(fifo(&mut b, 1).len(), 1, "{name} {index}");
    }
}

#[test]
fn overflow_and_underflow() {
    let mut b = bench();
    b.write32(seq(2, SSCTL), 0x6);
    b.write32(ACTSS, 4);
    for _ in 0..4 {
        b.write32(PSSI, 4);
    }
    assert_eq!(b.read32(seq(2, SSFSTAT)) & FIFO_FULL, FIFO_FULL);
    assert_eq!(b.read32(OSTAT), 0);
    b.write32(PSSI, 4);
    assert_eq!(b.read32(OSTAT), 4);
    assert_eq!(fifo(&mut b, 2).len(), 4);
    assert_eq!(b.read32(USTAT), 0);
    assert_eq!(b.read32(seq(2, SSFIFO)), 0);
    assert_eq!(b.read32(USTAT), 4);
    b.write32(OSTAT, 4);
    b.write32(USTAT, 4);
    assert_eq!((b.read32(OSTAT), b.read32(USTAT)), (0, 0));
}

#[test]
fn always_means_once_a_microsecond_until_nothing_is_new() {
    let mut b = bench();
    b.write32(seq(1, SSCTL), 0x6);
    b.write32(EMUX, 0xf0);
    b.write32(ACTSS, 2);
    b.advance_ns(3500);
    assert_eq!(fifo(&mut b, 1).len(), 3);
    b.advance_ns(100_000);
    assert_eq!(b.read32(OSTAT), 2);
    assert_eq!(
        b.sys.next_deadline(),
        None,
        "a full FIFO with its flags up costs no events"
    );
    assert_eq!(fifo(&mut b, 1).len(), 4);
    b.advance_ns(1000);
    assert_eq!(fifo(&mut b, 1).len(), 1, "and it goes on when there is room");
    b.write32(ACTSS, 0);
    assert_eq!(b.sys.next_deadline(), None);
}

#[test]
fn samples_vary_and_repeat_after_a_reset() {
    let mut b = bench();
    let run = |b: &mut Bench| {
        b.write32(ACTSS, 1);
        b.write32(PSSI, 1);
        fifo(b, 0)
    };
    let first = run(&mut b);
    assert_eq!(first.len(), 8, "without an end bit, all steps");
    assert!(first.iter().any(|r| *r != first[0]));
    assert_ne!(run(&mut b), first);
    b.sys.reset();
    assert_eq!(run(&mut b), first);
}

#[test]
fn loopback_shows_what_was_asked() {
    let mut b = bench();
    b.write32(TMLB, 1);
    b.write32(seq(1, SSMUX), 0x32);
    b.write32(seq(1, SSCTL), STEP_DIFFERENTIAL | (STEP_TEMPERATURE | STEP_END) << 4);
    b.write32(ACTSS, 2);
    b.write32(PSSI, 2);
    assert_eq!(fifo(&mut b, 1), [1 << 6 | 1 << 4 | 2, 2 << 6 | 1 << 5 | 1 << 3 | 3]);
}

#[test]
fn a_sequencer_has_registers_for_its_own_steps_only() {
    let mut b = bench();
    for (n, mux, ctl) in [
        (0, 0x3333_3333, u32::MAX),
        (1, 0x3333, 0xffff),
        (2, 0x3333, 0xffff),
        (3, 3, 0xf),
    ] {
        b.write32(seq(n, SSMUX), u32::MAX);
        b.write32(seq(n, SSCTL), u32::MAX);
        assert_eq!((b.read32(seq(n, SSMUX)), b.read32(seq(n, SSCTL))), (mux, ctl));
    }
}
