//! The back ends of a machine, and what each may do.

use rustix::fd::AsFd;
use std::any::Any;
use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use super::reactor::{Happened, Reactor, WatchId};
use super::wake::Waker;
use super::{Backend, BackendId, Completion, Interest};
use crate::device::DeviceId;

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

    /// Watches a descriptor; `token` comes back in [`super::HostEvent::Ready`].
    pub fn watch(&mut self, fd: impl AsFd, interest: Interest, token: u64) -> io::Result<WatchId> {
        self.reactor.watch(self.me, fd.as_fd(), interest, token)
    }

    /// Changes what a watched descriptor is watched for; empty interest keeps hang-ups coming.
    pub fn rewatch(&mut self, id: WatchId, fd: impl AsFd, interest: Interest) -> io::Result<()> {
        self.reactor.rewatch(id, fd.as_fd(), interest)
    }

    /// Stops watching; call it before the descriptor is closed.
    pub fn unwatch(&mut self, id: WatchId, fd: impl AsFd) {
        self.reactor.unwatch(id, fd.as_fd());
    }

    /// Calls back with [`super::HostEvent::WakeUp`] when this much wall-clock time has passed.
    pub fn wake_after(&mut self, delay: Duration, token: u64) {
        self.reactor.wake_after(self.me, delay, token);
    }

    /// Takes back all wake-ups of this back end with that token.
    pub fn cancel_wake(&mut self, token: u64) {
        self.reactor.cancel_wake(self.me, token);
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
        self.reactor.waker(self.me)
    }
}
