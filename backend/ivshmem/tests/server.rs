//! The server among clients of every kind: many, mute, rude, dying.

mod common;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::mpsc;

use common::{PATIENCE, Process, eventually, join, knows, tool};
use southbridge_backend_ivshmem::{Client, Notice, RingError, Server, ServerConfig, ServerHandle, ServerNotice};
use tempfile::TempDir;

struct Fixture {
    path: PathBuf,
    notices: mpsc::Receiver<ServerNotice>,
    handle: Option<ServerHandle>,
    _folder: TempDir,
}

impl Fixture {
    fn new(change: impl FnOnce(&mut ServerConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ivshmem");
        let mut config = ServerConfig::new(&path);
        change(&mut config);
        let (sender, notices) = mpsc::channel();
        let handle = Server::bind(&config)
            .unwrap()
            .spawn(move |notice| drop(sender.send(notice)))
            .unwrap();
        Self {
            path,
            notices,
            handle: Some(handle),
            _folder: folder,
        }
    }

    fn left(&self, wanted: u16) -> String {
        loop {
            match self.notices.recv_timeout(PATIENCE).expect("notice") {
                ServerNotice::Left { peer, why } if peer == wanted => return why,
                _ => {}
            }
        }
    }
}

#[test]
fn two_peers_share_memory_and_ring_each_other() {
    let server = Fixture::new(|config| (config.vectors, config.size) = (2, 5000));
    let mut a = join(&server.path, 2);
    let b = join(&server.path, 2);
    assert_eq!((a.own_id(), b.own_id()), (Some(0), Some(1)));
    knows(&mut a, &[1], 2);
    assert_eq!(
        b.peers().map(|(id, vectors)| (id, vectors.len())).collect::<Vec<_>>(),
        [(0, 2)]
    );

    rustix::io::pwrite(a.memory().unwrap(), b"from a", 8000).unwrap();
    let mut seen = [0; 6];
    rustix::io::pread(b.memory().unwrap(), &mut seen, 8000).unwrap();
    assert_eq!(&seen, b"from a");
    assert_eq!(rustix::fs::fstat(b.memory().unwrap()).unwrap().st_size, 8192);

    a.ring(1, 1).unwrap();
    b.wait_interrupt(1, PATIENCE).unwrap();
    b.ring(0, 0).unwrap();
    b.ring(0, 0).unwrap();
    b.ring(1, 0).unwrap();
    assert_eq!(
        (a.take_interrupts(), a.take_interrupts(), b.take_interrupts()),
        (vec![0], vec![], vec![0])
    );
    assert!(matches!(a.ring(9, 0), Err(RingError::NoPeer(9))));
    assert!(matches!(
        a.ring(1, 2),
        Err(RingError::NoVector {
            peer: 1,
            vector: 2,
            count: 2
        })
    ));
}

#[test]
fn many_clients_know_each_other() {
    let server = Fixture::new(|config| config.vectors = 3);
    let mut clients: Vec<Client> = (0..24).map(|_| join(&server.path, 3)).collect();
    let ids: Vec<u16> = (0..24).collect();
    for (own, client) in clients.iter_mut().enumerate() {
        let others: Vec<u16> = ids.iter().copied().filter(|id| usize::from(*id) != own).collect();
        knows(client, &others, 3);
    }
    drop(clients.remove(7));
    let newcomer = join(&server.path, 3);
    assert_eq!(newcomer.own_id(), Some(24), "ids go up, they are not reused at once");
    for client in &mut clients {
        let own = client.own_id().unwrap();
        let others: Vec<u16> = (0..25).filter(|id| *id != 7 && *id != own).collect();
        knows(client, &others, 3);
    }
}

#[test]
fn clients_that_vanish_in_mid_greeting_disturb_nobody() {
    let server = Fixture::new(|config| config.vectors = 64);
    let mut witness = join(&server.path, 64);
    for bytes in [0usize, 1, 7, 8, 20, 24, 25, 100] {
        let mut stream = UnixStream::connect(&server.path).unwrap();
        stream.read_exact(&mut vec![0; bytes]).unwrap();
    }
    let last = join(&server.path, 64);
    knows(&mut witness, &[last.own_id().unwrap()], 64);
}

#[test]
fn a_mute_client_is_dropped_and_nobody_else_notices() {
    let server = Fixture::new(|config| (config.vectors, config.backlog) = (32, 100));
    let mut mute = UnixStream::connect(&server.path).unwrap();
    let mut others: Vec<Client> = Vec::new();
    for _ in 0..8 {
        others.push(join(&server.path, 32));
        others.iter_mut().for_each(|client| drop(client.pump().unwrap()));
    }
    assert_eq!(server.left(0), "does not read");
    for client in &mut others {
        let own = client.own_id().unwrap();
        let rest: Vec<u16> = (1..=8).filter(|id| *id != own).collect();
        knows(client, &rest, 32);
    }
    // What was under way is still there; then the end, whole messages only.
    let mut rest = Vec::new();
    mute.read_to_end(&mut rest).unwrap();
    assert_eq!(rest.len() % 8, 0);
}

#[test]
fn a_mute_client_that_misses_only_passers_by_may_stay() {
    let server = Fixture::new(|config| (config.vectors, config.backlog) = (32, 40));
    let mute = UnixStream::connect(&server.path).unwrap();
    for _ in 0..200 {
        drop(join(&server.path, 32));
    }
    let mut late = Client::adopt(mute, Default::default()).unwrap();
    let witness = join(&server.path, 32);
    knows(&mut late, &[witness.own_id().unwrap()], 32);
}

#[test]
fn a_client_that_speaks_is_dropped() {
    let server = Fixture::new(|_| {});
    let mut witness = join(&server.path, 1);
    let mut rude = UnixStream::connect(&server.path).unwrap();
    rude.write_all(&[0; 8]).unwrap();
    assert_eq!(server.left(1), "spoke, which no client may");
    knows(&mut witness, &[], 1);
}

#[test]
fn a_killed_client_is_reported_to_the_others() {
    let server = Fixture::new(|_| {});
    let mut witness = join(&server.path, 1);
    let mut command = tool("client");
    command
        .arg("-S")
        .arg(&server.path)
        .stdin(Stdio::piped())
        .stdout(Stdio::null());
    let mut doomed = Process(command.spawn().unwrap());
    knows(&mut witness, &[1], 1);
    doomed.0.kill().unwrap();
    knows(&mut witness, &[], 1);
}

#[test]
fn no_vectors_is_memory_alone() {
    let server = Fixture::new(|config| config.vectors = 0);
    let mut a = join(&server.path, 0);
    let b = join(&server.path, 0);
    assert_eq!((a.own_id(), b.own_id()), (Some(0), Some(1)));
    drop(b);
    let c = join(&server.path, 0);
    assert_eq!((c.own_id(), c.memory().is_some()), (Some(2), true));
    assert_eq!(a.pump().unwrap(), []);
}

#[test]
fn peers_outlive_their_server() {
    let mut server = Fixture::new(|_| {});
    let mut a = join(&server.path, 1);
    let b = join(&server.path, 1);
    knows(&mut a, &[1], 1);
    server.handle.take().unwrap().stop();
    assert!(!server.path.exists());
    let mut notices = Vec::new();
    eventually("the end is noticed", || {
        notices.extend(a.pump().unwrap());
        a.is_ended()
    });
    assert_eq!(notices, [Notice::ServerGone]);
    a.ring(1, 0).unwrap();
    b.wait_interrupt(0, PATIENCE).unwrap();
}

#[test]
fn a_full_server_turns_clients_away() {
    let server = Fixture::new(|config| config.peers = 2);
    let _a = join(&server.path, 1);
    let b = join(&server.path, 1);
    let mut third = Client::connect(&server.path).unwrap();
    let error = third.wait_until(PATIENCE, |_| false).unwrap_err();
    assert_eq!(
        error.to_string(),
        "ivshmem server: message 0 never came (connection closed after 0 of its 8 bytes), \
         expected protocol version 0 without a descriptor"
    );
    drop(b);
    server.left(1);
    assert_eq!(join(&server.path, 1).own_id(), Some(2));
}

#[test]
fn a_hostile_server_is_an_error_and_never_blocks() {
    for bytes in [&[1u8, 0, 0, 0, 0, 0, 0, 0][..], &[0; 24], &[0xff; 8]] {
        let (mut server, client) = UnixStream::pair().unwrap();
        let mut client = Client::adopt(client, Default::default()).unwrap();
        assert_eq!(client.pump().unwrap(), []);
        server.write_all(bytes).unwrap();
        let error = client.pump().unwrap_err().to_string();
        assert!(error.starts_with("ivshmem server: message"), "{error}");
        assert_eq!(client.pump().unwrap_err().to_string(), error);
    }
}
