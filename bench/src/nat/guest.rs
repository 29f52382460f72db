//! A scripted guest: as little of a TCP as gets bytes across a wire that loses nothing. `bench/slirp/nat.c` has the same one in C.

use southbridge_backend_usernet::Meta;

const WINDOW_SCALE: u8 = 7;
/// Ethernet, IPv4 and TCP without options.
pub(crate) const HEADERS: usize = 54;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 0x10;

/// One connection to the host.
pub(crate) struct Guest {
    port: u16,
    seq: u32,
    acked: u32,
    window: u32,
    ack: u32,
    scale: u8,
    /// The connection is made.
    pub(crate) connected: bool,
    /// Bytes from the host.
    pub(crate) received: u64,
    /// Checksums are left to the other side.
    offload: bool,
    /// A full segment and the sum of its payload.
    frame: Vec<u8>,
    payload: usize,
    payload_sum: u32,
}

fn sum(data: &[u8]) -> u32 {
    data.chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)])))
        .sum()
}

fn fold(mut total: u32) -> u16 {
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    total as u16
}

impl Guest {
    /// One that will connect to a port of the host, and send segments of so many bytes.
    pub(crate) fn new(port: u16, payload: usize, offload: bool) -> Self {
        let mut frame = vec![
            0x52, 0x55, 10, 0, 2, 2, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 8, 0, 0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6,
        ];
        frame.extend_from_slice(&[0, 0, 10, 0, 2, 15, 10, 0, 2, 2]);
        frame.resize(HEADERS, 0);
        frame.extend((0..payload).map(|i| i as u8));
        let payload_sum = u32::from(fold(sum(&frame[HEADERS..])));
        Self {
            port,
            seq: 1000,
            acked: 1000,
            window: 0,
            ack: 0,
            scale: 0,
            connected: false,
            received: 0,
            offload,
            frame,
            payload,
            payload_sum,
        }
    }

    /// Writes the headers of the next segment over the prepared frame; returns how long it is.
    fn segment(&mut self, flags: u8, payload: usize) -> usize {
        let length = HEADERS - 14 + payload;
        let f = &mut self.frame;
        f[16..18].copy_from_slice(&(length as u16).to_be_bytes());
        f[24..26].fill(0);
        let header = !fold(sum(&f[14..34]));
        f[24..26].copy_from_slice(&header.to_be_bytes());
        f[34..36].copy_from_slice(&40_000_u16.to_be_bytes());
        f[36..38].copy_from_slice(&self.port.to_be_bytes());
        f[38..42].copy_from_slice(&self.seq.to_be_bytes());
        f[42..46].copy_from_slice(&self.ack.to_be_bytes());
        f[46] = 0x50;
        f[47] = flags;
        f[48..50].copy_from_slice(&0xffff_u16.to_be_bytes());
        f[50..54].fill(0);
        if !self.offload {
            let payload_sum = if payload > 0 { self.payload_sum } else { 0 };
            let check = !fold(sum(&f[26..34]) + 6 + (length - 20) as u32 + sum(&f[34..54]) + payload_sum);
            f[50..52].copy_from_slice(&check.to_be_bytes());
        }
        HEADERS + payload
    }

    /// What goes with each of its frames.
    pub(crate) fn meta(&self) -> Meta {
        Meta {
            partial_checksum: self.offload.then_some((34, 16)),
            ..Meta::default()
        }
    }

    /// The first frame, which tells segment size and window scale.
    pub(crate) fn syn(&mut self) -> Vec<u8> {
        self.segment(SYN, 0);
        let mut frame = self.frame[..HEADERS].to_vec();
        frame.extend_from_slice(&[2, 4, 5, 180, 1, 3, 3, WINDOW_SCALE]);
        frame[46] = 0x70;
        frame[16..18].copy_from_slice(&48_u16.to_be_bytes());
        frame[24..26].fill(0);
        let header = !fold(sum(&frame[14..34]));
        frame[24..26].copy_from_slice(&header.to_be_bytes());
        frame[50..52].fill(0);
        if !self.offload {
            let check = !fold(sum(&frame[26..34]) + 6 + 28 + sum(&frame[34..]));
            frame[50..52].copy_from_slice(&check.to_be_bytes());
        }
        frame
    }

    /// All is received that came so far.
    pub(crate) fn acknowledgement(&mut self) -> &[u8] {
        let len = self.segment(ACK, 0);
        &self.frame[..len]
    }

    /// The next full segment, if the window has room for it.
    pub(crate) fn data(&mut self) -> Option<&[u8]> {
        let out = self.seq.wrapping_sub(self.acked) + self.payload as u32;
        if !self.connected || out > self.window {
            return None;
        }
        let len = self.segment(ACK, self.payload);
        self.seq = self.seq.wrapping_add(self.payload as u32);
        Some(&self.frame[..len])
    }

    /// Takes a frame; `true` if there is something to acknowledge.
    pub(crate) fn take(&mut self, frame: &[u8]) -> bool {
        if frame[12..14] != [8, 0] || frame[23] != 6 {
            return false;
        }
        let word = |at: usize| u32::from_be_bytes([frame[at], frame[at + 1], frame[at + 2], frame[at + 3]]);
        let (seq, ack, flags) = (word(38), word(42), frame[47]);
        assert_eq!(flags & RST, 0, "a reset");
        let window = u32::from(u16::from_be_bytes([frame[48], frame[49]]));
        if flags & SYN != 0 {
            self.connected = true;
            self.seq += 1;
            self.acked = self.seq;
            self.ack = seq + 1;
            self.scale = if frame[46] >> 4 > 6 { frame[61] } else { 0 };
            self.window = window;
            return true;
        }
        self.acked = ack;
        self.window = window << self.scale;
        let payload = usize::from(u16::from_be_bytes([frame[16], frame[17]])) - 40;
        if payload == 0 {
            return false;
        }
        assert_eq!(seq, self.ack, "a hole");
        self.ack = self.ack.wrapping_add(payload as u32);
        self.received += payload as u64;
        true
    }
}
