//! Ports of virtio serial devices: which number a port gets is the serial device's to say, and it must hear when one leaves.

use southbridge_bus_virtio::{VirtioDevice, with_model};
use southbridge_core::{BusId, BusKind, DeviceId, System};
use southbridge_device_virtio::serial::Serial;

/// Plugs a port into a bus. The number that it has there.
///
/// # Errors
/// Why the serial device does not take it, to be read after the name of the bus.
pub(crate) fn plug(sys: &mut System, bus: BusId, port: DeviceId) -> Result<u32, String> {
    if let Some(name) = name_taken(sys, port) {
        return Err(format!("cannot take it: there is a port of the name '{name}' already"));
    }
    let owner = sys.buses().find(|(id, _)| *id == bus).map(|(_, b)| b.owner);
    let plugged = owner.and_then(|owner| {
        sys.with_role::<dyn VirtioDevice, _>(owner, |device, cx| {
            with_model::<Serial, _>(device, cx, |serial, cx| serial.plug(port, cx))
        })
    });
    let nr = plugged.flatten().unwrap_or_else(|| Err("has no ports".into()))?;
    sys.plug(bus, port, nr);
    sys.settle();
    Ok(nr)
}

/// Tells the serial device that a port leaves, if the device is one.
pub(crate) fn unplug(sys: &mut System, port: DeviceId) {
    if sys
        .slot(port)
        .is_none_or(|s| s.device_type.bus != BusKind::VirtioSerial)
    {
        return;
    }
    let has = |children: &[(DeviceId, u32)]| children.iter().any(|c| c.0 == port);
    let owner = sys.buses().find(|(_, b)| has(&b.children)).map(|(_, b)| b.owner);
    let Some(owner) = owner else { return };
    sys.with_role::<dyn VirtioDevice, _>(owner, |device, cx| {
        with_model::<Serial, _>(device, cx, |serial, cx| serial.unplug(port, cx))
    });
    sys.settle();
}

/// The name of a port, if another has it.
fn name_taken(sys: &System, port: DeviceId) -> Option<String> {
    let wanted = sys.slot(port)?.properties.str("name")?;
    let is_other = |id, bus| id != port && bus == BusKind::VirtioSerial;
    let mut others = sys.devices().filter(|(id, s)| is_other(*id, s.device_type.bus));
    let taken = others.any(|(_, s)| s.properties.str("name") == Some(wanted));
    taken.then(|| wanted.to_owned())
}
