//! What a driver finds in an empty slot.

use southbridge_core::{PropValue, Properties};
use southbridge_testing::{Bench, check_device};

use super::TYPE;

fn bench(legacy: bool) -> Bench {
    Bench::new(
        &TYPE,
        Properties::default().with("force-legacy", PropValue::Bool(legacy)),
    )
}

#[test]
fn generic() {
    check_device(|| bench(true));
}

#[test]
fn nobody_is_there() {
    for (legacy, version) in [(true, 1), (false, 2)] {
        let mut b = bench(legacy);
        let words: Vec<_> = (0..4).map(|i| b.read32(4 * i)).collect();
        assert_eq!(words, [0x7472_6976, version, 0, 0x554d_4551]);
        b.write32(0x70, 0xff);
        assert!((0x10..0x200).step_by(4).all(|o| b.read32(o) == 0));
        assert!(!b.line("irq", 0));
    }
}

const SLOT: u64 = 0x1000_1000;

/// A transport with an entropy source in it, and memory.
fn full(legacy: bool) -> (southbridge_core::System, southbridge_core::DeviceId) {
    let mut sys = southbridge_bus_virtio::testing::system();
    let p = Properties::default().with("force-legacy", PropValue::Bool(legacy));
    let slot = sys.add_device(&TYPE, None, p, &[]).expect("a transport");
    sys.map_device(slot, 0, SLOT, 0);
    let t = crate::rng::TYPES
        .iter()
        .find(|t| t.name == "virtio-rng-device")
        .expect("a type");
    let device = sys.add_device(t, None, Properties::default(), &[]).expect("a device");
    let bus = sys.buses().next().expect("a bus").0;
    southbridge_bus_virtio::wiring::plug(&mut sys, bus, device);
    sys.reset();
    (sys, slot)
}

fn get(sys: &mut southbridge_core::System, offset: u64) -> u64 {
    sys.read(SLOT + offset, 4).expect("the slot answers")
}

fn set(sys: &mut southbridge_core::System, offset: u64, value: u64) {
    sys.write(SLOT + offset, 4, value).expect("the slot answers");
}

fn fill(sys: &mut southbridge_core::System, base: u64, driver: u64) {
    sys.write(base, 8, base + 0x8000).expect("memory");
    sys.write(base + 8, 8, 16 | 2 << 32).expect("memory");
    sys.write(driver, 8, 0x1_0000).expect("memory");
}

fn wait(sys: &mut southbridge_core::System, used: u64) {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while sys.read(used + 2, 2).expect("memory") == 0 {
        assert!(std::time::Instant::now() < end, "the device does not answer");
        sys.host.wait(Some(std::time::Duration::from_millis(5))).expect("host");
        sys.deliver_completions();
    }
}

fn irq(sys: &southbridge_core::System, slot: southbridge_core::DeviceId) -> bool {
    sys.net_of(slot, 0).is_some_and(|net| sys.net_level(net))
}

#[test]
fn a_driver_of_version_2_gets_a_buffer_filled() {
    let (mut sys, slot) = full(false);
    let base = southbridge_bus_virtio::testing::RAM + 0x10_0000;
    assert_eq!((get(&mut sys, 4), get(&mut sys, 8)), (2, 4));
    set(&mut sys, 0x70, 0);
    set(&mut sys, 0x70, 3);
    set(&mut sys, 0x14, 1);
    assert_eq!(get(&mut sys, 0x10), 0x101, "version 1 and ring reset");
    set(&mut sys, 0x24, 1);
    set(&mut sys, 0x20, 1);
    set(&mut sys, 0x70, 11);
    assert_eq!(get(&mut sys, 0x70), 11);
    set(&mut sys, 0x30, 0);
    assert_eq!(get(&mut sys, 0x34), 8);
    fill(&mut sys, base, base + 0x1000);
    for (offset, value) in [
        (0x38, 8),
        (0x80, base),
        (0x90, base + 0x1000),
        (0xa0, base + 0x2000),
        (0x44, 1),
    ] {
        set(&mut sys, offset, value);
    }
    assert_eq!(get(&mut sys, 0x44), 1);
    set(&mut sys, 0x70, 15);
    set(&mut sys, 0x50, 0);
    wait(&mut sys, base + 0x2000);
    assert!(irq(&sys, slot));
    assert_eq!(get(&mut sys, 0x60), 1);
    set(&mut sys, 0x64, 1);
    assert!(!irq(&sys, slot));
    // Registers of the other version are none.
    set(&mut sys, 0x40, 5);
    assert_eq!(get(&mut sys, 0x40), 0);
    set(&mut sys, 0x70, 0);
    assert_eq!((get(&mut sys, 0x44), get(&mut sys, 0x70)), (0, 0));
}

#[test]
fn a_driver_of_version_1_gets_a_buffer_filled() {
    let (mut sys, slot) = full(true);
    let base = southbridge_bus_virtio::testing::RAM + 0x10_0000;
    assert_eq!((get(&mut sys, 4), get(&mut sys, 8)), (1, 4));
    set(&mut sys, 0x14, 1);
    assert_eq!(get(&mut sys, 0x10), 0, "nothing beyond 32 bits");
    set(&mut sys, 0x14, 0);
    assert_eq!(get(&mut sys, 0x10), 0x3900_0000);
    set(&mut sys, 0x70, 3);
    set(&mut sys, 0x28, 4096);
    set(&mut sys, 0x30, 0);
    fill(&mut sys, base, base + 0x80);
    for (offset, value) in [(0x38, 8), (0x3c, 4096), (0x40, base >> 12)] {
        set(&mut sys, offset, value);
    }
    assert_eq!(get(&mut sys, 0x40), base >> 12);
    set(&mut sys, 0x70, 7);
    set(&mut sys, 0x50, 0);
    wait(&mut sys, base + 0x1000);
    assert!(irq(&sys, slot));
    set(&mut sys, 0x64, 3);
    assert!(!irq(&sys, slot));
    assert_eq!(get(&mut sys, 0x44), 0, "a register of the other version");
}

#[test]
fn no_access_is_too_strange() {
    for legacy in [false, true] {
        let (mut sys, _) = full(legacy);
        for offset in 0..0x200u64 {
            for size in [1, 2, 4] {
                for value in [0, 1, u64::from(u32::MAX)] {
                    let _ = sys.write(SLOT + offset, size, value);
                    let _ = sys.read(SLOT + offset, size);
                }
            }
        }
    }
}
