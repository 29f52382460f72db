//! The synchronous serial bus (SSI, SPI): full-duplex words, one chip select a device.
//!
//! A controller offers a bus of [`southbridge_core::BusKind::Ssi`]; each child's address is its chip-select number, or [`ALWAYS_SELECTED`]. Words of
//! deselected devices read as 0, and the answers of several selected devices OR together, as an open bus would show them.

use southbridge_core::Ctx;

/// Address of a device that has no chip select or whose select is a line of its own.
pub const ALWAYS_SELECTED: u32 = u32::MAX;

/// A device on an SSI bus.
pub trait SsiTarget {
    /// One word each way: the controller's word in, the device's word out. Called only while selected.
    fn transfer(&mut self, word: u32, cx: &mut Ctx<'_>) -> u32;

    /// The chip select changed; `selected` is the logical state, whatever the polarity of the wire.
    fn select(&mut self, _selected: bool, _cx: &mut Ctx<'_>) {}

    /// Whether the device listens now. A device with a select line of its own answers by that line.
    fn is_selected(&self) -> bool {
        true
    }
}

/// Shifts one word through all selected devices of the calling controller's bus number `bus`.
pub fn transfer(cx: &mut Ctx<'_>, bus: usize, word: u32) -> u32 {
    let mut answer = 0;
    for (id, _) in cx.children(bus) {
        let one = cx.with_role::<dyn SsiTarget, _>(id, |t, cx| if t.is_selected() { t.transfer(word, cx) } else { 0 });
        answer |= one.unwrap_or(0);
    }
    answer
}

/// Tells the child at chip select `address` of its selection.
pub fn select(cx: &mut Ctx<'_>, bus: usize, address: u32, selected: bool) {
    for (id, at) in cx.children(bus) {
        if at == address {
            cx.with_role::<dyn SsiTarget, _>(id, |t, cx| t.select(selected, cx));
        }
    }
}
