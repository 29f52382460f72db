//! What the tests of all devices here share: eventfds as peers have them, and paper for what is said to the user.

use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::OwnedFd;
use std::io::Write;
use std::sync::{Arc, Mutex};

#[derive(Clone, Default)]
pub(crate) struct Paper(Arc<Mutex<Vec<u8>>>);

impl Paper {
    pub(crate) fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

impl Write for Paper {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(data);
        Ok(data.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub(crate) fn event() -> OwnedFd {
    eventfd(0, EventfdFlags::CLOEXEC).unwrap()
}

/// How often an eventfd was written since the last look.
pub(crate) fn count(fd: &OwnedFd) -> u64 {
    let flags = fcntl_nonblocking(fd);
    let mut bytes = [0; 8];
    let n = rustix::io::read(fd, &mut bytes);
    assert!(flags, "the device has made it non-blocking");
    n.map_or(0, |_| u64::from_ne_bytes(bytes))
}

fn fcntl_nonblocking(fd: &OwnedFd) -> bool {
    rustix::fs::fcntl_getfl(fd)
        .unwrap()
        .contains(rustix::fs::OFlags::NONBLOCK)
}

pub(crate) fn ring(peer: u16, vector: u16) -> u32 {
    u32::from(peer) << 16 | u32::from(vector)
}
