//! Which of the host's addresses one of the guest's network stands for, and the other way round.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::link::ROUTER_LL;
use crate::net::Cx;
use crate::{Config, Reach};

/// Where the guest's packet to an address goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    Host(SocketAddr),
    /// The address is the router's, and nothing is at this port.
    Refuse,
    /// Nobody has this address.
    Drop,
}

pub(crate) fn route(cx: &mut Cx<'_>, to: IpAddr, port: u16) -> Route {
    let now = cx.link.now;
    let config = &cx.link.config;
    let (host, dns, local) = match to {
        IpAddr::V4(a) => match &config.ipv4 {
            Some(c) => (a == c.host || c.is_broadcast(a), a == c.dns, c.contains(a)),
            None => return Route::Drop,
        },
        IpAddr::V6(a) => match &config.ipv6 {
            Some(c) => (a == c.host || a == ROUTER_LL, a == c.dns, c.contains(a)),
            None => return Route::Drop,
        },
    };
    if dns {
        return if port == 53 {
            Route::Host(cx.resolver.get(to.is_ipv6(), now))
        } else {
            Route::Refuse
        };
    }
    if config.reach == Reach::Names {
        return Route::Drop;
    }
    if host {
        return Route::Host(SocketAddr::new(loopback(to.is_ipv6()), port));
    }
    if local || !is_routable(to) {
        Route::Drop
    } else {
        Route::Host(SocketAddr::new(to, port))
    }
}

fn loopback(v6: bool) -> IpAddr {
    if v6 {
        Ipv6Addr::LOCALHOST.into()
    } else {
        Ipv4Addr::LOCALHOST.into()
    }
}

/// Addresses that no router passes on, and those that would mean this host itself by another name.
fn is_routable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => !(a.is_loopback() || a.is_multicast() || a.is_broadcast() || a.octets()[0] == 0),
        IpAddr::V6(a) => {
            let embedded = a.to_ipv4().is_some() || a.to_ipv4_mapped().is_some();
            !(a.is_loopback() || a.is_unspecified() || a.is_multicast() || a.is_unicast_link_local() || embedded)
        }
    }
}

/// How a peer of the host appears to the guest: the host itself, and whoever has no address in the guest's family or one of the
/// guest's own network, as the router. `None`: that family is off.
pub(crate) fn appears_as(config: &Config, peer: Option<SocketAddr>, v6: bool) -> Option<(IpAddr, u16)> {
    let port = peer.map_or(0, |p| p.port());
    let peer = peer.map(|p| p.ip().to_canonical());
    let address = match (peer, v6) {
        (Some(IpAddr::V4(a)), false) => {
            let c = config.ipv4.as_ref()?;
            if c.contains(a) || !is_routable(a.into()) {
                c.host
            } else {
                a
            }
            .into()
        }
        (Some(IpAddr::V6(a)), true) => {
            let c = config.ipv6.as_ref()?;
            if c.contains(a) || !is_routable(a.into()) {
                c.host
            } else {
                a
            }
            .into()
        }
        (_, false) => config.ipv4.as_ref()?.host.into(),
        (_, true) => config.ipv6.as_ref()?.host.into(),
    };
    Some((address, port))
}
