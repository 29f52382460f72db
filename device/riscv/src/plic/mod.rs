//! `riscv.sifive.plic`: the platform-level interrupt controller (RISC-V PLIC specification 1.0), in the layout that SiFive gave it.
//!
//! A context is a hart in a mode; `hart-config` lists them. A source is level-triggered: it becomes pending when it rises, stays so until
//! a context claims it, and when that context completes it while the wire is still high it is pending anew. (QEMU leaves the last
//! to devices, which call it again and again; a wire here tells only of changes.)

mod state;
#[cfg(test)]
mod tests;

use southbridge_core::{
    Access, Build, CreateError, Ctx, Device, DeviceType, Line, LineId, LoadError, Mmio, PropKind, Properties, Property,
    Region, ResetPhase, SavedState, role,
};

use crate::{MAX_HARTS, in_range, uint32};
use state::{Layout, Mode, State};

const VERSION: u32 = 1;
/// Sources that the specification has room for, with the one that does not exist.
const MAX_SOURCES: u16 = 1024;
/// Outputs: first the supervisor inputs of all harts, then the machine ones.
const SEIP: LineId = 0;
const MEIP: LineId = MAX_HARTS;

/// The type.
pub static TYPE: DeviceType = DeviceType {
    name: "riscv.sifive.plic",
    summary: "RISC-V platform-level interrupt controller (PLIC)",
    properties: &[
        Property {
            name: "hart-config",
            kind: PropKind::Str,
            default: Some("MS"),
            help: "modes of each hart that have a context, as M, S and U; commas between harts",
        },
        uint32("hartid-base", "0", "the first hart that it serves"),
        uint32(
            "num-sources",
            "96",
            "interrupt sources, with source 0, which does not exist",
        ),
        uint32("num-priorities", "7", "the highest priority"),
        uint32("priority-base", "0", "offset of the priority of source 0"),
        uint32("pending-base", "0x1000", "offset of the pending bits"),
        uint32("enable-base", "0x2000", "offset of the enable bits of context 0"),
        uint32(
            "enable-stride",
            "0x80",
            "bytes from the enable bits of one context to the next",
        ),
        uint32("context-base", "0x200000", "offset of threshold and claim of context 0"),
        uint32("context-stride", "0x1000", "bytes from one context to the next"),
        uint32("aperture-size", "0x600000", "bytes of registers"),
    ],
    regions: &[Region {
        valid: (4, 4),
        ..Region::mmio32("regs", 0x60_0000, &[])
    }],
    lines: &[
        Line::outs("seip", MAX_HARTS),
        Line::outs("meip", MAX_HARTS),
        Line::inputs("source", MAX_SOURCES),
    ],
    roles: &[role!(Plic as dyn Mmio)],
    create: Plic::create,
    ..DeviceType::BASE
};

/// A PLIC.
pub struct Plic {
    // Fixed.
    layout: Layout,
    // Volatile.
    state: State,
    /// What the board drives, a bit each; a reset does not change it.
    wires: Vec<u32>,
}

impl Plic {
    fn create(p: &Properties, build: &mut Build<'_>) -> Result<Box<dyn Device>, CreateError> {
        let sources = in_range(p, "num-sources", 1, MAX_SOURCES.into())? as usize;
        let contexts = contexts(p.str("hart-config").unwrap_or_default())?;
        let stride = |property| {
            let n = in_range(p, property, 4, 1 << 24)?;
            if n.is_power_of_two() {
                return Ok(n);
            }
            Err(CreateError::BadValue {
                property,
                value: n.to_string(),
                expected: "a power of two".into(),
            })
        };
        let layout = Layout {
            sources,
            contexts,
            most_priority: p.uint("num-priorities") as u32,
            priority_base: p.uint("priority-base"),
            pending_base: p.uint("pending-base"),
            enable_base: p.uint("enable-base"),
            enable_stride: stride("enable-stride")?,
            context_base: p.uint("context-base"),
            context_stride: stride("context-stride")?,
        };
        build.region_size(0, in_range(p, "aperture-size", 4, 1 << 28)?);
        let state = State::new(&layout);
        let wires = vec![0; layout.words()];
        Ok(Box::new(Self { layout, state, wires }))
    }

    fn sync(&mut self, cx: &mut Ctx<'_>) {
        for (i, context) in self.layout.contexts.iter().enumerate() {
            let level = self.state.best(&self.layout, i) != 0;
            match context.mode {
                Mode::Supervisor => cx.set_line(SEIP + context.hart, level),
                Mode::Machine => cx.set_line(MEIP + context.hart, level),
                Mode::User => {}
            }
        }
    }
}

/// The contexts that a `hart-config` lists, in order.
fn contexts(config: &str) -> Result<Vec<state::Context>, CreateError> {
    let bad = |expected: &str| CreateError::BadValue {
        property: "hart-config",
        value: config.to_owned(),
        expected: expected.to_owned(),
    };
    let mut all: Vec<state::Context> = Vec::new();
    for (hart, modes) in config.split(',').filter(|m| !m.is_empty()).enumerate() {
        let hart = u16::try_from(hart).ok().filter(|h| *h < MAX_HARTS);
        let hart = hart.ok_or_else(|| bad(&format!("at most {MAX_HARTS} harts")))?;
        for letter in modes.chars() {
            let mode = match letter {
                'M' => Mode::Machine,
                'S' => Mode::Supervisor,
                'U' => Mode::User,
                _ => return Err(bad("the modes M, S and U of each hart, with commas between harts")),
            };
            let context = state::Context { hart, mode };
            if all.contains(&context) {
                return Err(bad("each mode of a hart once"));
            }
            all.push(context);
        }
    }
    Ok(all)
}

impl Mmio for Plic {
    fn read(&mut self, access: Access, cx: &mut Ctx<'_>) -> u64 {
        let Some(register) = self.layout.decode(access.offset) else {
            cx.guest_error(format_args!("no register to read at offset {:#x}", access.offset));
            return 0;
        };
        let value = self.state.read(&self.layout, register);
        self.sync(cx);
        value.into()
    }

    fn write(&mut self, access: Access, value: u64, cx: &mut Ctx<'_>) {
        let register = self.layout.decode(access.offset);
        let taken = register.is_some_and(|r| self.state.write(&self.layout, r, value as u32, &self.wires));
        if !taken {
            cx.guest_error(format_args!(
                "write of {value:#x} at offset {:#x} has no effect",
                access.offset
            ));
        }
        self.sync(cx);
    }
}

impl Device for Plic {
    fn reset(&mut self, phase: ResetPhase, cx: &mut Ctx<'_>) {
        match phase {
            ResetPhase::Enter => self.state = State::new(&self.layout),
            ResetPhase::Hold => self.sync(cx),
            // What is high now was so before: no guest would ever hear of it again.
            ResetPhase::Exit => {
                self.state.sample_all(&self.wires);
                self.sync(cx);
            }
        }
    }

    fn save(&self) -> SavedState {
        let Self {
            layout: _,
            state,
            wires,
        } = self;
        SavedState::of(VERSION, &(state, wires))
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        let (state, wires): (State, Vec<u32>) = state.read(VERSION)?;
        state.check(&self.layout)?;
        if wires.len() != self.layout.words() {
            return Err(LoadError::Impossible("plic wires"));
        }
        self.state = state;
        self.wires = wires;
        Ok(())
    }

    fn on_line(&mut self, source: LineId, level: bool, cx: &mut Ctx<'_>) {
        let source = usize::from(source);
        if source == 0 || source >= self.layout.sources {
            return;
        }
        if let Some(w) = self.wires.get_mut(source / 32) {
            let bit = 1 << (source % 32);
            *w = if level { *w | bit } else { *w & !bit };
        }
        if level {
            self.state.rise(source);
        }
        self.sync(cx);
    }
}
