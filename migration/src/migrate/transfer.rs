//! The threads of a transfer: one writes a state, or one reads it and checks all of it.

use southbridge_core::machine::{Draft, FreeSearch};
use southbridge_core::memory::RamBlock;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::status::{RamInfo, Status};
use super::{Migration, News, lock};
use crate::channel::{self, Awaiting, Cancel, Channel};
use crate::stream::{self, About, Picture};
use crate::uri::Uri;

const PAGE: u64 = 4096;
/// How long a guest may take to its next hint about free memory.
const HINT_PATIENCE: Duration = Duration::from_secs(3);
/// How long to all of them.
const HINT_LIMIT: Duration = Duration::from_secs(30);

impl Migration {
    /// On a thread of its own.
    pub(super) fn send(&self, uri: &Uri, given: Option<OwnedFd>, cancel: &Cancel, ram: &[RamBlock]) -> io::Result<()> {
        let out = channel::open(uri, given, cancel)?;
        let total = ram.iter().map(RamBlock::len).sum();
        lock(&self.0.state).info.ram = Some(RamInfo {
            remaining: total,
            total,
            page_size: PAGE,
            ..RamInfo::default()
        });
        self.pass();
        self.set_status(Status::Active);
        let Some(draft) = self.draft(ram) else { return Ok(()) };
        let (answer, picture): (_, Receiver<Picture>) = channel();
        self.tell(News::Ready(answer, draft));
        // A machine that cannot be saved after all has said why, and drops the sender.
        let Ok(picture) = picture.recv() else { return Ok(()) };
        self.count(&picture);
        let mut out = BufWriter::with_capacity(
            1 << 16,
            Counted {
                channel: out,
                migration: self,
            },
        );
        stream::write(&picture, &mut out)?;
        out.flush()?;
        let counted = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        counted.channel.finish()
    }

    /// What is in RAM and of use. `None` if the machine takes no part any more.
    fn draft(&self, ram: &[RamBlock]) -> Option<Draft> {
        let (answer, search): (_, Receiver<Arc<FreeSearch>>) = channel();
        self.tell(News::Copied(answer, Draft::of(ram)));
        let search = search.recv().ok()?;
        search.wait(HINT_PATIENCE, HINT_LIMIT, || self.query().status != Status::Active);
        match search.end() {
            (draft, false) => Some(draft),
            (draft, true) => {
                self.pass();
                Some(draft.again(ram))
            }
        }
    }

    fn count(&self, picture: &Picture) {
        let total = picture.about.ram_bytes();
        let pages = |bytes: u64| bytes.div_ceil(PAGE);
        let runs = picture.whole.ram.iter().flat_map(|r| &r.runs);
        let normal = runs.map(|(_, data)| pages(data.len() as u64)).sum();
        let remaining = stream::encoded_len(picture);
        if let Some(ram) = &mut lock(&self.0.state).info.ram {
            ram.remaining = remaining;
            ram.duplicate = pages(total).saturating_sub(normal);
            ram.normal = normal;
        }
    }

    /// On a thread of its own.
    pub(super) fn receive(&self, awaiting: Awaiting, here: &About, cancel: &Cancel) -> Result<Picture, String> {
        let mut input = awaiting.accept(cancel).map_err(|e| e.to_string())?;
        self.set_status(Status::Active);
        let picture = {
            let mut buffered = BufReader::with_capacity(1 << 16, &mut input as &mut dyn Read);
            stream::read(&mut buffered, here).map_err(|e| e.to_string())?
        };
        // The end of a command that has delivered everything is its own business.
        drop(input);
        Ok(picture)
    }
}

/// Counts what is through.
struct Counted<'a> {
    channel: Channel,
    migration: &'a Migration,
}

impl Write for Counted<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let n = self.channel.write(data)?;
        if let Some(ram) = &mut lock(&self.migration.0.state).info.ram {
            ram.transferred += n as u64;
            ram.remaining = ram.remaining.saturating_sub(n as u64);
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
