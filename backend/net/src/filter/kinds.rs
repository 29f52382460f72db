//! The kinds of filters, from parameters to a filter in its place.

use southbridge_backend_chardev::CharHandle;
use southbridge_core::host::{BackendId, Host, HostCx};
use std::path::Path;
use std::time::Duration;

use super::buffer::Buffer;
use super::dump::{Dump, MAX_LEN};
use super::gate::{Gate, PlaceError, Position, Ways, insert};
use super::mirror::{Mirror, Redirector};
use super::rewriter::Rewriter;
use super::wire::{Receiver, Sender};
use super::{Direction, Filter, FilterCx, Verdict};
use crate::netdev::Netdev;
use crate::packet::Packet;

/// What a filter does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work<'a> {
    /// Captures frames in a file, at most so many bytes of each.
    Dump {
        /// The file, which is begun anew.
        file: &'a Path,
        /// Bytes.
        max_len: u32,
    },
    /// Copies frames to a character back end.
    Mirror {
        /// The character back end.
        to: BackendId,
        /// Frames have the length of a header before them.
        with_header: bool,
    },
    /// Frames leave to one character back end and come from another.
    Redirect {
        /// Where they leave to.
        to: Option<BackendId>,
        /// Where they come from.
        from: Option<BackendId>,
        /// Frames have the length of a header before them.
        with_header: bool,
    },
    /// Frames wait for the end of an interval.
    Buffer(Duration),
    /// Numbers of TCP are those of another guest, which runs the same.
    Rewrite,
    /// Nothing. That a run can be repeated with all its frames is the machine's doing, for every NIC: `filter-replay` asks for what is
    /// there.
    Replay,
}

/// A filter as somebody wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish<'a> {
    /// Its id.
    pub id: &'a str,
    /// What it does.
    pub work: Work<'a>,
    /// Which frames it sees.
    pub ways: Ways,
    /// Whether it is on.
    pub on: bool,
    /// Where it stands.
    pub position: Position<'a>,
}

/// Why a filter was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Its place.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The file of a capture.
    #[error("cannot write the capture: {0}")]
    File(String),
    /// A character back end.
    #[error("the character device {0}")]
    Chardev(String),
}

/// Makes a filter and puts it in its place.
///
/// # Errors
/// The host refuses, or there is no such place. Nothing is left behind but the beginning of a capture.
pub fn add(host: &mut Host, netdev: BackendId, wish: &Wish<'_>) -> Result<(), FilterError> {
    let inner: Box<dyn Filter> = match wish.work {
        Work::Dump { file, max_len } => {
            let dump = Dump::create(file, max_len).map_err(|e| FilterError::File(e.to_string()))?;
            Box::new(dump)
        }
        Work::Mirror { to, with_header } => Box::new(Mirror(sender(host, netdev, to, with_header)?)),
        Work::Redirect { to, from, with_header } => Box::new(Redirector {
            ways: wish.ways,
            to: to.map(|to| sender(host, netdev, to, with_header)).transpose()?,
            from: match from {
                Some(from) => Some(Receiver::new(attach(host, netdev, from)?, with_header)),
                None => None,
            },
        }),
        Work::Buffer(interval) => Box::new(Buffer::new(interval)),
        Work::Rewrite => Box::new(Rewriter::default()),
        Work::Replay => Box::new(Replay),
    };
    let gate = Gate {
        ways: wish.ways,
        on: wish.on,
        inner,
    };
    Ok(insert(host, netdev, wish.id, wish.position, gate)?)
}

/// The id of the capture that a NIC asks for itself; no object can have it.
pub(crate) const OWN_CAPTURE: &str = "#pcap";

/// The capture that a NIC asks for itself: at the NIC's side, with all that it sends and gets.
pub(crate) fn capture(netdev: &mut Netdev, file: &Path, host: &mut HostCx<'_>) -> Result<(), FilterError> {
    let dump = Dump::create(file, MAX_LEN).map_err(|e| FilterError::File(e.to_string()))?;
    netdev.insert_filter(0, OWN_CAPTURE, Box::new(dump), host);
    Ok(())
}

/// Takes a filter out; `false` if it is not there (any more).
pub fn remove(host: &mut Host, netdev: BackendId, id: &str) -> bool {
    let found = host.get::<Netdev>(netdev);
    found.is_some_and(|(netdev, mut cx)| netdev.remove_filter(id, &mut cx))
}

fn sender(host: &mut Host, netdev: BackendId, to: BackendId, with_header: bool) -> Result<Sender, FilterError> {
    Ok(Sender::new(attach(host, netdev, to)?, with_header))
}

fn attach(host: &mut Host, netdev: BackendId, chardev: BackendId) -> Result<CharHandle, FilterError> {
    let (_, cx) = host.get::<Netdev>(netdev).ok_or(PlaceError::NoNetdev)?;
    let waker = cx.waker();
    CharHandle::attach(host, chardev, Some(Box::new(move || waker.wake())))
        .map_err(|e| FilterError::Chardev(e.to_string()))
}

struct Replay;

impl Filter for Replay {
    fn pass(&mut self, _: Direction, _: usize, _: Packet<'_>, _: &mut FilterCx<'_, '_>) -> Verdict {
        Verdict::Pass
    }
}
