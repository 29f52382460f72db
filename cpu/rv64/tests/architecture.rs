//! The public architecture tests (riscv-software-src/riscv-tests), built by `riscv-tests/build.sh` and packed by
//! `riscv-tests/pack.py`.

mod common;

use southbridge_core::Machine;

/// No test takes so many instructions.
const PATIENCE: u64 = 4_000_000;
const CHUNK: usize = 64;
static PACK: &[u8] = include_bytes!("data/riscv-tests.bin");

/// Reads the pack from front to back.
struct Reader(&'static [u8]);

impl Reader {
    fn bytes(&mut self, n: usize) -> &'static [u8] {
        let (head, rest) = self.0.split_at(n);
        self.0 = rest;
        head
    }
    fn number(&mut self, n: usize) -> u64 {
        let bytes = self.bytes(n).iter().rev();
        bytes.fold(0, |v, b| v << 8 | u64::from(*b))
    }
}

struct Test {
    name: &'static str,
    entry: u64,
    tohost: u64,
    segments: Vec<(u64, Vec<u8>)>,
}

fn tests() -> Vec<Test> {
    let mut r = Reader(PACK);
    assert_eq!(r.bytes(4), b"RVT1");
    let chunks: Vec<_> = (0..r.number(4)).map(|_| r.bytes(CHUNK)).collect();
    let mut all = Vec::new();
    while !r.0.is_empty() {
        let len = r.number(1) as usize;
        let name = std::str::from_utf8(r.bytes(len)).expect("a name");
        let (entry, tohost, count) = (r.number(8), r.number(8), r.number(2));
        let segments = (0..count).map(|_| {
            let (address, len) = (r.number(8), r.number(4) as usize);
            let parts = (0..len.div_ceil(CHUNK)).flat_map(|_| chunks[r.number(2) as usize]);
            let mut data: Vec<u8> = parts.copied().collect();
            data.truncate(len);
            (address, data)
        });
        let segments = segments.collect();
        all.push(Test {
            name,
            entry,
            tohost,
            segments,
        });
    }
    all
}

fn board(test: &Test, config: southbridge_cpu_rv64::Config) -> Machine {
    let mut m = common::machine(config);
    for (address, data) in &test.segments {
        m.sys.load_bytes(*address, data).expect("RAM");
    }
    m.start();
    m.cpus[0].set_register("pc", test.entry);
    m
}

/// Runs one; `None` if it passed, or what went wrong.
fn run(test: &Test, config: southbridge_cpu_rv64::Config) -> Option<String> {
    let mut m = board(test, config);
    loop {
        let next = m.sys.clock.now().after_ns(10_000);
        m.run_until(next);
        match m.sys.read(test.tohost, 8).expect("RAM") {
            0 if m.sys.clock.executed() < PATIENCE => {}
            0 => return Some(format!("it does not end; pc {:#x}", m.cpus[0].pc())),
            1 => return None,
            n if n & 1 == 1 => return Some(format!("test case {} fails", n >> 1)),
            n => return Some(format!("tohost {n:#x}")),
        }
    }
}

/// Runs those of some sets (`rv64ui` and so on).
fn pass(sets: &[&str], at_least: usize) {
    let mine = |t: &Test| sets.iter().any(|s| t.name.split('-').next() == Some(s));
    let tests: Vec<_> = tests().into_iter().filter(mine).collect();
    let results = tests.iter().filter_map(|t| Some((t.name, run(t, common::config())?)));
    let failed: Vec<_> = results.map(|(name, why)| format!("{name}: {why}")).collect();
    println!("{} of {} pass", tests.len() - failed.len(), tests.len());
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(tests.len() >= at_least, "the pack is complete");
}

#[test]
fn integer_tests_pass() {
    pass(&["rv64ui", "rv64um", "rv64uc"], 136);
}

#[test]
fn atomic_tests_pass() {
    pass(&["rv64ua"], 38);
}

#[test]
fn float_tests_pass() {
    pass(&["rv64uf", "rv64ud", "rv64uzfh"], 68);
}

#[test]
fn bit_tests_pass() {
    pass(&["rv64uzba", "rv64uzbb", "rv64uzbc", "rv64uzbs", "rv64uzicond"], 60);
}

#[test]
fn privileged_tests_pass() {
    pass(&["rv64mi", "rv64si", "rv64mzicbo", "rv64ssvnapot"], 20);
}

#[test]
fn a_hart_without_an_extension_fails_its_tests() {
    let tests = tests();
    let mul = tests.iter().find(|t| t.name == "rv64um-p-mul").expect("it is there");
    let mut config = common::config();
    assert!(config.set_property("m", false));
    assert!(run(mul, config).is_some());
}
