//! `-monitor`, `-qmp`, `-mon`, and what a monitor has to know.

use southbridge_cli::config::SerialBackend;
use southbridge_cli::error::ErrorKind;
use southbridge_cli::personality::Role;
use southbridge_cli::{Config, OptError, Personality};
use southbridge_core::Machine;
use southbridge_machine::{Layout, Objects, registry};
use southbridge_monitor::schema::SysEmuTarget;
use southbridge_monitor::{Facts, Monitor, World};

use super::chardevs::Chardevs;
use super::migration::Saved;
use super::netdevs::Netdevs;
use super::{board, devices};

/// What a monitor knows beside the machine.
pub(crate) struct Around<'a> {
    pub(crate) layout: Layout,
    pub(crate) netdevs: &'a Netdevs,
    pub(crate) objects: Objects,
    pub(crate) saved: &'a Saved,
}

/// Puts a monitor beside the machine and lets it listen where the options say. It takes over what can be changed while the machine
/// runs.
///
/// # Errors
/// When a channel does not exist or is in use.
pub(crate) fn attach(
    config: &Config,
    personality: &Personality,
    machine: &mut Machine,
    chardevs: &mut Chardevs,
    around: Around<'_>,
) -> Result<(), OptError> {
    let Around {
        layout,
        netdevs,
        objects,
        saved,
    } = around;
    let mut channels = Vec::new();
    for option in &config.monitors {
        if let Some(id) = chardevs.channel_id(&option.channel, machine)? {
            channels.push((id, option.human, option.pretty));
        }
    }
    // A port that shares its channel with the monitor has opened it.
    for port in config.serial_ports().iter().filter(|p| p.monitor) {
        if let SerialBackend::Own(option) = &port.backend {
            channels.push((option.id.value.clone(), true, false));
        }
    }
    let facts = facts(config, personality);
    let mut world = World::new(facts, layout, registry(), chardevs.directory(), objects);
    world.set_netdevs(machine, netdevs.directory());
    world.snapshots = saved.snapshots.clone();
    world.set_migration(machine, saved.migration.clone());
    world.globals = devices::globals(config)?;
    let mut monitor = Monitor::new(world);
    for (id, human, pretty) in channels {
        let attached = match human {
            true => monitor.listen_human(machine, &id, false),
            false => monitor.listen(machine, &id, pretty),
        };
        attached.map_err(|why| OptError::nowhere(ErrorKind::Refused { why }))?;
    }
    machine.add_attendant(Box::new(monitor));
    Ok(())
}

fn facts(config: &Config, personality: &Personality) -> Facts {
    let target = match personality.role {
        Role::QemuSystem(target) => SysEmuTarget::ALL.iter().copied().find(|t| t.name() == target),
        _ => None,
    };
    let text = |o: &Option<southbridge_cli::Located<String>>| o.as_ref().map(|t| t.value.clone()).unwrap_or_default();
    Facts {
        name: config.name.guest.clone(),
        uuid: config.uuid.unwrap_or_default(),
        target: target.unwrap_or(SysEmuTarget::Arm),
        machines: board::available(personality).map(|b| b.name).collect(),
        kernel: text(&config.kernel),
        append: text(&config.append),
    }
}
