//! The device: what it offers, and what it does when the driver, the host or a timer wants something.

use southbridge_backend_net::{NetEvent, NetFront, Offloads};
use southbridge_bus_virtio::spec::feature::VERSION_1;
use southbridge_bus_virtio::{VirtioCx, VirtioModel};
use southbridge_core::clock::TimerIndex;
use southbridge_core::{Completion, LoadError, SavedState};

use super::control::Command;
use super::filter::Mac;
use super::spec::{self, MAX_KEY, MAX_TABLE, STATUS_ANNOUNCE, STATUS_LINK_UP, control, feature};
use super::state::{State, WAITING};
use super::steer::Steering;

/// What is fixed when the device is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    /// Feature bits that it offers.
    pub(crate) features: u64,
    pub(crate) mac: Mac,
    pub(crate) mtu: u16,
    /// Mbit/s; all ones: unknown.
    pub(crate) speed: u32,
    /// 0 half, 1 full, 0xff unknown.
    pub(crate) duplex: u8,
    pub(crate) rx_size: u16,
    pub(crate) tx_size: u16,
    /// How long transmitted frames wait for more, if they do: nanoseconds.
    pub(crate) tx_delay: Option<u64>,
}

/// A network device.
pub struct Net {
    // Fixed.
    pub(super) config: Config,
    // The host, by pair of queues.
    pub(super) fronts: Vec<NetFront>,
    // Volatile.
    pub(super) state: State,
    /// The last transmitted frame; kept for its capacity.
    pub(super) buffer: Vec<u8>,
}

const STATE_VERSION: u32 = 1;

impl Net {
    /// `fronts` has one entry for each pair of queues, at least one.
    pub(crate) fn new(config: Config, mut fronts: Vec<NetFront>) -> Self {
        if fronts.is_empty() {
            fronts.push(NetFront::none());
        }
        let pairs = fronts.len() as u16;
        Self {
            state: State::new(config.mac, pairs),
            config,
            fronts,
            buffer: Vec::new(),
        }
    }

    /// Pairs of queues.
    pub(super) fn pairs(&self) -> u16 {
        self.fronts.len() as u16
    }

    /// The control queue stands behind all that the driver knows of.
    fn control_queue(&self, cx: &VirtioCx<'_, '_>) -> u16 {
        match cx.features() & (feature::MQ | feature::RSS) {
            0 => 2,
            _ => self.pairs() * 2,
        }
    }

    /// How many bytes of configuration space the offered features need.
    fn config_len(&self) -> usize {
        let ends = [
            (feature::MAC, 6),
            (feature::STATUS, 8),
            (feature::MQ, 10),
            (feature::MTU, 12),
            (feature::SPEED_DUPLEX, 17),
            (feature::RSS | feature::HASH_REPORT, 24),
        ];
        let needed = ends.iter().filter(|(f, _)| self.config.features & f != 0);
        needed.map(|(_, end)| *end).max().unwrap_or(6)
    }

    /// Bytes before each frame in the driver's buffers.
    pub(super) fn header_len(cx: &VirtioCx<'_, '_>) -> usize {
        if !cx.has(VERSION_1) && !cx.has(feature::MRG_RXBUF) {
            10
        } else if cx.has(VERSION_1 | feature::HASH_REPORT) {
            20
        } else {
            12
        }
    }

    /// Tells the back ends how much they may give now.
    pub(super) fn tell_room(&mut self, cx: &mut VirtioCx<'_, '_>) {
        let ready = cx.ready();
        // A frame may go to another pair than the one whose back end gave it.
        let waiting = self.state.pairs.iter().map(|p| p.incoming.len()).sum::<usize>();
        for (i, front) in self.fronts.iter().enumerate() {
            let open = ready && i < usize::from(self.state.in_use) && waiting == 0;
            front.set_room(if open { WAITING } else { 0 }, cx.ctx());
        }
    }

    /// Tells them on which queues the driver works: the host has others in their place.
    fn tell_pairs(&self, cx: &mut VirtioCx<'_, '_>) {
        for (i, front) in self.fronts.iter().enumerate() {
            front.use_queue(i < usize::from(self.state.in_use), cx.ctx());
        }
    }

    fn tell_offloads(&mut self, cx: &mut VirtioCx<'_, '_>) {
        let offloads = offloads(self.state.offloads);
        for front in &self.fronts {
            front.set_offloads(offloads, cx.ctx());
        }
    }

    fn tell_filter(&mut self, by_guest: bool, cx: &mut VirtioCx<'_, '_>) {
        let filter = self.state.filter.tell(cx.has(feature::CTRL_VLAN));
        self.fronts[0].set_rx_filter(filter, by_guest, cx.ctx());
    }

    fn control(&mut self, queue: u16, cx: &mut VirtioCx<'_, '_>) {
        while let Some(chain) = cx.pop(queue) {
            if chain.readable_len() < 2 || chain.writable_len() < 1 {
                cx.broken(format_args!(
                    "a control message without header or without room for an answer"
                ));
                return;
            }
            let len = chain.readable_len();
            let answer = match usize::try_from(len).ok().filter(|_| len <= control::LONGEST) {
                None => control::ERR,
                Some(n) => match cx.read_vec(&chain, 0, n) {
                    Ok(message) if Command::parse(&message).is_some_and(|c| self.obey(c, cx)) => control::OK,
                    Ok(_) => control::ERR,
                    Err(_) => return,
                },
            };
            let written = cx.write(&chain, 0, &[answer]).is_ok();
            cx.push(chain, written.into());
        }
    }

    /// Does what the driver wants; whether that could be done.
    fn obey(&mut self, command: Command, cx: &mut VirtioCx<'_, '_>) -> bool {
        match command {
            Command::Mode(mode, on) => self.state.filter.set_mode(mode, on),
            Command::Address(mac) => self.state.filter.mac = mac,
            Command::Tables { unicast, multicast } => self.state.filter.set_tables(&unicast, &multicast),
            Command::Vlan { tag, passes } => {
                if !self.state.filter.set_vlan(tag, passes) {
                    return false;
                }
            }
            Command::Announced => {
                let asked = self.state.status & STATUS_ANNOUNCE != 0;
                self.state.status &= !STATUS_ANNOUNCE;
                return asked;
            }
            Command::Pairs(n) => {
                self.state.steering = None;
                return cx.has(feature::MQ) && self.use_pairs(n, cx);
            }
            Command::Hash { steer, config } => {
                self.state.steering = None;
                let needed = if steer { feature::RSS } else { feature::HASH_REPORT };
                let (queues, in_use) = (config.queues, self.state.in_use);
                let Some(steering) = Steering::new(steer, config, self.pairs()).filter(|_| cx.has(needed)) else {
                    return false;
                };
                if !self.use_pairs(if steer { queues } else { in_use }, cx) {
                    return false;
                }
                self.state.steering = steering;
                return true;
            }
            Command::Offloads(bits) => return self.set_offloads(bits, cx),
        }
        self.tell_filter(true, cx);
        true
    }

    fn use_pairs(&mut self, n: u16, cx: &mut VirtioCx<'_, '_>) -> bool {
        if !(1..=self.pairs()).contains(&n) {
            return false;
        }
        self.state.in_use = n;
        for unused in self.state.pairs.iter_mut().skip(usize::from(n)) {
            unused.incoming.clear();
        }
        self.tell_pairs(cx);
        self.tell_room(cx);
        for pair in 0..n {
            self.transmit(pair, cx);
        }
        true
    }

    fn set_offloads(&mut self, bits: u64, cx: &mut VirtioCx<'_, '_>) -> bool {
        let may = cx.features() & feature::GUEST_OFFLOADS;
        if !cx.has(feature::CTRL_GUEST_OFFLOADS) || bits & !may != 0 {
            return false;
        }
        self.state.offloads = bits;
        self.tell_offloads(cx);
        true
    }

    /// Sets bits of the status word, or clears them, and tells the driver if that is news and it looks there.
    fn set_status(&mut self, bit: u16, on: bool, cx: &mut VirtioCx<'_, '_>) {
        let before = self.state.status;
        self.state.status = if on { before | bit } else { before & !bit };
        if self.state.status != before || bit == STATUS_ANNOUNCE {
            cx.config_changed();
        }
    }

    fn on_event(&mut self, event: NetEvent, pair: u16, cx: &mut VirtioCx<'_, '_>) {
        match event {
            NetEvent::Frames(frames) => {
                for packet in &frames {
                    self.receive(pair, packet, cx);
                }
                self.tell_room(cx);
            }
            NetEvent::Writable => self.transmit(pair, cx),
            // The cable is one, however many queues it has.
            NetEvent::Link(up) if pair == 0 => {
                self.set_status(STATUS_LINK_UP, up, cx);
                for pair in 0..self.state.in_use {
                    self.transmit(pair, cx);
                }
            }
            NetEvent::Announce if cx.ready() && cx.has(feature::GUEST_ANNOUNCE | feature::CTRL_VQ) => {
                self.set_status(STATUS_ANNOUNCE, true, cx);
            }
            NetEvent::Link(_) | NetEvent::Announce => {}
        }
    }
}

impl VirtioModel for Net {
    fn device_id(&self) -> u16 {
        spec::ID
    }

    fn features(&self) -> u64 {
        self.config.features
    }

    fn queues(&self) -> Vec<u16> {
        let Config { rx_size, tx_size, .. } = self.config;
        let mut sizes: Vec<u16> = (0..self.pairs()).flat_map(|_| [rx_size, tx_size]).collect();
        sizes.push(spec::CONTROL_QUEUE);
        sizes
    }

    fn config(&self) -> Vec<u8> {
        let c = &self.config;
        let mut space = Vec::with_capacity(24);
        space.extend(self.state.filter.mac);
        space.extend(self.state.status.to_le_bytes());
        space.extend(self.pairs().to_le_bytes());
        space.extend(c.mtu.to_le_bytes());
        space.extend(c.speed.to_le_bytes());
        space.push(c.duplex);
        space.push(MAX_KEY as u8);
        let table = if c.features & feature::RSS != 0 {
            MAX_TABLE as u16
        } else {
            1
        };
        space.extend(table.to_le_bytes());
        space.extend(southbridge_protocol_packet::rss::ALL.to_le_bytes());
        space.truncate(self.config_len());
        space
    }

    fn write_config(&mut self, offset: usize, data: &[u8], cx: &mut VirtioCx<'_, '_>) {
        // Only a driver that knows no better way sets the address here.
        if cx.has(VERSION_1) || cx.has(feature::CTRL_MAC_ADDR) {
            return;
        }
        for (to, from) in self.state.filter.mac.iter_mut().skip(offset).zip(data) {
            *to = *from;
        }
        self.tell_filter(true, cx);
    }

    fn driver_ok(&mut self, cx: &mut VirtioCx<'_, '_>) {
        self.state.offloads = cx.features() & feature::GUEST_OFFLOADS;
        if !cx.has(feature::CTRL_VLAN) {
            self.state.filter.pass_all_vlans();
        }
        for pair in 0..self.pairs() {
            cx.want_kicks(pair * 2, false);
        }
        self.tell_offloads(cx);
        self.tell_filter(false, cx);
        self.tell_room(cx);
    }

    fn reset(&mut self, cx: &mut VirtioCx<'_, '_>) {
        let link = self.state.status & STATUS_LINK_UP;
        self.state = State::new(self.config.mac, self.pairs());
        self.state.status = link;
        for pair in 0..self.pairs() {
            cx.ctx().cancel_timer(tx_timer(pair));
        }
        for front in &self.fronts {
            front.set_room(0, cx.ctx());
        }
        self.tell_pairs(cx);
        self.tell_offloads(cx);
        self.tell_filter(false, cx);
    }

    fn queue_reset(&mut self, queue: u16, cx: &mut VirtioCx<'_, '_>) {
        let Some(pair) = self.state.pairs.get_mut(usize::from(queue / 2)) else {
            return;
        };
        if queue.is_multiple_of(2) {
            pair.incoming.clear();
        } else {
            pair.held = None;
            pair.delayed = false;
            cx.ctx().cancel_timer(tx_timer(queue / 2));
        }
        self.tell_room(cx);
    }

    fn on_notify(&mut self, queue: u16, cx: &mut VirtioCx<'_, '_>) {
        if queue == self.control_queue(cx) {
            self.control(queue, cx);
        } else if queue.is_multiple_of(2) {
            self.refill(queue / 2, cx);
        } else {
            self.kicked(queue / 2, cx);
        }
    }

    fn on_timer(&mut self, timer: TimerIndex, cx: &mut VirtioCx<'_, '_>) {
        let pair = timer;
        if let Some(p) = self.state.pairs.get_mut(usize::from(pair)) {
            p.delayed = false;
            self.transmit(pair, cx);
        }
    }

    fn on_completion(&mut self, done: Completion, cx: &mut VirtioCx<'_, '_>) {
        let Some(pair) = u16::try_from(done.port).ok().filter(|p| *p < self.pairs()) else {
            return;
        };
        if let Some(event) = NetEvent::from_completion(done) {
            self.on_event(event, pair, cx);
        }
    }

    fn save(&self) -> SavedState {
        SavedState::of(STATE_VERSION, &self.state)
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        let state: State = state.read(STATE_VERSION)?;
        if !state.is_possible(self.pairs()) {
            return Err(LoadError::Impossible("of a network device with other queues"));
        }
        self.state = state;
        Ok(())
    }

    fn after_load(&mut self, cx: &mut VirtioCx<'_, '_>) {
        self.tell_pairs(cx);
        self.tell_offloads(cx);
        self.tell_filter(false, cx);
        self.tell_room(cx);
        for (pair, front) in self.state.pairs.iter().zip(&self.fronts) {
            if pair.held.is_some() {
                front.ask_writable(cx.ctx());
            }
        }
    }
}

/// The timer of a transmit queue.
pub(super) fn tx_timer(pair: u16) -> TimerIndex {
    pair
}

/// Feature bits in the back end's words.
fn offloads(bits: u64) -> Offloads {
    let all = [
        (feature::GUEST_CSUM, Offloads::CSUM),
        (feature::GUEST_TSO4, Offloads::TSO4),
        (feature::GUEST_TSO6, Offloads::TSO6),
        (feature::GUEST_ECN, Offloads::ECN),
        (feature::GUEST_UFO, Offloads::UFO),
        (feature::GUEST_USO4, Offloads::USO4),
        (feature::GUEST_USO6, Offloads::USO6),
    ];
    all.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, o)| *o).collect()
}
