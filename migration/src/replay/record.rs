//! Recording: the tape's entries go into the file as the run goes on.

use southbridge_core::host::{Backend, HostCx, HostEvent};
use southbridge_core::machine::{Attendant, Caller};
use southbridge_core::{Machine, Outcome};
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::file::{BEGIN, BROKEN, Begin, CHECK, Check, End, Ending, FINISH, INPUTS, MAGIC, ReplayError, VERSION};
use super::{program_sum, register_sum};
use crate::stream::{self, FrameWriter, Picture, cbor};

/// How often the file is brought up to date while the machine runs.
const INTERVAL: Duration = Duration::from_millis(250);
/// Inputs in one section.
const BATCH: usize = 4096;

/// A recording in progress.
pub struct Recording(Arc<Mutex<Recorder>>);

struct Recorder {
    path: PathBuf,
    board: String,
    frames: FrameWriter<BufWriter<File>>,
    failed: Option<io::Error>,
    broken: bool,
}

fn lock(recorder: &Mutex<Recorder>) -> MutexGuard<'_, Recorder> {
    recorder.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Recording {
    /// Begins to record a machine that is built and has not started. `board` is the name for `-M`.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn begin(machine: &mut Machine, board: &str, path: &Path) -> Result<Self, ReplayError> {
        let about = stream::describe(machine, board).map_err(ReplayError::Blocked)?;
        let begin = Begin {
            about,
            program: program_sum(machine),
            rate: machine.sys.clock.rate(),
        };
        let io = |e| ReplayError::Io(path.to_owned(), e);
        let file = BufWriter::new(File::create(path).map_err(io)?);
        let mut frames = FrameWriter::new(file, MAGIC, VERSION).map_err(io)?;
        frames.section(BEGIN, &[&cbor(&begin)]).map_err(io)?;
        frames.flush().map_err(io)?;
        machine.sys.tape.record();
        let recorder = Arc::new(Mutex::new(Recorder {
            path: path.to_owned(),
            board: board.to_owned(),
            frames,
            failed: None,
            broken: false,
        }));
        machine.add_attendant(Box::new(Scribe(recorder.clone())));
        let caller = machine.caller();
        let clock = machine.sys.host.add(|cx| {
            cx.wake_after(INTERVAL, 0);
            Ok::<Box<dyn Backend>, io::Error>(Box::new(Wake(caller)))
        });
        clock.map(|_| Self(recorder)).map_err(io)
    }

    /// The run has ended so. Everything is in the file after this.
    ///
    /// # Errors
    /// The file is not what it should be, or cannot be replayed.
    pub fn finish(self, machine: &mut Machine, outcome: &Outcome) -> Result<(), ReplayError> {
        let mut r = lock(&self.0);
        r.bring_up_to_date(machine, false);
        if !r.broken {
            let picture = Picture::take(machine, &r.board);
            let ending = Ending::of(outcome);
            let end = End {
                at: machine.sys.moment(),
                time: machine.sys.clock.now().0,
                registers: register_sum(machine),
                machine: picture.ok().map(|p| p.sum(ending != Ending::Stopped)),
                ending,
            };
            r.note(|frames| frames.section(FINISH, &[&cbor(&end)]));
        }
        r.note(FrameWriter::end);
        let why = machine.sys.tape.broken().map(str::to_owned);
        machine.sys.tape.stop();
        match (r.failed.take(), why) {
            (Some(e), _) => Err(ReplayError::Io(r.path.clone(), e)),
            (None, Some(why)) => Err(ReplayError::Broken(r.path.clone(), why)),
            (None, None) => Ok(()),
        }
    }
}

impl Recorder {
    fn note(&mut self, write: impl FnOnce(&mut FrameWriter<BufWriter<File>>) -> io::Result<()>) {
        if self.failed.is_none()
            && let Err(e) = write(&mut self.frames)
        {
            self.failed = Some(e);
        }
    }

    /// What the tape has heard, and where the processor stands.
    fn bring_up_to_date(&mut self, machine: &mut Machine, check: bool) {
        let tape = &mut machine.sys.tape;
        let inputs: Vec<_> = tape.entries().cloned().collect();
        tape.forget_before(tape.place());
        if self.broken {
            return;
        }
        for batch in inputs.chunks(BATCH) {
            self.note(|frames| frames.section(INPUTS, &[&cbor(&batch)]));
        }
        if let Some(why) = machine.sys.tape.broken().map(str::to_owned) {
            self.broken = true;
            self.note(|frames| frames.section(BROKEN, &[&cbor(&why)]));
        } else if check && machine.is_running() {
            let now = Check {
                at: machine.sys.moment(),
                time: machine.sys.clock.now().0,
                sum: register_sum(machine),
            };
            self.note(|frames| frames.section(CHECK, &[&cbor(&now)]));
        }
        self.note(FrameWriter::flush);
    }
}

/// Brings the file up to date whenever the machine calls.
struct Scribe(Arc<Mutex<Recorder>>);

impl Attendant for Scribe {
    fn attend(&mut self, machine: &mut Machine) {
        lock(&self.0).bring_up_to_date(machine, true);
    }
}

/// Has the machine call.
struct Wake(Caller);

impl Backend for Wake {
    fn on_host(&mut self, _event: HostEvent, cx: &mut HostCx<'_>) {
        self.0.call();
        cx.wake_after(INTERVAL, 0);
    }
}
