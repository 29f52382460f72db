//! The bounded buffer between a front end and a host that is slower than the guest.

use rustix::fd::OwnedFd;
use std::collections::VecDeque;

/// Bytes that a back end holds for a slow host before it tells the device to wait.
pub(crate) const LIMIT: usize = 64 << 10;

/// Bytes that leave together; descriptors go with the first one.
#[derive(Debug, Default)]
struct Segment {
    bytes: Vec<u8>,
    sent: usize,
    fds: Vec<OwnedFd>,
}

/// Output that waits, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Output {
    segments: VecDeque<Segment>,
    len: usize,
}

impl Output {
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn room(&self) -> usize {
        LIMIT.saturating_sub(self.len)
    }

    /// Takes what fits; descriptors are taken if any byte is (or always when `data` is empty, and then dropped).
    pub(crate) fn push(&mut self, data: &[u8], fds: Vec<OwnedFd>) -> usize {
        let taken = data.len().min(self.room());
        self.push_all(&data[..taken], fds);
        taken
    }

    /// Takes everything, above the limit too: for the few words of the menu.
    pub(crate) fn push_all(&mut self, data: &[u8], fds: Vec<OwnedFd>) {
        if data.is_empty() {
            return;
        }
        self.len += data.len();
        match self.segments.back_mut() {
            Some(last) if fds.is_empty() => last.bytes.extend_from_slice(data),
            _ => self.segments.push_back(Segment {
                bytes: data.to_vec(),
                sent: 0,
                fds,
            }),
        }
    }

    /// The next bytes and the descriptors that go with the first of them.
    pub(crate) fn front(&mut self) -> Option<(&[u8], &mut Vec<OwnedFd>)> {
        let s = self.segments.front_mut()?;
        Some((s.bytes.get(s.sent..).unwrap_or_default(), &mut s.fds))
    }

    /// That many of the bytes that `front` gave are gone.
    pub(crate) fn consume(&mut self, n: usize) {
        let Some(s) = self.segments.front_mut() else { return };
        s.sent += n;
        self.len = self.len.saturating_sub(n);
        if s.sent >= s.bytes.len() {
            self.segments.pop_front();
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}
