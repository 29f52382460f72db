//! The NAT of `user` as a process of its own would run it: its descriptors in an epoll, a turn of the engine after each wait.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, EventFlags};
use southbridge_backend_usernet::{Config, Meta, Offloads, Ready, Sink, Token, UserNet, WatchChange};

use crate::Result;

/// What a descriptor of the caller's own comes back as.
const OWN: u64 = u64::MAX;

/// Frames for the guest; buffers go round.
pub(crate) struct Out {
    /// What the engine has sent, oldest first.
    pub(crate) frames: Vec<(Vec<u8>, Meta)>,
    spare: Vec<Vec<u8>>,
}

impl Out {
    /// Takes all frames one after the other, and their buffers back.
    pub(crate) fn take(&mut self, mut f: impl FnMut(&[u8])) {
        for (frame, _) in self.frames.drain(..) {
            f(&frame);
            self.spare.push(frame);
        }
    }
}

impl Sink for Out {
    fn room(&self) -> usize {
        256usize.saturating_sub(self.frames.len())
    }

    fn buffer(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }

    fn frame(&mut self, frame: Vec<u8>, meta: Meta) {
        self.frames.push((frame, meta));
    }
}

/// The engine and what it needs of a host.
pub(crate) struct Engine {
    net: UserNet,
    epoll: OwnedFd,
    begin: Instant,
    /// When the last turn was: what comes in one go comes at one time.
    now: Duration,
    /// What it has sent to the guest.
    pub(crate) out: Out,
}

impl Engine {
    /// One whose guest takes such frames.
    pub(crate) fn new(config: Config, offloads: Offloads) -> Result<Self> {
        let mut net = UserNet::new(config)?;
        net.set_offloads(offloads);
        let out = Out {
            frames: Vec::new(),
            spare: Vec::new(),
        };
        Ok(Self {
            net,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            begin: Instant::now(),
            now: Duration::ZERO,
            out,
        })
    }

    /// Has a wait of [`Engine::turn`] end when this can be read.
    pub(crate) fn also_wait_for(&self, fd: impl AsFd) -> Result<()> {
        Ok(epoll::add(
            &self.epoll,
            fd,
            epoll::EventData::new_u64(OWN),
            EventFlags::IN | EventFlags::ET | EventFlags::RDHUP,
        )?)
    }

    /// A frame of the guest.
    pub(crate) fn frame(&mut self, frame: &[u8], meta: &Meta) {
        self.net.guest_frame(frame, meta, self.now);
    }

    /// Waits no longer than that for something to happen, and lets the engine work on it.
    pub(crate) fn turn(&mut self, wait: Duration) -> Result<()> {
        while let Some(change) = self.net.next_watch_change() {
            if let WatchChange::Add { token, fd, .. } = change {
                let flags = EventFlags::IN | EventFlags::OUT | EventFlags::ET | EventFlags::RDHUP;
                epoll::add(&self.epoll, fd, epoll::EventData::new_u64(token.0), flags)?;
            }
        }
        let mut events = [const { std::mem::MaybeUninit::<epoll::Event>::uninit() }; 16];
        let timeout = rustix::event::Timespec {
            tv_sec: 0,
            tv_nsec: wait.subsec_nanos().into(),
        };
        let (ready, _) = epoll::wait(&self.epoll, &mut events, Some(&timeout))?;
        for event in ready.iter().filter(|e| e.data.u64() != OWN) {
            let flags = event.flags;
            let gone = flags.intersects(EventFlags::HUP | EventFlags::ERR);
            let ready = Ready {
                readable: gone || flags.contains(EventFlags::IN),
                writable: gone || flags.contains(EventFlags::OUT),
            };
            self.net.host_ready(Token(event.data.u64()), ready);
        }
        self.now = self.begin.elapsed();
        self.net.run(self.now, &mut self.out);
        Ok(())
    }
}
