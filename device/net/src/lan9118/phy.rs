//! The PHY inside the LAN9118 (data sheet 5.5 "PHY registers"; IEEE 802.3 clause 22 for the first eight).

use serde::{Deserialize, Serialize};

mod reg {
    pub(super) const BMCR: u32 = 0;
    pub(super) const BMSR: u32 = 1;
    pub(super) const PHYID1: u32 = 2;
    pub(super) const PHYID2: u32 = 3;
    pub(super) const ANAR: u32 = 4;
    pub(super) const ANLPAR: u32 = 5;
    pub(super) const ANER: u32 = 6;
    pub(super) const INT_SOURCE: u32 = 29;
    pub(super) const INT_MASK: u32 = 30;
}

const BMCR_RESET: u16 = 1 << 15;
const BMCR_LOOPBACK: u16 = 1 << 14;
const BMCR_AUTONEG: u16 = 1 << 12;
/// Loopback, speed, autonegotiation, power down, duplex, collision test.
const BMCR_KEPT: u16 = 0x7980;
/// 100 Mbit/s by autonegotiation.
const BMCR_INITIAL: u16 = 0x3000;
/// 100 and 10 Mbit/s in both duplexes, autonegotiation, extended registers.
const BMSR_ABILITIES: u16 = 0x7809;
const BMSR_AUTONEG_DONE: u16 = 1 << 5;
const BMSR_LINK: u16 = 1 << 2;
const PHYID: [u16; 2] = [0x0007, 0xc0d1];
/// All four speeds, IEEE 802.3.
const ANAR_INITIAL: u16 = 0x01e1;
/// Remote fault, pause, speeds and selector; 100BASE-TX is always there.
const ANAR_KEPT: u16 = 0x2d7f;
const ANAR_100TX: u16 = 1 << 7;
/// A partner that can do everything.
const PARTNER: u16 = 0x0fe1;
const ANER_PARTNER_CAN_NEGOTIATE: u16 = 1;

const INT_ENERGY_ON: u16 = 1 << 7;
const INT_AUTONEG_DONE: u16 = 1 << 6;
const INT_LINK_DOWN: u16 = 1 << 4;
const INT_ALL: u16 = 0xff;

/// All that the guest can see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Phy {
    bmcr: u16,
    negotiated: bool,
    anar: u16,
    ints: u16,
    mask: u16,
    link: bool,
}

/// What came of an access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// A register that is modelled.
    Yes,
    /// A register of the part that is not modelled.
    Unmodelled,
    /// No register.
    No,
}

impl Phy {
    pub(super) fn new(link: bool) -> Self {
        let mut phy = Self {
            bmcr: BMCR_INITIAL,
            negotiated: false,
            anar: ANAR_INITIAL,
            ints: 0,
            mask: 0,
            link,
        };
        phy.set_link(link);
        phy
    }

    pub(super) fn reset(&mut self) {
        *self = Self::new(self.link);
    }

    /// The cable is plugged or pulled; negotiation takes no time.
    pub(super) fn set_link(&mut self, up: bool) {
        self.link = up;
        self.negotiated = up;
        self.ints |= if up {
            INT_ENERGY_ON | INT_AUTONEG_DONE
        } else {
            INT_LINK_DOWN
        };
    }

    pub(super) fn link(&self) -> bool {
        self.link
    }

    /// Whether what is sent comes back.
    pub(super) fn loopback(&self) -> bool {
        self.bmcr & BMCR_LOOPBACK != 0
    }

    /// Its interrupt line.
    pub(super) fn interrupt(&self) -> bool {
        self.ints & self.mask != 0
    }

    /// Whether a register exists, for the log.
    pub(super) fn knows(register: u32, write: bool) -> Known {
        match register {
            reg::BMCR | reg::ANAR | reg::INT_MASK => Known::Yes,
            reg::BMSR..=reg::ANER | reg::INT_SOURCE if !write => Known::Yes,
            17 | 18 | 27 | 31 => Known::Unmodelled,
            _ => Known::No,
        }
    }

    pub(super) fn read(&mut self, register: u32) -> u16 {
        match register {
            reg::BMCR => self.bmcr,
            reg::BMSR => self.status(),
            reg::PHYID1 => PHYID[0],
            reg::PHYID2 => PHYID[1],
            reg::ANAR => self.anar,
            reg::ANLPAR => PARTNER,
            reg::ANER => ANER_PARTNER_CAN_NEGOTIATE,
            reg::INT_SOURCE => std::mem::take(&mut self.ints),
            reg::INT_MASK => self.mask,
            _ => 0,
        }
    }

    pub(super) fn write(&mut self, register: u32, value: u16) {
        match register {
            reg::BMCR if value & BMCR_RESET != 0 => self.reset(),
            reg::BMCR => {
                self.bmcr = value & BMCR_KEPT;
                self.negotiated |= value & BMCR_AUTONEG != 0;
            }
            reg::ANAR => self.anar = value & ANAR_KEPT | ANAR_100TX,
            reg::INT_MASK => self.mask = value & INT_ALL,
            _ => {}
        }
    }

    fn status(&self) -> u16 {
        let negotiated = if self.negotiated { BMSR_AUTONEG_DONE } else { 0 };
        let link = if self.link { BMSR_LINK } else { 0 };
        BMSR_ABILITIES | negotiated | link
    }
}
