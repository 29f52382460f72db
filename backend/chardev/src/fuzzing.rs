//! Entries for fuzzers: whatever comes from a peer or a person, as pure functions that must neither panic nor grow without bound.

use crate::kind::socket::telnet::{Item, Telnet};
use crate::mux::{Key, Menu};

/// A telnet peer's bytes, cut into pieces by the first byte.
pub fn telnet(data: &[u8]) {
    let Some((&first, rest)) = data.split_first() else {
        return;
    };
    let mut reader = Telnet::new(first & 1 != 0);
    for piece in rest.chunks(usize::from(first >> 1).max(1)) {
        let given: usize = reader
            .read(piece)
            .iter()
            .map(|i| match i {
                Item::Data(d) => d.len(),
                Item::Break => 0,
            })
            .sum();
        // TN3270 keeps a command byte back until the next one.
        assert!(given <= piece.len() + 1, "telnet input grew");
    }
    let mut out = Vec::new();
    reader.write(rest, &mut out);
    assert!(out.len() <= 2 * rest.len(), "telnet output more than doubled");
}

/// Keys at the menu, and output through its time stamps.
pub fn menu(data: &[u8]) {
    let Some((&escape, rest)) = data.split_first() else {
        return;
    };
    let mut menu = Menu::new(escape);
    for &b in rest {
        if menu.key(b) == Some(Key::Help) {
            assert!(!menu.help().is_empty());
        }
    }
    if menu.stamps() {
        menu.stamp(rest, std::time::Instant::now());
    }
}

/// Option strings.
pub fn options(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (kind, rest) = text.split_once(',').unwrap_or((text, ""));
    if let Ok(kind) = crate::find(kind) {
        let pairs = rest.split(',').map(|p| p.split_once('=').unwrap_or((p, "on")));
        let _ = crate::parse(kind, pairs);
    }
}
