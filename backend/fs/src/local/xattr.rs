//! Extended attributes: those of the guest, and those in which `mapped-xattr` keeps what the guest believes.
//!
//! Names and layout of the latter are QEMU's (`user.virtfs.uid`, `.gid`, `.mode` as 32 bits and `.rdev` as 64 bits, little endian;
//! access lists under `user.virtfs.system.`), so that a folder can be shared with it.

use rustix::fd::OwnedFd;
use rustix::fs::{self, XattrFlags};
use rustix::io::Errno;

use super::Model;
use super::creds::Mapped;
use super::place::Place;
use crate::fs::Result;

const UID: &str = "user.virtfs.uid";
const GID: &str = "user.virtfs.gid";
const MODE: &str = "user.virtfs.mode";
const RDEV: &str = "user.virtfs.rdev";
/// What begins so is ours.
const OURS: &[u8] = b"user.virtfs.";
const USER: &[u8] = b"user.";
const ACL: &[u8] = b"system.posix_acl_";
const ACLS: [&[u8]; 2] = [b"system.posix_acl_access", b"system.posix_acl_default"];

/// Largest value, and longest list of names, in bytes (`XATTR_SIZE_MAX`, `XATTR_LIST_MAX`).
const LARGEST: usize = 65536;

pub(super) fn mapped(place: &Place<'_>) -> Mapped {
    let (file, follow) = place.by_proc();
    read_mapped(|name, value| match follow {
        true => fs::getxattr(&*file, name, value),
        false => fs::lgetxattr(&*file, name, value),
    })
}

pub(super) fn mapped_of(fd: &OwnedFd) -> Mapped {
    read_mapped(|name, value| fs::fgetxattr(fd, name, value))
}

fn read_mapped(get: impl Fn(&str, &mut [u8]) -> Result<usize>) -> Mapped {
    let number = |name| {
        let mut value = [0; 4];
        get(name, &mut value)
            .is_ok_and(|n| n == 4)
            .then(|| u32::from_le_bytes(value))
    };
    let mut rdev = [0; 8];
    Mapped {
        uid: number(UID),
        gid: number(GID),
        mode: number(MODE),
        rdev: get(RDEV, &mut rdev)
            .is_ok_and(|n| n == 8)
            .then(|| u64::from_le_bytes(rdev)),
    }
}

pub(super) fn map(place: &Place<'_>, mapped: &Mapped) -> Result<()> {
    for (name, value) in [(UID, mapped.uid), (GID, mapped.gid), (MODE, mapped.mode)] {
        if let Some(value) = value {
            set_raw(place, name.as_bytes(), &value.to_le_bytes(), XattrFlags::empty())?;
        }
    }
    match mapped.rdev {
        Some(rdev) => set_raw(place, RDEV.as_bytes(), &rdev.to_le_bytes(), XattrFlags::empty()),
        None => Ok(()),
    }
}

/// The name on the host of what the guest calls `name`; `refused` is for names that are ours.
fn host_name(model: Model, name: &[u8], refused: Errno) -> Result<Vec<u8>> {
    match model {
        Model::MappedXattr if name.starts_with(OURS) => Err(refused),
        Model::MappedXattr if ACLS.contains(&name) => Ok([OURS, name].concat()),
        Model::MappedFile | Model::Passthrough if name.starts_with(ACL) => Ok(name.to_vec()),
        _ if name.starts_with(USER) => Ok(name.to_vec()),
        _ => Err(Errno::OPNOTSUPP),
    }
}

/// What the guest calls a name of the host, if it may see it.
fn guest_name(model: Model, name: &[u8]) -> Option<&[u8]> {
    if model != Model::MappedXattr {
        return host_name(model, name, Errno::NODATA).is_ok().then_some(name);
    }
    match name.strip_prefix(OURS) {
        Some(inner) => ACLS.contains(&inner).then_some(inner),
        None => name.starts_with(USER).then_some(name),
    }
}

pub(super) fn get(model: Model, place: &Place<'_>, name: &[u8]) -> Result<Vec<u8>> {
    let name = host_name(model, name, Errno::NODATA)?;
    let (file, follow) = place.by_proc();
    let mut value = vec![0; LARGEST];
    let n = match follow {
        true => fs::getxattr(&*file, name, &mut value[..]),
        false => fs::lgetxattr(&*file, name, &mut value[..]),
    }?;
    value.truncate(n);
    Ok(value)
}

pub(super) fn list(model: Model, place: &Place<'_>) -> Result<Vec<u8>> {
    let (file, follow) = place.by_proc();
    let mut names = vec![0; LARGEST];
    let n = match follow {
        true => fs::listxattr(&*file, &mut names[..]),
        false => fs::llistxattr(&*file, &mut names[..]),
    }?;
    names.truncate(n);
    let mut seen = Vec::new();
    for name in names.split(|b| *b == 0).filter(|n| !n.is_empty()) {
        if let Some(name) = guest_name(model, name) {
            seen.extend_from_slice(name);
            seen.push(0);
        }
    }
    Ok(seen)
}

pub(super) fn set(model: Model, place: &Place<'_>, name: &[u8], value: &[u8], flags: u32) -> Result<()> {
    let name = host_name(model, name, Errno::ACCESS)?;
    let flags = XattrFlags::from_bits(flags).ok_or(Errno::INVAL)?;
    set_raw(place, &name, value, flags)
}

fn set_raw(place: &Place<'_>, name: &[u8], value: &[u8], flags: XattrFlags) -> Result<()> {
    let (file, follow) = place.by_proc();
    match follow {
        true => fs::setxattr(&*file, name, value, flags),
        false => fs::lsetxattr(&*file, name, value, flags),
    }
}

pub(super) fn remove(model: Model, place: &Place<'_>, name: &[u8]) -> Result<()> {
    let host = host_name(model, name, Errno::ACCESS)?;
    let (file, follow) = place.by_proc();
    let removed = match follow {
        true => fs::removexattr(&*file, host),
        false => fs::lremovexattr(&*file, host),
    };
    match removed {
        // The kernel is content if an access list that is to go is not there.
        Err(Errno::NODATA) if name.starts_with(ACL) => Ok(()),
        removed => removed,
    }
}
