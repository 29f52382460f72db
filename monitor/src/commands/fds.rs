//! Descriptors from the client.

use rustix::fd::{AsRawFd, OwnedFd};
use std::collections::BTreeMap;

use super::{Result, refuse};
use crate::Cx;
use crate::schema::{AddFdArgs, AddfdInfo, ClosefdArgs, FdsetFdInfo, FdsetInfo, GetfdArgs, RemoveFdArgs};

/// Sets of descriptors, by number.
#[derive(Default)]
pub(crate) struct FdSets(BTreeMap<i64, Vec<(OwnedFd, Option<String>)>>);

fn sent(cx: &mut Cx<'_>) -> Result<OwnedFd> {
    match cx.sent.pop_front() {
        Some(fd) => Ok(fd),
        None => refuse("no descriptor came with the command (SCM_RIGHTS)"),
    }
}

pub(super) fn getfd(cx: &mut Cx<'_>, args: GetfdArgs) -> Result<()> {
    let fd = sent(cx)?;
    if args.fdname.starts_with(|c: char| c.is_ascii_digit()) {
        return refuse("'fdname' does not begin with a digit");
    }
    cx.world.named_fds.insert(args.fdname, fd);
    Ok(())
}

pub(super) fn closefd(cx: &mut Cx<'_>, args: ClosefdArgs) -> Result<()> {
    match cx.world.named_fds.remove(&args.fdname) {
        Some(_) => Ok(()),
        None => refuse(format!("there is no descriptor '{}'", args.fdname)),
    }
}

pub(super) fn add_fd(cx: &mut Cx<'_>, args: AddFdArgs) -> Result<AddfdInfo> {
    let fd = sent(cx)?;
    let sets = &mut cx.world.fd_sets.0;
    let free = || (0..).find(|n| !sets.contains_key(n)).unwrap_or(0);
    let id = args.fdset_id.unwrap_or_else(free);
    if id < 0 {
        return refuse("'fdset-id' is not negative");
    }
    let number = fd.as_raw_fd();
    sets.entry(id).or_default().push((fd, args.opaque));
    Ok(AddfdInfo {
        fdset_id: id,
        fd: number.into(),
    })
}

pub(super) fn remove_fd(cx: &mut Cx<'_>, args: RemoveFdArgs) -> Result<()> {
    let sets = &mut cx.world.fd_sets.0;
    let set = sets.get_mut(&args.fdset_id);
    let before = set.as_ref().map_or(0, |s| s.len());
    let left = set.map(|s| {
        s.retain(|(fd, _)| args.fd.is_some_and(|n| n != i64::from(fd.as_raw_fd())));
        s.len()
    });
    if left == Some(0) {
        sets.remove(&args.fdset_id);
    }
    match left {
        Some(left) if left < before => Ok(()),
        _ => refuse(format!("there is no such descriptor in set {}", args.fdset_id)),
    }
}

pub(super) fn query_fdsets(cx: &mut Cx<'_>) -> Result<Vec<FdsetInfo>> {
    let fd = |(fd, opaque): &(OwnedFd, Option<String>)| FdsetFdInfo {
        fd: fd.as_raw_fd().into(),
        opaque: opaque.clone(),
    };
    let set = |(id, fds): (&i64, &Vec<_>)| FdsetInfo {
        fdset_id: *id,
        fds: fds.iter().map(fd).collect(),
    };
    Ok(cx.world.fd_sets.0.iter().map(set).collect())
}
