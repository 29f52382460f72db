//! What all filters have in common: which way of the frames they stand in, whether they are on, and their place in the row.

use southbridge_core::host::{BackendId, Host, HostEvent};

use super::{Direction, Filter, FilterCx, Verdict};
use crate::netdev::Netdev;
use crate::packet::Packet;

/// The frames that a filter sees. The words are QEMU's and stand for the back end's queues: it *receives* what the NIC sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ways {
    /// All.
    #[default]
    All,
    /// Those for the back end: from the NIC.
    Rx,
    /// Those of the back end: to the NIC.
    Tx,
}

impl Ways {
    /// By its word.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "all" => Self::All,
            "rx" => Self::Rx,
            "tx" => Self::Tx,
            _ => return None,
        })
    }

    /// Whether frames of a direction are among them.
    pub const fn has(self, direction: Direction) -> bool {
        match self {
            Self::All => true,
            Self::Rx => matches!(direction, Direction::FromNic),
            Self::Tx => matches!(direction, Direction::ToNic),
        }
    }

    /// The directions that are among them.
    pub fn directions(self) -> impl Iterator<Item = Direction> {
        [Direction::ToNic, Direction::FromNic]
            .into_iter()
            .filter(move |d| self.has(*d))
    }
}

/// Where in the row of its back end a filter is put. The row is QEMU's: its head is at the host's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Position<'a> {
    /// Before all others.
    Head,
    /// Behind all others.
    #[default]
    Tail,
    /// Directly before the one of that id.
    Before(&'a str),
    /// Directly behind it.
    Behind(&'a str),
}

/// Why a filter was not put in its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// The back end is gone, or none for networks.
    #[error("there is no such network back end")]
    NoNetdev,
    /// No filter of that id stands at this back end.
    #[error("there is no filter '{0}' at this back end")]
    NoFilter(String),
}

/// A filter with its switch.
pub(crate) struct Gate {
    pub(crate) ways: Ways,
    pub(crate) on: bool,
    pub(crate) inner: Box<dyn Filter>,
}

impl Filter for Gate {
    fn start(&mut self, cx: &mut FilterCx<'_, '_>) {
        self.inner.start(cx);
    }

    fn pass(&mut self, direction: Direction, queue: usize, packet: Packet<'_>, cx: &mut FilterCx<'_, '_>) -> Verdict {
        match self.on && self.ways.has(direction) {
            true => self.inner.pass(direction, queue, packet, cx),
            false => Verdict::Pass,
        }
    }

    fn on_host(&mut self, event: HostEvent, cx: &mut FilterCx<'_, '_>) {
        self.inner.on_host(event, cx);
    }

    fn close(&mut self, cx: &mut FilterCx<'_, '_>) {
        self.inner.close(cx);
    }
}

/// Puts a filter at its place.
///
/// # Errors
/// There is no such back end, or no such filter to stand beside.
pub(crate) fn insert(
    host: &mut Host,
    netdev: BackendId,
    id: &str,
    position: Position<'_>,
    gate: Gate,
) -> Result<(), PlaceError> {
    let (netdev, mut cx) = host.get::<Netdev>(netdev).ok_or(PlaceError::NoNetdev)?;
    // The back end counts from the NIC's side.
    let find = |netdev: &Netdev, id: &str| {
        let at = netdev.filter_ids().position(|f| f == id);
        at.ok_or_else(|| PlaceError::NoFilter(id.to_owned()))
    };
    let at = match position {
        Position::Head => usize::MAX,
        Position::Tail => 0,
        Position::Before(other) => find(netdev, other)? + 1,
        Position::Behind(other) => find(netdev, other)?,
    };
    netdev.insert_filter(at, id, Box::new(gate), &mut cx);
    Ok(())
}
