//! Benchmarks of the whole program, each printed beside a peer or a limit that was measured in the same run.
//!
//! `cargo run --release -p southbridge-bench -- [NAME…] [--json]`. Nothing here fails for being slow: machines are noisy, so a run prints
//! medians with their range, ours and the peer's taken in turn, and people judge. It needs `southbridge` built in the same profile.

mod board;
mod client;
mod doorbell;
mod echo;
mod guest_blk;
mod guest_net;
mod linux;
mod memory;
mod mips;
mod mmio;
mod nat;
mod place;
mod program;
mod qmp;
mod qtest;
mod report;
mod saved;
mod shell;
mod start;
mod stats;
mod virtio_blk;
mod virtio_net;

use std::process::ExitCode;

use report::Row;

/// Whatever went wrong, in words: a benchmark that cannot be measured is a line on stderr.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

type Benchmark = fn() -> Result<Vec<Row>>;

const ALL: &[(&str, Benchmark)] = &[
    ("doorbell", doorbell::measure),
    ("mips", mips::measure),
    ("start", start::measure),
    ("memory", memory::measure),
    ("mmio", mmio::measure),
    ("qtest", qtest::measure),
    ("qmp", qmp::measure),
    ("saved", saved::measure),
    ("virtio-blk", virtio_blk::measure),
    ("virtio-net", virtio_net::measure),
    ("guest-blk", guest_blk::measure),
    ("guest-net", guest_net::measure),
    ("nat", nat::measure),
    ("linux", linux::measure),
];

fn main() -> ExitCode {
    let mut names: Vec<String> = std::env::args().skip(1).collect();
    if names.first().is_some_and(|n| n == echo::WORD) {
        return echo::serve();
    }
    let json = names.iter().any(|n| n == "--json");
    names.retain(|n| n != "--json" && n != "--bench");
    if let Some(wrong) = names.iter().find(|n| ALL.iter().all(|(known, _)| known != n)) {
        let known: Vec<_> = ALL.iter().map(|(n, _)| *n).collect();
        eprintln!("no benchmark '{wrong}'; there are: {}", known.join(", "));
        return ExitCode::FAILURE;
    }
    if cfg!(debug_assertions) {
        eprintln!("this is a debug build; its numbers say nothing. Use cargo run --release -p southbridge-bench");
    }
    run(&names, json)
}

fn run(names: &[String], json: bool) -> ExitCode {
    let mut rows = Vec::new();
    let mut status = ExitCode::SUCCESS;
    for (name, measure) in ALL {
        if !names.is_empty() && !names.iter().any(|n| n == name) {
            continue;
        }
        eprintln!("{name} ...");
        match measure() {
            Ok(more) => rows.extend(more),
            Err(e) => {
                eprintln!("{name}: {e}");
                status = ExitCode::FAILURE;
            }
        }
    }
    match json {
        true => print!("{}", report::json_lines(&rows)),
        false => print!("{}", report::table(&rows)),
    }
    status
}
