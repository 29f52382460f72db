//! Finds a place on a board for a device that the user adds: on the system bus windows for its regions and an interrupt, on another
//! bus an address.

use southbridge_core::{BusKind, DeviceId, InterruptWish, LineDirection, Machine, RegionKind};
use thiserror::Error;

use crate::board::{Core, Irq};
use crate::build::Layout;

/// The place that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Name, address and size in bytes of each region.
    pub regions: Vec<(&'static str, u64, u64)>,
    /// The interrupt, if the device has one and the board had one left.
    pub irq: Option<u16>,
}

/// Why there is no place.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PlaceError {
    /// The board has no system bus that takes more devices.
    #[error("this machine has no room for more devices on its system bus")]
    NoBus,
    /// No free window is large enough.
    #[error("no free window of {size:#x} bytes for '{region}' is left{hint}")]
    NoWindow {
        /// Region.
        region: &'static str,
        /// Bytes.
        size: u64,
        /// What would fit.
        hint: String,
    },
    /// The address that the user gave is taken.
    #[error("'{region}' at {address:#x} would cover '{occupant}'")]
    Occupied {
        /// Region.
        region: &'static str,
        /// First address.
        address: u64,
        /// Who is there.
        occupant: String,
    },
    /// An address that is not a multiple of the page size, or beyond the address space.
    #[error("'{region}' at {address:#x} does not lie in the address space on a boundary of {align:#x} bytes")]
    Misplaced {
        /// Region.
        region: &'static str,
        /// First address.
        address: u64,
        /// Boundary in bytes.
        align: u64,
    },
    /// The interrupt that the user gave does not exist or is taken.
    #[error("interrupt {irq} {why}; free are {free}")]
    Irq {
        /// Number.
        irq: u16,
        /// What is wrong.
        why: &'static str,
        /// Free ones.
        free: String,
    },
}

/// Places `device` (created, not yet mapped) as its properties wish.
///
/// # Errors
/// When there is no place as wished; the device is then not mapped anywhere.
pub fn place(machine: &mut Machine, layout: &mut Layout, device: DeviceId) -> Result<Place, PlaceError> {
    if layout.board.cpu.is_none() {
        return Err(PlaceError::NoBus);
    }
    let slot = machine.sys.slot(device).ok_or(PlaceError::NoBus)?;
    let device_type = slot.device_type;
    let regions: Vec<_> = slot
        .regions
        .iter()
        .map(|r| (r.decl.name, r.decl.kind, r.size))
        .collect();
    let wish = slot.wish.clone();
    let has_irq = device_type.line_count(LineDirection::Out) > 0;
    let mut chosen: Vec<(&'static str, u64, u64)> = Vec::new();
    for (i, (name, kind, size)) in regions.iter().enumerate() {
        let at = match wish.addresses.get(i).copied().flatten() {
            Some(at) => check_address(machine, name, at, *size, &chosen)?,
            None => find_window(machine, layout, name, *kind, *size, &chosen)?,
        };
        chosen.push((name, at, *size));
    }
    let irq = if has_irq {
        choose_irq(layout, wish.interrupt)?
    } else {
        None
    };
    for (i, (_, at, _)) in chosen.iter().enumerate() {
        machine.sys.map_device(device, i, *at, 10);
    }
    if let Some(n) = irq {
        if let Some(sink) = layout.irq_sink(Irq::Line(n)) {
            machine.sys.wire(device, 0, sink);
        }
        layout.used_irqs.push((n, device));
    }
    Ok(Place { regions: chosen, irq })
}

/// Why a device found no place on a bus of another device.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PlugError {
    /// No bus of this name takes such devices.
    #[error("no bus {}takes {kind} devices", if .name.is_empty() { String::new() } else { format!("'{}' ", .name) })]
    NoBus {
        /// As written.
        name: String,
        /// Kind of bus that the device needs.
        kind: &'static str,
        /// Buses that would do.
        live: Vec<String>,
    },
    /// Nothing can come while the machine runs.
    #[error("'{bus}' does not support hot-plugging")]
    NoHotPlug {
        /// Bus.
        bus: String,
    },
    /// The device that the bus belongs to does not take it.
    #[error("'{bus}' {why}")]
    Refused {
        /// Bus.
        bus: String,
        /// Why.
        why: String,
    },
    /// The place is taken.
    #[error("'{bus}' has '{occupant}' at {address} already{hint}")]
    Taken {
        /// Bus.
        bus: String,
        /// Address on it.
        address: u32,
        /// Who is there.
        occupant: String,
        /// Where there is room.
        hint: String,
    },
}

/// Plugs `device` into the bus of that name, or the first bus of its kind that has room; at an address of its bus, or the next free one.
/// Gives the bus's name and the address. `hot` while the machine runs.
///
/// # Errors
/// When there is no such bus, or no room on it.
pub fn plug(
    machine: &mut Machine,
    device: DeviceId,
    bus: Option<&str>,
    address: Option<u32>,
    hot: bool,
) -> Result<(String, u32), PlugError> {
    let sys = &mut machine.sys;
    let kind = sys.slot(device).map_or(BusKind::None, |s| s.device_type.bus);
    let mut live: Vec<_> = sys
        .buses()
        .filter(|(_, b)| b.kind == kind)
        .map(|(id, b)| (id, b.name.clone()))
        .collect();
    if kind == BusKind::Virtio {
        // QEMU fills transports from the last one on.
        live.reverse();
    }
    let named = |n: &str| live.iter().filter(|(_, name)| name == n).cloned().collect::<Vec<_>>();
    let candidates = bus.map_or_else(|| live.clone(), named);
    let mut taken = None;
    for (id, name) in &candidates {
        if kind == BusKind::VirtioSerial {
            match crate::ports::plug(sys, *id, device) {
                Ok(nr) => return Ok((name.clone(), nr)),
                Err(why) => {
                    taken.get_or_insert(PlugError::Refused { bus: name.clone(), why });
                    continue;
                }
            }
        }
        let children = sys
            .buses()
            .find(|(i, _)| i == id)
            .map(|(_, b)| b.children.clone())
            .unwrap_or_default();
        let at = address.unwrap_or_else(|| (0..).find(|a| children.iter().all(|(_, c)| c != a)).unwrap_or(0));
        let occupant = match kind {
            BusKind::Sd | BusKind::Virtio => children.first(),
            _ => children.iter().find(|(_, c)| *c == at),
        };
        let Some((who, at)) = occupant else {
            match kind {
                BusKind::Virtio if hot => return Err(PlugError::NoHotPlug { bus: name.clone() }),
                BusKind::Virtio => southbridge_bus_virtio::wiring::plug(sys, *id, device),
                _ => sys.plug(*id, device, at),
            }
            return Ok((name.clone(), at));
        };
        let occupant = sys
            .slot(*who)
            .map_or("a device", |s| s.id.as_deref().unwrap_or(s.device_type.name))
            .to_owned();
        let hint = match kind {
            BusKind::Sd => "; the slot takes one card",
            BusKind::Virtio => "; a transport takes one device",
            _ => "",
        }
        .to_owned();
        taken.get_or_insert(PlugError::Taken {
            bus: name.clone(),
            address: *at,
            occupant,
            hint,
        });
    }
    let live = live.into_iter().map(|(_, name)| name).collect();
    Err(taken.unwrap_or_else(|| PlugError::NoBus {
        name: bus.unwrap_or_default().into(),
        kind: kind.name(),
        live,
    }))
}

/// Registers stand on 16 bytes at least, memory on pages, so that a processor can map it.
fn alignment(size: u64) -> u64 {
    size.next_power_of_two().clamp(16, 4096)
}

fn overlaps(taken: &[(&'static str, u64, u64)], at: u64, size: u64) -> bool {
    taken
        .iter()
        .any(|(_, start, len)| at < start.saturating_add(*len) && *start < at.saturating_add(size))
}

/// Who stands at `at..at+size` with more than a note that it is not modelled.
fn occupant(machine: &Machine, at: u64, size: u64) -> Option<String> {
    let last = at.saturating_add(size.saturating_sub(1));
    let flat = machine.sys.memory.flat();
    let hits = flat.iter().filter(|r| r.start <= last && at <= r.last);
    let taken = hits
        .filter_map(|r| machine.sys.memory.mapping(r.mapping))
        .find(|m| m.priority > -1000)?;
    Some(taken.name.clone())
}

fn check_address(
    machine: &Machine,
    region: &'static str,
    at: u64,
    size: u64,
    chosen: &[(&'static str, u64, u64)],
) -> Result<u64, PlaceError> {
    let align = alignment(size);
    if !at.is_multiple_of(align) || at.checked_add(size).is_none_or(|end| end > 1 << 32) {
        return Err(PlaceError::Misplaced {
            region,
            address: at,
            align,
        });
    }
    if let Some(occupant) = occupant(machine, at, size) {
        return Err(PlaceError::Occupied {
            region,
            address: at,
            occupant,
        });
    }
    if overlaps(chosen, at, size) {
        return Err(PlaceError::Occupied {
            region,
            address: at,
            occupant: "another region of the same device".into(),
        });
    }
    Ok(at)
}

fn find_window(
    machine: &Machine,
    layout: &Layout,
    region: &'static str,
    kind: RegionKind,
    size: u64,
    chosen: &[(&'static str, u64, u64)],
) -> Result<u64, PlaceError> {
    let windows = match kind {
        RegionKind::Mmio => layout.board.expansion.mmio,
        RegionKind::Ram => layout.board.expansion.ram,
    };
    let align = alignment(size);
    for (start, len) in windows {
        let mut at = start.next_multiple_of(align);
        while at + size <= start + len {
            if occupant(machine, at, size).is_none() && !overlaps(chosen, at, size) {
                return Ok(at);
            }
            // Boards have few devices: stepping by the size reaches every gap that matters.
            at += size.next_multiple_of(align).max(align);
        }
    }
    let largest = windows.iter().map(|w| w.1).max().unwrap_or(0);
    let hint = if largest < size {
        format!("; the largest window has {largest:#x} bytes")
    } else {
        String::new()
    };
    Err(PlaceError::NoWindow { region, size, hint })
}

fn is_used(layout: &Layout, irq: u16) -> bool {
    layout.used_irqs.iter().any(|(n, _)| *n == irq)
}

fn choose_irq(layout: &Layout, wish: InterruptWish) -> Result<Option<u16>, PlaceError> {
    let free: Vec<u16> = layout
        .board
        .expansion
        .irqs
        .iter()
        .copied()
        .filter(|n| !is_used(layout, *n))
        .collect();
    let irq = match wish {
        InterruptWish::Off => return Ok(None),
        InterruptWish::Auto => return Ok(free.first().copied()),
        InterruptWish::Input(n) => n,
    };
    let lines = layout.board.cpu.as_ref().map_or(0, Core::irqs);
    let why = if irq >= lines {
        "does not exist on this machine"
    } else if is_used(layout, irq) {
        "is taken"
    } else {
        return Ok(Some(irq));
    };
    let free = free.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
    Err(PlaceError::Irq { irq, why, free })
}
