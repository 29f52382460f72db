//! One character back end: what all kinds have in common, over the [`Link`] of one kind.

mod change;
mod fronts;
pub(crate) mod output;
mod receiving;
mod sending;

use southbridge_core::host::{Backend, HostCx, HostEvent};
use std::any::Any;
use std::collections::VecDeque;
use std::fs::File;

pub(crate) use self::change::Replacement;
pub use self::fronts::AttachError;
use self::fronts::Front;
pub(crate) use self::fronts::{FrontId, Sink};
use self::output::{LIMIT, Output};
use crate::link::{LentListeners, Link, LinkEvent};
use crate::mux::Menu;
use crate::program::{Messages, QuitRequest};

/// Front ends that one shared back end takes.
const MAX_FRONTS: usize = 32;
/// Input that a shared back end holds for a front end without room, so that the menu still works when a guest hangs.
const HELD: usize = 4096;

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

    /// Gives the accepting of clients away to the one front end that is attached. `None` if this is no plain socket server.
    pub fn lend_listeners(&mut self, host: &mut HostCx<'_>) -> Option<LentListeners> {
        if self.is_shared() {
            return None;
        }
        self.with_link(host, |link, cx| link.lend_listeners(cx))
    }

    /// Sends a break, on behalf of nobody.
    pub fn send_break(&mut self, host: &mut HostCx<'_>) {
        self.break_out(host);
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
