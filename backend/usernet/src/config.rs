//! The options of `-netdev user`, as words and as checked values.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use crate::Error;

/// The options as a user writes them; `None` is "not given". Repeated options and the forwarding rules are not here but in
/// [`Options::dns_search`], [`crate::HostForward`] and [`crate::GuestForward`].
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `ipv4=`.
    pub ipv4: Option<bool>,
    /// `ipv6=`.
    pub ipv6: Option<bool>,
    /// `restrict=`.
    pub restrict: Option<bool>,
    /// `net=addr[/mask]`.
    pub net: Option<String>,
    /// `host=`.
    pub host: Option<String>,
    /// `dhcpstart=`.
    pub dhcpstart: Option<String>,
    /// `dns=`.
    pub dns: Option<String>,
    /// `ipv6-prefix=` (of `ipv6-net=addr/int` the part before the slash).
    pub ipv6_prefix: Option<String>,
    /// `ipv6-prefixlen=`.
    pub ipv6_prefixlen: Option<i64>,
    /// `ipv6-host=`.
    pub ipv6_host: Option<String>,
    /// `ipv6-dns=`.
    pub ipv6_dns: Option<String>,
    /// `hostname=`.
    pub hostname: Option<String>,
    /// `dnssearch=`, each.
    pub dns_search: Vec<String>,
    /// `domainname=`.
    pub domainname: Option<String>,
    /// `tftp=`.
    pub tftp: Option<String>,
    /// `tftp-server-name=`.
    pub tftp_server_name: Option<String>,
    /// `bootfile=`.
    pub bootfile: Option<String>,
    /// `mtu=`: what DHCP and router advertisements tell the guest.
    pub mtu: Option<i64>,
}

/// Where names are looked up.
#[derive(Debug, Clone)]
pub enum Resolver {
    /// The name servers of a file in the form of `/etc/resolv.conf`, read again when some seconds have passed.
    File(PathBuf),
    /// These.
    Fixed(Vec<SocketAddr>),
}

/// How far a guest gets that is not restricted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// The host's loopback, through the router's address, and everything that the host reaches.
    #[default]
    World,
    /// The name server alone. No option of `-netdev user` says this; it keeps tests from reaching anybody.
    Names,
}

/// How much one engine may hold at once. Beyond these, new flows are refused or the longest idle ones end.
#[derive(Debug, Clone)]
pub struct Limits {
    /// TCP connections, both directions together.
    pub tcp_flows: usize,
    /// UDP sockets.
    pub udp_flows: usize,
    /// Echo requests in flight.
    pub pings: usize,
    /// Largest buffer of one TCP connection in each direction, in bytes; a power of two between 4 KiB and 1 GiB.
    pub tcp_buffer: usize,
    /// All TCP buffers together, in bytes.
    pub tcp_memory: usize,
    /// IPv4 and IPv6 packets waiting for missing fragments, each of at most 64 KiB.
    pub fragments: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tcp_flows: 4096,
            udp_flows: 1024,
            pings: 64,
            tcp_buffer: 1 << 20,
            tcp_memory: 128 << 20,
            fragments: 16,
        }
    }
}

/// IPv4 as the guest sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ipv4Config {
    /// Network address.
    pub network: Ipv4Addr,
    /// Bits of the mask.
    pub prefix: u8,
    /// The host: gateway, DHCP and TFTP server; the host's loopback to TCP and UDP.
    pub host: Ipv4Addr,
    /// The name server.
    pub dns: Ipv4Addr,
    /// First of 16 addresses that DHCP gives out; where forwarding rules without a guest address go.
    pub dhcp_start: Ipv4Addr,
}

/// IPv6 as the guest sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ipv6Config {
    /// Prefix, the rest zero.
    pub prefix: Ipv6Addr,
    /// Bits of the prefix.
    pub prefix_len: u8,
    /// The host.
    pub host: Ipv6Addr,
    /// The name server.
    pub dns: Ipv6Addr,
}

/// Everything an engine is made from. [`Config::default`] is QEMU's `-netdev user` without options.
#[derive(Debug, Clone)]
pub struct Config {
    /// IPv4, unless it is off.
    pub ipv4: Option<Ipv4Config>,
    /// IPv6, unless it is off.
    pub ipv6: Option<Ipv6Config>,
    /// Nothing but DHCP, the router's own services and forwarding rules.
    pub restrict: bool,
    /// How far it gets otherwise.
    pub reach: Reach,
    /// Told by DHCP (option 12).
    pub hostname: Option<String>,
    /// Told by DHCP (option 119) and DHCPv6 (option 24).
    pub dns_search: Vec<String>,
    /// Told by DHCP (option 15).
    pub domainname: Option<String>,
    /// Root of the TFTP server.
    pub tftp: Option<PathBuf>,
    /// Told by DHCP (option 66).
    pub tftp_server_name: Option<String>,
    /// Told by DHCP (BOOTP `file`).
    pub bootfile: Option<String>,
    /// Largest IP packet on the guest's link, 68 to 65521 (1280 at least with IPv6).
    pub mtu: u16,
    /// Where queries to [`Ipv4Config::dns`] and [`Ipv6Config::dns`] go.
    pub resolver: Resolver,
    /// Bounds.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        let net = Ipv4Addr::new(10, 0, 2, 0);
        let prefix = Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0);
        Self {
            ipv4: Some(Ipv4Config::of(net, 24)),
            ipv6: Some(Ipv6Config::of(prefix, 64)),
            restrict: false,
            reach: Reach::World,
            hostname: None,
            dns_search: Vec::new(),
            domainname: None,
            tftp: None,
            tftp_server_name: None,
            bootfile: None,
            mtu: 1500,
            resolver: Resolver::File(PathBuf::from("/etc/resolv.conf")),
            limits: Limits::default(),
        }
    }
}

impl Ipv4Config {
    /// The usual places in a network.
    pub fn of(network: Ipv4Addr, prefix: u8) -> Self {
        let mask = mask4(prefix);
        let base = network.to_bits() & mask;
        let at = |host: u32| Ipv4Addr::from_bits(base | (host & !mask));
        Self {
            network: Ipv4Addr::from_bits(base),
            prefix,
            host: at(0x202),
            dns: at(0x203),
            dhcp_start: at(0x20f),
        }
    }

    /// Whether an address is on the guest's link.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        address.to_bits() & mask4(self.prefix) == self.network.to_bits()
    }

    /// The mask as an address.
    pub fn mask(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(mask4(self.prefix))
    }

    /// Whether it is the link's broadcast address.
    pub fn is_broadcast(&self, address: Ipv4Addr) -> bool {
        address.is_broadcast()
            || (self.prefix < 31 && address.to_bits() == self.network.to_bits() | !mask4(self.prefix))
    }
}

impl Ipv6Config {
    /// The usual places in a network.
    pub fn of(prefix: Ipv6Addr, prefix_len: u8) -> Self {
        let at = |host: u128| Ipv6Addr::from_bits(prefix.to_bits() | host);
        Self {
            prefix,
            prefix_len,
            host: at(2),
            dns: at(3),
        }
    }

    /// Whether an address is in the guest's prefix.
    pub fn contains(&self, address: Ipv6Addr) -> bool {
        let mask = mask6(self.prefix_len);
        address.to_bits() & mask == self.prefix.to_bits() & mask
    }
}

fn mask4(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0)
}

fn mask6(prefix: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0)
}

impl Config {
    /// Checks the words of a user, with QEMU's defaults and rules.
    ///
    /// # Errors
    /// Names the option and what is wrong with it.
    pub fn parse(options: &Options) -> Result<Self, Error> {
        let (ipv4, ipv6) = families(options)?;
        let restrict = options.restrict.unwrap_or(false);
        Ok(Self {
            ipv4: if ipv4 { Some(parse4(options, restrict)?) } else { None },
            ipv6: if ipv6 { Some(parse6(options, restrict)?) } else { None },
            restrict,
            hostname: text("hostname", options.hostname.as_ref())?,
            dns_search: options.dns_search.clone(),
            domainname: text("domainname", options.domainname.as_ref())?,
            tftp: options.tftp.as_ref().map(PathBuf::from),
            tftp_server_name: text("tftp-server-name", options.tftp_server_name.as_ref())?,
            bootfile: options.bootfile.clone(),
            mtu: mtu(options.mtu, ipv6)?,
            ..Self::default()
        })
    }

    /// The guest's address where a rule names none. What IPv6 address a guest chooses is not known here.
    pub(crate) fn default_guest(&self) -> Option<IpAddr> {
        self.ipv4.as_ref().map(|c| c.dhcp_start.into())
    }
}

/// Giving one family alone switches the other off, as in QEMU.
fn families(options: &Options) -> Result<(bool, bool), Error> {
    let given = (options.ipv4, options.ipv6);
    let ipv4 = !matches!(given, (None, Some(true)) | (Some(false), _));
    let ipv6 = !matches!(given, (Some(true), None) | (_, Some(false)));
    if !ipv4 && (options.net.is_some() || options.host.is_some() || options.dns.is_some()) {
        return Err(Error::Conflict("IPv4 is off, but net, host or dns is given"));
    }
    if !ipv6 && (options.ipv6_prefix.is_some() || options.ipv6_host.is_some() || options.ipv6_dns.is_some()) {
        return Err(Error::Conflict(
            "IPv6 is off, but ipv6-prefix, ipv6-host or ipv6-dns is given",
        ));
    }
    if !ipv4 && !ipv6 {
        return Err(Error::Conflict("IPv4 and IPv6 are both off"));
    }
    Ok((ipv4, ipv6))
}

fn wrong(option: &'static str, value: &str, reason: &'static str) -> Error {
    Error::Option {
        option,
        value: value.to_owned(),
        reason,
    }
}

fn address4(option: &'static str, value: Option<&String>, default: Ipv4Addr) -> Result<Ipv4Addr, Error> {
    value.map_or(Ok(default), |v| {
        v.parse().map_err(|_| wrong(option, v, "is not an IPv4 address"))
    })
}

fn address6(option: &'static str, value: Option<&String>, default: Ipv6Addr) -> Result<Ipv6Addr, Error> {
    value.map_or(Ok(default), |v| {
        v.parse().map_err(|_| wrong(option, v, "is not an IPv6 address"))
    })
}

fn parse4(options: &Options, restrict: bool) -> Result<Ipv4Config, Error> {
    let (network, prefix) = match &options.net {
        Some(net) => network(net)?,
        None => (Ipv4Addr::new(10, 0, 2, 0), 24),
    };
    let mut config = Ipv4Config::of(network, prefix);
    config.host = address4("host", options.host.as_ref(), config.host)?;
    config.dns = address4("dns", options.dns.as_ref(), config.dns)?;
    config.dhcp_start = address4("dhcpstart", options.dhcpstart.as_ref(), config.dhcp_start)?;
    let outside = |option, address: Ipv4Addr| Err(wrong(option, &address.to_string(), "is not in the guest's network"));
    if !config.contains(config.host) {
        return outside("host", config.host);
    }
    if restrict && !config.contains(config.dns) {
        return outside("dns", config.dns);
    }
    if config.dns == config.host {
        return Err(Error::Conflict("dns must be another address than host"));
    }
    if !config.contains(config.dhcp_start) {
        return outside("dhcpstart", config.dhcp_start);
    }
    if config.dhcp_start == config.host || config.dhcp_start == config.dns {
        return Err(Error::Conflict("dhcpstart must be another address than host and dns"));
    }
    Ok(config)
}

/// `addr`, `addr/bits` or `addr/mask`. Without a mask the address's historical class tells it.
fn network(text: &str) -> Result<(Ipv4Addr, u8), Error> {
    let (address, mask) = text.split_once('/').map_or((text, None), |(a, m)| (a, Some(m)));
    let address: Ipv4Addr = address
        .parse()
        .map_err(|_| wrong("net", text, "is not an IPv4 network"))?;
    let prefix = match mask {
        None => class_prefix(address),
        Some(mask) => match (mask.parse::<u8>(), mask.parse::<Ipv4Addr>()) {
            (Ok(bits @ 4..=32), _) => bits,
            (Ok(_), _) => return Err(wrong("net", text, "must have 4 to 32 bits of mask")),
            (_, Ok(mask)) if mask.to_bits().leading_ones() + mask.to_bits().trailing_zeros() >= 32 => {
                u8::try_from(mask.to_bits().leading_ones()).unwrap_or(32)
            }
            _ => return Err(wrong("net", text, "has a mask that is neither bits nor a.b.c.d")),
        },
    };
    Ok((address, prefix))
}

fn class_prefix(address: Ipv4Addr) -> u8 {
    match address.octets() {
        [0..=127, ..] => 8,
        [172, 16..=31, ..] => 12,
        [128..=191, ..] => 16,
        [192, 168, ..] => 16,
        [198, 18..=19, ..] => 15,
        [192..=223, ..] => 24,
        _ => 28,
    }
}

fn parse6(options: &Options, restrict: bool) -> Result<Ipv6Config, Error> {
    let default = Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0);
    let prefix = address6("ipv6-prefix", options.ipv6_prefix.as_ref(), default)?;
    let bits = options.ipv6_prefixlen.unwrap_or(64);
    let Some(prefix_len) = u8::try_from(bits).ok().filter(|b| *b <= 126) else {
        return Err(wrong("ipv6-prefixlen", &bits.to_string(), "must be between 0 and 126"));
    };
    let prefix_len = if prefix_len == 0 { 64 } else { prefix_len };
    let mut config = Ipv6Config::of(prefix, prefix_len);
    config.host = address6("ipv6-host", options.ipv6_host.as_ref(), config.host)?;
    config.dns = address6("ipv6-dns", options.ipv6_dns.as_ref(), config.dns)?;
    if !config.contains(config.host) {
        return Err(wrong(
            "ipv6-host",
            &config.host.to_string(),
            "is not in the guest's prefix",
        ));
    }
    if restrict && !config.contains(config.dns) {
        return Err(wrong(
            "ipv6-dns",
            &config.dns.to_string(),
            "is not in the guest's prefix",
        ));
    }
    Ok(config)
}

/// A name that travels in one DHCP option.
fn text(option: &'static str, value: Option<&String>) -> Result<Option<String>, Error> {
    match value {
        Some(v) if v.is_empty() && option == "domainname" => Err(wrong(option, v, "must not be empty")),
        Some(v) if v.len() > 255 => Err(wrong(option, v, "must not be longer than 255 bytes")),
        _ => Ok(value.cloned()),
    }
}

fn mtu(given: Option<i64>, ipv6: bool) -> Result<u16, Error> {
    let least = if ipv6 { 1280 } else { 68 };
    let value = given.unwrap_or(1500);
    match u16::try_from(value) {
        Ok(mtu) if mtu >= least && mtu <= 65_521 => Ok(mtu),
        _ => Err(wrong(
            "mtu",
            &value.to_string(),
            "must be between 68 (1280 with IPv6) and 65521",
        )),
    }
}
