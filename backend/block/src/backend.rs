//! A disk's back end: takes requests from devices, has threads do them, and posts what came of it.

use southbridge_core::DeviceId;
use southbridge_core::host::{Backend, HostCx, HostEvent, Waker};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::error::BlockError;
use crate::iothread::IoThread;
use crate::node::{Common, Hold, Node, Use};
use crate::null::Null;
use crate::pool::Pool;
use crate::request::{BlockEvent, EIO, Request};
use crate::stats::{Kind, Stats};

/// What is done about a request that the host fails (`rerror=`, `werror=`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// What is usual: a read is reported, a write stops the machine where the host's disk is full and is reported otherwise.
    #[default]
    Auto,
    /// The guest hears of it.
    Report,
    /// The guest is told that it is done.
    Ignore,
    /// Stops the machine where the host's disk is full; otherwise the guest hears of it.
    Enospc,
    /// The machine stops; the request is tried again when it goes on.
    Stop,
}

impl OnError {
    /// All, by their words.
    pub const ALL: [(&'static str, Self); 5] = [
        ("auto", Self::Auto),
        ("report", Self::Report),
        ("ignore", Self::Ignore),
        ("enospc", Self::Enospc),
        ("stop", Self::Stop),
    ];

    /// The one of a word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(w, _)| *w == word).map(|(_, e)| *e)
    }
}

/// What `-drive` says about a disk beyond its node; devices may overrule it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Habits {
    /// Writes may be done before they survive a crash of the host, until the guest flushes.
    pub write_back: bool,
    /// Reads that fail.
    pub rerror: OnError,
    /// Other requests that fail.
    pub werror: OnError,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            write_back: true,
            rerror: OnError::Auto,
            werror: OnError::Auto,
        }
    }
}

/// A device that uses the back end.
struct Front {
    number: u32,
    device: DeviceId,
    port: u32,
    alive: Weak<()>,
    /// Requests that it made and that are not done.
    under_way: usize,
    /// Requests up to here are forgotten: their completions do not reach it.
    forgotten: u64,
    /// They wait until those that were forgotten are done.
    waiting: VecDeque<Job>,
    /// Requests that are forgotten and not done.
    stale: usize,
    /// Where its requests are done, if not by the pool.
    thread: Option<Arc<IoThread>>,
    /// Gone where the disk was taken away.
    hold: Option<Hold>,
}

#[derive(Debug)]
struct Job {
    front: u32,
    /// Its number among all requests.
    number: u64,
    token: u64,
    request: Request,
    began: Instant,
}

/// A request that is done.
struct Finished {
    job: Done,
    result: io::Result<Vec<u8>>,
}

/// What is kept of a job when its data is not needed any more.
struct Done {
    front: u32,
    number: u64,
    token: u64,
    kind: Kind,
    bytes: u64,
    /// First byte behind it, if it wrote.
    end: Option<u64>,
    began: Instant,
}

/// What threads leave for the machine's thread.
#[derive(Default)]
struct Outbox {
    finished: Mutex<Vec<Finished>>,
    came: Condvar,
}

/// The back end of a disk.
pub struct BlockBackend {
    name: String,
    /// Made by `-drive`.
    is_drive: bool,
    node: Arc<Node>,
    habits: Habits,
    pool: Pool,
    waker: Waker,
    outbox: Arc<Outbox>,
    fronts: Vec<Front>,
    next_front: u32,
    next_job: u64,
    /// Jobs that threads have.
    working: usize,
    /// Jobs that are done and wait for their time (`latency-ns`).
    late: BTreeMap<u64, Finished>,
    /// Length that devices were last told of.
    told_len: u64,
    written: bool,
    /// A device has used it.
    was_used: bool,
    /// It was taken away from the device that uses it: every request fails.
    pulled: bool,
    /// What was counted.
    pub stats: Stats,
}

impl BlockBackend {
    pub(crate) fn new(
        name: &str,
        is_drive: bool,
        node: Arc<Node>,
        habits: Habits,
        pool: Pool,
        cx: &mut HostCx<'_>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            is_drive,
            told_len: node.len(),
            node,
            habits,
            pool,
            waker: cx.waker(),
            outbox: Arc::default(),
            fronts: Vec::new(),
            next_front: 0,
            next_job: 0,
            working: 0,
            late: BTreeMap::new(),
            written: false,
            was_used: false,
            pulled: false,
            stats: Stats::default(),
        }
    }

    /// Its name: that of the drive or of the node.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether `-drive` made it.
    pub fn is_drive(&self) -> bool {
        self.is_drive
    }

    /// The node.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// What `-drive` said.
    pub fn habits(&self) -> Habits {
        self.habits
    }

    /// Devices that use it.
    pub fn users(&self) -> impl Iterator<Item = DeviceId> {
        self.fronts
            .iter()
            .filter(|f| f.alive.strong_count() > 0)
            .map(|f| f.device)
    }

    /// Whether it is a drive whose device has come and gone.
    pub(crate) fn is_spent(&self) -> bool {
        self.is_drive && self.was_used && self.fronts.is_empty()
    }

    /// Lets go of devices that are gone.
    pub fn tidy(&mut self) {
        self.fronts
            .retain(|f| f.alive.strong_count() > 0 || f.under_way > 0 || f.stale > 0 || !f.waiting.is_empty());
    }

    pub(crate) fn attach(
        &mut self,
        device: DeviceId,
        port: u32,
        alive: &Arc<()>,
        wants: Use,
    ) -> Result<u32, BlockError> {
        self.tidy();
        if self.is_drive && self.users().next().is_some() {
            return Err(BlockError::InUse {
                node: self.name.clone(),
                why: "is a drive that another device uses".into(),
            });
        }
        let hold = self.node.hold(wants)?;
        self.was_used = true;
        let number = self.next_front;
        self.next_front = self.next_front.wrapping_add(1);
        self.fronts.push(Front {
            number,
            device,
            port,
            alive: Arc::downgrade(alive),
            under_way: 0,
            forgotten: 0,
            waiting: VecDeque::new(),
            stale: 0,
            thread: None,
            hold: Some(hold),
        });
        Ok(number)
    }

    /// Has a thread do all that a device asks for.
    pub(crate) fn work_on(&mut self, front: u32, thread: Arc<IoThread>) {
        if let Some(f) = self.front(front) {
            f.thread = Some(thread);
        }
    }

    fn front(&mut self, number: u32) -> Option<&mut Front> {
        self.fronts.iter_mut().find(|f| f.number == number)
    }

    pub(crate) fn submit(&mut self, front: u32, token: u64, request: Request, cx: &mut HostCx<'_>) {
        self.next_job += 1;
        let job = Job {
            front,
            number: self.next_job,
            token,
            request,
            began: Instant::now(),
        };
        let Some(f) = self.front(front) else { return };
        f.under_way += 1;
        if f.stale > 0 {
            f.waiting.push_back(job);
            return;
        }
        self.begin(job, cx);
    }

    /// Forgets what a device has asked for: it is done, but its completions do not come, and what is asked for from now on begins when
    /// all of it is done.
    pub(crate) fn forget(&mut self, front: u32) {
        let last = self.next_job;
        let Some(f) = self.front(front) else { return };
        f.forgotten = last;
        f.under_way -= f.waiting.len();
        f.waiting.clear();
        f.stale += f.under_way;
        f.under_way = 0;
    }

    /// Takes the disk away from its devices: what is under way is finished, and everything after it fails.
    pub(crate) fn pull(&mut self, cx: &mut HostCx<'_>) {
        self.wait_for_all(cx);
        // Nobody is left who could be told of an error.
        let _ = self.flush();
        self.pulled = true;
        for f in &mut self.fronts {
            f.hold = None;
        }
        let (len, name) = (self.node.len(), self.node.name().to_owned());
        let nothing = Null::new(len, Duration::ZERO, true, self.node.is_read_only());
        let nothing = Node::new(&name, true, Common::default(), Box::new(nothing), None, Arc::default());
        // The host's file is closed with the last user of the node.
        self.node = Arc::new(nothing);
    }

    fn begin(&mut self, job: Job, cx: &mut HostCx<'_>) {
        if self.pulled {
            let result = Err(io::Error::from_raw_os_error(EIO));
            let job = job.kept();
            return self.answer(Finished { job, result }, cx);
        }
        self.written |= job.request.writes_to().is_some();
        if let Some(latency) = self.node.image().instant() {
            let finished = perform(&self.node, job);
            return self.answer_after(latency, finished, cx);
        }
        let thread = self.front(job.front).and_then(|f| f.thread.clone());
        if let (None, Request::Read { offset, len }) = (&thread, &job.request) {
            let (offset, len) = (*offset, *len);
            let mut data = vec![0; len];
            if let Some(result) = self.node.image().read_now(offset, &mut data) {
                let result = result.map(|()| data);
                return self.answer(
                    Finished {
                        job: job.kept(),
                        result,
                    },
                    cx,
                );
            }
        }
        self.working += 1;
        let (node, outbox, waker) = (self.node.clone(), self.outbox.clone(), self.waker.clone());
        let work = move || outbox.leave(perform(&node, job), &waker);
        let given = match thread {
            Some(thread) => thread.run(Box::new(work)),
            None => self.pool.run(Box::new(work)),
        };
        if let Err(work) = given {
            // A host without a thread to give: late is better than never.
            work();
        }
    }

    fn answer_after(&mut self, latency: Duration, finished: Finished, cx: &mut HostCx<'_>) {
        if latency.is_zero() {
            return self.answer(finished, cx);
        }
        let number = finished.job.number;
        self.late.insert(number, finished);
        cx.wake_after(latency, number);
    }

    fn answer(&mut self, finished: Finished, cx: &mut HostCx<'_>) {
        let Finished { job, result } = finished;
        self.stats.done(job.kind, job.bytes, job.began, result.is_err());
        if let (Some(end), Ok(_)) = (job.end, &result) {
            self.stats.highest = self.stats.highest.max(end);
        }
        let Some(f) = self.front(job.front) else { return };
        if job.number <= f.forgotten {
            f.stale -= 1;
            if f.stale == 0 {
                for job in std::mem::take(&mut f.waiting) {
                    self.begin(job, cx);
                }
            }
            return;
        }
        f.under_way -= 1;
        if f.alive.strong_count() == 0 {
            return self.tidy();
        }
        let result = result.map_err(|e| e.raw_os_error().unwrap_or(EIO));
        let event = BlockEvent::Done {
            token: job.token,
            result,
        };
        let (device, port) = (f.device, f.port);
        cx.post(device, event.into_completion(port));
    }

    fn take_finished(&mut self, cx: &mut HostCx<'_>) {
        let finished = self.outbox.take();
        self.working -= finished.len().min(self.working);
        for f in finished {
            self.answer(f, cx);
        }
    }

    fn wait_for_all(&mut self, cx: &mut HostCx<'_>) {
        while self.working > 0 || !self.late.is_empty() {
            for (number, f) in std::mem::take(&mut self.late) {
                cx.cancel_wake(number);
                self.answer(f, cx);
            }
            if self.working > 0 {
                self.outbox.wait();
                self.take_finished(cx);
            }
        }
    }

    /// Tells devices of the node's length, if it has changed.
    pub(crate) fn tell_len(&mut self, cx: &mut HostCx<'_>) {
        let len = self.node.len();
        if std::mem::replace(&mut self.told_len, len) != len {
            for f in &self.fronts {
                cx.post(f.device, BlockEvent::Resized(len).into_completion(f.port));
            }
            cx.waker().wake();
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match std::mem::take(&mut self.written) {
            true => self.node.flush(),
            false => Ok(()),
        }
    }
}

impl Backend for BlockBackend {
    fn on_host(&mut self, event: HostEvent, cx: &mut HostCx<'_>) {
        match event {
            HostEvent::Woken => self.take_finished(cx),
            HostEvent::WakeUp { token } => {
                if let Some(f) = self.late.remove(&token) {
                    self.answer(f, cx);
                }
            }
            HostEvent::Ready { .. } => {}
        }
    }

    fn drain(&mut self, cx: &mut HostCx<'_>) {
        self.wait_for_all(cx);
    }

    fn close(&mut self, cx: &mut HostCx<'_>) {
        self.wait_for_all(cx);
        // Nobody is left who could be told.
        let _ = self.flush();
    }
}

impl Job {
    fn kept(&self) -> Done {
        Done {
            front: self.front,
            number: self.number,
            token: self.token,
            kind: self.request.kind(),
            bytes: self.request.bytes(),
            end: self.request.writes_to(),
            began: self.began,
        }
    }
}

fn perform(node: &Node, job: Job) -> Finished {
    Finished {
        result: job.request.perform(node),
        job: job.kept(),
    }
}

impl Outbox {
    fn leave(&self, finished: Finished, waker: &Waker) {
        let mut all = self.finished.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(finished);
        let first = all.len() == 1;
        drop(all);
        self.came.notify_one();
        if first {
            waker.wake();
        }
    }

    fn take(&self) -> Vec<Finished> {
        std::mem::take(&mut *self.finished.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn wait(&self) {
        let mut all = self.finished.lock().unwrap_or_else(PoisonError::into_inner);
        while all.is_empty() {
            all = self.came.wait(all).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
