//! What is told of a migration: how far it is, and why one did not begin.

use std::io;
use thiserror::Error;

use crate::uri::UriError;

/// How far a migration is, in the words of `query-migrate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Status {
    /// There was none.
    #[default]
    None,
    /// The way is being opened, or a peer awaited.
    Setup,
    /// RAM is being copied while the guest runs; or the state comes in.
    Active,
    /// The machine stands and its state is on its way.
    Device,
    /// It was taken back and is not over yet.
    Cancelling,
    /// It was taken back.
    Cancelled,
    /// It is over.
    Completed,
    /// It failed; [`Info::error`] says why.
    Failed,
}

impl Status {
    /// The word of the protocol.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Setup => "setup",
            Self::Active => "active",
            Self::Device => "device",
            Self::Cancelling => "cancelling",
            Self::Cancelled => "cancelled",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }

    /// Whether one is going on.
    pub const fn is_under_way(self) -> bool {
        matches!(self, Self::Setup | Self::Active | Self::Device | Self::Cancelling)
    }
}

/// A step of a migration, as events tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It is further than before.
    Status(Status),
    /// RAM is looked through, for the how manieth time.
    Pass(u32),
}

/// What may be switched on for a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// Each [`Step`] is an event.
    Events,
}

/// Numbers about RAM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RamInfo {
    /// Bytes of the stream that are through.
    pub transferred: u64,
    /// Bytes of the stream that are not.
    pub remaining: u64,
    /// Bytes of RAM.
    pub total: u64,
    /// Pages that are zero.
    pub duplicate: u64,
    /// Pages that are not.
    pub normal: u64,
    /// Bytes of a page.
    pub page_size: u64,
    /// How often it was looked through.
    pub passes: u32,
}

/// What `query-migrate` shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Info {
    /// How far it is.
    pub status: Status,
    /// Whether the machine comes in; otherwise it goes out.
    pub incoming: bool,
    /// Since its begin, or from begin to end, in milliseconds.
    pub total_time: u64,
    /// Until the way was open, in milliseconds.
    pub setup_time: u64,
    /// For how long the machine stood, once it is over, in milliseconds.
    pub downtime: u64,
    /// Numbers about RAM, once it is active; only on the way out.
    pub ram: Option<RamInfo>,
    /// Why it failed.
    pub error: Option<String>,
    /// The TCP port on which a peer is awaited.
    pub port: Option<u16>,
}

/// Why a migration did not begin.
#[derive(Debug, Error)]
pub enum MigrateError {
    /// The address is none.
    #[error(transparent)]
    Uri(#[from] UriError),
    /// One is going on.
    #[error("there is a migration in progress already")]
    Busy,
    /// The machine itself waits for a state.
    #[error("this machine waits for a state itself")]
    Inmigrate,
    /// The machine does not wait for a state.
    #[error("this machine was not started to take a state in: start it with -incoming defer")]
    NotInmigrate,
    /// Its state has gone elsewhere.
    #[error("the state of this machine has gone elsewhere already")]
    Gone,
    /// It cannot be saved.
    #[error("this machine cannot be migrated: {0}")]
    Blocked(String),
    /// The host refuses.
    #[error("{0}: {1}")]
    Io(String, io::Error),
}
