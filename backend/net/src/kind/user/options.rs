//! The options of `user`, from words to an engine.

use southbridge_backend_usernet::{
    Config, GuestForward, GuestForwardTo, GuestTarget, HostForward, Options as Words, UserNet,
};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use super::{User, refused};
use crate::error::NetError;
use crate::kind::{Make, Options};
use crate::link::Link;

pub(crate) fn make(make: &mut Make<'_>) -> Result<Box<dyn Link>, NetError> {
    let options = make.options;
    if let Some(option) = ["smb", "smbserver"].into_iter().find(|o| options.given(o)) {
        return Err(NetError::OptionMissing {
            option: option.into(),
            why: ": files of the host reach the guest by -virtfs, or by tftp",
        });
    }
    let config = Config::parse(&words(options)?).map_err(refused)?;
    let mut net = UserNet::new(config).map_err(refused)?;
    for rule in options.all("hostfwd") {
        let rule = HostForward::parse(rule).map_err(refused)?;
        net.add_hostfwd(&rule).map_err(refused)?;
    }
    for rule in options.all("guestfwd") {
        let rule = GuestForward::parse(rule).map_err(refused)?;
        if let Some(target) = target(&rule)? {
            net.add_guestfwd(&rule, target).map_err(refused)?;
        }
    }
    Ok(Box::new(User::new(net)))
}

fn words(options: &Options) -> Result<Words, NetError> {
    let text = |name: &str| options.str(name).map(str::to_owned);
    let number = |name: &str| options.uint(name).and_then(|n| i64::try_from(n).ok());
    let (mut prefix, mut length) = (text("ipv6-prefix"), number("ipv6-prefixlen"));
    if let Some(net) = options.str("ipv6-net") {
        // As QEMU has it: both in one word.
        let (p, l) = net.split_once('/').map_or((net, None), |(p, l)| (p, Some(l)));
        prefix = Some(p.to_owned());
        if let Some(l) = l {
            let bits = l.parse().map_err(|_| NetError::BadValue {
                option: "ipv6-net".into(),
                value: net.into(),
                expected: "a prefix and its bits, such as fec0::/64".into(),
            })?;
            length = Some(bits);
        }
    }
    Ok(Words {
        ipv4: options.said_bool("ipv4"),
        ipv6: options.said_bool("ipv6"),
        restrict: options.said_bool("restrict"),
        net: text("net").or_else(|| text("ip")),
        host: text("host"),
        dhcpstart: text("dhcpstart"),
        dns: text("dns"),
        ipv6_prefix: prefix,
        ipv6_prefixlen: length,
        ipv6_host: text("ipv6-host"),
        ipv6_dns: text("ipv6-dns"),
        hostname: text("hostname"),
        dns_search: options.all("dnssearch").map(str::to_owned).collect(),
        domainname: text("domainname"),
        tftp: text("tftp"),
        tftp_server_name: text("tftp-server-name"),
        bootfile: text("bootfile"),
        mtu: number("mtu"),
    })
}

/// Where a rule leads; `None` to a channel, which is joined when there is a machine.
fn target(rule: &GuestForward) -> Result<Option<GuestTarget>, NetError> {
    let device = match &rule.to {
        GuestForwardTo::Command(command) => return Ok(Some(GuestTarget::Command(command.clone()))),
        GuestForwardTo::Chardev(device) => device.as_str(),
    };
    if let Some(path) = device.strip_prefix("unix:") {
        return Ok(Some(GuestTarget::Unix(PathBuf::from(path))));
    }
    let Some(place) = device.strip_prefix("tcp:") else {
        return Ok(None);
    };
    let refused = |why: String| NetError::Refused {
        option: Some("guestfwd"),
        why: format!("cannot find '{place}': {why}"),
    };
    let mut all = place.to_socket_addrs().map_err(|e| refused(e.to_string()))?;
    let first: SocketAddr = all.next().ok_or_else(|| refused("it has no address".into()))?;
    Ok(Some(GuestTarget::Address(first)))
}

/// The rules that lead to channels, with their ids.
pub(crate) fn chardev_forwards(options: &Options) -> Vec<(GuestForward, String)> {
    let rules = options.all("guestfwd").filter_map(|r| GuestForward::parse(r).ok());
    let named = rules.filter_map(|rule| {
        let GuestForwardTo::Chardev(device) = &rule.to else {
            return None;
        };
        let elsewhere = device.starts_with("tcp:") || device.starts_with("unix:");
        let id = device.strip_prefix("chardev:").unwrap_or(device).to_owned();
        (!elsewhere).then_some((rule, id))
    });
    named.collect()
}
