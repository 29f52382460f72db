//! Firmware on both boards through the program: consoles, exit statuses, loaders.

mod common;
use common::{err, firmware, out, program, run};

const BOARDS: [&str; 2] = ["lm3s6965evb", "mps2-an385"];

/// Runs a self-checking firmware; status 0 means that all its checks passed.
fn passes(name: &str, arguments: &str) {
    passes_with(name, arguments, &[]);
}

fn passes_with(name: &str, arguments: &str, options: &[&str]) {
    for board in BOARDS {
        let kernel = firmware(&format!("{name}-{board}.elf"));
        let result = run(program().args(options).args([
            "-M",
            board,
            "-nographic",
            "-semihosting",
            "-pace",
            "skip",
            "-append",
            arguments,
            "-kernel",
            &kernel,
        ]));
        assert!(
            result.status.success(),
            "{name} on {board}:\n{}{}",
            out(&result),
            err(&result)
        );
        assert!(
            out(&result).contains(name) || name == "hello",
            "{name} on {board} says so on its console"
        );
    }
}

#[test]
fn exceptions() {
    passes("t-exceptions", "");
}

#[test]
fn systick() {
    passes("t-systick", "");
}

#[test]
fn timers() {
    passes("t-timers", "");
}

#[test]
fn gpio() {
    passes("t-gpio", "");
}

#[test]
fn watchdog() {
    passes("t-watchdog", "");
}

#[test]
fn bitband() {
    passes("t-bitband", "");
}

#[test]
fn uart() {
    passes("t-uart", "echo=0");
}

#[test]
fn newlib() {
    passes("t-newlib", "");
}

#[test]
fn semihosting_with_a_file_and_a_status() {
    let dir = tempfile::tempdir().unwrap();
    for board in BOARDS {
        let kernel = firmware(&format!("t-semihosting-{board}.elf"));
        let file = dir.path().join(board);
        let words = format!("file={} exit=17", file.display());
        let result = run(program().args([
            "-M",
            board,
            "-nographic",
            "-semihosting",
            "-append",
            &words,
            "-kernel",
            &kernel,
        ]));
        assert_eq!(result.status.code(), Some(17), "{}{}", out(&result), err(&result));
        assert!(!out(&result).contains("FAIL"), "{}", out(&result));
    }
}

#[test]
fn compiled_workloads_compute_the_right_thing() {
    passes("coremark-like", "iterations=4");
    passes("dhrystone-like", "iterations=32");
}

/// Compiled code is undone, done again by the interpreter, and compared: a difference ends the run.
#[test]
fn everything_passes_in_checking_mode() {
    let options = ["-accel", "jit,check=on,hot=20,threads=0"];
    for (name, arguments) in [
        ("hello", ""),
        ("t-exceptions", ""),
        ("t-systick", ""),
        ("t-timers", ""),
        ("t-gpio", ""),
        ("t-watchdog", ""),
        ("t-bitband", ""),
        ("t-uart", "echo=0"),
        ("t-newlib", ""),
        ("t-semihosting", ""),
        ("coremark-like", "iterations=4"),
        ("dhrystone-like", "iterations=32"),
    ] {
        passes_with(name, arguments, &options);
    }
}

/// What `perf` reads beside a profile: a line of address, length (both hexadecimal) and name for each piece of compiled code.
#[test]
fn the_perf_map_names_the_guests_code() {
    let kernel = firmware("coremark-like-mps2-an385.elf");
    let mut command = program();
    command.args(["-M", "mps2-an385", "-nographic", "-semihosting", "-kernel", &kernel]);
    command.args([
        "-accel",
        "jit,perf-map=on,hot=20,threads=0",
        "-append",
        "x iterations=40",
    ]);
    let child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
    let map = std::path::PathBuf::from(format!("/tmp/perf-{}.map", child.id()));
    assert!(child.wait_with_output().unwrap().status.success());
    let text = std::fs::read_to_string(&map).unwrap();
    std::fs::remove_file(&map).unwrap();
    let mut places = Vec::new();
    for line in text.lines() {
        let [at, len, "guest", address] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        let number = |word: &str| u64::from_str_radix(word, 16).unwrap_or_else(|e| panic!("{line}: {e}"));
        let address = number(address.trim_start_matches("0x"));
        assert!(address < 0x40_0000, "{line}: not where the program is");
        assert!(number(len) > 0, "{line}");
        places.push((number(at), number(len)));
    }
    places.sort_unstable();
    assert!(places.len() > 5, "{text}");
    // Nothing is made again in the place of something else: the cache is large enough for this program.
    assert!(places.windows(2).all(|w| w[0].0 + w[0].1 <= w[1].0), "{text}");
}

#[test]
fn elf_hex_and_raw_load_alike() {
    for board in BOARDS {
        let texts: Vec<String> = ["elf", "hex", "bin"]
            .map(|kind| {
                let kernel = firmware(&format!("hello-{board}.{kind}"));
                let result = run(program().args(["-M", board, "-nographic", "-semihosting", "-kernel", &kernel]));
                assert!(result.status.success(), "{}", err(&result));
                out(&result)
            })
            .into();
        assert!(texts[0].contains("Hello"), "{}", texts[0]);
        assert!(texts.iter().all(|t| *t == texts[0]));
    }
}

#[test]
fn the_loader_device_loads_a_program_too() {
    let image = firmware("hello-mps2-an385.bin");
    let loader = format!("loader,file={image},addr=0,force-raw=on");
    let result = run(program().args(["-M", "mps2-an385", "-nographic", "-semihosting", "-device", &loader]));
    assert!(result.status.success(), "{}", err(&result));
    assert!(out(&result).contains("Hello"));
}

#[test]
fn uart_input_reaches_the_guest() {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::process::Stdio;
    for board in BOARDS {
        let kernel = firmware(&format!("t-uart-{board}.elf"));
        let mut child = program()
            .args([
                "-M",
                board,
                "-serial",
                "stdio",
                "-semihosting",
                "-display",
                "none",
                "-kernel",
                &kernel,
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut console = BufReader::new(child.stdout.take().unwrap());
        let mut text = String::new();
        while !text.contains("type a line") {
            assert!(console.read_line(&mut text).unwrap() > 0, "{text}");
        }
        child
            .stdin
            .take()
            .unwrap()
            .write_all(b"a line for the board\n")
            .unwrap();
        console.read_to_string(&mut text).unwrap();
        assert!(child.wait().unwrap().success(), "{text}");
        assert!(text.contains("a line for the board"), "{text}");
    }
}
