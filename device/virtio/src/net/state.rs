//! What of the device changes while it runs, and is saved with the machine.

use serde::{Deserialize, Serialize};
use southbridge_backend_net::{Packet, VnetHeader};
use southbridge_bus_virtio::Chain;
use std::borrow::Cow;
use std::collections::VecDeque;

use super::filter::{Filter, Mac};
use super::spec::{STATUS_LINK_UP, feature};
use super::steer::{Steered, Steering};

/// Frames that a pair of queues takes from its back end before the driver has found room for them.
pub(crate) const WAITING: usize = 64;

/// A frame that waits for the driver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Incoming {
    pub(crate) vnet: [u8; VnetHeader::LEN],
    pub(crate) hash: u32,
    pub(crate) report: u16,
    pub(crate) frame: Vec<u8>,
}

impl Incoming {
    pub(crate) fn as_arrival(&self) -> Arrival<'_> {
        Arrival {
            vnet: self.vnet,
            hash: self.hash,
            report: self.report,
            frame: Cow::Borrowed(&self.frame),
        }
    }
}

/// The same while it may not have to wait: the frame is still the back end's.
pub(crate) struct Arrival<'a> {
    pub(crate) vnet: [u8; VnetHeader::LEN],
    pub(crate) hash: u32,
    pub(crate) report: u16,
    pub(crate) frame: Cow<'a, [u8]>,
}

impl<'a> Arrival<'a> {
    pub(crate) fn new(packet: Packet<'a>, steered: Steered) -> Self {
        Self {
            vnet: packet.vnet.to_bytes(),
            hash: steered.hash,
            report: steered.report as u16,
            frame: Cow::Borrowed(packet.frame),
        }
    }

    /// Computes the checksum that the sender left to be done.
    pub(crate) fn complete_checksum(&mut self) {
        let vnet = VnetHeader::from_bytes(&self.vnet);
        let frame = self.frame.to_mut();
        if southbridge_protocol_packet::checksum::complete(frame, vnet.csum_start, vnet.csum_offset).is_some() {
            self.vnet[0] &= !VnetHeader::NEEDS_CSUM;
        }
    }

    pub(crate) fn into_waiting(self) -> Incoming {
        Incoming {
            vnet: self.vnet,
            hash: self.hash,
            report: self.report,
            frame: self.frame.into_owned(),
        }
    }
}

/// One receive and one transmit queue.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Pair {
    /// Frames for which the driver had no buffers.
    pub(crate) incoming: VecDeque<Incoming>,
    /// The frame of the driver for which the back end had no room.
    pub(crate) held: Option<Chain>,
    /// The transmit queue waits for its timer.
    pub(crate) delayed: bool,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) filter: Filter,
    /// `status` of configuration space.
    pub(crate) status: u16,
    /// Pairs of queues that the driver uses.
    pub(crate) in_use: u16,
    /// What the driver takes besides whole frames, as feature bits.
    pub(crate) offloads: u64,
    pub(crate) steering: Option<Steering>,
    pub(crate) pairs: Vec<Pair>,
}

impl State {
    pub(crate) fn new(mac: Mac, pairs: u16) -> Self {
        Self {
            filter: Filter::new(mac),
            status: STATUS_LINK_UP,
            in_use: 1,
            offloads: 0,
            steering: None,
            pairs: vec![Pair::default(); usize::from(pairs)],
        }
    }

    /// Whether a saved state is one that a device with so many pairs could have.
    pub(crate) fn is_possible(&self, pairs: u16) -> bool {
        self.filter.is_possible()
            && self.pairs.len() == usize::from(pairs)
            && (1..=pairs).contains(&self.in_use)
            && self.offloads & !feature::GUEST_OFFLOADS == 0
            && self.steering.as_ref().is_none_or(|s| s.is_possible(pairs))
            && self.status & !3 == 0
            && self.pairs.iter().enumerate().all(|(i, p)| p.is_possible(i))
    }

    pub(crate) fn link_up(&self) -> bool {
        self.status & STATUS_LINK_UP != 0
    }
}

impl Pair {
    fn is_possible(&self, index: usize) -> bool {
        self.incoming.len() <= 2 * WAITING
            && self
                .incoming
                .iter()
                .all(|f| f.frame.len() <= southbridge_backend_net::MAX_FRAME)
            && self
                .held
                .as_ref()
                .is_none_or(|c| usize::from(c.queue()) == index * 2 + 1)
    }
}
