//! Frames as bytes on a character back end: the length in four bytes, big endian, then the frame. With `vnet_hdr_support` the length of
//! the header in the frame's first bytes stands between, four bytes, too.

use southbridge_backend_chardev::{CharEvent, CharHandle};
use southbridge_protocol_packet::{VnetHeader, finish};
use std::collections::VecDeque;

use crate::packet::MAX_FRAME;

/// Bytes that wait for a slow reader, beyond what the back end itself keeps. Then whole frames are lost.
const MOST_WAITING: usize = 1 << 20;

/// The sending half.
pub(crate) struct Sender {
    handle: CharHandle,
    with_header: bool,
    waiting: VecDeque<u8>,
    /// Somebody reads.
    open: bool,
}

impl Sender {
    pub(crate) fn new(handle: CharHandle, with_header: bool) -> Self {
        let mut sender = Self {
            handle,
            with_header,
            waiting: VecDeque::new(),
            open: false,
        };
        sender.poll();
        sender
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    /// Sends a whole frame, if somebody is there and keeps up.
    pub(crate) fn send(&mut self, frame: &[u8]) {
        if !self.open || self.waiting.len() + frame.len() > MOST_WAITING {
            return;
        }
        self.waiting.extend((frame.len() as u32).to_be_bytes());
        if self.with_header {
            // A filter sees finished frames: no header is left on them.
            self.waiting.extend(0u32.to_be_bytes());
        }
        self.waiting.extend(frame);
        self.flush();
    }

    fn flush(&mut self) {
        while !self.waiting.is_empty() {
            let taken = self.handle.write(self.waiting.as_slices().0);
            if taken == 0 {
                break;
            }
            self.waiting.drain(..taken);
        }
    }

    /// Looks at what the back end has said.
    pub(crate) fn poll(&mut self) {
        while let Some(event) = self.handle.next() {
            match event {
                CharEvent::Opened => self.open = true,
                CharEvent::Closed => {
                    self.open = false;
                    // Half a frame must not greet the next reader.
                    self.waiting.clear();
                }
                CharEvent::Writable => self.flush(),
                CharEvent::Data { .. } | CharEvent::Break => {}
            }
        }
    }
}

/// The receiving half.
pub(crate) struct Receiver {
    handle: CharHandle,
    parser: Parser,
}

impl Receiver {
    pub(crate) fn new(handle: CharHandle, with_header: bool) -> Self {
        Self {
            handle,
            parser: Parser::new(with_header),
        }
    }

    /// Gives every finished frame that has come to `emit`.
    pub(crate) fn poll(&mut self, mut emit: impl FnMut(&[u8])) {
        while let Some(event) = self.handle.next() {
            match event {
                CharEvent::Data { bytes, .. } => self.parser.feed(&bytes, &mut emit),
                CharEvent::Opened | CharEvent::Closed => self.parser.restart(),
                CharEvent::Writable | CharEvent::Break => {}
            }
        }
    }
}

/// Finds frames in a stream.
#[derive(Debug)]
pub(crate) struct Parser {
    with_header: bool,
    partial: Vec<u8>,
    /// The sender has said a length that no frame has: nothing behind it makes sense.
    lost: bool,
}

impl Parser {
    pub(crate) const fn new(with_header: bool) -> Self {
        Self {
            with_header,
            partial: Vec::new(),
            lost: false,
        }
    }

    /// Another sender begins.
    pub(crate) fn restart(&mut self) {
        self.partial.clear();
        self.lost = false;
    }

    pub(crate) fn feed(&mut self, bytes: &[u8], emit: &mut impl FnMut(&[u8])) {
        self.partial.extend_from_slice(bytes);
        let before = if self.with_header { 8 } else { 4 };
        let mut at = 0;
        while !self.lost
            && let Some(head) = self.partial.get(at..at + before)
        {
            let word = |i: usize| u32::from_be_bytes([head[i], head[i + 1], head[i + 2], head[i + 3]]) as usize;
            let (length, header) = (word(0), if self.with_header { word(4) } else { 0 });
            if length == 0 || length > MAX_FRAME || header > length {
                self.lost = true;
                break;
            }
            let Some(record) = self.partial.get(at + before..at + before + length) else {
                break;
            };
            emit_finished(record, header, emit);
            at += before + length;
        }
        self.partial.drain(..at);
        if self.lost {
            self.partial.clear();
        }
    }
}

/// What a header leaves to be done is done before the frame goes on.
fn emit_finished(record: &[u8], header: usize, emit: &mut impl FnMut(&[u8])) {
    let (head, frame) = record.split_at(header);
    let vnet = head.first_chunk().map_or(VnetHeader::NONE, VnetHeader::from_bytes);
    // A frame that cannot be what its header says is lost.
    let _ = finish(&vnet, frame, emit);
}
