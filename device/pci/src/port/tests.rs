use southbridge_bus_pci::errors::{self, ErrorReport};
use southbridge_bus_pci::wiring::{devfn, may_plug};
use southbridge_bus_pci::{Leaves, PciFunction, PciSlot, SlotError};
use southbridge_core::{PropValue, Properties};
use southbridge_testing::{Bench, check_device};

use super::{DOWNSTREAM, EXPANDER, PCI_BRIDGE, ROOT_PORT, TO_PCI, UPSTREAM};
use crate::edu;
use crate::rig::{MMIO, RAM, Rig};

/// Words of configuration space that QEMU 10.0.2 shows on `-M virt` before any software runs; the rest is 0.
fn assert_space(r: &mut Rig, slot: u8, len: u64, qemu: &[(u64, &[u32])]) {
    for at in (0..len).step_by(4) {
        let line = qemu
            .iter()
            .find(|(start, words)| (*start..start + 4 * words.len() as u64).contains(&at));
        let expected = line.map_or(0, |(start, words)| words[((at - start) / 4) as usize]);
        assert_eq!(r.cfg(0, slot, at, 4), expected, "at {at:#x}");
    }
}

#[test]
fn every_bridge_is_what_devices_are() {
    for t in [&ROOT_PORT, &UPSTREAM, &DOWNSTREAM, &PCI_BRIDGE, &TO_PCI] {
        check_device(|| Bench::new(t, Properties::default()));
    }
    check_device(|| Bench::new(&EXPANDER, Properties::default().with("bus_nr", PropValue::Uint(32))));
}

#[test]
fn a_root_port_as_in_qemu() {
    let mut r = Rig::new();
    let p = Properties::default()
        .with("chassis", PropValue::Uint(1))
        .with("slot", PropValue::Uint(1));
    r.add_with(&ROOT_PORT, 0, devfn(4, 0), p, false);
    assert_space(
        &mut r,
        4,
        0x1000,
        &[
            (0, &[0x000c_1b36, 0x0010_0000, 0x0604_0000, 0x0001_0000]),
            (0x1c, &[0x0000_00f0, 0x0000_fff0, 0x0001_fff1]),
            (0x34, &[0x54, 0, 0x100]),
            (0x40, &[0x0000_000d, 0x0000_1b36, 0x0000_4011, 0]),
            (
                0x50,
                &[
                    0x800,
                    0x0142_4810,
                    0x8020,
                    0,
                    0x0030_0604,
                    0x0204_0000,
                    0x000a_007b,
                    0x07c0,
                ],
            ),
            (0x78, &[0x0030_0020, 0, 0x1e, 4]),
            (0x100, &[0x1482_0001, 0, 0x0240_0000, 0x0046_2030, 0, 0xe000, 0x2a0]),
            (0x148, &[0x0001_000d, 0x5f]),
        ],
    );
}

#[test]
fn an_upstream_port_as_in_qemu() {
    let mut r = Rig::new();
    r.add(&UPSTREAM, 0, 6, 0);
    assert_space(
        &mut r,
        6,
        0x1000,
        &[
            (0, &[0x8232_104c, 0x0010_0000, 0x0604_0002, 0x0001_0000]),
            (0x24, &[0x0001_0001]),
            (0x34, &[0x90]),
            (0x70, &[0x0080_0005]),
            (0x80, &[0x0000_700d]),
            (0x90, &[0x0052_8010, 0x1000_8020, 0, 0x411, 0x0011_0000]),
            (0xb4, &[0x0030_0000]),
            (0x100, &[0x0002_0001, 0, 0x0240_0000, 0x0046_2030, 0, 0xe000, 0x2a0]),
        ],
    );
}

#[test]
fn a_switch_leads_to_its_devices() {
    let mut r = Rig::new();
    r.add(&ROOT_PORT, 0, 1, 0);
    r.add(&UPSTREAM, 1, 0, 0);
    r.add(&DOWNSTREAM, 2, 0, 0);
    r.add(&DOWNSTREAM, 2, 3, 0);
    r.add(&edu::TYPE, 4, 0, 0);
    for (bus, slot, numbers) in [
        (0, 1, 0x0004_0100),
        (1, 0, 0x0004_0201),
        (2, 0, 0x0003_0302),
        (2, 3, 0x0004_0402),
    ] {
        r.set_cfg(bus, slot, 0x18, 4, numbers);
        r.set_cfg(bus, slot, 0x20, 4, 0x4010_4000);
        r.set_cfg(bus, slot, 4, 2, 6);
    }
    assert_eq!(r.cfg(2, 3, 0, 4), 0x8233_104c);
    assert_eq!(r.cfg(4, 0, 0, 4), 0x11e8_1234);
    assert_eq!(r.cfg(3, 0, 0, 4), u32::MAX);
    r.set_cfg(4, 0, 0x10, 4, MMIO as u32 + 0x10_0000);
    r.set_cfg(4, 0, 4, 2, 6);
    assert_eq!(r.read32(MMIO + 0x10_0000), 0x0100_00ed);
    // Swizzle: slot 0 below slot 3 below slot 0 below slot 1: pin A becomes wire (0 + 3 + 0 + 1) % 4.
    r.write32(MMIO + 0x10_0060, 1);
    assert!(r.intx(0));
    // A window that is shut hides it, and so does a command register.
    r.set_cfg(2, 3, 0x20, 4, 0x4000_4010);
    assert_eq!(r.read32(MMIO + 0x10_0000), u32::MAX);
    r.set_cfg(2, 3, 0x20, 4, 0x4010_4010);
    assert_eq!(r.read32(MMIO + 0x10_0000), 0x0100_00ed);
    r.set_cfg(0, 1, 4, 2, 0);
    assert_eq!(r.read32(MMIO + 0x10_0000), u32::MAX);
    r.set_cfg(0, 1, 4, 2, 6);
    // Reset of the bus below.
    r.set_cfg(2, 3, 0x3e, 2, 0x40);
    assert_eq!(r.cfg(4, 0, 0x10, 4), 0);
    r.set_cfg(2, 3, 0x3e, 2, 0);
}

#[test]
fn expanders_have_root_buses_of_their_own() {
    let mut r = Rig::new();
    for (slot, number) in [(1, 32), (2, 64)] {
        let p = Properties::default().with("bus_nr", PropValue::Uint(number));
        r.add_with(&EXPANDER, 0, devfn(slot, 0), p, false);
    }
    r.add(&edu::TYPE, 1, 1, 0);
    r.add(&edu::TYPE, 2, 2, 0);
    assert_eq!((r.cfg(32, 1, 0, 4), r.cfg(64, 2, 0, 4)), (0x11e8_1234, 0x11e8_1234));
    assert_eq!(r.cfg(33, 1, 0, 4), u32::MAX);
    r.set_cfg(64, 2, 0x10, 4, MMIO as u32);
    r.set_cfg(64, 2, 4, 2, 2);
    assert_eq!(r.read32(MMIO), 0x0100_00ed);
}

const SLTCTL: u64 = 0x54 + 0x18;
const SLTSTA: u64 = 0x54 + 0x1a;

fn unplug(r: &mut Rig, port: southbridge_core::DeviceId) -> Result<Leaves, SlotError> {
    r.sys
        .with_role::<dyn PciSlot, _>(port, |s, cx| s.unplug(0, cx))
        .expect("a slot")
}

#[test]
fn a_device_comes_and_goes_with_the_guests_help() {
    let mut r = Rig::new();
    let port = r.add(&ROOT_PORT, 0, 1, 0);
    r.sys.reset();
    r.set_cfg(0, 1, 0x18, 4, 0x0001_0100);
    r.set_cfg(0, 1, 0x20, 4, 0x4010_4000);
    // MSI-X of the port, and hot-plug interrupts.
    r.set_cfg(0, 1, 0x10, 4, MMIO as u32 + 0x20_0000);
    r.set_cfg(0, 1, 4, 2, 6);
    let table = MMIO + 0x20_0000;
    for (at, v) in [(0, RAM as u32), (4, 0), (8, 0x77), (12, 0)] {
        r.write32(table + at, v);
    }
    r.set_cfg(0, 1, 0x4a, 2, 0x8000);
    r.set_cfg(0, 1, SLTCTL, 2, 0x07c0 | 0x39);
    assert_eq!(r.read32(RAM), 0x77, "the command is complete");
    r.set_cfg(0, 1, SLTSTA, 2, 0x10);
    r.write32(RAM, 0);

    let edu = r.add_with(&edu::TYPE, 1, 0, Properties::default(), true);
    assert_eq!(r.cfg(0, 1, SLTSTA, 2) & 0x49, 0x49, "present, changed, button");
    assert_eq!(r.read32(RAM), 0x77);
    assert_eq!(r.cfg(1, 0, 0, 4), u32::MAX, "no power yet");
    r.set_cfg(0, 1, SLTSTA, 2, 0x9);
    r.set_cfg(0, 1, SLTCTL, 2, 0x01c0 | 0x39);
    assert_eq!(r.cfg(1, 0, 0, 4), 0x11e8_1234);
    r.set_cfg(0, 1, SLTSTA, 2, 0x10);

    assert_eq!(unplug(&mut r, port), Ok(Leaves::WhenReleased));
    assert_eq!(r.cfg(0, 1, SLTSTA, 2) & 1, 1);
    r.set_cfg(0, 1, SLTCTL, 2, 0x02c0 | 0x39);
    assert_eq!(unplug(&mut r, port), Err(SlotError::Busy));
    r.set_cfg(0, 1, SLTCTL, 2, 0x07c0 | 0x39);
    assert_eq!(r.sys.take_unplugs(), [edu]);
    assert_eq!(r.cfg(0, 1, SLTSTA, 2) & 0x48, 8, "gone, changed");
    assert_eq!(r.cfg(1, 0, 0, 4), u32::MAX);
    r.sys.remove_device(edu);
}

#[test]
fn slots_refuse_what_they_cannot() {
    let mut r = Rig::new();
    let p = Properties::default().with("hotplug", PropValue::Bool(false));
    r.add_with(&ROOT_PORT, 0, devfn(1, 0), p, false);
    let (root, below) = (r.bus(0), r.bus(1));
    assert_eq!(may_plug(&mut r.sys, root, 8, true), Err(SlotError::NoHotPlug));
    assert_eq!(may_plug(&mut r.sys, root, 8, false), Ok(()));
    assert_eq!(may_plug(&mut r.sys, below, 8, false), Err(SlotError::OnlySlot0));
    assert_eq!(may_plug(&mut r.sys, below, 0, false), Ok(()));
    assert_eq!(may_plug(&mut r.sys, below, 0, true), Err(SlotError::NoHotPlug));
}

#[test]
fn a_slot_without_a_driver_lets_go_at_once() {
    let mut r = Rig::new();
    let port = r.add(&ROOT_PORT, 0, 1, 0);
    r.sys.reset();
    r.set_cfg(0, 1, 0x18, 4, 0x0001_0100);
    // A rescan finds what came, and later that it is gone.
    let edu = r.add_with(&edu::TYPE, 1, 0, Properties::default(), true);
    assert_eq!(r.cfg(1, 0, 0, 4), 0x11e8_1234);
    assert_eq!(unplug(&mut r, port), Ok(Leaves::Now));
    r.sys.remove_device(edu);
    assert_eq!(r.cfg(1, 0, 0, 4), u32::MAX);
    assert_eq!(r.cfg(0, 1, SLTSTA, 2) & 0x40, 0);
}

#[test]
fn without_a_driver_of_slots_a_device_in_use_leaves_when_its_own_lets_go() {
    let mut r = Rig::new();
    let port = r.add(&ROOT_PORT, 0, 1, 0);
    r.sys.reset();
    r.set_cfg(0, 1, 0x18, 4, 0x0001_0100);
    let edu = r.add_with(&edu::TYPE, 1, 0, Properties::default(), true);
    r.set_cfg(1, 0, 4, 2, 6);
    r.set_cfg(1, 0, 4, 2, 2);
    assert_eq!(r.sys.take_unplugs(), [], "nobody asked");
    r.set_cfg(1, 0, 4, 2, 6);
    assert_eq!(unplug(&mut r, port), Ok(Leaves::WhenReleased));
    assert_eq!(unplug(&mut r, port), Ok(Leaves::WhenReleased), "twice is once");
    r.set_cfg(1, 0, 4, 2, 4);
    assert_eq!(r.sys.take_unplugs(), [], "it may still do DMA");
    r.set_cfg(1, 0, 4, 2, 0);
    assert_eq!(r.sys.take_unplugs(), [edu]);
    assert_eq!(r.cfg(0, 1, SLTSTA, 2) & 0x48, 8, "gone, changed");
    r.sys.remove_device(edu);

    // The next one knows nothing of it, and goes with a reset.
    let edu = r.add_with(&edu::TYPE, 1, 0, Properties::default(), true);
    r.set_cfg(1, 0, 4, 2, 6);
    r.set_cfg(1, 0, 4, 2, 0);
    assert_eq!(r.sys.take_unplugs(), []);
    r.set_cfg(1, 0, 4, 2, 6);
    assert_eq!(unplug(&mut r, port), Ok(Leaves::WhenReleased));
    r.sys.reset();
    assert_eq!(r.sys.take_unplugs(), [edu]);
    assert_eq!(r.cfg(0, 1, SLTSTA, 2) & 0x40, 0, "not there");
}

/// A switch below a root port, numbers set up; the root port's messages go to memory.
fn switch() -> (Rig, southbridge_core::DeviceId) {
    let mut r = Rig::new();
    r.add(&ROOT_PORT, 0, 1, 0);
    let upstream = r.add(&UPSTREAM, 1, 0, 0);
    r.set_cfg(0, 1, 0x18, 4, 0x0002_0100);
    r.set_cfg(1, 0, 0x18, 4, 0x0002_0201);
    r.set_cfg(0, 1, 0x20, 4, 0x4010_4000);
    r.set_cfg(0, 1, 0x10, 4, MMIO as u32 + 0x20_0000);
    r.set_cfg(0, 1, 4, 2, 6);
    let table = MMIO + 0x20_0000;
    for (at, v) in [(0, RAM as u32), (4, 0), (8, 0x55), (12, 0)] {
        r.write32(table + at, v);
    }
    r.set_cfg(0, 1, 0x4a, 2, 0x8000);
    (r, upstream)
}

fn inject(r: &mut Rig, device: southbridge_core::DeviceId, e: ErrorReport) {
    let done = r
        .sys
        .with_role::<dyn PciFunction, _>(device, |f, cx| errors::report(f, &e, cx));
    assert_eq!(done, Some(Ok(())));
}

#[test]
fn errors_go_up_to_the_root_port() {
    let (mut r, upstream) = switch();
    let correctable = ErrorReport {
        status: 1 << 6,
        correctable: true,
        ..ErrorReport::default()
    };
    let fatal = ErrorReport {
        status: 1 << 18,
        ..ErrorReport::default()
    };
    // The link has the speed and width of the slower end.
    assert_eq!((r.cfg(0, 1, 0x60, 4) & 0x3ff, r.cfg(0, 1, 0x66, 2)), (0x204, 0x2011));
    // Nobody wants to hear.
    inject(&mut r, upstream, correctable);
    assert_eq!((r.cfg(1, 0, 0x110, 4), r.cfg(0, 1, 0x130, 4)), (1 << 6, 0));
    // Reporting in both, SERR through both, and the root port interrupts.
    for (bus, slot, control) in [(0, 1, 0x5c), (1, 0, 0x98)] {
        r.set_cfg(bus, slot, control, 2, 7);
        r.set_cfg(bus, slot, 0x3e, 2, 2);
    }
    r.set_cfg(0, 1, 0x12c, 4, 7);
    inject(&mut r, upstream, correctable);
    assert_eq!((r.cfg(0, 1, 0x130, 4), r.cfg(0, 1, 0x134, 4)), (1, 0x100));
    assert_eq!(r.read32(RAM), 0x55);
    r.write32(RAM, 0);
    inject(&mut r, upstream, correctable);
    assert_eq!((r.cfg(0, 1, 0x130, 4), r.read32(RAM)), (3, 0), "no news");
    r.set_cfg(0, 1, 0x130, 4, 3);
    inject(&mut r, upstream, fatal);
    assert_eq!((r.cfg(0, 1, 0x130, 4), r.cfg(0, 1, 0x134, 4)), (0x54, 0x100_0100));
    assert_eq!(r.read32(RAM), 0x55);
    // Received system error below, signalled above.
    assert_eq!(r.cfg(0, 1, 0x1e, 2) & 0x4000, 0x4000);
    assert_eq!(r.cfg(0, 1, 6, 2) & 0x4000, 0x4000);
    // A bridge that lets no errors through.
    r.set_cfg(0, 1, 0x130, 4, 0x7f);
    r.set_cfg(0, 1, 0x3e, 2, 0);
    inject(&mut r, upstream, fatal);
    assert_eq!(r.cfg(0, 1, 0x130, 4), 0);
}

#[test]
fn power_events_queue_at_the_root_port() {
    let (mut r, _) = switch();
    r.set_cfg(0, 1, 0x54 + 0x1c, 2, 8);
    let port = r.bus(1);
    let port = r.sys.buses().find(|(id, _)| *id == port).map(|(_, b)| b.owner);
    let tell = |r: &mut Rig, source| {
        let m = errors::PciMessage::PowerEvent(source);
        let on = r
            .sys
            .with_role::<dyn PciFunction, _>(port.expect("a port"), |f, cx| f.message(m, cx));
        assert_eq!(on, Some(false), "it ends here");
    };
    tell(&mut r, 0x100);
    assert_eq!((r.cfg(0, 1, 0x74, 4), r.read32(RAM)), (0x1_0100, 0x55));
    tell(&mut r, 0x200);
    assert_eq!(r.cfg(0, 1, 0x74, 4), 0x3_0100);
    r.write32(RAM, 0);
    r.set_cfg(0, 1, 0x74, 4, 0x1_0000);
    assert_eq!(r.cfg(0, 1, 0x74, 4), 0x1_0200);
    r.set_cfg(0, 1, 0x74, 4, 0x1_0000);
    assert_eq!(r.cfg(0, 1, 0x74, 4) & 0x3_0000, 0);
    tell(&mut r, 0x300);
    assert_eq!((r.cfg(0, 1, 0x74, 4), r.read32(RAM)), (0x1_0300, 0x55));
}

#[test]
fn a_bar_shows_where_windows_let_it() {
    let mut r = Rig::new();
    r.add(&ROOT_PORT, 0, 1, 0);
    r.add(&crate::virtuals::PHYSICAL, 1, 0, 0);
    r.set_cfg(0, 1, 0x18, 4, 0x0001_0100);
    // Two windows: the second and third megabyte of a BAR of eight, and the last and what follows.
    r.set_cfg(0, 1, 0x20, 4, 0x40a0_4090);
    r.set_cfg(0, 1, 0x24, 4, 0x4110_40f0);
    r.set_cfg(0, 1, 4, 2, 6);
    r.set_cfg(1, 0, 0x10, 4, MMIO as u32 + 0x80_0000);
    r.set_cfg(1, 0, 4, 2, 2);
    let base = MMIO + 0x80_0000;
    let megabytes = |r: &mut Rig| -> Vec<u32> { (0..9).map(|n| r.read32(base + (n << 20))).collect() };
    let gone = u32::MAX;
    assert_eq!(
        megabytes(&mut r),
        [gone, 0x10_0000, 0x20_0000, gone, gone, gone, gone, 0x70_0000, gone]
    );
    assert_eq!(r.read32(base + 0x2f_fffc), 0x2f_fffc);
    assert_eq!(r.read32(base + 0x30_0000), gone);
    // Windows that meet, or lie over each other, show one piece.
    r.set_cfg(0, 1, 0x20, 4, 0x40e0_4080);
    let all: Vec<u32> = (0..8).map(|n| n << 20).chain([gone]).collect();
    assert_eq!(megabytes(&mut r), all);
    r.set_cfg(0, 1, 0x24, 4, 0x4110_4080);
    assert_eq!(megabytes(&mut r), all);
    // The host bridge's window ends as well.
    r.set_cfg(0, 1, 0x20, 4, 0xfff0_0000);
    r.set_cfg(1, 0, 0x10, 4, (MMIO + (1 << 30)) as u32);
    assert_eq!(megabytes(&mut r), [gone; 9]);
}
