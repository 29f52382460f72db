//! One TCP connection: the guest's on one side, a stream of the host on the other.

use std::net::IpAddr;
use std::time::Duration;

use super::ranges::Ranges;
use super::ring::Ring;
use crate::host::Alarm;
use crate::slab::Handle;

/// Who speaks with whom, as the guest sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Ends {
    pub(crate) guest: (IpAddr, u16),
    pub(crate) remote: (IpAddr, u16),
}

/// Where a connection goes on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostEnd {
    /// A socket.
    Fd(Handle),
    /// The channel of a guest forwarding rule.
    Channel(usize),
    /// Closed already.
    None,
}

/// How far a connection is. What RFC 9293 names further follows from who has sent and seen a FIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The guest's SYN waits for the host's connection.
    Connecting,
    /// We have answered the guest's SYN.
    SynReceived,
    /// We have sent a SYN to the guest.
    SynSent,
    Open,
    /// Over; late segments are answered for a while.
    TimeWait,
}

pub(crate) const RTO_FIRST: Duration = Duration::from_secs(1);
pub(crate) const RTO_LEAST: Duration = Duration::from_millis(200);
pub(crate) const RTO_MOST: Duration = Duration::from_secs(60);
/// How long a small segment waits for an answer that its acknowledgement can go with. Far below the 500 ms of RFC 9293 §3.8.6.3: a guest
/// that holds back its next small segment until then should not feel it.
pub(crate) const ACK_DELAY: Duration = Duration::from_millis(2);
pub(crate) const TIME_WAIT: Duration = Duration::from_secs(5);
/// Silence after which the guest is asked whether it is still there, and how often.
pub(crate) const KEEP_IDLE: Duration = Duration::from_secs(7200);
pub(crate) const KEEP_EVERY: Duration = Duration::from_secs(75);
pub(crate) const KEEP_TRIES: u8 = 9;
/// Retransmissions of data, and of a SYN, before a connection is given up.
pub(crate) const RETRIES: u8 = 12;
pub(crate) const SYN_RETRIES: u8 = 6;

/// Retransmission timing (RFC 6298).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rtt {
    smoothed: Option<(Duration, Duration)>,
    rto: Duration,
    pub(crate) backoff: u8,
    /// A sequence number that is being timed, and when it left.
    pub(crate) timed: Option<(u32, Duration)>,
}

impl Rtt {
    fn new() -> Self {
        Self {
            smoothed: None,
            rto: RTO_FIRST,
            backoff: 0,
            timed: None,
        }
    }

    pub(crate) fn sample(&mut self, rtt: Duration) {
        let (smoothed, variance) = match self.smoothed {
            None => (rtt, rtt / 2),
            Some((s, v)) => ((s * 7 + rtt) / 8, (v * 3 + s.abs_diff(rtt)) / 4),
        };
        self.smoothed = Some((smoothed, variance));
        self.rto = (smoothed + variance * 4).clamp(RTO_LEAST, RTO_MOST);
    }

    pub(crate) fn timeout(&self) -> Duration {
        (self.rto * (1 << self.backoff.min(8))).min(RTO_MOST)
    }
}

#[derive(Debug)]
pub(crate) struct Flow {
    // who
    pub(crate) ends: Ends,
    pub(crate) host: HostEnd,
    pub(crate) phase: Phase,
    // from the guest to the host
    /// In order and not yet taken by the host; what came ahead of order stands behind it in the same ring.
    pub(crate) rx: Ring,
    pub(crate) ahead: Ranges,
    pub(crate) rcv_nxt: u32,
    /// The right edge of the window that the guest has been told.
    pub(crate) edge: u32,
    pub(crate) rcv_scale: u8,
    /// The sequence number of the guest's FIN.
    pub(crate) fin_at: Option<u32>,
    /// It has been reached.
    pub(crate) fin_seen: bool,
    /// The host has been told.
    pub(crate) shut: bool,
    /// Our FIN had left before the guest's came.
    pub(crate) closed_first: bool,
    // from the host to the guest
    /// From the first byte not acknowledged.
    pub(crate) tx: Ring,
    pub(crate) una: u32,
    pub(crate) nxt: u32,
    pub(crate) max: u32,
    pub(crate) wnd: u32,
    pub(crate) wl1: u32,
    pub(crate) wl2: u32,
    pub(crate) snd_scale: u8,
    pub(crate) mss: usize,
    /// The host will send no more: a FIN follows the ring's last byte.
    pub(crate) eof: bool,
    pub(crate) fin_acked: bool,
    // congestion (RFC 5681, RFC 6582)
    pub(crate) cwnd: usize,
    pub(crate) ssthresh: usize,
    pub(crate) dupacks: u8,
    pub(crate) recover: Option<u32>,
    // time
    pub(crate) rtt: Rtt,
    pub(crate) resend_at: Option<Duration>,
    pub(crate) probe_at: Option<Duration>,
    pub(crate) ack_at: Option<Duration>,
    pub(crate) heard: Duration,
    pub(crate) keep_probes: u8,
    pub(crate) alarm: Alarm,
    // to do
    pub(crate) ack_now: bool,
    pub(crate) dup_acks: u8,
    pub(crate) resend_first: bool,
    pub(crate) probe_now: bool,
    pub(crate) listed: bool,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
}

impl Flow {
    pub(crate) fn new(ends: Ends, host: HostEnd, phase: Phase, iss: u32, now: Duration) -> Self {
        Self {
            ends,
            host,
            phase,
            rx: Ring::default(),
            ahead: Ranges::default(),
            rcv_nxt: 0,
            edge: 0,
            rcv_scale: 0,
            fin_at: None,
            fin_seen: false,
            shut: false,
            closed_first: false,
            tx: Ring::default(),
            una: iss,
            nxt: iss,
            max: iss,
            wnd: 0,
            wl1: 0,
            wl2: iss,
            snd_scale: 0,
            mss: 536,
            eof: false,
            fin_acked: false,
            cwnd: 10 * 1460,
            ssthresh: usize::MAX,
            dupacks: 0,
            recover: None,
            rtt: Rtt::new(),
            resend_at: None,
            probe_at: None,
            ack_at: None,
            heard: now,
            keep_probes: 0,
            alarm: Alarm::default(),
            ack_now: false,
            dup_acks: 0,
            resend_first: false,
            probe_now: false,
            listed: false,
            readable: false,
            writable: false,
        }
    }

    /// Bytes of payload that fit the wire's MTU in one segment.
    pub(crate) fn mss_of(mtu: u16, v6: bool) -> usize {
        usize::from(mtu).saturating_sub(if v6 { 60 } else { 40 }).max(8)
    }

    /// Takes over what a SYN of the guest says.
    pub(crate) fn learn_syn(
        &mut self,
        seq: u32,
        mss: Option<u16>,
        scale: Option<u8>,
        window: u16,
        ours: usize,
        limit: usize,
    ) {
        self.rcv_nxt = seq.wrapping_add(1);
        self.edge = self.rcv_nxt;
        self.mss = usize::from(mss.unwrap_or(536)).clamp(64, ours.max(64));
        if let Some(scale) = scale {
            self.snd_scale = scale;
            self.rcv_scale = (0..14).find(|s| limit >> s <= 0xffff).unwrap_or(14);
        } else {
            self.snd_scale = 0;
            self.rcv_scale = 0;
        }
        self.wnd = u32::from(window);
        self.wl1 = seq;
        self.cwnd = self.mss * 10;
    }

    /// Room for the guest's bytes now.
    pub(crate) fn window(&self, limit: usize) -> usize {
        limit.saturating_sub(self.rx.len()).min(0xffff << self.rcv_scale)
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.nxt.wrapping_sub(self.una) as usize
    }

    /// Whether our FIN has left.
    pub(crate) fn fin_sent(&self) -> bool {
        self.eof && self.phase == Phase::Open && self.max.wrapping_sub(self.una) as usize > self.tx.len()
    }

    /// Bytes of the ring not sent yet (or to be sent again).
    pub(crate) fn unsent(&self) -> usize {
        self.tx.len().saturating_sub(self.in_flight())
    }

    /// Whether the FIN is what comes next.
    pub(crate) fn fin_due(&self) -> bool {
        self.eof && !self.fin_acked && self.in_flight() == self.tx.len()
    }

    /// The name of RFC 9293's state.
    pub(crate) fn state(&self) -> &'static str {
        match self.phase {
            Phase::Connecting | Phase::SynReceived => "SYN_RCVD",
            Phase::SynSent => "SYN_SENT",
            Phase::TimeWait => "TIME_WAIT",
            Phase::Open => match (self.fin_seen, self.fin_sent() || self.fin_acked, self.fin_acked) {
                (false, false, _) => "ESTABLISHED",
                (false, true, false) => "FIN_WAIT_1",
                (false, _, true) => "FIN_WAIT_2",
                (true, false, _) => "CLOSE_WAIT",
                (true, true, _) => "LAST_ACK",
            },
        }
    }

    /// When a silent guest is asked whether it is still there.
    pub(crate) fn keep_at(&self) -> Duration {
        self.heard + KEEP_IDLE + KEEP_EVERY * u32::from(self.keep_probes)
    }

    /// When it wants to be looked at.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        let idle = match self.phase {
            Phase::TimeWait => Some(self.heard + TIME_WAIT),
            Phase::Open => Some(self.keep_at()),
            _ => None,
        };
        [self.resend_at, self.probe_at, self.ack_at, idle]
            .into_iter()
            .flatten()
            .min()
    }

    pub(crate) fn start_resend(&mut self, now: Duration) {
        self.resend_at = Some(now + self.rtt.timeout());
    }
}
