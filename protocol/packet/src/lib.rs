//! What network cards and network back ends both have to know about an Ethernet frame.
//!
//! What it is: pure functions over bytes. [`VnetHeader`] says what of a frame is still to be done, [`checksum`] and [`segment`] do it
//! in software, [`rss`] hashes flows to queues, [`pcap`] writes frames as captures. What it is not: a network stack; nothing here
//! remembers anything of a frame that has passed. Frames come from guests and from the network: every length in them is doubted.

pub mod checksum;
pub mod frame;
pub mod pcap;
pub mod rss;
pub mod segment;
mod vnet;

pub use frame::{Layers, Network, Transport, Vlan};
pub use segment::{Unfit, finish};
pub use vnet::{GsoKind, VnetHeader};
