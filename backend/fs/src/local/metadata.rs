//! `mapped-file`: what the guest believes of a file, in a file of the same name in the folder `.virtfs_metadata` beside it; of the
//! root, in the file `.virtfs_metadata_root` inside it.
//!
//! The format is QEMU's, so that a folder can be shared with it: lines `virtfs.uid=N`, `virtfs.gid=N`, `virtfs.mode=N` and
//! `virtfs.rdev=N`, decimal (as signed 32 bits). The guest never sees these names.

use rustix::fd::OwnedFd;
use rustix::fs::{self, AtFlags, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::CStr;

use super::creds::Mapped;
use super::place::{Dir, Place};
use crate::fs::Result;

const FOLDER: &CStr = c".virtfs_metadata";
const OF_ROOT: &CStr = c".virtfs_metadata_root";
/// More than all four lines take.
const LONGEST: usize = 400;

/// Whether a name is one that the guest must not see.
pub(super) fn is_ours(name: &[u8]) -> bool {
    name == FOLDER.to_bytes() || name == OF_ROOT.to_bytes()
}

/// The file with what belongs to a place: the folder that it is in, and its name there. `None` if there is no such folder, or the
/// place has no name.
fn file_of<'p>(place: &'p Place<'_>) -> Option<(Dir<'p>, &'p CStr)> {
    if place.kept {
        return None;
    }
    if place.name() == c"." {
        return Some((Dir::Lent(rustix::fd::AsFd::as_fd(&place.dir)), OF_ROOT));
    }
    Some((Dir::Own(folder(place).ok()?), place.name()))
}

/// The metadata folder beside a place.
fn folder(place: &Place<'_>) -> Result<OwnedFd> {
    fs::openat(
        &place.dir,
        FOLDER,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

/// The same, made if need be.
fn made_folder(place: &Place<'_>) -> Result<OwnedFd> {
    match fs::mkdirat(&place.dir, FOLDER, Mode::from_raw_mode(0o700)) {
        Ok(()) | Err(Errno::EXIST) => folder(place),
        Err(e) => Err(e),
    }
}

/// What is kept of a place. Nothing if there is no file, or it is none of ours.
pub(super) fn mapped(place: &Place<'_>) -> Mapped {
    let Some((dir, name)) = file_of(place) else {
        return Mapped::default();
    };
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(file) = fs::openat(&dir, name, flags, Mode::empty()) else {
        return Mapped::default();
    };
    let mut text = [0; LONGEST];
    let n = rustix::io::pread(&file, &mut text[..], 0).unwrap_or(0);
    parse(text.get(..n).unwrap_or_default())
}

fn parse(text: &[u8]) -> Mapped {
    let mut mapped = Mapped::default();
    for line in String::from_utf8_lossy(text).lines() {
        let Some((key, number)) = line.split_once('=') else {
            continue;
        };
        let Ok(number) = number.trim().parse::<i64>() else {
            continue;
        };
        // Written as signed numbers of 32 bits; the bits count.
        let bits = number as u32;
        match key {
            "virtfs.uid" => mapped.uid = Some(bits),
            "virtfs.gid" => mapped.gid = Some(bits),
            "virtfs.mode" => mapped.mode = Some(bits),
            "virtfs.rdev" => mapped.rdev = Some(bits.into()),
            _ => {}
        }
    }
    mapped
}

fn print(mapped: &Mapped) -> String {
    let rdev = mapped.rdev.map(|r| r as u32);
    let lines = [
        ("uid", mapped.uid),
        ("gid", mapped.gid),
        ("mode", mapped.mode),
        ("rdev", rdev),
    ];
    let line = |(key, bits): (&str, Option<u32>)| Some(format!("virtfs.{key}={}\n", bits? as i32));
    lines.into_iter().filter_map(line).collect()
}

/// Keeps this, over what is kept already.
pub(super) fn map(place: &Place<'_>, new: &Mapped) -> Result<()> {
    if place.kept {
        // Without a name there is no place for it, and nobody who could see it later.
        return Ok(());
    }
    let text = print(&new.over(&mapped(place)));
    let own;
    let (dir, name): (&dyn rustix::fd::AsFd, _) = if place.name() == c"." {
        (&place.dir, OF_ROOT)
    } else {
        own = made_folder(place)?;
        (&own, place.name())
    };
    // Written in place: names of one file share it.
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = fs::openat(dir.as_fd(), name, flags, Mode::from_raw_mode(0o600))?;
    super::write_all(&file, text.as_bytes())
}

/// A second name of a file shares what is kept.
pub(super) fn link(from: &Place<'_>, to: &Place<'_>) -> Result<()> {
    let Some((dir, name)) = file_of(from) else {
        return Ok(());
    };
    match fs::linkat(&dir, name, made_folder(to)?, to.name(), AtFlags::empty()) {
        Err(Errno::NOENT) => Ok(()),
        // Left over from a file that somebody else removed.
        Err(Errno::EXIST) => {
            forget(to);
            fs::linkat(&dir, name, made_folder(to)?, to.name(), AtFlags::empty())
        }
        linked => linked,
    }
}

/// What is kept goes along with a file that was renamed.
pub(super) fn rename(from: &Place<'_>, to: &Place<'_>) -> Result<()> {
    let Some((dir, name)) = file_of(from) else {
        forget(to);
        return Ok(());
    };
    match fs::renameat(&dir, name, made_folder(to)?, to.name()) {
        Err(Errno::NOENT) => {
            forget(to);
            Ok(())
        }
        renamed => renamed,
    }
}

/// The file is gone, and what is kept of it goes.
pub(super) fn forget(place: &Place<'_>) {
    if let Some((dir, name)) = file_of(place) {
        let _ = fs::unlinkat(&dir, name, AtFlags::empty());
    }
}

/// Removes the metadata folder inside a directory that is about to go, if it is empty.
pub(super) fn forget_inside(place: &Place<'_>) -> Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Ok(inside) = fs::openat(&place.dir, place.name(), flags, Mode::empty()) else {
        return Ok(());
    };
    match fs::unlinkat(&inside, FOLDER, AtFlags::REMOVEDIR) {
        Err(Errno::NOENT) => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_read_and_written() {
        let mapped = Mapped {
            uid: Some(1000),
            gid: Some(u32::MAX - 1),
            mode: Some(0o100_644),
            rdev: None,
        };
        assert_eq!(print(&mapped), "virtfs.uid=1000\nvirtfs.gid=-2\nvirtfs.mode=33188\n");
        assert_eq!(parse(print(&mapped).as_bytes()), mapped);
        assert_eq!(
            parse(b"virtfs.uid=x\n\xff\n=\nvirtfs.mode=99999999999999999999\n"),
            Mapped::default()
        );
    }
}
