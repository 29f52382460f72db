//! The short run: every committed seed and a fixed number of mutations, the same each time.
//!
//! Memory is bounded by the process's own limit of address space, so that growth without bound ends a test; a hang ends it by the
//! limit of processor time, which is far above what any test needs. The run is the same each time, so the input that hangs is found by
//! running the test again with `SOUTHBRIDGE_FUZZ_KEEP=FILE`: each input is written there before it is tried.

use std::path::Path;

use rustix::process::{Resource, Rlimit, setrlimit};
use southbridge_fuzz::{TARGETS, Target, find, mutate};
use southbridge_testing::Noise;

/// Bytes of address space. What every test needs is a tenth of it, beside what the allocator reserves for each thread.
const MEMORY: u64 = 2 << 30;
/// Seconds of processor time for all targets together, when they share one process.
const PROCESSOR: u64 = 1200;

fn limit(resource: Resource, most: u64) {
    let limit = Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    setrlimit(resource, limit).expect("a process may lower its own limits");
}

fn seeds(target: &Target) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    files.sort();
    files
        .iter()
        .map(|f| std::fs::read(f).expect("a seed can be read"))
        .collect()
}

/// Prints the input that made a target panic, in the form in which findings are noted.
struct Witness<'a>(&'a [u8]);

impl Drop for Witness<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let hex: String = self.0.iter().map(|b| format!("{b:02x}")).collect();
            eprintln!("input: {hex}");
        }
    }
}

/// New types come in without a seed of their own.
fn one_of_each_type() -> impl Iterator<Item = Vec<u8>> {
    let mut noise = Noise::new(1);
    let keys = southbridge_fuzz::keys().into_iter();
    keys.flat_map(|key| [key, key, key, key])
        .map(move |(_, key)| [&key[..], &noise.bytes(512)].concat())
}

fn one_of_each_virtio_type() -> impl Iterator<Item = Vec<u8>> {
    let mut noise = Noise::new(2);
    let keys = southbridge_fuzz::virtio_keys().into_iter();
    keys.flat_map(|key| [key; 8])
        .map(move |(_, key)| [&key[..], &noise.bytes(1024)].concat())
}

fn short(name: &str, mutations: u32) {
    let target = find(name).expect("the target exists");
    let mut seeds = seeds(target);
    assert!(!seeds.is_empty(), "{name} has seeds");
    if name.starts_with("device") {
        seeds.extend(one_of_each_type());
    }
    if name == "virtio-rings" {
        seeds.extend(one_of_each_virtio_type());
    }
    guarded(target, &seeds, mutations);
}

/// Runs a target on its seeds and mutations of them, inside the limits.
fn guarded(target: &Target, seeds: &[Vec<u8>], mutations: u32) {
    limit(Resource::As, MEMORY);
    let seconds = std::env::var("SOUTHBRIDGE_FUZZ_SECONDS")
        .ok()
        .and_then(|s| s.parse().ok());
    limit(Resource::Cpu, seconds.unwrap_or(PROCESSOR));
    let keep = std::env::var_os("SOUTHBRIDGE_FUZZ_KEEP");
    let run = |input: &[u8]| {
        if let Some(file) = &keep {
            std::fs::write(file, input).expect("the input can be kept");
        }
        let _witness = Witness(input);
        (target.run)(input);
    };
    run(&[]);
    seeds.iter().for_each(|seed| run(seed));
    let mut noise = Noise::new(target.name.bytes().fold(0, |n, b| n << 5 ^ u64::from(b)));
    for _ in 0..mutations {
        run(&mutate::input(seeds, target.longest, &mut noise));
    }
}

macro_rules! short {
    ($($test:ident $name:literal $mutations:literal;)+) => {
        $(#[test] fn $test() { short($name, $mutations); })+

        #[test]
        fn every_target_has_its_test() {
            let tested = [$($name),+];
            assert!(TARGETS.iter().map(|t| t.name).eq(tested));
            let root = Path::new(env!("CARGO_MANIFEST_DIR"));
            for name in tested {
                assert!(root.join("targets").join(format!("{name}.rs")).is_file(), "{name} has a program");
            }
        }
    };
}

short! {
    command_line "command-line" 4000;
    option_lists "option-lists" 4000;
    demo_file "demo-file" 2000;
    ivshmem_client "ivshmem-client" 4000;
    ivshmem_server "ivshmem-server" 4000;
    program "program" 8000;
    chardev "chardev" 4000;
    cpu_code "cpu-code" 1500;
    cpu_registers "cpu-registers" 1500;
    gdb "gdb" 1500;
    hmp "hmp" 300;
    qmp "qmp" 2000;
    qtest "qtest" 200;
    stream "stream" 60;
    device "device" 3000;
    device_state "device-state" 3000;
    pci_config "pci-config" 600;
    ivshmem_pci "ivshmem-pci" 1500;
    virtio_blk "virtio-blk" 300;
    virtio_net "virtio-net" 300;
    virtio_rings "virtio-rings" 2000;
    virtio_input "virtio-input" 300;
    virtio_serial "virtio-serial" 300;
    virtio_balloon "virtio-balloon" 300;
    virtio_vsock "virtio-vsock" 300;
    usernet "usernet" 1500;
    kernel "kernel" 4000;
    device_tree "device-tree" 4000;
    rv64_code "rv64-code" 300;
    sbi "sbi" 1000;
    p9 "p9" 300;
    board "board" 150;
    board_state "board-state" 60;
    firmware "firmware" 200;
}

#[test]
fn nesting_without_end_is_refused_not_followed() {
    for (open, times) in [("{\"a\":", 200_000), ("[", 200_000), ("{\"a\":[", 100_000)] {
        let text = format!("\x00{}", open.repeat(times));
        southbridge_fuzz::option_lists(text.as_bytes());
        southbridge_fuzz::demo_file(open.repeat(times).as_bytes());
        southbridge_fuzz::demo_file(format!("name = {}", "[".repeat(times)).as_bytes());
    }
}

/// Goes wrong in the way that the input asks for.
fn wrong(data: &[u8]) {
    match data {
        b"hang" => loop {
            std::hint::black_box(data);
        },
        b"grow" => {
            let mut all = Vec::new();
            for n in 0..4096u32 {
                // Touched, so that it is memory and not a promise.
                all.push(vec![n as u8 | 1; 1 << 20]);
            }
            std::hint::black_box(all);
        }
        b"panic" => panic!("as asked for"),
        _ => {}
    }
}

/// Not a test: what the tests of the detectors start, in a process of its own.
#[test]
#[ignore = "goes wrong on purpose; the tests of the detectors run it"]
fn a_target_that_goes_wrong() {
    let Ok(how) = std::env::var("SOUTHBRIDGE_FUZZ_WRONG") else {
        return;
    };
    let target = Target {
        name: "wrong",
        run: wrong,
        longest: 16,
        summary: "",
    };
    guarded(&target, &[b"well".to_vec(), how.into_bytes()], 0);
}

/// How the process of a target that goes wrong in this way ends, what it says, and the input that was kept.
fn go_wrong(how: &str) -> (std::process::ExitStatus, String, Vec<u8>) {
    let folder = std::env::temp_dir().join(format!("southbridge-fuzz-{how}-{}", std::process::id()));
    let out = std::process::Command::new(std::env::current_exe().expect("this program has a path"))
        .args(["--exact", "a_target_that_goes_wrong", "--ignored", "--nocapture"])
        .env("SOUTHBRIDGE_FUZZ_WRONG", how)
        // To fill the memory takes longer than to show that nothing ends.
        .env("SOUTHBRIDGE_FUZZ_SECONDS", if how == "hang" { "1" } else { "60" })
        .env("SOUTHBRIDGE_FUZZ_KEEP", &folder)
        .output()
        .expect("this program starts again");
    let kept = std::fs::read(&folder).unwrap_or_default();
    let _ = std::fs::remove_file(&folder);
    (out.status, String::from_utf8_lossy(&out.stderr).into_owned(), kept)
}

#[test]
fn a_hang_ends_the_run_and_its_input_is_known() {
    use std::os::unix::process::ExitStatusExt;
    let (status, said, kept) = go_wrong("hang");
    let signal = status.signal().map(|s| [9, 24].contains(&s));
    assert_eq!(signal, Some(true), "SIGXCPU or SIGKILL, not {status}: {said}");
    assert_eq!(kept, b"hang");
}

#[test]
fn memory_without_bound_ends_the_run_and_its_input_is_known() {
    let (status, said, kept) = go_wrong("grow");
    assert!(
        !status.success() && said.contains("memory allocation of"),
        "{status}: {said}"
    );
    assert_eq!(kept, b"grow");
}

#[test]
fn a_panic_ends_the_run_and_its_input_is_known() {
    let (status, said, kept) = go_wrong("panic");
    assert!(
        !status.success() && said.contains("input: 70616e6963"),
        "{status}: {said}"
    );
    assert_eq!(kept, b"panic");
}

#[test]
fn a_target_that_does_well_is_left_alone() {
    let (status, said, _) = go_wrong("fine");
    assert!(status.success(), "{said}");
}

/// A type that is missing here is fuzzed. One that joins the list needs tests of its own on its board.
#[test]
fn types_that_cannot_stand_alone_are_these() {
    let skipped = southbridge_fuzz::skipped();
    assert!(skipped.iter().all(|(_, why)| !why.is_empty()), "{skipped:?}");
    let mut names: Vec<_> = skipped.into_iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    assert_eq!(names, SKIPPED);
}

/// Expected by the test above.
const SKIPPED: &[&str] = &[
    "pxb-pcie",
    "vhost-vsock-device",
    "vhost-vsock-pci",
    "vhost-vsock-pci-non-transitional",
    "virtio-9p-device",
    "virtio-9p-pci",
    "virtio-9p-pci-non-transitional",
    "virtio-9p-pci-transitional",
    "virtio-blk-device",
    "virtio-blk-pci",
    "virtio-blk-pci-non-transitional",
    "virtio-blk-pci-transitional",
    "virtio-input-host-device",
    "virtio-input-host-pci",
];
