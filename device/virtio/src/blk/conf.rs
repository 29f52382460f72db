//! What the user chose about a disk, checked, and the configuration space that shows it.

use southbridge_backend_block::{Medium, OnError};
use southbridge_core::{BusKind, CreateError, PropKind, PropValue, Properties, Property};

use super::regs::{MAX_SECTORS, SECTOR, config, feature};
use crate::types::{flag, property};

/// Words of `rerror` and `werror`.
const ON_ERROR: PropKind = PropKind::Enum(&["auto", "report", "ignore", "enospc", "stop"]);
/// `num-queues` that leaves the number to the machine.
const AUTO_QUEUES: u64 = 65535;
/// `discard_granularity` that leaves it to the block size.
const AUTO_GRANULARITY: u64 = 0xffff_ffff;
/// Largest block of `logical_block_size` and `physical_block_size`, in bytes.
const MAX_BLOCK: u64 = 2 << 20;

/// Properties on every transport, as QEMU 10 names them.
pub(super) const PROPERTIES: [Property; 33] = [
    property(
        "drive",
        PropKind::Backend("drive"),
        None,
        "what is behind the disk: the node-name of a -blockdev or the id of a -drive",
    ),
    property(
        "backend_defaults",
        PropKind::OnOffAuto,
        Some("auto"),
        "accepted: back ends here have no block sizes of their own",
    ),
    property(
        "logical_block_size",
        PropKind::Size,
        Some("512"),
        "bytes in which the guest addresses",
    ),
    property(
        "physical_block_size",
        PropKind::Size,
        Some("512"),
        "bytes that the disk writes at once",
    ),
    property(
        "min_io_size",
        PropKind::Size,
        Some("0"),
        "bytes below which requests cost more",
    ),
    property(
        "opt_io_size",
        PropKind::Size,
        Some("0"),
        "bytes of requests that cost least",
    ),
    property(
        "discard_granularity",
        PropKind::Size,
        Some("4294967295"),
        "bytes in which space can be given back; 4294967295 for the block size",
    ),
    property(
        "write-cache",
        PropKind::OnOffAuto,
        Some("auto"),
        "writes may be done before they survive a crash; auto: as the back end's cache= says",
    ),
    flag("share-rw", false, "others may write to the back end, too"),
    property(
        "account-invalid",
        PropKind::OnOffAuto,
        Some("auto"),
        "accepted: requests that make no sense are counted",
    ),
    property(
        "account-failed",
        PropKind::OnOffAuto,
        Some("auto"),
        "accepted: requests that fail are counted",
    ),
    property(
        "rerror",
        ON_ERROR,
        Some("auto"),
        "what becomes of reads that the host fails",
    ),
    property(
        "werror",
        ON_ERROR,
        Some("auto"),
        "what becomes of other requests that the host fails",
    ),
    property("cyls", PropKind::Uint(32), Some("0"), "cylinders to show"),
    property("heads", PropKind::Uint(32), Some("0"), "heads to show"),
    property("secs", PropKind::Uint(32), Some("0"), "sectors of a track to show"),
    property(
        "lcyls",
        PropKind::Uint(32),
        Some("0"),
        "accepted: a word to firmware of PCs",
    ),
    property(
        "lheads",
        PropKind::Uint(32),
        Some("0"),
        "accepted: a word to firmware of PCs",
    ),
    property(
        "lsecs",
        PropKind::Uint(32),
        Some("0"),
        "accepted: a word to firmware of PCs",
    ),
    property("serial", PropKind::Str, None, "serial number, of which 20 bytes count"),
    flag("config-wce", true, "the guest can switch the write cache"),
    flag(
        "request-merging",
        true,
        "accepted: the host's own cache merges requests",
    ),
    property(
        "num-queues",
        PropKind::Uint(16),
        Some("65535"),
        "queues; 65535 for one per processor on PCI, otherwise one",
    ),
    property(
        "queue-size",
        PropKind::Uint(16),
        Some("256"),
        "entries of each queue, a power of two",
    ),
    flag(
        "seg-max-adjust",
        true,
        "a request may have as many pieces as a queue has room for",
    ),
    property("iothread", PropKind::Str, None, "the thread that serves all queues"),
    property(
        "iothread-vq-mapping",
        PropKind::Nested("IOThreadVirtQueueMappingList"),
        None,
        "threads that serve the queues, in turns or by number; in JSON alone",
    ),
    flag("discard", true, "the guest can give space back"),
    flag("report-discard-granularity", true, "the guest is told in which units"),
    flag("write-zeroes", true, "the guest can have stretches made zero"),
    property(
        "max-discard-sectors",
        PropKind::Uint(32),
        Some("4194303"),
        "sectors of 512 bytes that one request gives back",
    ),
    property(
        "max-write-zeroes-sectors",
        PropKind::Uint(32),
        Some("4194303"),
        "sectors of 512 bytes that one request makes zero",
    ),
    flag(
        "x-enable-wce-if-config-wce",
        true,
        "a guest that can switch the write cache can flush it, even if it is off at first",
    ),
];

/// Beyond those, where firmware chooses what to boot.
pub(super) const BOOT_INDEX: Property = property(
    "bootindex",
    PropKind::Uint(31),
    None,
    "accepted: the firmware of the boards here chooses by itself",
);

/// What does not change while the device lives.
#[derive(Debug, Clone)]
pub(super) struct Conf {
    pub(super) features: u64,
    pub(super) read_only: bool,
    pub(super) block_size: u64,
    physical_exp: u8,
    min_io: u64,
    opt_io: u64,
    granularity: u64,
    pub(super) max_discard: u32,
    pub(super) max_write_zeroes: u32,
    pub(super) queues: u16,
    pub(super) queue_size: u16,
    seg_max: u32,
    /// Cylinders, heads, sectors, if the user chose them.
    geometry: Option<(u16, u8, u8)>,
    pub(super) serial: String,
    /// The write cache is on at first.
    pub(super) write_back: bool,
    pub(super) rerror: OnError,
    pub(super) werror: OnError,
}

fn bad<T>(property: &'static str, value: impl ToString, expected: impl Into<String>) -> Result<T, CreateError> {
    Err(CreateError::BadValue {
        property,
        value: value.to_string(),
        expected: expected.into(),
    })
}

impl Conf {
    /// Checks what the user said. `processors` of the machine, and the bus of the device, decide how many queues there are.
    pub(super) fn new(p: &Properties, medium: &Medium, processors: usize, bus: BusKind) -> Result<Self, CreateError> {
        let (block_size, physical) = block_sizes(p)?;
        let queues = match p.uint("num-queues") {
            0 => return bad("num-queues", 0, "1 or more"),
            AUTO_QUEUES if bus == BusKind::Pci => processors.clamp(1, 1024) as u16,
            AUTO_QUEUES => 1,
            n if n <= 1024 => n as u16,
            n => return bad("num-queues", n, "at most 1024"),
        };
        let queue_size = p.uint("queue-size");
        if !(4..=1024).contains(&queue_size) || !queue_size.is_power_of_two() {
            return bad("queue-size", queue_size, "a power of two from 4 to 1024");
        }
        let write_back = match p.get("write-cache") {
            Some(PropValue::OnOffAuto(Some(on))) => *on,
            _ => medium.habits.write_back,
        };
        let adjusted = p.bool("seg-max-adjust");
        let mut this = Self {
            features: 0,
            read_only: medium.read_only,
            block_size,
            physical_exp: (physical / block_size).trailing_zeros() as u8,
            min_io: in_blocks(p, "min_io_size", block_size)?,
            opt_io: in_blocks(p, "opt_io_size", block_size)?,
            granularity: granularity(p, block_size)?,
            max_discard: sectors(p, "max-discard-sectors", p.bool("discard"))?,
            max_write_zeroes: sectors(p, "max-write-zeroes-sectors", p.bool("write-zeroes"))?,
            queues,
            queue_size: queue_size as u16,
            seg_max: if adjusted { queue_size as u32 - 2 } else { 126 },
            geometry: geometry(p)?,
            serial: p.str("serial").unwrap_or_default().to_owned(),
            write_back,
            rerror: on_error(p, "rerror", medium.habits.rerror),
            werror: on_error(p, "werror", medium.habits.werror),
        };
        this.features = this.offered(p);
        Ok(this)
    }

    fn offered(&self, p: &Properties) -> u64 {
        let switchable = p.bool("config-wce");
        let flushes = self.write_back || switchable && p.bool("x-enable-wce-if-config-wce");
        let always = feature::SEG_MAX | feature::GEOMETRY | feature::TOPOLOGY | feature::BLK_SIZE;
        let choice = [
            (feature::FLUSH, flushes),
            (feature::CONFIG_WCE, switchable),
            (feature::RO, self.read_only),
            (feature::MQ, self.queues > 1),
            (feature::DISCARD, p.bool("discard")),
            (feature::WRITE_ZEROES, p.bool("write-zeroes")),
        ];
        let chosen = choice.into_iter().filter(|(_, on)| *on).map(|(bit, _)| bit);
        chosen.fold(always, |all, bit| all | bit)
    }

    pub(super) fn has(&self, bits: u64) -> bool {
        self.features & bits == bits
    }

    /// The configuration space of a disk of `len` bytes.
    pub(super) fn space(&self, len: u64, write_back: bool) -> Vec<u8> {
        let [bare, discard, zeroes] = config::LENGTHS;
        let size = match (self.has(feature::DISCARD), self.has(feature::WRITE_ZEROES)) {
            (_, true) => zeroes,
            (true, false) => discard,
            (false, false) => bare,
        };
        let mut space = Space(vec![0; size]);
        let (cylinders, heads, sectors) = self.shown_geometry(len);
        space.put(config::CAPACITY, &len.div_ceil(SECTOR).to_le_bytes());
        space.put(config::SEG_MAX, &self.seg_max.to_le_bytes());
        space.put(config::CYLINDERS, &cylinders.to_le_bytes());
        space.put(config::HEADS, &[heads]);
        space.put(config::SECTORS, &[sectors]);
        space.put(config::BLK_SIZE, &(self.block_size as u32).to_le_bytes());
        space.put(config::PHYSICAL_BLOCK_EXP, &[self.physical_exp]);
        space.put(config::MIN_IO_SIZE, &(self.min_io as u16).to_le_bytes());
        space.put(config::OPT_IO_SIZE, &(self.opt_io as u32).to_le_bytes());
        space.put(config::WRITEBACK, &[write_back.into()]);
        space.put(config::NUM_QUEUES, &self.queues.to_le_bytes());
        if self.has(feature::DISCARD) {
            space.put(config::MAX_DISCARD_SECTORS, &self.max_discard.to_le_bytes());
            space.put(config::MAX_DISCARD_SEG, &1u32.to_le_bytes());
            let alignment = (self.granularity / SECTOR) as u32;
            space.put(config::DISCARD_SECTOR_ALIGNMENT, &alignment.to_le_bytes());
        }
        if self.has(feature::WRITE_ZEROES) {
            space.put(config::MAX_WRITE_ZEROES_SECTORS, &self.max_write_zeroes.to_le_bytes());
            space.put(config::MAX_WRITE_ZEROES_SEG, &1u32.to_le_bytes());
            space.put(config::WRITE_ZEROES_MAY_UNMAP, &[1]);
        }
        space.0
    }

    /// What the user chose, or what disks of this size usually say: 16 heads and 63 sectors. A partition table is not asked.
    fn shown_geometry(&self, len: u64) -> (u16, u8, u8) {
        let (cylinders, heads, sectors) = self.geometry.unwrap_or_else(|| {
            let cylinders = (len / SECTOR / (16 * 63)).clamp(2, 16383);
            (cylinders as u16, 16, 63)
        });
        let track = len / u64::from(heads.max(1)) / u64::from(sectors.max(1));
        let mask = (self.block_size / SECTOR - 1) as u8;
        match len > 0 && !track.is_multiple_of(self.block_size) {
            true => (cylinders, heads, sectors & !mask),
            false => (cylinders, heads, sectors),
        }
    }
}

/// Bytes of the configuration space, of which there may be fewer than there are places.
struct Space(Vec<u8>);

impl Space {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        if let Some(place) = self.0.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }
}

fn block_sizes(p: &Properties) -> Result<(u64, u64), CreateError> {
    let size = |name: &'static str| match p.uint(name) {
        0 => Ok(SECTOR),
        n if (SECTOR..=MAX_BLOCK).contains(&n) && n.is_power_of_two() => Ok(n),
        n => bad(name, n, "a power of two from 512 to 2097152"),
    };
    let (logical, physical) = (size("logical_block_size")?, size("physical_block_size")?);
    if logical > physical && p.uint("physical_block_size") != SECTOR {
        return bad(
            "physical_block_size",
            physical,
            format!("at least the logical {logical}"),
        );
    }
    Ok((logical, physical.max(logical)))
}

/// A size that is a multiple of the block size, in blocks.
fn in_blocks(p: &Properties, name: &'static str, block: u64) -> Result<u64, CreateError> {
    let n = p.uint(name);
    let most = if name == "min_io_size" {
        65535
    } else {
        u64::from(u32::MAX)
    };
    match n.is_multiple_of(block) && n / block <= most {
        true => Ok(n / block),
        false => bad(name, n, format!("a multiple of the logical block size, {block}")),
    }
}

fn granularity(p: &Properties, block: u64) -> Result<u64, CreateError> {
    match p.uint("discard_granularity") {
        AUTO_GRANULARITY => Ok(block),
        n if !n.is_multiple_of(block) || n > u64::from(u32::MAX) => bad(
            "discard_granularity",
            n,
            format!("a multiple of the logical block size, {block}"),
        ),
        _ if !p.bool("report-discard-granularity") => Ok(block),
        n => Ok(n),
    }
}

fn sectors(p: &Properties, name: &'static str, used: bool) -> Result<u32, CreateError> {
    let n = p.uint(name);
    match u32::try_from(n) {
        Ok(sectors) if !used || n > 0 && n <= MAX_SECTORS => Ok(sectors),
        _ => bad(name, n, format!("a number from 1 to {MAX_SECTORS}")),
    }
}

fn geometry(p: &Properties) -> Result<Option<(u16, u8, u8)>, CreateError> {
    let (cylinders, heads, sectors) = (p.uint("cyls"), p.uint("heads"), p.uint("secs"));
    if [cylinders, heads, sectors] == [0; 3] {
        return Ok(None);
    }
    let limits = [
        ("cyls", cylinders, 65535),
        ("heads", heads, 255),
        ("secs", sectors, 255),
    ];
    if let Some((name, n, most)) = limits.into_iter().find(|(_, n, most)| !(1..=*most).contains(n)) {
        return bad(
            name,
            n,
            format!("a number from 1 to {most}, where one of cyls, heads and secs is given"),
        );
    }
    Ok(Some((cylinders as u16, heads as u8, sectors as u8)))
}

fn on_error(p: &Properties, name: &str, usual: OnError) -> OnError {
    match p.str(name).and_then(OnError::of) {
        Some(OnError::Auto) | None => usual,
        Some(chosen) => chosen,
    }
}
