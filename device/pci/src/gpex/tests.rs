use southbridge_bus_pci::wiring::devfn;
use southbridge_core::{PropValue, Properties};
use southbridge_testing::Noise;

use crate::rig::{MMIO, MMIO64, PIO, RAM, Rig};
use crate::{edu, gpex, testdev};

#[test]
fn the_root_has_the_identity_that_qemu_gives() {
    let mut r = Rig::new();
    assert_eq!(r.cfg(0, 0, 0, 4), 0x0008_1b36);
    assert_eq!(r.cfg(0, 0, 8, 4), 0x0600_0000);
    assert_eq!(r.cfg(0, 0, 0x2c, 4), 0x1100_1af4);
    // A conventional function ends at 256 bytes; nobody answers at other places.
    assert_eq!(r.cfg(0, 0, 0x100, 4), u32::MAX);
    assert_eq!(r.cfg(0, 1, 0, 4), u32::MAX);
    assert_eq!(r.cfg(7, 0, 0, 2), 0xffff);
    assert_eq!(r.sys.read(Rig::ecam(0, 0, 0, 0), 8), Ok(0x8_1b36));
}

#[test]
fn bars_are_sized_and_follow_the_command_register() {
    let mut r = Rig::new();
    r.add(&edu::TYPE, 0, 1, 0);
    r.set_cfg(0, 1, 0x10, 4, u32::MAX);
    assert_eq!(r.cfg(0, 1, 0x10, 4), 0xfff0_0000);
    r.set_cfg(0, 1, 0x10, 4, MMIO as u32);
    assert_eq!(r.read32(MMIO), u32::MAX, "not enabled");
    r.set_cfg(0, 1, 4, 2, 2);
    assert_eq!(r.read32(MMIO), 0x0100_00ed);
    r.set_cfg(0, 1, 0x10, 4, MMIO as u32 + 0x10_0000);
    assert_eq!(r.read32(MMIO), u32::MAX, "moved away");
    assert_eq!(r.read32(MMIO + 0x10_0000), 0x0100_00ed);
    // A BAR over memory or beyond the windows is nowhere.
    r.set_cfg(0, 1, 0x10, 4, RAM as u32);
    r.write32(RAM, 0x1234);
    assert_eq!(r.read32(RAM), 0x1234);
    r.set_cfg(0, 1, 0x10, 4, MMIO as u32);
    r.set_cfg(0, 1, 4, 1, 0);
    assert_eq!(r.read32(MMIO), u32::MAX, "disabled");
}

#[test]
fn ports_and_wide_bars() {
    let mut r = Rig::new();
    let p = Properties::default().with("membar", PropValue::Uint(4 << 30));
    r.add_with(&testdev::TYPE, 0, devfn(2, 0), p, false);
    for bar in [0x14, 0x18, 0x1c] {
        r.set_cfg(0, 2, bar, 4, u32::MAX);
    }
    assert_eq!(r.cfg(0, 2, 0x14, 4), 0xffff_ff01);
    assert_eq!((r.cfg(0, 2, 0x18, 4), r.cfg(0, 2, 0x1c, 4)), (0xc, 0xffff_ffff));
    r.set_cfg(0, 2, 0x14, 4, 0x1000);
    r.set_cfg(0, 2, 0x18, 4, 0);
    r.set_cfg(0, 2, 0x1c, 4, 4);
    r.set_cfg(0, 2, 4, 2, 3);
    // Start the first test of the ports and count.
    let port = PIO + 0x1000;
    r.sys.write(port, 1, 0).unwrap();
    let at = r.read32(port + 4);
    let datum = r.sys.read(port + 8, 1).unwrap();
    r.sys.write(port + u64::from(at), 1, datum).unwrap();
    assert_eq!(r.read32(port + 12), 1);
    assert_eq!(r.read32(MMIO64), 0, "memory without anything behind it");
    assert_eq!(r.read32(PIO), u32::MAX);
}

#[test]
fn reset_and_restore_place_bars_anew() {
    let mut r = Rig::new();
    r.add(&edu::TYPE, 0, 1, 0);
    r.set_cfg(0, 1, 0x10, 4, MMIO as u32);
    r.set_cfg(0, 1, 4, 2, 6);
    let mut other = Rig::new();
    other.add(&edu::TYPE, 0, 1, 0);
    r.copy_to(&mut other);
    assert_eq!(other.read32(MMIO), 0x0100_00ed);
    r.sys.reset();
    assert_eq!(r.read32(MMIO), u32::MAX);
    assert_eq!(r.cfg(0, 1, 0x10, 4), 0);
}

#[test]
fn interrupt_wires_rotate_with_the_slot() {
    for slot in 1..6 {
        let mut r = Rig::new();
        r.add(&edu::TYPE, 0, slot, 0);
        r.set_cfg(0, slot, 0x10, 4, MMIO as u32);
        r.set_cfg(0, slot, 4, 2, 2);
        r.write32(MMIO + 0x60, 1);
        let high: Vec<_> = (0..4).filter(|n| r.intx(*n)).collect();
        assert_eq!(high, [u16::from(slot) % 4]);
        assert_eq!(r.cfg(0, slot, 6, 2) & 8, 8);
        // Interrupt disable takes the line, not the status.
        r.set_cfg(0, slot, 4, 2, 0x402);
        assert!(!r.intx(u16::from(slot) % 4));
        assert_eq!(r.cfg(0, slot, 6, 2) & 8, 8);
        r.set_cfg(0, slot, 4, 2, 2);
        assert!(r.intx(u16::from(slot) % 4));
        r.write32(MMIO + 0x64, 1);
        assert!(!r.intx(u16::from(slot) % 4));
    }
}

#[test]
fn a_guest_that_lies_does_no_harm() {
    let mut r = Rig::new();
    r.add(&edu::TYPE, 0, 1, 0);
    r.add(&testdev::TYPE, 0, 2, 0);
    r.add(&crate::port::ROOT_PORT, 0, 3, 0);
    r.add(&edu::TYPE, 1, 0, 0);
    r.add(&crate::port::UPSTREAM, 0, 4, 0);
    r.add(&crate::port::DOWNSTREAM, 2, 0, 0);
    let mut noise = Noise::new(4);
    for _ in 0..20_000 {
        let n = noise.next_u64();
        let size = 1 << (n & 3);
        let bus = [0, 0, 0, 1, 2, 3, 200, 255][(n >> 2 & 7) as usize];
        let slot = (n >> 5 & 7) as u8;
        let offset = if n >> 8 & 3 == 0 {
            n >> 10 & 0xfff
        } else {
            n >> 10 & 0xff
        };
        let at = Rig::ecam(bus, slot, 0, offset) & !(size - 1);
        let value = match n >> 22 & 7 {
            0 => u64::MAX,
            1 => crate::rig::ECAM + 0x8000,
            2 => MMIO,
            3 => MMIO | 0x0003_0201,
            4 => 7,
            _ => noise.next_u64(),
        };
        let _ = r.sys.write(at, size as u8, value);
        let _ = r.sys.read(at, size as u8);
        let _ = r.sys.write(MMIO + (n >> 30 & 0xfffc), 4, value);
    }
    r.sys.reset();
    assert_eq!(r.cfg(0, 1, 0, 4), 0x11e8_1234);
    let _ = gpex::TYPE;
}
