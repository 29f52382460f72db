//! Stateless: addresses come from router advertisements, names and boot files from here.

use std::net::{IpAddr, Ipv6Addr};

use super::domain_list;
use crate::link::{Link, ROUTER_LL};

const SERVER: u16 = 547;
const CLIENT: u16 = 546;
const INFORMATION_REQUEST: u8 = 11;
const REPLY: u8 = 7;

const CLIENT_ID: u16 = 1;
const SERVER_ID: u16 = 2;
const OPTION_REQUEST: u16 = 6;
const DNS_SERVERS: u16 = 23;
const DOMAIN_LIST: u16 = 24;
const BOOTFILE_URL: u16 = 59;

fn options(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (head, tail) = rest.split_first_chunk::<4>()?;
        let [a, b, c, d] = *head;
        let (data, after) = tail.split_at_checked(usize::from(u16::from_be_bytes([c, d])))?;
        rest = after;
        Some((u16::from_be_bytes([a, b]), data))
    })
}

fn put(packet: &mut Vec<u8>, option: u16, data: &[u8]) {
    // Nothing here is longer: names are bounded when they are configured.
    let Ok(length) = u16::try_from(data.len()) else { return };
    packet.extend_from_slice(&option.to_be_bytes());
    packet.extend_from_slice(&length.to_be_bytes());
    packet.extend_from_slice(data);
}

/// A packet to the server's port.
pub(crate) fn input(link: &mut Link, from: IpAddr, payload: &[u8]) {
    let Some(net) = &link.config.ipv6 else { return };
    let Some((&[INFORMATION_REQUEST, a, b, c], rest)) = payload.split_first_chunk::<4>() else {
        return;
    };
    let duid = duid();
    let (mut client, mut wanted) = (None, None);
    for (option, data) in options(rest) {
        match option {
            CLIENT_ID if data.len() <= 130 => client = Some(data),
            // Meant for another server.
            SERVER_ID if data != duid => return,
            OPTION_REQUEST => wanted = Some(data),
            _ => {}
        }
    }
    let asks = |option: u16| wanted.is_none_or(|w| w.chunks_exact(2).any(|o| o == option.to_be_bytes()));
    let mut reply = vec![REPLY, a, b, c];
    put(&mut reply, SERVER_ID, &duid);
    if let Some(client) = client {
        put(&mut reply, CLIENT_ID, client);
    }
    if asks(DNS_SERVERS) && !link.config.restrict {
        put(&mut reply, DNS_SERVERS, &net.dns.octets());
    }
    let domains = domain_list(&link.config.dns_search);
    if asks(DOMAIN_LIST) && !domains.is_empty() {
        put(&mut reply, DOMAIN_LIST, &domains);
    }
    if asks(BOOTFILE_URL)
        && let Some(file) = &link.config.bootfile
    {
        put(&mut reply, BOOTFILE_URL, boot_url(net.host, file).as_bytes());
    }
    reply.truncate(1200);
    link.send_udp((ROUTER_LL.into(), SERVER), (from, CLIENT), &reply);
}

fn boot_url(host: Ipv6Addr, file: &str) -> String {
    format!("tftp://[{host}]/{}", file.trim_start_matches('/'))
}

/// Of the kind "link-layer address" (RFC 8415 §11.4).
fn duid() -> Vec<u8> {
    let mac = Link::router_mac(ROUTER_LL.into());
    [&[0, 3, 0, 1], mac.as_bytes()].concat()
}
