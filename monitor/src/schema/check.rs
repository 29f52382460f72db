//! Whether a value is what the schema says: for arguments, where clients err, and for answers, where we do.

use serde_json::{Map, Value};

use super::text::{BUILTIN, Kind, Member, Schema, Type};

/// Checks the arguments of a command that exists.
///
/// # Errors
/// What is wrong, for the client.
pub(crate) fn arguments(schema: &Schema, command: &str, arguments: &Map<String, Value>) -> Result<(), String> {
    let Some(c) = schema.command(command) else {
        return Ok(());
    };
    let at = Place {
        schema,
        path: String::new(),
    };
    match &c.takes {
        Some(of) => at.named(of, &Value::Object(arguments.clone())),
        None => at.members(&c.arguments, arguments, c.open),
    }
}

/// Checks what a command answers.
///
/// # Errors
/// What the schema does not allow.
pub(crate) fn answer(schema: &Schema, command: &str, value: &Value) -> Result<(), String> {
    let at = Place {
        schema,
        path: String::new(),
    };
    match schema.command(command).map(|c| &c.returns) {
        Some(Some(of)) => at.value(of, value),
        _ => at.members(&[], value.as_object().unwrap_or(&Map::new()), false),
    }
}

/// Checks an event's data.
///
/// # Errors
/// What the schema does not allow.
pub(crate) fn event(schema: &Schema, name: &str, data: &Map<String, Value>) -> Result<(), String> {
    match schema.find(name).map(|e| &e.kind) {
        Some(Kind::Event(members)) => Place {
            schema,
            path: String::new(),
        }
        .members(members, data, false),
        _ => Err(format!("no event {name}")),
    }
}

struct Place<'s> {
    schema: &'s Schema,
    path: String,
}

impl Place<'_> {
    fn inner(&self, name: &str) -> Self {
        let dot = if self.path.is_empty() || name.starts_with('[') {
            ""
        } else {
            "."
        };
        Self {
            schema: self.schema,
            path: format!("{}{dot}{name}", self.path),
        }
    }

    fn bad(&self, expected: &str) -> String {
        format!("'{}' must be {expected}", self.path)
    }

    fn members(&self, members: &[Member], given: &Map<String, Value>, open: bool) -> Result<(), String> {
        for m in members {
            match given.get(&m.name) {
                Some(v) => self.inner(&m.name).value(&m.of, v)?,
                None if m.optional => {}
                None => return Err(format!("'{}' is missing", self.inner(&m.name).path)),
            }
        }
        match given.keys().find(|k| !open && !members.iter().any(|m| m.name == **k)) {
            Some(k) => Err(format!("there is no '{}' here", self.inner(k).path)),
            None => Ok(()),
        }
    }

    fn value(&self, of: &Type, value: &Value) -> Result<(), String> {
        if !of.list {
            return self.named(&of.name, value);
        }
        let list = value.as_array().ok_or_else(|| self.bad("a list"))?;
        let each = |(i, v): (usize, &Value)| self.inner(&format!("[{i}]")).named(&of.name, v);
        list.iter().enumerate().try_for_each(each)
    }

    fn named(&self, of: &str, value: &Value) -> Result<(), String> {
        if BUILTIN.iter().any(|b| b.0 == of) {
            return self.builtin(of, value);
        }
        let object = || value.as_object().ok_or_else(|| self.bad("an object"));
        match self.schema.find(of).map(|e| &e.kind) {
            Some(Kind::Enum(words)) => {
                let word = value.as_str().ok_or_else(|| self.bad("a string"))?;
                if words.iter().any(|w| w.name == word) {
                    return Ok(());
                }
                let all: Vec<_> = words.iter().map(|w| w.name.as_str()).collect();
                Err(format!(
                    "'{}' cannot be '{word}'; it is one of {}",
                    self.path,
                    all.join(", ")
                ))
            }
            Some(Kind::Struct(members)) => self.members(members, object()?, false),
            Some(Kind::Union { base, tag, cases }) => {
                let object = object()?;
                let tag_of = base.iter().filter(|m| m.name == *tag).cloned().collect::<Vec<_>>();
                self.members(&tag_of, object, true)?;
                let case = object.get(tag).and_then(Value::as_str);
                let case = cases.iter().find(|c| Some(c.0.as_str()) == case);
                let more = case.and_then(|c| self.schema.members(&c.1)).unwrap_or_default();
                self.members(&[base.as_slice(), more].concat(), object, false)
            }
            _ => Err(format!("the schema has no type {of}")),
        }
    }

    fn builtin(&self, of: &str, value: &Value) -> Result<(), String> {
        let most = match of {
            "uint8" => u8::MAX.into(),
            "uint16" => u16::MAX.into(),
            "uint32" => u32::MAX.into(),
            _ => u64::MAX,
        };
        let (ok, expected) = match of {
            "str" => (value.is_string(), "a string"),
            "bool" => (value.is_boolean(), "true or false"),
            "int" => (value.is_i64(), "a whole number of 64 bits"),
            "number" => (value.is_number(), "a number"),
            "any" => (true, ""),
            "null" => (value.is_null(), "null"),
            "size" | "uint64" => (value.is_u64(), "a whole number from 0"),
            _ => (
                value.as_u64().is_some_and(|n| n <= most),
                "a whole number from 0, and not so large",
            ),
        };
        if ok { Ok(()) } else { Err(self.bad(expected)) }
    }
}
