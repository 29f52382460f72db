//! What a guest believes of a file under the mapped models, apart from what the host believes.

use crate::fs::FileStat;

/// What is kept; what is not is as on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Mapped {
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    /// With the type.
    pub(super) mode: Option<u32>,
    pub(super) rdev: Option<u64>,
}

impl Mapped {
    pub(super) fn apply(&self, stat: &mut FileStat) {
        stat.uid = self.uid.unwrap_or(stat.uid);
        stat.gid = self.gid.unwrap_or(stat.gid);
        stat.mode = self.mode.unwrap_or(stat.mode);
        stat.rdev = self.rdev.unwrap_or(stat.rdev);
    }

    /// This over `older`.
    pub(super) fn over(&self, older: &Self) -> Self {
        Self {
            uid: self.uid.or(older.uid),
            gid: self.gid.or(older.gid),
            mode: self.mode.or(older.mode),
            rdev: self.rdev.or(older.rdev),
        }
    }
}
