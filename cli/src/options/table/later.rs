//! The options of QEMU 10 that are not here yet, and those of which only `none` is.

use super::later;
use crate::options::Category::{Boot, Character, Debug, Disk, Display, Machine, Peripheral, Program, Run};
use crate::options::{Complete, OptionDef};

const DISKS: &str = "disks";
const DISPLAY: &str = "displays";
const SOUND: &str = "sound";
const MONITOR: &str = "the monitor";
const PC: &str = "PC machines";
const LINUX: &str = "machines that boot Linux";
const SNAPSHOT: &str = "saved states and migration";
const JIT: &str = "the fast execution engine";
const USB: &str = "USB";

pub(super) const TABLE: &[OptionDef] = &[
    // Machine
    later(
        "add-fd",
        Machine,
        "put an inherited descriptor into a set",
        "descriptor sets",
    )
    .arg("fd=N,set=N[,opaque=TEXT]"),
    later(
        "set",
        Machine,
        "set one key of an earlier option",
        "a use for it: write the key in that option itself",
    )
    .arg("GROUP.ID.KEY=VALUE"),
    later("mem-path", Machine, "back guest memory by a file", "memory back ends").arg("PATH"),
    later(
        "mem-prealloc",
        Machine,
        "take all guest memory at start",
        "memory back ends",
    ),
    later("enable-kvm", Machine, "run guest code on the host's processor", "KVM"),
    later("xen-domid", Machine, "the Xen domain", "Xen guests").arg("ID"),
    later("xen-attach", Machine, "attach to a Xen domain", "Xen guests"),
    later(
        "xen-domid-restrict",
        Machine,
        "limit what may be done to Xen",
        "Xen guests",
    ),
    later("acpitable", Machine, "add an ACPI table", PC).arg("[sig=TEXT][,...]"),
    later("smbios", Machine, "add SMBIOS data", PC).arg("file=FILE|type=N[,...]"),
    later(
        "no-fd-bootchk",
        Machine,
        "skip the signature check of boot floppies",
        PC,
    ),
    later(
        "win2k-hack",
        Machine,
        "a work-around for the installer of Windows 2000",
        PC,
    ),
    later(
        "only-migratable",
        Machine,
        "refuse devices that cannot be migrated",
        SNAPSHOT,
    ),
    // Boot
    later("shim", Boot, "UEFI shim that starts the kernel", LINUX).arg("FILE"),
    later("option-rom", Boot, "load an option ROM", PC).arg("FILE[,bootindex=N]"),
    later("fw_cfg", Boot, "add an entry to fw_cfg", LINUX).arg("[name=]NAME,file=FILE|string=TEXT"),
    later(
        "prom-env",
        Boot,
        "set a variable of the boot PROM",
        "machines that have one",
    )
    .arg("NAME=VALUE"),
    later("old-param", Boot, "old way of passing parameters to ARM kernels", LINUX),
    later("L", Boot, "folder of firmware files", LINUX).arg("PATH"),
    // Run
    later(
        "preconfig",
        Run,
        "stop before the machine is built",
        "a later version: start with -S",
    ),
    later(
        "run-with",
        Run,
        "user, root folder and teardown of the process",
        "the sandbox",
    )
    .arg("[async-teardown=on|off][,chroot=DIR][,user=NAME]"),
    // Debug
    later("dfilter", Debug, "log only these addresses", "address filters").arg("RANGE[,...]"),
    later("plugin", Debug, "load a TCG plugin", JIT).arg("[file=]FILE[,KEY=VALUE]..."),
    later("perfmap", Debug, "write a map of generated code for perf", JIT),
    later("jitdump", Debug, "write generated code for perf", JIT),
    later("dump-vmstate", Debug, "write the layout of saved states", SNAPSHOT).arg("FILE"),
    later("enable-sync-profile", Debug, "profile locks", "a lock worth profiling"),
    // Program
    later("compat", Program, "what happens with deprecated interfaces", MONITOR)
        .arg("[deprecated-input=accept|reject|crash][,deprecated-output=accept|hide]"),
    // Character
    later("parallel", Character, "connect the parallel port", PC)
        .arg("DEV")
        .none_only(),
    later("debugcon", Character, "connect the debug console", PC).arg("DEV"),
    later("echr", Character, "key that replaces Ctrl-a", "a later version").arg("CODE"),
    // Disk
    later("fda", Disk, "image of the first floppy drive", DISKS).arg("FILE"),
    later("fdb", Disk, "image of the second floppy drive", DISKS).arg("FILE"),
    later("hda", Disk, "image of the first disk", DISKS).arg("FILE"),
    later("hdb", Disk, "image of the second disk", DISKS).arg("FILE"),
    later("hdc", Disk, "image of the third disk", DISKS).arg("FILE"),
    later("hdd", Disk, "image of the fourth disk", DISKS).arg("FILE"),
    later("cdrom", Disk, "image of the CD drive", DISKS).arg("FILE"),
    later("mtdblock", Disk, "image of on-board flash", DISKS).arg("FILE"),
    later("sd", Disk, "image of the SD card", DISKS).arg("FILE"),
    later("iscsi", Disk, "settings of iSCSI", DISKS).arg("[user=NAME][,...]"),
    // Display
    later("vga", Display, "the graphics card", DISPLAY)
        .arg("TYPE")
        .none_only(),
    later("vnc", Display, "display over VNC", DISPLAY)
        .arg("DISPLAY[,...]")
        .none_only(),
    later("spice", Display, "display over SPICE", DISPLAY).arg("[port=N][,...]"),
    later("full-screen", Display, "start in full screen", DISPLAY),
    later("g", Display, "resolution at start", DISPLAY).arg("WIDTHxHEIGHT[xDEPTH]"),
    later("k", Display, "keyboard layout", DISPLAY).arg("LANGUAGE"),
    later("audio", Display, "back end and default sound device in one", SOUND)
        .arg("[driver=]DRIVER[,...]")
        .none_only(),
    later("audiodev", Display, "create a sound back end", SOUND).arg("[driver=]DRIVER,id=ID[,...]"),
    // Peripheral
    later("usb", Peripheral, "switch on the board's USB controller", USB),
    later("usbdevice", Peripheral, "add a USB device", USB)
        .arg("NAME")
        .complete(Complete::Nothing),
    later("tpmdev", Peripheral, "create a TPM back end", "TPMs").arg("TYPE,id=ID[,...]"),
];
