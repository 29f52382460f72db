//! Plugging a function into a bus: its address there, its interrupt wire, and the slot that hears of it.

use southbridge_core::{BusId, BusKind, DeviceId, LineDirection, NetId, System};

use crate::{PciFunction, PciSlot, SlotError};

/// What a bus owner calls its four interrupt outputs.
pub const HOST_INTX: &str = "intx";

/// Slots of a bus.
pub const SLOTS: u8 = 32;

/// Slot and function as one number, as in routing ids.
pub const fn devfn(slot: u8, function: u8) -> u8 {
    slot << 3 | function & 7
}

/// Plugs a function into a bus at `devfn`: joins its INTx output to the host bridge's wire that the rules of bridges lead to (pins
/// rotate by the slot number on each bus; PCI-to-PCI Bridge 1.2, section 9.1), and tells the slot. `hot` while the machine runs.
pub fn plug(sys: &mut System, bus: BusId, device: DeviceId, devfn: u8, hot: bool) {
    sys.plug(bus, device, devfn.into());
    join_intx(sys, device);
    if let Some(owner) = owner_of(sys, bus) {
        sys.with_role::<dyn PciSlot, _>(owner, |s, cx| s.plugged(devfn, hot, cx));
        sys.settle();
    }
}

/// Whether a function may come to `devfn` of a bus: what its slot says.
///
/// # Errors
/// When the slot has no such place, or takes nothing while the machine runs.
pub fn may_plug(sys: &mut System, bus: BusId, devfn: u8, hot: bool) -> Result<(), SlotError> {
    let Some(owner) = owner_of(sys, bus) else { return Ok(()) };
    match sys.with_role::<dyn PciSlot, _>(owner, |s, _| s.may_plug(devfn, hot)) {
        Some(answer) => answer,
        None if hot => Err(SlotError::NoHotPlug),
        None => Ok(()),
    }
}

fn owner_of(sys: &System, bus: BusId) -> Option<DeviceId> {
    sys.buses().find(|(id, _)| *id == bus).map(|(_, b)| b.owner)
}

/// The bus that a function is on, and its address there.
pub fn place_of(sys: &System, device: DeviceId) -> Option<(BusId, u8)> {
    sys.buses().find_map(|(id, b)| {
        let child = b.children.iter().find(|(c, _)| *c == device)?;
        Some((id, child.1 as u8))
    })
}

fn join_intx(sys: &mut System, device: DeviceId) {
    let answer = sys.with_role::<dyn PciFunction, _>(device, |f, _| (f.pci().intx_line(), f.pci().interrupt_pin()));
    let Some((Some(line), pin @ 1..=4)) = answer else {
        return;
    };
    if let Some(net) = host_net(sys, device, pin - 1) {
        sys.drive_net(device, line, net);
    }
}

/// The wire of the host bridge for pin `pin` (0 to 3) of a function.
fn host_net(sys: &mut System, mut device: DeviceId, mut pin: u8) -> Option<NetId> {
    loop {
        let (bus, at) = place_of(sys, device)?;
        pin = (pin + (at >> 3)) % 4;
        device = owner_of(sys, bus)?;
        let t = sys.slot(device)?.device_type;
        if t.bus != BusKind::Pci {
            let output = t.line(LineDirection::Out, HOST_INTX, pin.into())?;
            return Some(sys.net_of(device, output).unwrap_or_else(|| {
                let net = sys.add_net();
                sys.drive_net(device, output, net);
                net
            }));
        }
        // The bus below an expander is a root bus of its own: its wires are the host's, unrotated.
        let expander = sys.with_role::<dyn PciFunction, _>(device, |f, _| f.pci().is_expander());
        if expander == Some(true) {
            let (_, at) = place_of(sys, device)?;
            pin = (pin + 4 - (at >> 3) % 4) % 4;
        }
    }
}
