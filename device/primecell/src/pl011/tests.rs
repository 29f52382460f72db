//! The PL011 through its registers. Loopback stands in for a wire where no host is needed.

use southbridge_backend_chardev::testing::Loop;
use southbridge_core::{ClockRate, PropValue, Properties, System};
use southbridge_testing::{Bench, CLOCK_HZ, check_device};

use super::regs::*;
use super::*;

fn bench() -> Bench {
    Bench::new(&TYPE, Properties::default())
}

/// A bench in loopback with FIFOs, and a bit time of 16 clock ticks.
fn looped() -> Bench {
    let mut b = bench();
    b.write32(IBRD, 1);
    b.write32(LCR_H, LineControl::FEN.bits());
    b.write32(
        CR,
        (Control::UARTEN | Control::LBE | Control::TXE | Control::RXE).bits(),
    );
    b
}

fn levels(b: &Bench) -> [bool; 6] {
    std::array::from_fn(|i| b.line("irq", i as u16))
}

#[test]
fn generic() {
    check_device(bench);
    check_device(|| Bench::new(&TYPE_LUMINARY, Properties::default()));
}

#[test]
fn reset_values() {
    let mut b = bench();
    let expected = [
        (FR, 0x90),
        (CR, 0x300),
        (IFLS, 0x12),
        (RIS, 0),
        (MIS, 0),
        (IMSC, 0),
        (LCR_H, 0),
        (DMACR, 0),
        (DR, 0),
    ];
    for (offset, value) in expected {
        assert_eq!(b.read32(offset), value, "at {offset:#x}");
    }
    assert_eq!(levels(&b), [false; 6]);
}

#[test]
fn identification() {
    let read = |t| {
        let mut b = Bench::new(t, Properties::default());
        std::array::from_fn::<_, 8, _>(|i| b.read32(PERIPH_ID0 + 4 * i as u64) as u8)
    };
    assert_eq!(read(&TYPE), ID_ARM);
    assert_eq!(read(&TYPE_LUMINARY), ID_LUMINARY);
}

#[test]
fn reserved_bits_do_not_stick() {
    let mut b = bench();
    for (offset, kept) in [
        (ILPR, 0xff),
        (IBRD, 0xffff),
        (FBRD, 0x3f),
        (LCR_H, 0xff),
        (CR, 0xff87),
        (IFLS, 0x3f),
        (IMSC, 0x7ff),
        (DMACR, 7),
    ] {
        b.write32(offset, u32::MAX);
        assert_eq!(b.read32(offset), kept, "at {offset:#x}");
    }
}

#[test]
fn sending_raises_the_transmit_interrupt_until_cleared() {
    let mut b = bench();
    b.write32(CR, 0x301);
    b.write32(IMSC, Interrupts::TX.bits());
    assert_eq!(levels(&b), [false; 6]);
    b.write32(DR, 0x41);
    assert_eq!(levels(&b), [true, false, true, false, false, false]);
    assert_eq!(b.read32(MIS), Interrupts::TX.bits());
    b.write32(ICR, Interrupts::TX.bits());
    assert_eq!(levels(&b), [false; 6]);
    assert_eq!(b.read32(FR), 0x90);
}

#[test]
fn characters_come_back_in_loopback() {
    let mut b = looped();
    b.write32(IMSC, Interrupts::RX.bits());
    for c in 0..16 {
        b.write32(DR, 0x30 + c);
    }
    let fr = Flags::from_bits_retain(b.read32(FR));
    assert!(fr.contains(Flags::RXFF) && !fr.contains(Flags::RXFE));
    assert_eq!(levels(&b), [true, true, false, false, false, false]);
    for c in 0..16 {
        assert!(b.line("irq", 1));
        assert_eq!(b.read32(DR), 0x30 + c);
    }
    assert!(!b.line("irq", 1), "reading the last one takes the interrupt away");
    assert_eq!(b.read32(FR) & Flags::RXFE.bits(), Flags::RXFE.bits());
}

#[test]
fn overrun_keeps_what_was_there_and_tells() {
    let mut b = looped();
    b.write32(IMSC, Interrupts::OE.bits());
    for c in 0..17 {
        b.write32(DR, c);
    }
    assert_eq!(levels(&b), [true, false, false, false, false, true]);
    assert_eq!(b.read32(DR), 0x800);
    assert_eq!(b.read32(RSR), 8);
    b.write32(RSR, 0);
    assert_eq!(b.read32(RSR), 0);
    assert_eq!(b.read32(DR), 1);
    b.write32(ICR, Interrupts::OE.bits());
    assert_eq!(levels(&b), [false; 6]);
}

#[test]
fn without_fifos_there_is_one_place() {
    let mut b = looped();
    b.write32(LCR_H, 0);
    b.write32(DR, 0x55);
    assert_eq!(b.read32(FR) & Flags::RXFF.bits(), Flags::RXFF.bits());
    b.write32(DR, 0x66);
    assert_eq!(b.read32(RIS) & Interrupts::OE.bits(), Interrupts::OE.bits());
    assert_eq!(b.read32(DR) & 0xff, 0x55);
    assert_eq!(b.read32(FR) & Flags::RXFE.bits(), Flags::RXFE.bits());
}

#[test]
fn a_break_is_a_zero_with_a_flag() {
    let mut b = looped();
    b.write32(IMSC, Interrupts::BE.bits());
    b.write32(LCR_H, (LineControl::FEN | LineControl::BRK).bits());
    assert_eq!(levels(&b), [true, false, false, false, false, true]);
    assert_eq!(b.read32(DR), 0x400);
    assert_eq!(b.read32(RSR), 4);
}

#[test]
fn silence_for_32_bits_is_a_timeout() {
    let bit_ns = 16 * 1_000_000_000 / CLOCK_HZ;
    let mut b = looped();
    b.write32(IMSC, Interrupts::RT.bits());
    b.write32(DR, 1);
    b.advance_ns(20 * bit_ns);
    b.write32(DR, 2);
    b.advance_ns(31 * bit_ns);
    assert_eq!(levels(&b), [false; 6], "the second character started the time anew");
    b.advance_ns(bit_ns);
    assert_eq!(levels(&b), [true, false, false, true, false, false]);
    assert_eq!((b.read32(DR), b.line("irq", 3)), (1, true));
    assert_eq!((b.read32(DR), b.line("irq", 3)), (2, false));
    b.advance_ns(100 * bit_ns);
    assert_eq!(levels(&b), [false; 6], "an empty FIFO has no timeout");
}

#[test]
fn no_divisor_no_timeout() {
    let mut b = looped();
    b.write32(IBRD, 0);
    b.write32(DR, 1);
    b.advance_ns(1_000_000_000);
    assert_eq!(b.read32(RIS) & Interrupts::RT.bits(), 0);
}

#[test]
fn modem_outputs_come_back_in_loopback() {
    let mut b = bench();
    b.write32(IMSC, Interrupts::MODEM.bits());
    b.write32(CR, (Control::RTS | Control::OUT2).bits());
    assert_eq!((b.read32(FR), levels(&b)), (0x90, [false; 6]), "not without loopback");
    b.write32(CR, (Control::LBE | Control::RTS | Control::OUT2).bits());
    assert_eq!(b.read32(FR), 0x90 | (Flags::CTS | Flags::RI).bits());
    assert_eq!(b.read32(MIS), (Interrupts::CTS | Interrupts::RI).bits());
    assert_eq!(levels(&b), [true, false, false, false, true, false]);
    b.write32(ICR, Interrupts::MODEM.bits());
    b.write32(CR, (Control::LBE | Control::DTR | Control::RTS | Control::OUT2).bits());
    assert_eq!(b.read32(MIS), Interrupts::DSR.bits());
}

#[test]
fn switching_fifos_empties_the_receiver() {
    let mut b = looped();
    b.write32(DR, 1);
    b.write32(LCR_H, 0);
    assert_eq!(b.read32(FR) & Flags::RXFE.bits(), Flags::RXFE.bits());
}

/// A bench with the test at the other end of the wire.
fn wired() -> (Bench, Loop) {
    let mut sys = System::new(ClockRate::Hz(1_000_000_000)).unwrap();
    let (id, wire) = Loop::new(&mut sys);
    let p = Properties::default().with("chardev", PropValue::Backend("wire".into(), id));
    (Bench::on(sys, &TYPE, p), wire)
}

#[test]
fn generic_with_a_wire() {
    check_device(|| wired().0);
}

#[test]
fn output_goes_to_the_host_at_once() {
    let (mut b, wire) = wired();
    for c in b"hello" {
        b.write8(DR, *c);
    }
    assert_eq!(wire.take(), b"hello");
    b.write32(LCR_H, LineControl::BRK.bits());
    b.write32(LCR_H, 0);
    assert_eq!(wire.breaks(), 1);
}

#[test]
fn a_slow_host_shows_as_a_full_fifo() {
    let (mut b, wire) = wired();
    b.write32(LCR_H, LineControl::FEN.bits());
    b.write32(IMSC, Interrupts::TX.bits());
    wire.accept(Some(0));
    b.poll_host();
    let mut sent = Vec::new();
    while b.read32(FR) & Flags::TXFF.bits() == 0 {
        b.write32(ICR, Interrupts::TX.bits());
        sent.push(sent.len() as u8);
        b.write8(DR, sent[sent.len() - 1]);
        assert!(sent.len() < 1 << 20, "somewhere is an end");
    }
    let fr = Flags::from_bits_retain(b.read32(FR));
    assert!(fr.contains(Flags::BUSY) && !fr.contains(Flags::TXFE));
    assert!(!b.line("irq", 2), "above the level there is no interrupt");
    b.write8(DR, 0xee); // lost
    wire.accept(None);
    b.poll_host();
    assert!(b.line("irq", 2));
    b.poll_host();
    assert_eq!(wire.take(), sent);
    assert_eq!(b.read32(FR), 0x90);
}

#[test]
fn input_waits_for_room() {
    let (mut b, wire) = wired();
    b.write32(IMSC, (Interrupts::RX | Interrupts::OE).bits());
    wire.feed(b"abc");
    b.poll_host();
    assert_eq!(levels(&b), [true, true, false, false, false, false]);
    for c in b"abc" {
        b.poll_host();
        assert_eq!(b.read32(FR) & Flags::RXFF.bits(), Flags::RXFF.bits(), "one place");
        assert_eq!(b.read32(DR), u32::from(*c));
    }
    b.write32(LCR_H, LineControl::FEN.bits());
    wire.feed(&[b'x'; 40]);
    let mut got = 0;
    while got < 40 {
        b.poll_host();
        while b.read32(FR) & Flags::RXFE.bits() == 0 {
            assert_eq!(b.read32(DR), u32::from(b'x'));
            got += 1;
        }
    }
    assert_eq!(b.read32(RIS) & Interrupts::OE.bits(), 0, "nothing was lost");
}

#[test]
fn a_break_from_the_host() {
    let (mut b, wire) = wired();
    b.write32(IMSC, Interrupts::BE.bits());
    wire.send_break();
    b.poll_host();
    assert_eq!(levels(&b), [true, false, false, false, false, true]);
    assert_eq!(b.read32(DR), 0x400);
}

#[test]
fn loopback_takes_the_wire_off() {
    let (mut b, wire) = wired();
    b.write32(
        CR,
        (Control::UARTEN | Control::LBE | Control::TXE | Control::RXE).bits(),
    );
    wire.feed(b"a");
    wire.send_break();
    b.poll_host();
    assert_eq!(b.read32(FR) & Flags::RXFE.bits(), Flags::RXFE.bits());
}
