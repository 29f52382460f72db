//! The server's and the client's command line as this crate's own program, for its tests: the first word says which.

use std::ffi::OsString;
use std::process::ExitCode;

use southbridge_backend_ivshmem::{client_main, server_main};

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    match words.split_first() {
        Some((which, args)) if which == "server" => server_main(args),
        Some((which, args)) if which == "client" => client_main(args),
        _ => {
            eprintln!("usage: ivshmem-tools server|client [options]");
            ExitCode::FAILURE
        }
    }
}
