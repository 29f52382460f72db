//! The back end: where bytes come from.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use southbridge_core::host::{Host, Interest, WatchId};
use southbridge_core::{Backend, BackendId, Completion, DeviceId, HostCx, HostEvent, System};
use thiserror::Error;

/// A source as the user wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Config {
    /// The host's own generator.
    Builtin,
    /// A file, such as `/dev/random`.
    File(PathBuf),
    /// An entropy gathering daemon behind a character device.
    Daemon {
        /// Id of the character device.
        name: String,
        /// The same as a back end.
        chardev: BackendId,
    },
}

/// Why there is no such source.
#[derive(Debug, Error)]
pub enum RngError {
    /// The file cannot be used.
    #[error("'{path}': {error}")]
    File {
        /// The file.
        path: String,
        /// Why.
        error: io::Error,
    },
}

/// A request of a device.
#[derive(Debug, Clone, Copy)]
struct Request {
    device: DeviceId,
    port: u32,
    len: usize,
}

enum Source {
    Local {
        file: File,
        /// `None`: it can be read at any time (an ordinary file), or is not waited for.
        watch: Option<WatchId>,
        /// There is nothing more to come.
        ended: bool,
    },
    Daemon {
        name: String,
        chardev: BackendId,
    },
    /// A host without a generator: requests wait for ever.
    None,
}

/// A source of entropy.
pub struct RngBackend {
    source: Source,
    requests: VecDeque<Request>,
}

/// What the host's own generator is.
const GENERATOR: &str = "/dev/urandom";
/// Linux's number; a descriptor that does not block.
const O_NONBLOCK: i32 = 0o4000;

impl RngBackend {
    /// Adds a source to a machine, by its name.
    ///
    /// # Errors
    /// When its file cannot be opened.
    pub fn add(sys: &mut System, name: &str, config: &Config) -> Result<BackendId, RngError> {
        let made = Self::new(config)?;
        let Ok(id) = sys.host.add::<Infallible>(|_| Ok(Box::new(made)));
        let names = sys.host.find_or_add::<Names>();
        if let Some((names, _)) = sys.host.get::<Names>(names) {
            names.0.insert(name.to_owned(), id);
        }
        Ok(id)
    }

    /// The source of that name.
    pub fn find(host: &Host, name: &str) -> Option<BackendId> {
        let names = host.peek::<Names>(host.find::<Names>()?)?;
        names.0.get(name).copied()
    }

    /// Takes the source of that name away. Devices that use it get no more bytes.
    pub fn remove(sys: &mut System, name: &str) -> bool {
        let names = sys.host.find_or_add::<Names>();
        let id = sys.host.get::<Names>(names).and_then(|(n, _)| n.0.remove(name));
        if let Some(id) = id {
            sys.host.remove(id);
        }
        id.is_some()
    }

    /// A source.
    ///
    /// # Errors
    /// When its file cannot be opened.
    pub fn new(config: &Config) -> Result<Self, RngError> {
        let source = match config {
            Config::Builtin => Source::open(GENERATOR.into())?,
            Config::File(path) => Source::open(path.clone())?,
            Config::Daemon { name, chardev } => Source::Daemon {
                name: name.clone(),
                chardev: *chardev,
            },
        };
        Ok(Self {
            source,
            requests: VecDeque::new(),
        })
    }

    /// The character device behind which the daemon is.
    pub(crate) fn daemon(&self) -> Option<(String, BackendId)> {
        match &self.source {
            Source::Daemon { name, chardev } => Some((name.clone(), *chardev)),
            Source::Local { .. } | Source::None => None,
        }
    }

    /// Asks for bytes; a device has one request at a time.
    pub(crate) fn request(&mut self, device: DeviceId, port: u32, len: usize, cx: &mut HostCx<'_>) {
        self.requests.retain(|r| (r.device, r.port) != (device, port));
        self.requests.push_back(Request { device, port, len });
        self.serve(cx);
    }

    /// Takes a request back.
    pub(crate) fn forget(&mut self, device: DeviceId, port: u32) {
        self.requests.retain(|r| (r.device, r.port) != (device, port));
    }

    /// Answers as many requests as there are bytes for now, and waits for more.
    fn serve(&mut self, cx: &mut HostCx<'_>) {
        let Source::Local { file, watch, ended } = &mut self.source else {
            return;
        };
        while let Some(r) = self.requests.front().copied() {
            if *ended {
                return;
            }
            let mut data = vec![0; r.len.min(crate::MAX_REQUEST)];
            match file.read(&mut data) {
                Ok(0) => *ended = true,
                Ok(n) => {
                    data.truncate(n);
                    let mut done = Completion::plain(r.port, 0, n as i64);
                    done.data = data;
                    cx.post(r.device, done);
                    self.requests.pop_front();
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    if watch.is_none() {
                        *watch = cx.watch(&*file, Interest::READ, 0).ok();
                    }
                    return;
                }
                Err(_) => *ended = true,
            }
        }
        if let Some(id) = watch.take() {
            cx.unwatch(id, &*file);
        }
    }
}

/// Sources by name, of which a machine has one list.
#[derive(Default)]
struct Names(BTreeMap<String, BackendId>);

impl Backend for Names {
    fn on_host(&mut self, _: HostEvent, _: &mut HostCx<'_>) {}
}

/// The host's own generator, for all devices of a machine whose users name no source.
pub(crate) struct Shared(pub(crate) RngBackend);

impl Default for Shared {
    fn default() -> Self {
        let source = Source::open(GENERATOR.into()).unwrap_or(Source::None);
        let requests = VecDeque::new();
        Self(RngBackend { source, requests })
    }
}

impl Backend for Shared {
    fn on_host(&mut self, event: HostEvent, cx: &mut HostCx<'_>) {
        self.0.on_host(event, cx);
    }

    fn close(&mut self, cx: &mut HostCx<'_>) {
        self.0.close(cx);
    }
}

impl Source {
    fn open(path: PathBuf) -> Result<Self, RngError> {
        let file = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(&path);
        let file = file.map_err(|error| RngError::File {
            path: path.display().to_string(),
            error,
        })?;
        Ok(Self::Local {
            file,
            watch: None,
            ended: false,
        })
    }
}

impl Backend for RngBackend {
    fn on_host(&mut self, _: HostEvent, cx: &mut HostCx<'_>) {
        self.serve(cx);
    }

    fn close(&mut self, cx: &mut HostCx<'_>) {
        if let Source::Local { file, watch, .. } = &mut self.source
            && let Some(id) = watch.take()
        {
            cx.unwatch(id, &*file);
        }
    }
}
