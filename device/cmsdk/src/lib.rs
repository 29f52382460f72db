//! Devices of Arm's Cortex-M System Design Kit (DDI 0479) and of the MPS2 boards' FPGA images (AN385, DAI 0385): what the guest sees.

mod counter;
pub mod dualtimer;
pub mod fpgaio;
pub mod gpio;
mod id;
pub mod sbcon_i2c;
pub mod scc;
pub mod timer;
pub mod uart;
pub mod watchdog;

use southbridge_core::clock::TimerIndex;
use southbridge_core::{Ctx, Registry, VirtualTime};

/// Adds the types of this family.
pub fn register(r: &mut Registry) {
    r.add(&fpgaio::TYPE);
    r.add(&gpio::TYPE);
    r.add(&sbcon_i2c::TYPE);
    r.add(&scc::TYPE);
    r.add(&timer::TYPE);
    r.add(&uart::TYPE);
    r.add(&dualtimer::TYPE);
    r.add(&watchdog::TYPE);
}

/// Arms or disarms a timer.
fn arm(cx: &mut Ctx<'_>, timer: TimerIndex, deadline: Option<VirtualTime>) {
    match deadline {
        Some(t) => cx.set_timer(timer, t),
        None => cx.cancel_timer(timer),
    }
}

#[cfg(test)]
mod tests {
    use southbridge_core::Registry;

    #[test]
    fn the_tables_have_no_faults() {
        let mut r = Registry::default();
        super::register(&mut r);
        assert_eq!(r.check(), [] as [String; 0]);
    }
}
