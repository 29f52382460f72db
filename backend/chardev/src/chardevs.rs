//! All character back ends of a machine, by id.

use rustix::fs::{Mode, OFlags};
use southbridge_core::Properties;
use southbridge_core::host::{BackendId, Host, HostCx};
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io;

use crate::chardev::{Chardev, Common, Replacement};
use crate::error::{CharError, FAMILY};
use crate::front::CharHandle;
use crate::kind::hub::{HUB_PARTS, Hub};
use crate::kind::{self, Kind, Make, Maker};
use crate::link::{Link, LinkEvent};
use crate::mux::{DEFAULT_ESCAPE, Menu};
use crate::program::{Messages, QuitRequest};

/// The directory of a machine's character back ends. A clone is a copy of the names as they are now.
#[derive(Clone)]
pub struct Chardevs {
    ids: BTreeMap<String, BackendId>,
    quit: QuitRequest,
    messages: Messages,
    /// The byte that opens the menu of shared back ends (`-echr`).
    pub escape: u8,
}

impl Default for Chardevs {
    fn default() -> Self {
        Self {
            ids: BTreeMap::new(),
            quit: QuitRequest::default(),
            messages: Messages::default(),
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
            return Err(CharError::DuplicateId {
                family: FAMILY,
                id: id.to_owned(),
            });
        }
        let backend = match kind.maker {
            Maker::Mux => self.share(host, options)?,
            Maker::Hub => self.join(host, kind, id, options)?,
            _ => self.open_one(host, kind, id, options)?,
        };
        self.ids.insert(id.to_owned(), backend);
        Ok(backend)
    }

    fn open_one(
        &self,
        host: &mut Host,
        kind: &'static Kind,
        id: &str,
        options: &Properties,
    ) -> Result<BackendId, CharError> {
        let program = self.program();
        host.add(|cx| open_with(kind, id, options, cx, program).map(|c| Box::new(c) as _))
    }

    /// `mux` is another name of the back end below, which learns to be shared.
    fn share(&self, host: &mut Host, options: &Properties) -> Result<BackendId, CharError> {
        let base = self.named("mux", "chardev", options)?;
        let log = open_log(options)?;
        if let Some((c, _)) = host.get::<Chardev>(base) {
            if c.is_used() {
                let why = format!("names '{}', which is in use already", c.id());
                return Err(CharError::Conflict { option: "chardev", why });
            }
            c.share(self.escape);
            c.add_log(log);
        }
        Ok(base)
    }

    fn join(
        &self,
        host: &mut Host,
        kind: &'static Kind,
        id: &str,
        options: &Properties,
    ) -> Result<BackendId, CharError> {
        let parts = self.parts(host, options)?;
        let mut waker = None;
        let program = self.program();
        let hub = host.add(|cx| {
            waker = Some(cx.waker());
            let mut c = prepare(kind, id, options, program, Box::new(Hub::default()), VecDeque::new())?;
            start(&mut c, cx)?;
            Ok(Box::new(c) as _)
        })?;
        for (option, part) in parts {
            let notify = waker.clone().map(|w| Box::new(move || w.wake()) as _);
            match CharHandle::attach(host, part, notify) {
                Ok(handle) => {
                    let link = host.get::<Chardev>(hub).and_then(|(c, _)| c.link::<Hub>());
                    link.into_iter().for_each(|l| l.add(handle.clone()));
                }
                Err(e) => {
                    host.remove(hub);
                    let why = format!("names a chardev that {e}");
                    return Err(CharError::Conflict { option, why });
                }
            }
        }
        Ok(hub)
    }

    /// The back ends that a hub joins, with the options that name them.
    fn parts(&self, host: &mut Host, options: &Properties) -> Result<Vec<(&'static str, BackendId)>, CharError> {
        let mut parts = Vec::new();
        for option in HUB_PARTS.into_iter().filter(|o| options.get(o).is_some()) {
            let part = self.named("hub", option, options)?;
            let stacked = host
                .get::<Chardev>(part)
                .is_some_and(|(c, _)| c.is_shared() || c.kind() == "hub");
            if stacked {
                let why = "names a hub or a shared chardev, and those cannot be stacked".into();
                return Err(CharError::Conflict { option, why });
            }
            parts.push((option, part));
        }
        if parts.is_empty() {
            return Err(CharError::Missing {
                kind: "hub",
                option: HUB_PARTS[0],
                expected: "ID",
            });
        }
        Ok(parts)
    }

    /// The back end whose id an option names.
    fn named(&self, kind: &'static str, option: &'static str, options: &Properties) -> Result<BackendId, CharError> {
        let name = kind::required(options, kind, option, "ID")?;
        self.get(name).ok_or_else(|| {
            let known: Vec<_> = self.ids.keys().map(String::as_str).collect();
            CharError::BadValue {
                option: option.into(),
                value: name.into(),
                expected: if known.is_empty() {
                    "the id of a chardev that stands before this one (there is none)".into()
                } else {
                    format!("the id of a chardev that stands before this one: {}", known.join(", "))
                },
            }
        })
    }

    fn program(&self) -> Program {
        Program {
            escape: self.escape,
            quit: self.quit.clone(),
            messages: self.messages.clone(),
        }
    }

    /// Gives a back end that was made otherwise an id; `false` if that is taken.
    pub fn adopt(&mut self, id: &str, backend: BackendId) -> bool {
        let free = !self.ids.contains_key(id);
        if free {
            self.ids.insert(id.to_owned(), backend);
        }
        free
    }

    /// A back end by its id.
    pub fn get(&self, id: &str) -> Option<BackendId> {
        self.ids.get(id).copied()
    }

    /// All ids with their back ends, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, BackendId)> {
        self.ids.iter().map(|(k, v)| (k.as_str(), *v))
    }

    /// Gives a back end another kind or other options; who uses it goes on with the new one. If the new one cannot be opened, the old
    /// one stays.
    ///
    /// # Errors
    /// As [`Chardevs::open`], and where the users of the old one cannot do with another.
    pub fn change<'t>(
        &mut self,
        host: &mut Host,
        kind: &str,
        id: &str,
        pairs: impl IntoIterator<Item = (&'t str, &'t str)>,
    ) -> Result<(), CharError> {
        let kind = kind::find(kind)?;
        let options = kind::parse(kind, pairs)?;
        let conflict = |why: &str| CharError::Conflict {
            option: "id",
            why: format!("names '{id}', which {why}"),
        };
        let Maker::Link(make) = kind.maker else {
            return Err(conflict("cannot become a shared chardev or a hub"));
        };
        let Some((chardev, mut cx)) = self.get(id).and_then(|b| host.get::<Chardev>(b)) else {
            return Err(conflict("is no chardev"));
        };
        if let Some(why) = chardev.fixed() {
            return Err(conflict(why));
        }
        let logs = open_log(&options)?.into_iter().collect();
        let mut inbox = VecDeque::new();
        let link = make(&mut Make {
            options: &options,
            id,
            inbox: &mut inbox,
        })?;
        let new = Replacement {
            kind: kind.name,
            link,
            logs,
            inbox,
        };
        chardev.replace(new, &mut cx)
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

    /// Where warnings and the names of new terminals go: set who hears them before opening anything.
    pub fn messages(&self) -> &Messages {
        &self.messages
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
                    say(&format!("QEMU waiting for connection on: {what}"));
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
    let program = Program {
        escape: DEFAULT_ESCAPE,
        quit: QuitRequest::default(),
        messages: Messages::default(),
    };
    open_with(kind::find(kind)?, id, options, cx, program)
}

/// What all back ends of a machine share.
struct Program {
    escape: u8,
    quit: QuitRequest,
    messages: Messages,
}

fn open_with(
    kind: &'static Kind,
    id: &str,
    options: &Properties,
    host: &mut HostCx<'_>,
    program: Program,
) -> Result<Chardev, CharError> {
    let make = match kind.maker {
        Maker::Link(make) => make,
        Maker::Mux | Maker::Hub => {
            return Err(CharError::KindMissing {
                family: FAMILY,
                kind: kind.name,
                why: "needs the other chardevs of its machine",
            });
        }
        Maker::Missing(why) => {
            return Err(CharError::KindMissing {
                family: FAMILY,
                kind: kind.name,
                why,
            });
        }
    };
    let mut inbox = VecDeque::new();
    let link = make(&mut Make {
        options,
        id,
        inbox: &mut inbox,
    })?;
    let mut chardev = prepare(kind, id, options, program, link, inbox)?;
    start(&mut chardev, host)?;
    Ok(chardev)
}

fn prepare(
    kind: &'static Kind,
    id: &str,
    options: &Properties,
    program: Program,
    link: Box<dyn Link>,
    inbox: VecDeque<LinkEvent>,
) -> Result<Chardev, CharError> {
    let common = Common {
        logs: open_log(options)?.into_iter().collect(),
        menu: options.bool("mux").then(|| Menu::new(program.escape)),
        quit: program.quit,
        messages: program.messages,
        inbox,
    };
    Ok(Chardev::new(id, kind.name, link, common))
}

fn start(chardev: &mut Chardev, host: &mut HostCx<'_>) -> Result<(), CharError> {
    chardev.start(host).map_err(|e| {
        southbridge_core::host::Backend::close(chardev, host);
        CharError::host(None, format!("cannot start '{}'", chardev.kind()), e)
    })
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
