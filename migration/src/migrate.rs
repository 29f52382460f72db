//! A machine moves to another process, or comes from one.
//!
//! While the guest still runs, a thread of its own copies what is in RAM; a guest that can be asked says which memory it has no use for, and
//! that goes back to the host. Then the machine stands, and its picture is taken in one go between two instructions: of RAM only what has
//! changed meanwhile. The thread then writes it, so that a peer that does not read stalls
//! nobody. One such copy and no more: what these boards are made of is small, and nothing is sent that would have to be sent again.
//! On the way in such a thread reads and checks everything before the machine is touched.

mod mover;
mod status;
mod transfer;

use southbridge_core::Machine;
use southbridge_core::machine::{Caller, Draft, FreeSearch, RunState, StopHandle};
use southbridge_core::memory::RamBlock;
use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use self::mover::Mover;
pub use self::status::{Capability, Info, MigrateError, RamInfo, Status, Step};
use crate::channel::{self, Awaiting, Cancel};
use crate::stream::{self, Picture};
use crate::uri::Uri;

/// Migration of one machine. Cheap to clone, usable by all its monitors; all clones are the same.
#[derive(Clone)]
pub struct Migration(Arc<Shared>);

type Hook = Box<dyn Fn(Step) + Send + Sync>;

struct Shared {
    board: String,
    caller: Caller,
    stop: StopHandle,
    state: Mutex<State>,
    hooks: Mutex<Vec<Hook>>,
}

#[derive(Default)]
struct State {
    info: Info,
    began: Option<Instant>,
    ended: Option<Instant>,
    stood: Option<Instant>,
    cancel: Option<Cancel>,
    news: VecDeque<News>,
    events: bool,
    /// The machine runs once it has come in.
    autostart: bool,
    exit_on_error: bool,
    fatal: Option<String>,
}

/// From the thread of a transfer to the machine's.
enum News {
    /// The way is open and RAM copied: is any of it free?
    Copied(Sender<Arc<FreeSearch>>, Draft),
    /// The picture, please.
    Ready(Sender<Picture>, Draft),
    Sent(io::Result<()>),
    Received(Box<Result<Picture, String>>),
}

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Migration {
    /// Makes a machine one that can be migrated. `board` is the name for `-M`.
    pub fn attach(machine: &mut Machine, board: &str) -> Self {
        let this = Self(Arc::new(Shared {
            board: board.to_owned(),
            caller: machine.caller(),
            stop: machine.stop_handle(),
            state: Mutex::new(State {
                autostart: true,
                exit_on_error: true,
                ..State::default()
            }),
            hooks: Mutex::default(),
        }));
        machine.add_attendant(Box::new(Mover::new(this.clone())));
        this
    }

    /// Has `hook` called at each step, from any thread; for the events `MIGRATION` and `MIGRATION_PASS`. It must not block and must not
    /// come back to this migration other than through [`Migration::query`].
    pub fn on_step(&self, hook: impl Fn(Step) + Send + Sync + 'static) {
        lock(&self.0.hooks).push(Box::new(hook));
    }

    /// `migrate`: begins to send the machine away. `given` is the descriptor that the caller's client knows by the name in `fd:NAME`.
    ///
    /// # Errors
    /// When it cannot begin. What fails later shows in [`Migration::query`].
    pub fn migrate(&self, machine: &mut Machine, uri: &str, given: Option<OwnedFd>) -> Result<(), MigrateError> {
        let uri_text = uri;
        let uri = Uri::parse(uri)?;
        self.check_idle()?;
        match machine.run_state() {
            RunState::Inmigrate => return Err(MigrateError::Inmigrate),
            RunState::Postmigrate => return Err(MigrateError::Gone),
            _ => {}
        }
        stream::describe(machine, &self.0.board).map_err(MigrateError::Blocked)?;
        let io = |e| MigrateError::Io(uri_text.to_owned(), e);
        let given = channel::descriptor(&uri, given).map_err(io)?;
        let cancel = Cancel::new().map_err(io)?;
        self.begin(false, &cancel);
        let this = self.clone();
        let ram: Vec<RamBlock> = machine.ram.iter().map(|(_, block)| block.clone()).collect();
        self.spawn(move || {
            let done = this.send(&uri, given, &cancel, &ram);
            this.tell(News::Sent(done));
        })
        .map_err(io)
    }

    /// `migrate_cancel`. Nothing happens if there is none.
    pub fn cancel(&self) {
        let mut state = lock(&self.0.state);
        if !state.info.status.is_under_way() || state.info.incoming {
            return;
        }
        let cancel = state.cancel.clone();
        drop(state);
        self.set_status(Status::Cancelling);
        if let Some(cancel) = cancel {
            cancel.cancel();
        }
        state = lock(&self.0.state);
        state.cancel = None;
    }

    /// `-incoming`: the machine waits for a state, at `uri` or, without one, where `migrate-incoming` will say. To be called before the
    /// machine runs. Once the state is in it runs if `autostart`, else it stands.
    ///
    /// # Errors
    /// When the way in cannot be opened.
    pub fn expect(&self, machine: &mut Machine, uri: Option<&str>, autostart: bool) -> Result<(), MigrateError> {
        machine.start_paused = true;
        machine.start();
        machine.pause(RunState::Inmigrate);
        lock(&self.0.state).autostart = autostart;
        match uri {
            Some(uri) => self.incoming(machine, uri, None, true),
            None => Ok(()),
        }
    }

    /// `migrate-incoming`: where the state comes from. With `exit_on_error` a failure ends the run, and [`Migration::fatal`] says why.
    ///
    /// # Errors
    /// When the machine does not wait for one, or the way in cannot be opened.
    pub fn incoming(
        &self,
        machine: &mut Machine,
        uri: &str,
        given: Option<OwnedFd>,
        exit_on_error: bool,
    ) -> Result<(), MigrateError> {
        let uri_text = uri;
        let uri = Uri::parse(uri)?;
        if machine.run_state() != RunState::Inmigrate {
            return Err(MigrateError::NotInmigrate);
        }
        self.check_idle()?;
        let here = stream::describe(machine, &self.0.board).map_err(MigrateError::Blocked)?;
        let io = |e| MigrateError::Io(uri_text.to_owned(), e);
        let given = channel::descriptor(&uri, given).map_err(io)?;
        let awaiting = Awaiting::new(&uri, given).map_err(io)?;
        let cancel = Cancel::new().map_err(io)?;
        self.begin(true, &cancel);
        {
            let mut state = lock(&self.0.state);
            state.info.port = awaiting.port();
            state.exit_on_error = exit_on_error;
        }
        let this = self.clone();
        self.spawn(move || {
            let received = this.receive(awaiting, &here, &cancel);
            this.tell(News::Received(Box::new(received)));
        })
        .map_err(io)
    }

    /// `query-migrate`.
    pub fn query(&self) -> Info {
        let state = lock(&self.0.state);
        let mut info = state.info.clone();
        if let Some(began) = state.began {
            let end = state.ended.unwrap_or_else(Instant::now);
            info.total_time = ms(end.saturating_duration_since(began));
        }
        info
    }

    /// `migrate-set-capabilities`.
    pub fn set_capability(&self, capability: Capability, on: bool) {
        match capability {
            Capability::Events => lock(&self.0.state).events = on,
        }
    }

    /// `query-migrate-capabilities`.
    pub fn has_capability(&self, capability: Capability) -> bool {
        match capability {
            Capability::Events => lock(&self.0.state).events,
        }
    }

    /// Why the run had to end, if a state that came in was to blame. The process then ends with a failure.
    pub fn fatal(&self) -> Option<String> {
        lock(&self.0.state).fatal.clone()
    }

    fn check_idle(&self) -> Result<(), MigrateError> {
        match lock(&self.0.state).info.status.is_under_way() {
            true => Err(MigrateError::Busy),
            false => Ok(()),
        }
    }

    fn begin(&self, incoming: bool, cancel: &Cancel) {
        {
            let mut state = lock(&self.0.state);
            state.info = Info {
                incoming,
                ..Info::default()
            };
            (state.began, state.ended, state.stood) = (Some(Instant::now()), None, None);
            state.cancel = Some(cancel.clone());
        }
        self.set_status(Status::Setup);
    }

    fn spawn(&self, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let thread = std::thread::Builder::new().name("migration".into());
        thread.spawn(run).map(|_| ()).inspect_err(|e| self.fail(e.to_string()))
    }

    fn set_status(&self, status: Status) {
        {
            let mut state = lock(&self.0.state);
            // A migration that was taken back ends so, however far it comes meanwhile.
            if state.info.status == status || state.info.status == Status::Cancelling && status.is_under_way() {
                return;
            }
            state.info.status = status;
            if status == Status::Active {
                state.info.setup_time = state.began.map_or(0, |b| ms(b.elapsed()));
            }
            if !status.is_under_way() {
                state.ended = Some(Instant::now());
                state.cancel = None;
                state.info.downtime = state.stood.map_or(0, |s| ms(s.elapsed()));
            }
        }
        self.step(Step::Status(status));
    }

    fn step(&self, step: Step) {
        for hook in &*lock(&self.0.hooks) {
            hook(step);
        }
    }

    /// RAM is looked through once more.
    fn pass(&self) {
        let passes = match &mut lock(&self.0.state).info.ram {
            None => return,
            Some(ram) => {
                ram.passes += 1;
                ram.passes
            }
        };
        self.step(Step::Pass(passes));
    }

    fn fail(&self, why: String) {
        lock(&self.0.state).info.error = Some(why);
        self.set_status(Status::Failed);
    }

    fn tell(&self, news: News) {
        lock(&self.0.state).news.push_back(news);
        self.0.caller.call();
    }
}

fn ms(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}
