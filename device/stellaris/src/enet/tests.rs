use super::regs::*;
use super::{StellarisEnet, TYPE};
use southbridge_backend_net::testing::Loop;
use southbridge_core::{ClockRate, PropValue, Properties, System};
use southbridge_testing::{Bench, check_device, check_device_that_survives_reset};

const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];

fn bench() -> Bench {
    Bench::new(&TYPE, Properties::default())
}

/// With a cable in, and the receiver on.
fn linked() -> Bench {
    let mut b = bench();
    b.with(|d: &mut StellarisEnet, cx| d.set_link(true, cx));
    b.write32(RCTL, RCTL_RXEN);
    b
}

fn receive(b: &mut Bench, frame: &[u8]) -> bool {
    b.with(|d: &mut StellarisEnet, cx| d.receive_frame(frame, cx))
}

fn sent(b: &mut Bench) -> Vec<Vec<u8>> {
    b.with(|d: &mut StellarisEnet, _| std::mem::take(&mut d.sent))
}

/// A frame of `len` bytes to `to`.
fn frame(to: [u8; 6], len: usize) -> Vec<u8> {
    to.into_iter().chain((6..).map(|i| i as u8)).take(len).collect()
}

/// Writes a frame into the transmit FIFO as drivers do: length, then bytes, in words.
fn write_fifo(b: &mut Bench, frame: &[u8]) {
    let mut bytes = (frame.len() as u16 - 14).to_le_bytes().to_vec();
    bytes.extend_from_slice(frame);
    bytes.resize(bytes.len().next_multiple_of(4), 0xee);
    for word in bytes.as_chunks().0 {
        b.write32(DATA, u32::from_le_bytes(*word));
    }
}

fn mii_read(b: &mut Bench, register: u32) -> u32 {
    b.write32(MCTL, register << 3 | MCTL_START);
    assert_eq!(b.read32(MCTL) & MCTL_START, 0);
    b.read32(MRXD)
}

fn mii_write(b: &mut Bench, register: u32, value: u32) {
    b.write32(MTXD, value);
    b.write32(MCTL, register << 3 | MCTL_WRITE | MCTL_START);
}

#[test]
fn general() {
    check_device(bench);
}

#[test]
fn general_with_packets_waiting() {
    check_device_that_survives_reset(|| {
        let mut b = linked();
        for n in 60..64 {
            assert!(receive(&mut b, &frame(MAC, n)));
        }
        b
    });
}

#[test]
fn loopback_brings_back_what_was_transmitted() {
    let mut b = bench();
    mii_write(&mut b, 0, 0x7100);
    b.write32(RCTL, RCTL_RXEN);
    b.write32(TCTL, TCTL_TXEN | TCTL_CRC);
    write_fifo(&mut b, &frame(MAC, 60));
    b.write32(TR, TR_NEWTX);
    assert_eq!(b.read32(NP), 1);
    assert_eq!(b.read32(DATA), 66 | 0x5452 << 16);
}

#[test]
fn reset_values_are_those_of_qemu() {
    let mut b = bench();
    for (offset, value) in [
        (RIS, 0),
        (IM, 0x7f),
        (RCTL, 8),
        (THR, 0x3f),
        (MDV, 0x80),
        (IA0, 0x1200_5452),
        (IA1, 0x5634),
    ] {
        assert_eq!(b.read32(offset), value, "at {offset:#x}");
    }
}

#[test]
fn a_bad_address_is_refused() {
    for bad in [
        "",
        "1:2:3:4:5:6",
        "52:54:00:12:34",
        "52:54:00:12:34:56:78",
        "52:54:00:12:34:5g",
    ] {
        let mut sys = southbridge_core::System::new(southbridge_core::ClockRate::Hz(1)).expect("a system");
        let props = Properties::default().with("mac", PropValue::Str(bad.into()));
        assert!(sys.add_device(&TYPE, None, props, &[]).is_err(), "{bad}");
    }
}

#[test]
fn a_received_packet_is_read_word_by_word() {
    let mut b = linked();
    let f = frame(MAC, 65);
    assert!(receive(&mut b, &f));
    assert!(b.line("irq", 0));
    assert_eq!((b.read32(RIS), b.read32(NP)), (INT_RX, 1));
    let mut bytes = Vec::new();
    while b.read32(NP) != 0 {
        bytes.extend_from_slice(&b.read32(DATA).to_le_bytes());
    }
    assert_eq!(bytes.len(), 72);
    assert_eq!(bytes[..2], [71, 0], "length with itself and the check sequence");
    assert_eq!(bytes[2..67], f);
    assert_ne!(bytes[67..71], [0; 4]);
    b.write32(RIS, INT_RX);
    assert!(!b.line("irq", 0));
    assert_eq!(b.read32(DATA), 0, "nothing left");
}

#[test]
fn the_address_filter() {
    let mut b = linked();
    let multicast = frame([1, 0, 0x5e, 0, 0, 1], 60);
    let other = frame([2; 6], 60);
    assert!(receive(&mut b, &frame([0xff; 6], 60)));
    assert!(!receive(&mut b, &multicast));
    assert!(!receive(&mut b, &other));
    b.write32(RCTL, RCTL_RXEN | RCTL_AMUL);
    assert!(receive(&mut b, &multicast));
    assert!(!receive(&mut b, &other));
    b.write32(RCTL, RCTL_RXEN | RCTL_PRMS);
    assert!(receive(&mut b, &other));
    b.write32(IA0, 0x0202_0202);
    b.write32(IA1, 0x0202);
    b.write32(RCTL, RCTL_RXEN | RCTL_RSTFIFO);
    assert_eq!((b.read32(NP), b.read32(RCTL)), (0, RCTL_RXEN));
    assert!(receive(&mut b, &other));
    b.write32(RCTL, 0);
    assert!(!receive(&mut b, &other));
}

#[test]
fn a_full_fifo_and_a_giant_frame_overrun() {
    let mut b = linked();
    for _ in 0..31 {
        assert!(b.with(|d: &mut StellarisEnet, _| d.can_receive()));
        assert!(receive(&mut b, &frame(MAC, 60)));
    }
    assert!(!b.with(|d: &mut StellarisEnet, _| d.can_receive()));
    assert!(!receive(&mut b, &frame(MAC, 60)));
    assert_eq!(b.read32(RIS) & INT_FOV, INT_FOV);
    b.write32(RIS, INT_FOV);
    b.write32(RCTL, RCTL_RXEN | RCTL_RSTFIFO);
    assert!(!receive(&mut b, &frame(MAC, 2043)));
    assert_eq!(b.read32(RIS) & INT_FOV, INT_FOV);
    assert!(receive(&mut b, &frame(MAC, 2042)));
}

#[test]
fn without_a_link_nothing_arrives() {
    let mut b = bench();
    b.write32(RCTL, RCTL_RXEN | RCTL_PRMS);
    assert!(!receive(&mut b, &frame(MAC, 60)));
}

#[test]
fn transmission_on_request_pads_and_counts() {
    let mut b = bench();
    let f = frame([3; 6], 20);
    write_fifo(&mut b, &f);
    b.write32(TR, TR_NEWTX);
    assert_eq!(b.read32(TR), TR_NEWTX, "waits for the transmitter");
    b.write32(TCTL, TCTL_TXEN | TCTL_PADEN | TCTL_CRC);
    assert_eq!((b.read32(TR), b.read32(RIS)), (0, INT_TXEMP));
    assert!(b.line("irq", 0));
    let out = sent(&mut b);
    assert_eq!(out.len(), 1);
    assert_eq!(out[0].len(), 60);
    assert_eq!(out[0][..20], f);
    assert!(
        out[0][20..].iter().all(|x| *x == 0),
        "padding is not what lay in the FIFO"
    );
    assert_eq!(b.with(|d: &mut StellarisEnet, _| d.transmitted()), 1);
}

#[test]
fn transmission_by_threshold_waits_for_the_whole_frame() {
    let mut b = bench();
    b.write32(TCTL, TCTL_TXEN | TCTL_CRC);
    b.write32(THR, 1);
    let f = frame([3; 6], 98);
    write_fifo(&mut b, &f);
    assert_eq!(sent(&mut b), [&f[..]]);
    // With a check sequence by the guest, four bytes more are awaited.
    b.write32(TCTL, TCTL_TXEN);
    write_fifo(&mut b, &f);
    assert!(sent(&mut b).is_empty());
    b.write32(DATA, 0x1234_5678);
    assert_eq!(sent(&mut b), [&f[..]]);
}

#[test]
fn an_announced_length_that_cannot_be_is_an_error() {
    let mut b = bench();
    b.write32(DATA, 2033);
    assert_eq!(b.read32(RIS), INT_TXER);
    b.write32(RIS, INT_TXER);
    b.write32(TCTL, TCTL_TXEN);
    b.write32(TR, TR_NEWTX);
    assert!(sent(&mut b).is_empty());
}

#[test]
fn the_phy_tells_of_the_link() {
    let mut b = bench();
    assert_eq!(
        [0, 1, 2, 3, 4, 16, 19, 23, 24].map(|r| mii_read(&mut b, r)),
        [0x3100, 0x7849, 0x000e, 0x7237, 0x01e1, 0x0140, 0x4000, 0x0010, 0x00c0]
    );
    assert_eq!(b.read32(RIS), INT_MD);
    b.write32(RIS, INT_MD);
    mii_write(&mut b, 17, 0x0400);
    b.write32(RIS, INT_MD);
    b.with(|d: &mut StellarisEnet, cx| d.set_link(true, cx));
    assert_eq!(b.read32(RIS), INT_PHY);
    assert_eq!(mii_read(&mut b, 17), 0x0405);
    assert_eq!(mii_read(&mut b, 17), 0x0400, "cleared by reading");
    assert_eq!(mii_read(&mut b, 1), 0x7849 | 0x24);
    b.with(|d: &mut StellarisEnet, cx| d.set_link(false, cx));
    b.with(|d: &mut StellarisEnet, cx| d.set_link(true, cx));
    assert_eq!(mii_read(&mut b, 1) & 4, 0, "a lost link shows once");
    assert_eq!(mii_read(&mut b, 1) & 4, 4);
    b.sys.reset();
    assert_eq!(mii_read(&mut b, 1) & 4, 4, "a reset leaves the cable in");
}

/// With a back end, whose other side is the test.
fn wired() -> (Bench, Loop) {
    let mut sys = System::new(ClockRate::Hz(12_500_000)).expect("a system");
    let (id, other) = Loop::new(&mut sys);
    let props = Properties::default().with("netdev", PropValue::Backend("loop".into(), id));
    let mut b = Bench::on(sys, &TYPE, props);
    b.sys.reset();
    b.write32(RCTL, RCTL_RXEN);
    b.write32(TCTL, TCTL_TXEN | TCTL_CRC);
    (b, other)
}

#[test]
fn frames_cross_the_cable_both_ways() {
    let (mut b, other) = wired();
    assert_eq!(mii_read(&mut b, 1) & 4, 4, "the cable is in");
    other.feed(&frame(MAC, 60));
    other.feed(&frame([2; 6], 60));
    other.feed(&frame([0xff; 6], 64));
    b.poll_host();
    assert_eq!(b.read32(NP), 2, "the filter has dropped one");
    assert!(b.line("irq", 0));
    write_fifo(&mut b, &frame([3; 6], 80));
    b.write32(TR, TR_NEWTX);
    assert_eq!(other.take(), [frame([3; 6], 80)]);
}

#[test]
fn a_full_fifo_lets_frames_wait_outside() {
    let (mut b, other) = wired();
    (0..40).for_each(|n| other.feed(&frame(MAC, 60 + n)));
    b.poll_host();
    assert_eq!((b.read32(NP), other.waiting()), (31, 9));
    assert_eq!(b.read32(RIS) & INT_FOV, 0);
    // One packet of 60 bytes and its length and check sequence are 17 words.
    for _ in 0..17 {
        b.read32(DATA);
    }
    b.poll_host();
    assert_eq!((b.read32(NP), other.waiting()), (31, 8));
    // Off, the receiver lets them go by; the FIFO keeps what it has.
    b.write32(RCTL, 0);
    b.poll_host();
    assert_eq!((b.read32(NP), other.waiting()), (31, 0));
}

#[test]
fn a_full_back_end_keeps_the_transmitter_waiting() {
    let (mut b, other) = wired();
    other.accept(Some(0));
    b.poll_host();
    let mut n = 0;
    loop {
        write_fifo(&mut b, &frame([3; 6], 60));
        b.write32(TR, TR_NEWTX);
        if b.read32(TR) != 0 {
            break;
        }
        n += 1;
        assert!(n < 10_000, "queues have an end");
    }
    b.write32(RIS, INT_TXEMP);
    other.accept(None);
    b.poll_host();
    assert_eq!((b.read32(TR), b.read32(RIS) & INT_TXEMP), (0, INT_TXEMP));
    assert_eq!(other.take().len(), n + 1);
}

#[test]
fn the_monitor_pulls_the_cable() {
    let (mut b, other) = wired();
    other.set_link(&mut b.sys, false);
    b.poll_host();
    assert_eq!(mii_read(&mut b, 1) & 4, 0);
    other.set_link(&mut b.sys, true);
    b.poll_host();
    mii_read(&mut b, 1);
    assert_eq!(mii_read(&mut b, 1) & 4, 4);
}
