//! `-accel`: what executes guest code.

use super::{Config, Info};
use crate::command::HelpTopic;
use crate::error::OptError;
use crate::keyval::Props;
use crate::location::{Located, Location};

/// `-accel`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccelOpt {
    /// The engine's name, one of [`AccelOpt::NAMES`].
    pub name: Located<String>,
    /// What is said about compiling, for `jit` and `tcg`.
    pub jit: JitOpt,
}

/// Properties of the compiling engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JitOpt {
    /// Bytes of host code kept.
    pub cache_size: Option<u64>,
    /// Threads that compile; 0: the one that executes the guest.
    pub threads: Option<u64>,
    /// Runs of a piece of code after which it is compiled.
    pub hot: Option<u64>,
    /// Whether all that compiled code does is done again by the interpreter and compared.
    pub check: bool,
    /// Whether `/tmp/perf-PID.map` is written.
    pub perf_map: bool,
}

impl AccelOpt {
    /// The engines that this program has. `tcg` is QEMU's name for execution in software: the fastest there is. `qtest` executes nothing.
    pub const NAMES: [&str; 4] = ["jit", "interp", "tcg", "qtest"];

    /// What an engine can be told: name, kind and meaning of each.
    pub fn properties(engine: &str) -> &'static [(&'static str, &'static str, &'static str)] {
        match engine {
            "jit" | "tcg" => &PROPERTIES,
            _ => &[],
        }
    }

    /// Whether guest code may be compiled.
    pub fn compiles(&self) -> bool {
        matches!(self.name.value.as_str(), "jit" | "tcg")
    }
}

/// Properties of `jit`, and what QEMU's users say to `tcg`.
const PROPERTIES: [(&str, &str, &str); 9] = [
    ("cache-size", "size", "host code kept, 1M to 1G"),
    (
        "threads",
        "uint",
        "threads that compile, at most 16; 0: the one that executes",
    ),
    (
        "hot",
        "uint",
        "runs of a piece of code after which it is compiled, 1 to 1000000",
    ),
    (
        "check",
        "bool",
        "all that compiled code does is done again and compared",
    ),
    ("perf-map", "bool", "write /tmp/perf-PID.map, for perf"),
    ("tb-size", "uint", "host code kept, in MiB (QEMU's name)"),
    ("thread", "single|multi", "accepted: processors take turns either way"),
    (
        "split-wx",
        "bool",
        "accepted: code is never writable and executable at once",
    ),
    ("one-insn-per-tb", "bool", "only off: -accel interp executes one by one"),
];
const MOST_THREADS: u64 = 16;
const HOT: std::ops::RangeInclusive<u64> = 1..=1_000_000;
const CACHE: std::ops::RangeInclusive<u64> = 1 << 20..=1 << 30;

impl JitOpt {
    fn parse(owner: &str, props: &Props) -> Result<Self, OptError> {
        props.only(owner, &PROPERTIES.map(|(name, ..)| name))?;
        let threads = props.number("threads")?;
        if let Some(n) = threads.as_ref().filter(|n| n.value > MOST_THREADS) {
            let expected = format!("at most {MOST_THREADS} threads");
            return Err(OptError::bad_value(
                Some("threads"),
                &n.value.to_string(),
                expected,
                n.at.clone(),
            ));
        }
        let hot = props.number("hot")?;
        if let Some(n) = hot.as_ref().filter(|n| !HOT.contains(&n.value)) {
            let expected = "1 to 1000000 runs";
            return Err(OptError::bad_value(
                Some("hot"),
                &n.value.to_string(),
                expected,
                n.at.clone(),
            ));
        }
        // QEMU's tb-size is a number of MiB.
        let mib = props.number("tb-size")?.map(|n| n.map(|n| n.saturating_mul(1 << 20)));
        let cache_size = match props.size("cache-size")? {
            Some(size) => Some(("cache-size", size)),
            None => mib.filter(|n| n.value != 0).map(|size| ("tb-size", size)),
        };
        if let Some((key, size)) = cache_size.as_ref().filter(|(_, size)| !CACHE.contains(&size.value)) {
            let text = props.get(key).map_or_else(String::new, |e| e.value.clone());
            return Err(OptError::bad_value(Some(key), &text, "1M to 1G", size.at.clone()));
        }
        // Both ways of QEMU to run processors give the same here: they take turns.
        props.one_of("thread", &["single", "multi"])?;
        // Code is never writable and executable at once.
        props.switch("split-wx")?;
        if let Some(one) = props.switch("one-insn-per-tb")?.filter(|one| one.value) {
            let error = OptError::not_yet("'one-insn-per-tb'", one.at);
            return Err(error.with_help("'-accel interp' with '-d exec,nochain' shows what is executed"));
        }
        let on = |key: &str| props.switch(key).map(|v| v.is_some_and(|v| v.value));
        Ok(Self {
            cache_size: cache_size.map(|(_, size)| size.value),
            threads: threads.map(|n| n.value),
            hot: hot.map(|n| n.value),
            check: on("check")?,
            perf_map: on("perf-map")?,
        })
    }
}

/// Engines of QEMU that are not here.
const LATER: &[&str] = &["kvm", "xen", "hvf", "nvmm", "whpx"];

pub(super) fn add(name: &str, at: Location, props: &Props, config: &mut Config) -> Result<(), OptError> {
    let located = Located::new(name.to_owned(), at.clone());
    if LATER.contains(&name) {
        config.other_accels.push(located);
        return Ok(());
    }
    if !AccelOpt::NAMES.contains(&name) {
        let error = OptError::no_such("accelerator", name, AccelOpt::NAMES, at);
        return Err(match name.contains(':') {
            true => error.with_help("give -accel once for each, or write -machine accel=A:B"),
            false => error,
        });
    }
    let owner = format!("accelerator '{name}'");
    let jit = match name {
        "jit" | "tcg" => JitOpt::parse(&owner, props)?,
        _ => {
            props.only(&owner, &[])?;
            JitOpt::default()
        }
    };
    config.accels.push(AccelOpt { name: located, jit });
    Ok(())
}

/// The first engine that is here is taken, as in QEMU; one must be.
pub(super) fn check(config: &Config) -> Result<(), OptError> {
    match config.other_accels.first() {
        Some(other) if config.accels.is_empty() => {
            let error = OptError::not_yet(format!("the accelerator '{}'", other.value), other.at.clone());
            Err(error.with_help("'tcg' executes in software, also as a second choice: -accel kvm -accel tcg"))
        }
        _ => Ok(()),
    }
}

/// `-accel`.
pub(super) fn parse(props: Props, config: &mut Config) -> Result<(), OptError> {
    if props.help_at().is_some() {
        let name = props.text("accel").map(|n| n.value);
        let known = name.filter(|n| AccelOpt::NAMES.contains(&n.as_str()));
        config.show(Info::Help(known.map_or(HelpTopic::Accels, HelpTopic::AccelProperties)));
        return Ok(());
    }
    let name = props.required("-accel", "accel")?;
    let props = props.without(&["accel"]);
    add(&name.value, name.at, &props, config)
}
