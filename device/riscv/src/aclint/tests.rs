//! Timer and software interrupts as a hart's firmware uses them.

use southbridge_core::{PropValue, Properties};
use southbridge_testing::{Bench, check_device, probe};

use super::{mtimer, swi};

const MTIME: u64 = 0x7ff8;

fn harts(n: u64) -> Properties {
    Properties::default().with("num-harts", PropValue::Uint(n))
}

fn timer() -> Bench {
    Bench::new(&mtimer::TYPE, harts(2))
}

fn swi_of(edges: bool) -> Bench {
    Bench::new(&swi::TYPE, harts(2).with("sswi", PropValue::Bool(edges)))
}

#[test]
fn generic() {
    check_device(timer);
    check_device(|| swi_of(false));
    check_device(|| swi_of(true));
}

#[test]
fn the_interrupt_comes_when_the_counter_gets_there() {
    let mut b = timer();
    b.write(0, 0, 8, 1000);
    b.write(0, 8, 8, 2000);
    assert!(!b.line("mtip", 0) && !b.line("mtip", 1));
    b.advance_ns(99_999);
    assert!(!b.line("mtip", 0));
    b.advance_ns(1);
    assert_eq!(b.read(0, MTIME, 8), 1000, "10 MHz");
    assert!(b.line("mtip", 0) && !b.line("mtip", 1));
    b.advance_ns(100_000);
    assert!(b.line("mtip", 1));
    b.write(0, 8, 8, u64::MAX);
    assert!(!b.line("mtip", 1) && b.line("mtip", 0));
}

#[test]
fn halves_of_32_bits() {
    let mut b = timer();
    b.write32(4, 0xffff_ffff);
    b.write32(0, 0x1234_5678);
    assert_eq!(b.read(0, 0, 8), 0xffff_ffff_1234_5678);
    assert_eq!((b.read32(0), b.read32(4)), (0x1234_5678, 0xffff_ffff));
    b.write32(MTIME + 4, 5);
    b.write32(MTIME, 7);
    assert_eq!(b.read(0, MTIME, 8), 5 << 32 | 7);
    assert_eq!((b.read32(MTIME), b.read32(MTIME + 4)), (7, 5));
}

#[test]
fn setting_the_counter_moves_every_comparison() {
    let mut b = timer();
    b.write(0, 0, 8, 1_000_000);
    b.write(0, 8, 8, 3_000_000);
    b.write(0, MTIME, 8, 999_990);
    assert!(!b.line("mtip", 0));
    b.advance_ns(1000);
    assert!(b.line("mtip", 0));
    b.write(0, MTIME, 8, 0);
    assert!(!b.line("mtip", 0), "and back");
    b.advance_ns(100_000_000);
    assert!(b.line("mtip", 0) && !b.line("mtip", 1));
}

#[test]
fn a_reset_sets_the_counter_to_zero() {
    let mut b = timer();
    b.advance_ns(12_345_600);
    b.write(0, 0, 8, u64::MAX);
    b.sys.reset();
    assert_eq!(b.read(0, MTIME, 8), 0);
    assert!(b.line("mtip", 0), "0 is not before 0");
}

#[test]
fn offsets_without_register_do_nothing() {
    let mut b = timer();
    b.write(0, 16, 8, 77);
    assert_eq!(b.read(0, 16, 8), 0);
    assert!(b.sys.read(0, 2).is_err() && b.sys.read(2, 4).is_err());
}

#[test]
fn a_placed_counter() {
    let p = harts(1)
        .with("timecmp-base", PropValue::Uint(0x4000))
        .with("time-base", PropValue::Uint(0xbff8))
        .with("aperture-size", PropValue::Uint(0xc000));
    let mut b = Bench::new(&mtimer::TYPE, p);
    b.write(0, 0x4000, 8, 10);
    b.advance_ns(1000);
    assert_eq!(b.read(0, 0xbff8, 8), 10);
    assert!(b.line("mtip", 0));
}

#[test]
fn the_timer_goes_on_after_save_and_load_of_its_state() {
    let mut a = timer();
    a.write(0, 8, 8, 555);
    let saved = a.save();
    let mut b = timer();
    b.sys.with_device(b.device, |d, _| d.load(&saved)).unwrap().unwrap();
    assert_eq!(b.read(0, 8, 8), 555);
}

#[test]
fn machine_software_interrupts_are_levels() {
    let mut b = swi_of(false);
    b.write32(4, 0xffff_ffff);
    assert_eq!((b.read32(0), b.read32(4)), (0, 1));
    assert!(b.line("swi", 1) && !b.line("swi", 0));
    b.write32(4, 2);
    assert!(!b.line("swi", 1));
    b.write32(8, 1);
    assert_eq!(b.read32(8), 0, "no such hart");
}

#[test]
fn supervisor_software_interrupts_are_edges() {
    let mut b = swi_of(true);
    let wire = probe(&mut b, "swi", 0);
    b.write32(0, 1);
    b.write32(0, 0);
    b.write32(0, 1);
    assert_eq!(b.read32(0), 0);
    let levels: Vec<_> = wire.take(&mut b.sys).into_iter().map(|(_, l)| l).collect();
    assert_eq!(levels, [true, false, true, false]);
}
