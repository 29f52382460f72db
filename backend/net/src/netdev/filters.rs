//! Where filters stand: between the front ends and the link.

use southbridge_core::host::{HostCx, HostEvent};

use super::Netdev;
use crate::filter::{Direction, Filter, FilterCx, Released, Verdict};
use crate::packet::Packet;

/// Tokens from here on are those of filters. A link has the lower half to itself: it may name what it watches by numbers that are
/// never used again.
pub(super) const FILTERS: u64 = 1 << 63;
/// How many of them each filter has.
const SPAN: u64 = 1 << 32;

pub(super) struct Slot {
    id: String,
    filter: Box<dyn Filter>,
    /// First of its tokens.
    tokens: u64,
}

impl Netdev {
    /// Ids of the filters, from the NIC's side on.
    pub fn filter_ids(&self) -> impl Iterator<Item = &str> {
        self.filters.iter().map(|f| f.id.as_str())
    }

    /// A filter by its id.
    pub fn filter(&mut self, id: &str) -> Option<&mut dyn Filter> {
        let slot = self.filters.iter_mut().find(|f| f.id == id)?;
        Some(&mut *slot.filter)
    }

    /// Puts a filter at a place counted from the NIC's side (`usize::MAX`: behind all).
    pub fn insert_filter(&mut self, at: usize, id: &str, filter: Box<dyn Filter>, host: &mut HostCx<'_>) {
        self.filter_serial += 1;
        let slot = Slot {
            id: id.to_owned(),
            filter,
            tokens: FILTERS | self.filter_serial.wrapping_mul(SPAN),
        };
        let at = at.min(self.filters.len());
        self.filters.insert(at, slot);
        self.on_filter(at, host, |f, cx| f.start(cx));
        self.fit_link(host);
        self.settle(host);
    }

    /// Takes a filter out; `false` if there is none of that id. What it kept goes on its way.
    pub fn remove_filter(&mut self, id: &str, host: &mut HostCx<'_>) -> bool {
        let Some(at) = self.filters.iter().position(|f| f.id == id) else {
            return false;
        };
        self.on_filter(at, host, |f, cx| f.close(cx));
        self.filters.remove(at);
        self.fit_link(host);
        self.settle(host);
        true
    }

    pub(super) fn close_filters(&mut self, host: &mut HostCx<'_>) {
        for at in 0..self.filters.len() {
            self.on_filter(at, host, |f, cx| f.close(cx));
        }
    }

    /// Whether an event was a filter's.
    pub(super) fn filter_event(&mut self, event: HostEvent, host: &mut HostCx<'_>) -> bool {
        if event == HostEvent::Woken {
            for at in 0..self.filters.len() {
                self.on_filter(at, host, |f, cx| f.on_host(event, cx));
            }
            return false;
        }
        let (HostEvent::Ready { token, .. } | HostEvent::WakeUp { token }) = event else {
            return false;
        };
        if token < FILTERS {
            return false;
        }
        let theirs = |s: &Slot| token.wrapping_sub(s.tokens) < SPAN;
        if let Some(at) = self.filters.iter().position(theirs) {
            let own = token - self.filters[at].tokens;
            let event = match event {
                HostEvent::Ready {
                    readable,
                    writable,
                    hangup,
                    ..
                } => HostEvent::Ready {
                    token: own,
                    readable,
                    writable,
                    hangup,
                },
                _ => HostEvent::WakeUp { token: own },
            };
            self.on_filter(at, host, |f, cx| f.on_host(event, cx));
        }
        true
    }

    fn on_filter(&mut self, at: usize, host: &mut HostCx<'_>, f: impl FnOnce(&mut dyn Filter, &mut FilterCx<'_, '_>)) {
        let mut released = Vec::new();
        if let Some(slot) = self.filters.get_mut(at) {
            let mut cx = FilterCx::new(host, slot.tokens, &mut released);
            f(&mut *slot.filter, &mut cx);
        }
        for r in released {
            self.go_on(at, r, host);
        }
    }

    /// What a filter let go is looked at by those behind it, in its direction.
    fn go_on(&mut self, at: usize, r: Released, host: &mut HostCx<'_>) {
        let packet = Packet {
            vnet: r.frame.0,
            frame: &r.frame.1,
        };
        match r.direction {
            Direction::FromNic => self.through_from(at + 1, r.direction, r.queue, packet, host),
            Direction::ToNic if at == 0 => self.hold(r.queue, r.frame),
            Direction::ToNic => self.through_from(at - 1, r.direction, r.queue, packet, host),
        }
    }

    pub(super) fn through_filters(
        &mut self,
        direction: Direction,
        queue: usize,
        packet: Packet<'_>,
        host: &mut HostCx<'_>,
    ) {
        let first = match direction {
            Direction::FromNic => 0,
            Direction::ToNic => self.filters.len().saturating_sub(1),
        };
        self.through_from(first, direction, queue, packet, host);
    }

    /// From the filter at a place on to the end of the row.
    fn through_from(
        &mut self,
        first: usize,
        direction: Direction,
        queue: usize,
        packet: Packet<'_>,
        host: &mut HostCx<'_>,
    ) {
        let mut at = first;
        while at < self.filters.len() {
            let mut verdict = Verdict::Pass;
            self.on_filter(at, host, |f, cx| verdict = f.pass(direction, queue, packet, cx));
            if verdict == Verdict::Taken {
                return;
            }
            match direction {
                Direction::FromNic => at += 1,
                Direction::ToNic if at == 0 => break,
                Direction::ToNic => at -= 1,
            }
        }
        match direction {
            Direction::FromNic => self.pass_to_link(queue, packet, host),
            Direction::ToNic => self.hold(queue, (packet.vnet, packet.frame.to_vec())),
        }
    }
}
