//! A device with two ends: what comes in at one goes out at the other, with all that is left to be done.

use southbridge_backend_net::{NetEvent, NetFront, Offloads, Packet, VnetHeader};
use southbridge_core::{
    BusKind, Completion, Ctx, Device, DeviceType, LoadError, PropKind, Property, ResetPhase, SavedState,
};
use std::collections::VecDeque;

type Waiting = VecDeque<(VnetHeader, Vec<u8>)>;

pub struct Cable {
    /// By end, then by queue.
    ends: [Vec<NetFront>; 2],
    /// What an end has no room for, by queue; its source gets no credit meanwhile.
    held: [Vec<Waiting>; 2],
    /// How many of the queues it works on.
    used: usize,
    /// The longest frame, and frames by queue, of both ways.
    pub longest: usize,
    pub frames: Vec<usize>,
}

const fn end(name: &'static str) -> Property {
    Property {
        name,
        kind: PropKind::Backend("netdev"),
        default: None,
        help: "an end",
    }
}

const ENDS: [&str; 2] = ["one", "other"];
const ROOM: usize = 64;

pub static CABLE: DeviceType = DeviceType {
    name: "test-cable",
    bus: BusKind::None,
    summary: "a cable between two back ends",
    properties: &[end("one"), end("other")],
    create: |props, build| {
        let mut ends = [Vec::new(), Vec::new()];
        for (side, name) in ENDS.into_iter().enumerate() {
            for queue in 0..NetFront::queues(props, name, build) {
                let port = (side * 256 + queue) as u32;
                ends[side].push(NetFront::attach_queue(props, name, queue, port, build)?);
            }
        }
        let queues = ends[0].len();
        Ok(Box::new(Cable {
            held: [0, 1].map(|side: usize| ends[side].iter().map(|_| VecDeque::new()).collect()),
            ends,
            used: queues,
            longest: 0,
            frames: vec![0; queues],
        }))
    },
    ..DeviceType::BASE
};

impl Cable {
    pub fn of(device: &mut dyn Device) -> &mut Self {
        let any: &mut dyn std::any::Any = device;
        any.downcast_mut().expect("a cable")
    }

    pub fn start(&mut self, cx: &mut Ctx<'_>) {
        for front in self.ends.iter().flatten() {
            front.set_offloads(Offloads::CSUM | Offloads::TSO4 | Offloads::TSO6 | Offloads::ECN, cx);
        }
        self.use_queues(self.frames.len(), cx);
    }

    /// Works on the first queues only.
    pub fn use_queues(&mut self, n: usize, cx: &mut Ctx<'_>) {
        self.used = n;
        for (queue, front) in self.ends.iter().flat_map(|fronts| fronts.iter().enumerate()) {
            front.use_queue(queue < n, cx);
            front.set_room(if queue < n { ROOM } else { 0 }, cx);
        }
    }

    fn pass(&mut self, to: usize, queue: usize, packet: Packet<'_>, cx: &mut Ctx<'_>) {
        let queue = queue.min(self.ends[to].len() - 1);
        let held = &mut self.held[to][queue];
        if !held.is_empty() || !self.ends[to][queue].send(packet, cx) {
            held.push_back((packet.vnet, packet.frame.to_vec()));
        }
    }
}

impl Device for Cable {
    fn reset(&mut self, _phase: ResetPhase, _cx: &mut Ctx<'_>) {}

    fn save(&self) -> SavedState {
        unimplemented!("not saved in these tests")
    }

    fn load(&mut self, _state: &SavedState) -> Result<(), LoadError> {
        unimplemented!("not restored in these tests")
    }

    fn on_completion(&mut self, done: Completion, cx: &mut Ctx<'_>) {
        let (side, queue) = ((done.port / 256) as usize, (done.port % 256) as usize);
        match NetEvent::from_completion(done).expect("an event of a network back end") {
            NetEvent::Frames(frames) => {
                for p in &frames {
                    self.longest = self.longest.max(p.frame.len());
                    self.frames[queue] += 1;
                    self.pass(1 - side, queue, p, cx);
                }
            }
            NetEvent::Writable => {
                while let Some((vnet, frame)) = self.held[side][queue].pop_front() {
                    let p = Packet { vnet, frame: &frame };
                    if !self.ends[side][queue].send(p, cx) {
                        self.held[side][queue].push_front((vnet, frame));
                        break;
                    }
                }
            }
            NetEvent::Link(_) | NetEvent::Announce => {}
        }
        for side in 0..2 {
            if self.held[1 - side].iter().all(VecDeque::is_empty) {
                let used = self.ends[side].iter().take(self.used);
                used.for_each(|f| f.set_room(ROOM, cx));
            }
        }
    }
}
