//! The way of frames through the rings.

use smallvec::SmallVec;
use southbridge_backend_net::{MAX_FRAME, Packet, VnetHeader};
use southbridge_bus_virtio::{Chain, VirtioCx};

use super::device::{Net, tx_timer};
use super::spec::{self, feature};
use super::state::Arrival;

/// The most buffers of the driver that one frame is spread over.
const MOST_BUFFERS: usize = 1024;

/// What became of a frame for the driver.
enum Delivery {
    /// The driver has it, or nobody ever will.
    Done,
    /// There are not enough buffers now.
    NoRoom,
}

impl Net {
    /// A frame from the host, by the back end of a pair of queues.
    pub(super) fn receive(&mut self, from: u16, packet: Packet<'_>, cx: &mut VirtioCx<'_, '_>) {
        if !cx.ready() || packet.frame.len() > MAX_FRAME || !self.state.filter.wants(packet.frame) {
            return;
        }
        let steered = self
            .state
            .steering
            .as_ref()
            .map(|s| s.steer(packet.frame))
            .unwrap_or_default();
        let to = steered.queue.unwrap_or(from) % self.state.in_use.max(1);
        let mut arrival = Arrival::new(packet, steered);
        if packet.vnet.flags & VnetHeader::NEEDS_CSUM != 0 && is_dhcp_answer(packet.frame) {
            arrival.complete_checksum();
        }
        let Some(pair) = self.state.pairs.get(usize::from(to)) else {
            return;
        };
        let in_turn = pair.incoming.is_empty();
        if in_turn && matches!(deliver(to * 2, &arrival, cx), Delivery::Done) {
            return;
        }
        if let Some(pair) = self.state.pairs.get_mut(usize::from(to)) {
            pair.incoming.push_back(arrival.into_waiting());
        }
    }

    /// The driver has put buffers into a receive queue.
    pub(super) fn refill(&mut self, pair: u16, cx: &mut VirtioCx<'_, '_>) {
        let Some(p) = self.state.pairs.get_mut(usize::from(pair)) else {
            return;
        };
        while let Some(first) = p.incoming.front() {
            if matches!(deliver(pair * 2, &first.as_arrival(), cx), Delivery::NoRoom) {
                return;
            }
            p.incoming.pop_front();
        }
        cx.want_kicks(pair * 2, false);
        self.tell_room(cx);
    }

    /// The driver has put frames into a transmit queue.
    pub(super) fn kicked(&mut self, pair: u16, cx: &mut VirtioCx<'_, '_>) {
        let Some((delay, p)) = self.config.tx_delay.zip(self.state.pairs.get_mut(usize::from(pair))) else {
            return self.transmit(pair, cx);
        };
        if std::mem::replace(&mut p.delayed, true) {
            // The second word of the driver within the time: it has no more to say for now.
            p.delayed = false;
            cx.ctx().cancel_timer(tx_timer(pair));
            self.transmit(pair, cx);
        } else {
            let at = cx.ctx().now().after_ns(delay);
            cx.ctx().set_timer(tx_timer(pair), at);
        }
    }

    /// Sends what the driver has for the host.
    pub(super) fn transmit(&mut self, pair: u16, cx: &mut VirtioCx<'_, '_>) {
        let queue = pair * 2 + 1;
        if pair >= self.state.in_use || !cx.ready() {
            return;
        }
        let mut held = self.state.pairs.get_mut(usize::from(pair)).and_then(|p| p.held.take());
        while let Some(chain) = held.take().or_else(|| cx.pop(queue)) {
            match self.send(pair, &chain, cx) {
                Sent::Done => cx.push(chain, 0),
                Sent::Broken => return,
                Sent::NoRoom => {
                    cx.want_kicks(queue, false);
                    if let Some(p) = self.state.pairs.get_mut(usize::from(pair)) {
                        p.held = Some(chain);
                    }
                    return;
                }
            }
        }
        cx.want_kicks(queue, true);
    }

    fn send(&mut self, pair: u16, chain: &Chain, cx: &mut VirtioCx<'_, '_>) -> Sent {
        let header = Self::header_len(cx) as u64;
        let mut vnet = [0; VnetHeader::LEN];
        let Some(len) = chain.readable_len().checked_sub(header) else {
            cx.broken(format_args!("a frame without its header"));
            return Sent::Broken;
        };
        let Some(len) = usize::try_from(len).ok().filter(|n| (1..=MAX_FRAME).contains(n)) else {
            return Sent::Done;
        };
        if !self.state.link_up() {
            return Sent::Done;
        }
        self.buffer.resize(len, 0);
        if cx.read(chain, 0, &mut vnet).is_err() || cx.read(chain, header, &mut self.buffer).is_err() {
            return Sent::Broken;
        }
        let sent = Packet {
            vnet: VnetHeader::from_bytes(&vnet),
            frame: &self.buffer,
        };
        match self
            .fronts
            .get(usize::from(pair))
            .is_none_or(|f| f.send(sent, cx.ctx()))
        {
            true => Sent::Done,
            false => Sent::NoRoom,
        }
    }
}

/// DHCP clients that read raw frames, and have done so for decades, look at checksums that a neighbour on the same host has left to its
/// card: QEMU completes them for these, and so must we.
fn is_dhcp_answer(frame: &[u8]) -> bool {
    const UDP: u8 = 17;
    const SERVER: [u8; 2] = 67u16.to_be_bytes();
    let is_short = frame.len() < 1500;
    is_short && frame.get(12..14) == Some(&[8, 0]) && frame.get(23) == Some(&UDP) && frame.get(34..36) == Some(&SERVER)
}

/// What became of a frame of the driver.
enum Sent {
    Done,
    /// The back end has no room now.
    NoRoom,
    /// The driver has broken the rules.
    Broken,
}

/// Puts a frame into the driver's buffers.
fn deliver(queue: u16, arrival: &Arrival<'_>, cx: &mut VirtioCx<'_, '_>) -> Delivery {
    let header = Net::header_len(cx);
    let total = (header + arrival.frame.len()) as u64;
    let mergeable = cx.has(feature::MRG_RXBUF);
    let Some(chains) = collect(queue, header as u64, total, mergeable, cx) else {
        return Delivery::NoRoom;
    };
    let room: u64 = chains.iter().map(Chain::writable_len).sum();
    if room < total {
        // A driver whose buffers cannot be joined never has room for this one.
        give_back(chains, cx);
        return Delivery::Done;
    }
    let head = header_bytes(arrival, chains.len() as u16);
    let (mut head, mut rest) = (&head[..header], &arrival.frame[..]);
    for chain in chains {
        let room = usize::try_from(chain.writable_len()).unwrap_or(usize::MAX);
        let (part, behind) = rest.split_at(rest.len().min(room.saturating_sub(head.len())));
        let skip = head.len() as u64;
        if cx.write(&chain, 0, head).is_err() || cx.write(&chain, skip, part).is_err() {
            return Delivery::Done;
        }
        cx.push(chain, (head.len() + part.len()) as u32);
        (head, rest) = (&[], behind);
    }
    Delivery::Done
}

type Chains = SmallVec<[Chain; 2]>;

/// Takes buffers for `total` bytes: one if they cannot be joined, which may then be too small. `None`, with all as before and the driver
/// asked for word of more, if there are too few; an empty list if the driver has broken the rules.
fn collect(queue: u16, header: u64, total: u64, mergeable: bool, cx: &mut VirtioCx<'_, '_>) -> Option<Chains> {
    for _ in 0..2 {
        let chains = take(queue, header, total, mergeable, cx);
        let room: u64 = chains.iter().map(Chain::writable_len).sum();
        let is_all = room >= total || chains.len() == MOST_BUFFERS || (!mergeable && !chains.is_empty());
        if is_all || !cx.ready() {
            return Some(chains);
        }
        // Said before they go back: with event index it is the place behind all that were seen which has the driver speak, and it would
        // never come past one that it has left behind. What has come in the meantime is seen by the second attempt.
        cx.want_kicks(queue, true);
        cx.flush(queue);
        give_back(chains, cx);
    }
    None
}

fn take(queue: u16, header: u64, total: u64, mergeable: bool, cx: &mut VirtioCx<'_, '_>) -> Chains {
    let mut chains = Chains::new();
    let mut room = 0;
    while room < total && chains.len() < MOST_BUFFERS && (mergeable || chains.is_empty()) {
        let Some(chain) = cx.pop(queue) else { break };
        let least = if chains.is_empty() { header } else { 1 };
        if chain.writable_len() < least {
            cx.broken(format_args!("a receive buffer without room for a header"));
            return Chains::new();
        }
        room += chain.writable_len();
        chains.push(chain);
    }
    chains
}

fn give_back(chains: Chains, cx: &mut VirtioCx<'_, '_>) {
    for chain in chains.into_iter().rev() {
        cx.unpop(chain);
    }
}

/// The longest header; drivers of older ways get its beginning.
fn header_bytes(arrival: &Arrival<'_>, buffers: u16) -> [u8; spec::LONGEST_HEADER] {
    let mut h = [0; spec::LONGEST_HEADER];
    h[..10].copy_from_slice(&arrival.vnet);
    h[10..12].copy_from_slice(&buffers.to_le_bytes());
    h[12..16].copy_from_slice(&arrival.hash.to_le_bytes());
    h[16..18].copy_from_slice(&arrival.report.to_le_bytes());
    h
}
