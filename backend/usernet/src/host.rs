//! What an engine has of the host: watched descriptors, and when it wants to be woken.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::slab::{Handle, Slab};
use crate::watch::{Token, WatchChange};

/// Whose a descriptor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Tcp(Handle),
    Listener(Handle),
    Udp(Handle),
    UdpListener(Handle),
    Ping(Handle),
}

#[derive(Debug)]
struct Watched {
    fd: OwnedFd,
    owner: Owner,
    write: bool,
    announced: bool,
}

#[derive(Debug)]
enum Change {
    Add(Handle),
    Remove(Handle, OwnedFd),
}

/// Every descriptor of an engine, and the changes its owner has not taken yet.
#[derive(Debug)]
pub(crate) struct Fds {
    table: Slab<Watched>,
    changes: VecDeque<Change>,
    most: usize,
}

impl Fds {
    /// Leaves a quarter of the process's descriptors to everybody else, whatever the guest does.
    pub(crate) fn new() -> Self {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile)
            .current
            .unwrap_or(1 << 20);
        Self {
            table: Slab::default(),
            changes: VecDeque::new(),
            most: usize::try_from(limit / 4 * 3).unwrap_or(usize::MAX),
        }
    }

    pub(crate) fn full(&self) -> bool {
        self.table.len() >= self.most
    }

    /// `None` (and the descriptor closed): too many are open.
    pub(crate) fn add(&mut self, fd: OwnedFd, owner: Owner, write: bool) -> Option<Handle> {
        if self.full() {
            return None;
        }
        let handle = self.table.insert(Watched {
            fd,
            owner,
            write,
            announced: false,
        })?;
        self.changes.push_back(Change::Add(handle));
        Some(handle)
    }

    /// The owner is told, and closes it.
    pub(crate) fn remove(&mut self, handle: Handle) {
        if let Some(watched) = self.table.remove(handle)
            && watched.announced
        {
            self.changes.push_back(Change::Remove(handle, watched.fd));
        }
    }

    pub(crate) fn get(&self, handle: Handle) -> Option<BorrowedFd<'_>> {
        self.table.get(handle).map(|w| w.fd.as_fd())
    }

    pub(crate) fn owner(&self, token: Token) -> Option<(Handle, Owner)> {
        let handle = Handle::from_bits(token.0);
        self.table.get(handle).map(|w| (handle, w.owner))
    }

    pub(crate) fn next_change(&mut self) -> Option<WatchChange<'_>> {
        loop {
            match self.changes.pop_front()? {
                Change::Remove(handle, fd) => {
                    return Some(WatchChange::Remove {
                        token: Token(handle.to_bits()),
                        fd,
                    });
                }
                // Removed again before anybody heard of it.
                Change::Add(handle) if self.table.get(handle).is_none() => {}
                Change::Add(handle) => {
                    let watched = self.table.get_mut(handle)?;
                    watched.announced = true;
                    return Some(WatchChange::Add {
                        token: Token(handle.to_bits()),
                        fd: watched.fd.as_fd(),
                        write: watched.write,
                    });
                }
            }
        }
    }
}

/// What a wake-up is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TimerKey {
    Tcp(Handle),
    Udp,
    Ping,
    Tftp,
    Fragments,
    Advertise,
    Processes,
}

/// Deadlines in order. A key stands at most once.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    set: BTreeSet<(Duration, TimerKey)>,
}

impl Timers {
    pub(crate) fn next(&self) -> Option<Duration> {
        self.set.first().map(|(at, _)| *at)
    }

    pub(crate) fn due(&mut self, now: Duration) -> Option<TimerKey> {
        match self.set.first() {
            Some((at, _)) if *at <= now => self.set.pop_first().map(|(_, key)| key),
            _ => None,
        }
    }

    pub(crate) fn set(&mut self, at: Duration, key: TimerKey) {
        self.set.insert((at, key));
    }

    pub(crate) fn clear(&mut self, at: Duration, key: TimerKey) {
        self.set.remove(&(at, key));
    }
}

/// A deadline that its owner moves often, and that costs an ordered insertion only when it moves forward in time order.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Alarm {
    set_at: Option<Duration>,
}

impl Alarm {
    /// Fires at `at` or earlier; the owner looks what is due and calls this again.
    pub(crate) fn want(&mut self, at: Duration, key: TimerKey, timers: &mut Timers) {
        match self.set_at {
            Some(set) if set <= at => {}
            earlier => {
                if let Some(set) = earlier {
                    timers.clear(set, key);
                }
                timers.set(at, key);
                self.set_at = Some(at);
            }
        }
    }

    /// It has fired.
    pub(crate) fn fired(&mut self) {
        self.set_at = None;
    }

    pub(crate) fn cancel(&mut self, key: TimerKey, timers: &mut Timers) {
        if let Some(set) = self.set_at.take() {
            timers.clear(set, key);
        }
    }
}
