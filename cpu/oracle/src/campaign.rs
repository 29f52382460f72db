//! Many streams on both sides.

use std::collections::BTreeMap;
use std::io;

use crate::exclude;
use crate::generate;
use crate::ours::{Ours, Ran, Why};
use crate::qemu::Qemu;
use crate::record::Recorded;
use crate::report;
use crate::rng::Rng;
use crate::stream::Stream;

/// What happened so far.
#[derive(Default)]
pub struct Tally {
    /// Streams compared.
    pub compared: u64,
    /// Streams that took an exception other than the one behind their last instruction.
    pub faulted: u64,
    /// The same by the CFSR that they left.
    pub faults: BTreeMap<u32, u64>,
    /// Instructions in the compared streams (not all are executed: branches skip).
    pub instructions: u64,
    /// Streams left out, by reason.
    pub outside: BTreeMap<&'static str, u64>,
    /// Differences, each told in words.
    pub differences: Vec<String>,
    /// Outcomes of the oracle.
    pub recorded: Vec<Recorded>,
}

/// A campaign: both sides, and what to do with what they find.
pub struct Campaign {
    ours: Ours,
    qemu: Qemu,
    /// Results.
    pub tally: Tally,
    /// Keep the oracle's outcomes.
    pub record: bool,
    /// Tell differences at length: shrink them, and step both sides.
    pub explain: bool,
}

impl Campaign {
    /// With a fresh QEMU.
    pub fn new() -> io::Result<Self> {
        Ok(Campaign {
            ours: Ours::new(),
            qemu: Qemu::start()?,
            tally: Tally::default(),
            record: false,
            explain: true,
        })
    }

    /// The seeds of a campaign.
    pub fn seeds(seed: u64) -> impl Iterator<Item = u64> {
        let mut rng = Rng::new(seed);
        std::iter::from_fn(move || Some(rng.u64()))
    }

    /// Runs the stream of one seed on both sides.
    pub fn one(&mut self, seed: u64) -> io::Result<()> {
        let stream = generate::stream(seed);
        let mine = match self.ours.run(&stream) {
            Ran::Done(o) => o,
            Ran::Outside(why) => {
                let name = match why {
                    Why::Wild(_) => "touches other memory",
                    Why::Endless => "does not end",
                    Why::Asleep => "sleeps",
                    Why::Lockup => "locks up",
                    Why::Reset => "resets",
                };
                *self.tally.outside.entry(name).or_default() += 1;
                return Ok(());
            }
        };
        if let Some(why) = exclude::incomparable(&mine) {
            *self.tally.outside.entry(why).or_default() += 1;
            return Ok(());
        }
        let theirs = match self.qemu.run(&stream) {
            Ok(Some(o)) => o,
            trouble => {
                // It hangs, or has ended: both are differences, and a new one goes on.
                let what = trouble
                    .err()
                    .map_or("does not end".to_owned(), |e| format!("is gone: {e}"));
                self.tally.differences.push(format!(
                    "seed {seed:#x}: QEMU {what}, we end\n{}",
                    report::disassembly(&stream)
                ));
                self.qemu = Qemu::start()?;
                return Ok(());
            }
        };
        self.tally.compared += 1;
        self.tally.instructions += count(&stream);
        if mine.frame().is_none_or(|f| f[6] != stream.end()) {
            self.tally.faulted += 1;
            let cfsr = mine.words[crate::layout::result::CFSR];
            *self.tally.faults.entry(cfsr).or_default() += 1;
        }
        if mine != theirs {
            let mut text = report::describe(&stream, &mine, &theirs);
            if self.explain {
                let small = report::shrink(&stream, &mut self.ours, &mut self.qemu);
                text += &report::first_difference(&small, &mut self.ours, &mut self.qemu);
                text += &report::disassembly(&small);
                // Stepping may have left it in the middle of something.
                self.qemu = Qemu::start()?;
            }
            self.tally.differences.push(text);
        } else if self.record {
            self.tally.recorded.push(Recorded::new(&stream, &theirs));
        }
        Ok(())
    }
}

/// Instructions in a stream.
pub fn count(stream: &Stream) -> u64 {
    let mut at = 0;
    let mut n = 0;
    while let Some(h) = stream.code.get(at) {
        at += if southbridge_cpu_armv7m::decode::is_wide(*h) {
            2
        } else {
            1
        };
        n += 1;
    }
    n
}
