//! What a connection sends to the guest.

use smoltcp::wire::{IpProtocol, TcpPacket, TcpSeqNumber};
use std::time::Duration;

use super::flow::{Ends, Flow, KEEP_TRIES, Phase, RETRIES, RTO_MOST, SYN_RETRIES, TIME_WAIT};
use super::segment::{before, later};
use crate::checksum;
use crate::emit;
use crate::frame::{Gso, Meta, Offloads, Sink};
use crate::link::Link;

/// Frames that one connection sends before the next has its turn.
const TURN: usize = 64;

/// The control part of a segment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Head {
    pub(crate) seq: u32,
    pub(crate) ack: Option<u32>,
    pub(crate) syn: bool,
    pub(crate) fin: bool,
    pub(crate) rst: bool,
    pub(crate) psh: bool,
    pub(crate) window: u16,
    /// Options of a SYN.
    pub(crate) mss: Option<u16>,
    pub(crate) scale: Option<u8>,
}

impl Head {
    fn options(&self) -> ([u8; 8], usize) {
        let mut options = [0; 8];
        let mut len = 0;
        if let Some(mss) = self.mss {
            let [high, low] = mss.to_be_bytes();
            options[..4].copy_from_slice(&[2, 4, high, low]);
            len = 4;
        }
        if let Some(scale) = self.scale {
            // A NOP aligns it (RFC 7323 §2.2).
            options[len..len + 4].copy_from_slice(&[1, 3, 3, scale]);
            len += 4;
        }
        (options, len)
    }
}

/// Builds a frame whose hardware destination is still zero. Payloads beyond `mss` make a big segment.
pub(crate) fn build(
    link: &mut Link,
    mut frame: Vec<u8>,
    ends: &Ends,
    head: &Head,
    payload: (&[u8], &[u8]),
    mss: usize,
) -> (Vec<u8>, Meta) {
    let (options, options_len) = head.options();
    let length = payload.0.len() + payload.1.len();
    let tcp_len = 20 + options_len + length;
    let (from, to) = (ends.remote.0, ends.guest.0);
    frame.clear();
    frame.reserve(emit::ETHERNET + 40 + tcp_len);
    let (ident, source) = (link.ident(), link.source_mac(to));
    emit::ip(&mut frame, source, from, to, IpProtocol::Tcp, tcp_len, ident);
    let at = frame.len();
    frame.resize(at + 20 + options_len, 0);
    let mut packet = TcpPacket::new_unchecked(&mut frame[at..]);
    packet.set_src_port(ends.remote.1);
    packet.set_dst_port(ends.guest.1);
    packet.set_seq_number(TcpSeqNumber(head.seq as i32));
    packet.set_ack_number(TcpSeqNumber(head.ack.unwrap_or(0) as i32));
    packet.clear_flags();
    packet.set_header_len((20 + options_len) as u8);
    packet.set_ack(head.ack.is_some());
    packet.set_syn(head.syn);
    packet.set_fin(head.fin);
    packet.set_rst(head.rst);
    packet.set_psh(head.psh);
    packet.set_window_len(head.window);
    packet.options_mut().copy_from_slice(&options[..options_len]);
    frame.extend_from_slice(payload.0);
    frame.extend_from_slice(payload.1);
    let mut meta = Meta::default();
    let pseudo = checksum::pseudo(from, to, IpProtocol::Tcp.into(), tcp_len).unwrap_or(0);
    let sum = if link.offloads.is_empty() {
        !checksum::add(pseudo, checksum::sum(&frame[at..]))
    } else {
        meta.partial_checksum = Some((at as u16, 16));
        pseudo
    };
    frame[at + 16..at + 18].copy_from_slice(&sum.to_be_bytes());
    if length > mss {
        meta.gso = if to.is_ipv4() { Gso::Tcp4 } else { Gso::Tcp6 };
        meta.segment = mss as u16;
        meta.headers = (at + 20 + options_len) as u16;
    }
    (frame, meta)
}

/// A reset in answer to a segment that belongs to nothing (RFC 9293 §3.5.2).
pub(crate) fn refuse(link: &mut Link, ends: &Ends, seq: u32, len: u32, ack: Option<u32>) {
    let head = match ack {
        Some(ack) => Head {
            seq: ack,
            rst: true,
            ..Head::default()
        },
        None => Head {
            ack: Some(seq.wrapping_add(len)),
            rst: true,
            ..Head::default()
        },
    };
    let (frame, meta) = build(link, Vec::new(), ends, &head, (&[], &[]), usize::MAX);
    link.send(ends.guest.0, frame, meta);
}

/// How an output turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Nothing more to send for now.
    Idle,
    /// The sink is full or the turn is over; there is more.
    More,
}

impl Flow {
    fn head(&mut self, limit: usize) -> Head {
        let window = self.window(limit) as u32 >> self.rcv_scale;
        let told = self.rcv_nxt.wrapping_add(window << self.rcv_scale);
        // Never taken back: with what is buffered ahead the guest may count on it (RFC 9293 §3.8.6).
        self.edge = later(self.edge, told);
        let window = self.edge.wrapping_sub(self.rcv_nxt) >> self.rcv_scale;
        self.ack_now = false;
        self.ack_at = None;
        Head {
            seq: self.nxt,
            ack: Some(self.rcv_nxt),
            window: u16::try_from(window).unwrap_or(u16::MAX),
            ..Head::default()
        }
    }

    /// Whether the window has grown enough to be worth telling (RFC 9293 §3.8.6.2.2).
    pub(crate) fn check_window(&mut self, limit: usize) {
        let told = self.edge.wrapping_sub(self.rcv_nxt) as usize;
        let now = self.window(limit);
        if matches!(self.phase, Phase::Open) && !self.fin_seen && now >= told + (2 * self.mss).min(limit / 2) {
            let halved = now / 2 >= told;
            self.ack_now |= halved;
        }
    }

    /// Whether [`Self::output`] would send something.
    pub(crate) fn wants_output(&self) -> bool {
        match self.phase {
            Phase::Connecting => false,
            Phase::SynSent | Phase::SynReceived => self.nxt == self.una,
            Phase::TimeWait => self.ack_now,
            Phase::Open => {
                self.ack_now
                    || self.dup_acks > 0
                    || self.resend_first
                    || self.probe_now
                    || self.sendable() > 0
                    || self.fin_can_go()
            }
        }
    }

    fn fin_can_go(&self) -> bool {
        self.fin_due() && (self.in_flight() < (self.wnd as usize).min(self.cwnd).max(1))
    }

    /// Bytes that windows let go now; a small piece at the window's edge waits for more room (RFC 9293 §3.8.6.2.1).
    fn sendable(&self) -> usize {
        let flight = self.in_flight();
        let usable = (self.wnd as usize).min(self.cwnd).saturating_sub(flight);
        let unsent = self.unsent();
        let now = unsent.min(usable);
        if now < unsent && now < self.mss && flight > 0 {
            0
        } else {
            now
        }
    }

    /// Sends what may go while the sink has room.
    pub(crate) fn output(&mut self, link: &mut Link, sink: &mut dyn Sink, limit: usize, now: Duration) -> Turn {
        for _ in 0..TURN {
            if !self.wants_output() {
                self.watch_window(now);
                return Turn::Idle;
            }
            if sink.room() == 0 {
                return Turn::More;
            }
            match self.phase {
                Phase::SynSent | Phase::SynReceived => self.send_syn(link, sink, limit, now),
                Phase::Connecting => return Turn::Idle,
                Phase::TimeWait => self.send_ack(link, sink, limit),
                Phase::Open if self.resend_first => self.send_first(link, sink, limit, now),
                Phase::Open if self.probe_now => self.send_probe(link, sink, limit),
                Phase::Open if self.dup_acks > 1 => {
                    self.dup_acks -= 1;
                    self.send_ack(link, sink, limit);
                    self.ack_now = true;
                }
                Phase::Open => self.send_next(link, sink, limit, now),
            }
        }
        if self.wants_output() { Turn::More } else { Turn::Idle }
    }

    /// With nothing in flight and the window too small, only a probe finds out that it opened.
    fn watch_window(&mut self, now: Duration) {
        let stuck = self.phase == Phase::Open && self.in_flight() == 0 && (self.unsent() > 0 || self.fin_due());
        if !stuck {
            self.probe_at = None;
        } else if self.probe_at.is_none() {
            self.probe_at = Some(now + self.rtt.timeout());
        }
    }

    fn send_syn(&mut self, link: &mut Link, sink: &mut dyn Sink, limit: usize, now: Duration) {
        let answer = self.phase == Phase::SynReceived;
        let mut head = self.head(limit);
        if !answer {
            head.ack = None;
            self.rcv_scale = (0..14).find(|s| limit >> s <= 0xffff).unwrap_or(14);
        }
        let scaled = !answer || self.rcv_scale > 0 || self.snd_scale > 0;
        head.seq = self.una;
        head.syn = true;
        // The window of a SYN is never scaled (RFC 7323 §2.2).
        head.window = u16::try_from(limit.min(0xffff)).unwrap_or(u16::MAX);
        if answer {
            self.edge = self.rcv_nxt.wrapping_add(u32::from(head.window));
        }
        head.mss = Some(Flow::mss_of(link.config.mtu, self.ends.guest.0.is_ipv6()).min(0xffff) as u16);
        head.scale = scaled.then_some(self.rcv_scale);
        self.nxt = self.una.wrapping_add(1);
        self.max = self.nxt;
        if self.rtt.backoff == 0 {
            self.rtt.timed = Some((self.una, now));
        }
        self.start_resend(now);
        self.ship(link, sink, &head, 0, 0);
    }

    fn send_ack(&mut self, link: &mut Link, sink: &mut dyn Sink, limit: usize) {
        let mut head = self.head(limit);
        head.seq = self.max;
        self.ship(link, sink, &head, 0, 0);
    }

    /// Again what the guest misses.
    fn send_first(&mut self, link: &mut Link, sink: &mut dyn Sink, limit: usize, now: Duration) {
        self.resend_first = false;
        let len = self.tx.len().min(self.mss);
        if len == 0 && !self.fin_sent() {
            return;
        }
        let mut head = self.head(limit);
        head.seq = self.una;
        head.psh = len == self.tx.len();
        head.fin = head.psh && self.fin_sent();
        self.start_resend(now);
        self.ship(link, sink, &head, 0, len);
    }

    /// One byte into a closed window.
    fn send_probe(&mut self, link: &mut Link, sink: &mut dyn Sink, limit: usize) {
        self.probe_now = false;
        let mut head = self.head(limit);
        let len = self.unsent().min(1);
        head.seq = if len == 1 { self.una } else { self.una.wrapping_sub(1) };
        self.ship(link, sink, &head, 0, len);
        if len == 1 {
            // If the guest takes it after all, it acknowledges it.
            self.max = later(self.max, self.una.wrapping_add(1));
        }
    }

    fn send_next(&mut self, link: &mut Link, sink: &mut dyn Sink, limit: usize, now: Duration) {
        let tso = if self.ends.guest.0.is_ipv4() {
            Offloads::TSO4
        } else {
            Offloads::TSO6
        };
        let most = if link.offloads.contains(tso) {
            (65_400 / self.mss).max(1) * self.mss
        } else {
            self.mss
        };
        let offset = self.in_flight();
        let len = self.sendable().min(most);
        let mut head = self.head(limit);
        head.psh = len > 0 && len == self.unsent();
        head.fin =
            self.eof && !self.fin_acked && offset + len == self.tx.len() && offset + len < (self.wnd as usize).max(1);
        let taken = len as u32 + u32::from(head.fin);
        if taken == 0 {
            head.seq = self.max;
        }
        self.dup_acks = 0;
        self.ship(link, sink, &head, offset, len);
        if taken == 0 {
            return;
        }
        if self.rtt.timed.is_none() && self.nxt == self.max {
            self.rtt.timed = Some((self.nxt, now));
        }
        self.nxt = self.nxt.wrapping_add(taken);
        self.max = later(self.max, self.nxt);
        self.probe_at = None;
        if self.resend_at.is_none() {
            self.start_resend(now);
        }
    }

    fn ship(&mut self, link: &mut Link, sink: &mut dyn Sink, head: &Head, offset: usize, len: usize) {
        let buffer = sink.buffer();
        let (mut frame, meta) = build(link, buffer, &self.ends, head, self.tx.slices(offset, len), self.mss);
        match link.mac_of(self.ends.guest.0) {
            Some(mac) => {
                frame[..6].copy_from_slice(mac.as_bytes());
                sink.frame(frame, meta);
            }
            None => link.send(self.ends.guest.0, frame, meta),
        }
    }

    /// The state of a reset that we send on our own.
    pub(crate) fn reset_head(&self) -> Head {
        match self.phase {
            Phase::Connecting => Head {
                ack: Some(self.rcv_nxt),
                rst: true,
                ..Head::default()
            },
            _ => Head {
                seq: self.max,
                ack: Some(self.rcv_nxt),
                rst: true,
                ..Head::default()
            },
        }
    }

    /// A deadline may have come. `false`: the guest does not answer any more. `blocked`: the sink takes nothing, so that silence
    /// means nothing.
    pub(crate) fn on_time(&mut self, now: Duration, blocked: bool) -> bool {
        if self.resend_at.is_some_and(|at| at <= now) && !self.resend(now, blocked) {
            return false;
        }
        if self.ack_at.is_some_and(|at| at <= now) {
            self.ack_at = None;
            self.ack_now = true;
        }
        if self.probe_at.is_some_and(|at| at <= now) {
            self.probe_now = true;
            if !blocked {
                self.rtt.backoff = self.rtt.backoff.saturating_add(1);
            }
            self.probe_at = Some(now + self.rtt.timeout().min(RTO_MOST));
        }
        match self.phase {
            Phase::TimeWait => now < self.heard + TIME_WAIT,
            Phase::Open if now >= self.keep_at() => self.keep_alive(now, blocked),
            _ => true,
        }
    }

    fn keep_alive(&mut self, now: Duration, blocked: bool) -> bool {
        if blocked {
            self.heard = now;
        } else {
            self.keep_probes = self.keep_probes.saturating_add(1);
            self.probe_now = true;
        }
        self.keep_probes <= KEEP_TRIES
    }

    fn resend(&mut self, now: Duration, blocked: bool) -> bool {
        if blocked {
            self.start_resend(now);
            return true;
        }
        let most = if self.phase == Phase::Open {
            RETRIES
        } else {
            SYN_RETRIES
        };
        if self.rtt.backoff >= most {
            return false;
        }
        self.rtt.backoff += 1;
        self.rtt.timed = None;
        if self.phase == Phase::Open && before(self.una, self.max) {
            let flight = self.max.wrapping_sub(self.una) as usize;
            self.ssthresh = (flight / 2).max(2 * self.mss);
            self.cwnd = self.mss;
            self.recover = None;
            self.dupacks = 0;
            self.resend_first = false;
        }
        self.nxt = self.una;
        self.start_resend(now);
        true
    }
}

/// For an ICMP error: the first bytes of the segment it is about.
pub(crate) fn quoted(link: &mut Link, ends: &Ends, seq: u32) -> Option<Vec<u8>> {
    let mut packet = Vec::with_capacity(emit::ETHERNET + 48);
    let (mac, ident) = (link.source_mac(ends.guest.0), link.ident());
    if !emit::ip(
        &mut packet,
        mac,
        ends.guest.0,
        ends.remote.0,
        IpProtocol::Tcp,
        20,
        ident,
    ) {
        return None;
    }
    packet.drain(..emit::ETHERNET);
    packet.extend_from_slice(&ends.guest.1.to_be_bytes());
    packet.extend_from_slice(&ends.remote.1.to_be_bytes());
    packet.extend_from_slice(&seq.to_be_bytes());
    Some(packet)
}
