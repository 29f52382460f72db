//! `pty`: a new pseudo-terminal. Somebody may open and close its other side as often as they like.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, inotify};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use southbridge_core::host::{HostEvent, Watch};
use std::time::Duration;

use super::Make;
use super::stream::make_nonblocking;
use crate::error::CharError;
use crate::link::{Link, LinkCx, LinkEvent, READ_CHUNK, sent};

const TOKEN_MASTER: u64 = 1;
const TOKEN_OPENED: u64 = 2;
const WAKE_LOOK: u64 = 1;

struct Pty {
    master: OwnedFd,
    watch: Watch,
    name: String,
    link: Option<SymbolicLink>,
    /// Tells of each opening of the other side; without it the terminal is looked at once a second.
    openings: Option<(OwnedFd, Watch)>,
    open: bool,
}

/// Removed with the terminal, if it still points there.
struct SymbolicLink {
    path: String,
    target: String,
}

impl Drop for SymbolicLink {
    fn drop(&mut self) {
        if points_to(&self.path).as_deref() == Some(self.target.as_str()) {
            let _ = rustix::fs::unlink(self.path.as_str());
        }
    }
}

fn points_to(path: &str) -> Option<String> {
    rustix::fs::readlink(path, Vec::new()).ok()?.into_string().ok()
}

impl Pty {
    /// Whether somebody has the other side open.
    fn has_peer(&self) -> bool {
        let mut fds = [PollFd::new(&self.master, PollFlags::OUT)];
        let now = Timespec::default();
        poll(&mut fds, Some(&now)).is_ok() && !fds[0].revents().contains(PollFlags::HUP)
    }

    fn look(&mut self, cx: &mut LinkCx<'_, '_>) {
        if self.open {
            return;
        }
        if self.has_peer() {
            self.open = true;
            self.arm(cx);
            cx.tell(LinkEvent::Opened);
        } else if self.openings.is_none() {
            cx.host.cancel_wake(WAKE_LOOK);
            cx.host.wake_after(Duration::from_secs(1), WAKE_LOOK);
        }
    }

    fn arm(&mut self, cx: &mut LinkCx<'_, '_>) {
        // A terminal that cannot be watched (no memory) is as good as one that nobody opened.
        let _ = if cx.room > 0 {
            self.watch.set(&self.master, true, false, cx.host)
        } else {
            self.watch.idle(&self.master, cx.host)
        };
    }

    fn lost(&mut self, cx: &mut LinkCx<'_, '_>) {
        self.watch.stop(&self.master, cx.host);
        if std::mem::take(&mut self.open) {
            cx.tell(LinkEvent::Closed);
        }
        self.look(cx);
    }

    fn read(&mut self, cx: &mut LinkCx<'_, '_>) {
        let mut buffer = vec![0; cx.room.min(READ_CHUNK)];
        match rustix::io::read(&self.master, &mut buffer[..]) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            Ok(0) | Err(_) => self.lost(cx),
            Ok(n) => {
                buffer.truncate(n);
                cx.data(buffer, Vec::new());
            }
        }
    }
}

impl Link for Pty {
    fn start(&mut self, cx: &mut LinkCx<'_, '_>) -> std::io::Result<()> {
        if let Some((fd, watch)) = &mut self.openings {
            watch.set(&*fd, true, false, cx.host)?;
        }
        self.look(cx);
        Ok(())
    }

    fn on_host(&mut self, event: HostEvent, cx: &mut LinkCx<'_, '_>) {
        if event == (HostEvent::WakeUp { token: WAKE_LOOK }) {
            return self.look(cx);
        }
        if let Some((fd, watch)) = &self.openings
            && watch.ready(event).is_some()
        {
            let mut events = [0u8; 1024];
            let _ = rustix::io::read(fd, &mut events);
            self.look(cx);
        }
        let Some(ready) = self.watch.ready(event) else { return };
        if ready.write {
            self.watch.want_write(false, &self.master, cx.host);
            cx.tell(LinkEvent::Writable);
        }
        if (ready.read || ready.hangup) && cx.room > 0 {
            self.read(cx);
        } else if ready.hangup && rustix::io::ioctl_fionread(&self.master).unwrap_or(0) == 0 {
            self.lost(cx);
        } else if ready.read || ready.hangup {
            let _ = self.watch.idle(&self.master, cx.host);
        }
    }

    fn write(&mut self, data: &[u8], fds: &mut Vec<OwnedFd>, cx: &mut LinkCx<'_, '_>) -> usize {
        fds.clear();
        self.look(cx);
        if !self.open {
            return data.len();
        }
        match sent(rustix::io::write(&self.master, data)) {
            Ok(n) => {
                if n < data.len() {
                    self.watch.want_write(true, &self.master, cx.host);
                }
                n
            }
            Err(_) => {
                self.lost(cx);
                data.len()
            }
        }
    }

    fn room_grew(&mut self, cx: &mut LinkCx<'_, '_>) {
        if self.open {
            self.watch.want_read(true, &self.master, cx.host);
        }
    }

    fn is_open(&self) -> bool {
        self.open
    }

    fn describe(&self) -> String {
        format!("pty:{}", self.name)
    }

    fn output_fd(&self) -> Option<BorrowedFd<'_>> {
        self.open.then(|| self.master.as_fd())
    }

    fn close(&mut self, cx: &mut LinkCx<'_, '_>) {
        cx.host.cancel_wake(WAKE_LOOK);
        self.watch.stop(&self.master, cx.host);
        if let Some((fd, mut watch)) = self.openings.take() {
            watch.stop(&fd, cx.host);
        }
        self.link = None;
    }
}

/// The master, and the name of the other side, which is made raw.
fn open_terminal() -> Result<(OwnedFd, String), Errno> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = ptsname(&master, Vec::new())?.into_string().map_err(|_| Errno::ILSEQ)?;
    // Opening and closing it once is what makes the master say that nobody is there.
    let other = rustix::fs::open(
        name.as_str(),
        OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let mut modes = tcgetattr(&other)?;
    modes.make_raw();
    tcsetattr(&other, OptionalActions::Flush, &modes)?;
    Ok((master, name))
}

fn watch_openings(name: &str) -> Result<OwnedFd, Errno> {
    let fd = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
    inotify::add_watch(&fd, name, inotify::WatchFlags::OPEN)?;
    Ok(fd)
}

/// A link that was left behind by an earlier run is replaced: one that points nowhere, or to the very terminal that is ours now.
fn make_link(path: &str, target: &str) -> Result<SymbolicLink, CharError> {
    let stale = points_to(path).is_some_and(|t| {
        t == target || t.starts_with("/dev/pts/") && matches!(rustix::fs::stat(path), Err(Errno::NOENT))
    });
    let made = if stale { rustix::fs::unlink(path) } else { Ok(()) }.and_then(|()| rustix::fs::symlink(target, path));
    made.map_err(|e| CharError::host(Some("path"), format!("cannot link '{path}' to the terminal"), e))?;
    Ok(SymbolicLink {
        path: path.to_owned(),
        target: target.to_owned(),
    })
}

pub(super) fn make(make: &mut Make<'_>) -> Result<Box<dyn Link>, CharError> {
    let failed = |e| CharError::host(None, "cannot make a pseudo-terminal", e);
    let (master, name) = open_terminal().map_err(failed)?;
    make_nonblocking(&master).map_err(|e| CharError::host(None, "cannot make a pseudo-terminal", e))?;
    let link = make.options.str("path").map(|p| make_link(p, &name)).transpose()?;
    make.inbox.push_back(LinkEvent::Info(format!(
        "char device redirected to {name} (label {})",
        make.id
    )));
    Ok(Box::new(Pty {
        master,
        watch: Watch::new(TOKEN_MASTER),
        openings: watch_openings(&name).ok().map(|fd| (fd, Watch::new(TOKEN_OPENED))),
        name,
        link,
        open: false,
    }))
}
