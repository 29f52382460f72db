//! Finds a place for a PCI device: the bus that `bus=` names and the slot and function of `addr=`, or the first free ones.

#[cfg(test)]
mod tests;

use southbridge_bus_pci::wiring::{self, SLOTS, devfn};
use southbridge_bus_pci::{Leaves, PciFunction, PciSlot, SlotError};
use southbridge_core::{BusId, BusKind, DeviceId, Machine};
use thiserror::Error;

/// Where a PCI device came to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PciPlace {
    /// Name of the bus.
    pub bus: String,
    /// Slot × 8 + function.
    pub devfn: u8,
}

/// Why a PCI device found no place.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PciError {
    /// No PCI bus has this name.
    #[error("no bus '{name}' takes PCI devices; there is {}", .live.join(", "))]
    NoBus {
        /// As written.
        name: String,
        /// PCI buses.
        live: Vec<String>,
    },
    /// `addr=` is not an address.
    #[error(
        "'addr' cannot be '{0}'; it takes a slot from 0 to 1f and perhaps a function from 0 to 7 (hexadecimal), as in 3 or 03.0"
    )]
    BadAddress(String),
    /// The place is taken.
    #[error("slot {} function {} of '{bus}' has '{occupant}' already{hint}", .devfn >> 3, .devfn & 7)]
    Taken {
        /// Bus.
        bus: String,
        /// Slot × 8 + function.
        devfn: u8,
        /// Who is there.
        occupant: String,
        /// Where there is room.
        hint: String,
    },
    /// All slots are taken.
    #[error("no slot of '{0}' is free")]
    Full(String),
    /// Function 0 says that it is alone.
    #[error(
        "slot {slot} of '{bus}' has '{occupant}' as its only function; give that one multifunction=on to add others"
    )]
    Single {
        /// Bus.
        bus: String,
        /// Slot.
        slot: u8,
        /// Function 0.
        occupant: String,
    },
    /// A function 0 without `multifunction=on`, where other functions are.
    #[error("slot {slot} of '{bus}' has function {function} already; function 0 needs multifunction=on then")]
    NotAlone {
        /// Bus.
        bus: String,
        /// Slot.
        slot: u8,
        /// The other.
        function: u8,
    },
    /// The bridge above does not take it.
    #[error("'{bus}' {error}")]
    Slot {
        /// Bus.
        bus: String,
        /// Why.
        error: SlotError,
    },
    /// Its virtual functions find no place.
    #[error("'{bus}' has no room for its virtual functions: {error}")]
    Virtual {
        /// Bus.
        bus: String,
        /// Why.
        error: String,
    },
}

/// Slot and perhaps function as QEMU spells them.
///
/// # Errors
/// When it is no address.
pub fn parse_address(text: &str) -> Result<u8, PciError> {
    let bad = || PciError::BadAddress(text.to_owned());
    let hex = |t: &str| {
        let digits = t.strip_prefix("0x").or_else(|| t.strip_prefix("0X")).unwrap_or(t);
        u8::from_str_radix(digits, 16).map_err(|_| bad())
    };
    let (slot, function) = match text.split_once('.') {
        Some((slot, function)) => (hex(slot)?, hex(function)?),
        None => (hex(text)?, 0),
    };
    if slot < SLOTS && function < 8 {
        Ok(devfn(slot, function))
    } else {
        Err(bad())
    }
}

/// Plugs a PCI device (created, not yet on a bus) in, as its `addr` property says. `hot` while the machine runs.
///
/// # Errors
/// When there is no such place, or no room; the device is on no bus then.
pub fn plug(machine: &mut Machine, device: DeviceId, bus: Option<&str>, hot: bool) -> Result<PciPlace, PciError> {
    let (id, name) = find_bus(machine, bus)?;
    let slot = machine.sys.slot(device);
    let wish = slot
        .and_then(|s| s.properties.str("addr"))
        .filter(|a| !a.is_empty() && *a != "-1");
    let multifunction = slot.is_some_and(|s| s.properties.bool("multifunction"));
    let at = match wish.map(parse_address).transpose()? {
        Some(at) => {
            check(machine, id, &name, at, multifunction)?;
            at
        }
        None => free_slot(machine, id, hot).ok_or(PciError::Full(name.clone()))?,
    };
    let place = PciPlace { bus: name, devfn: at };
    wiring::may_plug(&mut machine.sys, id, at, hot).map_err(|error| PciError::Slot {
        bus: place.bus.clone(),
        error,
    })?;
    wiring::add_virtual_functions(&mut machine.sys, id, device, at).map_err(|e| PciError::Virtual {
        bus: place.bus.clone(),
        error: e.to_string(),
    })?;
    wiring::plug(&mut machine.sys, id, device, at, hot);
    Ok(place)
}

/// The bus of that name; without a name the first of the host bridge.
fn find_bus(machine: &Machine, name: Option<&str>) -> Result<(BusId, String), PciError> {
    let live = || machine.sys.buses().filter(|(_, b)| b.kind == BusKind::Pci);
    let found = live().find(|(_, b)| name.is_none_or(|n| b.name == n));
    found
        .map(|(id, b)| (id, b.name.clone()))
        .ok_or_else(|| PciError::NoBus {
            name: name.unwrap_or("pcie.0").to_owned(),
            live: live().map(|(_, b)| b.name.clone()).collect(),
        })
}

fn children(machine: &Machine, bus: BusId) -> Vec<(DeviceId, u8)> {
    let bus = machine.sys.buses().find(|(id, _)| *id == bus);
    bus.map(|(_, b)| b.children.iter().map(|(d, at)| (*d, *at as u8)).collect())
        .unwrap_or_default()
}

fn name_of(machine: &Machine, device: DeviceId) -> String {
    let slot = machine.sys.slot(device);
    slot.map_or("a device", |s| s.id.as_deref().unwrap_or(s.device_type.name))
        .to_owned()
}

/// The first slot with no function in it, ascending; below a port that leads to one device, slot 0 alone.
fn free_slot(machine: &mut Machine, bus: BusId, hot: bool) -> Option<u8> {
    let taken = children(machine, bus);
    let free = (0..SLOTS)
        .filter(|s| taken.iter().all(|(_, at)| at >> 3 != *s))
        .map(|s| devfn(s, 0));
    let free: Vec<u8> = free.collect();
    free.iter()
        .copied()
        .find(|at| wiring::may_plug(&mut machine.sys, bus, *at, hot) != Err(SlotError::OnlySlot0))
}

fn check(machine: &mut Machine, bus: BusId, name: &str, at: u8, multifunction: bool) -> Result<(), PciError> {
    let taken = children(machine, bus);
    let bus_name = || name.to_owned();
    if let Some((who, _)) = taken.iter().find(|(_, other)| *other == at) {
        let next = free_slot(machine, bus, false);
        let hint = next.map_or_else(
            || "; no slot is free".to_owned(),
            |n| format!("; the next free slot is {:x}", n >> 3),
        );
        return Err(PciError::Taken {
            bus: bus_name(),
            devfn: at,
            occupant: name_of(machine, *who),
            hint,
        });
    }
    let slot = at >> 3;
    let mates = taken.iter().filter(|(_, other)| other >> 3 == slot);
    for (mate, other) in mates {
        let alone = machine
            .sys
            .slot(*mate)
            .is_some_and(|s| !s.properties.bool("multifunction"));
        if other & 7 == 0 && alone {
            return Err(PciError::Single {
                bus: bus_name(),
                slot,
                occupant: name_of(machine, *mate),
            });
        }
        if at & 7 == 0 && !multifunction {
            return Err(PciError::NotAlone {
                bus: bus_name(),
                slot,
                function: other & 7,
            });
        }
    }
    Ok(())
}

/// Asks a PCI device to leave. [`Leaves::WhenReleased`]: it goes when the guest lets it.
///
/// # Errors
/// When its bus lets nothing go while the machine runs, or the slot cannot now.
pub fn unplug(machine: &mut Machine, device: DeviceId) -> Result<Leaves, PciError> {
    let Some((bus, at)) = wiring::place_of(&machine.sys, device) else {
        return Ok(Leaves::Now);
    };
    // A virtual function goes with its physical one.
    let of = machine
        .sys
        .with_role::<dyn PciFunction, _>(device, |f, _| f.pci().virtual_of());
    if of.flatten().is_some() {
        return Err(PciError::Slot {
            bus: "a virtual function".into(),
            error: SlotError::NoHotPlug,
        });
    }
    let found = machine.sys.buses().find(|(id, _)| *id == bus);
    let (owner, name) = found.map_or((device, String::new()), |(_, b)| (b.owner, b.name.clone()));
    let answer = machine.sys.with_role::<dyn PciSlot, _>(owner, |s, cx| s.unplug(at, cx));
    machine.sys.settle();
    answer
        .unwrap_or(Err(SlotError::NoHotPlug))
        .map_err(|error| PciError::Slot { bus: name, error })
}

/// Whether a device is a PCI function.
pub fn is_function(machine: &mut Machine, device: DeviceId) -> bool {
    machine.sys.with_role::<dyn PciFunction, _>(device, |_, _| ()).is_some()
}
