//! `socket`: stream sockets, unix and TCP, server and client.
//!
//! One peer at a time, as with QEMU: while somebody is connected a server does not accept. A peer that hung up while the guest has no
//! room for what it still sent stays until that is read, or until the next one comes.

mod connection;
mod options;
pub(crate) mod telnet;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with, getpeername, getsockname, sockopt};
use southbridge_core::host::{HostEvent, Ready, Watch};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use self::connection::Connection;
pub(super) use self::options::make;
use self::telnet::Telnet;
use super::address::{Address, Attempt, Inet, Listeners, Resolving, connect_inet, connect_unix};
use crate::link::{LentListeners, Link, LinkCx, LinkEvent};

const WAKE_CONNECT: u64 = 1;
const WAKE_LISTEN: u64 = 2;
const FIRST_TOKEN: u64 = 16;

enum State {
    Idle,
    Resolving(Resolving),
    Connecting {
        fd: OwnedFd,
        watch: Watch,
        rest: VecDeque<SocketAddr>,
    },
    Connected(Connection),
    /// Connected before the link started.
    Adopted(OwnedFd),
}

struct Socket {
    // Fixed.
    address: Address,
    telnet: bool,
    tn3270: bool,
    nodelay: bool,
    reconnect: Option<Duration>,
    // The host.
    listeners: Option<Listeners>,
    listen_watches: Vec<Watch>,
    /// The listener refuses to accept for a moment (no descriptors left).
    listen_paused: bool,
    state: State,
    next_token: u64,
    /// Somebody else accepts; this says whether anybody came.
    lent: Option<Arc<AtomicBool>>,
    /// The machine is not to start before the first peer.
    waiting: bool,
    complained: bool,
}

impl Socket {
    fn token(&mut self) -> u64 {
        self.next_token += 1;
        self.next_token
    }

    // ----- server ---------------------------------------------------------------------------------------------------------------

    fn arm_listeners(&mut self, cx: &mut LinkCx<'_, '_>) {
        let free = match &self.state {
            State::Connected(c) => c.dying,
            _ => true,
        };
        let on = free && !self.listen_paused && self.lent.is_none();
        if let Some(l) = &self.listeners {
            for (fd, watch) in l.sockets.iter().zip(&mut self.listen_watches) {
                watch.want_read(on, fd, cx.host);
            }
        }
    }

    fn accept(&mut self, event: HostEvent, cx: &mut LinkCx<'_, '_>) {
        let Some(l) = &self.listeners else { return };
        let ready = self
            .listen_watches
            .iter()
            .zip(&l.sockets)
            .find(|(w, _)| w.ready(event).is_some_and(|r| r.read));
        let Some((_, fd)) = ready else { return };
        match accept_with(fd, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok(peer) => {
                if matches!(self.state, State::Connected(_)) {
                    self.disconnect(cx);
                }
                self.waiting = false;
                self.connected(peer, cx);
            }
            Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => {}
            Err(_) => {
                // Out of descriptors, most likely. The peer waits; asking again at once would spin.
                self.listen_paused = true;
                self.arm_listeners(cx);
                cx.host.wake_after(Duration::from_millis(500), WAKE_LISTEN);
            }
        }
    }

    // ----- client ---------------------------------------------------------------------------------------------------------------

    fn connect(&mut self, cx: &mut LinkCx<'_, '_>) {
        match self.address.clone() {
            Address::Unix { path, abstract_tight } => match connect_unix(&path, abstract_tight) {
                Ok(Attempt::Done(fd) | Attempt::Pending(fd)) => self.connected(fd, cx),
                Err(e) => self.failed(&e.into(), cx),
            },
            Address::Inet(inet) => match inet.literal(false) {
                Some(addresses) => self.try_addresses(addresses.into(), &Errno::ADDRNOTAVAIL.into(), cx),
                None => self.ask_names(inet, cx),
            },
            Address::Fd(_) => {}
        }
    }

    /// The name service may take long, so a thread asks it.
    fn ask_names(&mut self, inet: Inet, cx: &mut LinkCx<'_, '_>) {
        let answer: Resolving = Arc::default();
        let (theirs, waker) = (answer.clone(), cx.host.waker());
        let thread = std::thread::Builder::new().name("resolve".into()).spawn(move || {
            let result = inet.resolve(false);
            *theirs.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            waker.wake();
        });
        match thread {
            Ok(_) => self.state = State::Resolving(answer),
            Err(e) => self.failed(&e, cx),
        }
    }

    fn look_for_names(&mut self, cx: &mut LinkCx<'_, '_>) {
        let State::Resolving(answer) = &self.state else { return };
        let taken = answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        match taken {
            None => {}
            Some(Ok(addresses)) => self.try_addresses(addresses.into(), &Errno::ADDRNOTAVAIL.into(), cx),
            Some(Err(e)) => self.failed(&e, cx),
        }
    }

    fn try_addresses(&mut self, mut rest: VecDeque<SocketAddr>, why: &io::Error, cx: &mut LinkCx<'_, '_>) {
        let mut last = why.raw_os_error().map(io::Error::from_raw_os_error);
        while let Some(at) = rest.pop_front() {
            match connect_inet(&at) {
                Ok(Attempt::Done(fd)) => return self.connected(fd, cx),
                Ok(Attempt::Pending(fd)) => {
                    let mut watch = Watch::new(self.token());
                    if watch.set(&fd, false, true, cx.host).is_ok() {
                        self.state = State::Connecting { fd, watch, rest };
                        return;
                    }
                }
                Err(e) => last = Some(e.into()),
            }
        }
        self.failed(&last.unwrap_or_else(|| Errno::CONNREFUSED.into()), cx);
    }

    fn attempt_decided(&mut self, event: HostEvent, cx: &mut LinkCx<'_, '_>) {
        let State::Connecting { watch, fd, .. } = &self.state else {
            return;
        };
        if watch.ready(event).is_none() {
            return;
        }
        let outcome = sockopt::socket_error(fd).unwrap_or_else(Err);
        let State::Connecting { fd, mut watch, rest } = std::mem::replace(&mut self.state, State::Idle) else {
            return;
        };
        watch.stop(&fd, cx.host);
        match outcome {
            Ok(()) => self.connected(fd, cx),
            Err(e) => {
                drop(fd);
                self.try_addresses(rest, &e.into(), cx);
            }
        }
    }

    fn failed(&mut self, e: &io::Error, cx: &mut LinkCx<'_, '_>) {
        self.state = State::Idle;
        // Once for each time that the peer is away; the attempts go on silently.
        if !std::mem::replace(&mut self.complained, true) {
            cx.tell(LinkEvent::Warning(format!("cannot connect to '{}': {e}", self.address)));
        }
        self.retry_later(cx);
    }

    fn retry_later(&mut self, cx: &mut LinkCx<'_, '_>) {
        if let Some(after) = self.reconnect {
            cx.host.cancel_wake(WAKE_CONNECT);
            cx.host.wake_after(after, WAKE_CONNECT);
        }
    }

    // ----- a connection ---------------------------------------------------------------------------------------------------------

    fn connected(&mut self, fd: OwnedFd, cx: &mut LinkCx<'_, '_>) {
        self.complained = false;
        if self.nodelay {
            // Unix sockets have no such thing, and that is fine.
            let _ = sockopt::set_tcp_nodelay(&fd, true);
        }
        let server = self.listeners.is_some();
        let telnet = (server && (self.telnet || self.tn3270)).then(|| Telnet::new(self.tn3270));
        let mut c = Connection::new(fd, self.token(), telnet);
        let armed = c.arm(cx);
        self.state = State::Connected(c);
        self.arm_listeners(cx);
        if armed.is_err() {
            self.disconnect(cx);
        } else if !self.greet(cx) {
            cx.tell(LinkEvent::Opened);
        }
    }

    /// Sends what is left of the greeting. Whether there still is any.
    fn greet(&mut self, cx: &mut LinkCx<'_, '_>) -> bool {
        let State::Connected(c) = &mut self.state else {
            return false;
        };
        if !c.greeting {
            return false;
        }
        match c.send_pending() {
            Ok(()) if c.pending.is_empty() => {
                c.greeting = false;
                false
            }
            Ok(()) => {
                c.watch.want_write(true, &c.fd, cx.host);
                true
            }
            Err(_) => {
                self.disconnect(cx);
                true
            }
        }
    }

    fn disconnect(&mut self, cx: &mut LinkCx<'_, '_>) {
        let State::Connected(mut c) = std::mem::replace(&mut self.state, State::Idle) else {
            return;
        };
        c.end(cx);
        if !c.greeting {
            cx.tell(LinkEvent::Closed);
        }
        drop(c);
        self.arm_listeners(cx);
        if self.listeners.is_none() {
            self.retry_later(cx);
        }
    }

    fn connection_event(&mut self, event: HostEvent, cx: &mut LinkCx<'_, '_>) {
        let State::Connected(c) = &mut self.state else { return };
        let Some(ready) = c.watch.ready(event) else { return };
        if ready.write {
            c.watch.want_write(false, &c.fd, cx.host);
            if c.greeting {
                if !self.greet(cx) && matches!(self.state, State::Connected(_)) {
                    cx.tell(LinkEvent::Opened);
                }
            } else {
                cx.tell(LinkEvent::Writable);
            }
        }
        self.readable(ready, cx);
    }

    fn readable(&mut self, ready: Ready, cx: &mut LinkCx<'_, '_>) {
        let State::Connected(c) = &mut self.state else { return };
        let wanted = ready.hangup || ready.read && !c.greeting;
        if !wanted {
            return;
        }
        if cx.room > 0 {
            if !c.receive(cx) {
                self.disconnect(cx);
            }
        } else if ready.hangup {
            if c.has_unread() {
                c.dying = true;
                c.watch.stop(&c.fd, cx.host);
                self.arm_listeners(cx);
            } else {
                self.disconnect(cx);
            }
        } else {
            let _ = c.watch.idle(&c.fd, cx.host);
        }
    }
}

impl Link for Socket {
    fn start(&mut self, cx: &mut LinkCx<'_, '_>) -> io::Result<()> {
        if self.listeners.is_some() {
            self.arm_listeners(cx);
        } else {
            match std::mem::replace(&mut self.state, State::Idle) {
                State::Adopted(fd) => self.connected(fd, cx),
                _ => self.connect(cx),
            }
        }
        Ok(())
    }

    fn on_host(&mut self, event: HostEvent, cx: &mut LinkCx<'_, '_>) {
        match event {
            HostEvent::WakeUp { token: WAKE_CONNECT } if matches!(self.state, State::Idle) => self.connect(cx),
            HostEvent::WakeUp { token: WAKE_LISTEN } => {
                self.listen_paused = false;
                self.arm_listeners(cx);
            }
            HostEvent::WakeUp { .. } => {}
            HostEvent::Woken => self.look_for_names(cx),
            HostEvent::Ready { .. } => {
                self.accept(event, cx);
                self.attempt_decided(event, cx);
                self.connection_event(event, cx);
            }
        }
    }

    fn write(&mut self, data: &[u8], fds: &mut Vec<OwnedFd>, cx: &mut LinkCx<'_, '_>) -> usize {
        let State::Connected(c) = &mut self.state else {
            fds.clear();
            return data.len();
        };
        if c.dying || c.greeting {
            fds.clear();
            return data.len();
        }
        match c.write(data, fds) {
            Ok(n) if n < data.len() || !c.pending.is_empty() => {
                c.watch.want_write(true, &c.fd, cx.host);
                n
            }
            Ok(n) => n,
            Err(_) => {
                fds.clear();
                // What the peer sent before it went is read first; the end of the stream then closes.
                if c.has_unread() {
                    c.dying = true;
                    self.arm_listeners(cx);
                } else {
                    self.disconnect(cx);
                }
                data.len()
            }
        }
    }

    fn room_grew(&mut self, cx: &mut LinkCx<'_, '_>) {
        if let State::Connected(c) = &mut self.state
            && !c.greeting
        {
            c.watch.want_read(true, &c.fd, cx.host);
        }
    }

    fn is_open(&self) -> bool {
        matches!(&self.state, State::Connected(c) if !c.greeting)
    }

    fn describe(&self) -> String {
        let server = if self.listeners.is_some() { ",server=on" } else { "" };
        match &self.state {
            State::Connected(c) if !c.unix => match (local(&c.fd), peer(&c.fd)) {
                (Some(l), Some(p)) => {
                    let name = if self.telnet { "telnet" } else { "tcp" };
                    format!("{name}:{l}{server} <-> {p}")
                }
                _ => format!("{}{server}", self.address),
            },
            State::Connected(_) => format!("{}{server}", self.address),
            _ if self.lent.is_some() => format!("{}{server}", self.address),
            _ => format!("disconnected:{}{server}", self.address),
        }
    }

    fn awaits(&self) -> Option<String> {
        let came = self.lent.as_ref().is_some_and(|came| came.load(Ordering::Relaxed));
        (self.waiting && !came).then(|| self.describe())
    }

    fn lend_listeners(&mut self, cx: &mut LinkCx<'_, '_>) -> Option<LentListeners> {
        if self.telnet || self.tn3270 || !matches!(self.state, State::Idle) {
            return None;
        }
        let copies = self.listeners.as_ref()?.sockets.iter().map(OwnedFd::try_clone);
        let sockets = copies.collect::<io::Result<_>>().ok()?;
        let came = Arc::new(AtomicBool::new(false));
        self.lent = Some(came.clone());
        self.arm_listeners(cx);
        Some(LentListeners { sockets, came })
    }

    fn output_fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.state {
            State::Connected(c) if !c.dying => Some(c.fd.as_fd()),
            _ => None,
        }
    }

    fn close(&mut self, cx: &mut LinkCx<'_, '_>) {
        self.reconnect = None;
        cx.host.cancel_wake(WAKE_CONNECT);
        cx.host.cancel_wake(WAKE_LISTEN);
        self.listen_paused = true;
        if let State::Connected(c) = &mut self.state {
            c.drain();
        }
        self.disconnect(cx);
        if let State::Connecting { fd, watch, .. } = &mut self.state {
            watch.stop(&*fd, cx.host);
        }
        self.state = State::Idle;
        self.arm_listeners(cx);
        self.listeners = None;
    }
}

fn local(fd: &OwnedFd) -> Option<SocketAddr> {
    SocketAddr::try_from(getsockname(fd).ok()?).ok()
}

fn peer(fd: &OwnedFd) -> Option<SocketAddr> {
    SocketAddr::try_from(getpeername(fd).ok()??).ok()
}
