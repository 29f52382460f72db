//! `serial`: a serial port of the host, raw at 115200 8N1.

use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::termios::{ControlModes, OptionalActions, Termios, isatty, tcgetattr, tcsendbreak, tcsetattr};
use southbridge_core::host::HostEvent;

use super::stream::{Seen, Stream};
use super::{Make, required};
use crate::error::CharError;
use crate::link::{Link, LinkCx, LinkEvent};

struct Serial {
    stream: Stream,
    before: Termios,
    /// The adapter was not pulled out.
    there: bool,
}

impl Serial {
    fn saw(&mut self, seen: Seen, cx: &mut LinkCx<'_, '_>) {
        if seen == Seen::End && std::mem::take(&mut self.there) {
            cx.tell(LinkEvent::Closed);
        }
    }
}

impl Link for Serial {
    fn on_host(&mut self, event: HostEvent, cx: &mut LinkCx<'_, '_>) {
        let seen = self.stream.on_host(event, cx);
        self.saw(seen, cx);
    }

    fn write(&mut self, data: &[u8], fds: &mut Vec<OwnedFd>, cx: &mut LinkCx<'_, '_>) -> usize {
        self.stream.write(data, fds, cx)
    }

    fn room_grew(&mut self, cx: &mut LinkCx<'_, '_>) {
        let seen = self.stream.room_grew(cx);
        self.saw(seen, cx);
    }

    /// A break lasts a quarter of a second and the call as long, so a thread makes it.
    fn send_break(&mut self, _cx: &mut LinkCx<'_, '_>) {
        let copy = self.stream.output_fd().and_then(|fd| fd.try_clone_to_owned().ok());
        if let Some(fd) = copy {
            let work = move || {
                let _ = tcsendbreak(&fd);
            };
            let _ = std::thread::Builder::new().name("serial-break".into()).spawn(work);
        }
    }

    fn is_open(&self) -> bool {
        self.there
    }

    fn describe(&self) -> String {
        "serial".into()
    }

    fn output_fd(&self) -> Option<BorrowedFd<'_>> {
        self.stream.output_fd()
    }

    fn close(&mut self, cx: &mut LinkCx<'_, '_>) {
        if let Some(fd) = self.stream.output_fd() {
            let _ = tcsetattr(fd, OptionalActions::Now, &self.before);
        }
        self.stream.close(cx);
    }
}

pub(super) fn make(make: &mut Make<'_>) -> Result<Box<dyn Link>, CharError> {
    let path = required(make.options, "serial", "path", "DEVICE")?;
    let failed = |e| CharError::host(Some("path"), format!("cannot use '{path}'"), e);
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(failed)?;
    if !isatty(&fd) {
        return Err(CharError::BadValue {
            option: "path".into(),
            value: path.into(),
            expected: "a serial port (this is no terminal device; for plain files there is 'file')".into(),
        });
    }
    let before = tcgetattr(&fd).map_err(failed)?;
    let mut raw = before.clone();
    raw.make_raw();
    raw.control_modes -= ControlModes::PARODD | ControlModes::CRTSCTS | ControlModes::CSTOPB;
    raw.set_speed(115_200).map_err(failed)?;
    tcsetattr(&fd, OptionalActions::Now, &raw).map_err(failed)?;
    let copy = rustix::io::fcntl_dupfd_cloexec(&fd, 3).map_err(failed)?;
    Ok(Box::new(Serial {
        stream: Stream::new(Some(fd), Some(copy)),
        before,
        there: true,
    }))
}
