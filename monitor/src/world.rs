//! What belongs to a machine and not into it: names, back ends, objects, descriptors, and the events on their way to clients.

use serde_json::{Map, Value};
use southbridge_backend_chardev::Chardevs;
use southbridge_backend_net::{Announce, Message, Netdev, Netdevs};
use southbridge_core::machine::{self, Cause, PanicPolicy};
use southbridge_core::{Machine, MachineEvent, Notice, NoticeValue, PropValue, Registry, RunState};
use southbridge_machine::{Layout, objects::Objects, qom};
use southbridge_migration::{Capability, Migration, Snapshots, Status, Step};
use std::cell::OnceCell;
use std::collections::{BTreeMap, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use crate::commands::fds::FdSets;
use crate::schema::{
    DeviceDeletedEvent, DumpQueryResult, DumpStatus, Event, GuestPanicAction, GuestPanickedEvent, MigrationEvent,
    MigrationPassEvent, PanicAction, PowerdownEvent, RebootAction, ResetEvent, ResumeEvent, SetActionArgs,
    ShutdownAction, ShutdownCause, ShutdownEvent, StopEvent, SysEmuTarget, check_event, schema,
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
    /// Network back ends.
    pub netdevs: Netdevs,
    /// Objects.
    pub objects: Objects,
    /// Saved states by name. In memory unless whoever makes the world says otherwise.
    pub snapshots: Snapshots,
    /// The human monitor, where there is one.
    pub human: Option<HumanMonitor>,
    /// What it remembers.
    pub hmp: crate::hmp::Memory,
    pub(crate) migration: Option<Migration>,
    /// What is set for migrations.
    pub(crate) settings: crate::commands::migration::Settings,
    moved: Arc<Mutex<VecDeque<Step>>>,
    /// What network back ends have told.
    told: Arc<Mutex<VecDeque<Message>>>,
    /// The machine has come from elsewhere, and its networks have not been told.
    arrived: bool,
    pub(crate) named_fds: BTreeMap<String, OwnedFd>,
    pub(crate) fd_sets: FdSets,
    pub(crate) last_dump: DumpQueryResult,
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
    /// The objects, and what finds the back ends that they lean on.
    pub(crate) fn objects_and_backends(
        &mut self,
    ) -> (
        &mut Objects,
        impl Fn(&'static str, &str) -> Option<southbridge_core::BackendId>,
    ) {
        let (chardevs, netdevs) = (&self.chardevs, &self.netdevs);
        let find = move |kind: &'static str, id: &str| match kind {
            "chardev" => chardevs.get(id),
            "netdev" => netdevs.get(id),
            _ => None,
        };
        (&mut self.objects, find)
    }

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
            netdevs: Netdevs::default(),
            objects,
            snapshots,
            human: Some(crate::hmp::execute_for_qmp),
            hmp: crate::hmp::Memory::default(),
            migration: None,
            settings: crate::commands::migration::Settings::default(),
            moved: Arc::default(),
            told: Arc::default(),
            arrived: false,
            named_fds: BTreeMap::new(),
            fd_sets: FdSets::default(),
            last_dump: DumpQueryResult {
                status: DumpStatus::None,
                completed: 0,
                total: 0,
            },
            events: VecDeque::new(),
        }
    }

    /// Where the things of the board are in the object tree.
    pub(crate) fn places(&self, machine: &Machine) -> &[(String, qom::Thing)] {
        self.places.get_or_init(|| qom::places(&self.layout, machine))
    }

    /// Takes over network back ends, and tells clients what they have to tell.
    pub fn set_netdevs(&mut self, machine: &Machine, netdevs: Netdevs) {
        let (told, caller) = (self.told.clone(), machine.caller());
        netdevs.messages().on_message(move |message| {
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            // A peer that comes and goes all the time must not fill the memory while nobody listens.
            if told.len() < 1024 {
                told.push_back(message.clone());
            }
            drop(told);
            caller.call();
        });
        self.netdevs = netdevs;
    }

    /// Turns what network back ends have told into events.
    pub(crate) fn hear_netdevs(&mut self, machine: &Machine) {
        let heard: Vec<_> = self
            .told
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .drain(..)
            .collect();
        for message in heard {
            let event = crate::commands::net::event(&message, machine, self);
            self.events.extend(event);
        }
    }

    /// Lets clients send the machine away, and tells them how far it is.
    pub fn set_migration(&mut self, machine: &Machine, migration: Migration) {
        let (moved, caller) = (self.moved.clone(), machine.caller());
        migration.on_step(move |step| {
            moved.lock().unwrap_or_else(PoisonError::into_inner).push_back(step);
            caller.call();
        });
        self.migration = Some(migration);
    }

    /// Turns what the migration has come to into events, where somebody asked for them.
    pub(crate) fn hear_migration(&mut self) {
        self.hear_steps(None);
    }

    /// That it has begun, and no more: its own thread may be further already, but that comes after the answer of the command.
    pub(crate) fn hear_begin(&mut self) {
        self.hear_steps(Some(Step::Status(Status::Setup)));
    }

    fn hear_steps(&mut self, last: Option<Step>) {
        let queue = self.moved.clone();
        let mut moved = queue.lock().unwrap_or_else(PoisonError::into_inner);
        let end = moved.iter().position(|step| Some(*step) == last);
        let end = end.map_or(moved.len(), |i| i + 1);
        let heard: Vec<_> = moved.drain(..end).collect();
        drop(moved);
        let incoming = self.migration.as_ref().is_some_and(|m| m.query().incoming);
        self.arrived |= incoming && heard.contains(&Step::Status(Status::Completed));
        let wanted = self
            .migration
            .as_ref()
            .is_some_and(|m| m.has_capability(Capability::Events));
        for step in heard.into_iter().filter(|_| wanted) {
            match step {
                Step::Status(status) => {
                    let status = crate::commands::migration::status(status);
                    self.emit(&MigrationEvent { status });
                }
                Step::Pass(pass) => self.emit(&MigrationPassEvent { pass: pass.into() }),
            }
        }
    }

    /// The NICs of a machine that has come from elsewhere announce themselves, so that the switches of their networks learn the way.
    pub(crate) fn announce_arrival(&mut self, machine: &mut Machine) {
        if !std::mem::take(&mut self.arrived) {
            return;
        }
        let set = &self.settings.parameters;
        let usual = Announce::default();
        let of = |value: Option<u64>, usual| value.unwrap_or(usual);
        let announce = Announce {
            initial: of(set.announce_initial, usual.initial),
            max: of(set.announce_max, usual.max),
            rounds: of(set.announce_rounds, usual.rounds),
            step: of(set.announce_step, usual.step),
        };
        for (_, backend) in self.netdevs.iter() {
            if let Some((netdev, mut cx)) = machine.sys.host.get::<Netdev>(backend) {
                netdev.announce(announce, &mut cx);
            }
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

    /// A device says what the event has; who it is, the event says as its own member.
    fn hear_notice(&mut self, notice: &Notice) {
        let value = |v: &NoticeValue| match v {
            NoticeValue::Bool(b) => Value::from(*b),
            NoticeValue::Number(n) => Value::from(*n),
            NoticeValue::Text(t) => Value::from(t.as_str()),
        };
        let data: Map<String, Value> = notice
            .members
            .iter()
            .map(|(name, v)| ((*name).to_owned(), value(v)))
            .collect();
        debug_assert_eq!(check_event(schema(), notice.event, &data), Ok(()), "{}", notice.event);
        self.events.push_back((notice.event, data));
    }

    /// Turns what happened to the machine into events.
    pub(crate) fn hear(&mut self, event: &MachineEvent) {
        // What a migration came to before comes before.
        self.hear_migration();
        match event {
            MachineEvent::Stop => self.emit(&StopEvent {}),
            MachineEvent::Resume => self.emit(&ResumeEvent {}),
            MachineEvent::Reset { cause } => self.emit(&ResetEvent {
                guest: cause.is_guest(),
                reason: reason(*cause),
            }),
            MachineEvent::Shutdown { cause } => self.emit(&ShutdownEvent {
                guest: cause.is_guest(),
                reason: reason(*cause),
            }),
            MachineEvent::Powerdown => self.emit(&PowerdownEvent {}),
            MachineEvent::Panicked { action } => self.emit(&GuestPanickedEvent {
                action: match action {
                    machine::PanicAction::Pause => GuestPanicAction::Pause,
                    machine::PanicAction::Run => GuestPanicAction::Run,
                    machine::PanicAction::Poweroff => GuestPanicAction::Poweroff,
                },
            }),
            MachineEvent::Notice(notice) => self.hear_notice(notice),
            MachineEvent::DeviceDeleted { id, path } => self.emit(&DeviceDeletedEvent {
                device: id.clone(),
                path: path.clone(),
            }),
        }
    }
}

fn reason(cause: Cause) -> ShutdownCause {
    let all = ShutdownCause::ALL.iter().copied();
    all.into_iter()
        .find(|c| c.name() == cause.name())
        .unwrap_or(ShutdownCause::None)
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
            return self.machine.request_power_off(Cause::HostReset);
        }
        // Recorded, so that a replay resets here too; other attendants hear of it from the machine, this one is out of its place.
        self.machine.reset_from_outside();
        self.world.hear(&MachineEvent::Reset {
            cause: Cause::HostReset,
        });
        if !self.machine.is_running() {
            self.machine.pause(RunState::Prelaunch);
        }
    }

    /// The policies in the words of the protocol; what is missing stays.
    pub(crate) fn set_policy(&mut self, args: &SetActionArgs) {
        let policy = &mut self.machine.policy;
        if let Some(reboot) = args.reboot {
            policy.reset_ends = reboot == RebootAction::Shutdown;
        }
        if let Some(shutdown) = args.shutdown {
            policy.shutdown_pauses = shutdown == ShutdownAction::Pause;
        }
        policy.panic = match args.panic {
            Some(PanicAction::Pause) => PanicPolicy::Pause,
            Some(PanicAction::Shutdown) => PanicPolicy::Shutdown,
            Some(PanicAction::ExitFailure) => PanicPolicy::ExitFailure,
            Some(PanicAction::None) => PanicPolicy::None,
            None => policy.panic,
        };
    }
}
