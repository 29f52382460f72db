//! `virtio-blk`: a disk (Virtio 1.3, section 5.2).
//!
//! Requests go to a block back end and come back as completions; the device never waits. Threads of the user's
//! (`iothread=`) serve its queues in place of the machine. How much is under way is
//! bounded in bytes; the rest waits in the guest's own rings. A request that is longer than a piece is done piece by piece, so that no
//! request makes us hold more than that.
//!
//! Flushes and the write cache: while the cache is on, a write is done when the host has taken it, and a flush is done when all writes
//! that were done before survive a crash of the host. While it is off every write is its own flush.
//!
//! What it is not: a zoned disk, and SCSI commands pass nothing on.

mod conf;
mod mapping;
mod model;
mod regs;
mod request;
mod site;
#[cfg(test)]
mod tests;

use southbridge_backend_block::{BlockFront, IoThread, Worker};
use southbridge_bus_virtio::VirtioModel;
use southbridge_core::{Build, Category, CreateError, Properties};
use std::sync::Arc;

use crate::types::{IOEVENTFD, ModelType, NO_BUSES};
use conf::{BOOT_INDEX, Conf, PROPERTIES as P};
use site::Site;

/// The connection to the back end; there is one.
const PORT: u32 = 0;

crate::virtio_types! {
    /// What the user sees.
    pub static TYPES = "virtio-blk", [pci, transitional, non_transitional, device] {
        category: Category::Storage,
        summary: "Disk",
        model: ModelType { class: 0x0100, legacy: true, vectors: |queues| queues.saturating_add(1), create },
        vectors: "4294967295",
        properties: [
            P[0], P[1], P[2], P[3], P[4], P[5], P[6], P[7], P[8], P[9], P[10], P[11], P[12], P[13], P[14], P[15], P[16],
            P[17], P[18], P[19], P[20], P[21], P[22], P[23], P[24], P[25], P[26], P[27], P[28], P[29], P[30], P[31],
            P[32], BOOT_INDEX,
        ],
        pci: [IOEVENTFD],
        buses: NO_BUSES,
    }
}

fn create(p: &Properties, build: &mut Build<'_>) -> Result<Box<dyn VirtioModel>, CreateError> {
    let (front, medium) = BlockFront::attach(p, "drive", PORT, p.bool("share-rw"), build)?;
    let conf = Conf::new(p, &medium, build.processors(), build.bus())?;
    let conf = Arc::new(conf);
    let workers = workers(p, conf.queues, &front, build)?;
    let site = workers.map(|w| Site::new(conf.clone(), w));
    Ok(Box::new(model::Blk::new(conf, front, medium.len, site)))
}

/// The threads of the queues. `None` where the user names none, or the disk is none for threads: the machine's serves all then.
fn workers(
    p: &Properties,
    queues: u16,
    front: &BlockFront,
    build: &mut Build<'_>,
) -> Result<Option<Vec<Worker>>, CreateError> {
    let mut workers = Vec::new();
    for name in mapping::threads(p, queues)? {
        let Some(thread) = IoThread::find_for(build, &name) else {
            return Err(CreateError::BadValue {
                property: "iothread",
                value: name,
                expected: "the id of an -object iothread".into(),
            });
        };
        workers.push(front.worker(thread, build));
    }
    let all: Option<Vec<_>> = workers.into_iter().collect();
    Ok(all.filter(|w| !w.is_empty()))
}
