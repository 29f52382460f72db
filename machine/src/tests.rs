use super::board::BOARDS;
use super::build::{Options, build};
use super::load::{Format, LoadError, install, parse};
use super::place::{PlaceError, place};
use super::registry;
use proptest::prelude::*;
use southbridge_core::{ClockRate, Machine, PropValue, Properties};

fn built(name: &str) -> super::Built {
    let board = BOARDS.iter().find(|b| b.name == name).unwrap();
    build(
        Machine::empty(ClockRate::Hz(1)).unwrap(),
        board,
        &registry(),
        &Options::default(),
    )
    .unwrap()
}

#[test]
fn every_table_is_sound() {
    assert_eq!(registry().check(), Vec::<String>::new());
}

#[test]
fn every_board_builds_and_resets() {
    for board in BOARDS {
        let mut b = built(board.name);
        b.machine.reset();
        assert_eq!(b.parts.len(), b.description.parts.len());
    }
}

/// A back end that never speaks: the place of a device does not depend on its server.
fn ivshmem_socket(b: &mut super::Built) -> PropValue {
    let id = southbridge_backend_chardev::testing::Loop::new(&mut b.machine.sys).0;
    PropValue::Backend("iv".into(), id)
}

#[test]
fn ivshmem_flat_finds_its_place_on_both_boards() {
    for (name, regs, shmem, irq) in [
        ("lm3s6965evb", 0x400f_f000, 0x4010_0000, 44),
        ("mps2-an385", 0x4003_0000, 0x6000_0000, 31),
    ] {
        let mut b = built(name);
        let t = registry().get("ivshmem-flat").unwrap();
        let p1 = Properties::default().with("chardev", ivshmem_socket(&mut b));
        let p2 = Properties::default().with("chardev", ivshmem_socket(&mut b));
        let d = b.machine.sys.add_device(t, Some("iv"), p1, &[]).unwrap();
        let p = place(&mut b.machine, &mut b.layout, d).unwrap();
        assert_eq!((p.regions[0].1, p.regions[1].1, p.irq), (regs, shmem, Some(irq)));
        let second = b.machine.sys.add_device(t, Some("iv2"), p2, &[]).unwrap();
        let q = place(&mut b.machine, &mut b.layout, second).unwrap();
        assert!(
            q.regions
                .iter()
                .all(|r| p.regions.iter().all(|o| r.1 >= o.1 + o.2 || o.1 >= r.1 + r.2))
        );
        assert_ne!(q.irq, p.irq);
        let mut third = |name: &str, value: PropValue| {
            let p = Properties::default()
                .with("chardev", ivshmem_socket(&mut b))
                .with(name, value);
            let d = b.machine.sys.add_device(t, None, p, &[]).unwrap();
            place(&mut b.machine, &mut b.layout, d)
        };
        let taken = PropValue::Str(irq.to_string());
        assert!(matches!(third("irq", taken), Err(PlaceError::Irq { .. })));
        assert!(matches!(
            third("address", PropValue::Uint(0x2000_0000)),
            Err(PlaceError::Occupied { .. })
        ));
        assert!(matches!(
            third("address", PropValue::Uint(0x2000_0004)),
            Err(PlaceError::Misplaced { .. })
        ));
        assert_eq!(third("irq", PropValue::Str("off".into())).unwrap().irq, None);
    }
}

#[test]
fn bad_images_are_named() {
    let mut b = built("lm3s6965evb");
    let big = parse(&vec![1; 257 << 10], Format::Raw, 0).unwrap();
    let text = install(&mut b.machine, "fw", big).unwrap_err().to_string();
    assert!(text.contains("0x40000"), "{text}");
    let mut elf = b"\x7fELF\x01\x01\x01".to_vec();
    elf.resize(40, 0);
    assert!(matches!(parse(&elf, Format::Detect, 0), Err(LoadError::Elf(_))));
    assert!(
        matches!(parse(b":00000001FE\n", Format::Detect, 0), Err(LoadError::Hex(_))),
        "wrong checksum"
    );
    assert!(
        matches!(
            parse(b":0400000001020304F2\n", Format::Detect, 0),
            Err(LoadError::Hex(_))
        ),
        "no end record"
    );
    assert_eq!(parse(b"", Format::Detect, 0), Err(LoadError::Empty));
}

proptest! {
    #[test]
    fn no_bytes_upset_the_loader(bytes in proptest::collection::vec(any::<u8>(), 0..300), kind in 0..3) {
        let mut file = match kind { 0 => b"\x7fELF\x01\x01\x01".to_vec(), 1 => b":10".to_vec(), _ => Vec::new() };
        file.extend(bytes);
        super::load::fuzz(&file);
    }
}
