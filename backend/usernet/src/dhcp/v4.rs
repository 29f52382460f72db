//! The server of 16 addresses.

use smoltcp::wire::{DhcpFlags, DhcpOpCode, DhcpOption, DhcpPacket, EthernetAddress};
use std::net::Ipv4Addr;

use crate::config::Ipv4Config;
use crate::link::Link;
use crate::{Config, dhcp};

const SERVER: u16 = 67;
const CLIENT: u16 = 68;
const LEASES: u32 = 16;
const LEASE_SECONDS: u32 = 86_400;
const FIXED: usize = 240;
const MAGIC: u32 = 0x6382_5363;

const DISCOVER: u8 = 1;
const OFFER: u8 = 2;
const REQUEST: u8 = 3;
const DECLINE: u8 = 4;
const ACK: u8 = 5;
const NAK: u8 = 6;
const RELEASE: u8 = 7;
const INFORM: u8 = 8;

/// Who has which address, the most recent last.
#[derive(Debug, Default)]
pub(crate) struct Dhcp {
    leases: Vec<(Ipv4Addr, EthernetAddress)>,
}

/// What a client says, read.
#[derive(Debug)]
struct Ask {
    kind: Option<u8>,
    mac: EthernetAddress,
    id: u32,
    flags: DhcpFlags,
    client: Ipv4Addr,
    relay: Ipv4Addr,
    wanted: Option<Ipv4Addr>,
    server: Option<Ipv4Addr>,
    list: Vec<u8>,
    longest: usize,
}

fn read(payload: &[u8]) -> Option<Ask> {
    let packet = DhcpPacket::new_checked(payload).ok()?;
    if packet.opcode() != DhcpOpCode::Request || packet.hardware_len() != 6 {
        return None;
    }
    let mut ask = Ask {
        kind: None,
        mac: packet.client_hardware_address(),
        id: packet.transaction_id(),
        flags: packet.flags(),
        client: packet.client_ip(),
        relay: packet.relay_agent_ip(),
        wanted: None,
        server: None,
        list: Vec::new(),
        longest: 576,
    };
    if packet.magic_number() == MAGIC {
        for option in packet.options() {
            ask.option(&option);
        }
    }
    Some(ask)
}

impl Ask {
    fn option(&mut self, option: &DhcpOption<'_>) {
        let address = || option.data.first_chunk::<4>().map(|a| Ipv4Addr::from(*a));
        match option.kind {
            50 => self.wanted = address(),
            53 => self.kind = option.data.first().copied(),
            54 => self.server = address(),
            55 => self.list = option.data.to_vec(),
            57 => {
                let longest = option
                    .data
                    .first_chunk::<2>()
                    .map_or(576, |l| usize::from(u16::from_be_bytes(*l)));
                self.longest = longest.clamp(576, 1500);
            }
            _ => {}
        }
    }
}

impl Dhcp {
    /// A packet to the server's port.
    pub(crate) fn input(&mut self, link: &mut Link, payload: &[u8]) {
        let (Some(ask), Some(net)) = (read(payload), link.config.ipv4.clone()) else {
            return;
        };
        let (kind, address) = match ask.kind {
            Some(DISCOVER) => (OFFER, self.offer(&net, &ask)),
            Some(REQUEST) => {
                if ask.server.is_some_and(|s| s != net.host) {
                    return;
                }
                match self.grant(&net, &ask) {
                    Some(address) => (ACK, Some(address)),
                    None => (NAK, None),
                }
            }
            Some(INFORM) => (ACK, None),
            Some(RELEASE | DECLINE) => return self.leases.retain(|l| l.1 != ask.mac),
            // BOOTP knows no types.
            None => (ACK, self.offer(&net, &ask)),
            Some(_) => return,
        };
        if address.is_none() && kind == OFFER {
            return;
        }
        if let (ACK, Some(address)) = (kind, address) {
            self.bind(address, ask.mac);
            link.learn(address.into(), ask.mac);
        }
        let reply = reply(&link.config, &net, &ask, kind, address);
        let unicast = !ask.client.is_unspecified() && kind != NAK;
        let to = if unicast { ask.client } else { Ipv4Addr::BROADCAST };
        link.send_udp((net.host.into(), SERVER), (to.into(), CLIENT), &reply);
    }

    fn available(&self, net: &Ipv4Config, address: Ipv4Addr, mac: EthernetAddress) -> bool {
        let offset = address.to_bits().wrapping_sub(net.dhcp_start.to_bits());
        let own = [net.host, net.dns].contains(&address);
        let taken = self.leases.iter().any(|l| l.0 == address && l.1 != mac);
        offset < LEASES && net.contains(address) && !own && !net.is_broadcast(address) && !taken
    }

    /// The client's own address, or the one it wants, or the first free, or the one whose owner was last heard longest ago.
    fn offer(&mut self, net: &Ipv4Config, ask: &Ask) -> Option<Ipv4Addr> {
        if let Some(wanted) = ask.wanted
            && self.available(net, wanted, ask.mac)
        {
            return Some(wanted);
        }
        if let Some(lease) = self.leases.iter().find(|l| l.1 == ask.mac) {
            return Some(lease.0);
        }
        let start = net.dhcp_start.to_bits();
        let free = |this: &Self| {
            let mut all = (0..LEASES)
                .filter_map(|i| start.checked_add(i))
                .map(Ipv4Addr::from_bits);
            all.find(|a| this.available(net, *a, ask.mac))
        };
        free(self).or_else(|| {
            if !self.leases.is_empty() {
                self.leases.remove(0);
            }
            free(self)
        })
    }

    fn grant(&self, net: &Ipv4Config, ask: &Ask) -> Option<Ipv4Addr> {
        let wanted = ask.wanted.unwrap_or(ask.client);
        self.available(net, wanted, ask.mac).then_some(wanted)
    }

    fn bind(&mut self, address: Ipv4Addr, mac: EthernetAddress) {
        self.leases.retain(|l| l.1 != mac && l.0 != address);
        self.leases.push((address, mac));
    }
}

fn reply(config: &Config, net: &Ipv4Config, ask: &Ask, kind: u8, address: Option<Ipv4Addr>) -> Vec<u8> {
    let mut packet = vec![0; ask.longest - 28];
    let mut header = DhcpPacket::new_unchecked(&mut packet[..]);
    header.set_opcode(DhcpOpCode::Reply);
    header.set_hardware_type(smoltcp::wire::ArpHardware::Ethernet);
    header.set_hardware_len(6);
    header.set_transaction_id(ask.id);
    header.set_flags(ask.flags);
    header.set_client_ip(if kind == NAK { Ipv4Addr::UNSPECIFIED } else { ask.client });
    header.set_your_ip(address.unwrap_or(Ipv4Addr::UNSPECIFIED));
    header.set_server_ip(if kind == NAK { Ipv4Addr::UNSPECIFIED } else { net.host });
    header.set_relay_agent_ip(ask.relay);
    header.set_client_hardware_address(ask.mac);
    header.set_magic_number(MAGIC);
    if kind != NAK
        && let Some(file) = &config.bootfile
    {
        let name = &file.as_bytes()[..file.len().min(127)];
        packet[108..108 + name.len()].copy_from_slice(name);
    }
    let mut end = FIXED;
    for (option, data) in options(config, net, ask, kind) {
        end = put(&mut packet, end, option, &data);
    }
    packet[end] = 255;
    // BOOTP's smallest packet; some clients insist on it.
    packet.truncate((end + 1).max(300));
    packet
}

/// Appends an option if it and the end mark fit. Long ones are split (RFC 3396).
fn put(packet: &mut [u8], mut end: usize, option: u8, data: &[u8]) -> usize {
    let parts = data.len().div_ceil(255).max(1);
    if end + data.len() + 2 * parts + 1 > packet.len() {
        return end;
    }
    for part in data.chunks(255) {
        packet[end] = option;
        packet[end + 1] = part.len() as u8;
        packet[end + 2..end + 2 + part.len()].copy_from_slice(part);
        end += 2 + part.len();
    }
    end
}

fn options(config: &Config, net: &Ipv4Config, ask: &Ask, kind: u8) -> Vec<(u8, Vec<u8>)> {
    let mut list: Vec<(u8, Vec<u8>)> = Vec::new();
    if ask.kind.is_some() {
        list.push((53, vec![kind]));
        list.push((54, net.host.octets().to_vec()));
    }
    if kind == NAK {
        list.push((56, b"this address is not to be had here".to_vec()));
        return list;
    }
    list.push((1, net.mask().octets().to_vec()));
    if !config.restrict {
        list.push((3, net.host.octets().to_vec()));
        list.push((6, net.dns.octets().to_vec()));
    }
    if ask.kind != Some(INFORM) {
        list.push((51, LEASE_SECONDS.to_be_bytes().to_vec()));
    }
    let text = |value: &Option<String>| value.as_ref().map(|v| v.as_bytes().to_vec()).filter(|v| !v.is_empty());
    let optional = [
        (12, text(&config.hostname)),
        (15, text(&config.domainname)),
        (66, text(&config.tftp_server_name)),
    ];
    list.extend(
        optional
            .into_iter()
            .filter_map(|(option, value)| value.map(|v| (option, v))),
    );
    if ask.list.contains(&67)
        && let Some(file) = text(&config.bootfile)
    {
        list.push((67, file));
    }
    if config.mtu != 1500 || ask.list.contains(&26) {
        list.push((26, config.mtu.to_be_bytes().to_vec()));
    }
    let domains = dhcp::domain_list(&config.dns_search);
    if !domains.is_empty() {
        list.push((119, domains));
    }
    list
}
