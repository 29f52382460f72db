use super::TYPE;
use southbridge_core::Properties;
use southbridge_testing::{Bench, check_device};

const LOAD: u64 = 0x00;
const VALUE: u64 = 0x04;
const CONTROL: u64 = 0x08;
const INTCLR: u64 = 0x0c;
const RIS: u64 = 0x10;
const MIS: u64 = 0x14;
const BGLOAD: u64 = 0x18;
const SECOND: u64 = 0x20;
const TICK: u64 = 1000;

fn bench() -> Bench {
    Bench::new(&TYPE, Properties::default())
}

#[test]
fn generic() {
    check_device(bench);
}

#[test]
fn reset_values() {
    let mut b = bench();
    for base in [0, SECOND] {
        assert_eq!(b.read32(base + LOAD), 0);
        assert_eq!(b.read32(base + VALUE), 0xffff_ffff);
        assert_eq!(b.read32(base + CONTROL), 0x20);
    }
    assert_eq!((b.read32(0xfe0), b.read32(0xff0)), (0x23, 0x0d));
}

#[test]
fn periodic_with_each_half_on_its_own() {
    let mut b = bench();
    b.write32(LOAD, 0x1_0063); // 16 bits: 0x63
    b.write32(CONTROL, 0xe0);
    b.write32(SECOND + LOAD, 0x1_0000);
    b.write32(SECOND + CONTROL, 0xe2);
    assert_eq!(b.read32(LOAD), 0x1_0063, "LOAD reads as written");
    b.advance_ns(99 * TICK - 1);
    assert!(!b.line("TIMINTC", 0));
    b.advance_ns(1);
    assert_eq!(
        [b.line("TIMINTC", 0), b.line("TIMINT1", 0), b.line("TIMINT2", 0)],
        [true, true, false]
    );
    assert_eq!((b.read32(RIS), b.read32(MIS)), (1, 1));
    b.write32(INTCLR, 0);
    assert!(!b.line("TIMINTC", 0));
    b.advance_ns(100 * TICK);
    assert!(b.line("TIMINT1", 0), "the next period is LOAD + 1 ticks");
    b.write32(CONTROL, 0);
    b.write32(INTCLR, 0);
    b.advance_ns((0x1_0000 - 199) * TICK);
    assert_eq!(
        [b.line("TIMINTC", 0), b.line("TIMINT1", 0), b.line("TIMINT2", 0)],
        [true, false, true]
    );
}

#[test]
fn free_running_wraps_at_its_width() {
    let mut b = bench();
    b.write32(LOAD, 3);
    b.write32(CONTROL, 0xa0);
    b.advance_ns(3 * TICK);
    assert_eq!((b.read32(RIS), b.read32(VALUE)), (1, 0));
    b.advance_ns(TICK);
    assert_eq!(b.read32(VALUE), 0xffff);
    b.write32(CONTROL, 0xa2);
    b.write32(LOAD, 1);
    b.advance_ns(2 * TICK);
    assert_eq!(b.read32(VALUE), 0xffff_ffff);
}

#[test]
fn one_shot_stops_and_load_starts_it_again() {
    let mut b = bench();
    b.write32(LOAD, 10);
    b.write32(CONTROL, 0xe1);
    b.advance_ns(50 * TICK);
    assert_eq!((b.read32(RIS), b.read32(VALUE)), (1, 0));
    b.write32(INTCLR, 1);
    b.advance_ns(50 * TICK);
    assert_eq!(b.read32(RIS), 0);
    b.write32(LOAD, 10);
    b.advance_ns(10 * TICK);
    assert_eq!(b.read32(RIS), 1);
}

#[test]
fn prescaler_divides_the_clock() {
    let mut b = bench();
    b.write32(LOAD, 10);
    b.write32(CONTROL, 0xe4);
    b.advance_ns(159 * TICK);
    assert_eq!((b.read32(VALUE), b.read32(RIS)), (1, 0));
    b.advance_ns(TICK);
    assert_eq!(b.read32(RIS), 1);
    b.write32(CONTROL, 0);
    b.write32(CONTROL, 0xe8);
    b.write32(LOAD, 2);
    b.write32(INTCLR, 1);
    b.advance_ns(511 * TICK);
    assert_eq!((b.read32(VALUE), b.read32(RIS)), (1, 0));
    b.advance_ns(TICK);
    assert_eq!(b.read32(RIS), 1);
}

#[test]
fn background_load_counts_from_the_next_reload() {
    let mut b = bench();
    b.write32(LOAD, 10);
    b.write32(CONTROL, 0xe0);
    b.advance_ns(5 * TICK);
    b.write32(BGLOAD, 20);
    assert_eq!((b.read32(VALUE), b.read32(LOAD)), (5, 20));
    b.advance_ns(6 * TICK);
    assert_eq!(b.read32(VALUE), 20);
}

#[test]
fn width_changes_keep_the_upper_half() {
    let mut b = bench();
    b.write32(CONTROL, 0x22);
    b.write32(LOAD, 0x1234_5678);
    b.write32(CONTROL, 0xa0);
    b.advance_ns(0x78 * TICK);
    assert_eq!(b.read32(VALUE), 0x1234_5600);
    b.write32(CONTROL, 0x22);
    assert_eq!(b.read32(VALUE), 0x1234_5600);
}

#[test]
fn the_interrupt_can_be_masked_and_tested() {
    let mut b = bench();
    b.write32(LOAD, 3);
    b.write32(CONTROL, 0xc0);
    b.advance_ns(10 * TICK);
    assert_eq!((b.read32(RIS), b.read32(MIS), b.line("TIMINTC", 0)), (1, 0, false));
    b.write32(CONTROL, 0xe0);
    assert_eq!((b.read32(MIS), b.line("TIMINT1", 0)), (1, true));
    b.write32(0xf00, 1);
    b.write32(0xf04, 2);
    assert_eq!(
        [b.line("TIMINTC", 0), b.line("TIMINT1", 0), b.line("TIMINT2", 0)],
        [true, false, true]
    );
}
