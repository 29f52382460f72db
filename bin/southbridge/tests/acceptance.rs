//! What acceptance found wrong once: the same words at the terminal again.

mod common;
use common::{Guard, err, firmware, out, program, run, signal, wait};
use std::fs::OpenOptions;
use std::process::Output;

const BOARD: [&str; 4] = ["-M", "lm3s6965evb", "-display", "none"];

fn board(args: &[&str]) -> Output {
    run(program().args(BOARD).args(args))
}

/// The one line of a refusal.
fn refused(args: &[&str]) -> String {
    let result = board(args);
    assert_eq!(result.status.code(), Some(1), "{args:?}: {}", err(&result));
    err(&result).trim_end().to_owned()
}

#[test]
fn a_chardev_in_use_is_told_with_its_first_user() {
    let first = "first used here: -serial chardev:a";
    let serial = ["-chardev", "null,id=a", "-serial", "chardev:a"];
    for more in [["-serial", "chardev:a"], ["-device", "ivshmem-flat,chardev=a"]] {
        let line = refused(&[&serial[..], &more].concat());
        assert!(
            line.contains("chardev 'a' is in use already") && line.contains(first),
            "{line}"
        );
        assert!(line.contains("mux=on"), "{line}");
    }
    let hub = ["-chardev", "hub,id=h,chardevs.0=a"];
    assert!(refused(&[&hub[..], &serial].concat()).contains("first used here: -chardev hub"));
}

#[test]
fn device_types_that_cannot_be_added_say_why() {
    assert!(refused(&["-device", "pl011"]).ends_with("no board here has one"));
    assert!(refused(&["-device", "pl011_luminary"]).ends_with("it is on lm3s6965evb"));
    let line = refused(&["-device", "ivshmem-doorbell"]);
    assert!(
        line.contains("needs a PCI bus") && line.contains("'ivshmem-flat'"),
        "{line}"
    );
    let line = refused(&["-device", "nvme"]);
    assert!(line.contains("QEMU has the device type"), "{line}");
    assert!(refused(&["-device", "ivshmem-flt,help"]).contains("-device ivshmem-flt,help: no device type"));
    assert!(out(&board(&["-device", "loader,help"])).contains("data-len=<uint8>"));
}

#[test]
fn values_are_refused_in_the_same_words_everywhere() {
    let chardev = ["-chardev", "null,id=a", "-device"];
    for (device, takes) in [
        ("irq=zz", "it takes the number of an interrupt input"),
        ("x-irq-qompath=foo", "it takes a path that ends in '[N]'"),
        ("x-bus-qompath=/foo", "it takes '/sysbus'"),
        ("shmem-size=0", "it takes a size"),
    ] {
        let device = format!("ivshmem-flat,chardev=a,{device}");
        let line = refused(&[&chardev[..], &[device.as_str()]].concat());
        assert!(line.contains(takes), "{line}");
    }
    let line = refused(&["-object", "ivshmem-server,id=s,path=x,vectors=99999"]);
    assert!(line.ends_with("it takes a number from 0 to 64"), "{line}");
}

#[test]
fn a_serial_port_too_many_is_marked_and_one_without_a_channel_is_none() {
    let four = ["-serial", "null"].repeat(4);
    assert!(refused(&four).contains("-serial null: machine 'lm3s6965evb' has 3 serial ports"));
    let kernel = firmware("hello-lm3s6965evb.elf");
    let none = [
        "-semihosting",
        "-kernel",
        &kernel,
        "-serial",
        "null",
        "-serial",
        "null",
        "-serial",
        "null",
    ];
    assert!(board(&[&none[..], &["-serial", "none"]].concat()).status.success());
}

#[test]
fn errors_of_the_host_carry_no_numbers() {
    for serial in [
        "file:/no/such/f",
        "pipe:/no/such/p",
        "unix:/no/such/s",
        "tcp:127.0.0.1:1",
    ] {
        assert!(!refused(&["-serial", serial]).contains("os error"), "{serial}");
    }
}

#[test]
fn nobody_who_reads_is_no_panic() {
    let full = || OpenOptions::new().write(true).open("/dev/full").unwrap();
    let status = program().args(["-M", "nothing"]).stderr(full()).status().unwrap();
    assert_eq!(status.code(), Some(1));
    let kernel = firmware("hello-lm3s6965evb.elf");
    let mut p = program();
    p.args(BOARD)
        .args(["-semihosting", "-kernel", &kernel, "-serial", "pty"]);
    assert!(p.stdout(full()).status().unwrap().success());
}

#[test]
fn a_daemon_tells_the_name_of_its_terminal_and_has_no_standard_input() {
    let dir = tempfile::tempdir().unwrap();
    let pid = dir.path().join("p");
    let daemon = ["-daemonize", "-pidfile", pid.to_str().unwrap(), "-S", "-serial"];
    let result = board(&[&daemon[..], &["pty"]].concat());
    assert!(result.status.success(), "{}", err(&result));
    assert!(
        out(&result).starts_with("char device redirected to /dev/pts/"),
        "{}",
        out(&result)
    );
    signal("TERM", std::fs::read_to_string(&pid).unwrap().trim().parse().unwrap());
    wait("the end of the daemon", || !pid.exists());
    for stdio in ["stdio", "mon:stdio"] {
        let line = refused(&[&daemon[..], &[stdio]].concat());
        assert!(line.contains("-daemonize excludes"), "{line}");
        assert!(!pid.exists());
    }
}

/// `movs r0, #24; ldr r1, =0x20026; bkpt 0xab`: the guest ends the run by itself.
const EXIT: [&str; 4] = [
    "-device",
    "loader,addr=0x20000000,data=0xbf00beab49012018,data-len=8",
    "-device",
    "loader,addr=0x20000008,data=0x20026,data-len=4",
];

#[test]
fn a_start_address_says_thumb_without_a_vector() {
    let start = ["-semihosting", "-device", "loader,addr=0x20000001,cpu-num=0"];
    let result = board(&[&start[..], &EXIT].concat());
    assert!(result.status.success(), "{}", err(&result));
    let dir = tempfile::tempdir().unwrap();
    let hex = dir.path().join("start.hex");
    let file = format!("loader,file={},cpu-num=0", hex.display());
    std::fs::write(
        &hex,
        intel_hex(&[
            (4, 0, &[0x20, 0]),
            (0, 0, &code()),
            (5, 0, &[0x20, 0, 0, 1]),
            (1, 0, &[]),
        ]),
    )
    .unwrap();
    let result = board(&["-semihosting", "-device", &file]);
    assert!(result.status.success(), "{}", err(&result));
}

fn code() -> Vec<u8> {
    let mut code = 0xbf00_beab_4901_2018u64.to_le_bytes().to_vec();
    code.extend(0x20026u32.to_le_bytes());
    code
}

/// Records of type, address and data as the text of a HEX file.
fn intel_hex(records: &[(u8, u16, &[u8])]) -> String {
    let mut text = String::new();
    for (kind, at, data) in records {
        let mut bytes = vec![data.len() as u8];
        bytes.extend(at.to_be_bytes());
        bytes.push(*kind);
        bytes.extend_from_slice(data);
        bytes.push(bytes.iter().fold(0u8, |sum, b| sum.wrapping_sub(*b)));
        let digits: String = bytes.iter().map(|b| format!("{b:02X}")).collect();
        text += &format!(":{digits}\n");
    }
    text
}

#[test]
fn a_damaged_or_misplaced_hex_file_is_told_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let hex = dir.path().join("bad.hex");
    std::fs::write(&hex, ":0100000000F0\n:00000001FF\n").unwrap();
    let line = refused(&["-kernel", hex.to_str().unwrap()]);
    assert!(
        line.contains("line 1: the checksum is F0, and the other bytes make FF"),
        "{line}"
    );
    std::fs::write(
        &hex,
        intel_hex(&[(4, 0, &[0x90, 0]), (0, 0, &[1, 2, 3, 4]), (1, 0, &[])]),
    )
    .unwrap();
    let line = refused(&["-kernel", hex.to_str().unwrap()]);
    assert!(line.contains("at 0x90000000 is 'unassigned'"), "{line}");
}

/// A guest of the lm3s6965evb that never feeds its watchdog; its NMI ends the run through semihosting.
fn hungry() -> Vec<u8> {
    // RCGC0, WDTLOAD, WDTCTL (INTEN and RESEN).
    let stores: [(u32, u32); 3] = [(0x400f_e100, 8), (0x4000_0000, 100), (0x4000_0008, 3)];
    let mut image = vec![0u8; 0x40];
    for (at, word) in [(0, 0x2000_8000u32), (4, 0x11), (8, 0x61)] {
        image[at..at + 4].copy_from_slice(&word.to_le_bytes());
    }
    let mut put = |at: usize, half: u16| image[at..at + 2].copy_from_slice(&half.to_le_bytes());
    for i in 0..stores.len() {
        let pc = 0x10 + 6 * i;
        let literal = |n: usize, pc: usize| ((0x40 + 4 * n - ((pc + 4) & !3)) / 4) as u16;
        put(pc, 0x4800 | literal(2 * i, pc)); // ldr r0, =address
        put(pc + 2, 0x4900 | literal(2 * i + 1, pc + 2)); // ldr r1, =value
        put(pc + 4, 0x6001); // str r1, [r0]
    }
    put(0x10 + 6 * stores.len(), 0xe7fe); // b .
    image.extend(
        stores
            .iter()
            .flat_map(|(at, value)| [at.to_le_bytes(), value.to_le_bytes()].concat()),
    );
    image.resize(0x60, 0);
    image.extend(code());
    image
}

#[test]
fn an_expiring_watchdog_does_what_the_user_says() {
    let dir = tempfile::tempdir().unwrap();
    let (kernel, log) = (dir.path().join("dog.bin"), dir.path().join("log"));
    std::fs::write(&kernel, hungry()).unwrap();
    let args = |action: &str| {
        let mut p = program();
        p.args(BOARD)
            .args(["-semihosting", "-d", "cpu_reset,int", "-D", log.to_str().unwrap()]);
        p.args(["-kernel", kernel.to_str().unwrap(), "-action", action]);
        p
    };
    for action in [
        "watchdog=poweroff",
        "watchdog=shutdown",
        "watchdog=inject-nmi",
        "reboot=shutdown",
    ] {
        let result = run(&mut args(action));
        assert!(result.status.success(), "{action}: {}", err(&result));
        let nmi = std::fs::read_to_string(&log).unwrap().contains("NMI");
        assert_eq!(nmi, action == "watchdog=inject-nmi", "{action}");
    }
    // These go on, until a signal.
    for action in ["watchdog=pause", "watchdog=none", "watchdog=debug", "watchdog=reset"] {
        let child = Guard(args(action).stderr(std::process::Stdio::null()).spawn().unwrap());
        std::thread::sleep(std::time::Duration::from_millis(150));
        assert_eq!(child.terminate().code(), Some(0), "{action}");
    }
}

#[test]
fn a_machine_that_locks_up_can_stay_to_be_looked_at() {
    let result = board(&[]);
    assert_eq!(result.status.code(), Some(1));
    assert!(err(&result).contains("locked up"));
    for action in ["panic=pause", "panic=none"] {
        let mut p = program();
        let mut child = p
            .args(BOARD)
            .args(["-action", action])
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = std::io::BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        std::io::BufRead::read_line(&mut said, &mut line).unwrap();
        assert!(line.contains("lockup"), "{line}");
        let child = Guard(child);
        assert_eq!(child.terminate().code(), Some(0), "{action}");
    }
}

#[test]
fn the_process_takes_its_name() {
    let child = Guard(
        program()
            .args(BOARD)
            .args(["-S", "-name", "a,process=blinky"])
            .spawn()
            .unwrap(),
    );
    let comm = format!("/proc/{}/comm", child.0.id());
    wait("the name", || {
        std::fs::read_to_string(&comm).is_ok_and(|n| n == "blinky\n")
    });
}
