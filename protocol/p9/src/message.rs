//! All messages, from one table: number, name, fields in their order on the wire.

use crate::layout::{Data, Field, Malformed, Reader, Text};
use crate::record::{Attributes, Counted, Lock, LockType, Qid, SetAttributes, Statfs};

/// Bytes before the fields of every message: size, type, tag.
pub const HEADER_LEN: usize = 7;
/// The tag of Tversion (version(5)).
pub const NO_TAG: u16 = u16::MAX;
/// The fid that is none (attach(5)).
pub const NO_FID: u32 = u32::MAX;

/// What stands before the fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the whole message.
    pub size: u32,
    /// Its type; see [`code`].
    pub kind: u8,
    /// Which request it is, or answers.
    pub tag: u16,
}

impl Header {
    /// The header of a message that begins with these bytes.
    ///
    /// # Errors
    /// There are fewer than [`HEADER_LEN`] bytes.
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader(bytes);
        Ok(Self {
            size: Field::get(&mut from)?,
            kind: Field::get(&mut from)?,
            tag: Field::get(&mut from)?,
        })
    }

    /// The header, and the bytes of the fields.
    ///
    /// # Errors
    /// The size says less than a header or more than there is. What comes behind the message is not looked at.
    pub fn split(bytes: &[u8]) -> Result<(Self, &[u8]), Malformed> {
        let header = Self::read(bytes)?;
        let wrong = Malformed::Size {
            size: header.size,
            have: bytes.len(),
        };
        let size = usize::try_from(header.size).map_err(|_| wrong)?;
        let fields = bytes.get(HEADER_LEN..size).ok_or(wrong)?;
        Ok((header, fields))
    }
}

/// Begins a message in an empty place at the end of `to`; [`close`] puts its size in.
fn open(kind: u8, tag: u16, to: &mut Vec<u8>) -> usize {
    let at = to.len();
    0u32.put(to);
    kind.put(to);
    tag.put(to);
    at
}

fn close(at: usize, to: &mut [u8]) {
    let size = u32::try_from(to.len() - at).unwrap_or(u32::MAX);
    to[at..at + 4].copy_from_slice(&size.to_le_bytes());
}

macro_rules! messages {
    ($(#[$doc:meta])* $direction:ident {
        $($(#[$mdoc:meta])* $code:literal $constant:ident $name:ident { $($field:ident: $type:ty,)* })*
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the fields of a message are the wire's own words")]
        pub enum $direction<'a> {
            $($(#[$mdoc])* $name { $($field: $type,)* },)*
        }

        impl<'a> $direction<'a> {
            /// The number of its type; see [`code`].
            pub const fn code(&self) -> u8 {
                match self {
                    $(Self::$name { .. } => $code,)*
                }
            }

            /// Its name, without the letter of its direction.
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$name { .. } => stringify!($name),)*
                }
            }

            /// Reads the fields of a message of type `kind`. Bytes behind them are not looked at.
            ///
            /// # Errors
            /// The type is none of this direction, or the bytes are not its fields.
            pub fn read_fields(kind: u8, fields: &'a [u8]) -> Result<Self, Malformed> {
                #[allow(unused_mut, unused_variables, reason = "some messages have no fields")]
                let mut from = Reader(fields);
                match kind {
                    $($code => Ok(Self::$name { $($field: Field::get(&mut from)?,)* }),)*
                    _ => Err(Malformed::Type(kind)),
                }
            }

            /// Reads a whole message, and its tag.
            ///
            /// # Errors
            /// As [`Header::split`] and [`Self::read_fields`].
            pub fn read(bytes: &'a [u8]) -> Result<(u16, Self), Malformed> {
                let (header, fields) = Header::split(bytes)?;
                Ok((header.tag, Self::read_fields(header.kind, fields)?))
            }

            /// Appends it as bytes.
            pub fn write(&self, tag: u16, to: &mut Vec<u8>) {
                let at = open(self.code(), tag, to);
                match self {
                    $(Self::$name { $($field,)* } => { $($field.put(to);)* })*
                }
                close(at, to);
            }

            /// It as bytes.
            pub fn to_bytes(&self, tag: u16) -> Vec<u8> {
                let mut bytes = Vec::new();
                self.write(tag, &mut bytes);
                bytes
            }
        }

        impl $direction<'_> {
            /// The names and numbers of all types of this direction.
            pub const TYPES: &'static [(&'static str, u8)] = &[$((stringify!($name), $code),)*];
        }

        messages!(@codes $direction $($constant $code)*);
    };
    (@codes Request $($constant:ident $code:literal)*) => {
        /// Numbers of the requests; a reply has the number after its request's.
        #[allow(missing_docs, reason = "the names say it")]
        pub mod code {
            $(pub const $constant: u8 = $code;)*
            /// Rlerror, the failure of any request of 9P2000.L.
            pub const RLERROR: u8 = 7;
            /// Rerror, the failure of any request of 9P2000.u.
            pub const RERROR: u8 = 107;
        }
    };
    (@codes Reply $($constant:ident $code:literal)*) => {};
}

messages! {
    /// What a client says (T-messages).
    Request {
        /// How full is the file system?
        8 TSTATFS Statfs { fid: u32, }
        /// Opens a file (9P2000.L).
        12 TLOPEN Lopen { fid: u32, flags: u32, }
        /// Makes a regular file and opens it; `fid` is the directory before and the file after.
        14 TLCREATE Lcreate { fid: u32, name: Text<'a>, flags: u32, mode: u32, gid: u32, }
        /// Makes a symbolic link.
        16 TSYMLINK Symlink { fid: u32, name: Text<'a>, target: Text<'a>, gid: u32, }
        /// Makes a device node, FIFO, socket or file.
        18 TMKNOD Mknod { fid: u32, name: Text<'a>, mode: u32, major: u32, minor: u32, gid: u32, }
        /// Moves a file (old form).
        20 TRENAME Rename { fid: u32, directory: u32, name: Text<'a>, }
        /// Where does a link lead?
        22 TREADLINK Readlink { fid: u32, }
        /// What is known of a file?
        24 TGETATTR Getattr { fid: u32, mask: u64, }
        /// Changes what is known of a file.
        26 TSETATTR Setattr { fid: u32, set: SetAttributes, }
        /// Makes `new_fid` an extended attribute of a file, or the list of all if the name is empty.
        30 TXATTRWALK Xattrwalk { fid: u32, new_fid: u32, name: Text<'a>, }
        /// Makes `fid` an extended attribute to be written.
        32 TXATTRCREATE Xattrcreate { fid: u32, name: Text<'a>, size: u64, flags: u32, }
        /// What is in a directory?
        40 TREADDIR Readdir { fid: u32, offset: u64, count: u32, }
        /// Brings a file to the disk.
        50 TFSYNC Fsync { fid: u32, data_only: u32, }
        /// Takes or gives back a lock.
        52 TLOCK Lock { fid: u32, kind: LockType, flags: u32, start: u64, length: u64, pid: u32, client: Text<'a>, }
        /// Which lock is in the way?
        54 TGETLOCK Getlock { fid: u32, lock: Lock<'a>, }
        /// Gives a file another name.
        70 TLINK Link { directory: u32, fid: u32, name: Text<'a>, }
        /// Makes a directory.
        72 TMKDIR Mkdir { fid: u32, name: Text<'a>, mode: u32, gid: u32, }
        /// Moves a file.
        74 TRENAMEAT Renameat { old_directory: u32, old_name: Text<'a>, new_directory: u32, new_name: Text<'a>, }
        /// Removes a name.
        76 TUNLINKAT Unlinkat { directory: u32, name: Text<'a>, flags: u32, }
        /// Begins a session.
        100 TVERSION Version { msize: u32, version: Text<'a>, }
        /// Asks for a file through which to authenticate.
        102 TAUTH Auth { afid: u32, uname: Text<'a>, aname: Text<'a>, n_uname: u32, }
        /// Makes `fid` the root.
        104 TATTACH Attach { fid: u32, afid: u32, uname: Text<'a>, aname: Text<'a>, n_uname: u32, }
        /// Takes a request back.
        108 TFLUSH Flush { old_tag: u16, }
        /// Makes `new_fid` what `names` lead to from `fid`.
        110 TWALK Walk { fid: u32, new_fid: u32, names: Vec<Text<'a>>, }
        /// Opens a file (9P2000.u).
        112 TOPEN Open { fid: u32, mode: u8, }
        /// Makes a file of any kind and opens it (9P2000.u).
        114 TCREATE Create { fid: u32, name: Text<'a>, permissions: u32, mode: u8, extension: Text<'a>, }
        /// Reads.
        116 TREAD Read { fid: u32, offset: u64, count: u32, }
        /// Writes.
        118 TWRITE Write { fid: u32, offset: u64, data: Data<'a>, }
        /// Forgets a fid.
        120 TCLUNK Clunk { fid: u32, }
        /// Removes a file and forgets the fid.
        122 TREMOVE Remove { fid: u32, }
        /// What is known of a file (9P2000.u)?
        124 TSTAT Stat { fid: u32, }
        /// Changes what is known of a file (9P2000.u).
        126 TWSTAT Wstat { fid: u32, stat: Counted<'a>, }
    }
}

messages! {
    /// What a server answers (R-messages).
    Reply {
        /// It failed (9P2000.L): errno of Linux.
        7 RLERROR Lerror { errno: u32, }
        9 RSTATFS Statfs { statfs: Statfs, }
        13 RLOPEN Lopen { qid: Qid, iounit: u32, }
        15 RLCREATE Lcreate { qid: Qid, iounit: u32, }
        17 RSYMLINK Symlink { qid: Qid, }
        19 RMKNOD Mknod { qid: Qid, }
        21 RRENAME Rename { }
        23 RREADLINK Readlink { target: Text<'a>, }
        25 RGETATTR Getattr { attributes: Attributes, }
        27 RSETATTR Setattr { }
        31 RXATTRWALK Xattrwalk { size: u64, }
        33 RXATTRCREATE Xattrcreate { }
        /// Entries: see [`DirEntry`](crate::DirEntry).
        41 RREADDIR Readdir { data: Data<'a>, }
        51 RFSYNC Fsync { }
        /// 0 success, 1 blocked, 2 error, 3 grace.
        53 RLOCK Lock { status: u8, }
        55 RGETLOCK Getlock { lock: Lock<'a>, }
        71 RLINK Link { }
        73 RMKDIR Mkdir { qid: Qid, }
        75 RRENAMEAT Renameat { }
        77 RUNLINKAT Unlinkat { }
        101 RVERSION Version { msize: u32, version: Text<'a>, }
        103 RAUTH Auth { aqid: Qid, }
        105 RATTACH Attach { qid: Qid, }
        /// It failed (9P2000.u): text and errno.
        107 RERROR Error { text: Text<'a>, errno: u32, }
        109 RFLUSH Flush { }
        111 RWALK Walk { qids: Vec<Qid>, }
        113 ROPEN Open { qid: Qid, iounit: u32, }
        115 RCREATE Create { qid: Qid, iounit: u32, }
        117 RREAD Read { data: Data<'a>, }
        119 RWRITE Write { count: u32, }
        121 RCLUNK Clunk { }
        123 RREMOVE Remove { }
        125 RSTAT Stat { stat: Counted<'a>, }
        127 RWSTAT Wstat { }
    }
}

/// Bytes before the data of Rread and Rreaddir.
pub const DATA_HEADER_LEN: usize = HEADER_LEN + 4;

/// Makes Rread or Rreaddir (`kind` is the reply's) of at most `most` bytes that `fill` puts in, which gives how many it put: reads go
/// from the file straight into the message.
///
/// # Errors
/// What `fill` says.
pub fn data_reply<E>(
    kind: u8,
    tag: u16,
    most: usize,
    fill: impl FnOnce(&mut [u8]) -> Result<usize, E>,
) -> Result<Vec<u8>, E> {
    let mut bytes = Vec::with_capacity(DATA_HEADER_LEN + most);
    let at = open(kind, tag, &mut bytes);
    0u32.put(&mut bytes);
    bytes.resize(DATA_HEADER_LEN + most, 0);
    let count = fill(&mut bytes[DATA_HEADER_LEN..])?.min(most);
    bytes.truncate(DATA_HEADER_LEN + count);
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    bytes[HEADER_LEN..DATA_HEADER_LEN].copy_from_slice(&count.to_le_bytes());
    close(at, &mut bytes);
    Ok(bytes)
}
