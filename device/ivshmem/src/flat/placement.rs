//! Where a user wants the device: addresses and interrupt, in our spelling or in that of the original patch series.
//!
//! The device itself is at home anywhere; the machine layer asks here and finds a place for what is left open.

use southbridge_core::{CreateError, InterruptWish, PlaceWish, Properties};

/// Reads `address`, `shmem-address` and `irq`, or `x-bus-address-iomem`, `x-bus-address-shmem` and `x-irq-qompath`. Where both are
/// given ours count.
///
/// # Errors
/// A text that names no interrupt input, or a bus other than `/sysbus`.
pub(super) fn wish(p: &Properties) -> Result<PlaceWish, CreateError> {
    let bus = p.str("x-bus-qompath");
    if let Some(bus) = bus.filter(|b| !matches!(*b, "/sysbus" | "/unattached/sysbus")) {
        return Err(bad("x-bus-qompath", bus, "'/sysbus', the only bus for this device"));
    }
    let registers = p.opt_uint("address").or(p.opt_uint("x-bus-address-iomem"));
    let memory = p.opt_uint("shmem-address").or(p.opt_uint("x-bus-address-shmem"));
    Ok(PlaceWish {
        addresses: vec![registers, memory],
        interrupt: irq(p)?,
    })
}

fn irq(p: &Properties) -> Result<InterruptWish, CreateError> {
    let said = p.str("irq").unwrap_or("auto");
    match (said, p.str("x-irq-qompath")) {
        ("off", _) => Ok(InterruptWish::Off),
        ("auto", None) => Ok(InterruptWish::Auto),
        ("auto", Some(path)) => input_of_path(path).map(InterruptWish::Input).ok_or_else(|| {
            bad(
                "x-irq-qompath",
                path,
                "a path that ends in '[N]', the number of an interrupt input",
            )
        }),
        (number, _) => number
            .parse()
            .map(InterruptWish::Input)
            .map_err(|_| bad("irq", number, "the number of an interrupt input, 'auto' or 'off'")),
    }
}

/// `/machine/soc/v7m/nvic/unnamed-gpio-in[5]` is input 5.
fn input_of_path(path: &str) -> Option<u16> {
    path.strip_suffix(']')?.rsplit_once('[')?.1.parse().ok()
}

fn bad(property: &'static str, value: &str, expected: &str) -> CreateError {
    CreateError::BadValue {
        property,
        value: value.to_owned(),
        expected: expected.to_owned(),
    }
}
