//! Output: from a front end to the host, through the bounded buffer and past the log file.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use southbridge_core::host::HostCx;
use std::io::Write;
use std::time::{Duration, Instant};

use super::Chardev;
use super::fronts::{FrontId, Sink};
use super::output::LIMIT;
use crate::front::CharEvent;
use crate::link::LinkCx;

/// How long the end of a machine waits for a reader that takes nothing, and for one that does.
const DRAIN_STEP: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
const DRAIN_IN_ALL: Duration = Duration::from_secs(3);

impl Chardev {
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

    /// How many bytes a front end's write would take now.
    pub(crate) fn out_room(&self) -> usize {
        match &self.menu {
            Some(menu) if menu.stamps() && self.out.room() < LIMIT / 2 => 0,
            Some(menu) if menu.stamps() => 256,
            _ => self.out.room(),
        }
    }

    pub(super) fn send(&mut self, data: &[u8], mut fds: Vec<OwnedFd>, host: &mut HostCx<'_>) -> usize {
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
    pub(super) fn send_all(&mut self, data: &[u8], host: &mut HostCx<'_>) {
        let taken = self.send(data, Vec::new(), host);
        self.out.push_all(&data[taken..], Vec::new());
    }

    pub(super) fn write_log(&mut self, data: &[u8]) {
        if !data.is_empty() {
            // A full disk must not disturb the guest; what could be written stays.
            self.logs.retain_mut(|log| log.write_all(data).is_ok());
        }
    }

    pub(super) fn flush(&mut self, host: &mut HostCx<'_>) {
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
    pub(super) fn drain(&mut self, host: &mut HostCx<'_>) {
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

    pub(super) fn feed_starved(&mut self, host: &mut HostCx<'_>) {
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
}
