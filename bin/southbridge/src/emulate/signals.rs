//! SIGTERM, SIGINT and SIGHUP end the run in order, with status 0.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals as Iterator;
use southbridge_core::Machine;
use southbridge_core::machine::{Cause, StopHandle};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Catches the signals on a thread of its own.
pub(crate) struct Signals {
    caught: Arc<AtomicBool>,
    stop: StopHandle,
}

impl Signals {
    /// From now on the first signal ends `machine`'s run. A second one ends the process at once, should the first not get through.
    pub(crate) fn catch(machine: &Machine) -> io::Result<Self> {
        let caught = Arc::new(AtomicBool::new(false));
        let this = Self {
            caught: caught.clone(),
            stop: machine.stop_handle(),
        };
        let stop = this.stop.clone();
        let mut signals = Iterator::new([SIGTERM, SIGINT, SIGHUP])?;
        std::thread::Builder::new()
            .name("signals".into())
            .stack_size(64 << 10)
            .spawn(move || {
                for signal in signals.forever() {
                    if caught.swap(true, Ordering::AcqRel) {
                        southbridge_backend_chardev::restore_terminal();
                        std::process::exit(128 + signal);
                    }
                    stop.stop(Cause::HostSignal);
                }
            })?;
        Ok(this)
    }

    /// Whether one came.
    pub(crate) fn caught(&self) -> bool {
        self.caught.load(Ordering::Acquire)
    }

    /// Ends the run without a signal.
    pub(crate) fn stop_handle(&self) -> StopHandle {
        self.stop.clone()
    }
}
