//! One connected peer on a stream: frames with their lengths, both ways.

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use southbridge_core::host::{HostEvent, Watch};

use super::framing::{Decoder, header};
use crate::link::{LinkCx, LinkEvent};
use crate::packet::{Packet, VnetHeader};

/// Most bytes of one read.
const CHUNK: usize = 1 << 16;
/// Reads in a row before others get their turn.
const READS: usize = 4;
/// Bytes that may wait for the host: one socket buffer's worth.
const PENDING: usize = 1 << 18;

pub(crate) struct Connection {
    fd: OwnedFd,
    watch: Watch,
    decoder: Decoder,
    /// Bytes that are read although the front end has no room for them now.
    ahead: usize,
    buffer: Vec<u8>,
    /// Encoded, not sent yet.
    out: Vec<u8>,
    /// What of it is sent.
    sent: usize,
    /// A frame was not taken.
    starved: bool,
}

/// Why a connection ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The peer has closed it, or is gone.
    Closed,
    /// What came is no stream of frames.
    Oversized(u32),
}

impl Connection {
    pub(crate) fn new(fd: OwnedFd, token: u64) -> Self {
        // Each frame is sent at once; unix sockets know no delay.
        let _ = rustix::net::sockopt::set_tcp_nodelay(&fd, true);
        Self {
            fd,
            watch: Watch::new(token),
            decoder: Decoder::default(),
            ahead: 0,
            buffer: Vec::new(),
            out: Vec::new(),
            sent: 0,
            starved: false,
        }
    }

    /// For a peer that loses what does not fit into the socket: reads so many bytes ahead of the front end.
    pub(crate) fn reading_ahead(self, bytes: usize) -> Self {
        Self { ahead: bytes, ..self }
    }

    pub(crate) fn start(&mut self, cx: &mut LinkCx<'_, '_>) -> Result<(), End> {
        self.receive(cx)
    }

    /// `Ok(false)`: no room.
    pub(crate) fn send(&mut self, packet: Packet<'_>, cx: &mut LinkCx<'_, '_>) -> bool {
        if self.out.len() - self.sent > PENDING {
            self.starved = true;
            return false;
        }
        self.out.extend_from_slice(&header(packet.frame));
        self.out.extend_from_slice(packet.frame);
        // The peer's end is seen by reading, where what it still sent comes first.
        let _ = self.flush(cx);
        true
    }

    fn flush(&mut self, cx: &mut LinkCx<'_, '_>) -> Result<(), Errno> {
        while self.sent < self.out.len() {
            let rest = self.out.get(self.sent..).unwrap_or_default();
            match send(&self.fd, rest, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(n) => self.sent += n,
                Err(Errno::AGAIN | Errno::INTR) => break,
                Err(e) => {
                    self.out.clear();
                    self.sent = 0;
                    self.watch.want_write(false, &self.fd, cx.host);
                    return Err(e);
                }
            }
        }
        if self.sent == self.out.len() {
            self.out.clear();
            self.sent = 0;
        }
        self.watch.want_write(!self.out.is_empty(), &self.fd, cx.host);
        if self.starved && self.out.len() - self.sent < PENDING / 2 {
            self.starved = false;
            cx.tell(LinkEvent::Writable);
        }
        Ok(())
    }

    pub(crate) fn on_host(&mut self, event: HostEvent, cx: &mut LinkCx<'_, '_>) -> Result<(), End> {
        let Some(ready) = self.watch.ready(event) else {
            return Ok(());
        };
        if ready.write {
            let _ = self.flush(cx);
        }
        if ready.read || ready.hangup {
            return self.receive(cx);
        }
        Ok(())
    }

    /// Hands on what came, and reads more, while there is room.
    pub(crate) fn receive(&mut self, cx: &mut LinkCx<'_, '_>) -> Result<(), End> {
        self.hand_on(cx)?;
        for _ in 0..READS {
            if cx.room(0) == 0 && self.decoder.waiting() >= self.ahead {
                self.watch.want_read(false, &self.fd, cx.host);
                return Ok(());
            }
            self.buffer.resize(CHUNK, 0);
            match recv(&self.fd, &mut self.buffer[..], RecvFlags::DONTWAIT) {
                Ok((0, _)) => return Err(End::Closed),
                Ok((n, _)) => self.decoder.push(&self.buffer[..n]),
                Err(Errno::AGAIN | Errno::INTR) => break,
                Err(_) => return Err(End::Closed),
            }
            self.hand_on(cx)?;
        }
        self.watch.want_read(true, &self.fd, cx.host);
        Ok(())
    }

    fn hand_on(&mut self, cx: &mut LinkCx<'_, '_>) -> Result<(), End> {
        while cx.room(0) > 0 {
            match self.decoder.next() {
                Ok(Some(frame)) => cx.frame(0, VnetHeader::NONE, frame.to_vec()),
                Ok(None) => break,
                Err(long) => return Err(End::Oversized(long.0)),
            }
        }
        Ok(())
    }

    pub(crate) fn close(&mut self, cx: &mut LinkCx<'_, '_>) {
        self.watch.stop(&self.fd, cx.host);
        // An inherited descriptor has a twin that stays open, so that closing alone would tell the peer nothing.
        let _ = rustix::net::shutdown(&self.fd, rustix::net::Shutdown::Both);
    }
}
