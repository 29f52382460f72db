//! One connected peer: reading, writing, descriptors, telnet.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, Shutdown, recv, recvmsg, sendmsg, shutdown, sockopt,
};
use southbridge_core::host::Watch;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;

use super::telnet::{Item, Telnet};
use crate::link::{LinkCx, LinkEvent, READ_CHUNK, sent};

/// Descriptors that one message may carry.
const MOST_FDS: usize = 16;
/// How much unread input is looked through at the end.
const MOST_UNREAD: usize = 1 << 20;

pub(super) struct Connection {
    pub(super) fd: OwnedFd,
    pub(super) watch: Watch,
    pub(super) telnet: Option<Telnet>,
    /// Encoded bytes that the host did not take yet.
    pub(super) pending: Vec<u8>,
    /// The greeting is not through yet, so nobody was told of the peer.
    pub(super) greeting: bool,
    /// The peer is gone; only what it still sent is left.
    pub(super) dying: bool,
    pub(super) unix: bool,
}

impl Connection {
    pub(super) fn new(fd: OwnedFd, token: u64, telnet: Option<Telnet>) -> Self {
        Self {
            unix: sockopt::socket_domain(&fd) == Ok(AddressFamily::UNIX),
            fd,
            watch: Watch::new(token),
            greeting: telnet.is_some(),
            pending: telnet.as_ref().map(|t| t.greeting().to_vec()).unwrap_or_default(),
            telnet,
            dying: false,
        }
    }

    /// Gives what is encoded already a moment to leave; for the end of the machine.
    pub(super) fn drain(&mut self) {
        if !self.pending.is_empty() && !self.greeting {
            let mut fds = [PollFd::new(&self.fd, PollFlags::OUT)];
            let _ = poll(&mut fds, Some(&Timespec { tv_sec: 1, tv_nsec: 0 }));
            let _ = self.send_pending();
        }
    }

    /// Ends it in order: what was sent still arrives.
    pub(super) fn end(&mut self, cx: &mut LinkCx<'_, '_>) {
        self.watch.stop(&self.fd, cx.host);
        // Input that is left unread would turn the end into a reset, which overtakes what the peer has not read yet.
        let mut scrap = [0u8; READ_CHUNK];
        let mut seen = 0;
        while seen < MOST_UNREAD
            && let Ok((_, n)) = recv(&self.fd, &mut scrap[..], RecvFlags::DONTWAIT)
            && n > 0
        {
            seen += n;
        }
        // An inherited descriptor has a twin that stays open, so that closing alone would tell the peer nothing.
        let _ = shutdown(&self.fd, Shutdown::Both);
    }

    pub(super) fn arm(&mut self, cx: &mut LinkCx<'_, '_>) -> io::Result<()> {
        if cx.room > 0 {
            self.watch.set(&self.fd, true, false, cx.host)
        } else {
            self.watch.idle(&self.fd, cx.host)
        }
    }

    /// Reads once. `false` at the end.
    pub(super) fn receive(&mut self, cx: &mut LinkCx<'_, '_>) -> bool {
        let mut buffer = vec![0; cx.room.min(READ_CHUNK)];
        let (n, fds) = match receive(&self.fd, &mut buffer) {
            Ok((0, _)) => return false,
            Ok(got) => got,
            Err(Errno::AGAIN | Errno::INTR) => return true,
            Err(_) => return false,
        };
        buffer.truncate(n);
        match &mut self.telnet {
            None => cx.data(buffer, fds),
            Some(t) => {
                for item in t.read(&buffer) {
                    match item {
                        Item::Data(bytes) => cx.data(bytes, Vec::new()),
                        Item::Break => cx.tell(LinkEvent::Break),
                    }
                }
            }
        }
        true
    }

    pub(super) fn has_unread(&self) -> bool {
        let mut one = [0u8; 1];
        matches!(recv(&self.fd, &mut one, RecvFlags::PEEK | RecvFlags::DONTWAIT), Ok((_, n)) if n > 0)
    }

    pub(super) fn send_pending(&mut self) -> Result<(), Errno> {
        while !self.pending.is_empty() {
            let n = send(&self.fd, &self.pending, &mut Vec::new())?;
            if n == 0 {
                break;
            }
            self.pending.drain(..n);
        }
        Ok(())
    }

    /// Telnet bytes may double, so they are encoded whole and what does not go waits here.
    pub(super) fn write(&mut self, data: &[u8], fds: &mut Vec<OwnedFd>) -> Result<usize, Errno> {
        let Some(t) = &self.telnet else {
            if !self.unix {
                fds.clear();
            }
            return send(&self.fd, data, fds);
        };
        fds.clear();
        if self.pending.is_empty() {
            t.write(data, &mut self.pending);
            self.send_pending()?;
            return Ok(data.len());
        }
        self.send_pending()?;
        if self.pending.is_empty() {
            self.write(data, fds)
        } else {
            Ok(0)
        }
    }
}

/// One send, never blocking, without `SIGPIPE`. Descriptors go with the first byte.
fn send(fd: impl AsFd, data: &[u8], fds: &mut Vec<OwnedFd>) -> Result<usize, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let borrowed: Vec<_> = fds.iter().take(MOST_FDS).map(AsFd::as_fd).collect();
    if !borrowed.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&borrowed)) {
        return Err(Errno::NOBUFS);
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    let n = sent(sendmsg(fd, &[IoSlice::new(data)], &mut control, flags))?;
    if n > 0 {
        fds.clear();
    }
    Ok(n)
}

fn receive(fd: impl AsFd, buffer: &mut [u8]) -> Result<(usize, Vec<OwnedFd>), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let message = recvmsg(fd, &mut [IoSliceMut::new(buffer)], &mut control, flags)?;
    let mut fds = Vec::new();
    for item in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = item {
            fds.extend(rights);
        }
    }
    Ok((message.bytes, fds))
}
