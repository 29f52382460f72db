//! The host's side of a connection: bytes between its rings and a socket or channel.

use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, Shutdown};

use super::flow::{Flow, Phase};
use super::ring::Budget;

/// Bytes that one connection reads from its socket before the next has its turn.
const GULP: usize = 256 << 10;

/// What the host has done to the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostEvent {
    Fine,
    /// The peer, or the host, has reset it.
    Broken,
}

impl Flow {
    /// Writes what the guest has sent. `fd`: the socket.
    pub(crate) fn write_socket(&mut self, fd: BorrowedFd<'_>) -> HostEvent {
        while self.writable && !self.rx.is_empty() {
            match rustix::net::sendmsg(
                fd,
                &self.rx.io_slices(),
                &mut SendAncillaryBuffer::default(),
                SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
            ) {
                Ok(0) => break,
                Ok(n) => self.taken(n),
                Err(Errno::AGAIN) => self.writable = false,
                Err(Errno::INTR) => {}
                Err(_) => return HostEvent::Broken,
            }
        }
        if self.fin_seen && self.rx.is_empty() && !self.shut {
            self.shut = true;
            // A peer that is gone already needs no word.
            let _ = rustix::net::shutdown(fd, Shutdown::Write);
        }
        HostEvent::Fine
    }

    /// The host has taken bytes.
    pub(crate) fn taken(&mut self, n: usize) {
        let n = n.min(self.rx.len());
        self.rx.consume(n);
        self.ahead.shift(n);
    }

    /// Reads what the host has for the guest, as far as there is room.
    pub(crate) fn read_socket(&mut self, fd: BorrowedFd<'_>, limit: usize, budget: &mut Budget) -> HostEvent {
        let mut left = GULP;
        while self.readable && !self.eof && self.phase == Phase::Open && left > 0 {
            if !self.make_room(limit, budget) {
                break;
            }
            let offered = self.tx.free().min(left);
            match rustix::io::readv(fd, &mut self.tx.io_room(offered)) {
                Ok(0) => self.eof = true,
                Ok(n) => {
                    self.tx.extend(n);
                    left -= n.min(left);
                }
                Err(Errno::AGAIN) => self.readable = false,
                Err(Errno::INTR) => {}
                Err(_) => return HostEvent::Broken,
            }
        }
        HostEvent::Fine
    }

    /// Whether reading is worth a system call: a quarter of the ring is free. A full ring grows while the guest's window would
    /// take more.
    fn make_room(&mut self, limit: usize, budget: &mut Budget) -> bool {
        let capacity = self.tx.capacity();
        if capacity == 0 {
            return self.tx.reserve(1, limit, budget);
        }
        if self.tx.free() == 0 && capacity < limit && (self.wnd as usize) > capacity {
            self.tx.reserve(capacity * 2, limit, budget);
        }
        self.tx.free() >= (self.tx.capacity() / 4).max(1)
    }

    /// Room for bytes of a channel.
    pub(crate) fn channel_room(&self, limit: usize) -> usize {
        if self.eof || self.phase != Phase::Open {
            0
        } else {
            limit.saturating_sub(self.tx.len())
        }
    }

    pub(crate) fn take_channel_bytes(&mut self, data: &[u8], limit: usize, budget: &mut Budget) -> usize {
        let data = &data[..data.len().min(self.channel_room(limit))];
        if !self.tx.reserve(self.tx.len() + data.len(), limit, budget) {
            return self.tx.push(data);
        }
        self.tx.push(data)
    }
}
