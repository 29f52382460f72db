//! `riscv.aplic`: one interrupt domain of the advanced platform-level interrupt controller (RISC-V AIA specification 1.0, chapter 4).
//!
//! A machine-level domain may hand sources down to a child: the board says which with [`Domain::adopt`]. A domain delivers either by
//! lines with priorities (`msimode=off`) or by messages, which are ordinary writes of memory to the harts' interrupt files.

mod regs;
mod state;
#[cfg(test)]
mod tests;

use southbridge_core::{
    Access, Build, CreateError, Ctx, Device, DeviceId, DeviceType, Line, LineId, LoadError, Mmio, Properties, Region,
    ResetPhase, SavedState, role,
};

pub use regs::MsiAddresses;

use crate::{MAX_HARTS, flag, in_range, uint32};
use state::{Layout, Message, State};

const VERSION: u32 = 1;

/// The type.
pub static TYPE: DeviceType = DeviceType {
    name: "riscv.aplic",
    summary: "RISC-V advanced platform-level interrupt controller (APLIC), one domain",
    properties: &[
        uint32("aperture-size", "0x8000", "bytes of registers"),
        uint32("hartid-base", "0", "the first hart that it serves"),
        uint32("num-harts", "1", "how many harts it serves"),
        uint32("iprio-mask", "7", "bits of a priority that exist"),
        uint32(
            "num-irqs",
            "97",
            "interrupt sources, with source 0, which does not exist",
        ),
        flag("msimode", "off", "delivers messages instead of lines"),
        flag("mmode", "off", "a machine-level domain"),
    ],
    regions: &[Region {
        valid: (4, 4),
        ..Region::mmio32("regs", 0x8000, &[])
    }],
    lines: &[Line::outs("irq", MAX_HARTS), Line::inputs("source", regs::MAX_SOURCES)],
    roles: &[role!(Aplic as dyn Mmio), role!(Aplic as dyn Domain)],
    create: Aplic::create,
    ..DeviceType::BASE
};

/// The role of an interrupt domain towards its parent, its child and the board.
pub trait Domain {
    /// Takes a domain as the one to which sources can be handed down. The board calls it, before the first reset.
    fn adopt(&mut self, child: DeviceId);
    /// The parent hands down the wire of a source.
    fn source(&mut self, irq: u16, level: bool, cx: &mut Ctx<'_>);
    /// The parent says where the interrupt files of its harts stand.
    fn set_msi_addresses(&mut self, addresses: MsiAddresses);
}

/// An interrupt domain.
pub struct Aplic {
    // Fixed.
    layout: Layout,
    child: Option<DeviceId>,
    // Volatile.
    state: State,
}

/// A register, by its own numbers.
#[derive(Debug, Clone, Copy)]
enum Register {
    Domain,
    Source(usize),
    /// One of the four MSICFGADDR registers, by offset.
    MsiAddress(u64),
    /// A word of bits, by the offset of the first.
    Bits(u64, usize),
    /// A number whose bit is set or cleared, by offset.
    Number(u64),
    Genmsi,
    Target(usize),
    Idc(usize, u64),
}

impl Aplic {
    fn create(p: &Properties, build: &mut Build<'_>) -> Result<Box<dyn Device>, CreateError> {
        let harts = in_range(p, "num-harts", 1, MAX_HARTS.into())?;
        let least = regs::IDC + harts * regs::IDC_SIZE;
        build.region_size(0, in_range(p, "aperture-size", least, 1 << 24)?);
        let layout = Layout {
            irqs: in_range(p, "num-irqs", 2, regs::MAX_SOURCES.into())? as usize,
            harts: harts as usize,
            priority_mask: in_range(p, "iprio-mask", 1, 0xff)? as u32,
            msi: p.bool("msimode"),
            machine: p.bool("mmode"),
        };
        let state = State::new(&layout);
        Ok(Box::new(Self {
            layout,
            child: None,
            state,
        }))
    }

    fn decode(&self, offset: u64) -> Option<Register> {
        let l = &self.layout;
        let words = l.irqs.div_ceil(32) as u64;
        let sources = l.irqs as u64 - 1;
        let index = |base: u64, count: u64| {
            let i = offset.checked_sub(base)? / 4;
            (i < count).then_some(i as usize)
        };
        for first in [regs::SETIP, regs::IN_CLRIP, regs::SETIE, regs::CLRIE] {
            if let Some(word) = index(first, words) {
                return Some(Register::Bits(first, word));
            }
        }
        Some(match offset {
            regs::DOMAINCFG => Register::Domain,
            regs::MMSICFGADDR..=regs::SMSICFGADDRH if l.machine && l.msi => Register::MsiAddress(offset),
            regs::SETIPNUM
            | regs::CLRIPNUM
            | regs::SETIENUM
            | regs::CLRIENUM
            | regs::SETIPNUM_LE
            | regs::SETIPNUM_BE => Register::Number(offset),
            regs::GENMSI => Register::Genmsi,
            _ => {
                if let Some(i) = index(regs::SOURCECFG, sources) {
                    return Some(Register::Source(i + 1));
                }
                if let Some(i) = index(regs::TARGET, sources) {
                    return Some(Register::Target(i + 1));
                }
                let at = offset.checked_sub(regs::IDC).filter(|_| !l.msi)?;
                let hart = usize::try_from(at / regs::IDC_SIZE).ok().filter(|h| *h < l.harts)?;
                Register::Idc(hart, at % regs::IDC_SIZE)
            }
        })
    }

    fn value(&mut self, register: Register) -> Option<u32> {
        let s = &mut self.state;
        Some(match register {
            Register::Domain => {
                regs::DOMAINCFG_FIXED
                    | if s.enabled { regs::DOMAINCFG_IE } else { 0 }
                    | if self.layout.msi { regs::DOMAINCFG_DM } else { 0 }
            }
            Register::Source(irq) => s.sourcecfg.get(irq).copied()?,
            Register::MsiAddress(regs::MMSICFGADDR) => s.mmsi.low,
            Register::MsiAddress(regs::MMSICFGADDRH) => s.mmsi.high,
            Register::MsiAddress(regs::SMSICFGADDR) => s.smsi.low,
            Register::MsiAddress(_) => s.smsi.high,
            Register::Bits(regs::SETIP, word) => s.word(word, |s, irq| s.has(irq, regs::Source::PENDING)),
            Register::Bits(regs::IN_CLRIP, word) => s.word(word, State::rectified),
            Register::Bits(regs::SETIE, word) => s.word(word, |s, irq| s.has(irq, regs::Source::ENABLED)),
            Register::Bits(..) | Register::Number(_) => 0,
            Register::Genmsi => s.genmsi,
            Register::Target(irq) => s.target(irq),
            Register::Idc(hart, register) => match register {
                regs::IDELIVERY => s.idc(hart)?.delivery.into(),
                regs::IFORCE => s.idc(hart)?.force.into(),
                regs::ITHRESHOLD => s.idc(hart)?.threshold,
                regs::TOPI => s.top(&self.layout, hart),
                regs::CLAIMI => s.claim(&self.layout, hart),
                _ => return None,
            },
        })
    }

    /// Whether the register can be written.
    fn set(&mut self, register: Register, value: u32, cx: &mut Ctx<'_>) -> bool {
        let (s, l) = (&mut self.state, &self.layout);
        match register {
            Register::Domain => s.enabled = value & regs::DOMAINCFG_IE != 0,
            Register::Source(irq) => {
                s.configure(irq, value, self.child.is_some().into());
                self.hand_down(irq, cx);
            }
            Register::MsiAddress(offset) => self.set_msi_address(offset, value, cx),
            Register::Bits(first, word) => {
                for i in (0..32).filter(|i| value >> i & 1 != 0) {
                    set_bit(s, l, first, word * 32 + i);
                }
            }
            Register::Number(offset) => {
                let value = match offset {
                    regs::SETIPNUM_BE => value.swap_bytes(),
                    _ => value,
                };
                set_bit(s, l, offset, value as usize);
            }
            Register::Genmsi if l.msi => {
                s.genmsi = value & !(regs::TARGET_GUEST << regs::TARGET_GUEST_SHIFT | 1 << 11);
                let message = Message {
                    hart: value >> regs::TARGET_HART_SHIFT,
                    guest: 0,
                    identity: value & regs::TARGET_EIID,
                };
                self.send(message, cx);
            }
            Register::Genmsi => {}
            Register::Target(irq) => s.set_target(l, irq, value),
            Register::Idc(hart, register) => {
                let mask = l.priority_mask;
                let Some(idc) = s.idc(hart) else { return false };
                match register {
                    regs::IDELIVERY => idc.delivery = value & 1 != 0,
                    regs::IFORCE => idc.force = value & 1 != 0,
                    regs::ITHRESHOLD => idc.threshold = value & mask,
                    _ => return false,
                }
            }
        }
        true
    }

    /// MMSICFGADDR and its fellows, until they are locked (sections 4.5.3, 4.5.4).
    fn set_msi_address(&mut self, offset: u64, value: u32, cx: &mut Ctx<'_>) {
        let s = &mut self.state;
        if s.mmsi.high & regs::CFG_LOCK != 0 {
            return;
        }
        match offset {
            regs::MMSICFGADDR => s.mmsi.low = value,
            regs::MMSICFGADDRH => s.mmsi.high = value & regs::CFG_VALID,
            _ if self.child.is_none() => {}
            regs::SMSICFGADDR => s.smsi.low = value,
            _ => s.smsi.high = value & regs::SCFG_VALID,
        }
        self.tell_child(cx);
    }

    fn tell_child(&mut self, cx: &mut Ctx<'_>) {
        if let Some(child) = self.child {
            let addresses = self.state.smsi.with_harts_of(self.state.mmsi);
            cx.with_role::<dyn Domain, _>(child, |d, _| d.set_msi_addresses(addresses));
        }
    }

    /// The child sees the wires of the sources that it was given, and low ones for the rest.
    fn hand_down(&mut self, irq: usize, cx: &mut Ctx<'_>) {
        let (Some(child), Ok(number)) = (self.child, u16::try_from(irq)) else {
            return;
        };
        let delegated = self
            .state
            .sourcecfg
            .get(irq)
            .is_some_and(|c| c & regs::SOURCECFG_D != 0);
        let level = delegated && self.state.has(irq, regs::Source::INPUT);
        cx.with_role::<dyn Domain, _>(child, |d, cx| d.source(number, level, cx));
    }

    fn send(&mut self, message: Message, cx: &mut Ctx<'_>) {
        let addresses = if self.layout.machine {
            self.state.mmsi
        } else {
            self.state.smsi
        };
        let address = addresses.of(message.hart, message.guest);
        if cx.dma_write(address, &message.identity.to_le_bytes()).is_err() {
            cx.guest_error(format_args!(
                "nothing takes the message to {address:#x} (hart {})",
                message.hart
            ));
        }
    }

    fn sync(&mut self, cx: &mut Ctx<'_>) {
        for message in self.state.take_messages(&self.layout) {
            self.send(message, cx);
        }
        for hart in 0..self.layout.harts {
            cx.set_line(hart as LineId, self.state.line(&self.layout, hart));
        }
    }

    fn input(&mut self, irq: usize, level: bool, cx: &mut Ctx<'_>) {
        if irq == 0 || irq >= self.layout.irqs {
            return;
        }
        self.state.input(irq, level);
        self.sync(cx);
    }
}

/// The bit of a source in the set that an offset names.
fn set_bit(s: &mut State, l: &Layout, set: u64, irq: usize) {
    match set {
        regs::SETIP | regs::SETIPNUM | regs::SETIPNUM_LE | regs::SETIPNUM_BE => s.set_pending(l, irq, true),
        regs::IN_CLRIP | regs::CLRIPNUM => s.set_pending(l, irq, false),
        regs::SETIE | regs::SETIENUM => s.set_enabled(irq, true),
        _ => s.set_enabled(irq, false),
    }
}

impl Domain for Aplic {
    fn adopt(&mut self, child: DeviceId) {
        self.child = Some(child);
    }

    fn source(&mut self, irq: u16, level: bool, cx: &mut Ctx<'_>) {
        self.input(irq.into(), level, cx);
    }

    fn set_msi_addresses(&mut self, addresses: MsiAddresses) {
        self.state.smsi = addresses;
    }
}

impl Mmio for Aplic {
    fn read(&mut self, access: Access, cx: &mut Ctx<'_>) -> u64 {
        let value = self.decode(access.offset).and_then(|r| self.value(r));
        self.sync(cx);
        if value.is_none() {
            cx.guest_error(format_args!("no register to read at offset {:#x}", access.offset));
        }
        value.unwrap_or(0).into()
    }

    fn write(&mut self, access: Access, value: u64, cx: &mut Ctx<'_>) {
        let register = self.decode(access.offset);
        if !register.is_some_and(|r| self.set(r, value as u32, cx)) {
            cx.guest_error(format_args!("no register to write at offset {:#x}", access.offset));
        }
        self.sync(cx);
    }
}

impl Device for Aplic {
    fn reset(&mut self, phase: ResetPhase, cx: &mut Ctx<'_>) {
        match phase {
            ResetPhase::Enter => self.state.reset(&self.layout),
            ResetPhase::Hold => {
                self.tell_child(cx);
                for irq in 1..self.layout.irqs {
                    self.hand_down(irq, cx);
                }
                self.sync(cx);
            }
            ResetPhase::Exit => {}
        }
    }

    fn save(&self) -> SavedState {
        let Self {
            layout: _,
            child: _,
            state,
        } = self;
        SavedState::of(VERSION, state)
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        let state: State = state.read(VERSION)?;
        state.check(&self.layout)?;
        self.state = state;
        Ok(())
    }

    fn on_line(&mut self, source: LineId, level: bool, cx: &mut Ctx<'_>) {
        let irq = usize::from(source);
        self.input(irq, level, cx);
        if irq > 0 && irq < self.layout.irqs {
            self.hand_down(irq, cx);
        }
    }
}
