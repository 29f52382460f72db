//! Items and files as firmware reads them.

use southbridge_core::memory::{Mapping, RamBlock, Target};
use southbridge_core::{PropValue, Properties};
use southbridge_testing::{Bench, check_device};

use super::*;

const DMA: usize = 2;
const RAM: u64 = 0x8000_0000_0000;
const RAM_SIZE: u64 = 0x10_0000;

fn set(b: &mut Bench, f: impl FnOnce(&mut dyn FirmwareConfig)) {
    b.sys
        .with_role::<dyn FirmwareConfig, _>(b.device, |c, _| f(c))
        .expect("it has the role");
}

fn bench() -> Bench {
    let mut b = Bench::new(&TYPE, Properties::default());
    let block = RamBlock::new("ram", RAM_SIZE).unwrap();
    b.sys.memory.map(Mapping {
        start: RAM,
        len: RAM_SIZE,
        priority: 0,
        name: "ram".into(),
        target: Target::Ram {
            block,
            offset: 0,
            readonly: false,
        },
    });
    set(&mut b, |c| {
        c.set_u16(key::NB_CPUS, 4);
        c.set_u64(key::RAM_SIZE, 0x1234_5678_9abc);
        c.set_kernel(Some(vec![7; 5000]), None, Some("quiet"));
        for name in ["opt/org.example/b", "etc/a"] {
            c.add_file(name, name.as_bytes().to_vec()).unwrap();
        }
    });
    b
}

fn select(b: &mut Bench, key: u16) {
    b.write(CONTROL, 0, 2, key.swap_bytes().into());
}

fn bytes(b: &mut Bench, key: u16, n: usize) -> Vec<u8> {
    select(b, key);
    (0..n).map(|_| b.read(DATA, 0, 1) as u8).collect()
}

/// A request in guest memory; gives its control word afterwards.
fn request(b: &mut Bench, control: u32, length: u32, address: u64) -> u32 {
    let mut r = control.to_be_bytes().to_vec();
    r.extend(length.to_be_bytes());
    r.extend(address.to_be_bytes());
    b.sys.write_bytes(RAM, &r).unwrap();
    b.write(DMA, 0, 4, u64::from(((RAM >> 32) as u32).swap_bytes()));
    b.write(DMA, 4, 4, u64::from((RAM as u32).swap_bytes()));
    (b.sys.read(RAM, 4).unwrap() as u32).swap_bytes()
}

fn memory(b: &mut Bench, offset: u64, n: usize) -> Vec<u8> {
    let mut out = vec![0; n];
    b.sys.read_bytes(RAM + offset, &mut out).unwrap();
    out
}

const READ: u32 = 2;
const SKIP: u32 = 4;
const SELECT: u32 = 8;
const WRITE: u32 = 16;

#[test]
fn generic() {
    check_device(bench);
    check_device(|| Bench::new(&TYPE, Properties::default().with("dma_enabled", PropValue::Bool(false))));
}

#[test]
fn signature_and_features() {
    let mut b = bench();
    assert_eq!(b.read(DATA, 0, 4).to_le_bytes()[..4], *b"QEMU", "selected by reset");
    assert_eq!(bytes(&mut b, key::ID, 5), [3, 0, 0, 0, 0]);
    assert_eq!(b.read(DMA, 0, 8).to_le_bytes(), *b"QEMU CFG");
    assert_eq!(b.read(DMA, 4, 4).to_le_bytes()[..4], *b" CFG");
    assert_eq!(b.read(CONTROL, 0, 2), 0);
    let mut b = Bench::new(&TYPE, Properties::default().with("dma_enabled", PropValue::Bool(false)));
    assert_eq!(bytes(&mut b, key::ID, 4), [1, 0, 0, 0]);
    assert_eq!(b.read(DMA, 0, 8), 0);
}

#[test]
fn items_by_number() {
    let mut b = bench();
    assert_eq!(bytes(&mut b, key::NB_CPUS, 4), [4, 0, 0, 0]);
    select(&mut b, key::RAM_SIZE);
    assert_eq!(
        b.read(DATA, 0, 8),
        0x1234_5678_9abc,
        "a wide read keeps the order of bytes"
    );
    assert_eq!(b.read(DATA, 0, 8), 0);
    assert_eq!(bytes(&mut b, key::CMDLINE_DATA, 7), *b"quiet\0\0");
    assert_eq!(bytes(&mut b, key::CMDLINE_SIZE, 4), [6, 0, 0, 0]);
    assert_eq!(bytes(&mut b, key::KERNEL_SIZE, 4), 5000u32.to_le_bytes());
    assert_eq!(bytes(&mut b, key::INITRD_SIZE, 2), [0, 0]);
    assert_eq!(bytes(&mut b, 0xffff, 2), [0, 0]);
    assert_eq!(bytes(&mut b, key::NB_CPUS | key::WRITE_CHANNEL, 1), [4]);
    assert_eq!(bytes(&mut b, key::NB_CPUS | key::ARCH_LOCAL, 1), [0]);
    b.write(DATA, 0, 1, 5);
    assert_eq!(b.read(DATA, 4, 1), 0);
}

#[test]
fn the_directory_is_by_name() {
    let mut b = bench();
    let d = bytes(&mut b, key::FILE_DIR, 4 + 64 * 32 + 4);
    assert_eq!(d[..4], [0, 0, 0, 2]);
    assert_eq!(d[4..12], [0, 0, 0, 5, 0, 0x20, 0, 0]);
    assert_eq!(d[12..18], *b"etc/a\0");
    assert_eq!(d[68..76], [0, 0, 0, 17, 0, 0x21, 0, 0]);
    assert_eq!(d[76..93], *b"opt/org.example/b");
    assert!(d[132..].iter().all(|b| *b == 0));
    assert_eq!(bytes(&mut b, 0x21, 18), *b"opt/org.example/b\0");
}

#[test]
fn files_that_cannot_be() {
    let mut b = bench();
    set(&mut b, |c| {
        let long = "x".repeat(56);
        assert_eq!(c.add_file(&long, vec![]), Err(FileError::Name(long.clone())));
        assert_eq!(c.add_file("etc/a", vec![]), Err(FileError::Twice("etc/a".into())));
        for i in 0..30 {
            c.add_file(&format!("f{i}"), vec![]).unwrap();
        }
        assert_eq!(c.add_file("more", vec![]), Err(FileError::Full("more".into(), 32)));
    });
}

#[test]
fn dma_reads_whole_items() {
    let mut b = bench();
    let to = RAM + 0x1000;
    assert_eq!(
        request(&mut b, u32::from(key::KERNEL_DATA) << 16 | SELECT | READ, 5000, to),
        0
    );
    let got = memory(&mut b, 0x1000, 5001);
    assert!(got[..5000].iter().all(|b| *b == 7) && got[5000] == 0);
    assert_eq!(request(&mut b, 0x21 << 16 | SELECT | SKIP, 4, 0), 0);
    assert_eq!(request(&mut b, READ, 100, to), 0, "and zeros behind the end");
    let got = memory(&mut b, 0x1000, 101);
    assert_eq!(
        (&got[..13], &got[13..]),
        (&b"org.example/b"[..], &[&[0; 87][..], &[7]].concat()[..])
    );
    assert_eq!(b.read(DATA, 0, 1), 0);
}

#[test]
fn an_address_in_one_piece() {
    let mut b = bench();
    let mut r = (u32::from(key::SIGNATURE) << 16 | SELECT | READ).to_be_bytes().to_vec();
    r.extend(4u32.to_be_bytes());
    r.extend((RAM + 64).to_be_bytes());
    b.sys.write_bytes(RAM, &r).unwrap();
    b.write(DMA, 0, 8, RAM.swap_bytes());
    assert_eq!(memory(&mut b, 64, 4), b"QEMU");
    assert_eq!(memory(&mut b, 0, 4), [0; 4]);
}

#[test]
fn dma_errors() {
    let mut b = bench();
    let nowhere = 0x7000_0000_0000;
    assert_eq!(request(&mut b, SELECT | READ, 4, nowhere), 1);
    assert_eq!(request(&mut b, SELECT | WRITE, 4, RAM + 64), 1);
    assert_eq!(
        request(&mut b, SELECT | READ, u32::MAX, RAM + 64),
        1,
        "four gigabytes of nothing"
    );
    assert_eq!(request(&mut b, SELECT | SKIP, u32::MAX, 0), 0);
    assert_eq!(request(&mut b, 0, u32::MAX, nowhere), 0, "nothing was asked");
    assert_eq!(request(&mut b, SELECT | READ, 4, 0), 1, "its own registers");
    b.write(DMA, 0, 8, nowhere.swap_bytes());
    b.write(DMA, 0, 2, 1);
}

#[test]
fn a_read_goes_on_after_load() {
    let mut a = bench();
    assert_eq!(bytes(&mut a, 0x20, 2), b"et");
    let saved = a.save();
    let mut b = bench();
    b.sys.with_device(b.device, |d, _| d.load(&saved)).unwrap().unwrap();
    assert_eq!(b.read(DATA, 0, 1) as u8, b'c');
}
