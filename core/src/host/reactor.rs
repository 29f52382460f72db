//! The set of all that a machine waits for: descriptors, and wake-ups by the wall clock.

use rustix::event::epoll;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::wake::{AttentionFlag, Kick, Shared, Waker};
use super::watcher::Watcher;
use super::{BackendId, Completion, HostEvent, Interest};
use crate::device::DeviceId;

/// A watched descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatchId {
    slot: u32,
    generation: u32,
}

#[derive(Debug)]
enum WatchTarget {
    Backend {
        backend: BackendId,
        token: u64,
    },
    Notifier {
        device: DeviceId,
        port: u32,
        token: u64,
        fd: OwnedFd,
    },
}

#[derive(Debug, Default)]
struct WatchSlot {
    generation: u32,
    target: Option<WatchTarget>,
}

/// The set of everything a machine waits for.
pub struct Reactor {
    epoll: Arc<OwnedFd>,
    slots: Vec<WatchSlot>,
    free: Vec<u32>,
    wakeups: BTreeMap<(Instant, u64), (BackendId, u64)>,
    sequence: u64,
    shared: Arc<Shared>,
    watcher: Option<Watcher>,
}

const WAKE_DATA: u64 = u64::MAX;

impl Reactor {
    /// A reactor with nothing to wait for.
    pub fn new() -> io::Result<Self> {
        let epoll = Arc::new(epoll::create(epoll::CreateFlags::CLOEXEC)?);
        let shared = Arc::new(Shared::new()?);
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&*epoll, shared.wake_fd(), epoll::EventData::new_u64(WAKE_DATA), flags)?;
        Ok(Self {
            epoll,
            slots: Vec::new(),
            free: Vec::new(),
            wakeups: BTreeMap::new(),
            sequence: 0,
            shared,
            watcher: None,
        })
    }

    /// Whether something may wait: CPUs test this at every block.
    #[inline]
    pub fn attention(&self) -> bool {
        self.shared.attention.load(Ordering::Relaxed)
    }

    /// The flag behind [`Reactor::attention`], for compiled code.
    pub fn attention_flag(&self) -> AttentionFlag {
        AttentionFlag(self.shared.clone())
    }

    /// A handle that makes the machine look up from its work.
    pub fn kick_handle(&self) -> Kick {
        Kick(self.shared.clone())
    }

    fn allocate(&mut self) -> WatchId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(WatchSlot::default());
            self.slots.len() as u32 - 1
        });
        WatchId {
            slot,
            generation: self.slots[slot as usize].generation,
        }
    }

    fn release(&mut self, id: WatchId) -> Option<WatchTarget> {
        let s = self
            .slots
            .get_mut(id.slot as usize)
            .filter(|s| s.generation == id.generation)?;
        let target = s.target.take();
        s.generation = s.generation.wrapping_add(1);
        self.free.push(id.slot);
        target
    }

    fn add(&mut self, fd: BorrowedFd<'_>, interest: Interest) -> io::Result<WatchId> {
        let id = self.allocate();
        if let Err(e) = epoll::add(&*self.epoll, fd, id.data(), interest.flags()) {
            self.release(id);
            return Err(e.into());
        }
        Ok(id)
    }

    fn set_target(&mut self, id: WatchId, target: WatchTarget) {
        self.slots[id.slot as usize].target = Some(target);
    }

    /// Tells a back end of a descriptor.
    pub(super) fn watch(
        &mut self,
        backend: BackendId,
        fd: BorrowedFd<'_>,
        interest: Interest,
        token: u64,
    ) -> io::Result<WatchId> {
        let id = self.add(fd, interest)?;
        self.set_target(id, WatchTarget::Backend { backend, token });
        Ok(id)
    }

    pub(super) fn rewatch(&self, id: WatchId, fd: BorrowedFd<'_>, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(&*self.epoll, fd, id.data(), interest.flags())?)
    }

    pub(super) fn unwatch(&mut self, id: WatchId, fd: BorrowedFd<'_>) {
        if self.release(id).is_some() {
            let _ = epoll::delete(&*self.epoll, fd);
        }
    }

    pub(super) fn wake_after(&mut self, backend: BackendId, delay: Duration, token: u64) {
        self.sequence += 1;
        self.wakeups
            .insert((Instant::now() + delay, self.sequence), (backend, token));
    }

    pub(super) fn cancel_wake(&mut self, backend: BackendId, token: u64) {
        self.wakeups.retain(|_, v| *v != (backend, token));
    }

    pub(super) fn waker(&self, backend: BackendId) -> Waker {
        let shared = self.shared.clone();
        Waker { backend, shared }
    }

    /// Delivers each signal of an eventfd as a completion. The descriptor is watched for changes and never read: one system call less
    /// on the path of every doorbell; its counter would need 2^64 signals to fill up.
    pub fn watch_notifier(&mut self, fd: OwnedFd, device: DeviceId, port: u32, token: u64) -> io::Result<WatchId> {
        let id = self.add(fd.as_fd(), Interest::READ | Interest::EDGE)?;
        self.set_target(
            id,
            WatchTarget::Notifier {
                device,
                port,
                token,
                fd,
            },
        );
        Ok(id)
    }

    /// Stops watching a notifier and closes it.
    pub fn drop_notifier(&mut self, id: WatchId) {
        if let Some(WatchTarget::Notifier { fd, .. }) = self.release(id) {
            let _ = epoll::delete(&*self.epoll, &fd);
        }
    }

    /// Stops watching all notifiers of a device that is unplugged.
    pub(crate) fn drop_notifiers_of(&mut self, gone: DeviceId) {
        let theirs = |s: &WatchSlot| matches!(&s.target, Some(WatchTarget::Notifier { device, .. }) if *device == gone);
        let ids: Vec<_> = self
            .slots
            .iter()
            .enumerate()
            .filter(|(_, s)| theirs(s))
            .map(|(i, s)| WatchId {
                slot: i as u32,
                generation: s.generation,
            })
            .collect();
        for id in ids {
            self.drop_notifier(id);
        }
    }

    /// Forgets what a back end that is gone has asked for. It closes its descriptors itself.
    pub(super) fn forget_backend(&mut self, id: BackendId) {
        self.wakeups.retain(|_, (b, _)| *b != id);
        self.shared.forget(id);
        for slot in 0..self.slots.len() {
            let s = &self.slots[slot];
            if matches!(&s.target, Some(WatchTarget::Backend { backend, .. }) if *backend == id) {
                self.release(WatchId {
                    slot: slot as u32,
                    generation: s.generation,
                });
            }
        }
    }

    /// Waits until something happens or `timeout` has passed (forever if `None`), and queues what happened.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>, out: &mut Happened) -> io::Result<()> {
        let timeout = match self.shared.begin_wait() {
            true => Some(Duration::ZERO),
            false => timeout,
        };
        let until_wakeup = self
            .wakeups
            .first_key_value()
            .map(|(k, _)| k.0.saturating_duration_since(Instant::now()));
        let timeout = [timeout, until_wakeup].into_iter().flatten().min();
        let mut events = [const { std::mem::MaybeUninit::<epoll::Event>::uninit() }; 32];
        let spec = timeout.map(|d| rustix::event::Timespec {
            tv_sec: i64::try_from(d.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: d.subsec_nanos().into(),
        });
        let ready = match epoll::wait(&*self.epoll, &mut events, spec.as_ref()) {
            Ok((ready, _)) => ready,
            Err(rustix::io::Errno::INTR) => &mut [],
            Err(e) => return Err(e.into()),
        };
        for event in ready {
            let (data, flags) = (event.data.u64(), event.flags);
            if data == WAKE_DATA {
                continue;
            }
            self.queue_event(data, flags, out);
        }
        for backend in self.shared.take_woken() {
            out.backend.push_back((backend, HostEvent::Woken));
        }
        self.queue_wakeups(out);
        Ok(())
    }

    fn queue_event(&mut self, data: u64, flags: epoll::EventFlags, out: &mut Happened) {
        let (slot, generation) = (data as u32, (data >> 32) as u32);
        let Some(s) = self.slots.get(slot as usize).filter(|s| s.generation == generation) else {
            return;
        };
        match &s.target {
            Some(WatchTarget::Notifier {
                device, port, token, ..
            }) => {
                out.completions
                    .push_back((*device, Completion::plain(*port, *token, 0)));
            }
            Some(WatchTarget::Backend { backend, token }) => {
                let hangup =
                    flags.intersects(epoll::EventFlags::HUP | epoll::EventFlags::ERR | epoll::EventFlags::RDHUP);
                let readable = flags.contains(epoll::EventFlags::IN) || hangup;
                let writable = flags.contains(epoll::EventFlags::OUT);
                out.backend.push_back((
                    *backend,
                    HostEvent::Ready {
                        token: *token,
                        readable,
                        writable,
                        hangup,
                    },
                ));
            }
            None => {}
        }
    }

    fn queue_wakeups(&mut self, out: &mut Happened) {
        if self.wakeups.is_empty() {
            return;
        }
        let now = Instant::now();
        while let Some(entry) = self.wakeups.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let (backend, token) = entry.remove();
            out.backend.push_back((backend, HostEvent::WakeUp { token }));
        }
    }

    /// Whether a watcher thread raises the attention flag for descriptors.
    pub(crate) fn is_watched(&self) -> bool {
        self.watcher.is_some()
    }

    /// Whether a wake-up by the wall clock is due: the watcher thread does not see those.
    pub(crate) fn wake_up_is_due(&self) -> bool {
        let first = self.wakeups.first_key_value();
        first.is_some_and(|(k, _)| k.0 <= Instant::now())
    }

    /// Lets the watcher thread raise the attention flag when something happens while CPUs are busy. Cheap if it watches already.
    pub fn watch_while_busy(&mut self) {
        if let Some(w) = &self.watcher {
            w.arm();
            return;
        }
        self.watcher = Watcher::start(self.epoll.clone(), self.shared.clone()).ok();
    }
}

impl WatchId {
    fn data(self) -> epoll::EventData {
        epoll::EventData::new_u64(u64::from(self.generation) << 32 | u64::from(self.slot))
    }
}

impl Interest {
    fn flags(self) -> epoll::EventFlags {
        let mut f = epoll::EventFlags::empty();
        f.set(
            epoll::EventFlags::IN | epoll::EventFlags::RDHUP,
            self.contains(Self::READ),
        );
        f.set(epoll::EventFlags::OUT, self.contains(Self::WRITE));
        f.set(epoll::EventFlags::ET, self.contains(Self::EDGE));
        f
    }
}

/// What a wait brought.
#[derive(Default)]
pub(crate) struct Happened {
    pub(crate) completions: VecDeque<(DeviceId, Completion)>,
    pub(crate) backend: VecDeque<(BackendId, HostEvent)>,
}
