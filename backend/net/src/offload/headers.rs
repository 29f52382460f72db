//! Where the headers of a frame lie, and what of them changes with its length.

use super::checksum::{Sum, finish};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Network {
    V4,
    V6,
}

/// Offsets from the start of the frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Headers {
    pub(crate) network: Network,
    pub(crate) ip: usize,
    pub(crate) transport: usize,
    /// Where IPv6 says what comes next, for the last time.
    pub(crate) next_header: usize,
    /// End of the packet by the network header, or of the frame.
    pub(crate) end: usize,
    protocol: u8,
}

/// Most extension headers of IPv6 that are passed over.
const EXTENSIONS: usize = 8;

impl Headers {
    /// Finds the headers of a packet of that transport protocol.
    pub(crate) fn read(frame: &[u8], protocol: u8) -> Option<Self> {
        let mut at = 12;
        let mut kind = word(frame, at)?;
        for _ in 0..2 {
            if matches!(kind, 0x8100 | 0x88a8) {
                at += 4;
                kind = word(frame, at)?;
            }
        }
        let ip = at + 2;
        match kind {
            0x0800 => Self::v4(frame, ip, protocol),
            0x86dd => Self::v6(frame, ip, protocol),
            _ => None,
        }
    }

    fn v4(frame: &[u8], ip: usize, protocol: u8) -> Option<Self> {
        let first = *frame.get(ip)?;
        let len = usize::from(first & 15) * 4;
        if first >> 4 != 4 || len < 20 || *frame.get(ip + 9)? != protocol {
            return None;
        }
        Some(Self {
            network: Network::V4,
            ip,
            transport: ip + len,
            next_header: ip + 9,
            end: frame.len(),
            protocol,
        })
    }

    fn v6(frame: &[u8], ip: usize, protocol: u8) -> Option<Self> {
        if *frame.get(ip)? >> 4 != 6 {
            return None;
        }
        let (mut next_header, mut at) = (ip + 6, ip + 40);
        for _ in 0..EXTENSIONS {
            let kind = *frame.get(next_header)?;
            if kind == protocol {
                return Some(Self {
                    network: Network::V6,
                    ip,
                    transport: at,
                    next_header,
                    end: frame.len(),
                    protocol,
                });
            }
            if !matches!(kind, 0 | 43 | 60) {
                return None;
            }
            next_header = at;
            at += 8 + usize::from(*frame.get(at + 1)?) * 8;
        }
        None
    }

    /// Puts lengths and checksums right in a segment whose transport header has its checksum at `field`. `number` counts the segments.
    pub(crate) fn finish(&self, frame: &mut [u8], number: usize, field: usize) -> Option<()> {
        self.lengths(frame, number)?;
        self.checksum(frame, field)
    }

    /// Puts the network header right.
    pub(crate) fn lengths(&self, frame: &mut [u8], number: usize) -> Option<()> {
        let all = frame.len().checked_sub(self.ip)?;
        match self.network {
            Network::V4 => {
                let header_len = self.transport - self.ip;
                let header = frame.get_mut(self.ip..self.ip + header_len)?;
                header[2..4].copy_from_slice(&u16::try_from(all).ok()?.to_be_bytes());
                let id = u16::from_be_bytes([header[4], header[5]]).wrapping_add(number as u16);
                header[4..6].copy_from_slice(&id.to_be_bytes());
                header[10..12].fill(0);
                let sum = finish(Sum::default().add(header));
                header[10..12].copy_from_slice(&sum.to_be_bytes());
            }
            Network::V6 => {
                let len = u16::try_from(all.checked_sub(40)?).ok()?;
                frame
                    .get_mut(self.ip + 4..self.ip + 6)?
                    .copy_from_slice(&len.to_be_bytes());
            }
        }
        Some(())
    }

    /// Makes the checksum of the transport header.
    pub(crate) fn checksum(&self, frame: &mut [u8], field: usize) -> Option<()> {
        let at = self.transport + field;
        frame.get_mut(at..at + 2)?.fill(0);
        let addresses = match self.network {
            Network::V4 => frame.get(self.ip + 12..self.ip + 20)?,
            Network::V6 => frame.get(self.ip + 8..self.ip + 40)?,
        };
        let body = frame.get(self.transport..)?;
        let sum = Sum::default().add(addresses).add_word(self.protocol.into());
        let len = body.len() as u32;
        let sum = sum.add_word((len >> 16) as u16).add_word(len as u16).add(body);
        let sum = finish(sum);
        let sum = if sum == 0 && self.protocol == super::UDP {
            0xffff
        } else {
            sum
        };
        frame.get_mut(at..at + 2)?.copy_from_slice(&sum.to_be_bytes());
        Some(())
    }
}

fn word(frame: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*frame.get(at..)?.first_chunk()?))
}
