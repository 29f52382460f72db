//! Bytes from files and peers: programs, the ivshmem protocol, the keys that a person types at a console.

use southbridge_backend_chardev::fuzzing as chardev;
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

/// What a person types, a telnet peer sends, and the options of both say: the first byte picks which.
pub fn chardev(data: &[u8]) {
    match data.split_first() {
        Some((0..=95, rest)) => chardev::telnet(rest),
        Some((96..=159, rest)) => chardev::menu(rest),
        Some((_, rest)) => chardev::options(rest),
        None => {}
    }
}
