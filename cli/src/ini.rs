//! Files of options: what `-readconfig` reads and `-writeconfig` writes, in QEMU's format.
//!
//! ```text
//! [chardev "con"]
//!   backend = "stdio"
//! ```
//! A section is one option of the list kind, with its id in the heading; a line is one key. Values stand in double
//! quotes, without escapes, so a value with a quote or a line end cannot be written and is refused. Options that are
//! not lists (`-serial`, `-d`, ...) have no section in this format; they are written as comments, so that nothing is
//! lost without a trace. The exceptions are QEMU's too: `-kernel` and `-append` are keys of the machine.

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use crate::argv::RawOption;
use crate::error::{ErrorKind, OptError};
use crate::keyval::{Entry, Form, Props};
use crate::location::{Location, Origin, Source};
use crate::options::{self, Handler, OptionDef, Status};

/// Reads a file's text; `path` is its name for errors.
///
/// # Errors
/// At the first line that does not follow the format or names a section that this program does not have.
pub fn read(path: &str, text: &str) -> Result<Vec<RawOption>, OptError> {
    let mut sections: Vec<RawOption> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let origin = Origin::File {
            path: path.to_owned(),
            line: index + 1,
        };
        let source = Arc::new(Source {
            origin,
            option: String::new(),
            text: line.to_owned(),
        });
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        if trimmed.starts_with('[') {
            sections.push(section(&source)?);
            continue;
        }
        let entry = key_line(&source)?;
        match sections.last_mut().and_then(|s| s.ready.as_mut()) {
            Some(props) => props.push_entry(entry),
            None => return Err(syntax(&source, 0..line.len(), "a key stands before the first section")),
        }
    }
    Ok(sections)
}

fn syntax(source: &Arc<Source>, range: Range<usize>, why: &str) -> OptError {
    let kind = ErrorKind::Syntax { why: why.to_owned() };
    OptError::new(kind, Location::new(source, range))
}

/// `[group]` or `[group "id"]`.
fn section(source: &Arc<Source>) -> Result<RawOption, OptError> {
    let line = &source.text;
    let bad = || syntax(source, 0..line.len(), "not a section heading").with_help("write [group] or [group \"id\"]");
    let open = line.find('[').ok_or_else(bad)?;
    let inner = line[open + 1..].trim_end().strip_suffix(']').ok_or_else(bad)?;
    let (group, id) = match inner.split_once(char::is_whitespace) {
        Some((group, id)) => (group, Some(id.trim())),
        None => (inner, None),
    };
    let group_at = open + 1..open + 1 + group.len();
    let def = group_option(source, group, group_at)?;
    let mut props = Props::at_source(source);
    if let Some(id) = id {
        let id = id
            .strip_prefix('"')
            .and_then(|s| s.strip_suffix('"'))
            .filter(|s| !s.is_empty())
            .ok_or_else(bad)?;
        let start = line.find(&format!("\"{id}\"")).map_or(0, |at| at + 1);
        let at = Location::new(source, start..start + id.len());
        props.push("id", id, &at);
    }
    let source = Arc::clone(source);
    Ok(RawOption {
        def,
        source,
        ready: Some(props),
    })
}

fn group_option(source: &Arc<Source>, group: &str, at: Range<usize>) -> Result<&'static OptionDef, OptError> {
    let def = options::find_group(group).or_else(|| options::find(group).filter(|d| !d.is_here() || d.group.is_some()));
    let at = Location::new(source, at);
    let Some(def) = def else {
        let groups = options::all().filter_map(|d| d.group);
        return Err(OptError::no_such("section", group, groups, at));
    };
    match def.status {
        Status::NotYet(waits) => {
            let error = OptError::not_yet(format!("the section [{group}]"), at);
            Err(error.with_help(format!("it comes with {waits}")))
        }
        _ => Ok(def),
    }
}

/// `key = "value"`.
fn key_line(source: &Arc<Source>) -> Result<Entry, OptError> {
    let line = &source.text;
    let bad = || syntax(source, 0..line.len(), "not a line of a section").with_help("write key = \"value\"");
    let (key, rest) = line.split_once('=').ok_or_else(bad)?;
    let value = rest
        .trim()
        .strip_prefix('"')
        .and_then(|s| s.strip_suffix('"'))
        .ok_or_else(bad)?;
    if key.trim().is_empty() || key.trim().contains(char::is_whitespace) || value.contains('"') {
        return Err(bad());
    }
    let key_start = line.len() - line.trim_start().len();
    let value_start = line.find('"').map_or(0, |at| at + 1);
    Ok(Entry {
        key: key.trim().to_owned(),
        value: value.to_owned(),
        form: Form::Pair,
        key_at: Location::new(source, key_start..key_start + key.trim().len()),
        value_at: Location::new(source, value_start..value_start + value.len()),
    })
}

/// Writes options as such a file.
///
/// # Errors
/// When a value contains a quote or a line end, or an option is not the list it should be.
pub fn write(options: &[RawOption]) -> Result<String, OptError> {
    let mut out = String::from("# Options of southbridge, for -readconfig\n");
    for option in options {
        match option.def.handler {
            Handler::WriteConfig | Handler::ReadConfig => {}
            Handler::Kernel => write_section(&mut out, "machine", &machine_key("kernel", option))?,
            Handler::Append => write_section(&mut out, "machine", &machine_key("append", option))?,
            Handler::Global => write_section(&mut out, "global", &crate::config::device::global_props(option)?)?,
            _ => match option.def.group {
                Some(group) => write_section(&mut out, group, &option.props()?)?,
                None => {
                    let line = option.source.line().0.replace(['\n', '\r'], " ");
                    let _ = write!(out, "\n# not possible in this file: {line}\n");
                }
            },
        }
    }
    Ok(out)
}

fn machine_key(key: &str, option: &RawOption) -> Props {
    let mut props = Props::empty(&option.source.option);
    props.push(key, &option.source.text, &option.at_argument());
    props
}

fn write_section(out: &mut String, group: &str, props: &Props) -> Result<(), OptError> {
    let heading = match props.get("id") {
        Some(id) => format!("[{group} \"{}\"]", checked(id)?),
        None => format!("[{group}]"),
    };
    let _ = write!(out, "\n{heading}\n");
    for entry in props.entries().iter().filter(|e| e.key != "id") {
        if entry.key.contains(|c: char| c.is_whitespace() || c == '=') || entry.key.starts_with(['#', '[']) {
            return Err(unwritable(entry, "the key"));
        }
        let _ = writeln!(out, "  {} = \"{}\"", entry.key, checked(entry)?);
    }
    Ok(())
}

fn checked(entry: &Entry) -> Result<&str, OptError> {
    let bad = entry.value.contains(['"', '\n', '\r']) || (entry.key == "id" && entry.value.is_empty());
    if bad {
        Err(unwritable(entry, "the value"))
    } else {
        Ok(&entry.value)
    }
}

fn unwritable(entry: &Entry, what: &str) -> OptError {
    let why = format!("{what} cannot stand in a configuration file, which has no escapes for quotes and line ends");
    OptError::new(ErrorKind::Refused { why }, entry.value_at.clone())
}
