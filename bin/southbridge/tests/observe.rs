//! Watching a guest and putting faults in its way, from the command line.

mod common;
use common::{err, firmware, out, program, run};
use std::fs;

/// Runs firmware with these further words; must succeed.
fn guest(name: &str, words: &[&str]) -> (String, String) {
    let kernel = firmware(&format!("{name}-lm3s6965evb.elf"));
    let result = run(program()
        .args([
            "-M",
            "lm3s6965evb",
            "-nographic",
            "-semihosting",
            "-pace",
            "skip",
            "-kernel",
            &kernel,
        ])
        .args(words));
    assert!(result.status.success(), "{}{}", out(&result), err(&result));
    (out(&result), err(&result))
}

#[test]
fn help_lists_every_event() {
    for words in [["-trace", "help"], ["-d", "trace:help"]] {
        let text = out(&run(program().args(words)));
        for name in ["mmio_write", "cpu_exception_enter", "ivshmem_flat_doorbell_in"] {
            assert!(text.contains(name), "{text}");
        }
    }
}

#[test]
fn two_runs_give_the_same_trace_and_perfetto_opens_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    fs::write(path("events"), "# what to look at\ncpu_*\nmmio_*\n-mmio_read\n").unwrap();
    for file in ["a", "b"] {
        let option = format!("line_*,events={},file={}", path("events"), path(file));
        let json = format!("file={},format=perfetto", path(&format!("{file}.json")));
        guest("t-systick", &["-trace", &option, "-trace", &json, "-name", "board"]);
    }
    let trace = fs::read_to_string(path("a")).unwrap();
    assert_eq!(trace, fs::read_to_string(path("b")).unwrap());
    assert!(
        trace.contains(" cpu_exception_enter cpu0 number=15 exception=SysTick "),
        "{trace}"
    );
    assert!(trace.contains(" mmio_write "), "{trace}");
    assert!(!trace.contains(" mmio_read "));
    let converted = run(program().args(["trace2perfetto", &path("a"), &path("c.json")]));
    assert!(converted.status.success(), "{}", err(&converted));
    let tail = |name: &str| {
        let text = fs::read_to_string(path(name)).unwrap();
        // The first record names the process.
        text.split_once(",\n").unwrap().1.to_owned()
    };
    assert_eq!(tail("a.json"), tail("c.json"));
}

#[test]
fn log_items_go_to_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log").display().to_string();
    guest("hello", &["-d", "cpu_reset,in_asm,exec,trace:system_reset", "-D", &log]);
    let text = fs::read_to_string(&log).unwrap();
    for part in [
        "CPU 0: reset\nR0=00000000",
        "CPU 0: in:\n0x",
        "CPU 0: exec 0x",
        "] system_reset machine",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_corrupted_byte_comes_out_of_the_uart() {
    let (plain, _) = guest("hello", &[]);
    assert!(plain.starts_with("Hello"), "{plain}");
    let fault = "fault,id=f,kind=mmio-write,device=pl011*,name=*DR,action=corrupt,xor=0x20";
    let (text, log) = guest("hello", &["-object", fault, "-trace", "fault_*"]);
    assert!(text.starts_with("hello"), "{text}");
    assert!(log.contains("rule=f kind=mmio-write action=corrupt"), "{log}");
}

#[test]
fn a_fault_that_makes_no_sense_is_refused() {
    let words = [
        "-M",
        "lm3s6965evb",
        "-object",
        "fault,id=f,kind=mmio-read,action=delay,delay=5",
    ];
    let result = run(program().args(words));
    assert_eq!(result.status.code(), Some(1));
    assert!(
        err(&result).contains("'delay' cannot be done to 'mmio-read'"),
        "{}",
        err(&result)
    );
}
