//! Network back ends that come and go, cables, receive filters.

use rustix::fd::AsRawFd;
use serde_json::{Map, Value, json};
use southbridge_backend_net::{Address, Announce, Message, Netdev, Passes, RxFilter, show_mac};
use southbridge_core::{BackendId, DeviceId, Machine};
use southbridge_machine::nic::is_nic;
use southbridge_protocol_qmp::Error;

use super::device::spelled;
use super::{Result, refuse};
use crate::schema::{
    AnnounceParameters, NetdevDelArgs, QueryRxFilterArgs, RxFilterInfo, RxState, SetLinkArgs, check_event, schema,
};
use crate::{Cx, World, tree};

/// A network device.
pub(crate) struct Nic {
    /// Its id, or its type and a number.
    pub(crate) name: String,
    pub(crate) device: DeviceId,
    pub(crate) model: &'static str,
    pub(crate) netdev: Option<BackendId>,
}

/// All network devices.
pub(crate) fn nics(machine: &Machine) -> Vec<Nic> {
    let mut all: Vec<Nic> = Vec::new();
    for (device, slot) in machine.sys.devices().filter(|(_, s)| is_nic(s.device_type)) {
        let model = slot.device_type.name;
        // As QEMU names those that have no name.
        let number = all.iter().filter(|n| n.model == model).count();
        all.push(Nic {
            name: slot.id.clone().unwrap_or_else(|| format!("{model}.{number}")),
            device,
            model,
            netdev: slot.properties.backend("netdev"),
        });
    }
    all
}

/// Options as the command line spells them, from nested ones: `addr.host` for `{"addr": {"host": …}}`.
fn flatten(prefix: &str, value: &Value, out: &mut Vec<(String, String)>) -> Result<()> {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let whole = if prefix.is_empty() {
                    name.clone()
                } else {
                    format!("{prefix}.{name}")
                };
                flatten(&whole, member, out)?;
            }
            Ok(())
        }
        Value::Array(all) => {
            for (i, one) in all.iter().enumerate() {
                flatten(&format!("{prefix}.{i}"), one, out)?;
            }
            Ok(())
        }
        one => match spelled(one) {
            Some(text) => {
                out.push((prefix.to_owned(), text));
                Ok(())
            }
            None => refuse(format!("'{prefix}' takes a string, a number, true or false")),
        },
    }
}

/// Descriptors go by the names that `getfd` gave them, too.
fn with_numbers(world: &World, option: &str, text: String) -> String {
    if !matches!(option, "fd" | "fds" | "addr.str" | "local.str") {
        return text;
    }
    let number = |name: &str| {
        world
            .named_fds
            .get(name)
            .map_or_else(|| name.to_owned(), |fd| fd.as_raw_fd().to_string())
    };
    text.split(':').map(number).collect::<Vec<_>>().join(":")
}

pub(super) fn netdev_add(cx: &mut Cx<'_>, args: Map<String, Value>) -> Result<()> {
    let mut words = Vec::new();
    flatten("", &Value::Object(args), &mut words)?;
    let word = |name: &str| {
        words
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.clone())
            .unwrap_or_default()
    };
    let (kind, id) = (word("type"), word("id"));
    let own = words.into_iter().filter(|(n, _)| !matches!(n.as_str(), "type" | "id"));
    let own: Vec<_> = own.map(|(n, v)| (n.clone(), with_numbers(cx.world, &n, v))).collect();
    add(cx, &kind, &id, own.iter().map(|(n, v)| (n.as_str(), v.as_str())))
}

/// Makes one; also for the human monitor.
pub(crate) fn add<'t>(
    cx: &mut Cx<'_>,
    kind: &str,
    id: &str,
    options: impl IntoIterator<Item = (&'t str, &'t str)>,
) -> Result<()> {
    if !southbridge_cli::keyval::value::is_id(id) {
        let expected = southbridge_cli::keyval::value::EXPECT_ID;
        return refuse(format!("'id' cannot be '{id}'; it takes {expected}"));
    }
    let netdevs = &mut cx.world.netdevs;
    netdevs.chardevs = cx.world.chardevs.clone();
    let opened = netdevs.open(&mut cx.machine.sys.host, kind, id, options);
    opened.map(drop).map_err(|e| Error::generic(e.to_string()))
}

pub(super) fn netdev_del(cx: &mut Cx<'_>, args: NetdevDelArgs) -> Result<()> {
    if cx.world.netdevs.remove(&mut cx.machine.sys.host, &args.id) {
        return Ok(());
    }
    Err(Error::no_device(format!("there is no netdev '{}'", args.id)))
}

/// The back end of a name: its own, or that of the network device in front.
fn backend(cx: &Cx<'_>, name: &str) -> Result<BackendId> {
    if let Some(id) = cx.world.netdevs.get(name) {
        return Ok(id);
    }
    match nics(cx.machine).into_iter().find(|n| n.name == name) {
        Some(nic) => match nic.netdev {
            Some(id) => Ok(id),
            None => refuse(format!("'{name}' has no back end, and so no cable")),
        },
        None => Err(Error::no_device(format!(
            "there is no network device and no netdev '{name}'"
        ))),
    }
}

pub(super) fn set_link(cx: &mut Cx<'_>, args: SetLinkArgs) -> Result<()> {
    let id = backend(cx, &args.name)?;
    if let Some((netdev, mut host)) = cx.machine.sys.host.get::<Netdev>(id) {
        netdev.set_link(args.up, &mut host);
    }
    Ok(())
}

pub(super) fn query_rx_filter(cx: &mut Cx<'_>, args: QueryRxFilterArgs) -> Result<Vec<RxFilterInfo>> {
    let all = nics(cx.machine);
    let chosen: Vec<&Nic> = match &args.name {
        None => all.iter().collect(),
        Some(name) => match all.iter().find(|n| n.name == *name) {
            Some(nic) => vec![nic],
            None if cx.world.netdevs.get(name).is_some() => return refuse(format!("'{name}' is no network device")),
            None => return refuse(format!("there is no network device '{name}'")),
        },
    };
    let mut out = Vec::new();
    for nic in chosen {
        let found = nic.netdev.and_then(|id| cx.machine.sys.host.get::<Netdev>(id));
        match found.and_then(|(n, _)| n.rx_filter().cloned()) {
            Some(filter) => out.push(info(&nic.name, &filter)),
            None if args.name.is_some() => return refuse(format!("'{}' tells nothing of its filter", nic.name)),
            None => {}
        }
    }
    Ok(out)
}

fn info(name: &str, f: &RxFilter) -> RxFilterInfo {
    let state = |p: Passes| match p {
        Passes::Normal => RxState::Normal,
        Passes::None => RxState::None,
        Passes::All => RxState::All,
    };
    RxFilterInfo {
        name: name.to_owned(),
        promiscuous: f.promiscuous,
        multicast: state(f.multicast),
        unicast: state(f.unicast),
        vlan: state(f.vlan),
        broadcast_allowed: f.broadcast_allowed,
        multicast_overflow: f.multicast_overflow,
        unicast_overflow: f.unicast_overflow,
        main_mac: show_mac(f.main_mac),
        vlan_table: f.vlan_table.iter().map(|v| i64::from(*v)).collect(),
        unicast_table: f.unicast_table.iter().copied().map(show_mac).collect(),
        multicast_table: f.multicast_table.iter().copied().map(show_mac).collect(),
    }
}

pub(super) fn announce_self(cx: &mut Cx<'_>, args: AnnounceParameters) -> Result<()> {
    let number = |value: i64, name: &str, most: u64| match u64::try_from(value) {
        Ok(n) if n <= most => Ok(n),
        _ => refuse(format!("'{name}' takes a number from 0 to {most}")),
    };
    let parameters = Announce {
        initial: number(args.initial, "initial", 100_000)?,
        max: number(args.max, "max", 100_000)?,
        rounds: number(args.rounds, "rounds", 1000)?,
        step: number(args.step, "step", 10_000)?,
    };
    let wanted = |n: &Nic| args.interfaces.as_ref().is_none_or(|all| all.contains(&n.name));
    announce(cx, parameters, wanted);
    Ok(())
}

/// Announces some network devices; also for the human monitor.
pub(crate) fn announce(cx: &mut Cx<'_>, parameters: Announce, wanted: impl Fn(&Nic) -> bool) {
    for nic in nics(cx.machine).into_iter().filter(wanted) {
        let found = nic.netdev.and_then(|id| cx.machine.sys.host.get::<Netdev>(id));
        if let Some((netdev, mut host)) = found {
            netdev.announce(parameters, &mut host);
        }
    }
}

/// What a back end has told, as an event.
pub(crate) fn event(message: &Message, machine: &Machine, world: &World) -> Option<(&'static str, Map<String, Value>)> {
    let (name, data) = match message {
        Message::Warning(_) => return None,
        Message::Connected { netdev, address } => {
            let addr = match address {
                Address::Inet { host, port, ipv6 } => {
                    json!({ "type": "inet", "host": host, "port": port, "ipv6": ipv6, "ipv4": !ipv6 })
                }
                Address::Unix(path) => json!({ "type": "unix", "path": path }),
                Address::Fd(name) => json!({ "type": "fd", "str": name }),
            };
            ("NETDEV_STREAM_CONNECTED", json!({ "netdev-id": netdev, "addr": addr }))
        }
        Message::Disconnected { netdev } => ("NETDEV_STREAM_DISCONNECTED", json!({ "netdev-id": netdev })),
        Message::Lent { netdev, chardev } => {
            let data = json!({ "netdev-id": netdev, "chardev-id": chardev });
            ("NETDEV_VHOST_USER_CONNECTED", data)
        }
        Message::Returned { netdev } => ("NETDEV_VHOST_USER_DISCONNECTED", json!({ "netdev-id": netdev })),
        Message::RxFilterChanged { device, .. } => {
            let path = tree::device_path(machine, world, *device);
            let data = match nics(machine).into_iter().find(|n| n.device == *device) {
                Some(nic) => json!({ "name": nic.name, "path": path }),
                None => json!({ "path": path }),
            };
            ("NIC_RX_FILTER_CHANGED", data)
        }
    };
    let Value::Object(data) = data else { return None };
    debug_assert_eq!(check_event(schema(), name, &data), Ok(()), "{name}");
    Some((name, data))
}
