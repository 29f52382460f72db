//! What a machine knows of a CPU engine.

use serde::{Deserialize, Serialize};
use std::any::Any;

use crate::clock::VirtualTime;
use crate::saved::{LoadError, SavedState};
use crate::system::System;

/// A CPU of a machine, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct CpuId(pub u8);

/// Why a CPU stopped running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// The budget is used up exactly, or something that the machine must see (a host event, a request, an earlier deadline) came up.
    Budget,
    /// The CPU waits for an interrupt or event. It has a timer of its own that would wake it at `until` (SysTick), if any.
    Idle {
        /// When the CPU wakes by itself.
        until: Option<VirtualTime>,
    },
    /// The guest asked for a reset of the system (AIRCR.SYSRESETREQ).
    Reset,
    /// A semihosting call: operation number and argument as the architecture passes them. The machine does the call and hands the
    /// result to [`Cpu::finish_semihosting`].
    Semihosting {
        /// Operation.
        op: u32,
        /// Parameter, usually a pointer to a block of arguments.
        arg: u64,
    },
    /// The CPU cannot go on (ARMv7-M lockup); one line for people says where and why.
    Lockup(String),
    /// A breakpoint, watchpoint or step for the debugger.
    Debug,
    /// A call into firmware that the host executes ([`Firmware`]). The CPU stands at the instruction that calls; what the firmware does
    /// to it says where it goes on.
    FirmwareCall,
}

/// An architecture, in the words of those who ask for it.
#[derive(Debug, PartialEq, Eq)]
pub struct Arch {
    /// As `query-target` says it: `arm`, `riscv64`.
    pub name: &'static str,
    /// Bits of a general register and of an address.
    pub bits: u8,
    /// `e_machine` of an ELF file (core dumps).
    pub elf_machine: u16,
    /// What follows the model's name in the name of the object type: `arm-cpu`.
    pub qom_suffix: &'static str,
    /// The object below `/machine` that has the CPUs, and its type: `armv7m`, `soc0`.
    pub qom_home: (&'static str, &'static str),
    /// Name of a CPU there; `[]` at its end stands for its number: `cpu`, `harts[]`.
    pub qom_name: &'static str,
    /// `<architecture>` of gdb's target description.
    pub gdb: &'static str,
}

/// A feature of gdb's target description ("Standard Target Features", G.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GdbFeature {
    /// Its name: `org.gnu.gdb.arm.m-profile`.
    pub name: &'static str,
    /// Definitions of types that stand before the registers, as XML; mostly empty.
    pub types: String,
    /// Registers, ascending by number.
    pub registers: Vec<GdbRegister>,
    /// Whether its registers are part of the `g` packet. The features that are come first, and their numbers ascend.
    pub general: bool,
}

/// A register as gdb sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GdbRegister {
    /// Name: the one that [`Cpu::register`] and [`Cpu::set_register`] know.
    pub name: &'static str,
    /// gdb's number.
    pub number: u32,
    /// Width in bits, at most 64.
    pub bits: u8,
    /// gdb's type (`data_ptr`, `code_ptr`, `ieee_double`, one of [`GdbFeature::types`]); empty for a plain number.
    pub kind: &'static str,
}

/// One register, for debuggers and tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterValue {
    /// The architecture's name.
    pub name: &'static str,
    /// Width in bits.
    pub bits: u8,
    /// Value.
    pub value: u64,
}

/// An engine that executes guest code.
pub trait Cpu: Any + Send {
    /// The CPU model's name as `-cpu` spells it.
    fn model(&self) -> &'static str;

    /// What architecture it is of.
    fn arch(&self) -> &'static Arch;

    /// How gdb sees its registers. An engine without a description leaves gdb to what it believes of the architecture.
    fn gdb_features(&self) -> Vec<GdbFeature> {
        Vec::new()
    }

    /// Where code that runs now would find a virtual address, without any effect of looking there; `None` if nowhere.
    fn translate(&self, address: u64, _sys: &mut System) -> Option<u64> {
        Some(address)
    }

    /// Whether code may run behind a translation of addresses: the map of physical memory is not that of programs then.
    fn translates(&self) -> bool {
        false
    }

    /// Power-on or system reset. Memory is readable (the vector table is fetched here).
    fn reset(&mut self, sys: &mut System);

    /// Executes at most `budget` instructions, and exactly so many unless another exit comes first. Reports executed instructions to
    /// `sys.clock` before each access that leaves RAM and before it returns. Returns early, between two instructions, when
    /// `sys.attention()` is set or the machine's deadline moved to before the end of the budget.
    fn run(&mut self, sys: &mut System, budget: u64) -> Exit;

    /// An interrupt input changed while the CPU was not running.
    fn on_line(&mut self, input: u32, level: bool, sys: &mut System);

    /// The result of the semihosting call that `run` exited with; execution goes on behind it.
    fn finish_semihosting(&mut self, result: u64);

    /// Architectural state.
    fn save(&self) -> SavedState;

    /// Takes a saved state back; hostile input; unchanged on error.
    fn load(&mut self, state: &SavedState) -> Result<(), LoadError>;

    /// All registers that the engine shows.
    fn registers(&self) -> Vec<RegisterValue>;

    /// The value of one register by name: one of [`Cpu::registers`], or one that only [`Cpu::gdb_features`] names. Reading changes
    /// nothing.
    fn register(&self, name: &str, _sys: &System) -> Option<u64> {
        self.registers().iter().find(|r| r.name == name).map(|r| r.value)
    }

    /// Sets one register by name; `false` if there is none of that name.
    fn set_register(&mut self, name: &str, value: u64) -> bool;

    /// Where execution goes on.
    fn pc(&self) -> u64;

    /// The instruction at `address`, of which `code` has the first bytes, as text, and its length in bytes. `None` if those are too
    /// few, or the engine has no texts.
    fn disassemble(&self, _address: u64, _code: &[u8]) -> Option<(usize, String)> {
        None
    }

    /// How guest code is executed, for `info jit`: lines for people.
    fn execution(&self) -> Vec<String> {
        vec!["All code is interpreted.".into()]
    }

    /// What the engine offers a debugger, if it offers anything.
    fn debug(&mut self) -> Option<&mut dyn CpuDebug> {
        None
    }
}

/// Which accesses to data a watchpoint is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchKind {
    /// Writes.
    Write,
    /// Reads.
    Read,
    /// Both.
    Access,
}

impl WatchKind {
    /// Whether an access of that direction is one of those.
    pub const fn is_for(self, write: bool) -> bool {
        matches!(
            (self, write),
            (Self::Access, _) | (Self::Write, true) | (Self::Read, false)
        )
    }
}

/// Data that a debugger watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watchpoint {
    /// First byte.
    pub first: u64,
    /// Last byte.
    pub last: u64,
    /// What touches it.
    pub kind: WatchKind,
}

/// The half of an engine that a debugger uses. None of it changes what the guest sees, unless a method says so.
pub trait CpuDebug {
    /// From now on `run` ends with [`Exit::Debug`] before the instruction at each of `breakpoints`, and after each instruction that
    /// touched one of `watchpoints`. What was set before is forgotten. The instruction at which the last run stopped is gone over.
    fn set_stops(&mut self, breakpoints: &[u64], watchpoints: &[Watchpoint]);

    /// Whether [`CpuDebug::take_watch_hit`] has one.
    fn has_watch_hit(&mut self) -> bool;

    /// The watchpoint that ended the last run, and the first byte of it that was touched. Once.
    fn take_watch_hit(&mut self) -> Option<(Watchpoint, u64)>;

    /// What is inside the CPU and in no address space of the machine: inclusive ranges.
    fn private(&self) -> &'static [(u64, u64)];

    /// Reads 1, 2 or 4 bytes of what is private, as privileged code would, with all effects. `None` where it would fault.
    fn read_private(&mut self, address: u64, size: u8, sys: &mut System) -> Option<u64>;

    /// Writes there, as privileged code would. `false` where it would fault.
    fn write_private(&mut self, address: u64, size: u8, value: u64, sys: &mut System) -> bool;
}

/// How a semihosting call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SemihostingDone {
    /// The guest goes on with this result.
    Result(u64),
    /// The guest asked to end the run with this exit status.
    Exit(u32),
}

/// A semihosting call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SemihostingCall {
    /// The CPU that makes it.
    pub cpu: CpuId,
    /// Operation.
    pub op: u32,
    /// Parameter, usually a pointer to a block of arguments.
    pub arg: u64,
}

/// What does semihosting calls for the guest.
pub trait SemihostingHost: Send {
    /// One call. Guest memory is reached through `sys`; whatever the guest passes is answered, never trusted.
    fn call(&mut self, call: SemihostingCall, sys: &mut System) -> SemihostingDone;

    /// A call that was answered with `result` when a run was recorded comes again: only what it says to people is done again.
    fn repeat(&mut self, _call: SemihostingCall, _result: u64, _sys: &mut System) {}

    /// What the guest's next calls depend on, if anything.
    ///
    /// # Errors
    /// It stands outside and cannot be saved (an open file): why.
    fn save(&self) -> Result<Option<SavedState>, String> {
        Ok(None)
    }

    /// Takes a saved state back; hostile input; unchanged on error.
    ///
    /// # Errors
    /// The state does not fit.
    fn load(&mut self, _state: &SavedState) -> Result<(), LoadError> {
        Ok(())
    }
}

/// What the machine does after a call into firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirmwareDone {
    /// The CPUs go on as the firmware left them.
    Continue,
    /// The system is reset.
    Reset,
    /// The system is switched off.
    Shutdown,
}

/// Firmware that the host executes (RISC-V SBI). It is as deterministic as a CPU: what it knows is the machine's state and its own, so
/// that a recording needs nothing of it.
pub trait Firmware: Send {
    /// The call of a CPU that left `run` with [`Exit::FirmwareCall`]. Sleeping CPUs look up after it.
    fn call(&mut self, cpu: CpuId, cpus: &mut [Box<dyn Cpu>], sys: &mut System) -> FirmwareDone;

    /// Power-on or system reset, after devices and CPUs.
    fn reset(&mut self, cpus: &mut [Box<dyn Cpu>], sys: &mut System);

    /// What its next calls depend on.
    fn save(&self) -> SavedState;

    /// Takes a saved state back; hostile input; unchanged on error.
    ///
    /// # Errors
    /// The state does not fit.
    fn load(&mut self, state: &SavedState) -> Result<(), LoadError>;
}
