//! A server that is out of descriptors turns newcomers away, keeps those inside, and recovers.

mod common;

use common::{PATIENCE, Process, eventually, join, knows, tool};
use southbridge_backend_ivshmem::Client;

#[test]
fn a_server_without_descriptors_keeps_the_clients_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ivshmem");
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "ulimit -n 40 && exec \"$@\"", "sh"]);
    let server = tool("server");
    command.arg(server.get_program()).args(server.get_args());
    command
        .args(["-F", "-n", "4", "-m"])
        .arg(folder.path())
        .arg("-S")
        .arg(&path);
    let mut server = Process(command.spawn().unwrap());
    eventually("the server listens", || path.exists());
    eventually("the server accepts", || {
        std::os::unix::net::UnixStream::connect(&path).is_ok()
    });

    let mut inside: Vec<Client> = Vec::new();
    let refused = loop {
        assert!(inside.len() < 40, "the limit does not work");
        let mut client = Client::connect(&path).unwrap();
        match client.wait_until(PATIENCE, |client| client.own_vectors().len() == 4) {
            Ok(()) => inside.push(client),
            Err(error) => break error,
        }
    };
    assert!(refused.to_string().contains("message 0 never came"), "{refused}");
    assert!(inside.len() >= 4, "{}", inside.len());
    for _ in 0..20 {
        let mut client = Client::connect(&path).unwrap();
        assert!(client.wait_until(PATIENCE, Client::is_greeted).is_err());
    }
    assert!(server.0.try_wait().unwrap().is_none(), "the server ended");

    let last = inside.pop().unwrap();
    let gone = last.own_id().unwrap();
    drop(last);
    let ids: Vec<u16> = inside.iter().filter_map(Client::own_id).collect();
    for client in &mut inside {
        let own = client.own_id().unwrap();
        let others: Vec<u16> = ids.iter().copied().filter(|id| *id != own).collect();
        knows(client, &others, 4);
        assert!(client.ring(gone, 0).is_err());
    }
    let newcomer = join(&path, 4);
    assert_eq!(newcomer.peers().count(), inside.len());
}
