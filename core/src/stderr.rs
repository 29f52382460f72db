//! Standard error that never holds up a machine.
//!
//! Whoever started the program may leave its standard error unread. What does not fit into the pipe waits in a bounded queue, which a
//! thread empties; beyond that, lines are dropped and counted, and the count is told once there is room. As long as somebody reads,
//! lines are written at once and in order with all else that this process writes there.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Bytes that wait at most.
const MOST: usize = 4 << 20;
/// A pipe that is ready takes this much without blocking (POSIX, `PIPE_BUF` on Linux).
const AT_ONCE: usize = 4096;
/// At the end, a reader that takes nothing for so long is not waited for.
const PATIENCE: Duration = Duration::from_millis(250);

/// A writer to standard error. Each call of `write` is taken whole or dropped whole. Clones share the queue.
#[derive(Clone, Default)]
pub struct Stderr(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<u8>,
    /// Writes that found no room.
    dropped: u64,
    /// A thread is emptying the queue.
    working: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Empties the queue, then ends.
    fn work(&self) {
        loop {
            let mut state = self.lock();
            state.tell_of_losses();
            let n = state.queue.len().min(AT_ONCE);
            let chunk: Vec<u8> = state.queue.drain(..n).collect();
            if chunk.is_empty() {
                state.working = false;
                self.moved.notify_all();
                return;
            }
            drop(state);
            // Nobody may be there at all any more; then the rest is as good as written.
            let _ = io::stderr().write_all(&chunk);
            self.moved.notify_all();
        }
    }
}

impl State {
    fn tell_of_losses(&mut self) {
        if self.dropped > 0 && self.queue.len() < MOST {
            let notice = format!("warning: {} messages were lost here: nobody read them\n", self.dropped);
            self.queue.extend(notice.bytes());
            self.dropped = 0;
        }
    }
}

impl Write for Stderr {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock();
        if !state.working && data.len() <= AT_ONCE && is_ready() {
            return io::stderr().write_all(data).map(|()| data.len());
        }
        if state.queue.len() + data.len() > MOST {
            state.dropped += 1;
            return Ok(data.len());
        }
        state.tell_of_losses();
        state.queue.extend(data);
        if !state.working {
            let shared = self.0.clone();
            let thread = std::thread::Builder::new().name("stderr".into());
            state.working = thread.spawn(move || shared.work()).is_ok();
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Stderr {
    /// Lets a reader that is only slow have the rest.
    fn drop(&mut self) {
        let mut state = self.0.lock();
        // The thread has one, too.
        if Arc::strong_count(&self.0) > 1 + usize::from(state.working) {
            return;
        }
        while state.working {
            let before = state.queue.len();
            let waited = self.0.moved.wait_timeout(state, PATIENCE);
            let (after, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            if timeout.timed_out() && after.queue.len() == before {
                return;
            }
            state = after;
        }
    }
}

fn is_ready() -> bool {
    let stderr = io::stderr();
    let mut fds = [PollFd::new(&stderr, PollFlags::OUT)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    // Without an answer it is written: that is what would be done without asking.
    poll(&mut fds, Some(&now)).map_or(true, |n| n > 0)
}
