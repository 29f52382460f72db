//! The kinds of processors that boards take, and how each is made.

use southbridge_core::line::Sink;
use southbridge_core::property::{PropKind, PropValue, parse_value};
use southbridge_core::{Cpu, CpuId};
use southbridge_cpu_armv7m as armv7m;
use southbridge_cpu_rv64 as rv64;

use super::{BOOT_CPU, Choices, Irq};

/// A kind of processors.
pub enum Core {
    /// Arm Cortex-M.
    CortexM(CortexM),
    /// RISC-V with 64 bits.
    Rv64(Rv64),
}

/// A Cortex-M processor on a board.
pub struct CortexM {
    /// Model for `-cpu`.
    pub model: &'static str,
    /// External interrupt lines.
    pub irqs: u16,
    /// Implemented bits of priority.
    pub priority_bits: u8,
    /// Frequency of the SysTick reference clock in Hz, if it has one.
    pub systick_reference: Option<u64>,
}

/// RISC-V harts on a board.
pub struct Rv64 {
    /// Most of them.
    pub most: u8,
    /// Interrupts that the board's interrupt controller takes.
    pub irqs: u16,
    /// Message identities of each hart, on a board that was asked for such.
    pub messages: fn(&Choices) -> u32,
}

/// An instruction set, as files of programs name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    /// 32-bit Arm.
    Arm,
    /// 64-bit RISC-V.
    Rv64,
}

/// What a RISC-V processor says about itself in tables for its guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IsaText {
    /// The string of all extensions, such as `rv64imac_zba`.
    pub string: String,
    /// The extensions one by one.
    pub extensions: Vec<&'static str>,
    /// The largest scheme of translation.
    pub mmu: &'static str,
}

impl Core {
    /// Models for `-cpu`, the default first.
    pub fn models(&self) -> &[&'static str] {
        match self {
            Self::CortexM(core) => std::slice::from_ref(&core.model),
            Self::Rv64(_) => &["rv64", "max"],
        }
    }

    /// What the processors say about themselves, if their guests ask tables.
    pub fn isa_text(&self, choices: &Choices) -> Option<IsaText> {
        match self {
            Self::CortexM(_) => None,
            Self::Rv64(core) => {
                let config = core.config(0, choices).ok()?;
                Some(IsaText {
                    string: config.extensions.to_string(),
                    extensions: config.extensions.list().collect(),
                    mmu: config.mmu.name(),
                })
            }
        }
    }

    /// Whether the processors are as the user wants them.
    ///
    /// # Errors
    /// The number of the first feature that does not exist or cannot be so, and what is wrong.
    pub fn check_features(&self, choices: &Choices) -> Result<(), (usize, String)> {
        match (self, choices.features.is_empty()) {
            (_, true) => Ok(()),
            (Self::CortexM(_), false) => Err((0, "this processor has no properties".into())),
            (Self::Rv64(core), false) => core.config(0, choices).map(|_| ()),
        }
    }

    /// Names of the features that `-cpu` takes.
    pub fn features(&self) -> Vec<&'static str> {
        match self {
            Self::CortexM(_) => Vec::new(),
            Self::Rv64(_) => {
                let schemes = ["mmu", "pmp", "sv39", "sv48", "sv57"];
                rv64::NAMES.iter().map(|(_, name, _)| *name).chain(schemes).collect()
            }
        }
    }

    /// Most processors of this kind on the board.
    pub const fn most(&self) -> u8 {
        match self {
            Self::CortexM(_) => 1,
            Self::Rv64(core) => core.most,
        }
    }

    /// Interrupts that a device of the board can raise.
    pub const fn irqs(&self) -> u16 {
        match self {
            Self::CortexM(core) => core.irqs,
            Self::Rv64(core) => core.irqs,
        }
    }

    /// What programs must be made for.
    pub const fn isa(&self) -> Isa {
        match self {
            Self::CortexM(_) => Isa::Arm,
            Self::Rv64(_) => Isa::Rv64,
        }
    }

    /// Makes the processor of that number. Its clock runs at `hz` Hz.
    ///
    /// # Errors
    /// When there is no such model, or it has no such feature; the text says what.
    pub fn make(&self, number: u8, hz: Option<u64>, choices: &Choices) -> Result<Box<dyn Cpu>, String> {
        match self {
            Self::CortexM(core) => core.make(hz, choices),
            Self::Rv64(core) => {
                let config = core.config(number, choices).map_err(|(_, why)| why)?;
                let mut hart = rv64::Rv64::new(config);
                hart.set_jit(choices.jit)?;
                Ok(Box::new(hart))
            }
        }
    }

    /// The input of the first processor for an interrupt, on boards where it takes them itself.
    pub fn irq_sink(&self, irq: Irq) -> Option<Sink> {
        match (self, irq) {
            (Self::CortexM(_), Irq::Line(n)) => Some(Sink::Cpu(BOOT_CPU, n.into())),
            (Self::CortexM(_), Irq::Nmi) => Some(Sink::Cpu(BOOT_CPU, armv7m::NMI_LINE)),
            (Self::Rv64(_), _) => None,
        }
    }
}

impl Rv64 {
    fn config(&self, number: u8, choices: &Choices) -> Result<rv64::Config, (usize, String)> {
        let (cpu, hart) = (CpuId(number), number.into());
        let mut config = match choices.model.as_str() {
            "max" => rv64::Config::max(cpu, hart),
            _ => rv64::Config::new(cpu, hart),
        };
        for (i, (name, value)) in choices.features.iter().enumerate() {
            let on = parse_bool(value).ok_or_else(|| (i, format!("'{name}' is on or off, not '{value}'")))?;
            if !config.set_property(name, on) {
                return Err((i, format!("the processor has no property '{name}'")));
            }
        }
        config.imsic_ids = (self.messages)(choices);
        if config.imsic_ids != 0 {
            config.extensions |= rv64::Extensions::SMAIA | rv64::Extensions::SSAIA;
        }
        config.firmware = choices.built_in_firmware;
        Ok(config)
    }
}

fn parse_bool(text: &str) -> Option<bool> {
    match parse_value(PropKind::Bool, text) {
        Some(PropValue::Bool(on)) => Some(on),
        _ => None,
    }
}

impl CortexM {
    fn make(&self, hz: Option<u64>, choices: &Choices) -> Result<Box<dyn Cpu>, String> {
        let mut config = armv7m::Config::new(&armv7m::CORTEX_M3, self.irqs);
        config.priority_bits = self.priority_bits;
        config.ref_hz = self.systick_reference;
        config.cpu_hz = hz.unwrap_or(config.cpu_hz);
        let mut core = armv7m::CortexM::new(config);
        core.set_jit(choices.jit)?;
        Ok(Box::new(core))
    }
}
