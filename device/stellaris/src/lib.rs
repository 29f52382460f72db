//! The devices of TI's LM3S6965 (Luminary Micro "Stellaris") that no other vendor's part has, as its data sheet (Texas Instruments
//! DS-LM3S6965) describes them. Where the sheet is silent or a guest could tell the difference, they do as QEMU's board does.
//!
//! Its UARTs, GPIO ports and SSI are Arm PrimeCells and live with those.

mod ticker;

pub mod adc;
pub mod enet;
pub mod gamepad;
pub mod gptm;
pub mod i2c;
pub mod sys;
pub mod watchdog;

use southbridge_core::Registry;

/// Adds every type of this crate.
pub fn register(r: &mut Registry) {
    for t in [
        &sys::TYPE,
        &gptm::TYPE,
        &watchdog::TYPE,
        &enet::TYPE,
        &i2c::TYPE,
        &adc::TYPE,
        &gamepad::TYPE,
    ] {
        r.add(t);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_type_tables_are_sound() {
        let mut r = southbridge_core::Registry::default();
        super::register(&mut r);
        assert_eq!(r.check(), Vec::<String>::new());
    }
}
