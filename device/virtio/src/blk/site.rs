//! Queues of a disk that threads of the user's serve (`iothread=`, `iothread-vq-mapping=`).
//!
//! A thread does what is usual: it takes a request, reads or writes, and gives it back. Whatever else there is to a request (a number to
//! ask for, an error of the host's and what the user wants done about it) it leaves where it was, and tells the machine.

use southbridge_backend_block::{Pass, Request, Worker};
use southbridge_bus_virtio::{Chain, ChainError, Lane, LaneCx, Odd, VirtioCx};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::conf::Conf;
use super::regs::{HEADER, status};
use super::request::{Op, PIECE, Verdict, judge};

/// Requests after which a thread looks at the other queues that it serves.
const TURN: usize = 64;
/// In a note: the machine has to look at the queue. Otherwise its driver wants an interrupt.
const ODD: u32 = 1 << 16;

/// What a thread says about a queue.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Note {
    /// Its driver wants an interrupt.
    Signal(u16),
    /// The next request in it is the machine's to do.
    Odd(u16),
}

impl Note {
    pub(super) fn of(number: u32) -> Self {
        let queue = number as u16;
        match number & ODD {
            0 => Self::Signal(queue),
            _ => Self::Odd(queue),
        }
    }
}

/// What threads have to know of the disk.
pub(super) struct Disk {
    conf: Arc<Conf>,
    len: AtomicU64,
    write_back: AtomicBool,
}

/// Who serves which queue.
pub(super) struct Site {
    disk: Arc<Disk>,
    /// By queue.
    workers: Vec<Worker>,
}

impl Site {
    pub(super) fn new(conf: Arc<Conf>, workers: Vec<Worker>) -> Self {
        let disk = Disk {
            conf,
            len: AtomicU64::new(0),
            write_back: AtomicBool::new(false),
        };
        Self {
            disk: Arc::new(disk),
            workers,
        }
    }

    /// What may change while threads are at work: the length in bytes, and whether the cache is on.
    pub(super) fn update(&self, len: u64, write_back: bool) {
        self.disk.len.store(len, Ordering::Relaxed);
        self.disk.write_back.store(write_back, Ordering::Relaxed);
    }

    /// Has its thread serve a queue. `false` if that cannot be now.
    pub(super) fn serve(&self, queue: u16, cx: &mut VirtioCx<'_, '_>) -> bool {
        let Some(worker) = self.workers.get(usize::from(queue)) else {
            return false;
        };
        let Some(lane) = cx.lend(queue) else { return false };
        let job = Job {
            disk: self.disk.clone(),
            worker: worker.clone(),
            lane: lane.clone(),
            queue,
        };
        if lane.begin() && !worker.run(move || job.run()) {
            cx.recall(queue);
            return false;
        }
        true
    }
}

/// Why a request is not done here.
enum Left {
    /// The machine has to do it.
    Odd,
    /// The machine has taken the queue back.
    Gone,
}

impl From<Odd> for Left {
    fn from(_: Odd) -> Self {
        Self::Odd
    }
}

/// Work on one queue.
struct Job {
    disk: Arc<Disk>,
    worker: Worker,
    lane: Arc<Lane>,
    queue: u16,
}

impl Job {
    fn run(self) {
        for _ in 0..TURN {
            match self.next() {
                Ok(true) => {}
                Ok(false) if self.lane.rest() => {}
                Ok(false) | Err(Left::Gone) => return,
                // Nobody is at work then, but for the machine, which takes the queue back.
                Err(Left::Odd) => return self.worker.tell(ODD | u32::from(self.queue)),
            }
        }
        let worker = self.worker.clone();
        // A thread is there: it is this one.
        worker.run(move || self.run());
    }

    /// Does one request. `false` if there is none.
    fn next(&self) -> Result<bool, Left> {
        // The pass belongs to the moment at which the queue is surely not reset.
        let taken = self.enter(|lane| Ok(lane.pop()?.map(|chain| (chain, self.worker.pass()))))?;
        let Some((chain, pass)) = taken else { return Ok(false) };
        let read = &mut |offset, out: &mut [u8]| self.lane.enter(|l| l.read(&chain, offset, out)).unwrap_or(STALE);
        let len = self.disk.len.load(Ordering::Relaxed);
        let Verdict::Do(op) = judge(&chain, &self.disk.conf, len, read) else {
            return Err(Left::Odd);
        };
        self.perform(&chain, op, &pass)?;
        let room = chain.writable_len();
        let signal = self.enter(|lane| {
            moved(lane.write(&chain, room.saturating_sub(1), &[status::OK]))?;
            Ok(lane.push(&chain, u32::try_from(room).unwrap_or(u32::MAX))?)
        })?;
        if signal {
            self.worker.tell(u32::from(self.queue));
        }
        Ok(true)
    }

    fn enter<T>(&self, f: impl FnOnce(&mut LaneCx<'_>) -> Result<T, Left>) -> Result<T, Left> {
        self.lane.enter(f).unwrap_or(Err(Left::Gone))
    }

    /// Has the host do it. What fails the machine does again, and finds out for itself.
    fn host(&self, pass: &Pass, request: &Request) -> Result<Vec<u8>, Left> {
        self.worker.perform(pass, request).map_err(|_| Left::Odd)
    }

    fn perform(&self, chain: &Chain, op: Op, pass: &Pass) -> Result<(), Left> {
        let durable = !self.disk.write_back.load(Ordering::Relaxed);
        match op {
            Op::Read { offset, len } => {
                for (done, len) in pieces(len) {
                    let offset = offset.saturating_add(done);
                    let data = self.host(pass, &Request::Read { offset, len })?;
                    self.enter(|lane| moved(lane.write(chain, done, &data)))?;
                }
            }
            Op::Write { offset, len } => {
                for (done, len) in pieces(len) {
                    let mut data = vec![0; len];
                    self.enter(|lane| moved(lane.read(chain, HEADER + done, &mut data)))?;
                    let offset = offset.saturating_add(done);
                    self.host(pass, &Request::Write { offset, data, durable })?;
                }
            }
            other => {
                self.host(pass, &other.request(0, Vec::new(), durable))?;
            }
        }
        Ok(())
    }
}

const STALE: Result<(), ChainError> = Err(ChainError::Stale);

fn moved(result: Result<(), ChainError>) -> Result<(), Left> {
    result.map_err(|_| Left::Odd)
}

/// A request's pieces: where each begins, and its bytes.
fn pieces(len: u64) -> impl Iterator<Item = (u64, usize)> {
    (0..len)
        .step_by(PIECE as usize)
        .map(move |at| (at, (len - at).min(PIECE) as usize))
}
