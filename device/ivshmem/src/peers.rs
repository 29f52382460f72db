//! Whom the doorbell reaches.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use southbridge_protocol_ivshmem::{PeerId, regs::Doorbell};
use std::collections::BTreeMap;

use crate::link::Rung;

/// The eventfds of all other peers, by id and vector. Bounded by the protocol client's limits.
#[derive(Debug, Default)]
pub(crate) struct Peers(BTreeMap<PeerId, Vec<OwnedFd>>);

impl Peers {
    /// Takes the next vector of a peer; vectors come in order.
    pub(crate) fn add(&mut self, peer: PeerId, fd: OwnedFd) -> Result<(), Errno> {
        // Helps, but is no promise: the flag belongs to all who hold the descriptor. See `ring`.
        fcntl_setfl(&fd, fcntl_getfl(&fd)? | OFlags::NONBLOCK)?;
        self.0.entry(peer).or_default().push(fd);
        Ok(())
    }

    pub(crate) fn remove(&mut self, peer: PeerId) {
        self.0.remove(&peer);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// The whole way of a doorbell to the kernel: two look-ups and two system calls, no allocation.
    ///
    /// The first call asks whether there is room. Without it any holder of the eventfd (QEMU by accident, a hostile peer on purpose)
    /// could make it blocking and full, and with it stop this machine.
    #[inline]
    pub(crate) fn ring(&self, doorbell: Doorbell) -> Rung {
        let Some(vectors) = self.0.get(&doorbell.peer()) else {
            return Rung::NoPeer;
        };
        let Some(fd) = vectors.get(usize::from(doorbell.vector())) else {
            return Rung::NoVector;
        };
        let mut target = [PollFd::new(fd, PollFlags::OUT)];
        // A full counter is a doorbell that has not been heard yet: it rings already.
        if poll(&mut target, Some(&Timespec::default())) == Ok(0) {
            return Rung::Peer;
        }
        match rustix::io::write(fd, &1u64.to_ne_bytes()) {
            Ok(_) | Err(Errno::AGAIN) => Rung::Peer,
            Err(e) => Rung::Failed(e),
        }
    }
}
