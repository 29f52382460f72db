//! DHCP and BOOTP (RFC 2131, RFC 2132, RFC 951), and stateless DHCPv6 (RFC 8415 §18.2.6).

mod v4;
mod v6;

pub(crate) use v4::Dhcp;
pub(crate) use v6::input as input6;

/// A list of domains in the form of DNS (RFC 1035 §3.1), as RFC 3397 and RFC 3646 have it. What cannot be a name is left out.
fn domain_list(domains: &[String]) -> Vec<u8> {
    let mut list = Vec::new();
    for domain in domains {
        let domain = domain.trim_end_matches('.');
        let fits = |label: &str| (1..=63).contains(&label.len());
        if domain.len() > 253 || !domain.split('.').all(fits) {
            continue;
        }
        for label in domain.split('.') {
            list.push(label.len() as u8);
            list.extend_from_slice(label.as_bytes());
        }
        list.push(0);
    }
    list
}
