//! Watching a guest and putting faults in its way, from the command line.

mod common;
use common::qmp::Client;
use common::{Guard, err, firmware, out, program, run, wait};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

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

/// What hello says into a file under a rule for the chardev "wire".
fn wire(rule: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("wire");
    let chardev = format!("file,id=wire,path={}", path.display());
    let mut words = vec!["-chardev", &chardev, "-serial", "chardev:wire"];
    let rule = format!("fault,id=f,kind=output,{rule}");
    words.extend(["-object", &rule]);
    guest("hello", &words);
    fs::read_to_string(&path).unwrap()
}

#[test]
fn a_uart_loses_or_corrupts_its_third_byte() {
    let whole = wire("name=another,action=drop,every=1");
    assert!(whole.starts_with("Hello"), "{whole}");
    let rest = &whole[5..];
    let third = |what: &str| wire(&format!("name=wire,nth=3,{what}"));
    assert_eq!(third("action=drop"), format!("Helo{rest}"));
    assert_eq!(third("action=fail"), format!("Helo{rest}"));
    assert_eq!(third("action=corrupt,xor=0x20"), format!("HeLlo{rest}"));
    assert_eq!(third("action=corrupt,byte=1,value=0"), whole, "there is but one byte");
    assert_eq!(third("action=delay,delay=1000"), whole, "what is behind it waits");
    let none: String = whole
        .chars()
        .enumerate()
        .filter(|(i, _)| i % 2 == 0)
        .map(|(_, c)| c)
        .collect();
    assert_eq!(wire("device=pl011*,nth=2,every=2,action=drop"), none);
}

/// A machine without a CPU, with "wire" on its first UART.
struct Wired {
    _machine: Guard,
    qmp: Client,
    qtest: BufReader<UnixStream>,
    wire: UnixStream,
}

impl Wired {
    fn start(dir: &Path) -> Self {
        let at = |name: &str| format!("{},server=on,wait=off", dir.join(name).display());
        let machine = program()
            .args([
                "-M",
                "lm3s6965evb",
                "-accel",
                "qtest",
                "-nodefaults",
                "-display",
                "none",
            ])
            .args(["-qmp", &format!("unix:{}", at("qmp"))])
            .args(["-qtest", &format!("unix:{}", at("qtest"))])
            .args(["-chardev", &format!("socket,id=wire,path={}", at("wire"))])
            .args(["-serial", "chardev:wire"])
            .spawn()
            .unwrap();
        let machine = Guard(machine);
        let qmp = Client::ready(&dir.join("qmp"));
        let qtest = UnixStream::connect(dir.join("qtest")).unwrap();
        let wire = UnixStream::connect(dir.join("wire")).unwrap();
        wire.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
        let mut wired = Self {
            _machine: machine,
            qmp,
            qtest: BufReader::new(qtest),
            wire,
        };
        // UARTEN, TXE and RXE; no FIFO.
        assert_eq!(wired.line("writel 0x4000c030 0x301"), "OK");
        wired
    }

    fn line(&mut self, request: &str) -> String {
        writeln!(self.qtest.get_ref(), "{request}").unwrap();
        let mut line = String::new();
        self.qtest.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn read(&mut self, address: u64) -> u64 {
        let line = self.line(&format!("readl {address:#x}"));
        u64::from_str_radix(line.strip_prefix("OK 0x").unwrap(), 16).unwrap()
    }

    fn rule(&mut self, id: &str, words: Value) {
        let mut arguments = json!({"qom-type": "fault", "id": id, "name": "wire"});
        arguments
            .as_object_mut()
            .unwrap()
            .extend(words.as_object().unwrap().clone());
        let answer = self.qmp.ask(&json!({"execute": "object-add", "arguments": arguments}));
        assert_eq!(answer, json!({"return": {}}));
    }
}

#[test]
fn rules_for_messages_come_by_qmp_and_go_again() {
    const DR: u64 = 0x4000_c000;
    const FR: u64 = 0x4000_c018;
    let dir = tempfile::tempdir().unwrap();
    let mut m = Wired::start(dir.path());
    m.rule(
        "o",
        json!({"kind": "output", "nth": 3, "every": 1, "action": "corrupt", "xor": 0x20}),
    );
    for byte in b"abc" {
        assert_eq!(m.line(&format!("writel {DR:#x} {byte}")), "OK");
    }
    let gone = m.qmp.ask(&json!({"execute": "object-del", "arguments": {"id": "o"}}));
    assert_eq!(gone, json!({"return": {}}));
    assert_eq!(m.line(&format!("writel {DR:#x} {}", b'd')), "OK");
    let mut said = [0; 4];
    m.wire.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"abCd");

    m.rule("m", json!({"kind": "message", "action": "corrupt", "value": b'?'}));
    m.rule("l", json!({"kind": "message", "nth": 2, "action": "drop"}));
    // Without its FIFO the receiver takes one byte at a time, so each is a message of its own.
    let heard = |m: &mut Wired, bytes: &[u8]| {
        m.wire.write_all(bytes).unwrap();
        wait("a byte", || m.read(FR) & 0x10 == 0);
        m.read(DR) as u8
    };
    assert_eq!(heard(&mut m, b"x"), b'?');
    assert_eq!(
        heard(&mut m, b"yz"),
        b'z',
        "the second one is lost, and the receiver goes on"
    );
}
