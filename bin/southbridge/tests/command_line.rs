//! The command line as a user meets it: errors that say what would be right, nothing left behind, orderly ends.

mod common;
use common::{Guard, err, firmware, out, program, run, signal, wait};
use std::os::unix::process::CommandExt;
use std::process::Stdio;

/// The one line on standard error of a command that must fail with status 1 and say nothing on standard output.
fn refused(args: &[&str]) -> String {
    let result = run(program().args(args));
    assert_eq!(result.status.code(), Some(1), "{args:?}: {}", err(&result));
    assert_eq!(out(&result), "", "nothing on standard output");
    let text = err(&result);
    assert_eq!(text.lines().count(), 1, "one line: {text}");
    text.trim_end().to_owned()
}

#[test]
fn errors_name_the_word_and_what_would_be_right() {
    let cases: &[(&[&str], &[&str])] = &[
        (&["-M", "mps2-an358"], &["mps2-an358", "mps2-an385"]),
        (&[], &["no machine", "lm3s6965evb"]),
        (
            &["-M", "mps2-an385", "-device", "ivshmem-flt,chardev=x"],
            &["ivshmem-flt", "did you mean", "ivshmem-flat"],
        ),
        (
            &["-M", "mps2-an385", "-device", "ivshmem-flat,chardv=x"],
            &["chardv", "chardev"],
        ),
        (
            &["-M", "mps2-an385", "-device", "ivshmem-flat,chardev=nobody"],
            &["nobody", "chardev"],
        ),
        (&["-M", "mps2-an385", "-device", "ivshmem-flat"], &["chardev"]),
        (
            &[
                "-M",
                "none",
                "-device",
                "ivshmem-flat,chardev=c",
                "-chardev",
                "null,id=c",
            ],
            &["ivshmem-flat", "System bus", "none"],
        ),
        (&["-M", "mps2-an385", "-device", "pl011"], &["pl011", "part of a board"]),
        (&["-M", "mps2-an385", "-cpu", "cortex-m4"], &["cortex-m4", "cortex-m3"]),
        (&["-M", "mps2-an385", "-m", "32"], &["16M"]),
        (&["-M", "mps2-an385", "-smp", "2"], &["2", "1"]),
        (&["-M", "mps2-an385,no-such=1"], &["no-such", "bus-faults"]),
        (&["-M", "mps2-an385", "-hda", "x"], &["-hda", "not have it yet"]),
        (&["-M", "mps2-an385", "-nographc"], &["-nographc", "-nographic"]),
        (&["-M", "mps2-an385", "-chardev", "nul,id=c"], &["nul", "null"]),
        (
            &["-M", "mps2-an385", "-chardev", "file,id=c,path=/no/such/dir/f"],
            &["/no/such/dir/f"],
        ),
        (
            &["-M", "mps2-an385", "-chardev", "null,id=c", "-chardev", "null,id=c"],
            &["'c'"],
        ),
        (
            &[
                "-M",
                "mps2-an385",
                "-chardev",
                "null,id=c",
                "-device",
                "ivshmem-flat,id=d,chardev=c",
                "-device",
                "ivshmem-flat,id=d,chardev=c",
            ],
            &["'d'"],
        ),
        (
            &["-M", "mps2-an385", "-kernel", "/no/such/kernel"],
            &["/no/such/kernel"],
        ),
        (
            &["-M", "mps2-an385", "-object", "throttle-group,id=m"],
            &["throttle-group", "not have it yet"],
        ),
        (
            &["-M", "mps2-an385", "-object", "ivshmem-servr,id=m"],
            &["ivshmem-servr", "ivshmem-server"],
        ),
        (&["-M", "mps2-an385", "-global", "pl011.nothing=1"], &["nothing"]),
        (&["up", "/no/such/file.toml"], &["/no/such/file.toml"]),
    ];
    for (args, words) in cases {
        let line = refused(args);
        for word in *words {
            assert!(line.contains(word), "{args:?} should say {word:?}: {line}");
        }
    }
}

#[test]
fn images_that_do_not_fit_are_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let good = std::fs::read(firmware("hello-lm3s6965evb.elf")).unwrap();
    let cut = dir.path().join("cut.elf");
    std::fs::write(&cut, &good[..0x80]).unwrap();
    let line = refused(&["-M", "lm3s6965evb", "-kernel", cut.to_str().unwrap()]);
    assert!(line.contains("truncated") && line.contains("cut.elf"), "{line}");
    let big = dir.path().join("big.bin");
    std::fs::write(&big, vec![0xff; (256 << 10) + 1]).unwrap();
    let line = refused(&["-M", "lm3s6965evb", "-kernel", big.to_str().unwrap()]);
    assert!(line.contains("do not fit") && line.contains("0x3ffff"), "{line}");
    let host = std::env::current_exe().unwrap();
    let line = refused(&["-M", "lm3s6965evb", "-kernel", host.to_str().unwrap()]);
    assert!(line.contains("64-bit") && line.contains("Arm"), "{line}");
}

#[test]
fn a_failed_start_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let (socket, pid, iv) = (dir.path().join("s"), dir.path().join("p"), dir.path().join("iv"));
    let chardev = format!("socket,id=c,path={},server=on,wait=off", socket.display());
    let object = format!("ivshmem-server,id=s,path={}", iv.display());
    let line = refused(&[
        "-M",
        "mps2-an385",
        "-pidfile",
        pid.to_str().unwrap(),
        "-object",
        &object,
        "-chardev",
        &chardev,
        "-kernel",
        "/no/such/kernel",
    ]);
    assert!(line.contains("/no/such/kernel"), "{line}");
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        0,
        "no socket and no pid file are left"
    );
}

#[test]
fn signals_end_the_run_in_order() {
    for name in ["TERM", "INT", "HUP"] {
        let dir = tempfile::tempdir().unwrap();
        let (socket, pid) = (dir.path().join("s"), dir.path().join("p"));
        let chardev = format!("socket,id=c,path={},server=on,wait=off", socket.display());
        let kernel = firmware("ping-mps2-an385.elf");
        let object = format!("ivshmem-server,id=s,path={}", dir.path().join("iv").display());
        let iv = format!("socket,id=iv,path={}", dir.path().join("iv").display());
        let mut child = Guard(
            program()
                .args([
                    "-M",
                    "mps2-an385",
                    "-display",
                    "none",
                    "-serial",
                    "chardev:c",
                    "-chardev",
                    &chardev,
                ])
                .args([
                    "-object",
                    &object,
                    "-chardev",
                    &iv,
                    "-device",
                    "ivshmem-flat,chardev=iv",
                ])
                .args(["-pidfile", pid.to_str().unwrap(), "-kernel", &kernel])
                .stdout(Stdio::null())
                .spawn()
                .unwrap(),
        );
        wait("the pid file", || {
            std::fs::read_to_string(&pid).is_ok_and(|t| t.ends_with('\n')) && socket.exists()
        });
        assert_eq!(std::fs::read_to_string(&pid).unwrap().trim(), child.0.id().to_string());
        signal(name, child.0.id());
        assert_eq!(child.0.wait().unwrap().code(), Some(0), "SIG{name}");
        assert_eq!(
            std::fs::read_dir(dir.path()).unwrap().count(),
            0,
            "nothing is left after SIG{name}"
        );
    }
}

#[test]
fn daemonize_returns_when_the_machine_is_ready() {
    let dir = tempfile::tempdir().unwrap();
    let pid = dir.path().join("p");
    let kernel = firmware("ping-mps2-an385.elf");
    let result = run(program()
        .args(["-M", "mps2-an385", "-display", "none", "-serial", "null", "-daemonize"])
        .args(["-pidfile", pid.to_str().unwrap(), "-kernel", &kernel]));
    assert!(result.status.success(), "{}", err(&result));
    let daemon: u32 = std::fs::read_to_string(&pid)
        .expect("the pid file is there already")
        .trim()
        .parse()
        .unwrap();
    signal("TERM", daemon);
    wait("the end of the daemon", || !pid.exists());
    let result = run(program().args(["-M", "mps2-an385", "-daemonize", "-kernel", "/no/such/kernel"]));
    assert_eq!(result.status.code(), Some(1));
    assert!(
        err(&result).contains("/no/such/kernel"),
        "the child's error reaches the terminal"
    );
}

#[test]
fn called_as_qemu_it_behaves_as_that() {
    let mut qemu = program();
    let text = out(&run(qemu.arg0("qemu-system-arm").arg("--version")));
    assert!(text.starts_with("QEMU emulator version 10."), "{text}");
    let mut qemu = program();
    let text = out(&run(qemu.arg0("qemu-system-arm").args(["-machine", "help"])));
    assert!(text.contains("lm3s6965evb") && text.contains("mps2-an385"), "{text}");
    let mut other = program();
    let text = out(&run(other.arg0("qemu-system-x86_64").args(["-machine", "help"])));
    assert!(!text.contains("mps2-an385") && text.contains("none"), "{text}");
}

#[test]
fn help_comes_from_the_tables() {
    let show = |args: &[&str]| {
        let result = run(program().args(args));
        assert!(result.status.success(), "{args:?}: {}", err(&result));
        out(&result)
    };
    assert!(show(&["-device", "help"]).contains("name \"ivshmem-flat\", bus System"));
    let flat = show(&["-device", "ivshmem-flat,help"]);
    assert!(flat.contains("shmem-size=<size>") && flat.contains("chardev"), "{flat}");
    assert!(show(&["-chardev", "help"]).contains("ringbuf"));
    assert!(show(&["-M", "mps2-an385,help"]).contains("bus-faults"));
    assert!(show(&["-cpu", "help"]).contains("cortex-m3"));
    assert!(show(&["-object", "help"]).contains("ivshmem-server"));
    assert!(show(&["-object", "ivshmem-server,help"]).contains("vectors"));
    assert!(show(&["-help"]).contains("-device"));
    assert!(show(&["man"]).contains(".TH"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(show(&["completion", shell]).contains("southbridge"));
    }
}

#[test]
fn the_written_configuration_reads_back_to_the_same_run() {
    let dir = tempfile::tempdir().unwrap();
    let ini = dir.path().join("machine.ini");
    let kernel = firmware("hello-mps2-an385.elf");
    let first = run(program()
        .args([
            "-M",
            "mps2-an385",
            "-nographic",
            "-semihosting",
            "-kernel",
            &kernel,
            "-writeconfig",
        ])
        .arg(&ini));
    assert!(first.status.success(), "{}", err(&first));
    let second = run(program().args(["-nographic", "-semihosting", "-readconfig"]).arg(&ini));
    assert!(second.status.success(), "{}", err(&second));
    assert_eq!(out(&first), out(&second));
}

#[test]
fn json_in_single_quotes_and_trailing_commas_are_taken() {
    let kernel = firmware("hello-mps2-an385.elf");
    let result = run(program()
        .args([
            "--M",
            "mps2-an385,",
            "-nographic",
            "-semihosting",
            "-kernel",
            &kernel,
            "-chardev",
            "null,id=c,",
        ])
        .args([
            "-device",
            "'{\"driver\":\"ivshmem-flat\",\"id\":\"iv\",\"chardev\":\"c\",\"shmem-size\":1048576}'",
        ]));
    assert!(result.status.success(), "{}", err(&result));
}

#[test]
fn an_inherited_descriptor_is_a_chardev() {
    use std::io::Read;
    use std::os::fd::AsRawFd;
    let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let flags = rustix::io::fcntl_getfd(&theirs).unwrap();
    rustix::io::fcntl_setfd(&theirs, flags - rustix::io::FdFlags::CLOEXEC).unwrap();
    let chardev = format!("socket,id=c,fd={}", theirs.as_raw_fd());
    let kernel = firmware("hello-mps2-an385.elf");
    let result = run(program().args([
        "-M",
        "mps2-an385",
        "-display",
        "none",
        "-semihosting",
        "-serial",
        "chardev:c",
        "-chardev",
        &chardev,
        "-kernel",
        &kernel,
    ]));
    drop(theirs);
    assert!(result.status.success(), "{}", err(&result));
    let mut text = String::new();
    ours.read_to_string(&mut text).unwrap();
    assert!(text.contains("Hello"), "{text}");
}
