//! virtio-blk by a driver in this process, without a guest CPU: small requests anywhere and long ones in order, on nothing and on a file.
//!
//! What is timed is rings, device, back end and the completion's way, with the test's own driver on top. Beside requests on a file stand
//! calls of the host on the same file; beside those on nothing stands a copy of their bytes.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use southbridge_backend_block::Blocks;
use southbridge_bus_virtio::spec::feature;
use southbridge_bus_virtio::testing::{Buffer, Guest, RAM, RAM_LEN, system};
use southbridge_core::{PropValue, Properties};

use crate::Result;
use crate::report::Row;
use crate::stats::{Series, keep};

const RUNS: usize = 7;
/// Bytes of the disk, all of which the host keeps in memory.
const DISK: u64 = 256 << 20;
/// Requests in the ring at once.
const DEPTH: u64 = 32;

/// One kind of work.
#[derive(Clone, Copy)]
struct Work {
    name: &'static str,
    write: bool,
    size: u64,
    random: bool,
    count: u64,
}

const WORKS: [Work; 4] = [
    Work {
        name: "random reads of 4 KiB",
        write: false,
        size: 4 << 10,
        random: true,
        count: 40_000,
    },
    Work {
        name: "random writes of 4 KiB",
        write: true,
        size: 4 << 10,
        random: true,
        count: 40_000,
    },
    Work {
        name: "reads of 128 KiB in order",
        write: false,
        size: 128 << 10,
        random: false,
        count: 4_000,
    },
    Work {
        name: "writes of 128 KiB in order",
        write: true,
        size: 128 << 10,
        random: false,
        count: 4_000,
    },
];

/// Rows for both back ends.
pub(crate) fn measure() -> Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("disk");
    let chunk = vec![7; 1 << 20];
    let file = File::create_new(&path)?;
    for i in 0..DISK >> 20 {
        file.write_all_at(&chunk, i << 20)?;
    }
    let file = File::options().read(true).write(true).open(&path)?;
    let on_file = format!("driver=file,filename={},locking=off", path.display());
    let mut rows = Vec::new();
    for work in WORKS {
        for (kind, node) in [
            ("null-co", format!("driver=null-co,size={DISK}")),
            ("file", on_file.clone()),
        ] {
            let (mut ours, mut bare) = (Series::default(), Series::default());
            for _ in 0..RUNS {
                ours.push(requests(&node, work)?);
                bare.push(match kind {
                    "file" => calls(&file, work)?,
                    _ => copies(work),
                });
            }
            let unit = if work.random { "kIOPS" } else { "MiB/s" };
            let limit = if kind == "file" {
                "pread and pwrite in one thread"
            } else {
                "a copy of their bytes"
            };
            let row = Row::new(
                format!("virtio-blk on {kind}, {}, {DEPTH} at a time", work.name),
                unit,
                ours,
            );
            rows.push(row.beside(limit, bare));
        }
    }
    Ok(rows)
}

impl Work {
    /// Where the `n`th request goes, in bytes.
    fn place(self, n: u64) -> u64 {
        let slots = DISK / self.size;
        let slot = if self.random {
            n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20
        } else {
            n
        };
        slot % slots * self.size
    }

    fn rate(self, began: Instant) -> f64 {
        let seconds = began.elapsed().as_secs_f64();
        match self.random {
            true => self.count as f64 / seconds / 1e3,
            false => (self.count * self.size) as f64 / seconds / f64::from(1 << 20),
        }
    }
}

fn requests(node: &str, work: Work) -> Result<f64> {
    let mut registry = southbridge_core::Registry::default();
    southbridge_device_virtio::register(&mut registry);
    let t = registry.get("virtio-blk-device").ok_or("no virtio-blk")?;
    let mut sys = system();
    let words = format!("node-name=d,{node}");
    let pairs: Vec<_> = words
        .split(',')
        .filter_map(|w| w.split_once('='))
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .collect();
    Blocks::of(&mut sys.host, |b, host| b.add(host, &pairs))?;
    let drive = Blocks::find(&sys.host, "d").ok_or("no node")?;
    let mut p = Properties::default().with("drive", PropValue::Backend("d".into(), drive));
    p.apply_defaults(t.properties);
    let mut guest = Guest::on(sys, t, p);
    guest.start(feature::EVENT_IDX | 0xff_ffff);
    let heads = guest.alloc(DEPTH * 32);
    let data = guest.alloc(DEPTH * work.size);
    assert!(data + DEPTH * work.size <= RAM + RAM_LEN);
    let mut slots: Vec<u64> = (0..DEPTH).collect();
    let mut out = std::collections::BTreeMap::new();
    let (mut sent, mut done) = (0, 0);
    let began = Instant::now();
    while done < work.count {
        while sent < work.count
            && let Some(slot) = slots.pop()
        {
            let head = heads + slot * 32;
            let sector = work.place(sent) / 512;
            let header = [&u32::from(work.write).to_le_bytes()[..], &[0; 4], &sector.to_le_bytes()].concat();
            guest.write(head, &header);
            let (at, len) = (data + slot * work.size, work.size as u32);
            let middle = if work.write {
                Buffer::readable(at, len)
            } else {
                Buffer::writable(at, len)
            };
            let id = guest.add_buffers(0, &[Buffer::readable(head, 16), middle, Buffer::writable(head + 16, 1)]);
            out.insert(id, slot);
            sent += 1;
        }
        guest.kick(0);
        guest.poll(Duration::from_secs(1));
        while let Some(used) = guest.used(0) {
            slots.extend(out.remove(&used.id));
            keep(used);
            done += 1;
        }
    }
    Ok(work.rate(began))
}

fn calls(file: &File, work: Work) -> Result<f64> {
    let mut buffer = vec![1; work.size as usize];
    let began = Instant::now();
    for n in 0..work.count {
        match work.write {
            true => file.write_all_at(&buffer, work.place(n))?,
            false => file.read_exact_at(&mut buffer, work.place(n))?,
        }
        keep(&mut buffer);
    }
    Ok(work.rate(began))
}

fn copies(work: Work) -> f64 {
    let from = vec![1u8; work.size as usize];
    let mut to = vec![0u8; work.size as usize];
    let began = Instant::now();
    for _ in 0..work.count {
        to.copy_from_slice(keep(&from));
        keep(&mut to);
    }
    work.rate(began)
}
