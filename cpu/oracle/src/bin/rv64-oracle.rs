//! Long campaigns: `cargo run --release -p southbridge-cpu-oracle --bin rv64-oracle -- [streams|pages] [--seed S] [--cases N] …`.

use southbridge_cpu_oracle::rng::Rng;
use southbridge_cpu_oracle::rv64::campaign::{BATCH, Campaign};
use southbridge_cpu_oracle::rv64::case::Kind;
use southbridge_cpu_oracle::rv64::{qemu, record};
use std::process::ExitCode;

const USAGE: &str =
    "usage: rv64-oracle [streams|pages] [--seed S] [--cases N] [--record FILE] [--one SEED] [--most DIFFERENCES]

  streams|pages only one of the two generators
  --seed S      seed of the campaign (default 1)
  --cases N     cases of each generator (default 10000)
  --record FILE keep what QEMU made of the cases on which both agree
  --one SEED    run the case of one seed, as printed with a difference
  --most N      stop after so many differences (default 20)

SOUTHBRIDGE_ORACLE_QEMU_RV64 names another qemu-system-riscv64 than the one in the path.";

struct Options {
    kinds: Vec<Kind>,
    seed: u64,
    cases: usize,
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
        kinds: vec![Kind::Stream, Kind::Pages],
        seed: 1,
        cases: 10_000,
        record: None,
        one: None,
        most: 20,
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "streams" => o.kinds = vec![Kind::Stream],
            "pages" => o.kinds = vec![Kind::Pages],
            "--seed" => o.seed = number(&args.next()?)?,
            "--cases" => o.cases = number(&args.next()?)? as usize,
            "--record" => o.record = Some(args.next()?),
            "--one" => o.one = Some(number(&args.next()?)?),
            "--most" => o.most = number(&args.next()?)? as usize,
            _ => return None,
        }
    }
    Some(o)
}

fn run(o: &Options) -> std::io::Result<bool> {
    let version = qemu::version()?;
    println!("{version}");
    let mut c = Campaign::default();
    c.record = o.record.is_some();
    let mut told = 0;
    for kind in &o.kinds {
        let mut rng = Rng::new(o.seed);
        let mut left = o.one.map_or(o.cases, |_| 1);
        while left > 0 && told < o.most {
            let n = left.min(BATCH);
            left -= n;
            let seeds: Vec<u64> = (0..n).map(|_| o.one.unwrap_or_else(|| rng.u64())).collect();
            c.batch(*kind, seeds.into_iter())?;
            for text in c.tally.differences[told..].iter().take(o.most - told) {
                println!("{text}");
            }
            told = c.tally.differences.len();
        }
    }
    report(&c);
    if let Some(path) = &o.record {
        let bytes = record::encode(&version, &c.tally.recorded);
        std::fs::write(path, &bytes)?;
        println!("{path}: {} cases, {} bytes", c.tally.recorded.len(), bytes.len());
    }
    Ok(told == 0)
}

fn report(c: &Campaign) {
    let t = &c.tally;
    println!(
        "{} cases compared ({} instructions, {} accesses through page tables), {} differences",
        t.compared,
        t.instructions,
        t.probes,
        t.differences.len()
    );
    for (why, n) in &t.outside {
        println!("  left out {n}: {why}");
    }
    for ((level, cause), n) in &t.traps {
        let level = if *level == 3 { "M" } else { "S" };
        println!("  traps to {level}-mode, cause {cause:#x}: {n}");
    }
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
            eprintln!("rv64-oracle: {e}");
            ExitCode::from(2)
        }
    }
}
