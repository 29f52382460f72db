//! Frames on a stream: each after its length in four bytes, big endian. QEMU's, so that a QEMU can be the peer. Pure.

use crate::packet::MAX_FRAME;

/// Reads frames out of a stream that may be cut anywhere.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    bytes: Vec<u8>,
    /// What has been read of them.
    done: usize,
}

/// The peer announced a frame that is longer than any can be: what follows cannot be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLong(pub(crate) u32);

impl Decoder {
    /// Adds what came.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        // What is done goes when it is the greater part: moving the rest costs no more than it did to come here.
        if self.done * 2 >= self.bytes.len() {
            self.bytes.drain(..self.done);
            self.done = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Bytes that have not been read yet.
    pub(crate) fn waiting(&self) -> usize {
        self.bytes.len() - self.done
    }

    /// The next whole frame.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, TooLong> {
        loop {
            let rest = self.bytes.get(self.done..).unwrap_or_default();
            let Some((length, rest)) = rest.split_first_chunk::<4>() else {
                return Ok(None);
            };
            let length = u32::from_be_bytes(*length);
            let len = length as usize;
            if len > MAX_FRAME {
                return Err(TooLong(length));
            }
            if rest.len() < len {
                return Ok(None);
            }
            let start = self.done + 4;
            self.done = start + len;
            if len > 0 {
                return Ok(self.bytes.get(start..start + len));
            }
        }
    }
}

/// The length that goes before a frame.
pub(crate) const fn header(frame: &[u8]) -> [u8; 4] {
    (frame.len() as u32).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_may_be_cut_anywhere() {
        let mut stream = Vec::new();
        for f in [&b"first"[..], b"", b"second frame"] {
            stream.extend(header(f));
            stream.extend(f);
        }
        for cut in 0..stream.len() {
            let mut d = Decoder::default();
            let mut got = Vec::new();
            for part in [&stream[..cut], &stream[cut..]] {
                d.push(part);
                while let Some(f) = d.next().expect("lengths are right") {
                    got.push(f.to_vec());
                }
            }
            assert_eq!(got, [&b"first"[..], b"second frame"], "cut at {cut}");
        }
    }

    #[test]
    fn a_length_beyond_all_frames_is_an_error() {
        let mut d = Decoder::default();
        d.push(&(MAX_FRAME as u32 + 1).to_be_bytes());
        assert_eq!(d.next(), Err(TooLong(MAX_FRAME as u32 + 1)));
    }
}
