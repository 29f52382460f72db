//! The two programs as functions: `ivshmem-server` and `ivshmem-client` with the options of QEMU's.

mod client;
mod daemon;
mod options;
mod server;
mod size;

pub use client::client_main;
pub use server::server_main;

/// One line on stderr. Nobody may be reading; unlike `eprintln!`, this does not end the program then.
fn complain(program: &str, trouble: &dyn std::fmt::Display) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{program}: {trouble}");
}
