//! `-serial`: short forms of channels, and which serial port gets what when the user did not say.

use std::ops::Range;
use std::sync::Arc;

use crate::argv::RawOption;
use crate::error::{ErrorKind, OptError};
use crate::keyval::{Grammar, Props};
use crate::location::{Located, Location, Source};

use super::Config;
use super::chardev::{self, ChardevOpt};

/// What one serial port of the board is connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SerialOpt {
    /// The channel.
    pub backend: SerialBackend,
    /// The monitor shares it (`mon:`).
    pub monitor: bool,
}

/// The channel of a serial port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SerialBackend {
    /// The port is not connected.
    None,
    /// A channel that `-chardev` makes, by its id.
    Existing(Located<String>),
    /// A channel of its own, called `serialN`.
    Own(Box<ChardevOpt>),
}

impl SerialOpt {
    /// What the program connects to port `index` on its own account, in the short form of `-serial`.
    ///
    /// # Errors
    /// None for the short forms that this crate uses itself; as for `-serial` otherwise.
    fn implied(option: &str, short: &str, index: usize) -> Result<Self, OptError> {
        channel(&Source::implied(option, short), &format!("serial{index}"))
    }
}

impl Config {
    /// The serial ports of the board, first to last: those of `-serial`, else what QEMU connects by default.
    ///
    /// `-nographic` puts the first port on the terminal, shared with the monitor unless that is elsewhere. Without any
    /// of these, and with `-nodefaults`, nothing is connected; else the first port's output goes nowhere, for there is
    /// no display yet to show it on.
    pub fn serial_ports(&self) -> Vec<SerialOpt> {
        if !self.serials.is_empty() || self.nodefaults {
            return self.serials.clone();
        }
        let (option, short) = match (&self.nographic, self.no_monitor) {
            (Some(_), false) => ("-nographic", "mon:stdio"),
            (Some(_), true) => ("-nographic", "stdio"),
            (None, _) => ("-serial", "null"),
        };
        SerialOpt::implied(option, short, 0).into_iter().collect()
    }
}

/// `-serial`, for the port of that index.
pub(super) fn parse(option: &RawOption, index: usize) -> Result<SerialOpt, OptError> {
    channel(&option.source, &format!("serial{index}"))
}

/// A channel in the short forms of `-serial`, which other options take too; one of its own is called `own_id`.
pub(super) fn channel(source: &Arc<Source>, own_id: &str) -> Result<SerialOpt, OptError> {
    let text = source.text.as_str();
    let whole = Location::argument(source);
    if text == "none" {
        return Ok(SerialOpt {
            backend: SerialBackend::None,
            monitor: false,
        });
    }
    if let Some(id) = text.strip_prefix("chardev:") {
        let id = Located::new(id.to_owned(), whole.part(8..text.len()));
        return Ok(SerialOpt {
            backend: SerialBackend::Existing(id),
            monitor: false,
        });
    }
    let (start, monitor) = if text.starts_with("mon:") {
        (4, true)
    } else {
        (0, false)
    };
    let mut props = long_form(source, start)?;
    if monitor {
        props.push("mux", "on", &whole);
        // With the monitor on the terminal Ctrl-C is the guest's; Ctrl-a x ends the run.
        if &text[start..] == "stdio" {
            props.push("signal", "off", &whole);
        }
    }
    let id = Located::new(own_id.to_owned(), whole);
    let own = chardev::parse(id, props)?;
    Ok(SerialOpt {
        backend: SerialBackend::Own(Box::new(own)),
        monitor,
    })
}

/// The channel of `-gdb`: over TCP it serves and waits for nobody, as far as it does not say otherwise.
pub(super) fn gdb(source: &Arc<Source>) -> Result<SerialOpt, OptError> {
    let mut option = channel(source, "gdb")?;
    if let SerialBackend::Own(own) = &mut option.backend
        && source.text.starts_with("tcp:")
    {
        let whole = Location::argument(source);
        for (key, value) in [("server", "on"), ("wait", "off"), ("nodelay", "on")] {
            if own.props.get(key).is_none() {
                own.props.push(key, value, &whole);
            }
        }
    }
    Ok(option)
}

/// The list that a short form stands for. `start` is where it begins in the argument.
fn long_form(source: &Arc<Source>, start: usize) -> Result<Props, OptError> {
    let text = &source.text[start..];
    let at = |from: usize, to: usize| Location::new(source, start + from..start + to);
    let mut props = Props::at_source(source);
    let mut set = |key: &str, from: usize, to: usize| props.push(key, &text[from..to], &at(from, to));
    let (word, rest) = match text.find(':') {
        Some(colon) => (&text[..colon], Some(colon + 1)),
        None => (text, None),
    };
    match (word, rest) {
        ("null" | "stdio" | "pty", None) => set("backend", 0, text.len()),
        ("file" | "pipe" | "pty", Some(rest)) => {
            set("backend", 0, rest - 1);
            set("path", rest, text.len());
        }
        ("unix", Some(rest)) => {
            props.push("backend", "socket", &at(0, rest - 1));
            add_list(&mut props, source, start + rest, Grammar::list("path"))?;
        }
        ("tcp" | "telnet" | "websocket" | "tn3270", Some(rest)) => {
            props.push("backend", "socket", &at(0, rest - 1));
            if word != "tcp" {
                props.push(word, "on", &at(0, rest - 1));
            }
            let end = text[rest..].find(',').map_or(text.len(), |comma| rest + comma);
            host_port(&mut props, source, start + rest..start + end, ["host", "port"])?;
            if end < text.len() {
                add_list(&mut props, source, start + end + 1, Grammar::plain())?;
            }
        }
        ("udp", Some(rest)) => {
            props.push("backend", "udp", &at(0, rest - 1));
            let middle = text[rest..].find('@').map_or(text.len(), |found| rest + found);
            host_port(&mut props, source, start + rest..start + middle, ["host", "port"])?;
            if middle < text.len() {
                host_port(
                    &mut props,
                    source,
                    start + middle + 1..start + text.len(),
                    ["localaddr", "localport"],
                )?;
            }
        }
        _ => return Err(not_a_short_form(word, text, at(0, word.len()))),
    }
    Ok(props)
}

fn not_a_short_form(word: &str, text: &str, at: Location) -> OptError {
    const LATER: &[&str] = &["vc", "msmouse", "wctablet", "braille", "testdev", "con"];
    if LATER.contains(&word) || text.starts_with("/dev/") || text.starts_with("COM") {
        return OptError::not_yet(format!("-serial {text}"), at);
    }
    let forms = [
        "stdio", "null", "none", "pty", "file:", "pipe:", "unix:", "tcp:", "telnet:", "udp:", "chardev:", "mon:",
    ];
    OptError::no_such("channel", word, forms, at)
}

/// `HOST:PORT` or `:PORT`; a host in brackets may contain colons.
fn host_port(props: &mut Props, source: &Arc<Source>, range: Range<usize>, keys: [&str; 2]) -> Result<(), OptError> {
    let text = &source.text[range.clone()];
    let at = |from: usize, to: usize| Location::new(source, range.start + from..range.start + to);
    let bad = || {
        let kind = ErrorKind::Syntax {
            why: format!("'{text}' is not an address"),
        };
        OptError::new(kind, at(0, text.len())).with_help("write HOST:PORT or :PORT")
    };
    let (host, port) = match text.strip_prefix('[').and_then(|t| t.find("]:")) {
        Some(close) => (1..close + 1, close + 3),
        None => {
            let colon = text.find(':').ok_or_else(bad)?;
            (0..colon, colon + 1)
        }
    };
    if port >= text.len() {
        return Err(bad());
    }
    props.push(keys[0], &text[host.clone()], &at(host.start, host.end));
    props.push(keys[1], &text[port..], &at(port, text.len()));
    Ok(())
}

/// Adds the list that begins at byte `from` of the argument.
fn add_list(props: &mut Props, source: &Arc<Source>, from: usize, grammar: Grammar) -> Result<(), OptError> {
    // Parsed in place, so that the words keep their place in the argument.
    let list = Props::parse_at(source, from, grammar)?;
    for entry in list.entries() {
        props.push_entry(entry.clone());
    }
    Ok(())
}

/// What can only be seen when all options are known.
pub(super) fn check(config: &Config) -> Result<(), OptError> {
    for serial in &config.serials {
        let SerialBackend::Own(own) = &serial.backend else {
            continue;
        };
        if let Some(first) = config.chardevs.iter().find(|c| c.id == own.id) {
            return Err(
                OptError::duplicate_id("chardev", &own.id.value, first.id.at.clone(), own.id.at.clone())
                    .with_help("-serial calls its own channels serial0, serial1 and so on"),
            );
        }
    }
    let by_default = config.serials.is_empty() && !config.nodefaults;
    if let (Some(daemonize), Some(_), true) = (&config.daemonize, &config.nographic, by_default) {
        let error = OptError::conflict(
            "-daemonize",
            "a serial port on the terminal (-nographic)",
            daemonize.clone(),
        );
        return Err(error.with_help("add -serial null, or another place for it, and use -display none"));
    }
    Ok(())
}
