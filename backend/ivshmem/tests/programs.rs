//! The programs as scripts see them: options, streams, status, files, signals.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use common::{PATIENCE, Process, eventually, join, knows, server, tool};
use rustix::process::{Pid, Signal};

fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (
        status.code(),
        String::from_utf8(stdout).unwrap(),
        String::from_utf8(stderr).unwrap(),
    )
}

fn unique(name: &str) -> (String, PathBuf) {
    let name = format!("southbridge-{name}-{}", std::process::id());
    let path = Path::new("/dev/shm").join(&name);
    (name, path)
}

#[test]
fn help_goes_to_stdout_with_status_0() {
    for (which, option) in [
        ("server", "-h"),
        ("client", "-h"),
        ("server", "--help"),
        ("client", "--help"),
    ] {
        let (status, out, err) = run(tool(which).arg(option));
        assert_eq!((status, err.as_str()), (Some(0), ""));
        assert!(out.starts_with(&format!("usage: ivshmem-{which} [options]\n")), "{out}");
    }
    let (_, out, _) = run(tool("server").arg("-h"));
    for letter in "hvFpSMmln".chars() {
        assert!(out.contains(&format!("\n  -{letter} ")), "-{letter} in {out}");
    }
}

#[test]
fn wrong_words_are_one_clear_line_with_status_1() {
    for (which, args, expected) in [
        (
            "server",
            &["-x"][..],
            "ivshmem-server: unknown option '-x' in '-x': there are -h -v -F -p -S -M -m -l -n\n",
        ),
        (
            "server",
            &["-n", "65"],
            "ivshmem-server: option '-n': '65' is no number of vectors, 0 to 64 is\n",
        ),
        ("server", &["-S"], "ivshmem-server: option '-S' needs a value: SOCKET\n"),
        (
            "server",
            &["-v"],
            "ivshmem-server: option '-v' needs '-F': in the background there is nobody to talk to\n",
        ),
        (
            "server",
            &["-F", "what"],
            "ivshmem-server: unexpected argument 'what': only options are taken\n",
        ),
        (
            "client",
            &["-F"],
            "ivshmem-client: unknown option '-F' in '-F': there are -h -v -S\n",
        ),
    ] {
        assert_eq!(
            run(tool(which).args(args)),
            (Some(1), String::new(), expected.into()),
            "{args:?}"
        );
    }
    let (status, out, err) = run(tool("server").args(["-F", "-l", "4X"]));
    assert_eq!((status, out.as_str(), err.lines().count()), (Some(1), "", 1));
    assert!(err.starts_with("ivshmem-server: option '-l': '4X' is no size"), "{err}");
}

#[test]
fn impossible_places_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let (status, _, err) = run(tool("server").args(["-F", "-m", "/nonexistent", "-S"]).arg(&socket));
    assert_eq!(status, Some(1));
    assert!(
        err.starts_with("ivshmem-server: cannot create shared memory in '/nonexistent'"),
        "{err}"
    );
    let (name, object) = unique("nopid");
    let (status, _, err) = run(tool("server")
        .args(["-p", "/nonexistent/pid", "-M", &name, "-S"])
        .arg(&socket));
    assert_eq!((status, err.lines().count()), (Some(1), 1), "{err}");
    assert!(
        err.starts_with("ivshmem-server: cannot write '/nonexistent/pid'"),
        "{err}"
    );
    assert!(!socket.exists() && !object.exists());
}

#[test]
fn signals_end_it_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    for (number, signal) in [Signal::TERM, Signal::INT, Signal::HUP].into_iter().enumerate() {
        let (name, object) = unique(&format!("signal{number}"));
        let mut process = server(&socket, &["-M", &name, "-l", "64K", "-n", "2"]);
        let client = join(&socket, 2);
        assert_eq!(rustix::fs::fstat(client.memory().unwrap()).unwrap().st_size, 65536);
        assert!(object.exists());
        process.signal(signal);
        assert_eq!(process.0.wait().unwrap().code(), Some(0));
        assert!(!socket.exists() && !object.exists());
    }
}

#[test]
fn the_background_server_listens_when_the_command_returns() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, pid_file) = (folder.path().join("socket"), folder.path().join("pid"));
    let (name, object) = unique("daemon");
    let start = || {
        let mut command = tool("server");
        command
            .arg("-S")
            .arg(&socket)
            .arg("-p")
            .arg(&pid_file)
            .args(["-M", &name, "-n", "3"]);
        run(&mut command)
    };
    assert_eq!(start(), (Some(0), String::new(), String::new()));
    let mut client = join(&socket, 3);
    let pid: i32 = fs::read_to_string(&pid_file).unwrap().trim_end().parse().unwrap();
    let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
    assert_eq!(comm, "ivshmem-server\n");

    let (status, out, err) = start();
    let expected = format!(
        "ivshmem-server: cannot listen on '{}': another server does\n",
        socket.display()
    );
    assert_eq!((status, out.as_str(), err), (Some(1), "", expected));
    assert!(object.exists(), "the loser took the winner's memory away");
    assert_eq!(fs::read_to_string(&pid_file).unwrap(), format!("{pid}\n"));
    knows(&mut client, &[], 3);

    rustix::process::kill_process(Pid::from_raw(pid).unwrap(), Signal::TERM).unwrap();
    eventually("the pid file goes", || !pid_file.exists());
    assert!(!socket.exists() && !object.exists());
}

#[test]
fn a_killed_server_can_be_started_again() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let place = folder.path().to_str().unwrap();
    let mut first = server(&socket, &["-m", place]);
    first.0.kill().unwrap();
    first.0.wait().unwrap();
    assert!(socket.exists());
    let _second = server(&socket, &["-m", place]);
    join(&socket, 1);
}

#[test]
fn verbose_says_what_happens() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let mut command = tool("server");
    command
        .args(["-Fv", "-l1M", "-m"])
        .arg(folder.path())
        .arg("-S")
        .arg(&socket)
        .stdout(Stdio::piped());
    let mut process = Process(command.spawn().unwrap());
    let mut lines = BufReader::new(process.0.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let listening = format!("listening on '{}', 1048576 bytes, 1 vectors per peer", socket.display());
    assert_eq!(lines.next().unwrap(), listening);
    drop(join(&socket, 1));
    assert_eq!(
        [lines.next().unwrap(), lines.next().unwrap()],
        ["peer 0 joined", "peer 0 left: closed"]
    );
}

struct Interactive(Process, BufReader<std::process::ChildStdout>);

impl Interactive {
    fn start(socket: &Path) -> Self {
        let mut command = tool("client");
        command
            .arg("-v")
            .arg("-S")
            .arg(socket)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = Process(command.spawn().unwrap());
        let out = BufReader::new(process.0.stdout.take().unwrap());
        Self(process, out)
    }

    fn say(&mut self, line: &str) {
        self.0.0.stdin.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
    }

    /// Reads lines (without prompts) until one is `expected`.
    fn hear(&mut self, expected: &str) {
        loop {
            let mut line = String::new();
            assert_ne!(self.1.read_line(&mut line).unwrap(), 0, "never said: {expected}");
            if line.trim_end().trim_start_matches("cmd> ") == expected {
                return;
            }
        }
    }
}

#[test]
fn the_client_obeys() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let _server = server(&socket, &["-n2", "-m", folder.path().to_str().unwrap()]);
    let mut peer = join(&socket, 2);
    let peer_id = peer.own_id().unwrap();
    let mut client = Interactive::start(&socket);
    client.hear("vector 1 is set up");
    peer.wait_until(PATIENCE, |peer| peer.peers().any(|(_, vectors)| vectors.len() == 2))
        .unwrap();
    let client_id = peer.peers().next().unwrap().0;

    client.say("dump\n");
    client.hear(&format!("our_id = {client_id}"));
    client.hear(&format!("peer_id = {peer_id}"));
    client.say(&format!("int {peer_id} 1;nonsense\n"));
    client.hear("no such command; 'help' lists them");
    assert_eq!(peer.take_interrupts(), [1]);
    client.say(&format!("int {peer_id} all\nint 999 0\n"));
    client.hear("no peer 999 is connected");
    assert_eq!(peer.take_interrupts(), [0, 1]);
    client.say("int all\nint 998 all\n");
    client.hear("no peer 998 is connected");
    assert_eq!(peer.take_interrupts(), [0, 1]);

    peer.ring(client_id, 1).unwrap();
    client.hear(&format!("interrupt: peer_id={client_id} vector=1"));
    drop(peer);
    client.hear(&format!("peer {peer_id} is gone"));
    client.say("quit\n");
    assert_eq!(client.0.0.wait().unwrap().code(), Some(0));
}

#[test]
fn the_client_waits_for_a_server_and_ends_with_its_input() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let mut client = Interactive::start(&socket);
    client.say("dump\n");
    client.hear("not connected");
    let _server = server(&socket, &["-m", folder.path().to_str().unwrap()]);
    client.hear("vector 0 is set up");
    drop(client.0.0.stdin.take());
    assert_eq!(client.0.0.wait().unwrap().code(), Some(0));
    let mut rest = String::new();
    client.1.read_to_string(&mut rest).unwrap();
}
