//! `-drive`: a node and habits of a disk in one list of words.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileTypeExt;

use crate::backend::{Habits, OnError};
use crate::blocks::Pairs;
use crate::error::BlockError;

/// A drive: a node without a name of its own, and what is said about the disk.
#[derive(Debug, Clone, Default)]
pub struct Drive {
    /// Its name.
    pub id: String,
    /// Options of its node, as for [`crate::Blocks::add`].
    pub node: Pairs,
    /// The rest.
    pub habits: Habits,
    /// What is written is gone with the disk.
    pub(crate) temporary: bool,
    /// Nobody said what format the file has.
    guessed: bool,
}

/// Words of `if=`.
pub const INTERFACES: [&str; 9] = ["none", "ide", "scsi", "floppy", "pflash", "mtd", "sd", "virtio", "xen"];

/// Words that say where the disk goes, which is not the back end's business.
const PLACE: [&str; 5] = ["id", "if", "index", "bus", "unit"];

/// Words that QEMU has and that do nothing here yet, with what is meant.
const LATER: [(&str, &str); 5] = [
    ("copy-on-read", "there are no images on top of others"),
    ("throttling.", "nothing slows a disk down"),
    ("bps", "nothing slows a disk down"),
    ("iops", "nothing slows a disk down"),
    ("group", "nothing slows a disk down"),
];

/// `cache=`: its word, then past the host's cache, never flushed, writes done before they last.
const CACHES: [(&str, bool, bool, bool); 5] = [
    ("none", true, false, true),
    ("off", true, false, true),
    ("writeback", false, false, true),
    ("unsafe", false, true, true),
    ("directsync", true, false, false),
];
const WRITETHROUGH: &str = "writethrough";

/// How images begin that are in a format which is not here.
const MAGIC: [(&[u8], &str); 9] = [
    (b"QFI\xfb", "qcow2"),
    (b"QED\0", "qed"),
    (b"KDMV", "vmdk"),
    (b"COWD", "vmdk"),
    (b"vhdxfile", "vhdx"),
    (b"conectix", "vpc"),
    (b"WithoutFreeSpace", "parallels"),
    (b"WithouFreSpacExt", "parallels"),
    (b"LUKS\xba\xbe", "luks"),
];

fn bad<T>(option: &str, value: &str, expected: impl Into<String>) -> Result<T, BlockError> {
    Err(BlockError::BadValue {
        option: option.to_owned(),
        value: value.to_owned(),
        expected: expected.into(),
    })
}

fn switch(option: &str, value: &str) -> Result<bool, BlockError> {
    match value {
        "on" | "yes" | "true" | "y" => Ok(true),
        "off" | "no" | "false" | "n" => Ok(false),
        _ => bad(option, value, "on or off"),
    }
}

const fn word(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

impl Drive {
    /// Reads the words of `-drive`. Where the disk goes is left to the caller.
    ///
    /// # Errors
    /// When a word is wrong, or is not here yet.
    pub fn parse(id: &str, pairs: &[(String, String)]) -> Result<Self, BlockError> {
        let mut this = Self {
            id: id.to_owned(),
            ..Self::default()
        };
        let mut rest = Pairs::new();
        for (name, value) in pairs.iter().filter(|(n, _)| !PLACE.contains(&n.as_str())) {
            if !this.take(name, value)? {
                rest.push((name.clone(), value.clone()));
            }
        }
        this.name_image(pairs)?;
        // What is said of the node itself counts more than what follows from a word for several things.
        this.node.append(&mut rest);
        if !this.node.iter().any(|(n, _)| n == "auto-read-only") {
            this.push("auto-read-only", "on");
        }
        Ok(this)
    }

    fn push(&mut self, name: &str, value: &str) {
        self.node.push((name.to_owned(), value.to_owned()));
    }

    /// A word that is not the node's own as it stands.
    fn take(&mut self, name: &str, value: &str) -> Result<bool, BlockError> {
        if let Some((_, why)) = LATER.iter().find(|(n, _)| name.starts_with(n)) {
            return match (name, value) {
                ("copy-on-read", "off") => Ok(true),
                _ => Err(BlockError::OptionMissing {
                    option: name.to_owned(),
                    why,
                }),
            };
        }
        match name {
            "file" | "format" | "driver" => {}
            "readonly" => self.push("read-only", word(switch(name, value)?)),
            "media" => match value {
                "disk" => {}
                "cdrom" => self.push("read-only", "on"),
                _ => return bad(name, value, "disk or cdrom"),
            },
            "cache" => self.cache(value)?,
            "cache.writeback" => self.habits.write_back = switch(name, value)?,
            "rerror" => self.habits.rerror = on_error(name, value, &["ignore", "report", "stop"])?,
            "werror" => self.habits.werror = on_error(name, value, &["enospc", "ignore", "report", "stop"])?,
            "snapshot" => self.temporary = switch(name, value)?,
            // Threads serve all of them.
            "aio" if matches!(value, "threads" | "native" | "io_uring") => {}
            "aio" => return bad(name, value, "threads, native or io_uring"),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn cache(&mut self, value: &str) -> Result<(), BlockError> {
        if value == WRITETHROUGH {
            self.habits.write_back = false;
            return Ok(());
        }
        let Some((_, direct, no_flush, write_back)) = CACHES.iter().find(|(n, ..)| *n == value) else {
            return bad(
                "cache",
                value,
                "one of none, writeback, unsafe, directsync, writethrough",
            );
        };
        self.habits.write_back = *write_back;
        self.push("cache.direct", word(*direct));
        self.push("cache.no-flush", word(*no_flush));
        Ok(())
    }

    /// The image and its format: `file=` is a file or a device of the host below `raw`, unless a driver is named that needs no file.
    fn name_image(&mut self, pairs: &[(String, String)]) -> Result<(), BlockError> {
        let get = |name: &str| pairs.iter().rfind(|(n, _)| n == name).map(|(_, v)| v.as_str());
        let file = get("file").filter(|f| !f.is_empty());
        let format = get("driver").or(get("format"));
        let below = pairs.iter().any(|(n, _)| n.starts_with("file."));
        match (file, format) {
            (None, Some(driver)) if driver != "raw" => self.push("driver", driver),
            (None, _) if !below => {
                return Err(BlockError::Missing {
                    driver: "-drive".into(),
                    option: "file".into(),
                });
            }
            (file, format) => {
                self.guessed = format.is_none();
                self.push("driver", format.unwrap_or("raw"));
                if let Some(file) = file {
                    self.name_file(file);
                }
            }
        }
        Ok(())
    }

    fn name_file(&mut self, file: &str) {
        if file.starts_with("null-co://") {
            return self.push("file.driver", "null-co");
        }
        let path = file.strip_prefix("file:").unwrap_or(file);
        let device = std::fs::metadata(path).is_ok_and(|m| m.file_type().is_block_device());
        self.push("file.driver", if device { "host_device" } else { "file" });
        self.push("file.filename", path);
    }

    /// Whether the file may be what nobody said that it is: `raw`. An image in another format would look like a disk full of nonsense,
    /// and a guest could write into it.
    pub(crate) fn check_format(&self) -> Result<(), BlockError> {
        let file = self.node.iter().rfind(|(n, _)| n == "file.filename");
        let Some((_, path)) = file.filter(|_| self.guessed) else {
            return Ok(());
        };
        let mut start = [0; 16];
        // One that cannot be read says so when it is opened.
        let read = File::open(path).and_then(|mut f| f.read(&mut start)).unwrap_or(0);
        let found = MAGIC
            .iter()
            .find(|(magic, _)| start.get(..read).is_some_and(|s| s.starts_with(magic)));
        match found {
            Some((_, format)) => bad(
                "file",
                path,
                format!(
                    "a raw image, and this is one in the format {format}, which is not here yet; format=raw takes it as it is"
                ),
            ),
            None => Ok(()),
        }
    }
}

fn on_error(name: &str, value: &str, words: &[&str]) -> Result<OnError, BlockError> {
    match OnError::of(value).filter(|_| words.contains(&value)) {
        Some(policy) => Ok(policy),
        None => bad(name, value, format!("one of {}", words.join(", "))),
    }
}
