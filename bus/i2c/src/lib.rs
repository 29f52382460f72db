//! The I2C bus: start, address, bytes with acknowledge, stop.
//!
//! A controller offers a bus of [`southbridge_core::BusKind::I2c`]; each child's address is its 7-bit address. Several children may
//! answer one address (general call, broken boards): writes go to all, reads come from the first.

use southbridge_core::{Ctx, DeviceId};

/// What a controller does on the wires besides moving bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum I2cEvent {
    /// Start or repeated start with the target's address, to read from it.
    StartRead,
    /// Start or repeated start with the target's address, to write to it.
    StartWrite,
    /// The controller does not acknowledge the byte it read: the last one.
    Nack,
    /// Stop.
    Stop,
}

/// A device on an I2C bus.
pub trait I2cTarget {
    /// Start, last byte or stop. For a start, whether the device acknowledges its address.
    fn event(&mut self, event: I2cEvent, cx: &mut Ctx<'_>) -> bool;
    /// The next byte from the device.
    fn receive(&mut self, cx: &mut Ctx<'_>) -> u8;
    /// The next byte to the device; whether it acknowledges.
    fn send(&mut self, byte: u8, cx: &mut Ctx<'_>) -> bool;
}

fn targets(cx: &Ctx<'_>, bus: usize, address: u8) -> impl Iterator<Item = DeviceId> + use<> {
    cx.children(bus)
        .into_iter()
        .filter(move |(_, a)| *a == u32::from(address))
        .map(|(id, _)| id)
}

/// Start with an address; whether anybody acknowledged.
pub fn start(cx: &mut Ctx<'_>, bus: usize, address: u8, read: bool) -> bool {
    let event = if read {
        I2cEvent::StartRead
    } else {
        I2cEvent::StartWrite
    };
    let mut acknowledged = false;
    for id in targets(cx, bus, address) {
        acknowledged |= cx
            .with_role::<dyn I2cTarget, _>(id, |t, cx| t.event(event, cx))
            .unwrap_or(false);
    }
    acknowledged
}

/// Nack or stop, to the targets of the transfer.
pub fn event(cx: &mut Ctx<'_>, bus: usize, address: u8, event: I2cEvent) {
    for id in targets(cx, bus, address) {
        cx.with_role::<dyn I2cTarget, _>(id, |t, cx| t.event(event, cx));
    }
}

/// Sends a byte; whether anybody acknowledged.
pub fn send(cx: &mut Ctx<'_>, bus: usize, address: u8, byte: u8) -> bool {
    let mut acknowledged = false;
    for id in targets(cx, bus, address) {
        acknowledged |= cx
            .with_role::<dyn I2cTarget, _>(id, |t, cx| t.send(byte, cx))
            .unwrap_or(false);
    }
    acknowledged
}

/// Receives a byte; an address nobody has reads as 0xff, the pulled-up wire.
pub fn receive(cx: &mut Ctx<'_>, bus: usize, address: u8) -> u8 {
    let first = targets(cx, bus, address).next();
    first
        .and_then(|id| cx.with_role::<dyn I2cTarget, _>(id, |t, cx| t.receive(cx)))
        .unwrap_or(0xff)
}
