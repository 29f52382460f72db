//! A machine moves to another process, or comes from one.
//!
//! While the guest still runs, a thread of its own copies what is in RAM; a guest that can be asked says which memory it has no use for, and
//! that goes back to the host. Then the machine stands, and its picture is taken in one go between two instructions: of RAM only what has
//! changed meanwhile. The thread then writes it, so that a peer that does not read stalls
//! nobody. One such copy and no more: what these boards are made of is small, and nothing is sent that would have to be sent again.
//! On the way in such a thread reads and checks everything before the machine is touched.

use southbridge_core::Machine;
use southbridge_core::machine::{Attendant, Caller, Cause, Draft, FreeSearch, RunState, StopHandle};
use southbridge_core::memory::RamBlock;
use std::collections::VecDeque;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use thiserror::Error;

use crate::channel::{self, Awaiting, Cancel, Channel};
use crate::stream::{self, About, Picture};
use crate::uri::{Uri, UriError};

/// How far a migration is, in the words of `query-migrate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Status {
    /// There was none.
    #[default]
    None,
    /// The way is being opened, or a peer awaited.
    Setup,
    /// RAM is being copied while the guest runs; or the state comes in.
    Active,
    /// The machine stands and its state is on its way.
    Device,
    /// It was taken back and is not over yet.
    Cancelling,
    /// It was taken back.
    Cancelled,
    /// It is over.
    Completed,
    /// It failed; [`Info::error`] says why.
    Failed,
}

impl Status {
    /// The word of the protocol.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Setup => "setup",
            Self::Active => "active",
            Self::Device => "device",
            Self::Cancelling => "cancelling",
            Self::Cancelled => "cancelled",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }

    /// Whether one is going on.
    pub const fn is_under_way(self) -> bool {
        matches!(self, Self::Setup | Self::Active | Self::Device | Self::Cancelling)
    }
}

/// A step of a migration, as events tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It is further than before.
    Status(Status),
    /// RAM is looked through, for the how manieth time.
    Pass(u32),
}

/// What may be switched on for a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// Each [`Step`] is an event.
    Events,
}

/// Numbers about RAM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RamInfo {
    /// Bytes of the stream that are through.
    pub transferred: u64,
    /// Bytes of the stream that are not.
    pub remaining: u64,
    /// Bytes of RAM.
    pub total: u64,
    /// Pages that are zero.
    pub duplicate: u64,
    /// Pages that are not.
    pub normal: u64,
    /// Bytes of a page.
    pub page_size: u64,
    /// How often it was looked through.
    pub passes: u32,
}

/// What `query-migrate` shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Info {
    /// How far it is.
    pub status: Status,
    /// Whether the machine comes in; otherwise it goes out.
    pub incoming: bool,
    /// Since its begin, or from begin to end, in milliseconds.
    pub total_time: u64,
    /// Until the way was open, in milliseconds.
    pub setup_time: u64,
    /// For how long the machine stood, once it is over, in milliseconds.
    pub downtime: u64,
    /// Numbers about RAM, once it is active; only on the way out.
    pub ram: Option<RamInfo>,
    /// Why it failed.
    pub error: Option<String>,
    /// The TCP port on which a peer is awaited.
    pub port: Option<u16>,
}

/// Why a migration did not begin.
#[derive(Debug, Error)]
pub enum MigrateError {
    /// The address is none.
    #[error(transparent)]
    Uri(#[from] UriError),
    /// One is going on.
    #[error("there is a migration in progress already")]
    Busy,
    /// The machine itself waits for a state.
    #[error("this machine waits for a state itself")]
    Inmigrate,
    /// The machine does not wait for a state.
    #[error("this machine was not started to take a state in: start it with -incoming defer")]
    NotInmigrate,
    /// Its state has gone elsewhere.
    #[error("the state of this machine has gone elsewhere already")]
    Gone,
    /// It cannot be saved.
    #[error("this machine cannot be migrated: {0}")]
    Blocked(String),
    /// The host refuses.
    #[error("{0}: {1}")]
    Io(String, io::Error),
}

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
        machine.add_attendant(Box::new(Mover {
            migration: this.clone(),
            before: RunState::Running,
        }));
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

    /// On a thread of its own.
    fn send(&self, uri: &Uri, given: Option<OwnedFd>, cancel: &Cancel, ram: &[RamBlock]) -> io::Result<()> {
        let out = channel::open(uri, given, cancel)?;
        let total = ram.iter().map(RamBlock::len).sum();
        lock(&self.0.state).info.ram = Some(RamInfo {
            remaining: total,
            total,
            page_size: PAGE,
            ..RamInfo::default()
        });
        self.pass();
        self.set_status(Status::Active);
        let Some(draft) = self.draft(ram) else { return Ok(()) };
        let (answer, picture): (_, Receiver<Picture>) = channel();
        self.tell(News::Ready(answer, draft));
        // A machine that cannot be saved after all has said why, and drops the sender.
        let Ok(picture) = picture.recv() else { return Ok(()) };
        self.count(&picture);
        let mut out = BufWriter::with_capacity(
            1 << 16,
            Counted {
                channel: out,
                migration: self,
            },
        );
        stream::write(&picture, &mut out)?;
        out.flush()?;
        let counted = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        counted.channel.finish()
    }

    /// What is in RAM and of use. `None` if the machine takes no part any more.
    fn draft(&self, ram: &[RamBlock]) -> Option<Draft> {
        let (answer, search): (_, Receiver<Arc<FreeSearch>>) = channel();
        self.tell(News::Copied(answer, Draft::of(ram)));
        let search = search.recv().ok()?;
        search.wait(HINT_PATIENCE, HINT_LIMIT, || self.query().status != Status::Active);
        match search.end() {
            (draft, false) => Some(draft),
            (draft, true) => {
                self.pass();
                Some(draft.again(ram))
            }
        }
    }

    fn count(&self, picture: &Picture) {
        let total = picture.about.ram_bytes();
        let pages = |bytes: u64| bytes.div_ceil(PAGE);
        let runs = picture.whole.ram.iter().flat_map(|r| &r.runs);
        let normal = runs.map(|(_, data)| pages(data.len() as u64)).sum();
        let remaining = stream::encoded_len(picture);
        if let Some(ram) = &mut lock(&self.0.state).info.ram {
            ram.remaining = remaining;
            ram.duplicate = pages(total).saturating_sub(normal);
            ram.normal = normal;
        }
    }

    /// On a thread of its own.
    fn receive(&self, awaiting: Awaiting, here: &About, cancel: &Cancel) -> Result<Picture, String> {
        let mut input = awaiting.accept(cancel).map_err(|e| e.to_string())?;
        self.set_status(Status::Active);
        let picture = {
            let mut buffered = BufReader::with_capacity(1 << 16, &mut input as &mut dyn Read);
            stream::read(&mut buffered, here).map_err(|e| e.to_string())?
        };
        // The end of a command that has delivered everything is its own business.
        drop(input);
        Ok(picture)
    }
}

const PAGE: u64 = 4096;
/// How long a guest may take to its next hint about free memory.
const HINT_PATIENCE: Duration = Duration::from_secs(3);
/// How long to all of them.
const HINT_LIMIT: Duration = Duration::from_secs(30);

fn ms(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

/// Counts what is through.
struct Counted<'a> {
    channel: Channel,
    migration: &'a Migration,
}

impl Write for Counted<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let n = self.channel.write(data)?;
        if let Some(ram) = &mut lock(&self.migration.0.state).info.ram {
            ram.transferred += n as u64;
            ram.remaining = ram.remaining.saturating_sub(n as u64);
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The machine's side: takes the picture, takes one in, and says how it went.
struct Mover {
    migration: Migration,
    /// What the machine did before its state went out.
    before: RunState,
}

impl Attendant for Mover {
    fn attend(&mut self, machine: &mut Machine) {
        loop {
            let news = lock(&self.migration.0.state).news.pop_front();
            match news {
                None => return,
                Some(News::Copied(answer, draft)) => {
                    if self.migration.query().status == Status::Active {
                        let _ = answer.send(machine.search_free(draft));
                    }
                }
                Some(News::Ready(answer, draft)) => self.take_picture(machine, &answer, draft),
                Some(News::Sent(done)) => self.sent(machine, done),
                Some(News::Received(picture)) => self.received(machine, *picture),
            }
        }
    }
}

impl Drop for Mover {
    fn drop(&mut self) {
        // The machine ends: so does whoever still reads or writes for it.
        if let Some(cancel) = lock(&self.migration.0.state).cancel.take() {
            cancel.cancel();
        }
    }
}

impl Mover {
    fn take_picture(&mut self, machine: &mut Machine, answer: &Sender<Picture>, draft: Draft) {
        if self.migration.query().status != Status::Active {
            return;
        }
        self.before = machine.run_state();
        lock(&self.migration.0.state).stood = Some(Instant::now());
        machine.pause(RunState::FinishMigrate);
        self.migration.set_status(Status::Device);
        self.migration.pass();
        machine.end_search();
        match Picture::take_from(machine, &self.migration.0.board, draft) {
            Ok(mut picture) => {
                picture.about.run_state = self.before.name().to_owned();
                let _ = answer.send(picture);
            }
            Err(why) => {
                self.migration.fail(why);
                self.go_on(machine);
            }
        }
    }

    fn sent(&mut self, machine: &mut Machine, done: io::Result<()>) {
        let status = self.migration.query().status;
        machine.end_search();
        match (status, done) {
            // It failed before, and has said so.
            (Status::Failed, _) => {}
            (Status::Cancelling, _) => {
                self.go_on(machine);
                self.migration.set_status(Status::Cancelled);
            }
            (_, Ok(())) => {
                machine.pause(RunState::Postmigrate);
                self.migration.set_status(Status::Completed);
            }
            (_, Err(e)) => {
                self.migration.fail(e.to_string());
                self.go_on(machine);
            }
        }
    }

    /// The machine goes on as before.
    fn go_on(&self, machine: &mut Machine) {
        if machine.run_state() != RunState::FinishMigrate {
            // It never stood, or somebody let it go on.
        } else if self.before == RunState::Running {
            machine.resume();
        } else {
            machine.pause(self.before);
        }
    }

    fn received(&self, machine: &mut Machine, picture: Result<Picture, String>) {
        let taken = picture.and_then(|p| match machine.load_whole(&p.whole) {
            Ok(()) => Ok(p.about.run_state),
            Err(e) => Err(e.to_string()),
        });
        match taken {
            Ok(state) => self.came_in(machine, &state),
            Err(why) => {
                self.migration.fail(why.clone());
                let mut state = lock(&self.migration.0.state);
                if state.exit_on_error {
                    state.fatal = Some(why);
                    self.migration.0.stop.stop(Cause::HostError);
                }
            }
        }
    }

    /// A machine that stood where it came from stands here for the same reason.
    fn came_in(&self, machine: &mut Machine, state: &str) {
        let autostart = lock(&self.migration.0.state).autostart;
        let stood = [
            RunState::Prelaunch,
            RunState::Paused,
            RunState::Debug,
            RunState::Shutdown,
            RunState::InternalError,
            RunState::GuestPanicked,
        ];
        let stood = stood.into_iter().find(|s| s.name() == state);
        match stood {
            Some(stood) => machine.pause(stood),
            None if autostart => machine.resume(),
            None => machine.pause(RunState::Paused),
        }
        // Last: who hears of it may ask at once what the machine does.
        self.migration.set_status(Status::Completed);
    }
}
