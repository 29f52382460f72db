//! `stdio`: standard input and output of this process.
//!
//! `O_NONBLOCK` belongs to the open file that the parent shell has too, so it is never set there: terminals and pipes are opened a
//! second time through `/proc/self/fd`, and where that fails each read and write asks first.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, fstat};
use rustix::termios::{
    ControlModes, InputModes, LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, Termios, isatty, tcgetattr,
    tcsetattr,
};
use southbridge_core::host::{HostEvent, Watch};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::Make;
use super::stream::Stream;
use crate::error::CharError;
use crate::link::{Link, LinkCx};

const TOKEN_CONT: u64 = 3;
const WAKE_LOOK: u64 = 1;

/// Standard input and output exist once in a process, so who has them is a fact of the process.
static IN_USE: AtomicBool = AtomicBool::new(false);
/// How the terminal was before.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Puts the terminal back as it was. For exits that do not come past [`southbridge_core::host::Host::close`].
pub fn restore_terminal() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    // In the background the terminal is the shell's, which has put it right for itself.
    if let Some(t) = before
        && !in_background()
    {
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &t);
    }
}

/// The claim on standard input and output; its end puts the terminal back, in a panic too.
struct Claim;

impl Drop for Claim {
    fn drop(&mut self) {
        restore_terminal();
        IN_USE.store(false, Ordering::Release);
    }
}

struct Stdio {
    stream: Stream,
    signal: bool,
    /// Told of `SIGCONT`: the shell may have changed the terminal while we were stopped.
    continued: Option<(UnixStream, signal_hook::SigId, Watch)>,
    /// The terminal belongs to another job right now.
    background: bool,
    _claim: Claim,
}

/// Whether this process is a background job of the terminal: touching it, or reading from it, would stop the process.
fn in_background() -> bool {
    let stdin = rustix::stdio::stdin();
    rustix::termios::tcgetpgrp(stdin).is_ok_and(|front| front != rustix::process::getpgrp())
}

/// Raw, but with output post-processing, so that the program's own messages keep their line ends.
fn set_raw(signal: bool) {
    let stdin = rustix::stdio::stdin();
    if !isatty(stdin) {
        return;
    }
    let mut before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
    let base = match &*before {
        Some(t) => t.clone(),
        None => match tcgetattr(stdin) {
            Ok(t) => before.insert(t).clone(),
            Err(_) => return,
        },
    };
    let _ = tcsetattr(stdin, OptionalActions::Now, &raw(base, signal));
}

fn raw(mut t: Termios, signal: bool) -> Termios {
    t.input_modes -= InputModes::IGNBRK
        | InputModes::BRKINT
        | InputModes::PARMRK
        | InputModes::ISTRIP
        | InputModes::INLCR
        | InputModes::IGNCR
        | InputModes::ICRNL
        | InputModes::IXON;
    t.output_modes |= OutputModes::OPOST;
    t.local_modes -= LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::IEXTEN;
    if !signal {
        t.local_modes -= LocalModes::ISIG;
    }
    t.control_modes -= ControlModes::CSIZE | ControlModes::PARENB;
    t.control_modes |= ControlModes::CS8;
    t.special_codes[SpecialCodeIndex::VMIN] = 1;
    t.special_codes[SpecialCodeIndex::VTIME] = 0;
    t
}

impl Stdio {
    /// Takes the terminal, or looks again later: a shell that brings a running job to the foreground does not say so.
    fn claim_terminal(&mut self, cx: &mut LinkCx<'_, '_>) {
        self.background = self.continued.is_some() && in_background();
        if self.background {
            self.stream.pause_input(cx);
            cx.host.cancel_wake(WAKE_LOOK);
            cx.host.wake_after(Duration::from_secs(1), WAKE_LOOK);
        } else {
            set_raw(self.signal);
            if cx.room > 0 {
                self.stream.room_grew(cx);
            }
        }
    }
}

impl Link for Stdio {
    fn start(&mut self, cx: &mut LinkCx<'_, '_>) -> std::io::Result<()> {
        if isatty(rustix::stdio::stdin()) {
            let (ours, theirs) = UnixStream::pair()?;
            ours.set_nonblocking(true)?;
            let id = signal_hook::low_level::pipe::register(signal_hook::consts::SIGCONT, theirs)?;
            let mut watch = Watch::new(TOKEN_CONT);
            let watched = watch.set(&ours, true, false, cx.host);
            self.continued = Some((ours, id, watch));
            watched?;
            self.claim_terminal(cx);
        }
        Ok(())
    }

    fn on_host(&mut self, event: HostEvent, cx: &mut LinkCx<'_, '_>) {
        if event == (HostEvent::WakeUp { token: WAKE_LOOK }) {
            return self.claim_terminal(cx);
        }
        if let Some((fd, _, watch)) = &self.continued {
            if watch.ready(event).is_some() {
                let _ = rustix::io::read(fd, &mut [0u8; 16]);
                self.claim_terminal(cx);
            } else if !self.background && in_background() {
                // Somebody typed, and it is for the shell.
                self.claim_terminal(cx);
            }
        }
        // The end of standard input is no reason to end anything.
        self.stream.on_host(event, cx);
    }

    fn write(&mut self, data: &[u8], fds: &mut Vec<OwnedFd>, cx: &mut LinkCx<'_, '_>) -> usize {
        self.stream.write(data, fds, cx)
    }

    fn room_grew(&mut self, cx: &mut LinkCx<'_, '_>) {
        if !self.background {
            self.stream.room_grew(cx);
        }
    }

    fn describe(&self) -> String {
        "stdio".into()
    }

    fn output_fd(&self) -> Option<BorrowedFd<'_>> {
        self.stream.output_fd()
    }

    fn close(&mut self, cx: &mut LinkCx<'_, '_>) {
        cx.host.cancel_wake(WAKE_LOOK);
        if let Some((fd, id, mut watch)) = self.continued.take() {
            watch.stop(&fd, cx.host);
            signal_hook::low_level::unregister(id);
        }
        self.stream.close(cx);
        restore_terminal();
    }
}

impl Drop for Stdio {
    fn drop(&mut self) {
        if let Some((_, id, _)) = self.continued.take() {
            signal_hook::low_level::unregister(id);
        }
    }
}

/// A descriptor for the same thing that may be made non-blocking, or a copy and the word that it is shared.
fn own(fd: impl AsFd, direction: OFlags) -> std::io::Result<(OwnedFd, bool)> {
    let kind = fstat(&fd).map(|s| FileType::from_raw_mode(s.st_mode))?;
    if matches!(kind, FileType::CharacterDevice | FileType::Fifo) {
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&fd.as_fd()));
        let flags = direction | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        if let Ok(again) = rustix::fs::open(path, flags, Mode::empty()) {
            return Ok((again, false));
        }
    }
    Ok((rustix::io::fcntl_dupfd_cloexec(fd, 3)?, true))
}

pub(super) fn make(make: &mut Make<'_>) -> Result<Box<dyn Link>, CharError> {
    if IN_USE.swap(true, Ordering::AcqRel) {
        return Err(CharError::Conflict {
            option: "backend",
            why: "can be stdio only once; give that chardev mux=on and share it".into(),
        });
    }
    let claim = Claim;
    let failed = |e| CharError::host(None, "cannot use standard input and output", e);
    let input = own(rustix::stdio::stdin(), OFlags::RDONLY).map_err(failed)?;
    let output = own(rustix::stdio::stdout(), OFlags::WRONLY).map_err(failed)?;
    Ok(Box::new(Stdio {
        stream: Stream::shared(input, output),
        signal: make.options.bool("signal"),
        continued: None,
        background: false,
        _claim: claim,
    }))
}
