//! `hub`: several back ends as one. Output goes to all of them at the pace of the slowest; input comes from any.

use rustix::fd::OwnedFd;
use southbridge_core::host::HostEvent;
use std::collections::VecDeque;

use crate::front::{CharEvent, CharHandle};
use crate::link::{Link, LinkCx, LinkEvent};

/// The options that name its parts.
pub(crate) const HUB_PARTS: [&str; 4] = ["chardevs.0", "chardevs.1", "chardevs.2", "chardevs.3"];

#[derive(Default)]
pub(crate) struct Hub {
    parts: Vec<(CharHandle, bool)>,
    /// Input taken from a part that the front end had no room for. More stays in the parts' mailboxes.
    held: VecDeque<u8>,
}

impl Hub {
    pub(crate) fn add(&mut self, part: CharHandle) {
        self.parts.push((part, false));
    }

    fn feed(&mut self, cx: &mut LinkCx<'_, '_>) {
        let n = self.held.len().min(cx.room);
        if n > 0 {
            cx.data(self.held.drain(..n).collect(), Vec::new());
        }
    }

    fn collect(&mut self, cx: &mut LinkCx<'_, '_>) {
        for i in 0..self.parts.len() {
            while self.held.is_empty()
                && let Some(event) = self.parts.get(i).and_then(|(p, _)| p.next())
            {
                self.take(i, event, cx);
                self.feed(cx);
            }
        }
    }

    fn take(&mut self, part: usize, event: CharEvent, cx: &mut LinkCx<'_, '_>) {
        let before = self.is_open();
        match event {
            CharEvent::Data { bytes, .. } => self.held.extend(bytes),
            CharEvent::Writable => cx.tell(LinkEvent::Writable),
            CharEvent::Break => cx.tell(LinkEvent::Break),
            CharEvent::Opened | CharEvent::Closed => {
                if let Some((_, open)) = self.parts.get_mut(part) {
                    *open = matches!(event, CharEvent::Opened);
                }
            }
        }
        match (before, self.is_open()) {
            (false, true) => cx.tell(LinkEvent::Opened),
            (true, false) => cx.tell(LinkEvent::Closed),
            _ => {}
        }
    }
}

impl Link for Hub {
    fn on_host(&mut self, event: HostEvent, cx: &mut LinkCx<'_, '_>) {
        if event == HostEvent::Woken {
            self.feed(cx);
            self.collect(cx);
        }
    }

    fn write(&mut self, data: &[u8], fds: &mut Vec<OwnedFd>, _cx: &mut LinkCx<'_, '_>) -> usize {
        fds.clear();
        let n = self.parts.iter().map(|(p, _)| p.room()).min().unwrap_or(data.len());
        let n = n.min(data.len());
        for (p, _) in &self.parts {
            p.write(&data[..n]);
            if n < data.len() {
                p.tell_when_writable();
            }
        }
        n
    }

    fn room_grew(&mut self, cx: &mut LinkCx<'_, '_>) {
        self.feed(cx);
        self.collect(cx);
    }

    fn send_break(&mut self, _cx: &mut LinkCx<'_, '_>) {
        for (p, _) in &self.parts {
            p.send_break();
        }
    }

    fn is_open(&self) -> bool {
        self.parts.iter().any(|(_, open)| *open)
    }

    fn describe(&self) -> String {
        "hub".into()
    }
}
