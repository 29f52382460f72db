//! Nodes and their back ends, driven as a device drives them but without one.

use southbridge_core::DeviceId;
use southbridge_core::host::Host;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::{BlockBackend, BlockError, BlockEvent, Blocks, Drive, EIO, OnError, Request, Use};

const SECTOR: usize = 512;

/// A machine's host side with nodes, and a device that is none.
struct Bench {
    host: Host,
    blocks: Blocks,
    alive: Arc<()>,
    next: u64,
}

const WRITER: Use = Use {
    write: true,
    share_write: false,
};
const READER: Use = Use {
    write: false,
    share_write: false,
};

fn pairs(text: &str) -> Vec<(String, String)> {
    let pair = |p: &str| p.split_once('=').map(|(n, v)| (n.to_owned(), v.to_owned()));
    text.split(',').filter_map(pair).collect()
}

impl Bench {
    fn new() -> Self {
        Self {
            host: Host::new().unwrap(),
            blocks: Blocks::default(),
            alive: Arc::new(()),
            next: 0,
        }
    }

    fn add(&mut self, text: &str) -> Result<(), BlockError> {
        self.blocks.add(&mut self.host, &pairs(text))
    }

    fn with(text: &str) -> Self {
        let mut this = Self::new();
        this.add(text).unwrap();
        this
    }

    fn error(&mut self, text: &str) -> String {
        self.add(text).unwrap_err().to_string()
    }

    fn attach_as(&mut self, name: &str, wants: Use) -> Result<u32, BlockError> {
        let id = self.blocks.get(name).unwrap();
        let (backend, _) = self.host.get::<BlockBackend>(id).unwrap();
        backend.attach(DeviceId::from_index(1), 0, &self.alive, wants)
    }

    fn attach(&mut self, name: &str) -> u32 {
        self.attach_as(name, WRITER).unwrap()
    }

    fn submit(&mut self, name: &str, front: u32, request: Request) -> u64 {
        self.next += 1;
        let id = self.blocks.get(name).unwrap();
        let (backend, mut cx) = self.host.get::<BlockBackend>(id).unwrap();
        backend.submit(front, self.next, request, &mut cx);
        self.next
    }

    fn event(&mut self) -> BlockEvent {
        loop {
            if let Some((device, done)) = self.host.next_completion() {
                assert_eq!((device, done.port), (DeviceId::from_index(1), 0));
                return BlockEvent::from_completion(done).unwrap();
            }
            self.host.wait(Some(Duration::from_secs(60))).unwrap();
        }
    }

    /// Does one request and waits for it.
    fn ask(&mut self, name: &str, front: u32, request: Request) -> Result<Vec<u8>, i32> {
        let token = self.submit(name, front, request);
        match self.event() {
            BlockEvent::Done { token: t, result } if t == token => result,
            other => panic!("{other:?}"),
        }
    }

    fn read(&mut self, name: &str, front: u32, offset: u64, len: usize) -> Vec<u8> {
        self.ask(name, front, Request::Read { offset, len }).unwrap()
    }
}

fn write(offset: u64, data: Vec<u8>) -> Request {
    Request::Write {
        offset,
        data,
        durable: false,
    }
}

fn zeroes(offset: u64, len: u64, unmap: bool) -> Request {
    Request::WriteZeroes {
        offset,
        len,
        unmap,
        durable: true,
    }
}

fn image(folder: &Path, len: usize) -> String {
    let path = folder.join("image");
    fs::write(&path, vec![7; len]).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_file_keeps_what_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = image(folder.path(), 64 * SECTOR + 100);
    for options in ["", ",cache.direct=on", ",cache.no-flush=on,aio=native"] {
        fs::write(&path, vec![7; 64 * SECTOR + 100]).unwrap();
        let mut b = Bench::with(&format!("driver=file,node-name=d,filename={path}{options}"));
        let f = b.attach("d");
        assert_eq!(b.read("d", f, 0, 3), [7; 3]);
        let data: Vec<u8> = (0..3 * SECTOR).map(|i| i as u8).collect();
        assert_eq!(b.ask("d", f, write(5 * 512, data.clone())), Ok(vec![]));
        assert_eq!(b.ask("d", f, Request::Flush), Ok(vec![]));
        assert_eq!(b.read("d", f, 5 * 512, data.len()), data, "{options}");
        let kept = fs::read(&path).unwrap();
        assert_eq!(kept[5 * SECTOR..8 * SECTOR], data, "{options}");
        assert_eq!((kept[5 * SECTOR - 1], kept[8 * SECTOR]), (7, 7), "{options}");
        let tail = b.read("d", f, 64 * 512, SECTOR);
        assert_eq!(
            (&tail[..100], &tail[100..]),
            (&[7; 100][..], &[0; 412][..]),
            "{options}"
        );
    }
}

#[test]
fn zeros_and_holes() {
    let folder = tempfile::tempdir().unwrap();
    let path = image(folder.path(), 1 << 20);
    for (options, hole) in [("", false), (",discard=unmap", true)] {
        fs::write(&path, vec![7; 1 << 20]).unwrap();
        let mut b = Bench::with(&format!("driver=file,node-name=d,filename={path}{options}"));
        let f = b.attach("d");
        assert_eq!(b.ask("d", f, zeroes(4096, 8192, true)), Ok(vec![]));
        assert_eq!(b.ask("d", f, zeroes(3 * 512, 512, false)), Ok(vec![]));
        let discard = Request::Discard {
            offset: 65536,
            len: 65536,
        };
        assert_eq!(b.ask("d", f, discard), Ok(vec![]));
        let kept = fs::read(&path).unwrap();
        assert!(kept[4096..12288].iter().all(|x| *x == 0));
        assert!(kept[1536..2048].iter().all(|x| *x == 0));
        assert_eq!((kept[1535], kept[2048], kept[4095], kept[12288]), (7, 7, 7, 7));
        let discarded = kept[65536..131072].iter().all(|x| *x == 0);
        assert_eq!(discarded, hole, "only discard=unmap reaches the file");
        assert_eq!(kept.len(), 1 << 20);
    }
}

#[test]
fn raw_is_a_stretch_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let path = image(folder.path(), 8192);
    let mut b = Bench::with(&format!("driver=file,node-name=f,filename={path}"));
    b.add("driver=raw,node-name=r,file=f,offset=1024,size=2048").unwrap();
    let f = b.attach("r");
    b.ask("r", f, write(0, vec![1; 2048])).unwrap();
    let kept = fs::read(&path).unwrap();
    assert_eq!((kept[1023], kept[1024], kept[3071], kept[3072]), (7, 1, 1, 7));
    assert!(
        b.error("driver=raw,node-name=x,file=f,offset=8193")
            .contains("at most 8192")
    );
    assert!(
        b.error("driver=raw,node-name=x,file=f,offset=8192,size=1")
            .contains("at most 0")
    );
    assert!(
        b.error("driver=raw,node-name=x,file=g")
            .contains("one of the nodes f, r")
    );
    b.add(&format!(
        "driver=raw,node-name=nested,file.driver=file,file.filename={path},read-only=on"
    ))
    .unwrap();
    let names: Vec<_> = b.blocks.nodes().map(|n| n.name().to_owned()).collect();
    assert_eq!(names, ["#block001", "f", "nested", "r"]);
    assert!(b.blocks.node("#block001").unwrap().is_read_only(), "it takes that over");
    b.blocks.remove(&mut b.host, "nested").unwrap();
    assert!(b.blocks.node("#block001").is_none());
}

#[test]
fn one_in_use_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = image(folder.path(), 8192);
    let mut b = Bench::with(&format!("driver=file,node-name=f,filename={path}"));
    b.add("driver=raw,node-name=r,file=f").unwrap();
    let remove = |b: &mut Bench, name: &str| b.blocks.remove(&mut b.host, name).map_err(|e| e.to_string());
    assert!(remove(&mut b, "f").unwrap_err().contains("below node 'r'"));
    b.attach("r");
    assert!(remove(&mut b, "r").unwrap_err().contains("in use"));
    assert!(b.attach_as("r", READER).is_err(), "a writer is alone");
    assert!(b.attach_as("f", READER).is_err(), "below, too");
    b.alive = Arc::new(());
    remove(&mut b, "r").unwrap();
    remove(&mut b, "f").unwrap();
    assert!(remove(&mut b, "f").unwrap_err().contains("no block node"));
    assert_eq!(b.blocks.iter().count(), 0);
}

#[test]
fn two_processes_do_not_write_to_one_image() {
    let folder = tempfile::tempdir().unwrap();
    let path = image(folder.path(), 8192);
    let text = format!("driver=file,node-name=d,filename={path}");
    let (mut a, mut b) = (Bench::with(&text), Bench::with(&text));
    a.attach("d");
    let refused = b.attach_as("d", WRITER).unwrap_err();
    assert!(
        matches!(refused, BlockError::Locked { right: "write", .. }),
        "{refused}"
    );
    assert!(b.attach_as("d", READER).is_err());
    let mut unlocked = Bench::with(&format!("{text},locking=off"));
    unlocked.attach("d");
    a.alive = Arc::new(());
    let id = a.blocks.get("d").unwrap();
    a.host.get::<BlockBackend>(id).unwrap().0.tidy();
    b.attach("d");
}

#[test]
fn readers_share() {
    let folder = tempfile::tempdir().unwrap();
    let path = image(folder.path(), 8192);
    let text = format!("driver=file,node-name=d,filename={path},read-only=on");
    let (mut a, mut b) = (Bench::with(&text), Bench::with(&text));
    a.attach_as("d", READER).unwrap();
    b.attach_as("d", READER).unwrap();
    b.attach_as("d", READER).unwrap();
    assert!(matches!(b.attach_as("d", WRITER), Err(BlockError::ReadOnly(_))));
}

#[test]
fn what_a_reset_forgets_comes_before_what_follows() {
    let folder = tempfile::tempdir().unwrap();
    let path = image(folder.path(), 1 << 20);
    let mut b = Bench::with(&format!("driver=file,node-name=d,filename={path}"));
    let f = b.attach("d");
    for round in 0..20u8 {
        for _ in 0..8 {
            b.submit("d", f, write(0, vec![round; 1 << 18]));
        }
        let id = b.blocks.get("d").unwrap();
        b.host.get::<BlockBackend>(id).unwrap().0.forget(f);
        b.ask("d", f, write(0, vec![100 + round; 1 << 18])).unwrap();
        let now = b.read("d", f, 0, 1 << 18);
        assert!(now.iter().all(|x| *x == 100 + round), "nothing stale lands later");
    }
}

#[test]
fn a_drain_leaves_nothing_under_way() {
    let folder = tempfile::tempdir().unwrap();
    let path = image(folder.path(), 1 << 20);
    for text in [
        format!("driver=file,node-name=d,filename={path}"),
        "driver=null-co,node-name=d,latency-ns=3600000000000".into(),
    ] {
        let mut b = Bench::with(&text);
        let f = b.attach("d");
        for i in 0..50 {
            b.submit("d", f, write(i * 4096, vec![9; 4096]));
        }
        b.host.drain();
        let mut done = 0;
        while let Some((_, c)) = b.host.next_completion() {
            assert_eq!(c.result, 0);
            done += 1;
        }
        assert_eq!(done, 50, "{text}");
    }
}

#[test]
fn null_takes_as_long_as_it_says() {
    let mut b = Bench::with("driver=null-co,node-name=d,size=1M,read-zeroes=on,latency-ns=2000000");
    let f = b.attach("d");
    let began = std::time::Instant::now();
    assert_eq!(b.read("d", f, 0, 4096), vec![0; 4096]);
    assert!(began.elapsed() >= Duration::from_millis(2));
    b.ask("d", f, write(0, vec![1; 512])).unwrap();
    assert_eq!(b.read("d", f, 0, 1), [0], "it is forgotten");
}

#[test]
fn a_length_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = image(folder.path(), 8192);
    let mut b = Bench::with(&format!("driver=file,node-name=f,filename={path}"));
    b.add("driver=raw,node-name=r,file=f").unwrap();
    b.attach("r");
    b.blocks.resize(&mut b.host, "f", 1 << 20).unwrap();
    assert_eq!(b.event(), BlockEvent::Resized(1 << 20));
    b.blocks.resize(&mut b.host, "r", 4096).unwrap();
    assert_eq!(b.event(), BlockEvent::Resized(4096));
    assert_eq!(fs::metadata(&path).unwrap().len(), 4096);
    assert!(b.blocks.resize(&mut b.host, "nobody", 1).is_err());
    b.add("driver=null-co,node-name=n").unwrap();
    assert!(b.blocks.resize(&mut b.host, "n", 1).is_err());
}

#[test]
fn drives_are_for_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = image(folder.path(), 8192);
    let mut b = Bench::new();
    let drive = Drive::parse("disk0", &pairs(&format!("file={path},format=raw,cache=writethrough"))).unwrap();
    assert!(!drive.habits.write_back);
    b.blocks.add_drive(&mut b.host, &drive).unwrap();
    assert!(matches!(
        b.blocks.add_drive(&mut b.host, &drive),
        Err(BlockError::Duplicate(_))
    ));
    let f = b.attach("disk0");
    assert!(b.attach_as("disk0", READER).is_err());
    b.ask("disk0", f, write(0, vec![1; 512])).unwrap();
    b.blocks.sweep(&mut b.host);
    let id = b.blocks.get("disk0").unwrap();
    assert_eq!(b.host.peek::<BlockBackend>(id).unwrap().stats().highest, 512);
    b.alive = Arc::new(());
    b.blocks.sweep(&mut b.host);
    assert_eq!(
        (b.blocks.nodes().count(), b.blocks.get("disk0")),
        (0, None),
        "it goes with its device"
    );
}

#[test]
fn errors_of_the_host_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = image(folder.path(), 8192);
    let mut b = Bench::with(&format!("driver=file,node-name=d,filename={path},read-only=on"));
    let f = b.attach_as("d", READER).unwrap();
    // A device that writes to what it holds for reading: the host's word for it (EBADF) comes back.
    assert_eq!(b.ask("d", f, write(0, vec![0; 512])), Err(9));
    let id = b.blocks.get("d").unwrap();
    let stats = b.host.peek::<BlockBackend>(id).unwrap().stats();
    assert_eq!((stats.write.failed, stats.write.operations), (1, 0));
}

#[test]
fn words_are_judged() {
    let mut b = Bench::new();
    for (text, part) in [
        (
            "driver=qcow2,node-name=x",
            "not here yet; there is file, host_device, raw, null-co, null-aio",
        ),
        ("driver=nul-co,node-name=x", "did you mean 'null-co'"),
        ("driver=null-co", "needs 'node-name'"),
        ("node-name=x", "needs 'driver'"),
        ("driver=null-co,node-name=x,sise=1", "did you mean 'size'"),
        ("driver=null-co,node-name=x,size=much", "a size in bytes"),
        ("driver=null-co,node-name=2x", "a letter"),
        ("driver=file,node-name=x", "needs 'filename'"),
        (
            "driver=file,node-name=x,filename=/nowhere/at/all",
            "cannot open '/nowhere/at/all'",
        ),
        ("driver=file,node-name=x,filename=/dev/null", "not a regular file"),
        (
            "driver=host_device,node-name=x,filename=/dev/null",
            "not a block device",
        ),
        ("driver=raw,node-name=x", "needs 'file'"),
        (
            "driver=raw,node-name=x,file.driver=vmdk,file.filename=y",
            "'vmdk' is not here yet",
        ),
        ("driver=raw,node-name=x,file.filname=y", "'file.filname'"),
        ("driver=null-co,node-name=x,detect-zeroes=on", "not here yet"),
        ("driver=null-co,node-name=x,force-share=on", "unless read-only=on"),
    ] {
        let error = b.error(text);
        assert!(error.contains(part), "{text}: {error}");
    }
    assert_eq!(b.blocks.nodes().count(), 0, "nothing stays");
    b.add("driver=null-co,node-name=x").unwrap();
    assert!(b.error("driver=null-co,node-name=x").contains("already"));
}

#[test]
fn drives_say_much_in_few_words() {
    let drive = |text: &str| Drive::parse("d", &pairs(text));
    let node = |text: &str, name: &str| {
        let d = drive(text).unwrap();
        d.node.iter().rfind(|(n, _)| n == name).map(|(_, v)| v.clone())
    };
    for (text, name, value) in [
        ("file=x,format=raw", "driver", Some("raw")),
        ("file=x,format=raw", "file.filename", Some("x")),
        ("file=x,format=raw", "auto-read-only", Some("on")),
        ("file=x,format=raw,readonly=on", "read-only", Some("on")),
        ("file=x,format=raw,media=cdrom", "read-only", Some("on")),
        ("file=x,format=raw,cache=none", "cache.direct", Some("on")),
        (
            "file=x,format=raw,cache=none,cache.direct=off",
            "cache.direct",
            Some("off"),
        ),
        ("file=x,format=raw,cache=unsafe", "cache.no-flush", Some("on")),
        ("file=x,format=raw,discard=unmap", "discard", Some("unmap")),
        ("file=x,format=raw,file.locking=off", "file.locking", Some("off")),
        (
            "file.driver=host_device,file.filename=y,format=raw",
            "file.driver",
            Some("host_device"),
        ),
        ("driver=null-co,size=4M", "driver", Some("null-co")),
        ("file=null-co://,format=raw", "file.driver", Some("null-co")),
    ] {
        assert_eq!(node(text, name).as_deref(), value, "{text}: {name}");
    }
    let habits = drive("file=x,cache=directsync,rerror=stop,werror=enospc")
        .unwrap()
        .habits;
    let expect = (false, OnError::Stop, OnError::Enospc);
    assert_eq!((habits.write_back, habits.rerror, habits.werror), expect);
    for (text, part) in [
        ("if=none", "needs 'file'"),
        ("file=x,cache=sometimes", "one of none"),
        ("file=x,snapshot=perhaps", "on or off"),
        ("file=x,copy-on-read=on", "not here yet"),
        ("file=x,bps=1000", "not here yet"),
        ("file=x,rerror=enospc", "one of ignore, report, stop"),
        ("file=x,media=tape", "disk or cdrom"),
    ] {
        let error = drive(text).unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
    let mut b = Bench::new();
    let odd = drive("file=x,format=vmdk").unwrap();
    let error = b.blocks.add_drive(&mut b.host, &odd).unwrap_err().to_string();
    assert!(error.contains("'vmdk' is not here yet"), "{error}");
}

#[test]
fn a_format_that_is_not_here_is_not_taken_for_a_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = image(folder.path(), 8192);
    let mut b = Bench::new();
    let drive = |options: &str| Drive::parse("d", &pairs(&format!("file={path}{options}"))).unwrap();
    fs::write(&path, [&b"QFI\xfb\0\0\0\x03"[..], &[0; 1016]].concat()).unwrap();
    let error = b.blocks.add_drive(&mut b.host, &drive("")).unwrap_err().to_string();
    assert!(error.contains("qcow2"), "{error}");
    b.blocks.add_drive(&mut b.host, &drive(",format=raw")).unwrap();
}

#[test]
fn a_machine_keeps_its_nodes() {
    let mut host = Host::new().unwrap();
    assert!(Blocks::find(&host, "d").is_none());
    Blocks::of(&mut host, |b, host| b.add(host, &pairs("driver=null-co,node-name=d"))).unwrap();
    let id = Blocks::find(&host, "d").unwrap();
    assert_eq!(host.peek::<BlockBackend>(id).unwrap().name(), "d");
}

#[test]
fn a_machine_that_is_elsewhere_locks_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = image(folder.path(), 8192);
    let text = format!("driver=file,node-name=d,filename={path}");
    let (mut here, mut there) = (Bench::with(&text), Bench::new());
    there.blocks.set_here(false).unwrap();
    there.add(&text).unwrap();
    here.attach("d");
    there.attach("d");
    assert!(matches!(there.blocks.set_here(true), Err(BlockError::Locked { .. })));
    here.blocks.set_here(false).unwrap();
    there.blocks.set_here(true).unwrap();
    assert!(here.blocks.set_here(true).is_err());
}

#[test]
fn what_is_written_over_an_image_goes_with_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = image(folder.path(), 200 << 10);
    let before = fs::read(&path).unwrap();
    let mut b = Bench::new();
    let drive = |id: &str| Drive::parse(id, &pairs(&format!("file={path},format=raw,snapshot=on"))).unwrap();
    b.blocks.add_drive(&mut b.host, &drive("one")).unwrap();
    // Another may have its own changes over the same image.
    b.blocks.add_drive(&mut b.host, &drive("two")).unwrap();
    let (one, two) = (b.attach("one"), b.attach("two"));
    let mut now = before.clone();
    let places = [(0, 512), (65_000, 2000), (131_072, 65_536), (204_288, 512)];
    for (n, (at, len)) in places.into_iter().enumerate() {
        let data = vec![0x40 + n as u8; len];
        now[at..at + len].copy_from_slice(&data);
        let offset = at as u64;
        let durable = false;
        b.ask("one", one, Request::Write { offset, data, durable }).unwrap();
    }
    let zero = Request::WriteZeroes {
        offset: 1000,
        len: 100_000,
        unmap: true,
        durable: false,
    };
    now[1000..101_000].fill(0);
    b.ask("one", one, zero).unwrap();
    b.ask("one", one, Request::Flush).unwrap();
    let all = || Request::Read {
        offset: 0,
        len: 200 << 10,
    };
    assert!(b.ask("one", one, all()).unwrap() == now);
    assert!(b.ask("two", two, all()).unwrap() == before);
    assert!(fs::read(&path).unwrap() == before);
    let node = b.blocks.node("#block003").unwrap();
    assert!(node.is_temporary() && !node.is_read_only());
    // Cut off and grown again: nothing comes back.
    b.blocks.resize(&mut b.host, "one", 70_000).unwrap();
    b.blocks.resize(&mut b.host, "one", 200 << 10).unwrap();
    now[70_000..].fill(0);
    b.event();
    b.event();
    assert!(b.ask("one", one, all()).unwrap() == now);
}

#[test]
fn a_drive_can_be_taken_away() {
    let folder = tempfile::tempdir().unwrap();
    let path = image(folder.path(), 8192);
    let mut b = Bench::with("driver=null-co,node-name=n");
    let drive = Drive::parse("d", &pairs(&format!("file={path},format=raw"))).unwrap();
    b.blocks.add_drive(&mut b.host, &drive).unwrap();
    let f = b.attach("d");
    b.ask("d", f, write(0, vec![7; 512])).unwrap();
    let id = b.blocks.get("d").unwrap();
    b.blocks.remove_drive(&mut b.host, "d").unwrap();
    let (backend, mut cx) = b.host.get::<BlockBackend>(id).unwrap();
    backend.submit(f, 9, Request::Flush, &mut cx);
    assert_eq!(
        b.event(),
        BlockEvent::Done {
            token: 9,
            result: Err(EIO)
        }
    );
    // Its name and its image are free.
    b.blocks.add_drive(&mut b.host, &drive).unwrap();
    b.blocks.remove_drive(&mut b.host, "d").unwrap();
    assert!(b.blocks.node("#block003").is_none());
    assert!(b.blocks.remove_drive(&mut b.host, "d").is_err());
    assert!(b.blocks.remove_drive(&mut b.host, "n").is_err(), "a node of -blockdev");
}
