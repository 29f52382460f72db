//! A session as state: what each fid means, by its path under the root, so that it can be opened again where the machine goes.
//!
//! What cannot be found again by a path is a file that was removed while the guest holds it: as long as there is one, the machine
//! does not move. What is not there on the other side is told to the user, and to the guest as `ESTALE` when it is used.

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use std::sync::PoisonError;

use super::fid::{Fid, NodeRef, Open};
use super::tree::{LONGEST_PATH, ROOT};
use super::{Dialect, LARGEST_XATTR, LEAST_MSIZE, MOST_FIDS, MOST_MSIZE, Session, lock};
use crate::fs::Result;

/// A session, saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub(crate) struct SavedSession {
    /// 0 none, 1 9P2000.L, 2 9P2000.u.
    dialect: u8,
    msize: u32,
    /// How identities were given; see [`crate::qid::Qids::seen`].
    seen: Vec<(u64, u64)>,
    fids: Vec<SavedFid>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SavedFid {
    fid: u32,
    uid: u32,
    /// Names from the root, between slashes; `None` if the name is gone.
    path: Option<Vec<u8>>,
    open: SavedOpen,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum SavedOpen {
    No,
    File {
        flags: u32,
    },
    Directory {
        next: (u64, u64),
    },
    Attribute {
        value: Vec<u8>,
    },
    NewAttribute {
        name: Vec<u8>,
        flags: u32,
        size: u32,
        value: Vec<u8>,
    },
    Lost,
}

impl SavedSession {
    /// Whether it can be the state of a session. It comes from anywhere.
    pub(crate) fn is_possible(&self) -> bool {
        let talks = self.dialect != 0;
        self.dialect <= 2
            && (!talks || (LEAST_MSIZE..=MOST_MSIZE).contains(&self.msize))
            && (talks || self.fids.is_empty())
            && self.fids.len() <= MOST_FIDS
            && self.fids.iter().all(SavedFid::is_possible)
    }
}

impl SavedFid {
    fn is_possible(&self) -> bool {
        let names = |path: &Vec<u8>| path.is_empty() || path.split(|b| *b == b'/').all(is_name);
        let path = self.path.as_ref().is_none_or(|p| p.len() <= LONGEST_PATH && names(p));
        let open = match &self.open {
            SavedOpen::Attribute { value } => value.len() <= LARGEST_XATTR,
            SavedOpen::NewAttribute {
                name,
                size,
                value,
                flags,
            } => name.len() <= 255 && *flags <= 3 && *size as usize <= LARGEST_XATTR && value.len() <= *size as usize,
            _ => true,
        };
        self.fid != southbridge_protocol_p9::NO_FID && path && open
    }
}

fn is_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && name.len() <= 255 && !name.contains(&0)
}

/// Flags with which a file is opened again: it is there, and keeps what is in it.
const KEPT_FLAGS: OFlags = OFlags::ACCMODE
    .union(OFlags::APPEND)
    .union(OFlags::DSYNC)
    .union(OFlags::SYNC);

impl Session {
    /// The session as it is. Waits until what is being worked on is done.
    pub(crate) fn save(&self) -> SavedSession {
        let _alone = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        let state = lock(&self.state);
        let mut fids: Vec<_> = state.fids.iter().map(|(number, fid)| saved(*number, fid)).collect();
        fids.sort_by_key(|f| f.fid);
        SavedSession {
            dialect: match state.dialect {
                None => 0,
                Some(Dialect::Linux) => 1,
                Some(Dialect::Unix) => 2,
            },
            msize: state.msize,
            seen: lock(&self.qids).seen().to_vec(),
            fids,
        }
    }

    /// Makes a fresh session what was saved, and gives how many fids could not be opened again.
    pub(crate) fn restore(&self, saved: &SavedSession) -> usize {
        let _alone = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        {
            let mut state = lock(&self.state);
            state.dialect = match saved.dialect {
                1 => Some(Dialect::Linux),
                2 => Some(Dialect::Unix),
                _ => None,
            };
            state.msize = saved.msize;
        }
        lock(&self.qids).see(&saved.seen);
        let mut lost = 0;
        for f in &saved.fids {
            let Ok(fid) = self.found(f) else {
                lost += 1;
                continue;
            };
            lost += usize::from(matches!(*lock(&fid.open), Open::Lost) && f.open != SavedOpen::Lost);
            // Twice the same number: the first counts.
            let _ = self.add_fid(f.fid, fid);
        }
        lost
    }

    fn found(&self, f: &SavedFid) -> Result<Fid> {
        let mut node = NodeRef::hold(&self.tree, ROOT);
        let path = f.path.as_deref().unwrap_or_default();
        for name in path.split(|b| *b == b'/').filter(|n| !n.is_empty()) {
            node = node.child(name)?;
        }
        let fid = Fid::new(node, f.uid);
        let open = match &f.path {
            Some(_) => self.opened_again(&fid, &f.open).unwrap_or(Open::Lost),
            None => Open::Lost,
        };
        *lock(&fid.open) = open;
        Ok(fid)
    }

    fn opened_again(&self, fid: &Fid, open: &SavedOpen) -> Result<Open> {
        let at = fid.node.spot()?;
        Ok(match open {
            SavedOpen::No => {
                self.export.fs.stat(&at)?;
                Open::No
            }
            SavedOpen::File { flags } => {
                let flags = OFlags::from_bits_retain(*flags) & KEPT_FLAGS;
                if self.export.readonly && flags.intersects(OFlags::WRONLY | OFlags::RDWR) {
                    return Ok(Open::Lost);
                }
                let _count = self.count_open()?;
                let file = self.export.fs.open(&at, flags)?;
                Open::File { file, flags, _count }
            }
            SavedOpen::Directory { next } => {
                let _count = self.count_open()?;
                let file = self.export.fs.open(&at, OFlags::RDONLY | OFlags::DIRECTORY)?;
                Open::Directory {
                    file,
                    next: *next,
                    _count,
                }
            }
            SavedOpen::Attribute { value } => Open::Attribute {
                value: value.clone(),
                _count: self.count_xattr(value.len())?,
            },
            SavedOpen::NewAttribute {
                name,
                flags,
                size,
                value,
            } => Open::NewAttribute {
                name: name.clone(),
                flags: *flags,
                size: *size as usize,
                value: value.clone(),
                _count: self.count_xattr(*size as usize + name.len())?,
            },
            SavedOpen::Lost => Open::Lost,
        })
    }

    /// Why the session cannot be saved so that all of it can be found again.
    pub(crate) fn blocker(&self) -> Option<String> {
        let fids: Vec<_> = lock(&self.state).fids.values().cloned().collect();
        let holds = |fid: &Fid| {
            let open = fid.file().is_some();
            let tree = lock(&self.tree);
            tree.is_removed(fid.node.id) && (open || tree.is_kept(fid.node.id))
        };
        let gone = fids.iter().filter(|f| holds(f)).count();
        (gone > 0).then(|| {
            format!("the guest still uses {gone} file(s) of the shared folder that have been removed and have no name to find them by")
        })
    }
}

fn saved(number: u32, fid: &Fid) -> SavedFid {
    let open = match &*lock(&fid.open) {
        Open::No => SavedOpen::No,
        Open::File { flags, .. } => SavedOpen::File { flags: flags.bits() },
        Open::Directory { next, .. } => SavedOpen::Directory { next: *next },
        Open::Attribute { value, .. } => SavedOpen::Attribute { value: value.clone() },
        Open::NewAttribute {
            name,
            flags,
            size,
            value,
            ..
        } => SavedOpen::NewAttribute {
            name: name.clone(),
            flags: *flags,
            size: u32::try_from(*size).unwrap_or(u32::MAX),
            value: value.clone(),
        },
        Open::Lost => SavedOpen::Lost,
    };
    let named = fid.node.spot().ok().filter(|s| s.kept.is_none());
    SavedFid {
        fid: number,
        uid: fid.uid,
        path: named.map(|s| s.path.join(&b'/')),
        open,
    }
}
