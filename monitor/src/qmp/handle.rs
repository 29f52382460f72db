//! One client at a time, over a character back end: standard input, a terminal, a pipe, a client socket.

use southbridge_backend_chardev::{CharEvent, CharHandle};

use super::{Client, Way};

/// A character back end with what waits for it.
pub(super) struct Handle {
    handle: CharHandle,
    pub(super) pretty: bool,
    out: Vec<u8>,
}

impl Handle {
    pub(super) fn new(handle: CharHandle) -> Self {
        Self {
            handle,
            pretty: false,
            out: Vec::new(),
        }
    }

    /// Takes what happened. While requests wait the channel is not read.
    pub(super) fn look(&mut self, client: &mut Option<Client>) {
        while client.as_ref().is_none_or(|c| c.session.wants_more()) {
            match self.handle.next() {
                None => break,
                Some(CharEvent::Opened) => {
                    let new = Client::new(self.pretty);
                    self.out.clear();
                    self.send(&new.greeting());
                    *client = Some(new);
                }
                Some(CharEvent::Closed) => *client = None,
                Some(CharEvent::Data { bytes, fds }) => {
                    if let Some(c) = client {
                        c.hear(&bytes, fds);
                    }
                }
                Some(CharEvent::Writable) => self.flush(),
                Some(CharEvent::Break) => {}
            }
        }
        self.flush();
    }

    fn flush(&mut self) {
        if !self.out.is_empty() {
            let n = self.handle.write(&self.out);
            self.out.drain(..n);
        }
    }
}

impl Way for Handle {
    fn backlog(&self) -> usize {
        self.out.len()
    }

    fn send(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
        self.flush();
    }
}
