//! Hosts that fail a guest's disks: no space, images that shrink or may not be written to; what the guest hears and what QMP tells, under
//! each `werror=`, with and without an I/O thread. The guest is made by `guest/build`; without it these tests are skipped, visibly.

mod common;

use common::linux::{Guest, PATIENCE, have_guest};
use common::qmp::Client;
use serde_json::{Value, json};
use southbridge_testing::private::{is_private, sh};
use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;
use std::time::Instant;

/// Each disk's name (its serial number, and its own full file system on the host), and what is said of its errors.
const DISKS: [(&str, &str); 5] = [
    ("report", "werror=report"),
    ("ignore", "werror=ignore"),
    ("stop", "werror=stop"),
    ("auto", "iothread=t0"),
    ("reports", "werror=report,iothread=t0,packed=on"),
];
/// What the guest writes to each, and what there is room for. In MiB.
const DATA: u64 = 3;
const ROOM: u64 = 2;

struct Run {
    guest: Guest,
    qmp: Client,
    events: Client,
}

impl Run {
    fn disk(&mut self, name: &str) -> String {
        let found = self.guest.shell(&format!("grep -l '^{name}$' /sys/block/vd*/serial"));
        format!("/dev/{}", found.split('/').nth(3).unwrap())
    }

    /// The guest begins to write; its `dd` leaves a status.
    fn write(&mut self, name: &str) {
        let disk = self.disk(name);
        self.guest.shell(&format!(
            "(dd if=/tmp/data of={disk} bs=256k oflag=direct 2>/tmp/dd.{name}; echo $? >/tmp/status.{name}) & true"
        ));
    }

    fn status(&mut self, name: &str) -> String {
        self.guest.shell(&format!(
            "until [ -s /tmp/status.{name} ]; do usleep 10000; done; cat /tmp/status.{name}"
        ))
    }

    /// What was done about an error on a disk, as it was told. Of many within a second one is.
    fn error(&mut self, name: &str) -> Value {
        loop {
            let event = self.events.event("BLOCK_IO_ERROR");
            let data = &event["data"];
            if data["node-name"] == name {
                assert_eq!(
                    (&data["operation"], &data["nospace"]),
                    (&json!("write"), &json!(true)),
                    "{event}"
                );
                return data["action"].clone();
            }
        }
    }

    fn until_state(&mut self, state: &str) {
        let end = Instant::now() + PATIENCE;
        while self.qmp.ok("query-status", json!({}))["status"] != state {
            assert!(Instant::now() < end, "it does not come to '{state}'");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

fn sum(path: &Path, len: u64) -> String {
    let cut = format!("head -c {len} '{}' | md5sum", path.display());
    let out = std::process::Command::new("sh").args(["-c", &cut]).output().unwrap();
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}

#[test]
fn a_host_without_space_and_images_that_shrink() {
    let test = "a_host_without_space_and_images_that_shrink";
    if !have_guest(test) || !is_private(test, &[], &["mount"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let mut words = String::from("-object iothread,id=t0 ");
    for (name, conf) in DISKS {
        std::fs::create_dir(at(name)).unwrap();
        sh(&format!("mount -t tmpfs -o size={ROOM}m tmpfs {}", at(name).display()));
        let image = at(name).join("image");
        File::create(&image).unwrap().set_len(8 << 20).unwrap();
        let _ = write!(
            words,
            "-blockdev file,node-name={name},filename={} -device virtio-blk-pci,num-queues=1,drive={name},serial={name},{conf} ",
            image.display()
        );
    }
    for (name, conf) in [("shrinks", ""), ("fixed", ",read-only=on")] {
        File::create(at("img-").with_file_name(format!("img-{name}")))
            .unwrap()
            .set_len(8 << 20)
            .unwrap();
        let _ = write!(
            words,
            "-blockdev file,node-name={name},filename={}/img-{name}{conf} -device virtio-blk-pci,num-queues=1,drive={name},serial={name} ",
            folder.path().display()
        );
    }
    let _ = write!(words, "-qmp unix:{}/qmp,server=on,wait=off", folder.path().display());
    let words: Vec<&str> = words.split_whitespace().collect();
    let mut guest = Guest::boot_extra(&["block"], &words, "loglevel=1");
    let (qmp, events) = (Client::ready(&at("qmp")), Client::ready(&at("qmp")));
    guest.wait_for_shell();
    guest.shell("for m in virtio_blk crc32c_generic ext4; do load $m 2>/dev/null; done; true");
    guest.shell(&format!(
        "dd if=/dev/urandom of=/tmp/data bs=1M count={DATA} 2>/dev/null"
    ));
    let mut run = Run { guest, qmp, events };
    no_space(&mut run, folder.path());
    shrinks(&mut run, folder.path());
    let fixed = run.disk("fixed");
    assert_eq!(run.guest.shell(&format!("cat /sys/block/{}/ro", &fixed[5..])), "1");
    run.guest.shell(&format!(
        "! dd if=/tmp/data of={fixed} bs=4k count=1 oflag=direct 2>/dev/null"
    ));
    run.guest.type_line("poweroff -f");
    assert_eq!(run.guest.ended(), Some(0));
}

fn no_space(run: &mut Run, folder: &Path) {
    let data = run.guest.shell("md5sum </tmp/data");
    // The guest hears of it.
    for name in ["report", "reports"] {
        run.write(name);
        assert_eq!(run.status(name), "1", "{name}");
        assert_eq!(run.error(name), "report");
        assert!(
            run.guest
                .shell(&format!("cat /tmp/dd.{name}"))
                .contains("Input/output error"),
            "{name}"
        );
    }
    // The guest hears nothing.
    run.write("ignore");
    assert_eq!(run.status("ignore"), "0");
    assert_eq!(run.error("ignore"), "ignore");
    // The guest waits, until there is room.
    for name in ["stop", "auto"] {
        run.write(name);
        run.until_state("io-error");
        assert_eq!(run.error(name), "stop");
        run.qmp.ok("cont", json!({}));
        run.until_state("io-error");
        sh(&format!(
            "mount -o remount,size={}m {}",
            DATA + 2,
            folder.join(name).display()
        ));
        run.qmp.ok("cont", json!({}));
        assert_eq!(run.status(name), "0", "{name}");
        run.until_state("running");
        assert_eq!(sum(&folder.join(name).join("image"), DATA << 20), data, "{name}");
    }
}

/// What a file has no more reads as zeroes, and comes back when it is written to.
fn shrinks(run: &mut Run, folder: &Path) {
    let (disk, image) = (run.disk("shrinks"), folder.join("img-shrinks"));
    let data = run.guest.shell("md5sum </tmp/data");
    run.guest.shell(&format!(
        "mkfs.ext4 -q {disk} && mount {disk} /mnt && cp /tmp/data /mnt/a && sync && umount /mnt"
    ));
    File::options()
        .write(true)
        .open(&image)
        .unwrap()
        .set_len(1 << 20)
        .unwrap();
    run.guest.shell(&format!(
        "dd if={disk} of=/tmp/all bs=1M iflag=direct 2>/dev/null; [ $(wc -c </tmp/all) = 8388608 ]"
    ));
    let zeroes = run.guest.shell("tail -c 7340032 /tmp/all | tr -d '\\0' | wc -c");
    assert_eq!(zeroes, "0");
    run.guest.shell(&format!(
        "dd if=/tmp/data of={disk} bs=256k seek=8 oflag=direct 2>/dev/null; echo 3 >/proc/sys/vm/drop_caches"
    ));
    assert_eq!(
        run.guest.shell(&format!(
            "dd if={disk} bs=1M skip=2 count={DATA} iflag=direct 2>/dev/null | md5sum"
        )),
        data
    );
    assert_eq!(image.metadata().unwrap().len(), (2 + DATA) << 20);
    // A file system of which half is not there is the guest's worry.
    run.guest.shell(&format!(
        "! mount {disk} /mnt 2>/dev/null || {{ ! cmp -s /mnt/a /tmp/data; umount /mnt; }}"
    ));
    run.qmp.ok("query-blockstats", json!({}));
}
