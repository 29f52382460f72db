use super::TYPE;
use southbridge_core::Properties;
use southbridge_testing::{Bench, check_device, probe};

const CTRL: u64 = 0x0;
const VALUE: u64 = 0x4;
const RELOAD: u64 = 0x8;
const INTSTATUS: u64 = 0xc;
/// A tick of the bench's clock.
const TICK: u64 = 1000;

fn bench() -> Bench {
    Bench::new(&TYPE, Properties::default())
}

#[test]
fn generic() {
    check_device(bench);
}

#[test]
fn identifies_itself() {
    let mut b = bench();
    let ids: Vec<_> = (0..12).map(|i| b.read32(0xfd0 + 4 * i)).collect();
    assert_eq!(ids, [4, 0, 0, 0, 0x22, 0xb8, 0x1b, 0, 0x0d, 0xf0, 0x05, 0xb1]);
}

#[test]
fn interrupts_once_a_period_of_reload_plus_one_ticks() {
    let mut b = bench();
    b.write32(RELOAD, 9);
    assert_eq!(b.read32(VALUE), 9, "a write to RELOAD sets the value too");
    let int = probe(&mut b, "TIMERINT", 0);
    b.write32(CTRL, 9);
    for period in 0..3 {
        let wait = if period == 0 { 9 } else { 10 };
        b.advance_ns(wait * TICK - 1);
        assert_eq!(b.read32(INTSTATUS), 0);
        b.advance_ns(1);
        assert_eq!((b.read32(INTSTATUS), b.read32(VALUE)), (1, 0));
        b.write32(INTSTATUS, 1);
    }
    assert_eq!(
        int.take(&mut b.sys),
        [(9, true), (9, false), (19, true), (19, false), (29, true), (29, false)].map(|(t, l)| (t * TICK, l))
    );
}

#[test]
fn without_irqen_it_only_counts() {
    let mut b = bench();
    b.write32(RELOAD, 4);
    b.write32(CTRL, 1);
    b.advance_ns(7 * TICK);
    assert_eq!(b.read32(VALUE), 2);
    assert_eq!((b.read32(INTSTATUS), b.line("TIMERINT", 0)), (0, false));
    // An expiry before IRQEN was set is not remembered.
    b.write32(CTRL, 9);
    assert_eq!(b.read32(INTSTATUS), 0);
    b.advance_ns(2 * TICK);
    assert_eq!(b.read32(INTSTATUS), 1);
}

#[test]
fn a_value_without_reload_is_a_one_shot() {
    let mut b = bench();
    b.write32(CTRL, 9);
    b.write32(VALUE, 3);
    b.advance_ns(100 * TICK);
    assert_eq!((b.read32(VALUE), b.read32(INTSTATUS)), (0, 1));
    b.write32(INTSTATUS, 1);
    b.advance_ns(100 * TICK);
    assert_eq!((b.read32(VALUE), b.read32(INTSTATUS)), (0, 0));
}

#[test]
fn stopping_keeps_the_value() {
    let mut b = bench();
    b.write32(RELOAD, 1000);
    b.write32(CTRL, 1);
    b.advance_ns(10 * TICK);
    b.write32(CTRL, 0);
    b.advance_ns(10 * TICK);
    assert_eq!(b.read32(VALUE), 990);
    b.write32(CTRL, 1);
    b.advance_ns(10 * TICK);
    assert_eq!(b.read32(VALUE), 980);
}

#[test]
fn extin_enables() {
    let mut b = bench();
    b.write32(RELOAD, 1000);
    b.write32(CTRL, 3);
    b.advance_ns(10 * TICK);
    assert_eq!(b.read32(VALUE), 1000);
    b.set_input("EXTIN", 0, true);
    b.advance_ns(10 * TICK);
    b.set_input("EXTIN", 0, false);
    b.advance_ns(10 * TICK);
    assert_eq!(b.read32(VALUE), 990);
}

#[test]
fn extin_clocks() {
    let mut b = bench();
    b.write32(RELOAD, 2);
    b.write32(CTRL, 0xd);
    let mut values = Vec::new();
    for _ in 0..4 {
        b.advance_ns(50 * TICK);
        b.set_input("EXTIN", 0, true);
        b.set_input("EXTIN", 0, false);
        values.push((b.read32(VALUE), b.line("TIMERINT", 0)));
    }
    assert_eq!(values, [(1, false), (0, true), (2, true), (1, true)]);
}

#[test]
fn a_shortest_period_left_pending_arms_nothing() {
    let mut b = bench();
    b.write32(RELOAD, 1);
    b.write32(CTRL, 9);
    b.advance_ns(10 * TICK);
    assert!(b.line("TIMERINT", 0));
    assert_eq!(b.sys.next_deadline(), None);
}
