//! The engine as a CPU of a machine: [`Bus`] on top of `core`'s `System`, and `core`'s `Cpu` on top of [`Engine`].

use southbridge_core::cpu::{Arch, Cpu, CpuDebug, CpuId, Exit as CpuExit, GdbFeature, GdbRegister, RegisterValue};
use southbridge_core::host::AttentionFlag;
use southbridge_core::memory::HostSpan;
use southbridge_core::system::CodeWrite;
use southbridge_core::trace::{Source, events::cpu as events};
use southbridge_core::{LoadError, LogItems, RamWindow, SavedState, System};

use crate::bus::{Bus, BusFault, CODE_GRANULE, Window};
use crate::engine::{Engine, Exit};
use crate::observe::{Observation, Observe, exception_name};
use crate::state::State;
use crate::variant::Config;

const _: () = assert!(CODE_GRANULE == southbridge_core::memory::CODE_GRANULE);

macro_rules! accesses {
    ($($read:ident $write:ident $t:ty),+) => { $(
        #[inline(always)]
        fn $read(&self, addr: u32) -> Option<$t> {
            RamWindow::$read(self, u64::from(addr).wrapping_sub(self.start))
        }
        #[inline(always)]
        fn $write(&self, addr: u32, value: $t) -> Option<bool> {
            RamWindow::$write(self, u64::from(addr).wrapping_sub(self.start), value)
        }
    )+ };
}

impl Window for RamWindow {
    accesses!(read_u8 write_u8 u8, read_u16 write_u16 u16, read_u32 write_u32 u32);

    fn narrow(&self, first: u32, last: u32, readonly: bool) -> Option<Self> {
        let first = self.start.max(first.into());
        let end = (self.start + self.len).min(u64::from(last) + 1);
        let len = end.checked_sub(first).filter(|n| *n > 0)?;
        let offset = self.block_offset() + (first - self.start);
        RamWindow::new(first, len, self.readonly || readonly, self.block(), offset)
    }
    fn place(&self, addr: u32) -> (u64, u64) {
        (
            self.block().id(),
            self.block_offset()
                .wrapping_add(u64::from(addr).wrapping_sub(self.start)),
        )
    }
    fn host(&self) -> Option<(u32, HostSpan)> {
        Some((u32::try_from(self.start).ok()?, RamWindow::host(self, 0, self.len)?))
    }
    fn mark_code(&self, addr: u32, on: bool) {
        let (_, offset) = self.place(addr);
        if on {
            self.block().mark_code(offset);
        } else {
            self.block().clear_code(offset);
        }
    }
}

impl Bus for System {
    type Window = RamWindow;

    fn read(&mut self, addr: u32, size: u8) -> Result<u32, BusFault> {
        System::read(self, addr.into(), size)
            .map(|v| v as u32)
            .map_err(|_| BusFault)
    }
    fn write(&mut self, addr: u32, size: u8, value: u32) -> Result<(), BusFault> {
        System::write(self, addr.into(), size, value.into()).map_err(|_| BusFault)
    }
    fn window(&mut self, addr: u32) -> Option<RamWindow> {
        self.ram_window(addr.into())
    }
    fn generation(&self) -> u64 {
        self.memory.generation()
    }
    fn cycles(&self) -> u64 {
        self.clock.ticks()
    }
    fn consume(&mut self, n: u64) {
        self.clock.consume(n);
    }
    fn cpu_hz(&self) -> u64 {
        self.clock.hz()
    }
    #[inline(always)]
    fn attention(&self) -> bool {
        System::attention(self)
    }
    fn attention_flag(&self) -> Option<AttentionFlag> {
        Some(System::attention_flag(self))
    }
    fn is_alone(&self) -> bool {
        self.cpu_count() <= 1
    }
    #[inline(always)]
    fn news(&self, cpu: u8) -> bool {
        self.cpu_news(CpuId(cpu))
    }
    fn take_lines(&mut self, cpu: u8) -> Vec<(u32, bool)> {
        System::take_lines(self, CpuId(cpu))
    }
    fn take_code_writes(&mut self, cpu: u8) -> Vec<(u64, u64, u64)> {
        System::take_code_writes(self, CpuId(cpu))
            .into_iter()
            .map(|w| (w.block, w.offset, w.len))
            .collect()
    }
    fn code_written(&mut self, memory: u64, offset: u64, len: u64) {
        System::code_written(
            self,
            CodeWrite {
                block: memory,
                offset,
                len,
            },
        );
    }
    fn observes(&self) -> Observe {
        let wants = [
            (LogItems::INT, Observe::EXCEPTIONS),
            (LogItems::CPU_RESET, Observe::RESET),
            (LogItems::IN_ASM, Observe::CODE),
            (LogItems::EXEC, Observe::BLOCKS),
            (LogItems::MMU, Observe::MPU),
        ];
        let on = wants.iter().filter(|(item, _)| self.log.on(*item));
        let traced = match self.traces_cpus() {
            true => Observe::EXCEPTIONS | Observe::RESET | Observe::SLEEP,
            false => Observe::empty(),
        };
        on.fold(traced, |all, (_, kind)| all | *kind)
    }
    #[cold]
    fn observed(&mut self, cpu: u8, what: &Observation<'_>) {
        if self.traces_cpus() {
            trace(self, cpu, what);
        }
        let item = match what {
            Observation::Entry { .. } | Observation::Return { .. } | Observation::Lockup { .. } => LogItems::INT,
            Observation::Reset(_) => LogItems::CPU_RESET,
            Observation::Decoded(_) => LogItems::IN_ASM,
            Observation::Block { .. } => LogItems::EXEC,
            Observation::Mpu { .. } => LogItems::MMU,
            Observation::Sleep(_) | Observation::Wake => return,
        };
        if self.log.on(item) {
            self.log.line(format_args!("CPU {cpu}: {what}"));
        }
    }
}

/// The same as a trace event.
fn trace(sys: &mut System, cpu: u8, what: &Observation<'_>) {
    let name = format!("cpu{cpu}");
    let mut to = Source { sys, name: &name };
    let to = &mut to;
    match *what {
        Observation::Entry {
            number,
            priority,
            from,
            handler,
        } => events::cpu_exception_enter(
            to,
            number.into(),
            &numbered(number),
            priority.into(),
            from.into(),
            handler.into(),
        ),
        Observation::Return { number, link, to: pc } => events::cpu_exception_exit(
            to,
            number.into(),
            &numbered(number),
            pc.is_none(),
            pc.unwrap_or(link).into(),
        ),
        Observation::Lockup { .. } => events::cpu_lockup(to),
        Observation::Reset(registers) => {
            let value = |name| registers.iter().find(|(n, _)| *n == name).map_or(0, |(_, v)| *v);
            events::cpu_reset(to, value("pc").into(), value("sp").into());
        }
        Observation::Sleep(event) => events::cpu_sleep(to, event),
        Observation::Wake => events::cpu_wake(to),
        Observation::Block { .. } | Observation::Decoded(_) | Observation::Mpu { .. } => {}
    }
}

/// `SysTick`, `IRQ5`.
fn numbered(number: u16) -> String {
    match number {
        n if n >= 16 => format!("IRQ{}", n - 16),
        n => exception_name(n).to_owned(),
    }
}

/// A Cortex-M core of a machine.
///
/// Interrupt inputs: 0 to 239 are the external interrupts, [`crate::NMI_LINE`] is NMI.
/// After [`CpuExit::Semihosting`] the PC is already behind the BKPT; `finish_semihosting` writes R0.
pub struct CortexM {
    pub(crate) engine: Engine<System>,
}

/// Layout version of the saved [`State`].
const VERSION: u32 = 1;

impl CortexM {
    /// A core as configured, not yet reset.
    pub fn new(cfg: Config) -> Self {
        CortexM {
            engine: Engine::new(cfg),
        }
    }
    /// The engine, for a debugger.
    pub fn engine(&mut self) -> &mut Engine<System> {
        &mut self.engine
    }
    /// Whether BKPT 0xAB is a semihosting call rather than a breakpoint.
    pub fn set_semihosting(&mut self, on: bool) {
        self.engine.set_semihosting(on);
    }
    /// Compiles hot code, or no longer does. An error says why it cannot be done here.
    pub fn set_jit(&mut self, options: Option<southbridge_cpu_jit::Options>) -> Result<(), String> {
        self.engine.set_jit(options)
    }
    fn lockup(&self) -> String {
        let r = |name| self.engine.register(name).unwrap_or(0);
        let s = self.engine.state();
        format!(
            "Cortex-M lockup: fault in the fault handler (LR {:#010x}, SP {:#010x}, CFSR {:#010x}, HFSR {:#010x}, BFAR {:#010x})",
            r("lr"),
            r("sp"),
            s.scb.cfsr,
            s.scb.hfsr,
            s.scb.bfar
        )
    }
}

static ARM: Arch = Arch {
    name: "arm",
    bits: 32,
    elf_machine: 40,
    qom_suffix: "arm-cpu",
    qom_home: ("armv7m", "armv7m"),
    qom_name: "cpu",
    gdb: "arm",
};

/// gdb numbers r0 to pc from 0, and xPSR 25: between them stood floating-point registers once ("Standard Target Features", G.5.3).
const XPSR: u32 = 25;
/// Registers of the core feature; the rest is the system feature's.
const CORE: usize = 17;

fn gdb_features(registers: &[RegisterValue]) -> Vec<GdbFeature> {
    let all: Vec<GdbRegister> = registers
        .iter()
        .zip(0u32..)
        .map(|(r, i)| GdbRegister {
            name: r.name,
            number: if i < 16 { i } else { i - 16 + XPSR },
            bits: r.bits,
            kind: match r.name {
                "sp" | "msp" | "psp" => "data_ptr",
                "pc" => "code_ptr",
                _ => "",
            },
        })
        .collect();
    let (core, system) = all.split_at(CORE.min(all.len()));
    let feature = |name, registers: &[GdbRegister]| GdbFeature {
        name,
        types: String::new(),
        registers: registers.to_vec(),
        general: true,
    };
    vec![
        feature("org.gnu.gdb.arm.m-profile", core),
        feature("org.gnu.gdb.arm.m-system", system),
    ]
}

impl Cpu for CortexM {
    fn model(&self) -> &'static str {
        self.engine.config().variant.name
    }
    fn arch(&self) -> &'static Arch {
        &ARM
    }
    fn gdb_features(&self) -> Vec<GdbFeature> {
        gdb_features(&self.registers())
    }
    fn reset(&mut self, sys: &mut System) {
        self.engine.reset(sys);
    }
    fn run(&mut self, sys: &mut System, budget: u64) -> CpuExit {
        match self.engine.run(sys, budget) {
            Exit::Budget => CpuExit::Budget,
            Exit::Idle { until } => CpuExit::Idle {
                until: until.map(|at| {
                    sys.clock
                        .now()
                        .after_ticks(at.saturating_sub(sys.clock.ticks()), sys.clock.hz())
                }),
            },
            Exit::Reset => CpuExit::Reset,
            Exit::Semihosting { op, arg } => CpuExit::Semihosting { op, arg: arg.into() },
            Exit::Lockup => CpuExit::Lockup(self.lockup()),
            Exit::Differs => CpuExit::Lockup(self.engine.difference().to_owned()),
            Exit::Breakpoint => CpuExit::Debug,
        }
    }
    fn on_line(&mut self, input: u32, level: bool, _: &mut System) {
        self.engine.line(input, level);
    }
    fn finish_semihosting(&mut self, result: u64) {
        self.engine.set_register("r0", result as u32);
    }
    fn save(&self) -> SavedState {
        SavedState::of(VERSION, self.engine.state())
    }
    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        self.engine.set_state(state.read::<State>(VERSION)?);
        Ok(())
    }
    fn registers(&self) -> Vec<RegisterValue> {
        let all = self.engine.registers().into_iter();
        all.map(|(name, value)| RegisterValue {
            name,
            bits: 32,
            value: value.into(),
        })
        .collect()
    }
    fn set_register(&mut self, name: &str, value: u64) -> bool {
        self.engine.set_register(name, value as u32)
    }
    fn pc(&self) -> u64 {
        self.engine.register("pc").unwrap_or(0).into()
    }
    fn disassemble(&self, address: u64, code: &[u8]) -> Option<(usize, String)> {
        crate::disasm::at(address as u32, code)
    }
    fn execution(&self) -> Vec<String> {
        match self.engine.jit_statistics() {
            Some(numbers) => numbers.lines(),
            None => vec!["All code is interpreted.".into()],
        }
    }
    fn debug(&mut self) -> Option<&mut dyn CpuDebug> {
        Some(self)
    }
}
