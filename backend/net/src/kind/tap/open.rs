//! The ways to an interface: by its name, by descriptors from outside, by a helper that may do what we may not.

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketFlags, SocketType, recvmsg, socketpair,
};
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;

use super::{Tap, sys};
use crate::error::NetError;
use crate::kind::address::{inherited, make_nonblocking};
use crate::kind::{Make, Options};
use crate::link::Link;

const UP_SCRIPT: &str = "/etc/qemu-ifup";
const DOWN_SCRIPT: &str = "/etc/qemu-ifdown";
const HELPER: &str = "/usr/lib/qemu/qemu-bridge-helper";
const BRIDGE: &str = "br0";
const MOST_QUEUES: u64 = 1024;
/// Only one of these says where the interface comes from; these go with none but the name.
const OF_THE_NAME: [&str; 5] = ["ifname", "script", "downscript", "vnet_hdr", "queues"];

pub(crate) fn make(make: &mut Make<'_>) -> Result<Box<dyn Link>, NetError> {
    let options = make.options;
    let note = vhost(options)?;
    let mut tap = if options.given("fd") {
        exclude(options, "fd", &["fds", "helper"])?;
        adopt(options.str("fd").unwrap_or_default(), "fd")?
    } else if options.given("fds") {
        exclude(options, "fds", &["helper"])?;
        adopt(options.str("fds").unwrap_or_default(), "fds")?
    } else if let Some(helper) = options.str("helper") {
        exclude(options, "helper", &[])?;
        by_helper(helper, options.str("br").unwrap_or(BRIDGE))?
    } else {
        by_name(options)?
    };
    if let Some(bytes) = options.uint("sndbuf").filter(|b| *b > 0) {
        for q in &tap.queues {
            let bytes = i32::try_from(bytes).unwrap_or(i32::MAX);
            let failed = |e| NetError::host(Some("sndbuf"), "cannot set the size of the send buffer", e);
            sys::set_send_buffer(&q.fd, bytes).map_err(failed)?;
        }
    }
    tap.note = note;
    Ok(Box::new(tap))
}

/// `bridge`: an interface at a bridge of the host, which a helper makes.
pub(crate) fn make_bridge(make: &mut Make<'_>) -> Result<Box<dyn Link>, NetError> {
    let helper = make.options.str("helper").unwrap_or(HELPER);
    let bridge = make.options.str("br").unwrap_or(BRIDGE);
    Ok(Box::new(by_helper(helper, bridge)?))
}

fn exclude(options: &Options, first: &str, more: &[&'static str]) -> Result<(), NetError> {
    let mut others = OF_THE_NAME.iter().chain(more);
    match others.find(|o| options.given(o)) {
        Some(option) => Err(NetError::Conflict {
            option,
            why: format!("does not go with '{first}'"),
        }),
        None => Ok(()),
    }
}

/// Rings that the kernel works on by itself are a matter of speed, and are not used yet: whoever has asked for them is told so. Without
/// the kernel's part they cannot be asked for.
fn vhost(options: &Options) -> Result<Option<&'static str>, NetError> {
    let given = ["vhostfd", "vhostfds"].into_iter().find(|o| options.given(o));
    let said = options.said_bool("vhost");
    if let (Some(false), Some(option)) = (said, given) {
        return Err(NetError::Conflict {
            option,
            why: "is nothing without 'vhost'".into(),
        });
    }
    // QEMU's order: what 'vhost' says counts, and is on where a descriptor or 'vhostforce' is given.
    if !said.unwrap_or(options.bool("vhostforce") || given.is_some()) {
        return Ok(None);
    }
    if let Some(option) = given {
        for name in options.str(option).unwrap_or_default().split(':') {
            inherited(option, name)?;
        }
    } else if !Path::new("/dev/vhost-net").exists() {
        return Err(NetError::Conflict {
            option: "vhost",
            why: "needs /dev/vhost-net, which this host does not have (load the module vhost_net, or leave it out)"
                .into(),
        });
    }
    Ok(Some("'vhost' is on, and frames go through this process all the same"))
}

fn by_name(options: &Options) -> Result<Tap, NetError> {
    let queues = options.uint("queues").unwrap_or(1);
    if !(1..=MOST_QUEUES).contains(&queues) {
        return Err(NetError::BadValue {
            option: "queues".into(),
            value: queues.to_string(),
            expected: format!("a number from 1 to {MOST_QUEUES}"),
        });
    }
    let wanted = options.str("ifname").unwrap_or_default();
    let mut name = name_bytes(wanted)?;
    let mut flags = sys::IFF_TAP | sys::IFF_NO_PI;
    if queues > 1 {
        flags |= sys::IFF_MULTI_QUEUE;
    }
    let vnet = options.said_bool("vnet_hdr") != Some(false);
    if vnet {
        flags |= sys::IFF_VNET_HDR;
    }
    let mut fds = Vec::new();
    for _ in 0..queues {
        let open = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let failed = |e: Errno| NetError::host(None, "cannot open /dev/net/tun", e);
        let fd = rustix::fs::open("/dev/net/tun", open, Mode::empty()).map_err(failed)?;
        let failed = |e: Errno| NetError::host(Some("ifname"), format!("cannot make the interface '{wanted}'"), e);
        name = sys::set_interface(&fd, name, flags).map_err(failed)?;
        fds.push(fd);
    }
    let name = name_text(&name);
    let script = options.str("script").unwrap_or(UP_SCRIPT);
    let down = options.str("downscript").unwrap_or(DOWN_SCRIPT);
    if script != "no" && !script.is_empty() {
        run(script, &name)?;
    }
    let about = format!("ifname={name},script={script},downscript={down}");
    let down = (down != "no" && !down.is_empty()).then(|| (down.to_owned(), name));
    Ok(Tap::new(fds, vnet, about, down))
}

fn name_bytes(name: &str) -> Result<[u8; 16], NetError> {
    let mut bytes = [0; 16];
    if name.len() > 15 || name.contains(['/', '\0', ' ']) {
        return Err(NetError::BadValue {
            option: "ifname".into(),
            value: name.into(),
            expected: "a name of at most 15 bytes, without blanks and slashes".into(),
        });
    }
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    Ok(bytes)
}

fn name_text(name: &[u8; 16]) -> String {
    let end = name.iter().position(|b| *b == 0).unwrap_or(16);
    String::from_utf8_lossy(&name[..end]).into_owned()
}

fn run(script: &str, name: &str) -> Result<(), NetError> {
    let what = || format!("cannot run '{script} {name}'");
    let status = Command::new(script).arg(name).status();
    let status = status.map_err(|e| NetError::host(Some("script"), what(), e))?;
    if status.success() {
        return Ok(());
    }
    Err(NetError::Refused {
        option: Some("script"),
        why: format!("'{script} {name}' failed ({status}); script=no runs none"),
    })
}

/// Descriptors from outside, with colons between them.
fn adopt(names: &str, option: &'static str) -> Result<Tap, NetError> {
    let mut fds = Vec::new();
    let mut vnet = None;
    for name in names.split(':') {
        let fd = inherited(option, name)?;
        let failed = |e: Errno| NetError::host(Some(option), format!("descriptor {name} is no tap"), e);
        make_nonblocking(&fd).map_err(failed)?;
        let (_, flags) = sys::interface(&fd).map_err(failed)?;
        let has = flags & sys::IFF_VNET_HDR != 0;
        if *vnet.get_or_insert(has) != has {
            return Err(NetError::Conflict {
                option,
                why: "names descriptors of which some have a vnet header and some have none".into(),
            });
        }
        fds.push(fd);
    }
    Ok(Tap::new(fds, vnet.unwrap_or(false), format!("fd={names}"), None))
}

/// A program that may make interfaces gives us one over a socket.
fn by_helper(helper: &str, bridge: &str) -> Result<Tap, NetError> {
    let failed = |e: std::io::Error| NetError::host(Some("helper"), format!("cannot run '{helper}'"), e);
    let os = |e: Errno| failed(e.into());
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).map_err(os)?;
    fcntl_setfd(&theirs, FdFlags::empty()).map_err(os)?;
    // With blanks in it, it is a line for the shell that has its own arguments, as with QEMU.
    let mut command = if helper.contains(' ') {
        let mut c = Command::new("/bin/sh");
        let bridge = if helper.contains("--br=") {
            String::new()
        } else {
            format!(" --br={bridge}")
        };
        c.arg("-c")
            .arg(format!("{helper} --use-vnet --fd={}{bridge}", theirs.as_raw_fd()));
        c
    } else {
        let mut c = Command::new(helper);
        c.arg("--use-vnet")
            .arg(format!("--fd={}", theirs.as_raw_fd()))
            .arg(format!("--br={bridge}"));
        c
    };
    let mut child = command.spawn().map_err(failed)?;
    drop(theirs);
    let fd = received(&ours);
    let status = child.wait().map_err(failed)?;
    let refused = || NetError::Refused {
        option: Some("helper"),
        why: format!("'{helper}' gave no interface ({status})"),
    };
    let fd = fd.filter(|_| status.success()).ok_or_else(refused)?;
    make_nonblocking(&fd).map_err(os)?;
    let (_, flags) = sys::interface(&fd).map_err(os)?;
    let vnet = flags & sys::IFF_VNET_HDR != 0;
    Ok(Tap::new(vec![fd], vnet, format!("helper={helper},br={bridge}"), None))
}

/// The descriptor that comes with one byte.
fn received(socket: &OwnedFd) -> Option<OwnedFd> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut byte)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )
    .ok()?;
    control.drain().find_map(|m| match m {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    })
}
