//! What comes is given back: after a thousand connections this process has as many descriptors as before. Alone in its
//! program, because it counts what the whole process has open.

mod common;

use std::os::unix::net::UnixStream;
use std::time::Duration;

use southbridge_backend_ivshmem::{Client, Server, ServerConfig};

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn a_thousand_connections_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ivshmem");
    let before_all = open_descriptors();
    let mut config = ServerConfig::new(&path);
    config.vectors = 4;
    let mut server = Server::bind(&config).unwrap();
    let step = |server: &mut Server| server.step(Some(Duration::ZERO), &mut |_| {}).unwrap();
    let mut steady = Client::connect(&path).unwrap();
    let mute = UnixStream::connect(&path).unwrap();
    step(&mut server);
    steady.pump().unwrap();
    let baseline = open_descriptors();

    for round in 0..1000 {
        let mut client = Client::connect(&path).unwrap();
        if round % 3 != 0 {
            step(&mut server);
        }
        if round % 3 == 1 {
            client.pump().unwrap();
        }
        drop(client);
        // One step to let in a client that nobody served yet, one to see it gone.
        step(&mut server);
        step(&mut server);
        steady.pump().unwrap();
    }
    assert_eq!(open_descriptors(), baseline);
    assert_eq!(server.peers().count(), 2);
    assert_eq!(steady.peers().count(), 1);
    drop((steady, mute, server));
    assert_eq!(open_descriptors(), before_all);
}
