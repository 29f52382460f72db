//! What belongs to a machine and not into it: names, back ends, objects, descriptors, and the events on their way to clients.

use serde_json::{Map, Value};
use southbridge_backend_chardev::Chardevs;
use southbridge_core::{Machine, MachineEvent, Outcome, PropValue, Registry, RunState};
use southbridge_machine::{Layout, objects::Objects, qom};
use southbridge_migration::{Capability, Migration, Snapshots, Status};
use std::cell::OnceCell;
use std::collections::{BTreeMap, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use crate::commands::fds::FdSets;
use crate::schema::{
    DeviceDeletedEvent, DumpQueryResult, DumpStatus, Event, GuestPanicAction, GuestPanickedEvent, MigrationEvent,
    PanicAction, PowerdownEvent, RebootAction, ResetEvent, ResumeEvent, ShutdownAction, ShutdownCause, ShutdownEvent,
    StopEvent, SysEmuTarget, check_event, schema,
};
use crate::{Cx, HumanMonitor};

/// What the command line said about the machine as a whole.
#[derive(Debug, Clone)]
pub struct Facts {
    /// `-name`.
    pub name: Option<String>,
    /// `-uuid`.
    pub uuid: [u8; 16],
    /// The architecture that this program emulates.
    pub target: SysEmuTarget,
    /// Machines that this program offers.
    pub machines: Vec<&'static str>,
    /// `-kernel`.
    pub kernel: String,
    /// `-append`.
    pub append: String,
}

/// What to do on such occasions.
#[derive(Debug, Clone, Copy)]
pub struct Action {
    /// Where the guest cannot go on.
    pub panic: PanicAction,
}

/// What belongs to a machine.
pub struct World {
    /// What the command line said.
    pub facts: Facts,
    /// What stands where.
    pub layout: Layout,
    /// What the machine was told at its start, as its properties have it. They may be changed, which changes nothing else.
    pub(crate) notes: BTreeMap<String, Value>,
    /// The object tree's names for it.
    places: OnceCell<Vec<(String, qom::Thing)>>,
    /// All device types.
    pub registry: Registry,
    /// `-global`.
    pub globals: Vec<(String, String, PropValue)>,
    /// Character back ends.
    pub chardevs: Chardevs,
    /// Objects.
    pub objects: Objects,
    /// What to do on certain occasions.
    pub action: Action,
    /// Saved states by name. In memory unless whoever makes the world says otherwise.
    pub snapshots: Snapshots,
    /// The human monitor, where there is one.
    pub human: Option<HumanMonitor>,
    /// What it remembers.
    pub hmp: crate::hmp::Memory,
    pub(crate) migration: Option<Migration>,
    moved: Arc<Mutex<VecDeque<Status>>>,
    pub(crate) named_fds: BTreeMap<String, OwnedFd>,
    pub(crate) fd_sets: FdSets,
    pub(crate) last_dump: DumpQueryResult,
    /// The process is about to end.
    pub(crate) ending: bool,
    pub(crate) events: VecDeque<(&'static str, Map<String, Value>)>,
}

fn notes(facts: &Facts) -> BTreeMap<String, Value> {
    let texts = [("kernel", facts.kernel.as_str()), ("append", facts.append.as_str())];
    let empty = ["initrd", "dtb", "dumpdtb", "dt-compatible", "firmware"].map(|name| (name, ""));
    let texts = texts
        .into_iter()
        .chain(empty)
        .map(|(name, text)| (name, Value::from(text)));
    let switches = [
        ("graphics", true),
        ("usb", false),
        ("dump-guest-core", true),
        ("mem-merge", true),
        ("suppress-vmdesc", false),
        ("aux-ram-share", false),
    ];
    let switches = switches.map(|(name, on)| (name, Value::from(on)));
    let numbers = [("phandle-start", Value::from(0))];
    let all = texts.chain(switches).chain(numbers);
    all.map(|(name, value)| (name.to_owned(), value)).collect()
}

impl World {
    /// The surroundings of a machine.
    pub fn new(facts: Facts, layout: Layout, registry: Registry, chardevs: Chardevs, objects: Objects) -> Self {
        let snapshots = Snapshots::new(layout.board.name, None);
        Self {
            notes: notes(&facts),
            facts,
            places: OnceCell::new(),
            layout,
            registry,
            globals: Vec::new(),
            chardevs,
            objects,
            action: Action {
                panic: PanicAction::Shutdown,
            },
            snapshots,
            human: Some(crate::hmp::execute_for_qmp),
            hmp: crate::hmp::Memory::default(),
            migration: None,
            moved: Arc::default(),
            named_fds: BTreeMap::new(),
            fd_sets: FdSets::default(),
            last_dump: DumpQueryResult {
                status: DumpStatus::None,
                completed: 0,
                total: 0,
            },
            ending: false,
            events: VecDeque::new(),
        }
    }

    /// Where the things of the board are in the object tree.
    pub(crate) fn places(&self, machine: &Machine) -> &[(String, qom::Thing)] {
        self.places.get_or_init(|| qom::places(&self.layout, machine))
    }

    /// Lets clients send the machine away, and tells them how far it is.
    pub fn set_migration(&mut self, machine: &Machine, migration: Migration) {
        let (moved, caller) = (self.moved.clone(), machine.caller());
        migration.on_change(move |status| {
            moved.lock().unwrap_or_else(PoisonError::into_inner).push_back(status);
            caller.call();
        });
        self.migration = Some(migration);
    }

    /// Turns what the migration has come to into events, where somebody asked for them.
    pub(crate) fn hear_migration(&mut self) {
        let moved: Vec<_> = self
            .moved
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .drain(..)
            .collect();
        let wanted = self
            .migration
            .as_ref()
            .is_some_and(|m| m.has_capability(Capability::Events));
        for status in moved.into_iter().filter(|_| wanted) {
            let status = crate::commands::migration::status(status);
            self.emit(&MigrationEvent { status });
        }
    }

    /// Tells every client of something.
    pub fn emit<E: Event>(&mut self, event: &E) {
        let data = match serde_json::to_value(event) {
            Ok(Value::Object(data)) => data,
            _ => Map::new(),
        };
        debug_assert_eq!(check_event(schema(), E::NAME, &data), Ok(()), "{}", E::NAME);
        self.events.push_back((E::NAME, data));
    }

    /// Turns what happened to the machine into events.
    pub(crate) fn hear(&mut self, event: &MachineEvent) {
        match event {
            MachineEvent::Stop => self.emit(&StopEvent {}),
            MachineEvent::Resume => self.emit(&ResumeEvent {}),
            MachineEvent::Reset { guest } => self.emit(&ResetEvent {
                guest: *guest,
                reason: if *guest {
                    ShutdownCause::GuestReset
                } else {
                    ShutdownCause::HostQmpSystemReset
                },
            }),
            // The monitor has told of its own wishes already.
            MachineEvent::Shutdown { guest: false } if self.ending => {}
            MachineEvent::Shutdown { guest } => self.emit(&ShutdownEvent {
                guest: *guest,
                reason: if *guest {
                    ShutdownCause::GuestShutdown
                } else {
                    ShutdownCause::HostSignal
                },
            }),
            MachineEvent::Powerdown => self.emit(&PowerdownEvent {}),
            MachineEvent::Panicked(_) => {
                let action = match self.action.panic {
                    PanicAction::Pause => GuestPanicAction::Pause,
                    PanicAction::None => GuestPanicAction::Run,
                    PanicAction::Shutdown | PanicAction::ExitFailure => GuestPanicAction::Poweroff,
                };
                self.emit(&GuestPanickedEvent { action });
            }
            MachineEvent::DeviceDeleted { id, path } => self.emit(&DeviceDeletedEvent {
                device: id.clone(),
                path: path.clone(),
            }),
        }
    }

    /// Whether the machine stays although its run would end.
    pub(crate) fn hold(&mut self, outcome: &Outcome, machine: &mut Machine) -> bool {
        match outcome {
            // The processor stands for good: staying means to stay paused.
            Outcome::Lockup(text) if matches!(self.action.panic, PanicAction::Pause | PanicAction::None) => {
                let log = &mut machine.sys.log;
                log.warning(format_args!(
                    "the guest's processor is locked up, the machine pauses: {text}"
                ));
                machine.pause(RunState::GuestPanicked);
                self.emit(&StopEvent {});
                true
            }
            Outcome::Lockup(_) => {
                self.emit(&ShutdownEvent {
                    guest: true,
                    reason: ShutdownCause::GuestPanic,
                });
                false
            }
            Outcome::GuestExit(_) => {
                self.hear(&MachineEvent::Shutdown { guest: true });
                false
            }
            _ => false,
        }
    }
}

/// What happens to the machine through the monitor: the attendant is out of its place then, so it tells itself.
impl Cx<'_> {
    /// Stops the processors.
    pub fn pause(&mut self, state: RunState) {
        if self.machine.is_running() {
            self.world.hear(&MachineEvent::Stop);
        }
        self.machine.pause(state);
    }

    /// Lets them go on.
    pub fn resume(&mut self) {
        if !self.machine.is_running() {
            self.world.hear(&MachineEvent::Resume);
        }
        self.machine.resume();
    }

    /// Presses the reset button. A machine that stood stands before its first instruction then.
    pub fn reset(&mut self) {
        if self.machine.policy.reset_ends {
            return self.end(ShutdownCause::HostQmpSystemReset);
        }
        // Recorded, so that a replay resets here too; other attendants hear of it from the machine, this one is out of its place.
        self.machine.reset_from_outside();
        self.world.hear(&MachineEvent::Reset { guest: false });
        if !self.machine.is_running() {
            self.machine.pause(RunState::Prelaunch);
        }
    }

    /// Ends the process in order.
    pub fn end(&mut self, reason: ShutdownCause) {
        self.world.emit(&ShutdownEvent { guest: false, reason });
        self.world.ending = true;
        self.machine.stop_handle().stop();
    }

    /// The reset and shutdown policies in the words of the protocol.
    pub(crate) fn set_policy(&mut self, reboot: Option<RebootAction>, shutdown: Option<ShutdownAction>) {
        if let Some(reboot) = reboot {
            self.machine.policy.reset_ends = reboot == RebootAction::Shutdown;
        }
        if let Some(shutdown) = shutdown {
            self.machine.policy.shutdown_pauses = shutdown == ShutdownAction::Pause;
        }
    }
}
