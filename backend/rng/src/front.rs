//! The device's side.

use southbridge_backend_chardev::{CharEvent, CharFront};
use southbridge_core::{BackendId, Build, Completion, CreateError, Ctx, DeviceId, HostCx, PropValue, Properties};

use crate::MAX_REQUEST;
use crate::source::{RngBackend, Shared};

/// What a device keeps to ask a source for entropy. It has one request at a time.
#[derive(Debug)]
pub struct RngFront {
    backend: BackendId,
    port: u32,
    daemon: Option<Daemon>,
}

/// The protocol of entropy gathering daemons: a request for up to 255 bytes is 2 and their number; the answer to 2 (a request that
/// blocks) is the bytes alone.
#[derive(Debug)]
struct Daemon {
    chardev: CharFront,
    /// Commands that the character device had no room for yet.
    unsent: Vec<u8>,
    /// Bytes asked for and not yet here.
    due: usize,
}

const BLOCKING_READ: u8 = 2;

impl RngFront {
    /// Attaches to the source that the `Backend("rng")` property `property` names; without it the host's own generator is the source.
    /// `port` comes back in [`Completion::port`].
    ///
    /// # Errors
    /// When the source is gone or none, or its character device is used by another.
    pub fn attach(
        props: &Properties,
        property: &'static str,
        port: u32,
        build: &mut Build<'_>,
    ) -> Result<Self, CreateError> {
        let Some(PropValue::Backend(name, backend)) = props.get(property) else {
            return Ok(Self {
                backend: build.only_backend::<Shared>(),
                port,
                daemon: None,
            });
        };
        let Some((source, _)) = build.backend::<RngBackend>(*backend) else {
            return Err(CreateError::BadValue {
                property,
                value: name.clone(),
                expected: "a source of entropy, and this is none (or no longer one)".into(),
            });
        };
        let daemon = match source.daemon() {
            None => None,
            Some((id, chardev)) => {
                let mut p = Properties::default();
                p.set("chardev", PropValue::Backend(id, chardev));
                Some(Daemon {
                    chardev: CharFront::attach(&p, "chardev", port, build)?,
                    unsent: Vec::new(),
                    due: 0,
                })
            }
        };
        Ok(Self {
            backend: *backend,
            port,
            daemon,
        })
    }

    /// Asks for up to `len` bytes, and at most [`MAX_REQUEST`]; forgets an earlier request. They come by [`RngFront::entropy`], perhaps
    /// fewer than asked for, perhaps never.
    pub fn request(&mut self, len: usize, cx: &mut Ctx<'_>) {
        let len = len.min(MAX_REQUEST);
        match &mut self.daemon {
            Some(d) => d.request(len, cx),
            None => self.ask(cx, |source, me, port, host| source.request(me, port, len, host)),
        }
    }

    /// Calls the source: that of the user, or the one that all share.
    fn ask(&self, cx: &mut Ctx<'_>, f: impl FnOnce(&mut RngBackend, DeviceId, u32, &mut HostCx<'_>)) {
        let me = cx.me();
        if let Some((source, mut host)) = cx.backend::<RngBackend>(self.backend) {
            f(source, me, self.port, &mut host);
        } else if let Some((Shared(source), mut host)) = cx.backend::<Shared>(self.backend) {
            f(source, me, self.port, &mut host);
        }
    }

    /// Takes the request back.
    pub fn cancel(&mut self, cx: &mut Ctx<'_>) {
        match &mut self.daemon {
            // What the daemon was asked for still comes, and serves the next request.
            Some(d) => d.chardev.set_room(0, cx),
            None => self.ask(cx, |source, me, port, _| source.forget(me, port)),
        }
    }

    /// The bytes that a completion of this front's port brings, if it does.
    pub fn entropy(&mut self, done: Completion, cx: &mut Ctx<'_>) -> Option<Vec<u8>> {
        let bytes = match &mut self.daemon {
            Some(d) => d.hear(done, cx)?,
            None => done.data,
        };
        (!bytes.is_empty()).then_some(bytes)
    }
}

impl Daemon {
    fn request(&mut self, len: usize, cx: &mut Ctx<'_>) {
        let mut more = len.saturating_sub(self.due);
        while more > 0 {
            let n = more.min(255);
            self.unsent.extend([BLOCKING_READ, n as u8]);
            self.due += n;
            more -= n;
        }
        self.send(cx);
        self.chardev.set_room(len, cx);
    }

    fn send(&mut self, cx: &mut Ctx<'_>) {
        let n = self.chardev.write(&self.unsent, cx);
        self.unsent.drain(..n.min(self.unsent.len()));
    }

    fn hear(&mut self, done: Completion, cx: &mut Ctx<'_>) -> Option<Vec<u8>> {
        match CharEvent::from_completion(done)? {
            CharEvent::Data { bytes, .. } => {
                self.due = self.due.saturating_sub(bytes.len());
                Some(bytes)
            }
            CharEvent::Writable => {
                self.send(cx);
                None
            }
            // Another daemon knows nothing of what the one before was asked for.
            CharEvent::Opened => {
                let due = std::mem::take(&mut self.due);
                self.unsent.clear();
                self.request(due, cx);
                None
            }
            CharEvent::Closed | CharEvent::Break => None,
        }
    }
}
