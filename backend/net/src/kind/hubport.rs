//! `hubport`: a port of a hub inside the machine. What comes in at one port goes out at all others.
//!
//! A port has a NIC in front of it, or stands in front of another back end (`netdev=`), which the hub then leads to.

use southbridge_core::host::{HostEvent, Waker};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::link::{Link, LinkCx, LinkEvent};
use crate::netdev::{HandleEvent, NetHandle};
use crate::packet::{Packet, VnetHeader};

/// Frames that wait at one port.
const LIMIT: usize = 256;

/// A hub: what its ports share. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Hub(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    ports: Vec<Option<Port>>,
}

struct Port {
    frames: VecDeque<Vec<u8>>,
    waker: Waker,
    /// Somebody waits for room at this port.
    awaited: bool,
}

impl Hub {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(&self, waker: Waker) -> usize {
        let mut s = self.lock();
        let port = Port {
            frames: VecDeque::new(),
            waker,
            awaited: false,
        };
        let free = s.ports.iter().position(Option::is_none);
        match free {
            Some(i) => {
                s.ports[i] = Some(port);
                i
            }
            None => {
                s.ports.push(Some(port));
                s.ports.len() - 1
            }
        }
    }

    fn leave(&self, port: usize) {
        if let Some(p) = self.lock().ports.get_mut(port) {
            *p = None;
        }
    }

    /// To all ports but one. `false`: none of them has room, and one of them will say when it has.
    fn send(&self, from: usize, frame: &[u8]) -> bool {
        let mut s = self.lock();
        let others = || {
            s.ports
                .iter()
                .enumerate()
                .filter(|(i, _)| *i != from)
                .filter_map(|(_, p)| p.as_ref())
        };
        if others().next().is_some() && others().all(|p| p.frames.len() >= LIMIT) {
            s.ports.iter_mut().flatten().for_each(|p| p.awaited = true);
            return false;
        }
        for (i, p) in s.ports.iter_mut().enumerate() {
            // As with QEMU a slow port does not hold up the others.
            if let Some(p) = p.as_mut().filter(|p| i != from && p.frames.len() < LIMIT) {
                p.frames.push_back(frame.to_vec());
                p.waker.wake();
            }
        }
        true
    }

    fn take(&self, port: usize) -> Option<Vec<u8>> {
        let mut s = self.lock();
        let p = s.ports.get_mut(port)?.as_mut()?;
        let frame = p.frames.pop_front()?;
        if p.awaited && p.frames.len() < LIMIT / 2 {
            s.ports.iter_mut().flatten().for_each(|p| {
                p.awaited = false;
                p.waker.wake();
            });
        }
        Some(frame)
    }
}

/// One port.
pub(crate) struct HubPort {
    hub: Hub,
    number: u64,
    port: Option<usize>,
    /// The back end that it stands in front of, if not a NIC.
    behind: Option<(String, NetHandle)>,
    /// A frame from behind that the hub had no room for.
    held: Option<Vec<u8>>,
    /// A frame of the NIC was not taken.
    starved: bool,
}

impl HubPort {
    pub(crate) fn new(hub: Hub, number: u64) -> Self {
        Self {
            hub,
            number,
            port: None,
            behind: None,
            held: None,
            starved: false,
        }
    }

    /// Stands in front of another back end from now on.
    pub(crate) fn lead_to(&mut self, id: &str, handle: NetHandle) {
        self.behind = Some((id.to_owned(), handle));
    }

    fn take_from_hub(&mut self, cx: &mut LinkCx<'_, '_>) {
        let Some(port) = self.port else { return };
        match &self.behind {
            Some((_, handle)) => {
                while handle.has_room()
                    && let Some(frame) = self.hub.take(port)
                {
                    handle.send(Packet::plain(&frame));
                }
            }
            None => {
                while cx.room(0) > 0
                    && let Some(frame) = self.hub.take(port)
                {
                    cx.frame(0, VnetHeader::NONE, frame);
                }
            }
        }
    }

    fn take_from_behind(&mut self) {
        let (Some(port), Some((_, handle))) = (self.port, &self.behind) else {
            return;
        };
        loop {
            if let Some(frame) = self.held.take()
                && !self.hub.send(port, &frame)
            {
                self.held = Some(frame);
                return;
            }
            match handle.next() {
                Some(HandleEvent::Frame((_, frame))) => self.held = Some(frame),
                Some(HandleEvent::Writable) => {}
                None => return,
            }
        }
    }
}

impl Link for HubPort {
    fn start(&mut self, cx: &mut LinkCx<'_, '_>) -> std::io::Result<()> {
        self.port = Some(self.hub.join(cx.host.waker()));
        Ok(())
    }

    fn on_host(&mut self, event: HostEvent, cx: &mut LinkCx<'_, '_>) {
        if event == HostEvent::Woken {
            self.take_from_behind();
            self.take_from_hub(cx);
            if std::mem::take(&mut self.starved) {
                cx.tell(LinkEvent::Writable);
            }
        }
    }

    fn send(&mut self, _queue: usize, packet: Packet<'_>, _cx: &mut LinkCx<'_, '_>) -> bool {
        let taken = self.port.is_none_or(|p| self.hub.send(p, packet.frame));
        self.starved |= !taken;
        taken
    }

    fn room_grew(&mut self, _queue: usize, cx: &mut LinkCx<'_, '_>) {
        self.take_from_hub(cx);
    }

    fn describe(&self) -> String {
        match &self.behind {
            Some((id, _)) => format!("hubid={},netdev={id}", self.number),
            None => format!("hubid={}", self.number),
        }
    }

    fn close(&mut self, _cx: &mut LinkCx<'_, '_>) {
        if let Some(p) = self.port.take() {
            self.hub.leave(p);
        }
    }
}
