//! `fio --verify` of Debian's kernel on every kind of ring and transport at once, with four processors and I/O threads, while discards
//! and zeroes go by; and what the host then has in the images. The guest is made by `guest/build`; without it these tests are skipped,
//! visibly.

mod common;

use common::linux::{Guest, have_guest};
use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;
use std::process::Command;

/// Names of disks (also their serial numbers), and the devices before them.
const DISKS: [(&str, &str); 6] = [
    ("pcisplit", "virtio-blk-pci,num-queues=1"),
    ("pcipacked", "virtio-blk-pci,packed=on,num-queues=1,iothread=t0"),
    ("mmiosplit", "virtio-blk-device"),
    ("mmiopacked", "virtio-blk-device,packed=on,iothread=t0"),
    ("manysplit", "virtio-blk-pci,num-queues=4,iothread=t0"),
    ("manypacked", "virtio-blk-pci,packed=on,num-queues=4,iothread=t1"),
];
/// Each image, and the part that is written and verified; what is behind is discarded and zeroed meanwhile. In MiB.
const SIZE: u64 = 16;
const VERIFIED: u64 = 1;

/// What `fio` does to all disks at once: engine, depth, order, length of a request.
const RUNS: [(&str, u32, &str, &str); 4] = [
    ("libaio", 32, "randwrite", "4k"),
    ("psync", 1, "write", "64k"),
    ("io_uring", 32, "write", "16k"),
    ("psync", 1, "randwrite", "8k"),
];

fn job_file(run: usize, disks: &[String]) -> String {
    let (engine, depth, order, block) = RUNS[run];
    let mut jobs = format!(
        "[global]\nthread\ndirect=1\nioengine={engine}\niodepth={depth}\nrw={order}\nbs={block}\nsize={VERIFIED}m\nrandseed={run}\n\
         verify=crc32c\nverify_fatal=1\ndo_verify=1\n"
    );
    for disk in disks {
        let _ = write!(jobs, "[{}]\nfilename={disk}\n", &disk[5..]);
    }
    jobs
}

fn checksum(image: &Path, offset: u64, len: u64) -> String {
    let cut = format!("tail -c +{} '{}' | head -c {len} | md5sum", offset + 1, image.display());
    let out = Command::new("sh").args(["-c", &cut]).output().unwrap();
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}

/// Bytes of a host's file that take room on its disk.
fn allocated(image: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    image.metadata().unwrap().blocks() * 512
}

#[test]
fn fio_verifies_every_ring_on_every_transport() {
    if !have_guest("fio_verifies_every_ring_on_every_transport") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut words =
        String::from("-smp 4 -object iothread,id=t0 -object iothread,id=t1 -global virtio-mmio.force-legacy=off ");
    for (name, device) in DISKS {
        let path = folder.path().join(name);
        File::create(&path).unwrap().set_len(SIZE << 20).unwrap();
        let _ = write!(
            words,
            "-blockdev file,node-name={name},filename={},discard=unmap -device {device},drive={name},serial={name} ",
            path.display()
        );
    }
    let words: Vec<&str> = words.split_whitespace().collect();
    let mut guest = Guest::boot_extra(&["block", "fio"], &words, "loglevel=1");
    guest.wait_for_shell();
    guest.shell("for m in virtio_pci virtio_mmio virtio_blk crc32c_generic ext4; do load $m 2>/dev/null; done; true");
    let disks = DISKS.map(|(name, device)| {
        let found = guest.shell(&format!("grep -l '^{name}$' /sys/block/vd*/serial"));
        let disk = found.split('/').nth(3).unwrap().to_owned();
        let queues = guest.shell(&format!("ls /sys/block/{disk}/mq | wc -l"));
        assert_eq!(
            queues,
            if device.contains("num-queues=4") { "4" } else { "1" },
            "{name}"
        );
        format!("/dev/{disk}")
    });
    let sums = verify(&mut guest, &disks);
    for ((name, _), guests) in DISKS.iter().zip(&sums) {
        let image = folder.path().join(name);
        assert_eq!(checksum(&image, 0, VERIFIED << 20), *guests, "{name}");
        let rest = std::fs::read(&image).unwrap().split_off((VERIFIED as usize) << 20);
        assert!(rest.iter().all(|b| *b == 0), "{name}: discards and zeroes came");
        assert!(
            allocated(&image) < (VERIFIED + 1) << 20,
            "{name}: {} bytes remain",
            allocated(&image)
        );
    }
    file_systems(&mut guest, &disks);
    guest.type_line("poweroff -f");
    assert_eq!(guest.ended(), Some(0));
    for (name, _) in DISKS {
        common::linux::is_clean(&folder.path().join(name));
    }
}

/// All runs; gives what the guest then reads of the verified part of each disk.
fn verify(guest: &mut Guest, disks: &[String; 6]) -> Vec<String> {
    let all = disks.join(" ");
    for run in 0..RUNS.len() {
        guest.shell(&format!(
            "printf '{}' >/tmp/jobs",
            job_file(run, disks).replace('\n', "\\n")
        ));
        // Behind what is verified: something, then discarded on even rounds and zeroed on odd ones, each in many requests.
        let (offset, len) = (VERIFIED << 20, (SIZE - VERIFIED) << 20);
        let how = if run % 2 == 0 { "" } else { "-z" };
        guest.shell(&format!(
            "(for d in {all}; do dd if=/dev/urandom of=$d bs=1M seek={VERIFIED} count=2 oflag=direct 2>/dev/null || echo bad >/tmp/discarded; done; \
             for d in {all}; do /bin/blkdiscard {how} -p 1M -o {offset} -l {len} $d || echo bad >/tmp/discarded; done; echo done >>/tmp/discarded) & true"
        ));
        let report = guest.shell("fio --output=/tmp/report /tmp/jobs; r=$?; cat /tmp/report; [ $r = 0 ]");
        assert_eq!(report.matches("err= 0").count(), disks.len(), "{report}");
        guest.shell("until grep -q done /tmp/discarded; do usleep 20000; done 2>/dev/null; ! grep bad /tmp/discarded && rm /tmp/discarded");
    }
    // Zeroes that give the room back are what a discard leaves; the second kind of zeroes keeps it.
    guest.shell(&format!(
        "for d in {all}; do /bin/blkdiscard -o {} $d; done",
        VERIFIED << 20
    ));
    guest.shell("echo 3 >/proc/sys/vm/drop_caches");
    disks
        .iter()
        .map(|d| guest.shell(&format!("head -c {} {d} | md5sum", VERIFIED << 20)))
        .collect()
}

/// A file system on each disk, all written to at once.
fn file_systems(guest: &mut Guest, disks: &[String; 6]) {
    let all = disks.join(" ");
    guest.shell(&format!(
        "for d in {all}; do m=/mnt/${{d##*/}}; mkdir -p $m; \
         (mkfs.ext4 -q -E lazy_itable_init=0 $d && mount $d $m && cp /bin/busybox $m/b && dd if=/dev/urandom of=$m/r bs=64k count=32 2>/dev/null \
         && md5sum $m/r >/tmp/${{d##*/}} && rm $m/b && fstrim $m && umount $m) & done; wait"
    ));
    guest.shell("! grep -q /mnt/ /proc/mounts; echo 3 >/proc/sys/vm/drop_caches");
    guest.shell(&format!(
        "for d in {all}; do e2fsck -fn $d >/tmp/fsck 2>&1 && mount $d /mnt/${{d##*/}} && md5sum -c /tmp/${{d##*/}} && umount $d || exit 1; done"
    ));
}
