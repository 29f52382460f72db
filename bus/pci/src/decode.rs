//! Where in the address space the windows of functions are: a pure function of what functions and bridges have in their registers.
//!
//! A host bridge takes a [`Decode`] of every function after a change, and [`placements`] says where each BAR is visible. Nothing is kept
//! from one time to the next, so that a restored machine has the same map as the one that was saved.

use southbridge_core::DeviceId;

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

impl Forward {
    fn covers(&self, w: &Window) -> bool {
        let last = w.start.checked_add(w.size.saturating_sub(1));
        w.start >= self.first && last.is_some_and(|l| l <= self.last)
    }
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// Whose.
    pub device: DeviceId,
    /// Which.
    pub region: usize,
    /// First address of the system, and priority; `None` where it is not visible.
    pub place: Option<(u64, i32)>,
}

/// Where every region of every function is visible. A BAR that lies partly outside of a window above it is not visible at all: no
/// guest means that, and real bridges differ in what they do. Overlapping BARs (a mistake of the guest) win by their device.
pub fn placements(nodes: &[Node], host: &[HostWindow]) -> Vec<Placement> {
    let mut out = Vec::new();
    for node in nodes {
        for (order, &region) in node.decode.regions.iter().enumerate() {
            let window = node.decode.windows.iter().find(|w| w.region == region);
            let start = window
                .filter(|w| passes(nodes, node.parent, w))
                .and_then(|w| to_system(host, w));
            let priority = 1 + (node.device.index() as i32) * 16 + (order.min(15) as i32);
            out.push(Placement {
                device: node.device,
                region,
                place: start.map(|s| (s, priority)),
            });
        }
    }
    out
}

/// Whether all bridges above let a window through.
fn passes(nodes: &[Node], mut above: Option<usize>, w: &Window) -> bool {
    while let Some(i) = above {
        let Some(node) = nodes.get(i) else { return false };
        let Some(bridge) = &node.decode.bridge else {
            return false;
        };
        let ways: &[Option<Forward>] = if w.io {
            &[bridge.io]
        } else {
            &[bridge.memory, bridge.prefetch]
        };
        if !bridge.powered || !(bridge.transparent || ways.iter().flatten().any(|f| f.covers(w))) {
            return false;
        }
        // Bridges stand before what is below them, so that this ends.
        above = node.parent.filter(|p| *p < i);
    }
    true
}

fn to_system(host: &[HostWindow], w: &Window) -> Option<u64> {
    host.iter().filter(|h| h.io == w.io).find_map(|h| {
        let into = w.start.checked_sub(h.bus)?;
        let end = into.checked_add(w.size)?;
        (end <= h.size).then(|| h.cpu.checked_add(into)).flatten()
    })
}
