//! The receive side: data and status FIFOs, and how a guest reads a frame out of them (data sheet 3.13).

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

use super::regs::{rx_cfg, rx_status};

/// Shortest and longest frames that come in, checksum not counted.
const MIN_FRAME: usize = 60;
const MAX_FRAME: usize = 2047;
const HEADER: usize = 14;

/// The frame that the guest is reading, in words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Current {
    before: u8,
    frame: u16,
    after: u8,
}

/// Both FIFOs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rx {
    data: VecDeque<u32>,
    /// Words of each frame in `data` that the guest has not begun to read.
    frames: VecDeque<u16>,
    status: VecDeque<u32>,
    current: Current,
}

/// Room of the FIFOs in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) data: usize,
    pub(super) status: usize,
}

impl Room {
    /// What 16 KiB leave when `tx_kib` are for transmission: a sixteenth holds status words (data sheet, table "FIFO RAM
    /// allocation").
    pub(super) const fn beside(tx_kib: u32) -> Self {
        let words = 256 * 16u32.saturating_sub(tx_kib) as usize;
        Self {
            data: words - words / 16,
            status: words / 16,
        }
    }
}

impl Rx {
    pub(super) fn valid(&self, room: Room) -> bool {
        let frames: usize = self.frames.iter().map(|n| usize::from(*n)).sum();
        // The FIFOs may be larger than their room only if the guest shrank it while they were full.
        let most = Room::beside(0);
        frames + usize::from(self.current.frame) == self.data.len()
            && self.data.len() <= most.data.max(room.data)
            && self.status.len() <= most.status.max(room.status)
            && self.current.before < 8
            && self.current.after < 8
    }

    /// Takes a frame (without checksum); false if there is no room. The caller has filtered it.
    pub(super) fn push(&mut self, frame: &[u8], flags: u32, cfg: u32, room: Room) -> bool {
        let len = frame.len().max(MIN_FRAME);
        let lead = (rx_cfg::offset(cfg) & 3) as usize;
        let words = (lead + len + 4).div_ceil(4);
        if self.status.len() >= room.status || self.data.len() + words > room.data {
            return false;
        }
        let mut bytes = vec![0; words * 4];
        bytes[lead..lead + frame.len()].copy_from_slice(frame);
        let fcs = crc32(&bytes[lead..lead + len]);
        bytes[lead + len..lead + len + 4].copy_from_slice(&fcs.to_le_bytes());
        self.data
            .extend(bytes.as_chunks().0.iter().map(|w| u32::from_le_bytes(*w)));
        self.frames.push_back(words as u16);
        self.status.push_back(flags | status_of(frame, len + 4));
        true
    }

    /// The next word; `None` if there is none.
    pub(super) fn pop(&mut self, cfg: u32) -> Option<u32> {
        if self.current == Current::default() {
            self.begin(cfg);
        }
        let c = &mut self.current;
        if c.before > 0 {
            c.before -= 1;
            Some(0)
        } else if c.frame > 0 {
            c.frame -= 1;
            self.data.pop_front()
        } else if c.after > 0 {
            c.after -= 1;
            Some(0)
        } else {
            None
        }
    }

    /// Goes to the start of the next frame: past the rest of this one, or past a whole one.
    pub(super) fn skip(&mut self, cfg: u32) {
        if self.current == Current::default() {
            self.begin(cfg);
        }
        let n = usize::from(self.current.frame).min(self.data.len());
        self.data.drain(..n);
        self.current = Current::default();
    }

    pub(super) fn pop_status(&mut self) -> u32 {
        self.status.pop_front().unwrap_or(0)
    }

    pub(super) fn peek_status(&self) -> u32 {
        self.status.front().copied().unwrap_or(0)
    }

    pub(super) fn status_used(&self) -> usize {
        self.status.len()
    }

    /// RX_FIFO_INF.
    pub(super) fn info(&self) -> u32 {
        (self.status.len() as u32) << 16 | (self.data.len() as u32) << 2
    }

    fn begin(&mut self, cfg: u32) {
        let Some(frame) = self.frames.pop_front() else { return };
        let before = rx_cfg::offset(cfg) / 4;
        let total = before + u32::from(frame);
        let align = rx_cfg::alignment(cfg);
        self.current = Current {
            before: before as u8,
            frame,
            after: (total.next_multiple_of(align) - total) as u8,
        };
    }
}

/// Whether a frame has a length that the receiver takes.
pub(super) fn acceptable(frame: &[u8]) -> bool {
    (HEADER..=MAX_FRAME).contains(&frame.len())
}

fn status_of(frame: &[u8], length: usize) -> u32 {
    let mut status = (length as u32) << rx_status::LENGTH_SHIFT;
    match frame {
        [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, ..] => status |= rx_status::BROADCAST,
        [first, ..] if first & 1 != 0 => status |= rx_status::MULTICAST,
        _ => {}
    }
    if let Some([high, low]) = frame.get(12..14)
        && u16::from_be_bytes([*high, *low]) >= 0x600
    {
        status |= rx_status::FRAME_TYPE;
    }
    status
}

/// The checksum of Ethernet (IEEE 802.3, 3.2.9), as the number whose low byte goes first.
pub(super) fn crc32(data: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in data {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let low = crc & 1;
            crc >>= 1;
            if low != 0 {
                crc ^= 0xedb8_8320;
            }
        }
    }
    !crc
}
