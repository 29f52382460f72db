//! `file`: output to a file, and input from another if wanted.

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use southbridge_core::host::HostEvent;

use super::stream::Stream;
use super::{Make, required};
use crate::error::CharError;
use crate::link::{Link, LinkCx};

struct File(Stream);

impl Link for File {
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
        "file".into()
    }

    fn close(&mut self, cx: &mut LinkCx<'_, '_>) {
        self.0.close(cx);
    }
}

pub(super) fn make(make: &mut Make<'_>) -> Result<Box<dyn Link>, CharError> {
    let path = required(make.options, "file", "path", "FILE")?;
    let keep = if make.options.bool("append") {
        OFlags::APPEND
    } else {
        OFlags::TRUNC
    };
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOCTTY | keep;
    // The file that gives input is opened first: if it is not there, the other is not emptied for nothing.
    let input = make
        .options
        .str("input-path")
        .map(|p| open("input-path", p, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY))
        .transpose()?;
    let output = open("path", path, flags)?;
    Ok(Box::new(File(Stream::new(input, Some(output)))))
}

/// Opens without ever waiting for the other end of a FIFO.
fn open(option: &'static str, path: &str, flags: OFlags) -> Result<OwnedFd, CharError> {
    rustix::fs::open(path, flags | OFlags::NONBLOCK, Mode::from_raw_mode(0o666))
        .map_err(|e| CharError::host(Some(option), format!("cannot open '{path}'"), e))
}
