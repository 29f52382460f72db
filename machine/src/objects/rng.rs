//! `-object rng-…`: from words to sources of entropy.

use southbridge_backend_rng::{Config, RngBackend, RngError};
use southbridge_core::{PropKind, PropValue, Properties, System};

use super::{ObjectError, ObjectType, Running, property};

pub(super) const BUILTIN: ObjectType = ObjectType {
    name: "rng-builtin",
    summary: "Entropy out of the host's own generator",
    properties: &[],
    start: builtin,
};

pub(super) const RANDOM: ObjectType = ObjectType {
    name: "rng-random",
    summary: "Entropy out of a file of the host",
    properties: &[property(
        "filename",
        PropKind::Str,
        Some("/dev/urandom"),
        "The file, such as /dev/random or /dev/hwrng",
    )],
    start: random,
};

pub(super) const DAEMON: ObjectType = ObjectType {
    name: "rng-egd",
    summary: "Entropy from a daemon that speaks the EGD protocol",
    properties: &[property(
        "chardev",
        PropKind::Backend("chardev"),
        None,
        "Character device behind which the daemon is",
    )],
    start: daemon,
};

fn builtin(id: &str, _: &Properties, sys: &mut System) -> Result<Running, ObjectError> {
    start(id, &Config::Builtin, sys)
}

fn random(id: &str, p: &Properties, sys: &mut System) -> Result<Running, ObjectError> {
    let file = p.str("filename").unwrap_or_default();
    start(id, &Config::File(file.into()), sys)
}

fn daemon(id: &str, p: &Properties, sys: &mut System) -> Result<Running, ObjectError> {
    let Some(PropValue::Backend(name, chardev)) = p.get("chardev") else {
        return Err(ObjectError::Missing {
            type_name: DAEMON.name,
            property: "chardev",
        });
    };
    let config = Config::Daemon {
        name: name.clone(),
        chardev: *chardev,
    };
    start(id, &config, sys)
}

fn start(id: &str, config: &Config, sys: &mut System) -> Result<Running, ObjectError> {
    let refused = |e: RngError| ObjectError::Host {
        property: "filename",
        why: e.to_string(),
    };
    RngBackend::add(sys, id, config).map_err(refused)?;
    Ok(Running::Entropy)
}
