//! Where in the address space the windows of functions are: a pure function of what functions and bridges have in their registers.
//!
//! A host bridge takes a [`Decode`] of every function after a change, and [`placements`] says where each BAR is visible. Nothing is kept
//! from one time to the next, so that a restored machine has the same map as the one that was saved.

use southbridge_core::{DeviceId, Part};

use crate::bar::Bar;
use crate::sriov::{VirtualOf, Virtuals};

/// A BAR that is switched on, with its address on the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The region of the device type behind it.
    pub region: usize,
    /// First address.
    pub start: u64,
    /// Bytes.
    pub size: u64,
    /// I/O ports, else memory.
    pub io: bool,
}

/// First and last address of what a bridge lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forward {
    /// First.
    pub first: u64,
    /// Last.
    pub last: u64,
}

/// What a bridge lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BridgeDecode {
    /// Bus right below.
    pub secondary: u8,
    /// Highest bus below.
    pub subordinate: u8,
    /// I/O ports.
    pub io: Option<Forward>,
    /// Memory.
    pub memory: Option<Forward>,
    /// Prefetchable memory.
    pub prefetch: Option<Forward>,
    /// What is below has power and a link.
    pub powered: bool,
    /// Every address goes through: the bus below is a root bus of its own.
    pub transparent: bool,
    /// Configuration accesses reach slot 0 alone.
    pub only_slot0: bool,
}

/// What a function answers to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decode {
    /// BARs that are on.
    pub windows: Vec<Window>,
    /// All regions that some BAR has, on or off.
    pub regions: Vec<usize>,
    /// If it is a bridge.
    pub bridge: Option<BridgeDecode>,
    /// If it can have virtual functions.
    pub virtuals: Option<Virtuals>,
    /// If it is one: whose.
    pub virtual_of: Option<VirtualOf>,
    /// If it is one: its BARs, whose addresses are in the physical function.
    pub bars: Vec<(usize, Bar)>,
}

/// A function in the tree of buses.
#[derive(Debug, Clone)]
pub struct Node {
    /// Who.
    pub device: DeviceId,
    /// Slot and function on its bus.
    pub devfn: u8,
    /// The bridge above, as an index of the list; `None` on the root bus. Bridges stand before what is below them.
    pub parent: Option<usize>,
    /// What it answers to.
    pub decode: Decode,
}

/// A window of the host bridge into the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostWindow {
    /// First address of the system.
    pub cpu: u64,
    /// The same on the bus.
    pub bus: u64,
    /// Bytes.
    pub size: u64,
    /// I/O ports, else memory.
    pub io: bool,
}

/// A region and where it belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// Whose.
    pub device: DeviceId,
    /// Which.
    pub region: usize,
    /// What of it is visible where, in ascending order.
    pub parts: Vec<Part>,
    /// Of overlapping ones the higher wins.
    pub priority: i32,
}

/// Where every region of every function is visible: what the windows of all bridges above, and the host bridge's, have of its BAR.
/// Overlapping BARs (a mistake of the guest) win by their device.
pub fn placements(nodes: &[Node], host: &[HostWindow]) -> Vec<Placement> {
    let mut out = Vec::new();
    for node in nodes {
        let windows = windows_of(nodes, node);
        for (order, &region) in node.decode.regions.iter().enumerate() {
            let window = windows.iter().find(|w| w.region == region);
            out.push(Placement {
                device: node.device,
                region,
                parts: window.map_or_else(Vec::new, |w| visible(nodes, node.parent, host, w)),
                priority: 1 + (node.device.index() as i32) * 16 + (order.min(15) as i32),
            });
        }
    }
    out
}

/// The BARs of a function that are on. Those of a virtual one are where its physical function says.
fn windows_of(nodes: &[Node], node: &Node) -> Vec<Window> {
    let Some(of) = node.decode.virtual_of else {
        return node.decode.windows.clone();
    };
    let physical = nodes.iter().find(|n| n.device == of.physical);
    let Some(virtuals) = physical.and_then(|p| p.decode.virtuals) else {
        return Vec::new();
    };
    let bars = node.decode.bars.iter().filter_map(|(n, bar)| {
        Some(Window {
            region: bar.region,
            start: virtuals.bar_address(of.number, *n)?,
            size: bar.size,
            io: false,
        })
    });
    bars.collect()
}

/// What is left of a window after all bridges above and the host bridge.
fn visible(nodes: &[Node], mut above: Option<usize>, host: &[HostWindow], w: &Window) -> Vec<Part> {
    let Some(last) = w.start.checked_add(w.size.saturating_sub(1)) else {
        return Vec::new();
    };
    let mut left = vec![Forward { first: w.start, last }];
    while let Some(i) = above {
        let bridge = nodes.get(i).and_then(|n| n.decode.bridge);
        let Some(bridge) = bridge.filter(|b| b.powered) else {
            return Vec::new();
        };
        if !bridge.transparent {
            let ways = if w.io {
                [bridge.io, None]
            } else {
                [bridge.memory, bridge.prefetch]
            };
            left = overlap(&left, &ways);
        }
        // Bridges stand before what is below them, so that this ends.
        above = nodes[i].parent.filter(|p| *p < i);
    }
    let windows = host.iter().filter(|h| h.io == w.io && h.size > 0);
    let mut parts: Vec<Part> = windows
        .flat_map(|h| {
            let way = Forward {
                first: h.bus,
                last: h.bus.saturating_add(h.size - 1),
            };
            overlap(&left, &[Some(way)]).into_iter().map(move |f| Part {
                offset: f.first - w.start,
                start: h.cpu.wrapping_add(f.first - h.bus),
                len: (f.last - f.first).saturating_add(1),
            })
        })
        .collect();
    parts.sort_by_key(|p| p.offset);
    parts
}

/// What ranges have in common with any of the windows, in ascending order and without overlaps.
fn overlap(ranges: &[Forward], windows: &[Option<Forward>]) -> Vec<Forward> {
    let mut all: Vec<Forward> = windows
        .iter()
        .flatten()
        .flat_map(|w| {
            ranges.iter().filter_map(|r| {
                let (first, last) = (r.first.max(w.first), r.last.min(w.last));
                (first <= last).then_some(Forward { first, last })
            })
        })
        .collect();
    all.sort_by_key(|f| f.first);
    let mut merged: Vec<Forward> = Vec::new();
    for f in all {
        match merged.last_mut() {
            Some(m) if f.first <= m.last.saturating_add(1) => m.last = m.last.max(f.last),
            _ => merged.push(f),
        }
    }
    merged
}
