//! The register machine of the Ethernet MAC: both FIFOs, interrupts, address filter.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

use super::phy::Phy;
use super::regs::*;

/// All registers and FIFOs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    ris: u32,
    im: u32,
    rctl: u32,
    tctl: u32,
    thr: u32,
    mctl: u32,
    mdv: u32,
    mtxd: u16,
    mrxd: u16,
    address: [u8; 6],
    new_tx: bool,
    /// What the guest wrote: two bytes of length, then the frame.
    tx: Vec<u8>,
    /// Packets as the guest will read them: two bytes of length, the frame, its check sequence, up to a whole word.
    rx: VecDeque<Vec<u8>>,
    /// Bytes of the first packet that have been read.
    rx_offset: usize,
    transmitted: u64,
    phy: Phy,
}

impl State {
    pub(super) fn new(address: [u8; 6], cable: bool) -> Self {
        Self {
            ris: 0,
            im: INT_MASK,
            rctl: RCTL_BADCRC,
            tctl: 0,
            thr: THR_OFF,
            mctl: 0,
            mdv: MDV_RESET,
            mtxd: 0,
            mrxd: 0,
            address,
            new_tx: false,
            tx: Vec::new(),
            rx: VecDeque::new(),
            rx_offset: 0,
            transmitted: 0,
            phy: Phy::new(cable),
        }
    }

    /// Whether a loaded state is one that the device can have.
    pub(super) fn valid(&self) -> bool {
        let whole_words = |n: usize| n <= FIFO_BYTES && n.is_multiple_of(4);
        let packet = |p: &Vec<u8>| !p.is_empty() && whole_words(p.len());
        let in_first = self.rx.front().map_or(1, Vec::len);
        whole_words(self.tx.len())
            && self.rx.len() <= RX_PACKETS
            && self.rx.iter().all(packet)
            && self.rx_offset < in_first
            && self.rx_offset.is_multiple_of(4)
    }

    pub(super) fn interrupt(&self) -> bool {
        self.ris & self.im != 0
    }

    pub(super) fn cable(&self) -> bool {
        self.phy.cable()
    }

    pub(super) fn link(&self) -> bool {
        self.phy.link()
    }

    pub(super) fn loops_back(&self) -> bool {
        self.phy.loops_back()
    }

    pub(super) fn transmitted(&self) -> u64 {
        self.transmitted
    }

    pub(super) fn set_cable(&mut self, cable: bool) {
        if self.phy.set_cable(cable) {
            self.ris |= INT_PHY;
        }
    }

    // ----- receiving ------------------------------------------------------------------------------------------------------------

    /// Frames that may come. A receiver that is off keeps none, so its FIFO is no limit.
    pub(super) fn room(&self) -> usize {
        if self.rctl & RCTL_RXEN == 0 {
            return RX_PACKETS;
        }
        RX_PACKETS - self.rx.len().min(RX_PACKETS)
    }

    pub(super) fn can_receive(&self) -> bool {
        self.rctl & RCTL_RXEN != 0 && self.rx.len() < RX_PACKETS
    }

    /// A frame from the wire, without its check sequence. Whether it was taken.
    pub(super) fn receive(&mut self, frame: &[u8]) -> bool {
        if self.rctl & RCTL_RXEN == 0 || !self.is_for_us(frame) {
            return false;
        }
        // Shorter frames do not exist on the wire, whatever a back end says.
        let length = frame.len().max(60);
        let stored = length + 6;
        if self.rx.len() >= RX_PACKETS || stored > FIFO_BYTES {
            self.ris |= INT_FOV;
            return false;
        }
        let mut packet = Vec::with_capacity(stored.next_multiple_of(4));
        packet.extend_from_slice(&(stored as u16).to_le_bytes());
        packet.extend_from_slice(frame);
        packet.resize(length + 2, 0);
        let fcs = crc32(&packet[2..]);
        packet.extend_from_slice(&fcs.to_le_bytes());
        packet.resize(stored.next_multiple_of(4), 0);
        self.rx.push_back(packet);
        self.ris |= INT_RX;
        true
    }

    fn is_for_us(&self, frame: &[u8]) -> bool {
        let Some(to) = frame.first_chunk::<6>() else {
            return false;
        };
        let multicast = to[0] & 1 != 0;
        self.rctl & RCTL_PRMS != 0 || *to == [0xff; 6] || *to == self.address || multicast && self.rctl & RCTL_AMUL != 0
    }

    /// The next word of the first packet; `None` if there is none.
    fn read_data(&mut self) -> Option<u32> {
        let packet = self.rx.front()?;
        let word = packet
            .get(self.rx_offset..)
            .and_then(|rest| rest.first_chunk())
            .map_or(0, |w| u32::from_le_bytes(*w));
        self.rx_offset += 4;
        if self.rx_offset >= packet.len() {
            self.rx.pop_front();
            self.rx_offset = 0;
        }
        Some(word)
    }

    // ----- transmitting -----------------------------------------------------------------------------------------------------------

    /// Bytes of the frame that the guest announced, without check sequence.
    fn announced(&self) -> usize {
        let length = self.tx.first_chunk().map_or(0, |l| u16::from_le_bytes(*l));
        usize::from(length) + 14
    }

    fn write_data(&mut self, word: u32) {
        if self.tx.is_empty() && (word & 0xffff) as usize > TX_LENGTH_MAX {
            self.ris |= INT_TXER;
            return;
        }
        if self.tx.len() + 4 <= FIFO_BYTES {
            self.tx.extend_from_slice(&word.to_le_bytes());
        }
    }

    /// A frame that leaves now: asked for by NEWTX, or by the threshold once it is whole. It stays until [`State::transmitted_it`].
    pub(super) fn outgoing(&self) -> Option<Vec<u8>> {
        let fcs = if self.tctl & TCTL_CRC == 0 { 4 } else { 0 };
        let whole = self.tx.len() >= (2 + self.announced() + fcs).min(FIFO_BYTES);
        let over_threshold = self.thr < THR_OFF && self.tx.len() >= 4 * (self.thr as usize * 8 + 1);
        let due = self.new_tx || over_threshold && whole;
        if !due || self.tx.is_empty() || self.tctl & TCTL_TXEN == 0 {
            return None;
        }
        let mut length = self.announced();
        // What the FIFO lacks is sent as zeros, and padding is zeros, too. A check sequence made by the guest is not looked at.
        let mut frame: Vec<u8> = self.tx.iter().skip(2).take(length).copied().collect();
        if self.tctl & TCTL_PADEN != 0 {
            length = length.max(60);
        }
        frame.resize(length.min(FIFO_BYTES - 2), 0);
        Some(frame)
    }

    /// The frame has left.
    pub(super) fn transmitted_it(&mut self) {
        self.tx.clear();
        self.new_tx = false;
        self.ris |= INT_TXEMP;
        self.transmitted = self.transmitted.wrapping_add(1);
    }

    // ----- registers --------------------------------------------------------------------------------------------------------------

    /// A register; `None` is DATA without data.
    pub(super) fn read(&mut self, offset: u64) -> Option<u32> {
        let a = &self.address;
        Some(match offset {
            RIS => self.ris,
            IM => self.im,
            RCTL => self.rctl,
            TCTL => self.tctl,
            DATA => return self.read_data(),
            IA0 => u32::from_le_bytes([a[0], a[1], a[2], a[3]]),
            IA1 => u32::from_le_bytes([a[4], a[5], 0, 0]),
            THR => self.thr,
            MCTL => self.mctl,
            MDV => self.mdv,
            MTXD => self.mtxd.into(),
            MRXD => self.mrxd.into(),
            NP => self.rx.len() as u32,
            TR => self.new_tx.into(),
            _ => 0,
        })
    }

    pub(super) fn write(&mut self, offset: u64, value: u32) {
        let bytes = value.to_le_bytes();
        match offset {
            RIS => self.acknowledge(value),
            IM => self.im = value & INT_MASK,
            RCTL => self.set_rctl(value),
            TCTL => self.tctl = value & TCTL_MASK,
            DATA => self.write_data(value),
            IA0 => self.address[..4].copy_from_slice(&bytes),
            IA1 => self.address[4..].copy_from_slice(&bytes[..2]),
            THR => self.thr = value & THR_OFF,
            MCTL => self.manage_phy(value & MCTL_MASK),
            MDV => self.mdv = value & 0xff,
            MTXD => self.mtxd = value as u16,
            MRXD => self.mrxd = value as u16,
            TR => self.new_tx = value & TR_NEWTX != 0 && !self.tx.is_empty(),
            _ => {}
        }
    }

    fn acknowledge(&mut self, which: u32) {
        self.ris &= !which;
        if which & INT_TXER != 0 {
            self.tx.clear();
            self.new_tx = false;
        }
    }

    fn set_rctl(&mut self, value: u32) {
        self.rctl = value & (RCTL_RXEN | RCTL_AMUL | RCTL_PRMS | RCTL_BADCRC);
        if value & RCTL_RSTFIFO != 0 {
            self.rx.clear();
            self.rx_offset = 0;
        }
    }

    /// MII transactions take no time: START is clear again when the guest looks.
    fn manage_phy(&mut self, value: u32) {
        self.mctl = value & !MCTL_START;
        if value & MCTL_START == 0 {
            return;
        }
        let register = value >> 3;
        if value & MCTL_WRITE == 0 {
            self.mrxd = self.phy.read(register);
        } else if self.phy.write(register, self.mtxd) {
            self.ris |= INT_PHY;
        }
        self.ris |= INT_MD;
    }
}

/// The frame check sequence of IEEE 802.3 (section 3.2.9), bit by bit: frames are few and short.
fn crc32(data: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in data {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ if crc & 1 != 0 { 0xedb8_8320 } else { 0 };
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_check_sequence_has_its_known_check_value() {
        assert_eq!(super::crc32(b"123456789"), 0xcbf4_3926);
    }
}
