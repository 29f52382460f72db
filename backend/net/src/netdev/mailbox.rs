//! A front end outside the arena of devices: a hub, a test. It reaches its back end through a mailbox, because one back end cannot call
//! another.

use southbridge_core::host::{BackendId, Host, Waker};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{AttachError, Netdev, Sink};
use crate::packet::{Owned, Packet};

/// Frames that wait in one direction.
const LIMIT: usize = 256;

/// What comes to a handle.
#[derive(Debug)]
pub(crate) enum HandleEvent {
    Frame(Owned),
    Writable,
}

type Notify = Box<dyn Fn() + Send + Sync>;

/// What lies between a handle and its back end.
pub(crate) struct Mailbox {
    state: Mutex<State>,
    notify: Option<Notify>,
}

#[derive(Default)]
struct State {
    events: VecDeque<HandleEvent>,
    frames: usize,
    /// Frames taken since the back end was last told of the room that they left.
    taken: usize,
    out: VecDeque<Owned>,
    /// A frame of the handle was not taken.
    starved: bool,
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn post(&self, event: HandleEvent) {
        let mut s = self.lock();
        match event {
            HandleEvent::Frame(_) => s.frames += 1,
            // Of what is no frame only the newest counts, so that a handle that never looks does not grow without bound.
            HandleEvent::Writable => s.events.retain(|e| !matches!(e, HandleEvent::Writable)),
        }
        s.events.push_back(event);
        drop(s);
        if let Some(n) = &self.notify {
            n();
        }
    }

    pub(super) fn take_out(&self) -> Option<Owned> {
        let mut s = self.lock();
        let frame = s.out.pop_front();
        let freed = s.starved && s.out.len() < LIMIT / 2;
        s.starved &= !freed;
        drop(s);
        if freed {
            self.post(HandleEvent::Writable);
        }
        frame
    }

    /// Whether the handle has more for the back end.
    pub(super) fn is_waiting(&self) -> bool {
        !self.lock().out.is_empty()
    }

    /// How many more frames the handle takes.
    pub(super) fn room(&self) -> usize {
        LIMIT.saturating_sub(self.lock().frames)
    }
}

/// The handle. Cheap to clone; the back end is free again when the last one is dropped.
#[derive(Clone)]
pub struct NetHandle {
    mailbox: Arc<Mailbox>,
    backend: Waker,
    _alive: Arc<()>,
}

impl NetHandle {
    /// Attaches to the first queue of a back end. `notify` is called on the machine's thread whenever there is something to take.
    ///
    /// # Errors
    /// The back end is in use, or is none for networks.
    pub fn attach(
        host: &mut Host,
        id: BackendId,
        notify: Option<Box<dyn Fn() + Send + Sync>>,
    ) -> Result<Self, AttachError> {
        let (netdev, mut cx) = host.get::<Netdev>(id).ok_or(AttachError::NoNetdev)?;
        let mailbox = Arc::new(Mailbox {
            state: Mutex::default(),
            notify,
        });
        let alive = Arc::new(());
        netdev.attach(0, Sink::Handle(mailbox.clone()), &alive, &mut cx)?;
        Ok(Self {
            mailbox,
            backend: cx.waker(),
            _alive: alive,
        })
    }

    /// The next frame from the back end.
    pub fn take(&self) -> Option<Vec<u8>> {
        loop {
            match self.next()? {
                HandleEvent::Frame((_, frame)) => return Some(frame),
                HandleEvent::Writable => {}
            }
        }
    }

    pub(crate) fn next(&self) -> Option<HandleEvent> {
        let mut s = self.mailbox.lock();
        let event = s.events.pop_front()?;
        if matches!(event, HandleEvent::Frame(_)) {
            s.frames = s.frames.saturating_sub(1);
            s.taken += 1;
            if s.taken >= LIMIT / 4 {
                s.taken = 0;
                drop(s);
                self.backend.wake();
            }
        }
        Some(event)
    }

    /// Whether [`NetHandle::send`] would take a frame. If not, the back end says when it does.
    pub fn has_room(&self) -> bool {
        let mut s = self.mailbox.lock();
        let room = s.out.len() < LIMIT;
        s.starved |= !room;
        room
    }

    /// Sends a frame; whether there was room for it. The back end wakes up for it.
    pub fn send(&self, packet: Packet<'_>) -> bool {
        let mut s = self.mailbox.lock();
        if s.out.len() >= LIMIT {
            s.starved = true;
            return false;
        }
        s.out.push_back((packet.vnet, packet.frame.to_vec()));
        drop(s);
        self.backend.wake();
        true
    }
}
