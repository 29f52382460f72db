//! A back end for tests of devices: the test is the other side.

use southbridge_core::System;
use southbridge_core::host::{BackendId, HostEvent, Waker};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::link::{Link, LinkCx, LinkEvent};
use crate::message::Messages;
use crate::netdev::Netdev;
use crate::packet::{Offloads, Owned, Packet, VnetHeader};

/// The other side of a NIC under test. Frames that it feeds arrive with the next `sys.host.wait(…)` and `sys.deliver_completions()`, or,
/// if they waited for room, as soon as there is some.
#[derive(Clone)]
pub struct Loop {
    state: Arc<Mutex<State>>,
    waker: Waker,
    backend: BackendId,
}

struct State {
    /// For each queue.
    input: Vec<VecDeque<Owned>>,
    /// Whether the device works on it, likewise.
    used: Vec<bool>,
    output: Vec<(usize, Owned)>,
    /// Frames that the other side still takes.
    accepts: Option<usize>,
    takes: Offloads,
    gives: Offloads,
    writable: bool,
}

struct LoopLink(Arc<Mutex<State>>);

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Loop {
    /// Adds the back end to a system, with one queue.
    #[allow(clippy::new_ret_no_self, reason = "the id and the other side belong together")]
    pub fn new(sys: &mut System) -> (BackendId, Self) {
        Self::with_queues(sys, 1)
    }

    /// The same with several queues.
    pub fn with_queues(sys: &mut System, queues: usize) -> (BackendId, Self) {
        let state = Arc::new(Mutex::new(State {
            input: (0..queues).map(|_| VecDeque::new()).collect(),
            used: (0..queues).map(|n| n == 0).collect(),
            output: Vec::new(),
            accepts: None,
            takes: Offloads::empty(),
            gives: Offloads::empty(),
            writable: false,
        }));
        let mut waker = None;
        let made = sys.host.add(|cx| {
            waker = Some(cx.waker());
            let link = Box::new(LoopLink(state.clone()));
            Ok::<_, Infallible>(Box::new(Netdev::new("loop", "loop", link, Messages::default())) as _)
        });
        match (made, waker) {
            (Ok(backend), Some(waker)) => (backend, Self { state, waker, backend }),
            (Err(never), _) => match never {},
            (Ok(_), None) => unreachable!("the closure always runs"),
        }
    }

    /// Gives a frame for the first queue.
    pub fn feed(&self, frame: &[u8]) {
        self.feed_packet(0, VnetHeader::NONE, frame);
    }

    /// Gives a frame of which something is left to do, for any queue.
    pub fn feed_packet(&self, queue: usize, vnet: VnetHeader, frame: &[u8]) {
        if let Some(q) = lock(&self.state).input.get_mut(queue) {
            q.push_back((vnet, frame.to_vec()));
        }
        self.waker.wake();
    }

    /// Frames that were fed and for which the device had no room yet.
    pub fn waiting(&self) -> usize {
        lock(&self.state).input.iter().map(VecDeque::len).sum()
    }

    /// What the device has sent since the last call.
    pub fn take(&self) -> Vec<Vec<u8>> {
        self.take_packets().into_iter().map(|(_, (_, frame))| frame).collect()
    }

    /// The same with queues, and with what is left to do.
    pub fn take_packets(&self) -> Vec<(usize, (VnetHeader, Vec<u8>))> {
        std::mem::take(&mut lock(&self.state).output)
    }

    /// Takes only so many frames more from the device (`None`: any number).
    pub fn accept(&self, frames: Option<usize>) {
        let mut s = lock(&self.state);
        s.accepts = frames;
        s.writable = true;
        drop(s);
        self.waker.wake();
    }

    /// Takes frames of which this is left to do. Until then all is done in software before.
    pub fn set_takes(&self, offloads: Offloads) {
        lock(&self.state).takes = offloads;
    }

    /// What the device has said that it takes.
    pub fn offloads(&self) -> Offloads {
        lock(&self.state).gives
    }

    /// How many queues the device says that it works on.
    pub fn used_queues(&self) -> usize {
        lock(&self.state).used.iter().filter(|u| **u).count()
    }

    /// Plugs the cable in or out, as `set_link` does.
    pub fn set_link(&self, sys: &mut System, up: bool) {
        if let Some((n, mut cx)) = sys.host.get::<Netdev>(self.backend) {
            n.set_link(up, &mut cx);
        }
    }
}

impl Link for LoopLink {
    fn on_host(&mut self, _event: HostEvent, cx: &mut LinkCx<'_, '_>) {
        let queues = {
            let mut s = lock(&self.0);
            if std::mem::take(&mut s.writable) {
                cx.tell(LinkEvent::Writable);
            }
            s.input.len()
        };
        for queue in 0..queues {
            self.room_grew(queue, cx);
        }
    }

    fn send(&mut self, queue: usize, packet: Packet<'_>, _cx: &mut LinkCx<'_, '_>) -> bool {
        let mut s = lock(&self.0);
        match &mut s.accepts {
            Some(0) => return false,
            Some(n) => *n -= 1,
            None => {}
        }
        s.output.push((queue, (packet.vnet, packet.frame.to_vec())));
        true
    }

    fn room_grew(&mut self, queue: usize, cx: &mut LinkCx<'_, '_>) {
        let mut s = lock(&self.0);
        while cx.room(queue) > 0
            && let Some((vnet, frame)) = s.input.get_mut(queue).and_then(VecDeque::pop_front)
        {
            cx.frame(queue, vnet, frame);
        }
    }

    fn use_queue(&mut self, queue: usize, on: bool, _cx: &mut LinkCx<'_, '_>) {
        if let Some(u) = lock(&self.0).used.get_mut(queue) {
            *u = on;
        }
    }

    fn takes(&self) -> Offloads {
        lock(&self.0).takes
    }

    fn set_offloads(&mut self, offloads: Offloads) {
        lock(&self.0).gives = offloads;
    }

    fn queues(&self) -> usize {
        lock(&self.0).input.len()
    }

    fn describe(&self) -> String {
        "loop".into()
    }
}
