//! Input: from the host to the front end in focus, and the keys of the menu on the way.

use rustix::fd::OwnedFd;
use southbridge_core::host::HostCx;

use super::Chardev;
use super::fronts::Sink;
use crate::front::CharEvent;
use crate::link::{Link, LinkCx, LinkEvent};
use crate::mux::{Key, Menu};
use crate::program::Message;

impl Chardev {
    pub(super) fn with_link<R>(
        &mut self,
        host: &mut HostCx<'_>,
        f: impl FnOnce(&mut dyn Link, &mut LinkCx<'_, '_>) -> R,
    ) -> R {
        let room = self.input_room();
        f(
            &mut *self.link,
            &mut LinkCx {
                host,
                room,
                inbox: &mut self.inbox,
            },
        )
    }

    /// Works off what the link told.
    pub(super) fn settle(&mut self, host: &mut HostCx<'_>) {
        while let Some(event) = self.inbox.pop_front() {
            match event {
                LinkEvent::Data { bytes, fds } => self.input(bytes, fds, host),
                LinkEvent::Writable => self.flush(host),
                LinkEvent::Opened => self.tell_all(|| CharEvent::Opened, host),
                LinkEvent::Closed => {
                    // What was meant for the old peer must not greet the next one.
                    self.out.clear();
                    self.tell_all(|| CharEvent::Closed, host);
                    self.feed_starved(host);
                }
                LinkEvent::Break => self.tell_focus(CharEvent::Break, host),
                LinkEvent::Info(text) => self.messages.say(&Message::Info(text)),
                LinkEvent::Warning(text) => {
                    self.messages
                        .say(&Message::Warning(format!("chardev '{}': {text}", self.id)));
                }
            }
        }
    }

    pub(super) fn tell_all(&mut self, event: impl Fn() -> CharEvent, host: &mut HostCx<'_>) {
        for f in self.fronts.iter().flatten() {
            f.post(event(), host);
        }
    }

    pub(super) fn tell_focus(&mut self, event: CharEvent, host: &mut HostCx<'_>) {
        if let Some(f) = self.fronts.get(self.focus).and_then(Option::as_ref) {
            f.post(event, host);
        }
    }

    pub(super) fn input(&mut self, bytes: Vec<u8>, fds: Vec<OwnedFd>, host: &mut HostCx<'_>) {
        if self.menu.is_none() {
            if let Some(f) = self.fronts.get_mut(self.focus).and_then(Option::as_mut) {
                if !f.held.is_empty() || bytes.len() > f.room {
                    // A link that decodes may give a byte more than it was asked for.
                    f.held.extend(bytes);
                    return f.feed_held(host);
                }
                f.room = f.room.saturating_sub(bytes.len());
                f.post(CharEvent::Data { bytes, fds }, host);
            }
            return;
        }
        // Behind a menu descriptors have no owner: they are closed here.
        drop(fds);
        for b in bytes {
            match self.menu.as_mut().and_then(|m| m.key(b)) {
                Some(Key::Input(b)) => {
                    if let Some(f) = self.fronts.get_mut(self.focus).and_then(Option::as_mut) {
                        f.held.push_back(b);
                    }
                }
                Some(key) => {
                    // What was typed before the key belongs to who had the focus then.
                    self.feed_focus(host);
                    self.menu_key(key, host);
                }
                None => {}
            }
        }
        self.feed_focus(host);
    }

    pub(super) fn feed_focus(&mut self, host: &mut HostCx<'_>) {
        if let Some(f) = self.fronts.get_mut(self.focus).and_then(Option::as_mut) {
            f.feed_held(host);
        }
    }

    pub(super) fn menu_key(&mut self, key: Key, host: &mut HostCx<'_>) {
        match key {
            Key::Help => {
                let text = self.menu.as_ref().map(Menu::help).unwrap_or_default();
                self.send_all(text.as_bytes(), host);
            }
            Key::Exit => {
                self.send_all(b"QEMU: Terminated\n\r", host);
                self.quit.raise();
            }
            Key::Commit => self.quit.commit(),
            Key::Break => self.tell_focus(CharEvent::Break, host),
            Key::Switch => {
                self.forget_gone();
                let n = self.fronts.len();
                let next = (1..=n)
                    .map(|i| (self.focus + i) % n)
                    .find(|i| self.fronts[*i].is_some());
                self.focus = next.unwrap_or(self.focus);
                self.tell_who_has_focus();
                // What the link tells now stays in the inbox: it comes after the bytes that are being looked at.
                self.with_link(host, |link, cx| link.room_grew(cx));
            }
            Key::Input(_) => {}
        }
    }

    /// Handles speak through their mailboxes.
    pub(super) fn collect_mail(&mut self, host: &mut HostCx<'_>) {
        let boxes: Vec<_> = self
            .fronts
            .iter()
            .flatten()
            .filter_map(|f| match &f.sink {
                Sink::Handle(m) => Some((f.serial, m.clone())),
                Sink::Device(..) => None,
            })
            .collect();
        let mut grew = false;
        for (serial, mailbox) in boxes {
            let mut break_out = false;
            loop {
                let (out, fds, wants_break) = mailbox.take_out(self.out.room());
                break_out |= wants_break;
                if out.is_empty() {
                    break;
                }
                let n = self.send(&out, fds, host);
                // `take_out` asked for the room first, so nothing is left over.
                debug_assert_eq!(n, out.len());
            }
            if break_out {
                self.with_link(host, |link, cx| link.send_break(cx));
            }
            if let Some(f) = self.fronts.iter_mut().flatten().find(|f| f.serial == serial) {
                let room = mailbox.room();
                grew |= room > f.room;
                f.room = room;
                f.feed_held(host);
            }
        }
        if grew {
            self.room_grew(host);
        }
    }
}
