//! Switches that are other people's programs.

use super::linux::PATIENCE;
use super::{Guard, wait};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The switch of VDE, at a folder that it makes.
pub fn vde_switch(at: &str) -> Guard {
    let mut c = Command::new("vde_switch");
    c.args(["-sock", at]).stdin(Stdio::piped()).stdout(Stdio::null());
    let switch = Guard(c.spawn().unwrap());
    wait("the switch", || Path::new(at).join("ctl").exists());
    switch
}

/// DPDK with two ports of vhost-user, each at a socket: what comes in at one goes out at the other.
pub fn dpdk([one, other]: [&Path; 2]) -> Guard {
    let port = |n: u32, path: &Path| format!("--vdev=net_vhost{n},iface={}", path.display());
    let mut c = Command::new("dpdk-testpmd");
    c.args([
        "--no-huge",
        "-m",
        "256",
        "--no-pci",
        "--no-telemetry",
        "--no-shconf",
        "--lcores",
        "0@0,1@0",
    ]);
    c.args([port(0, one), port(1, other)]).arg("--");
    c.args(["--forward-mode=io", "--auto-start", "--total-num-mbufs=4096"]);
    c.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let switch = Guard(c.spawn().unwrap());
    // It takes its time on a busy host.
    let begin = Instant::now();
    while !(one.exists() && other.exists()) {
        assert!(begin.elapsed() < PATIENCE, "the switch has not come");
        std::thread::sleep(Duration::from_millis(20));
    }
    switch
}
