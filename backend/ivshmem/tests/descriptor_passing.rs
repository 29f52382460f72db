//! What the kernel really does with descriptors beside a byte stream, against what the protocol machine expects of it.

mod common;

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::event::{EventfdFlags, eventfd};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use southbridge_backend_ivshmem::{Client, Notice};
use southbridge_protocol_ivshmem::wire;

/// A server that sends what a test tells it to.
struct Puppet(UnixStream);

impl Puppet {
    fn new() -> (Self, Client) {
        let (server, client) = UnixStream::pair().unwrap();
        (Self(server), Client::adopt(client, Default::default()).unwrap())
    }

    fn greeted() -> (Self, Client) {
        let (puppet, mut client) = Self::new();
        puppet.send(&wire::encode(0), &[]);
        puppet.send(&wire::encode(5), &[]);
        puppet.send(&wire::encode(-1), &[event().as_fd()]);
        // Two plain messages and one with a descriptor arrive in one receive.
        assert_eq!(client.pump().unwrap(), [Notice::OwnId(5), Notice::SharedMemory]);
        (puppet, client)
    }

    fn send(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            assert!(control.push(SendAncillaryMessage::ScmRights(descriptors)));
        }
        let sent = sendmsg(&self.0, &[IoSlice::new(bytes)], &mut control, SendFlags::empty()).unwrap();
        assert_eq!(sent, bytes.len());
    }
}

fn event() -> OwnedFd {
    eventfd(0, EventfdFlags::NONBLOCK).unwrap()
}

/// Whether the client's vector is this very eventfd.
fn reaches(client: &Client, peer: u16, vector: u16, fd: &OwnedFd) -> bool {
    client.ring(peer, vector).unwrap();
    southbridge_backend_ivshmem::doorbell::take(fd)
}

#[test]
fn messages_in_pieces_keep_their_descriptors() {
    let (puppet, mut client) = Puppet::greeted();
    let (first, second, third) = (event(), event(), event());
    let (one, two) = (wire::encode(0x0101), wire::encode(0x0202));
    puppet.send(&one[..3], &[first.as_fd()]);
    puppet.send(&one[3..], &[]);
    puppet.send(&two[..7], &[second.as_fd()]);
    puppet.send(&[&two[7..], &wire::encode(0x0303)].concat(), &[]);
    puppet.send(&two, &[third.as_fd()]);
    let peer = |peer, vector| Notice::PeerVector { peer, vector };
    assert_eq!(
        client.pump().unwrap(),
        [
            peer(0x0101, 0),
            peer(0x0202, 0),
            Notice::PeerGone(0x0303),
            peer(0x0202, 1)
        ]
    );
    assert!(reaches(&client, 0x0101, 0, &first));
    assert!(reaches(&client, 0x0202, 0, &second));
    assert!(reaches(&client, 0x0202, 1, &third));
}

#[test]
fn byte_by_byte() {
    let (puppet, mut client) = Puppet::greeted();
    let fd = event();
    let bytes = wire::encode(9);
    for (index, byte) in bytes.iter().enumerate() {
        let attached = [fd.as_fd()];
        puppet.send(&[*byte], if index == 0 { &attached } else { &[] });
        let expected: &[Notice] = if index == 7 {
            &[Notice::PeerVector { peer: 9, vector: 0 }]
        } else {
            &[]
        };
        assert_eq!(client.pump().unwrap(), expected);
    }
    assert!(reaches(&client, 9, 0, &fd));
}

#[test]
fn more_than_one_descriptor_is_refused() {
    for count in [2, 3, 8] {
        let (puppet, mut client) = Puppet::greeted();
        let fd = event();
        puppet.send(&wire::encode(9), &vec![fd.as_fd(); count]);
        let error = client.pump().unwrap_err().to_string();
        assert!(error.starts_with("ivshmem server: message 3 carries "), "{error}");
        assert!(client.peers().next().is_none());
    }
}

#[test]
fn a_descriptor_where_none_belongs_is_refused() {
    let (puppet, mut client) = Puppet::new();
    puppet.send(&wire::encode(0), &[event().as_fd()]);
    assert_eq!(
        client.pump().unwrap_err().to_string(),
        "ivshmem server: message 0 carries a descriptor, expected protocol version 0 without a descriptor"
    );
}

#[test]
fn the_end_within_a_message_is_an_error() {
    let (puppet, mut client) = Puppet::greeted();
    puppet.send(&[1, 2, 3], &[]);
    drop(puppet);
    let error = client.pump().unwrap_err().to_string();
    assert!(
        error.contains("message 3 never came (connection closed after 3 of its 8 bytes)"),
        "{error}"
    );
}
