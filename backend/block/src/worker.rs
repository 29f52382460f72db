//! A disk as a thread of the user's reaches it (`-object iothread`), while the machine goes on.

use std::sync::{Arc, Weak};
use std::time::Instant;

use crate::backend::Outbox;
use crate::iothread::IoThread;
use crate::request::{EIO, Request};
use crate::share::{Place, Share};
use southbridge_core::host::Waker;

/// What a device gives to a thread that serves queues of its own. Cheap to clone.
#[derive(Clone)]
pub struct Worker {
    pub(crate) share: Arc<Share>,
    pub(crate) thread: Arc<IoThread>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) waker: Waker,
    pub(crate) front: u32,
    /// The device, as long as it is there.
    pub(crate) alive: Weak<()>,
}

/// A request that the guest has made: it has its place in the order of all.
pub struct Pass {
    place: Place,
    began: Instant,
}

impl Worker {
    /// Has the thread do something, in the order of calls. A machine that stops waits for it. `false` if there is no thread any more.
    pub fn run(&self, job: impl FnOnce() + Send + 'static) -> bool {
        let at_work = self.share.at_work();
        let job = move || {
            job();
            drop(at_work);
        };
        self.thread.run(Box::new(job)).is_ok()
    }

    /// To be taken while nobody can reset the device, for [`Worker::perform`].
    pub fn pass(&self) -> Pass {
        Pass {
            place: self.share.place(),
            began: Instant::now(),
        }
    }

    /// Does a request, or a part of one, and waits for the host. Gives what was read.
    ///
    /// # Errors
    /// A number of errno.
    pub fn perform(&self, pass: &Pass, request: &Request) -> Result<Vec<u8>, i32> {
        match self.share.perform(&pass.place, request) {
            Ok(data) => {
                self.share.count(request, pass.began, false);
                Ok(data)
            }
            // Who asked has the machine do it again, and that is counted.
            Err(e) => Err(e.raw_os_error().unwrap_or(EIO)),
        }
    }

    /// Tells the device something: [`crate::BlockEvent::Note`] follows, unless it is gone.
    pub fn tell(&self, note: u32) {
        if self.alive.strong_count() > 0 {
            self.outbox.note(self.front, note, &self.waker);
        }
    }

    /// The thread.
    pub fn thread(&self) -> &IoThread {
        &self.thread
    }
}
