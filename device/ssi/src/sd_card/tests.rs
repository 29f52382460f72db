//! Registers of the card, and the card on its own bus. How it talks over SPI is tested with the adapter.

use southbridge_core::{Properties, System};
use southbridge_testing::{Bench, Noise, check_device};

use super::*;

pub(crate) fn insert(sys: &mut System, card: southbridge_core::DeviceId, medium: impl Medium + 'static) {
    sys.with_device(card, |d, _| {
        let card: &mut SdCard = (d as &mut dyn std::any::Any).downcast_mut().unwrap();
        card.insert(Some(Box::new(medium)));
    });
}

fn bench() -> Bench {
    let mut b = Bench::new(&TYPE, Properties::default());
    let bytes = (0..64 << 10).map(|i| (i >> 9) as u8).collect();
    let device = b.device;
    insert(
        &mut b.sys,
        device,
        MemoryMedium {
            bytes,
            read_only: false,
        },
    );
    b
}

/// A medium that only says how large it is.
pub(crate) struct Huge(pub(crate) u64);

impl Medium for Huge {
    fn size(&self) -> u64 {
        self.0
    }
    fn read_only(&self) -> bool {
        false
    }
    fn read(&mut self, at: u64, out: &mut [u8]) -> bool {
        out.fill((at >> 9) as u8);
        true
    }
    fn write(&mut self, _: u64, _: &[u8]) -> bool {
        false
    }
}

fn card<T>(b: &mut Bench, f: impl FnOnce(&mut (dyn SdCardRole + 'static), &mut Ctx<'_>) -> T) -> T {
    let device = b.device;
    b.sys.with_role::<dyn SdCardRole, _>(device, f).unwrap()
}

fn command(b: &mut Bench, index: u8, argument: u32) -> SdResponse {
    card(b, |c, cx| c.command(index, argument, true, cx))
}

#[test]
fn generic() {
    check_device(bench);
    check_device(|| Bench::new(&TYPE_SPI, Properties::default()));
}

/// Size in bytes that a CSD tells, as a driver computes it (section 5.3.2 and 5.3.3).
fn told(csd: [u8; 16]) -> u64 {
    let bits = u128::from_be_bytes(csd);
    let field = |high: u32, low: u32| (bits >> low) as u64 & ((1 << (high - low + 1)) - 1);
    match field(127, 126) {
        0 => (field(73, 62) + 1) << (field(49, 47) + 2 + field(83, 80)),
        _ => (field(69, 48) + 1) << 19,
    }
}

#[test]
fn the_csd_tells_the_size() {
    for size in [
        64 << 10,
        1 << 20,
        8 << 20,
        32 << 20,
        64 << 20,
        1 << 30,
        2 << 30,
        4 << 30,
        32 << 30,
        1 << 40,
    ] {
        assert_eq!(told(regs::csd(size)), size, "{size:#x}");
    }
    assert_eq!(told(regs::csd(3_000_000)), 2_998_272, "rounded down");
}

#[test]
fn nothing_is_answered_without_a_medium() {
    let mut b = Bench::new(&TYPE, Properties::default());
    assert_eq!(command(&mut b, 0, 0), SdResponse::None);
    assert!(!card(&mut b, |c, _| c.inserted()));
    assert!(matches!(
        b.sys.add_device(
            &TYPE,
            None,
            Properties::default().with("drive", southbridge_core::PropValue::Str("d0".into())),
            &[]
        ),
        Err(CreateError::BadValue { property: "drive", .. })
    ));
}

#[test]
fn the_native_command_set_is_not_there() {
    let mut b = bench();
    assert_eq!(card(&mut b, |c, cx| c.command(0, 0, false, cx)), SdResponse::None);
}

#[test]
fn the_end_of_the_medium_ends_a_long_read() {
    let mut b = bench();
    command(&mut b, 0, 0);
    command(&mut b, 1, 0);
    command(&mut b, 18, (64 << 10) - 1024);
    let mut bytes = Vec::new();
    while card(&mut b, |c, _| c.data_ready()) {
        bytes.push(card(&mut b, |c, cx| c.read_byte(cx)));
        assert!(bytes.len() <= 1024);
    }
    assert_eq!(bytes, [[126; 512], [127; 512]].concat());
    let SdResponse::Short(status) = command(&mut b, 13, 0) else {
        panic!("a status")
    };
    assert_ne!(status & Status::OUT_OF_RANGE.bits(), 0);
}

#[test]
fn what_the_guest_says_is_survived() {
    let mut noise = Noise::new(7);
    for huge in [false, true] {
        let mut b = bench();
        if huge {
            let device = b.device;
            insert(&mut b.sys, device, Huge(4 << 30));
        }
        for _ in 0..50_000 {
            let n = noise.next_u64();
            match n & 7 {
                0 | 1 => drop(command(&mut b, (n >> 8) as u8 & 0x3f, (n >> 16) as u32 & 0x1ffff)),
                2 => drop(command(
                    &mut b,
                    [0, 1, 17, 18, 24, 25, 55, 12][(n >> 8) as usize & 7],
                    (n >> 16) as u32,
                )),
                3 | 4 => drop(card(&mut b, |c, cx| c.read_byte(cx))),
                _ => card(&mut b, |c, cx| c.write_byte(n as u8, cx)),
            }
            if n & 0xff00 == 0 {
                let saved = b.save();
                let loaded = b.sys.with_device(b.device, |d, _| d.load(&saved));
                assert_eq!(loaded, Some(Ok(())), "every state that can be reached can be loaded");
            }
        }
    }
}
