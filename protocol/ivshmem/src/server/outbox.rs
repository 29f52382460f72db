//! What one peer is still owed, in order.

use std::collections::VecDeque;

use super::{Descriptor, Outgoing};
use crate::wire::{self, MESSAGE_LEN, PeerId};

/// One message, not yet bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) value: i64,
    pub(super) descriptor: Option<Descriptor>,
}

impl Message {
    pub(super) fn plain(value: i64) -> Self {
        Self {
            value,
            descriptor: None,
        }
    }

    pub(super) fn vector(peer: PeerId, vector: u16) -> Self {
        Self {
            value: i64::from(peer),
            descriptor: Some(Descriptor::Vector { peer, vector }),
        }
    }

    fn is_vector_of(&self, id: PeerId) -> bool {
        matches!(self.descriptor, Some(Descriptor::Vector { peer, .. }) if peer == id)
    }
}

/// Messages in order, the first of which may be half sent.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    messages: VecDeque<Message>,
    /// Bytes of the first message that are sent; below [`MESSAGE_LEN`].
    sent: usize,
    limit: usize,
}

impl Outbox {
    pub(super) fn push(&mut self, message: Message) {
        self.messages.push_back(message);
    }

    /// Allows what is in the outbox now plus `backlog` more.
    pub(super) fn set_limit(&mut self, backlog: usize) {
        self.limit = self.messages.len().saturating_add(backlog);
    }

    pub(super) fn is_overrun(&self) -> bool {
        self.messages.len() > self.limit
    }

    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(super) fn front(&self) -> Option<Outgoing> {
        let message = self.messages.front()?;
        let descriptor = if self.sent == 0 { message.descriptor } else { None };
        Some(Outgoing {
            bytes: wire::encode(message.value),
            sent: self.sent,
            descriptor,
        })
    }

    pub(super) fn advance(&mut self, bytes: usize) {
        self.sent = self.sent.saturating_add(bytes);
        if self.sent >= MESSAGE_LEN {
            self.sent = 0;
            self.messages.pop_front();
        }
    }

    /// Takes back every wholly unsent vector of `id` and says how many there were.
    pub(super) fn retract(&mut self, id: PeerId) -> usize {
        let before = self.messages.len();
        let mut begun = self.sent > 0;
        self.messages
            .retain(|message| std::mem::take(&mut begun) || !message.is_vector_of(id));
        before - self.messages.len()
    }
}
