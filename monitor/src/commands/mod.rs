//! The commands. Each is a function of the module that the schema's `group` names; the dispatcher is generated.

pub(crate) mod balloon;
pub(crate) mod block;
pub(crate) mod chardev;
pub(crate) mod control;
pub(crate) mod device;
mod dump;
pub(crate) mod fds;
pub(crate) mod input;
pub(crate) mod machine;
pub(crate) mod memory;
pub(crate) mod migration;
pub(crate) mod net;
pub(crate) mod pci;
pub(crate) mod qom;
pub(crate) mod run;
mod trace;
pub(crate) mod virtio;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use southbridge_protocol_qmp::Error;

use crate::Cx;
pub(crate) use control::version;

include!(concat!(env!("OUT_DIR"), "/dispatch.rs"));

pub(crate) type Result<T> = std::result::Result<T, Error>;

pub(crate) fn unknown(name: &str) -> Error {
    Error::no_command(format!("there is no command '{name}'"))
}

fn refuse<T>(why: impl ToString) -> Result<T> {
    Err(Error::generic(why.to_string()))
}

/// Arguments as their type; they have been checked, so an error here is ours.
fn read<T: DeserializeOwned>(arguments: Value) -> Result<T> {
    serde_json::from_value(arguments).map_err(|e| Error::generic(e.to_string()))
}

fn whole(arguments: Value) -> Result<Map<String, Value>> {
    read(arguments)
}

/// A command without an answer of its own answers an empty object.
fn answer<T: Serialize>(value: T) -> Result<Value> {
    match serde_json::to_value(value) {
        Ok(Value::Null) => Ok(json!({})),
        Ok(value) => Ok(value),
        Err(e) => Err(Error::generic(e.to_string())),
    }
}

/// The processor of an index that a client gave.
fn cpu(cx: &Cx<'_>, index: i64) -> Result<southbridge_core::CpuId> {
    let id = u8::try_from(index).ok().map(southbridge_core::CpuId);
    match id.filter(|id| cx.machine.cpu(*id).is_some()) {
        Some(id) => Ok(id),
        None => refuse(format!("'cpu-index': there is no processor {index}")),
    }
}
