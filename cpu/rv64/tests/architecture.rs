//! The public RISC-V architecture tests (riscv-software-src/riscv-tests), where somebody has built them: the environment variable
//! `SOUTHBRIDGE_RISCV_TESTS` names the folder with their ELF files (`rv64ui-p-add`, `rv64ui-v-add`, …), as the build of that project
//! leaves them. They are the work of others and not part of this one; without the folder these tests are skipped, visibly.

mod common;

use southbridge_core::Machine;
use southbridge_cpu_rv64::Config;
use southbridge_cpu_rv64::jit::{Options, is_available};
use southbridge_testing::skip;
use std::path::{Path, PathBuf};

/// No test takes so many instructions.
const PATIENCE: u64 = 4_000_000;

fn folder(test: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("SOUTHBRIDGE_RISCV_TESTS").map(PathBuf::from);
    if folder.is_none() {
        skip(
            test,
            "SOUTHBRIDGE_RISCV_TESTS names no folder with the public architecture tests",
        );
    }
    folder
}

/// The files of some sets (`rv64ui` and so on), without the listings beside them.
fn files(folder: &Path, sets: &[&str]) -> Vec<PathBuf> {
    let mine = |path: &PathBuf| {
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        let set = name.split('-').next().unwrap_or_default();
        sets.contains(&set) && !name.contains('.')
    };
    let entries = std::fs::read_dir(folder).expect("the folder of SOUTHBRIDGE_RISCV_TESTS");
    let mut files: Vec<_> = entries.map(|e| e.expect("an entry").path()).filter(mine).collect();
    files.sort();
    files
}

/// Compiles all that runs twice, and waits for it.
const AT_ONCE: Options = Options {
    cache_size: 8 << 20,
    threads: 0,
    hot: 1,
    perf_map: false,
    check: false,
};

fn board(file: &Path, config: Config, jit: Option<Options>) -> (Machine, u64) {
    let mut m = common::machine(config);
    common::hart(&mut m).set_jit(jit).expect("a compiler");
    let bytes = std::fs::read(file).expect("an ELF file");
    let (entry, tohost) = common::load(&mut m, &bytes);
    m.start();
    m.cpus[0].set_register("pc", entry);
    (m, tohost.expect("a section .tohost"))
}

/// Runs one; `None` if it passed, or what went wrong.
fn run(file: &Path, config: Config, jit: Option<Options>) -> Option<String> {
    let (mut m, tohost) = board(file, config, jit);
    loop {
        let next = m.sys.clock.now().after_ns(10_000);
        m.run_until(next);
        match m.sys.read(tohost, 8).expect("RAM") {
            0 if m.sys.clock.executed() < PATIENCE => {}
            0 => return Some(format!("it does not end; pc {:#x}", m.cpus[0].pc())),
            1 => return None,
            n if n & 1 == 1 => return Some(format!("test case {} fails", n >> 1)),
            n => return Some(format!("tohost {n:#x}")),
        }
    }
}

/// Runs those of some sets, of which there must be so many, on both tiers.
fn pass(test: &str, sets: &[&str], at_least: usize) {
    let Some(folder) = folder(test) else { return };
    let files = files(&folder, sets);
    let tiers = [None, is_available().is_ok().then_some(AT_ONCE)];
    for jit in tiers.iter().take(if tiers[1].is_some() { 2 } else { 1 }) {
        let results = files.iter().filter_map(|f| Some((f, run(f, common::config(), *jit)?)));
        let failed: Vec<_> = results.map(|(f, why)| format!("{}: {why}", f.display())).collect();
        let tier = if jit.is_some() { "compiled" } else { "interpreted" };
        println!("{} of {} pass, {tier}", files.len() - failed.len(), files.len());
        assert!(failed.is_empty(), "{tier}: {}", failed.join("\n"));
    }
    assert!(files.len() >= at_least, "only {} of {at_least} are there", files.len());
}

#[test]
fn integer_tests_pass() {
    pass("integer_tests_pass", &["rv64ui", "rv64um", "rv64uc"], 136);
}

#[test]
fn atomic_tests_pass() {
    pass("atomic_tests_pass", &["rv64ua"], 38);
}

#[test]
fn float_tests_pass() {
    pass("float_tests_pass", &["rv64uf", "rv64ud", "rv64uzfh"], 68);
}

#[test]
fn bit_tests_pass() {
    let sets = ["rv64uzba", "rv64uzbb", "rv64uzbc", "rv64uzbs", "rv64uzicond"];
    pass("bit_tests_pass", &sets, 60);
}

#[test]
fn privileged_tests_pass() {
    pass(
        "privileged_tests_pass",
        &["rv64mi", "rv64si", "rv64mzicbo", "rv64ssvnapot"],
        20,
    );
}

#[test]
fn a_hart_without_an_extension_fails_its_tests() {
    let Some(folder) = folder("a_hart_without_an_extension_fails_its_tests") else {
        return;
    };
    let mut config = common::config();
    assert!(config.set_property("m", false));
    assert!(run(&folder.join("rv64um-p-mul"), config, None).is_some());
}
