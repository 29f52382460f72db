//! Whether someone listens on a unix socket, without connecting to it.
//!
//! Connecting would make a peer of us. The file alone says too little: it is there before the socket listens, and a
//! client in between is turned away. Linux lists its sockets with their state in `/proc/net/unix` (see proc(5)).

use std::path::Path;

/// Flag of a socket that listens, in the fourth column.
const ACCEPTING: u32 = 0x1_0000;

pub(super) fn listening(path: &Path) -> bool {
    if !path.exists() {
        return false;
    }
    let Ok(table) = std::fs::read_to_string("/proc/net/unix") else {
        // No such list here: the file is all we can see.
        return true;
    };
    listed(&table, &path.to_string_lossy())
}

fn listed(table: &str, path: &str) -> bool {
    table.lines().skip(1).any(|line| {
        let mut columns = line.split_whitespace();
        let flags = columns
            .nth(3)
            .and_then(|f| u32::from_str_radix(f, 16).ok())
            .unwrap_or(0);
        flags & ACCEPTING != 0 && line.ends_with(path) && columns.nth(3).is_some_and(|p| path.starts_with(p))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_listening_socket_counts() {
        let table = "Num       RefCount Protocol Flags    Type St Inode Path\n\
                     0000: 00000002 00000000 00010000 0001 01 123 /tmp/a b.sock\n\
                     0000: 00000002 00000000 00000000 0001 01 124 /tmp/c.sock\n\
                     0000: 00000003 00000000 00000000 0001 03 125\n";
        assert!(listed(table, "/tmp/a b.sock"));
        assert!(!listed(table, "/tmp/c.sock"));
        assert!(!listed(table, "/tmp/d.sock"));
    }

    #[test]
    fn a_real_socket_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        assert!(!listening(&path));
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert!(listening(&path));
    }
}
