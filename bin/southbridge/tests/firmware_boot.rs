//! Debian's own firmware on `virt`, in machine mode, and the same kernel behind it; and a running Linux guest that is saved and goes on.
//! Without the files that `guest/build` makes these tests are skipped, visibly.

mod common;
use common::linux::{Guest, guest_file, have_guest, machine};
use common::qmp::Client;
use common::wait;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Stdio;

fn firmware(name: &str) -> PathBuf {
    guest_file("firmware").join(name)
}

fn text(path: impl AsRef<Path>) -> String {
    path.as_ref().display().to_string()
}

/// A machine with OpenSBI in front of the kernel.
fn boot(args: &[&str]) -> Guest {
    let open_sbi = text(firmware("fw_dynamic.bin"));
    Guest::boot(&[&["-bios", &open_sbi], args].concat())
}

#[test]
fn open_sbi_hands_over_to_linux() {
    if !have_guest("open_sbi_hands_over_to_linux") {
        return;
    }
    let mut guest = boot(&["-M", "virt,aia=aplic-imsic", "-smp", "4"]);
    guest.wait_for_shell();
    let start = &guest.text;
    for line in [
        "Runtime SBI Version         : 2.0",
        "Boot HART PMP Count         : 16",
        "Domain0 HARTs               : 0*,1*,2*,3*",
        "SBI implementation ID=0x1 ",
    ] {
        assert!(start.contains(line), "no '{line}' in\n{start}");
    }
    assert_eq!(guest.shell("nproc"), "4");
    assert!(guest.shell("cat /proc/interrupts").contains("APLIC-MSI"));
    guest.type_line("poweroff -f");
    assert_eq!(guest.ended(), Some(0));
}

/// Types a command to U-Boot, which takes characters away while it works: only after its prompt.
#[track_caller]
fn u_boot(guest: &mut Guest, command: &str) -> String {
    guest.type_line(command);
    guest.wait_for("\n");
    guest.wait_for("=> ")
}

#[track_caller]
fn stop_autoboot(guest: &mut Guest) {
    guest.wait_for("stop autoboot");
    guest.type_line("");
    guest.wait_for("=> ");
}

#[test]
fn u_boot_resets_tells_the_time_and_boots_linux() {
    if !have_guest("u_boot_resets_tells_the_time_and_boots_linux") {
        return;
    }
    const KERNEL: u64 = 0x8400_0000;
    const INITRD: u64 = 0x9000_0000;
    let loader = |name: &str, at: u64| format!("loader,file={},addr={at:#x},force-raw=on", text(guest_file(name)));
    let mut command = machine();
    command
        .args(["-M", "virt", "-m", "512M", "-nographic"])
        .arg("-bios")
        .arg(firmware("fw_dynamic.bin"))
        .arg("-kernel")
        .arg(firmware("u-boot-smode.bin"))
        .args(["-device", &loader("vmlinux", KERNEL)])
        .args(["-device", &loader("initramfs.cpio.gz", INITRD)]);
    let mut guest = Guest::start(&mut command);
    stop_autoboot(&mut guest);
    assert!(u_boot(&mut guest, "version").contains("U-Boot 20"));
    assert!(u_boot(&mut guest, "pci").contains("0x1b36     0x0008"));
    // Flash, through its CFI driver: erase, buffered write, compare.
    assert!(u_boot(&mut guest, "erase 0x22000000 +0x40000").contains("done"));
    u_boot(&mut guest, "mw.l 0x88000000 0xa5a55a5a 0x100");
    assert!(u_boot(&mut guest, "cp.b 0x88000000 0x22000421 0x333").contains("done"));
    assert!(u_boot(&mut guest, "cmp.b 0x88000000 0x22000421 0x333").contains("were the same"));

    guest.type_line("reset");
    stop_autoboot(&mut guest);
    // Its own tests of timers, after a reset that has set the clock back.
    u_boot(&mut guest, "setenv efi_selftest event services");
    assert!(u_boot(&mut guest, "bootefi selftest").contains("Summary: 0 failures"));
    u_boot(&mut guest, "setenv bootargs console=ttyS0");
    let size = std::fs::metadata(guest_file("initramfs.cpio.gz")).unwrap().len();
    guest.type_line(&format!("booti {KERNEL:#x} {INITRD:#x}:{size:x} ${{fdtcontroladdr}}"));
    guest.wait_for_shell();
    assert_eq!(guest.shell("cat /proc/cmdline"), "console=ttyS0");
    guest.type_line("poweroff -f");
    assert_eq!(guest.ended(), Some(0));
}

#[test]
fn edk2_in_flash_boots_linux_with_acpi_and_without() {
    if !have_guest("edk2_in_flash_boots_linux_with_acpi_and_without") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (acpi, board) in [("on", "virt,acpi=on,aia=aplic-imsic"), ("off", "virt,acpi=off")] {
        let variables = dir.path().join(acpi);
        std::fs::copy(firmware("RISCV_VIRT_VARS.fd"), &variables).unwrap();
        let bank = |unit: u8, file: &Path, more| format!("if=pflash,format=raw,unit={unit},file={}{more}", text(file));
        let (code, variables_bank) = (
            bank(0, &firmware("RISCV_VIRT_CODE.fd"), ",readonly=on"),
            bank(1, &variables, ""),
        );
        let mut guest = boot(&["-M", board, "-drive", &code, "-drive", &variables_bank]);
        guest.wait_for_shell();
        let log = guest.shell("dmesg");
        assert!(log.contains("efi: EFI v2") && log.contains("EDK II"), "{log}");
        let tables = guest.shell("ls /sys/firmware/acpi/tables 2>/dev/null; true");
        assert_eq!(tables.contains("MCFG"), acpi == "on", "{tables}");
        assert_eq!(log.contains("ACPI: Interpreter enabled"), acpi == "on", "{log}");
        guest.type_line("poweroff -f");
        assert_eq!(guest.ended(), Some(0));
        // It has written its variables.
        let now = std::fs::read(&variables).unwrap();
        assert!(now != std::fs::read(firmware("RISCV_VIRT_VARS.fd")).unwrap());
    }
}

/// A loop in the guest counts; it is saved in the middle, and another process goes on counting.
#[test]
fn linux_goes_on_in_another_process() {
    if !have_guest("linux_goes_on_in_another_process") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let boot = |name: &str, more: &[&str]| {
        let socket = dir.path().join(name);
        let qmp = format!("unix:{},server=on,wait=off", text(&socket));
        let mut args = vec![
            "-M",
            "virt,aia=aplic-imsic",
            "-smp",
            "2",
            "-device",
            "edu",
            "-object",
            "memory-backend-ram,id=mem,size=1M",
            "-device",
            "ivshmem-plain,memdev=mem,master=on",
            "-qmp",
            &qmp,
        ];
        args.extend(more);
        (Guest::boot(&args), Client::ready(&socket))
    };
    let (mut guest, mut monitor) = boot("first", &[]);
    guest.wait_for_shell();
    let devices = guest.shell("lspci -n");
    guest.shell("cd /tmp; cut -d. -f1 /proc/uptime >before");
    guest.type_line("i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo count-$i.; sleep 0.1; done; echo all-$i.");
    guest.wait_for("count-20.");
    monitor.ok("migrate", json!({ "uri": format!("file:{}", text(&state)) }));
    wait("the end of the migration", || {
        let status = monitor.ok("query-migrate", json!({}))["status"].clone();
        assert!(status != json!("failed"), "{status}");
        status == json!("completed")
    });
    monitor.ok("quit", json!({}));
    assert_eq!(guest.ended(), Some(0));
    // What it printed last.
    let printed = guest.rest();
    let counted = format!("count-20.{printed}");

    let incoming = format!("file:{}", text(&state));
    let (mut guest, _monitor) = boot("second", &["-incoming", &incoming]);
    let after = guest.wait_for("all-60.");
    let numbers: Vec<u32> = (counted + &after)
        .split("count-")
        .filter_map(|s| s.split_once('.').and_then(|(n, _)| n.parse().ok()))
        .collect();
    assert_eq!(numbers, (20..=60).collect::<Vec<_>>(), "none lost, none doubled");
    assert_eq!(guest.shell("lspci -n"), devices);
    // Neither the time that passed on the host nor the time before is added to its own.
    let seconds = guest.shell("echo $(($(cut -d. -f1 /proc/uptime) - $(cat before)))");
    assert!((6..120).contains(&seconds.parse::<u32>().unwrap()), "{seconds} s");
    guest.type_line("poweroff -f");
    assert_eq!(guest.ended(), Some(0));
}

/// With time that instructions make, all that happens to the processors happens at the same moments again.
#[test]
fn linux_starts_twice_alike() {
    if !have_guest("linux_starts_twice_alike") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let runs = ["one", "two"].map(|name| {
        let log = dir.path().join(name);
        let child = machine()
            .args(["-M", "virt", "-smp", "2", "-m", "256M", "-nographic", "-no-reboot"])
            .args(["-icount", "shift=2,sleep=off", "-rtc", "base=2006-06-17T16:01:21"])
            .arg("-bios")
            .arg(firmware("fw_dynamic.bin"))
            .arg("-kernel")
            .arg(guest_file("vmlinux"))
            // Without a file system it ends by itself, at the end of its start.
            .args(["-append", "console=ttyS0 panic=-1", "-d", "int", "-D"])
            .arg(&log)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        (child, log)
    });
    let results = runs.map(|(child, log)| {
        let screen = child.wait_with_output().unwrap().stdout;
        (screen, std::fs::read(log).unwrap())
    });
    let screen = String::from_utf8_lossy(&results[0].0).into_owned();
    assert!(screen.contains("Unable to mount root fs"), "{screen}");
    assert!(results[0].1.len() > 10_000, "interrupts are in the log");
    assert!(results[0] == results[1], "two runs differ");
}
