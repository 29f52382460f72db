//! From bytes to a picture. The bytes may be anything.

use southbridge_core::SavedState;
use southbridge_core::machine::{MAX_RUN, RamImage, SavedDevice, Whole};
use std::io::{self, Read};
use thiserror::Error;

use super::frame::{END, Section, from_cbor};
use super::{About, FrameReader, Kind, MAGIC, Picture, VERSION};

pub(super) const DESCRIPTION: Kind = *b"DESC";
pub(super) const BOARD: Kind = *b"BORD";
pub(super) const CPU: Kind = *b"CPU_";
pub(super) const FIRMWARE: Kind = *b"FIRM";
pub(super) const SEMIHOSTING: Kind = *b"SEMI";
pub(super) const DEVICE: Kind = *b"DEVC";
pub(super) const MEMORY: Kind = *b"RAM_";

/// Longest description, in bytes.
const MAX_ABOUT: u32 = 1 << 20;
/// Longest state of one part, in bytes.
const MAX_STATE: u32 = 64 << 20;
const PAGE: u64 = 4096;
/// All parts together.
const MAX_STATES: u64 = 256 << 20;

/// Why a stream was not taken.
#[derive(Debug, Error)]
pub enum StreamError {
    /// It begins with something else.
    #[error("this is no saved machine of this program")]
    NotOurs,
    /// Another version of the format.
    #[error("the format has version {found}, this program reads {expected}")]
    Version {
        /// Version in the stream.
        found: u32,
        /// Version that this program reads.
        expected: u32,
    },
    /// It ends too early.
    #[error("the stream ends too early")]
    Truncated,
    /// It is not what it was when it was written.
    #[error("the stream is damaged: {0}")]
    Damaged(String),
    /// It is whole, and of another machine.
    #[error("the state is of another machine: {0}")]
    Foreign(String),
    /// It cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Reads a stream for the machine that `here` describes. What stands behind its end is not read.
///
/// # Errors
/// When it is no stream, damaged, or of another machine.
pub fn read(input: impl Read, here: &About) -> Result<Picture, StreamError> {
    let mut frames = FrameReader::new(input, MAGIC, VERSION)?;
    let about = first(&mut frames)?;
    if let Some(difference) = here.difference(&about) {
        return Err(StreamError::Foreign(difference));
    }
    let mut parts = Parts::new(&about);
    loop {
        let section = frames.section(|kind| parts.most(kind))?;
        if section.kind == END {
            break;
        }
        parts.take(section)?;
    }
    let whole = parts.whole()?;
    Ok(Picture { about, whole })
}

/// Reads what a stream is of, and no further.
///
/// # Errors
/// When it is no stream, or damaged so far.
pub fn read_about(input: impl Read) -> Result<About, StreamError> {
    first(&mut FrameReader::new(input, MAGIC, VERSION)?)
}

fn first<R: Read>(frames: &mut FrameReader<R>) -> Result<About, StreamError> {
    let section = frames.section(|kind| (kind == DESCRIPTION).then_some(MAX_ABOUT))?;
    match section.kind {
        DESCRIPTION => from_cbor("description", &section.data),
        _ => Err(StreamError::Damaged("it ends before it begins".into())),
    }
}

/// What has come so far.
struct Parts<'a> {
    about: &'a About,
    board: Option<SavedState>,
    cpus: Vec<SavedState>,
    firmware: Option<SavedState>,
    semihosting: Option<SavedState>,
    devices: Vec<SavedDevice>,
    ram: Vec<RamImage>,
    states: u64,
}

impl<'a> Parts<'a> {
    fn new(about: &'a About) -> Self {
        let ram = about.ram.iter().map(|r| RamImage {
            name: r.name.clone(),
            len: r.len,
            runs: Vec::new(),
        });
        Self {
            about,
            board: None,
            cpus: Vec::new(),
            firmware: None,
            semihosting: None,
            devices: Vec::new(),
            ram: ram.collect(),
            states: 0,
        }
    }

    /// Longest section of that kind that may stand here; `None` if none may.
    fn most(&self, kind: Kind) -> Option<u32> {
        let left = u32::try_from(MAX_STATES.saturating_sub(self.states)).unwrap_or(u32::MAX);
        let state = || Some(left.min(MAX_STATE));
        let complete = self.devices.len() == self.about.devices.len();
        let parts = self.devices.is_empty() && self.ram.iter().all(|r| r.runs.is_empty());
        match kind {
            BOARD if self.board.is_none() && parts => state(),
            CPU if self.cpus.len() < self.about.cpus.len() && parts => state(),
            FIRMWARE if self.about.firmware.is_some() && self.firmware.is_none() && parts => state(),
            SEMIHOSTING if self.about.semihosting.is_some() && self.semihosting.is_none() && parts => state(),
            DEVICE if !complete => state(),
            MEMORY if complete => Some(MAX_RUN as u32 + 12),
            _ => None,
        }
    }

    fn take(&mut self, section: Section) -> Result<(), StreamError> {
        let Section { kind, data } = section;
        if kind != MEMORY {
            self.states = self.states.saturating_add(data.len() as u64);
        }
        match kind {
            BOARD => self.board = Some(state(data, self.about.board_layout)?),
            CPU => {
                let about = self.about.cpus.get(self.cpus.len());
                self.cpus.push(state(data, about.map_or(0, |c| c.version))?);
            }
            FIRMWARE => self.firmware = Some(state(data, self.about.firmware.unwrap_or(0))?),
            SEMIHOSTING => self.semihosting = Some(state(data, self.about.semihosting.unwrap_or(0))?),
            DEVICE => self.device(data)?,
            _ => self.memory(data)?,
        }
        Ok(())
    }

    fn device(&mut self, mut data: Vec<u8>) -> Result<(), StreamError> {
        let index = number(&mut data)?;
        let expected = self.about.devices.get(self.devices.len());
        let Some(about) = expected.filter(|_| index as usize == self.devices.len()) else {
            return Err(StreamError::Damaged("devices out of order".into()));
        };
        self.devices.push(SavedDevice {
            id: about.place,
            type_name: about.type_name.clone(),
            state: state(data, about.version)?,
        });
        Ok(())
    }

    /// Stretches ascend and lie inside their block, so that they are together no longer than the machine's memory.
    fn memory(&mut self, mut data: Vec<u8>) -> Result<(), StreamError> {
        let wrong = || StreamError::Damaged("a stretch of memory out of place".into());
        let head = *data.first_chunk::<12>().ok_or_else(wrong)?;
        data.drain(..12);
        let [b0, b1, b2, b3, offset @ ..] = head;
        let (block, offset) = (
            u32::from_le_bytes([b0, b1, b2, b3]) as usize,
            u64::from_le_bytes(offset),
        );
        let later = self.ram.get(block + 1..).unwrap_or_default();
        if later.iter().any(|r| !r.runs.is_empty()) {
            return Err(wrong());
        }
        let image = self.ram.get_mut(block).ok_or_else(wrong)?;
        let before = image.runs.last().map_or(0, |(at, data)| at + data.len() as u64);
        let end = offset.checked_add(data.len() as u64).ok_or_else(wrong)?;
        // Whole pages, so that many small stretches take no more memory than what they fill.
        let pages = offset.is_multiple_of(PAGE) && (end.is_multiple_of(PAGE) || end == image.len);
        if data.is_empty() || !pages || offset < before || end > image.len {
            return Err(wrong());
        }
        image.runs.push((offset, data));
        Ok(())
    }

    fn whole(self) -> Result<Whole, StreamError> {
        let missing = |what: &str| StreamError::Damaged(format!("{what} is missing"));
        let board = self.board.ok_or_else(|| missing("the board"))?;
        if self.devices.len() != self.about.devices.len() {
            return Err(missing("a device"));
        }
        if self.cpus.len() != self.about.cpus.len() {
            return Err(missing("a processor"));
        }
        if self.firmware.is_some() != self.about.firmware.is_some() {
            return Err(missing("firmware"));
        }
        if self.semihosting.is_some() != self.about.semihosting.is_some() {
            return Err(missing("semihosting"));
        }
        Ok(Whole {
            board,
            devices: self.devices,
            cpus: self.cpus,
            firmware: self.firmware,
            semihosting: self.semihosting,
            ram: self.ram,
        })
    }
}

/// Takes a number off the front.
fn number(data: &mut Vec<u8>) -> Result<u32, StreamError> {
    let Some(bytes) = data.first_chunk::<4>() else {
        return Err(StreamError::Damaged("a section is too short".into()));
    };
    let number = u32::from_le_bytes(*bytes);
    data.drain(..4);
    Ok(number)
}

fn state(mut data: Vec<u8>, announced: u32) -> Result<SavedState, StreamError> {
    let version = number(&mut data)?;
    if version != announced {
        return Err(StreamError::Damaged(
            "a part has another layout version than announced".into(),
        ));
    }
    Ok(SavedState { version, cbor: data })
}
