//! The monitor: programs and people drive a machine through it, between two instructions.
//!
//! [`Monitor`] is the machine's attendant. It owns the connections ([`qmp`], [`hmp`]), what belongs to the machine but not into it ([`World`]:
//! back ends by name, objects, descriptors), and runs commands (`commands`) whose shapes the schema ([`schema`]) gives. What commands
//! tell of the machine is read from the machine (`tree`); nothing is kept twice.

mod commands;
pub mod hmp;
pub mod qmp;
pub mod schema;
mod tree;
mod world;

use southbridge_core::{Attendant, Machine, MachineEvent};
use southbridge_protocol_qmp::Error;
use std::collections::VecDeque;
use std::os::fd::OwnedFd;

use qmp::Connections;
pub use world::{Facts, World};

/// What a command works with.
pub struct Cx<'a> {
    /// The machine.
    pub machine: &'a mut Machine,
    /// What belongs to it.
    pub world: &'a mut World,
    /// Descriptors that the client has sent and no command has taken yet.
    pub sent: &'a mut VecDeque<OwnedFd>,
}

/// Runs a line of the human monitor and gives its output.
pub type HumanMonitor = fn(&mut Cx<'_>, &str) -> String;

/// Drives a machine from outside.
pub struct Monitor {
    world: World,
    connections: Connections,
    consoles: hmp::Consoles,
}

impl Monitor {
    /// A monitor without connections.
    pub fn new(world: World) -> Self {
        Self {
            world,
            connections: Connections::default(),
            consoles: hmp::Consoles::default(),
        }
    }

    /// Speaks QMP on a character back end, which must not be in use. A socket server takes any number of clients, each with a
    /// conversation of its own.
    ///
    /// # Errors
    /// When the back end is in use or gone.
    pub fn listen(&mut self, machine: &mut Machine, chardev: &str, pretty: bool) -> Result<(), String> {
        self.connections.listen(machine, &self.world, chardev, pretty)
    }

    /// Lets people type commands ([`hmp`]) on a character back end; `plain` is for programs, which want no echo. Behind the menu of a
    /// shared one it stays in the background until it is switched to.
    ///
    /// # Errors
    /// When the back end is in use or gone.
    pub fn listen_human(&mut self, machine: &mut Machine, chardev: &str, plain: bool) -> Result<(), String> {
        self.consoles.listen(machine, &self.world, chardev, plain)
    }

    /// Works with the machine and what belongs to it, and tells QMP's clients what came of it.
    pub fn with<R>(&mut self, machine: &mut Machine, f: impl FnOnce(&mut Cx<'_>) -> R) -> R {
        let result = f(&mut Cx {
            machine,
            world: &mut self.world,
            sent: &mut VecDeque::new(),
        });
        self.connections.tell_events(machine, &mut self.world);
        result
    }

    /// What belongs to the machine.
    pub fn world(&mut self) -> &mut World {
        &mut self.world
    }
}

impl Attendant for Monitor {
    fn attend(&mut self, machine: &mut Machine) {
        self.connections.attend(machine, &mut self.world);
        self.consoles.attend(machine, &mut self.world);
        commands::block::follow(machine);
        self.world.hear_migration();
        self.world.hear_netdevs(machine);
        self.world.announce_arrival(machine);
        self.connections.tell_events(machine, &mut self.world);
    }

    fn on_event(&mut self, event: &MachineEvent, machine: &mut Machine) {
        match event {
            MachineEvent::Notice(notice) => {
                let mut notice = notice.clone();
                commands::balloon::translate(&mut notice, machine, &self.world);
                commands::block::translate(&mut notice, machine, &self.world);
                self.world.hear(&MachineEvent::Notice(notice));
            }
            event => self.world.hear(event),
        }
        match event {
            MachineEvent::DeviceDeleted { .. } => commands::block::sweep(machine),
            MachineEvent::Resume => commands::block::follow(machine),
            _ => {}
        }
        self.connections.tell_events(machine, &mut self.world);
    }
}

/// A command by name, with arguments that nobody has looked at yet.
pub(crate) fn run(
    cx: &mut Cx<'_>,
    name: &str,
    arguments: serde_json::Map<String, serde_json::Value>,
    out_of_band: bool,
) -> Result<serde_json::Value, Error> {
    let schema = schema::schema();
    let command = schema.command(name).ok_or_else(|| commands::unknown(name))?;
    if out_of_band && !command.out_of_band {
        return Err(Error::generic(format!("The command {name} does not support OOB")));
    }
    schema::check_arguments(schema, name, &arguments).map_err(Error::generic)?;
    let answer = commands::dispatch(cx, name, arguments.into())?;
    debug_assert_eq!(schema::check_answer(schema, name, &answer), Ok(()), "{name}");
    Ok(answer)
}
