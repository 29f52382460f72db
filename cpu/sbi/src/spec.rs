//! Numbers of the RISC-V Supervisor Binary Interface Specification, version 2.0.

/// Extension ids (chapters 4 to 16).
pub mod extension {
    /// Legacy: set timer (5.1).
    pub const LEGACY_SET_TIMER: u64 = 0;
    /// Legacy: write a character (5.2).
    pub const LEGACY_PUTCHAR: u64 = 1;
    /// Legacy: read a character (5.3).
    pub const LEGACY_GETCHAR: u64 = 2;
    /// Legacy: clear an interprocessor interrupt (5.4).
    pub const LEGACY_CLEAR_IPI: u64 = 3;
    /// Legacy: power off (5.9).
    pub const LEGACY_SHUTDOWN: u64 = 8;
    /// Base (4).
    pub const BASE: u64 = 0x10;
    /// Timer (6).
    pub const TIME: u64 = 0x5449_4d45;
    /// Interprocessor interrupts (7).
    pub const IPI: u64 = 0x0073_5049;
    /// Remote fences (8).
    pub const RFENCE: u64 = 0x5246_4e43;
    /// Hart state management (9).
    pub const HSM: u64 = 0x0048_534d;
    /// System reset (10).
    pub const SRST: u64 = 0x5352_5354;
    /// Performance monitoring (11).
    pub const PMU: u64 = 0x0050_4d55;
    /// Debug console (12).
    pub const DBCN: u64 = 0x4442_434e;
    /// System suspend (13).
    pub const SUSP: u64 = 0x5355_5350;
}

/// Why a call failed (3.2, table 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i64)]
pub enum SbiError {
    /// It failed for reasons of its own.
    Failed = -1,
    /// No such extension, function or feature.
    NotSupported = -2,
    /// An argument is not one of those allowed.
    InvalidParam = -3,
    /// The state of the system does not allow it.
    Denied = -4,
    /// An address is not one that can be used so.
    InvalidAddress = -5,
    /// The hart runs already.
    AlreadyAvailable = -6,
    /// The counter runs already.
    AlreadyStarted = -7,
    /// The counter stands already.
    AlreadyStopped = -8,
}

/// What a call gives: a value, or an error.
pub type SbiResult = Result<u64, SbiError>;

/// States of a hart (9, table 4).
pub mod hart_state {
    /// It executes.
    pub const STARTED: u64 = 0;
    /// It is off.
    pub const STOPPED: u64 = 1;
    /// It sleeps in `hart_suspend`.
    pub const SUSPENDED: u64 = 4;
}

/// Kinds of `hart_suspend` (9.4, table 5).
pub mod suspend {
    /// The hart goes on behind the call.
    pub const RETENTIVE: u32 = 0;
    /// The hart goes on at an address, with its registers lost.
    pub const NON_RETENTIVE: u32 = 0x8000_0000;
}
