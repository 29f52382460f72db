//! The narrow host-side trait that each kind of back end implements.
//!
//! A link moves bytes and says what happened; buffering, credit, front ends, the log file and the menu are [`crate::Chardev`]'s.

use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::io::Errno;
use southbridge_core::host::{HostCx, HostEvent};
use std::any::Any;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Most bytes that one read takes from the host.
pub(crate) const READ_CHUNK: usize = 4096;

/// What a link tells.
#[derive(Debug)]
pub(crate) enum LinkEvent {
    Data {
        bytes: Vec<u8>,
        fds: Vec<OwnedFd>,
    },
    /// A write that was cut short may go on.
    Writable,
    Opened,
    Closed,
    Break,
    /// For the person at the command line, as it stands.
    Info(String),
    /// The same, to be told with the id.
    Warning(String),
}

/// What a link may do: watch descriptors, and tell.
pub(crate) struct LinkCx<'a, 'h> {
    pub(crate) host: &'a mut HostCx<'h>,
    /// How many bytes of input the other side takes now; [`LinkCx::data`] counts it down.
    pub(crate) room: usize,
    pub(crate) inbox: &'a mut VecDeque<LinkEvent>,
}

impl LinkCx<'_, '_> {
    /// Hands input on. Never more than `room`.
    pub(crate) fn data(&mut self, bytes: Vec<u8>, fds: Vec<OwnedFd>) {
        self.room = self.room.saturating_sub(bytes.len());
        self.inbox.push_back(LinkEvent::Data { bytes, fds });
    }

    pub(crate) fn tell(&mut self, event: LinkEvent) {
        self.inbox.push_back(event);
    }
}

/// The sockets of a server that somebody else accepts on. The server keeps its name, its file and its `wait=on`.
#[derive(Debug)]
pub struct LentListeners {
    /// They do not block.
    pub sockets: Vec<OwnedFd>,
    pub(crate) came: Arc<AtomicBool>,
}

impl LentListeners {
    /// To be called for every client: the first ends the waiting of `wait=on`.
    pub fn somebody_came(&self) {
        self.came.store(true, Ordering::Relaxed);
    }
}

/// The host's half of a back end. Runs on the machine's thread and never blocks.
pub(crate) trait Link: Any + Send {
    /// Starts to watch. Called once, before anything else.
    fn start(&mut self, _cx: &mut LinkCx<'_, '_>) -> io::Result<()> {
        Ok(())
    }

    /// Something happened on the host.
    fn on_host(&mut self, _event: HostEvent, _cx: &mut LinkCx<'_, '_>) {}

    /// Sends. Takes all, or fewer bytes when the host is not ready: then [`LinkEvent::Writable`] follows. Descriptors are taken out
    /// of `fds` when they went with the first byte (or can never go). Output with nobody to read it is taken and dropped.
    fn write(&mut self, data: &[u8], fds: &mut Vec<OwnedFd>, cx: &mut LinkCx<'_, '_>) -> usize;

    /// The room for input (`cx.room`) became more than nothing.
    fn room_grew(&mut self, _cx: &mut LinkCx<'_, '_>) {}

    /// Sends a break, where the host has such a thing.
    fn send_break(&mut self, _cx: &mut LinkCx<'_, '_>) {}

    /// Whether there is another side right now.
    fn is_open(&self) -> bool {
        true
    }

    /// What `info chardev` shows.
    fn describe(&self) -> String;

    /// What this link wants waited for before the machine starts, for people; `None` if nothing (any more).
    fn awaits(&self) -> Option<String> {
        None
    }

    /// Gives the accepting of clients away, to somebody who takes many at once. `None` if this is no plain server.
    fn lend_listeners(&mut self, _cx: &mut LinkCx<'_, '_>) -> Option<LentListeners> {
        None
    }

    /// Where output goes, to wait for it at the end of the machine.
    fn output_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// The end: unlink, restore, stop threads.
    fn close(&mut self, _cx: &mut LinkCx<'_, '_>) {}
}

/// A write to a non-blocking descriptor: how much went, or that the other side is gone.
pub(crate) fn sent(result: Result<usize, Errno>) -> Result<usize, Errno> {
    match result {
        Err(Errno::AGAIN | Errno::INTR) => Ok(0),
        other => other,
    }
}
