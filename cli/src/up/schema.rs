//! What may stand in a demo file (TOML).
//!
//! ```toml
//! name = "Two boards"
//! timeout = "60s"                 # for the whole run; 60s if not given
//! until = "exit"                  # or "prints"
//!
//! [[server]]
//! name = "server"
//! kind = "ivshmem-server"
//! args = "-F -S ${tmp}/shm.sock -n 2"
//!
//! [[machine]]
//! name = "left"
//! args = ["-M", "lm3s6965evb", "-kernel", "${dir}/left.elf", "-nographic"]
//! prints = "all good"             # must appear on its console
//! exit = 0                        # the status it must end with
//! ```
//! `args` is one text, split as a shell does, or a list of words. `${dir}` is the folder of the file, `${tmp}` a private
//! folder for sockets; `$$` is a dollar sign. Machines start when every server is ready. With `until = "exit"` the run
//! ends when every machine has ended by itself; with `until = "prints"` when every text has appeared, and the machines
//! are then stopped. Servers are stopped at the end in either case.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde::Deserialize;
use toml::Spanned;

use crate::error::{ErrorKind, OptError};
use crate::location::{Location, Origin, Source};

/// A whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Demo {
    /// What the run is called in its summary; the file's name if not given.
    pub name: Option<String>,
    /// Limit of the whole run: a number with `ms`, `s` or `m`.
    pub timeout: Option<Spanned<String>>,
    /// When the run is over.
    pub until: Option<Spanned<String>>,
    /// Servers, started first.
    #[serde(default)]
    pub server: Vec<Server>,
    /// Machines, started together when the servers are ready.
    #[serde(default)]
    pub machine: Vec<Machine>,
}

/// One text or a list of words.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Words {
    /// To be split as a shell does.
    Line(String),
    /// Already split.
    List(Vec<String>),
}

/// A `[[server]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Its prefix on the console.
    pub name: Spanned<String>,
    /// Which server: `ivshmem-server`.
    pub kind: Spanned<String>,
    /// Its arguments.
    pub args: Spanned<Words>,
    /// The socket whose listening means that it is ready; the one after `-S` if not given.
    pub ready: Option<Spanned<String>>,
    /// Environment variables of it alone.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

/// A `[[machine]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Its prefix on the console.
    pub name: Spanned<String>,
    /// Its command line without the program's name.
    pub args: Spanned<Words>,
    /// What must appear on its console.
    #[serde(default)]
    pub prints: Option<Spanned<Words>>,
    /// The status it must end with; 0 if not given.
    pub exit: Option<u8>,
    /// Environment variables of it alone.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

/// Reads a file's text; `path` is its name for errors.
///
/// # Errors
/// When it is not TOML or not of this schema, with the line.
pub fn parse(path: &str, text: &str) -> Result<Demo, OptError> {
    toml::from_str(text).map_err(|e| {
        let why = e.message().trim().replace('\n', "; ");
        error_at(path, text, e.span().unwrap_or(0..0), &why)
    })
}

/// An error at a byte range of the file.
pub fn error_at(path: &str, text: &str, span: Range<usize>, why: &str) -> OptError {
    OptError::new(ErrorKind::Refused { why: why.to_owned() }, place(path, text, span))
}

/// An error of the file as a whole.
pub fn error_in(path: &str, why: &str) -> OptError {
    let origin = Origin::File {
        path: path.to_owned(),
        line: 0,
    };
    let source = Arc::new(Source {
        origin,
        option: String::new(),
        text: String::new(),
    });
    OptError::new(ErrorKind::Refused { why: why.to_owned() }, Location::argument(&source))
}

/// The line of a byte range, and the part of the range that lies in it.
pub fn place(path: &str, text: &str, span: Range<usize>) -> Location {
    let mut start = span.start.min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let begin = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let number = text[..begin].matches('\n').count() + 1;
    let line = text[begin..].lines().next().unwrap_or("");
    let origin = Origin::File {
        path: path.to_owned(),
        line: number,
    };
    let source = Arc::new(Source {
        origin,
        option: String::new(),
        text: line.to_owned(),
    });
    Location::new(&source, start - begin..span.end.saturating_sub(begin).min(line.len()))
}
