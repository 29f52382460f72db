//! Facts of the console device (Virtio 1.3, section 5.3).

/// Several ports and the control queues.
pub(super) const F_MULTIPORT: u64 = 1 << 1;
/// A register that takes a character at any time.
pub(super) const F_EMERG_WRITE: u64 = 1 << 2;

/// Control queue to the driver.
pub(super) const CONTROL_IN: u16 = 2;
/// Control queue from the driver.
pub(super) const CONTROL_OUT: u16 = 3;
/// Entries of a port's queues, QEMU's number.
pub(super) const DATA_SIZE: u16 = 128;
/// Entries of the control queues.
pub(super) const CONTROL_SIZE: u16 = 32;
/// Ports at most: two queues each, and two for control.
pub(super) const MOST_PORTS: u64 = (southbridge_bus_virtio::spec::MAX_QUEUES / 2 - 1) as u64;

/// Queue that takes the host's data to a port.
pub(super) const fn in_queue(port: u32) -> u16 {
    if port == 0 {
        0
    } else {
        (port as u16).wrapping_add(1).wrapping_mul(2)
    }
}

/// Queue with the guest's data of a port.
pub(super) const fn out_queue(port: u32) -> u16 {
    in_queue(port) + 1
}

/// The port of a data queue, and whether data go to the host.
pub(super) const fn port_of(queue: u16) -> Option<(u32, bool)> {
    match queue {
        0 | 1 => Some((0, queue == 1)),
        CONTROL_IN | CONTROL_OUT => None,
        _ => Some((queue as u32 / 2 - 1, queue & 1 == 1)),
    }
}

/// Offset of the emergency register.
pub(super) const EMERG_WR: usize = 8;
/// Bytes of a control message without a name.
pub(super) const MESSAGE_LEN: usize = 8;

/// Control messages.
pub(super) mod event {
    /// Guest: the driver is ready for control messages (1) or has failed (0).
    pub(in super::super) const DEVICE_READY: u16 = 0;
    /// Host: there is a port.
    pub(in super::super) const PORT_ADD: u16 = 1;
    /// Host: the port goes.
    pub(in super::super) const PORT_REMOVE: u16 = 2;
    /// Guest: the port can be used (1), or not (0).
    pub(in super::super) const PORT_READY: u16 = 3;
    /// Host: the port is a console.
    pub(in super::super) const CONSOLE_PORT: u16 = 4;
    /// Both: somebody is at the port (1), or not any more (0).
    pub(in super::super) const PORT_OPEN: u16 = 6;
    /// Host: the port's name follows.
    pub(in super::super) const PORT_NAME: u16 = 7;
}
