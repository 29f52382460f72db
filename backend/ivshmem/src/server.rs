//! The server engine: one epoll descriptor in front of a listening socket and its clients.
//!
//! It never blocks and never trusts: a client that does not read is dropped once its outbox overflows, one that speaks is
//! dropped at once (the protocol is one-way), and when the process is out of descriptors newcomers are turned away while
//! those inside go on. What to say is decided in `protocol/ivshmem`; here it is only carried.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime};
use southbridge_protocol_ivshmem::server::{Config, Descriptor, Server as Machine};
use southbridge_protocol_ivshmem::{PeerId, regs, wire};

use crate::connection::{Connection, Sending};
use crate::error::ServerError;
use crate::listener::Listener;
use crate::memory::{Memory, SharedMemory};
use crate::transfer;

/// Send buffer of a client's socket in bytes, about 40 messages. Descriptors inside socket buffers are counted per user by
/// the kernel, and past the limit nobody can send any; so silent clients must not be able to hoard them there.
const SEND_BUFFER: usize = 16 << 10;

/// How long to wait before trying again what failed for want of a resource that has no event.
const RETRY: Duration = Duration::from_millis(20);

/// Clients let in per step, so that a flood of them does not starve the others.
const ACCEPTS_PER_STEP: usize = 32;

/// Events taken per step.
const EVENTS_PER_STEP: usize = 64;

const LISTENER: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;

/// What a server offers, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// The socket file.
    pub path: PathBuf,
    /// Where the shared memory comes from.
    pub memory: Memory,
    /// Its least size in bytes; rounded up to a power of two.
    pub size: u64,
    /// Vectors per peer, at most 64.
    pub vectors: u16,
    /// Peers at one time, at most 65536.
    pub peers: usize,
    /// Messages that may wait for a client besides those of its greeting, before it is dropped.
    pub backlog: usize,
}

impl ServerConfig {
    /// Anonymous memory of 4 MiB, one vector, and as many peers as ids.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let Config {
            vectors,
            peers,
            backlog,
        } = Config::default();
        let size = regs::DEFAULT_SHMEM_SIZE;
        Self {
            path: path.into(),
            memory: Memory::Anonymous,
            size,
            vectors,
            peers,
            backlog,
        }
    }
}

/// What happened, for a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerNotice {
    /// A client connected and got this id.
    Joined(PeerId),
    /// A client is gone.
    Left {
        /// Which.
        peer: PeerId,
        /// Why.
        why: String,
    },
    /// A client was turned away.
    Refused(String),
    /// A server on a thread of its own has ended because the host let it down.
    Failed(String),
}

/// A listening server. Poll it for reading ([`AsFd`]) and call [`Server::step`]; dropping it removes its files.
#[derive(Debug)]
pub struct Server {
    // Fixed.
    listener: Listener,
    memory: SharedMemory,
    epoll: OwnedFd,
    timer: OwnedFd,

    // Volatile.
    machine: Machine,
    clients: BTreeMap<PeerId, Connection>,
    connections: u64,
    /// Given up for a moment when descriptors run out, to be able to turn a newcomer away.
    spare: Option<OwnedFd>,
    listening: bool,
}

impl Server {
    /// Listens, and creates the shared memory.
    ///
    /// # Errors
    /// [`ServerError`]; no file is left behind then.
    pub fn bind(config: &ServerConfig) -> Result<Self, ServerError> {
        if config.vectors > wire::MAX_VECTORS {
            return Err(ServerError::Vectors {
                asked: config.vectors,
                most: wire::MAX_VECTORS,
            });
        }
        // The socket first: if another server has it, that server's memory must not be touched.
        let listener = Listener::bind(&config.path)?;
        let memory = SharedMemory::create(&config.memory, config.size)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(ServerError::host("create an epoll set"))?;
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags).map_err(ServerError::host("create a timer"))?;
        let watch = ServerError::host("watch a socket");
        epoll::add(
            &epoll,
            &listener,
            epoll::EventData::new_u64(LISTENER),
            epoll::EventFlags::IN,
        )
        .map_err(&watch)?;
        epoll::add(&epoll, &timer, epoll::EventData::new_u64(TIMER), epoll::EventFlags::IN).map_err(&watch)?;
        let machine = Machine::new(Config {
            vectors: config.vectors,
            peers: config.peers,
            backlog: config.backlog,
        });
        let clients = BTreeMap::new();
        Ok(Self {
            listener,
            memory,
            epoll,
            timer,
            machine,
            clients,
            connections: 0,
            spare: spare(),
            listening: true,
        })
    }

    /// The socket file.
    pub fn path(&self) -> &Path {
        self.listener.path()
    }

    /// Size of the shared memory in bytes.
    pub fn memory_size(&self) -> u64 {
        self.memory.size()
    }

    /// The shared memory itself.
    pub fn memory(&self) -> BorrowedFd<'_> {
        self.memory.as_fd()
    }

    /// Ids of the connected clients with the descriptors of their vectors, ascending.
    pub fn peers(&self) -> impl Iterator<Item = (PeerId, &[OwnedFd])> {
        self.clients.iter().map(|(id, client)| (*id, client.vectors.as_slice()))
    }

    /// Waits for at most `timeout` (`None`: forever) and does what there is to do, in bounded time.
    ///
    /// # Errors
    /// Only when the host takes waiting itself away; nothing a client does leads here.
    pub fn step(&mut self, timeout: Option<Duration>, notice: &mut dyn FnMut(ServerNotice)) -> io::Result<()> {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(EVENTS_PER_STEP);
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        match epoll::wait(&self.epoll, spare_capacity(&mut events), timeout.as_ref()) {
            Err(Errno::INTR) => return Ok(()),
            other => other?,
        };
        for event in events {
            match event.data.u64() {
                LISTENER => self.accept(notice),
                TIMER => self.timer_fired(),
                token => self.client_event(token, event.flags, notice),
            }
        }
        self.settle(notice);
        Ok(())
    }

    fn accept(&mut self, notice: &mut dyn FnMut(ServerNotice)) {
        for _ in 0..ACCEPTS_PER_STEP {
            match self.listener.accept() {
                Ok(stream) => match self.welcome(stream) {
                    Ok(peer) => notice(ServerNotice::Joined(peer)),
                    Err(why) => notice(ServerNotice::Refused(why)),
                },
                Err(error) => match error.raw_os_error().map(Errno::from_raw_os_error) {
                    Some(Errno::AGAIN) => return,
                    Some(Errno::INTR | Errno::CONNABORTED) => {}
                    Some(Errno::MFILE | Errno::NFILE) if self.turn_one_away() => {
                        notice(ServerNotice::Refused(error.to_string()));
                    }
                    _ => return self.pause(),
                },
            }
        }
    }

    /// Lets a client in, or says why not; its connection is closed then.
    fn welcome(&mut self, stream: UnixStream) -> Result<PeerId, String> {
        let why = |error: Errno| io::Error::from(error).to_string();
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let vectors: Result<Vec<OwnedFd>, Errno> = (0..self.machine.vectors()).map(|_| eventfd(0, flags)).collect();
        let vectors = vectors.map_err(why)?;
        rustix::net::sockopt::set_socket_send_buffer_size(&stream, SEND_BUFFER).map_err(why)?;
        let peer = self.machine.join().map_err(|full| full.to_string())?;
        // The number of the connection makes the token unique even when an id comes back at once.
        let token = (self.connections << 16 & (TIMER - 1)) | u64::from(peer);
        self.connections = self.connections.wrapping_add(1);
        let connection = Connection::watched(stream, vectors, token, &self.epoll).map_err(|error| {
            self.machine.leave(peer);
            why(error)
        })?;
        self.clients.insert(peer, connection);
        Ok(peer)
    }

    fn turn_one_away(&mut self) -> bool {
        let had_one = self.spare.take().is_some();
        let turned_away = had_one && self.listener.accept().is_ok();
        self.spare = spare();
        turned_away && self.spare.is_some()
    }

    /// Stops listening until the timer, so that a connection that cannot be accepted does not keep the loop busy.
    fn pause(&mut self) {
        self.listening = false;
        let data = epoll::EventData::new_u64(LISTENER);
        let _ = epoll::modify(&self.epoll, &self.listener, data, epoll::EventFlags::empty());
        self.arm_timer();
    }

    fn arm_timer(&self) {
        let it_value = Timespec::try_from(RETRY).unwrap_or_default();
        let once = Itimerspec {
            it_interval: Timespec::default(),
            it_value,
        };
        let _ = timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once);
    }

    fn timer_fired(&mut self) {
        let _ = rustix::io::read(&self.timer, &mut [0u8; 8]);
        for client in self
            .clients
            .values_mut()
            .filter(|client| client.sending == Sending::Starved)
        {
            client.sending = Sending::Ready;
        }
        if !self.listening {
            self.spare = self.spare.take().or_else(spare);
            let data = epoll::EventData::new_u64(LISTENER);
            self.listening = epoll::modify(&self.epoll, &self.listener, data, epoll::EventFlags::IN).is_ok();
            if !self.listening {
                self.arm_timer();
            }
        }
    }

    fn client_event(&mut self, token: u64, flags: epoll::EventFlags, notice: &mut dyn FnMut(ServerNotice)) {
        let peer = (token & u64::from(PeerId::MAX)) as PeerId;
        let Some(client) = self.clients.get_mut(&peer).filter(|client| client.token == token) else {
            return;
        };
        if flags.intersects(epoll::EventFlags::IN | epoll::EventFlags::RDHUP) {
            match client.stream.read(&mut [0u8; 1]) {
                Ok(0) => return self.drop_client(peer, "closed".into(), notice),
                Ok(_) => return self.drop_client(peer, "spoke, which no client may".into(), notice),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return self.drop_client(peer, error.to_string(), notice),
            }
        }
        if flags.intersects(epoll::EventFlags::HUP | epoll::EventFlags::ERR) {
            return self.drop_client(peer, "closed".into(), notice);
        }
        if flags.contains(epoll::EventFlags::OUT) {
            client.sending = Sending::Ready;
        }
    }

    fn drop_client(&mut self, peer: PeerId, why: String, notice: &mut dyn FnMut(ServerNotice)) {
        self.machine.leave(peer);
        if self.clients.remove(&peer).is_some() {
            notice(ServerNotice::Left { peer, why });
        }
    }

    /// Sends until nobody is both owed something and able to take it. Ends because every round but the last one has
    /// fewer clients.
    fn settle(&mut self, notice: &mut dyn FnMut(ServerNotice)) {
        loop {
            let ids: Vec<PeerId> = self.clients.keys().copied().collect();
            let mut dropped = false;
            for peer in ids {
                if let Err(error) = self.flush(peer) {
                    self.drop_client(peer, io::Error::from(error).to_string(), notice);
                    dropped = true;
                }
            }
            while let Some(peer) = self.machine.overrun() {
                self.drop_client(peer, "does not read".into(), notice);
                dropped = true;
            }
            if !dropped {
                return;
            }
        }
    }

    /// Sends one client what it is owed, as far as it goes.
    fn flush(&mut self, peer: PeerId) -> Result<(), Errno> {
        let Some(client) = self.clients.get(&peer) else {
            return Ok(());
        };
        let before = client.sending;
        let mut after = before;
        while after == Sending::Ready
            && let Some(message) = self.machine.front(peer)
        {
            let descriptor = message
                .descriptor
                .map(|name| self.descriptor(name).ok_or(Errno::BADF))
                .transpose()?;
            match transfer::send(&client.stream, message.bytes(), descriptor) {
                Ok(sent) => self.machine.advance(peer, sent),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => after = Sending::Full,
                Err(Errno::TOOMANYREFS | Errno::NOBUFS | Errno::NOMEM) => after = Sending::Starved,
                Err(error) => return Err(error),
            }
        }
        if after == Sending::Starved && before != after {
            self.arm_timer();
        }
        match self.clients.get_mut(&peer) {
            Some(client) => client.switch(after, &self.epoll),
            None => Ok(()),
        }
    }

    fn descriptor(&self, name: Descriptor) -> Option<BorrowedFd<'_>> {
        match name {
            Descriptor::SharedMemory => Some(self.memory.as_fd()),
            Descriptor::Vector { peer, vector } => {
                Some(self.clients.get(&peer)?.vectors.get(usize::from(vector))?.as_fd())
            }
        }
    }
}

impl AsFd for Server {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

fn spare() -> Option<OwnedFd> {
    rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()
}
