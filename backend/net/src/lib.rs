//! Network back ends: what stands on the host's side of a NIC.
//!
//! One concrete [`Netdev`] holds what all kinds have in common: bounded queues, credit for frames to the NIC, filters, the cable, and the
//! doing in software of what a NIC left to be done. Each kind is a narrow link in its own file, and one table of [`Kind`]s gives their
//! names, options, help and errors. Nothing here blocks the machine.
//!
//! Not here: what a guest sees. A NIC holds a [`NetFront`] for each of its queues, a test a [`NetHandle`].

mod error;
pub mod filter;
mod front;
mod kind;
mod link;
mod message;
mod netdev;
mod netdevs;
mod offload;
mod packet;
mod rxfilter;
pub mod testing;

pub use error::NetError;
pub use front::{NetEvent, NetFront, PCAP_PROPERTY};
pub use kind::{KINDS, Kind, Options, find, help, kind_help, parse};
pub use link::Address;
pub use message::{Message, Messages};
pub use netdev::{Announce, AttachError, Counts, NetHandle, Netdev};
pub use netdevs::Netdevs;
pub use packet::{Frames, Iter, MAX_FRAME, Offloads, Packet, VnetHeader, parse_mac, show_mac};
pub use rxfilter::{Passes, RxFilter};
