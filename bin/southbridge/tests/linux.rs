//! Debian's unmodified kernel on `virt`, driven through its console as a person would. The guest is made by `guest/build`; without it
//! these tests are skipped, visibly.

mod common;
use common::linux::{Guest, guest_file, have_guest, machine, peek, poke, slot_of, window};

#[test]
fn one_hart_meets_its_devices_and_powers_off() {
    if !have_guest("one_hart_meets_its_devices_and_powers_off") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let shared = dir.path().join("shared");
    let memory = format!(
        "memory-backend-file,id=mem,mem-path={},size=1M,share=on",
        shared.display()
    );
    let mut guest = Guest::boot(&[
        "-object",
        &memory,
        "-device",
        "ivshmem-plain,memdev=mem",
        "-device",
        "edu,dma_mask=0xffffffffffffffff",
    ]);
    guest.wait_for_shell();
    assert_eq!(guest.shell("nproc"), "1");
    sees_all_by_lspci(&mut guest);
    edu_computes_moves_and_interrupts(&mut guest);
    shares_memory(&mut guest, &shared);
    tells_the_date(&mut guest);
    guest.type_line("poweroff -f");
    assert_eq!(guest.ended(), Some(0));
}

fn sees_all_by_lspci(guest: &mut Guest) {
    let all = guest.shell("lspci -vv");
    for part in [
        "00:00.0 Host bridge",
        "QEMU PCIe Host bridge",
        "Inter-VM shared memory",
        "1234:11e8",
    ] {
        assert!(all.contains(part), "no '{part}' in\n{all}");
    }
    assert!(all.contains("size=1M"), "{all}");
}

/// The registers of `edu` (QEMU's specification of it): liveness at 4, factorial at 8, status at 0x20, interrupts at 0x24, 0x60 and 0x64,
/// DMA from 0x80 on, its buffer at device address 0x40000.
fn edu_computes_moves_and_interrupts(guest: &mut Guest) {
    let slot = slot_of(guest, "1234:11e8");
    let edu = window(guest, &slot, 0);
    poke(guest, edu + 4, 32, 0x1234_5678);
    assert_eq!(peek(guest, edu + 4, 32), 0xedcb_a987);
    poke(guest, edu + 8, 32, 10);
    while peek(guest, edu + 0x20, 32) & 1 != 0 {}
    assert_eq!(peek(guest, edu + 8, 32), 3_628_800);
    // DMA between its buffer and memory that is certainly nobody else's: the window of ivshmem.
    guest.shell(&format!(
        "printf '\\006' | dd of=/sys/bus/pci/devices/{slot}/config bs=1 seek=4 conv=notrunc 2>/dev/null"
    ));
    let ivshmem = slot_of(guest, "1af4:1110");
    let memory = window(guest, &ivshmem, 2);
    poke(guest, memory + 0x1000, 64, 0x1122_3344_5566_7788);
    for (from, to, direction) in [(memory + 0x1000, 0x40000, 0), (0x40000, memory + 0x2000, 2)] {
        poke(guest, edu + 0x80, 64, from);
        poke(guest, edu + 0x88, 64, to);
        poke(guest, edu + 0x90, 64, 8);
        poke(guest, edu + 0x98, 64, 1 | direction);
        while peek(guest, edu + 0x98, 64) & 1 != 0 {}
    }
    assert_eq!(peek(guest, memory + 0x2000, 64), 0x1122_3344_5566_7788);
    // An interrupt, through UIO.
    guest.shell("load uio_pci_generic && echo 1234 11e8 >/sys/bus/pci/drivers/uio_pci_generic/new_id");
    // It tells of what comes after it was opened.
    let raise = format!("(sleep 1; devmem {:#x} 32 4) &", edu + 0x60);
    let count = guest.shell(&format!(
        "{raise} dd if=/dev/uio0 bs=4 count=1 2>/dev/null | hexdump -e '1/4 \"%u\"'"
    ));
    assert_eq!(count, "1");
    assert_eq!(peek(guest, edu + 0x24, 32), 4);
    poke(guest, edu + 0x64, 32, 4);
    assert_eq!(peek(guest, edu + 0x24, 32), 0);
}

fn shares_memory(guest: &mut Guest, shared: &std::path::Path) {
    use std::os::unix::fs::FileExt;
    let slot = slot_of(guest, "1af4:1110");
    let memory = window(guest, &slot, 2);
    let file = std::fs::File::options().read(true).write(true).open(shared).unwrap();
    poke(guest, memory + 0x100, 32, 0xcafe_f00d);
    let mut word = [0; 4];
    file.read_exact_at(&mut word, 0x100).unwrap();
    assert_eq!(
        u32::from_le_bytes(word),
        0xcafe_f00d,
        "the host sees what the guest wrote"
    );
    file.write_all_at(&0x600d_beef_u32.to_le_bytes(), 0x104).unwrap();
    assert_eq!(
        peek(guest, memory + 0x104, 32),
        0x600d_beef,
        "the guest sees what the host wrote"
    );
}

fn tells_the_date(guest: &mut Guest) {
    let now = || {
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs()
    };
    let before = now();
    let rtc: u64 = guest.shell("cat /sys/class/rtc/rtc0/since_epoch").parse().unwrap();
    assert!(
        (before.saturating_sub(2)..=now() + 2).contains(&rtc),
        "{rtc} at {before}"
    );
}

#[test]
fn four_harts_with_message_interrupts_and_a_reboot() {
    if !have_guest("four_harts_with_message_interrupts_and_a_reboot") {
        return;
    }
    let mut command = machine();
    command
        .args([
            "-M",
            "virt,aia=aplic-imsic",
            "-smp",
            "4",
            "-m",
            "512M",
            "-nographic",
            "-kernel",
        ])
        .arg(guest_file("vmlinux"))
        .arg("-initrd")
        .arg(guest_file("initramfs.cpio.gz"))
        .args(["-append", "console=ttyS0"]);
    let mut guest = Guest::start(&mut command);
    guest.wait_for_shell();
    assert_eq!(guest.shell("nproc"), "4");
    let interrupts = guest.shell("cat /proc/interrupts");
    assert!(interrupts.contains("APLIC"), "{interrupts}");
    // The console's own interrupt goes round: whoever does not get it shows nothing more.
    let irq = "$(sed -n 's/^ *\\([0-9]*\\):.*ttyS0/\\1/p' /proc/interrupts)";
    for mask in [2, 8, 4, 1] {
        guest.shell(&format!(
            "echo {mask} >/proc/irq/{irq}/smp_affinity && sed -n 1,99p /proc/iomem"
        ));
    }
    guest.shell("for cpu in 0 1 2 3; do taskset -c $cpu true || exit 1; done");
    guest.type_line("reboot -f");
    guest.wait_for_shell();
    assert_eq!(guest.shell("nproc"), "4");
    guest.type_line("poweroff -f");
    assert_eq!(guest.ended(), Some(0));
}
