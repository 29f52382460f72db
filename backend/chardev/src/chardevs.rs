//! All character back ends of a machine, by id.

use rustix::fs::{Mode, OFlags};
use southbridge_core::Properties;
use southbridge_core::host::{BackendId, Host, HostCx};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;

use crate::chardev::{Chardev, Common};
use crate::error::CharError;
use crate::kind::{self, Kind, Make, Maker};
use crate::mux::{DEFAULT_ESCAPE, Menu};
use crate::quit::QuitRequest;

/// The directory of a machine's character back ends.
pub struct Chardevs {
    ids: BTreeMap<String, BackendId>,
    quit: QuitRequest,
    /// The byte that opens the menu of shared back ends (`-echr`).
    pub escape: u8,
}

impl Default for Chardevs {
    fn default() -> Self {
        Self {
            ids: BTreeMap::new(),
            quit: QuitRequest::default(),
            escape: DEFAULT_ESCAPE,
        }
    }
}

/// The user or the parent asked for the end while a server waited for its first client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("interrupted while waiting for a connection")]
pub struct Interrupted;

impl Chardevs {
    /// Opens a back end from options as the command line spells them (without `id` and the kind's own name).
    ///
    /// # Errors
    /// Names the option that is wrong and what would be right. Nothing is left behind.
    pub fn open<'t>(
        &mut self,
        host: &mut Host,
        kind: &str,
        id: &str,
        pairs: impl IntoIterator<Item = (&'t str, &'t str)>,
    ) -> Result<BackendId, CharError> {
        let kind = kind::find(kind)?;
        let options = kind::parse(kind, pairs)?;
        self.open_parsed(host, kind, id, &options)
    }

    /// The same from parsed options.
    ///
    /// # Errors
    /// As [`Chardevs::open`].
    pub fn open_parsed(
        &mut self,
        host: &mut Host,
        kind: &'static Kind,
        id: &str,
        options: &Properties,
    ) -> Result<BackendId, CharError> {
        if self.ids.contains_key(id) {
            return Err(CharError::DuplicateId(id.to_owned()));
        }
        let escape = self.escape;
        let quit = self.quit.clone();
        let backend = host.add(|cx| open_with(kind, id, options, cx, escape, quit).map(|c| Box::new(c) as _))?;
        self.ids.insert(id.to_owned(), backend);
        Ok(backend)
    }

    /// A back end by its id.
    pub fn get(&self, id: &str) -> Option<BackendId> {
        self.ids.get(id).copied()
    }

    /// All ids with their back ends, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, BackendId)> {
        self.ids.iter().map(|(k, v)| (k.as_str(), *v))
    }

    /// Closes a back end and forgets its id.
    pub fn remove(&mut self, host: &mut Host, id: &str) -> bool {
        let Some(backend) = self.ids.remove(id) else {
            return false;
        };
        host.remove(backend);
        self.ids.retain(|_, b| *b != backend);
        true
    }

    /// Where the menu's `x` goes: set its action to the machine's stop handle.
    pub fn quit_request(&self) -> &QuitRequest {
        &self.quit
    }

    /// Waits until every server with `wait=on` has its first client. `say` prints one line for each that is waited for. `stop` is asked
    /// whenever the reactor wakes up: a signal handler's thread sets its flag and kicks the reactor.
    ///
    /// # Errors
    /// [`Interrupted`] when `stop` said so.
    pub fn wait_for_clients(
        &self,
        host: &mut Host,
        mut say: impl FnMut(&str),
        stop: impl Fn() -> bool,
    ) -> Result<(), Interrupted> {
        for id in self.ids.values() {
            let mut said = false;
            while let Some(what) = host.get::<Chardev>(*id).and_then(|(c, _)| c.awaits()) {
                if !std::mem::replace(&mut said, true) {
                    say(&format!("waiting for connection on: {what}"));
                }
                if stop() || host.wait(None).is_err() {
                    return Err(Interrupted);
                }
            }
        }
        Ok(())
    }
}

/// Opens one back end that needs no other, outside a directory.
///
/// # Errors
/// As [`Chardevs::open`].
pub fn open(kind: &str, id: &str, options: &Properties, cx: &mut HostCx<'_>) -> Result<Chardev, CharError> {
    open_with(
        kind::find(kind)?,
        id,
        options,
        cx,
        DEFAULT_ESCAPE,
        QuitRequest::default(),
    )
}

fn open_with(
    kind: &'static Kind,
    id: &str,
    options: &Properties,
    host: &mut HostCx<'_>,
    escape: u8,
    quit: QuitRequest,
) -> Result<Chardev, CharError> {
    let make = match kind.maker {
        Maker::Link(make) => make,
        Maker::Joint => {
            return Err(CharError::KindMissing {
                kind: kind.name,
                why: "needs the other chardevs of its machine",
            });
        }
        Maker::Missing(why) => return Err(CharError::KindMissing { kind: kind.name, why }),
    };
    let log = open_log(options)?;
    let link = make(&mut Make { options, host })?;
    let menu = options.bool("mux").then(|| Menu::new(escape));
    let mut chardev = Chardev::new(id, kind.name, link, Common { log, menu, quit });
    if let Err(e) = chardev.start(host) {
        southbridge_core::host::Backend::close(&mut chardev, host);
        return Err(CharError::host(None, format!("cannot start '{}'", kind.name), e));
    }
    Ok(chardev)
}

fn open_log(options: &Properties) -> Result<Option<File>, CharError> {
    let Some(path) = options.str("logfile") else {
        return if options.bool("logappend") {
            Err(CharError::Conflict {
                option: "logappend",
                why: "has no meaning without 'logfile=FILE'".into(),
            })
        } else {
            Ok(None)
        };
    };
    let keep = if options.bool("logappend") {
        OFlags::APPEND
    } else {
        OFlags::TRUNC
    };
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK | keep;
    rustix::fs::open(path, flags, Mode::from_raw_mode(0o666))
        .map(|fd| Some(File::from(fd)))
        .map_err(|e| CharError::host(Some("logfile"), format!("cannot open '{path}'"), io::Error::from(e)))
}
