//! The file of a recording.

use serde::{Deserialize, Serialize};
use southbridge_core::tape::{Input, Moment};
use southbridge_core::{ClockRate, Outcome};
use std::io::{self, Read};
use std::path::PathBuf;
use thiserror::Error;

use crate::stream::{About, FrameReader, Kind, StreamError};

/// Begins every recording.
pub(super) const MAGIC: [u8; 8] = *b"\x89SBRR\r\n\x1a";
/// Version of the format.
pub(super) const VERSION: u32 = 2;

pub(super) const BEGIN: Kind = *b"DESC";
pub(super) const INPUTS: Kind = *b"INPT";
pub(super) const CHECK: Kind = *b"CHCK";
pub(super) const BROKEN: Kind = *b"BROK";
pub(super) const FINISH: Kind = *b"FINI";

/// Longest section, in bytes. A recorder cuts its inputs into much shorter ones.
const MAX_SECTION: u32 = 64 << 20;

/// Why a recording cannot be made or played.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// The host refuses.
    #[error("{0}: {1}")]
    Io(PathBuf, io::Error),
    /// It is no recording, or damaged.
    #[error("{0}: {1}")]
    File(PathBuf, StreamError),
    /// It is of another machine, program or rate of time.
    #[error("{0}: the recording is of another run: {1}")]
    Foreign(PathBuf, String),
    /// The machine cannot be recorded.
    #[error("this machine cannot be recorded: {0}")]
    Blocked(String),
    /// What was recorded is not enough for a replay.
    #[error("{0}: the recording cannot be replayed: {1}")]
    Broken(PathBuf, String),
}

/// How it began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begin {
    /// The machine.
    pub about: About,
    /// A sum over its program.
    pub program: u32,
    /// What an instruction means in time.
    pub rate: ClockRate,
}

/// Where the processor stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Check {
    pub(super) at: Moment,
    /// Virtual time in nanoseconds.
    pub(super) time: u64,
    /// Over the registers.
    pub(super) sum: u32,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// Somebody outside ended it.
    Stopped,
    /// The guest powered off.
    Shutdown,
    /// The guest ended it with a status.
    Exit(u32),
    /// The processor could not go on.
    Lockup(String),
}

impl Ending {
    pub(super) fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Shutdown => Self::Shutdown,
            Outcome::GuestExit(status) => Self::Exit(*status),
            Outcome::Lockup(text) => Self::Lockup(text.clone()),
            Outcome::Stopped | Outcome::Deadline | Outcome::Debug => Self::Stopped,
        }
    }
}

/// Where and how a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Where.
    pub at: Moment,
    /// Virtual time in nanoseconds.
    pub time: u64,
    /// How.
    pub ending: Ending,
    /// Over the registers.
    pub registers: u32,
    /// Over the whole machine, if it could be saved.
    pub machine: Option<u32>,
}

/// All that a recording holds.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) begin: Begin,
    pub(super) inputs: Vec<(Moment, Input)>,
    pub(super) checks: Vec<Check>,
    /// Why the rest is missing.
    pub(super) broken: Option<String>,
    /// `None` if the recorder did not get to its end.
    pub(super) end: Option<End>,
}

/// Reads a recording; a recorder that was killed leaves one without end, which is played as far as it goes.
pub(super) fn read(input: impl Read) -> Result<Recorded, StreamError> {
    use crate::stream::from_cbor;
    let mut frames = FrameReader::new(input, MAGIC, VERSION)?;
    let first = frames.section(|kind| (kind == BEGIN).then_some(1 << 20))?;
    if first.kind != BEGIN {
        return Err(StreamError::Damaged("it ends before it begins".into()));
    }
    let mut all = Recorded {
        begin: from_cbor("description", &first.data)?,
        inputs: Vec::new(),
        checks: Vec::new(),
        broken: None,
        end: None,
    };
    loop {
        let known = |kind: Kind| [INPUTS, CHECK, BROKEN, FINISH].contains(&kind).then_some(MAX_SECTION);
        let section = match frames.section(known) {
            Err(StreamError::Truncated) => break,
            section => section?,
        };
        match section.kind {
            INPUTS => all
                .inputs
                .extend(from_cbor::<Vec<(Moment, Input)>>("inputs", &section.data)?),
            CHECK => all.checks.push(from_cbor("check", &section.data)?),
            BROKEN => all.broken = Some(from_cbor("reason", &section.data)?),
            FINISH => all.end = Some(from_cbor("end", &section.data)?),
            _ => break,
        }
    }
    if !all.inputs.is_sorted_by_key(|(at, _)| *at) || !all.checks.is_sorted_by_key(|c| c.at) {
        return Err(StreamError::Damaged("it goes back in time".into()));
    }
    Ok(all)
}
