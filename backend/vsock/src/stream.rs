//! One stream: a connected Unix socket.

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};
use southbridge_core::host::{HostCx, Interest, WatchId};

/// Longest first line of a program of the host, with its end: `CONNECT 4294967295`.
const MOST_LINE: usize = 32;
/// Bytes that are read in one go.
const PIECE: usize = 16 * 1024;

pub(crate) struct Stream {
    fd: OwnedFd,
    watch: WatchId,
    token: u64,
    /// What was read of the first line; `None` when it is over.
    line: Option<Vec<u8>>,
    room: usize,
    /// The host sends nothing more.
    pub(crate) ended: bool,
    /// A write was cut short.
    starved: bool,
    watched: Interest,
}

/// What reading brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read {
    Nothing,
    Port(u32),
    Data(Vec<u8>),
    End,
    Gone,
}

impl Stream {
    pub(crate) fn new(fd: OwnedFd, asks: bool, token: u64, cx: &mut HostCx<'_>) -> std::io::Result<Self> {
        // For changes only: a hang-up that is not acted upon yet must not come again and again.
        let mut watched = Interest::EDGE;
        watched.set(Interest::READ, asks);
        let watch = cx.watch(&fd, watched, token)?;
        Ok(Self {
            fd,
            watch,
            token,
            line: asks.then(Vec::new),
            room: 0,
            ended: false,
            starved: false,
            watched,
        })
    }

    /// Whether it still has to say which port it wants.
    pub(crate) fn asks(&self) -> bool {
        self.line.is_some()
    }

    pub(crate) fn token(&self) -> u64 {
        self.token
    }

    pub(crate) fn close(&self, cx: &mut HostCx<'_>) {
        cx.unwatch(self.watch, &self.fd);
    }

    /// Watches for what is wanted now.
    pub(crate) fn rewatch(&mut self, cx: &mut HostCx<'_>) {
        let mut wanted = Interest::EDGE;
        wanted.set(Interest::READ, !self.ended && (self.asks() || self.room > 0));
        wanted.set(Interest::WRITE, self.starved);
        if wanted != self.watched && cx.rewatch(self.watch, &self.fd, wanted).is_ok() {
            self.watched = wanted;
        }
    }

    pub(crate) fn set_room(&mut self, room: usize) {
        self.room = room;
    }

    /// Reads what there is room for.
    pub(crate) fn read(&mut self) -> Read {
        if self.ended {
            return Read::Nothing;
        }
        if let Some(line) = &mut self.line {
            return match read_line(&self.fd, line) {
                Read::Port(port) => {
                    self.line = None;
                    Read::Port(port)
                }
                other => other,
            };
        }
        let mut data = vec![0; self.room.min(PIECE)];
        if data.is_empty() {
            return Read::Nothing;
        }
        match recv(&self.fd, data.as_mut_slice(), RecvFlags::DONTWAIT) {
            Ok((0, _)) => {
                self.ended = true;
                Read::End
            }
            Ok((n, _)) => {
                data.truncate(n);
                self.room -= n;
                Read::Data(data)
            }
            Err(Errno::AGAIN | Errno::INTR) => Read::Nothing,
            Err(_) => Read::Gone,
        }
    }

    /// How many bytes were taken; `None` if the host listens no more.
    pub(crate) fn write(&mut self, data: &[u8]) -> Option<usize> {
        let mut done = 0;
        while done < data.len() {
            match send(&self.fd, &data[done..], SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(n) => done += n,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    self.starved = true;
                    break;
                }
                Err(_) => return None,
            }
        }
        Some(done)
    }

    /// There is room to write: whether somebody waits for it.
    pub(crate) fn writable(&mut self) -> bool {
        std::mem::take(&mut self.starved)
    }

    pub(crate) fn end(&self) {
        let _ = shutdown(&self.fd, Shutdown::Write);
    }
}

/// Reads the first line byte by byte, so that nothing behind it is lost.
fn read_line(fd: &OwnedFd, line: &mut Vec<u8>) -> Read {
    loop {
        let mut byte = [0];
        match recv(fd, &mut byte, RecvFlags::DONTWAIT) {
            Ok((0, _)) => return Read::Gone,
            Ok(_) if byte[0] == b'\n' => break,
            Ok(_) if line.len() >= MOST_LINE => return Read::Gone,
            Ok(_) => line.push(byte[0]),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Read::Nothing,
            Err(_) => return Read::Gone,
        }
    }
    let text = std::str::from_utf8(line).unwrap_or("").trim_end();
    let port = text.strip_prefix("CONNECT ").and_then(|n| n.parse().ok());
    port.map_or(Read::Gone, Read::Port)
}
