//! Disks as a guest sees them: `fio` in Debian on `virt`, on a `virtio-blk-pci`, beside QEMU with the same guest and the same files.
//!
//! Three disks are in the machine at once, so that all meet the same machine: nothing (`null-co`), a file, and a file that is served with
//! an I/O thread. The host keeps the files in memory: what is measured is the way there.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use crate::Result;
use crate::report::Row;
use crate::shell::{Guest, Shell, empty, programs, row};

const RUNS: usize = 3;
const DISK: u64 = 256 << 20;
/// The disks: what they are, and their names in the guest.
const DISKS: [(&str, &str); 3] = [("null-co", "vda"), ("file", "vdb"), ("file with iothread=", "vdc")];
/// Seconds that are measured, behind some that are not: both programs translate the guest's code while it runs.
const SPAN: &str = "--time_based --runtime=1.2 --ramp_time=0.6";

/// What `fio` does, in its words, and where its terse output says how much: field of reads or writes.
struct Work {
    name: &'static str,
    words: &'static str,
    field: usize,
    unit: &'static str,
    /// Of that field to the unit.
    scale: f64,
}

/// Fields of terse version 3: bandwidth in KiB/s and operations a second, of reads and of writes.
mod field {
    pub(super) const READ_BANDWIDTH: usize = 6;
    pub(super) const READ_RATE: usize = 7;
    pub(super) const WRITE_BANDWIDTH: usize = 47;
    pub(super) const WRITE_RATE: usize = 48;
}

const fn small(name: &'static str, words: &'static str, field: usize) -> Work {
    Work {
        name,
        words,
        field,
        unit: "kIOPS",
        scale: 1e-3,
    }
}

const fn large(name: &'static str, words: &'static str, field: usize) -> Work {
    Work {
        name,
        words,
        field,
        unit: "MiB/s",
        scale: 1.0 / 1024.0,
    }
}

const WORKS: [Work; 6] = [
    small(
        "random reads of 4 KiB, one at a time",
        "--rw=randread --bs=4k --iodepth=1",
        field::READ_RATE,
    ),
    small(
        "random reads of 4 KiB, 32 at a time",
        "--rw=randread --bs=4k --iodepth=32",
        field::READ_RATE,
    ),
    small(
        "random writes of 4 KiB, one at a time",
        "--rw=randwrite --bs=4k --iodepth=1",
        field::WRITE_RATE,
    ),
    small(
        "random writes of 4 KiB, 32 at a time",
        "--rw=randwrite --bs=4k --iodepth=32",
        field::WRITE_RATE,
    ),
    large(
        "reads of 128 KiB in order, 8 at a time",
        "--rw=read --bs=128k --iodepth=8",
        field::READ_BANDWIDTH,
    ),
    large(
        "writes of 128 KiB in order, 8 at a time",
        "--rw=write --bs=128k --iodepth=8",
        field::WRITE_BANDWIDTH,
    ),
];

/// Rows for each kind of work on each disk.
pub(crate) fn measure() -> Result<Vec<Row>> {
    let guest = Guest::find(&["fio"])?;
    let programs = programs()?;
    let folder = tempfile::tempdir()?;
    let mut taken: Vec<_> = (0..WORKS.len() * DISKS.len()).map(|_| empty(&programs)).collect();
    for _ in 0..RUNS {
        for (i, program) in programs.iter().enumerate() {
            let mut shell = Shell::boot(&guest, program, &machine(folder.path())?)?;
            shell.run("load virtio_pci; load virtio_blk; until [ -b /dev/vdc ]; do sleep 0.1; done")?;
            let all = WORKS.iter().flat_map(|w| DISKS.iter().map(move |d| (w, d)));
            for ((work, (_, disk)), series) in all.zip(&mut taken) {
                series[i].push(fio(&mut shell, work, disk)?);
            }
        }
    }
    let names = WORKS.iter().flat_map(|w| DISKS.iter().map(move |(d, _)| (w, d)));
    Ok(names
        .zip(taken)
        .map(|((w, d), series)| row(format!("Linux on virt, virtio-blk on {d}: {}", w.name), w.unit, series))
        .collect())
}

/// Options of the machine. The files are made anew each time.
fn machine(folder: &Path) -> Result<String> {
    let mut words = format!(
        "-blockdev driver=null-co,node-name=n,size={DISK} -device virtio-blk-pci,drive=n -object iothread,id=t"
    );
    for (name, more) in [("f", ""), ("g", ",iothread=t")] {
        let path = folder.join(name);
        let mut file = File::create(&path)?;
        let chunk = vec![7; 1 << 20];
        for _ in 0..DISK >> 20 {
            file.write_all(&chunk)?;
        }
        words += &format!(
            " -drive file={},format=raw,if=none,id={name} -device virtio-blk-pci,drive={name}{more}",
            path.display()
        );
    }
    Ok(words)
}

fn fio(shell: &mut Shell, work: &Work, disk: &str) -> Result<f64> {
    let command = format!(
        "fio --name=b --filename=/dev/{disk} --direct=1 --ioengine=libaio --thread --minimal {} {SPAN}",
        work.words
    );
    let printed = shell.run(&command)?;
    let line = printed
        .iter()
        .find(|l| l.starts_with("3;"))
        .ok_or("fio has said nothing")?;
    let value = line.split(';').nth(work.field).ok_or("fio's line is short")?;
    Ok(value.parse::<f64>()? * work.scale)
}
