//! `-object`: things that live beside the machine. What they are stands in the machine crate; here errors find their words.

use southbridge_cli::config::ObjectOpt;
use southbridge_cli::error::ErrorKind;
use southbridge_cli::{Config, Location, OptError};
use southbridge_core::Machine;
use southbridge_machine::objects::{self, FindBackend, ObjectError, ObjectType, Objects, TYPES};

/// The type by name, for help.
///
/// # Errors
/// When there is none.
pub(crate) fn find(name: &str, config: &Config) -> Result<&'static ObjectType, OptError> {
    let at = config
        .objects
        .last()
        .map_or_else(|| Location::implied("-object"), |o| o.type_name.at.clone());
    objects::find(name).map_err(|e| no_type(&e, at))
}

fn no_type(error: &ObjectError, at: Location) -> OptError {
    match error {
        ObjectError::NoType(name) => OptError::no_such("object type", name, TYPES.iter().map(|t| t.name), at),
        ObjectError::NotYet(name) => OptError::not_yet(format!("the object type '{name}'"), at),
        other => OptError::new(ErrorKind::Refused { why: other.to_string() }, at),
    }
}

/// `-object help`.
pub(crate) fn list() -> String {
    let mut out = String::from("List of user creatable objects:\n");
    for t in TYPES {
        out += &format!("  {:<20} {}\n", t.name, t.summary);
    }
    out
}

/// Makes every object that leans on nothing, in order.
///
/// # Errors
/// When one is wrong or the host refuses; those made before are ended again.
pub(crate) fn start(config: &Config, machine: &mut Machine) -> Result<Objects, OptError> {
    let mut made = Objects::default();
    make(config, machine, &mut made, false, &|_, _| None)?;
    Ok(made)
}

/// Makes those that lean on back ends, once these are there.
///
/// # Errors
/// As [`start`].
pub(crate) fn start_late(
    config: &Config,
    machine: &mut Machine,
    made: &mut Objects,
    find_backend: FindBackend<'_>,
) -> Result<(), OptError> {
    make(config, machine, made, true, find_backend)
}

fn make(
    config: &Config,
    machine: &mut Machine,
    made: &mut Objects,
    late: bool,
    find_backend: FindBackend<'_>,
) -> Result<(), OptError> {
    for object in &config.objects {
        if objects::find(&object.type_name.value).is_ok_and(|t| t.is_late() != late) {
            continue;
        }
        let given = object
            .props
            .entries()
            .iter()
            .map(|e| (e.key.as_str(), e.value.as_str()));
        let (type_name, id) = (&object.type_name.value, &object.id.value);
        let added = made.add(&mut machine.sys, find_backend, type_name, id, given);
        added.map_err(|e| marked(object, &e))?;
    }
    Ok(())
}

/// The error at the word that caused it.
fn marked(object: &ObjectOpt, error: &ObjectError) -> OptError {
    let owner = format!("object '{}'", object.type_name.value);
    let entry = |name: &str| object.props.get(name);
    match error {
        ObjectError::NoProperty { name, valid, .. } => match entry(name) {
            Some(e) => e.unknown_key(&owner, valid),
            None => no_type(error, object.type_name.at.clone()),
        },
        ObjectError::Missing { property, .. } => OptError::missing(&owner, format!("'{property}'"), object.props.at())
            .with_help(format!("add {property}=VALUE")),
        ObjectError::BadValue { property, expected, .. } => match entry(property) {
            Some(e) => e.bad_value(expected),
            None => no_type(error, object.type_name.at.clone()),
        },
        ObjectError::Host { property, why } => {
            let at = entry(property).map_or_else(|| object.props.at(), |e| e.value_at.clone());
            OptError::new(ErrorKind::Refused { why: why.clone() }, at)
        }
        ObjectError::DuplicateId(_) => no_type(error, object.id.at.clone()),
        ObjectError::NoType(_) | ObjectError::NotYet(_) => no_type(error, object.type_name.at.clone()),
    }
}
