//! Plugging a device into the bus of a transport that is a device of its own (`virtio-X-device` on `virtio-mmio-bus.N`).

use southbridge_core::{BusId, DeviceId, LineId, System};

use crate::VirtioDevice;
use crate::spec::feature;

/// A transport that offers a bus for one device.
pub trait VirtioSlot {
    /// Whether its registers are those of version 1.
    fn version_1(&self) -> bool;

    /// The queue that its registers are about, and the alignment of used rings as the driver of before version 1 has set it.
    fn selected_queue(&self) -> (u16, u32);
}

/// The transport's interrupt output, and the device's: each type's first.
const IRQ: LineId = 0;

/// Plugs a device in: it offers what the transport can, and its interrupt joins the transport's wire.
pub fn plug(sys: &mut System, bus: BusId, device: DeviceId) {
    sys.plug(bus, device, 0);
    let Some(owner) = sys.buses().find(|(id, _)| *id == bus).map(|(_, b)| b.owner) else {
        return;
    };
    if sys.with_role::<dyn VirtioSlot, _>(owner, |t, _| t.version_1()) == Some(true) {
        sys.with_role::<dyn VirtioDevice, _>(device, |d, cx| d.drive(&mut |e, _| e.offer(feature::VERSION_1), cx));
    }
    let net = sys.net_of(owner, IRQ).unwrap_or_else(|| {
        let net = sys.add_net();
        sys.drive_net(owner, IRQ, net);
        net
    });
    sys.drive_net(device, IRQ, net);
}
