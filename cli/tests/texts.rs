//! The texts made from the option table: help, man page, completion, version.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::process::{Command as Process, Stdio};

use southbridge_cli::command::Shell;
use southbridge_cli::personality::Role;
use southbridge_cli::{Command, HelpTopic, Personality, completion, help, man};

fn called(name: &str) -> Personality {
    Personality::from_argv0(OsStr::new(name))
}

fn parse(line: &str) -> Result<(Personality, Command), (Personality, southbridge_cli::OptError)> {
    let args: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
    Command::parse(&args, |_| Ok(String::new()))
}

#[test]
fn help_lists_the_options() {
    let text = help::text(&HelpTopic::Usage, &called("southbridge")).unwrap();
    insta::assert_snapshot!("help", text);
}

#[test]
fn help_of_single_things() {
    let show = |topic| help::text(&topic, &called("southbridge")).unwrap();
    let topics = [HelpTopic::Option("icount"), HelpTopic::LogItems, HelpTopic::Accels];
    insta::assert_snapshot!("help_topics", topics.map(show).join("\n"));
}

#[test]
fn the_man_page_is_roff() {
    let page = man::page();
    for line in page.lines() {
        assert!(
            !line.starts_with('.') || line[1..].starts_with(|c: char| c.is_ascii_uppercase() || c == 'b'),
            "{line}"
        );
    }
    for name in ["\\-device", "\\-icount", "\\-add\\-fd"] {
        assert!(page.contains(name), "{name}");
    }
    insta::assert_snapshot!("man", page);
}

/// Runs a shell on a script; `None` where the shell is not installed.
fn shell(program: &str, args: &[&str], script: &str) -> Option<(bool, String)> {
    let child = Process::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        eprintln!("skipped: no {program} here");
        return None;
    };
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Some((
        output.status.success(),
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
    ))
}

#[test]
fn completion_scripts_are_valid() {
    for (kind, program, args) in [
        (Shell::Bash, "bash", "-n"),
        (Shell::Zsh, "zsh", "-n"),
        (Shell::Fish, "fish", "-n"),
    ] {
        if let Some((ok, text)) = shell(program, &[args], &completion::script(kind)) {
            assert!(ok && text.is_empty(), "{program}: {text}");
        }
    }
}

#[test]
fn bash_completes() {
    let ask = |words: &str| {
        let last = words.split_whitespace().count() - usize::from(!words.ends_with(' '));
        // A stand-in for the program answers `-machine help`.
        let script = format!(
            "{}\nsouthbridge() {{ printf 'Supported machines are:\\nlm3s6965evb   Stellaris\\nmps2-an385  ARM\\n'; }}\n\
             compopt() {{ :; }}\nCOMP_WORDS=({words} '')\nCOMP_CWORD={last}\n_southbridge\nprintf '%s ' \"${{COMPREPLY[@]}}\"\n",
            completion::script(Shell::Bash)
        );
        shell("bash", &[], &script).map(|(ok, text)| {
            assert!(ok, "{text}");
            text.trim().to_owned()
        })
    };
    let Some(options) = ask("southbridge -semih") else {
        return;
    };
    assert_eq!(options, "-semihosting -semihosting-config");
    assert_eq!(ask("southbridge -M m").unwrap(), "mps2-an385");
    assert_eq!(ask("southbridge -pace ").unwrap(), "idle skip wall");
    assert!(ask("southbridge ").unwrap().contains("ivshmem-server"));
    assert_eq!(ask("southbridge completion z").unwrap(), "zsh");
}

#[test]
fn fish_completes() {
    let ask = |words: &str| {
        let script = format!("{}\ncomplete -C '{words}'\n", completion::script(Shell::Fish));
        shell("fish", &["--no-config"], &script).map(|(ok, text)| {
            assert!(ok, "{text}");
            text.lines()
                .map(|l| l.split('\t').next().unwrap_or("").to_owned())
                .collect::<Vec<_>>()
        })
    };
    let Some(words) = ask("southbridge -pace ") else { return };
    assert_eq!(words, ["idle", "skip", "wall"]);
    assert_eq!(
        ask("southbridge -semih").unwrap(),
        ["-semihosting", "-semihosting-config"]
    );
    assert!(ask("southbridge ").unwrap().contains(&"ivshmem-server".to_owned()));
}

#[test]
fn the_name_decides_what_the_program_is() {
    let arm = called("/usr/bin/qemu-system-arm");
    assert_eq!((arm.program.as_str(), arm.target()), ("qemu-system-arm", Some("arm")));
    let line = arm.version_text();
    assert!(line.starts_with("QEMU emulator version 10.0.2 (Southbridge "), "{line}");
    assert_eq!(
        called("southbridge").version_text(),
        format!("southbridge {}\n", env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(called("./ivshmem-server").role, Role::IvshmemServer);
    for other in ["qemu-system-nope", "sb", "", "/"] {
        assert_eq!(called(other).role, Role::Southbridge, "{other}");
    }
}

#[test]
fn commands_are_told_apart() {
    assert!(matches!(parse("southbridge up a.toml").unwrap().1, Command::Up { file } if file == "a.toml"));
    assert!(matches!(
        parse("southbridge up --help").unwrap().1,
        Command::Help(HelpTopic::Usage, _)
    ));
    assert!(matches!(parse("southbridge man").unwrap().1, Command::Man));
    assert!(matches!(parse("southbridge version").unwrap().1, Command::Version));
    assert!(matches!(parse("southbridge -version").unwrap().1, Command::Version));
    assert!(matches!(
        parse("southbridge completion fish").unwrap().1,
        Command::Completion(Shell::Fish)
    ));
    assert!(matches!(parse("southbridge ivshmem-server -F -v").unwrap().1, Command::IvshmemServer(a) if a.len() == 2));
    assert!(matches!(parse("ivshmem-client -S x").unwrap().1, Command::IvshmemClient(a) if a.len() == 2));
    assert!(matches!(parse("southbridge -M x").unwrap().1, Command::Emulate(_)));
    assert!(matches!(
        parse("qemu-system-arm -M help").unwrap().1,
        Command::Help(HelpTopic::Machines, _)
    ));
    for (line, message) in [
        ("southbridge up", "up needs an argument; write up FILE.toml"),
        ("southbridge up a b", "up b: one argument too many"),
        (
            "southbridge completion tcsh",
            "completion tcsh: no completion for shell 'tcsh'; there is bash, zsh, fish",
        ),
        ("southbridge man x", "man x: one argument too many"),
        // Under QEMU's name a bare word is a disk image, as there.
        (
            "qemu-system-arm up",
            "up: QEMU has a bare file name ('up') as disk image; this program does not have it yet; \
             it comes with disks; a program to run is given with -kernel",
        ),
    ] {
        assert_eq!(parse(line).unwrap_err().1.to_string(), message, "{line}");
    }
}

#[cfg(unix)]
#[test]
fn words_that_are_not_text_are_refused() {
    use std::os::unix::ffi::OsStringExt;
    let args = [
        OsString::from("southbridge"),
        OsString::from("-kernel"),
        OsString::from_vec(vec![0xff, b'a']),
    ];
    let (_, error) = Command::parse(&args, |_| Ok(String::new())).unwrap_err();
    assert_eq!(error.message(), "an argument is not valid UTF-8");
}

proptest::proptest! {
    #[test]
    fn no_argv_panics(words in proptest::collection::vec("(southbridge|qemu-system-arm|ivshmem-server|up|man|completion|bash|-M|-readconfig|-d|.{0,6})", 0..6)) {
        let args: Vec<OsString> = words.into_iter().map(OsString::from).collect();
        let _ = Command::parse(&args, |_| Ok("[machine]\n type = \"x\"\n".to_owned()));
    }
}
