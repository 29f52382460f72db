//! The main job: two boards and a server, as a demo file and by hand.

mod common;
use common::{Guard, err, firmware, out, program, root, run, wait};
use std::process::Stdio;

#[test]
fn the_demo_runs_to_its_end() {
    let result = run(program().arg("up").arg(root().join("demos/two-boards.toml")));
    let text = out(&result);
    assert!(result.status.success(), "{text}{}", err(&result));
    for board in ["lm3s", "mps2"] {
        let line = format!("[{board}]");
        assert!(
            text.lines()
                .any(|l| l.contains(&line) && l.contains("1000 received, 0 lost, 0 doubled")),
            "{text}"
        );
    }
}

#[test]
fn linux_and_a_board_lose_nothing() {
    let guest = root().join("target/guest/initramfs.cpio.gz");
    if !guest.exists() {
        let why = "there is no Linux guest: make it with guest/build (Debian, network)";
        return southbridge_testing::skip("linux_and_a_board_lose_nothing", why);
    }
    let demo = root().join("demos/linux-and-board.toml");
    let result = program().arg("up").arg(demo).output().unwrap();
    let text = out(&result);
    assert!(result.status.success(), "{text}{}", err(&result));
    for machine in ["linux", "mps2"] {
        let line = format!("[{machine}]");
        let says = |l: &&str| l.contains(&line) && l.contains("50000 received, 0 lost, 0 doubled");
        assert!(text.lines().any(|l| says(&l)), "{text}");
    }
}

fn ping(board: &str, socket: &str, words: &str) -> Guard {
    let chardev = format!("socket,id=ivsh,path={socket}");
    let kernel = firmware(&format!("ping-{board}.elf"));
    let child = program()
        .args([
            "-M",
            board,
            "-nographic",
            "-semihosting",
            "-chardev",
            &chardev,
            "-device",
            "ivshmem-flat,chardev=ivsh",
        ])
        .args(["-kernel", &kernel, "-append", words])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    Guard(child)
}

fn finishes(mut board: Guard) -> String {
    use std::io::Read;
    let mut text = String::new();
    board.0.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    let status = board.0.wait().unwrap();
    assert!(status.success(), "{text}");
    text
}

#[test]
fn by_hand_in_either_order_and_twice_on_one_server() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("iv").display().to_string();
    let shm = format!("southbridge-test-{}", std::process::id());
    let server = Guard(
        program()
            .args(["ivshmem-server", "-F", "-S", &socket, "-M", &shm, "-n", "1"])
            .spawn()
            .unwrap(),
    );
    wait("the server's socket", || std::path::Path::new(&socket).exists());
    for order in [["lm3s6965evb", "mps2-an385"], ["mps2-an385", "lm3s6965evb"]] {
        let boards = order.map(|b| ping(b, &socket, "rounds=50"));
        for board in boards {
            let text = finishes(board);
            assert!(text.contains("50 received, 0 lost, 0 doubled"), "{text}");
        }
    }
    assert!(server.terminate().success());
    assert!(!std::path::Path::new(&socket).exists(), "the server removes its socket");
    assert!(
        !std::path::Path::new(&format!("/dev/shm/{shm}")).exists(),
        "and its memory"
    );
}

#[test]
fn a_server_inside_one_of_the_boards() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("iv").display().to_string();
    let object = format!("ivshmem-server,id=srv,path={socket},vectors=1");
    let chardev = format!("socket,id=ivsh,path={socket}");
    let kernel = firmware("ping-lm3s6965evb.elf");
    let first = Guard(
        program()
            .args([
                "-M",
                "lm3s6965evb",
                "-nographic",
                "-semihosting",
                "-object",
                &object,
                "-chardev",
                &chardev,
            ])
            .args([
                "-device",
                "ivshmem-flat,chardev=ivsh",
                "-kernel",
                &kernel,
                "-append",
                "rounds=50",
            ])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    wait("the server's socket", || std::path::Path::new(&socket).exists());
    let second = ping("mps2-an385", &socket, "");
    assert!(finishes(second).contains("0 lost, 0 doubled"));
    assert!(finishes(first).contains("0 lost, 0 doubled"));
    assert!(!std::path::Path::new(&socket).exists());
}

#[test]
fn a_server_that_dies_does_not_take_the_board_along() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("iv").display().to_string();
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let mut board = ping("mps2-an385", &socket, "");
    let (mut peer, _) = listener.accept().unwrap();
    // Half a protocol version, then nothing more.
    std::io::Write::write_all(&mut peer, &[0, 0, 0]).unwrap();
    drop(peer);
    drop(listener);
    let mut err = board.0.stderr.take().unwrap();
    let mut text = String::new();
    wait("the board's complaint", || {
        let mut buffer = [0; 4096];
        let n = std::io::Read::read(&mut err, &mut buffer).unwrap();
        text += &String::from_utf8_lossy(&buffer[..n]);
        text.contains("ivshmem")
    });
    assert!(board.0.try_wait().unwrap().is_none(), "it goes on running");
    assert!(board.terminate().success());
}
