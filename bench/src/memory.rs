//! Memory of an idle board: one that waits for a peer on an ivshmem server.

use std::time::Duration;

use southbridge_backend_ivshmem::{Server, ServerConfig};

use crate::Result;
use crate::program::{QEMU, Running, command, firmware, has_qemu, southbridge};
use crate::report::{Goal, Row};
use crate::stats::Series;

const RUNS: usize = 5;
/// Until a board has certainly come to rest.
const SETTLE: Duration = Duration::from_millis(300);

/// Two rows a board: resident, and its fair share of what is shared.
pub(crate) fn measure() -> Result<Vec<Row>> {
    let qemu = has_qemu();
    let mut rows = Vec::new();
    for name in ["lm3s6965evb", "mps2-an385"] {
        let mut ours = (Series::default(), Series::default());
        let mut theirs = (Series::default(), Series::default());
        for _ in 0..RUNS {
            let (rss, pss) = our_board(name)?;
            ours.0.push(rss);
            ours.1.push(pss);
            if qemu {
                // It has no ivshmem-flat that a command line could create, so its board stands still before the first instruction.
                let words = format!("-M {name} -nographic -S");
                let (rss, pss) = idle(command(QEMU, &words, &firmware("hello", name)?))?;
                theirs.0.push(rss);
                theirs.1.push(pss);
            }
        }
        let rss = Row::new(format!("{name}, idle: resident (VmRSS)"), "MiB", ours.0);
        rows.push(rss.beside("QEMU -S", theirs.0).goal(Goal::Below(10.0)));
        let pss = Row::new(format!("{name}, idle: proportional (Pss)"), "MiB", ours.1);
        rows.push(pss.beside("QEMU -S", theirs.1));
    }
    Ok(rows)
}

fn our_board(name: &str) -> Result<(f64, f64)> {
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("ivshmem.sock");
    let _server = Server::bind(&ServerConfig::new(&socket))?.spawn(drop)?;
    let words = format!(
        "-M {name} -nographic -semihosting -chardev socket,id=i,path={} -device ivshmem-flat,chardev=i",
        socket.display()
    );
    idle(command(southbridge()?, &words, &firmware("ping", name)?))
}

/// VmRSS and Pss in MiB of a process that has come to rest.
fn idle(c: std::process::Command) -> Result<(f64, f64)> {
    let running = Running::start(c)?;
    std::thread::sleep(SETTLE);
    let rss = field(&format!("/proc/{}/status", running.pid()), "VmRSS:")?;
    let pss = field(&format!("/proc/{}/smaps_rollup", running.pid()), "Pss:")?;
    Ok((rss, pss))
}

/// A field in KiB of a file of `/proc`, in MiB.
pub(crate) fn field(path: &str, name: &str) -> Result<f64> {
    let text = std::fs::read_to_string(path)?;
    let line = text.lines().find_map(|l| l.strip_prefix(name));
    let kib = line.and_then(|l| l.split_whitespace().next()).ok_or("no such field")?;
    Ok(kib.parse::<f64>()? / 1024.0)
}
