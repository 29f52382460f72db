//! `southbridge up FILE`: a demo of several machines and servers, described by a small file.
//!
//! [`schema`] is what may stand in the file, [`plan`] what is to be done (words split, `${dir}` and `${tmp}` put in,
//! everything checked), [`runner`] does it: starts each part as a child process of this same program, shows their
//! consoles with a prefix, waits for what the file says, and leaves nothing behind.

pub mod output;
pub mod plan;
pub mod runner;
pub mod schema;
pub mod shell;
mod sockets;
mod tmp;

use std::path::Path;

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
    println!("{}", outcome.summary(&plan.name));
    Ok(outcome.status())
}
