//! Demo files: what is wrong with them, and running them with stand-ins for machines and servers.
//!
//! The stand-in is this test program itself, started through a script that turns its arguments into a variable.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use southbridge_cli::up::{Outcome, Plan, Runner, TempDir, Until, schema, shell};
use southbridge_cli::{OptError, Style};

fn plan(text: &str) -> Result<Plan, OptError> {
    let demo = schema::parse("demo.toml", text)?;
    Plan::new("demo.toml", text, &demo, Path::new("/home/a b"), Path::new("/tmp/x"))
}

const GOOD: &str = r#"
timeout = "2m"
until = "prints"
[[server]]
name = "srv"
kind = "ivshmem-server"
args = "-F -S ${tmp}/s.sock"
[[machine]]
name = "left"
args = "-M lm3s6965evb -kernel ${dir}/left.elf -append 'a b' $$x"
prints = ["one", "two"]
[[machine]]
name = "right"
args = ["-M", "mps2-an385", "-kernel", "${dir}/right.elf"]
exit = 3
"#;

#[test]
fn a_file_becomes_a_plan() {
    let plan = plan(GOOD).unwrap();
    assert_eq!(
        (plan.name.as_str(), plan.timeout, plan.until),
        ("demo", Duration::from_secs(120), Until::Prints)
    );
    assert_eq!(plan.servers[0].args, ["ivshmem-server", "-F", "-S", "/tmp/x/s.sock"]);
    assert_eq!(plan.servers[0].ready.as_deref(), Some(Path::new("/tmp/x/s.sock")));
    let left = [
        "-M",
        "lm3s6965evb",
        "-kernel",
        "/home/a b/left.elf",
        "-append",
        "a b",
        "$x",
    ];
    assert_eq!(plan.machines[0].args, left);
    assert_eq!(plan.machines[0].prints, ["one", "two"]);
    assert_eq!((plan.machines[1].exit, plan.machines[1].args.len()), (3, 4));
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let machine = "[[machine]]\nname = \"m\"\nargs = \"\"\n";
    let files = [
        String::new(),
        "nmae = \"x\"\n".to_owned() + machine,
        "name = \"x\nargs".to_owned(),
        "timeout = \"soon\"\n".to_owned() + machine,
        "until = \"never\"\n".to_owned() + machine,
        "until = \"prints\"\n".to_owned() + machine,
        machine.to_owned() + machine,
        "[[machine]]\nname = \"m\"\nargs = \"-append 'x\"\n".to_owned(),
        "[[machine]]\nname = \"m\"\nargs = \"${home}\"\n".to_owned(),
        "[[machine]]\nname = \"m\"\nargs = [\"a$b\"]\n".to_owned(),
        "[[machine]]\nname = \"m\"\n".to_owned(),
        "[[machine]]\nname = \"[m]\"\nargs = \"\"\n".to_owned(),
        "[[machine]]\nname = \"m\"\nargs = \"\"\nprints = \"\"\n".to_owned(),
        "[[machine]]\nname = \"m\"\nargs = \"\"\nexit = 300\n".to_owned(),
        machine.to_owned() + "[[server]]\nname = \"s\"\nkind = \"ivshmem-sever\"\nargs = \"\"\n",
    ];
    let all: Vec<String> = files.iter().map(|f| plan(f).unwrap_err().to_string()).collect();
    insta::assert_snapshot!("demo_errors", all.join("\n"));
    let marked = Style {
        program: "southbridge".into(),
        multiline: true,
        color: false,
    };
    insta::assert_snapshot!("demo_error_marked", plan(&files[3]).unwrap_err().render(&marked));
}

#[test]
fn words_are_split_as_a_shell_does() {
    let table: &[(&str, &[&str])] = &[
        ("", &[]),
        ("  a  b\n c ", &["a", "b", "c"]),
        ("'a b' \"c d\" e\\ f", &["a b", "c d", "e f"]),
        ("a'b'\"c\"d", &["abcd"]),
        ("'' \"\"", &["", ""]),
        (r#""a\"b\\c\d""#, &[r#"a"b\c\d"#]),
        ("a\\\nb", &["ab"]),
        ("a#b # c", &["a#b", "#", "c"]),
    ];
    for (text, words) in table {
        assert_eq!(shell::split(text).unwrap(), *words, "{text}");
    }
    for bad in ["'a", "\"a", "a\\", "\"a\\"] {
        assert!(shell::split(bad).is_err(), "{bad}");
    }
}

proptest::proptest! {
    #[test]
    fn no_file_panics(text in "(\\[\\[(machine|server)\\]\\]\n|(name|args|kind|until|timeout|prints|exit|env) = ([0-9]{1,4}|\"[a-z${}' -]{0,9}\"|\\[\"x\"\\])\n|.{0,6}\n){0,9}") {
        if let Err(error) = plan(&text) {
            let _ = error.render(&Style { program: "p".into(), multiline: true, color: true });
        }
    }
}

// ---- running -------------------------------------------------------------------------------------------------------

/// The stand-in: does what the words in `PART_ARGS` say. Nothing when run as an ordinary test.
#[test]
fn part() {
    let Ok(words) = std::env::var("PART_ARGS") else { return };
    southbridge_cli::up::follow_parent();
    let mut words = words.split_whitespace();
    let mut listeners = Vec::new();
    while let Some(word) = words.next() {
        let (verb, value) = word.split_once(':').unwrap_or((word, ""));
        match verb {
            "-S" => listeners.push(std::os::unix::net::UnixListener::bind(words.next().unwrap()).unwrap()),
            "print" => println!("{value}"),
            "warn" => eprintln!("{value}"),
            "connect" => drop(std::os::unix::net::UnixStream::connect(value).unwrap()),
            "exit" => std::process::exit(value.parse().unwrap()),
            "touch" => std::fs::write(value, std::process::id().to_string()).unwrap(),
            "stubborn" => {
                let ignored = std::sync::Arc::default();
                signal_hook::flag::register(signal_hook::consts::SIGTERM, ignored).unwrap();
            }
            "flood" => loop {
                println!("0123456789");
            },
            "raise" => signal_hook::low_level::raise(value.parse().unwrap()).unwrap(),
            _ => {}
        }
    }
    loop {
        std::thread::park();
    }
}

struct Stage {
    folder: tempfile::TempDir,
    program: PathBuf,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("part.sh");
        let this = std::env::current_exe().unwrap();
        let script = format!(
            "#!/bin/sh\nPART_ARGS=\"$*\" exec '{}' --exact part --nocapture\n",
            this.display()
        );
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder, program }
    }

    fn run(&self, text: &str) -> Outcome {
        let demo = schema::parse("demo.toml", text).unwrap();
        let plan = Plan::new("demo.toml", text, &demo, self.folder.path(), self.folder.path()).unwrap();
        let style = Style::one_line("southbridge");
        Runner::new(&plan, &self.program, &style)
            .with_grace(Duration::from_millis(300))
            .run()
            .unwrap()
    }
}

const SERVER: &str = "[[server]]\nname = \"srv\"\nkind = \"ivshmem-server\"\nargs = \"-S ${tmp}/s\"\n";

fn machine(name: &str, args: &str, more: &str) -> String {
    format!("[[machine]]\nname = \"{name}\"\nargs = \"{args}\"\n{more}\n")
}

#[test]
fn a_good_run_ends_with_status_0() {
    // The machine connects at once: it is started only when the server listens.
    let one = machine("one", "connect:${tmp}/s print:hello exit:0", "prints = \"hello\"");
    let two = machine("two", "warn:bad exit:3", "exit = 3\nprints = \"bad\"");
    let outcome = Stage::new().run(&format!("{SERVER}{one}{two}"));
    assert_eq!((outcome.failures.as_slice(), outcome.status()), ([].as_slice(), 0));
    assert!(
        outcome.summary("x").starts_with("x: ok, 2 machines, "),
        "{}",
        outcome.summary("x")
    );
}

#[test]
fn a_run_may_end_when_all_is_printed() {
    let text = format!(
        "until = \"prints\"\n{}{}",
        machine("a", "print:done", "prints = \"done\""),
        machine("b", "", "")
    );
    assert_eq!(Stage::new().run(&text).failures, [""; 0]);
}

#[test]
fn failures_name_the_machine_and_the_reason() {
    for (text, failure) in [
        (machine("a", "exit:1", ""), "a ended with status 1"),
        (machine("a", "exit:0", "exit = 2"), "a ended with status 0 instead of 2"),
        (machine("a", "exit:0", "prints = \"PASS\""), "a never printed \"PASS\""),
        (machine("a", "raise:9", ""), "a was ended by SIGKILL"),
        // One fails: the other is stopped, and not blamed.
        (
            machine("a", "exit:1", "") + &machine("b", "", "prints = \"x\""),
            "a ended with status 1",
        ),
        (
            format!("timeout = \"500ms\"\n{}", machine("a", "", "")),
            "time is up (0.5 s), still waiting for a to end",
        ),
        (
            format!("timeout = \"500ms\"\n{}", machine("a", "flood", "prints = \"x\"")),
            "time is up (0.5 s), still waiting for a to print \"x\"",
        ),
        (
            format!(
                "{}{}",
                SERVER.replace("-S ${tmp}/s", "exit:4 -S x"),
                machine("a", "", "")
            ),
            "srv ended with status 4 before the machines",
        ),
        (
            format!(
                "timeout = \"500ms\"\n{}{}",
                SERVER.replace("-S ", "not "),
                machine("a", "", "")
            )
            .replace("[[machine]]", "ready = \"${tmp}/s\"\n[[machine]]"),
            "time is up (0.5 s), still waiting for srv to listen",
        ),
    ] {
        let outcome = Stage::new().run(&text);
        assert_eq!(outcome.failures, [failure], "{text}");
        assert_eq!(outcome.status(), 1);
        assert!(outcome.summary("x").contains(failure));
    }
}

#[test]
fn a_child_that_does_not_listen_is_killed() {
    let text = format!(
        "until = \"prints\"\n{}",
        machine("a", "stubborn print:up", "prints = \"up\"")
    );
    assert_eq!(
        Stage::new().run(&text).failures,
        ["a did not end when asked and was killed"]
    );
}

#[test]
fn no_child_is_left_when_the_run_is_over() {
    let stage = Stage::new();
    let text = machine("a", "touch:${tmp}/pid print:up", "prints = \"up\"");
    stage.run(&format!("until = \"prints\"\n{text}"));
    let pid = std::fs::read_to_string(stage.folder.path().join("pid")).unwrap();
    assert!(!Path::new("/proc").join(pid).exists());
}

#[test]
fn the_private_folder_is_private_and_goes_away() {
    let tmp = TempDir::create().unwrap();
    let path = tmp.path().to_owned();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    std::fs::write(path.join("x"), "").unwrap();
    drop(tmp);
    assert!(!path.exists());
}

/// The stand-in for `southbridge up`. Nothing when run as an ordinary test.
#[test]
fn upper() {
    let Ok(file) = std::env::var("UP_FILE") else { return };
    let program = std::env::var("UP_PROGRAM").unwrap();
    match southbridge_cli::up::run(&file, Path::new(&program), &Style::one_line("southbridge")) {
        Ok(status) => std::process::exit(status.into()),
        Err(error) => panic!("{error}"),
    }
}

/// Starts `upper` with a machine that runs on, and waits until that is there. Gives both processes.
fn running(
    stage: &Stage,
) -> (
    std::process::Child,
    std::io::BufReader<std::process::ChildStdout>,
    PathBuf,
) {
    use std::io::BufRead;
    let file = stage.folder.path().join("demo.toml");
    std::fs::write(&file, machine("a", "touch:${dir}/pid print:ready", "")).unwrap();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "upper", "--nocapture"])
        .env("UP_FILE", &file)
        .env("UP_PROGRAM", &stage.program)
        .env("TMPDIR", stage.folder.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut console = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("[a] ready") {
        line.clear();
        assert_ne!(console.read_line(&mut line).unwrap(), 0, "it ended too early");
    }
    let pid = std::fs::read_to_string(stage.folder.path().join("pid")).unwrap();
    (child, console, Path::new("/proc").join(pid))
}

fn send(child: &std::process::Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

#[test]
fn a_signal_ends_the_run_in_order() {
    use std::io::Read;
    for signal in [rustix::process::Signal::INT, rustix::process::Signal::TERM] {
        let stage = Stage::new();
        let (mut child, mut console, part) = running(&stage);
        send(&child, signal);
        let mut rest = String::new();
        console.read_to_string(&mut rest).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(1));
        assert!(
            rest.contains("demo: FAILED after ") && rest.contains(": ended by SIG"),
            "{rest}"
        );
        assert!(!part.exists());
        let left = std::fs::read_dir(stage.folder.path()).unwrap().filter_map(Result::ok);
        assert!(
            !left
                .map(|e| e.file_name())
                .any(|n| n.to_string_lossy().starts_with("southbridge-"))
        );
    }
}

#[test]
fn children_end_even_when_the_run_is_killed() {
    let stage = Stage::new();
    let (mut child, _console, part) = running(&stage);
    child.kill().unwrap();
    child.wait().unwrap();
    // The system ends it; it is reaped by whoever adopts orphans, so a zombie counts as ended.
    let gone = || std::fs::read_to_string(part.join("stat")).map_or(true, |s| s.contains(") Z "));
    while !gone() {
        std::thread::sleep(Duration::from_millis(5));
    }
}
