//! What the options of a socket mean, and the link they ask for.

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::sockopt;
use southbridge_core::Properties;
use southbridge_core::host::Watch;
use std::io;
use std::net::TcpStream;
use std::time::Duration;

use super::{FIRST_TOKEN, Socket, State};
use crate::error::CharError;
use crate::kind::address::{Address, Attempt, Listeners, connect_unix, inherited};
use crate::kind::{Make, given, said_bool};
use crate::link::Link;

/// How long a connection attempt without `reconnect` may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the options mean together. Checked before anything is opened.
fn check(options: &Properties, address: &Address) -> Result<(), CharError> {
    check_missing(options)?;
    check_role(options)?;
    if given(options, "reconnect") && given(options, "reconnect-ms") {
        return conflict(
            "reconnect",
            "and 'reconnect-ms' exclude each other; keep 'reconnect-ms'",
        );
    }
    if matches!(address, Address::Fd(_)) && given(options, "reconnect") | given(options, "reconnect-ms") {
        return conflict(
            "fd",
            "cannot be connected again: leave out 'reconnect' and 'reconnect-ms'",
        );
    }
    if given(options, "delay") && given(options, "nodelay") {
        return conflict("delay", "and 'nodelay' exclude each other");
    }
    Ok(())
}

fn conflict(option: &'static str, why: &str) -> Result<(), CharError> {
    Err(CharError::Conflict {
        option,
        why: why.into(),
    })
}

/// What QEMU has and this program has not.
fn check_missing(options: &Properties) -> Result<(), CharError> {
    if options.str("tls-creds").is_some() {
        return Err(CharError::OptionMissing {
            option: "tls-creds".into(),
            why: "; put stunnel or socat before the socket",
        });
    }
    if options.str("tls-authz").is_some() {
        return Err(CharError::OptionMissing {
            option: "tls-authz".into(),
            why: "",
        });
    }
    if options.bool("websocket") {
        return Err(CharError::OptionMissing {
            option: "websocket".into(),
            why: "; put websockify before the socket",
        });
    }
    Ok(())
}

/// What goes only with a server, or only with a client.
fn check_role(options: &Properties) -> Result<(), CharError> {
    let server = options.bool("server");
    if server && (given(options, "reconnect") || given(options, "reconnect-ms")) {
        let option = if given(options, "reconnect") {
            "reconnect"
        } else {
            "reconnect-ms"
        };
        return conflict(
            option,
            "is for clients; a server (server=on) waits for the next client anyway",
        );
    }
    if !server && given(options, "wait") {
        return conflict(
            "wait",
            "is for servers: add 'server=on', or for a client 'reconnect-ms=N'",
        );
    }
    if !server && given(options, "to") {
        return conflict("to", "is a range for servers: add 'server=on'");
    }
    Ok(())
}

fn reconnect(options: &Properties) -> Option<Duration> {
    let ms = match options.opt_uint("reconnect") {
        Some(s) => s.saturating_mul(1000),
        None => options.uint("reconnect-ms"),
    };
    (ms > 0).then(|| Duration::from_millis(ms))
}

/// The first connection of a client that does not reconnect: its failure is an error of the option.
fn connect_now(address: &Address) -> Result<OwnedFd, CharError> {
    let failed = |option, e: io::Error| CharError::host(Some(option), format!("cannot connect to '{address}'"), e);
    match address {
        Address::Unix { path, abstract_tight } => match connect_unix(path, *abstract_tight) {
            Ok(Attempt::Done(fd) | Attempt::Pending(fd)) => Ok(fd),
            Err(e) => Err(failed("path", e.into())),
        },
        Address::Inet(inet) => {
            let mut last = None;
            for at in inet.resolve(false).map_err(|e| failed("host", e))? {
                match TcpStream::connect_timeout(&at, PATIENCE).and_then(|s| s.set_nonblocking(true).map(|()| s)) {
                    Ok(s) => return Ok(s.into()),
                    Err(e) => last = Some(e),
                }
            }
            Err(failed("port", last.unwrap_or_else(|| Errno::ADDRNOTAVAIL.into())))
        }
        Address::Fd(name) => {
            let fd = inherited(name)?;
            if sockopt::socket_acceptconn(&fd).unwrap_or(false) {
                return Err(CharError::BadValue {
                    option: "fd".into(),
                    value: name.clone(),
                    expected: "a connected socket (this one listens: add 'server=on')".into(),
                });
            }
            Ok(fd)
        }
    }
}

pub(in crate::kind) fn make(make: &mut Make<'_>) -> Result<Box<dyn Link>, CharError> {
    let options = make.options;
    let address = Address::of_socket(options)?;
    check(options, &address)?;
    let server = options.bool("server");
    let mut socket = Socket {
        telnet: options.bool("telnet"),
        tn3270: options.bool("tn3270"),
        nodelay: options.bool("nodelay") || said_bool(options, "delay") == Some(false),
        reconnect: reconnect(options).filter(|_| !server),
        listeners: None,
        listen_watches: Vec::new(),
        listen_paused: false,
        lent: None,
        state: State::Idle,
        next_token: FIRST_TOKEN,
        waiting: server && said_bool(options, "wait") != Some(false),
        complained: false,
        address,
    };
    if server {
        let listeners = Listeners::open(&socket.address)?;
        socket.address = listeners.address.clone();
        socket.listen_watches = listeners.sockets.iter().map(|_| Watch::new(socket.token())).collect();
        socket.listeners = Some(listeners);
    } else if socket.reconnect.is_none() {
        socket.state = State::Adopted(connect_now(&socket.address)?);
    }
    Ok(Box::new(socket))
}
