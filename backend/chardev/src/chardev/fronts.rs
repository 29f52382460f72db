//! Front ends of a back end: who is attached, who has the focus, how much each takes.

use southbridge_core::DeviceId;
use southbridge_core::host::HostCx;
use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use super::{Chardev, HELD, MAX_FRONTS};
use crate::front::{CharEvent, Mailbox};

/// A front end of a [`Chardev`], by its place there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrontId {
    index: usize,
    /// Places are used again; a front end that lost its place must not speak for the next one.
    serial: u64,
}

/// Where a front end's events go.
pub(crate) enum Sink {
    Device(DeviceId, u32),
    Handle(Arc<Mailbox>),
}

/// Why a front end was not attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AttachError {
    /// Somebody else has it.
    #[error("is in use by another front end; a chardev with mux=on can be shared")]
    InUse,
    /// More front ends than a shared back end takes.
    #[error("is shared by {MAX_FRONTS} front ends already, which is the most")]
    TooMany,
    /// There is no such back end.
    #[error("is no character device")]
    NoChardev,
}

pub(super) struct Front {
    pub(super) serial: u64,
    pub(super) sink: Sink,
    /// Gone when the front end is.
    pub(super) alive: Weak<()>,
    pub(super) room: usize,
    /// A write was cut short.
    pub(super) starved: bool,
    /// Input held for it: behind the menu, mostly.
    pub(super) held: VecDeque<u8>,
}

impl Chardev {
    pub(crate) fn attach(
        &mut self,
        sink: Sink,
        alive: &Arc<()>,
        host: &mut HostCx<'_>,
    ) -> Result<FrontId, AttachError> {
        self.forget_gone();
        let used = self.fronts.iter().flatten().count();
        if used > 0 && self.menu.is_none() {
            return Err(AttachError::InUse);
        }
        if used >= MAX_FRONTS {
            return Err(AttachError::TooMany);
        }
        self.serial += 1;
        let front = Front::new(self.serial, sink, alive);
        let index = self.fronts.iter().position(Option::is_none).unwrap_or_else(|| {
            self.fronts.push(None);
            self.fronts.len() - 1
        });
        if self.link.is_open() {
            front.post(CharEvent::Opened, host);
        }
        let grew = front.room > 0;
        self.fronts[index] = Some(front);
        // As with QEMU, who comes last has the keyboard.
        self.focus = index;
        self.tell_who_has_focus();
        if grew || self.menu.is_some() {
            self.room_grew(host);
        }
        Ok(FrontId {
            index,
            serial: self.serial,
        })
    }

    /// Gives the keyboard to whom has been here longest: somebody who came later stays in the background.
    pub fn focus_first(&mut self, host: &mut HostCx<'_>) {
        self.forget_gone();
        let longest = self.fronts.iter().enumerate();
        let longest = longest.filter_map(|(i, f)| Some((f.as_ref()?.serial, i))).min();
        if let Some((_, i)) = longest.filter(|(_, i)| *i != self.focus) {
            self.focus = i;
            self.tell_who_has_focus();
            self.room_grew(host);
        }
    }

    pub(super) fn forget_gone(&mut self) {
        for f in &mut self.fronts {
            if f.as_ref().is_some_and(|f| f.alive.strong_count() == 0) {
                *f = None;
            }
        }
        if self.fronts.get(self.focus).is_none_or(Option::is_none) {
            self.focus = self.fronts.iter().position(Option::is_some).unwrap_or(0);
        }
    }

    pub(super) fn tell_who_has_focus(&self) {
        for (i, f) in self.fronts.iter().enumerate() {
            if let Some(Sink::Handle(mailbox)) = f.as_ref().map(|f| &f.sink) {
                mailbox.set_focused(i == self.focus);
            }
        }
    }

    pub(super) fn front_mut(&mut self, id: FrontId) -> Option<&mut Front> {
        self.fronts
            .get_mut(id.index)?
            .as_mut()
            .filter(|f| f.serial == id.serial)
    }

    pub(crate) fn set_room(&mut self, id: FrontId, bytes: usize, host: &mut HostCx<'_>) {
        let Some(f) = self.front_mut(id) else { return };
        // What is on its way to the device takes room there, too: a device may say how much it has at any moment.
        let bytes = match f.sink {
            Sink::Device(device, port) => bytes.saturating_sub(host.undelivered(device, port)),
            Sink::Handle(_) => bytes,
        };
        let grew = bytes > f.room;
        f.room = bytes;
        if grew {
            f.feed_held(host);
            self.room_grew(host);
        }
    }

    pub(super) fn room_grew(&mut self, host: &mut HostCx<'_>) {
        if self.input_room() > 0 {
            self.with_link(host, |link, cx| link.room_grew(cx));
            self.settle(host);
        }
    }

    /// How much input is welcome.
    pub(super) fn input_room(&self) -> usize {
        let Some(f) = self.fronts.get(self.focus).and_then(Option::as_ref) else {
            return 0;
        };
        match self.menu {
            Some(_) => HELD.saturating_sub(f.held.len()),
            None => f.room.saturating_sub(f.held.len()),
        }
    }

    pub(crate) fn break_out(&mut self, host: &mut HostCx<'_>) {
        self.with_link(host, |link, cx| link.send_break(cx));
        self.settle(host);
    }
}

impl Front {
    fn new(serial: u64, sink: Sink, alive: &Arc<()>) -> Self {
        let room = match &sink {
            Sink::Device(..) => 0,
            Sink::Handle(mailbox) => mailbox.room(),
        };
        Self {
            serial,
            sink,
            alive: Arc::downgrade(alive),
            room,
            starved: false,
            held: VecDeque::new(),
        }
    }

    pub(super) fn post(&self, event: CharEvent, host: &mut HostCx<'_>) {
        match &self.sink {
            Sink::Device(device, port) => host.post(*device, event.into_completion(*port)),
            Sink::Handle(mailbox) => mailbox.post(event),
        }
    }

    /// Hands on what was held, as far as there is room.
    pub(super) fn feed_held(&mut self, host: &mut HostCx<'_>) {
        let n = self.held.len().min(self.room);
        if n > 0 {
            let bytes = self.held.drain(..n).collect();
            self.room -= n;
            self.post(CharEvent::Data { bytes, fds: Vec::new() }, host);
        }
    }
}
