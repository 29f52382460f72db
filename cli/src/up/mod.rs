//! `southbridge up FILE`: a demo of several machines and servers, described by a small file.
//!
//! [`schema`] is what may stand in the file, [`plan`] what is to be done (words split, `${dir}` and `${tmp}` put in,
//! everything checked), [`runner`] does it: starts each part as a child process of this same program, shows their
//! consoles with a prefix, waits for what the file says, and leaves nothing behind.

mod child;
pub mod output;
pub mod plan;
pub mod runner;
pub mod schema;
pub mod shell;
mod sockets;
mod tmp;

use std::path::Path;

use rustix::process::Signal;

use crate::error::{ErrorKind, OptError, Style};

pub use plan::{Plan, Until};
pub use runner::{Outcome, Runner};
pub use tmp::TempDir;

/// Runs the demo in `file` with children of the program `program`, and gives the exit status for this process.
///
/// Consoles and the summary line go to standard output, everything else to standard error.
///
/// # Errors
/// When the file is wrong or the host refuses; nothing has been started, or all of it has been stopped again.
pub fn run(file: &str, program: &Path, style: &Style) -> Result<u8, OptError> {
    let io = |action: &str, path: &str, e: &std::io::Error| {
        let (action, path) = (action.to_owned(), path.to_owned());
        OptError::nowhere(ErrorKind::Io {
            action,
            path,
            error: crate::argv::io_reason(e),
        })
    };
    let text = std::fs::read_to_string(file).map_err(|e| io("read", file, &e))?;
    let folder = Path::new(file)
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let folder = folder
        .canonicalize()
        .map_err(|e| io("find", &folder.display().to_string(), &e))?;
    let tmp =
        TempDir::create().map_err(|e| io("create a folder in", &std::env::temp_dir().display().to_string(), &e))?;
    let demo = schema::parse(file, &text)?;
    let plan = Plan::new(file, &text, &demo, &folder, tmp.path())?;
    let outcome = Runner::new(&plan, program, style).run();
    drop(tmp);
    let outcome = outcome.map_err(|e| io("run", file, &e))?;
    runner::show(0, &format!("{}\n", outcome.summary(&plan.name)));
    Ok(outcome.status())
}

/// The environment variable that tells a child to end when its parent does; see [`follow_parent`].
pub const FOLLOW_PARENT: &str = "SOUTHBRIDGE_FOLLOW_PARENT";

/// For the program's start: a child of `up` asks to be ended when `up` is, however that ends. Harmless otherwise.
pub fn follow_parent() {
    let parent = std::env::var(FOLLOW_PARENT).ok().and_then(|v| v.parse::<i32>().ok());
    if let Some(parent) = parent {
        // The parent may have ended before the request; then nobody would ever send the signal.
        let asked = rustix::process::set_parent_process_death_signal(Some(Signal::TERM));
        let orphan = rustix::process::getppid().is_none_or(|pid| pid.as_raw_nonzero().get() != parent);
        if asked.is_ok() && orphan {
            std::process::exit(1);
        }
    }
}
