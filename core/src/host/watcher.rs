//! The thread that watches the host while CPUs are busy; the machine's own thread does all the work.

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fd::OwnedFd;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::wake::Shared;

/// The thread that waits for the host while CPUs are busy. It touches nothing but the flag.
pub(super) struct Watcher {
    gate: Arc<(Mutex<Gate>, Condvar)>,
    stop: OwnedFd,
    thread: Option<std::thread::JoinHandle<()>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Gate {
    Closed,
    Open,
    Stopped,
}

impl Watcher {
    pub(super) fn start(epoll: Arc<OwnedFd>, shared: Arc<Shared>) -> io::Result<Self> {
        let gate = Arc::new((Mutex::new(Gate::Open), Condvar::new()));
        let stop = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let (their_gate, their_stop) = (gate.clone(), stop.try_clone()?);
        let thread = std::thread::Builder::new()
            .name("host-watch".into())
            .stack_size(64 << 10)
            .spawn(move || Self::watch(&their_gate, &epoll, &their_stop, &shared))?;
        Ok(Self {
            gate,
            stop,
            thread: Some(thread),
        })
    }

    pub(super) fn arm(&self) {
        let mut gate = self.gate.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *gate == Gate::Closed {
            *gate = Gate::Open;
            self.gate.1.notify_one();
        }
    }

    fn watch(gate: &(Mutex<Gate>, Condvar), epoll: &OwnedFd, stop: &OwnedFd, shared: &Shared) {
        loop {
            let mut g = gate.0.lock().unwrap_or_else(PoisonError::into_inner);
            while *g == Gate::Closed {
                g = gate.1.wait(g).unwrap_or_else(PoisonError::into_inner);
            }
            if *g == Gate::Stopped {
                return;
            }
            drop(g);
            let mut fds = [PollFd::new(epoll, PollFlags::IN), PollFd::new(stop, PollFlags::IN)];
            let _ = poll(&mut fds, None);
            let mut g = gate.0.lock().unwrap_or_else(PoisonError::into_inner);
            if *g == Gate::Stopped {
                return;
            }
            *g = Gate::Closed;
            shared.attention.store(true, Ordering::Release);
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        *self.gate.0.lock().unwrap_or_else(PoisonError::into_inner) = Gate::Stopped;
        self.gate.1.notify_one();
        let _ = rustix::io::write(&self.stop, &1u64.to_ne_bytes());
        if let Some(t) = self.thread.take() {
            let _ = t.join();
        }
    }
}
