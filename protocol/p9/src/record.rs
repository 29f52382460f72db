//! The records inside messages: identities of files, attributes, directory entries, locks.

use crate::layout::{Field, Malformed, Reader, Text, record};

bitflags::bitflags! {
    /// What kind of file a [`Qid`] is of (intro(5); the bit of symbolic links is 9P2000.u's). Unknown bits survive.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct QidType: u8 {
        /// Directory.
        const DIRECTORY = 0x80;
        /// Writes only append.
        const APPEND = 0x40;
        /// One opener at a time.
        const EXCLUSIVE = 0x20;
        /// A mounted channel.
        const MOUNT = 0x10;
        /// A channel for authentication.
        const AUTH = 0x08;
        /// Not kept in backups.
        const TEMPORARY = 0x04;
        /// Symbolic link.
        const SYMLINK = 0x02;
        const _ = !0;
    }
}

impl Field<'_> for QidType {
    fn get(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        u8::get(from).map(Self::from_bits_retain)
    }

    fn put(&self, to: &mut Vec<u8>) {
        self.bits().put(to);
    }
}

record! {
    /// Identity of a file on the server (intro(5), "Fids and qids"): 13 bytes.
    Qid {
        /// Kind.
        kind: QidType,
        /// Changes when the file does; 0 where that is not followed.
        version: u32,
        /// Unique among all files of the server.
        path: u64,
    }
}

record! {
    /// What Rgetattr answers (9P2000.L, getattr).
    Attributes {
        /// Which of the fields below are valid ([`Attributes::BASIC`] and others).
        valid: u64,
        /// Identity.
        qid: Qid,
        /// Type and permissions as `st_mode` of Linux.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
        /// Names of the file.
        links: u64,
        /// Device number of device nodes.
        rdev: u64,
        /// Bytes.
        size: u64,
        /// Bytes that are best moved at once.
        block_size: u64,
        /// Blocks of 512 bytes.
        blocks: u64,
        /// Last access, seconds since 1970.
        atime: u64,
        /// The rest, ns.
        atime_ns: u64,
        /// Last change of contents, seconds since 1970.
        mtime: u64,
        /// The rest, ns.
        mtime_ns: u64,
        /// Last change of attributes, seconds since 1970.
        ctime: u64,
        /// The rest, ns.
        ctime_ns: u64,
        /// Birth, seconds since 1970.
        btime: u64,
        /// The rest, ns.
        btime_ns: u64,
        /// Generation of the inode number.
        generation: u64,
        /// Version of the contents.
        data_version: u64,
    }
}

impl Attributes {
    /// Every field up to and including `blocks` and the change times (`P9_GETATTR_BASIC`).
    pub const BASIC: u64 = 0x7ff;
}

bitflags::bitflags! {
    /// Which attributes Tsetattr sets (9P2000.L, setattr). Unknown bits survive.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct SetMask: u32 {
        /// Permissions.
        const MODE = 0x001;
        /// Owner.
        const UID = 0x002;
        /// Group.
        const GID = 0x004;
        /// Length.
        const SIZE = 0x008;
        /// Access time, to now unless [`SetMask::ATIME_SET`] too.
        const ATIME = 0x010;
        /// Modification time, to now unless [`SetMask::MTIME_SET`] too.
        const MTIME = 0x020;
        /// Change time, to now.
        const CTIME = 0x040;
        /// The access time is in the message.
        const ATIME_SET = 0x080;
        /// The modification time is in the message.
        const MTIME_SET = 0x100;
        const _ = !0;
    }
}

impl Field<'_> for SetMask {
    fn get(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        u32::get(from).map(Self::from_bits_retain)
    }

    fn put(&self, to: &mut Vec<u8>) {
        self.bits().put(to);
    }
}

record! {
    /// What Tsetattr asks for.
    SetAttributes {
        /// Which of the fields below count.
        valid: SetMask,
        /// Permissions.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
        /// Bytes.
        size: u64,
        /// Access time, seconds since 1970.
        atime: u64,
        /// The rest, ns.
        atime_ns: u64,
        /// Modification time, seconds since 1970.
        mtime: u64,
        /// The rest, ns.
        mtime_ns: u64,
    }
}

record! {
    /// What Rstatfs answers, as `statfs(2)`.
    Statfs {
        /// Magic number of the file system.
        kind: u32,
        /// Bytes of a block.
        block_size: u32,
        /// Blocks in all.
        blocks: u64,
        /// Blocks that are free.
        free: u64,
        /// Blocks that are free to everybody.
        available: u64,
        /// Inodes in all.
        files: u64,
        /// Inodes that are free.
        files_free: u64,
        /// Identity of the file system.
        fsid: u64,
        /// Longest name, bytes.
        name_max: u32,
    }
}

record! {
    /// An entry in the data of Rreaddir (9P2000.L, readdir).
    DirEntry<'a> {
        /// Identity.
        qid: Qid,
        /// Where the next entry is: what a later Treaddir gives as offset.
        offset: u64,
        /// `d_type` of `getdents(2)`; 0 if unknown.
        kind: u8,
        /// Name.
        name: Text<'a>,
    }
}

impl<'a> DirEntry<'a> {
    /// Bytes of an entry with a name of that many bytes.
    pub const fn wire_len(name: usize) -> usize {
        13 + 8 + 1 + 2 + name
    }

    /// Appends it to data of Rreaddir.
    pub fn append(&self, to: &mut Vec<u8>) {
        self.put(to);
    }

    /// The entries in data of Rreaddir.
    ///
    /// # Errors
    /// The bytes end inside an entry.
    pub fn read_all(data: &'a [u8]) -> Result<Vec<Self>, Malformed> {
        let mut rest = Reader(data);
        let mut entries = Vec::new();
        while !rest.0.is_empty() {
            entries.push(Self::get(&mut rest)?);
        }
        Ok(entries)
    }
}

/// Kinds of lock on the wire (`P9_LOCK_TYPE_…`). Open: unknown numbers survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LockType(pub u8);

impl LockType {
    /// Shared.
    pub const READ: Self = Self(0);
    /// Exclusive.
    pub const WRITE: Self = Self(1);
    /// None.
    pub const UNLOCK: Self = Self(2);
}

impl Field<'_> for LockType {
    fn get(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        u8::get(from).map(Self)
    }

    fn put(&self, to: &mut Vec<u8>) {
        self.0.put(to);
    }
}

record! {
    /// A lock that somebody holds: in Tgetlock the one that is asked about, in Rgetlock the one that stands in its way.
    Lock<'a> {
        /// Kind.
        kind: LockType,
        /// First byte.
        start: u64,
        /// Bytes; 0 is up to the end.
        length: u64,
        /// Process at the client.
        pid: u32,
        /// The client.
        client: Text<'a>,
    }
}

/// A stat record of 9P2000.u (stat(5) with the Unix extensions). On the wire its own length stands before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stat<'a> {
    /// For the kernel's use; servers give 0, clients that do not care `u16::MAX`.
    pub kind: u16,
    /// The same.
    pub device: u32,
    /// Identity.
    pub qid: Qid,
    /// Permissions and [`mode_u`] bits.
    pub mode: u32,
    /// Last access, seconds since 1970.
    pub atime: u32,
    /// Last change of contents, seconds since 1970.
    pub mtime: u32,
    /// Bytes.
    pub length: u64,
    /// Name.
    pub name: Text<'a>,
    /// Name of the owner.
    pub uid: Text<'a>,
    /// Name of the group.
    pub gid: Text<'a>,
    /// Name of the last who changed it.
    pub muid: Text<'a>,
    /// Target of a link, or `b MAJOR MINOR` and `c MAJOR MINOR` of a device.
    pub extension: Text<'a>,
    /// Owner.
    pub n_uid: u32,
    /// Group.
    pub n_gid: u32,
    /// Last who changed it.
    pub n_muid: u32,
}

impl Stat<'_> {
    /// Appends it to data of Rread on a directory.
    pub fn append(&self, to: &mut Vec<u8>) {
        self.put(to);
    }
}

impl<'a> Field<'a> for Stat<'a> {
    fn get(from: &mut Reader<'a>) -> Result<Self, Malformed> {
        let len = u16::get(from)?;
        let mut inner = Reader(from.bytes(len.into())?);
        let from = &mut inner;
        Ok(Self {
            kind: Field::get(from)?,
            device: Field::get(from)?,
            qid: Field::get(from)?,
            mode: Field::get(from)?,
            atime: Field::get(from)?,
            mtime: Field::get(from)?,
            length: Field::get(from)?,
            name: Field::get(from)?,
            uid: Field::get(from)?,
            gid: Field::get(from)?,
            muid: Field::get(from)?,
            extension: Field::get(from)?,
            n_uid: Field::get(from)?,
            n_gid: Field::get(from)?,
            n_muid: Field::get(from)?,
        })
    }

    fn put(&self, to: &mut Vec<u8>) {
        let at = to.len();
        0u16.put(to);
        self.kind.put(to);
        self.device.put(to);
        self.qid.put(to);
        self.mode.put(to);
        self.atime.put(to);
        self.mtime.put(to);
        self.length.put(to);
        for text in [&self.name, &self.uid, &self.gid, &self.muid, &self.extension] {
            text.put(to);
        }
        self.n_uid.put(to);
        self.n_gid.put(to);
        self.n_muid.put(to);
        let len = u16::try_from(to.len() - at - 2).unwrap_or(u16::MAX);
        to[at..at + 2].copy_from_slice(&len.to_le_bytes());
    }
}

/// A [`Stat`] as Rstat and Twstat have it: behind the length of the whole once more (stat(5), "BUGS").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted<'a>(pub Stat<'a>);

impl<'a> Field<'a> for Counted<'a> {
    fn get(from: &mut Reader<'a>) -> Result<Self, Malformed> {
        // Servers and clients disagree on whether this counts the inner length; some put 0. The inner one rules.
        u16::get(from)?;
        Stat::get(from).map(Self)
    }

    fn put(&self, to: &mut Vec<u8>) {
        let at = to.len();
        0u16.put(to);
        self.0.put(to);
        let len = u16::try_from(to.len() - at - 2).unwrap_or(u16::MAX);
        to[at..at + 2].copy_from_slice(&len.to_le_bytes());
    }
}

/// Bits of `mode` in stat records and in Tcreate (stat(5), and the Unix extensions).
pub mod mode_u {
    /// Directory.
    pub const DIRECTORY: u32 = 0x8000_0000;
    /// Symbolic link.
    pub const SYMLINK: u32 = 0x0200_0000;
    /// Hard link; only in Tcreate.
    pub const LINK: u32 = 0x0100_0000;
    /// Device node.
    pub const DEVICE: u32 = 0x0080_0000;
    /// FIFO.
    pub const PIPE: u32 = 0x0020_0000;
    /// Socket.
    pub const SOCKET: u32 = 0x0010_0000;
    /// Set user id.
    pub const SETUID: u32 = 0x0008_0000;
    /// Set group id.
    pub const SETGID: u32 = 0x0004_0000;
    /// Sticky.
    pub const STICKY: u32 = 0x0001_0000;
}
