//! What the engine tells those who watch it, in the words of the log (`-d int,exec,in_asm,cpu_reset`) and as trace events.

use southbridge_core::trace::{Source, events::cpu as events};
use southbridge_core::{LogItems, System};

use crate::hart::Hart;
use crate::state::mode;

bitflags::bitflags! {
    /// What somebody wants to hear; looked up once when a run begins.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(crate) struct Observe: u8 {
        const TRAPS = 1;
        const CODE = 2;
        const BLOCKS = 4;
        const RESET = 8;
    }
}

impl Observe {
    pub(crate) fn of(sys: &System) -> Self {
        let wants = [
            (LogItems::INT, Self::TRAPS),
            (LogItems::IN_ASM, Self::CODE),
            (LogItems::EXEC, Self::BLOCKS),
            (LogItems::CPU_RESET, Self::RESET),
        ];
        let on = wants.iter().filter(|(item, _)| sys.log.on(*item));
        let traced = if sys.traces_cpus() {
            Self::TRAPS | Self::RESET
        } else {
            Self::empty()
        };
        on.fold(traced, |all, (_, kind)| all | *kind)
    }
}

/// Something that happened.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// A trap was taken; the hart is at its handler.
    Trap { from: u64, cause: u64, tval: u64 },
    /// A handler ended with `mret` or `sret`; the hart is where it goes on.
    Return,
    /// The hart waits for an interrupt.
    Sleep,
    /// It goes on.
    Wake,
    /// A block is about to run.
    Block { pc: u64, count: u32 },
}

const EXCEPTIONS: [&str; 16] = [
    "instruction address misaligned",
    "instruction access fault",
    "illegal instruction",
    "breakpoint",
    "load address misaligned",
    "load access fault",
    "store address misaligned",
    "store access fault",
    "ecall from U",
    "ecall from S",
    "reserved",
    "ecall from M",
    "instruction page fault",
    "load page fault",
    "reserved",
    "store page fault",
];

/// The name of an `mcause`.
pub(crate) fn cause_name(cause: u64) -> &'static str {
    let n = cause & 0x3f;
    if cause >> 63 == 0 {
        return EXCEPTIONS.get(n as usize).copied().unwrap_or("reserved");
    }
    match n {
        1 => "S software interrupt",
        3 => "M software interrupt",
        5 => "S timer interrupt",
        7 => "M timer interrupt",
        9 => "S external interrupt",
        11 => "M external interrupt",
        13 => "counter overflow interrupt",
        _ => "interrupt",
    }
}

/// The letter of a privilege mode.
pub(crate) fn mode_name(prv: u8) -> &'static str {
    match prv {
        mode::U => "U",
        mode::S => "S",
        _ => "M",
    }
}

impl Hart {
    /// Tells an event to who wants it.
    #[inline]
    pub(crate) fn tell(&self, sys: &mut System, event: Event) {
        if !self.observe.is_empty() {
            self.tell_all(sys, event);
        }
    }

    #[cold]
    fn tell_all(&self, sys: &mut System, event: Event) {
        let cpu = self.cfg.cpu.0;
        match event {
            Event::Trap { from, cause, tval } if self.observe.contains(Observe::TRAPS) => {
                let name = cause_name(cause);
                if sys.traces_cpus() {
                    let source = format!("cpu{cpu}");
                    let mut to = Source { sys, name: &source };
                    events::cpu_exception_enter(&mut to, cause & 0x3f, name, 0, from, self.s.pc);
                }
                if sys.log.on(LogItems::INT) {
                    let (to, prv) = (self.s.pc, mode_name(self.s.prv));
                    sys.log.line(format_args!(
                        "CPU {cpu}: trap {cause:#x} [{name}] taken to {prv}, from pc {from:#x} to {to:#x}, tval {tval:#x}"
                    ));
                }
            }
            Event::Return if self.observe.contains(Observe::TRAPS) => {
                if sys.traces_cpus() {
                    let source = format!("cpu{cpu}");
                    let mut to = Source { sys, name: &source };
                    events::cpu_exception_exit(&mut to, 0, mode_name(self.s.prv), false, self.s.pc);
                }
                if sys.log.on(LogItems::INT) {
                    let (to, prv) = (self.s.pc, mode_name(self.s.prv));
                    sys.log.line(format_args!("CPU {cpu}: returns to {prv}, pc {to:#x}"));
                }
            }
            Event::Sleep | Event::Wake if sys.traces_cpus() => {
                let source = format!("cpu{cpu}");
                let mut to = Source { sys, name: &source };
                match event {
                    Event::Sleep => events::cpu_sleep(&mut to, false),
                    _ => events::cpu_wake(&mut to),
                }
            }
            Event::Block { pc, count } if self.observe.contains(Observe::BLOCKS) => {
                sys.log
                    .line(format_args!("CPU {cpu}: exec 0x{pc:016x} ({count} instructions)"));
            }
            _ => {}
        }
    }

    /// Says how the hart is after a reset.
    pub(crate) fn tell_reset(&self, sys: &mut System, registers: impl Iterator<Item = (&'static str, u64)>) {
        if !self.observe.contains(Observe::RESET) {
            return;
        }
        let cpu = self.cfg.cpu.0;
        if sys.traces_cpus() {
            let source = format!("cpu{cpu}");
            let mut to = Source { sys, name: &source };
            events::cpu_reset(&mut to, self.s.pc, self.x(2));
        }
        if sys.log.on(LogItems::CPU_RESET) {
            let all: Vec<String> = registers.map(|(name, v)| format!("{name}={v:016x}")).collect();
            sys.log.line(format_args!("CPU {cpu}: reset\n{}", all.join(" ")));
        }
    }
}
