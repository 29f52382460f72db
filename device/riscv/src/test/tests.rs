//! What each word does to the machine.

use southbridge_core::system::Requests;
use southbridge_core::{Machine, Outcome, Properties};
use southbridge_testing::{Bench, check_device};

use super::TYPE;

fn bench() -> Bench {
    Bench::new(&TYPE, Properties::default())
}

fn after(offset: u64, value: u32) -> (Requests, u16) {
    let mut b = bench();
    b.write32(offset, value);
    (b.sys.requests, b.sys.exit_code)
}

#[test]
fn generic() {
    check_device(bench);
}

#[test]
fn words() {
    assert_eq!(after(0, 0x5555), (Requests::SHUTDOWN, 0));
    assert_eq!(after(0, 0x2a_5555), (Requests::SHUTDOWN, 42));
    let failure = Requests::SHUTDOWN | Requests::FAILURE;
    assert_eq!(after(0, 0x7_3333), (failure, 7));
    assert_eq!(after(0, 0x3333), (failure, 1));
    assert_eq!(after(0, 0x7777), (Requests::RESET, 0));
    assert_eq!(after(0, 0x1234), (Requests::empty(), 0));
    assert_eq!(after(4, 0x5555), (Requests::empty(), 0));
    assert_eq!(bench().read32(0), 0);
}

#[test]
fn sixteen_bits_are_enough() {
    let mut b = bench();
    b.write16(0, 0x5555);
    assert_eq!(b.sys.requests, Requests::SHUTDOWN);
}

/// What the program answers when a guest writes this.
fn outcome(value: u64) -> Outcome {
    let mut machine = Machine::new(bench().sys, None);
    machine.start();
    machine.sys.write(0, 4, value).expect("the bus takes the write");
    machine.run()
}

#[test]
fn the_code_leaves_the_machine() {
    assert_eq!(outcome(0x5555), Outcome::Shutdown);
    assert_eq!(outcome(0x5_3333), Outcome::GuestExit(5));
    assert_eq!(outcome(0x9_5555), Outcome::GuestExit(9));
}
