//! Semihosting for AArch32 and AArch64 (Arm document 2023Q3), which RISC-V uses too.
//!
//! A guest that runs with `-semihosting` is trusted with the files of the user who started it, as everywhere; it is not trusted to
//! keep its pointers straight. What it cannot do is stall the machine: only regular files open, transfers are bounded, and
//! `SYS_SYSTEM` is refused because a command may run forever.

mod files;

use files::{Files, SavedFile};
use serde::{Deserialize, Serialize};
use southbridge_core::cpu::{SemihostingCall, SemihostingDone, SemihostingHost};
use southbridge_core::{BusError, LoadError, LogItems, SavedState, System};
use std::io::Write;

/// Operation numbers (section "Semihosting operations").
mod op {
    pub(crate) const OPEN: u32 = 0x01;
    pub(crate) const CLOSE: u32 = 0x02;
    pub(crate) const WRITEC: u32 = 0x03;
    pub(crate) const WRITE0: u32 = 0x04;
    pub(crate) const WRITE: u32 = 0x05;
    pub(crate) const READ: u32 = 0x06;
    pub(crate) const READC: u32 = 0x07;
    pub(crate) const ISERROR: u32 = 0x08;
    pub(crate) const ISTTY: u32 = 0x09;
    pub(crate) const SEEK: u32 = 0x0a;
    pub(crate) const FLEN: u32 = 0x0c;
    pub(crate) const TMPNAM: u32 = 0x0d;
    pub(crate) const REMOVE: u32 = 0x0e;
    pub(crate) const RENAME: u32 = 0x0f;
    pub(crate) const CLOCK: u32 = 0x10;
    pub(crate) const TIME: u32 = 0x11;
    pub(crate) const SYSTEM: u32 = 0x12;
    pub(crate) const ERRNO: u32 = 0x13;
    pub(crate) const GET_CMDLINE: u32 = 0x15;
    pub(crate) const HEAPINFO: u32 = 0x16;
    pub(crate) const EXIT: u32 = 0x18;
    pub(crate) const EXIT_EXTENDED: u32 = 0x20;
    pub(crate) const ELAPSED: u32 = 0x30;
    pub(crate) const TICKFREQ: u32 = 0x31;
}

/// Reason code for a normal end (section "SYS_EXIT").
const ADP_STOPPED_APPLICATION_EXIT: u64 = 0x20026;
/// Longest path or command line that a call may name, in bytes.
const MAX_NAME: usize = 4096;
/// Most bytes that one read or write moves; callers loop on what is left.
const MAX_TRANSFER: u64 = 16 << 20;

/// Where heap and stack of a program may lie, for `SYS_HEAPINFO`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HeapInfo {
    /// First address of the heap.
    pub heap_base: u64,
    /// End of the heap.
    pub heap_limit: u64,
    /// Initial stack pointer.
    pub stack_base: u64,
    /// Lowest address of the stack.
    pub stack_limit: u64,
}

/// What a machine is told about semihosting by its command line.
pub struct Config {
    /// Bytes of a guest word: 4 or 8.
    pub word: u8,
    /// `SYS_GET_CMDLINE`: program name and arguments in one line.
    pub command_line: String,
    /// `SYS_HEAPINFO`.
    pub heap: HeapInfo,
    /// Seconds since 1970 at power-on, for `SYS_TIME`; virtual time goes on from there, so that runs repeat.
    pub epoch: u64,
    /// Where console output goes (stderr, or a character back end).
    pub console: Box<dyn Write + Send>,
}

/// The calls of one machine.
pub struct Semihosting {
    config: Config,
    files: Files,
    errno: i32,
}

/// A call that failed: an errno, or a pointer that leads nowhere.
enum Failure {
    Errno(i32),
    Fault,
}

impl From<BusError> for Failure {
    fn from(_: BusError) -> Self {
        Self::Fault
    }
}

impl From<std::io::Error> for Failure {
    fn from(e: std::io::Error) -> Self {
        Self::Errno(e.raw_os_error().unwrap_or(5))
    }
}

const EFAULT: i32 = 14;
const EINVAL: i32 = 22;
const ENAMETOOLONG: i32 = 36;
const EPERM: i32 = 1;

type Answer = Result<u64, Failure>;

impl SemihostingHost for Semihosting {
    fn call(&mut self, call: SemihostingCall, sys: &mut System) -> SemihostingDone {
        let SemihostingCall { op, arg, .. } = call;
        match op {
            op::EXIT if self.config.word == 4 => return exit(arg, 0),
            op::EXIT | op::EXIT_EXTENDED => {
                let reason = self.argument(sys, arg, 0).unwrap_or(0);
                let status = self.argument(sys, arg, 1).unwrap_or(1);
                return exit(reason, status);
            }
            _ => {}
        }
        SemihostingDone::Result(match self.dispatch(op, arg, sys) {
            Ok(value) => value,
            Err(failure) => {
                self.errno = match failure {
                    Failure::Errno(e) => e,
                    Failure::Fault => EFAULT,
                };
                self.minus_one()
            }
        })
    }

    fn repeat(&mut self, call: SemihostingCall, result: u64, sys: &mut System) {
        let SemihostingCall { op, arg, .. } = call;
        match op {
            op::WRITEC | op::WRITE0 | op::WRITE => {
                let _ = self.dispatch(op, arg, sys);
            }
            op::CLOSE => {
                let _ = self.argument(sys, arg, 0).map(|handle| self.files.close(handle));
            }
            op::OPEN => {
                let name = self
                    .argument(sys, arg, 0)
                    .and_then(|p| Ok((p, self.argument(sys, arg, 2)?)));
                let name = name.ok().and_then(|(pointer, len)| self.name(sys, pointer, len).ok());
                self.files.opened_before(name.as_deref(), result);
            }
            _ => {}
        }
    }

    fn save(&self) -> Result<Option<SavedState>, String> {
        let why = "the guest has a file of the host open (semihosting)";
        let files = self.files.save().ok_or(why)?;
        let errno = self.errno;
        Ok(Some(SavedState::of(STATE_VERSION, &State { errno, files })))
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        let state: State = state.read(STATE_VERSION)?;
        let files = Files::load(&state.files).ok_or(LoadError::Impossible("too many open files"))?;
        (self.files, self.errno) = (files, state.errno);
        Ok(())
    }
}

const STATE_VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct State {
    errno: i32,
    files: Vec<Option<SavedFile>>,
}

fn exit(reason: u64, status: u64) -> SemihostingDone {
    SemihostingDone::Exit(if reason == ADP_STOPPED_APPLICATION_EXIT {
        status as u32
    } else {
        1
    })
}

impl Semihosting {
    /// Semihosting as configured.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            files: Files::default(),
            errno: 0,
        }
    }

    fn minus_one(&self) -> u64 {
        if self.config.word == 4 {
            u32::MAX.into()
        } else {
            u64::MAX
        }
    }

    fn argument(&self, sys: &mut System, block: u64, index: u64) -> Result<u64, BusError> {
        let word = self.config.word;
        sys.read(block.wrapping_add(index * u64::from(word)), word)
    }

    fn set_argument(&self, sys: &mut System, block: u64, index: u64, value: u64) -> Result<(), BusError> {
        let word = self.config.word;
        sys.write(block.wrapping_add(index * u64::from(word)), word, value)
    }

    /// A name given by pointer and length.
    fn name(&self, sys: &mut System, pointer: u64, len: u64) -> Result<String, Failure> {
        let len = usize::try_from(len)
            .ok()
            .filter(|n| *n <= MAX_NAME)
            .ok_or(Failure::Errno(ENAMETOOLONG))?;
        let mut bytes = vec![0; len];
        sys.read_bytes(pointer, &mut bytes)?;
        String::from_utf8(bytes).map_err(|_| Failure::Errno(EINVAL))
    }

    fn dispatch(&mut self, op: u32, arg: u64, sys: &mut System) -> Answer {
        match op {
            op::OPEN => self.open(arg, sys),
            op::CLOSE => {
                let handle = self.argument(sys, arg, 0)?;
                self.files.close(handle)?;
                Ok(0)
            }
            op::WRITEC => {
                let byte = sys.read(arg, 1)? as u8;
                self.console(&[byte]);
                Ok(0)
            }
            op::WRITE0 => self.write0(arg, sys),
            op::WRITE => self.write(arg, sys),
            op::READ => self.read(arg, sys),
            op::READC => Ok(self.minus_one()),
            op::ISERROR => {
                let status = self.argument(sys, arg, 0)?;
                let sign = 1u64 << (8 * u32::from(self.config.word) - 1);
                Ok((status & sign != 0).into())
            }
            op::ISTTY => {
                let handle = self.argument(sys, arg, 0)?;
                Ok(self.files.is_console(handle)?.into())
            }
            op::SEEK => {
                let (handle, at) = (self.argument(sys, arg, 0)?, self.argument(sys, arg, 1)?);
                self.files.seek(handle, at)?;
                Ok(0)
            }
            op::FLEN => {
                let handle = self.argument(sys, arg, 0)?;
                Ok(self.files.len(handle)?)
            }
            op::TMPNAM => self.temporary_name(arg, sys),
            op::REMOVE => {
                let (pointer, len) = (self.argument(sys, arg, 0)?, self.argument(sys, arg, 1)?);
                std::fs::remove_file(self.name(sys, pointer, len)?)?;
                Ok(0)
            }
            op::RENAME => self.rename(arg, sys),
            op::CLOCK => Ok(sys.clock.now().0 / 10_000_000),
            op::TIME => Ok(self.config.epoch + sys.clock.now().0 / 1_000_000_000),
            op::SYSTEM => {
                sys.log
                    .on(LogItems::UNIMP)
                    .then(|| sys.log.line(format_args!("semihosting: SYS_SYSTEM is refused")));
                Err(Failure::Errno(EPERM))
            }
            op::ERRNO => Ok(self.errno as u64),
            op::GET_CMDLINE => self.command_line(arg, sys),
            op::HEAPINFO => self.heap_info(arg, sys),
            op::ELAPSED => self.elapsed(arg, sys),
            op::TICKFREQ => Ok(1_000_000_000),
            _ => {
                sys.log
                    .on(LogItems::UNIMP)
                    .then(|| sys.log.line(format_args!("semihosting: no operation {op:#x}")));
                Err(Failure::Errno(EINVAL))
            }
        }
    }

    fn open(&mut self, arg: u64, sys: &mut System) -> Answer {
        let (pointer, mode, len) = (
            self.argument(sys, arg, 0)?,
            self.argument(sys, arg, 1)?,
            self.argument(sys, arg, 2)?,
        );
        let name = self.name(sys, pointer, len)?;
        Ok(self.files.open(&name, mode)?)
    }

    fn console(&mut self, bytes: &[u8]) {
        // A console nobody reads is not the guest's trouble.
        let _ = self.config.console.write_all(bytes);
        let _ = self.config.console.flush();
    }

    fn write0(&mut self, arg: u64, sys: &mut System) -> Answer {
        let mut text = Vec::new();
        while (text.len() as u64) < MAX_TRANSFER {
            match sys.read(arg.wrapping_add(text.len() as u64), 1)? as u8 {
                0 => break,
                byte => text.push(byte),
            }
        }
        self.console(&text);
        Ok(0)
    }

    /// Returns how many bytes were *not* written.
    fn write(&mut self, arg: u64, sys: &mut System) -> Answer {
        let (handle, pointer, len) = (
            self.argument(sys, arg, 0)?,
            self.argument(sys, arg, 1)?,
            self.argument(sys, arg, 2)?,
        );
        let console = self.files.is_console(handle)?;
        let take = len.min(MAX_TRANSFER);
        let mut chunk = [0; 4096];
        let mut done = 0;
        while done < take {
            let n = (take - done).min(4096) as usize;
            sys.read_bytes(pointer.wrapping_add(done), &mut chunk[..n])?;
            if console {
                self.console(&chunk[..n]);
            } else {
                self.files.write(handle, &chunk[..n])?;
            }
            done += n as u64;
        }
        Ok(len - done)
    }

    /// Returns how many bytes were *not* read; all of them at the end of the file. The console has no input.
    fn read(&mut self, arg: u64, sys: &mut System) -> Answer {
        let (handle, pointer, len) = (
            self.argument(sys, arg, 0)?,
            self.argument(sys, arg, 1)?,
            self.argument(sys, arg, 2)?,
        );
        if self.files.is_console(handle)? {
            return Ok(len);
        }
        let take = len.min(MAX_TRANSFER);
        let mut chunk = [0; 4096];
        let mut done = 0;
        while done < take {
            let n = (take - done).min(4096) as usize;
            let got = self.files.read(handle, &mut chunk[..n])?;
            sys.write_bytes(pointer.wrapping_add(done), &chunk[..got])?;
            done += got as u64;
            if got < n {
                break;
            }
        }
        Ok(len - done)
    }

    fn temporary_name(&self, arg: u64, sys: &mut System) -> Answer {
        let (buffer, id, len) = (
            self.argument(sys, arg, 0)?,
            self.argument(sys, arg, 1)?,
            self.argument(sys, arg, 2)?,
        );
        let name = format!("/tmp/southbridge-{}-{:02x}\0", std::process::id(), id & 0xff);
        if len < name.len() as u64 {
            return Err(Failure::Errno(ENAMETOOLONG));
        }
        sys.write_bytes(buffer, name.as_bytes())?;
        Ok(0)
    }

    fn rename(&self, arg: u64, sys: &mut System) -> Answer {
        let (from, from_len) = (self.argument(sys, arg, 0)?, self.argument(sys, arg, 1)?);
        let (to, to_len) = (self.argument(sys, arg, 2)?, self.argument(sys, arg, 3)?);
        std::fs::rename(self.name(sys, from, from_len)?, self.name(sys, to, to_len)?)?;
        Ok(0)
    }

    fn command_line(&self, arg: u64, sys: &mut System) -> Answer {
        let (buffer, size) = (self.argument(sys, arg, 0)?, self.argument(sys, arg, 1)?);
        let line = self.config.command_line.as_bytes();
        if size <= line.len() as u64 {
            return Err(Failure::Errno(ENAMETOOLONG));
        }
        sys.write_bytes(buffer, line)?;
        sys.write(buffer.wrapping_add(line.len() as u64), 1, 0)?;
        self.set_argument(sys, arg, 1, line.len() as u64)?;
        Ok(0)
    }

    fn heap_info(&self, arg: u64, sys: &mut System) -> Answer {
        let block = self.argument(sys, arg, 0)?;
        let h = self.config.heap;
        for (i, value) in [h.heap_base, h.heap_limit, h.stack_base, h.stack_limit]
            .into_iter()
            .enumerate()
        {
            self.set_argument(sys, block, i as u64, value)?;
        }
        Ok(0)
    }

    /// 64 bits of nanoseconds: two words on a 32-bit guest.
    fn elapsed(&self, arg: u64, sys: &mut System) -> Answer {
        let ns = sys.clock.now().0;
        self.set_argument(sys, arg, 0, ns)?;
        if self.config.word == 4 {
            self.set_argument(sys, arg, 1, ns >> 32)?;
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests;
