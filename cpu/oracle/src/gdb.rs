//! A client of gdb's remote serial protocol, as much of it as drives one core: memory, registers, go, step, stop.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// A connection to a gdb server.
pub struct Gdb {
    socket: UnixStream,
    buffer: Vec<u8>,
    /// How long an answer may take.
    pub patience: Duration,
}

impl Gdb {
    /// Over a connected socket.
    pub fn new(socket: UnixStream) -> Self {
        Gdb {
            socket,
            buffer: Vec::new(),
            patience: Duration::from_secs(20),
        }
    }

    /// Sends a packet.
    fn send(&mut self, payload: &str) -> io::Result<()> {
        let sum = payload.bytes().fold(0u8, u8::wrapping_add);
        // The acknowledgement of the last answer goes along.
        self.socket.write_all(format!("+${payload}#{sum:02x}").as_bytes())
    }

    /// The next packet; acknowledgements are skipped.
    fn receive(&mut self) -> io::Result<String> {
        let end = Instant::now() + self.patience;
        loop {
            if let Some(packet) = self.take_packet()? {
                return Ok(packet);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.socket.set_read_timeout(Some(left))?;
            let mut chunk = [0; 8192];
            match self.socket.read(&mut chunk) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => self.buffer.extend(&chunk[..n]),
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(e) => return Err(e),
            }
        }
    }

    fn take_packet(&mut self) -> io::Result<Option<String>> {
        let Some(start) = self.buffer.iter().position(|b| *b == b'$') else {
            self.buffer.clear();
            return Ok(None);
        };
        let Some(len) = self.buffer[start..].iter().position(|b| *b == b'#') else {
            return Ok(None);
        };
        let Some(sum) = self.buffer.get(start + len + 1..start + len + 3) else {
            return Ok(None);
        };
        let body = &self.buffer[start + 1..start + len];
        let expected = body.iter().fold(0u8, |a, b| a.wrapping_add(*b));
        let said = std::str::from_utf8(sum)
            .ok()
            .and_then(|s| u8::from_str_radix(s, 16).ok());
        let text = String::from_utf8_lossy(body).into_owned();
        self.buffer.drain(..start + len + 3);
        if said == Some(expected) {
            Ok(Some(text))
        } else {
            Err(bad("checksum"))
        }
    }

    fn ask(&mut self, payload: &str) -> io::Result<String> {
        self.send(payload)?;
        self.receive()
    }

    fn command(&mut self, payload: &str) -> io::Result<()> {
        match self.ask(payload)?.as_str() {
            "OK" => Ok(()),
            other => Err(bad(&format!("'{other}' to '{}'", &payload[..payload.len().min(20)]))),
        }
    }

    /// Fetches the target's description: older QEMUs know single registers only for clients that have read it.
    pub fn hello(&mut self) -> io::Result<()> {
        self.ask("qXfer:features:read:target.xml:0,ffb").map(drop)
    }

    /// Writes memory; servers take about 2,000 bytes at once.
    pub fn write(&mut self, addr: u32, bytes: &[u8]) -> io::Result<()> {
        for (chunk, at) in bytes.chunks(1900).zip((addr..).step_by(1900)) {
            let hex: String = chunk.iter().map(|b| format!("{b:02x}")).collect();
            self.command(&format!("M{at:x},{:x}:{hex}", chunk.len()))?;
        }
        Ok(())
    }

    /// Reads up to 2,000 bytes of memory.
    pub fn read(&mut self, addr: u32, len: usize) -> io::Result<Vec<u8>> {
        let answer = self.ask(&format!("m{addr:x},{len:x}"))?;
        let bytes = unhex(&answer).ok_or_else(|| bad(&answer))?;
        if bytes.len() == len {
            Ok(bytes)
        } else {
            Err(bad("length"))
        }
    }

    /// Reads a core register by its number: 0 to 15, and 25 for xPSR.
    pub fn register(&mut self, number: u32) -> io::Result<u32> {
        let answer = self.ask(&format!("p{number:x}"))?;
        let bytes = unhex(&answer).ok_or_else(|| bad(&answer))?;
        let bytes = bytes.try_into().map_err(|_| bad(&answer))?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// Writes a core register.
    pub fn set_register(&mut self, number: u32, value: u32) -> io::Result<()> {
        self.command(&format!("P{number:x}={:08x}", value.swap_bytes()))
    }

    /// Sets a breakpoint.
    pub fn breakpoint(&mut self, addr: u32) -> io::Result<()> {
        self.command(&format!("Z0,{addr:x},2"))
    }

    /// Goes on at an address (bit 0 set for Thumb) until the next stop.
    pub fn run_from(&mut self, addr: u32) -> io::Result<String> {
        self.ask(&format!("c{addr:x}"))
    }

    /// One instruction from `addr`, or from where the core stands.
    pub fn step(&mut self, addr: Option<u32>) -> io::Result<String> {
        match addr {
            Some(addr) => self.ask(&format!("s{addr:x}")),
            None => self.ask("s"),
        }
    }

    /// Stops a running core.
    pub fn interrupt(&mut self) -> io::Result<String> {
        self.socket.write_all(&[3])?;
        self.receive()
    }
}

fn unhex(s: &str) -> Option<Vec<u8>> {
    if !s.len().is_multiple_of(2) || s.starts_with('E') {
        return None;
    }
    (0..s.len() / 2)
        .map(|i| u8::from_str_radix(s.get(2 * i..2 * i + 2)?, 16).ok())
        .collect()
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("gdb server: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_framed_and_checked() {
        let (here, mut there) = UnixStream::pair().unwrap();
        let mut gdb = Gdb::new(here);
        gdb.patience = Duration::from_millis(50);
        // Two bytes, an error, an answer with a wrong checksum, and one that is right.
        there.write_all(b"++$e0ff#61$E14#aa+$OK#00$OK#9a").unwrap();
        assert_eq!(gdb.read(0x10, 2).unwrap(), [0xe0, 0xff]);
        assert_eq!(gdb.read(0x10, 2).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(gdb.write(0x20, &[0xab]).unwrap_err().kind(), io::ErrorKind::InvalidData);
        gdb.breakpoint(0).unwrap();
        let mut sent = [0; 128];
        let n = there.read(&mut sent).unwrap();
        assert_eq!(&sent[..n], b"+$m10,2#2c+$m10,2#2c+$M20,1:ab#09+$Z0,0,2#44".as_slice());
    }

    #[test]
    fn silence_is_an_error() {
        let (here, _there) = UnixStream::pair().unwrap();
        let mut gdb = Gdb::new(here);
        gdb.patience = Duration::from_millis(20);
        assert_eq!(gdb.register(0).unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
