//! A card in its slot, driven byte by byte as a driver does.

use southbridge_core::{DeviceId, Properties};
use southbridge_testing::{Bench, Noise, check_device};

use super::*;
use crate::crc::{crc7, crc16};
use crate::sd_card::tests::{Huge, insert};
use crate::sd_card::{self, MemoryMedium};

struct Host {
    bench: Bench,
    card: DeviceId,
}

fn contents() -> Vec<u8> {
    (0..1 << 20).map(|i: u32| (i ^ i >> 9) as u8).collect()
}

impl Host {
    fn empty() -> Self {
        let mut bench = Bench::new(&TYPE, Properties::default());
        let card = bench
            .sys
            .add_device(&sd_card::TYPE, None, Properties::default(), &[])
            .unwrap();
        let bus = bench.sys.slot(bench.device).unwrap().buses[0];
        bench.sys.plug(bus, card, 0);
        Self { bench, card }
    }

    fn with(medium: impl sd_card::Medium + 'static) -> Self {
        let mut h = Self::empty();
        insert(&mut h.bench.sys, h.card, medium);
        h
    }

    fn ready(medium: impl sd_card::Medium + 'static) -> Self {
        let mut h = Self::with(medium);
        assert_eq!(h.command(0, 0), 0x01);
        assert_eq!(h.application(41, 1 << 30), 0x01, "busy once");
        assert_eq!(h.application(41, 1 << 30), 0x00);
        h
    }

    fn memory() -> Self {
        Self::ready(MemoryMedium {
            bytes: contents(),
            read_only: false,
        })
    }

    fn put(&mut self, byte: u8) -> u8 {
        let device = self.bench.device;
        let answer = self
            .bench
            .sys
            .with_role::<dyn SsiTarget, _>(device, |t, cx| t.transfer(byte.into(), cx));
        answer.unwrap() as u8
    }

    fn get(&mut self) -> u8 {
        self.put(0xff)
    }

    fn frame(&mut self, index: u8, argument: u32) {
        let [a, b, c, d] = argument.to_be_bytes();
        let frame = [0x40 | index, a, b, c, d];
        for byte in frame {
            self.put(byte);
        }
        self.put(crc7(&frame) << 1 | 1);
    }

    /// R1 of a command.
    fn command(&mut self, index: u8, argument: u32) -> u8 {
        self.frame(index, argument);
        self.r1()
    }

    fn r1(&mut self) -> u8 {
        (0..8)
            .map(|_| self.get())
            .find(|b| b & 0x80 == 0)
            .expect("a response within 8 bytes")
    }

    fn application(&mut self, index: u8, argument: u32) -> u8 {
        assert_eq!(self.command(55, 0) & !1, 0);
        self.command(index, argument)
    }

    fn word(&mut self) -> u32 {
        u32::from_be_bytes(std::array::from_fn(|_| self.get()))
    }

    fn token(&mut self) -> u8 {
        (0..100).map(|_| self.get()).find(|b| *b != 0xff).expect("a token")
    }

    fn block(&mut self, len: usize) -> Vec<u8> {
        assert_eq!(self.token(), 0xfe);
        let data: Vec<u8> = (0..len).map(|_| self.get()).collect();
        let crc = u16::from_be_bytes([self.get(), self.get()]);
        assert_eq!(crc, data.iter().copied().fold(0, crc16));
        data
    }

    fn write_block(&mut self, token: u8, data: &[u8]) -> u8 {
        self.put(token);
        for byte in data {
            self.put(*byte);
        }
        self.put(0);
        self.put(0);
        self.get()
    }
}

#[test]
fn generic() {
    check_device(|| Host::empty().bench);
    check_device(|| {
        let mut h = Host::memory();
        h.bench.sys.reset();
        h.bench
    });
}

#[test]
fn an_empty_slot_knows_no_command() {
    let mut h = Host::empty();
    assert_eq!(h.command(0, 0), 0x04);
}

#[test]
fn the_initialisation_of_a_driver() {
    let mut h = Host::with(Huge(8 << 30));
    assert_eq!(h.command(0, 0), 0x01);
    assert_eq!((h.command(8, 0x1aa), h.word()), (0x01, 0x1aa));
    assert_eq!(h.command(17, 0), 0x05, "illegal before initialisation");
    assert_eq!((h.command(58, 0), h.word()), (0x01, 0x00ff_8000));
    h.application(41, 1 << 30);
    assert_eq!(h.application(41, 1 << 30), 0x00);
    assert_eq!(
        (h.command(58, 0), h.word()),
        (0x00, 0xc0ff_8000),
        "powered up, counts in blocks"
    );
    assert_eq!(h.command(8, 0x1aa), 0x04, "not any more");
    assert_eq!((h.command(9, 0), h.block(16)[0] >> 6), (0, 1));
    assert_eq!((h.command(10, 0), &h.block(16)[1..8]), (0, b"SBSBSD1".as_slice()));
    assert_eq!(
        (h.application(51, 0), h.block(8)[..3].to_vec()),
        (0, vec![0x02, 0x25, 0x80])
    );
    assert_eq!((h.application(13, 0), h.get(), h.block(64)), (0, 0, vec![0; 64]));
    assert_eq!((h.command(13, 0), h.get()), (0, 0));
    assert_eq!(h.application(42, 0), 0);
    h.command(17, 5);
    assert_eq!(h.block(512), [5; 512], "block addresses");
    assert_eq!(h.command(0, 0), 0x01, "and idle again");
}

#[test]
fn single_blocks() {
    let mut h = Host::memory();
    assert_eq!(h.command(17, 512), 0);
    assert_eq!(h.block(512), contents()[512..1024]);
    assert_eq!(h.command(24, 512), 0);
    assert_eq!(h.write_block(0xfe, &[0x5a; 512]), 0x05);
    assert_eq!((h.command(17, 512), h.block(512)), (0, vec![0x5a; 512]));
    assert_eq!((h.application(22, 0), h.block(4)), (0, vec![0, 0, 0, 1]));
}

#[test]
fn short_blocks() {
    let mut h = Host::memory();
    assert_eq!(h.command(16, 16), 0);
    assert_eq!((h.command(17, 32), h.block(16)), (0, contents()[32..48].to_vec()));
    assert_eq!(h.command(16, 513) & 0x40, 0x40);
    assert_eq!(h.command(16, 0) & 0x40, 0x40);
    assert_eq!((h.command(17, 0), h.block(16).len()), (0, 16), "unchanged");
}

#[test]
fn many_blocks_until_stopped() {
    let mut h = Host::memory();
    assert_eq!(h.command(18, 0), 0);
    for i in 0..3 {
        assert_eq!(h.block(512), contents()[i * 512..(i + 1) * 512]);
    }
    h.frame(12, 0);
    assert_eq!(h.get(), 0xff, "one byte of delay");
    assert_eq!(h.r1(), 0);
    assert_eq!((h.command(13, 0), h.get()), (0, 0));

    assert_eq!(h.application(23, 2), 0);
    assert_eq!(h.command(25, 2048), 0);
    for fill in [1, 2] {
        assert_eq!(h.write_block(0xfc, &[fill; 512]), 0x05);
        h.get();
    }
    h.put(0xfd);
    assert_eq!((h.get(), h.get()), (0xff, 0xff), "no longer busy");
    assert_eq!((h.command(17, 2048), h.block(512)), (0, vec![1; 512]));
    assert_eq!((h.command(17, 2560), h.block(512)), (0, vec![2; 512]));
    assert_eq!((h.application(22, 0), h.block(4)), (0, vec![0, 0, 0, 2]));
}

#[test]
fn addresses_beyond_the_end() {
    let mut h = Host::memory();
    assert_eq!(h.command(17, 1 << 20), 0x20);
    assert_eq!(h.command(24, u32::MAX), 0x20);
    assert_eq!(h.command(17, 0), 0, "the error is told once");
}

#[test]
fn erase() {
    let mut h = Host::memory();
    assert_eq!(h.command(38, 0), 0x10, "no range");
    assert_eq!((h.command(32, 1024), h.command(33, 1536), h.command(38, 0)), (0, 0, 0));
    assert_eq!((h.command(17, 1024), h.block(512)), (0, vec![0xff; 512]));
    assert_eq!((h.command(17, 1536), h.block(512)), (0, vec![0xff; 512]));
    assert_eq!(
        (h.command(17, 2048), h.block(512)),
        (0, contents()[2048..2560].to_vec())
    );
    assert_eq!(h.command(38, 0), 0x10, "the range is used up");
}

#[test]
fn protected_cards() {
    let mut h = Host::ready(MemoryMedium {
        bytes: contents(),
        read_only: true,
    });
    h.command(24, 0);
    assert_eq!(h.write_block(0xfe, &[0; 512]), 0x0d, "write error");
    assert_eq!((h.command(17, 0), h.block(512)), (0, contents()[..512].to_vec()));

    let mut h = Host::memory();
    h.command(9, 0);
    let mut csd = h.block(16);
    csd[14] |= 0x10; // temporary protection
    csd[15] = crc7(&csd[..15]) << 1 | 1;
    assert_eq!((h.command(27, 0), h.write_block(0xfe, &csd)), (0, 0x05));
    h.command(9, 0);
    assert_eq!(h.block(16), csd);
    h.command(24, 0);
    assert_eq!(h.write_block(0xfe, &[0; 512]), 0x0d);
    csd[0] ^= 1;
    h.command(27, 0);
    h.write_block(0xfe, &csd);
    assert_eq!((h.command(13, 0), h.get() & 0x80), (0, 0x80), "a read-only field");
}

#[test]
fn checksums_on_request() {
    let mut h = Host::memory();
    let wrong = |h: &mut Host| {
        for byte in [0x40 | 13, 0, 0, 0, 0, 0x01] {
            h.put(byte);
        }
        h.r1()
    };
    assert_eq!((wrong(&mut h), h.get()), (0, 0));
    assert_eq!(h.command(59, 1), 0);
    assert_eq!(wrong(&mut h), 0x08);
    assert_eq!((h.command(13, 0), h.get()), (0, 0));
    assert_eq!(h.command(59, 0), 0);
    assert_eq!(wrong(&mut h), 0);
}

#[test]
fn high_speed_can_be_chosen() {
    let mut h = Host::memory();
    assert_eq!(h.command(6, 0x80ff_fff1), 0);
    let status = h.block(64);
    assert_eq!((status[13] & 2, status[16] & 0xf), (2, 1));
}

#[test]
fn selected_when_the_line_is_low() {
    let mut h = Host::empty();
    let device = h.bench.device;
    let selected = |h: &mut Host| {
        h.bench
            .sys
            .with_role::<dyn SsiTarget, _>(device, |t, _| t.is_selected())
    };
    assert_eq!(selected(&mut h), Some(true));
    h.bench.set_input("ssi-gpio-cs", 0, true);
    assert_eq!(selected(&mut h), Some(false));
}

#[test]
fn any_bytes_are_survived() {
    let mut h = Host::memory();
    let mut noise = Noise::new(3);
    for _ in 0..20_000 {
        let n = noise.next_u64();
        match n & 15 {
            0..=5 => h.frame((n >> 8) as u8 & 0x3f, (n >> 16) as u32 & 0x1f_ffff),
            6 => drop(h.put(0xfe)),
            7 => drop(h.put(0xfc)),
            8 => drop(h.put(0x4c)),
            _ => drop(h.put((n >> 8) as u8)),
        }
        for _ in 0..n >> 20 & 0x3f {
            h.get();
        }
        if n & 0xf0 == 0 {
            let saved = h.bench.save();
            let loaded = h.bench.sys.with_device(device_of(&h), |d, _| d.load(&saved));
            assert_eq!(loaded, Some(Ok(())), "every state that can be reached can be loaded");
        }
    }
}

fn device_of(h: &Host) -> DeviceId {
    h.bench.device
}
