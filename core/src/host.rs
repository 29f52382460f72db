//! The host's side: descriptors, wall-clock wake-ups and worker threads become completions.
//!
//! A [`Backend`] owns something of the host and never calls a device: it posts completions, which the machine delivers in order. One
//! thread, the machine's, runs back ends; it waits in epoll itself while the guest is idle, and while the guest is busy a watcher
//! thread only raises a flag that CPUs see at the next block. That keeps a doorbell from one process to another down to one wake-up.
//!
//! Why not `calloop`: its wait re-arms a timer and a notifier descriptor on each turn, three system calls where the latency goal for
//! doorbells allows one.

mod watcher;

use rustix::event::{EventfdFlags, epoll, eventfd};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::device::DeviceId;
use watcher::Watcher;

/// A back end of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackendId(pub(crate) u32);

/// Something the host did, for one device. Everything from outside enters a machine as one of these.
#[derive(Debug)]
pub struct Completion {
    /// Which of the device's connections: the device's own numbering, given when it attached.
    pub port: u32,
    /// What happened, in the terms of the kind of back end.
    pub token: u64,
    /// A count, or a negative errno.
    pub result: i64,
    /// Bytes.
    pub data: Vec<u8>,
    /// Descriptors that came along.
    pub fds: Vec<OwnedFd>,
}

impl Completion {
    /// One without data.
    pub fn plain(port: u32, token: u64, result: i64) -> Self {
        Self {
            port,
            token,
            result,
            data: Vec::new(),
            fds: Vec::new(),
        }
    }
}

/// What a back end can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostEvent {
    /// A watched descriptor is ready.
    Ready {
        /// As given to `watch`.
        token: u64,
        /// There is something to read, or the other side is gone.
        readable: bool,
        /// There is room to write.
        writable: bool,
        /// The other side hung up or the descriptor failed.
        hangup: bool,
    },
    /// A wake-up by the wall clock is due.
    WakeUp {
        /// As given to `wake_after`.
        token: u64,
    },
    /// A worker thread called [`Waker::wake`].
    Woken,
}

/// The host's half of a connection. Lives on the machine's thread; must never block.
pub trait Backend: Any + Send {
    /// Something happened.
    fn on_host(&mut self, event: HostEvent, cx: &mut HostCx<'_>);

    /// The machine is about to be saved: what is under way is finished, and its completions are posted. The one call that may wait.
    fn drain(&mut self, _cx: &mut HostCx<'_>) {}

    /// The machine ends or the back end is removed: flush, unlink, stop threads.
    fn close(&mut self, _cx: &mut HostCx<'_>) {}
}

bitflags::bitflags! {
    /// What to be told of a descriptor.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Interest: u8 {
        /// Readable (and hang-up).
        const READ = 1;
        /// Writable.
        const WRITE = 2;
        /// Only on changes, so that the descriptor need not be drained.
        const EDGE = 4;
    }
}

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

struct Shared {
    attention: AtomicBool,
    woken: Mutex<Vec<BackendId>>,
    wake_fd: OwnedFd,
    /// Which thread waits, as [`this_thread`] names it; 0 before the first wait.
    waits: AtomicUsize,
    /// That thread has woken itself: the next wait does not block.
    awake: AtomicBool,
}

/// A number that no other living thread has.
fn this_thread() -> usize {
    thread_local!(static HERE: u8 = const { 0 });
    HERE.with(|here| std::ptr::from_ref(here).addr())
}

impl Shared {
    /// Makes the machine's thread look. Who is on that thread is awake, and needs no system call for it.
    fn wake(&self) {
        self.attention.store(true, Ordering::Release);
        if self.is_ours() {
            self.awake.store(true, Ordering::SeqCst);
            // Asked again: if the machine came to another thread meanwhile, that one saw the note or is woken.
            if self.is_ours() {
                return;
            }
        }
        // The counter cannot overflow in practice, and a full counter is readable all the same.
        let _ = rustix::io::write(&self.wake_fd, &1u64.to_ne_bytes());
    }

    fn is_ours(&self) -> bool {
        self.waits.load(Ordering::SeqCst) == this_thread()
    }
}

const WAKE_DATA: u64 = u64::MAX;

/// Wakes a back end from another thread. Cheap to clone.
#[derive(Clone)]
pub struct Waker {
    backend: BackendId,
    shared: Arc<Shared>,
}

impl Waker {
    /// Has the machine's thread call the back end with [`HostEvent::Woken`].
    pub fn wake(&self) {
        self.shared
            .woken
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(self.backend);
        self.shared.wake();
    }
}

/// The flag by which the host's side asks CPUs to return.
#[derive(Clone)]
pub struct AttentionFlag(Arc<Shared>);

impl AttentionFlag {
    /// The flag itself.
    pub fn flag(&self) -> &AtomicBool {
        &self.0.attention
    }
}

/// Interrupts a running machine from another thread or a signal handler's thread: the run loop looks at its requests soon.
#[derive(Clone)]
pub struct Kick(Arc<Shared>);

impl Kick {
    /// Makes the machine look.
    pub fn kick(&self) {
        self.0.wake();
    }
}

impl Reactor {
    /// A reactor with nothing to wait for.
    pub fn new() -> io::Result<Self> {
        let epoll = Arc::new(epoll::create(epoll::CreateFlags::CLOEXEC)?);
        let wake_fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&*epoll, &wake_fd, epoll::EventData::new_u64(WAKE_DATA), flags)?;
        let shared = Arc::new(Shared {
            attention: AtomicBool::new(false),
            woken: Mutex::default(),
            wake_fd,
            waits: AtomicUsize::new(0),
            awake: AtomicBool::new(false),
        });
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
    fn forget_backend(&mut self, id: BackendId) {
        self.wakeups.retain(|_, (b, _)| *b != id);
        let mut woken = self.shared.woken.lock().unwrap_or_else(PoisonError::into_inner);
        woken.retain(|b| *b != id);
        drop(woken);
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
        self.shared.attention.store(false, Ordering::Release);
        self.shared.waits.store(this_thread(), Ordering::SeqCst);
        let timeout = match self.shared.awake.swap(false, Ordering::SeqCst) {
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
        for backend in std::mem::take(&mut *self.shared.woken.lock().unwrap_or_else(PoisonError::into_inner)) {
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

/// All back ends of a machine and the reactor that feeds them.
pub struct Host {
    /// The reactor.
    pub reactor: Reactor,
    backends: Vec<Option<Box<dyn Backend>>>,
    happened: Happened,
}

impl Host {
    /// A host side without back ends.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            reactor: Reactor::new()?,
            backends: Vec::new(),
            happened: Happened::default(),
        })
    }

    /// Takes a back end in. `make` gets the context with which it may watch descriptors; if it fails nothing is left behind.
    pub fn add<E>(
        &mut self,
        make: impl FnOnce(&mut HostCx<'_>) -> Result<Box<dyn Backend>, E>,
    ) -> Result<BackendId, E> {
        let id = BackendId(self.backends.len() as u32);
        let made = make(&mut self.context(id))?;
        self.backends.push(Some(made));
        Ok(id)
    }

    /// A back end as its concrete type, with the context it works in.
    pub fn get<T: Backend>(&mut self, id: BackendId) -> Option<(&mut T, HostCx<'_>)> {
        let Self {
            reactor,
            backends,
            happened,
        } = self;
        let any: &mut dyn Any = backends.get_mut(id.0 as usize)?.as_deref_mut()?;
        Some((
            any.downcast_mut()?,
            HostCx {
                me: id,
                reactor,
                completions: &mut happened.completions,
            },
        ))
    }

    /// The same, to look only.
    pub fn peek<T: Backend>(&self, id: BackendId) -> Option<&T> {
        let any: &dyn Any = self.backends.get(id.0 as usize)?.as_deref()?;
        any.downcast_ref()
    }

    /// The first back end of a type, for those that a machine has one of.
    pub fn find<T: Backend>(&self) -> Option<BackendId> {
        let is = |b: &Option<Box<dyn Backend>>| b.as_deref().is_some_and(|b| (b as &dyn Any).is::<T>());
        let i = self.backends.iter().position(is)?;
        Some(BackendId(i as u32))
    }

    /// The same, made if there is none yet.
    pub fn find_or_add<T: Backend + Default>(&mut self) -> BackendId {
        self.find::<T>().unwrap_or_else(|| {
            self.backends.push(Some(Box::<T>::default()));
            BackendId(self.backends.len() as u32 - 1)
        })
    }

    /// Has all back ends finish what is under way.
    pub fn drain(&mut self) {
        for i in 0..self.backends.len() {
            if let Some(mut b) = self.backends[i].take() {
                b.drain(&mut self.context(BackendId(i as u32)));
                self.backends[i] = Some(b);
            }
        }
    }

    /// Closes and drops a back end.
    pub fn remove(&mut self, id: BackendId) {
        if let Some(mut b) = self.backends.get_mut(id.0 as usize).and_then(Option::take) {
            b.close(&mut self.context(id));
            drop(b);
            self.reactor.forget_backend(id);
            self.happened.backend.retain(|(b, _)| *b != id);
        }
        while self.backends.last().is_some_and(Option::is_none) {
            self.backends.pop();
        }
    }

    /// Drops what was on its way to a device that is unplugged, and its notifiers.
    pub(crate) fn forget_device(&mut self, id: DeviceId) {
        self.reactor.drop_notifiers_of(id);
        self.happened.completions.retain(|(d, _)| *d != id);
    }

    /// Closes all back ends, last made first.
    pub fn close(&mut self) {
        for i in (0..self.backends.len()).rev() {
            self.remove(BackendId(i as u32));
        }
    }

    fn context(&mut self, me: BackendId) -> HostCx<'_> {
        HostCx {
            me,
            reactor: &mut self.reactor,
            completions: &mut self.happened.completions,
        }
    }

    /// Waits, and lets back ends work on what happened. Completions are then ready for [`Host::next_completion`].
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = if self.happened.completions.is_empty() {
            timeout
        } else {
            Some(Duration::ZERO)
        };
        self.reactor.wait(timeout, &mut self.happened)?;
        while let Some((id, event)) = self.happened.backend.pop_front() {
            let Some(mut b) = self.backends.get_mut(id.0 as usize).and_then(Option::take) else {
                continue;
            };
            b.on_host(event, &mut self.context(id));
            self.backends[id.0 as usize] = Some(b);
        }
        Ok(())
    }

    /// The next thing for a device.
    #[inline]
    pub fn next_completion(&mut self) -> Option<(DeviceId, Completion)> {
        self.happened.completions.pop_front()
    }

    /// Whether completions wait.
    #[inline]
    pub fn has_completions(&self) -> bool {
        !self.happened.completions.is_empty()
    }

    /// Queues a completion from inside the machine (tests, fault injection, replay).
    pub fn inject(&mut self, device: DeviceId, completion: Completion) {
        self.happened.completions.push_back((device, completion));
    }
}

/// What a back end may do.
pub struct HostCx<'a> {
    me: BackendId,
    reactor: &'a mut Reactor,
    completions: &'a mut VecDeque<(DeviceId, Completion)>,
}

impl HostCx<'_> {
    /// This back end.
    pub fn id(&self) -> BackendId {
        self.me
    }

    /// Watches a descriptor; `token` comes back in [`HostEvent::Ready`].
    pub fn watch(&mut self, fd: impl AsFd, interest: Interest, token: u64) -> io::Result<WatchId> {
        let id = self.reactor.add(fd.as_fd(), interest)?;
        self.reactor.set_target(
            id,
            WatchTarget::Backend {
                backend: self.me,
                token,
            },
        );
        Ok(id)
    }

    /// Changes what a watched descriptor is watched for; empty interest keeps hang-ups coming.
    pub fn rewatch(&mut self, id: WatchId, fd: impl AsFd, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(&*self.reactor.epoll, fd, id.data(), interest.flags())?)
    }

    /// Stops watching; call it before the descriptor is closed.
    pub fn unwatch(&mut self, id: WatchId, fd: impl AsFd) {
        if self.reactor.release(id).is_some() {
            let _ = epoll::delete(&*self.reactor.epoll, fd);
        }
    }

    /// Calls back with [`HostEvent::WakeUp`] when this much wall-clock time has passed.
    pub fn wake_after(&mut self, delay: Duration, token: u64) {
        let r = &mut *self.reactor;
        r.sequence += 1;
        r.wakeups.insert((Instant::now() + delay, r.sequence), (self.me, token));
    }

    /// Takes back all wake-ups of this back end with that token.
    pub fn cancel_wake(&mut self, token: u64) {
        let me = self.me;
        self.reactor.wakeups.retain(|_, v| *v != (me, token));
    }

    /// Posts something for a device.
    pub fn post(&mut self, device: DeviceId, completion: Completion) {
        self.completions.push_back((device, completion));
    }

    /// Bytes that were posted for one connection of a device and that it has not seen yet: they count against the room it told of.
    pub fn undelivered(&self, device: DeviceId, port: u32) -> usize {
        self.waiting(device, port).map(|c| c.data.len()).sum()
    }

    /// What was posted for one connection of a device and has not reached it yet.
    pub fn waiting(&self, device: DeviceId, port: u32) -> impl Iterator<Item = &Completion> {
        let mine = self
            .completions
            .iter()
            .filter(move |(d, c)| *d == device && c.port == port);
        mine.map(|(_, c)| c)
    }

    /// A handle for a worker thread of this back end.
    pub fn waker(&self) -> Waker {
        Waker {
            backend: self.me,
            shared: self.reactor.shared.clone(),
        }
    }
}
