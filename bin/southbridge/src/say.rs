//! Words for people, where nobody may be reading: a closed pipe or a full disk behind standard error ends no machine.
//!
//! `println!` and `eprintln!` panic there.

use southbridge_cli::Config;
use std::io::{self, Write};
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

/// What `-msg` wants before each message, once it is known: whether the time, and a name.
static BEFORE: OnceLock<(bool, Option<String>)> = OnceLock::new();

/// From now on messages begin as `-msg` says.
pub(crate) fn begin_as(config: &Config) {
    let name = config.name.guest.clone().filter(|_| config.messages.guest_name);
    let _ = BEFORE.set((config.messages.timestamp, name));
}

/// One line on standard error.
pub(crate) fn tell(text: &str) {
    let (time, name) = BEFORE
        .get()
        .map_or((false, None), |(time, name)| (*time, name.as_deref()));
    let mut line = String::new();
    if time {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        line = utc(now.as_secs(), now.subsec_micros()) + " ";
    }
    if let Some(name) = name {
        line = line + name + " ";
    }
    let _ = writeln!(io::stderr(), "{line}{text}");
}

/// A moment in ISO 8601. Years begin in March here, so that the leap day is the last of one.
fn utc(seconds: u64, micros: u32) -> String {
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    let (h, m, s) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{date:02}T{h:02}:{m:02}:{s:02}.{micros:06}Z")
}

/// One line on standard output, for what was asked for.
pub(crate) fn answer(text: &str) {
    let mut out = io::stdout();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// What the host says, without the number that Rust adds to it.
pub(crate) fn plain(mut text: String) -> String {
    while let Some(start) = text.find(" (os error ") {
        let Some(len) = text[start..].find(')') else { break };
        text.replace_range(start..=start + len, "");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{plain, utc};

    #[test]
    fn moments() {
        assert_eq!(utc(0, 0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(utc(951_782_399, 5), "2000-02-28T23:59:59.000005Z");
        assert_eq!(utc(951_782_400, 0), "2000-02-29T00:00:00.000000Z");
        assert_eq!(utc(4_107_542_400, 0), "2100-03-01T00:00:00.000000Z");
    }

    #[test]
    fn numbers_of_the_host_are_left_out() {
        let text = "cannot open 'a' (No such file or directory (os error 2)), nor 'b': gone (os error 5)";
        assert_eq!(
            plain(text.into()),
            "cannot open 'a' (No such file or directory), nor 'b': gone"
        );
        assert_eq!(plain("cut (os error 2".into()), "cut (os error 2");
    }
}
