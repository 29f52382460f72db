//! Character back ends at addresses of the guest's network (`guestfwd=tcp:ADDRESS:PORT-chardev:ID`).

use southbridge_backend_chardev::{CharEvent, CharHandle};
use southbridge_backend_usernet::{Channel, ChannelId, UserNet};

/// The way from the guest's connection to the channel.
pub(super) struct Pipe(CharHandle);

impl Pipe {
    pub(super) const fn new(handle: CharHandle) -> Self {
        Self(handle)
    }
}

impl Channel for Pipe {
    fn write(&mut self, data: &[u8]) -> usize {
        self.0.write(data)
    }
}

struct One {
    id: ChannelId,
    handle: CharHandle,
    /// What the guest had no room for.
    held: Vec<u8>,
}

/// The way back.
#[derive(Default)]
pub(super) struct Channels(Vec<One>);

impl Channels {
    pub(super) fn add(&mut self, id: ChannelId, handle: CharHandle) {
        let held = Vec::new();
        self.0.push(One { id, handle, held });
    }

    /// Takes from the channels what the guest has room for.
    pub(super) fn feed(&mut self, net: &mut UserNet) {
        for one in &mut self.0 {
            loop {
                if !one.held.is_empty() {
                    let taken = net.channel_input(one.id, &one.held).min(one.held.len());
                    one.held.drain(..taken);
                    if !one.held.is_empty() {
                        break;
                    }
                }
                match one.handle.next() {
                    Some(CharEvent::Data { bytes, .. }) => one.held = bytes,
                    Some(CharEvent::Writable) => net.channel_writable(one.id),
                    Some(CharEvent::Opened | CharEvent::Closed | CharEvent::Break) => {}
                    None => break,
                }
            }
        }
    }
}
