//! The command line of Southbridge: QEMU's options and syntax, parsed into a typed [`config::Config`].
//!
//! Everything a user sees of an option comes from one table ([`options`]): parsing, `-help`, the man page and shell
//! completion. Every word keeps the place where it stood ([`location`]), so an error, whether found here or later by the
//! machine, marks exactly that word ([`error`]).
//!
//! This crate knows no device and opens no file while parsing. The two exceptions are explicit steps that the caller
//! starts: expanding `-readconfig` with a reader that the caller passes in ([`argv`]), and running a demo file ([`up`]).

pub mod argv;
pub mod command;
pub mod completion;
pub mod config;
pub mod error;
pub mod help;
pub mod ini;
pub mod keyval;
pub mod location;
pub mod man;
pub mod options;
pub mod personality;
pub mod up;

pub use command::{Command, HelpTopic};
pub use config::Config;
pub use error::{ErrorKind, OptError, Style};
pub use location::{Located, Location, Origin, Source};
pub use personality::Personality;
