//! The PLIC as a kernel drives it.

use southbridge_core::{PropValue, Properties};
use southbridge_testing::{Bench, check_device};

use super::*;

const PENDING: u64 = 0x1000;
const CONTEXT: u64 = 0x20_0000;
const CLAIM: u64 = CONTEXT + 4;

fn priority(source: u64) -> u64 {
    source * 4
}

fn enable(context: u64) -> u64 {
    0x2000 + context * 0x80
}

fn bench() -> Bench {
    let config = PropValue::Str("MS,MS".into());
    Bench::new(&TYPE, Properties::default().with("hart-config", config))
}

/// Everything close together, so that random offsets hit registers.
fn compact() -> Bench {
    let p = [
        ("pending-base", 0x100),
        ("enable-base", 0x200),
        ("enable-stride", 0x10),
        ("context-base", 0x300),
        ("context-stride", 8),
        ("num-sources", 40),
        ("aperture-size", 0x400),
    ];
    let p = p
        .into_iter()
        .fold(Properties::default(), |p, (name, n)| p.with(name, PropValue::Uint(n)));
    Bench::new(&TYPE, p.with("hart-config", PropValue::Str("MS,MSU".into())))
}

#[test]
fn generic() {
    check_device(bench);
    check_device(compact);
}

/// Source 10 at priority 1 for context 1 (hart 0, supervisor).
fn enabled() -> Bench {
    let mut b = bench();
    b.write32(priority(10), 1);
    b.write32(enable(1), 1 << 10);
    b
}

#[test]
fn a_level_is_claimed_and_completed() {
    let mut b = enabled();
    b.set_input("source", 10, true);
    assert_eq!(b.read32(PENDING), 1 << 10);
    assert!(b.line("seip", 0) && !b.line("meip", 0) && !b.line("seip", 1));
    assert_eq!(b.read32(CLAIM + 0x1000), 10);
    assert!(!b.line("seip", 0));
    assert_eq!(b.read32(PENDING), 0);
    assert_eq!(b.read32(CLAIM + 0x1000), 0);
    b.set_input("source", 10, false);
    b.write32(CLAIM + 0x1000, 10);
    assert!(!b.line("seip", 0));
}

#[test]
fn a_level_that_stays_asks_again() {
    let mut b = enabled();
    b.set_input("source", 10, true);
    assert_eq!(b.read32(CLAIM + 0x1000), 10);
    b.write32(CLAIM + 0x1000, 10);
    assert!(b.line("seip", 0));
    assert_eq!(b.read32(CLAIM + 0x1000), 10);
}

#[test]
fn what_was_short_is_still_heard() {
    let mut b = enabled();
    b.set_input("source", 10, true);
    b.set_input("source", 10, false);
    assert_eq!(b.read32(CLAIM + 0x1000), 10);
    b.write32(CLAIM + 0x1000, 10);
    assert_eq!(b.read32(CLAIM + 0x1000), 0);
}

#[test]
fn priorities_and_thresholds() {
    let mut b = bench();
    for (source, p) in [(3, 2), (5, 7), (40, 7), (95, 1)] {
        b.write32(priority(source), p);
        b.set_input("source", source as u16, true);
    }
    for word in 0..3 {
        b.write32(enable(0) + 4 * word, u32::MAX);
    }
    b.write32(CONTEXT, 1);
    assert!(b.line("meip", 0));
    let order: Vec<_> = (0..4).map(|_| b.read32(CLAIM)).collect();
    assert_eq!(order, [5, 40, 3, 0], "95 is not above the threshold");
    b.write32(CONTEXT, 0);
    assert_eq!(b.read32(CLAIM), 95);
}

#[test]
fn enabling_later_is_soon_enough() {
    let mut b = bench();
    b.set_input("source", 7, true);
    b.write32(priority(7), 3);
    assert!(!b.line("seip", 1));
    b.write32(enable(3), 1 << 7);
    assert!(b.line("seip", 1));
    b.write32(CONTEXT + 0x3000, 3);
    assert!(!b.line("seip", 1));
}

#[test]
fn registers_take_what_they_have() {
    let mut b = bench();
    b.write32(priority(1), 0xff);
    assert_eq!(b.read32(priority(1)), 7);
    b.write32(priority(0), 1);
    assert_eq!(b.read32(priority(0)), 0);
    b.write32(CONTEXT, 0x1e);
    assert_eq!(b.read32(CONTEXT), 6);
    b.write32(PENDING, u32::MAX);
    assert_eq!(b.read32(PENDING), 0);
    b.write32(priority(96), 1);
    assert_eq!(b.read32(priority(96)), 0);
    b.write32(enable(0) + 12, 1);
    assert_eq!(b.read32(enable(0) + 12), 0);
    b.write32(enable(0) + 8, u32::MAX);
    assert_eq!(b.read32(enable(0) + 8), u32::MAX);
    b.write32(CLAIM, 4000);
}

#[test]
fn a_reset_forgets_claims_but_not_wires() {
    let mut b = enabled();
    b.set_input("source", 10, true);
    assert_eq!(b.read32(CLAIM + 0x1000), 10);
    b.sys.reset();
    assert!(!b.line("seip", 0));
    b.write32(priority(10), 1);
    b.write32(enable(1), 1 << 10);
    assert!(b.line("seip", 0));
}

#[test]
fn a_saved_claim_goes_on() {
    let mut a = enabled();
    a.set_input("source", 10, true);
    assert_eq!(a.read32(CLAIM + 0x1000), 10);
    let saved = a.save();
    let mut b = bench();
    b.sys.with_device(b.device, |d, _| d.load(&saved)).unwrap().unwrap();
    assert_eq!(b.read32(CLAIM + 0x1000), 0);
    b.write32(CLAIM + 0x1000, 10);
    assert_eq!(b.read32(CLAIM + 0x1000), 10);
}

#[test]
fn configurations_that_cannot_be() {
    let refused = |text: &str| contexts(text).is_err();
    assert!(refused("MX") && refused("MM") && refused(&"M,".repeat(33)));
    assert_eq!(contexts("M,MS,,S").map(|c| c.len()), Ok(4));
}
