//! TCP: the table of connections, and where they come from.

mod flow;
mod hostside;
mod input;
mod listen;
mod open;
mod output;
mod ranges;
mod ring;
mod segment;

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::Duration;

use crate::forward::{Channel, ChannelId, GuestTarget};
use crate::frame::Sink;
use crate::host::TimerKey;
use crate::info::FlowInfo;
use crate::net::Cx;
use crate::slab::{Handle, Slab};
use crate::tcp::flow::{Ends, Flow, HostEnd, Phase};
use crate::tcp::hostside::HostEvent;
use crate::tcp::input::Verdict;
use crate::tcp::output::Turn;
use crate::tcp::ring::Budget;
use crate::tcp::segment::Segment;

pub(crate) use listen::Listener;

/// Turns of connections in one call of `run`.
const TURNS: usize = 256;

/// A guest forwarding rule.
#[derive(Debug)]
pub(crate) struct Forward {
    pub(crate) server: IpAddr,
    pub(crate) port: u16,
    pub(crate) target: GuestTarget,
    /// The connection that has the channel.
    current: Option<Handle>,
}

#[derive(Debug)]
pub(crate) struct Tcp {
    flows: Slab<Box<Flow>>,
    keys: HashMap<Ends, Handle>,
    /// The connection of the last segment: most segments come in runs.
    last: Option<(Ends, Handle)>,
    /// Connections that have something to do.
    ready: VecDeque<Handle>,
    listeners: Slab<Listener>,
    forwards: Vec<Forward>,
    budget: Budget,
    secret: RandomState,
    processes: Vec<std::process::Child>,
    next_port: u16,
}

impl Tcp {
    pub(crate) fn new(memory: usize) -> Self {
        Self {
            flows: Slab::default(),
            keys: HashMap::new(),
            last: None,
            ready: VecDeque::new(),
            listeners: Slab::default(),
            forwards: Vec::new(),
            budget: Budget::new(memory),
            secret: RandomState::new(),
            processes: Vec::new(),
            next_port: 0,
        }
    }

    /// An initial sequence number that the other side cannot guess (RFC 6528).
    fn initial(&self, ends: &Ends, now: Duration) -> u32 {
        (self.secret.hash_one(ends) as u32).wrapping_add((now.as_micros() / 4) as u32)
    }

    fn find(&mut self, ends: &Ends) -> Option<Handle> {
        match self.last {
            Some((last, handle)) if last == *ends => Some(handle),
            _ => {
                let handle = *self.keys.get(ends)?;
                self.last = Some((*ends, handle));
                Some(handle)
            }
        }
    }

    /// A segment of the guest.
    pub(crate) fn input(&mut self, cx: &mut Cx<'_>, from: IpAddr, to: IpAddr, bytes: &[u8]) {
        let Some(segment) = Segment::parse(bytes) else { return };
        let ends = Ends {
            guest: (from, segment.source),
            remote: (to, segment.destination),
        };
        let Some(handle) = self.find(&ends) else {
            return self.unknown(cx, ends, &segment);
        };
        let (now, limit) = (cx.link.now, cx.link.config.limits.tcp_buffer);
        let ours = Flow::mss_of(cx.link.config.mtu, from.is_ipv6());
        let Some(flow) = self.flows.get_mut(handle) else { return };
        if flow.phase == Phase::TimeWait && segment.syn && !segment.rst {
            // A new connection between the same ends (RFC 9293 §3.10.7.4).
            self.remove(cx, handle);
            return self.unknown(cx, ends, &segment);
        }
        match flow.segment(&segment, ours, limit, &mut self.budget, now) {
            Verdict::Keep => self.list(handle),
            Verdict::Done => self.remove(cx, handle),
            Verdict::Reset => self.abort_host(cx, handle),
            Verdict::Refuse => {
                output::refuse(cx.link, &ends, segment.seq, segment.len(), segment.ack);
                self.abort_host(cx, handle);
            }
        }
    }

    fn unknown(&mut self, cx: &mut Cx<'_>, ends: Ends, s: &Segment<'_>) {
        if s.rst {
            return;
        }
        if s.syn && s.ack.is_none() && !s.fin {
            self.open(cx, ends, s);
        } else if !cx.link.config.restrict {
            output::refuse(cx.link, &ends, s.seq, s.len(), s.ack);
        }
    }

    /// Puts a connection on the list of those that have something to do.
    fn list(&mut self, handle: Handle) {
        if let Some(flow) = self.flows.get_mut(handle)
            && !std::mem::replace(&mut flow.listed, true)
        {
            self.ready.push_back(handle);
        }
    }

    /// A watched socket has become ready.
    pub(crate) fn host_ready(&mut self, handle: Handle, readable: bool, writable: bool) {
        if let Some(flow) = self.flows.get_mut(handle) {
            flow.readable |= readable;
            flow.writable |= writable;
            self.list(handle);
        }
    }

    pub(crate) fn on_timer(&mut self, cx: &mut Cx<'_>, handle: Handle, sink: &dyn Sink) {
        let Some(flow) = self.flows.get_mut(handle) else { return };
        flow.alarm.fired();
        if flow.on_time(cx.link.now, sink.room() == 0) {
            self.list(handle);
        } else if flow.phase == Phase::TimeWait {
            self.remove(cx, handle);
        } else {
            self.abort(cx, handle);
        }
    }

    /// Gives every listed connection its turn. `true`: there is more to do now.
    pub(crate) fn run(&mut self, cx: &mut Cx<'_>, sink: &mut dyn Sink) -> bool {
        let mut blocked = Vec::new();
        let mut turns = 0;
        while turns < TURNS {
            let Some(handle) = self.ready.pop_front() else { break };
            turns += 1;
            if self.turn(cx, handle, sink) {
                if sink.room() == 0 {
                    blocked.push(handle);
                } else if let Some(flow) = self.flows.get_mut(handle) {
                    flow.listed = true;
                    self.ready.push_back(handle);
                }
            }
        }
        let more = !self.ready.is_empty();
        for handle in blocked {
            if let Some(flow) = self.flows.get_mut(handle) {
                flow.listed = true;
                self.ready.push_back(handle);
            }
        }
        if self.budget.was_short() {
            self.reclaim();
        }
        more
    }

    /// Somebody found no memory: whoever holds some and uses none gives it back.
    fn reclaim(&mut self) {
        for handle in self.flows.handles() {
            let Some(flow) = self.flows.get_mut(handle) else {
                continue;
            };
            let starved = flow.readable && flow.tx.capacity() == 0;
            flow.tx.trim(&mut self.budget);
            if flow.ahead.is_empty() {
                flow.rx.trim(&mut self.budget);
            }
            if starved {
                self.list(handle);
            }
        }
    }

    /// `true`: it wants another turn.
    fn turn(&mut self, cx: &mut Cx<'_>, handle: Handle, sink: &mut dyn Sink) -> bool {
        let (now, limit) = (cx.link.now, cx.link.config.limits.tcp_buffer);
        let Some(flow) = self.flows.get_mut(handle) else {
            return false;
        };
        flow.listed = false;
        if flow.phase == Phase::Connecting {
            self.check_connected(cx, handle);
        }
        if self.host_turn(cx, handle) == HostEvent::Broken {
            self.abort(cx, handle);
            return false;
        }
        let Some(flow) = self.flows.get_mut(handle) else {
            return false;
        };
        if flow.phase == Phase::Open && flow.after_segment(now) == Verdict::Done {
            self.remove(cx, handle);
            return false;
        }
        flow.check_window(limit);
        let mut more = flow.output(cx.link, sink, limit, now) == Turn::More;
        // What was just sent made no room; what the guest acknowledges will.
        more |= flow.readable && !flow.eof && flow.phase == Phase::Open && flow.tx.is_empty();
        if let Some(at) = flow.deadline() {
            flow.alarm.want(at, TimerKey::Tcp(handle), cx.timers);
        }
        if flow.phase == Phase::TimeWait && flow.host != HostEnd::None {
            self.close_host(cx, handle);
        }
        more
    }

    fn host_turn(&mut self, cx: &mut Cx<'_>, handle: Handle) -> HostEvent {
        let limit = cx.link.config.limits.tcp_buffer;
        let Some(flow) = self.flows.get_mut(handle) else {
            return HostEvent::Fine;
        };
        if flow.phase != Phase::Open {
            return HostEvent::Fine;
        }
        match flow.host {
            HostEnd::Fd(fd) => {
                let Some(fd) = cx.fds.get(fd) else {
                    return HostEvent::Broken;
                };
                if flow.write_socket(fd) == HostEvent::Broken {
                    return HostEvent::Broken;
                }
                flow.read_socket(fd, limit, &mut self.budget)
            }
            HostEnd::Channel(index) => {
                if let Some(GuestTarget::Channel(channel)) = self.forwards.get_mut(index).map(|f| &mut f.target) {
                    write_channel(flow, channel.as_mut());
                }
                HostEvent::Fine
            }
            HostEnd::None => HostEvent::Fine,
        }
    }

    /// Ends a connection with a reset to the guest.
    fn abort(&mut self, cx: &mut Cx<'_>, handle: Handle) {
        if let Some(flow) = self.flows.get(handle) {
            let head = flow.reset_head();
            let (frame, meta) = output::build(cx.link, Vec::new(), &flow.ends, &head, (&[], &[]), usize::MAX);
            cx.link.send(flow.ends.guest.0, frame, meta);
        }
        self.abort_host(cx, handle);
    }

    /// Ends a connection with a reset to the host's peer.
    fn abort_host(&mut self, cx: &mut Cx<'_>, handle: Handle) {
        if let Some(HostEnd::Fd(fd)) = self.flows.get(handle).map(|f| f.host)
            && let Some(fd) = cx.fds.get(fd)
        {
            // Not every kind of socket has it.
            let _ = rustix::net::sockopt::set_socket_linger(fd, Some(Duration::ZERO));
        }
        self.remove(cx, handle);
    }

    fn remove(&mut self, cx: &mut Cx<'_>, handle: Handle) {
        self.close_host(cx, handle);
        let Some(mut flow) = self.flows.remove(handle) else {
            return;
        };
        self.keys.remove(&flow.ends);
        self.last = None;
        flow.alarm.cancel(TimerKey::Tcp(handle), cx.timers);
        flow.rx.release(&mut self.budget);
        flow.tx.release(&mut self.budget);
    }

    fn close_host(&mut self, cx: &mut Cx<'_>, handle: Handle) {
        let Some(flow) = self.flows.get_mut(handle) else { return };
        match std::mem::replace(&mut flow.host, HostEnd::None) {
            HostEnd::Fd(fd) => cx.fds.remove(fd),
            HostEnd::Channel(index) => {
                if let Some(forward) = self.forwards.get_mut(index)
                    && forward.current == Some(handle)
                {
                    forward.current = None;
                    if let GuestTarget::Channel(channel) = &mut forward.target {
                        channel.closed();
                    }
                }
            }
            HostEnd::None => {}
        }
    }

    /// Collects programs that have ended. `true`: some still run.
    pub(crate) fn reap(&mut self) -> bool {
        self.processes.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        !self.processes.is_empty()
    }

    pub(crate) fn has_processes(&self) -> bool {
        !self.processes.is_empty()
    }

    /// `None`: the server and port are forwarded already.
    pub(crate) fn add_forward(&mut self, server: IpAddr, port: u16, target: GuestTarget) -> Option<ChannelId> {
        if self.forwards.iter().any(|f| (f.server, f.port) == (server, port)) {
            return None;
        }
        let id = u32::try_from(self.forwards.len()).ok()?;
        self.forwards.push(Forward {
            server,
            port,
            target,
            current: None,
        });
        Some(ChannelId(id))
    }

    /// Ends everything without a word to the guest.
    pub(crate) fn reset(&mut self, cx: &mut Cx<'_>) {
        for handle in self.flows.handles() {
            self.abort_host(cx, handle);
        }
        self.ready.clear();
    }

    pub(crate) fn channel_room(&self, channel: ChannelId, limit: usize) -> usize {
        let current = self.forwards.get(channel.0 as usize).and_then(|f| f.current);
        current
            .and_then(|h| self.flows.get(h))
            .map_or(0, |f| f.channel_room(limit))
    }

    pub(crate) fn channel_input(&mut self, channel: ChannelId, data: &[u8], limit: usize) -> usize {
        let Some(handle) = self.forwards.get(channel.0 as usize).and_then(|f| f.current) else {
            return 0;
        };
        let Some(flow) = self.flows.get_mut(handle) else {
            return 0;
        };
        let taken = flow.take_channel_bytes(data, limit, &mut self.budget);
        self.list(handle);
        taken
    }

    pub(crate) fn channel_writable(&mut self, channel: ChannelId) {
        if let Some(handle) = self.forwards.get(channel.0 as usize).and_then(|f| f.current) {
            self.host_ready(handle, false, true);
        }
    }

    pub(crate) fn info(&self, cx: &crate::host::Fds, out: &mut Vec<FlowInfo>) {
        use rustix::fd::AsRawFd;
        for (_, flow) in self.flows.iter() {
            let fd = if let HostEnd::Fd(fd) = flow.host {
                cx.get(fd).map_or(-1, |fd| fd.as_raw_fd())
            } else {
                -1
            };
            out.push(FlowInfo {
                protocol: format!("TCP[{}]", flow.state()),
                fd,
                source: Some(flow.ends.guest.into()),
                destination: Some(flow.ends.remote.into()),
                receive_queue: flow.rx.len(),
                send_queue: flow.tx.len(),
            });
        }
        self.listeners_info(cx, out);
    }
}

fn write_channel(flow: &mut Flow, channel: &mut dyn Channel) {
    while flow.writable && !flow.rx.is_empty() {
        let (first, _) = flow.rx.slices(0, usize::MAX);
        let offered = first.len();
        let taken = channel.write(first).min(offered);
        flow.taken(taken);
        flow.writable = taken == offered;
    }
    if flow.fin_seen && flow.rx.is_empty() && !flow.shut {
        flow.shut = true;
        // A channel has no half that could stay open.
        flow.eof = true;
    }
}

/// Of a segment of the router: ports, the sequence number after it, its acknowledgement. For tests.
pub(crate) fn peek(bytes: &[u8]) -> Option<(u16, u16, u32, u32)> {
    let s = Segment::parse(bytes)?;
    Some((s.source, s.destination, s.seq.wrapping_add(s.len()), s.ack.unwrap_or(0)))
}
