//! A TCP segment, read.

use smoltcp::wire::{TcpOption, TcpPacket};

/// What the engine looks at. Urgent data is data; timestamps and selective acknowledgements are not negotiated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment<'a> {
    pub(crate) source: u16,
    pub(crate) destination: u16,
    pub(crate) seq: u32,
    pub(crate) ack: Option<u32>,
    pub(crate) syn: bool,
    pub(crate) fin: bool,
    pub(crate) rst: bool,
    pub(crate) window: u16,
    /// Options, only of a SYN.
    pub(crate) mss: Option<u16>,
    pub(crate) scale: Option<u8>,
    pub(crate) payload: &'a [u8],
}

impl<'a> Segment<'a> {
    /// `None`: shorter than it says.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let packet = TcpPacket::new_checked(bytes).ok()?;
        let mut segment = Self {
            source: packet.src_port(),
            destination: packet.dst_port(),
            seq: packet.seq_number().0 as u32,
            ack: packet.ack().then(|| packet.ack_number().0 as u32),
            syn: packet.syn(),
            fin: packet.fin(),
            rst: packet.rst(),
            window: packet.window_len(),
            mss: None,
            scale: None,
            payload: packet.payload(),
        };
        if segment.syn {
            segment.options(packet.options());
        }
        Some(segment)
    }

    fn options(&mut self, mut options: &[u8]) {
        while !options.is_empty() {
            let Ok((rest, option)) = TcpOption::parse(options) else {
                return;
            };
            match option {
                TcpOption::EndOfList => return,
                TcpOption::MaxSegmentSize(mss) => self.mss = Some(mss),
                TcpOption::WindowScale(scale) => self.scale = Some(scale.min(14)),
                _ => {}
            }
            options = rest;
        }
    }

    /// Sequence numbers it takes up.
    pub(crate) fn len(&self) -> u32 {
        self.payload.len() as u32 + u32::from(self.syn) + u32::from(self.fin)
    }
}

/// `a < b` in sequence space (RFC 9293 §3.4).
pub(crate) fn before(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}

/// The later of two.
pub(crate) fn later(a: u32, b: u32) -> u32 {
    if before(a, b) { b } else { a }
}
