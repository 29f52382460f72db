use southbridge_core::Properties;
use southbridge_testing::{Bench, check_device};

use crate::rig::{MMIO, RAM, Rig};

fn rig() -> Rig {
    let mut r = Rig::new();
    r.add(&super::TYPE, 0, 1, 0);
    r.set_cfg(0, 1, 0x10, 4, MMIO as u32);
    r.set_cfg(0, 1, 4, 2, 6);
    r
}

fn pass_ms(r: &mut Rig, ms: u64) {
    let end = r.sys.clock.now().after_ns(ms * 1_000_000);
    r.sys.advance_to(end);
}

#[test]
fn it_is_what_every_device_is() {
    check_device(|| Bench::new(&super::TYPE, Properties::default()));
    assert_eq!(Bench::new(&super::TYPE, Properties::default()).read32(0), 0x0100_00ed);
}

#[test]
fn configuration_space_is_as_in_qemu() {
    let mut r = Rig::new();
    r.add(&super::TYPE, 0, 1, 0);
    let words: Vec<_> = (0..20).map(|n| r.cfg(0, 1, 4 * n, 4)).collect();
    let qemu = [
        0x11e8_1234,
        0x0010_0000,
        0x00ff_0010,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0x1100_1af4,
        0,
        0x40,
        0,
        0x100,
        0x0080_0005,
        0,
        0,
        0,
    ];
    assert_eq!(words, qemu);
}

#[test]
fn liveness_and_factorial() {
    let mut r = rig();
    r.write32(MMIO + 4, 0x1234_5678);
    assert_eq!(r.read32(MMIO + 4), !0x1234_5678);
    r.write32(MMIO + 0x20, 0x80);
    r.write32(MMIO + 8, 10);
    assert_eq!(r.read32(MMIO + 0x20), 0x81);
    r.write32(MMIO + 8, 3);
    pass_ms(&mut r, 2);
    assert_eq!((r.read32(MMIO + 8), r.read32(MMIO + 0x20)), (3_628_800, 0x80));
    assert_eq!(r.read32(MMIO + 0x24), 1);
    assert!(r.intx(1));
    r.write32(MMIO + 0x64, 1);
    assert!(!r.intx(1));
    r.write32(MMIO + 8, u32::MAX);
    pass_ms(&mut r, 2);
    assert_eq!(r.read32(MMIO + 8), 0);
}

fn dma(r: &mut Rig, source: u64, target: u64, count: u64, command: u64) {
    for (at, v) in [(0x80, source), (0x88, target), (0x90, count), (0x98, command)] {
        r.sys.write(MMIO + at, 8, v).unwrap();
    }
    pass_ms(r, 101);
    assert_eq!(r.sys.read(MMIO + 0x98, 8).unwrap() & 1, 0);
}

#[test]
fn dma_there_and_back_and_only_as_bus_master() {
    let mut r = rig();
    // 28 address bits by default: memory at 2 GiB needs more.
    let mut r2 = Rig::new();
    let p = Properties::default().with("dma_mask", southbridge_core::PropValue::Uint(u64::MAX));
    r2.add_with(&super::TYPE, 0, 8, p, false);
    r2.set_cfg(0, 1, 0x10, 4, MMIO as u32);
    r2.set_cfg(0, 1, 4, 2, 6);
    std::mem::swap(&mut r, &mut r2);
    r.write32(RAM, 0xdead_beef);
    dma(&mut r, RAM, 0x40010, 4, 1);
    dma(&mut r, 0x40010, RAM + 64, 4, 7);
    assert_eq!(r.read32(RAM + 64), 0xdead_beef);
    assert_eq!(r.read32(MMIO + 0x24), 0x100);
    // Neither beyond the buffer nor without permission.
    dma(&mut r, RAM, 0x40ffe, 4, 1);
    dma(&mut r, 0x10, RAM, u64::MAX, 3);
    r.set_cfg(0, 1, 4, 2, 2);
    dma(&mut r, 0x40010, RAM + 128, 4, 3);
    assert_eq!(r.read32(RAM + 128), 0);
    // Its own registers are out of reach, and it says nothing.
    r.set_cfg(0, 1, 4, 2, 6);
    dma(&mut r, 0x40010, MMIO, 4, 3);
}

#[test]
fn a_message_is_a_write_to_memory() {
    let mut r = rig();
    r.set_cfg(0, 1, 0x44, 4, RAM as u32 + 0x100);
    r.set_cfg(0, 1, 0x4c, 2, 0x5a);
    r.set_cfg(0, 1, 0x42, 2, 1);
    r.write32(MMIO + 0x60, 4);
    assert_eq!(r.read32(RAM + 0x100), 0x5a);
    assert!(!r.intx(1), "no wire with messages");
    assert_eq!(r.read32(MMIO + 0x24), 4);
    // To its own BAR, and to its own configuration space: lost, without harm.
    for at in [MMIO + 4, crate::rig::ECAM + 0x8004] {
        r.set_cfg(0, 1, 0x44, 4, at as u32);
        r.write32(MMIO + 0x60, 8);
    }
    assert_eq!(r.cfg(0, 1, 4, 2), 6);
}

#[test]
fn a_transfer_under_way_is_saved() {
    let mut r = rig();
    r.write32(MMIO + 8, 5);
    r.write32(MMIO + 0x60, 2);
    let mut other = rig();
    r.copy_to(&mut other);
    assert_eq!(other.read32(MMIO + 0x20), 1);
    assert_eq!(other.read32(MMIO + 0x24), 2);
}
