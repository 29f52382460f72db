//! `pipe`: two FIFOs, `PATH.in` for input and `PATH.out` for output, or one file for both.

use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use southbridge_core::host::HostEvent;

use super::stream::Stream;
use super::{Make, required};
use crate::error::CharError;
use crate::link::{Link, LinkCx};

struct Pipe(Stream);

impl Link for Pipe {
    fn on_host(&mut self, event: HostEvent, cx: &mut LinkCx<'_, '_>) {
        self.0.on_host(event, cx);
    }

    fn write(&mut self, data: &[u8], fds: &mut Vec<OwnedFd>, cx: &mut LinkCx<'_, '_>) -> usize {
        self.0.write(data, fds, cx)
    }

    fn room_grew(&mut self, cx: &mut LinkCx<'_, '_>) {
        self.0.room_grew(cx);
    }

    fn describe(&self) -> String {
        "pipe".into()
    }

    fn output_fd(&self) -> Option<BorrowedFd<'_>> {
        self.0.output_fd()
    }

    fn close(&mut self, cx: &mut LinkCx<'_, '_>) {
        self.0.close(cx);
    }
}

/// Both ways, so that opening never waits for the other end, and its going is no end of the file.
fn open(path: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    rustix::fs::open(path, flags, Mode::empty())
}

pub(super) fn make(make: &mut Make<'_>) -> Result<Box<dyn Link>, CharError> {
    let path = required(make.options, "pipe", "path", "NAME")?;
    let (input, output) = match (open(&format!("{path}.in")), open(&format!("{path}.out"))) {
        (Ok(i), Ok(o)) => (i, o),
        (i, o) => {
            let failed = |e| {
                let pair = i.as_ref().err().or(o.as_ref().err()).copied().unwrap_or(e);
                let what = format!("cannot open '{path}.in' and '{path}.out' ({pair}), nor '{path}'");
                CharError::host(Some("path"), what, e)
            };
            let both = open(path).map_err(failed)?;
            let copy = rustix::io::fcntl_dupfd_cloexec(&both, 3).map_err(failed)?;
            (both, copy)
        }
    };
    Ok(Box::new(Pipe(Stream::new(Some(input), Some(output)))))
}
