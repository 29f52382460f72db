//! Debian's kernel with its own driver on virtio-blk: file systems on both transports and both kinds of rings, a move to another process
//! with writes under way, disks that come and go, and a root file system that boots to a login. The guest is made by `guest/build`;
//! without it these tests are skipped, visibly.

mod common;

use common::linux::{Guest, PATIENCE, guest_file, have_guest, is_clean, machine};
use common::qmp::Client;
use serde_json::json;
use southbridge_testing::skip;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

const MODULES: &str =
    "for m in virtio_pci virtio_mmio virtio_blk crc32c_generic ext4; do load $m 2>/dev/null; done; true";

fn image(folder: &Path, name: &str, megabytes: u64) -> PathBuf {
    let path = folder.join(name);
    File::create(&path).unwrap().set_len(megabytes << 20).unwrap();
    path
}

/// The disk with that serial number, as the guest calls it.
#[track_caller]
fn disk(guest: &mut Guest, serial: &str) -> String {
    let found = guest.shell(&format!("grep -l '^{serial}$' /sys/block/vd*/serial"));
    let name = found.split('/').nth(3).unwrap_or_default().to_owned();
    assert!(name.starts_with("vd"), "no disk {serial}: {found}");
    format!("/dev/{name}")
}

#[test]
fn file_systems_on_both_transports_and_rings() {
    if !have_guest("file_systems_on_both_transports_and_rings") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let kinds = [
        ("pcisplit", "virtio-blk-pci"),
        ("pcipacked", "virtio-blk-pci,packed=on,num-queues=2,iothread=t0"),
        ("mmiosplit", "virtio-blk-device,iothread=t0"),
        ("mmiopacked", "virtio-blk-device,packed=on"),
    ];
    let mut words = String::from("-object iothread,id=t0 ");
    for (name, device) in kinds {
        let path = image(folder.path(), name, 24);
        words += &format!(
            "-blockdev file,node-name={name},filename={},discard=unmap -device {device},drive={name},serial={name} ",
            path.display()
        );
    }
    words += "-global virtio-mmio.force-legacy=off";
    let words: Vec<&str> = words.split_whitespace().collect();
    let mut guest = Guest::boot_extra(&["block"], &words, "");
    guest.wait_for_shell();
    guest.shell(MODULES);
    for (name, device) in kinds {
        let d = disk(&mut guest, name);
        let packed = guest.shell(&format!(
            "cut -c35 $(readlink -f /sys/block/{}/device)/features",
            &d[5..]
        ));
        assert_eq!(packed == "1", device.contains("packed"), "{name}: bit 34 is {packed}");
        guest.shell(&format!("mkfs.ext4 -q {d} && mount {d} /mnt"));
        guest.shell("dd if=/dev/urandom of=/mnt/a bs=64k count=32 2>/dev/null && cp /bin/busybox /mnt/b");
        let sum = guest.shell("md5sum </mnt/a; md5sum </mnt/b");
        guest.shell("rm /mnt/b; fstrim /mnt; umount /mnt; echo 3 >/proc/sys/vm/drop_caches");
        guest.shell(&format!("e2fsck -fn {d}"));
        guest.shell(&format!("mount {d} /mnt"));
        let first = guest.shell("md5sum </mnt/a");
        assert_eq!(Some(first.as_str()), sum.lines().next(), "{name}");
        guest.shell("umount /mnt");
    }
    guest.type_line("poweroff -f");
    assert_eq!(guest.ended(), Some(0));
    for (name, _) in kinds {
        is_clean(&folder.path().join(name));
    }
}

fn boot(folder: &Path, words: &str) -> (Guest, Client) {
    let words = format!("{words} -qmp unix:{},server=on,wait=off", folder.join("qmp").display());
    let words: Vec<&str> = words.split_whitespace().collect();
    let guest = Guest::boot_extra(&["block"], &words, "");
    let qmp = Client::ready(&folder.join("qmp"));
    (guest, qmp)
}

#[test]
fn a_guest_moves_while_it_writes() {
    if have_guest("a_guest_moves_while_it_writes") {
        moves_while_it_writes("virtio-blk-pci,drive=disk");
    }
}

#[test]
fn a_guest_moves_while_a_thread_writes() {
    if have_guest("a_guest_moves_while_a_thread_writes") {
        moves_while_it_writes("virtio-blk-pci,drive=disk,iothread=t0 -object iothread,id=t0");
    }
}

fn moves_while_it_writes(device: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = image(folder.path(), "disk", 64);
    let saved = folder.path().join("saved");
    let disk_words = format!(
        "-drive file={},if=none,format=raw,id=disk -device {device}",
        path.display()
    );
    let (mut guest, mut qmp) = boot(folder.path(), &disk_words);
    guest.wait_for_shell();
    guest.shell(MODULES);
    guest.shell("mkfs.ext4 -q /dev/vda && mount /dev/vda /mnt");
    guest.shell("(for i in $(seq 1 30); do cp /bin/busybox /mnt/$i; sync; done; echo ok >/tmp/done) & true");
    guest.shell("while [ ! -e /mnt/3 ]; do usleep 100000; done");
    let written = |qmp: &mut Client| {
        let stats = qmp.ok("query-blockstats", json!({}));
        stats[0]["stats"]["wr_bytes"].as_u64().unwrap()
    };
    assert!(written(&mut qmp) > 1 << 20);
    qmp.ok("migrate", json!({ "uri": format!("file:{}", saved.display()) }));
    let end = Instant::now() + PATIENCE;
    while qmp.ok("query-migrate", json!({}))["status"] != "completed" {
        assert!(Instant::now() < end, "{}", qmp.ok("query-migrate", json!({})));
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    qmp.ok("quit", json!({}));
    guest.ended();
    std::fs::remove_file(folder.path().join("qmp")).unwrap_or_default();

    let (mut guest, _qmp) = boot(
        folder.path(),
        &format!("{disk_words} -incoming file:{}", saved.display()),
    );
    guest.type_line("");
    guest.shell("while [ ! -e /tmp/done ]; do usleep 100000; done");
    guest.shell("umount /mnt; echo 3 >/proc/sys/vm/drop_caches; e2fsck -fn /dev/vda && mount /dev/vda /mnt");
    guest.shell("for i in $(seq 1 30); do cmp /bin/busybox /mnt/$i || exit 1; done");
    guest.shell("umount /mnt");
    guest.type_line("poweroff -f");
    assert_eq!(guest.ended(), Some(0));
    is_clean(&path);
}

#[test]
fn disks_come_grow_and_go() {
    if !have_guest("disks_come_grow_and_go") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = image(folder.path(), "late", 16);
    let (mut guest, mut qmp) = boot(folder.path(), "-device pcie-root-port,id=rp,chassis=1,slot=1");
    guest.wait_for_shell();
    guest.shell(MODULES);
    let mut events = Client::ready(&folder.path().join("qmp"));
    for round in 0..2 {
        let node = json!({ "driver": "raw", "node-name": "n", "file": { "driver": "file", "filename": path } });
        qmp.ok("blockdev-add", node);
        let device = json!({ "driver": "virtio-blk-pci", "drive": "n", "id": "d", "bus": "rp", "serial": "late" });
        qmp.ok("device_add", device);
        // Debian's kernel for this architecture has no driver of hot-plug slots: it must look.
        guest.shell("echo 1 >/sys/bus/pci/rescan");
        guest.shell("while ! grep -q late /sys/block/vd*/serial 2>/dev/null; do usleep 100000; done");
        let d = disk(&mut guest, "late");
        let busy = qmp.run("blockdev-del", json!({ "node-name": "n" }));
        assert!(busy["error"]["desc"].as_str().unwrap().contains("in use"), "{busy}");
        let info = qmp.ok("query-block", json!({}));
        assert_eq!(
            (info[0]["qdev"].as_str(), info[0]["inserted"]["drv"].as_str()),
            (Some("d"), Some("raw"))
        );
        if round == 0 {
            guest.shell(&format!("mkfs.ext4 -q {d} 12M && mount {d} /mnt && echo kept >/mnt/f"));
            qmp.ok("block_resize", json!({ "node-name": "n", "size": 24 << 20 }));
            guest.shell(&format!(
                "while [ $(cat /sys/block/{}/size) != 49152 ]; do usleep 100000; done",
                &d[5..]
            ));
            guest.shell(&format!("umount /mnt; e2fsck -fp {d}; resize2fs {d}"));
        } else {
            guest.shell(&format!("mount {d} /mnt"));
            assert_eq!(guest.shell("cat /mnt/f"), "kept");
            guest.shell("umount /mnt");
        }
        // Gone while it is read from.
        guest.shell(&format!("(dd if={d} of=/dev/null bs=4k; true) 2>/dev/null & sleep 1"));
        guest.shell(&format!(
            "echo 1 >$(readlink -f /sys/block/{}/device/..)/remove",
            &d[5..]
        ));
        qmp.ok("device_del", json!({ "id": "d" }));
        assert_eq!(events.event("DEVICE_DELETED")["data"]["device"], "d");
        guest.shell("while ls /sys/block | grep -q vd; do usleep 100000; done");
        qmp.ok("blockdev-del", json!({ "node-name": "n" }));
        assert_eq!(qmp.ok("query-named-block-nodes", json!({})), json!([]));
    }
    guest.type_line("poweroff -f");
    assert_eq!(guest.ended(), Some(0));
    assert_eq!(path.metadata().unwrap().len(), 24 << 20);
    is_clean(&path);
}

/// A root file system out of the initramfs: the same programs, with an init that asks who is there.
fn root_image(folder: &Path) -> Option<PathBuf> {
    let tree = folder.join("tree");
    std::fs::create_dir(&tree).unwrap();
    let unpack = format!(
        "gzip -dc '{}' | cpio -idm --quiet",
        guest_file("initramfs.cpio.gz").display()
    );
    let unpacked = Command::new("sh")
        .args(["-c", &unpack])
        .current_dir(&tree)
        .status()
        .ok()?;
    assert!(unpacked.success());
    for (name, text) in [
        ("etc/passwd", "root::0:0:root:/root:/bin/sh\n"),
        ("etc/group", "root:x:0:\n"),
        ("etc/hostname", "disk\n"),
        (
            "etc/inittab",
            "::sysinit:/etc/start\nttyS0::respawn:/bin/getty -L ttyS0 115200 vt100\n::shutdown:/bin/umount -a -r\n",
        ),
        (
            "etc/start",
            "#!/bin/busybox sh\n/bin/busybox --install -s /bin\nexport PATH=/bin\nmount -o remount,rw /\n\
             mount -t proc proc /proc\nmount -t sysfs sys /sys\nhostname -F /etc/hostname\n",
        ),
    ] {
        std::fs::write(tree.join(name), text).unwrap();
    }
    use std::os::unix::fs::{PermissionsExt, symlink};
    std::fs::set_permissions(tree.join("etc/start"), PermissionsExt::from_mode(0o755)).unwrap();
    for name in ["sbin/init", "bin/getty", "bin/login", "bin/umount"] {
        let _ = symlink("/bin/busybox", tree.join(name));
    }
    let path = image(folder, "root", 96);
    let made = Command::new("/usr/sbin/mke2fs")
        .args(["-q", "-t", "ext4", "-d"])
        .arg(&tree)
        .arg(&path)
        .stdout(Stdio::null())
        .status();
    match made {
        Ok(status) => assert!(status.success()),
        Err(_) => {
            skip("a_root_file_system_boots_to_a_login", "mke2fs is not installed");
            return None;
        }
    }
    Some(path)
}

#[test]
fn a_root_file_system_boots_to_a_login() {
    if !have_guest("a_root_file_system_boots_to_a_login") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let Some(path) = root_image(folder.path()) else { return };
    let drive = format!("file={},format=raw,cache=writethrough", path.display());
    let mut guest = Guest::boot(&["-drive", &drive]);
    guest.wait_for_shell();
    guest.shell(MODULES);
    guest.shell("mount -t ext4 /dev/vda /mnt");
    guest.shell("mount --move /dev /mnt/dev; umount /proc /sys /tmp; true");
    guest.type_line("exec switch_root /mnt /sbin/init");
    guest.wait_for("disk login:");
    guest.type_line("root");
    guest.wait_for("# ");
    assert!(guest.shell("grep ' / ' /proc/mounts").contains("/dev/vda / ext4 rw"));
    guest.shell("echo from disk >/root/note");
    guest.type_line("poweroff");
    guest.rest();
    assert_eq!(guest.ended(), Some(0));
    is_clean(&path);
    let mut debugfs = Command::new("/usr/sbin/debugfs");
    let note = debugfs.args(["-R", "cat /root/note"]).arg(&path).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&note.stdout), "from disk\n");
}

/// An image that we write to is not written to by QEMU, and the other way round.
#[test]
fn images_are_locked_against_qemu() {
    let test = "images_are_locked_against_qemu";
    if Command::new("qemu-system-riscv64").arg("--version").output().is_err() {
        return skip(test, "there is no qemu-system-riscv64");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = image(folder.path(), "disk", 1);
    let args = |qmp: &str| {
        let drive = format!("file={},if=virtio,format=raw", path.display());
        let qmp = format!("unix:{},server=on,wait=off", folder.path().join(qmp).display());
        [
            "-M", "virt", "-S", "-display", "none", "-serial", "none", "-drive", &drive, "-qmp", &qmp,
        ]
        .map(str::to_owned)
    };
    for (mut one, mut other) in [
        (machine(), Command::new("qemu-system-riscv64")),
        (Command::new("qemu-system-riscv64"), machine()),
    ] {
        let mut first = one.args(args("qmp")).spawn().unwrap();
        let mut qmp = Client::ready(&folder.path().join("qmp"));
        let refused = other.args(args("other")).output().unwrap();
        assert!(!refused.status.success());
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains("lock"), "{said}");
        qmp.ok("quit", json!({}));
        first.wait().unwrap();
        std::fs::remove_file(folder.path().join("qmp")).unwrap_or_default();
    }
}
