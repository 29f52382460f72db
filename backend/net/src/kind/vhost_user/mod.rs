//! `vhost-user`: another process that works on virtio rings, over a character back end that is a unix socket.
//!
//! The rings are our own, in memory of our own, and not the guest's: this is a driver beside the machine, which moves frames. That costs a
//! copy, and in return frames pass filters and captures, enter the machine as completions (so a recorded run plays again, and a machine
//! moves), every NIC may stand in front, also one that is not virtio, and the other process sees no byte of the guest but its frames. It
//! comes and goes as it likes: each time there are new rings in new memory.

mod ring;

use rustix::fd::OwnedFd;
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use southbridge_backend_chardev::{CharEvent, CharHandle};
use southbridge_core::host::{HostCx, HostEvent};
use southbridge_core::memory::RamBlock;
use southbridge_protocol_vhost_user::{
    Body, F_PROTOCOL_FEATURES, Message, Reader, Region, Request, protocol_feature as protocol,
};
use std::time::{Duration, Instant};

use self::ring::{Broken, Ring};
use super::Options;
use crate::error::NetError;
use crate::link::{Link, LinkCx, LinkEvent};
use crate::packet::{Offloads, Packet};

const BURST: usize = 64;
const MOST_QUEUES: u64 = 64;

/// Features of a network device that this driver knows (virtio 1.3, section 5.1.3).
mod feature {
    pub(super) const CSUM: u64 = 1 << 0;
    pub(super) const GUEST_CSUM: u64 = 1 << 1;
    pub(super) const GUEST_TSO4: u64 = 1 << 7;
    pub(super) const GUEST_TSO6: u64 = 1 << 8;
    pub(super) const GUEST_ECN: u64 = 1 << 9;
    pub(super) const HOST_TSO4: u64 = 1 << 11;
    pub(super) const HOST_TSO6: u64 = 1 << 12;
    pub(super) const HOST_ECN: u64 = 1 << 13;
    pub(super) const MRG_RXBUF: u64 = 1 << 15;
    pub(super) const VERSION_1: u64 = 1 << 32;

    const LONG: u64 = GUEST_TSO4 | GUEST_TSO6 | GUEST_ECN;

    /// What is agreed on.
    pub(super) const fn chosen(offered: u64) -> u64 {
        let known = CSUM | GUEST_CSUM | LONG | HOST_TSO4 | HOST_TSO6 | HOST_ECN | MRG_RXBUF | VERSION_1;
        let both = offered & known;
        // Long frames go over several buffers, and rest on checksums that are left to be done.
        let both = if both & MRG_RXBUF == 0 || both & GUEST_CSUM == 0 {
            both & !LONG
        } else {
            both
        };
        if both & CSUM == 0 {
            both & !(HOST_TSO4 | HOST_TSO6 | HOST_ECN)
        } else {
            both
        }
    }
}

/// How far things are with the peer.
enum State {
    /// There is none.
    Down,
    /// It was asked for its features.
    Features,
    /// Likewise for those of the protocol; these are the others.
    Protocol(u64),
    /// Likewise for its queues.
    Queues(u64),
    Up(Session),
    /// It is of no use; another may come.
    Useless,
}

/// What both sides work on.
struct Session {
    offloads: Offloads,
    /// Rings are turned on and off one by one.
    can_enable: bool,
    /// Receive and transmit ring of each queue.
    rings: Vec<Ring>,
}

pub(crate) struct VhostUser {
    chardev: String,
    channel: Option<CharHandle>,
    reader: Reader,
    /// For each queue: whether the front end works on it.
    queues: Vec<bool>,
    state: State,
    starved: bool,
}

impl VhostUser {
    pub(crate) fn new(options: &Options) -> Result<Self, NetError> {
        let chardev = options.required("vhost-user", "chardev", "ID")?.to_owned();
        let queues = options.uint("queues").unwrap_or(1);
        if !(1..=MOST_QUEUES).contains(&queues) {
            return Err(NetError::BadValue {
                option: "queues".into(),
                value: queues.to_string(),
                expected: format!("a number from 1 to {MOST_QUEUES}"),
            });
        }
        Ok(Self {
            chardev,
            channel: None,
            reader: Reader::default(),
            queues: (0..queues).map(|n| n == 0).collect(),
            state: State::Down,
            starved: false,
        })
    }

    pub(crate) fn join(&mut self, channel: CharHandle, cx: &mut LinkCx<'_, '_>) {
        self.channel = Some(channel);
        self.listen(cx);
    }

    /// Works off what the channel has.
    fn listen(&mut self, cx: &mut LinkCx<'_, '_>) {
        while let Some(event) = self.channel.as_ref().and_then(CharHandle::next) {
            match event {
                CharEvent::Opened => self.begin(cx),
                CharEvent::Closed => self.end(State::Down, cx),
                CharEvent::Data { bytes, .. } => self.hear(&bytes, cx),
                CharEvent::Writable | CharEvent::Break => {}
            }
        }
    }

    fn begin(&mut self, cx: &mut LinkCx<'_, '_>) {
        self.end(State::Down, cx);
        self.reader = Reader::default();
        self.state = State::Features;
        self.say(Request::SetOwner, &Body::Empty, cx);
        self.say(Request::GetFeatures, &Body::Empty, cx);
    }

    /// Leaves the session, if there is one.
    fn end(&mut self, state: State, cx: &mut LinkCx<'_, '_>) {
        if let State::Up(mut session) = std::mem::replace(&mut self.state, state) {
            session.rings.iter_mut().for_each(|r| r.watch(false, cx.host));
            self.starved = false;
            cx.tell(LinkEvent::Returned);
        }
    }

    fn give_up(&mut self, why: &str, cx: &mut LinkCx<'_, '_>) {
        self.end(State::Useless, cx);
        let text = format!("the other side of '{}' is of no use: {why}", self.chardev);
        cx.tell(LinkEvent::Warning(text));
    }

    fn hear(&mut self, bytes: &[u8], cx: &mut LinkCx<'_, '_>) {
        if matches!(self.state, State::Down | State::Useless) {
            return;
        }
        self.reader.feed(bytes);
        loop {
            match self.reader.next() {
                Ok(Some(m)) => self.on_message(&m, cx),
                Ok(None) => return,
                Err(e) => return self.give_up(&format!("it sends {e}"), cx),
            }
        }
    }

    fn on_message(&mut self, m: &Message, cx: &mut LinkCx<'_, '_>) {
        let (Some(number), true) = (m.number(), m.reply) else {
            return self.give_up("it sends something that is no answer", cx);
        };
        match (&self.state, Request::from_number(m.request)) {
            (State::Features, Some(Request::GetFeatures)) => self.on_features(number, cx),
            (State::Protocol(features), Some(Request::GetProtocolFeatures)) => {
                let features = *features;
                self.on_protocol(features, number, cx);
            }
            (State::Queues(features), Some(Request::GetQueueNum)) => {
                let features = *features;
                if number < self.queues.len() as u64 {
                    let why = format!("it has {number} queues, and queues={} are wanted", self.queues.len());
                    return self.give_up(&why, cx);
                }
                self.set_up(features, true, cx);
            }
            // It could not map the memory.
            (State::Up(_), Some(Request::SetMemTable)) if number != 0 => {
                self.give_up("it could not take the memory of the rings", cx);
            }
            (State::Up(_), _) | (State::Useless | State::Down, _) => {}
            _ => self.give_up("it answers what it was not asked", cx),
        }
    }

    fn on_features(&mut self, features: u64, cx: &mut LinkCx<'_, '_>) {
        if features & feature::VERSION_1 == 0 {
            return self.give_up("it knows only virtio from before version 1", cx);
        }
        if features & F_PROTOCOL_FEATURES != 0 {
            self.state = State::Protocol(features);
            return self.say(Request::GetProtocolFeatures, &Body::Empty, cx);
        }
        self.without_queue_count(features, false, cx);
    }

    fn on_protocol(&mut self, features: u64, offered: u64, cx: &mut LinkCx<'_, '_>) {
        let chosen = offered & (protocol::MQ | protocol::REPLY_ACK);
        self.say(Request::SetProtocolFeatures, &Body::Number(chosen), cx);
        if chosen & protocol::MQ != 0 && self.queues.len() > 1 {
            self.state = State::Queues(features);
            return self.say(Request::GetQueueNum, &Body::Empty, cx);
        }
        self.without_queue_count(features, chosen & protocol::REPLY_ACK != 0, cx);
    }

    fn without_queue_count(&mut self, features: u64, acknowledges: bool, cx: &mut LinkCx<'_, '_>) {
        if self.queues.len() > 1 {
            let why = format!("it has one queue, and queues={} are wanted", self.queues.len());
            return self.give_up(&why, cx);
        }
        self.set_up(features, acknowledges, cx);
    }

    fn say(&mut self, request: Request, body: &Body, cx: &mut LinkCx<'_, '_>) {
        self.say_with(Message::request(request, body), Vec::new(), cx);
    }

    fn say_with(&mut self, message: Message, fds: Vec<OwnedFd>, cx: &mut LinkCx<'_, '_>) {
        let sent = self
            .channel
            .as_ref()
            .is_some_and(|c| c.write_with_fds(&message.to_bytes(), fds));
        if !sent {
            self.give_up("it does not read", cx);
        }
    }

    /// Makes the rings and lends them.
    fn set_up(&mut self, offered: u64, acknowledges: bool, cx: &mut LinkCx<'_, '_>) {
        match self.lend(offered, acknowledges, cx) {
            Ok(session) if !matches!(self.state, State::Useless) => {
                self.state = State::Up(session);
                cx.tell(LinkEvent::Lent(self.chardev.clone()));
                for queue in 0..self.queues.len() {
                    self.receive(queue, cx);
                }
                cx.tell(LinkEvent::Writable);
            }
            Ok(_) => {}
            Err(e) => self.give_up(&format!("no memory for rings ({e})"), cx),
        }
    }

    fn lend(&mut self, offered: u64, acknowledges: bool, cx: &mut LinkCx<'_, '_>) -> Result<Session, std::io::Error> {
        let features = feature::chosen(offered);
        let has_protocol = offered & F_PROTOCOL_FEATURES;
        self.say(Request::SetFeatures, &Body::Number(features | has_protocol), cx);
        let size = ring::BYTES * self.queues.len() as u64 * 2;
        let memory = RamBlock::new("vhost-user", size)?;
        let region = Region {
            guest: 0,
            size,
            user: 0,
            offset: 0,
        };
        let mut table = Message::request(Request::SetMemTable, &Body::Memory(vec![region]));
        table.need_reply = acknowledges && has_protocol != 0;
        self.say_with(table, vec![fcntl_dupfd_cloexec(memory.fd(), 0)?], cx);
        let mut rings = Vec::new();
        for index in 0..self.queues.len() as u32 * 2 {
            let mut ring = Ring::new(&memory, index.into())?;
            self.lend_ring(&ring, index, cx)?;
            if has_protocol != 0 {
                self.enable_ring(index, self.queues[index as usize / 2], cx);
            }
            ring.watch(true, cx.host);
            match index % 2 {
                0 => ring.fill(),
                _ => ring.want_interrupts(false),
            }
            rings.push(ring);
        }
        Ok(Session {
            offloads: offloads(features),
            can_enable: has_protocol != 0,
            rings,
        })
    }

    fn lend_ring(&mut self, ring: &Ring, index: u32, cx: &mut LinkCx<'_, '_>) -> Result<(), Errno> {
        let (descriptors, used, available) = ring.addresses();
        let addresses = Body::VringAddr {
            index,
            descriptors,
            used,
            available,
        };
        let (kick, call) = ring.events()?;
        let value = |value: u32| Body::Vring { index, value };
        self.say(Request::SetVringNum, &value(ring::SIZE.into()), cx);
        self.say(Request::SetVringBase, &value(0), cx);
        self.say(Request::SetVringAddr, &addresses, cx);
        for (request, fd) in [(Request::SetVringCall, call), (Request::SetVringKick, kick)] {
            self.say_with(Message::request(request, &Body::Number(index.into())), vec![fd], cx);
        }
        Ok(())
    }

    fn enable_ring(&mut self, index: u32, on: bool, cx: &mut LinkCx<'_, '_>) {
        let body = Body::Vring {
            index,
            value: on.into(),
        };
        self.say(Request::SetVringEnable, &body, cx);
    }

    fn receive(&mut self, queue: usize, cx: &mut LinkCx<'_, '_>) {
        let State::Up(session) = &mut self.state else { return };
        let Some(ring) = session.rings.get_mut(queue * 2) else {
            return;
        };
        match take(ring, queue, cx) {
            Ok(more) => {
                ring.fill();
                if more {
                    // Others get their turn first; the call was taken, so this must be said again.
                    cx.host.waker().wake();
                }
            }
            Err(Broken(why)) => self.give_up(why, cx),
        }
    }

    fn called(&mut self, event: HostEvent, cx: &mut LinkCx<'_, '_>) {
        let State::Up(session) = &mut self.state else { return };
        let Some(index) = session.rings.iter().position(|r| r.is_called(event)) else {
            return;
        };
        if index % 2 == 0 {
            self.receive(index / 2, cx);
        } else if std::mem::take(&mut self.starved) {
            cx.tell(LinkEvent::Writable);
        }
    }
}

/// Hands frames on as long as there is room for them. Whether there are more than belong to one turn.
fn take(ring: &mut Ring, queue: usize, cx: &mut LinkCx<'_, '_>) -> Result<bool, Broken> {
    for _ in 0..BURST {
        if cx.room(queue) == 0 {
            ring.want_interrupts(false);
            return Ok(false);
        }
        let Some((vnet, frame)) = ring.receive()? else {
            ring.want_interrupts(true);
            // One may have come before the other side saw the wish.
            match ring.receive()? {
                Some((vnet, frame)) => cx.frame(queue, vnet, frame),
                None => return Ok(false),
            }
            continue;
        };
        cx.frame(queue, vnet, frame);
    }
    Ok(true)
}

/// What may be left to do in frames to the other side.
fn offloads(features: u64) -> Offloads {
    let mut o = Offloads::empty();
    o.set(Offloads::CSUM, features & feature::CSUM != 0);
    o.set(Offloads::TSO4, features & feature::HOST_TSO4 != 0);
    o.set(Offloads::TSO6, features & feature::HOST_TSO6 != 0);
    o.set(Offloads::ECN, features & feature::HOST_ECN != 0);
    o
}

impl Link for VhostUser {
    fn on_host(&mut self, event: HostEvent, cx: &mut LinkCx<'_, '_>) {
        if event != HostEvent::Woken {
            return self.called(event, cx);
        }
        self.listen(cx);
        for queue in 0..self.queues.len() {
            self.receive(queue, cx);
        }
    }

    fn send(&mut self, queue: usize, packet: Packet<'_>, cx: &mut LinkCx<'_, '_>) -> bool {
        let State::Up(session) = &mut self.state else {
            return true;
        };
        let Some(ring) = session.rings.get_mut(queue * 2 + 1) else {
            return true;
        };
        match ring.has_room(packet.frame.len()) {
            Ok(true) => {
                ring.send(packet.vnet, packet.frame);
                true
            }
            Ok(false) => {
                self.starved = true;
                false
            }
            Err(Broken(why)) => {
                self.give_up(why, cx);
                true
            }
        }
    }

    fn room_grew(&mut self, queue: usize, cx: &mut LinkCx<'_, '_>) {
        self.receive(queue, cx);
    }

    fn use_queue(&mut self, queue: usize, on: bool, cx: &mut LinkCx<'_, '_>) {
        let Some(used) = self.queues.get_mut(queue) else { return };
        let news = std::mem::replace(used, on) != on;
        if news && matches!(&self.state, State::Up(session) if session.can_enable) {
            for ring in [queue * 2, queue * 2 + 1] {
                self.enable_ring(ring as u32, on, cx);
            }
        }
    }

    fn takes(&self) -> Offloads {
        match &self.state {
            State::Up(session) => session.offloads,
            // What nobody takes need not be made ready.
            _ => Offloads::all(),
        }
    }

    fn queues(&self) -> usize {
        self.queues.len()
    }

    fn describe(&self) -> String {
        let about = match self.state {
            State::Up(_) => "",
            State::Down => ", which nobody has joined",
            State::Useless => ", whose other side is of no use",
            State::Features | State::Protocol(_) | State::Queues(_) => ", negotiating",
        };
        format!("vhost-user0 to {}{about}", self.chardev)
    }

    fn close(&mut self, cx: &mut LinkCx<'_, '_>) {
        self.close_rings(cx.host);
        self.channel = None;
    }
}

/// How long the end of a machine waits for a peer to take its last frames.
const LAST_WORDS: Duration = Duration::from_millis(100);

impl VhostUser {
    fn close_rings(&mut self, host: &mut HostCx<'_>) {
        if let State::Up(session) = &mut self.state {
            let end = Instant::now() + LAST_WORDS;
            let mut sending = || session.rings.iter_mut().skip(1).step_by(2).any(|r| r.is_sending());
            while sending() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(1));
            }
            session.rings.iter_mut().for_each(|r| r.watch(false, host));
        }
    }
}
