//! The host's side of sockets between guest and host (vsock), by Unix sockets, in the way that other user-space monitors have it.
//!
//! With a path `P`: a guest that connects to port `N` of the host reaches whoever listens on `P_N`. A program of the host connects to
//! `P` and says `CONNECT N` and a line feed to reach port `N` of the guest; when the guest has accepted it reads `OK M` and a line
//! feed, and then the stream. Many streams, each with bounded buffers; the protocol that the guest speaks is the device's business.

mod hub;
mod stream;

use southbridge_core::host::{BackendId, Completion, Waker};
use southbridge_core::{Build, Ctx};
use std::io;
use std::sync::Arc;

use hub::Hub;
pub use hub::MOST_STREAMS;

/// A stream. Those that the device opens have even numbers, those that come from the host odd ones.
pub type StreamId = u32;

/// What a completion tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VsockEvent {
    /// A program of the host wants a port of the guest.
    Wanted(StreamId, u32),
    /// Bytes from the host, never more than the room that the device told.
    Data(StreamId, Vec<u8>),
    /// The host sends nothing more; it may still listen.
    End(StreamId),
    /// The stream is gone.
    Gone(StreamId),
    /// A write that was cut short may go on.
    Writable(StreamId),
}

const WANTED: u64 = 0;
const DATA: u64 = 1;
const END: u64 = 2;
const GONE: u64 = 3;
const WRITABLE: u64 = 4;

impl VsockEvent {
    /// Reads a completion. `None` if it tells nothing of the kind.
    pub fn from_completion(done: Completion) -> Option<Self> {
        let id = StreamId::try_from(done.token >> 8).ok()?;
        Some(match done.token & 0xff {
            WANTED => Self::Wanted(id, u32::try_from(done.result).ok()?),
            DATA => Self::Data(id, done.data),
            END => Self::End(id),
            GONE => Self::Gone(id),
            WRITABLE => Self::Writable(id),
            _ => return None,
        })
    }

    pub(crate) fn into_completion(self, port: u32) -> Completion {
        let (kind, id, result, data) = match self {
            Self::Wanted(id, wanted) => (WANTED, id, wanted.into(), Vec::new()),
            Self::Data(id, data) => (DATA, id, data.len() as i64, data),
            Self::End(id) => (END, id, 0, Vec::new()),
            Self::Gone(id) => (GONE, id, 0, Vec::new()),
            Self::Writable(id) => (WRITABLE, id, 0, Vec::new()),
        };
        Completion {
            data,
            ..Completion::plain(port, kind | u64::from(id) << 8, result)
        }
    }
}

/// What a device keeps of the host's side. Dropping it closes all.
pub struct VsockFront {
    backend: BackendId,
    waker: Waker,
    alive: Option<Arc<()>>,
}

impl Drop for VsockFront {
    fn drop(&mut self) {
        self.alive = None;
        self.waker.wake();
    }
}

impl VsockFront {
    /// Listens at `path`. What happens comes as completions with that `port`, for [`VsockEvent::from_completion`].
    ///
    /// # Errors
    /// When the path cannot be listened at.
    pub fn open(build: &mut Build<'_>, path: &str, port: u32) -> io::Result<Self> {
        let (device, alive) = (build.me(), Arc::new(()));
        let mut waker = None;
        let backend = build.add_backend(|cx| {
            waker = Some(cx.waker());
            let hub = Hub::open(path, device, port, Arc::downgrade(&alive), cx)?;
            Ok::<_, io::Error>(Box::new(hub) as _)
        })?;
        Ok(Self {
            backend,
            waker: waker.ok_or(io::ErrorKind::Other)?,
            alive: Some(alive),
        })
    }

    /// Connects to a port of the host, under a number that the device chooses. `false` if nobody listens there.
    pub fn connect(&self, id: StreamId, port: u32, cx: &mut Ctx<'_>) -> bool {
        let backend = self.backend;
        let ask = |cx: &mut Ctx<'_>| match cx.backend::<Hub>(backend) {
            Some((hub, mut host)) => hub.connect(id, port, &mut host).is_ok().into(),
            None => 0,
        };
        cx.ask_host(1, ask) != 0
    }

    /// Sends to the host. How many bytes were taken; [`VsockEvent::Writable`] follows if not all.
    pub fn write(&self, id: StreamId, data: &[u8], cx: &mut Ctx<'_>) -> usize {
        let (backend, all) = (self.backend, data.len() as u64);
        let taken = cx.ask_host(all, |cx| match cx.backend::<Hub>(backend) {
            Some((hub, mut host)) => hub.write(id, data, &mut host) as u64,
            None => all,
        });
        usize::try_from(taken).unwrap_or(data.len()).min(data.len())
    }

    /// How many more bytes of a stream the device can take.
    pub fn set_room(&self, id: StreamId, bytes: usize, cx: &mut Ctx<'_>) {
        if let Some((hub, mut host)) = cx.backend::<Hub>(self.backend) {
            hub.set_room(id, bytes, &mut host);
        }
    }

    /// The guest sends nothing more.
    pub fn end(&self, id: StreamId, cx: &mut Ctx<'_>) {
        if let Some((hub, _)) = cx.backend::<Hub>(self.backend) {
            hub.end(id);
        }
    }

    /// Closes a stream; nothing more is heard of it.
    pub fn close(&self, id: StreamId, cx: &mut Ctx<'_>) {
        if let Some((hub, mut host)) = cx.backend::<Hub>(self.backend) {
            hub.close_stream(id, &mut host);
        }
    }

    /// Closes all streams, whoever opened them.
    pub fn close_all(&self, cx: &mut Ctx<'_>) {
        if let Some((hub, mut host)) = cx.backend::<Hub>(self.backend) {
            hub.close_all(&mut host);
        }
    }
}
