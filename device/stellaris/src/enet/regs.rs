//! The Ethernet controller: offsets and bits of the MAC, registers of the PHY. LM3S6965 data sheet, chapter "Ethernet Controller".

use southbridge_core::Register;

pub(crate) const RIS: u64 = 0x00;
pub(crate) const IM: u64 = 0x04;
pub(crate) const RCTL: u64 = 0x08;
pub(crate) const TCTL: u64 = 0x0c;
pub(crate) const DATA: u64 = 0x10;
pub(crate) const IA0: u64 = 0x14;
pub(crate) const IA1: u64 = 0x18;
pub(crate) const THR: u64 = 0x1c;
pub(crate) const MCTL: u64 = 0x20;
pub(crate) const MDV: u64 = 0x24;
pub(crate) const MTXD: u64 = 0x2c;
pub(crate) const MRXD: u64 = 0x30;
pub(crate) const NP: u64 = 0x34;
pub(crate) const TR: u64 = 0x38;

/// The register table for the bus. Writing MACRIS acknowledges (MACIACK).
pub(crate) static REGISTERS: &[Register] = &[
    Register::rw(RIS, "MACRIS/MACIACK"),
    Register::rw(IM, "MACIM"),
    Register::rw(RCTL, "MACRCTL"),
    Register::rw(TCTL, "MACTCTL"),
    Register::rw(DATA, "MACDATA"),
    Register::rw(IA0, "MACIA0"),
    Register::rw(IA1, "MACIA1"),
    Register::rw(THR, "MACTHR"),
    Register::rw(MCTL, "MACMCTL"),
    Register::rw(MDV, "MACMDV"),
    Register::rw(MTXD, "MACMTXD"),
    Register::rw(MRXD, "MACMRXD"),
    Register::ro(NP, "MACNP"),
    Register::rw(TR, "MACTR"),
];

/// RIS, IM: a packet was received.
pub(crate) const INT_RX: u32 = 1;
/// RIS, IM: transmit error; acknowledging it empties the transmit FIFO.
pub(crate) const INT_TXER: u32 = 1 << 1;
/// RIS, IM: the packet was transmitted.
pub(crate) const INT_TXEMP: u32 = 1 << 2;
/// RIS, IM: the receive FIFO overran.
pub(crate) const INT_FOV: u32 = 1 << 3;
/// RIS, IM: an MII transaction is done.
pub(crate) const INT_MD: u32 = 1 << 5;
/// RIS, IM: the PHY wants something.
pub(crate) const INT_PHY: u32 = 1 << 6;
/// Implemented interrupts.
pub(crate) const INT_MASK: u32 = 0x7f;

/// RCTL: receiver on.
pub(crate) const RCTL_RXEN: u32 = 1;
/// RCTL: take multicast frames.
pub(crate) const RCTL_AMUL: u32 = 1 << 1;
/// RCTL: take all frames.
pub(crate) const RCTL_PRMS: u32 = 1 << 2;
/// RCTL: drop frames with a bad check sequence; its value at reset.
pub(crate) const RCTL_BADCRC: u32 = 1 << 3;
/// RCTL: empties the receive FIFO, and clears itself.
pub(crate) const RCTL_RSTFIFO: u32 = 1 << 4;

/// TCTL: transmitter on.
pub(crate) const TCTL_TXEN: u32 = 1;
/// TCTL: short frames are padded.
pub(crate) const TCTL_PADEN: u32 = 1 << 1;
/// TCTL: the check sequence is made by the MAC, not part of what the guest writes.
pub(crate) const TCTL_CRC: u32 = 1 << 2;
/// TCTL: implemented bits (with DUPLEX).
pub(crate) const TCTL_MASK: u32 = 0x17;

/// THR at reset: no early transmission.
pub(crate) const THR_OFF: u32 = 0x3f;
/// MDV at reset.
pub(crate) const MDV_RESET: u32 = 0x80;
/// MCTL: start, and busy.
pub(crate) const MCTL_START: u32 = 1;
/// MCTL: the transaction writes.
pub(crate) const MCTL_WRITE: u32 = 1 << 1;
/// MCTL: implemented bits; the PHY register's number is in bits 7:3.
pub(crate) const MCTL_MASK: u32 = 0xfb;
/// TR: transmit what is in the FIFO.
pub(crate) const TR_NEWTX: u32 = 1;

/// Each FIFO's size in bytes.
pub(crate) const FIFO_BYTES: usize = 2048;
/// Packets that the receive FIFO holds at most.
pub(crate) const RX_PACKETS: usize = 31;
/// Largest length that the guest may announce for a frame's payload.
pub(crate) const TX_LENGTH_MAX: usize = 2032;

/// MR0, control: reset, loopback, auto-negotiation, power down, restart of auto-negotiation.
pub(crate) const MR0_RESET: u16 = 1 << 15;
pub(crate) const MR0_LOOPBACK: u16 = 1 << 14;
pub(crate) const MR0_ANEG: u16 = 1 << 12;
pub(crate) const MR0_POWER_DOWN: u16 = 1 << 11;
pub(crate) const MR0_WRITABLE: u16 = 0x7d80;
pub(crate) const MR0_DEFAULT: u16 = 0x3100;
/// MR1, status: what the PHY can do; bits for a finished negotiation and for the link.
pub(crate) const MR1_ABILITIES: u16 = 0x7849;
pub(crate) const MR1_ANEG_DONE: u16 = 1 << 5;
pub(crate) const MR1_LINK: u16 = 1 << 2;
/// MR2 and MR3: identification.
pub(crate) const MR2_ID: u16 = 0x000e;
pub(crate) const MR3_ID: u16 = 0x7237;
/// MR4: what is advertised.
pub(crate) const MR4_DEFAULT: u16 = 0x01e1;
pub(crate) const MR4_WRITABLE: u16 = 0xa1e0;
/// MR5: what a link partner of the usual kind (10 and 100 Mbit/s, half and full duplex) says, with its acknowledge.
pub(crate) const MR5_PARTNER: u16 = 0x41e1;
/// MR16, MR19, MR23, MR24: vendor-specific settings without effect here.
pub(crate) const MR16_DEFAULT: u16 = 0x0140;
pub(crate) const MR19_DEFAULT: u16 = 0x4000;
pub(crate) const MR23_DEFAULT: u16 = 0x0010;
pub(crate) const MR24_DEFAULT: u16 = 0x00c0;
/// MR17: the link changed; auto-negotiation is done. Their enables are 8 bits higher.
pub(crate) const MR17_LINK_CHANGED: u16 = 1 << 2;
pub(crate) const MR17_ANEG_DONE: u16 = 1;
/// MR18: full duplex, 100 Mbit/s, signal and lock.
pub(crate) const MR18_LINKED: u16 = 0x0f00;
