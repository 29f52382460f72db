//! Type 1 headers: bus numbers and windows of a bridge (PCI-to-PCI Bridge Architecture 1.2, section 3.2.5).

use crate::config::ConfigSpace;
use crate::decode::{BridgeDecode, Forward};
use crate::regs::*;

/// What a bridge's windows can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// The I/O window has 32 bits, else 16.
    pub io32: bool,
    /// The prefetchable window has 64 bits, else 32.
    pub prefetch64: bool,
}

pub(crate) fn declare(config: &mut ConfigSpace, windows: Windows) {
    config.declare(PRIMARY_BUS, 4, 0, 0xffff_ffff, 0);
    let io = u32::from(windows.io32);
    config.declare(IO_BASE, 2, io | io << 8, 0xf0f0, 0);
    config.declare(SECONDARY_STATUS, 2, 0, 0, 0xf900);
    config.declare(MEMORY_BASE, 4, 0, 0xfff0_fff0, 0);
    let pref = u32::from(windows.prefetch64);
    config.declare(PREF_BASE, 4, pref | pref << 16, 0xfff0_fff0, 0);
    let high = if windows.prefetch64 { u32::MAX } else { 0 };
    config.declare(PREF_BASE_HIGH, 4, 0, high, 0);
    config.declare(PREF_LIMIT_HIGH, 4, 0, high, 0);
    config.declare(IO_BASE_HIGH, 4, 0, if windows.io32 { u32::MAX } else { 0 }, 0);
    config.declare(BRIDGE_CONTROL, 2, 0, 0x0bff, 0x0400);
}

/// What the registers say, given the command register.
pub(crate) fn decode(config: &ConfigSpace, powered: bool, only_slot0: bool) -> BridgeDecode {
    let command = Command::from_bits_retain(config.u16(COMMAND));
    let memory = command.contains(Command::MEMORY);
    BridgeDecode {
        secondary: config.u8(SECONDARY_BUS),
        subordinate: config.u8(SUBORDINATE_BUS),
        io: io_window(config).filter(|_| command.contains(Command::IO)),
        memory: memory_window(config).filter(|_| memory),
        prefetch: prefetch_window(config).filter(|_| memory),
        powered,
        transparent: false,
        only_slot0,
    }
}

fn forward(first: u64, last: u64) -> Option<Forward> {
    (first <= last).then_some(Forward { first, last })
}

/// The I/O window, whatever the command register says; `None` if it is shut.
pub fn io_window(config: &ConfigSpace) -> Option<Forward> {
    let (base, limit) = io_range(config);
    forward(base, limit)
}

/// The memory window.
pub fn memory_window(config: &ConfigSpace) -> Option<Forward> {
    let (base, limit) = memory_range(config);
    forward(base, limit)
}

/// The prefetchable window.
pub fn prefetch_window(config: &ConfigSpace) -> Option<Forward> {
    let (base, limit) = prefetch_range(config);
    forward(base, limit)
}

/// First and last I/O port as the registers have them, shut or not.
pub fn io_range(config: &ConfigSpace) -> (u64, u64) {
    let side = |low: u16, high: u16| {
        let byte = config.u8(low);
        let upper = if byte & 0xf == 1 {
            u64::from(config.u16(high)) << 16
        } else {
            0
        };
        u64::from(byte & 0xf0) << 8 | upper
    };
    (side(IO_BASE, IO_BASE_HIGH), side(IO_LIMIT, IO_LIMIT_HIGH) | 0xfff)
}

/// First and last address of the memory window as the registers have them.
pub fn memory_range(config: &ConfigSpace) -> (u64, u64) {
    let side = |at: u16| u64::from(config.u16(at) & 0xfff0) << 16;
    (side(MEMORY_BASE), side(MEMORY_LIMIT) | 0xf_ffff)
}

/// First and last address of the prefetchable window as the registers have them.
pub fn prefetch_range(config: &ConfigSpace) -> (u64, u64) {
    let side = |low: u16, high: u16| {
        let word = config.u16(low);
        let upper = if word & 0xf == 1 {
            u64::from(config.u32(high)) << 32
        } else {
            0
        };
        u64::from(word & 0xfff0) << 16 | upper
    };
    (
        side(PREF_BASE, PREF_BASE_HIGH),
        side(PREF_LIMIT, PREF_LIMIT_HIGH) | 0xf_ffff,
    )
}
