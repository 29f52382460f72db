//! Debian's kernel with its own driver on entropy sources: on PCI and MMIO, both versions, with both ring formats.

mod common;

use common::linux::{Guest, have_guest};

/// Loads the driver, makes a device the current source, and reads from it.
fn reads(guest: &mut Guest, index: usize) {
    let name = format!("virtio_rng.{index}");
    guest.shell(&format!("echo {name} >/sys/class/misc/hw_random/rng_current"));
    assert_eq!(guest.shell("cat /sys/class/misc/hw_random/rng_current"), name);
    let sums =
        guest.shell("for i in 1 2; do dd if=/dev/hwrng bs=64 count=16 iflag=fullblock 2>/dev/null | md5sum; done");
    let sums: Vec<&str> = sums.lines().collect();
    assert_eq!(sums.len(), 2, "{sums:?}");
    assert_ne!(sums[0], sums[1], "entropy does not repeat");
}

/// What the driver chose, as the bits stand in sysfs: bit 0 first.
fn features(guest: &mut Guest, n: usize) -> Vec<usize> {
    let text = guest.shell(&format!("cat /sys/bus/virtio/devices/virtio{n}/features"));
    text.bytes()
        .enumerate()
        .filter(|(_, b)| *b == b'1')
        .map(|(i, _)| i)
        .collect()
}

const VERSION_1: usize = 32;
const PACKED: usize = 34;
const EVENT_IDX: usize = 29;

#[test]
fn linux_reads_entropy_on_every_transport() {
    if !have_guest("linux_reads_entropy_on_every_transport") {
        return;
    }
    let words = "-object rng-random,id=file,filename=/dev/urandom -object rng-builtin,id=own \
                 -device virtio-rng-pci,rng=file \
                 -device virtio-rng-pci-non-transitional,rng=own,packed=on \
                 -device virtio-rng-pci,disable-modern=on,max-bytes=1048576,period=100 \
                 -device pcie-root-port,id=rp -device virtio-rng-pci,bus=rp \
                 -device virtio-rng-device";
    let args: Vec<&str> = words.split_whitespace().collect();
    let mut guest = Guest::boot(&args);
    guest.wait_for_shell();
    guest.shell("load virtio_mmio && load virtio_rng");
    let count: usize = guest.shell("ls /sys/bus/virtio/devices | wc -l").parse().unwrap();
    assert_eq!(count, 5);
    let (mut packed, mut modern) = (0, 0);
    for n in 0..count {
        let f = features(&mut guest, n);
        packed += usize::from(f.contains(&PACKED));
        modern += usize::from(f.contains(&VERSION_1));
        assert!(f.contains(&EVENT_IDX), "{f:?}");
    }
    // The transport in memory is of before version 1, as QEMU's, and so is the function without modern registers.
    assert_eq!((packed, modern), (1, 3));
    for n in 0..count {
        reads(&mut guest, n);
    }
    // The driver can go and come back.
    guest.shell("rmmod virtio_rng; load virtio_rng");
    reads(&mut guest, 0);
}

#[test]
fn linux_reads_entropy_by_messages_and_behind_registers_of_version_2() {
    if !have_guest("linux_reads_entropy_by_messages_and_behind_registers_of_version_2") {
        return;
    }
    let words = "-M virt,aia=aplic-imsic -global virtio-mmio.force-legacy=off \
                 -device virtio-rng-device,packed=on,bus=virtio-mmio-bus.3 -device virtio-rng-device,in_order=on \
                 -device virtio-rng-pci,packed=on,in_order=on";
    let args: Vec<&str> = words.split_whitespace().collect();
    let mut guest = Guest::boot(&args);
    guest.wait_for_shell();
    guest.shell("load virtio_mmio && load virtio_rng");
    for n in 0..3 {
        let f = features(&mut guest, n);
        assert!(f.contains(&VERSION_1), "{f:?}");
        reads(&mut guest, n);
    }
    let interrupts = guest.shell("grep MSIX /proc/interrupts");
    assert!(interrupts.contains("virtio0-input"), "{interrupts}");
    // QEMU's places: the named transport, and the last one.
    let devices = guest.shell("ls /sys/bus/platform/drivers/virtio-mmio");
    assert!(
        devices.contains("10004000.virtio_mmio") && devices.contains("10008000.virtio_mmio"),
        "{devices}"
    );
}
