use super::*;
use std::collections::HashSet;

#[test]
fn names_are_unique() {
    let mut seen = HashSet::new();
    for name in all().flat_map(OptionDef::names) {
        assert!(seen.insert(name), "-{name} stands twice in the table");
    }
}

/// Names that `qemu-system-arm` 10.0.2 and `qemu-system-x86_64` 10.0.2 take, from `qemu-options.hx`.
const QEMU: &str = "h help version machine M cpu accel smp numa add-fd set global boot m mem-path mem-prealloc k audio \
    audiodev device name uuid fda fdb hda hdb hdc hdd cdrom blockdev drive mtdblock sd snapshot fsdev virtfs iscsi usb \
    usbdevice display nographic spice vga full-screen g vnc win2k-hack no-fd-bootchk acpitable smbios netdev nic net \
    chardev tpmdev bios pflash kernel shim append initrd dtb compat fw_cfg serial parallel monitor qmp qmp-pretty mon \
    debugcon pidfile preconfig S overcommit gdb s d D dfilter seed L enable-kvm xen-domid xen-attach \
    xen-domid-restrict no-reboot no-shutdown action loadvm daemonize option-rom rtc icount watchdog-action echr \
    incoming only-migratable nodefaults prom-env semihosting semihosting-config old-param sandbox readconfig \
    no-user-config trace plugin qtest qtest-log run-with msg dump-vmstate enable-sync-profile perfmap jitdump object";

#[test]
fn every_option_of_qemu_is_in_the_table() {
    for name in QEMU.split_whitespace() {
        assert!(find(name).is_some_and(|d| d.in_qemu), "-{name}");
    }
}

#[test]
fn rows_are_consistent() {
    for def in all() {
        assert!(!def.summary.is_empty() && !def.summary.ends_with('.'), "-{}", def.name);
        assert_eq!(def.is_here(), def.handler != Handler::Absent, "-{}", def.name);
        assert!(def.grammar.is_none() || def.argument.is_some(), "-{}", def.name);
        assert!(
            matches!(def.status, Status::Works | Status::NotYet(_)) || def.argument.is_some(),
            "-{}",
            def.name
        );
    }
}
