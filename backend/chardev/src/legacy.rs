//! The older spelling of back ends: `-serial stdio`, `-serial mon:stdio`, `-serial tcp:HOST:PORT,server=on`, `-monitor pty`, …
//!
//! It becomes a kind and options, so that everything else is decided in one place.

use crate::error::CharError;

/// What an argument of `-serial`, `-parallel` or `-monitor` means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Legacy {
    /// `none`: no device at all.
    None,
    /// `chardev:ID`: one that was defined by `-chardev`.
    Existing(String),
    /// A new one.
    New {
        /// Kind.
        kind: String,
        /// Options as the command line spells them.
        options: Vec<(String, String)>,
        /// It came as `mon:…`: the monitor shares it.
        monitor: bool,
    },
}

impl Legacy {
    /// Reads the argument.
    ///
    /// # Errors
    /// The text is of no known form, or an address in it has no port.
    pub fn parse(text: &str) -> Result<Self, CharError> {
        if text == "none" {
            return Ok(Self::None);
        }
        if let Some(id) = text.strip_prefix("chardev:") {
            return Ok(Self::Existing(id.to_owned()));
        }
        let (monitor, rest) = match text.strip_prefix("mon:") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (kind, mut options) = form(rest).ok_or_else(|| unknown(rest))?;
        if monitor {
            options.push(("mux".into(), "on".into()));
            if kind == "stdio" {
                // Ctrl-C belongs to the guest when the menu has a key to end the run.
                options.push(("signal".into(), "off".into()));
            }
        }
        Ok(Self::New {
            kind: kind.to_owned(),
            options,
            monitor,
        })
    }
}

type Options = Vec<(String, String)>;

fn unknown(text: &str) -> CharError {
    let head = text.split([':', ',']).next().unwrap_or(text);
    CharError::BadValue {
        option: "backend".into(),
        value: text.to_owned(),
        expected: match head {
            "tcp" | "telnet" | "tn3270" | "websocket" | "udp" => format!("{head}:HOST:PORT"),
            "vc" => "vc, vc:WIDTHxHEIGHT or vc:COLSCxROWSC".into(),
            _ => "stdio, mon:stdio, null, none, pty[:LINK], file:PATH, pipe:PATH, unix:PATH, tcp:HOST:PORT, \
                  telnet:HOST:PORT, udp:HOST:PORT, chardev:ID or /dev/PORT"
                .into(),
        },
    }
}

fn form(text: &str) -> Option<(&'static str, Options)> {
    let with = |kind, name: &str, value: &str| Some((kind, vec![(name.to_owned(), value.to_owned())]));
    match text {
        "null" => return Some(("null", Vec::new())),
        "pty" => return Some(("pty", Vec::new())),
        "stdio" => return Some(("stdio", Vec::new())),
        "msmouse" => return Some(("msmouse", Vec::new())),
        "wctablet" => return Some(("wctablet", Vec::new())),
        "braille" => return Some(("braille", Vec::new())),
        "testdev" => return Some(("testdev", Vec::new())),
        "con:" => return Some(("console", Vec::new())),
        _ => {}
    }
    if text.starts_with("/dev/parport") || text.starts_with("/dev/ppi") {
        return with("parallel", "path", text);
    }
    if text.starts_with("/dev/") || text.starts_with("COM") {
        return with("serial", "path", text);
    }
    if text == "vc" {
        return Some(("vc", Vec::new()));
    }
    let (head, rest) = text.split_once(':')?;
    match head {
        "vc" => Some(("vc", Vec::new())),
        "file" => with("file", "path", rest),
        "pipe" => with("pipe", "path", rest),
        "pty" => with("pty", "path", rest),
        "unix" => Some(("socket", list(&format!("path={rest}")))),
        "tcp" => tcp(rest, None),
        "telnet" => tcp(rest, Some("telnet")),
        "tn3270" => tcp(rest, Some("tn3270")),
        "websocket" => tcp(rest, Some("websocket")),
        "udp" => udp(rest),
        _ => None,
    }
}

/// `host:port`, either may be in brackets; the host may be empty.
fn host_port(text: &str) -> Option<(String, String)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once("]:")?,
        None => text.split_once(':')?,
    };
    (!port.is_empty()).then(|| (host.to_owned(), port.to_owned()))
}

fn tcp(text: &str, flavour: Option<&str>) -> Option<(&'static str, Options)> {
    let (address, more) = text.split_once(',').unwrap_or((text, ""));
    let (host, port) = host_port(address)?;
    let mut options = vec![("host".to_owned(), host), ("port".to_owned(), port)];
    options.extend(list(more));
    if let Some(f) = flavour {
        options.push((f.to_owned(), "on".to_owned()));
    }
    Some(("socket", options))
}

fn udp(text: &str) -> Option<(&'static str, Options)> {
    let (remote, local) = match text.split_once('@') {
        Some((r, l)) => (r, Some(l)),
        None => (text, None),
    };
    let (host, port) = host_port(remote)?;
    let mut options = vec![("host".to_owned(), host), ("port".to_owned(), port)];
    if let Some(l) = local {
        let (host, port) = host_port(l)?;
        options.extend([("localaddr".to_owned(), host), ("localport".to_owned(), port)]);
    }
    options.retain(|(name, value)| name == "port" || !value.is_empty());
    Some(("udp", options))
}

/// `a=b,c,d=e,,f`: a doubled comma is one in the value, a bare word is `on`.
fn list(text: &str) -> Options {
    let mut options = Vec::new();
    let mut item = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == ',' && chars.next_if_eq(&',').is_none() {
            add(&mut options, &std::mem::take(&mut item));
        } else {
            item.push(c);
        }
    }
    add(&mut options, &item);
    options
}

fn add(options: &mut Options, item: &str) {
    if !item.is_empty() {
        let (name, value) = item.split_once('=').unwrap_or((item, "on"));
        options.push((name.to_owned(), value.to_owned()));
    }
}
