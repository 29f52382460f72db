//! What the driver says on the control queue: bytes in, a typed command out. Acting on it is the device's.

use super::filter::{Mac, Mode};
use super::spec::{MAX_KEY, MAX_TABLE, control};

/// A command of the driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// Receive mode.
    Mode(Mode, bool),
    /// The device's own address.
    Address(Mac),
    /// Other stations and groups.
    Tables { unicast: Vec<Mac>, multicast: Vec<Mac> },
    /// A tag passes, or not.
    Vlan { tag: u16, passes: bool },
    /// The driver has announced itself.
    Announced,
    /// How many pairs of queues it uses.
    Pairs(u16),
    /// Hashes: queues by hash (`steer`), or reports only.
    Hash { steer: bool, config: HashConfig },
    /// What it takes besides whole frames: feature bits.
    Offloads(u64),
}

/// Parameters of receive hashes (section 5.1.6.5.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HashConfig {
    /// Kinds of hashes.
    pub(crate) types: u32,
    /// Queue of frames without hash.
    pub(crate) unclassified: u16,
    /// Queues by the low bits of the hash; a power of two of them.
    pub(crate) table: Vec<u16>,
    /// How many receive queues the driver uses.
    pub(crate) queues: u16,
    /// Key; empty with no kind of hash at all.
    pub(crate) key: Vec<u8>,
}

/// A message without its header, read from front to back.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.bytes().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.bytes().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.bytes().map(u32::from_le_bytes)
    }

    /// A counted list of addresses.
    fn addresses(&mut self) -> Option<Vec<Mac>> {
        let count = usize::try_from(self.u32()?).ok()?;
        let (head, rest) = self.0.split_at_checked(count.checked_mul(6)?)?;
        self.0 = rest;
        Some(head.as_chunks::<6>().0.to_vec())
    }
}

impl Command {
    /// Reads a message: class, command, parameters. `None` for what is none, or too short.
    pub(crate) fn parse(message: &[u8]) -> Option<Self> {
        let ([class, command], rest) = message.split_first_chunk()?;
        let mut r = Reader(rest);
        match (*class, *command) {
            (control::RX, n) => Some(Self::Mode(mode(n)?, r.u8()? != 0)),
            // An address alone, and not a piece of something longer.
            (control::MAC, control::MAC_ADDR_SET) => (rest.len() == 6).then(|| r.bytes().map(Self::Address)).flatten(),
            (control::MAC, control::MAC_TABLE_SET) => {
                let (unicast, multicast) = (r.addresses()?, r.addresses()?);
                r.0.is_empty().then_some(Self::Tables { unicast, multicast })
            }
            (control::VLAN, n @ (control::VLAN_ADD | control::VLAN_DEL)) => Some(Self::Vlan {
                tag: r.u16()?,
                passes: n == control::VLAN_ADD,
            }),
            (control::ANNOUNCE, control::ANNOUNCE_ACK) => Some(Self::Announced),
            (control::MQ, control::MQ_VQ_PAIRS_SET) => r.u16().map(Self::Pairs),
            (control::MQ, n @ (control::MQ_RSS_CONFIG | control::MQ_HASH_CONFIG)) => {
                let steer = n == control::MQ_RSS_CONFIG;
                let config = hash_config(&mut r, steer)?;
                Some(Self::Hash { steer, config })
            }
            (control::GUEST_OFFLOADS, control::GUEST_OFFLOADS_SET) => {
                r.bytes().map(u64::from_le_bytes).map(Self::Offloads)
            }
            _ => None,
        }
    }
}

fn mode(command: u8) -> Option<Mode> {
    Some(match command {
        control::RX_PROMISC => Mode::Promiscuous,
        control::RX_ALLMULTI => Mode::AllMulticast,
        control::RX_ALLUNI => Mode::AllUnicast,
        control::RX_NOMULTI => Mode::NoMulticast,
        control::RX_NOUNI => Mode::NoUnicast,
        control::RX_NOBCAST => Mode::NoBroadcast,
        _ => return None,
    })
}

/// Both commands have one layout; for reports alone the words about queues are reserved, and the table has one entry.
fn hash_config(r: &mut Reader<'_>, steer: bool) -> Option<HashConfig> {
    let (types, mask, unclassified) = (r.u32()?, r.u16()?, r.u16()?);
    let entries = if steer { usize::from(mask) + 1 } else { 1 };
    if entries > MAX_TABLE || !entries.is_power_of_two() {
        return None;
    }
    let table = (0..entries).map(|_| r.u16()).collect::<Option<Vec<_>>>()?;
    let (queues, length) = (r.u16()?, usize::from(r.u8()?));
    let key = r.0.get(..length).filter(|_| length <= MAX_KEY)?.to_vec();
    // A hash needs a key.
    (types == 0 || !key.is_empty()).then_some(HashConfig {
        types,
        unclassified: if steer { unclassified } else { 0 },
        table,
        queues,
        key,
    })
}
