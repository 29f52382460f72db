//! `ringbuf`: keeps the newest output in memory until somebody reads it.

use rustix::fd::OwnedFd;
use std::collections::VecDeque;

use super::Make;
use crate::error::CharError;
use crate::link::{Link, LinkCx};

/// Larger ones are a slip of the pen.
const MOST: u64 = 1 << 30;

pub(crate) struct Ringbuf {
    size: usize,
    bytes: VecDeque<u8>,
}

impl Ringbuf {
    /// The oldest bytes, out of the buffer.
    pub(crate) fn read(&mut self, most: usize) -> Vec<u8> {
        let n = most.min(self.bytes.len());
        self.bytes.drain(..n).collect()
    }

    pub(crate) fn append(&mut self, data: &[u8]) {
        let newest = &data[data.len().saturating_sub(self.size)..];
        let over = (self.bytes.len() + newest.len()).saturating_sub(self.size);
        self.bytes.drain(..over);
        self.bytes.extend(newest);
    }
}

impl Link for Ringbuf {
    fn write(&mut self, data: &[u8], fds: &mut Vec<OwnedFd>, _cx: &mut LinkCx<'_, '_>) -> usize {
        fds.clear();
        self.append(data);
        data.len()
    }

    fn describe(&self) -> String {
        "ringbuf".into()
    }
}

pub(super) fn make(make: &mut Make<'_>) -> Result<Box<dyn Link>, CharError> {
    let size = make.options.uint("size");
    if !size.is_power_of_two() || size > MOST {
        return Err(CharError::BadValue {
            option: "size".into(),
            value: size.to_string(),
            expected: "a power of two of at most 1G".into(),
        });
    }
    Ok(Box::new(Ringbuf {
        size: size as usize,
        bytes: VecDeque::new(),
    }))
}
