//! What the engine needs from the world: memory, time, and news. Monomorphised, so that a RAM access costs no call.

use southbridge_core::host::AttentionFlag;
use southbridge_core::memory::HostSpan;

use crate::observe::{Observation, Observe};

/// An access that nothing completed: the core raises a bus fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BusFault;

/// A stretch of RAM or ROM that the engine may keep and access directly, by guest address.
///
/// Every access checks its bounds: outside the window the answer is `None`.
pub trait Window: Clone {
    /// Reads a byte.
    fn read_u8(&self, addr: u32) -> Option<u8>;
    /// Reads a little-endian halfword.
    fn read_u16(&self, addr: u32) -> Option<u16>;
    /// Reads a little-endian word.
    fn read_u32(&self, addr: u32) -> Option<u32>;
    /// Writes a byte. `Some(true)` when the place was marked as code; `None` also for a read-only window.
    fn write_u8(&self, addr: u32, value: u8) -> Option<bool>;
    /// Writes a halfword; see [`Window::write_u8`].
    fn write_u16(&self, addr: u32, value: u16) -> Option<bool>;
    /// Writes a word; see [`Window::write_u8`].
    fn write_u32(&self, addr: u32, value: u32) -> Option<bool>;
    /// The same window cut down to the inclusive range `first..=last`, read-only if `readonly` says so too.
    fn narrow(&self, first: u32, last: u32, readonly: bool) -> Option<Self>;
    /// Identity of the memory behind `addr` and the offset in it; windows that alias the same memory agree on both.
    fn place(&self, addr: u32) -> (u64, u64);
    /// Its first address, and where in this process it is, if compiled code may go there.
    fn host(&self) -> Option<(u32, HostSpan)> {
        None
    }
    /// Marks (or unmarks) the [`CODE_GRANULE`] bytes around `addr` as decoded.
    fn mark_code(&self, addr: u32, on: bool);
}

/// Bytes that one code mark covers.
pub const CODE_GRANULE: u64 = 256;

/// The engine's view of the machine.
pub trait Bus {
    /// Handle of directly accessible memory.
    type Window: Window;

    /// Reads `size` (1, 2, 4) bytes, naturally aligned.
    fn read(&mut self, addr: u32, size: u8) -> Result<u32, BusFault>;
    /// Writes `size` (1, 2, 4) bytes, naturally aligned.
    fn write(&mut self, addr: u32, size: u8, value: u32) -> Result<(), BusFault>;
    /// The memory at `addr`, if it may be accessed directly.
    fn window(&mut self, addr: u32) -> Option<Self::Window>;
    /// Changes when windows may have become stale.
    fn generation(&self) -> u64;

    /// The clock, in processor cycles since power-on, including those slept.
    fn cycles(&self) -> u64;
    /// The engine has executed `n` more instructions.
    fn consume(&mut self, n: u64);
    /// The processor clock in Hz.
    fn cpu_hz(&self) -> u64;

    /// Whether the run should end between two instructions.
    fn attention(&self) -> bool;
    /// The flag behind [`Bus::attention`], for compiled code; none where nobody else raises one.
    fn attention_flag(&self) -> Option<AttentionFlag> {
        None
    }
    /// Whether no other core executes code of this memory.
    fn is_alone(&self) -> bool {
        true
    }
    /// Whether [`Bus::take_lines`] or [`Bus::take_code_writes`] has something for core number `cpu`.
    fn news(&self, cpu: u8) -> bool;
    /// Changes of the core's interrupt inputs since the last call: external interrupt number (or [`crate::NMI_LINE`]) and level.
    fn take_lines(&mut self, cpu: u8) -> Vec<(u32, bool)>;
    /// Writes into marked code since the last call: memory identity, offset and length.
    fn take_code_writes(&mut self, cpu: u8) -> Vec<(u64, u64, u64)>;
    /// The engine itself wrote into marked code (same terms); it comes back through [`Bus::take_code_writes`].
    fn code_written(&mut self, memory: u64, offset: u64, len: u64);

    /// What the engine should tell through [`Bus::observed`]; asked once when a run begins.
    fn observes(&self) -> Observe {
        Observe::empty()
    }
    /// Core number `cpu` did something that [`Bus::observes`] asked for. Time is published.
    fn observed(&mut self, _cpu: u8, _what: &Observation<'_>) {}
}
