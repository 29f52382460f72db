//! Objects: things that live beside a machine, made by `-object` and `object-add` alike.

use southbridge_backend_ivshmem::{Memory, Server, ServerConfig, ServerHandle, ServerNotice};
use southbridge_core::property::parse_value;
use southbridge_core::{BackendId, PropKind, PropValue, Properties, Property, RamBlock, System};
use std::collections::BTreeMap;
use std::io::{self, Write};
use thiserror::Error;

mod filter;
mod iothread;
mod memory;
mod rng;

/// Finds a back end by its kind (`chardev`, `netdev`) and id.
pub type FindBackend<'a> = &'a dyn Fn(&'static str, &str) -> Option<BackendId>;

/// A type of objects.
pub struct ObjectType {
    /// Name.
    pub name: &'static str,
    /// One line for people.
    pub summary: &'static str,
    /// Properties.
    pub properties: &'static [Property],
    start: fn(&str, &Properties, &mut System) -> Result<Running, ObjectError>,
}

impl ObjectType {
    /// Whether it leans on back ends, and so can be made only when these are there.
    pub fn is_late(&self) -> bool {
        self.properties.iter().any(|p| matches!(p.kind, PropKind::Backend(_)))
    }
}

/// An object at work; dropping it ends it and removes its files.
pub(crate) enum Running {
    Server(#[expect(dead_code, reason = "held until it is dropped")] ServerHandle),
    /// A rule in the machine.
    Fault,
    /// Memory, among the machine's back ends.
    Memory(BackendId, RamBlock),
    /// A filter at that network back end.
    Filter(BackendId),
    /// A thread for disks, among the machine's back ends under the same name.
    IoThread,
    /// A source of entropy, among the machine's back ends under the same name.
    Entropy,
}

/// Why an object was not made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ObjectError {
    /// No type has this name.
    #[error("there is no object type '{0}'")]
    NoType(String),
    /// The type is QEMU's and not here yet.
    #[error("QEMU has the object type '{0}'; this program does not have it yet")]
    NotYet(String),
    /// There is one of this name.
    #[error("there is an object '{0}' already")]
    DuplicateId(String),
    /// The type has no such property.
    #[error("object '{type_name}' has no property '{name}'")]
    NoProperty {
        /// Type.
        type_name: &'static str,
        /// As written.
        name: String,
        /// What it has.
        valid: Vec<&'static str>,
    },
    /// A property that must be given was not.
    #[error("object '{type_name}' needs '{property}'")]
    Missing {
        /// Type.
        type_name: &'static str,
        /// Property.
        property: &'static str,
    },
    /// The property does not take this.
    #[error("'{property}' cannot be '{value}'; it takes {expected}")]
    BadValue {
        /// The property.
        property: &'static str,
        /// As written.
        value: String,
        /// What it takes.
        expected: String,
    },
    /// The host refused.
    #[error("{why}")]
    Host {
        /// The property that named it.
        property: &'static str,
        /// Why.
        why: String,
    },
}

pub(crate) const fn property(
    name: &'static str,
    kind: PropKind,
    default: Option<&'static str>,
    help: &'static str,
) -> Property {
    Property {
        name,
        kind,
        default,
        help,
    }
}

/// Every type.
pub static TYPES: &[ObjectType] = &[
    FAULT,
    filter::BUFFER,
    filter::DUMP,
    filter::MIRROR,
    filter::REDIRECTOR,
    filter::REPLAY,
    filter::REWRITER,
    iothread::IOTHREAD,
    SERVER,
    rng::BUILTIN,
    rng::DAEMON,
    rng::RANDOM,
    memory::FILE,
    memory::MEMFD,
    memory::RAM,
    memory::SHM,
];

const FAULT: ObjectType = ObjectType {
    name: "fault",
    summary: "Drops, delays, corrupts or fails what happens to devices",
    properties: crate::fault::PROPERTIES,
    start: crate::fault::start,
};

const SERVER: ObjectType = ObjectType {
    name: "ivshmem-server",
    summary: "Server for shared memory and interrupts among machines, inside this process",
    properties: &[
        property("path", PropKind::Str, None, "Socket file to which devices connect"),
        property("size", PropKind::Size, Some("4M"), "Shared memory, at least this size"),
        property(
            "vectors",
            PropKind::Uint(16),
            Some("1"),
            "Interrupt vectors of each peer",
        ),
        property(
            "shm",
            PropKind::Str,
            None,
            "Name of a POSIX shared memory object to use",
        ),
        property(
            "verbose",
            PropKind::Bool,
            Some("off"),
            "Tell on standard error who comes and goes",
        ),
    ],
    start: ivshmem_server,
};

/// Types that QEMU has and this program does not have yet.
static LATER: &[&str] = &[
    "authz-list",
    "authz-list-file",
    "authz-pam",
    "authz-simple",
    "can-bus",
    "can-host-socketcan",
    "colo-compare",
    "cryptodev-backend",
    "cryptodev-backend-builtin",
    "cryptodev-vhost-user",
    "dbus-vmstate",
    "input-barrier",
    "input-linux",
    "main-loop",
    "memory-backend-epc",
    "pr-manager-helper",
    "qtest",
    "secret",
    "secret_keyring",
    "thread-context",
    "throttle-group",
    "tls-cipher-suites",
    "tls-creds-anon",
    "tls-creds-psk",
    "tls-creds-x509",
    "x-remote-object",
    "x-vfio-user-server",
];

/// The type of that name.
///
/// # Errors
/// When there is none.
pub fn find(name: &str) -> Result<&'static ObjectType, ObjectError> {
    match TYPES.iter().find(|t| t.name == name) {
        Some(t) => Ok(t),
        None if LATER.contains(&name) => Err(ObjectError::NotYet(name.to_owned())),
        None => Err(ObjectError::NoType(name.to_owned())),
    }
}

/// An object of a machine.
pub struct Object {
    /// Type.
    pub object_type: &'static ObjectType,
    /// Property values in force.
    pub properties: Properties,
    running: Running,
}

/// The objects of a machine, by id.
#[derive(Default)]
pub struct Objects(BTreeMap<String, Object>);

impl Objects {
    /// Makes one from properties as the command line spells them.
    ///
    /// # Errors
    /// When a word is wrong or the host refuses; nothing stays.
    pub fn add<'t>(
        &mut self,
        sys: &mut System,
        find_backend: FindBackend<'_>,
        type_name: &str,
        id: &str,
        given: impl IntoIterator<Item = (&'t str, &'t str)>,
    ) -> Result<(), ObjectError> {
        let t = find(type_name)?;
        if self.0.contains_key(id) {
            return Err(ObjectError::DuplicateId(id.to_owned()));
        }
        let mut properties = Properties::default();
        for (name, text) in given {
            let p = t.properties.iter().find(|p| p.name == name);
            let p = p.ok_or_else(|| ObjectError::NoProperty {
                type_name: t.name,
                name: name.to_owned(),
                valid: t.properties.iter().map(|p| p.name).collect(),
            })?;
            let value = match p.kind {
                PropKind::Backend(kind) => {
                    find_backend(kind, text).map(|backend| PropValue::Backend(text.to_owned(), backend))
                }
                kind => parse_value(kind, text),
            };
            let value = value.ok_or_else(|| bad(p.name, text, takes(p)))?;
            properties.set(p.name, value);
        }
        properties.apply_defaults(t.properties);
        let running = (t.start)(id, &properties, sys)?;
        let object = Object {
            object_type: t,
            properties,
            running,
        };
        self.0.insert(id.to_owned(), object);
        Ok(())
    }

    /// Ends one; `false` if there is none of that id.
    pub fn remove(&mut self, sys: &mut System, id: &str) -> bool {
        match self.0.remove(id) {
            Some(Object {
                running: Running::Fault,
                ..
            }) => sys.remove_fault(id),
            Some(Object {
                running: Running::Filter(netdev),
                ..
            }) => {
                southbridge_backend_net::filter::remove(&mut sys.host, netdev, id);
                true
            }
            Some(Object {
                running: Running::Entropy,
                ..
            }) => southbridge_backend_rng::RngBackend::remove(sys, id),
            Some(Object {
                running: Running::IoThread,
                ..
            }) => southbridge_backend_block::IoThread::remove(&mut sys.host, id),
            other => other.is_some(),
        }
    }

    /// Whether a device leans on one, so that it must not go.
    pub fn is_used(&self, sys: &System, id: &str) -> bool {
        let is_thread = |o: &Object| matches!(o.running, Running::IoThread);
        self.0.get(id).is_some_and(is_thread) && southbridge_backend_block::IoThread::is_used(&sys.host, id)
    }

    /// The memory back end of that id.
    pub fn memory(&self, id: &str) -> Option<(BackendId, &RamBlock)> {
        match &self.0.get(id)?.running {
            Running::Memory(backend, block) => Some((*backend, block)),
            _ => None,
        }
    }

    /// All memory back ends, by id.
    pub fn memories(&self) -> impl Iterator<Item = (&str, &RamBlock)> {
        self.0.iter().filter_map(|(id, o)| match &o.running {
            Running::Memory(_, block) => Some((id.as_str(), block)),
            _ => None,
        })
    }

    /// All I/O threads, by id, with their settings.
    pub fn iothreads(&self) -> impl Iterator<Item = (&str, &Properties)> {
        let is = |o: &Object| matches!(o.running, Running::IoThread);
        let all = self.0.iter().filter(move |(_, o)| is(o));
        all.map(|(id, o)| (id.as_str(), &o.properties))
    }

    /// One by its id.
    pub fn get(&self, id: &str) -> Option<&Object> {
        self.0.get(id)
    }

    /// All, by id.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Object)> {
        self.0.iter().map(|(id, o)| (id.as_str(), o))
    }
}

/// What a property takes, where its kind does not say all.
fn takes(p: &Property) -> String {
    match p.name {
        "vectors" => VECTORS.into(),
        _ => p.kind.takes(),
    }
}

const VECTORS: &str = "a number from 0 to 64";

fn bad(property: &'static str, value: &str, expected: String) -> ObjectError {
    ObjectError::BadValue {
        property,
        value: value.to_owned(),
        expected,
    }
}

fn ivshmem_server(id: &str, p: &Properties, _: &mut System) -> Result<Running, ObjectError> {
    let path = p.str("path").ok_or(ObjectError::Missing {
        type_name: "ivshmem-server",
        property: "path",
    })?;
    let mut config = ServerConfig::new(path);
    config.size = p.uint("size");
    let vectors = p.uint("vectors");
    config.vectors = u16::try_from(vectors)
        .ok()
        .filter(|n| *n <= 64)
        .ok_or_else(|| bad("vectors", &vectors.to_string(), VECTORS.into()))?;
    if let Some(PropValue::Str(name)) = p.get("shm") {
        config.memory = Memory::Named(name.clone());
    }
    let (verbose, id) = (p.bool("verbose"), id.to_owned());
    let refused = |e: String| ObjectError::Host {
        property: "path",
        why: e,
    };
    let server = Server::bind(&config).map_err(|e| refused(e.to_string()))?;
    let say = move |notice: ServerNotice| {
        let text = match notice {
            ServerNotice::Failed(why) => format!("failed: {why}"),
            _ if !verbose => return,
            ServerNotice::Joined(peer) => format!("peer {peer} joined"),
            ServerNotice::Left { peer, why } => format!("peer {peer} left: {why}"),
            ServerNotice::Refused(why) => format!("a client was refused: {why}"),
        };
        // Unlike `eprintln!`, this does not end the server where nobody reads.
        let _ = writeln!(io::stderr(), "{id}: {text}");
    };
    let running = server.spawn(say).map_err(|e| refused(e.to_string()))?;
    Ok(Running::Server(running))
}
