//! Another link under the same front ends: `chardev-change`.

use southbridge_core::host::HostCx;
use std::collections::VecDeque;
use std::fs::File;

use super::{Chardev, Sink};
use crate::error::CharError;
use crate::link::{Link, LinkEvent};

/// A link that is open and not watched yet, with what belongs to it.
pub(crate) struct Replacement {
    pub(crate) kind: &'static str,
    pub(crate) link: Box<dyn Link>,
    pub(crate) logs: Vec<File>,
    pub(crate) inbox: VecDeque<LinkEvent>,
}

impl Chardev {
    /// Why this back end cannot change under its front ends; `None` if it can.
    ///
    /// Devices keep nothing about the other side but whether there is one, and are told of that. Who is in conversation with a peer
    /// (a monitor, a test program, a debugger) would go on talking to another.
    pub(crate) fn fixed(&self) -> Option<&'static str> {
        if self.is_shared() || matches!(self.kind, "mux" | "hub") {
            return Some("is shared, and shared ones cannot change");
        }
        let used = self.fronts.iter().flatten().filter(|f| f.alive.strong_count() > 0);
        let talks = used.into_iter().any(|f| matches!(f.sink, Sink::Handle(_)));
        talks.then_some("is used by a monitor, a test program or a debugger, which cannot change it")
    }

    /// Closes the link and goes on with another. Front ends see the old peer go and the new one come.
    pub(crate) fn replace(&mut self, new: Replacement, host: &mut HostCx<'_>) -> Result<(), CharError> {
        self.drain(host);
        let was_open = self.is_open();
        self.with_link(host, |link, cx| link.close(cx));
        self.inbox.clear();
        if was_open {
            self.inbox.push_back(LinkEvent::Closed);
            self.settle(host);
        }
        self.kind = new.kind;
        self.link = new.link;
        self.logs = new.logs;
        self.inbox = new.inbox;
        self.start(host)
            .map_err(|e| CharError::host(None, format!("cannot start '{}'", self.kind), e))
    }
}
