//! Options and rules as users write them: QEMU's defaults, and errors that name the word.

use southbridge_backend_usernet::{Config, GuestForward, GuestForwardTo, HostForward, HostSide, Options};

fn parse(change: impl FnOnce(&mut Options)) -> Result<Config, String> {
    let mut options = Options::default();
    change(&mut options);
    Config::parse(&options).map_err(|e| e.to_string())
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn without_options_it_is_10_0_2() {
    let config = parse(|_| {}).unwrap();
    let v4 = config.ipv4.unwrap();
    let shown = [v4.network, v4.host, v4.dns, v4.dhcp_start].map(|a| a.to_string());
    assert_eq!(shown, ["10.0.2.0", "10.0.2.2", "10.0.2.3", "10.0.2.15"]);
    let v6 = config.ipv6.unwrap();
    assert_eq!(
        [v6.prefix, v6.host, v6.dns].map(|a| a.to_string()),
        ["fec0::", "fec0::2", "fec0::3"]
    );
    assert_eq!((v6.prefix_len, config.mtu, config.restrict), (64, 1500, false));
}

#[test]
fn a_network_moves_everything_in_it() {
    for (net, prefix, host) in [
        ("192.168.76.0/24", 24, "192.168.76.2"),
        ("192.168.76.9/255.255.255.0", 24, "192.168.76.2"),
        ("10.1.2.3", 8, "10.0.2.2"),
        ("172.20.0.0", 12, "172.16.2.2"),
        ("192.168.0.0", 16, "192.168.2.2"),
        ("198.18.0.0", 15, "198.18.2.2"),
    ] {
        let v4 = parse(|o| o.net = some(net)).unwrap().ipv4.unwrap();
        assert_eq!((v4.prefix, v4.host.to_string().as_str()), (prefix, host), "{net}");
    }
}

#[test]
fn one_family_alone_switches_the_other_off() {
    let on = |ipv4, ipv6| {
        let config = parse(|o| (o.ipv4, o.ipv6) = (ipv4, ipv6)).unwrap();
        (config.ipv4.is_some(), config.ipv6.is_some())
    };
    assert_eq!(on(Some(true), None), (true, false));
    assert_eq!(on(None, Some(true)), (false, true));
    assert_eq!(on(Some(true), Some(true)), (true, true));
    assert_eq!(on(Some(false), None), (false, true));
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    type Change = fn(&mut Options);
    let wrong: [(&str, Change); 14] = [
        ("both off", |o| (o.ipv4, o.ipv6) = (Some(false), Some(false))),
        ("IPv4 is off", |o| (o.ipv4, o.net) = (Some(false), some("10.0.0.0/8"))),
        ("IPv6 is off", |o| (o.ipv6, o.ipv6_dns) = (Some(false), some("fec0::9"))),
        ("net: '10.0.2.0/3'", |o| o.net = some("10.0.2.0/3")),
        ("net: 'x'", |o| o.net = some("x")),
        ("net: '10.0.0.0/255.0.255.0'", |o| o.net = some("10.0.0.0/255.0.255.0")),
        ("host: '10.0.3.1'", |o| o.host = some("10.0.3.1")),
        ("dns must be", |o| o.dns = some("10.0.2.2")),
        ("dns: '8.8.8.8'", |o| {
            (o.dns, o.restrict) = (some("8.8.8.8"), Some(true))
        }),
        ("dhcpstart: '10.0.3.1'", |o| o.dhcpstart = some("10.0.3.1")),
        ("ipv6-prefixlen: '127'", |o| o.ipv6_prefixlen = Some(127)),
        ("ipv6-host: '::5'", |o| o.ipv6_host = some("::5")),
        ("domainname: ''", |o| o.domainname = some("")),
        ("mtu: '70000'", |o| o.mtu = Some(70_000)),
    ];
    for (expect, change) in wrong {
        let error = parse(change).unwrap_err();
        assert!(error.contains(expect), "{error} has no {expect}");
    }
}

#[test]
fn rules_for_the_host() {
    let rule = HostForward::parse("tcp::5555-:22").unwrap();
    assert_eq!(
        (rule.host.to_string().as_str(), rule.guest, rule.guest_port),
        ("tcp:0.0.0.0:5555", None, 22)
    );
    let rule = HostForward::parse(":127.0.0.1:0x10-10.0.2.20:80").unwrap();
    assert_eq!(rule.host.to_string(), "tcp:127.0.0.1:16");
    assert_eq!(rule.guest.unwrap().to_string(), "10.0.2.20");
    let rule = HostForward::parse("udp:[::1]:53-[fec0::5]:53").unwrap();
    assert_eq!(rule.host.to_string(), "udp:[::1]:53");
    assert_eq!(rule.guest.unwrap().to_string(), "fec0::5");
    assert_eq!(
        HostForward::parse("unix:/tmp/x-:22").unwrap().host,
        HostSide::Unix("/tmp/x".into())
    );
    assert_eq!(
        HostForward::parse_host_side("tcp::5555").unwrap().to_string(),
        "tcp:0.0.0.0:5555"
    );
    for rule in [
        "",
        "tcp",
        "sctp::1-:2",
        "tcp:x:1-:2",
        "tcp::70000-:2",
        "tcp::1-:0",
        "tcp::1-:",
        "tcp::1",
        "tcp::1-y:2",
        "unix:-:2",
    ] {
        let error = HostForward::parse(rule).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("invalid host forwarding rule '{rule}': ")),
            "{error}"
        );
    }
}

#[test]
fn rules_for_the_guest() {
    let rule = GuestForward::parse("tcp:10.0.2.100:1234-cmd:netcat 10.10.1.1 4321").unwrap();
    assert_eq!(
        (rule.server.unwrap().to_string().as_str(), rule.port),
        ("10.0.2.100", 1234)
    );
    assert_eq!(rule.to, GuestForwardTo::Command("netcat 10.10.1.1 4321".into()));
    let rule = GuestForward::parse("::80-tcp:10.10.1.1:4321").unwrap();
    assert_eq!(
        (rule.server, rule.to),
        (None, GuestForwardTo::Chardev("tcp:10.10.1.1:4321".into()))
    );
    for rule in [
        "",
        "udp:10.0.2.100:1-x",
        "tcp:10.0.2.100:0-x",
        "tcp:z:1-x",
        "tcp:10.0.2.100:1",
        "tcp::1-",
        "tcp::1-cmd: ",
    ] {
        assert!(GuestForward::parse(rule).is_err(), "{rule}");
    }
}
