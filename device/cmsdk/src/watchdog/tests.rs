use super::TYPE;
use southbridge_core::Properties;
use southbridge_core::system::{Requests, WatchdogPolicy};
use southbridge_testing::{Bench, check_device};

const LOAD: u64 = 0x0;
const VALUE: u64 = 0x4;
const CONTROL: u64 = 0x8;
const INTCLR: u64 = 0xc;
const RIS: u64 = 0x10;
const MIS: u64 = 0x14;
const LOCK: u64 = 0xc00;
const TICK: u64 = 1000;

fn bench() -> Bench {
    Bench::new(&TYPE, Properties::default())
}

fn asks_for_reset(b: &Bench) -> bool {
    b.sys.requests.contains(Requests::RESET)
}

#[test]
fn generic() {
    check_device(bench);
}

#[test]
fn reset_values() {
    let mut b = bench();
    let values = [LOAD, VALUE, CONTROL, RIS, MIS, LOCK].map(|o| b.read32(o));
    assert_eq!(values, [u32::MAX, u32::MAX, 0, 0, 0, 0]);
    assert_eq!(b.read32(0xfe0), 0x24);
}

#[test]
fn first_barks_then_bites() {
    let mut b = bench();
    b.write32(LOAD, 100);
    b.write32(CONTROL, 3);
    b.advance_ns(100 * TICK - 1);
    assert!(!b.line("WDOGINT", 0));
    b.advance_ns(1);
    assert!(b.line("WDOGINT", 0));
    assert_eq!((b.read32(RIS), b.read32(MIS)), (1, 1));
    b.advance_ns(101 * TICK - 1);
    assert!(!asks_for_reset(&b));
    b.advance_ns(1);
    assert!(asks_for_reset(&b));
    b.sys.reset();
    b.advance_ns(1000 * TICK);
    assert!(!asks_for_reset(&b), "reset stops it");
    assert_eq!((b.read32(LOAD), b.line("WDOGINT", 0)), (u32::MAX, false));
}

#[test]
fn a_dog_that_is_fed_is_quiet() {
    let mut b = bench();
    b.write32(LOAD, 100);
    b.write32(CONTROL, 3);
    for _ in 0..10 {
        b.advance_ns(150 * TICK);
        assert!(b.line("WDOGINT", 0));
        b.write32(INTCLR, 0);
        assert_eq!((b.read32(VALUE), b.line("WDOGINT", 0)), (100, false));
    }
    assert!(!asks_for_reset(&b));
}

#[test]
fn without_resen_it_only_barks() {
    let mut b = bench();
    b.write32(LOAD, 10);
    b.write32(CONTROL, 1);
    b.advance_ns(1000 * TICK);
    assert!(b.line("WDOGINT", 0));
    assert!(!asks_for_reset(&b));
    assert_eq!(b.read32(VALUE), 0, "the counter stopped at the second zero");
    b.write32(CONTROL, 3);
    assert!(asks_for_reset(&b), "the second timeout was kept");
}

#[test]
fn inten_starts_from_load_each_time() {
    let mut b = bench();
    b.write32(LOAD, 100);
    b.write32(CONTROL, 1);
    b.advance_ns(30 * TICK);
    b.write32(CONTROL, 0);
    b.advance_ns(30 * TICK);
    assert_eq!(b.read32(VALUE), 70);
    b.write32(CONTROL, 1);
    assert_eq!(b.read32(VALUE), 100);
}

#[test]
fn the_lock_keeps_writes_out() {
    let mut b = bench();
    b.write32(LOCK, 1);
    b.write32(LOAD, 5);
    assert_eq!((b.read32(LOCK), b.read32(LOAD)), (1, u32::MAX));
    b.write32(LOCK, 0x1acc_e551);
    b.write32(LOAD, 5);
    assert_eq!((b.read32(LOCK), b.read32(LOAD)), (0, 5));
}

#[test]
fn integration_test_drives_the_outputs() {
    let mut b = bench();
    b.write32(0xf00, 1);
    b.write32(0xf04, 2);
    assert_eq!(
        (b.read32(0xf00), b.line("WDOGINT", 0), asks_for_reset(&b)),
        (1, true, false)
    );
    b.write32(0xf04, 1);
    assert_eq!((b.line("WDOGINT", 0), asks_for_reset(&b)), (false, true));
}

#[test]
fn a_guest_that_lives_on_is_bitten_once() {
    let mut b = bench();
    b.sys.watchdog = WatchdogPolicy::Pause;
    b.write32(LOAD, 10);
    b.write32(CONTROL, 3);
    b.advance_ns(1_000_000);
    assert!(b.sys.requests.contains(Requests::PAUSE) && !asks_for_reset(&b));
    b.sys.requests.remove(Requests::PAUSE);
    b.read32(RIS);
    b.advance_ns(1_000_000);
    assert!(b.sys.requests.is_empty(), "its output stands still");
}
