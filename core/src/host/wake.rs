//! How other threads make the machine's thread look.

use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::OwnedFd;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::BackendId;

/// What those threads share with the machine's.
pub(super) struct Shared {
    pub(super) attention: AtomicBool,
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
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            attention: AtomicBool::new(false),
            woken: Mutex::default(),
            wake_fd: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            waits: AtomicUsize::new(0),
            awake: AtomicBool::new(false),
        })
    }

    /// Readable when the machine's thread is to look.
    pub(super) fn wake_fd(&self) -> &OwnedFd {
        &self.wake_fd
    }

    /// This thread is about to wait. Whether it has woken itself before, and so must not block.
    pub(super) fn begin_wait(&self) -> bool {
        self.attention.store(false, Ordering::Release);
        self.waits.store(this_thread(), Ordering::SeqCst);
        self.awake.swap(false, Ordering::SeqCst)
    }

    fn woken(&self) -> MutexGuard<'_, Vec<BackendId>> {
        self.woken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The back ends that were woken since the last call.
    pub(super) fn take_woken(&self) -> Vec<BackendId> {
        std::mem::take(&mut *self.woken())
    }

    pub(super) fn forget(&self, backend: BackendId) {
        self.woken().retain(|b| *b != backend);
    }

    /// Makes the machine's thread look. Who is on that thread is awake, and needs no system call for it.
    pub(super) fn wake(&self) {
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

/// Wakes a back end from another thread. Cheap to clone.
#[derive(Clone)]
pub struct Waker {
    pub(super) backend: BackendId,
    pub(super) shared: Arc<Shared>,
}

impl Waker {
    /// Has the machine's thread call the back end with [`super::HostEvent::Woken`].
    pub fn wake(&self) {
        self.shared.woken().push(self.backend);
        self.shared.wake();
    }
}

/// The flag by which the host's side asks CPUs to return.
#[derive(Clone)]
pub struct AttentionFlag(pub(super) Arc<Shared>);

impl AttentionFlag {
    /// The flag itself.
    pub fn flag(&self) -> &AtomicBool {
        &self.0.attention
    }
}

/// Interrupts a running machine from another thread or a signal handler's thread: the run loop looks at its requests soon.
#[derive(Clone)]
pub struct Kick(pub(super) Arc<Shared>);

impl Kick {
    /// Makes the machine look.
    pub fn kick(&self) {
        self.0.wake();
    }
}
