//! Programs of guest forwarding rules.

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

/// Programs of one engine that run at once.
pub(crate) const MOST: usize = 64;

/// Words of a command line: blanks separate, quotes and backslashes keep together, nothing is expanded.
fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (Some('\''), c) => word.get_or_insert_default().push(c),
            (_, '\\') => word.get_or_insert_default().push(chars.next()?),
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

/// Starts one, whose standard input and output are the other end of the socket returned.
pub(crate) fn start(line: &str) -> io::Result<(Child, OwnedFd)> {
    let wrong = || io::Error::from(io::ErrorKind::InvalidInput);
    let words = words(line).ok_or_else(wrong)?;
    let (program, arguments) = words.split_first().ok_or_else(wrong)?;
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    rustix::io::ioctl_fionbio(&ours, true)?;
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::from(theirs.try_clone()?))
        .stdout(Stdio::from(theirs))
        .spawn()?;
    Ok((child, ours))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_line_is_split_as_a_shell_would() {
        let split = |line| super::words(line).map(|w| w.join("|"));
        assert_eq!(
            split("netcat 10.10.1.1  4321").as_deref(),
            Some("netcat|10.10.1.1|4321")
        );
        assert_eq!(
            split(r#"sh -c 'echo "a b"' "" x\ y"#).as_deref(),
            Some(r#"sh|-c|echo "a b"||x y"#)
        );
        assert_eq!(split("sh 'open"), None);
    }
}
