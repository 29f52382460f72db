//! Frames: `$payload#checksum`, acknowledgements, and the interrupt byte ("Overview", E.1).

use crate::hex::digit;

/// Bytes of a packet at most, as told in `PacketSize`; a longer one is thrown away.
pub const MAX_PACKET: usize = 0x8000;

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A whole packet with escapes undone.
    Packet(Vec<u8>),
    /// A packet whose checksum is wrong, or that is too long.
    Damaged,
    /// The other side has our last packet.
    Ack,
    /// The other side wants our last packet again.
    Nack,
    /// Ctrl-C.
    Interrupt,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Between,
    Payload,
    FirstDigit,
    SecondDigit(Option<u8>),
}

/// Takes bytes as they come.
#[derive(Debug, Default)]
pub struct Receiver {
    state: State,
    payload: Vec<u8>,
    sum: u8,
    too_long: bool,
}

impl Receiver {
    /// One byte. Noise between packets is ignored.
    pub fn push(&mut self, byte: u8) -> Option<Input> {
        match self.state {
            State::Between => return self.between(byte),
            State::Payload => match byte {
                b'#' => self.state = State::FirstDigit,
                b'$' => self.begin(),
                _ => self.take(byte),
            },
            State::FirstDigit => self.state = State::SecondDigit(digit(byte)),
            State::SecondDigit(high) => {
                self.state = State::Between;
                let sum = high.zip(digit(byte)).map(|(h, l)| h << 4 | l);
                return Some(self.finish(sum));
            }
        }
        None
    }

    fn between(&mut self, byte: u8) -> Option<Input> {
        match byte {
            b'$' => {
                self.begin();
                None
            }
            b'+' => Some(Input::Ack),
            b'-' => Some(Input::Nack),
            0x03 => Some(Input::Interrupt),
            _ => None,
        }
    }

    fn begin(&mut self) {
        *self = Self {
            state: State::Payload,
            ..Self::default()
        };
    }

    fn take(&mut self, byte: u8) {
        self.sum = self.sum.wrapping_add(byte);
        if self.payload.len() < MAX_PACKET {
            self.payload.push(byte);
        } else {
            self.too_long = true;
        }
    }

    fn finish(&mut self, sum: Option<u8>) -> Input {
        let payload = std::mem::take(&mut self.payload);
        if self.too_long || sum != Some(self.sum) {
            return Input::Damaged;
        }
        Input::Packet(unescape(&payload))
    }
}

/// `}` makes the byte behind it an escaped one.
fn unescape(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len());
    let mut bytes = payload.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'}' => out.extend(bytes.next().map(|b| b ^ 0x20)),
            _ => out.push(*byte),
        }
    }
    out
}

/// Puts a payload into a frame.
pub fn frame(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 4);
    out.push(b'$');
    for byte in payload {
        match byte {
            b'$' | b'#' | b'}' | b'*' => out.extend([b'}', byte ^ 0x20]),
            _ => out.push(*byte),
        }
    }
    let sum = out[1..].iter().fold(0u8, |s, b| s.wrapping_add(*b));
    out.extend(format!("#{sum:02x}").bytes());
    out
}
