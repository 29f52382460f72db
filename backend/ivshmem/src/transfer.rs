//! One `sendmsg` and one `recvmsg` with descriptors beside the bytes.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

/// Descriptors taken from one receive. The protocol allows one; a second is kept so that it is noticed, more are
/// refused by the kernel and noticed as [`Received::truncated`].
const MOST_DESCRIPTORS: usize = 2;

/// Sends `bytes`, with `descriptor` attached to the first of them, without blocking and without `SIGPIPE`.
pub(crate) fn send(socket: impl AsFd, bytes: &[u8], descriptor: Option<BorrowedFd<'_>>) -> Result<usize, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = descriptor.as_slice();
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(Errno::NOBUFS);
    }
    sendmsg(
        socket,
        &[IoSlice::new(bytes)],
        &mut control,
        SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
    )
}

/// What one receive brought.
pub(crate) struct Received {
    /// Bytes in the caller's buffer; 0 at the end of the stream.
    pub(crate) len: usize,
    /// What came beside them; closed on execution of another program.
    pub(crate) descriptors: Vec<OwnedFd>,
    /// A descriptor was sent that this process has no room for.
    pub(crate) truncated: bool,
}

/// Receives without blocking.
pub(crate) fn receive(socket: impl AsFd, buffer: &mut [u8]) -> Result<Received, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut slices = [IoSliceMut::new(buffer)];
    let message = recvmsg(
        socket,
        &mut slices,
        &mut control,
        RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT,
    )?;
    let mut descriptors = Vec::new();
    for item in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = item {
            descriptors.extend(rights);
        }
    }
    Ok(Received {
        len: message.bytes,
        descriptors,
        truncated: message.flags.contains(ReturnFlags::CTRUNC),
    })
}
