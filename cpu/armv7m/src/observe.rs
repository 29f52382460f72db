//! What the engine tells those who watch it: exceptions, decoded code, executed blocks, decisions of the MPU, sleep.
//!
//! A bus says once per run what it wants to hear ([`Bus::observes`](crate::Bus::observes)); the loop over blocks tests nothing
//! that it would not test anyway. The words of a log line are made here, so that every bus speaks alike.

use std::fmt;

use crate::disasm;
use crate::insn::Insn;
use crate::scs::mpu::{Access, Rights};

bitflags::bitflags! {
    /// Kinds of [`Observation`].
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Observe: u8 {
        /// [`Observation::Entry`], [`Observation::Return`] and [`Observation::Lockup`].
        const EXCEPTIONS = 1;
        /// [`Observation::Reset`].
        const RESET = 2;
        /// [`Observation::Decoded`].
        const CODE = 4;
        /// [`Observation::Block`].
        const BLOCKS = 8;
        /// [`Observation::Mpu`].
        const MPU = 16;
        /// [`Observation::Sleep`] and [`Observation::Wake`].
        const SLEEP = 32;
    }
}

/// Something the engine did. `Display` gives the line or lines of the log, without the core's number.
#[derive(Clone, Copy, Debug)]
pub enum Observation<'a> {
    /// A handler is about to run.
    Entry {
        /// Exception number.
        number: u16,
        /// Its priority with subpriority, -3 to 255.
        priority: i16,
        /// Address of the instruction that runs next when the handler has returned, or an EXC_RETURN value when it tail-chains.
        from: u32,
        /// First instruction of the handler.
        handler: u32,
    },
    /// A handler ended.
    Return {
        /// Exception number.
        number: u16,
        /// EXC_RETURN.
        link: u32,
        /// Where execution goes on; none when another exception is taken on the same frame.
        to: Option<u32>,
    },
    /// A fault where none can be handled.
    Lockup {
        /// HFSR.
        hfsr: u32,
        /// CFSR.
        cfsr: u32,
    },
    /// The core was reset; names and values of the registers.
    Reset(&'a [(&'static str, u32)]),
    /// A block is about to run.
    Block {
        /// Its first instruction.
        pc: u32,
        /// Its number of instructions.
        count: u32,
    },
    /// Instructions were decoded, as one block.
    Decoded(&'a [Line]),
    /// The MPU refused an access, or its verdict was taken into the translations.
    Mpu {
        /// Address.
        addr: u32,
        /// Kind.
        access: Access,
        /// Rights of the code.
        privileged: bool,
        /// The region that decided, and its RASR; none for the background.
        region: Option<(u8, u32)>,
        /// What is allowed there.
        rights: Rights,
    },
    /// The core sleeps; `true` for WFE.
    Sleep(bool),
    /// It woke up.
    Wake,
}

/// One decoded instruction.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// Where it stands.
    pub pc: u32,
    /// The instruction; of a 32-bit one the first halfword on top.
    pub raw: u32,
    /// ITSTATE before it.
    pub it: u8,
    /// What it was decoded to.
    pub insn: Insn,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = match self.insn.size {
            4 => format!("{:04x} {:04x}", self.raw >> 16, self.raw & 0xffff),
            _ => format!("{:04x}     ", self.raw & 0xffff),
        };
        let text = disasm::text(self.raw, &self.insn, self.it);
        write!(f, "0x{:08x}:  {code}  {text}", self.pc)
    }
}

/// The ARM ARM's name of an exception (table B1-4).
pub fn exception_name(number: u16) -> &'static str {
    match number {
        0 => "Thread",
        1 => "Reset",
        2 => "NMI",
        3 => "HardFault",
        4 => "MemManage",
        5 => "BusFault",
        6 => "UsageFault",
        11 => "SVCall",
        12 => "DebugMonitor",
        14 => "PendSV",
        15 => "SysTick",
        n if n >= 16 => "IRQ",
        _ => "reserved",
    }
}

/// `15 [SysTick]`, `21 [IRQ 5]`.
struct Exception(u16);

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n >= 16 => write!(f, "{n} [IRQ {}]", n - 16),
            n => write!(f, "{n} [{}]", exception_name(n)),
        }
    }
}

impl fmt::Display for Observation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Entry {
                number,
                priority,
                from,
                handler,
            } => {
                let n = Exception(number);
                write!(f, "exception {n} taken, priority {priority}, ")?;
                match is_exc_return(from) {
                    true => write!(f, "tail-chained after EXC_RETURN {from:#010x}")?,
                    false => write!(f, "from pc {from:#010x}")?,
                }
                write!(f, " to handler {handler:#010x}")
            }
            Self::Return { number, link, to } => {
                let n = Exception(number);
                write!(f, "exception {n} returns with EXC_RETURN {link:#010x}")?;
                match to {
                    Some(pc) => write!(f, " to pc {pc:#010x}"),
                    None => write!(f, " into the next exception"),
                }
            }
            Self::Lockup { hfsr, cfsr } => write!(f, "lockup, HFSR {hfsr:#010x}, CFSR {cfsr:#010x}"),
            Self::Reset(registers) => {
                write!(f, "reset")?;
                for (i, (name, value)) in registers.iter().enumerate() {
                    let gap = if i % 4 == 0 { "\n" } else { " " };
                    write!(f, "{gap}{}={value:08x}", name.to_uppercase())?;
                }
                Ok(())
            }
            Self::Block { pc, count } => write!(f, "exec 0x{pc:08x} ({count} instructions)"),
            Self::Decoded(lines) => {
                write!(f, "in:")?;
                lines.iter().try_for_each(|l| write!(f, "\n{l}"))
            }
            Self::Mpu {
                addr,
                access,
                privileged,
                region,
                rights,
            } => mpu(f, addr, access, privileged, region, rights),
            Self::Sleep(event) => write!(f, "sleeps ({})", if event { "WFE" } else { "WFI" }),
            Self::Wake => write!(f, "wakes"),
        }
    }
}

fn mpu(
    f: &mut fmt::Formatter<'_>,
    addr: u32,
    access: Access,
    privileged: bool,
    region: Option<(u8, u32)>,
    rights: Rights,
) -> fmt::Result {
    let verdict = if rights.allow(access) { "allows" } else { "refuses" };
    let what = match access {
        Access::Read => "read",
        Access::Write => "write",
        Access::Fetch => "fetch",
    };
    let who = if privileged { "privileged" } else { "unprivileged" };
    let bit = |on, c| if on { c } else { '-' };
    let (r, w, x) = (bit(rights.read, 'r'), bit(rights.write, 'w'), bit(rights.execute, 'x'));
    write!(f, "MPU {verdict} {who} {what} at {addr:#010x}: ")?;
    match region {
        Some((n, rasr)) => write!(
            f,
            "region {n}, RASR {rasr:#010x} (AP {}, XN {}, TEX {}, S {}, C {}, B {}), {r}{w}{x}",
            rasr >> 24 & 7,
            rasr >> 28 & 1,
            rasr >> 19 & 7,
            rasr >> 18 & 1,
            rasr >> 17 & 1,
            rasr >> 16 & 1
        ),
        None => write!(f, "no region, background {r}{w}{x}"),
    }
}

/// Whether a "return address" is one of the values that mean exception return.
pub(crate) fn is_exc_return(pc: u32) -> bool {
    pc >= 0xf000_0000
}
