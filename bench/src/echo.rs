//! The peer of the doorbell benchmarks: a process that does nothing but answer one eventfd on another.

use std::io;
use std::process::{Child, Command, ExitCode, Stdio};

use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::OwnedFd;

use crate::Result;

/// First word on the command line of the echo process.
pub(crate) const WORD: &str = "--echo";

/// The echo process itself: one blocking read and one blocking write a round, until its reader is told to stop by a kill.
pub(crate) fn serve() -> ExitCode {
    let (stdin, stdout) = (io::stdin(), io::stdout());
    let mut count = [0; 8];
    loop {
        if rustix::io::read(&stdin, &mut count).is_err() || rustix::io::write(&stdout, &1u64.to_ne_bytes()).is_err() {
            return ExitCode::FAILURE;
        }
    }
}

/// A running echo process and both eventfds.
pub(crate) struct Echo {
    child: Child,
    /// Write here.
    pub(crate) there: OwnedFd,
    /// The answer comes here.
    pub(crate) back: OwnedFd,
}

impl Echo {
    /// Starts one.
    pub(crate) fn start() -> Result<Self> {
        let there = eventfd(0, EventfdFlags::CLOEXEC)?;
        let back = eventfd(0, EventfdFlags::CLOEXEC)?;
        let child = Command::new(std::env::current_exe()?)
            .arg(WORD)
            .stdin(Stdio::from(there.try_clone()?))
            .stdout(Stdio::from(back.try_clone()?))
            .spawn()?;
        Ok(Self { child, there, back })
    }

    /// One round by blocking calls: the least that two processes can do.
    pub(crate) fn round(&self) -> Result<()> {
        rustix::io::write(&self.there, &1u64.to_ne_bytes())?;
        rustix::io::read(&self.back, &mut [0; 8])?;
        Ok(())
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
