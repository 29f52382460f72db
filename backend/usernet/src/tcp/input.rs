//! A segment of the guest arrives at its connection (RFC 9293 §3.10.7).

use std::time::Duration;

use super::flow::{ACK_DELAY, Flow, Phase};
use super::ring::Budget;
use super::segment::{Segment, before, later};

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Keep,
    /// It is over, cleanly.
    Done,
    /// The guest has reset it: the host's side is reset too.
    Reset,
    /// The guest gets a reset for this segment, and the connection is over.
    Refuse,
}

impl Flow {
    pub(crate) fn segment(
        &mut self,
        s: &Segment<'_>,
        ours: usize,
        limit: usize,
        budget: &mut Budget,
        now: Duration,
    ) -> Verdict {
        self.heard = now;
        self.keep_probes = 0;
        match self.phase {
            Phase::Connecting => self.while_connecting(s),
            Phase::SynSent => self.while_syn_sent(s, ours, limit, now),
            Phase::SynReceived => self.while_syn_received(s, limit, budget, now),
            Phase::Open => self.while_open(s, limit, budget, now),
            Phase::TimeWait => self.while_time_wait(s, now),
        }
    }

    fn while_connecting(&mut self, s: &Segment<'_>) -> Verdict {
        // Nothing has been answered, so the guest can only repeat its SYN or give up.
        if s.rst { Verdict::Reset } else { Verdict::Keep }
    }

    fn while_syn_sent(&mut self, s: &Segment<'_>, ours: usize, limit: usize, now: Duration) -> Verdict {
        let right_ack = s.ack == Some(self.max) && self.max != self.una;
        if s.rst {
            return if right_ack { Verdict::Reset } else { Verdict::Keep };
        }
        if s.ack.is_some() && !right_ack {
            return Verdict::Refuse;
        }
        if !s.syn {
            return Verdict::Keep;
        }
        self.learn_syn(s.seq, s.mss, s.scale, s.window, ours, limit);
        if right_ack {
            self.una = self.max;
            self.nxt = self.max;
            self.opened(now);
        } else {
            // Both sides opened at once: our SYN goes out again, with an acknowledgement.
            self.nxt = self.una;
            self.phase = Phase::SynReceived;
        }
        self.ack_now = true;
        Verdict::Keep
    }

    fn opened(&mut self, now: Duration) {
        if let Some((_, sent)) = self.rtt.timed.take()
            && self.rtt.backoff == 0
        {
            self.rtt.sample(now.saturating_sub(sent));
        }
        self.phase = Phase::Open;
        self.rtt.backoff = 0;
        self.resend_at = None;
        self.readable = true;
        self.writable = true;
    }

    fn while_syn_received(&mut self, s: &Segment<'_>, limit: usize, budget: &mut Budget, now: Duration) -> Verdict {
        if s.rst {
            return if s.seq == self.rcv_nxt {
                Verdict::Reset
            } else {
                Verdict::Keep
            };
        }
        if s.syn && s.ack.is_none() {
            // The guest has not seen our answer.
            self.nxt = self.una;
            return Verdict::Keep;
        }
        match s.ack {
            Some(ack) if ack == self.max => {
                self.una = ack;
                self.nxt = ack;
                self.wnd = u32::from(s.window) << if s.syn { 0 } else { self.snd_scale };
                (self.wl1, self.wl2) = (s.seq, ack);
                self.opened(now);
                self.while_open(s, limit, budget, now)
            }
            Some(_) => Verdict::Refuse,
            None => Verdict::Keep,
        }
    }

    fn while_time_wait(&mut self, s: &Segment<'_>, now: Duration) -> Verdict {
        if s.rst {
            return Verdict::Done;
        }
        self.heard = now;
        self.ack_now = true;
        Verdict::Keep
    }

    fn while_open(&mut self, s: &Segment<'_>, limit: usize, budget: &mut Budget, now: Duration) -> Verdict {
        let window = self.edge.wrapping_sub(self.rcv_nxt);
        if s.rst {
            if s.seq == self.rcv_nxt {
                return Verdict::Reset;
            }
            // RFC 5961 §3.2: anywhere else in the window it is only questioned.
            self.ack_now |= s.seq.wrapping_sub(self.rcv_nxt) < window;
            return Verdict::Keep;
        }
        if s.syn {
            self.ack_now = true;
            return Verdict::Keep;
        }
        let Some(ack) = s.ack else { return Verdict::Keep };
        if before(self.max, ack) {
            self.ack_now = true;
            return Verdict::Keep;
        }
        self.acknowledged(ack, s, now);
        if s.len() > 0 {
            self.data(s, limit, budget, now);
        } else if s.seq != self.rcv_nxt && before(s.seq, self.rcv_nxt) {
            // A keep-alive probe stands just before the window (RFC 9293 §3.8.4).
            self.ack_now = true;
        }
        self.after_segment(now)
    }

    /// Both ways are finished: over at once if the guest closed last, else it may need our last acknowledgement again.
    pub(crate) fn after_segment(&mut self, now: Duration) -> Verdict {
        if !(self.fin_seen && self.fin_acked && self.rx.is_empty() && self.shut) {
            return Verdict::Keep;
        }
        if !self.closed_first {
            return Verdict::Done;
        }
        self.phase = Phase::TimeWait;
        self.heard = now;
        self.resend_at = None;
        self.probe_at = None;
        self.ack_at = None;
        Verdict::Keep
    }

    fn acknowledged(&mut self, ack: u32, s: &Segment<'_>, now: Duration) {
        let window = u32::from(s.window) << self.snd_scale;
        if before(self.una, ack) {
            self.advance(ack, now);
        } else if ack == self.una && s.len() == 0 && window == self.wnd && self.nxt != self.una {
            self.duplicate();
        }
        // RFC 9293 §3.10.7.4: an old segment must not bring an old window back.
        if before(self.wl1, s.seq) || (self.wl1 == s.seq && !before(ack, self.wl2)) {
            let opened = self.wnd == 0 && window > 0;
            self.wnd = window;
            (self.wl1, self.wl2) = (s.seq, ack);
            if opened {
                self.probe_at = None;
                self.rtt.backoff = 0;
            }
        }
    }

    fn advance(&mut self, ack: u32, now: Duration) {
        let acked = ack.wrapping_sub(self.una) as usize;
        let bytes = acked.min(self.tx.len());
        self.fin_acked |= self.eof && acked > self.tx.len();
        self.tx.consume(bytes);
        self.una = ack;
        self.nxt = later(self.nxt, ack);
        if let Some((seq, sent)) = self.rtt.timed
            && before(seq, ack)
        {
            self.rtt.timed = None;
            self.rtt.sample(now.saturating_sub(sent));
        }
        self.rtt.backoff = 0;
        self.dupacks = 0;
        self.grow(ack, bytes);
        if self.una == self.max {
            self.resend_at = None;
        } else {
            self.start_resend(now);
        }
    }

    /// Congestion window after new data was acknowledged.
    fn grow(&mut self, ack: u32, bytes: usize) {
        match self.recover {
            Some(recover) if before(ack, recover) => {
                // RFC 6582 §3.2 step 3: the next hole.
                self.resend_first = true;
                self.cwnd = self.cwnd.saturating_sub(bytes).saturating_add(self.mss).max(self.mss);
            }
            Some(_) => {
                self.recover = None;
                self.cwnd = self.ssthresh.max(self.mss);
            }
            None if self.cwnd < self.ssthresh => self.cwnd = (self.cwnd + bytes).min(1 << 30),
            None => self.cwnd = (self.cwnd + (self.mss * bytes / self.cwnd.max(1)).max(1)).min(1 << 30),
        }
    }

    fn duplicate(&mut self) {
        self.dupacks = self.dupacks.saturating_add(1);
        if self.recover.is_some() {
            self.cwnd = (self.cwnd + self.mss).min(1 << 30);
        } else if self.dupacks == 3 {
            self.ssthresh = (self.max.wrapping_sub(self.una) as usize / 2).max(2 * self.mss);
            self.cwnd = self.ssthresh + 3 * self.mss;
            self.recover = Some(self.max);
            self.resend_first = true;
            self.rtt.timed = None;
        }
    }

    fn data(&mut self, s: &Segment<'_>, limit: usize, budget: &mut Budget, now: Duration) {
        let is_question = s.seq == self.rcv_nxt && s.payload.len() < self.mss && !s.fin && self.ahead.is_empty();
        if is_question && self.ack_at.is_none() {
            self.ack_at = Some(now + ACK_DELAY);
        } else {
            self.ack_now = true;
        }
        // Where it begins as seen from what is expected; what came before is cut off.
        let skip = self.rcv_nxt.wrapping_sub(s.seq);
        let (ahead, payload) = if before(s.seq, self.rcv_nxt) {
            let Some(rest) = s.payload.get(skip as usize..) else {
                return;
            };
            (0, rest)
        } else {
            (s.seq.wrapping_sub(self.rcv_nxt) as usize, s.payload)
        };
        let window = self.edge.wrapping_sub(self.rcv_nxt) as usize;
        if ahead > window || self.fin_seen {
            return;
        }
        let whole = payload.len() <= window - ahead;
        let payload = &payload[..payload.len().min(window - ahead)];
        if s.fin && whole {
            self.fin_at.get_or_insert(s.seq.wrapping_add(s.payload.len() as u32));
        }
        if !payload.is_empty() {
            self.store(ahead, payload, limit, budget);
        }
        if self.fin_at == Some(self.rcv_nxt) {
            self.rcv_nxt = self.rcv_nxt.wrapping_add(1);
            self.edge = later(self.edge, self.rcv_nxt);
            self.closed_first = self.fin_sent() || self.fin_acked;
            self.fin_seen = true;
            self.ahead.clear();
        }
    }

    fn store(&mut self, ahead: usize, payload: &[u8], limit: usize, budget: &mut Budget) {
        let (start, before) = (self.rx.len() + ahead, self.rx.len());
        if !self.rx.reserve(start + payload.len(), limit, budget) {
            // Out of memory for all connections together: as if it had been lost on the wire.
            return;
        }
        if ahead == 0 && self.ahead.is_empty() {
            let taken = self.rx.push(payload);
            self.rcv_nxt = self.rcv_nxt.wrapping_add(taken as u32);
            return;
        }
        let end = start + self.rx.write_at(start, payload);
        if ahead > 0 {
            self.ahead.add(start, end);
            self.dup_acks = self.dup_acks.saturating_add(1).min(16);
            return;
        }
        let joined = self.ahead.join(end);
        self.rx.extend(joined - before);
        self.rcv_nxt = self.rcv_nxt.wrapping_add((joined - before) as u32);
    }
}
