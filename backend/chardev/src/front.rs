//! The front end's side: what a device keeps for each of its connections, and what comes back to it.

use rustix::fd::OwnedFd;
use southbridge_core::host::{BackendId, Completion, Waker};
use southbridge_core::inject::Passage;
use southbridge_core::{Build, CreateError, Ctx, PropValue, Properties};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::chardev::output::LIMIT;
use crate::chardev::{Chardev, FrontId, Sink};

/// What a device keeps for each of its connections. [`CharFront::none`] swallows output and never has input.
///
/// Dropping it (the device is unplugged) makes the back end free for another.
#[derive(Debug)]
pub struct CharFront(Option<Attached>);

#[derive(Debug)]
struct Attached {
    backend: BackendId,
    front: FrontId,
    port: u32,
    /// Its loss tells the back end that this front end is gone.
    _alive: Arc<()>,
}

impl CharFront {
    /// Not connected.
    pub const fn none() -> Self {
        Self(None)
    }

    /// Attaches to the back end that the `Backend("chardev")` property `property` names, or gives [`CharFront::none`] if the property
    /// is not set. `port` comes back in [`Completion::port`].
    ///
    /// # Errors
    /// The back end is gone, is none for characters, or is used by another front end and not shared by `mux=on`.
    pub fn attach(
        props: &Properties,
        property: &'static str,
        port: u32,
        build: &mut Build<'_>,
    ) -> Result<Self, CreateError> {
        let Some(PropValue::Backend(name, id)) = props.get(property) else {
            return Ok(Self::none());
        };
        let (name, id) = (name.clone(), *id);
        let refused = |expected: String| CreateError::BadValue {
            property,
            value: name.clone(),
            expected,
        };
        let device = build.me();
        let (chardev, mut host) = build
            .backend::<Chardev>(id)
            .ok_or_else(|| refused("a character device, and this is none (or no longer one)".into()))?;
        let alive = Arc::new(());
        let own_name = chardev.id().to_owned();
        let front = chardev
            .attach(Sink::Device(device, port), &alive, &mut host)
            .map_err(|e| refused(format!("a chardev that nobody uses yet: this one {e}")))?;
        build.name_port(port, &own_name, TOKEN_CLOSED);
        Ok(Self(Some(Attached {
            backend: id,
            front,
            port,
            _alive: alive,
        })))
    }

    /// Sends to the host. Never blocks. Returns how many bytes were taken: all, or fewer when the back end's bounded buffer is full.
    /// Then a [`CharEvent::Writable`] follows when there is room again.
    pub fn write(&self, data: &[u8], cx: &mut Ctx<'_>) -> usize {
        self.write_with_fds(data, Vec::new(), cx)
    }

    /// The same with descriptors, which go with the first byte. Only unix sockets pass them on; others close them.
    pub fn write_with_fds(&self, data: &[u8], fds: Vec<OwnedFd>, cx: &mut Ctx<'_>) -> usize {
        match &self.0 {
            None => data.len(),
            Some(a) if cx.is_output_watched() => a.watched_write(data, fds, cx),
            Some(a) => submit(a.backend, a.front, data, fds, cx),
        }
    }

    /// Says how many more input bytes the device can take now. The back end posts at most that many in [`CharEvent::Data`], and what it
    /// posts uses the credit up. Call it after any change of the receive FIFO.
    pub fn set_room(&self, bytes: usize, cx: &mut Ctx<'_>) {
        if let Some(a) = &self.0
            && let Some((chardev, mut host)) = cx.backend::<Chardev>(a.backend)
        {
            chardev.set_room(a.front, bytes, &mut host);
        }
    }

    /// Sends a break condition.
    pub fn send_break(&self, cx: &mut Ctx<'_>) {
        if let Some(a) = &self.0
            && let Some((chardev, mut host)) = cx.backend::<Chardev>(a.backend)
        {
            chardev.break_out(&mut host);
        }
    }

    /// Whether a back end is attached at all. Says nothing about a peer behind it: [`CharEvent::Opened`] does.
    pub const fn is_connected(&self) -> bool {
        self.0.is_some()
    }
}

impl Attached {
    /// A write that rules of fault injection look at. One that the back end has no room for is none yet: the device will try again.
    fn watched_write(&self, data: &[u8], fds: Vec<OwnedFd>, cx: &mut Ctx<'_>) -> usize {
        let (backend, front, port) = (self.backend, self.front, self.port);
        let room = cx.ask_host(LIMIT as u64, |cx| match cx.backend::<Chardev>(backend) {
            Some((chardev, _)) => chardev.out_room() as u64,
            None => LIMIT as u64,
        });
        let n = data.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        let mut message = data[..n].to_vec();
        if message.is_empty() {
            return submit(backend, front, data, fds, cx);
        }
        match cx.leaves(port, &mut message) {
            Passage::Now => return submit(backend, front, &message, fds, cx),
            Passage::Lost => {}
            Passage::At(at) => cx.later(at, port, move |cx| submit_late(backend, front, port, message, fds, cx)),
        }
        n
    }
}

/// Hands bytes to a back end and gives how many it took.
fn submit(backend: BackendId, front: FrontId, data: &[u8], fds: Vec<OwnedFd>, cx: &mut Ctx<'_>) -> usize {
    // How much was taken is news from the host, which a run through the past must get as it was.
    let taken = cx.ask_host(data.len() as u64, |cx| match cx.backend::<Chardev>(backend) {
        Some((chardev, mut host)) => chardev.front_write(front, data, fds, &mut host) as u64,
        None => data.len() as u64,
    });
    usize::try_from(taken).unwrap_or(data.len()).min(data.len())
}

/// The same for a message that was held back. What the back end has no room for tries again.
fn submit_late(backend: BackendId, front: FrontId, port: u32, mut data: Vec<u8>, fds: Vec<OwnedFd>, cx: &mut Ctx<'_>) {
    let taken = submit(backend, front, &data, fds, cx);
    data.drain(..taken);
    if !data.is_empty() {
        let at = cx.now().after_ns(RETRY_NS);
        cx.try_again(at, port, move |cx| {
            submit_late(backend, front, port, data, Vec::new(), cx)
        });
    }
}

/// Virtual time after which a late message tries a full back end again.
const RETRY_NS: u64 = 1_000_000;

/// What a completion of a char back end means.
#[derive(Debug)]
pub enum CharEvent {
    /// Input, never more than the credit, and descriptors that came along.
    Data {
        /// Bytes, at least one.
        bytes: Vec<u8>,
        /// Descriptors, in the order sent.
        fds: Vec<OwnedFd>,
    },
    /// A write that was cut short may go on.
    Writable,
    /// There is another side now.
    Opened,
    /// The other side is gone; it may come back.
    Closed,
    /// The other side sent a break condition.
    Break,
}

const TOKEN_DATA: u64 = 0;
const TOKEN_WRITABLE: u64 = 1;
const TOKEN_OPENED: u64 = 2;
const TOKEN_CLOSED: u64 = 3;
const TOKEN_BREAK: u64 = 4;

impl CharEvent {
    /// Reads a completion. `None` if it is not of a char back end.
    pub fn from_completion(done: Completion) -> Option<Self> {
        Some(match done.token {
            TOKEN_DATA => Self::Data {
                bytes: done.data,
                fds: done.fds,
            },
            TOKEN_WRITABLE => Self::Writable,
            TOKEN_OPENED => Self::Opened,
            TOKEN_CLOSED => Self::Closed,
            TOKEN_BREAK => Self::Break,
            _ => return None,
        })
    }

    /// The completion that says this; for replay and tests of devices.
    pub fn into_completion(self, port: u32) -> Completion {
        let (token, bytes, fds) = match self {
            Self::Data { bytes, fds } => (TOKEN_DATA, bytes, fds),
            Self::Writable => (TOKEN_WRITABLE, Vec::new(), Vec::new()),
            Self::Opened => (TOKEN_OPENED, Vec::new(), Vec::new()),
            Self::Closed => (TOKEN_CLOSED, Vec::new(), Vec::new()),
            Self::Break => (TOKEN_BREAK, Vec::new(), Vec::new()),
        };
        Completion {
            port,
            token,
            result: bytes.len() as i64,
            data: bytes,
            fds,
        }
    }
}

/// A front end outside the arena of devices: a monitor, a hub, a test. It reaches its back end through a mailbox, because one back
/// end cannot call another. Cheap to clone; the back end is free again when the last one is dropped.
#[derive(Clone)]
pub struct CharHandle {
    mailbox: Arc<Mailbox>,
    backend: Waker,
    _alive: Arc<()>,
}

pub(crate) type Notify = Box<dyn Fn() + Send + Sync>;

/// What lies between a handle and its back end.
pub(crate) struct Mailbox {
    state: Mutex<MailState>,
    notify: Option<Notify>,
}

#[derive(Default)]
struct MailState {
    events: VecDeque<CharEvent>,
    waiting: usize,
    /// Bytes taken since the back end was last told of the room that they left.
    taken: usize,
    out: Vec<u8>,
    /// Descriptors that go with a byte of `out`, by its place.
    out_fds: VecDeque<(usize, Vec<OwnedFd>)>,
    break_out: bool,
    /// The front end's writes were cut short.
    starved: bool,
    /// The back end's own buffer is full.
    backend_full: bool,
    /// Keys go to this front end.
    focused: bool,
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, MailState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The back end leaves an event.
    pub(crate) fn post(&self, event: CharEvent) {
        let mut s = self.lock();
        if let CharEvent::Data { bytes, .. } = &event {
            s.waiting += bytes.len();
        }
        // A handle that never looks must not grow without bound; bytes are bounded by credit, and of a flapping peer the newest counts.
        if s.events.len() > 1024
            && let Some(i) = s.events.iter().position(|e| !matches!(e, CharEvent::Data { .. }))
        {
            s.events.remove(i);
        }
        s.events.push_back(event);
        drop(s);
        if let Some(n) = &self.notify {
            n();
        }
    }

    /// The keyboard comes or goes.
    pub(crate) fn set_focused(&self, focused: bool) {
        let before = std::mem::replace(&mut self.lock().focused, focused);
        if before != focused
            && let Some(n) = &self.notify
        {
            n();
        }
    }

    /// What the handle wants sent together: bytes, and descriptors that go with the first of them. And whether it wants a break.
    pub(crate) fn take_out(&self, most: usize) -> (Vec<u8>, Vec<OwnedFd>, bool) {
        let mut s = self.lock();
        let mut fds = Vec::new();
        if most > 0
            && let Some((_, first)) = s.out_fds.pop_front_if(|(at, _)| *at == 0)
        {
            fds = first;
        }
        let next = s.out_fds.front().map_or(usize::MAX, |(at, _)| *at);
        let n = s.out.len().min(most).min(next);
        s.out_fds.iter_mut().for_each(|(at, _)| *at = at.saturating_sub(n));
        let rest = s.out.split_off(n);
        s.backend_full = !rest.is_empty();
        let out = std::mem::replace(&mut s.out, rest);
        // A back end that takes nothing now leaves the wish standing.
        let freed = s.starved && s.out.len() < LIMIT;
        s.starved &= !freed;
        let break_out = std::mem::take(&mut s.break_out);
        drop(s);
        if freed {
            self.post(CharEvent::Writable);
        }
        (out, fds, break_out)
    }

    /// The back end has room again: whether the handle has something for it.
    pub(crate) fn has_more(&self) -> bool {
        let s = self.lock();
        s.backend_full && !s.out.is_empty()
    }

    /// How many more bytes the handle takes.
    pub(crate) fn room(&self) -> usize {
        LIMIT.saturating_sub(self.lock().waiting)
    }
}

impl CharHandle {
    /// Attaches to a back end. `notify` is called on the machine's thread whenever there is something for [`CharHandle::next`].
    ///
    /// # Errors
    /// The back end is in use and not shared, or is none for characters.
    pub fn attach(
        host: &mut southbridge_core::host::Host,
        id: BackendId,
        notify: Option<Box<dyn Fn() + Send + Sync>>,
    ) -> Result<Self, crate::AttachError> {
        let (chardev, mut cx) = host.get::<Chardev>(id).ok_or(crate::AttachError::NoChardev)?;
        let mailbox = Arc::new(Mailbox {
            state: Mutex::default(),
            notify,
        });
        let alive = Arc::new(());
        chardev.attach(Sink::Handle(mailbox.clone()), &alive, &mut cx)?;
        Ok(Self {
            mailbox,
            backend: cx.waker(),
            _alive: alive,
        })
    }

    /// The next thing that the back end said.
    #[allow(
        clippy::should_implement_trait,
        reason = "a queue that fills up again is no iterator"
    )]
    pub fn next(&self) -> Option<CharEvent> {
        let mut s = self.mailbox.lock();
        let event = s.events.pop_front()?;
        if let CharEvent::Data { bytes, .. } = &event {
            s.waiting = s.waiting.saturating_sub(bytes.len());
            s.taken += bytes.len();
            if s.taken >= LIMIT / 4 {
                s.taken = 0;
                drop(s);
                self.backend.wake();
            }
        }
        Some(event)
    }

    /// Whether keys come here: behind the menu of a shared back end they go to one front end at a time. The hook that
    /// [`CharHandle::attach`] was given is called when this changes.
    pub fn is_focused(&self) -> bool {
        self.mailbox.lock().focused
    }

    /// Sends. Returns how many bytes were taken; [`CharEvent::Writable`] follows if not all.
    pub fn write(&self, data: &[u8]) -> usize {
        let mut s = self.mailbox.lock();
        let n = data.len().min(LIMIT.saturating_sub(s.out.len()));
        s.out.extend_from_slice(&data[..n]);
        s.starved |= n < data.len();
        drop(s);
        if n > 0 {
            self.backend.wake();
        }
        n
    }

    /// Sends all of it with descriptors beside the first byte, or nothing: `false` if there is no room now. Only a unix socket carries
    /// descriptors; elsewhere they are closed.
    pub fn write_with_fds(&self, data: &[u8], fds: Vec<OwnedFd>) -> bool {
        let mut s = self.mailbox.lock();
        if data.len() > LIMIT.saturating_sub(s.out.len()) {
            s.starved = true;
            return false;
        }
        let at = s.out.len();
        if !fds.is_empty() && !data.is_empty() {
            s.out_fds.push_back((at, fds));
        }
        s.out.extend_from_slice(data);
        drop(s);
        self.backend.wake();
        true
    }

    /// How many bytes [`CharHandle::write`] would take now.
    pub fn room(&self) -> usize {
        LIMIT.saturating_sub(self.mailbox.lock().out.len())
    }

    /// Asks for a [`CharEvent::Writable`] as if a write had been cut short.
    pub(crate) fn tell_when_writable(&self) {
        self.mailbox.lock().starved = true;
        self.backend.wake();
    }

    /// Sends a break condition.
    pub fn send_break(&self) {
        self.mailbox.lock().break_out = true;
        self.backend.wake();
    }
}
