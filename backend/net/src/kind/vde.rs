//! `vde`: a port of a switch of Virtual Distributed Ethernet. A stream to the switch's control socket asks for the port and keeps it; frames
//! are datagrams between two unix sockets.
//!
//! What goes over the control socket is what `vde_switch` and libvdeplug of vde2 exchange, version 3: magic number, version, kind of
//! request with the port above it, the address of the own datagram socket, and words about who asks; the answer is the switch's address.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::fs::{Gid, Mode};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, bind, connect, recv, send, socket_with,
};
use southbridge_core::host::{HostEvent, Watch};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::address::SocketFile;
use super::dgram::Dgram;
use super::{Make, Options};
use crate::error::NetError;
use crate::link::{Link, LinkCx, LinkEvent};
use crate::packet::Packet;

const MAGIC: u32 = 0xfeed_face;
const VERSION: u32 = 3;
/// A port; above the lowest byte stands its number, 0 for any.
const NEW_PORT: u32 = 0;
/// `struct sockaddr_un` of Linux: family and path.
const ADDRESS: usize = 110;
/// Where a switch is when nobody says.
const USUAL: [&str; 3] = ["/run/vde.ctl", "/var/run/vde.ctl", "/tmp/vde.ctl"];
const TOKEN_CONTROL: u64 = 2;
/// A switch that is there answers at once.
const PATIENCE: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

struct Vde {
    frames: Dgram,
    /// As long as it is open the port is ours.
    control: OwnedFd,
    watch: Watch,
}

impl Link for Vde {
    fn start(&mut self, cx: &mut LinkCx<'_, '_>) -> std::io::Result<()> {
        self.watch.set(&self.control, true, false, cx.host)?;
        self.frames.start(cx)
    }

    fn on_host(&mut self, event: HostEvent, cx: &mut LinkCx<'_, '_>) {
        let Some(ready) = self.watch.ready(event) else {
            return self.frames.on_host(event, cx);
        };
        let ended = matches!(
            recv(&self.control, &mut [0; 64][..], rustix::net::RecvFlags::DONTWAIT),
            Ok((0, _))
        );
        if ended || ready.hangup {
            self.watch.stop(&self.control, cx.host);
            cx.tell(LinkEvent::Warning(
                "the switch has ended; frames are lost from here on".into(),
            ));
        }
    }

    fn send(&mut self, queue: usize, packet: Packet<'_>, cx: &mut LinkCx<'_, '_>) -> bool {
        self.frames.send(queue, packet, cx)
    }

    fn room_grew(&mut self, queue: usize, cx: &mut LinkCx<'_, '_>) {
        self.frames.room_grew(queue, cx);
    }

    fn describe(&self) -> String {
        self.frames.describe()
    }

    fn close(&mut self, cx: &mut LinkCx<'_, '_>) {
        self.watch.stop(&self.control, cx.host);
        self.frames.close(cx);
    }
}

fn address(path: &Path) -> [u8; ADDRESS] {
    let mut bytes = [0; ADDRESS];
    bytes[..2].copy_from_slice(&AddressFamily::UNIX.as_raw().to_ne_bytes());
    let path = path.as_os_str().as_encoded_bytes();
    // One zero stays at the end.
    let len = path.len().min(ADDRESS - 3);
    bytes[2..2 + len].copy_from_slice(&path[..len]);
    bytes
}

fn request(port: u16, own: &Path) -> Vec<u8> {
    let kind = NEW_PORT | u32::from(port) << 8;
    let mut out = Vec::new();
    for word in [MAGIC, VERSION, kind] {
        out.extend(word.to_ne_bytes());
    }
    out.extend(address(own));
    out.extend(format!("Southbridge pid={}", std::process::id()).bytes());
    out
}

/// The switch's address in its answer.
fn answered(answer: &[u8]) -> Option<SocketAddrUnix> {
    let path = answer.get(2..)?;
    let end = path.iter().position(|b| *b == 0).unwrap_or(path.len());
    SocketAddrUnix::new(path.get(..end).filter(|p| !p.is_empty())?).ok()
}

/// The control socket of a switch: in its folder, or (older ones) in its place.
fn dial(socket: &Path) -> Result<OwnedFd, Errno> {
    let control = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    let inside = SocketAddrUnix::new(socket.join("ctl"))?;
    connect(&control, &inside).or_else(|_| connect(&control, &SocketAddrUnix::new(socket)?))?;
    Ok(control)
}

/// The own datagram socket: beside the control socket if that may be written to, else among temporary files.
fn receiver(socket: &Path) -> Result<(OwnedFd, PathBuf), Errno> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!(".{:05}-{number:05}", std::process::id());
    let near = socket.join(&name);
    let far = std::env::temp_dir().join(format!("vde{name}"));
    for path in [&near, &far] {
        // What a process of the same number left behind.
        if rustix::fs::stat(path)
            .is_ok_and(|s| rustix::fs::FileType::from_raw_mode(s.st_mode) == rustix::fs::FileType::Socket)
        {
            let _ = rustix::fs::unlink(path);
        }
        if SocketAddrUnix::new(path).and_then(|a| bind(&fd, &a)).is_ok() {
            return Ok((fd, path.clone()));
        }
    }
    Err(Errno::ACCESS)
}

fn group(name: &str) -> Option<Gid> {
    let number = || {
        let table = std::fs::read_to_string("/etc/group").ok()?;
        let mut fields = table.lines().map(|l| l.split(':'));
        let mut found = fields.find_map(|mut f| (f.next() == Some(name)).then_some(f))?;
        found.nth(1)?.parse().ok()
    };
    Some(Gid::from_raw(name.parse().ok().or_else(number)?))
}

/// A number as QEMU reads it: a zero in front makes it octal.
fn permissions(text: &str) -> Result<u32, NetError> {
    let base = if text.starts_with('0') { 8 } else { 10 };
    let mode = u32::from_str_radix(text, base).ok().filter(|m| *m <= 0o777);
    mode.ok_or_else(|| NetError::BadValue {
        option: "mode".into(),
        value: text.into(),
        expected: "permissions such as 0700".into(),
    })
}

fn open(socket: &Path, options: &Options) -> Result<Vde, NetError> {
    let failed = |e: Errno| {
        NetError::host(
            Some("sock"),
            format!("cannot join the switch '{}'", socket.display()),
            e,
        )
    };
    let control = dial(socket).map_err(failed)?;
    let (fd, own) = receiver(socket).map_err(failed)?;
    let file = SocketFile::of(&own.to_string_lossy());
    let mode = permissions(options.str("mode").unwrap_or("0700"))?;
    if let Some(name) = options.str("group") {
        let gid = group(name).ok_or_else(|| NetError::BadValue {
            option: "group".into(),
            value: name.into(),
            expected: "a group of this host".into(),
        })?;
        rustix::fs::chown(&own, None, Some(gid)).map_err(failed)?;
    }
    rustix::fs::chmod(&own, Mode::from_raw_mode(mode)).map_err(failed)?;
    let port = options.uint("port").unwrap_or(0) as u16;
    send(&control, &request(port, &own), SendFlags::NOSIGNAL).map_err(failed)?;
    let mut answer = [0; ADDRESS];
    let mut wait = [PollFd::new(&control, PollFlags::IN)];
    if poll(&mut wait, Some(&PATIENCE)).map_err(failed)? == 0 {
        return Err(failed(Errno::TIMEDOUT));
    }
    let (n, _) = recv(&control, &mut answer[..], rustix::net::RecvFlags::empty()).map_err(failed)?;
    let refused = || NetError::Refused {
        option: Some(if port == 0 { "sock" } else { "port" }),
        why: format!("the switch '{}' gives no such port", socket.display()),
    };
    let peer = answered(&answer[..n]).ok_or_else(refused)?;
    connect(&fd, &peer).map_err(failed)?;
    Ok(Vde {
        frames: Dgram::with_file(fd, format!("sock={}", socket.display()), file),
        control,
        watch: Watch::new(TOKEN_CONTROL),
    })
}

pub(crate) fn make(make: &mut Make<'_>) -> Result<Box<dyn Link>, NetError> {
    let options = make.options;
    let usual = || USUAL.into_iter().find(|p| Path::new(p).exists());
    let socket = options.str("sock").filter(|s| !s.is_empty()).or_else(usual);
    let socket = socket.ok_or(NetError::Missing {
        kind: "vde",
        option: "sock",
        expected: "FOLDER",
    })?;
    Ok(Box::new(open(Path::new(socket), options)?))
}
