//! Ringing and hearing an eventfd that others hold too.
//!
//! Whether a descriptor blocks is a property of what all holders share, so any of them can change it at any time. QEMU
//! does (10.0, `io/channel-socket.c`: it makes every descriptor that it receives blocking, and only those vectors that it
//! keeps non-blocking again), and a hostile peer may. So `O_NONBLOCK` is set but never relied upon.

use std::io::IoSliceMut;
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{Errno, ReadWriteFlags, preadv2, write};

/// To be called once for a descriptor that a server handed over.
pub fn prepare(fd: impl AsFd) {
    if let Ok(flags) = fcntl_getfl(&fd) {
        // Where it fails, there is nothing that could block.
        let _ = fcntl_setfl(&fd, flags | OFlags::NONBLOCK);
    }
}

/// Makes the vector behind `fd` pending. One that is pending already to the brim stays so, which is no error.
///
/// The kernel has no way to write an eventfd without ever blocking; a holder that fills it *and* makes it blocking between
/// the check and the write could still hold this call. Nobody does so by accident.
///
/// # Errors
/// What the host says of a descriptor that is no doorbell.
pub fn ring(fd: impl AsFd) -> Result<(), Errno> {
    let mut target = [PollFd::new(&fd, PollFlags::OUT)];
    poll(&mut target, Some(&Timespec::default()))?;
    let [target] = target;
    if !target.revents().contains(PollFlags::OUT) {
        return Ok(());
    }
    match write(&fd, &1u64.to_ne_bytes()) {
        Ok(_) | Err(Errno::AGAIN) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether the vector behind `fd` was pending; it no longer is.
pub fn take(fd: impl AsFd) -> bool {
    let mut count = [0; 8];
    // The position -1 stands for a file without positions.
    preadv2(fd, &mut [IoSliceMut::new(&mut count)], u64::MAX, ReadWriteFlags::NOWAIT).is_ok_and(|len| len > 0)
}

#[cfg(test)]
mod tests {
    use rustix::event::{EventfdFlags, eventfd};

    use super::*;

    #[test]
    fn rings_add_up_to_one() {
        let fd = eventfd(0, EventfdFlags::NONBLOCK).unwrap();
        assert!(!take(&fd));
        ring(&fd).unwrap();
        ring(&fd).unwrap();
        assert!(take(&fd) && !take(&fd));
    }

    #[test]
    fn a_descriptor_that_blocks_blocks_nobody() {
        let fd = eventfd(0, EventfdFlags::empty()).unwrap();
        assert!(!take(&fd));
        write(&fd, &(u64::MAX - 1).to_ne_bytes()).unwrap();
        ring(&fd).unwrap();
        assert!(take(&fd) && !take(&fd));
    }

    #[test]
    fn what_is_no_doorbell_is_harmless() {
        let (reader, writer) = std::io::pipe().unwrap();
        assert!(!take(&reader));
        drop(reader);
        assert_eq!(ring(&writer), Err(Errno::PIPE));
        let file = tempfile::tempfile().unwrap();
        assert!(!take(&file));
        prepare(&file);
    }
}
