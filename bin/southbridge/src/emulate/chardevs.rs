//! `-chardev` and `-serial`: back ends opened and given their names.

use southbridge_backend_chardev as chardev;
use southbridge_backend_chardev::{CharError, Message};
use southbridge_cli::config::{ChardevOpt, SerialBackend, SerialOpt};
use southbridge_cli::error::ErrorKind;
use southbridge_cli::keyval::Entry;
use southbridge_cli::{Config, Located, Location, OptError};
use southbridge_core::machine::Cause;
use southbridge_core::{BackendId, Machine};
use southbridge_machine::Board;

use super::options::{self, Words};
use super::signals::Signals;
use crate::say;

/// All character back ends of the machine.
pub(crate) struct Chardevs {
    all: chardev::Chardevs,
    /// Back ends of the board's serial ports.
    pub(crate) serial: Vec<Option<BackendId>>,
}

/// Opens everything that `-chardev` and `-serial` name.
///
/// # Errors
/// When an option is wrong or the host refuses.
pub(crate) fn open(
    config: &Config,
    board: &Board,
    machine: &mut Machine,
    signals: &Signals,
) -> Result<Chardevs, OptError> {
    let mut this = Chardevs {
        all: chardev::Chardevs::default(),
        serial: Vec::new(),
    };
    let stop = signals.stop_handle();
    this.all.quit_request().on_quit(move || stop.stop(Cause::HostQuit));
    this.all.messages().on_message(say);
    for option in in_order(&config.chardevs) {
        this.open_one(option, machine)?;
    }
    let ports = if board.serial_ports == 0 {
        Vec::new()
    } else {
        config.serial_ports()
    };
    for (port, serial) in ports.iter().enumerate() {
        let backend = this.channel(serial, machine)?;
        if port >= board.serial_ports {
            let why = format!("machine '{}' has {} serial ports", board.name, board.serial_ports);
            let error = match &serial.backend {
                SerialBackend::Own(own) => OptError::new(ErrorKind::Refused { why }, own.id.at.clone()),
                SerialBackend::Existing(id) => OptError::new(ErrorKind::Refused { why }, id.at.clone()),
                // A port that is connected to nothing is nothing.
                SerialBackend::None => continue,
            };
            return Err(error.with_help(format!("give -serial at most {} times", board.serial_ports)));
        }
        this.serial.push(backend);
    }
    Ok(this)
}

/// The name of a new terminal was asked for, and scripts read it from standard output; all else is for people.
fn say(message: &Message) {
    match message {
        Message::Info(text) => say::answer(text),
        Message::Warning(text) => say::tell(&say::plain(format!("warning: {text}"))),
    }
}

/// Muxes and hubs refer to others, which may stand behind them on the line.
fn in_order(options: &[ChardevOpt]) -> impl Iterator<Item = &ChardevOpt> {
    let joint = |o: &&ChardevOpt| matches!(o.backend.value.as_str(), "mux" | "hub");
    options
        .iter()
        .filter(move |o| !joint(o))
        .chain(options.iter().filter(joint))
}

impl Chardevs {
    fn open_one(&mut self, option: &ChardevOpt, machine: &mut Machine) -> Result<BackendId, OptError> {
        let pairs = option.props.entries().iter().filter(|e| e.key != "backend");
        let pairs = pairs.map(|e| (e.key.as_str(), e.value.as_str()));
        let opened = self
            .all
            .open(&mut machine.sys.host, &option.backend.value, &option.id.value, pairs);
        let id = opened.map_err(|e| refused(option, &e))?;
        Ok(id)
    }

    fn named(&self, id: &Located<String>) -> Result<BackendId, OptError> {
        let known = || self.all.iter().map(|(name, _)| name);
        self.all
            .get(&id.value)
            .ok_or_else(|| OptError::no_such("chardev", &id.value, known(), id.at.clone()))
    }

    /// Opens the channel of an option that takes the short forms of `-serial`; `None` for `none`.
    ///
    /// # Errors
    /// When it names no channel, or the host refuses.
    pub(crate) fn channel(&mut self, option: &SerialOpt, machine: &mut Machine) -> Result<Option<BackendId>, OptError> {
        match &option.backend {
            SerialBackend::None => Ok(None),
            SerialBackend::Existing(id) => self.named(id).map(Some),
            SerialBackend::Own(option) => self.open_one(option, machine).map(Some),
        }
    }

    /// The same, giving the id.
    ///
    /// # Errors
    /// When it names no channel, or the host refuses.
    pub(crate) fn channel_id(&mut self, option: &SerialOpt, machine: &mut Machine) -> Result<Option<String>, OptError> {
        self.channel(option, machine)?;
        Ok(match &option.backend {
            SerialBackend::None => None,
            SerialBackend::Existing(id) => Some(id.value.clone()),
            SerialBackend::Own(option) => Some(option.id.value.clone()),
        })
    }

    /// The directory, for who opens and closes channels while the machine runs.
    pub(crate) fn directory(&self) -> chardev::Chardevs {
        self.all.clone()
    }

    /// The back end that a device's property names.
    ///
    /// # Errors
    /// When there is none of that id.
    pub(crate) fn find(&self, entry: &Entry) -> Result<BackendId, OptError> {
        self.named(&entry.located())
    }

    /// The back end of an id.
    pub(crate) fn get(&self, id: &str) -> Option<BackendId> {
        self.all.get(id)
    }

    /// The back end of an id from an option of its own.
    ///
    /// # Errors
    /// When there is none of that id.
    pub(crate) fn find_named(&self, id: &Located<String>) -> Result<BackendId, OptError> {
        self.named(id)
    }

    /// Waits for the first client of every server with `wait=on`; `false` if the user gave up.
    pub(crate) fn wait(&self, machine: &mut Machine, signals: &Signals) -> bool {
        let say = |line: &str| say::tell(line);
        self.all
            .wait_for_clients(&mut machine.sys.host, say, || signals.caught())
            .is_ok()
    }
}

fn pairs(option: &ChardevOpt) -> impl Iterator<Item = (&str, &str)> {
    option
        .props
        .entries()
        .iter()
        .map(|e| (e.key.as_str(), e.value.as_str()))
}

/// Checks every channel's words against the table of back ends, before anything is opened.
///
/// # Errors
/// At the first word that is wrong.
pub(crate) fn check(config: &Config) -> Result<(), OptError> {
    let channels = config.serials.iter().chain(config.monitors.iter().map(|m| &m.channel));
    let own = channels.filter_map(|s| match &s.backend {
        SerialBackend::Own(option) => Some(&**option),
        _ => None,
    });
    for option in config.chardevs.iter().chain(own) {
        let parsed = chardev::find(&option.backend.value).and_then(|kind| chardev::parse(kind, pairs(option)));
        parsed.map_err(|e| refused(option, &e))?;
    }
    Ok(())
}

/// The error that no back end has this name.
pub(crate) fn no_kind(name: &str, at: Location) -> OptError {
    let here = chardev::KINDS.iter().filter(|k| k.missing().is_none()).map(|k| k.name);
    OptError::no_such("chardev back end", name, here, at)
}

/// The error at the word that caused it, in the words of its kind.
fn refused(option: &ChardevOpt, error: &CharError) -> OptError {
    let words = Words {
        what: "chardev back end",
        kind: &option.backend,
        id: &option.id.at,
        props: &option.props,
        options: chardev::find(&option.backend.value)
            .map_or_else(|_| Vec::new(), |k| k.all_options().map(|o| o.name).collect()),
    };
    options::refused(&words, error, no_kind)
}
