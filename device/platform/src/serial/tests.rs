//! The UART as a driver uses it. Loopback stands in for a wire where no host is needed.

use southbridge_backend_chardev::testing::Loop;
use southbridge_core::{ClockRate, PropValue, Properties, System};
use southbridge_testing::{Bench, check_device, probe};

use super::*;

const DATA: u64 = 0;
const IER: u64 = 1;
const IIR: u64 = 2;
const FCR: u64 = 2;
const LCR: u64 = 3;
const MCR: u64 = 4;
const LSR: u64 = 5;
const MSR: u64 = 6;
const SCR: u64 = 7;

fn bench() -> Bench {
    Bench::new(&TYPE, Properties::default())
}

/// A bench with the test at the other end of the wire.
fn wired() -> (Bench, Loop) {
    let mut sys = System::new(ClockRate::Hz(1_000_000_000)).unwrap();
    let (id, wire) = Loop::new(&mut sys);
    let p = Properties::default().with("chardev", PropValue::Backend("wire".into(), id));
    (Bench::on(sys, &TYPE, p), wire)
}

#[test]
fn generic() {
    check_device(bench);
    check_device(|| wired().0);
}

#[test]
fn reset_values() {
    let mut b = bench();
    let values: Vec<_> = (0..8).map(|r| b.read8(r)).collect();
    assert_eq!(values, [0, 0, 1, 0, 8, 0x60, 0xb0, 0]);
    b.write8(LCR, 0x80);
    assert_eq!((b.read8(0), b.read8(1)), (12, 0));
    assert!(!b.line("irq", 0));
}

#[test]
fn registers_keep_what_they_have() {
    let mut b = bench();
    for (register, kept) in [(IER, 0x0f), (MCR, 0x1f), (SCR, 0xff), (LCR, 0xff)] {
        b.write8(register, 0xff);
        assert_eq!(b.read8(register), kept, "{register}");
    }
    b.write8(DATA, 0x34);
    b.write8(IER, 0x12);
    assert_eq!((b.read8(DATA), b.read8(IER)), (0x34, 0x12), "the divisor");
    b.write8(LCR, 3);
    assert_eq!(b.read8(IER), 0x0f);
    b.write8(LSR, 0);
    b.write8(MSR, 0);
    assert_eq!((b.read8(LSR), b.read8(IIR) & 0xc0), (0x60, 0));
    b.write8(FCR, 1);
    assert_eq!(b.read8(IIR) & 0xc0, 0xc0);
}

#[test]
fn registers_stand_apart_as_the_board_says() {
    let p = Properties::default().with("regshift", PropValue::Uint(2));
    let mut b = Bench::new(&TYPE, p);
    b.write32(SCR * 4, 0x1234_56a5);
    assert_eq!((b.read32(SCR * 4), b.read8(SCR * 4)), (0xa5, 0xa5));
    assert_eq!(b.read32(LSR * 4), 0x60);
    let big = Properties::default()
        .with("regshift", PropValue::Uint(2))
        .with("endianness", PropValue::Uint(1));
    let mut b = Bench::new(&TYPE, big);
    b.write32(SCR * 4, 0xa500_0000);
    assert_eq!(b.read32(SCR * 4), 0xa500_0000);
}

#[test]
fn output_goes_to_the_host_at_once() {
    let (mut b, wire) = wired();
    for c in b"hello" {
        b.write8(DATA, *c);
        assert_eq!(b.read8(LSR), 0x60);
    }
    assert_eq!(wire.take(), b"hello");
    b.write8(LCR, 0x43);
    b.write8(LCR, 0x43);
    b.write8(LCR, 3);
    assert_eq!(wire.breaks(), 1);
}

#[test]
fn the_transmitter_interrupt_is_an_event() {
    let mut b = bench();
    b.write8(IER, 2);
    assert!(b.line("irq", 0), "enabling it while there is room raises it");
    assert_eq!(b.read8(IIR), 2);
    assert_eq!((b.read8(IIR), b.line("irq", 0)), (1, false), "reading takes it back");
    b.write8(DATA, b'x');
    assert_eq!((b.line("irq", 0), b.read8(IIR)), (true, 2));
    b.write8(IER, 0);
    b.write8(IER, 2);
    assert!(b.line("irq", 0));
}

#[test]
fn a_slow_host_fills_the_transmitter() {
    let (mut b, wire) = wired();
    b.write8(FCR, 1);
    b.write8(IER, 2);
    wire.accept(Some(0));
    b.poll_host();
    let mut sent = Vec::new();
    while b.read8(LSR) & 0x20 != 0 {
        sent.push(sent.len() as u8);
        b.write8(DATA, sent[sent.len() - 1]);
        assert!(sent.len() < 1 << 20, "somewhere is an end");
    }
    assert_eq!(b.read8(LSR), 0);
    assert!(!b.line("irq", 0));
    wire.accept(None);
    b.poll_host();
    b.poll_host();
    assert_eq!((b.read8(LSR), b.read8(IIR)), (0x60, 0xc2));
    assert_eq!(wire.take(), sent);
}

#[test]
fn input_waits_for_the_guest() {
    let (mut b, wire) = wired();
    b.write8(IER, 1);
    wire.feed(b"abc");
    for c in b"abc" {
        b.poll_host();
        assert_eq!((b.line("irq", 0), b.read8(IIR), b.read8(LSR)), (true, 4, 0x61));
        assert_eq!(b.read8(DATA), *c);
        b.poll_host();
    }
    assert_eq!((b.line("irq", 0), b.read8(LSR)), (false, 0x60), "no overrun");
    assert_eq!(b.read8(DATA), b'c', "the register still shows it");
}

#[test]
fn the_fifo_asks_at_its_trigger_level() {
    let (mut b, wire) = wired();
    b.write8(FCR, 0x81);
    b.write8(IER, 1);
    wire.feed(&[b'x'; 7]);
    b.poll_host();
    assert_eq!((b.line("irq", 0), b.read8(LSR)), (false, 0x61));
    wire.feed(&[b'y'; 40]);
    b.poll_host();
    b.poll_host();
    assert_eq!((b.line("irq", 0), b.read8(IIR)), (true, 0xc4));
    let mut got = Vec::new();
    for _ in 0..200 {
        while b.read8(LSR) & 1 != 0 {
            got.push(b.read8(DATA));
        }
        b.poll_host();
    }
    assert_eq!((got.len(), b.read8(LSR)), (47, 0x60), "all came, nothing was lost");
}

#[test]
fn four_characters_of_silence_are_a_timeout() {
    let (mut b, wire) = wired();
    b.write8(LCR, 0x83);
    b.write8(DATA, 1);
    b.write8(LCR, 3); // 115200 8N1: 86805 ns a character
    b.write8(FCR, 0xc1);
    b.write8(IER, 1);
    wire.feed(b"ab");
    b.poll_host();
    let wait = 4 * (10 * 1_000_000_000 / 115_200);
    b.advance_ns(wait - 10);
    assert_eq!((b.line("irq", 0), b.read8(IIR)), (false, 0xc1));
    b.advance_ns(10);
    assert_eq!((b.line("irq", 0), b.read8(IIR)), (true, 0xcc));
    assert_eq!((b.read8(DATA), b.line("irq", 0)), (b'a', false));
    b.advance_ns(wait);
    assert_eq!((b.line("irq", 0), b.read8(DATA)), (true, b'b'));
    b.advance_ns(10 * wait);
    assert!(!b.line("irq", 0), "an empty FIFO has no timeout");
}

#[test]
fn loopback() {
    let (mut b, wire) = wired();
    b.write8(FCR, 1);
    b.write8(MCR, 0x10);
    wire.feed(b"late");
    b.poll_host();
    assert_eq!(b.read8(MSR), 0);
    b.write8(MCR, 0x1a);
    assert_eq!(b.read8(MSR), 0x90, "OUT2 and RTS");
    b.write8(MCR, 0x15);
    assert_eq!(b.read8(MSR), 0x60, "OUT1 and DTR");
    while b.read8(LSR) & 1 != 0 {
        b.read8(DATA); // what was on its way
    }
    for c in 0..17 {
        b.write8(DATA, c);
    }
    assert_eq!(b.read8(LSR), 0x63, "the last one is lost");
    assert_eq!(b.read8(LSR), 0x61);
    let got: Vec<_> = (0..16).map(|_| b.read8(DATA)).collect();
    assert_eq!(got, (0..16).collect::<Vec<u8>>());
    assert_eq!(b.read8(DATA), 0);
    assert_eq!(wire.take(), b"");
}

#[test]
fn line_status_is_most_urgent_and_reading_it_is_the_answer() {
    let (mut b, wire) = wired();
    b.write8(IER, 5);
    wire.send_break();
    b.poll_host();
    assert_eq!((b.read8(IIR), b.read8(LSR)), (6, 0x71));
    assert_eq!((b.read8(IIR), b.read8(DATA)), (4, 0));
    assert_eq!((b.read8(IIR), b.line("irq", 0)), (1, false));
}

#[test]
fn switching_fifos_empties_them() {
    let mut b = bench();
    b.write8(MCR, 0x10);
    b.write8(DATA, b'x');
    assert_eq!(b.read8(LSR), 0x61);
    b.write8(FCR, 1);
    assert_eq!(b.read8(LSR), 0x60);
    b.write8(DATA, b'y');
    b.write8(FCR, 3);
    assert_eq!(b.read8(LSR), 0x60);
}

#[test]
fn one_write_is_one_edge() {
    let mut b = bench();
    b.write8(IER, 2);
    b.read8(IIR);
    let wire = probe(&mut b, "irq", 0);
    b.write8(DATA, b'x');
    let levels: Vec<_> = wire.take(&mut b.sys).into_iter().map(|(_, l)| l).collect();
    assert_eq!(levels, [true]);
}
