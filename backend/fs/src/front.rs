//! The front end's side: what a device keeps for its connection, and what comes back to it.

use serde::{Deserialize, Serialize};
use southbridge_core::host::Completion;
use southbridge_core::{Build, CreateError, Ctx, PropValue, Properties};
use std::collections::HashMap;
use std::sync::Arc;

use crate::fsdev::Fsdev;
use crate::pool::Link;
use crate::session::{LEAST_MESSAGE, MOST_MSIZE, SavedSession};

/// The `result` of a request that another one took back: it has no reply, and its buffers go back empty.
const TAKEN_BACK: i64 = -125;

/// What a 9P device keeps: one connection, with its session.
///
/// Messages go in whole; replies come as completions. Nothing here blocks, except [`FsFront::save`], which waits until the
/// host is done with what was handed in.
pub struct FsFront {
    link: Arc<Link>,
}

/// A connection, saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct SavedFs {
    session: SavedSession,
}

impl SavedFs {
    /// Whether it can be the state of a connection. Saved states come from anywhere.
    pub fn is_possible(&self) -> bool {
        self.session.is_possible()
    }
}

impl FsFront {
    /// Longest message that is worth reading, in bytes: no client gets a larger `msize`.
    pub const LONGEST_MESSAGE: usize = MOST_MSIZE as usize;
    /// Shortest message, and least room for a reply, that is any: a header.
    pub const SHORTEST_MESSAGE: usize = LEAST_MESSAGE;

    /// Attaches to the folder that the `Backend("fsdev")` property `property` names. `port` comes back in [`Completion::port`].
    /// A folder may have several devices, each with its own session.
    ///
    /// # Errors
    /// The property is not set, or names something else.
    pub fn attach(
        props: &Properties,
        property: &'static str,
        port: u32,
        build: &mut Build<'_>,
    ) -> Result<Self, CreateError> {
        let Some(PropValue::Backend(name, id)) = props.get(property) else {
            return Err(CreateError::Missing {
                property,
                expected: "ID".into(),
            });
        };
        let device = build.me();
        let (fsdev, _) = build.backend::<Fsdev>(*id).ok_or_else(|| CreateError::BadValue {
            property,
            value: name.clone(),
            expected: "a shared folder (-fsdev), and this is none".into(),
        })?;
        Ok(Self {
            link: Link::new(device, port, fsdev.pool()),
        })
    }

    /// Hands in a request. Its reply, at most `room` bytes unless even an error needs more, comes as a completion with this token.
    ///
    /// While the machine runs through its past nothing is done: what was answered then comes again.
    pub fn submit(&self, token: u64, message: Vec<u8>, room: usize, cx: &mut Ctx<'_>) {
        if !cx.is_replaying() {
            self.link.submit(token, message, room);
        }
    }

    /// The reply in a completion: `None` if the request was taken back.
    pub fn reply(&self, done: Completion) -> Option<Vec<u8>> {
        self.link.seen(done.token);
        (done.result != TAKEN_BACK).then_some(done.data)
    }

    /// Begins a new session: the guest's driver is gone. Requests in flight are forgotten.
    pub fn reset(&self, cx: &mut Ctx<'_>) {
        if !cx.is_replaying() {
            self.link.reset();
        }
    }

    /// The session, and the replies to requests in flight, by token. Those that are missing are reads, which do no harm if they are done
    /// again.
    pub fn save(&self) -> (SavedFs, HashMap<u64, Vec<u8>>) {
        let (session, done) = self.link.save();
        (SavedFs { session }, done)
    }

    /// Begins a session that is what was saved, and gives how many of its fids could not be opened again: the guest will get `ESTALE`.
    /// `None` while the machine runs through its past, when there is nothing to do.
    pub fn restore(&self, saved: &SavedFs, cx: &mut Ctx<'_>) -> Option<usize> {
        (!cx.is_replaying()).then(|| self.link.restore(&saved.session))
    }

    /// Why the session cannot be saved now, if so.
    pub fn blocker(&self) -> Option<String> {
        self.link.blocker()
    }
}

impl Drop for FsFront {
    fn drop(&mut self) {
        self.link.reset();
    }
}

/// The completion that brings a reply.
pub(crate) fn completion(port: u32, token: u64, reply: Option<Vec<u8>>) -> Completion {
    let result = reply.as_ref().map_or(TAKEN_BACK, |r| r.len() as i64);
    Completion {
        port,
        token,
        result,
        data: reply.unwrap_or_default(),
        fds: Vec::new(),
    }
}
