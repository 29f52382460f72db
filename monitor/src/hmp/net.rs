//! The network.

use serde_json::json;
use southbridge_backend_net::{self as net, Announce, Netdev, show_mac};
use southbridge_cli::keyval::{Grammar, Props};
use southbridge_cli::location::Source;
use southbridge_core::BackendId;

use super::{Call, Refusal, failed};
use crate::commands::net as commands;

type Done = Result<(), Refusal>;

/// Network devices, each with the back end that its cable leads to, and back ends that none has.
pub(super) fn network(call: &mut Call<'_, '_>) -> Done {
    let mut shown: Vec<BackendId> = Vec::new();
    for nic in commands::nics(call.cx.machine) {
        let host = &mut call.cx.machine.sys.host;
        let netdev = nic.netdev.and_then(|id| host.get::<Netdev>(id).map(|(n, _)| (id, n)));
        let told = netdev.map(|(id, n)| (id, described(n), n.nic_mac()));
        let slot = call.cx.machine.sys.slot(nic.device);
        let own = slot.and_then(|s| net::parse_mac(s.properties.str("mac")?));
        let mac = told.as_ref().and_then(|(_, _, mac)| *mac).or(own);
        let mac = mac.map_or_else(String::new, |m| format!(",macaddr={}", show_mac(m)));
        call.say(format_args!("{}: index=0,type=nic,model={}{mac}", nic.name, nic.model));
        if let Some((id, line, _)) = told {
            shown.push(id);
            call.say(format_args!(" \\ {line}"));
        }
    }
    let all: Vec<_> = call
        .cx
        .world
        .netdevs
        .iter()
        .map(|(_, id)| id)
        .filter(|id| !shown.contains(id))
        .collect();
    for id in all {
        if let Some((n, _)) = call.cx.machine.sys.host.get::<Netdev>(id) {
            let line = described(n);
            call.say(format_args!("{line}"));
        }
    }
    Ok(())
}

fn described(n: &Netdev) -> String {
    let down = if n.link_up() { "" } else { ",link=off" };
    format!("{}: index=0,type={},{}{down}", n.id(), n.kind(), n.describe())
}

/// The connections of each network of our own.
pub(super) fn usernet(call: &mut Call<'_, '_>) -> Done {
    let all: Vec<_> = call
        .cx
        .world
        .netdevs
        .iter()
        .map(|(name, id)| (name.to_owned(), id))
        .collect();
    for (name, id) in all {
        let found = call.cx.machine.sys.host.get::<Netdev>(id);
        if let Some(text) = found.and_then(|(n, mut host)| n.usernet_info(&mut host)) {
            call.say(format_args!("Hub -1 ({name}):"));
            call.out += &text;
        }
    }
    Ok(())
}

pub(super) fn netdev_add(call: &mut Call<'_, '_>) -> Done {
    let text = call.args.word(0);
    if matches!(text.as_str(), "help" | "?") {
        call.out += &net::help();
        return Ok(());
    }
    let source = Source::implied("netdev_add", &text);
    let props = Props::parse(&source, Grammar::list("type").or_json());
    let props = props.map_err(|e| Refusal::Failed(e.message()))?;
    let word = |key: &str| props.get(key).map(|e| e.value.clone());
    let Some(kind) = word("type") else {
        return failed("'type' is missing");
    };
    if props.help_at().is_some() {
        call.out += &net::kind_help(net::find(&kind).or_else(failed)?);
        return Ok(());
    }
    let Some(id) = word("id") else {
        return failed("'id' is missing");
    };
    let own = props
        .entries()
        .iter()
        .filter(|e| !matches!(e.key.as_str(), "type" | "id"));
    let own = own.map(|e| (e.key.as_str(), e.value.as_str()));
    Ok(commands::add(call.cx, &kind, &id, own)?)
}

pub(super) fn netdev_del(call: &mut Call<'_, '_>) -> Done {
    let id = call.args.word(0);
    call.qmp("netdev_del", json!({ "id": id })).map(drop)
}

pub(super) fn set_link(call: &mut Call<'_, '_>) -> Done {
    let (name, up) = (call.args.word(0), call.args.switch(1));
    call.qmp("set_link", json!({ "name": name, "up": up })).map(drop)
}

pub(super) fn announce_self(call: &mut Call<'_, '_>) -> Done {
    let names = call.args.text(0).map(str::to_owned);
    commands::announce(call.cx, Announce::default(), |n| {
        names
            .as_ref()
            .is_none_or(|all| all.split(',').any(|name| name == n.name))
    });
    Ok(())
}

/// The back end and the rule: with one word, the first network of our own.
fn rule(call: &Call<'_, '_>) -> Result<(BackendId, String), Refusal> {
    let netdevs = &call.cx.world.netdevs;
    if let Some(rule) = call.args.text(1) {
        let name = call.args.word(0);
        return match netdevs.get(&name) {
            Some(id) => Ok((id, rule.to_owned())),
            None => failed(format!("there is no netdev '{name}'")),
        };
    }
    let is_user = |id: &BackendId| {
        call.cx
            .machine
            .sys
            .host
            .peek::<Netdev>(*id)
            .is_some_and(|n| n.kind() == "user")
    };
    match netdevs.iter().map(|(_, id)| id).find(is_user) {
        Some(id) => Ok((id, call.args.word(0))),
        None => failed("there is no netdev of the type 'user'"),
    }
}

pub(super) fn hostfwd_add(call: &mut Call<'_, '_>) -> Done {
    let (id, rule) = rule(call)?;
    let Some((netdev, mut host)) = call.cx.machine.sys.host.get::<Netdev>(id) else {
        return failed("the netdev is gone");
    };
    match netdev.add_hostfwd(&rule, &mut host) {
        Ok(_) => Ok(()),
        Err(e) => failed(e),
    }
}

pub(super) fn hostfwd_remove(call: &mut Call<'_, '_>) -> Done {
    let (id, rule) = rule(call)?;
    let Some((netdev, mut host)) = call.cx.machine.sys.host.get::<Netdev>(id) else {
        return failed("the netdev is gone");
    };
    let removed = netdev.remove_hostfwd(&rule, &mut host);
    match removed.or_else(failed)? {
        true => call.say(format_args!("host forwarding rule for {rule} removed")),
        false => call.say(format_args!("host forwarding rule for {rule} not found")),
    }
    Ok(())
}
