//! Two devices in two machines on a real server, over real sockets.

use southbridge_backend_chardev::Chardevs;
use southbridge_backend_ivshmem::{Server, ServerConfig, ServerHandle};
use southbridge_core::{ClockRate, PropValue, Properties, System};
use southbridge_device_ivshmem::flat::TYPE;
use southbridge_testing::Bench;
use std::path::Path;

const STATUS: u64 = 0x4;
const POSITION: u64 = 0x8;
const DOORBELL: u64 = 0xc;
const SHMEM: usize = 1;
const SIZE: u64 = 1 << 16;

fn server(path: &Path, vectors: u16) -> ServerHandle {
    let config = ServerConfig {
        size: SIZE,
        vectors,
        ..ServerConfig::new(path)
    };
    Server::bind(&config).unwrap().spawn(|_| ()).unwrap()
}

fn board(path: &Path) -> Bench {
    let mut sys = System::new(ClockRate::Hz(1_000_000_000)).unwrap();
    let mut chardevs = Chardevs::default();
    let options = [("path", path.to_str().unwrap()), ("reconnect-ms", "10")];
    let id = chardevs.open(&mut sys.host, "socket", "ivsh", options).unwrap();
    let properties = Properties::default()
        .with("chardev", PropValue::Backend("ivsh".into(), id))
        .with("shmem-size", PropValue::Uint(SIZE));
    Bench::on(sys, &TYPE, properties)
}

/// Waits until the device has its first own vector.
fn greet(b: &mut Bench) -> u32 {
    b.wait_host(|b| b.sys.start_holds == 0);
    b.read32(POSITION)
}

#[test]
fn two_boards_share_memory_and_ring_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ivsh");
    let _server = server(&path, 2);
    let (mut a, mut b) = (board(&path), board(&path));
    let (id_a, id_b) = (greet(&mut a), greet(&mut b));
    assert_eq!((id_a, id_b), (0, 1));
    for round in 1..=50u64 {
        let (from, to, id) = match round % 2 {
            0 => (&mut a, &mut b, id_b),
            _ => (&mut b, &mut a, id_a),
        };
        from.write(SHMEM, 8, 8, round);
        // The first doorbell may come before the server has told who else is there; a guest asks again.
        to.wait_host(|to| {
            from.poll_host();
            from.write32(DOORBELL, id << 16 | 1);
            to.read32(STATUS) == 1
        });
        assert_eq!(to.read(SHMEM, 8, 8), round);
    }
}

#[test]
fn a_server_that_is_started_again_is_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ivsh");
    let first = server(&path, 1);
    let mut a = board(&path);
    a.sys.log.set_warnings(Box::new(std::io::sink()));
    assert_eq!(greet(&mut a), 0);
    a.write(SHMEM, 0, 4, 7);
    first.stop();
    let _second = server(&path, 1);
    a.wait_host(|a| a.read(SHMEM, 0, 4) == 0); // the new server's memory
    a.wait_host(|a| a.read32(POSITION) == 0);
    a.wait_host(|a| {
        a.write32(DOORBELL, 0); // itself
        a.read32(STATUS) == 1
    });
}
