//! Devices of every virtio family come to a running Debian, work, and go under load, again and again in one boot; a disk beside them is
//! written to all the time. `SOUTHBRIDGE_HOTPLUG_ROUNDS=20` does it longer. The guest is made by `guest/build`; without it these tests are skipped, visibly.

mod common;

use common::linux::{Guest, PATIENCE, have_guest};
use common::qmp::Client;
use common::wait;
use serde_json::{Value, json};
use std::fs::File;
use std::io::Read;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Times that each family comes and goes, unless the environment says so.
const ROUNDS: usize = 2;
/// The only place below the port.
const PLACE: &str = "/sys/bus/pci/devices/0000:01:00.0";
const FIO: &str =
    "fio --name=j --direct=1 --ioengine=libaio --iodepth=32 --rw=randwrite --bs=4k --time_based --runtime=1000";

struct Run {
    guest: Guest,
    qmp: Client,
    events: Client,
    folder: tempfile::TempDir,
    /// What keeps the host's ends open, and what was read from them.
    ends: Vec<UnixStream>,
}

/// Descriptors and threads of the program.
fn holds(run: &Run) -> (usize, usize) {
    let count = |what: &str| {
        let list = std::fs::read_dir(format!("/proc/{}/{what}", run.guest.child.id()));
        list.unwrap().count()
    };
    (count("fd"), count("task"))
}

/// Reads until the other side goes away.
fn swallow(stream: &UnixStream) {
    let mut stream = stream.try_clone().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 65536];
        while let Ok(1..) = stream.read(&mut buffer) {}
    });
}

impl Run {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        for name in ["stays", "comes"] {
            File::create(at(name)).unwrap().set_len(16 << 20).unwrap();
        }
        std::fs::create_dir(at("shared")).unwrap();
        std::fs::write(at("shared/file"), vec![7; 1 << 20]).unwrap();
        let words = format!(
            "-m 512M -object iothread,id=t0 -device pcie-root-port,id=rp,chassis=1,slot=1 \
             -chardev socket,id=port,path={},server=on,wait=off -fsdev local,id=f,path={},security_model=mapped-xattr \
             -blockdev file,node-name=stays,filename={} -device virtio-blk-pci,drive=stays -qmp unix:{},server=on,wait=off",
            at("port"),
            at("shared"),
            at("stays"),
            at("qmp")
        );
        let words: Vec<&str> = words.split_whitespace().collect();
        let mut guest = Guest::boot_extra(&["fio", "input", "vsock"], &words, "loglevel=1");
        let qmp = Client::ready(&folder.path().join("qmp"));
        let events = Client::ready(&folder.path().join("qmp"));
        guest.wait_for_shell();
        for module in "virtio_blk virtio_rng virtio_console virtio_balloon virtio_input evdev vmw_vsock_virtio_transport 9pnet_virtio 9p".split(' ') {
            guest.shell(&format!("load {module} 2>/dev/null; true"));
        }
        guest.shell(&format!(
            "{FIO} --rate_iops=300 --filename=/dev/vda >/tmp/stays 2>&1 & true"
        ));
        let port = UnixStream::connect(folder.path().join("port")).unwrap();
        swallow(&port);
        Self {
            guest,
            qmp,
            events,
            folder,
            ends: vec![port],
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The guest looks for new devices, and its driver takes what is there.
    fn comes(&mut self, driver: &str, rest: Value) {
        let mut device = json!({ "driver": driver, "id": "d", "bus": "rp" });
        device
            .as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        self.qmp.ok("device_add", device);
        if driver == "virtio-serial-pci" {
            let port =
                json!({ "driver": "virtserialport", "chardev": "port", "id": "p", "bus": "d.0", "name": "late" });
            self.qmp.ok("device_add", port);
        }
        self.guest
            .shell(&format!("echo 1 >/sys/bus/pci/rescan; [ -e {PLACE}/driver ]"));
    }

    /// Asked to leave while it works, it stays: nothing is torn from the guest's hands. It leaves when the guest's driver lets it go.
    fn goes(&mut self, before_it_is_free: &str) {
        self.qmp.ok("device_del", json!({ "id": "d" }));
        let all = self.qmp.ok("qom-list", json!({ "path": "/machine/peripheral" }));
        assert!(all.to_string().contains("\"d\""), "{all}");
        self.guest.shell(&format!(
            "(echo 1 >{PLACE}/remove; echo >/tmp/removed) & {before_it_is_free} true"
        ));
        loop {
            if self.events.event("DEVICE_DELETED")["data"]["device"] == "d" {
                break;
            }
        }
        self.guest
            .shell("until [ -e /tmp/removed ]; do usleep 10000; done; rm /tmp/removed");
        self.guest.shell(&format!("[ ! -e {PLACE} ]"));
    }

    /// How many writes the disk that stays has seen.
    fn writes(&mut self) -> u64 {
        let stats = self.qmp.ok("query-blockstats", json!({}));
        let stays = stats
            .as_array()
            .unwrap()
            .iter()
            .find(|s| s["node-name"] == "stays")
            .unwrap()
            .clone();
        stays["stats"]["wr_operations"].as_u64().unwrap()
    }

    fn until_more_writes(&mut self) {
        let (before, end) = (self.writes(), Instant::now() + PATIENCE);
        while self.writes() < before + 20 {
            assert!(Instant::now() < end, "the disk that stays stands still");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn disk(run: &mut Run, round: usize) {
    let file = json!({ "driver": "file", "node-name": "n", "filename": run.path("comes") });
    run.qmp.ok("blockdev-add", file);
    let more = match round % 2 {
        0 => json!({ "drive": "n", "iothread": "t0", "num-queues": 2 }),
        _ => json!({ "drive": "n", "packed": true }),
    };
    run.comes("virtio-blk-pci", more);
    run.guest.shell("until [ -e /dev/vdb ]; do usleep 10000; done");
    run.guest.type_line(&format!(
        "({FIO} --filename=/dev/vdb >/tmp/comes 2>&1; echo $? >/tmp/status) &"
    ));
    run.guest.shell("until grep -q ' vdb [1-9]\\| vdb .* [1-9][0-9]* ' /proc/diskstats && [ $(awk '$3==\"vdb\"{print $8}' /proc/diskstats) -gt 50 ]; do usleep 10000; done");
    run.goes("");
    // The program was told of errors, and did not hang.
    run.guest
        .shell("until [ -s /tmp/status ]; do usleep 10000; done; [ $(cat /tmp/status) != 0 ] && rm /tmp/status");
    run.qmp.ok("blockdev-del", json!({ "node-name": "n" }));
}

fn entropy(run: &mut Run, _: usize) {
    run.comes("virtio-rng-pci", json!({}));
    run.guest.shell("until [ -s /sys/class/misc/hw_random/rng_current ] && ! grep -q none /sys/class/misc/hw_random/rng_current; do usleep 10000; done");
    run.guest.shell("(dd if=/dev/hwrng of=/tmp/rng bs=512 >/dev/null 2>&1; echo >/tmp/status) & until [ -s /tmp/rng ]; do usleep 10000; done");
    run.goes("");
    run.guest
        .shell("until [ -e /tmp/status ]; do usleep 10000; done; rm /tmp/status /tmp/rng");
}

fn serial(run: &mut Run, _: usize) {
    run.comes("virtio-serial-pci", json!({}));
    run.guest
        .shell("until ls /dev/vport*p1 >/dev/null 2>&1; do usleep 10000; done");
    run.guest
        .type_line("(cat /dev/zero >/dev/vport*p1 2>/dev/null; echo >/tmp/status) &");
    run.guest.shell("usleep 300000");
    run.goes("");
    run.guest
        .shell("until [ -e /tmp/status ]; do usleep 10000; done; rm /tmp/status");
}

fn balloon(run: &mut Run, _: usize) {
    let memory = "awk '/MemTotal/{print $2}' /proc/meminfo";
    let before = run.guest.shell(memory);
    run.comes("virtio-balloon-pci", json!({}));
    run.qmp.ok("balloon", json!({ "value": 192 << 20 }));
    wait("the balloon", || {
        run.qmp.ok("query-balloon", json!({}))["actual"].as_u64() < Some(500 << 20)
    });
    run.goes("");
    let gone = run.qmp.run("query-balloon", json!({}));
    assert_eq!(gone["error"]["class"], "DeviceNotActive", "{gone}");
    assert_eq!(
        run.guest.shell(memory),
        before,
        "all of the memory is the guest's again"
    );
}

fn input(run: &mut Run, _: usize) {
    run.comes("virtio-keyboard-pci", json!({}));
    run.guest.shell("until [ -e /dev/input/event0 ]; do usleep 10000; done");
    run.guest.shell("(evtest /dev/input/event0 >/tmp/events 2>&1; echo >/tmp/status) & until grep -q Testing /tmp/events; do usleep 10000; done");
    let key = json!({ "keys": [{ "type": "qcode", "data": "a" }], "hold-time": 1 });
    for _ in 0..50 {
        run.qmp.ok("send-key", key.clone());
    }
    run.guest
        .shell("until grep -q KEY_A /tmp/events; do usleep 10000; done");
    run.qmp.ok(
        "send-key",
        json!({ "keys": [{ "type": "qcode", "data": "b" }], "hold-time": 100_000 }),
    );
    run.goes("");
    run.guest
        .shell("until [ -e /tmp/status ]; do usleep 10000; done; rm /tmp/status");
    run.qmp.ok("send-key", key);
}

fn sockets(run: &mut Run, round: usize) {
    let path = run.path(&format!("vsock{round}"));
    run.comes("vhost-vsock-pci", json!({ "guest-cid": 42, "uds": path }));
    let listener = UnixListener::bind(Path::new(&format!("{}_5000", path.display()))).unwrap();
    run.guest
        .type_line("(cat /dev/zero | socat -u - VSOCK-CONNECT:2:5000 >/dev/null 2>&1; echo >/tmp/status) &");
    let (mut there, _) = listener.accept().unwrap();
    let mut some = vec![0; 100_000];
    there.read_exact(&mut some).unwrap();
    swallow(&there);
    run.goes("");
    // Both ends hear of it.
    run.guest
        .shell("until [ -e /tmp/status ]; do usleep 10000; done; rm /tmp/status");
    there.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    while there.read(&mut some).unwrap() > 0 {}
}

/// Linux lets a mounted folder go when it is unmounted, and not before.
fn folder(run: &mut Run, _: usize) {
    run.comes("virtio-9p-pci", json!({ "fsdev": "f", "mount_tag": "late" }));
    run.guest
        .shell("mkdir -p /mnt/late && mount -t 9p -o trans=virtio,version=9p2000.L,cache=none late /mnt/late");
    run.guest.shell("(while cat /mnt/late/file >/tmp/read 2>/dev/null && [ ! -e /tmp/stop ]; do :; done; echo >/tmp/status) & until [ -s /tmp/read ]; do usleep 10000; done");
    run.goes("sleep 1; [ ! -e /tmp/removed ] && cmp /mnt/late/file /mnt/late/file && touch /tmp/stop; until [ -e /tmp/status ]; do usleep 10000; done; umount /mnt/late;");
    run.guest
        .shell("rm /tmp/status /tmp/stop; [ ! -s /tmp/read ] || [ $(wc -c </tmp/read) = 1048576 ]");
}

#[test]
fn every_family_comes_and_goes_under_load() {
    if !have_guest("every_family_comes_and_goes_under_load") {
        return;
    }
    let mut run = Run::new();
    let families: [fn(&mut Run, usize); 7] = [disk, entropy, serial, balloon, input, sockets, folder];
    let mut after_first = (0, 0);
    let rounds = std::env::var("SOUTHBRIDGE_HOTPLUG_ROUNDS").map_or(ROUNDS, |n| n.parse().unwrap());
    for round in 0..rounds {
        for family in families {
            family(&mut run, round);
            run.until_more_writes();
        }
        if round == 0 {
            after_first = holds(&run);
        }
    }
    // The pool's threads come as they are wanted, and stay.
    wait("the same descriptors as before", || holds(&run).0 <= after_first.0);
    assert!(
        holds(&run).1 <= after_first.1.max(40),
        "{:?} after {after_first:?}",
        holds(&run)
    );
    run.guest
        .shell("! grep -i 'error' /tmp/stays; ! dmesg | grep -i 'hung\\|oops\\|BUG:\\|vda.*error'");
    run.ends.clear();
    run.guest.type_line("poweroff -f");
    assert_eq!(run.guest.ended(), Some(0));
}
