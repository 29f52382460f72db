//! Connections that the host's side opens: listening sockets of forwarding rules.

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, ipproto};
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use super::Tcp;
use super::flow::{Ends, Phase};
use crate::host::{Fds, Owner};
use crate::info::FlowInfo;
use crate::net::Cx;
use crate::route::appears_as;
use crate::rules::HostSide;
use crate::slab::Handle;

/// Connections taken from one listening socket before others have their turn.
const ACCEPTS: usize = 64;

/// A forwarding rule that listens.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) host: HostSide,
    fd: Handle,
    bound: Option<SocketAddr>,
    guest: (IpAddr, u16),
    pending: bool,
}

impl Tcp {
    /// Listens for a rule.
    pub(crate) fn listen(
        &mut self,
        cx: &mut Cx<'_>,
        host: &HostSide,
        guest: (IpAddr, u16),
    ) -> io::Result<Option<SocketAddr>> {
        let (fd, bound) = match host {
            HostSide::Unix(path) => (bind_unix(path)?, None),
            HostSide::Tcp(address) | HostSide::Udp(address) => {
                let fd = bind_tcp(*address)?;
                let bound = rustix::net::getsockname(&fd)?;
                (fd, SocketAddr::try_from(bound).ok())
            }
        };
        let host = match bound {
            Some(bound) => HostSide::Tcp(bound),
            None => host.clone(),
        };
        let full = || io::Error::from(Errno::MFILE);
        // The handle is needed to name the owner, and the descriptor to make the handle: placed first, filled in after.
        let placeholder = Handle::from_bits(u64::MAX);
        let handle = self
            .listeners
            .insert(Listener {
                host,
                fd: placeholder,
                bound,
                guest,
                pending: false,
            })
            .ok_or_else(full)?;
        let Some(fd) = cx.fds.add(fd, Owner::Listener(handle), false) else {
            self.listeners.remove(handle);
            return Err(full());
        };
        if let Some(listener) = self.listeners.get_mut(handle) {
            listener.fd = fd;
        }
        Ok(bound)
    }

    /// `false`: no such rule.
    pub(crate) fn unlisten(&mut self, cx: &mut Cx<'_>, host: &HostSide) -> bool {
        let Some(handle) = self.listeners.iter().find(|(_, l)| l.host == *host).map(|(h, _)| h) else {
            return false;
        };
        if let Some(listener) = self.listeners.remove(handle) {
            cx.fds.remove(listener.fd);
            if let HostSide::Unix(path) = &listener.host {
                let _ = fs::remove_file(path);
            }
        }
        true
    }

    pub(crate) fn listener_ready(&mut self, handle: Handle) {
        if let Some(listener) = self.listeners.get_mut(handle) {
            listener.pending = true;
        }
    }

    /// Takes connections that wait. `true`: there may be more.
    pub(crate) fn accept(&mut self, cx: &mut Cx<'_>) -> bool {
        let pending: Vec<Handle> = self
            .listeners
            .iter()
            .filter(|(_, l)| l.pending)
            .map(|(h, _)| h)
            .collect();
        let mut more = false;
        for handle in pending {
            let mut left = ACCEPTS;
            while left > 0 && self.accept_one(cx, handle) {
                left -= 1;
            }
            more |= left == 0;
        }
        more
    }

    /// `false`: nobody waits, or there is no place now.
    fn accept_one(&mut self, cx: &mut Cx<'_>, handle: Handle) -> bool {
        if !self.make_place(cx) {
            // The kernel's queue holds them; looked at again when this is.
            return false;
        }
        let Some(listener) = self.listeners.get_mut(handle) else {
            return false;
        };
        let Some(fd) = cx.fds.get(listener.fd) else {
            return false;
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        match rustix::net::acceptfrom_with(fd, flags) {
            Ok((fd, peer)) => {
                let (guest, peer) = (listener.guest, peer.and_then(|p| SocketAddr::try_from(p).ok()));
                self.accepted(cx, fd, peer, guest);
                true
            }
            Err(Errno::INTR | Errno::CONNABORTED) => true,
            Err(Errno::AGAIN) => {
                listener.pending = false;
                false
            }
            Err(_) => false,
        }
    }

    fn accepted(&mut self, cx: &mut Cx<'_>, fd: OwnedFd, peer: Option<SocketAddr>, guest: (IpAddr, u16)) {
        let _ = rustix::net::sockopt::set_tcp_nodelay(&fd, true);
        let Some(mut remote) = appears_as(&cx.link.config, peer, guest.0.is_ipv6()) else {
            return;
        };
        // Two peers may look alike to the guest; it tells them apart by the port.
        for _ in 0..1000 {
            if remote.1 != 0 && !self.keys.contains_key(&Ends { guest, remote }) {
                break;
            }
            self.next_port = self.next_port.wrapping_add(1);
            remote.1 = 0x8000 | self.next_port;
        }
        let ends = Ends { guest, remote };
        if self.keys.contains_key(&ends) {
            return;
        }
        if let Some(handle) = self.insert(cx, ends, Phase::SynSent, Some(fd)) {
            self.list(handle);
        }
    }

    pub(super) fn listeners_info(&self, fds: &Fds, out: &mut Vec<FlowInfo>) {
        use rustix::fd::AsRawFd;
        for (_, listener) in self.listeners.iter() {
            out.push(FlowInfo {
                protocol: "TCP[HOST_FORWARD]".to_owned(),
                fd: fds.get(listener.fd).map_or(-1, |fd| fd.as_raw_fd()),
                source: listener.bound,
                destination: Some(listener.guest.into()),
                receive_queue: 0,
                send_queue: 0,
            });
        }
    }

    /// Unix sockets that the engine has made are taken away again.
    pub(crate) fn unlink_all(&mut self) {
        for (_, listener) in self.listeners.iter() {
            if let HostSide::Unix(path) = &listener.host {
                let _ = fs::remove_file(path);
            }
        }
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let fd = rustix::net::socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    rustix::net::sockopt::set_socket_reuseaddr(&fd, true)?;
    rustix::net::bind(&fd, &address)?;
    rustix::net::listen(&fd, 128)?;
    Ok(fd)
}

fn bind_unix(path: &Path) -> io::Result<OwnedFd> {
    let address = SocketAddrUnix::new(path)?;
    let fd = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
        None,
    )?;
    if rustix::net::bind(&fd, &address) == Err(Errno::ADDRINUSE) {
        // A socket that nobody listens at any more is left over from an earlier run.
        let stale = fs::symlink_metadata(path)?.file_type().is_socket()
            && std::os::unix::net::UnixStream::connect(path)
                .is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused);
        if !stale {
            return Err(Errno::ADDRINUSE.into());
        }
        fs::remove_file(path)?;
        rustix::net::bind(&fd, &address)?;
    }
    rustix::net::listen(&fd, 128)?;
    Ok(fd)
}
