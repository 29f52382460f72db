//! The MAC: its registers behind MAC_CSR_CMD, and the address filter (data sheet 3.4 "Address filtering functional description", 5.4).

use serde::{Deserialize, Serialize};

use super::phy::{Known, Phy};
use super::regs::{mac, mac_cr};
use super::rx::crc32;

/// All that the guest can see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mac {
    cr: u32,
    address: [u8; 6],
    hash: [u32; 2],
    mii_acc: u32,
    mii_data: u16,
    flow: u32,
    vlan: [u32; 2],
    wuff: u32,
    wucsr: u32,
    pub(super) phy: Phy,
}

/// What became of an access, for the log and for INT_STS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Done,
    /// The guest switched the receiver off.
    ReceiverStopped,
    /// The MAC has no such register.
    NoRegister,
    /// The PHY has no such register, or it is not modelled.
    Phy(Known),
}

impl Mac {
    /// As after a hardware reset.
    pub(super) fn new(address: [u8; 6], link: bool) -> Self {
        Self {
            cr: mac_cr::PRMS,
            address,
            hash: [0; 2],
            mii_acc: 0,
            mii_data: 0,
            flow: 0,
            vlan: [0xffff; 2],
            wuff: 0,
            wucsr: 0,
            phy: Phy::new(link),
        }
    }

    pub(super) fn address(&self) -> [u8; 6] {
        self.address
    }

    pub(super) fn set_address(&mut self, address: [u8; 6]) {
        self.address = address;
    }

    /// A software reset leaves the PHY alone.
    pub(super) fn soft_reset(&mut self) {
        *self = Self {
            phy: self.phy.clone(),
            ..Self::new(self.address, self.phy.link())
        };
    }

    pub(super) fn receives(&self) -> bool {
        self.cr & mac_cr::RXEN != 0
    }

    /// Whether frames that fail the filter come in too.
    pub(super) fn receives_all(&self) -> bool {
        self.cr & mac_cr::RXALL != 0
    }

    /// Whether what is sent comes back.
    pub(super) fn loopback(&self) -> bool {
        self.cr & mac_cr::LOOPBK != 0 || self.phy.loopback()
    }

    /// Whether the filter passes a frame to this address.
    pub(super) fn passes(&self, to: [u8; 6]) -> bool {
        let has = |bit| self.cr & bit != 0;
        let multicast = to[0] & 1 != 0;
        if has(mac_cr::PRMS) {
            true
        } else if to == [0xff; 6] {
            !has(mac_cr::BCAST)
        } else if multicast && has(mac_cr::MCPAS) {
            true
        } else if has(if multicast { mac_cr::HPFILT } else { mac_cr::HO }) {
            self.hash_has(to)
        } else {
            (to == self.address) != has(mac_cr::INVFILT)
        }
    }

    /// The upper six bits of the checksum of the address, as they stand in its shift register, choose the bit.
    fn hash_has(&self, to: [u8; 6]) -> bool {
        let n = (!crc32(&to)).reverse_bits() >> 26;
        let [low, high] = self.hash;
        let word = if n & 0x20 != 0 { high } else { low };
        word >> (n & 0x1f) & 1 != 0
    }

    pub(super) fn read(&self, register: u32) -> (u32, Access) {
        let [a, b, c, d, e, f] = self.address;
        let value = match register {
            mac::MAC_CR => self.cr,
            mac::ADDRH => u32::from_le_bytes([e, f, 0, 0]),
            mac::ADDRL => u32::from_le_bytes([a, b, c, d]),
            mac::HASHH => self.hash[1],
            mac::HASHL => self.hash[0],
            mac::MII_ACC => self.mii_acc,
            mac::MII_DATA => self.mii_data.into(),
            mac::FLOW => self.flow,
            mac::VLAN1 => self.vlan[0],
            mac::VLAN2 => self.vlan[1],
            mac::WUFF => self.wuff,
            mac::WUCSR => self.wucsr,
            _ => return (0, Access::NoRegister),
        };
        (value, Access::Done)
    }

    pub(super) fn write(&mut self, register: u32, value: u32) -> Access {
        match register {
            mac::MAC_CR => {
                let stops = self.receives() && value & mac_cr::RXEN == 0;
                self.cr = value & !mac_cr::RESERVED;
                if stops {
                    return Access::ReceiverStopped;
                }
            }
            mac::ADDRH => self.address[4..].copy_from_slice(&value.to_le_bytes()[..2]),
            mac::ADDRL => self.address[..4].copy_from_slice(&value.to_le_bytes()),
            mac::HASHH => self.hash[1] = value,
            mac::HASHL => self.hash[0] = value,
            mac::MII_ACC => return self.mii(value),
            mac::MII_DATA => self.mii_data = value as u16,
            mac::FLOW => self.flow = value & mac::FLOW_KEPT,
            mac::VLAN1 => self.vlan[0] = value & 0xffff,
            mac::VLAN2 => self.vlan[1] = value & 0xffff,
            mac::WUFF => self.wuff = value,
            mac::WUCSR => self.wucsr = value & 0x206,
            _ => return Access::NoRegister,
        }
        Access::Done
    }

    /// A management frame to the PHY, done at once. The internal PHY answers any address, as in QEMU.
    fn mii(&mut self, word: u32) -> Access {
        self.mii_acc = word & mac::MII_ACC_KEPT;
        let register = word >> 6 & 0x1f;
        let write = word & mac::MII_WRITE != 0;
        if write {
            self.phy.write(register, self.mii_data);
        } else {
            self.mii_data = self.phy.read(register);
        }
        match Phy::knows(register, write) {
            Known::Yes => Access::Done,
            other => Access::Phy(other),
        }
    }
}
