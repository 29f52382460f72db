//! Which frames the driver wants: its own address, tables of addresses and tags, and the modes that overrule them.
//!
//! Like QEMU's this filter is perfect: no frame that the tables exclude passes, unless a table had no room.

use serde::{Deserialize, Serialize};
use southbridge_backend_net::{Passes, RxFilter};

use super::spec::{MAC_TABLE, MAX_VLAN};

pub(crate) type Mac = [u8; 6];

/// Modes that the driver sets one by one (`VIRTIO_NET_CTRL_RX`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Promiscuous,
    AllMulticast,
    AllUnicast,
    NoMulticast,
    NoUnicast,
    NoBroadcast,
}

/// One half of the table of addresses.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Table {
    addresses: Vec<Mac>,
    /// There were more than fit: all pass.
    overflow: bool,
}

/// The filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Filter {
    pub(crate) mac: Mac,
    promiscuous: bool,
    all_multicast: bool,
    all_unicast: bool,
    no_multicast: bool,
    no_unicast: bool,
    no_broadcast: bool,
    unicast: Table,
    multicast: Table,
    /// A bit for each tag.
    vlans: Vec<u32>,
}

impl Filter {
    /// After reset all frames pass, until the driver says otherwise.
    pub(crate) fn new(mac: Mac) -> Self {
        Self {
            mac,
            promiscuous: true,
            all_multicast: false,
            all_unicast: false,
            no_multicast: false,
            no_unicast: false,
            no_broadcast: false,
            unicast: Table::default(),
            multicast: Table::default(),
            vlans: vec![0; usize::from(MAX_VLAN) / 32],
        }
    }

    /// Whether a saved filter is one that could have been.
    pub(crate) fn is_possible(&self) -> bool {
        self.vlans.len() == usize::from(MAX_VLAN) / 32
            && self.unicast.addresses.len() + self.multicast.addresses.len() <= MAC_TABLE
    }

    /// A driver that cannot set tags wants all.
    pub(crate) fn pass_all_vlans(&mut self) {
        self.vlans.fill(u32::MAX);
    }

    pub(crate) fn set_mode(&mut self, mode: Mode, on: bool) {
        match mode {
            Mode::Promiscuous => self.promiscuous = on,
            Mode::AllMulticast => self.all_multicast = on,
            Mode::AllUnicast => self.all_unicast = on,
            Mode::NoMulticast => self.no_multicast = on,
            Mode::NoUnicast => self.no_unicast = on,
            Mode::NoBroadcast => self.no_broadcast = on,
        }
    }

    /// Sets both tables. One that does not fit lets all pass; the groups have the room that the stations leave.
    pub(crate) fn set_tables(&mut self, unicast: &[Mac], multicast: &[Mac]) {
        let mut room = MAC_TABLE;
        let mut take = |addresses: &[Mac]| match room.checked_sub(addresses.len()) {
            None => Table {
                addresses: Vec::new(),
                overflow: true,
            },
            Some(rest) => {
                room = rest;
                Table {
                    addresses: addresses.to_vec(),
                    overflow: false,
                }
            }
        };
        self.unicast = take(unicast);
        self.multicast = take(multicast);
    }

    /// Lets a tag pass or not; `false` if there is no such tag.
    pub(crate) fn set_vlan(&mut self, tag: u16, passes: bool) -> bool {
        let Some(word) = self.vlans.get_mut(usize::from(tag / 32)) else {
            return false;
        };
        let bit = 1 << (tag % 32);
        *word = if passes { *word | bit } else { *word & !bit };
        true
    }

    fn has_vlan(&self, tag: u16) -> bool {
        let word = self.vlans.get(usize::from(tag / 32)).copied().unwrap_or(0);
        word >> (tag % 32) & 1 != 0
    }

    /// Whether the driver wants this frame. One that is too short to have an address is nobody's.
    pub(crate) fn wants(&self, frame: &[u8]) -> bool {
        let Some(to) = frame.first_chunk::<6>().filter(|_| frame.len() >= 14) else {
            return false;
        };
        if self.promiscuous {
            return true;
        }
        if let Some([0x81, 0x00, a, b]) = frame.get(12..16)
            && !self.has_vlan(u16::from_be_bytes([*a, *b]) & 0xfff)
        {
            return false;
        }
        if *to == [0xff; 6] {
            !self.no_broadcast
        } else if to[0] & 1 != 0 {
            !self.no_multicast && (self.all_multicast || self.multicast.has(to))
        } else {
            !self.no_unicast && (self.all_unicast || *to == self.mac || self.unicast.has(to))
        }
    }

    /// What the monitor tells. `vlans_matter`: the driver sets tags.
    pub(crate) fn tell(&self, vlans_matter: bool) -> RxFilter {
        let class = |none: bool, all: bool| match (none, all) {
            (true, _) => Passes::None,
            (false, true) => Passes::All,
            (false, false) => Passes::Normal,
        };
        let tags: Vec<u16> = (0..MAX_VLAN).filter(|t| self.has_vlan(*t)).collect();
        RxFilter {
            promiscuous: self.promiscuous,
            multicast: class(self.no_multicast, self.all_multicast),
            unicast: class(self.no_unicast, self.all_unicast),
            vlan: class(vlans_matter && tags.is_empty(), !vlans_matter),
            broadcast_allowed: !self.no_broadcast,
            multicast_overflow: self.multicast.overflow,
            unicast_overflow: self.unicast.overflow,
            main_mac: self.mac,
            vlan_table: if vlans_matter { tags } else { Vec::new() },
            unicast_table: self.unicast.addresses.clone(),
            multicast_table: self.multicast.addresses.clone(),
        }
    }
}

impl Table {
    fn has(&self, address: &Mac) -> bool {
        self.overflow || self.addresses.contains(address)
    }
}
