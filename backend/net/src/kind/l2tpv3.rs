//! `l2tpv3`: Ethernet frames in a session of L2TPv3 (RFC 3931; RFC 4719 for Ethernet), over UDP or over IP itself, without its control
//! messages: both ends are set up by hand.

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{
    Protocol, RecvFlags, SendFlags, SocketAddrAny, SocketFlags, SocketType, bind, recv, sendto, socket_with,
};
use southbridge_core::host::{HostEvent, Watch};
use std::net::SocketAddr;
use std::num::NonZeroU32;

use super::address::{Inet, family, port};
use super::{Make, Options};
use crate::error::NetError;
use crate::link::{Link, LinkCx, LinkEvent};
use crate::packet::{MAX_FRAME, Packet, VnetHeader};

/// IANA's number of the protocol.
const IPPROTO_L2TP: u32 = 115;
/// Over UDP each packet begins with this: a data message of version 3.
const DATA: u32 = 0x0003_0000;
/// The header of IPv4, which raw sockets give along.
const IPV4_HEADER: usize = 20;
const BURST: usize = 64;

/// How a packet of the session looks.
#[derive(Debug, Clone, Default)]
struct Shape {
    udp: bool,
    /// Bytes that a receiver finds before the header and passes over.
    before: usize,
    tx_session: u32,
    rx_session: u32,
    /// To send and to expect, as they stand in the packet.
    cookies: Option<(Vec<u8>, Vec<u8>)>,
    /// A counter follows; pinned, it stays 0.
    counter: Option<bool>,
    /// Bytes without meaning before the frame.
    offset: usize,
}

impl Shape {
    fn header(&self, count: &mut u32) -> Vec<u8> {
        let mut h = Vec::new();
        if self.udp {
            h.extend(DATA.to_be_bytes());
        }
        h.extend(self.tx_session.to_be_bytes());
        if let Some((tx, _)) = &self.cookies {
            h.extend(tx);
        }
        if let Some(pinned) = self.counter {
            if !pinned {
                *count = count.wrapping_add(1);
            }
            h.extend(count.to_be_bytes());
        }
        h.resize(h.len() + self.offset, 0);
        h
    }

    /// The frame in a packet; `None` if it is of no session of ours.
    fn frame<'a>(&self, packet: &'a [u8]) -> Option<&'a [u8]> {
        let mut rest = packet.get(self.before + if self.udp { 4 } else { 0 }..)?;
        let (session, after) = rest.split_first_chunk::<4>()?;
        rest = after;
        if u32::from_be_bytes(*session) != self.rx_session {
            return None;
        }
        if let Some((_, rx)) = &self.cookies {
            rest = rest.strip_prefix(rx.as_slice())?;
        }
        let skip = self.offset + if self.counter.is_some() { 4 } else { 0 };
        rest.get(skip..).filter(|f| !f.is_empty())
    }
}

struct L2tpv3 {
    fd: OwnedFd,
    watch: Watch,
    to: SocketAddrAny,
    shape: Shape,
    count: u32,
    buffer: Vec<u8>,
    starved: bool,
    /// The person has been told that packets of others come.
    complained: bool,
}

impl L2tpv3 {
    fn receive(&mut self, cx: &mut LinkCx<'_, '_>) {
        for _ in 0..BURST {
            if cx.room(0) == 0 {
                return self.watch.want_read(false, &self.fd, cx.host);
            }
            let n = match recv(&self.fd, &mut self.buffer[..], RecvFlags::DONTWAIT) {
                Ok((n, _)) => n,
                Err(Errno::CONNREFUSED) => continue,
                Err(_) => break,
            };
            match self.shape.frame(&self.buffer[..n]) {
                Some(frame) => cx.frame(0, VnetHeader::NONE, frame.to_vec()),
                None if !std::mem::replace(&mut self.complained, true) => {
                    let text = "a packet of another session or with another cookie came; such are dropped";
                    cx.tell(LinkEvent::Warning(text.into()));
                }
                None => {}
            }
        }
        self.watch.want_read(true, &self.fd, cx.host);
    }
}

impl Link for L2tpv3 {
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
        let before = self.count;
        let mut bytes = self.shape.header(&mut self.count);
        bytes.extend_from_slice(packet.frame);
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        match sendto(&self.fd, &bytes, flags, &self.to) {
            Err(Errno::AGAIN | Errno::NOBUFS) => {
                self.count = before;
                self.starved = true;
                self.watch.want_write(true, &self.fd, cx.host);
                false
            }
            // What does not go is lost, as datagrams are.
            Ok(_) | Err(_) => true,
        }
    }

    fn room_grew(&mut self, _queue: usize, cx: &mut LinkCx<'_, '_>) {
        self.receive(cx);
    }

    fn describe(&self) -> String {
        "l2tpv3: connected".into()
    }

    fn close(&mut self, cx: &mut LinkCx<'_, '_>) {
        self.watch.stop(&self.fd, cx.host);
    }
}

fn conflict(option: &'static str, why: &str) -> NetError {
    NetError::Conflict {
        option,
        why: why.into(),
    }
}

fn shape(options: &Options) -> Result<Shape, NetError> {
    let number = |name| options.uint(name);
    let tx_session = number("txsession").ok_or(NetError::Missing {
        kind: "l2tpv3",
        option: "txsession",
        expected: "NUMBER",
    })? as u32;
    let offset = number("offset").unwrap_or(0) as usize;
    if offset > 256 {
        return Err(conflict("offset", "is at most 256"));
    }
    let wide = options.bool("cookie64");
    let cookie = |c: u64| {
        if wide {
            c.to_be_bytes().to_vec()
        } else {
            (c as u32).to_be_bytes().to_vec()
        }
    };
    let cookies = match (number("txcookie"), number("rxcookie")) {
        (None, None) => None,
        (Some(tx), Some(rx)) => Some((cookie(tx), cookie(rx))),
        (Some(_), None) => return Err(conflict("txcookie", "needs 'rxcookie' beside it")),
        (None, Some(_)) => return Err(conflict("rxcookie", "needs 'txcookie' beside it")),
    };
    let pinned = options.bool("pincounter");
    let udp = options.bool("udp");
    Ok(Shape {
        udp,
        before: if udp || options.bool("ipv6") { 0 } else { IPV4_HEADER },
        tx_session,
        rx_session: number("rxsession").map_or(tx_session, |s| s as u32),
        cookies,
        counter: (pinned || options.bool("counter")).then_some(pinned),
        offset,
    })
}

/// An end of the session.
fn end(options: &Options, host: &'static str, number: &'static str) -> Result<SocketAddr, NetError> {
    let name = options.required("l2tpv3", host, "HOST")?;
    let v6 = options.bool("ipv6");
    let inet = Inet {
        host: name.to_owned(),
        port: match options.bool("udp") {
            true => port(number, options.required("l2tpv3", number, "NUMBER")?)?,
            false => 0,
        },
        to: None,
        v4: Some(!v6),
        v6: Some(v6),
    };
    let failed = |e| NetError::host(Some(host), format!("cannot find '{name}'"), e);
    let all = inet.resolve(false).map_err(failed)?;
    let none = || failed(std::io::ErrorKind::AddrNotAvailable.into());
    all.first().copied().ok_or_else(none)
}

pub(crate) fn make(make: &mut Make<'_>) -> Result<Box<dyn Link>, NetError> {
    let options = make.options;
    let shape = shape(options)?;
    let (from, to) = (end(options, "src", "srcport")?, end(options, "dst", "dstport")?);
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let open = || {
        let fd = match shape.udp {
            true => socket_with(family(&from), SocketType::DGRAM, flags, None)?,
            false => {
                let protocol = NonZeroU32::new(IPPROTO_L2TP).map(Protocol::from_raw);
                socket_with(family(&from), SocketType::RAW, flags, protocol)?
            }
        };
        bind(&fd, &from)?;
        Ok::<_, Errno>(fd)
    };
    let fd = open().map_err(|e| NetError::host(Some("src"), format!("cannot open a session at {from}"), e))?;
    Ok(Box::new(L2tpv3 {
        fd,
        watch: Watch::new(1),
        to: to.into(),
        shape,
        count: 0,
        buffer: vec![0; MAX_FRAME],
        starved: false,
        complained: false,
    }))
}
