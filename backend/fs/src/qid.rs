//! Identities of files, as guests see them: one number for what are two on the host, a device and an inode on it.
//!
//! A guest tells files apart by that number alone. Where an export has several file systems in it, inodes of two of them may be the
//! same; so the number gets a suffix for each pair of a device and the high bits of its inodes that were seen so far. Suffixes are
//! such that none is the end of another (exponential Golomb codes, mirrored), and short for those that come first.

use rustix::io::Errno;
use southbridge_protocol_p9::{Qid, QidType};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::fs::{DIRECTORY, FileStat, Result, SYMLINK};

/// What happens where an export has several file systems in it (`multidevs`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum MultiDevices {
    /// Identities are made unique.
    #[default]
    Remap,
    /// Only the root's is seen.
    Forbid,
    /// The user is told once that files may be mistaken for one another.
    Warn,
}

/// Most suffixes.
const MOST: usize = 0xffff;

/// How identities are given.
#[derive(Debug)]
pub(crate) struct Qids {
    policy: MultiDevices,
    root: u64,
    /// How many high bits of its inodes tell apart the suffixes of a device.
    prefix_bits: HashMap<u64, u32>,
    suffixes: HashMap<(u64, u64), usize>,
    /// Devices in the order in which they were seen, with the high bits of the inodes.
    seen: Vec<(u64, u64)>,
    /// Another device was seen under [`MultiDevices::Warn`] or [`MultiDevices::Forbid`].
    pub(crate) other_seen: bool,
}

impl Qids {
    pub(crate) fn new(policy: MultiDevices, root_dev: u64) -> Self {
        Self {
            policy,
            root: root_dev,
            prefix_bits: HashMap::new(),
            suffixes: HashMap::new(),
            seen: Vec::new(),
            other_seen: false,
        }
    }

    pub(crate) fn qid(&mut self, stat: &FileStat) -> Result<Qid> {
        let mut kind = QidType::empty();
        kind.set(QidType::DIRECTORY, stat.is(DIRECTORY));
        kind.set(QidType::SYMLINK, stat.is(SYMLINK));
        Ok(Qid {
            kind,
            version: version(stat),
            path: self.path(stat.dev, stat.ino)?,
        })
    }

    fn path(&mut self, dev: u64, ino: u64) -> Result<u64> {
        if self.policy != MultiDevices::Remap {
            self.other_seen |= dev != self.root;
            return match dev == self.root || self.policy == MultiDevices::Warn {
                true => Ok(ino),
                false => Err(Errno::NODEV),
            };
        }
        let next = self.seen.len();
        let bits = *self.prefix_bits.entry(dev).or_insert_with(|| suffix(next).1);
        let prefix = ino >> (64 - bits);
        let index = match self.suffixes.entry((dev, prefix)) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(_) if next >= MOST => return Err(Errno::NFILE),
            Entry::Vacant(new) => {
                self.seen.push((dev, prefix));
                *new.insert(next)
            }
        };
        let (value, bits) = suffix(index);
        Ok(ino << bits | value)
    }

    /// What a restored machine needs so that identities stay.
    pub(crate) fn seen(&self) -> &[(u64, u64)] {
        &self.seen
    }

    /// Sees again what another has seen. Impossible input is left out.
    pub(crate) fn see(&mut self, seen: &[(u64, u64)]) {
        for (dev, prefix) in seen.iter().take(MOST) {
            let next = self.seen.len();
            let bits = *self.prefix_bits.entry(*dev).or_insert_with(|| suffix(next).1);
            if prefix >> bits == 0 && !self.suffixes.contains_key(&(*dev, *prefix)) {
                self.suffixes.insert((*dev, *prefix), next);
                self.seen.push((*dev, *prefix));
            }
        }
    }
}

/// Changes when the contents do.
fn version(stat: &FileStat) -> u32 {
    // Of the time and the size, what changes.
    (stat.mtime.0 as u32) ^ ((stat.size as u32) << 8)
}

/// The suffix of a number, and its bits.
fn suffix(index: usize) -> (u64, u32) {
    let value = index as u64 + 1;
    let digits = 64 - value.leading_zeros();
    // As many zeroes before it as it has digits after its first, then all of it from the other end.
    let bits = 2 * digits - 1;
    (value.reverse_bits() >> (64 - bits), bits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_suffix_ends_another() {
        assert_eq!([0, 1, 2, 3].map(suffix), [(1, 1), (0b010, 3), (0b110, 3), (0b00100, 5)]);
        for a in 0..200 {
            for b in 0..a {
                let ((a, n), (b, m)) = (suffix(a), suffix(b));
                let mask = (1u64 << n.min(m)) - 1;
                assert_ne!(a & mask, b & mask);
            }
        }
    }

    #[test]
    fn identities_of_several_devices_differ() {
        let mut q = Qids::new(MultiDevices::Remap, 1);
        let mut all = HashSet::new();
        for dev in 1..40 {
            for ino in [1, 2, 3, 1 << 20, 1 << 40, (1 << 63) + 7, u64::MAX] {
                assert!(all.insert(q.path(dev, ino).unwrap()), "{dev} {ino}");
            }
        }
        let mut again = Qids::new(MultiDevices::Remap, 1);
        again.see(q.seen());
        assert_eq!(again.path(39, 1 << 40), q.path(39, 1 << 40));
        assert_eq!(again.seen(), q.seen());
    }

    #[test]
    fn a_host_with_many_inode_ranges_runs_out_and_says_so() {
        let mut q = Qids::new(MultiDevices::Remap, 0);
        for dev in 0..MOST as u64 {
            assert!(q.path(dev, 1).is_ok());
        }
        assert_eq!(q.path(MOST as u64, 1), Err(Errno::NFILE));
    }

    #[test]
    fn other_devices_are_refused_or_told_of() {
        let mut q = Qids::new(MultiDevices::Forbid, 1);
        assert_eq!((q.path(1, 5), q.path(2, 5)), (Ok(5), Err(Errno::NODEV)));
        let mut q = Qids::new(MultiDevices::Warn, 1);
        assert_eq!((q.path(1, 5), q.other_seen), (Ok(5), false));
        assert_eq!((q.path(2, 5), q.other_seen), (Ok(5), true));
    }
}
