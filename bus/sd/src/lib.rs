//! The SD card slot: commands with responses, and data bytes (SD Physical Layer Simplified Specification 6.00).
//!
//! A host (an SD controller, or the SPI adapter) offers a bus of [`southbridge_core::BusKind::Sd`] with at most one card.

use southbridge_core::Ctx;

/// A response as it stands on the command line, without framing: none, 4 bytes (R1, R3, R6, R7) or 16 bytes (R2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SdResponse {
    /// The card does not answer.
    None,
    /// A short response.
    Short(u32),
    /// A long response.
    Long([u8; 16]),
}

/// A card in a slot.
pub trait SdCard {
    /// A command with its argument. `spi` selects the SPI-mode command set and status.
    fn command(&mut self, index: u8, argument: u32, spi: bool, cx: &mut Ctx<'_>) -> SdResponse;
    /// The next byte of a data transfer from the card.
    fn read_byte(&mut self, cx: &mut Ctx<'_>) -> u8;
    /// The next byte of a data transfer to the card.
    fn write_byte(&mut self, byte: u8, cx: &mut Ctx<'_>);
    /// Whether the card has data to send.
    fn data_ready(&self) -> bool;
    /// Whether the card waits for data.
    fn receive_ready(&self) -> bool;
    /// Whether the card has a medium that can be used.
    fn inserted(&self) -> bool;
    /// Whether the medium is write-protected.
    fn read_only(&self) -> bool;
}
