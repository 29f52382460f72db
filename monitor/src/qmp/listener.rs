//! A listening socket with many clients, as a back end. It reads and writes without ever blocking; the monitor looks in when called.

use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, SocketFlags, accept_with, recvmsg, send,
};
use southbridge_backend_chardev::LentListeners;
use southbridge_core::host::Host;
use southbridge_core::{Backend, BackendId, Caller, HostCx, HostEvent, Interest, Machine, WatchId};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::mem::MaybeUninit;
use std::time::Duration;

use super::{Client, Way};

/// Clients at once; the next wait in the queue of the socket.
const MOST_CLIENTS: usize = 64;
/// Bytes that wait for the monitor beyond which a client is not read.
const INPUT: usize = 1 << 16;
/// How long the end of the process may wait for clients to read their last words.
const LAST_WORDS: Duration = Duration::from_millis(200);
const WAKE_ACCEPT: u64 = u64::MAX;

/// The back end.
pub(super) struct Listener {
    lent: LentListeners,
    watches: Vec<Option<WatchId>>,
    caller: Caller,
    clients: BTreeMap<u64, Peer>,
    newcomers: VecDeque<u64>,
    next_token: u64,
}

/// A connection.
struct Peer {
    fd: OwnedFd,
    watch: Option<WatchId>,
    interest: Interest,
    input: Vec<u8>,
    fds: Vec<OwnedFd>,
    output: Vec<u8>,
    /// The client sends nothing any more.
    ended: bool,
    /// Nothing can be sent to it.
    broken: bool,
}

impl Listener {
    pub(super) fn start(lent: LentListeners, caller: Caller, cx: &mut HostCx<'_>) -> io::Result<Self> {
        let mut this = Self {
            watches: lent.sockets.iter().map(|_| None).collect(),
            next_token: lent.sockets.len() as u64,
            lent,
            caller,
            clients: BTreeMap::new(),
            newcomers: VecDeque::new(),
        };
        this.arm(true, cx);
        Ok(this)
    }

    fn arm(&mut self, on: bool, cx: &mut HostCx<'_>) {
        for (i, (fd, watch)) in self.lent.sockets.iter().zip(&mut self.watches).enumerate() {
            match watch.take() {
                Some(id) if !on => cx.unwatch(id, fd),
                Some(id) => *watch = Some(id),
                None if on => *watch = cx.watch(fd, Interest::READ, i as u64).ok(),
                None => {}
            }
        }
    }

    fn accept(&mut self, socket: usize, cx: &mut HostCx<'_>) {
        match accept_with(&self.lent.sockets[socket], SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok(fd) => {
                let token = self.next_token;
                self.next_token += 1;
                let mut peer = Peer::new(fd);
                peer.arm(token, cx);
                self.clients.insert(token, peer);
                self.newcomers.push_back(token);
                self.lent.somebody_came();
                if self.clients.len() >= MOST_CLIENTS {
                    self.arm(false, cx);
                }
            }
            Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => {}
            Err(_) => {
                // Out of descriptors, most likely: asking again at once would spin.
                self.arm(false, cx);
                cx.wake_after(Duration::from_millis(500), WAKE_ACCEPT);
            }
        }
    }

    /// The next client that came, and the way to it.
    pub(super) fn newcomer(machine: &mut Machine, id: BackendId) -> Option<(SocketWay<'_>, u64)> {
        let (listener, _) = machine.sys.host.get::<Self>(id)?;
        let token = listener.newcomers.pop_front()?;
        Some((Self::way(machine, id, token)?, token))
    }

    /// The way to a client, if it is still there.
    pub(super) fn way(machine: &mut Machine, id: BackendId, token: u64) -> Option<SocketWay<'_>> {
        let host: &mut Host = &mut machine.sys.host;
        let (listener, cx) = host.get::<Self>(id)?;
        listener
            .clients
            .contains_key(&token)
            .then_some(SocketWay { listener, cx, token })
    }
}

impl Backend for Listener {
    fn on_host(&mut self, event: HostEvent, cx: &mut HostCx<'_>) {
        match event {
            HostEvent::Ready { token, .. } if token < self.lent.sockets.len() as u64 => self.accept(token as usize, cx),
            HostEvent::Ready {
                token,
                readable,
                writable,
                hangup,
            } => {
                let Some(peer) = self.clients.get_mut(&token) else {
                    return;
                };
                if writable {
                    peer.flush();
                }
                if readable || hangup {
                    peer.receive(hangup);
                }
                peer.arm(token, cx);
            }
            HostEvent::WakeUp { .. } => self.arm(true, cx),
            HostEvent::Woken => {}
        }
        self.caller.call();
    }

    fn close(&mut self, cx: &mut HostCx<'_>) {
        self.arm(false, cx);
        cx.cancel_wake(WAKE_ACCEPT);
        for peer in self.clients.values_mut() {
            peer.flush();
            if !peer.output.is_empty() && !peer.broken {
                let mut fds = [rustix::event::PollFd::new(&peer.fd, rustix::event::PollFlags::OUT)];
                let patience = rustix::event::Timespec {
                    tv_sec: 0,
                    tv_nsec: LAST_WORDS.subsec_nanos().into(),
                };
                let _ = rustix::event::poll(&mut fds, Some(&patience));
                peer.flush();
            }
            peer.stop(cx);
        }
        self.clients.clear();
    }
}

impl Peer {
    fn new(fd: OwnedFd) -> Self {
        Self {
            fd,
            watch: None,
            interest: Interest::empty(),
            input: Vec::new(),
            fds: Vec::new(),
            output: Vec::new(),
            ended: false,
            broken: false,
        }
    }

    fn arm(&mut self, token: u64, cx: &mut HostCx<'_>) {
        let mut interest = Interest::empty();
        interest.set(Interest::READ, !self.ended && self.input.len() < INPUT);
        interest.set(Interest::WRITE, !self.broken && !self.output.is_empty());
        if interest == self.interest {
            return;
        }
        self.interest = interest;
        // Without interest the descriptor leaves epoll: a hang-up would be told without end.
        match self.watch.take() {
            Some(id) if interest.is_empty() => cx.unwatch(id, &self.fd),
            Some(id) => {
                let _ = cx.rewatch(id, &self.fd, interest);
                self.watch = Some(id);
            }
            None => self.watch = cx.watch(&self.fd, interest, token).ok(),
        }
    }

    fn stop(&mut self, cx: &mut HostCx<'_>) {
        if let Some(id) = self.watch.take() {
            cx.unwatch(id, &self.fd);
        }
        self.interest = Interest::empty();
    }

    fn receive(&mut self, hangup: bool) {
        let mut chunk = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(16))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [io::IoSliceMut::new(&mut chunk)];
        match recvmsg(self.fd.as_fd(), &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Ok(message) if message.bytes > 0 => {
                self.input.extend_from_slice(&chunk[..message.bytes]);
                for rights in control.drain() {
                    if let RecvAncillaryMessage::ScmRights(fds) = rights {
                        self.fds.extend(fds);
                    }
                }
            }
            Ok(_) => self.ended = true,
            Err(Errno::AGAIN | Errno::INTR) => self.broken |= hangup && self.ended,
            Err(_) => (self.ended, self.broken) = (true, true),
        }
    }

    fn flush(&mut self) {
        while !self.output.is_empty() && !self.broken {
            match send(&self.fd, &self.output, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(n) => drop(self.output.drain(..n)),
                Err(Errno::AGAIN | Errno::INTR) => break,
                Err(_) => self.broken = true,
            }
        }
    }
}

/// The way to one client.
pub(super) struct SocketWay<'a> {
    listener: &'a mut Listener,
    cx: HostCx<'a>,
    token: u64,
}

impl SocketWay<'_> {
    /// Hands over what the client sent; whether there was anything.
    pub(super) fn read(&mut self, client: &mut Client) -> bool {
        let Some(peer) = self.listener.clients.get_mut(&self.token) else {
            return false;
        };
        if peer.input.is_empty() {
            return false;
        }
        client.hear(&std::mem::take(&mut peer.input), std::mem::take(&mut peer.fds));
        peer.arm(self.token, &mut self.cx);
        true
    }

    /// Whether the client is gone, and what it wanted done.
    pub(super) fn is_over(&self) -> bool {
        let peer = self.listener.clients.get(&self.token);
        peer.is_none_or(|p| p.ended && p.input.is_empty() && (p.broken || p.output.is_empty()))
    }

    /// Closes the connection.
    pub(super) fn remove(mut self) {
        if let Some(mut peer) = self.listener.clients.remove(&self.token) {
            peer.stop(&mut self.cx);
        }
        self.listener.arm(true, &mut self.cx);
    }
}

impl Way for SocketWay<'_> {
    fn backlog(&self) -> usize {
        self.listener.clients.get(&self.token).map_or(0, |p| p.output.len())
    }

    fn send(&mut self, text: &str) {
        if let Some(peer) = self.listener.clients.get_mut(&self.token) {
            if !peer.broken {
                peer.output.extend_from_slice(text.as_bytes());
            }
            peer.flush();
            peer.arm(self.token, &mut self.cx);
        }
    }
}
