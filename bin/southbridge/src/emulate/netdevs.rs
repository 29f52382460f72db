//! `-netdev`, `-nic` and `-net`: back ends opened and given their names, NICs given their places.

use southbridge_backend_net as net;
use southbridge_backend_net::{Message, NetError};
use southbridge_cli::config::{NetdevOpt, NicOpt};
use southbridge_cli::error::ErrorKind;
use southbridge_cli::{Config, Located, Location, OptError};
use southbridge_core::{BackendId, DeviceType, Machine, Registry};
use southbridge_machine::add::{Spec, Surroundings, add_device};
use southbridge_machine::board::Board;
use southbridge_machine::nic::{self, NicWish};
use southbridge_machine::{Built, registry};

use super::chardevs::Chardevs;
use super::options::{self, Words};
use crate::say;

/// The type of NICs for which neither the user nor the board has one.
const DEFAULT_MODEL: &str = "virtio-net-pci";

/// All network back ends of the machine.
pub(crate) struct Netdevs(net::Netdevs);

/// Opens everything that `-netdev`, `-nic` and `-net` name.
///
/// # Errors
/// When an option is wrong or the host refuses.
pub(crate) fn open(config: &Config, machine: &mut Machine, chardevs: &Chardevs) -> Result<Netdevs, OptError> {
    let mut all = net::Netdevs::default();
    all.chardevs = chardevs.directory();
    all.messages().on_message(|m| {
        if let Message::Warning(text) = m {
            say::tell(&say::plain(format!("warning: {text}")));
        }
    });
    for option in in_order(&config.net.netdevs) {
        let opened = all.open(
            &mut machine.sys.host,
            &option.kind.value,
            &option.id.value,
            pairs(option),
        );
        opened.map_err(|e| refused(option, &e))?;
    }
    Ok(Netdevs(all))
}

/// Ports of hubs refer to others, which may stand behind them on the line.
fn in_order(options: &[NetdevOpt]) -> impl Iterator<Item = &NetdevOpt> {
    let joint = |o: &&NetdevOpt| o.kind.value == "hubport";
    options
        .iter()
        .filter(move |o| !joint(o))
        .chain(options.iter().filter(joint))
}

fn pairs(option: &NetdevOpt) -> impl Iterator<Item = (&str, &str)> {
    let entries = option.props.entries().iter();
    entries.map(|e| (e.key.as_str(), e.value.as_str()))
}

impl Netdevs {
    /// The directory, for who opens and closes back ends while the machine runs.
    pub(crate) fn directory(&self) -> net::Netdevs {
        self.0.clone()
    }

    /// The back end of an id.
    pub(crate) fn get(&self, id: &str) -> Option<BackendId> {
        self.0.get(id)
    }

    /// The back end of an id from a property.
    ///
    /// # Errors
    /// When there is none of that id.
    pub(crate) fn find(&self, id: &Located<String>) -> Result<BackendId, OptError> {
        let known: Vec<_> = self.0.iter().map(|(name, _)| name).collect();
        let missing = || southbridge_cli::config::net::no_netdev(&id.value, &known, id.at.clone());
        self.0.get(&id.value).ok_or_else(missing)
    }

    /// The NICs that the options want, without their places.
    ///
    /// # Errors
    /// When one names no back end.
    pub(crate) fn wishes(&self, config: &Config) -> Result<Vec<NicWish>, OptError> {
        let wish = |n: &NicOpt| {
            let netdev = n.netdev.as_ref().map(|id| Ok((id.value.clone(), self.find(id)?)));
            Ok(NicWish {
                model: n.model.as_ref().map(|m| m.value.clone()),
                mac: n.mac.as_ref().and_then(|m| net::parse_mac(&m.value)),
                netdev: netdev.transpose()?,
            })
        };
        config.net.nics.iter().map(wish).collect()
    }
}

/// Gives those NICs a place that no NIC of the board is: on the bus that takes them.
///
/// # Errors
/// When a device refuses what was said about it.
pub(crate) fn add_nics(config: &Config, built: &mut Built, around: &Surroundings<'_>) -> Result<(), OptError> {
    let places = built.layout.nics.clone();
    let wanted = config
        .net
        .nics
        .iter()
        .zip(places)
        .filter(|(_, (_, on_board))| !on_board);
    for (option, (mac, _)) in wanted {
        let board = built.layout.board;
        let said = option.model.as_ref().map(|m| nic::model_name(&m.value));
        let fits = |m: &&str| models(around.registry, board).any(|t| t.name == *m && t.user_creatable);
        let Some(model) = said.or(Some(DEFAULT_MODEL)).filter(fits) else {
            let what = option.netdev.as_ref().map_or("", |n| n.value.as_str());
            say::tell(&format!(
                "warning: machine '{}' has no place for the network device of '{what}', which is not created",
                board.name
            ));
            continue;
        };
        let mac = net::show_mac(mac);
        let mut properties = vec![("mac", mac.as_str())];
        properties.extend(option.netdev.as_ref().map(|n| ("netdev", n.value.as_str())));
        let own = option.props.entries().iter();
        properties.extend(own.map(|e| (e.key.as_str(), e.value.as_str())));
        let spec = Spec {
            driver: model,
            id: option.name.as_ref().map(|n| n.value.as_str()),
            bus: None,
            properties,
        };
        let added = add_device(&mut built.machine, &mut built.layout, around, &spec);
        added.map_err(|e| OptError::new(ErrorKind::Refused { why: e.to_string() }, option.at()))?;
    }
    Ok(())
}

/// Checks every word against the tables, before anything is opened.
///
/// # Errors
/// At the first word that is wrong.
pub(crate) fn check(config: &Config, board: &Board) -> Result<(), OptError> {
    for option in &config.net.netdevs {
        let parsed = net::find(&option.kind.value).and_then(|kind| net::parse(kind, pairs(option)));
        parsed.map_err(|e| refused(option, &e))?;
    }
    let registry = registry();
    for nic in &config.net.nics {
        if let Some(mac) = nic.mac.as_ref().filter(|m| net::parse_mac(&m.value).is_none()) {
            let expected = "six bytes in hexadecimal like 52:54:00:12:34:56, the first one even";
            return Err(OptError::bad_value(Some("mac"), &mac.value, expected, mac.at.clone()));
        }
        if let Some(model) = &nic.model
            && !models(&registry, board).any(|t| t.name == nic::model_name(&model.value))
        {
            let names = models(&registry, board).map(|t| t.name);
            return Err(OptError::no_such(
                "network device for this machine",
                &model.value,
                names,
                model.at.clone(),
            ));
        }
    }
    Ok(())
}

/// NICs that a board has or takes.
pub(crate) fn models<'r>(registry: &'r Registry, board: &'r Board) -> impl Iterator<Item = &'static DeviceType> + 'r {
    let parts = board.by_default().parts;
    let on_board = move |t: &DeviceType| parts.iter().any(|p| p.device == t.name);
    let takes = |t: &'static DeviceType| southbridge_machine::add::check_bus(t, None, board, registry).is_ok();
    registry
        .iter()
        .filter(move |t| nic::is_nic(t) && (on_board(t) || takes(t)))
}

/// The error that no kind has this name.
pub(crate) fn no_kind(name: &str, at: Location) -> OptError {
    let here = net::KINDS.iter().filter(|k| k.missing().is_none()).map(|k| k.name);
    OptError::no_such("network back end", name, here, at)
}

/// The error at the word that caused it, in the words of its kind.
fn refused(option: &NetdevOpt, error: &NetError) -> OptError {
    let words = Words {
        what: "network back end",
        kind: &option.kind,
        id: &option.id.at,
        props: &option.props,
        options: net::find(&option.kind.value)
            .map_or_else(|_| Vec::new(), |k| k.options.iter().map(|o| o.name).collect()),
    };
    options::refused(&words, error, no_kind)
}
