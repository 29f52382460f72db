//! `filter-dump`: every frame that comes by, into a file that Wireshark opens.
//!
//! Times are of the wall: who looks at a capture of a machine looks at one of its surroundings, too.

use southbridge_protocol_packet::pcap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Direction, Filter, FilterCx, Verdict};
use crate::packet::Packet;

/// Bytes of a frame that are kept, if nothing else is said.
pub const MAX_LEN: u32 = 65536;

/// A capture.
pub(crate) struct Dump {
    /// `None` after an error: the disk is full, or nobody reads.
    file: Option<File>,
    longest: u32,
    record: Vec<u8>,
}

impl Dump {
    /// Begins a file anew. At most `longest` bytes of each frame are kept.
    pub(crate) fn create(path: &Path, longest: u32) -> io::Result<Self> {
        let mut file = File::create(path)?;
        file.write_all(&pcap::file_header(longest))?;
        Ok(Self {
            file: Some(file),
            longest,
            record: Vec::new(),
        })
    }

    fn write(&mut self, frame: &[u8], ns: u64) {
        let Some(file) = &mut self.file else { return };
        let kept = frame.len().min(self.longest as usize);
        self.record.clear();
        self.record
            .extend_from_slice(&pcap::record_header(ns, kept, frame.len()));
        self.record.extend_from_slice(&frame[..kept]);
        // In one piece, so that a reader never finds half a record between two calls.
        if let Err(e) = file.write_all(&self.record) {
            self.file = None;
            let _ = writeln!(io::stderr(), "filter-dump: {e}; the capture ends here");
        }
    }
}

impl Filter for Dump {
    fn pass(&mut self, _: Direction, _: usize, packet: Packet<'_>, _: &mut FilterCx<'_, '_>) -> Verdict {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.write(packet.frame, u64::try_from(since.as_nanos()).unwrap_or(u64::MAX));
        Verdict::Pass
    }
}
