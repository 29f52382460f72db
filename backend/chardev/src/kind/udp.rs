//! `udp`: each write is a datagram to one address; datagrams from there are input.

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, SocketType, bind, connect, getsockname, recv, send, socket_with};
use southbridge_core::Properties;
use southbridge_core::host::{HostEvent, Watch};
use std::collections::VecDeque;
use std::net::SocketAddr;

use super::address::{Inet, family};
use super::{Make, given};
use crate::error::CharError;
use crate::link::{Link, LinkCx};

struct Udp {
    fd: OwnedFd,
    watch: Watch,
    remote: SocketAddr,
    /// What is left of a datagram.
    held: VecDeque<u8>,
}

impl Udp {
    fn feed(&mut self, cx: &mut LinkCx<'_, '_>) {
        let n = self.held.len().min(cx.room);
        if n > 0 {
            cx.data(self.held.drain(..n).collect(), Vec::new());
        }
        let more = cx.room > 0 && self.held.is_empty();
        self.watch.want_read(more, &self.fd, cx.host);
    }
}

impl Link for Udp {
    fn on_host(&mut self, event: HostEvent, cx: &mut LinkCx<'_, '_>) {
        if self.watch.ready(event).is_none() {
            return;
        }
        if self.held.is_empty() {
            let mut buffer = vec![0; 1 << 16];
            // Nobody listens at the other end yet (ECONNREFUSED): that passes.
            if let Ok((n, _)) = recv(&self.fd, &mut buffer[..], RecvFlags::DONTWAIT) {
                self.held.extend(&buffer[..n]);
            }
        }
        self.feed(cx);
    }

    fn write(&mut self, data: &[u8], fds: &mut Vec<OwnedFd>, _cx: &mut LinkCx<'_, '_>) -> usize {
        fds.clear();
        for part in data.chunks(32 << 10) {
            // A datagram that does not go is lost, as datagrams are.
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            if send(&self.fd, part, flags) == Err(Errno::CONNREFUSED) {
                // That was the answer to an earlier one, reported now; this one was not sent.
                let _ = send(&self.fd, part, flags);
            }
        }
        data.len()
    }

    fn room_grew(&mut self, cx: &mut LinkCx<'_, '_>) {
        self.feed(cx);
    }

    fn describe(&self) -> String {
        let local = getsockname(&self.fd).ok().and_then(|a| SocketAddr::try_from(a).ok());
        local.map_or_else(
            || format!("udp:{}", self.remote),
            |l| format!("udp:{l} <-> {}", self.remote),
        )
    }

    fn close(&mut self, cx: &mut LinkCx<'_, '_>) {
        self.watch.stop(&self.fd, cx.host);
    }
}

fn open(remote: &SocketAddr, local: Option<&SocketAddr>) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = socket_with(family(remote), SocketType::DGRAM, flags, None)?;
    if let Some(at) = local {
        rustix::net::sockopt::set_socket_reuseaddr(&fd, true)?;
        bind(&fd, at)?;
    }
    connect(&fd, remote)?;
    Ok(fd)
}

/// Addresses to receive at, if any were asked for.
fn locals(options: &Properties, remote: &Inet) -> Result<Option<Vec<SocketAddr>>, CharError> {
    if !given(options, "localaddr") && !given(options, "localport") {
        return Ok(None);
    }
    let local = Inet {
        port: Inet::port_of(options, "localport", Some("0"), "udp")?,
        host: options.str("localaddr").unwrap_or_default().to_owned(),
        to: None,
        ..remote.clone()
    };
    let failed = |e| CharError::host(Some("localaddr"), format!("cannot receive at '{}'", local.host), e);
    local.resolve(true).map(Some).map_err(failed)
}

pub(super) fn make(make: &mut Make<'_>) -> Result<Box<dyn Link>, CharError> {
    let options = make.options;
    let inet = Inet::of(options, "host", "port", "udp")?;
    let failed = |option, e: std::io::Error| CharError::host(Some(option), format!("cannot reach '{}'", inet.host), e);
    let remotes = inet.resolve(false).map_err(|e| failed("host", e))?;
    let locals = locals(options, &inet)?;
    let mut last = Errno::ADDRNOTAVAIL;
    for remote in remotes {
        let local = locals
            .as_ref()
            .map(|l| l.iter().find(|l| l.is_ipv4() == remote.is_ipv4()));
        let opened = match local {
            Some(None) => Err(Errno::ADDRNOTAVAIL),
            Some(Some(at)) => open(&remote, Some(at)),
            None => open(&remote, None),
        };
        match opened {
            Ok(fd) => {
                return Ok(Box::new(Udp {
                    fd,
                    watch: Watch::new(1),
                    remote,
                    held: VecDeque::new(),
                }));
            }
            Err(e) => last = e,
        }
    }
    let option = if locals.is_some() { "localport" } else { "port" };
    Err(failed(option, last.into()))
}
