//! `stream`, and the stream forms of `socket`: one peer at a time, who is waited for or connected to, and again when lost.

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with, sockopt};
use southbridge_core::host::{HostEvent, Watch};
use std::time::Duration;

use super::address::{Attempt, Listener, Names, Place, Target, inherited, make_nonblocking, peer_of, unix_name};
use super::connection::{Connection, End};
use super::{Make, Options};
use crate::error::NetError;
use crate::link::{Address, Link, LinkCx, LinkEvent};
use crate::packet::Packet;

const TOKEN_LISTEN: u64 = 1;
const TOKEN_PEER: u64 = 2;
const TOKEN_RECONNECT: u64 = 3;

/// How a peer is found.
enum Way {
    Serve(Listener, Watch),
    Connect(Target),
    /// It was there from the start.
    Given,
}

enum State {
    /// Nobody, and nothing goes on but what [`Way`] says.
    Idle,
    Connecting(OwnedFd, Watch),
    Up(Connection, Address),
    /// A descriptor that is connected, before the start.
    Adopted(OwnedFd, Address),
}

/// A stream to one peer.
pub(crate) struct Stream {
    way: Way,
    state: State,
    reconnect: Option<Duration>,
    /// Bytes that are read ahead of the front end.
    ahead: usize,
    /// Words around the peer's address, for `info network`: those of `socket` or of `stream`.
    legacy: bool,
    /// The person has been told that nobody answers.
    complained: bool,
    /// Why there is nobody.
    error: Option<String>,
}

impl Stream {
    pub(crate) fn serve(listener: Listener, legacy: bool) -> Self {
        Self::new(Way::Serve(listener, Watch::new(TOKEN_LISTEN)), State::Idle, legacy)
    }

    pub(crate) fn connect(target: Target, reconnect: Option<Duration>, legacy: bool) -> Self {
        Self {
            reconnect,
            ..Self::new(Way::Connect(target), State::Idle, legacy)
        }
    }

    pub(crate) fn adopt(fd: OwnedFd, name: &str, legacy: bool) -> Self {
        Self::new(Way::Given, State::Adopted(fd, Address::Fd(name.to_owned())), legacy)
    }

    /// See [`Connection::reading_ahead`].
    pub(crate) fn reading_ahead(self, bytes: usize) -> Self {
        Self { ahead: bytes, ..self }
    }

    fn new(way: Way, state: State, legacy: bool) -> Self {
        Self {
            way,
            state,
            reconnect: None,
            ahead: 0,
            legacy,
            complained: false,
            error: None,
        }
    }

    fn listen(&mut self, on: bool, cx: &mut LinkCx<'_, '_>) {
        if let Way::Serve(listener, watch) = &mut self.way {
            watch.want_read(on, &listener.fd, cx.host);
        }
    }

    fn begin(&mut self, cx: &mut LinkCx<'_, '_>) {
        let Way::Connect(target) = &self.way else { return };
        match target.connect() {
            Ok(Attempt::Done(fd)) => {
                let address = peer_of(&fd, false);
                self.up(fd, address, cx);
            }
            Ok(Attempt::UnderWay(fd)) => {
                let mut watch = Watch::new(TOKEN_PEER);
                watch.want_write(true, &fd, cx.host);
                self.state = State::Connecting(fd, watch);
            }
            Err(e) => self.failed(e, cx),
        }
    }

    /// The connection that was being made is made, or not.
    fn concluded(&mut self, cx: &mut LinkCx<'_, '_>) {
        let State::Connecting(fd, mut watch) = std::mem::replace(&mut self.state, State::Idle) else {
            return;
        };
        watch.stop(&fd, cx.host);
        match sockopt::socket_error(&fd) {
            Ok(Ok(())) => {
                let address = peer_of(&fd, false);
                self.up(fd, address, cx);
            }
            Ok(Err(e)) | Err(e) => self.failed(e, cx),
        }
    }

    fn failed(&mut self, e: Errno, cx: &mut LinkCx<'_, '_>) {
        self.error = Some(e.to_string());
        if !std::mem::replace(&mut self.complained, true) && self.reconnect.is_none() {
            cx.tell(LinkEvent::Warning(format!("cannot connect: {e}")));
        }
        self.again(cx);
    }

    fn again(&mut self, cx: &mut LinkCx<'_, '_>) {
        if let Some(delay) = self.reconnect {
            cx.host.wake_after(delay, TOKEN_RECONNECT);
        }
    }

    fn up(&mut self, fd: OwnedFd, address: Address, cx: &mut LinkCx<'_, '_>) {
        self.error = None;
        let mut connection = Connection::new(fd, TOKEN_PEER).reading_ahead(self.ahead);
        cx.tell(LinkEvent::Connected(address.clone()));
        let r = connection.start(cx);
        self.state = State::Up(connection, address);
        self.see(r, cx);
    }

    fn see(&mut self, result: Result<(), End>, cx: &mut LinkCx<'_, '_>) {
        let Err(end) = result else { return };
        if let End::Oversized(length) = end {
            let text =
                format!("the peer announced a frame of {length} bytes, and none can be so long: connection ended");
            cx.tell(LinkEvent::Warning(text));
        }
        if let State::Up(mut connection, _) = std::mem::replace(&mut self.state, State::Idle) {
            connection.close(cx);
        }
        cx.tell(LinkEvent::Disconnected);
        self.listen(true, cx);
        self.again(cx);
    }

    fn accept(&mut self, cx: &mut LinkCx<'_, '_>) {
        let Way::Serve(listener, _) = &self.way else { return };
        let Ok(fd) = accept_with(&listener.fd, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) else {
            return;
        };
        // Whoever comes meanwhile waits in the queue of the socket.
        self.listen(false, cx);
        let address = peer_of(&fd, true);
        self.up(fd, address, cx);
    }
}

impl Link for Stream {
    fn start(&mut self, cx: &mut LinkCx<'_, '_>) -> std::io::Result<()> {
        self.listen(true, cx);
        self.begin(cx);
        if let State::Adopted(..) = self.state
            && let State::Adopted(fd, address) = std::mem::replace(&mut self.state, State::Idle)
        {
            self.up(fd, address, cx);
        }
        Ok(())
    }

    fn on_host(&mut self, event: HostEvent, cx: &mut LinkCx<'_, '_>) {
        if event == (HostEvent::WakeUp { token: TOKEN_RECONNECT }) {
            if matches!(self.state, State::Idle) {
                self.begin(cx);
            }
            return;
        }
        if let Way::Serve(_, watch) = &self.way
            && watch.ready(event).is_some_and(|r| r.read)
        {
            return self.accept(cx);
        }
        match &mut self.state {
            State::Connecting(_, watch) if watch.ready(event).is_some() => self.concluded(cx),
            State::Up(connection, _) => {
                let r = connection.on_host(event, cx);
                self.see(r, cx);
            }
            _ => {}
        }
    }

    fn send(&mut self, _queue: usize, packet: Packet<'_>, cx: &mut LinkCx<'_, '_>) -> bool {
        match &mut self.state {
            State::Up(connection, _) => connection.send(packet, cx),
            _ => true,
        }
    }

    fn room_grew(&mut self, _queue: usize, cx: &mut LinkCx<'_, '_>) {
        if let State::Up(connection, _) = &mut self.state {
            let r = connection.receive(cx);
            self.see(r, cx);
        }
    }

    fn describe(&self) -> String {
        let prefix = if self.legacy { "socket: " } else { "" };
        match (&self.state, &self.way) {
            (State::Up(_, address), Way::Serve(..)) if self.legacy => {
                format!("{prefix}connection from {}", bare(address))
            }
            (State::Up(_, Address::Fd(name)), _) if self.legacy => format!("{prefix}fd={name}"),
            (State::Up(_, address), _) if self.legacy => format!("{prefix}connect to {}", bare(address)),
            (State::Up(_, address), _) => address.to_string(),
            (_, Way::Serve(..)) if self.legacy => String::new(),
            (_, Way::Serve(..)) => "listening".into(),
            (_, Way::Given) => "closed".into(),
            (_, Way::Connect(_)) => match &self.error {
                Some(e) if self.reconnect.is_none() => format!("{prefix}error: {e}"),
                _ => format!("{prefix}connecting"),
            },
        }
    }

    fn close(&mut self, cx: &mut LinkCx<'_, '_>) {
        cx.host.cancel_wake(TOKEN_RECONNECT);
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Up(mut c, _) => c.close(cx),
            State::Connecting(fd, mut watch) => watch.stop(&fd, cx.host),
            State::Idle | State::Adopted(..) => {}
        }
        self.listen(false, cx);
    }
}

/// An address without the word for its family.
fn bare(address: &Address) -> String {
    let text = address.to_string();
    text.strip_prefix("tcp:").map_or(text.clone(), str::to_owned)
}

const ADDR: Names = Names {
    kind: "addr.type",
    host: "addr.host",
    port: "addr.port",
    to: "addr.to",
    v4: "addr.ipv4",
    v6: "addr.ipv6",
    path: "addr.path",
    abstract_name: "addr.abstract",
    fd: "addr.str",
};

/// The time between attempts.
fn reconnect(options: &Options) -> Result<Option<Duration>, NetError> {
    let (seconds, millis) = (options.uint("reconnect"), options.uint("reconnect-ms"));
    let given = if seconds.is_some() { "reconnect" } else { "reconnect-ms" };
    let conflict = |why: &str| NetError::Conflict {
        option: given,
        why: why.into(),
    };
    if seconds.is_some() && millis.is_some() {
        return Err(conflict("and 'reconnect-ms' are two words for one thing: give one"));
    }
    if options.bool("server") && (seconds.or(millis)).is_some() {
        return Err(conflict("is for clients, and with 'server=on' this is none"));
    }
    let millis = millis.or(seconds.map(|s| s.saturating_mul(1000)));
    Ok(millis.filter(|m| *m > 0).map(Duration::from_millis))
}

/// A target with its names resolved.
pub(crate) fn target(place: &Place) -> Result<Target, NetError> {
    match place {
        Place::Inet(inet) => {
            let failed = |e| NetError::host(None, format!("cannot find '{}'", inet.host), e);
            Ok(Target::Inet(inet.resolve(false).map_err(failed)?))
        }
        Place::Unix { path, abstract_name } => {
            let failed = |e: Errno| NetError::host(None, format!("cannot use '{path}'"), e);
            Ok(Target::Unix(unix_name(path, *abstract_name).map_err(failed)?))
        }
        Place::Fd(name) => Err(NetError::BadValue {
            option: "addr.type".into(),
            value: name.clone(),
            expected: "inet or unix for an address to connect to".into(),
        }),
    }
}

pub(crate) fn make(make: &mut Make<'_>) -> Result<Box<dyn Link>, NetError> {
    let options = make.options;
    let place = Place::of(options, &ADDR, "stream")?.ok_or(NetError::Missing {
        kind: "stream",
        option: "addr.type",
        expected: "inet' or 'addr.type=unix' or 'addr.type=fd",
    })?;
    let reconnect = reconnect(options)?;
    if options.bool("server") {
        return Ok(Box::new(Stream::serve(Listener::open(&place)?, false)));
    }
    if let Place::Fd(name) = &place {
        let fd = inherited("addr.str", name)?;
        if sockopt::socket_acceptconn(&fd).unwrap_or(false) {
            return Err(NetError::BadValue {
                option: "addr.str".into(),
                value: name.clone(),
                expected: "a connected socket (this one listens: add 'server=on')".into(),
            });
        }
        let failed = |e: Errno| NetError::host(Some("addr.str"), format!("cannot use descriptor {name}"), e);
        make_nonblocking(&fd).map_err(failed)?;
        return Ok(Box::new(Stream::adopt(fd, name, false)));
    }
    Ok(Box::new(Stream::connect(target(&place)?, reconnect, false)))
}
