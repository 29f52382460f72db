//! `-netdev`, `-nic` and `-net`: network back ends and NICs, as words with places.
//!
//! Which kinds of back ends there are and what each takes stands in one table of the back ends' own crate; the machine layer judges by
//! that.

use crate::command::HelpTopic;
use crate::error::{ErrorKind, OptError};
use crate::keyval::Props;
use crate::location::{Located, Location};

use super::{Config, Info, id};

/// A back end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetdevOpt {
    /// Its name.
    pub id: Located<String>,
    /// The kind's name as given.
    pub kind: Located<String>,
    /// All keys as given, except these two.
    pub props: Props,
}

/// A NIC whose place nobody said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NicOpt {
    /// Type of the device, or the board's own.
    pub model: Option<Located<String>>,
    /// Address, or the next one.
    pub mac: Option<Located<String>>,
    /// Its back end, by id.
    pub netdev: Option<Located<String>>,
    /// Its name as a device.
    pub name: Option<Located<String>>,
    /// The rest of what was said about it: properties of the device.
    pub props: Props,
}

impl NicOpt {
    /// The option's own name, to be marked when no single word is wrong.
    pub fn at(&self) -> Location {
        self.props.at()
    }
}

/// All that the command line says about the network.
#[derive(Debug, Clone, Default)]
pub struct NetOpts {
    /// Back ends in order, those that `-nic` and `-net` make among them.
    pub netdevs: Vec<NetdevOpt>,
    /// NICs without place, in order.
    pub nics: Vec<NicOpt>,
    /// `-nic none` or `-net none`: no NIC that nobody asks for.
    pub none: bool,
    ports: usize,
}

/// Keys of `-nic` that are about the NIC and not its back end.
const NIC_KEYS: [&str; 4] = ["model", "mac", "macaddr", "addr"];
/// Keys of `-net nic`.
const LEGACY_KEYS: [&str; 7] = ["model", "macaddr", "netdev", "name", "addr", "vectors", "id"];

fn asks_for_help(value: Option<&Located<String>>) -> bool {
    value.is_some_and(|v| v.value == "help" || v.value == "?")
}

/// Help on the kinds, or on one of them.
fn help(props: &Props, config: &mut Config) -> bool {
    if asks_for_help(props.text("model").as_ref()) {
        config.show(Info::Help(HelpTopic::NicModels));
        return true;
    }
    if props.help_at().is_none() {
        return false;
    }
    let kind = props.text("type").map(|t| t.value).filter(|t| t != "help" && t != "?");
    config.show(Info::Help(kind.map_or(HelpTopic::Netdevs, HelpTopic::NetdevProperties)));
    true
}

/// `-netdev`.
pub(super) fn netdev(props: Props, config: &mut Config) -> Result<(), OptError> {
    if help(&props, config) {
        return Ok(());
    }
    let id = new_id(&props, config)?
        .ok_or_else(|| OptError::missing("-netdev", "'id'", props.at()).with_help("add id=NAME"))?;
    add(id, props, "-netdev", &[], config)
}

fn new_id(props: &Props, config: &Config) -> Result<Option<Located<String>>, OptError> {
    id(props, "netdev", config.net.netdevs.iter().map(|n| &n.id))
}

fn add(id: Located<String>, props: Props, option: &str, without: &[&str], config: &mut Config) -> Result<(), OptError> {
    let kind = props.required(option, "type")?;
    let mut keys = vec!["id", "type"];
    keys.extend(without);
    let props = props.without(&keys);
    config.net.netdevs.push(NetdevOpt { id, kind, props });
    Ok(())
}

/// The name of a back end that has none, as QEMU makes them.
fn own_id(config: &Config, at: Location) -> Located<String> {
    let taken = |id: &str| config.net.netdevs.iter().any(|n| n.id.value == id);
    let free = (0..).map(|n| format!("#net{n:03}")).find(|id| !taken(id));
    Located::new(free.unwrap_or_default(), at)
}

/// `-nic`.
pub(super) fn nic(props: Props, config: &mut Config) -> Result<(), OptError> {
    if help(&props, config) {
        return Ok(());
    }
    let kind = props.required("-nic", "type")?;
    if kind.value == "none" {
        return none(&props, "-nic", config);
    }
    let id = new_id(&props, config)?.unwrap_or_else(|| own_id(config, props.at()));
    config.net.nics.push(NicOpt {
        model: props.text("model"),
        mac: props.text("mac").or_else(|| props.text("macaddr")),
        netdev: Some(id.clone()),
        name: None,
        props: only(&props, &["addr"]),
    });
    add(id, props, "-nic", &NIC_KEYS, config)
}

/// The list without all but some keys.
fn only(props: &Props, keys: &[&str]) -> Props {
    let others: Vec<_> = props
        .entries()
        .iter()
        .map(|e| e.key.clone())
        .filter(|k| !keys.contains(&k.as_str()))
        .collect();
    let others: Vec<&str> = others.iter().map(String::as_str).collect();
    props.clone().without(&others)
}

fn none(props: &Props, option: &str, config: &mut Config) -> Result<(), OptError> {
    props.only(option, &["type"])?;
    config.net.none = true;
    Ok(())
}

/// `-net`: a NIC or a back end at the hub 0.
pub(super) fn net(props: Props, config: &mut Config) -> Result<(), OptError> {
    if help(&props, config) {
        return Ok(());
    }
    let kind = props.required("-net", "type")?;
    match kind.value.as_str() {
        "none" => none(&props, "-net", config),
        "nic" => legacy_nic(&props, config),
        "hubport" => {
            let why = "-net puts everything at the hub 0 by itself".to_owned();
            Err(OptError::new(ErrorKind::Refused { why }, kind.at).with_help("use -netdev hubport"))
        }
        _ => {
            // Old command lines call it by 'name'.
            let given = new_id(&props, config)?.or_else(|| props.text("name"));
            let id = given.unwrap_or_else(|| own_id(config, props.at()));
            let port = props.at();
            add(id.clone(), props, "-net", &["name"], config)?;
            hub_port(Some(&id.value), port, config);
            Ok(())
        }
    }
}

fn legacy_nic(props: &Props, config: &mut Config) -> Result<(), OptError> {
    props.only("-net nic", &[&LEGACY_KEYS[..], &["type"]].concat())?;
    let netdev = match props.text("netdev") {
        Some(id) => id,
        None => hub_port(None, props.at(), config),
    };
    config.net.nics.push(NicOpt {
        model: props.text("model"),
        mac: props.text("macaddr"),
        netdev: Some(netdev),
        name: props.text("name").or_else(|| props.text("id")),
        props: only(props, &["addr", "vectors"]),
    });
    Ok(())
}

/// One more port of the hub 0; its name.
fn hub_port(netdev: Option<&str>, at: Location, config: &mut Config) -> Located<String> {
    let id = Located::new(format!("hub0port{}", config.net.ports), at.clone());
    config.net.ports += 1;
    let mut props = Props::empty("-net");
    props.push("hubid", "0", &at);
    if let Some(netdev) = netdev {
        props.push("netdev", netdev, &at);
    }
    config.net.netdevs.push(NetdevOpt {
        id: id.clone(),
        kind: Located::new("hubport".to_owned(), at),
        props,
    });
    id
}

/// What can only be seen when all options are known: NICs name back ends that are there.
pub(super) fn check_references(config: &Config) -> Result<(), OptError> {
    let known = || config.net.netdevs.iter().map(|n| n.id.value.as_str());
    for nic in &config.net.nics {
        if let Some(id) = nic.netdev.as_ref().filter(|id| !known().any(|k| k == id.value)) {
            return Err(no_netdev(&id.value, &known().collect::<Vec<_>>(), id.at.clone()));
        }
    }
    Ok(())
}

/// The error that a name is no back end's; also for the machine layer.
pub fn no_netdev(name: &str, known: &[&str], at: Location) -> OptError {
    let error = OptError::no_such("netdev", name, known, at);
    if known.is_empty() {
        error.with_help("make it with -netdev TYPE,id=NAME")
    } else {
        error
    }
}
