//! `-boot`, `-overcommit`, `-sandbox`, `-msg`: what programs that start virtual machines give out of habit.
//!
//! What changes nothing here is checked and taken; what would change something and is not here is an error, not a silence.

use crate::error::OptError;
use crate::keyval::Props;

/// `-msg`: what stands before messages on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MessageOpt {
    /// The time.
    pub timestamp: bool,
    /// The guest's name, where it has one.
    pub guest_name: bool,
}

impl MessageOpt {
    pub(super) fn apply(&mut self, props: &Props) -> Result<(), OptError> {
        props.only("-msg", &["timestamp", "guest-name"])?;
        self.timestamp = props.switch("timestamp")?.map_or(self.timestamp, |s| s.value);
        self.guest_name = props.switch("guest-name")?.map_or(self.guest_name, |s| s.value);
        Ok(())
    }
}

/// The machines here start what `-kernel`, `-bios` or their flash memory holds; nothing of this has a say in it.
pub(super) fn boot(props: &Props) -> Result<(), OptError> {
    let keys = [
        "order",
        "once",
        "menu",
        "splash",
        "splash-time",
        "reboot-timeout",
        "strict",
    ];
    props.only("-boot", &keys)?;
    for key in ["order", "once"] {
        props.read(key, "letters from a to p, each once", |text| {
            let letters: Vec<char> = text.chars().collect();
            let all_new = letters.iter().enumerate().all(|(i, c)| !letters[..i].contains(c));
            (all_new && letters.iter().all(|c| ('a'..='p').contains(c))).then_some(())
        })?;
    }
    for key in ["menu", "strict"] {
        props.switch(key)?;
    }
    for key in ["splash-time", "reboot-timeout"] {
        props.read(key, "a number of milliseconds", |t| t.parse::<i64>().ok())?;
    }
    Ok(())
}

pub(super) fn overcommit(props: &Props) -> Result<(), OptError> {
    props.only("-overcommit", &["mem-lock", "cpu-pm"])?;
    for (key, words) in [("mem-lock", ["off", "on", "on-fault"]), ("cpu-pm", ["off", "on", "on"])] {
        if let Some(word) = props.one_of(key, &words)?
            && word.value > 0
        {
            let what = format!("-overcommit {key}={}", words[word.value.min(2)]);
            return Err(OptError::not_yet(what, word.at).with_help(format!("write {key}=off")));
        }
    }
    Ok(())
}

/// Somebody who asks for a sandbox must not run without one.
pub(super) fn sandbox(props: &Props) -> Result<(), OptError> {
    let keys = ["enable", "obsolete", "elevateprivileges", "spawn", "resourcecontrol"];
    props.only("-sandbox", &keys)?;
    match props.switch("enable")? {
        Some(on) if on.value => {
            let error = OptError::not_yet("the filter of system calls (-sandbox on)", on.at);
            Err(error.with_help("write -sandbox off, and put a sandbox of the host's around the program"))
        }
        _ => Ok(()),
    }
}
