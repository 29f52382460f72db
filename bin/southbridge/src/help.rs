//! Help texts that need to know machines and devices; all of it comes from their tables.

use southbridge_backend_block as block;
use southbridge_backend_chardev as chardev;
use southbridge_backend_net as net;
use southbridge_cli::command::HelpTopic;
use southbridge_cli::{Config, Location, OptError, Personality, config, help};
use southbridge_core::{PropKind, Property};
use southbridge_machine::help as shared;
use std::fmt::Write;

use crate::emulate::{blocks, board, chardevs, devices, fsdevs, netdevs, objects, trace};

/// The text for a topic.
///
/// # Errors
/// When the topic names a machine, device or object that does not exist.
pub(crate) fn text(topic: &HelpTopic, config: &Config, personality: &Personality) -> Result<String, OptError> {
    Ok(match topic {
        HelpTopic::Chardevs => chardev::help(),
        HelpTopic::ChardevProperties(name) => {
            let at = Location::implied("-chardev");
            chardev::kind_help(chardev::find(name).map_err(|_| chardevs::no_kind(name, at))?)
        }
        HelpTopic::Netdevs => net::help(),
        HelpTopic::NetdevProperties(name) => {
            let at = Location::implied("-netdev");
            net::kind_help(net::find(name).map_err(|_| netdevs::no_kind(name, at))?)
        }
        HelpTopic::Fsdevs => southbridge_backend_fs::help(),
        HelpTopic::FsdevProperties(name) => {
            let at = Location::implied("-fsdev");
            let kind = southbridge_backend_fs::find(name).map_err(|_| fsdevs::no_kind(name, at))?;
            southbridge_backend_fs::kind_help(kind)
        }
        HelpTopic::NicModels => nic_models(config, personality)?,
        HelpTopic::BlockDrivers => block::help(),
        HelpTopic::BlockDriverProperties(name) => {
            let found = block::find(name);
            block::driver_help(found.map_err(|e| blocks::no_driver(&e, name, Location::implied("-blockdev")))?)
        }
        HelpTopic::Machines => machines(personality),
        HelpTopic::MachineProperties(name) => {
            let board = board::find(name, config, personality)?;
            properties(&format!("{name}-machine options:"), board::properties(board))
        }
        HelpTopic::Cpus => cpus(config, personality)?,
        HelpTopic::Devices => device_list(),
        HelpTopic::DeviceProperties(name) => device_properties(name)?,
        HelpTopic::Objects => objects::list(),
        HelpTopic::ObjectProperties(name) => {
            let object = objects::find(name, config)?;
            properties(&format!("{name} options:"), object.properties)
        }
        HelpTopic::TraceEvents => trace::list(),
        topic => help::text(topic, personality).unwrap_or_default(),
    })
}

fn machines(personality: &Personality) -> String {
    let mut out = String::from("Supported machines are:\n");
    for b in board::available(personality) {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{:<20} {}", b.name, b.summary);
    }
    out
}

fn nic_models(config: &Config, personality: &Personality) -> Result<String, OptError> {
    let registry = southbridge_machine::registry();
    let mut out = String::from("Available NIC models:\n");
    match board::choose(config, personality) {
        Ok(b) => {
            for t in netdevs::models(&registry, b) {
                let _ = writeln!(out, "{}", t.name);
            }
        }
        Err(e) if config.machine.type_name.is_some() => return Err(e),
        Err(_) => {
            for t in registry.iter().filter(|t| southbridge_machine::nic::is_nic(t)) {
                let _ = writeln!(out, "{}", t.name);
            }
        }
    }
    Ok(out)
}

fn cpus(config: &Config, personality: &Personality) -> Result<String, OptError> {
    let models: Vec<&str> = match board::choose(config, personality) {
        Ok(b) => b.cpu.iter().flat_map(|c| c.models().to_vec()).collect(),
        Err(e) if config.machine.type_name.is_some() => return Err(e),
        Err(_) => {
            let mut all: Vec<&str> = board::available(personality)
                .filter_map(|b| b.cpu.as_ref())
                .flat_map(|c| c.models().to_vec())
                .collect();
            all.dedup();
            all
        }
    };
    let mut out = String::from("Available CPUs:\n");
    for m in models {
        let _ = writeln!(out, "  {m}");
    }
    Ok(out)
}

fn device_list() -> String {
    let types = shared::device_types(&southbridge_machine::registry());
    format!("{types}\nname \"loader\", desc \"Loads a file or a value into guest memory\"\n")
}

const fn loader(name: &'static str, kind: PropKind, default: Option<&'static str>, help: &'static str) -> Property {
    Property {
        name,
        kind,
        default,
        help,
    }
}

/// What `-device loader` takes; it is a device by its spelling only.
static LOADER: &[Property] = &[
    loader(
        "file",
        PropKind::Str,
        None,
        "ELF or Intel HEX by its contents, else raw",
    ),
    loader(
        "addr",
        PropKind::Uint(64),
        None,
        "where raw bytes or a value go; alone with cpu-num, where execution starts",
    ),
    loader(
        "force-raw",
        PropKind::Bool,
        Some("off"),
        "take the file byte by byte, whatever it is",
    ),
    loader(
        "cpu-num",
        PropKind::Uint(32),
        None,
        "processor that starts at the file's entry point, or at addr",
    ),
    loader("data", PropKind::Uint(64), None, "a value instead of a file"),
    loader("data-len", PropKind::Uint(8), None, "bytes of the value, 1 to 8"),
    loader("data-be", PropKind::Bool, Some("off"), "the value is big-endian"),
];

fn device_properties(name: &str) -> Result<String, OptError> {
    if name == config::LoaderOpt::DRIVER {
        return Ok(properties("loader options:", LOADER));
    }
    let t = devices::find_type(name)?;
    Ok(properties(
        &format!("{name} options:"),
        t.properties.iter().chain(devices::COMMON),
    ))
}

fn properties<'p>(head: &str, all: impl IntoIterator<Item = &'p Property>) -> String {
    shared::properties(head, all)
}

#[cfg(test)]
mod tests {
    use super::{LOADER, config::LoaderOpt};

    #[test]
    fn the_loader_s_table_has_what_its_parser_takes() {
        let mut ours: Vec<_> = LOADER.iter().map(|p| p.name).collect();
        let mut parser = LoaderOpt::KEYS.to_vec();
        ours.sort_unstable();
        parser.sort_unstable();
        assert_eq!(ours, parser);
    }
}
