//! `socket`: the older spelling of streams and datagrams, with one option for each sort.

use rustix::net::{SocketType, sockopt};

use super::Make;
use super::address::{Listener, Place, host_port, inherited, make_nonblocking};
use super::stream::{Stream, target};
use super::{Options, dgram};
use crate::error::NetError;
use crate::link::Link;

const SORTS: [&str; 5] = ["fd", "listen", "connect", "mcast", "udp"];

pub(crate) fn make(make: &mut Make<'_>) -> Result<Box<dyn Link>, NetError> {
    let options = make.options;
    let mut given = SORTS
        .into_iter()
        .filter(|s| options.str(s).is_some_and(|v| !v.is_empty()));
    let sort = given.next().ok_or(NetError::Missing {
        kind: "socket",
        option: "listen",
        expected: "[HOST]:PORT' or one of 'connect=', 'mcast=', 'udp=' and 'fd=",
    })?;
    // The descriptor of a group goes with the address of the group.
    if let Some(second) = given.next().filter(|s| !(sort == "fd" && *s == "mcast")) {
        return Err(NetError::Conflict {
            option: second,
            why: format!("does not go with '{sort}': give one of fd, listen, connect, mcast and udp"),
        });
    }
    if options.given("localaddr") && !matches!(sort, "mcast" | "udp") {
        return Err(NetError::Conflict {
            option: "localaddr",
            why: format!("has a meaning with mcast= and udp=, not with {sort}="),
        });
    }
    let value = options.str(sort).unwrap_or_default();
    match sort {
        "fd" => descriptor(value, options),
        "listen" => {
            let place = Place::Inet(host_port("listen", value)?);
            Ok(Box::new(Stream::serve(Listener::open(&place)?, true)))
        }
        "connect" => {
            let mut inet = host_port("connect", value)?;
            inet.v6 = None;
            Ok(Box::new(Stream::connect(target(&Place::Inet(inet))?, None, true)))
        }
        "mcast" => {
            let group = host_port("mcast", value)?.resolve_v4("mcast")?;
            let interface = options.str("localaddr").map(|text| {
                text.parse().map_err(|_| NetError::BadValue {
                    option: "localaddr".into(),
                    value: text.into(),
                    expected: "the address of one of the host's interfaces".into(),
                })
            });
            Ok(Box::new(dgram::group(group, interface.transpose()?, "socket: ")?))
        }
        _ => {
            let local = options.required("socket", "localaddr", "[HOST]:PORT")?;
            let (r, l) = (host_port("udp", value)?, host_port("localaddr", local)?);
            let r = r.resolve_v4("udp")?;
            let about = format!("socket: udp={}:{}", r.0, r.1);
            Ok(Box::new(dgram::udp(l.resolve_v4("localaddr")?, r, about)?))
        }
    }
}

fn descriptor(name: &str, options: &Options) -> Result<Box<dyn Link>, NetError> {
    let fd = inherited("fd", name)?;
    let failed = |e| NetError::host(Some("fd"), format!("cannot use descriptor {name}"), e);
    if sockopt::socket_type(&fd).map_err(|e| failed(std::io::Error::from(e)))? == SocketType::DGRAM {
        let to = match options.str("mcast") {
            Some(group) => Some(host_port("mcast", group)?.resolve_v4("mcast")?),
            None => None,
        };
        return Ok(Box::new(dgram::adopt("fd", name, to, "socket: ")?));
    }
    make_nonblocking(&fd).map_err(|e| failed(e.into()))?;
    Ok(Box::new(Stream::adopt(fd, name, true)))
}
