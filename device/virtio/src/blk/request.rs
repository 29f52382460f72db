//! A request as the driver wrote it becomes one that the device does, or an answer at once.

use serde::{Deserialize, Serialize};
use southbridge_backend_block::{Kind, Request};
use southbridge_bus_virtio::{Chain, ChainError};

use super::conf::Conf;
use super::regs::{HEADER, MAX_SECTORS, SECTOR, SEGMENT, UNMAP, feature, request, status};

/// Bytes that are read or written at a time; longer requests are done in so many pieces, one after another.
pub(super) const PIECE: u64 = 2 << 20;

/// How the beginning of a request is read: bytes of its readable part from an offset on.
pub(super) type Read<'a> = dyn FnMut(u64, &mut [u8]) -> Result<(), ChainError> + 'a;

/// What is to be done on the disk. Offsets and lengths are bytes, inside the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Op {
    Read { offset: u64, len: u64 },
    Write { offset: u64, len: u64 },
    Flush,
    Discard { offset: u64, len: u64 },
    WriteZeroes { offset: u64, len: u64, unmap: bool },
}

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is done on the disk.
    Do(Op),
    /// It is answered with this status.
    Answer(u8),
    /// The same; it made no sense and is counted.
    Invalid(Kind),
    /// The driver asks for the serial number.
    GetId,
    /// A SCSI command of before version 1, which no device passes on any more.
    Scsi,
    /// It has no form at all: the device needs a reset.
    Broken(&'static str),
}

impl Op {
    pub(super) fn is_read(self) -> bool {
        matches!(self, Self::Read { .. })
    }

    /// What the host is asked for, of the piece that begins `done` bytes into it; `data` is what is written.
    pub(super) fn request(self, done: u64, data: Vec<u8>, durable: bool) -> Request {
        match self {
            Self::Read { offset, len } => Request::Read {
                offset: offset.saturating_add(done),
                len: len.saturating_sub(done).min(PIECE) as usize,
            },
            Self::Write { offset, .. } => Request::Write {
                offset: offset.saturating_add(done),
                data,
                durable,
            },
            Self::Flush => Request::Flush,
            Self::Discard { offset, len } => Request::Discard { offset, len },
            Self::WriteZeroes { offset, len, unmap } => Request::WriteZeroes {
                offset,
                len,
                unmap,
                durable,
            },
        }
    }

    /// Whether a chain has room for it: of a saved request nothing is known.
    pub(super) fn fits(self, chain: &Chain) -> bool {
        let (out, room) = (chain.readable_len(), chain.writable_len());
        let data = match self {
            Self::Read { len, .. } => room.checked_sub(1) == Some(len),
            Self::Write { len, .. } => out.checked_sub(HEADER) == Some(len),
            _ => true,
        };
        let stretch = |offset: u64, len: u64| offset.checked_add(len).is_some() && len <= MAX_SECTORS * SECTOR;
        let inside = match self {
            Self::Read { offset, len } | Self::Write { offset, len } | Self::Discard { offset, len } => {
                stretch(offset, len)
            }
            Self::WriteZeroes { offset, len, .. } => stretch(offset, len),
            Self::Flush => true,
        };
        data && inside && out >= HEADER && room >= 1
    }
}

/// Reads a request's header and judges it.
pub(super) fn judge(chain: &Chain, conf: &Conf, len: u64, read: &mut Read<'_>) -> Verdict {
    if chain.writable_len() == 0 || chain.readable_len() < HEADER {
        return Verdict::Broken("a request without room for its header or status");
    }
    let mut header = [0; HEADER as usize];
    if let Err(e) = read(0, &mut header) {
        return unreadable(e);
    }
    let kind = le32(&header, 0);
    let sector = le64(&header, 8);
    let out = kind & request::OUT != 0;
    // A barrier was never more than a word.
    match kind & !(request::OUT | request::BARRIER) {
        request::IN => transfer(chain, conf, len, sector, out),
        request::FLUSH => Verdict::Do(Op::Flush),
        request::GET_ID => Verdict::GetId,
        request::SCSI_CMD => Verdict::Scsi,
        n if n == request::DISCARD & !request::OUT && conf.has(feature::DISCARD) => {
            segment(chain, conf, len, out, false, read)
        }
        n if n == request::WRITE_ZEROES & !request::OUT && conf.has(feature::WRITE_ZEROES) => {
            segment(chain, conf, len, out, true, read)
        }
        _ => Verdict::Answer(status::UNSUPP),
    }
}

fn unreadable(e: ChainError) -> Verdict {
    match e {
        ChainError::Short => Verdict::Broken("a request that is too short"),
        // The device is broken already, or the chain is not its own any more.
        ChainError::Memory | ChainError::Stale => Verdict::Answer(status::IOERR),
    }
}

fn transfer(chain: &Chain, conf: &Conf, disk: u64, sector: u64, out: bool) -> Verdict {
    let bytes = match out {
        true => chain.readable_len() - HEADER,
        false => chain.writable_len() - 1,
    };
    let kind = if out { Kind::Write } else { Kind::Read };
    match (stretch(conf, disk, sector, bytes), out) {
        (None, _) => Verdict::Invalid(kind),
        (Some(_), true) if conf.read_only => Verdict::Answer(status::IOERR),
        (Some(offset), true) => Verdict::Do(Op::Write { offset, len: bytes }),
        (Some(offset), false) => Verdict::Do(Op::Read { offset, len: bytes }),
    }
}

/// Byte offset of a stretch, if all of it is on the disk and it is in whole blocks.
fn stretch(conf: &Conf, disk: u64, sector: u64, bytes: u64) -> Option<u64> {
    let total = disk.div_ceil(SECTOR);
    let sectors = bytes / SECTOR;
    let whole = bytes.is_multiple_of(conf.block_size) && sector.is_multiple_of(conf.block_size / SECTOR);
    let inside = sectors <= MAX_SECTORS && sector <= total && sectors <= total - sector;
    (whole && inside).then(|| sector.saturating_mul(SECTOR))
}

fn segment(chain: &Chain, conf: &Conf, disk: u64, out: bool, zeroes: bool, read: &mut Read<'_>) -> Verdict {
    // Only one segment, as the configuration says.
    if !out || chain.readable_len() > HEADER + SEGMENT {
        return Verdict::Answer(status::UNSUPP);
    }
    let mut raw = [0; SEGMENT as usize];
    if let Err(e) = read(HEADER, &mut raw) {
        return unreadable(e);
    }
    let (sector, sectors, flags) = (le64(&raw, 0), u64::from(le32(&raw, 8)), le32(&raw, 12));
    let most = if zeroes {
        conf.max_write_zeroes
    } else {
        conf.max_discard
    };
    let invalid = || match zeroes {
        true => Verdict::Invalid(Kind::Write),
        false => Verdict::Answer(status::IOERR),
    };
    if sectors > u64::from(most) {
        return invalid();
    }
    let len = sectors * SECTOR;
    let Some(offset) = stretch(conf, disk, sector, len) else {
        return invalid();
    };
    let unmap = flags & UNMAP != 0;
    if flags & !UNMAP != 0 || unmap && !zeroes {
        return Verdict::Answer(status::UNSUPP);
    }
    if conf.read_only {
        return Verdict::Answer(status::IOERR);
    }
    Verdict::Do(match zeroes {
        true => Op::WriteZeroes { offset, len, unmap },
        false => Op::Discard { offset, len },
    })
}

fn le32(bytes: &[u8], at: usize) -> u32 {
    let bytes = bytes.get(at..at + 4).and_then(|b| b.try_into().ok());
    bytes.map_or(0, u32::from_le_bytes)
}

fn le64(bytes: &[u8], at: usize) -> u64 {
    u64::from(le32(bytes, at)) | u64::from(le32(bytes, at + 4)) << 32
}
