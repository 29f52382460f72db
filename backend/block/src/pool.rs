//! Threads that may block on the host's disks. One pool serves all disks of a machine.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Threads at most: as many requests can wait for the host's disks at a time.
const THREADS: usize = 16;

pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// The pool. Threads begin when there is work for them; the last handle's drop ends them when all work is done.
#[derive(Clone, Default)]
pub(crate) struct Pool(Arc<Owner>);

#[derive(Default)]
struct Owner {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: Vec<JoinHandle<()>>,
    idle: usize,
    ends: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                job();
                state = self.lock();
            } else if state.ends {
                return;
            } else {
                state.idle += 1;
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
    }
}

impl Pool {
    /// Has a thread do it, soon. `Err` gives the work back: the host has no thread to give.
    pub(crate) fn run(&self, job: Job) -> Result<(), Job> {
        let shared = &self.0.shared;
        let mut state = shared.lock();
        state.jobs.push_back(job);
        if state.idle >= state.jobs.len() {
            shared.work.notify_one();
            return Ok(());
        }
        if state.threads.len() < THREADS {
            let theirs = shared.clone();
            let name = format!("disk-{}", state.threads.len());
            match std::thread::Builder::new().name(name).spawn(move || theirs.serve()) {
                Ok(thread) => state.threads.push(thread),
                Err(_) if state.threads.is_empty() => return state.jobs.pop_back().map_or(Ok(()), Err),
                // Those that there are come to it.
                Err(_) => {}
            }
        }
        shared.work.notify_one();
        Ok(())
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.ends = true;
        let threads = std::mem::take(&mut state.threads);
        drop(state);
        self.shared.work.notify_all();
        for thread in threads {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn all_work_is_done_before_the_end() {
        let done = Arc::new(AtomicUsize::new(0));
        let pool = Pool::default();
        for _ in 0..1000 {
            let done = done.clone();
            let job = move || {
                done.fetch_add(1, Ordering::Relaxed);
            };
            assert!(pool.run(Box::new(job)).is_ok());
        }
        drop(pool);
        assert_eq!(done.load(Ordering::Relaxed), 1000);
    }

    #[test]
    fn one_that_waits_holds_nobody_up() {
        let pool = Pool::default();
        let (to_first, wait) = std::sync::mpsc::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        assert!(pool.run(Box::new(move || wait.recv().unwrap_or_default())).is_ok());
        assert!(pool.run(Box::new(move || tell.send(7).unwrap_or_default())).is_ok());
        assert_eq!(told.recv(), Ok(7));
        drop(to_first);
    }
}
