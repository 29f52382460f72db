//! The envelope of a request.

use serde_json::{Map, Value};

use crate::Error;

/// A command as it was sent. Whether it exists and its arguments fit is for others to say.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// To be sent back with the answer, whatever it is.
    pub id: Option<Value>,
    /// The command.
    pub name: String,
    /// Its arguments.
    pub arguments: Map<String, Value>,
    /// Sent by `exec-oob`: to be done before those that wait.
    pub out_of_band: bool,
}

/// A message with its envelope opened.
#[derive(Debug, Clone, PartialEq)]
pub enum Envelope {
    /// A command.
    Call(Call),
    /// None; the id, if it had one, goes into the answer.
    Wrong(Option<Value>, Error),
}

impl Envelope {
    /// Opens a message. `exec-oob` counts only where it was negotiated.
    pub fn open(message: Value, out_of_band: bool) -> Self {
        let Value::Object(members) = message else {
            return Self::Wrong(None, Error::generic("a request is a JSON object"));
        };
        let id = members.get("id").cloned();
        match call(members, out_of_band) {
            Ok(call) => Self::Call(call),
            Err(why) => Self::Wrong(id, Error::generic(why)),
        }
    }
}

fn call(members: Map<String, Value>, out_of_band: bool) -> Result<Call, String> {
    let mut call = Call {
        id: None,
        name: String::new(),
        arguments: Map::new(),
        out_of_band: false,
    };
    let mut verb: Option<String> = None;
    for (key, value) in members {
        match (key.as_str(), value) {
            ("execute", value) => command(&mut call, &mut verb, key, value)?,
            ("exec-oob", value) if out_of_band => {
                command(&mut call, &mut verb, key, value)?;
                call.out_of_band = true;
            }
            ("arguments", Value::Object(arguments)) => call.arguments = arguments,
            ("arguments", _) => return Err("the member 'arguments' of a request is an object".into()),
            ("id", id) => call.id = Some(id),
            (key, _) => return Err(format!("a request has no member '{key}'")),
        }
    }
    if verb.is_none() {
        return Err("a request needs the member 'execute'".into());
    }
    Ok(call)
}

fn command(call: &mut Call, verb: &mut Option<String>, key: String, value: Value) -> Result<(), String> {
    if let Some(other) = verb {
        return Err(format!("a request has either '{other}' or '{key}'"));
    }
    let Value::String(name) = value else {
        return Err(format!("the member '{key}' of a request is a string"));
    };
    call.name = name;
    *verb = Some(key);
    Ok(())
}
