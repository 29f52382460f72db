//! Which receive queue a frame goes to, and what the driver is told of its hash.

use serde::{Deserialize, Serialize};
use southbridge_protocol_packet::rss::{self, Report};

use super::control::HashConfig;
use super::spec::MAX_TABLE;

/// Hashes as the driver has set them up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Steering {
    types: u32,
    unclassified: u16,
    /// Empty: queues are not chosen by hash.
    table: Vec<u16>,
    key: Vec<u8>,
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Steered {
    /// Queue, if the hash has a say.
    pub(crate) queue: Option<u16>,
    /// Hash and its kind.
    pub(crate) hash: u32,
    pub(crate) report: Report,
}

impl Steering {
    /// `None` if a queue is none of the `pairs`. Without any kind of hash there is nothing to set up: `Some(None)`.
    pub(crate) fn new(steer: bool, config: HashConfig, pairs: u16) -> Option<Option<Self>> {
        let HashConfig {
            types,
            unclassified,
            table,
            key,
            ..
        } = config;
        if unclassified >= pairs || (steer && table.iter().any(|q| *q >= pairs)) {
            return None;
        }
        if key.is_empty() {
            return Some(None);
        }
        Some(Some(Self {
            types: types & rss::ALL,
            unclassified,
            table: if steer { table } else { Vec::new() },
            key,
        }))
    }

    /// Whether a saved one could have been.
    pub(crate) fn is_possible(&self, pairs: u16) -> bool {
        let queues = self.table.iter().chain([&self.unclassified]);
        (self.table.is_empty() || self.table.len().is_power_of_two())
            && self.table.len() <= MAX_TABLE
            && self.key.len() <= rss::KEY
            && queues.into_iter().all(|q| *q < pairs)
    }

    /// Where a frame goes.
    pub(crate) fn steer(&self, frame: &[u8]) -> Steered {
        let mut key = [0; rss::KEY];
        for (to, from) in key.iter_mut().zip(&self.key) {
            *to = *from;
        }
        let steers = !self.table.is_empty();
        let Some((hash, report)) = rss::hash(&key, self.types, frame) else {
            return Steered {
                queue: steers.then_some(self.unclassified),
                ..Steered::default()
            };
        };
        let slot = hash as usize & self.table.len().wrapping_sub(1);
        Steered {
            queue: self.table.get(slot).copied(),
            hash,
            report,
        }
    }
}
