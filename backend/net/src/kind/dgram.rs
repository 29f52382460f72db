//! `dgram`, and the datagram forms of `socket`: each frame is a datagram to one address, or to a group.

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrAny, SocketFlags, SocketType, bind, recv, send, sendto, socket_with,
    sockopt,
};
use southbridge_core::host::{HostEvent, Watch};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use super::Make;
use super::address::{Inet, Names, Place, SocketFile, check_path, inherited, make_nonblocking, unix_name};
use crate::error::NetError;
use crate::link::{Link, LinkCx, LinkEvent};
use crate::packet::{MAX_FRAME, Packet, VnetHeader};

/// Frames read in a row before others get their turn.
const BURST: usize = 64;

/// A socket for datagrams.
pub(crate) struct Dgram {
    fd: OwnedFd,
    watch: Watch,
    /// Where to; a connected socket knows.
    to: Option<SocketAddrAny>,
    about: String,
    buffer: Vec<u8>,
    starved: bool,
    /// Our own datagrams come back from a group; where from, to leave them out.
    _file: Option<SocketFile>,
}

impl Dgram {
    pub(crate) fn new(fd: OwnedFd, to: Option<SocketAddrAny>, about: String) -> Self {
        Self {
            fd,
            watch: Watch::new(1),
            to,
            about,
            buffer: vec![0; MAX_FRAME],
            starved: false,
            _file: None,
        }
    }

    /// To whom it is connected, with the file that goes with it.
    pub(crate) fn with_file(fd: OwnedFd, about: String, file: Option<SocketFile>) -> Self {
        Self {
            _file: file,
            ..Self::new(fd, None, about)
        }
    }

    fn receive(&mut self, cx: &mut LinkCx<'_, '_>) {
        for _ in 0..BURST {
            if cx.room(0) == 0 {
                return self.watch.want_read(false, &self.fd, cx.host);
            }
            match recv(&self.fd, &mut self.buffer[..], RecvFlags::DONTWAIT) {
                Ok((n, _)) if n > 0 => cx.frame(0, VnetHeader::NONE, self.buffer[..n].to_vec()),
                // Nobody listens at the other end yet (ECONNREFUSED): that passes.
                Ok(_) | Err(Errno::CONNREFUSED) => {}
                Err(_) => break,
            }
        }
        self.watch.want_read(true, &self.fd, cx.host);
    }
}

impl Link for Dgram {
    fn start(&mut self, cx: &mut LinkCx<'_, '_>) -> std::io::Result<()> {
        self.watch.set(&self.fd, true, false, cx.host)
    }

    fn on_host(&mut self, event: HostEvent, cx: &mut LinkCx<'_, '_>) {
        let Some(ready) = self.watch.ready(event) else { return };
        if ready.write {
            self.watch.want_write(false, &self.fd, cx.host);
            if std::mem::take(&mut self.starved) {
                cx.tell(LinkEvent::Writable);
            }
        }
        if ready.read || ready.hangup {
            self.receive(cx);
        }
    }

    fn send(&mut self, _queue: usize, packet: Packet<'_>, cx: &mut LinkCx<'_, '_>) -> bool {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        for _ in 0..2 {
            let sent = match &self.to {
                Some(to) => sendto(&self.fd, packet.frame, flags, to),
                None => send(&self.fd, packet.frame, flags),
            };
            match sent {
                Err(Errno::AGAIN) => {
                    self.starved = true;
                    self.watch.want_write(true, &self.fd, cx.host);
                    return false;
                }
                // That was the answer to an earlier one, reported now; this one was not sent.
                Err(Errno::CONNREFUSED | Errno::INTR) => {}
                // A datagram that does not go is lost, as datagrams are.
                Ok(_) | Err(_) => return true,
            }
        }
        true
    }

    fn room_grew(&mut self, _queue: usize, cx: &mut LinkCx<'_, '_>) {
        self.receive(cx);
    }

    fn describe(&self) -> String {
        self.about.clone()
    }

    fn close(&mut self, cx: &mut LinkCx<'_, '_>) {
        self.watch.stop(&self.fd, cx.host);
    }
}

const FLAGS: SocketFlags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);

pub(crate) type V4 = (Ipv4Addr, u16);

fn any(at: V4) -> SocketAddrAny {
    SocketAddr::from(SocketAddrV4::new(at.0, at.1)).into()
}

/// A socket that is a member of a group, on the interface with an address of ours.
pub(crate) fn group_socket(group: V4, interface: Option<Ipv4Addr>) -> Result<OwnedFd, Errno> {
    let fd = socket_with(AddressFamily::INET, SocketType::DGRAM, FLAGS, None)?;
    // Several machines of one host share the group.
    sockopt::set_socket_reuseaddr(&fd, true)?;
    bind(&fd, &SocketAddrV4::new(group.0, group.1))?;
    sockopt::set_ip_add_membership(&fd, &group.0, &interface.unwrap_or(Ipv4Addr::UNSPECIFIED))?;
    sockopt::set_ip_multicast_loop(&fd, true)?;
    if let Some(i) = interface {
        sockopt::set_ip_multicast_if(&fd, &i)?;
    }
    Ok(fd)
}

/// The link over a group. `words` is what stands before the address in `info network`.
pub(crate) fn group(group: V4, interface: Option<Ipv4Addr>, words: &str) -> Result<Dgram, NetError> {
    let about = format!("{words}mcast={}:{}", group.0, group.1);
    if !group.0.is_multicast() {
        return Err(NetError::BadValue {
            option: "mcast".into(),
            value: group.0.to_string(),
            expected: "a group address from 224.0.0.0 to 239.255.255.255".into(),
        });
    }
    let failed = |e: Errno| NetError::host(None, format!("cannot join {}:{}", group.0, group.1), e);
    let fd = group_socket(group, interface).map_err(failed)?;
    Ok(Dgram::new(fd, Some(any(group)), about))
}

/// The link between two addresses of UDP.
pub(crate) fn udp(local: V4, remote: V4, about: String) -> Result<Dgram, NetError> {
    let open = || {
        let fd = socket_with(AddressFamily::INET, SocketType::DGRAM, FLAGS, None)?;
        sockopt::set_socket_reuseaddr(&fd, true)?;
        bind(&fd, &SocketAddrV4::new(local.0, local.1))?;
        Ok(fd)
    };
    let failed = |e: Errno| NetError::host(None, format!("cannot receive at '{}:{}'", local.0, local.1), e);
    Ok(Dgram::new(open().map_err(failed)?, Some(any(remote)), about))
}

fn unix(local: &str, remote: &str) -> Result<Dgram, NetError> {
    check_path("local.path", local)?;
    check_path("remote.path", remote)?;
    let failed = |e: Errno| NetError::host(Some("local.path"), format!("cannot receive at '{local}'"), e);
    let fd = socket_with(AddressFamily::UNIX, SocketType::DGRAM, FLAGS, None).map_err(failed)?;
    let is_socket =
        |s: rustix::fs::Stat| rustix::fs::FileType::from_raw_mode(s.st_mode) == rustix::fs::FileType::Socket;
    // What a machine that is gone has left behind. Other files stay, and are in the way.
    if rustix::fs::stat(local).is_ok_and(is_socket) {
        let _ = rustix::fs::unlink(local);
    }
    bind(&fd, &unix_name(local, false).map_err(failed)?).map_err(failed)?;
    let to = SocketAddrAny::from(unix_name(remote, false).map_err(failed)?);
    Ok(Dgram {
        _file: SocketFile::of(local),
        ..Dgram::new(fd, Some(to), format!("udp={local}:{remote}"))
    })
}

/// A descriptor from outside.
pub(crate) fn adopt(option: &'static str, name: &str, to: Option<V4>, words: &str) -> Result<Dgram, NetError> {
    let fd = inherited(option, name)?;
    let failed = |e: Errno| NetError::host(Some(option), format!("cannot use descriptor {name}"), e);
    if sockopt::socket_type(&fd).map_err(failed)? != SocketType::DGRAM {
        return Err(NetError::BadValue {
            option: option.into(),
            value: name.into(),
            expected: "a socket for datagrams".into(),
        });
    }
    make_nonblocking(&fd).map_err(failed)?;
    let family = match sockopt::socket_domain(&fd) {
        Ok(AddressFamily::UNIX) => "unix",
        _ => "inet",
    };
    Ok(Dgram::new(fd, to.map(any), format!("{words}fd={name} {family}")))
}

const LOCAL: Names = Names {
    kind: "local.type",
    host: "local.host",
    port: "local.port",
    to: "",
    v4: "",
    v6: "",
    path: "local.path",
    abstract_name: "",
    fd: "local.str",
};
const REMOTE: Names = Names {
    kind: "remote.type",
    host: "remote.host",
    port: "remote.port",
    to: "",
    v4: "",
    v6: "",
    path: "remote.path",
    abstract_name: "",
    fd: "remote.str",
};

pub(crate) fn make(make: &mut Make<'_>) -> Result<Box<dyn Link>, NetError> {
    let local = Place::of(make.options, &LOCAL, "dgram")?;
    let remote = Place::of(make.options, &REMOTE, "dgram")?;
    let conflict = |option, why: &str| NetError::Conflict {
        option,
        why: why.to_owned(),
    };
    let link = match (local, remote) {
        (local, Some(Place::Inet(to))) if to.resolve_v4("remote.host").is_ok_and(|(ip, _)| ip.is_multicast()) => {
            join(local.as_ref(), to.resolve_v4("remote.host")?)?
        }
        (Some(Place::Inet(from)), Some(Place::Inet(to))) => {
            make.options.required("dgram", "local.port", "NUMBER")?;
            let (l, r) = (from.resolve_v4("local.host")?, to.resolve_v4("remote.host")?);
            udp(l, r, format!("udp={}:{}/{}:{}", l.0, l.1, r.0, r.1))?
        }
        (Some(Place::Unix { path: from, .. }), Some(Place::Unix { path: to, .. })) => unix(&from, &to)?,
        (Some(Place::Fd(name)), None) => adopt("local.str", &name, None, "")?,
        (Some(Place::Fd(_)), Some(_)) => {
            return Err(conflict(
                "remote.type",
                "does not go with a descriptor, which knows its peer",
            ));
        }
        (Some(_), Some(_)) => return Err(conflict("remote.type", "must be what 'local.type' is")),
        (Some(_), None) => {
            return Err(NetError::Missing {
                kind: "dgram",
                option: "remote.type",
                expected: "inet' or 'remote.type=unix",
            });
        }
        (None, _) => {
            return Err(NetError::Missing {
                kind: "dgram",
                option: "local.type",
                expected: "inet' or 'local.type=unix' or 'local.type=fd",
            });
        }
    };
    Ok(Box::new(link))
}

fn join(local: Option<&Place>, to: V4) -> Result<Dgram, NetError> {
    match local {
        None => group(to, None, ""),
        Some(Place::Inet(Inet { host, .. })) => {
            let interface = host.parse().map_err(|_| NetError::BadValue {
                option: "local.host".into(),
                value: host.clone(),
                expected: "the address of one of the host's interfaces".into(),
            })?;
            group(to, Some(interface), "")
        }
        Some(Place::Fd(name)) => adopt("local.str", name, Some(to), ""),
        Some(Place::Unix { .. }) => Err(NetError::Conflict {
            option: "local.type",
            why: "of a group is inet or fd".into(),
        }),
    }
}
