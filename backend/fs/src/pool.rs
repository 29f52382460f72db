//! Worker threads: a request may wait for a disk as long as it takes, and the machine goes on.
//!
//! A [`Link`] is one device's connection with its session. Replies come back by [`Pool::take_done`] on the machine's thread, which
//! posts them. What is waiting, being worked on, or done and not yet seen by the device is known at every moment, so that a Tflush
//! and a saved machine find each request exactly once.

use southbridge_core::DeviceId;
use southbridge_core::host::Waker;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::session::{self, Export, SavedSession, Session};
use crate::throttle::Throttle;

/// Most threads of a folder.
const MOST_THREADS: usize = 4;
/// Longest time that limits may have somebody wait, in seconds: years. What there are no numbers for is no time.
const LONGEST_WAIT: f64 = 1e9;
/// Longest reply to a read that is kept until the device has seen it; a longer one is just read again.
const LONGEST_KEPT: usize = 64 << 10;

/// One device's connection.
pub(crate) struct Link {
    pub(crate) device: DeviceId,
    pub(crate) port: u32,
    pub(crate) pool: Arc<Pool>,
    state: Mutex<LinkState>,
}

struct LinkState {
    session: Arc<Session>,
    /// Counts the sessions: a reply of an old one is nobody's.
    generation: u64,
    /// Replies that the device has not seen yet, by token.
    done: HashMap<u64, Vec<u8>>,
}

struct Job {
    link: Arc<Link>,
    session: Arc<Session>,
    generation: u64,
    token: u64,
    tag: Option<u16>,
    message: Vec<u8>,
    room: usize,
    /// A limit has it wait until then.
    not_before: Option<Instant>,
}

struct Running {
    link: Arc<Link>,
    generation: u64,
    token: u64,
    tag: Option<u16>,
    /// Requests that took this one back too late: their tokens and tags.
    flushes: Vec<(u64, u16)>,
}

/// The outcome of a request. `reply` is `None` for one that was taken back.
pub(crate) struct Done {
    pub(crate) link: Arc<Link>,
    generation: u64,
    pub(crate) token: u64,
    pub(crate) reply: Option<Vec<u8>>,
}

#[derive(Default)]
struct Work {
    waiting: VecDeque<Job>,
    running: Vec<Running>,
    done: Vec<Done>,
    threads: usize,
    idle: usize,
    closing: bool,
    /// How many wait for all to be done. Limits wait for nobody then.
    hurry: usize,
    throttle: Option<Throttle>,
}

/// The threads of a folder.
pub(crate) struct Pool {
    export: Arc<Export>,
    work: Mutex<Work>,
    /// There is work, or the end has come.
    more: Condvar,
    /// Work was finished.
    finished: Condvar,
    waker: Waker,
    /// When times of limits begin.
    began: Instant,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    pub(crate) fn new(export: Export, throttle: Option<Throttle>, waker: Waker) -> Self {
        let work = Work {
            throttle,
            ..Work::default()
        };
        Self {
            export: Arc::new(export),
            work: Mutex::new(work),
            more: Condvar::new(),
            finished: Condvar::new(),
            waker,
            began: Instant::now(),
        }
    }

    /// Takes what is done, on the machine's thread. What belongs to a session of the past is dropped.
    pub(crate) fn take_done(&self) -> Vec<Done> {
        let mut done = std::mem::take(&mut lock(&self.work).done);
        done.retain(|d| lock(&d.link.state).generation == d.generation);
        done
    }

    /// Ends the threads when they have done what they are at.
    pub(crate) fn close(&self) {
        let mut work = lock(&self.work);
        work.closing = true;
        work.waiting.clear();
        drop(work);
        self.more.notify_all();
    }

    fn enqueue(self: &Arc<Self>, mut job: Job) {
        let mut work = lock(&self.work);
        job.not_before = work.throttle.as_mut().and_then(|t| self.turn_of(&job.message, t));
        work.waiting.push_back(job);
        if work.idle < work.waiting.len() && work.threads < MOST_THREADS && !work.closing {
            work.threads += 1;
            let pool = self.clone();
            let spawned = std::thread::Builder::new().name("9p".into()).spawn(move || pool.work());
            if spawned.is_err() {
                work.threads -= 1;
                if work.threads == 0 {
                    // No thread can be had: better slow than never.
                    drop(work);
                    self.work_off();
                    return;
                }
            }
        }
        drop(work);
        self.more.notify_one();
    }

    /// When limits let a request begin, if they say anything of it.
    fn turn_of(&self, message: &[u8], throttle: &mut Throttle) -> Option<Instant> {
        let (way, bytes) = session::moves(message)?;
        let start = throttle.reserve(way, bytes, self.began.elapsed().as_secs_f64());
        let start = Duration::try_from_secs_f64(start.min(LONGEST_WAIT)).ok()?;
        self.began.checked_add(start)
    }

    /// A thread's life.
    fn work(&self) {
        let mut work = lock(&self.work);
        loop {
            if work.closing {
                work.threads -= 1;
                return;
            }
            work = match work.next() {
                Next::Job(index) => self.one(work, index),
                next => {
                    work.idle += 1;
                    let mut work = self.sleep(work, &next);
                    work.idle -= 1;
                    work
                }
            };
        }
    }

    fn sleep<'w>(&self, work: MutexGuard<'w, Work>, next: &Next) -> MutexGuard<'w, Work> {
        match next {
            Next::At(time) => {
                let left = time.saturating_duration_since(Instant::now());
                let slept = self.more.wait_timeout(work, left);
                slept.unwrap_or_else(PoisonError::into_inner).0
            }
            _ => self.more.wait(work).unwrap_or_else(PoisonError::into_inner),
        }
    }

    fn work_off(&self) {
        let mut work = lock(&self.work);
        while !work.waiting.is_empty() {
            work = self.one(work, 0);
        }
    }

    /// Carries out one of the requests that wait.
    fn one<'w>(&'w self, mut work: MutexGuard<'w, Work>, index: usize) -> MutexGuard<'w, Work> {
        let Some(job) = work.waiting.remove(index) else {
            return work;
        };
        work.running.push(Running {
            link: job.link.clone(),
            generation: job.generation,
            token: job.token,
            tag: job.tag,
            flushes: Vec::new(),
        });
        drop(work);
        let reply = job.session.answer(&job.message, job.room);
        let mut work = lock(&self.work);
        self.finish(&mut work, job, reply);
        drop(work);
        self.finished.notify_all();
        self.waker.wake();
        lock(&self.work)
    }

    fn finish(&self, work: &mut Work, job: Job, reply: Vec<u8>) {
        let is =
            |r: &Running| Arc::ptr_eq(&r.link, &job.link) && (r.generation, r.token) == (job.generation, job.token);
        let flushes = match work.running.iter().position(is) {
            Some(i) => work.running.swap_remove(i).flushes,
            None => Vec::new(),
        };
        work.done(&job.link, job.generation, job.token, Some(reply));
        for (token, tag) in flushes {
            work.done(&job.link, job.generation, token, Some(session::flushed(tag)));
        }
    }
}

/// What a thread may do.
enum Next {
    /// The oldest request whose time has come.
    Job(usize),
    /// Wait for the time of one.
    At(Instant),
    /// Wait.
    Nothing,
}

impl Work {
    fn next(&self) -> Next {
        let now = self
            .throttle
            .as_ref()
            .filter(|_| self.hurry == 0)
            .map(|_| Instant::now());
        let may = |job: &Job| now.is_none_or(|now| job.not_before.is_none_or(|time| time <= now));
        match self.waiting.iter().position(may) {
            Some(index) => Next::Job(index),
            None => {
                let first = self.waiting.iter().filter_map(|job| job.not_before).min();
                first.map_or(Next::Nothing, Next::At)
            }
        }
    }

    fn done(&mut self, link: &Arc<Link>, generation: u64, token: u64, reply: Option<Vec<u8>>) {
        let mut state = lock(&link.state);
        if state.generation == generation
            && let Some(reply) = reply.as_ref().filter(|r| r.len() <= LONGEST_KEPT)
        {
            state.done.insert(token, reply.clone());
        }
        drop(state);
        self.done.push(Done {
            link: link.clone(),
            generation,
            token,
            reply,
        });
    }
}

impl Link {
    pub(crate) fn new(device: DeviceId, port: u32, pool: Arc<Pool>) -> Arc<Self> {
        let session = Arc::new(Session::new(pool.export.clone()));
        Arc::new(Self {
            device,
            port,
            pool,
            state: Mutex::new(LinkState {
                session,
                generation: 0,
                done: HashMap::new(),
            }),
        })
    }

    /// Has a request carried out. A Tflush is about other requests, and dealt with here: one that waits is taken back, one that is
    /// being worked on is answered first.
    pub(crate) fn submit(self: &Arc<Self>, token: u64, message: Vec<u8>, room: usize) {
        let state = lock(&self.state);
        let (session, generation) = (state.session.clone(), state.generation);
        drop(state);
        let tag = session::tag_of(&message);
        if let (Some(old), Some(tag)) = (session::flushes(&message), tag) {
            self.flush(generation, token, tag, old);
            return;
        }
        self.pool.enqueue(Job {
            link: self.clone(),
            session,
            generation,
            token,
            tag,
            message,
            room,
            not_before: None,
        });
    }

    fn flush(self: &Arc<Self>, generation: u64, token: u64, tag: u16, old: u16) {
        let mut work = lock(&self.pool.work);
        let mut rest = VecDeque::new();
        for job in std::mem::take(&mut work.waiting) {
            if Arc::ptr_eq(&job.link, self) && job.tag == Some(old) {
                work.done(self, generation, job.token, None);
            } else {
                rest.push_back(job);
            }
        }
        work.waiting = rest;
        let is = |r: &&mut Running| Arc::ptr_eq(&r.link, self) && r.generation == generation && r.tag == Some(old);
        match work.running.iter_mut().find(is) {
            Some(running) => running.flushes.push((token, tag)),
            None => work.done(self, generation, token, Some(session::flushed(tag))),
        }
        drop(work);
        self.pool.waker.wake();
    }

    /// The device has seen a reply.
    pub(crate) fn seen(&self, token: u64) {
        lock(&self.state).done.remove(&token);
    }

    /// Begins a new session. What still waits is not done; what is being worked on is done for nobody.
    pub(crate) fn reset(self: &Arc<Self>) {
        let fresh = Arc::new(Session::new(self.pool.export.clone()));
        let mut work = lock(&self.pool.work);
        work.waiting.retain(|job| !Arc::ptr_eq(&job.link, self));
        let mut state = lock(&self.state);
        state.generation += 1;
        state.done.clear();
        let old = std::mem::replace(&mut state.session, fresh);
        drop(state);
        drop(work);
        // Its files close now, or when the last request is done.
        drop(old);
    }

    /// The session, and the replies that the device has not seen. Waits until all that was handed in is done: what waits here would
    /// otherwise be done twice, here and where the machine goes.
    pub(crate) fn save(self: &Arc<Self>) -> (SavedSession, HashMap<u64, Vec<u8>>) {
        let pool = &self.pool;
        let mut work = lock(&pool.work);
        let busy = |work: &Work| {
            let ours = |link: &Arc<Self>| Arc::ptr_eq(link, self);
            work.running.iter().any(|r| ours(&r.link)) || work.waiting.iter().any(|j| ours(&j.link))
        };
        work.hurry += 1;
        pool.more.notify_all();
        while busy(&work) && !work.closing {
            work = pool.finished.wait(work).unwrap_or_else(PoisonError::into_inner);
        }
        work.hurry -= 1;
        drop(work);
        let state = lock(&self.state);
        let (session, done) = (state.session.clone(), state.done.clone());
        drop(state);
        (session.save(), done)
    }

    /// A new session that is what was saved. How many of its fids could not be opened again.
    pub(crate) fn restore(self: &Arc<Self>, saved: &SavedSession) -> usize {
        self.reset();
        let session = lock(&self.state).session.clone();
        session.restore(saved)
    }

    pub(crate) fn blocker(&self) -> Option<String> {
        let session = lock(&self.state).session.clone();
        session.blocker()
    }
}
