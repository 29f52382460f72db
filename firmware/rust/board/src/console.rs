//! The board's first UART as a place to print to.

use crate::this;
use core::fmt;

/// Makes the UART ready to send.
pub fn init() {
    this::console_init();
}

/// The console, for [`println!`](crate::println).
pub struct Console;

impl fmt::Write for Console {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        s.bytes().for_each(this::console_put);
        Ok(())
    }
}

/// Prints a line on the console.
#[macro_export]
macro_rules! println {
    ($($arg:tt)*) => {{
        use core::fmt::Write as _;
        // The console never fails.
        let _ = writeln!($crate::console::Console, $($arg)*);
    }};
}
