//! The device: requests out of its queues, through the back end, and back.

use serde::{Deserialize, Serialize};
use southbridge_backend_block::{BlockEvent, BlockFront, ENOSPC, OnError};
use southbridge_bus_virtio::spec::id;
use southbridge_bus_virtio::{Chain, VirtioCx, VirtioModel};
use southbridge_core::clock::TimerIndex;
use southbridge_core::{Completion, LoadError, NoticeValue, SavedState};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::conf::Conf;
use super::regs::{HEADER, ID_BYTES, config, feature, status};
use super::request::{Op, PIECE, Verdict, judge};
use super::site::{Note, Site};

const VERSION: u32 = 1;
/// Bytes that are under way at a time. What comes beyond waits in its ring, where it takes none of our memory.
const UNDER_WAY: u64 = 64 << 20;
/// The timer by which requests are tried again when the machine goes on.
const RETRY: TimerIndex = 0;
/// Where `errno` has no word that we know.
const ERRORS: [(i32, &str); 5] = [
    (1, "Operation not permitted"),
    (5, "Input/output error"),
    (28, "No space left on device"),
    (30, "Read-only file system"),
    (122, "Disk quota exceeded"),
];

/// A request in the device's hands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Job {
    chain: Chain,
    op: Op,
    /// Bytes of it that are done.
    done: u64,
}

/// What the guest can see, in the end.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct State {
    /// Bytes of the disk.
    len: u64,
    /// Writes may be done before they survive a crash of the host.
    write_back: bool,
    /// Requests that the back end has, by their tokens.
    under_way: BTreeMap<u64, Job>,
    /// Requests that failed and wait for the machine to go on.
    parked: Vec<Job>,
    /// Queues in which requests wait until fewer are under way.
    waiting: BTreeSet<u16>,
    /// Token of the next request.
    next: u64,
}

/// The device model.
pub(super) struct Blk {
    // Fixed.
    conf: Arc<Conf>,
    // Glue.
    front: BlockFront,
    /// Threads of the user's that serve queues.
    site: Option<Site>,
    // Volatile.
    state: State,
    /// Bytes under way; follows from the state.
    bytes: u64,
}

impl Job {
    /// Bytes of the piece that comes next.
    fn piece(&self) -> u64 {
        match self.op {
            Op::Read { len, .. } | Op::Write { len, .. } => len.saturating_sub(self.done).min(PIECE),
            Op::Flush | Op::Discard { .. } | Op::WriteZeroes { .. } => 0,
        }
    }

    fn is_sound(&self) -> bool {
        let len = match self.op {
            Op::Read { len, .. } | Op::Write { len, .. } => len,
            _ => 0,
        };
        self.op.fits(&self.chain) && self.done <= len
    }
}

impl Blk {
    pub(super) fn new(conf: Arc<Conf>, front: BlockFront, len: u64, site: Option<Site>) -> Self {
        let state = State {
            len,
            write_back: conf.write_back,
            under_way: BTreeMap::new(),
            parked: Vec::new(),
            waiting: BTreeSet::new(),
            next: 0,
        };
        Self {
            conf,
            front,
            site,
            state,
            bytes: 0,
        }
    }

    /// Serves a queue, or has its thread do so where it has one.
    fn turn(&mut self, queue: u16, cx: &mut VirtioCx<'_, '_>) {
        if let Some(site) = &self.site
            && cx.ctx().may_share_ram()
        {
            site.update(self.state.len, self.state.write_back);
            // A queue of which the machine has a request in its hands is served when that is done.
            if self.holds(queue) || site.serve(queue, cx) {
                return;
            }
        }
        cx.recall(queue);
        self.serve(queue, cx);
    }

    /// Does one request that the thread of its queue left to the machine.
    fn serve_odd(&mut self, queue: u16, cx: &mut VirtioCx<'_, '_>) {
        if !cx.is_lent(queue) {
            return;
        }
        cx.recall(queue);
        if let Some(chain) = cx.pop(queue)
            && self.take(chain, cx)
        {
            self.turn(queue, cx);
        }
    }

    /// Whether requests of a queue are in the machine's hands.
    fn holds(&self, queue: u16) -> bool {
        let mut jobs = self.state.under_way.values().chain(&self.state.parked);
        jobs.any(|j| j.chain.queue() == queue)
    }

    /// Takes requests out of a queue as long as not too much is under way.
    fn serve(&mut self, queue: u16, cx: &mut VirtioCx<'_, '_>) {
        while self.bytes < UNDER_WAY {
            let Some(chain) = cx.pop(queue) else {
                self.state.waiting.remove(&queue);
                return;
            };
            if !self.take(chain, cx) {
                return;
            }
        }
        self.state.waiting.insert(queue);
    }

    /// Begins one request, or answers it. `false` if the device needs a reset now.
    fn take(&mut self, chain: Chain, cx: &mut VirtioCx<'_, '_>) -> bool {
        let read = &mut |offset, out: &mut [u8]| cx.read(&chain, offset, out);
        match judge(&chain, &self.conf, self.state.len, read) {
            Verdict::Do(op) => self.begin(Job { chain, op, done: 0 }, cx),
            Verdict::Answer(status) => finish(chain, status, cx),
            Verdict::Invalid(kind) => {
                self.front.count_invalid(kind, cx.ctx());
                finish(chain, status::IOERR, cx);
            }
            Verdict::GetId => self.get_id(chain, cx),
            Verdict::Scsi => scsi(chain, cx),
            Verdict::Broken(why) => {
                cx.broken(format_args!("{why}"));
                return false;
            }
        }
        true
    }

    /// At most 20 bytes, with a zero behind them only if there is room.
    fn get_id(&self, chain: Chain, cx: &mut VirtioCx<'_, '_>) {
        let mut id: Vec<u8> = self.conf.serial.bytes().chain([0]).take(ID_BYTES).collect();
        let room = usize::try_from(chain.writable_len().saturating_sub(1)).unwrap_or(ID_BYTES);
        id.truncate(room);
        // A chain that cannot be written is told of by its status, or not at all.
        let _ = cx.write(&chain, 0, &id);
        finish(chain, status::OK, cx);
    }

    /// Has the back end do the next piece of a request.
    fn begin(&mut self, job: Job, cx: &mut VirtioCx<'_, '_>) {
        let token = self.state.next;
        self.state.next = (token + 1) & (u64::MAX >> 1);
        self.bytes = self.bytes.saturating_add(job.piece());
        self.submit(token, &job, cx);
        self.state.under_way.insert(token, job);
    }

    fn submit(&mut self, token: u64, job: &Job, cx: &mut VirtioCx<'_, '_>) {
        let durable = !self.state.write_back;
        let data = match job.op {
            // What cannot be read has broken the device; the request comes back and vanishes.
            Op::Write { .. } => cx
                .read_vec(&job.chain, HEADER + job.done, job.piece() as usize)
                .unwrap_or_default(),
            _ => Vec::new(),
        };
        let request = job.op.request(job.done, data, durable);
        self.front.submit(token, request, cx.ctx());
    }

    fn done(&mut self, token: u64, result: Result<Vec<u8>, i32>, cx: &mut VirtioCx<'_, '_>) {
        // What a reset has forgotten comes back all the same.
        let Some(mut job) = self.state.under_way.remove(&token) else {
            return;
        };
        let piece = job.piece();
        self.bytes = self.bytes.saturating_sub(piece);
        let data = match result {
            Ok(data) => data,
            Err(errno) => return self.failed(job, errno, cx),
        };
        if job.op.is_read() && cx.write(&job.chain, job.done, &data).is_err() {
            return finish(job.chain, status::IOERR, cx);
        }
        job.done = job.done.saturating_add(piece);
        self.go_on(job, cx);
    }

    /// The rest of a request, or its end.
    fn go_on(&mut self, job: Job, cx: &mut VirtioCx<'_, '_>) {
        match job.piece() {
            0 => finish(job.chain, status::OK, cx),
            _ => self.begin(job, cx),
        }
    }

    /// The host failed a request.
    fn failed(&mut self, mut job: Job, errno: i32, cx: &mut VirtioCx<'_, '_>) {
        let read = job.op.is_read();
        let policy = if read { self.conf.rerror } else { self.conf.werror };
        let action = match policy {
            OnError::Ignore => "ignore",
            OnError::Stop => "stop",
            OnError::Auto if read => "report",
            OnError::Auto | OnError::Enospc if errno == ENOSPC => "stop",
            OnError::Auto | OnError::Enospc | OnError::Report => "report",
        };
        self.tell(action, read, errno, cx);
        match action {
            "ignore" => {
                job.done = job.done.saturating_add(job.piece());
                self.go_on(job, cx);
            }
            "stop" => {
                self.state.parked.push(job);
                // Virtual time stands while the machine does: it is due when somebody lets the machine go on.
                let soon = cx.ctx().now().after_ns(1);
                cx.ctx().set_timer(RETRY, soon);
                cx.ctx().stop_for_io_error();
            }
            _ => finish(job.chain, status::IOERR, cx),
        }
    }

    fn tell(&self, action: &str, read: bool, errno: i32, cx: &mut VirtioCx<'_, '_>) {
        let (drive, node) = self.front.names(cx.ctx());
        let known = ERRORS.iter().find(|(n, _)| *n == errno).map(|(_, text)| *text);
        let reason = known.map_or_else(|| format!("error {errno}"), str::to_owned);
        let text = |t: &str| NoticeValue::Text(t.to_owned());
        cx.ctx().notify(
            "BLOCK_IO_ERROR",
            &[
                ("device", NoticeValue::Text(drive)),
                ("node-name", NoticeValue::Text(node)),
                ("operation", text(if read { "read" } else { "write" })),
                ("action", text(action)),
                ("nospace", NoticeValue::Bool(errno == ENOSPC)),
                ("reason", NoticeValue::Text(reason)),
            ],
        );
    }

    /// Queues that had to wait, as long as there is room.
    fn serve_waiting(&mut self, cx: &mut VirtioCx<'_, '_>) {
        while self.bytes < UNDER_WAY / 2
            && let Some(queue) = self.state.waiting.pop_first()
        {
            self.serve(queue, cx);
        }
    }

    /// Threads that are at work go by this from their next request on.
    fn tell_site(&self) {
        if let Some(site) = &self.site {
            site.update(self.state.len, self.state.write_back);
        }
    }

    fn count_bytes(&mut self) {
        let all = self.state.under_way.values().map(Job::piece);
        self.bytes = all.fold(0, u64::saturating_add);
    }
}

/// Writes the status and gives the chain back.
fn finish(chain: Chain, status: u8, cx: &mut VirtioCx<'_, '_>) {
    let room = chain.writable_len();
    if let Some(last) = room.checked_sub(1) {
        // Where that is not possible the device is broken already.
        let _ = cx.write(&chain, last, &[status]);
    }
    cx.push(chain, u32::try_from(room).unwrap_or(u32::MAX));
}

/// SCSI commands of before version 1: the device says that it has failed them, in the field that is for that (section 5.2.6.4).
fn scsi(chain: Chain, cx: &mut VirtioCx<'_, '_>) {
    if chain.readable().len() < 2 || chain.writable().len() < 3 {
        return finish(chain, status::IOERR, cx);
    }
    let [.., answer, last] = chain.writable() else {
        return finish(chain, status::IOERR, cx);
    };
    let behind = u64::from(answer.len) + u64::from(last.len);
    let at = chain.writable_len().saturating_sub(behind);
    let errors = 255u32.to_le_bytes();
    let room = usize::try_from(answer.len).unwrap_or(0).min(errors.len());
    let _ = cx.write(&chain, at, errors.get(..room).unwrap_or_default());
    finish(chain, status::UNSUPP, cx);
}

impl VirtioModel for Blk {
    fn device_id(&self) -> u16 {
        id::BLOCK
    }

    fn features(&self) -> u64 {
        self.conf.features
    }

    fn legacy_features(&self) -> u64 {
        feature::SCSI
    }

    fn queues(&self) -> Vec<u16> {
        vec![self.conf.queue_size; usize::from(self.conf.queues)]
    }

    fn config(&self) -> Vec<u8> {
        self.conf.space(self.state.len, self.state.write_back)
    }

    fn write_config(&mut self, offset: usize, data: &[u8], cx: &mut VirtioCx<'_, '_>) {
        let byte = config::WRITEBACK.checked_sub(offset).and_then(|i| data.get(i));
        match byte {
            Some(byte) if self.conf.has(feature::CONFIG_WCE) => {
                self.state.write_back = *byte != 0;
                self.tell_site();
            }
            _ => cx.ctx().guest_error(format_args!(
                "a write to the configuration at {offset:#x} has no effect"
            )),
        }
    }

    fn driver_ok(&mut self, cx: &mut VirtioCx<'_, '_>) {
        // A driver that can neither flush nor switch the cache off expects that there is none.
        if !cx.has(feature::CONFIG_WCE) {
            self.state.write_back = cx.has(feature::FLUSH);
        }
    }

    fn reset(&mut self, cx: &mut VirtioCx<'_, '_>) {
        let State {
            len: _,
            write_back,
            under_way,
            parked,
            waiting,
            next: _,
        } = &mut self.state;
        *write_back = self.conf.write_back;
        if !under_way.is_empty() || self.site.is_some() {
            self.front.forget(cx.ctx());
        }
        under_way.clear();
        parked.clear();
        waiting.clear();
        self.bytes = 0;
        cx.ctx().cancel_timer(RETRY);
    }

    fn queue_reset(&mut self, queue: u16, _: &mut VirtioCx<'_, '_>) {
        // What is under way is done on the disk; its chains are the driver's again and their answers vanish.
        self.state.parked.retain(|j| j.chain.queue() != queue);
        self.state.waiting.remove(&queue);
    }

    fn on_notify(&mut self, queue: u16, cx: &mut VirtioCx<'_, '_>) {
        self.turn(queue, cx);
    }

    fn on_timer(&mut self, timer: TimerIndex, cx: &mut VirtioCx<'_, '_>) {
        if timer == RETRY {
            for job in std::mem::take(&mut self.state.parked) {
                self.begin(job, cx);
            }
        }
    }

    fn on_completion(&mut self, done: Completion, cx: &mut VirtioCx<'_, '_>) {
        match BlockEvent::from_completion(done) {
            Some(BlockEvent::Done { token, result }) => {
                let queue = self.state.under_way.get(&token).map(|j| j.chain.queue());
                self.done(token, result, cx);
                self.serve_waiting(cx);
                if let (Some(queue), true) = (queue, self.site.is_some()) {
                    self.turn(queue, cx);
                }
            }
            Some(BlockEvent::Note(note)) => match Note::of(note) {
                Note::Signal(queue) => cx.signal(queue),
                Note::Odd(queue) => self.serve_odd(queue, cx),
            },
            Some(BlockEvent::Resized(len)) => {
                self.state.len = len;
                self.tell_site();
                cx.config_changed();
            }
            None => {}
        }
    }

    fn save(&self) -> SavedState {
        let Self {
            conf: _,
            front: _,
            site: _,
            state,
            bytes: _,
        } = self;
        SavedState::of(VERSION, state)
    }

    fn load(&mut self, saved: &SavedState) -> Result<(), LoadError> {
        let state: State = saved.read(VERSION)?;
        let jobs = || state.under_way.values().chain(&state.parked);
        let most = usize::from(self.conf.queues) * usize::from(self.conf.queue_size);
        if jobs().count() > most || jobs().any(|j| !j.is_sound() || j.chain.queue() >= self.conf.queues) {
            return Err(LoadError::Impossible("a request that no driver made"));
        }
        let tokens = state.under_way.last_key_value().map_or(0, |(t, _)| t.wrapping_add(1));
        if tokens > state.next || state.next > u64::MAX >> 1 || state.waiting.iter().any(|q| *q >= self.conf.queues) {
            return Err(LoadError::Impossible("the number of a request"));
        }
        self.state = state;
        self.count_bytes();
        Ok(())
    }

    fn after_load(&mut self, cx: &mut VirtioCx<'_, '_>) {
        if cx.ctx().is_replaying() {
            // Answers of then come again by themselves, and so did a change of the disk's length.
            return;
        }
        self.front.forget(cx.ctx());
        // The disk may have another length here than where the state comes from.
        if let Some(len) = self.front.len(cx.ctx()) {
            self.state.len = len;
        }
        for (token, job) in self.state.under_way.clone() {
            self.submit(token, &job, cx);
        }
        // A thread may have had requests, there or here; the driver has notified of them already.
        if self.site.is_some() {
            (0..self.conf.queues).for_each(|queue| self.turn(queue, cx));
        }
    }
}
