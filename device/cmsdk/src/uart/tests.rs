use super::TYPE;
use southbridge_backend_chardev::testing::Loop;
use southbridge_core::{ClockRate, PropValue, Properties, System};
use southbridge_testing::{Bench, check_device, probe};

const DATA: u64 = 0x0;
const STATE: u64 = 0x4;
const CTRL: u64 = 0x8;
const INTSTATUS: u64 = 0xc;
const BAUDDIV: u64 = 0x10;

/// Ten bits of the fastest rate, at 25 MHz.
const BYTE_NS: u64 = 6400;

fn bare() -> Bench {
    Bench::new(
        &TYPE,
        Properties::default().with("pclk-frq", PropValue::Uint(25_000_000)),
    )
}

fn connected() -> (Bench, Loop) {
    let mut sys = System::new(ClockRate::Hz(1_000_000_000)).expect("a system");
    let (id, other) = Loop::new(&mut sys);
    let props = Properties::default()
        .with("pclk-frq", PropValue::Uint(25_000_000))
        .with("chardev", PropValue::Backend("loop".into(), id));
    (Bench::on(sys, &TYPE, props), other)
}

fn lines(b: &Bench) -> [bool; 5] {
    ["TXINT", "RXINT", "TXOVRINT", "RXOVRINT", "UARTINT"].map(|n| b.line(n, 0))
}

/// Lets the host stand still and writes until its buffers are full; what is left in the transmit buffer is an `x`.
fn fill(b: &mut Bench, other: &Loop) {
    other.accept(Some(0));
    b.write32(CTRL, 1);
    for _ in 0..1 << 20 {
        b.write8(DATA, b'x');
        if b.read32(STATE) & 1 != 0 {
            return;
        }
    }
    panic!("the host never filled up");
}

#[test]
fn generic() {
    check_device(bare);
    check_device(|| connected().0);
}

#[test]
fn reset_values_and_identification() {
    let mut b = bare();
    assert_eq!([DATA, STATE, CTRL, INTSTATUS, BAUDDIV].map(|o| b.read32(o)), [0; 5]);
    let ids: Vec<_> = (0..12).map(|i| b.read32(0xfd0 + 4 * i)).collect();
    assert_eq!(ids, [4, 0, 0, 0, 0x21, 0xb8, 0x1b, 0, 0x0d, 0xf0, 0x05, 0xb1]);
    b.write32(BAUDDIV, u32::MAX);
    b.write32(CTRL, u32::MAX);
    assert_eq!((b.read32(BAUDDIV), b.read32(CTRL)), (0xf_ffff, 0x7f));
}

#[test]
fn transmits_and_interrupts_when_the_buffer_is_empty_again() {
    let (mut b, other) = connected();
    b.write32(BAUDDIV, 16);
    b.write32(CTRL, 1);
    b.write8(DATA, b'a');
    assert_eq!((other.take(), lines(&b)), (b"a".to_vec(), [false; 5]));
    b.write32(CTRL, 5);
    b.write32(DATA, u32::from(b'b'));
    assert_eq!(other.take(), b"b");
    assert_eq!((b.read32(STATE), b.read32(INTSTATUS)), (0, 1));
    assert_eq!(lines(&b), [true, false, false, false, true]);
    b.write32(INTSTATUS, 1);
    assert_eq!(lines(&b), [false; 5]);
}

#[test]
fn with_nothing_connected_output_is_swallowed() {
    let mut b = bare();
    b.write32(CTRL, 5);
    b.write32(DATA, 1);
    assert_eq!((b.read32(STATE), b.read32(INTSTATUS)), (0, 1));
}

#[test]
fn a_full_host_shows_as_a_full_buffer_and_overrun() {
    let (mut b, other) = connected();
    fill(&mut b, &other);
    b.write32(CTRL, 0x15); // TX_EN, TX_INTEN, TXO_INTEN
    assert_eq!((b.read32(STATE), lines(&b)), (1, [false; 5]));
    b.write32(DATA, u32::from(b'y'));
    assert_eq!(b.read32(STATE), 5);
    assert_eq!(lines(&b), [false, false, true, false, true]);
    assert_eq!(b.read32(INTSTATUS), 4);
    b.write32(INTSTATUS, 4);
    assert_eq!((b.read32(STATE), b.read32(INTSTATUS)), (1, 0));
    other.accept(None);
    b.wait_host(|b| b.read32(STATE) == 0);
    let sent = other.take();
    assert_eq!(
        sent.last(),
        Some(&b'y'),
        "the byte that overran replaced the one before"
    );
    assert!(sent.iter().rev().skip(1).all(|c| *c == b'x'));
    assert_eq!(lines(&b), [true, false, false, false, true]);
}

#[test]
fn a_byte_written_before_the_transmitter_is_on_waits() {
    let (mut b, other) = connected();
    b.write32(DATA, u32::from(b'z'));
    assert_eq!((b.read32(STATE), other.take()), (1, vec![]));
    b.write32(CTRL, 1);
    assert_eq!((b.read32(STATE), other.take()), (0, b"z".to_vec()));
}

#[test]
fn receives_one_byte_at_a_time_and_loses_none() {
    let (mut b, other) = connected();
    other.feed(b"hello");
    b.poll_host();
    assert_eq!(b.read32(STATE), 0, "the receiver is off");
    b.write32(CTRL, 0xa); // RX_EN, RX_INTEN
    let mut text = Vec::new();
    while text.len() < 5 {
        b.wait_host(|b| {
            b.advance_ns(BYTE_NS);
            b.read32(STATE) & 2 != 0
        });
        assert_eq!(lines(&b), [false, true, false, false, true]);
        // Whether a driver reads first or clears the interrupt first: it must not clear that of the next byte.
        text.push(b.read8(DATA));
        b.poll_host();
        b.advance_ns(BYTE_NS - 1);
        b.write32(INTSTATUS, 2);
        assert_eq!(lines(&b), [false; 5]);
    }
    assert_eq!((text, b.read32(STATE)), (b"hello".to_vec(), 0));
}

#[test]
fn no_byte_is_lost_that_is_on_its_way() {
    let (mut b, other) = connected();
    other.feed(b"abcd");
    let mut text = Vec::new();
    for turn in 0.. {
        assert!(turn < 1000, "only {text:?} came");
        // The host's side moves; before the device hears of it, the guest does this and that.
        b.sys
            .host
            .wait(Some(std::time::Duration::ZERO))
            .expect("the reactor waits");
        b.write32(CTRL, if turn % 3 == 0 { 0x1 } else { 0x3 });
        b.write32(DATA, 0);
        b.sys.deliver_completions();
        b.advance_ns(BYTE_NS / 2);
        if b.read32(STATE) & 2 != 0 {
            text.push(b.read8(DATA));
        }
        if text.len() == 4 {
            break;
        }
    }
    assert_eq!((text, b.read32(STATE)), (b"abcd".to_vec(), 0));
}

#[test]
fn reading_data_leaves_the_interrupt_latched() {
    let (mut b, other) = connected();
    b.write32(CTRL, 0xa);
    let int = probe(&mut b, "RXINT", 0);
    other.feed(b"1");
    b.wait_host(|b| b.read32(STATE) == 2);
    assert_eq!((b.read32(DATA), b.read32(INTSTATUS)), (u32::from(b'1'), 2));
    b.write32(INTSTATUS, 2);
    assert_eq!(int.take(&mut b.sys), [(0, true), (0, false)]);
}

#[test]
fn reset_forgets_what_waits() {
    let (mut b, other) = connected();
    fill(&mut b, &other);
    b.write8(DATA, b'y');
    b.sys.reset();
    assert_eq!(b.read32(STATE), 0);
    other.accept(None);
    b.poll_host();
    assert!(!other.take().contains(&b'y'));
}
