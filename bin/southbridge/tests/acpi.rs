//! The ACPI tables of `virt`: against those of QEMU, and in the hands of Debian's kernel, which gets them from EDK2 or, without firmware,
//! from the machine itself.

mod common;
use common::linux::{Guest, guest_file, have_guest, machine, peek, poke, slot_of, window};
use common::program;
use southbridge_testing::skip;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// `fw_cfg` of a machine, read through the qtest protocol: the selector at 0x10100008, the data at 0x10100000.
struct FwCfg {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl FwCfg {
    fn of(mut command: Command, args: &[&str]) -> Self {
        let command = command.args(args).args(["-qtest", "stdio", "-display", "none"]);
        let pipes = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = pipes.spawn().unwrap();
        Self {
            requests: child.stdin.take().unwrap(),
            answers: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    fn ask(&mut self, request: &str) -> String {
        writeln!(self.requests, "{request}").unwrap();
        loop {
            let mut line = String::new();
            assert!(self.answers.read_line(&mut line).unwrap() > 0, "it hung up: {request}");
            if let Some(answer) = line.strip_prefix("OK") {
                return answer.trim().to_owned();
            }
        }
    }

    fn read(&mut self, key: u16, len: usize) -> Vec<u8> {
        self.ask(&format!("writew 0x10100008 {:#x}", key.swap_bytes()));
        let mut bytes = Vec::new();
        while bytes.len() < len {
            let word = self.ask("readq 0x10100000");
            let word = u64::from_str_radix(word.trim_start_matches("0x"), 16).unwrap();
            bytes.extend(word.to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }

    fn files(&mut self) -> BTreeMap<String, Vec<u8>> {
        const DIRECTORY: u16 = 0x19;
        let count = self.read(DIRECTORY, 4);
        let count = u32::from_be_bytes(count.try_into().unwrap()) as usize;
        let directory = self.read(DIRECTORY, 4 + 64 * count);
        let mut files = BTreeMap::new();
        for entry in directory[4..].chunks_exact(64) {
            let name = String::from_utf8_lossy(&entry[8..]);
            let name = name.trim_end_matches('\0');
            if name.starts_with("etc/acpi/") || name == "etc/table-loader" {
                let len = u32::from_be_bytes(entry[..4].try_into().unwrap()) as usize;
                let key = u16::from_be_bytes(entry[4..6].try_into().unwrap());
                files.insert(name.to_owned(), self.read(key, len));
            }
        }
        files
    }
}

impl Drop for FwCfg {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The tables of the file that has them all, by signature, in order.
fn tables(files: &BTreeMap<String, Vec<u8>>) -> Vec<(String, Vec<u8>)> {
    let mut rest = &files["etc/acpi/tables"][..];
    let mut found = Vec::new();
    while rest.len() > 36 && rest[0] != 0 {
        let len = u32::from_le_bytes(rest[4..8].try_into().unwrap()) as usize;
        found.push((String::from_utf8_lossy(&rest[..4]).into_owned(), rest[..len].to_vec()));
        rest = &rest[len..];
    }
    found
}

/// All but two are alike byte for byte: processors have different extensions, and with that the list has other addresses.
#[test]
fn the_tables_are_those_of_qemu() {
    let qemu = || Command::new("qemu-system-riscv64");
    if qemu().arg("--version").output().is_err() {
        skip("the_tables_are_those_of_qemu", "there is no qemu-system-riscv64");
        return;
    }
    // The window of PCI for large BARs moves up behind so much memory, which nobody has to have.
    let large = "memory-backend-ram,id=ram,size=20G,reserve=off";
    let node = "memory-backend-ram,id=ram,size=256M";
    for args in [
        "-M virt".to_owned(),
        format!("-M virt,aclint=on,acpi=on,memory-backend=ram -smp 3 -m 20G -object {large}"),
        "-M virt,aia=aplic -smp 4".to_owned(),
        "-M virt,aia=aplic-imsic,aia-guests=2 -smp 5 -m 1G".to_owned(),
        format!("-M virt -smp 2 -m 256M -object {node} -numa node,cpus=0-1,memdev=ram"),
    ] {
        let args: Vec<_> = args.split(' ').collect();
        let args = &args[..];
        let (ours, theirs) = (FwCfg::of(program(), args).files(), FwCfg::of(qemu(), args).files());
        assert_eq!(ours["etc/acpi/rsdp"].len(), theirs["etc/acpi/rsdp"].len());
        assert_eq!(ours["etc/table-loader"].len(), theirs["etc/table-loader"].len());
        let (ours, theirs) = (tables(&ours), tables(&theirs));
        let names = |tables: &[(String, Vec<u8>)]| tables.iter().map(|(n, _)| n.clone()).collect::<Vec<_>>();
        assert_eq!(names(&ours), names(&theirs), "{args:?}");
        for ((name, ours), (_, theirs)) in ours.iter().zip(&theirs) {
            match name.as_str() {
                "RHCT" => assert_eq!(ours[36..56], theirs[36..56], "{args:?} {name}"),
                "XSDT" => assert_eq!(ours.len(), theirs.len(), "{args:?} {name}"),
                // It points to the DSDT, which is the first and so stands at 0.
                _ => assert_eq!(ours, theirs, "{args:?} {name}"),
            }
        }
    }
}

#[test]
fn there_are_none_if_they_are_not_wanted() {
    assert!(FwCfg::of(program(), &["-M", "virt,acpi=off"]).files().is_empty());
    assert_eq!(FwCfg::of(program(), &["-M", "virt,acpi=auto"]).files().len(), 3);
}

/// `edu` raises an interrupt through a wire that the kernel knows of from the routing table alone.
fn edu_interrupts(guest: &mut Guest) {
    let slot = slot_of(guest, "1234:11e8");
    let edu = window(guest, &slot, 0);
    guest.shell("load uio_pci_generic && echo 1234 11e8 >/sys/bus/pci/drivers/uio_pci_generic/new_id");
    let raise = format!("(sleep 1; devmem {:#x} 32 4) &", edu + 0x60);
    let count = guest.shell(&format!(
        "{raise} dd if=/dev/uio0 bs=4 count=1 2>/dev/null | hexdump -e '1/4 \"%u\"'"
    ));
    assert_eq!(count, "1");
    assert_eq!(peek(guest, edu + 0x24, 32), 4);
    poke(guest, edu + 0x64, 32, 4);
    let interrupts = guest.shell("cat /proc/interrupts");
    assert!(interrupts.contains("uio_pci_generic"), "{interrupts}");
    assert!(interrupts.contains("ttyS0"), "{interrupts}");
}

fn lives_by_acpi(guest: &mut Guest, harts: &str) {
    guest.wait_for_shell();
    assert_eq!(guest.shell("nproc"), harts);
    let log = guest.shell("dmesg | grep ACPI");
    for expected in ["RSDP", "DSDT", "RHCT", "Interpreter enabled", "PCI Root Bridge [PCI0]"] {
        assert!(log.contains(expected), "no '{expected}' in\n{log}");
    }
    // What the tables say, and nothing of a device tree's.
    guest
        .shell("ls /sys/bus/acpi/devices/RSCV0003:00 /sys/bus/acpi/devices/LNRO0005:07 /sys/firmware/acpi/tables/MCFG");
    let serial = guest.shell("readlink -f /sys/class/tty/ttyS0/device");
    assert!(serial.contains("RSCV0003"), "{serial}");
    edu_interrupts(guest);
}

#[test]
fn linux_finds_the_tables_with_firmware() {
    const TEST: &str = "linux_finds_the_tables_with_firmware";
    let code = guest_file("firmware/RISCV_VIRT_CODE.fd");
    if !have_guest(TEST) {
        return;
    }
    if !code.exists() {
        skip(TEST, "there is no EDK2: make it with guest/build (Debian, network)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let variables = folder.path().join("variables");
    std::fs::copy(guest_file("firmware/RISCV_VIRT_VARS.fd"), &variables).unwrap();
    let code = format!("if=pflash,format=raw,unit=0,readonly=on,file={}", code.display());
    let variables = format!("if=pflash,format=raw,unit=1,file={}", variables.display());
    let sbi = guest_file("firmware/fw_dynamic.bin").display().to_string();
    let drives = ["-drive", &code, "-drive", &variables];
    let mut guest = Guest::boot(
        &[
            &["-smp", "2", "-M", "acpi=on", "-bios", &sbi, "-device", "edu"],
            &drives[..],
        ]
        .concat(),
    );
    lives_by_acpi(&mut guest, "2");
    let log = guest.shell("dmesg | grep efi:");
    assert!(log.contains("EDK II"), "{log}");
    guest.type_line("poweroff -f");
    assert_eq!(guest.ended(), Some(0));
}

#[test]
fn linux_finds_the_tables_without_firmware() {
    if !have_guest("linux_finds_the_tables_without_firmware") {
        return;
    }
    let mut command = machine();
    let kernel = guest_file("vmlinux");
    command.args([
        "-M",
        "virt,acpi=on,aia=aplic-imsic",
        "-smp",
        "2",
        "-m",
        "512M",
        "-nographic",
    ]);
    command.args(["-device", "edu", "-kernel"]).arg(kernel);
    command.arg("-initrd").arg(guest_file("initramfs.cpio.gz"));
    let mut guest = Guest::start(command.args(["-append", "console=ttyS0"]));
    lives_by_acpi(&mut guest, "2");
    let log = guest.shell("dmesg | grep efi:");
    assert!(log.contains("by Southbridge"), "{log}");
    // The tables are there again after a reset.
    guest.type_line("reboot -f");
    guest.wait_for_shell();
    guest.shell("ls /sys/firmware/acpi/tables/DSDT");
    guest.type_line("poweroff -f");
    assert_eq!(guest.ended(), Some(0));
}
