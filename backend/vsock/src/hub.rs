//! All streams of a device, and the socket where programs of the host ask for more.

use rustix::fd::OwnedFd;
use rustix::fs::{stat, unlink};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect, listen, socket_with,
};
use southbridge_core::DeviceId;
use southbridge_core::host::{Backend, HostCx, HostEvent, Interest, WatchId};
use std::collections::BTreeMap;
use std::io;
use std::sync::Weak;

use crate::stream::{Read, Stream};
use crate::{StreamId, VsockEvent};

/// Most streams at a time. Who comes then is sent away.
pub const MOST_STREAMS: usize = 256;
const LISTENER: u64 = u64::MAX;
const BACKLOG: i32 = 32;

pub(crate) struct Hub {
    path: String,
    listener: Option<(OwnedFd, WatchId)>,
    /// Device and inode of the socket's file: somebody else may put another there.
    file: Option<(u64, u64)>,
    streams: BTreeMap<StreamId, Stream>,
    given: u32,
    device: DeviceId,
    port: u32,
    alive: Weak<()>,
}

fn new_socket() -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

/// Whether nobody listens at a socket's file any more.
fn is_stale(name: &SocketAddrUnix) -> bool {
    new_socket().is_ok_and(|s| connect(&s, name) == Err(Errno::CONNREFUSED))
}

impl Hub {
    pub(crate) fn open(
        path: &str,
        device: DeviceId,
        port: u32,
        alive: Weak<()>,
        cx: &mut HostCx<'_>,
    ) -> io::Result<Self> {
        let name = SocketAddrUnix::new(path)?;
        let fd = new_socket()?;
        let mut bound = bind(&fd, &name);
        if bound == Err(Errno::ADDRINUSE) && is_stale(&name) {
            unlink(path)?;
            bound = bind(&fd, &name);
        }
        bound?;
        listen(&fd, BACKLOG)?;
        let watch = cx.watch(&fd, Interest::READ, LISTENER)?;
        Ok(Self {
            path: path.to_owned(),
            listener: Some((fd, watch)),
            file: stat(path).ok().map(|s| (s.st_dev, s.st_ino)),
            streams: BTreeMap::new(),
            given: 0,
            device,
            port,
            alive,
        })
    }

    fn tell(&self, event: VsockEvent, cx: &mut HostCx<'_>) {
        cx.post(self.device, event.into_completion(self.port));
    }

    fn accept(&mut self, cx: &mut HostCx<'_>) {
        let Some((listener, _)) = &self.listener else { return };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        // The socket is watched until it has nothing: the next one comes with the next turn.
        let Ok(fd) = accept_with(listener, flags) else { return };
        if self.streams.len() >= MOST_STREAMS {
            return;
        }
        let free = |id: &StreamId| !self.streams.contains_key(id);
        let mut ids = (0..=u32::MAX / 2).map(|n| (self.given.wrapping_add(n) << 1) | 1);
        let Some(id) = ids.find(free) else { return };
        self.given = (id >> 1).wrapping_add(1);
        if let Ok(stream) = Stream::new(fd, true, id.into(), cx) {
            self.streams.insert(id, stream);
        }
    }

    pub(crate) fn connect(&mut self, id: StreamId, port: u32, cx: &mut HostCx<'_>) -> io::Result<()> {
        if self.streams.len() >= MOST_STREAMS || self.streams.contains_key(&id) {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        let fd = new_socket()?;
        connect(&fd, &SocketAddrUnix::new(format!("{}_{port}", self.path))?)?;
        self.streams.insert(id, Stream::new(fd, false, id.into(), cx)?);
        Ok(())
    }

    pub(crate) fn write(&mut self, id: StreamId, data: &[u8], cx: &mut HostCx<'_>) -> usize {
        let Some(stream) = self.streams.get_mut(&id) else {
            return data.len();
        };
        match stream.write(data) {
            Some(n) => {
                stream.rewatch(cx);
                n
            }
            None => {
                self.drop_stream(id, cx);
                data.len()
            }
        }
    }

    pub(crate) fn set_room(&mut self, id: StreamId, room: usize, cx: &mut HostCx<'_>) {
        if let Some(stream) = self.streams.get_mut(&id) {
            // What is on its way to the device counts against what it told.
            let own = id;
            let on_its_way: usize = cx
                .waiting(self.device, self.port)
                .filter(|c| c.token >> 8 == u64::from(own))
                .map(|c| c.data.len())
                .sum();
            stream.set_room(room.saturating_sub(on_its_way));
            stream.rewatch(cx);
        }
    }

    pub(crate) fn end(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get(&id) {
            stream.end();
        }
    }

    pub(crate) fn close_stream(&mut self, id: StreamId, cx: &mut HostCx<'_>) {
        if let Some(stream) = self.streams.remove(&id) {
            stream.close(cx);
        }
    }

    pub(crate) fn close_all(&mut self, cx: &mut HostCx<'_>) {
        for stream in std::mem::take(&mut self.streams).into_values() {
            stream.close(cx);
        }
    }

    fn drop_stream(&mut self, id: StreamId, cx: &mut HostCx<'_>) {
        let Some(stream) = self.streams.remove(&id) else { return };
        stream.close(cx);
        // Of one that has not said what it wants the device knows nothing.
        if !stream.asks() {
            self.tell(VsockEvent::Gone(id), cx);
        }
    }

    fn ready(&mut self, id: StreamId, writable: bool, hangup: bool, cx: &mut HostCx<'_>) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        debug_assert_eq!(stream.token(), u64::from(id));
        let may_write = writable && stream.writable();
        // While reading is watched, half a hang-up counts as one. Afterwards it is a whole one.
        let over = hangup && stream.ended;
        let mut told = Vec::new();
        // Watched for changes, so all that there is room for is read.
        let gone = loop {
            match stream.read() {
                Read::Nothing => break false,
                Read::Gone => break true,
                Read::Port(port) => told.push(VsockEvent::Wanted(id, port)),
                Read::Data(data) => told.push(VsockEvent::Data(id, data)),
                Read::End => told.push(VsockEvent::End(id)),
            }
        };
        told.into_iter().for_each(|event| self.tell(event, cx));
        if gone {
            return self.drop_stream(id, cx);
        }
        if may_write {
            self.tell(VsockEvent::Writable(id), cx);
        }
        if over {
            return self.drop_stream(id, cx);
        }
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.rewatch(cx);
        }
    }
}

impl Backend for Hub {
    fn on_host(&mut self, event: HostEvent, cx: &mut HostCx<'_>) {
        match event {
            HostEvent::Ready { token: LISTENER, .. } => self.accept(cx),
            HostEvent::Ready {
                token,
                writable,
                hangup,
                ..
            } => {
                if let Ok(id) = StreamId::try_from(token) {
                    self.ready(id, writable, hangup, cx);
                }
            }
            HostEvent::Woken if self.alive.strong_count() == 0 => self.close(cx),
            _ => {}
        }
    }

    fn close(&mut self, cx: &mut HostCx<'_>) {
        self.close_all(cx);
        if let Some((fd, watch)) = self.listener.take() {
            cx.unwatch(watch, &fd);
        }
        let file = self.file.take();
        if file.is_some() && stat(self.path.as_str()).ok().map(|s| (s.st_dev, s.st_ino)) == file {
            let _ = unlink(self.path.as_str());
        }
    }
}
