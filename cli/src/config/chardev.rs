//! `-chardev`: a channel for characters, as words with places.
//!
//! Which back ends there are and what each takes stands in one table of the back ends' own crate; the machine layer judges by that.

use crate::command::HelpTopic;
use crate::error::OptError;
use crate::keyval::Props;
use crate::location::{Located, Location};

use super::{Config, Info, id};

/// A channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChardevOpt {
    /// Its name.
    pub id: Located<String>,
    /// The back end's name as given.
    pub backend: Located<String>,
    /// All keys as given, except these two.
    pub props: Props,
}

pub(super) fn option(props: Props, config: &mut Config) -> Result<(), OptError> {
    if props.help_at().is_some() {
        let name = props
            .text("backend")
            .map(|b| b.value)
            .filter(|b| b != "help" && b != "?");
        config.show(Info::Help(
            name.map_or(HelpTopic::Chardevs, HelpTopic::ChardevProperties),
        ));
        return Ok(());
    }
    let id = id(&props, "chardev", config.chardevs.iter().map(|c| &c.id))?
        .ok_or_else(|| OptError::missing("-chardev", "'id'", props.at()).with_help("add id=NAME"))?;
    config.chardevs.push(parse(id, props)?);
    Ok(())
}

/// Reads a channel. Also for the short forms of `-serial`, which are turned into a list first.
pub(super) fn parse(id: Located<String>, props: Props) -> Result<ChardevOpt, OptError> {
    let backend = props.required("-chardev", "backend")?;
    Ok(ChardevOpt {
        id,
        backend,
        props: props.without(&["id", "backend"]),
    })
}

/// Names of channels that options use must be those of channels. Devices and other channels name theirs through properties, which
/// only the machine layer knows.
pub(super) fn check_references(config: &Config) -> Result<(), OptError> {
    let known: Vec<&str> = config.chardevs.iter().map(|c| c.id.value.as_str()).collect();
    let mut used: Vec<&Located<String>> = config.semihosting.chardev.iter().collect();
    let channels = config.serials.iter().chain(config.monitors.iter().map(|m| &m.channel));
    used.extend(channels.filter_map(|s| match &s.backend {
        super::SerialBackend::Existing(id) => Some(id),
        _ => None,
    }));
    match used.into_iter().find(|name| !known.contains(&name.value.as_str())) {
        Some(name) => Err(no_chardev(&name.value, &known, name.at.clone())),
        None => Ok(()),
    }
}

/// The error that a name is no channel's; also for the machine layer.
pub fn no_chardev(name: &str, known: &[&str], at: Location) -> OptError {
    let error = OptError::no_such("chardev", name, known, at);
    if known.is_empty() {
        error.with_help("make it with -chardev BACKEND,id=NAME")
    } else {
        error
    }
}
