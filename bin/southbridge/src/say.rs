//! Words for people, where nobody may be reading: a closed pipe or a full disk behind standard error ends no machine.
//!
//! `println!` and `eprintln!` panic there.

use std::io::{self, Write};

/// One line on standard error.
pub(crate) fn tell(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
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
    use super::plain;

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
