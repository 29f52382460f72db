//! Where a user wants the device: addresses and interrupt, in our spelling or in that of the original patch series.
//!
//! The device itself is at home anywhere; the machine layer asks here and finds a place for what is left open.

use southbridge_core::{CreateError, Properties};

/// The interrupt input to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IrqChoice {
    /// A free one of the board's choice.
    Auto,
    /// None: shared memory alone.
    Off,
    /// This input of the board's interrupt controller.
    Input(u32),
}

/// What the user said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// First address of the registers; the board's choice if open.
    pub registers: Option<u64>,
    /// First address of the shared memory; the board's choice if open.
    pub memory: Option<u64>,
    /// Interrupt.
    pub irq: IrqChoice,
}

impl Placement {
    /// Reads `address`, `shmem-address` and `irq`, or `x-bus-address-iomem`, `x-bus-address-shmem` and `x-irq-qompath`. Where both are
    /// given ours count.
    ///
    /// # Errors
    /// A text that names no interrupt input, or a bus other than `/sysbus`.
    pub fn of(p: &Properties) -> Result<Self, CreateError> {
        if let Some(bus) = p
            .str("x-bus-qompath")
            .filter(|b| !matches!(*b, "/sysbus" | "/unattached/sysbus"))
        {
            return Err(bad("x-bus-qompath", bus, "the only bus for this device is '/sysbus'"));
        }
        Ok(Self {
            registers: p.opt_uint("address").or(p.opt_uint("x-bus-address-iomem")),
            memory: p.opt_uint("shmem-address").or(p.opt_uint("x-bus-address-shmem")),
            irq: irq(p)?,
        })
    }
}

fn irq(p: &Properties) -> Result<IrqChoice, CreateError> {
    let said = p.str("irq").unwrap_or("auto");
    match (said, p.str("x-irq-qompath")) {
        ("off", _) => Ok(IrqChoice::Off),
        ("auto", None) => Ok(IrqChoice::Auto),
        ("auto", Some(path)) => input_of_path(path).map(IrqChoice::Input).ok_or_else(|| {
            bad(
                "x-irq-qompath",
                path,
                "must end in '[N]', the number of an interrupt input",
            )
        }),
        (number, _) => number.parse().map(IrqChoice::Input).map_err(|_| {
            bad(
                "irq",
                number,
                "must be the number of an interrupt input, 'auto' or 'off'",
            )
        }),
    }
}

/// `/machine/soc/v7m/nvic/unnamed-gpio-in[5]` is input 5.
fn input_of_path(path: &str) -> Option<u32> {
    path.strip_suffix(']')?.rsplit_once('[')?.1.parse().ok()
}

fn bad(property: &'static str, value: &str, expected: &str) -> CreateError {
    CreateError::BadValue {
        property,
        value: value.to_owned(),
        expected: expected.to_owned(),
    }
}
