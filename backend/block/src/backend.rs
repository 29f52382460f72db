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
use crate::share::{Place, Share};
use crate::stats::{Kind, Stats};
use crate::worker::Worker;

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
    /// Gone where the disk was taken away.
    hold: Option<Hold>,
}

struct Job {
    front: u32,
    /// Its number among all requests.
    number: u64,
    token: u64,
    request: Request,
    began: Instant,
    place: Place,
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
}

/// What threads leave for the machine's thread.
#[derive(Default)]
pub(crate) struct Outbox {
    left: Mutex<Left>,
    came: Condvar,
}

#[derive(Default)]
struct Left {
    finished: Vec<Finished>,
    /// Of threads with queues on loan, for fronts.
    notes: Vec<(u32, u32)>,
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
    /// A device has used it.
    was_used: bool,
    /// It was taken away from the device that uses it: every request fails.
    pulled: bool,
    share: Arc<Share>,
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
            share: Arc::new(Share::new(node.clone())),
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
            was_used: false,
            pulled: false,
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

    /// What was counted.
    pub fn stats(&self) -> Stats {
        self.share.stats()
    }

    pub(crate) fn count_invalid(&self, kind: Kind) {
        self.share.count_invalid(kind);
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
            hold: Some(hold),
        });
        Ok(number)
    }

    /// What a thread needs to serve queues of a device.
    pub(crate) fn worker(&mut self, front: u32, thread: Arc<IoThread>) -> Option<Worker> {
        if self.node.image().instant().is_some_and(|latency| !latency.is_zero()) {
            return None;
        }
        let alive = self.front(front)?.alive.clone();
        Some(Worker {
            share: self.share.clone(),
            thread,
            outbox: self.outbox.clone(),
            waker: self.waker.clone(),
            front,
            alive,
        })
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
            place: self.share.place(),
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
        self.share.next_era();
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
        self.share.take_node();
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
            return self.answer(job.counted(&self.share, result), cx);
        }
        if let Some(latency) = self.node.image().instant() {
            let result = job.request.perform(&self.node);
            return self.answer_after(latency, job.counted(&self.share, result), cx);
        }
        if let (false, Request::Read { offset, len }) = (self.share.must_wait(), &job.request) {
            let (offset, len) = (*offset, *len);
            let mut data = vec![0; len];
            if let Some(result) = self.node.image().read_now(offset, &mut data) {
                let result = result.map(|()| data);
                return self.answer(job.counted(&self.share, result), cx);
            }
        }
        self.working += 1;
        let (share, outbox, waker) = (self.share.clone(), self.outbox.clone(), self.waker.clone());
        let work = move || {
            let result = share.perform(&job.place, &job.request);
            outbox.leave(job.counted(&share, result), &waker);
        };
        if let Err(work) = self.pool.run(Box::new(work)) {
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
        let Left { finished, notes } = self.outbox.take();
        self.working -= finished.len().min(self.working);
        for f in finished {
            self.answer(f, cx);
        }
        for (front, note) in notes {
            if let Some(f) = self.front(front).filter(|f| f.alive.strong_count() > 0) {
                cx.post(f.device, BlockEvent::Note(note).into_completion(f.port));
            }
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
        self.share.wait_for_threads();
        self.take_finished(cx);
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
        match self.share.take_written() {
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
    fn finished(self, result: io::Result<Vec<u8>>) -> Finished {
        let Self {
            front, number, token, ..
        } = self;
        let job = Done { front, number, token };
        Finished { job, result }
    }

    fn counted(self, share: &Share, result: io::Result<Vec<u8>>) -> Finished {
        share.count(&self.request, self.began, result.is_err());
        self.finished(result)
    }
}

impl Outbox {
    fn leave(&self, finished: Finished, waker: &Waker) {
        self.add(waker, |left| left.finished.push(finished));
        self.came.notify_one();
    }

    /// Leaves a note for a front; the same one need not come twice at a time.
    pub(crate) fn note(&self, front: u32, note: u32, waker: &Waker) {
        self.add(waker, |left| {
            if !left.notes.contains(&(front, note)) {
                left.notes.push((front, note));
            }
        });
    }

    fn add(&self, waker: &Waker, f: impl FnOnce(&mut Left)) {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let first = left.finished.is_empty() && left.notes.is_empty();
        f(&mut left);
        drop(left);
        if first {
            waker.wake();
        }
    }

    fn take(&self) -> Left {
        std::mem::take(&mut *self.left.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn wait(&self) {
        let mut all = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        while all.finished.is_empty() {
            all = self.came.wait(all).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
