//! Bytes from files and peers: programs, the ivshmem protocol, the keys that a person types at a console.

use southbridge_backend_chardev::{KINDS, Menu, parse};
use southbridge_protocol_ivshmem::fuzzing;

/// A file for `-kernel`.
pub fn program(data: &[u8]) {
    southbridge_machine::load::fuzz(data);
}

/// What a server may send.
pub fn ivshmem_client(data: &[u8]) {
    fuzzing::fuzz_client(data);
}

/// Peers of a server.
pub fn ivshmem_server(data: &[u8]) {
    fuzzing::fuzz_server(data);
}

/// The first byte picks a kind of back end, the second is the menu's key. The rest is read as `name=value` pairs, one a line, and as
/// what comes from the keyboard.
pub fn chardev(data: &[u8]) {
    let [kind, escape, rest @ ..] = data else { return };
    let text = String::from_utf8_lossy(rest);
    let pairs = text.lines().map(|l| l.split_once('=').unwrap_or((l, "on")));
    if let Err(error) = parse(&KINDS[usize::from(*kind) % KINDS.len()], pairs) {
        assert!(!error.to_string().is_empty(), "an error says what is wrong");
    }
    let mut menu = Menu::new(*escape);
    let given = rest.iter().filter(|b| menu.key(**b).is_some()).count();
    assert!(given <= rest.len());
    assert!(!menu.help().is_empty());
}
