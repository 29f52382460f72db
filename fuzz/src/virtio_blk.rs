//! virtio-blk through its requests: any header, any division into buffers, any stretch; restarts and saved states between them; hosts that
//! fail; queues served by the machine or by another thread. Against a model: what is read is what was written last, by requests that the
//! device called done.

use southbridge_backend_block::{Blocks, IoThread};
use southbridge_bus_virtio::spec::feature;
use southbridge_bus_virtio::testing::{Guest, system};
use southbridge_core::inject::{FaultAction, FaultKind, FaultRule};
use southbridge_core::{DeviceType, PropValue, Properties};
use std::os::fd::AsRawFd;

use crate::parts::REGISTRY;

const NAME: &str = "virtio-blk-device";
/// Bytes of the disk.
const LEN: usize = 64 << 10;
const SECTOR: usize = 512;
/// Requests of one input.
const MOST: usize = 100;
/// Status of a request that is done.
const OK: u8 = 0;

const IN: u32 = 0;
const OUT: u32 = 1;
const DISCARD: u32 = 11;
const WRITE_ZEROES: u32 = 13;

struct Rig {
    guest: Guest,
    /// What the disk holds; `None` where the device failed to say what became of it.
    model: Vec<Option<u8>>,
    features: u64,
    /// The host fails requests now.
    fails: bool,
    _image: rustix::fd::OwnedFd,
}

/// Two bytes pick features and properties; then six bytes a request: type, sector, length in sectors, how it is divided, what it writes,
/// and what comes before it.
pub fn virtio_blk(data: &[u8]) {
    let Some(([choice, more], requests)) = data.split_first_chunk() else {
        return;
    };
    let Some(mut rig) = Rig::new(*choice, *more) else {
        return;
    };
    for request in requests.as_chunks::<6>().0.iter().take(MOST) {
        rig.step(*request);
    }
    rig.fails(false);
    rig.restart();
    for sector in 0..LEN / SECTOR {
        rig.read(sector as u64, SECTOR, 1);
    }
}

impl Rig {
    fn new(choice: u8, more: u8) -> Option<Self> {
        let t: &'static DeviceType = REGISTRY.get(NAME)?;
        let mut sys = system();
        sys.log.set_warnings(Box::new(std::io::sink()));
        let image = rustix::fs::memfd_create("disk", rustix::fs::MemfdFlags::CLOEXEC).ok()?;
        rustix::fs::ftruncate(&image, LEN as u64).ok()?;
        let path = format!("/proc/self/fd/{}", image.as_raw_fd());
        let pairs = [
            ("driver", "file"),
            ("node-name", "d"),
            ("filename", &path),
            ("discard", "unmap"),
            ("locking", "off"),
        ];
        let pairs = pairs.map(|(n, v)| (n.to_owned(), v.to_owned()));
        Blocks::of(&mut sys.host, |b, host| b.add(host, &pairs)).ok()?;
        let mut p = Properties::default().with("drive", PropValue::Backend("d".into(), Blocks::find(&sys.host, "d")?));
        for (bit, name) in [(1, "packed"), (2, "in_order"), (4, "config-wce"), (8, "discard")] {
            p.set(name, PropValue::Bool(choice & bit != 0));
        }
        if more & 0x80 != 0 {
            // Its queue is served by another thread, as long as no rule has the host fail.
            IoThread::add(&mut sys.host, "t").ok()?;
            p.set("iothread", PropValue::Str("t".into()));
        }
        let policy = ["report", "ignore", "stop", "enospc"][usize::from(more % 4)];
        p.set("werror", PropValue::Str(policy.into()));
        p.apply_defaults(t.properties);
        let mut this = Self {
            guest: Guest::on(sys, t, p),
            model: vec![Some(0); LEN],
            features: if choice & 1 != 0 { feature::RING_PACKED } else { 0 } | 0xff_ffff | feature::EVENT_IDX,
            fails: false,
            _image: image,
        };
        this.restart();
        Some(this)
    }

    fn restart(&mut self) {
        self.guest.forget_memory();
        self.guest.start_with(self.features, 64);
    }

    fn fails(&mut self, on: bool) {
        if std::mem::replace(&mut self.fails, on) == on {
            return;
        }
        self.guest.sys.remove_fault("f");
        if on {
            let rule = FaultRule {
                every: 2,
                ..FaultRule::new("f", FaultKind::Completion, FaultAction::Fail)
            };
            let _ = self.guest.sys.add_fault(rule);
        }
    }

    fn step(&mut self, [kind, sector, sectors, cut, value, before]: [u8; 6]) {
        match before % 16 {
            0 => self.restart(),
            1 => {
                let state = self.guest.save();
                self.guest.sys.with_device(self.guest.device, |d, cx| {
                    assert_eq!(d.load(&state), Ok(()), "its own state");
                    d.after_load(cx);
                });
            }
            2 => self.fails(true),
            3 => self.fails(false),
            _ => {}
        }
        let sector = u64::from(sector) % 140;
        let len = usize::from(sectors % 20) * SECTOR + usize::from(cut == 255);
        match kind % 8 {
            0..=2 => self.read(sector, len, cut),
            3 | 4 => self.write(sector, len, cut, value),
            5 => self.stretch(sector, sectors, value),
            6 => drop(self.ask(&header(u32::from(value), sector), &[], cut, 0)),
            _ => self.odd(kind, cut, value),
        }
    }

    /// A whole request; `None` if the device needs a reset, which it gets.
    fn ask(&mut self, head: &[u8], data: &[u8], cut: u8, room: usize) -> Option<(Vec<u8>, u8)> {
        let all = [head, data].concat();
        let at = usize::from(cut).min(all.len());
        let (a, b) = all.split_at(at);
        let parts: Vec<&[u8]> = [a, b].into_iter().filter(|p| !p.is_empty()).collect();
        let first = usize::from(cut).min(room);
        let writable: Vec<u32> = [first, room - first, 1]
            .into_iter()
            .filter(|n| *n > 0)
            .map(|n| n as u32)
            .collect();
        self.guest.add(0, &parts, &writable);
        self.guest.kick(0);
        let mut used = None;
        self.guest.wait(|g| {
            used = g.used(0);
            used.is_some() || g.needs_reset()
        });
        let Some(mut used) = used else {
            self.restart();
            return None;
        };
        let status = used.data.pop()?;
        Some((used.data, status))
    }

    fn read(&mut self, sector: u64, len: usize, cut: u8) {
        let at = sector as usize * SECTOR;
        let Some((data, status)) = self.ask(&header(IN, sector), &[], cut, len) else {
            return;
        };
        let inside = len.is_multiple_of(SECTOR) && at + len <= LEN;
        assert!(
            inside || status != OK,
            "a read of {len} bytes at sector {sector} is done"
        );
        if status != OK {
            assert!(!inside || self.fails, "a read that makes sense is not done");
            return;
        }
        for (i, (is, was)) in data.iter().zip(&self.model[at..at + len]).enumerate() {
            assert!(
                was.is_none_or(|w| w == *is),
                "byte {i} of sector {sector} on is {is}, not {was:?}"
            );
        }
    }

    fn write(&mut self, sector: u64, len: usize, cut: u8, value: u8) {
        let at = sector as usize * SECTOR;
        let status = self.ask(&header(OUT, sector), &vec![value; len], cut, 0).map(|a| a.1);
        let inside = len.is_multiple_of(SECTOR) && at + len <= LEN;
        assert!(
            inside || status != Some(OK),
            "a write of {len} bytes at sector {sector} is done"
        );
        if inside {
            let known = (status == Some(OK)).then_some(value);
            self.model[at..at + len].fill(known);
        }
    }

    fn stretch(&mut self, sector: u64, sectors: u8, value: u8) {
        let kind = if value & 1 != 0 { DISCARD } else { WRITE_ZEROES };
        let flags = u32::from(value >> 6);
        let data = [
            &sector.to_le_bytes()[..],
            &u32::from(sectors % 20).to_le_bytes(),
            &flags.to_le_bytes(),
        ]
        .concat();
        let status = self.ask(&header(kind, 0), &data, value, 0).map(|a| a.1);
        let (at, len) = (sector as usize * SECTOR, usize::from(sectors % 20) * SECTOR);
        assert!(at + len <= LEN || status != Some(OK), "behind the end");
        if at + len <= LEN {
            // A discard may leave anything; one that was refused leaves all as it is, which nobody needs to know here.
            let known = (status == Some(OK) && kind == WRITE_ZEROES).then_some(0);
            self.model[at..at + len].fill(known);
        }
    }

    /// What is no request at all.
    fn odd(&mut self, kind: u8, cut: u8, value: u8) {
        let head = header(u32::from(value), u64::MAX >> (kind % 64));
        let head = &head[..usize::from(cut % 17)];
        let readable: &[&[u8]] = if head.is_empty() { &[] } else { &[head] };
        let writable: &[u32] = if kind & 16 != 0 { &[] } else { &[1, 3] };
        if readable.is_empty() && writable.is_empty() {
            return;
        }
        self.guest.add(0, readable, writable);
        self.guest.kick(0);
        self.guest.sys.host.drain();
        self.guest.poll(std::time::Duration::ZERO);
        // A write without data, a flush or an id are requests; all else has ended the device. Both end here.
        self.restart();
    }
}

fn header(kind: u32, sector: u64) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &[0; 4], &sector.to_le_bytes()].concat()
}
