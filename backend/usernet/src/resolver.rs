//! The host's name servers.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use crate::Resolver;

/// How long what a file said is believed.
const FRESH: Duration = Duration::from_secs(5);
/// A file longer than this is not one of name servers.
const LONGEST: u64 = 64 << 10;

#[derive(Debug)]
pub(crate) struct NameServers {
    source: Resolver,
    read_at: Option<Duration>,
    servers: Vec<SocketAddr>,
}

impl NameServers {
    pub(crate) fn new(source: Resolver) -> Self {
        Self {
            source,
            read_at: None,
            servers: Vec::new(),
        }
    }

    /// The first name server, preferably of the family the guest asks in. A host that names none has one on its loopback, as the
    /// C library assumes.
    pub(crate) fn get(&mut self, v6: bool, now: Duration) -> SocketAddr {
        self.refresh(now);
        let loopback = if v6 {
            IpAddr::V6(Ipv6Addr::LOCALHOST)
        } else {
            IpAddr::V4(Ipv4Addr::LOCALHOST)
        };
        let same = self.servers.iter().find(|s| s.is_ipv6() == v6);
        same.or(self.servers.first())
            .copied()
            .unwrap_or(SocketAddr::new(loopback, 53))
    }

    fn refresh(&mut self, now: Duration) {
        match &self.source {
            Resolver::Fixed(servers) => {
                if self.servers != *servers {
                    self.servers.clone_from(servers);
                }
            }
            Resolver::File(path) => {
                if self.read_at.is_some_and(|at| now.saturating_sub(at) < FRESH) {
                    return;
                }
                self.read_at = Some(now);
                if fs::metadata(path).is_ok_and(|m| m.is_file() && m.len() <= LONGEST)
                    && let Ok(text) = fs::read_to_string(path)
                {
                    self.servers = parse(&text);
                }
            }
        }
    }
}

/// The `nameserver` lines (resolv.conf(5)).
fn parse(text: &str) -> Vec<SocketAddr> {
    text.lines().filter_map(line).collect()
}

fn line(line: &str) -> Option<SocketAddr> {
    let mut words = line.split_whitespace();
    if words.next() != Some("nameserver") {
        return None;
    }
    let address = words.next()?;
    match address.split_once('%') {
        // Only numeric scopes: names of interfaces would need another question to the host.
        Some((address, scope)) => {
            let address: Ipv6Addr = address.parse().ok()?;
            Some(SocketAddrV6::new(address, 53, 0, scope.parse().ok()?).into())
        }
        None => Some(SocketAddr::new(address.parse().ok()?, 53)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_name_servers_are_found() {
        let found =
            parse("# nameserver 1.1.1.1\nsearch x\nnameserver 10.0.0.1\n nameserver fe80::1%2 \nnameserver x\n");
        assert_eq!(
            found.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["10.0.0.1:53", "[fe80::1%2]:53"]
        );
    }

    #[test]
    fn the_family_that_asks_is_preferred() {
        let servers =
            |list: &[&str]| NameServers::new(Resolver::Fixed(list.iter().map(|a| a.parse().unwrap()).collect()));
        let mut both = servers(&["[2001:db8::1]:53", "192.0.2.1:53"]);
        assert_eq!(both.get(false, Duration::ZERO).to_string(), "192.0.2.1:53");
        let mut one = servers(&["192.0.2.1:5353"]);
        assert_eq!(one.get(true, Duration::ZERO).to_string(), "192.0.2.1:5353");
        assert_eq!(servers(&[]).get(true, Duration::ZERO).to_string(), "[::1]:53");
    }
}
