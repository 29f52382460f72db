//! `edu`: the PCI device for learning to write drivers (QEMU's `docs/specs/edu`): a liveness check, a factorial that takes time, a DMA
//! engine with a buffer of 4 KiB, and an interrupt by INTx or MSI.
//!
//! The factorial is computed at once and told after a while of virtual time, so that drivers must wait and two runs agree. A transfer
//! that does not fit the buffer is a guest error and moves nothing; QEMU 10.0 logs it and writes beyond its buffer.

mod state;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use southbridge_bus_pci::{Bar, Identity, Msi, Pci, PciFunction, PciState, common, pci_properties};
use southbridge_core::clock::TimerIndex;
use southbridge_core::{
    Access, Build, BusKind, Category, CreateError, Ctx, Device, DeviceType, Endian, Line, LoadError, Mmio, PropKind,
    Properties, Property, Region, RegionKind, ResetPhase, SavedState, role,
};

use state::{BUFFER, Direction, State, Transfer, Wish};

const VERSION: u32 = 1;
const INTX: u16 = 0;
/// Timers.
const FACTORIAL: TimerIndex = 0;
const DMA: TimerIndex = 1;
/// How long the factorial takes for each factor, and at most, in nanoseconds.
const FACTOR_NS: u64 = 10;
const FACTORIAL_NS: u64 = 1_000_000;
/// How long a transfer takes, in nanoseconds.
const DMA_NS: u64 = 100_000_000;

/// The device type.
pub static TYPE: DeviceType = DeviceType {
    name: "edu",
    bus: BusKind::Pci,
    category: Category::Misc,
    summary: "Educational PCI device: factorials, DMA, interrupts",
    user_creatable: true,
    properties: pci_properties![Property {
        name: "dma_mask",
        kind: PropKind::Uint(64),
        default: Some("0xfffffff"),
        help: "address bits that its DMA engine drives",
    }],
    regions: &[Region {
        name: "edu-mmio",
        kind: RegionKind::Mmio,
        size: 1 << 20,
        valid: (4, 8),
        native: (4, 8),
        endian: Endian::Little,
        registers: &[],
    }],
    lines: &[Line::out("intx")],
    roles: &[role!(Edu as dyn PciFunction), role!(Edu as dyn Mmio)],
    create: Edu::create,
    ..DeviceType::BASE
};

/// An `edu`.
pub struct Edu {
    // Fixed.
    dma_mask: u64,
    // Volatile.
    pci: Pci,
    state: State,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    pci: PciState,
    state: State,
}

impl Edu {
    fn create(p: &Properties, build: &mut Build<'_>) -> Result<Box<dyn Device>, CreateError> {
        let mut pci = Pci::conventional(Identity::new(0x1234, 0x11e8, 0x00ff).revision(0x10));
        pci.add_bar(0, Bar::mem32(0, 1 << 20));
        pci.set_intx_pin(1, INTX);
        pci.add_msi(
            0x40,
            Msi {
                vectors: 1,
                wide: true,
                maskable: false,
            },
        );
        common::apply(&mut pci, p, build)?;
        Ok(Box::new(Self {
            dma_mask: p.uint("dma_mask"),
            pci,
            state: State::new(),
        }))
    }

    /// The interrupt is the level of its status for INTx, and one message for each cause with MSI.
    fn raise(&mut self, cause: u32, cx: &mut Ctx<'_>) {
        self.state.raise(cause);
        if self.state.interrupts() != 0 {
            self.pci.notify(0, cx);
        }
        self.sync(cx);
    }

    fn sync(&mut self, cx: &mut Ctx<'_>) {
        self.pci.set_intx(self.state.interrupts() != 0, cx);
    }

    fn transfer(&mut self, t: Transfer, cx: &mut Ctx<'_>) {
        let memory = t.memory & self.dma_mask;
        if memory != t.memory {
            cx.guest_error(format_args!("DMA address {:#x} is cut to {memory:#x}", t.memory));
        }
        let Some(buffer) = self.state.buffer_mut(t.offset, t.len) else {
            return cx.guest_error(format_args!(
                "DMA of {:#x} bytes at buffer offset {:#x} does not fit the {BUFFER:#x} bytes; nothing moves",
                t.len, t.offset
            ));
        };
        let result = match t.direction {
            Direction::ToDevice => self.pci.dma_read(memory, buffer, cx),
            Direction::ToMemory => self.pci.dma_write(memory, buffer, cx),
        };
        if let Err(e) = result {
            cx.guest_error(format_args!("DMA at {memory:#x} fails: {e}"));
        }
    }

    fn clear(&mut self, power_on: bool, cx: &mut Ctx<'_>) {
        self.state = State::new();
        cx.cancel_timer(FACTORIAL);
        cx.cancel_timer(DMA);
        self.pci.reset(power_on, cx);
    }
}

impl PciFunction for Edu {
    fn pci(&self) -> &Pci {
        &self.pci
    }

    fn pci_mut(&mut self) -> &mut Pci {
        &mut self.pci
    }

    fn function_reset(&mut self, cx: &mut Ctx<'_>) {
        self.clear(false, cx);
    }
}

impl Mmio for Edu {
    fn read(&mut self, access: Access, _cx: &mut Ctx<'_>) -> u64 {
        self.state.read(access.offset, access.size)
    }

    fn write(&mut self, access: Access, value: u64, cx: &mut Ctx<'_>) {
        match self.state.write(access.offset, access.size, value) {
            Wish::Nothing => {}
            Wish::Factorial(n) => {
                let ns = u64::from(n).saturating_mul(FACTOR_NS).clamp(FACTOR_NS, FACTORIAL_NS);
                cx.set_timer(FACTORIAL, cx.now().after_ns(ns));
            }
            Wish::Dma => cx.set_timer(DMA, cx.now().after_ns(DMA_NS)),
            Wish::Raise(cause) => self.raise(cause, cx),
            Wish::Sync => self.sync(cx),
        }
    }
}

impl Device for Edu {
    fn reset(&mut self, phase: ResetPhase, cx: &mut Ctx<'_>) {
        if phase == ResetPhase::Enter {
            self.clear(true, cx);
        }
    }

    fn on_timer(&mut self, timer: TimerIndex, cx: &mut Ctx<'_>) {
        let cause = match timer {
            FACTORIAL => self.state.finish_factorial(),
            _ => {
                if let Some(t) = self.state.transfer() {
                    self.transfer(t, cx);
                }
                self.state.finish_dma()
            }
        };
        if let Some(cause) = cause {
            self.raise(cause, cx);
        }
    }

    fn save(&self) -> SavedState {
        let Self {
            dma_mask: _,
            pci,
            state,
        } = self;
        SavedState::of(
            VERSION,
            &Saved {
                pci: pci.save(),
                state: state.clone(),
            },
        )
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        let Saved { pci, state } = state.read(VERSION)?;
        state.check()?;
        self.pci.load(pci)?;
        self.state = state;
        Ok(())
    }
}
