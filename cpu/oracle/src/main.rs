//! Long campaigns: `cargo run --release -p southbridge-cpu-oracle -- --seed S --streams N [--record FILE] [--one SEED]`.

use southbridge_cpu_oracle::campaign::Campaign;
use southbridge_cpu_oracle::{qemu, record};
use std::process::ExitCode;

const USAGE: &str =
    "usage: southbridge-cpu-oracle [--seed S] [--streams N] [--record FILE] [--one SEED] [--most DIFFERENCES]

  --seed S      seed of the campaign (default 1)
  --streams N   streams to run (default 10000)
  --record FILE keep what QEMU made of the streams on which both agree
  --one SEED    run the stream of one seed, as printed with a difference
  --most N      stop after so many differences (default 20)

SOUTHBRIDGE_ORACLE_QEMU names another qemu-system-arm than the one in the path.";

struct Options {
    seed: u64,
    streams: u64,
    record: Option<String>,
    one: Option<u64>,
    most: usize,
}

fn number(s: &str) -> Option<u64> {
    match s.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => s.parse().ok(),
    }
}

fn options() -> Option<Options> {
    let mut o = Options {
        seed: 1,
        streams: 10_000,
        record: None,
        one: None,
        most: 20,
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let value = args.next()?;
        match arg.as_str() {
            "--seed" => o.seed = number(&value)?,
            "--streams" => o.streams = number(&value)?,
            "--record" => o.record = Some(value),
            "--one" => o.one = Some(number(&value)?),
            "--most" => o.most = number(&value)? as usize,
            _ => return None,
        }
    }
    Some(o)
}

fn run(o: &Options) -> std::io::Result<bool> {
    let version = qemu::version()?;
    println!("{version}");
    let mut c = Campaign::new()?;
    c.record = o.record.is_some();
    let seeds: Box<dyn Iterator<Item = u64>> = match o.one {
        Some(seed) => Box::new(std::iter::once(seed)),
        None => Box::new(Campaign::seeds(o.seed).take(o.streams as usize)),
    };
    let mut told = 0;
    for (i, seed) in seeds.enumerate() {
        c.one(seed)?;
        for text in &c.tally.differences[told..] {
            println!("{text}");
        }
        told = c.tally.differences.len();
        if told >= o.most {
            break;
        }
        if i % 5000 == 4999 {
            println!("{} streams, {} differences", i + 1, told);
        }
    }
    let t = &c.tally;
    println!(
        "{} streams compared ({} instructions, {} ended in a fault), {} differences",
        t.compared, t.instructions, t.faulted, told
    );
    for (why, n) in &t.outside {
        println!("  left out {n}: {why}");
    }
    for (cfsr, n) in &t.faults {
        println!("  CFSR {cfsr:#09x}: {n}");
    }
    if let Some(path) = &o.record {
        let bytes = record::encode(&version, &t.recorded);
        std::fs::write(path, &bytes)?;
        println!("{path}: {} streams, {} bytes", t.recorded.len(), bytes.len());
    }
    Ok(told == 0)
}

fn main() -> ExitCode {
    let Some(o) = options() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match run(&o) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("southbridge-cpu-oracle: {e}");
            ExitCode::from(2)
        }
    }
}
