//! Two descriptors, one for each direction: what `file`, `pipe`, `stdio` and `serial` have in common.

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, fstat};
use rustix::io::Errno;
use southbridge_core::host::{HostEvent, Watch};
use std::io;

use crate::link::{LinkCx, LinkEvent, READ_CHUNK, sent};

const TOKEN_IN: u64 = 1;
const TOKEN_OUT: u64 = 2;

/// How a descriptor is kept from blocking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// It has `O_NONBLOCK`, and nobody else has it.
    Own,
    /// A regular file never blocks for long.
    Regular,
    /// Shared with other processes, so that its flags are not ours: asked before each short read or write.
    Shared,
}

/// One direction.
#[derive(Debug)]
struct Side {
    fd: OwnedFd,
    mode: Mode,
    watch: Watch,
}

/// Most that is written to a shared descriptor after it said that it has room: less than what a pipe guarantees.
const SHARED_CHUNK: usize = 512;

impl Side {
    fn new(fd: OwnedFd, shared: bool, token: u64) -> Self {
        let regular = fstat(&fd).is_ok_and(|s| FileType::from_raw_mode(s.st_mode) == FileType::RegularFile);
        let mode = match (regular, shared) {
            (true, _) => Mode::Regular,
            (false, true) => Mode::Shared,
            (false, false) => Mode::Own,
        };
        Self {
            fd,
            mode,
            watch: Watch::new(token),
        }
    }

    /// Whether a shared descriptor would not block; others say so themselves.
    fn would_go(&self, flags: rustix::event::PollFlags) -> bool {
        if self.mode != Mode::Shared {
            return true;
        }
        let mut fds = [rustix::event::PollFd::new(&self.fd, flags)];
        let now = rustix::event::Timespec::default();
        matches!(rustix::event::poll(&mut fds, Some(&now)), Ok(n) if n > 0)
    }

    fn read(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        if !self.would_go(rustix::event::PollFlags::IN) {
            return Err(Errno::AGAIN);
        }
        rustix::io::read(&self.fd, buffer)
    }

    fn write(&self, data: &[u8]) -> Result<usize, Errno> {
        if self.mode != Mode::Shared {
            return sent(rustix::io::write(&self.fd, data));
        }
        let mut done = 0;
        while done < data.len() && self.would_go(rustix::event::PollFlags::OUT) {
            let end = data.len().min(done + SHARED_CHUNK);
            match sent(rustix::io::write(&self.fd, &data[done..end]))? {
                0 => break,
                n => done += n,
            }
        }
        Ok(done)
    }
}

/// Input from one descriptor, output to another.
#[derive(Debug)]
pub(crate) struct Stream {
    input: Option<Side>,
    output: Option<Side>,
}

/// What a read brought to light.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    Nothing,
    /// The end of the input: no more will come from this descriptor.
    End,
}

impl Stream {
    /// From descriptors of our own, made non-blocking by who opened them.
    pub(crate) fn new(input: Option<OwnedFd>, output: Option<OwnedFd>) -> Self {
        Self {
            input: input.map(|fd| Side::new(fd, false, TOKEN_IN)),
            output: output.map(|fd| Side::new(fd, false, TOKEN_OUT)),
        }
    }

    /// From descriptors that other processes have too, each with whether it is shared.
    pub(crate) fn shared(input: (OwnedFd, bool), output: (OwnedFd, bool)) -> Self {
        Self {
            input: Some(Side::new(input.0, input.1, TOKEN_IN)),
            output: Some(Side::new(output.0, output.1, TOKEN_OUT)),
        }
    }

    /// Output goes, or is dropped when the other side is gone.
    pub(crate) fn write(&mut self, data: &[u8], fds: &mut Vec<OwnedFd>, cx: &mut LinkCx<'_, '_>) -> usize {
        fds.clear();
        let Some(out) = &mut self.output else { return data.len() };
        match out.write(data) {
            Ok(n) if n < data.len() && out.mode != Mode::Regular => {
                out.watch.want_write(true, &out.fd, cx.host);
                n
            }
            Ok(n) if n < data.len() => {
                // A full disk takes part of it; the rest is lost rather than the guest held up.
                data.len()
            }
            Ok(n) => n,
            Err(_) => {
                self.drop_output(cx);
                data.len()
            }
        }
    }

    fn drop_output(&mut self, cx: &mut LinkCx<'_, '_>) {
        if let Some(mut out) = self.output.take_if(|o| o.mode != Mode::Regular) {
            out.watch.stop(&out.fd, cx.host);
        }
    }

    /// Looks for input. A regular file is read at once, so that its bytes reach the guest at the same instruction in each run.
    pub(crate) fn room_grew(&mut self, cx: &mut LinkCx<'_, '_>) -> Seen {
        match &mut self.input {
            Some(i) if i.mode == Mode::Regular => self.read(cx),
            Some(i) => {
                i.watch.want_read(true, &i.fd, cx.host);
                Seen::Nothing
            }
            None => Seen::Nothing,
        }
    }

    pub(crate) fn on_host(&mut self, event: HostEvent, cx: &mut LinkCx<'_, '_>) -> Seen {
        let can_write = self.output.as_ref().and_then(|o| o.watch.ready(event));
        if can_write.is_some_and(|r| r.write || r.hangup) {
            if let Some(o) = &mut self.output {
                o.watch.want_write(false, &o.fd, cx.host);
            }
            cx.tell(LinkEvent::Writable);
        }
        match self.input.as_ref().and_then(|i| i.watch.ready(event)) {
            Some(r) if r.read || r.hangup => self.read(cx),
            _ => Seen::Nothing,
        }
    }

    fn read(&mut self, cx: &mut LinkCx<'_, '_>) -> Seen {
        let Some(i) = &mut self.input else { return Seen::Nothing };
        if cx.room == 0 {
            i.watch.want_read(false, &i.fd, cx.host);
            return Seen::Nothing;
        }
        let mut buffer = vec![0; cx.room.min(READ_CHUNK)];
        match i.read(&mut buffer) {
            Err(Errno::AGAIN | Errno::INTR) => {
                i.watch.want_read(true, &i.fd, cx.host);
                Seen::Nothing
            }
            Ok(0) | Err(_) => {
                self.drop_input(cx);
                Seen::End
            }
            Ok(n) => {
                buffer.truncate(n);
                cx.data(buffer, Vec::new());
                if i.mode != Mode::Regular {
                    // Arms again what stands for epoll with devices that epoll refuses.
                    i.watch.want_read(true, &i.fd, cx.host);
                }
                Seen::Nothing
            }
        }
    }

    /// Does not look for input until [`Stream::room_grew`].
    pub(crate) fn pause_input(&mut self, cx: &mut LinkCx<'_, '_>) {
        if let Some(i) = &mut self.input {
            i.watch.want_read(false, &i.fd, cx.host);
        }
    }

    fn drop_input(&mut self, cx: &mut LinkCx<'_, '_>) {
        if let Some(mut i) = self.input.take() {
            i.watch.stop(&i.fd, cx.host);
        }
    }

    pub(crate) fn output_fd(&self) -> Option<rustix::fd::BorrowedFd<'_>> {
        self.output.as_ref().map(|o| o.fd.as_fd())
    }

    pub(crate) fn close(&mut self, cx: &mut LinkCx<'_, '_>) {
        self.drop_input(cx);
        if let Some(mut out) = self.output.take() {
            out.watch.stop(&out.fd, cx.host);
        }
    }
}

/// Sets `O_NONBLOCK` on a descriptor that nobody else has.
pub(crate) fn make_nonblocking(fd: impl AsFd) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(&fd)?;
    rustix::fs::fcntl_setfl(&fd, flags | rustix::fs::OFlags::NONBLOCK)?;
    Ok(())
}
