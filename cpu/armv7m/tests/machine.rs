//! Whole machines, on the interpreter and with compiled code.
#![allow(clippy::duplicate_mod)] // The same tests in two worlds.

#[path = "tier"]
mod interpreted {
    mod machine;

    fn options() -> Option<southbridge_cpu_armv7m::jit::Options> {
        None
    }
}

#[path = "tier"]
mod compiled {
    mod machine;

    /// As much of it as can be.
    fn options() -> Option<southbridge_cpu_armv7m::jit::Options> {
        Some(southbridge_cpu_armv7m::jit::Options {
            threads: 0,
            cache_size: 1 << 20,
            hot: 1,
            ..Default::default()
        })
    }
}
