//! The drivers: one table, from which parsing, help and errors derive.

use southbridge_backend_options::nearest;
use southbridge_core::property::parse_value;
use southbridge_core::{PropKind, PropValue, Properties, Property};
use std::sync::Arc;
use std::time::Duration;

use crate::error::BlockError;
use crate::file::{FileImage, Options};
use crate::image::Image;
use crate::node::{Common, Node};
use crate::null::Null;
use crate::raw::Raw;

/// A driver of nodes.
pub struct Driver {
    /// Name on the command line.
    pub name: &'static str,
    /// One line for people.
    pub summary: &'static str,
    /// Its own options; those of [`COMMON`] come on top.
    pub options: &'static [Property],
    pub(crate) open: Option<OpenFn>,
    /// It stands on another node, which the option `file` names or describes.
    pub(crate) has_below: bool,
}

type OpenFn = fn(&Properties, Option<&Arc<Node>>) -> Result<Box<dyn Image>, BlockError>;

impl Driver {
    /// Whether it can be used here.
    pub fn is_here(&self) -> bool {
        self.open.is_some()
    }

    /// All options: its own, then the common ones.
    pub fn all_options(&self) -> impl Iterator<Item = &'static Property> {
        self.options.iter().chain(COMMON)
    }
}

const fn property(name: &'static str, kind: PropKind, default: Option<&'static str>, help: &'static str) -> Property {
    Property {
        name,
        kind,
        default,
        help,
    }
}

/// What every driver takes.
pub static COMMON: &[Property] = &[
    property("node-name", PropKind::Str, None, "Its name"),
    property("read-only", PropKind::Bool, Some("off"), "It is only read"),
    property(
        "auto-read-only",
        PropKind::Bool,
        Some("off"),
        "It is only read where the host does not allow more",
    ),
    property(
        "discard",
        PropKind::Enum(&["ignore", "off", "unmap", "on"]),
        Some("ignore"),
        "Whether space that the guest gives up is given back to the host",
    ),
    property("cache.direct", PropKind::Bool, Some("off"), "Past the host's cache"),
    property(
        "cache.no-flush",
        PropKind::Bool,
        Some("off"),
        "Nothing has to survive a crash of the host",
    ),
    property(
        "force-share",
        PropKind::Bool,
        Some("off"),
        "Others may do anything with it; needs read-only=on",
    ),
    property(
        "detect-zeroes",
        PropKind::Enum(&["off", "on", "unmap"]),
        Some("off"),
        "off; looking for zeros in what is written is not here yet",
    ),
];

const FILENAME: Property = property("filename", PropKind::Str, None, "The file");
const LOCKING: Property = property(
    "locking",
    PropKind::OnOffAuto,
    Some("auto"),
    "Locks it against other processes, as QEMU does",
);
const AIO: Property = property(
    "aio",
    PropKind::Enum(&["threads", "native", "io_uring"]),
    Some("threads"),
    "Accepted; threads serve all",
);

const NULL_OPTIONS: &[Property] = &[
    property("size", PropKind::Size, Some("1G"), "Bytes"),
    property(
        "latency-ns",
        PropKind::Uint(64),
        Some("0"),
        "How long every request takes, in nanoseconds of the host",
    ),
    property("read-zeroes", PropKind::Bool, Some("off"), "Reads give zeros"),
];

/// Every driver: first those that are here, then those that QEMU has and this program does not have yet.
pub static DRIVERS: &[Driver] = &[
    Driver {
        name: "file",
        summary: "A regular file of the host",
        options: &[FILENAME, LOCKING, AIO],
        open: Some(|o, _| file(o, false)),
        has_below: false,
    },
    Driver {
        name: "host_device",
        summary: "A block device of the host",
        options: &[FILENAME, LOCKING, AIO],
        open: Some(|o, _| file(o, true)),
        has_below: false,
    },
    Driver {
        name: "raw",
        summary: "Another node as it is, or a stretch of it",
        options: &[
            property(
                "file",
                PropKind::Str,
                None,
                "The other node, or file.OPTION=... for one of its own",
            ),
            property("offset", PropKind::Size, Some("0"), "Where the stretch begins"),
            property("size", PropKind::Size, None, "Bytes of it; up to the end if missing"),
        ],
        open: Some(raw),
        has_below: true,
    },
    Driver {
        name: "null-co",
        summary: "Nothing: what is written is forgotten",
        options: NULL_OPTIONS,
        open: Some(|o, _| Ok(null(o))),
        has_below: false,
    },
    Driver {
        name: "null-aio",
        summary: "The same",
        options: NULL_OPTIONS,
        open: Some(|o, _| Ok(null(o))),
        has_below: false,
    },
    later("blkdebug"),
    later("blklogwrites"),
    later("blkreplay"),
    later("blkverify"),
    later("bochs"),
    later("cloop"),
    later("compress"),
    later("copy-before-write"),
    later("copy-on-read"),
    later("dmg"),
    later("ftp"),
    later("ftps"),
    later("gluster"),
    later("host_cdrom"),
    later("http"),
    later("https"),
    later("io_uring"),
    later("iscsi"),
    later("luks"),
    later("nbd"),
    later("nfs"),
    later("nvme"),
    later("nvme-io_uring"),
    later("parallels"),
    later("preallocate"),
    later("qcow"),
    later("qcow2"),
    later("qed"),
    later("quorum"),
    later("rbd"),
    later("replication"),
    later("snapshot-access"),
    later("ssh"),
    later("throttle"),
    later("vdi"),
    later("vhdx"),
    later("virtio-blk-vfio-pci"),
    later("virtio-blk-vhost-user"),
    later("virtio-blk-vhost-vdpa"),
    later("vmdk"),
    later("vpc"),
    later("vvfat"),
];

const fn later(name: &'static str) -> Driver {
    Driver {
        name,
        summary: "",
        options: &[],
        open: None,
        has_below: false,
    }
}

/// A driver by its name, which must be one that is here.
///
/// # Errors
/// When there is none, or it is not here yet.
pub fn find(name: &str) -> Result<&'static Driver, BlockError> {
    match DRIVERS.iter().find(|d| d.name == name) {
        Some(d) if d.is_here() => Ok(d),
        Some(d) => Err(BlockError::DriverMissing { driver: d.name }),
        None => Err(BlockError::UnknownDriver {
            driver: name.to_owned(),
            nearest: nearest(name, DRIVERS.iter().filter(|d| d.is_here()).map(|d| d.name)),
        }),
    }
}

/// Reads options as the command line spells them, defaults filled in.
pub(crate) fn parse(driver: &'static Driver, pairs: &[(String, String)]) -> Result<Properties, BlockError> {
    let mut values = Properties::default();
    for (name, text) in pairs.iter().filter(|(name, _)| name != "driver") {
        let p = driver.all_options().find(|p| p.name == name);
        let p = p.ok_or_else(|| BlockError::UnknownOption {
            driver: driver.name,
            option: name.clone(),
            nearest: nearest(name, driver.all_options().map(|p| p.name)),
        })?;
        let value = parse_value(p.kind, text).ok_or_else(|| BlockError::BadValue {
            option: name.clone(),
            value: text.clone(),
            expected: p.kind.takes(),
        })?;
        values.set(p.name, value);
    }
    let declared: Vec<Property> = driver.all_options().copied().collect();
    values.apply_defaults(&declared);
    judge(&values)?;
    Ok(values)
}

/// What no driver can do with the options of all drivers.
fn judge(values: &Properties) -> Result<(), BlockError> {
    if values.str("detect-zeroes").is_some_and(|d| d != "off") {
        return Err(BlockError::OptionMissing {
            option: "detect-zeroes".into(),
            why: "what the guest writes as zeros is written; detect-zeroes=off works",
        });
    }
    if values.bool("force-share") && !values.bool("read-only") {
        return Err(BlockError::BadValue {
            option: "force-share".into(),
            value: "on".into(),
            expected: "off, unless read-only=on".into(),
        });
    }
    Ok(())
}

/// What is kept of the common options.
pub(crate) fn common(driver: &'static Driver, o: &Properties) -> Common {
    Common {
        driver: driver.name,
        unmap: matches!(o.str("discard"), Some("unmap" | "on")),
        direct: o.bool("cache.direct"),
        no_flush: o.bool("cache.no-flush"),
    }
}

fn file(o: &Properties, device: bool) -> Result<Box<dyn Image>, BlockError> {
    let path = o.str("filename").filter(|f| !f.is_empty());
    let path = path.ok_or_else(|| BlockError::Missing {
        driver: if device { "host_device" } else { "file" }.into(),
        option: "filename".into(),
    })?;
    // Names may say the protocol, as in QEMU.
    let path = path.strip_prefix("file:").unwrap_or(path);
    let options = Options {
        path: path.to_owned(),
        read_only: o.bool("read-only"),
        auto_read_only: o.bool("auto-read-only"),
        direct: o.bool("cache.direct"),
        device,
        locking: !matches!(o.get("locking"), Some(PropValue::OnOffAuto(Some(false)))),
        force_share: o.bool("force-share"),
    };
    let image = FileImage::open(options).map_err(|source| BlockError::Host {
        option: Some("filename".into()),
        what: format!("cannot open '{path}'"),
        source,
    })?;
    Ok(Box::new(image))
}

fn raw(o: &Properties, below: Option<&Arc<Node>>) -> Result<Box<dyn Image>, BlockError> {
    let Some(below) = below else {
        return Err(BlockError::Missing {
            driver: "raw".into(),
            option: "file".into(),
        });
    };
    let read_only = o.bool("read-only");
    if below.is_read_only() && !read_only && !o.bool("auto-read-only") {
        return Err(BlockError::ReadOnly(below.name().to_owned()));
    }
    let (offset, size) = (o.uint("offset"), o.opt_uint("size"));
    let fits = |n: u64| n <= below.len();
    let wrong = |option: &str, value: u64, expected: String| BlockError::BadValue {
        option: option.into(),
        value: value.to_string(),
        expected,
    };
    if !fits(offset) {
        return Err(wrong(
            "offset",
            offset,
            format!("at most {}, where the node below ends", below.len()),
        ));
    }
    if let Some(size) = size.filter(|s| offset.checked_add(*s).is_none_or(|end| !fits(end))) {
        let left = below.len() - offset;
        return Err(wrong(
            "size",
            size,
            format!("at most {left}, which is left behind 'offset'"),
        ));
    }
    let read_only = read_only || below.is_read_only();
    Ok(Box::new(Raw::new(below.clone(), offset, size, read_only)))
}

fn null(o: &Properties) -> Box<dyn Image> {
    let latency = Duration::from_nanos(o.uint("latency-ns"));
    let zeroes = o.bool("read-zeroes");
    Box::new(Null::new(o.uint("size"), latency, zeroes, o.bool("read-only")))
}

/// The text of `-blockdev help`.
pub fn help() -> String {
    let mut text = String::from("Block drivers:\n");
    for d in DRIVERS.iter().filter(|d| d.is_here()) {
        text.push_str(&format!("  {:<12} {}\n", d.name, d.summary));
    }
    text
}

/// The text of `-blockdev driver=NAME,help`.
pub fn driver_help(driver: &Driver) -> String {
    let mut text = format!("{} options:\n", driver.name);
    for p in driver.all_options() {
        let default = p.default.map(|d| format!(" (default: {d})")).unwrap_or_default();
        text.push_str(&format!("  {}=<{}> - {}{default}\n", p.name, p.kind.name(), p.help));
    }
    text
}
