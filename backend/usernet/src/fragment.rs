//! Packets that come in pieces (RFC 791 §3.2, RFC 8200 §4.5), within bounds: so many packets, so long, no overlaps.

use smoltcp::wire::IpProtocol;
use std::net::IpAddr;
use std::time::Duration;

use crate::host::{Alarm, TimerKey, Timers};

const PATIENCE: Duration = Duration::from_secs(30);
/// Pieces of one packet; more are only sent to do harm.
const PIECES: usize = 256;
const LONGEST: usize = 65_535;

/// What belongs together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) from: IpAddr,
    pub(crate) to: IpAddr,
    pub(crate) ident: u32,
    pub(crate) protocol: IpProtocol,
}

/// One piece.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece<'a> {
    pub(crate) offset: usize,
    pub(crate) more: bool,
    pub(crate) data: &'a [u8],
}

#[derive(Debug)]
struct Partial {
    key: Key,
    since: Duration,
    data: Vec<u8>,
    pieces: Vec<(usize, usize)>,
    length: Option<usize>,
}

#[derive(Debug)]
pub(crate) struct Fragments {
    partial: Vec<Partial>,
    most: usize,
    alarm: Alarm,
}

impl Fragments {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            partial: Vec::new(),
            most,
            alarm: Alarm::default(),
        }
    }

    /// Adds a piece; returns the packet's payload if that was the last.
    pub(crate) fn add(&mut self, key: Key, piece: Piece<'_>, now: Duration, timers: &mut Timers) -> Option<Vec<u8>> {
        let at = match self.partial.iter().position(|p| p.key == key) {
            Some(at) => at,
            None => {
                if self.most == 0 {
                    return None;
                }
                if self.partial.len() >= self.most {
                    // The oldest gives way, so that one lost piece never blocks the others for long.
                    self.partial.remove(0);
                }
                self.partial.push(Partial {
                    key,
                    since: now,
                    data: Vec::new(),
                    pieces: Vec::new(),
                    length: None,
                });
                self.alarm.want(now + PATIENCE, TimerKey::Fragments, timers);
                self.partial.len() - 1
            }
        };
        match self.partial[at].add(piece) {
            Some(false) => None,
            Some(true) => Some(self.partial.remove(at).data),
            None => {
                self.partial.remove(at);
                None
            }
        }
    }

    pub(crate) fn on_timer(&mut self, now: Duration, timers: &mut Timers) {
        self.alarm.fired();
        self.partial.retain(|p| now.saturating_sub(p.since) < PATIENCE);
        if let Some(next) = self.partial.iter().map(|p| p.since + PATIENCE).min() {
            self.alarm.want(next, TimerKey::Fragments, timers);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.partial.clear();
    }
}

impl Partial {
    /// `Some(true)`: complete. `None`: this packet is nonsense.
    fn add(&mut self, piece: Piece<'_>) -> Option<bool> {
        let end = piece.offset.checked_add(piece.data.len()).filter(|e| *e <= LONGEST)?;
        if piece.more && (!piece.data.len().is_multiple_of(8) || piece.data.is_empty()) {
            return None;
        }
        if self.length.is_some_and(|l| end > l || (!piece.more && end != l)) {
            return None;
        }
        let place = self.pieces.partition_point(|p| p.0 < piece.offset);
        if self.pieces.get(place) == Some(&(piece.offset, end)) {
            return Some(false);
        }
        let overlaps = self.pieces.get(place).is_some_and(|p| p.0 < end)
            || place
                .checked_sub(1)
                .and_then(|i| self.pieces.get(i))
                .is_some_and(|p| p.1 > piece.offset);
        if overlaps || self.pieces.len() >= PIECES {
            return None;
        }
        if !piece.more {
            if self.pieces.last().is_some_and(|p| p.1 > end) {
                return None;
            }
            self.length = Some(end);
        }
        self.pieces.insert(place, (piece.offset, end));
        if self.data.len() < end {
            self.data.resize(end, 0);
        }
        self.data[piece.offset..end].copy_from_slice(piece.data);
        let held: usize = self.pieces.iter().map(|p| p.1 - p.0).sum();
        Some(self.length == Some(held))
    }
}
