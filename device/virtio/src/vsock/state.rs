//! One stream's half of the protocol: credit, what waits, and what is shut down. No host and no guest memory here.

use serde::{Deserialize, Serialize};
use southbridge_backend_vsock::StreamId;
use std::collections::VecDeque;

use super::regs::*;

/// Bytes of the guest's that a stream keeps for a slow host: the credit that the guest has.
pub(super) const CREDIT: u32 = 64 * 1024;
/// Bytes of the host's that a stream keeps for a slow guest.
pub(super) const ROOM: usize = 64 * 1024;

/// A stream's ends: the host's port and the guest's.
pub(super) type Ports = (u32, u32);

/// A stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stream {
    /// What the host's side calls it.
    pub(super) id: StreamId,
    /// The guest has accepted it, or asked for it.
    pub(super) open: bool,
    /// Bytes for the host that it has not taken yet.
    pub(super) outbox: VecDeque<u8>,
    /// Bytes for the guest.
    pub(super) inbox: VecDeque<u8>,
    /// The host takes nothing now.
    pub(super) throttled: bool,
    /// The guest sends nothing more, once `outbox` is empty; and the host knows.
    pub(super) guest_ended: bool,
    pub(super) told_host: bool,
    /// The guest receives nothing more.
    pub(super) deaf: bool,
    /// The host sends nothing more, once `inbox` is empty; and the guest knows.
    pub(super) host_ended: bool,
    pub(super) told_guest: bool,
    /// The host is gone altogether.
    pub(super) host_gone: bool,
    /// The guest's buffer, and how much of it is free again since the beginning.
    peer_alloc: u32,
    peer_fwd: u32,
    /// Bytes sent to the guest since the beginning.
    sent: u32,
    /// Bytes received from the guest, those that the host has taken, and those that the guest knows of.
    received: u32,
    forwarded: u32,
    told_forwarded: u32,
}

impl Stream {
    pub(super) fn new(id: StreamId, open: bool) -> Self {
        Self {
            id,
            open,
            outbox: VecDeque::new(),
            inbox: VecDeque::new(),
            throttled: false,
            guest_ended: false,
            told_host: false,
            deaf: false,
            host_ended: false,
            told_guest: false,
            host_gone: false,
            peer_alloc: 0,
            peer_fwd: 0,
            sent: 0,
            received: 0,
            forwarded: 0,
            told_forwarded: 0,
        }
    }

    /// Every packet of the guest tells its credit.
    pub(super) fn learn(&mut self, h: &Header) {
        self.peer_alloc = h.buf_alloc;
        self.peer_fwd = h.fwd_cnt;
    }

    /// Bytes that the guest takes now. Counts wrap around; one that claims more than was sent has no credit.
    pub(super) fn credit(&self) -> u32 {
        self.peer_alloc.saturating_sub(self.sent.wrapping_sub(self.peer_fwd))
    }

    pub(super) fn note_sent(&mut self, n: usize) {
        self.sent = self.sent.wrapping_add(n as u32);
    }

    /// Whether so many more bytes are within the credit that the guest has.
    pub(super) fn may_receive(&self, n: usize) -> bool {
        let waits = self.received.wrapping_sub(self.forwarded);
        n as u64 + u64::from(waits) <= u64::from(CREDIT)
    }

    pub(super) fn receive(&mut self, data: &[u8]) {
        self.received = self.received.wrapping_add(data.len() as u32);
        self.outbox.extend(data);
    }

    /// The host has taken bytes. Whether the guest should hear of it: when half of what it knew of is used up.
    pub(super) fn forward(&mut self, n: usize) -> bool {
        self.outbox.drain(..n.min(self.outbox.len()));
        self.forwarded = self.forwarded.wrapping_add(n as u32);
        self.forwarded.wrapping_sub(self.told_forwarded) >= CREDIT / 2
    }

    /// A packet of this stream, with its credit.
    pub(super) fn header(&mut self, ports: Ports, cid: u64, op: u16) -> Header {
        self.told_forwarded = self.forwarded;
        Header {
            buf_alloc: CREDIT,
            fwd_cnt: self.forwarded,
            ..bare(ports, cid, op)
        }
    }

    /// How much more of the host's bytes there is room for.
    pub(super) fn room(&self) -> usize {
        if self.open && !self.deaf {
            ROOM.saturating_sub(self.inbox.len())
        } else {
            0
        }
    }

    /// Whether it has what a stream can have.
    pub(super) fn is_sound(&self) -> bool {
        self.outbox.len() <= CREDIT as usize
            && self.inbox.len() <= ROOM
            && self.received.wrapping_sub(self.forwarded) as usize == self.outbox.len()
    }
}

/// A packet without credit.
pub(super) fn bare((host, guest): Ports, cid: u64, op: u16) -> Header {
    Header {
        src_cid: HOST_CID,
        dst_cid: cid,
        src_port: host,
        dst_port: guest,
        kind: TYPE_STREAM,
        op,
        ..Header::default()
    }
}
