use super::TYPE;
use southbridge_core::Properties;
use southbridge_testing::{Bench, check_device};

const DATA: u64 = 0x00;
const DATAOUT: u64 = 0x04;
const OUTENSET: u64 = 0x10;
const OUTENCLR: u64 = 0x14;
const INTENSET: u64 = 0x20;
const INTENCLR: u64 = 0x24;
const INTTYPESET: u64 = 0x28;
const INTPOLSET: u64 = 0x30;
const INTSTATUS: u64 = 0x38;
const LOW: u64 = 0x400;
const HIGH: u64 = 0x800;

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
    assert_eq!([0xfe0, 0xfe4, 0xfe8, 0xfec].map(|o| b.read32(o)), [0x20, 0xb8, 0x1b, 0]);
}

#[test]
fn pins_are_inputs_until_enabled_as_outputs() {
    let mut b = bench();
    b.set_input("PORTIN", 3, true);
    b.write32(DATA, 0x11);
    assert_eq!(
        (b.read32(DATA), b.read32(DATAOUT), b.line("PORTOUT", 0)),
        (8, 0x11, false)
    );
    b.write32(OUTENSET, 0x9);
    assert_eq!(b.read32(DATA), 1, "pin 3 is driven low now");
    assert_eq!([b.line("PORTOUT", 0), b.line("PORTOUT", 4)], [true, false]);
    b.write32(OUTENCLR, 1);
    assert_eq!(
        (b.read32(OUTENSET), b.read32(OUTENCLR), b.line("PORTOUT", 0)),
        (8, 8, false)
    );
    b.sys.reset();
    assert_eq!((b.read32(DATA), b.read32(DATAOUT)), (8, 0), "the world outlives reset");
}

#[test]
fn masked_and_byte_accesses_touch_only_their_bits() {
    let mut b = bench();
    b.write32(OUTENSET, 0xffff);
    b.write32(DATAOUT, 0xffff);
    b.write32(LOW + 4 * 0x0f, 0);
    assert_eq!(b.read32(DATAOUT), 0xfff0);
    b.write32(HIGH + 4 * 0x81, 0);
    assert_eq!(b.read32(DATAOUT), 0x7ef0);
    assert_eq!((b.read32(LOW + 4 * 0x30), b.read32(HIGH + 4 * 0x03)), (0x30, 0x200));
    b.write8(DATAOUT + 1, 0x12);
    b.write8(DATA, 0x34);
    assert_eq!(b.read32(DATAOUT), 0x1234);
}

#[test]
fn edges_latch_and_levels_persist() {
    let mut b = bench();
    b.write32(INTTYPESET, 0x3);
    b.write32(INTPOLSET, 0x5); // 0: rising, 1: falling, 2: high
    b.write32(INTENSET, 0x7);
    assert!(!b.line("COMBINT", 0));
    for pin in 0..3 {
        b.set_input("PORTIN", pin, true);
    }
    assert_eq!(b.read32(INTSTATUS), 0x5);
    b.write32(INTSTATUS, 0x7);
    assert_eq!(b.read32(INTSTATUS), 0x4, "the level is still there");
    for pin in 0..3 {
        b.set_input("PORTIN", pin, false);
    }
    assert_eq!(b.read32(INTSTATUS), 0x6);
    assert_eq!(
        [b.line("COMBINT", 0), b.line("GPIOINT", 0), b.line("GPIOINT", 1)],
        [true, false, true]
    );
    b.write32(INTENCLR, 0x7);
    b.write32(INTSTATUS, 0x7);
    b.set_input("PORTIN", 0, true);
    assert_eq!((b.read32(INTSTATUS), b.line("COMBINT", 0)), (0, false));
}

#[test]
fn an_output_can_interrupt_too() {
    let mut b = bench();
    b.write32(INTTYPESET, 1);
    b.write32(INTPOLSET, 1);
    b.write32(INTENSET, 1);
    b.write32(OUTENSET, 1);
    assert!(!b.line("GPIOINT", 0));
    b.write32(DATA, 1);
    assert!(b.line("GPIOINT", 0));
}
