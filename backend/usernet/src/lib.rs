//! User-mode network: a NAT between a guest's Ethernet frames and the host's ordinary sockets.
//!
//! What it is: an engine. Frames of the guest go in ([`UserNet::guest_frame`]), frames for the guest come out through a [`Sink`]
//! with backpressure ([`UserNet::run`]). To the guest it is a link with a router, a DHCP server, a name server and a TFTP server;
//! behind the router every connection of the guest is a socket of this process. What it is not: an event loop or a clock. Its
//! owner watches descriptors for it ([`WatchChange`]), tells it the time and wakes it ([`UserNet::wake_at`]).
//!
//! Why our own: everything here is read from a hostile guest on one side and hostile peers on the other, so it is written in safe
//! Rust with every table and buffer bounded ([`Limits`]). The packet layouts are `smoltcp`'s.
//!
//! How to drive it, from one thread:
//! ```text
//! new(config); add_hostfwd(..); add_guestfwd(..)
//! loop {
//!     apply next_watch_change() until None; wait for descriptors (edge triggered), frames, room, or wake_at()
//!     guest_frame(..)* ; host_ready(..)* ; run(now, sink)      // run once per batch: acknowledgements and host writes are merged
//! }
//! ```
//! Defaults and meanings of the options are those of QEMU's `-netdev user`. Not there: SMB (`smb=`), multicast and its group
//! messages, selective acknowledgements, and word to the guest that a datagram found its port closed (the host's sockets are not
//! connected, so that one port of the guest keeps one port of the host whoever it speaks with).

mod arp;
mod checksum;
mod config;
mod dhcp;
mod emit;
mod error;
mod forward;
mod fragment;
mod frame;
mod fuzzing;
mod host;
mod icmp;
mod info;
mod ip;
mod link;
mod net;
mod ping;
mod process;
mod resolver;
mod route;
mod rules;
mod slab;
mod tcp;
mod tftp;
mod udp;
mod watch;

pub use config::{Config, Ipv4Config, Ipv6Config, Limits, Options, Reach, Resolver};
pub use error::Error;
pub use forward::{Channel, ChannelId, GuestTarget};
pub use frame::{Gso, MAX_FRAME, Meta, Offloads, Sink};
pub use fuzzing::fuzz;
pub use info::FlowInfo;
pub use net::UserNet;
pub use rules::{GuestForward, GuestForwardTo, HostForward, HostSide};
pub use watch::{Ready, Token, WatchChange};
