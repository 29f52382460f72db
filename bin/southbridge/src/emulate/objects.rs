//! `-object`: things that live beside the machine.

use southbridge_backend_ivshmem::{Memory, Server, ServerConfig, ServerHandle, ServerNotice};
use southbridge_cli::config::ObjectOpt;
use southbridge_cli::error::ErrorKind;
use southbridge_cli::{Config, Location, OptError};
use southbridge_core::{PropKind, Property};

/// A type for `-object`.
pub(crate) struct ObjectType {
    /// Name.
    pub(crate) name: &'static str,
    /// One line for people.
    pub(crate) summary: &'static str,
    /// Properties.
    pub(crate) properties: &'static [Property],
    start: fn(&ObjectOpt) -> Result<Running, OptError>,
}

/// An object at work; dropping it ends it and removes its files.
pub(crate) type Running = ServerHandle;

static TYPES: &[ObjectType] = &[ObjectType {
    name: "ivshmem-server",
    summary: "Server for shared memory and interrupts among machines, inside this process",
    properties: &[
        Property {
            name: "path",
            kind: PropKind::Str,
            default: None,
            help: "Socket file to which devices connect",
        },
        Property {
            name: "size",
            kind: PropKind::Size,
            default: Some("4M"),
            help: "Shared memory, at least this size",
        },
        Property {
            name: "vectors",
            kind: PropKind::Uint(16),
            default: Some("1"),
            help: "Interrupt vectors of each peer",
        },
        Property {
            name: "shm",
            kind: PropKind::Str,
            default: None,
            help: "Name of a POSIX shared memory object to use",
        },
        Property {
            name: "verbose",
            kind: PropKind::Bool,
            default: Some("off"),
            help: "Tell on standard error who comes and goes",
        },
    ],
    start: ivshmem_server,
}];

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
    "filter-buffer",
    "filter-dump",
    "filter-mirror",
    "filter-redirector",
    "filter-replay",
    "filter-rewriter",
    "input-barrier",
    "input-linux",
    "iothread",
    "main-loop",
    "memory-backend-epc",
    "memory-backend-file",
    "memory-backend-memfd",
    "memory-backend-ram",
    "memory-backend-shm",
    "pr-manager-helper",
    "qtest",
    "rng-builtin",
    "rng-egd",
    "rng-random",
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

/// The type by name, for help.
///
/// # Errors
/// When there is none.
pub(crate) fn find(name: &str, config: &Config) -> Result<&'static ObjectType, OptError> {
    let at = config
        .objects
        .last()
        .map_or_else(|| Location::implied("-object"), |o| o.type_name.at.clone());
    named(name, at)
}

fn named(name: &str, at: Location) -> Result<&'static ObjectType, OptError> {
    if let Some(t) = TYPES.iter().find(|t| t.name == name) {
        return Ok(t);
    }
    if LATER.contains(&name) {
        return Err(OptError::not_yet(format!("the object type '{name}'"), at));
    }
    Err(OptError::no_such("object type", name, TYPES.iter().map(|t| t.name), at))
}

/// `-object help`.
pub(crate) fn list() -> String {
    let mut out = String::from("List of user creatable objects:\n");
    for t in TYPES {
        out += &format!("  {:<20} {}\n", t.name, t.summary);
    }
    out
}

/// Starts every object, in order.
///
/// # Errors
/// When one is wrong or the host refuses; those started before are ended again.
pub(crate) fn start(config: &Config) -> Result<Vec<Running>, OptError> {
    let mut running = Vec::new();
    for object in &config.objects {
        let t = named(&object.type_name.value, object.type_name.at.clone())?;
        let names: Vec<_> = t.properties.iter().map(|p| p.name).collect();
        object.props.only(&format!("object '{}'", t.name), &names)?;
        running.push((t.start)(object)?);
    }
    Ok(running)
}

fn ivshmem_server(object: &ObjectOpt) -> Result<Running, OptError> {
    let path = object.props.required("object 'ivshmem-server'", "path")?;
    let mut config = ServerConfig::new(&path.value);
    if let Some(size) = object.props.size("size")? {
        config.size = size.value;
    }
    if let Some(n) = object.props.number("vectors")? {
        let fits = u16::try_from(n.value).ok().filter(|n| (1..=64).contains(n));
        config.vectors = fits.ok_or_else(|| {
            OptError::bad_value(
                Some("vectors"),
                &n.value.to_string(),
                "a number from 1 to 64",
                n.at.clone(),
            )
        })?;
    }
    if let Some(name) = object.props.text("shm") {
        config.memory = Memory::Named(name.value);
    }
    let verbose = object.props.switch("verbose")?.is_some_and(|v| v.value);
    let id = object.id.value.clone();
    let refused = |why: String| OptError::new(ErrorKind::Refused { why }, path.at.clone());
    let server = Server::bind(&config).map_err(|e| refused(e.to_string()))?;
    let say = move |notice: ServerNotice| {
        let text = match notice {
            ServerNotice::Failed(why) => format!("failed: {why}"),
            _ if !verbose => return,
            ServerNotice::Joined(peer) => format!("peer {peer} joined"),
            ServerNotice::Left { peer, why } => format!("peer {peer} left: {why}"),
            ServerNotice::Refused(why) => format!("a client was refused: {why}"),
        };
        eprintln!("{id}: {text}");
    };
    server.spawn(say).map_err(|e| refused(e.to_string()))
}
