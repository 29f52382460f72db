//! Who uses which chardev: one that is not shared has one user, and a second is told who the first is.

use southbridge_cli::config::{ChardevOpt, SerialBackend, SerialOpt};
use southbridge_cli::error::ErrorKind;
use southbridge_cli::{Config, Location, OptError};
use southbridge_core::PropKind;
use southbridge_machine::registry;
use std::collections::BTreeMap;

/// Checks all options that name a chardev, before anything is opened.
///
/// # Errors
/// At the second user of a chardev that cannot be shared.
pub(crate) fn check(config: &Config) -> Result<(), OptError> {
    let mut first: BTreeMap<&str, Location> = BTreeMap::new();
    for (id, at) in uses(config) {
        if is_shared(config, id) {
            continue;
        }
        if let Some(earlier) = first.get(id) {
            let why = format!("chardev '{id}' is in use already");
            return Err(OptError::new(ErrorKind::Refused { why }, at)
                .with_also(earlier.clone(), "first used here")
                .with_help(format!("share it with mux=on, as in -chardev ...,id={id},mux=on")));
        }
        first.insert(id, at);
    }
    Ok(())
}

/// All words that name a chardev, in the order in which the devices behind them are made.
fn uses(config: &Config) -> Vec<(&str, Location)> {
    let mut uses = Vec::new();
    for joint in config.chardevs.iter().filter(|c| c.backend.value == "hub") {
        let parts = joint.props.entries().iter().filter(|e| e.key.starts_with("chardevs."));
        uses.extend(parts.map(|e| (e.value.as_str(), e.value_at.clone())));
    }
    uses.extend(config.serials.iter().filter_map(named));
    for device in &config.devices {
        let t = registry().get(&device.driver.value);
        for e in device.props.entries() {
            let p = t.and_then(|t| t.properties.iter().find(|p| p.name == e.key));
            if p.is_some_and(|p| p.kind == PropKind::Backend("chardev")) {
                uses.push((e.value.as_str(), e.value_at.clone()));
            }
        }
    }
    let semihosting = config.semihosting.chardev.iter().filter(|_| config.semihosting.enabled);
    uses.extend(semihosting.map(|id| (id.value.as_str(), id.at.clone())));
    let monitors = config.monitors.iter().map(|m| &m.channel);
    uses.extend(config.qtest.iter().chain(&config.gdb).chain(monitors).filter_map(named));
    uses
}

fn named(channel: &SerialOpt) -> Option<(&str, Location)> {
    match &channel.backend {
        SerialBackend::Existing(id) => Some((&id.value, id.at.clone())),
        _ => None,
    }
}

/// Whether several may use it: it says `mux=on`, is a `mux`, or a `mux` stands on it.
fn is_shared(config: &Config, id: &str) -> bool {
    let on = |c: &ChardevOpt| matches!(c.props.switch("mux"), Ok(Some(s)) if s.value);
    let is = |c: &&ChardevOpt| c.id.value == id && (on(c) || c.backend.value == "mux");
    let stands_on =
        |c: &&ChardevOpt| c.backend.value == "mux" && c.props.text("chardev").is_some_and(|t| t.value == id);
    config.chardevs.iter().any(|c| is(&c) || stands_on(&c))
}
