//! What can be wrong with a configuration or a rule. What guests and peers do is never an error of the engine.

use std::io;

/// Why a configuration or a forwarding rule is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A word of the options cannot be what it should be.
    #[error("{option}: '{value}' {reason}")]
    Option {
        /// The option as the user spells it.
        option: &'static str,
        /// What was given.
        value: String,
        /// What is wrong with it, and what would be right.
        reason: &'static str,
    },
    /// Options contradict each other.
    #[error("{0}")]
    Conflict(&'static str),
    /// A forwarding rule has another shape.
    #[error("invalid {kind} forwarding rule '{rule}': {reason}")]
    Rule {
        /// `host` or `guest`.
        kind: &'static str,
        /// As given.
        rule: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The host refuses what a rule needs.
    #[error("cannot set up {kind} forwarding rule '{rule}': {error}")]
    Host {
        /// `host` or `guest`.
        kind: &'static str,
        /// As given, or as it is shown.
        rule: String,
        /// Of the host.
        error: io::Error,
    },
    /// The TFTP directory cannot be opened.
    #[error("tftp: cannot open directory '{path}': {error}")]
    Tftp {
        /// As given.
        path: String,
        /// Of the host.
        error: io::Error,
    },
}
