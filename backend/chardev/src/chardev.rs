//! One character back end: what all kinds have in common, over the [`Link`] of one kind.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use southbridge_core::DeviceId;
use southbridge_core::host::{Backend, HostCx, HostEvent};
use std::any::Any;
use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::front::{CharEvent, Mailbox};
use crate::link::{Link, LinkCx, LinkEvent};
use crate::mux::{Key, Menu};
use crate::output::{LIMIT, Output};
use crate::program::{Message, Messages, QuitRequest};

/// Front ends that one shared back end takes.
const MAX_FRONTS: usize = 32;
/// Input that a shared back end holds for a front end without room, so that the menu still works when a guest hangs.
const HELD: usize = 4096;

/// How long the end of a machine waits for a reader that takes nothing, and for one that does.
const DRAIN_STEP: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
const DRAIN_IN_ALL: Duration = Duration::from_secs(3);

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

struct Front {
    serial: u64,
    sink: Sink,
    /// Gone when the front end is.
    alive: Weak<()>,
    room: usize,
    /// A write was cut short.
    starved: bool,
    /// Input held for it: behind the menu, mostly.
    held: VecDeque<u8>,
}

/// A character back end of a machine: attach to it with [`crate::CharFront`] or [`crate::CharHandle`].
pub struct Chardev {
    // Fixed.
    id: String,
    kind: &'static str,
    quit: QuitRequest,
    messages: Messages,
    // The host.
    link: Box<dyn Link>,
    logs: Vec<File>,
    inbox: VecDeque<LinkEvent>,
    // Front ends.
    fronts: Vec<Option<Front>>,
    serial: u64,
    focus: usize,
    menu: Option<Menu>,
    // Output that waits for the host.
    out: Output,
}

/// What stands around a link.
#[derive(Default)]
pub(crate) struct Common {
    pub(crate) logs: Vec<File>,
    pub(crate) menu: Option<Menu>,
    pub(crate) quit: QuitRequest,
    pub(crate) messages: Messages,
    /// What the link's maker had to say already.
    pub(crate) inbox: VecDeque<LinkEvent>,
}

impl Chardev {
    pub(crate) fn new(id: &str, kind: &'static str, link: Box<dyn Link>, common: Common) -> Self {
        Self {
            id: id.to_owned(),
            kind,
            quit: common.quit,
            messages: common.messages,
            link,
            logs: common.logs,
            inbox: common.inbox,
            fronts: Vec::new(),
            serial: 0,
            focus: 0,
            menu: common.menu,
            out: Output::default(),
        }
    }

    pub(crate) fn start(&mut self, host: &mut HostCx<'_>) -> std::io::Result<()> {
        let r = self.with_link(host, |link, cx| link.start(cx));
        self.settle(host);
        r
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its kind, as in the table of kinds.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// What it is connected to, as `info chardev` shows it.
    pub fn describe(&self) -> String {
        self.link.describe()
    }

    /// Whether there is another side.
    pub fn is_open(&self) -> bool {
        self.link.is_open()
    }

    /// Whether a front end is attached.
    pub fn is_used(&self) -> bool {
        self.fronts.iter().flatten().any(|f| f.alive.strong_count() > 0)
    }

    /// What must connect before the machine starts (`wait=on`), for people; `None` if nothing (any more).
    pub fn awaits(&self) -> Option<String> {
        self.link.awaits()
    }

    /// Lets several front ends share this back end, with the menu behind `escape`. Does nothing if they do already.
    pub fn share(&mut self, escape: u8) {
        if self.menu.is_none() {
            self.menu = Some(Menu::new(escape));
        }
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.menu.is_some()
    }

    pub(crate) fn add_log(&mut self, log: Option<File>) {
        self.logs.extend(log);
    }

    /// Where the menu's `x` goes.
    pub fn quit_request(&self) -> &QuitRequest {
        &self.quit
    }

    /// Output that waits for the host, in bytes.
    pub fn buffered(&self) -> usize {
        LIMIT.saturating_sub(self.out.room())
    }

    /// The link as its concrete type.
    pub(crate) fn link<T: Link>(&mut self) -> Option<&mut T> {
        let any: &mut dyn Any = &mut *self.link;
        any.downcast_mut()
    }

    // ----- front ends -----------------------------------------------------------------------------------------------------------

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
        let room = match &sink {
            Sink::Device(..) => 0,
            Sink::Handle(mailbox) => mailbox.room(),
        };
        let front = Front {
            serial: self.serial,
            sink,
            alive: Arc::downgrade(alive),
            room,
            starved: false,
            held: VecDeque::new(),
        };
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
        if grew || self.menu.is_some() {
            self.room_grew(host);
        }
        Ok(FrontId {
            index,
            serial: self.serial,
        })
    }

    fn forget_gone(&mut self) {
        for f in &mut self.fronts {
            if f.as_ref().is_some_and(|f| f.alive.strong_count() == 0) {
                *f = None;
            }
        }
        if self.fronts.get(self.focus).is_none_or(Option::is_none) {
            self.focus = self.fronts.iter().position(Option::is_some).unwrap_or(0);
        }
    }

    fn front_mut(&mut self, id: FrontId) -> Option<&mut Front> {
        self.fronts
            .get_mut(id.index)?
            .as_mut()
            .filter(|f| f.serial == id.serial)
    }

    pub(crate) fn set_room(&mut self, id: FrontId, bytes: usize, host: &mut HostCx<'_>) {
        let Some(f) = self.front_mut(id) else { return };
        let grew = bytes > f.room;
        f.room = bytes;
        if grew {
            f.feed_held(host);
            self.room_grew(host);
        }
    }

    fn room_grew(&mut self, host: &mut HostCx<'_>) {
        if self.input_room() > 0 {
            self.with_link(host, |link, cx| link.room_grew(cx));
            self.settle(host);
        }
    }

    /// How much input is welcome.
    fn input_room(&self) -> usize {
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

    // ----- output ---------------------------------------------------------------------------------------------------------------

    pub(crate) fn front_write(&mut self, id: FrontId, data: &[u8], fds: Vec<OwnedFd>, host: &mut HostCx<'_>) -> usize {
        let taken = match &mut self.menu {
            Some(menu) if menu.stamps() => {
                // A stamped line is longer than what the device wrote, so it is taken whole or not at all.
                let part = &data[..data.len().min(256)];
                if self.out.room() < LIMIT / 2 {
                    0
                } else {
                    let stamped = menu.stamp(part, Instant::now());
                    self.send_all(&stamped, host);
                    part.len()
                }
            }
            _ => self.send(data, fds, host),
        };
        if taken < data.len()
            && let Some(f) = self.front_mut(id)
        {
            f.starved = true;
        }
        self.settle(host);
        if taken < data.len() && self.out.room() >= LIMIT / 2 {
            // Nothing is in the way (any more), so nothing would ever say so.
            self.feed_starved(host);
        }
        taken
    }

    fn send(&mut self, data: &[u8], mut fds: Vec<OwnedFd>, host: &mut HostCx<'_>) -> usize {
        let mut taken = 0;
        if self.out.is_empty() {
            taken = self.with_link(host, |link, cx| link.write(data, &mut fds, cx));
        }
        if taken < data.len() {
            taken += self.out.push(&data[taken..], fds);
        }
        self.write_log(&data[..taken]);
        taken
    }

    /// For the menu's own words, which nobody could take up again.
    fn send_all(&mut self, data: &[u8], host: &mut HostCx<'_>) {
        let taken = self.send(data, Vec::new(), host);
        self.out.push_all(&data[taken..], Vec::new());
    }

    fn write_log(&mut self, data: &[u8]) {
        if !data.is_empty() {
            // A full disk must not disturb the guest; what could be written stays.
            self.logs.retain_mut(|log| log.write_all(data).is_ok());
        }
    }

    fn flush(&mut self, host: &mut HostCx<'_>) {
        while !self.out.is_empty() {
            let Self { link, inbox, out, .. } = self;
            let Some((bytes, fds)) = out.front() else { break };
            let len = bytes.len();
            let mut cx = LinkCx { host, room: 0, inbox };
            let n = link.write(bytes, fds, &mut cx);
            out.consume(n);
            if n < len {
                break;
            }
        }
        if self.out.room() >= LIMIT / 2 {
            self.feed_starved(host);
        }
    }

    /// The last words of a guest reach a reader that is slow, but one that has stopped does not hold the end up for long.
    fn drain(&mut self, host: &mut HostCx<'_>) {
        let end = Instant::now() + DRAIN_IN_ALL;
        self.flush(host);
        while !self.out.is_empty() && Instant::now() < end {
            let Some(fd) = self.link.output_fd() else { break };
            let mut fds = [PollFd::new(&fd, PollFlags::OUT)];
            match poll(&mut fds, Some(&DRAIN_STEP)) {
                Ok(0) => break,
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => break,
            }
            let before = self.out.room();
            self.flush(host);
            if self.out.room() == before {
                break;
            }
        }
    }

    fn feed_starved(&mut self, host: &mut HostCx<'_>) {
        let mut more = false;
        for f in self.fronts.iter_mut().flatten() {
            if std::mem::take(&mut f.starved) {
                f.post(CharEvent::Writable, host);
            }
            more |= matches!(&f.sink, Sink::Handle(m) if m.has_more());
        }
        if more {
            host.waker().wake();
        }
    }

    // ----- input ----------------------------------------------------------------------------------------------------------------

    fn with_link<R>(&mut self, host: &mut HostCx<'_>, f: impl FnOnce(&mut dyn Link, &mut LinkCx<'_, '_>) -> R) -> R {
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
    fn settle(&mut self, host: &mut HostCx<'_>) {
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

    fn tell_all(&mut self, event: impl Fn() -> CharEvent, host: &mut HostCx<'_>) {
        for f in self.fronts.iter().flatten() {
            f.post(event(), host);
        }
    }

    fn tell_focus(&mut self, event: CharEvent, host: &mut HostCx<'_>) {
        if let Some(f) = self.fronts.get(self.focus).and_then(Option::as_ref) {
            f.post(event, host);
        }
    }

    fn input(&mut self, bytes: Vec<u8>, fds: Vec<OwnedFd>, host: &mut HostCx<'_>) {
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

    fn feed_focus(&mut self, host: &mut HostCx<'_>) {
        if let Some(f) = self.fronts.get_mut(self.focus).and_then(Option::as_mut) {
            f.feed_held(host);
        }
    }

    fn menu_key(&mut self, key: Key, host: &mut HostCx<'_>) {
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
                // What the link tells now stays in the inbox: it comes after the bytes that are being looked at.
                self.with_link(host, |link, cx| link.room_grew(cx));
            }
            Key::Input(_) => {}
        }
    }

    /// Handles speak through their mailboxes.
    fn collect_mail(&mut self, host: &mut HostCx<'_>) {
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
            let (out, break_out) = mailbox.take_out(self.out.room());
            if !out.is_empty() {
                let n = self.send(&out, Vec::new(), host);
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

impl Front {
    fn post(&self, event: CharEvent, host: &mut HostCx<'_>) {
        match &self.sink {
            Sink::Device(device, port) => host.post(*device, event.into_completion(*port)),
            Sink::Handle(mailbox) => mailbox.post(event),
        }
    }

    /// Hands on what was held, as far as there is room.
    fn feed_held(&mut self, host: &mut HostCx<'_>) {
        let n = self.held.len().min(self.room);
        if n > 0 {
            let bytes = self.held.drain(..n).collect();
            self.room -= n;
            self.post(CharEvent::Data { bytes, fds: Vec::new() }, host);
        }
    }
}

impl Backend for Chardev {
    fn on_host(&mut self, event: HostEvent, cx: &mut HostCx<'_>) {
        self.with_link(cx, |link, l| link.on_host(event, l));
        self.settle(cx);
        if event == HostEvent::Woken {
            self.collect_mail(cx);
            self.settle(cx);
        }
    }

    fn close(&mut self, cx: &mut HostCx<'_>) {
        self.collect_mail(cx);
        self.drain(cx);
        self.with_link(cx, |link, l| link.close(l));
        self.inbox.clear();
    }
}
