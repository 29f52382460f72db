use super::{Lan9118, TYPE, rx::crc32};
use southbridge_backend_net::testing::Loop;
use southbridge_core::{ClockRate, CreateError, PropValue, Properties, System};
use southbridge_testing::{Bench, check_device_that_survives_reset};

const RX_DATA: u64 = 0x00;
const TX_DATA: u64 = 0x20;
const RX_STATUS: u64 = 0x40;
const RX_STATUS_PEEK: u64 = 0x44;
const TX_STATUS: u64 = 0x48;
const IRQ_CFG: u64 = 0x54;
const INT_STS: u64 = 0x58;
const INT_EN: u64 = 0x5c;
const FIFO_INT: u64 = 0x68;
const RX_CFG: u64 = 0x6c;
const TX_CFG: u64 = 0x70;
const HW_CFG: u64 = 0x74;
const RX_DP_CTRL: u64 = 0x78;
const RX_FIFO_INF: u64 = 0x7c;
const TX_FIFO_INF: u64 = 0x80;
const PMT_CTRL: u64 = 0x84;
const GPT_CFG: u64 = 0x8c;
const GPT_CNT: u64 = 0x90;
const FREE_RUN: u64 = 0x9c;
const RX_DROP: u64 = 0xa0;
const MAC_CMD: u64 = 0xa4;
const MAC_DATA: u64 = 0xa8;
const E2P_CMD: u64 = 0xb0;
const E2P_DATA: u64 = 0xb4;

const MAC_CR: u32 = 1;
const RXEN: u32 = 4;
const PRMS: u32 = 1 << 18;
const ME: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];

fn bench() -> Bench {
    Bench::new(&TYPE, Properties::default())
}

fn bench16() -> Bench {
    Bench::new(&TYPE, Properties::default().with("mode_16bit", PropValue::Uint(1)))
}

fn mac_write(b: &mut Bench, register: u32, value: u32) {
    b.write32(MAC_DATA, value);
    b.write32(MAC_CMD, 1 << 31 | register);
}

fn mac_read(b: &mut Bench, register: u32) -> u32 {
    b.write32(MAC_CMD, 3 << 30 | register);
    b.read32(MAC_DATA)
}

fn phy_write(b: &mut Bench, register: u32, value: u32) {
    mac_write(b, 7, value);
    mac_write(b, 6, 1 << 11 | register << 6 | 3);
}

fn phy_read(b: &mut Bench, register: u32) -> u32 {
    mac_write(b, 6, 1 << 11 | register << 6 | 1);
    mac_read(b, 7)
}

/// A frame of `len` bytes to an address, its data counting up.
fn frame(to: [u8; 6], len: usize) -> Vec<u8> {
    let mut f = to.to_vec();
    f.extend([2, 0, 0, 0, 0, 1, 0x08, 0x00]);
    f.extend((0..len - 14).map(|i| i as u8));
    f
}

fn receive(b: &mut Bench, frame: &[u8]) -> bool {
    b.with(|d: &mut Lan9118, cx| d.receive_frame(frame, cx))
}

fn sent(b: &mut Bench) -> u64 {
    b.with(|d: &mut Lan9118, _| d.frames_sent())
}

fn read_bytes(b: &mut Bench, words: usize) -> Vec<u8> {
    (0..words).flat_map(|_| b.read32(RX_DATA).to_le_bytes()).collect()
}

fn send(b: &mut Bench, commands: [u32; 2], bytes: &[u8]) {
    for word in commands {
        b.write32(TX_DATA, word);
    }
    let mut bytes = bytes.to_vec();
    bytes.resize(bytes.len().next_multiple_of(4), 0xee);
    for word in bytes.as_chunks().0 {
        b.write32(TX_DATA, u32::from_le_bytes(*word));
    }
}

const FIRST: u32 = 1 << 13;
const LAST: u32 = 1 << 12;
const IOC: u32 = 1 << 31;

#[test]
fn generic() {
    check_device_that_survives_reset(bench);
    check_device_that_survives_reset(bench16);
}

#[test]
fn reset_values() {
    let mut b = bench();
    let expected = [
        (0x50, 0x0118_0001),
        (0x54, 0),
        (0x58, 0),
        (0x5c, 0),
        (0x64, 0x8765_4321),
        (0x68, 0x4800_0000),
        (0x6c, 0),
        (0x70, 0),
        (0x74, 0x0005_0004),
        (0x7c, 0),
        (0x80, 0x1200),
        (0x84, 1),
        (0x8c, 0xffff),
        (0x90, 0xffff),
        (0xa0, 0),
        (0xb0, 0x100),
    ];
    for (offset, value) in expected {
        assert_eq!(b.read32(offset), value, "offset {offset:#x}");
    }
    assert_eq!(mac_read(&mut b, 1), PRMS);
    assert_eq!((mac_read(&mut b, 2), mac_read(&mut b, 3)), (0x5634, 0x1200_5452));
    assert_eq!(bench16().read32(HW_CFG), 0x0005_0000);
}

#[test]
fn receives_a_frame_with_checksum() {
    let mut b = bench();
    assert!(!receive(&mut b, &frame(ME, 64)), "the receiver is off");
    mac_write(&mut b, MAC_CR, RXEN | PRMS);
    let f = frame(ME, 65);
    assert!(receive(&mut b, &f));
    // 65 + 4 bytes are 18 words.
    assert_eq!(b.read32(RX_FIFO_INF), 1 << 16 | 72);
    assert_eq!(b.read32(RX_STATUS_PEEK), 69 << 16 | 1 << 5);
    assert_eq!(b.read32(RX_STATUS), 69 << 16 | 1 << 5);
    let bytes = read_bytes(&mut b, 18);
    assert_eq!(bytes[..65], f);
    assert_eq!(bytes[65..69], crc32(&f).to_le_bytes());
    assert_eq!(b.read32(RX_FIFO_INF), 0);
    assert_eq!(b.read32(INT_STS) & (1 << 14), 0);
    assert_eq!(b.read32(RX_DATA), 0);
    assert_eq!(b.read32(INT_STS) & (1 << 14), 1 << 14, "RXE: nothing was there");
}

#[test]
fn the_checksum_is_that_of_ethernet() {
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
}

#[test]
fn short_frames_are_filled_up_and_long_ones_refused() {
    let mut b = bench();
    mac_write(&mut b, MAC_CR, RXEN | PRMS);
    assert!(receive(&mut b, &frame(ME, 20)));
    assert_eq!(b.read32(RX_STATUS) >> 16, 64);
    assert!(!receive(&mut b, &[0; 13]));
    assert!(!receive(&mut b, &vec![0; 2048]));
    assert!(receive(&mut b, &vec![0; 2047]));
}

#[test]
fn offset_and_end_alignment_of_received_frames() {
    let mut b = bench();
    mac_write(&mut b, MAC_CR, RXEN | PRMS);
    b.write32(RX_CFG, 1 << 30 | 6 << 8); // six bytes before, 16-byte end
    let f = frame(ME, 60);
    receive(&mut b, &f);
    receive(&mut b, &f);
    // 6 + 64 bytes are 18 words, filled up to 20.
    for _ in 0..2 {
        let bytes = read_bytes(&mut b, 20);
        assert_eq!(bytes[6..66], f);
    }
    assert_eq!(b.read32(RX_FIFO_INF) & 0xffff, 0);
}

#[test]
fn fast_forward_skips_the_rest_of_a_frame() {
    let mut b = bench();
    mac_write(&mut b, MAC_CR, RXEN | PRMS);
    for len in [60, 64, 68] {
        receive(&mut b, &frame(ME, len));
    }
    read_bytes(&mut b, 3);
    b.write32(RX_DP_CTRL, 1 << 31);
    assert_eq!(b.read32(RX_DP_CTRL), 0);
    b.write32(RX_DP_CTRL, 1 << 31); // the whole second one
    assert_eq!(b.read32(RX_FIFO_INF) & 0xffff, 72);
    assert_eq!(read_bytes(&mut b, 17)[..68], frame(ME, 68));
}

#[test]
fn filters_addresses() {
    const BROADCAST: [u8; 6] = [0xff; 6];
    const GROUP: [u8; 6] = [1, 0, 0x5e, 0, 0, 1];
    const OTHER: [u8; 6] = [2, 3, 4, 5, 6, 7];
    let passes = |cr: u32, hash: Option<u32>| {
        let mut b = bench();
        if let Some(n) = hash {
            mac_write(&mut b, if n >= 32 { 4 } else { 5 }, 1 << (n % 32));
        }
        mac_write(&mut b, MAC_CR, RXEN | cr);
        [ME, BROADCAST, GROUP, OTHER].map(|to| {
            receive(&mut b, &frame(to, 60));
            b.read32(RX_STATUS) != 0
        })
    };
    assert_eq!(passes(0, None), [true, true, false, false]);
    assert_eq!(passes(1 << 11, None), [true, false, false, false], "BCAST");
    assert_eq!(passes(1 << 19, None), [true, true, true, false], "MCPAS");
    assert_eq!(passes(1 << 17, None), [false, true, true, true], "INVFILT");
    assert_eq!(passes(PRMS, None), [true, true, true, true]);
    // The hash of 01:00:5e:00:00:01 is bit 31 of HASHL (as ether_crc() >> 26 has it in drivers).
    assert_eq!(passes(1 << 13, Some(31)), [true, true, true, false], "HPFILT");
    assert_eq!(passes(1 << 13, Some(30)), [true, true, false, false]);
    let mut b = bench();
    mac_write(&mut b, MAC_CR, RXEN | 1 << 31);
    receive(&mut b, &frame(OTHER, 60));
    assert_eq!(b.read32(RX_STATUS) >> 30, 1, "RXALL lets it in with a mark");
}

#[test]
fn a_full_fifo_drops_and_counts() {
    let mut b = bench();
    mac_write(&mut b, MAC_CR, RXEN | PRMS);
    let mut taken = 0;
    while receive(&mut b, &frame(ME, 1514)) {
        taken += 1;
    }
    // 2640 words of 380 a frame.
    assert_eq!(taken, 6);
    assert!(!receive(&mut b, &frame(ME, 1514)));
    assert_eq!((b.read32(RX_DROP), b.read32(RX_DROP)), (2, 0));
    assert_eq!(b.read32(INT_STS) & 0x40, 0x40);
    b.write32(RX_CFG, 0x8000);
    assert_eq!((b.read32(RX_FIFO_INF), b.read32(RX_CFG)), (0, 0));
    assert!(receive(&mut b, &frame(ME, 1514)));
    // The other way round: status words run out first.
    b.write32(RX_CFG, 0x8000);
    b.write32(HW_CFG, 0x000e_0000);
    let mut taken = 0;
    while receive(&mut b, &frame(ME, 60)) {
        taken += 1;
    }
    assert_eq!(taken, 480 / 16, "2 KiB: 480 words of data");
}

#[test]
fn transmits_and_reports() {
    let mut b = bench();
    b.write32(TX_CFG, 2);
    assert_eq!(b.read32(TX_CFG), 2);
    b.write32(TX_DATA, IOC | FIRST | LAST | 60);
    assert_eq!(b.read32(TX_FIFO_INF), 0x1200 - 4);
    b.write32(TX_DATA, 0xbeef_0000 | 60);
    for _ in 0..15 {
        assert_eq!(sent(&mut b), 0);
        b.write32(TX_DATA, 0);
    }
    assert_eq!(sent(&mut b), 1);
    assert_eq!(b.read32(TX_FIFO_INF), 1 << 16 | 0x1200);
    assert_eq!(
        b.read32(INT_STS),
        1 << 21 | 1 << 7,
        "completion, and one status word is above the level of 0"
    );
    assert_eq!((b.read32(TX_STATUS), b.read32(TX_FIFO_INF)), (0xbeef_0000, 0x1200));
    b.write32(TX_CFG, 1);
    assert_eq!((b.read32(TX_CFG), b.read32(INT_STS) >> 25 & 1), (0, 1));
}

#[test]
fn loopback_of_a_frame_in_unaligned_segments() {
    let mut b = bench();
    mac_write(&mut b, MAC_CR, RXEN | PRMS);
    phy_write(&mut b, 0, 0x4000);
    let f = frame(ME, 100);
    // 33 bytes after a hole of 7, filled up to 16 bytes; then 0 bytes; then 67 after a hole of 1.
    let mut first = vec![0; 7];
    first.extend(&f[..33]);
    first.resize(48, 0);
    send(&mut b, [1 << 24 | 7 << 16 | FIRST | 33, 0x1234_0064], &first);
    send(&mut b, [0, 0x1234_0064], &[]);
    let mut last = vec![0; 1];
    last.extend(&f[33..]);
    send(&mut b, [1 << 16 | LAST | 67, 0x1234_0064], &last);
    assert_eq!(sent(&mut b), 0, "nothing left the chip");
    assert_eq!(b.read32(TX_STATUS), 0x1234_0000);
    assert_eq!(b.read32(RX_STATUS) >> 16, 104);
    assert_eq!(read_bytes(&mut b, 26)[..100], f);
}

#[test]
fn a_transmit_fifo_that_overflows() {
    let mut b = bench();
    // Segments without a last one: 2 + 511 words each.
    for expected in [0, 1 << 13, 1 << 13 | 1 << 10] {
        send(&mut b, [2044, 0], &[0; 2044]);
        assert_eq!(b.read32(INT_STS), expected, "TXE: longer than any frame; TDFO: no room");
    }
    b.write32(TX_CFG, 0x4000);
    assert_eq!(b.read32(TX_FIFO_INF), 0x1200);
    for _ in 0..200 {
        send(&mut b, [FIRST | LAST | 60, 0], &[0; 60]);
    }
    assert_eq!(b.read32(TX_FIFO_INF) >> 16, 128);
    assert_eq!(b.read32(INT_STS) & 0x1_0100, 0x1_0100, "TXSO, TSFF");
    b.write32(TX_CFG, 0x8000);
    assert_eq!(b.read32(TX_FIFO_INF) >> 16, 0);
}

#[test]
fn the_pin_is_active_low_until_told_otherwise() {
    let mut b = bench();
    assert!(b.line("irq", 0));
    b.write32(INT_EN, 1 << 31); // raises SW_INT
    assert!(b.line("irq", 0), "IRQ_EN is off");
    assert_eq!(b.read32(IRQ_CFG), 1 << 12);
    b.write32(IRQ_CFG, 0x100);
    assert!(!b.line("irq", 0));
    b.write32(IRQ_CFG, 0x111);
    assert!(b.line("irq", 0));
    b.write32(INT_EN, 0);
    assert!(!b.line("irq", 0));
    assert_eq!(b.read32(INT_STS), 1 << 31);
    b.write32(INT_STS, 1 << 31);
    assert_eq!(b.read32(INT_STS), 0);
}

#[test]
fn status_level_interrupts() {
    let mut b = bench();
    mac_write(&mut b, MAC_CR, RXEN | PRMS);
    b.write32(IRQ_CFG, 0x111);
    b.write32(INT_EN, 8);
    b.write32(FIFO_INT, 0x4800_0001);
    receive(&mut b, &frame(ME, 60));
    assert!(!b.line("irq", 0));
    receive(&mut b, &frame(ME, 60));
    assert!(b.line("irq", 0));
}

#[test]
fn soft_reset_keeps_the_pin_and_the_phy_but_not_the_rest() {
    let mut b = bench();
    b.write32(IRQ_CFG, 0x111);
    b.write32(FIFO_INT, 0);
    phy_write(&mut b, 30, 0x40);
    mac_write(&mut b, 3, 0);
    b.write32(HW_CFG, 1);
    assert_eq!(
        (b.read32(IRQ_CFG), b.read32(FIFO_INT), b.read32(HW_CFG)),
        (0x11, 0x4800_0000, 0x5_0004)
    );
    assert_eq!(mac_read(&mut b, 3), 0x1200_5452, "loaded from the EEPROM again");
    assert_eq!(phy_read(&mut b, 30), 0x40);
    b.sys.reset();
    assert_eq!(b.read32(IRQ_CFG), 0);
    assert_eq!(phy_read(&mut b, 30), 0);
}

#[test]
fn phy_registers() {
    let mut b = bench();
    let values = [0, 1, 2, 3, 4, 5, 6].map(|r| phy_read(&mut b, r));
    assert_eq!(values, [0x3000, 0x782d, 7, 0xc0d1, 0x1e1, 0xfe1, 1]);
    b.with(|d: &mut Lan9118, cx| d.set_link(false, cx));
    assert_eq!(phy_read(&mut b, 1), 0x7809);
    assert_eq!(phy_read(&mut b, 29), 0xd0, "link came at reset, then went");
    phy_write(&mut b, 30, 0x40);
    b.write32(INT_EN, 1 << 18);
    b.write32(IRQ_CFG, 0x111);
    assert!(!b.line("irq", 0));
    b.with(|d: &mut Lan9118, cx| d.set_link(true, cx));
    assert!(b.line("irq", 0));
    b.write32(INT_STS, 1 << 18);
    assert!(b.line("irq", 0), "only the PHY itself takes it back");
    assert_eq!(phy_read(&mut b, 29), 0xc0);
    assert!(!b.line("irq", 0));
    phy_write(&mut b, 0, 0x8000);
    assert_eq!(phy_read(&mut b, 0), 0x3000);
    b.write32(PMT_CTRL, 0x400);
    assert_eq!((b.read32(PMT_CTRL), phy_read(&mut b, 30)), (1, 0));
}

#[test]
fn the_eeprom_outlives_reset() {
    let mut b = bench();
    let mut command = |cmd: u32, address: u32, data: u32| {
        b.write32(E2P_DATA, data);
        b.write32(E2P_CMD, 1 << 31 | cmd << 28 | address);
        (b.read32(E2P_DATA), b.read32(E2P_CMD))
    };
    assert_eq!(command(0, 0, 0), (0xa5, 0x100));
    assert_eq!(command(0, 6, 0), (0x56, 0x106));
    command(3, 6, 0x50); // not enabled
    assert_eq!(command(0, 6, 0).0, 0x56);
    command(2, 0, 0);
    command(5, 6, 0);
    command(3, 6, 0x57);
    assert_eq!(command(0, 6, 0).0, 0x57);
    assert_eq!(mac_read(&mut b, 2), 0x5634);
    b.sys.reset();
    assert_eq!(mac_read(&mut b, 2), 0x5734);
    b.write32(E2P_CMD, 2 << 28);
    b.write32(E2P_CMD, 6 << 28);
    b.write32(E2P_CMD, 7 << 28);
    assert_eq!(b.read32(E2P_CMD), 7 << 28, "nothing to load the address from");
}

#[test]
fn the_timer_counts_in_tenths_of_milliseconds() {
    let mut b = bench();
    b.write32(IRQ_CFG, 0x111);
    b.write32(INT_EN, 1 << 19);
    b.write32(GPT_CFG, 1 << 29 | 10);
    b.advance_ns(999_999);
    assert_eq!((b.read32(GPT_CNT), b.line("irq", 0)), (1, false));
    b.advance_ns(1);
    assert_eq!((b.read32(GPT_CNT), b.line("irq", 0)), (0, true));
    b.write32(INT_STS, 1 << 19);
    b.advance_ns(100_000);
    assert_eq!((b.read32(GPT_CNT), b.line("irq", 0)), (0xffff, false));
    b.advance_ns(6_553_500_000);
    assert!(b.line("irq", 0));
    b.write32(GPT_CFG, 0);
    assert_eq!(b.read32(GPT_CNT), 0xffff);
}

#[test]
fn free_run_ticks_at_25_mhz() {
    let mut b = bench();
    b.advance_ns(4000);
    assert_eq!(b.read32(FREE_RUN), 100);
    b.write32(HW_CFG, 1);
    assert_eq!(b.read32(FREE_RUN), 0);
}

#[test]
fn sixteen_bit_hosts_use_halves() {
    let mut b = bench16();
    assert_eq!((b.read16(0x64), b.read16(0x66)), (0x4321, 0x8765));
    b.write16(FIFO_INT, 0x5678);
    assert_eq!(b.read32(FIFO_INT), 0x4800_0000);
    b.write16(FIFO_INT + 2, 0x1234);
    assert_eq!(b.read32(FIFO_INT), 0x1234_5678);
    // A word of the FIFO is taken once for both halves.
    b.write32(MAC_DATA, RXEN | PRMS);
    b.write32(MAC_CMD, 1 << 31 | 1);
    let f = frame(ME, 60);
    receive(&mut b, &f);
    let bytes: Vec<_> = (0..32)
        .flat_map(|i| b.read16(RX_DATA + (i & 1) * 2).to_le_bytes())
        .collect();
    assert_eq!(bytes[..60], f);
    let mut b = bench();
    assert_eq!(
        (b.read16(0x64), b.read16(0x66)),
        (0x4321, 0),
        "no halves on a 32-bit bus"
    );
}

#[test]
fn bad_addresses_are_refused() {
    for bad in [
        "",
        "52:54:00:12:34",
        "52:54:00:12:34:56:78",
        "53:54:00:12:34:56",
        "5254:00:12:34:56",
        "52:54:00:12:34:xx",
    ] {
        let mut sys = System::new(ClockRate::Hz(1)).expect("a system");
        let props = Properties::default().with("mac", PropValue::Str(bad.into()));
        let e = sys.add_device(&TYPE, None, props, &[]);
        assert!(
            matches!(e, Err(CreateError::BadValue { property: "mac", .. })),
            "{bad}: {e:?}"
        );
    }
}

/// With a back end, whose other side is the test, and the receiver on.
fn wired() -> (Bench, Loop) {
    let mut sys = System::new(ClockRate::Hz(25_000_000)).expect("a system");
    let (id, other) = Loop::new(&mut sys);
    let props = Properties::default().with("netdev", PropValue::Backend("loop".into(), id));
    let mut b = Bench::on(sys, &TYPE, props);
    b.sys.reset();
    mac_write(&mut b, MAC_CR, RXEN | 1 << 3);
    (b, other)
}

#[test]
fn frames_cross_the_cable_both_ways() {
    let (mut b, other) = wired();
    let f = frame(ME, 61);
    other.feed(&frame([2; 6], 60));
    other.feed(&f);
    b.poll_host();
    assert_eq!(b.read32(RX_FIFO_INF) >> 16, 1, "the filter has dropped one");
    assert_eq!(b.read32(RX_STATUS) >> 16 & 0x3fff, 65);
    assert_eq!(read_bytes(&mut b, 17)[..61], f);
    b.write32(TX_CFG, 2);
    b.write32(TX_DATA, 3 << 12 | 60);
    b.write32(TX_DATA, 60);
    for w in frame([9; 6], 60).as_chunks().0 {
        b.write32(TX_DATA, u32::from_le_bytes(*w));
    }
    assert_eq!(other.take(), [frame([9; 6], 60)]);
}

#[test]
fn what_the_fifos_cannot_hold_is_counted_as_lost() {
    let (mut b, other) = wired();
    (0..40).for_each(|_| other.feed(&frame(ME, 1514)));
    b.poll_host();
    let held = b.read32(RX_FIFO_INF) >> 16;
    assert!((5..15).contains(&held), "{held} frames of 1514 bytes");
    assert_eq!(b.read32(RX_DROP), 40 - held);
    assert_eq!(other.waiting(), 0);
}

#[test]
fn the_monitor_pulls_the_cable() {
    let (mut b, other) = wired();
    assert_eq!(phy_read(&mut b, 1) & 4, 4);
    other.set_link(&mut b.sys, false);
    b.poll_host();
    assert_eq!(phy_read(&mut b, 1) & 4, 0);
}
