//! What the machine's thread and those that work for it have of a disk in common.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use crate::node::Node;
use crate::request::{EIO, Request};
use crate::stats::{Kind, Stats};

/// Common to all threads that work on a disk.
pub(crate) struct Share {
    /// `None` where the disk was taken away.
    node: RwLock<Option<Arc<Node>>>,
    written: AtomicBool,
    stats: Mutex<Stats>,
    order: Mutex<Order>,
    /// Fewer are under way, or fewer threads are at work.
    less: Condvar,
}

#[derive(Default)]
struct Order {
    era: u64,
    /// Requests that are not done, by their era.
    under_way: BTreeMap<u64, usize>,
    /// Threads that have queues of the disk on loan and work on them.
    at_work: usize,
}

/// A request's place in the order of requests: what was asked for before the driver was reset is done before what is asked for after it.
pub(crate) struct Place {
    share: Arc<Share>,
    era: u64,
}

/// A thread is at work as long as this is.
pub(crate) struct AtWork(Arc<Share>);

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Share {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        Self {
            node: RwLock::new(Some(node)),
            written: AtomicBool::new(false),
            stats: Mutex::default(),
            order: Mutex::default(),
            less: Condvar::new(),
        }
    }

    /// Does a request when its turn has come.
    pub(crate) fn perform(&self, place: &Place, request: &Request) -> io::Result<Vec<u8>> {
        self.wait_for_turn(place);
        let node = self.node.read().unwrap_or_else(PoisonError::into_inner);
        match &*node {
            Some(node) => request.perform(node),
            None => Err(io::Error::from_raw_os_error(EIO)),
        }
    }

    /// Counts a request that is done. `began`: when the guest asked.
    pub(crate) fn count(&self, request: &Request, began: Instant, failed: bool) {
        let end = request.writes_to();
        if end.is_some() {
            self.written.store(true, Ordering::Relaxed);
        }
        let mut stats = lock(&self.stats);
        stats.done(request.kind(), request.bytes(), began, failed);
        if let (Some(end), false) = (end, failed) {
            stats.highest = stats.highest.max(end);
        }
    }

    pub(crate) fn count_invalid(&self, kind: Kind) {
        lock(&self.stats).of(kind).invalid += 1;
    }

    pub(crate) fn stats(&self) -> Stats {
        *lock(&self.stats)
    }

    /// Whether anything was written since this was asked last.
    pub(crate) fn take_written(&self) -> bool {
        self.written.swap(false, Ordering::Relaxed)
    }

    /// Takes the disk away, after what is being done right now.
    pub(crate) fn take_node(&self) {
        *self.node.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// What is asked for from now on waits for what was asked for until now.
    pub(crate) fn next_era(&self) {
        lock(&self.order).era += 1;
    }

    /// The place of a request that is made now.
    pub(crate) fn place(self: &Arc<Self>) -> Place {
        let mut order = lock(&self.order);
        let era = order.era;
        *order.under_way.entry(era).or_default() += 1;
        Place {
            share: self.clone(),
            era,
        }
    }

    /// Whether a request would have to wait for those of before a reset.
    pub(crate) fn must_wait(&self) -> bool {
        let order = lock(&self.order);
        order.under_way.range(..order.era).next().is_some()
    }

    fn wait_for_turn(&self, place: &Place) {
        let mut order = lock(&self.order);
        while order.under_way.range(..place.era).next().is_some() {
            order = self.less.wait(order).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(crate) fn at_work(self: &Arc<Self>) -> AtWork {
        lock(&self.order).at_work += 1;
        AtWork(self.clone())
    }

    /// Waits until no thread works on a queue.
    pub(crate) fn wait_for_threads(&self) {
        let mut order = lock(&self.order);
        while order.at_work > 0 {
            order = self.less.wait(order).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut order = lock(&self.share.order);
        if let Some(n) = order.under_way.get_mut(&self.era) {
            *n -= 1;
            if *n == 0 {
                order.under_way.remove(&self.era);
            }
        }
        drop(order);
        self.share.less.notify_all();
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        lock(&self.0.order).at_work -= 1;
        self.0.less.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Common;
    use crate::null::Null;
    use std::time::Duration;

    fn share() -> Arc<Share> {
        let null = Null::new(1024, Duration::ZERO, true, false);
        let node = Node::new("n", true, Common::default(), Box::new(null), None, Arc::default());
        Arc::new(Share::new(Arc::new(node)))
    }

    #[test]
    fn what_was_asked_before_a_reset_is_done_first() {
        let share = share();
        let before = share.place();
        assert!(!share.must_wait());
        share.next_era();
        assert!(share.must_wait());
        let after = share.place();
        let done = Arc::new(AtomicBool::new(false));
        let thread = {
            let (share, done) = (share.clone(), done.clone());
            std::thread::spawn(move || {
                let result = share.perform(&after, &Request::Flush);
                (result.is_ok(), done.load(Ordering::SeqCst))
            })
        };
        done.store(true, Ordering::SeqCst);
        drop(before);
        assert_eq!(thread.join().unwrap(), (true, true), "it waited");
        assert!(!share.must_wait());
    }

    #[test]
    fn a_disk_that_was_taken_away_fails_what_comes_after() {
        let share = share();
        share.take_node();
        let place = share.place();
        assert!(share.perform(&place, &Request::Flush).is_err());
    }

    #[test]
    fn threads_are_waited_for() {
        let share = share();
        let at_work = share.at_work();
        let thread = std::thread::spawn(move || drop(at_work));
        share.wait_for_threads();
        thread.join().unwrap();
    }
}
