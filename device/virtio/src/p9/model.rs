//! The device: requests go to the folder's session, replies come back as completions.

use serde::{Deserialize, Serialize};
use southbridge_backend_fs::{FsFront, SavedFs};
use southbridge_bus_virtio::spec::id;
use southbridge_bus_virtio::{Chain, VirtioCx, VirtioModel};
use southbridge_core::{Build, Completion, CreateError, LoadError, Properties, SavedState};

const VERSION: u32 = 1;
/// There is a mount tag in configuration space (`VIRTIO_9P_MOUNT_TAG`).
const F_MOUNT_TAG: u64 = 1;
/// The one queue, and its size; also most requests in flight.
const REQUESTS: u16 = 0;
const QUEUE_SIZE: u16 = 128;
/// Longest mount tag, in bytes, as QEMU's.
const LONGEST_TAG: usize = 31;
const PORT: u32 = 0;

/// A request that the session has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Request {
    token: u64,
    chain: Chain,
    /// Only in saved states: its reply, if it was carried out already. It must not be carried out twice.
    reply: Option<Vec<u8>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    session: SavedFs,
    requests: Vec<Request>,
    next_token: u64,
}

/// A virtio 9P device.
pub struct P9 {
    // Fixed.
    tag: String,
    // Glue.
    front: FsFront,
    /// A state that was loaded, until the machine is whole.
    loaded: Option<SavedFs>,
    // Volatile.
    requests: Vec<Request>,
    /// Counts all requests ever; not reset, so that a late reply never meets another request.
    next_token: u64,
    /// What it has been in this process, however often another state was loaded.
    issued: u64,
}

impl P9 {
    pub(super) fn create(p: &Properties, build: &mut Build<'_>) -> Result<Box<dyn VirtioModel>, CreateError> {
        let tag = p.str("mount_tag").filter(|t| !t.is_empty());
        let tag = tag.ok_or_else(|| CreateError::Missing {
            property: "mount_tag",
            expected: "TAG".into(),
        })?;
        if tag.len() > LONGEST_TAG {
            return Err(CreateError::BadValue {
                property: "mount_tag",
                value: tag.into(),
                expected: format!("at most {LONGEST_TAG} bytes"),
            });
        }
        Ok(Box::new(Self {
            tag: tag.to_owned(),
            front: FsFront::attach(p, "fsdev", PORT, build)?,
            loaded: None,
            requests: Vec::new(),
            next_token: 0,
            issued: 0,
        }))
    }

    fn take_requests(&mut self, cx: &mut VirtioCx<'_, '_>) {
        while self.requests.len() < usize::from(QUEUE_SIZE)
            && let Some(chain) = cx.pop(REQUESTS)
        {
            self.submit(chain, cx);
        }
    }

    fn submit(&mut self, chain: Chain, cx: &mut VirtioCx<'_, '_>) {
        let least = FsFront::SHORTEST_MESSAGE as u64;
        if chain.readable_len() < least || chain.writable_len() < least {
            let (r, w) = (chain.readable_len(), chain.writable_len());
            cx.broken(format_args!(
                "a request of {r} bytes with room for {w}: both must be at least {least}"
            ));
            return;
        }
        let mut size = [0; 4];
        if cx.read(&chain, 0, &mut size).is_err() {
            return;
        }
        // What the message says of itself is judged where it is read. Here it only saves reading what is behind it.
        let says = u64::from(u32::from_le_bytes(size)).max(least);
        let most = FsFront::LONGEST_MESSAGE as u64;
        let len = chain.readable_len().min(says).min(most);
        let Ok(message) = cx.read_vec(&chain, 0, len as usize) else {
            return;
        };
        let room = chain.writable_len().min(most) as usize;
        let token = self.next_token;
        self.next_token = token.wrapping_add(1);
        self.issued = self.issued.max(self.next_token);
        self.front.submit(token, message, room, cx.ctx());
        self.requests.push(Request {
            token,
            chain,
            reply: None,
        });
    }

    /// Gives a request back to the driver: with its reply, or empty if another request has taken it back.
    fn answer(chain: Chain, reply: Option<&[u8]>, cx: &mut VirtioCx<'_, '_>) {
        let reply = reply.unwrap_or_default();
        if reply.len() as u64 > chain.writable_len() {
            let (need, have) = (reply.len(), chain.writable_len());
            cx.broken(format_args!("a reply needs {need} bytes and has room for {have}"));
            return;
        }
        if cx.write(&chain, 0, reply).is_ok() {
            cx.push(chain, reply.len() as u32);
        }
    }
}

impl VirtioModel for P9 {
    fn device_id(&self) -> u16 {
        id::P9
    }

    fn features(&self) -> u64 {
        F_MOUNT_TAG
    }

    fn queues(&self) -> Vec<u16> {
        vec![QUEUE_SIZE]
    }

    fn config(&self) -> Vec<u8> {
        let mut config = (self.tag.len() as u16).to_le_bytes().to_vec();
        config.extend(self.tag.bytes());
        config
    }

    fn reset(&mut self, cx: &mut VirtioCx<'_, '_>) {
        self.requests.clear();
        self.front.reset(cx.ctx());
    }

    fn queue_reset(&mut self, _queue: u16, _cx: &mut VirtioCx<'_, '_>) {
        self.requests.clear();
    }

    fn on_notify(&mut self, _queue: u16, cx: &mut VirtioCx<'_, '_>) {
        self.take_requests(cx);
    }

    fn on_completion(&mut self, done: Completion, cx: &mut VirtioCx<'_, '_>) {
        let token = done.token;
        let reply = self.front.reply(done);
        // One of before a reset is nobody's.
        if let Some(i) = self.requests.iter().position(|r| r.token == token) {
            let request = self.requests.remove(i);
            Self::answer(request.chain, reply.as_deref(), cx);
            self.take_requests(cx);
        }
    }

    fn save(&self) -> SavedState {
        let (session, mut done) = self.front.save();
        let requests = self.requests.iter().cloned().map(|mut r| {
            r.reply = done.remove(&r.token);
            r
        });
        let state = State {
            session,
            requests: requests.collect(),
            next_token: self.next_token,
        };
        SavedState::of(VERSION, &state)
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        let state: State = state.read(VERSION)?;
        if !state.session.is_possible() {
            return Err(LoadError::Impossible("a 9P session that cannot be"));
        }
        let known = |r: &Request| r.token < state.next_token && r.chain.queue() == REQUESTS;
        if state.requests.len() > usize::from(QUEUE_SIZE) || !state.requests.iter().all(known) {
            return Err(LoadError::Impossible("9P requests that cannot be in flight"));
        }
        self.loaded = Some(state.session);
        self.requests = state.requests;
        self.next_token = state.next_token;
        Ok(())
    }

    fn after_load(&mut self, cx: &mut VirtioCx<'_, '_>) {
        let Some(session) = self.loaded.take() else {
            return;
        };
        let Some(lost) = self.front.restore(&session, cx.ctx()) else {
            // The past runs again: what was answered then will be answered again.
            return;
        };
        self.next_token = self.next_token.max(self.issued);
        if lost > 0 {
            cx.ctx().warning(format_args!(
                "{lost} file(s) that the guest uses are not in the folder '{}' here; it will find them stale",
                self.tag
            ));
        }
        for request in std::mem::take(&mut self.requests) {
            match request.reply {
                Some(reply) => Self::answer(request.chain, Some(&reply), cx),
                None => self.submit(request.chain, cx),
            }
        }
        self.take_requests(cx);
    }

    fn migration_blocker(&self) -> Option<String> {
        self.front.blocker()
    }
}
