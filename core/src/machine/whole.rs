//! The whole state of a machine in its parts, for files and streams.
//!
//! Whoever writes it decides how; here is what belongs to it, how it is checked against the machine that shall take it, and that a
//! machine which does not take it stays as it was. What it is not: a format.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::pages::{Draft, put_runs, runs_of};
use super::state::{PAGE, SAVE_VERSION, SavedMachine};
use super::{History, Machine, SavedTurns};
use crate::clock::{Clock, Timebase, TimerIndex, VirtualTime};
use crate::device::DeviceId;
use crate::saved::{LoadError, SavedState};

/// A machine's state in its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// Clock, timers and wires.
    pub board: SavedState,
    /// Devices in the order of their places.
    pub devices: Vec<SavedDevice>,
    /// The processors that execute, by their number.
    pub cpus: Vec<SavedState>,
    /// Firmware that the host executes, if there is such.
    pub firmware: Option<SavedState>,
    /// Who answers semihosting calls, if there is one with a state.
    pub semihosting: Option<SavedState>,
    /// RAM of the board, in its order.
    pub ram: Vec<RamImage>,
}

/// A device's part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedDevice {
    /// Which one.
    pub id: DeviceId,
    /// Its type.
    pub type_name: String,
    /// Its state.
    pub state: SavedState,
}

/// Contents of a block of RAM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RamImage {
    /// Name of the block.
    pub name: String,
    /// Bytes of the block.
    pub len: u64,
    /// Stretches that are not all zero, ascending, in whole pages: byte offset and contents.
    pub runs: Vec<Run>,
}

/// A stretch of RAM: byte offset and contents.
pub type Run = (u64, Vec<u8>);

/// Longest stretch in one piece, in bytes.
pub const MAX_RUN: usize = 256 * PAGE;

/// Why a machine does not take a state. It is as it was.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RestoreError {
    /// It cannot be saved itself now, so there would be no way back.
    #[error("this machine's own state cannot be put aside: {0}")]
    Blocked(String),
    /// The state is of a machine that is built otherwise.
    #[error("the state is of another machine: {0}")]
    Foreign(String),
    /// A part does not take its state.
    #[error("{part}: {error}")]
    Part {
        /// Which part.
        part: String,
        /// Why.
        error: LoadError,
    },
}

#[derive(Serialize, Deserialize)]
struct SavedBoard {
    clock: Clock,
    timers: Vec<(VirtualTime, DeviceId, TimerIndex)>,
    nets: Vec<u32>,
    outputs: Vec<Vec<bool>>,
    clocks: Vec<u64>,
    turns: SavedTurns,
    timebase: Timebase,
}

impl Machine {
    /// Everything, RAM included.
    ///
    /// # Errors
    /// The reason of the first part that cannot be saved now.
    pub fn save_whole(&mut self) -> Result<Whole, String> {
        self.save_whole_from(Draft::default())
    }

    /// Everything, RAM included; of RAM only what changed since the draft is copied. The result is that of [`Machine::save_whole`].
    ///
    /// # Errors
    /// As [`Machine::save_whole`].
    pub fn save_whole_from(&mut self, draft: Draft) -> Result<Whole, String> {
        let mut whole = self.outline()?;
        let mut drafts = draft.0.into_iter();
        let blocks = whole.ram.iter_mut().zip(&self.ram);
        for (image, (_, block)) in blocks {
            image.runs = runs_of(block, drafts.next().unwrap_or_default());
        }
        Ok(whole)
    }

    /// Everything but the contents of RAM.
    ///
    /// # Errors
    /// As [`Machine::save_whole`].
    pub fn outline(&mut self) -> Result<Whole, String> {
        // What the host has said already must not be lost between here and there, and what it is about to do is waited for: there it
        // would be done again. Each answer may have a device ask for the rest of what its guest wants, which has an end.
        self.sys.host.drain();
        while self.sys.host.has_completions() && !self.sys.tape.plays() {
            self.deliver_completions();
            self.sys.host.drain();
        }
        self.deliver_completions();
        if self.sys.faults.holds_back() {
            return Err("a fault rule holds something back that has not come yet".into());
        }
        let parts = self.save_parts()?;
        let semihosting = match &self.semihosting {
            Some(host) => host.save()?,
            None => None,
        };
        let board = SavedBoard {
            clock: parts.clock,
            timers: parts.timers,
            nets: parts.nets,
            outputs: parts.outputs,
            clocks: parts.clocks,
            turns: parts.turns,
            timebase: parts.timebase,
        };
        let devices = parts
            .devices
            .into_iter()
            .map(|(id, type_name, state)| SavedDevice { id, type_name, state });
        let ram = self.ram.iter().map(|(name, block)| RamImage {
            name: name.clone(),
            len: block.len(),
            runs: Vec::new(),
        });
        Ok(Whole {
            board: SavedState::of(SAVE_VERSION, &board),
            devices: devices.collect(),
            cpus: parts.cpus,
            firmware: parts.firmware,
            semihosting,
            ram: ram.collect(),
        })
    }

    /// Takes a state of a machine that was built alike. Where something is refused, everything is put back as it was.
    ///
    /// # Errors
    /// When the state does not fit, or a part refuses it.
    pub fn load_whole(&mut self, whole: &Whole) -> Result<(), RestoreError> {
        let before = self.outline().map_err(RestoreError::Blocked)?;
        compare(&before, whole)?;
        check_ram(whole)?;
        if let Err(e) = self.load_all_but_ram(whole) {
            // What was saved a moment ago loads again.
            let back = self.load_all_but_ram(&before);
            debug_assert_eq!(back, Ok(()));
            self.tell_loaded(&before);
            return Err(e);
        }
        for (image, (_, block)) in whole.ram.iter().zip(&self.ram) {
            put_runs(image, block);
        }
        self.tell_loaded(whole);
        self.after_whole();
        Ok(())
    }

    /// Devices go on with what they had in hand. They may look into memory then, so it is in place before.
    fn tell_loaded(&mut self, whole: &Whole) {
        for d in &whole.devices {
            let id = self.sys.in_place_of(d.id).unwrap_or(d.id);
            self.sys.with_device(id, |device, cx| device.after_load(cx));
        }
    }

    fn after_whole(&mut self) {
        self.started = true;
        self.sys.requests = crate::system::Requests::empty();
        self.wall = None;
        self.set_only(None);
        // What was recorded leads to another present.
        if self.history.take().is_some_and(|h: Box<History>| h.has_tape()) {
            self.sys.tape.stop();
            self.keep_history(true);
        }
    }

    fn load_all_but_ram(&mut self, whole: &Whole) -> Result<(), RestoreError> {
        let part = |part: &str| {
            let part = part.to_owned();
            move |error| RestoreError::Part { part, error }
        };
        let board: SavedBoard = whole.board.read(SAVE_VERSION).map_err(part("board"))?;
        if !board.clock.is_possible() {
            let error = LoadError::Impossible("a clock that no machine has");
            return Err(part("board")(error));
        }
        if board.timebase.hz != self.sys.timebase.hz {
            let error = LoadError::Impossible("another timebase");
            return Err(part("board")(error));
        }
        for d in &whole.devices {
            let id = self.sys.in_place_of(d.id).unwrap_or(d.id);
            let loaded = self.sys.with_device(id, |device, _| device.load(&d.state));
            loaded.unwrap_or(Ok(())).map_err(part(&d.type_name))?;
        }
        if let (Some(host), Some(state)) = (&mut self.semihosting, &whole.semihosting) {
            host.load(state).map_err(part("semihosting"))?;
        }
        // The rest without devices: they have their states.
        let rest = SavedMachine {
            clock: board.clock,
            timers: board.timers,
            nets: board.nets,
            outputs: board.outputs,
            clocks: board.clocks,
            devices: Vec::new(),
            cpus: whole.cpus.clone(),
            turns: board.turns,
            timebase: board.timebase,
            firmware: whole.firmware.clone(),
            ram: Vec::new(),
        };
        self.load_parts(&rest).map_err(part("board"))
    }
}

/// Whether both are states of machines that are built alike.
fn compare(here: &Whole, there: &Whole) -> Result<(), RestoreError> {
    let foreign = |text: String| Err(RestoreError::Foreign(text));
    if here.devices.len() != there.devices.len() {
        let (here, there) = (here.devices.len(), there.devices.len());
        return foreign(format!("it has {there} devices, this one has {here}"));
    }
    for (i, (h, t)) in here.devices.iter().zip(&there.devices).enumerate() {
        if (h.id.index(), &h.type_name) != (t.id.index(), &t.type_name) {
            return foreign(format!("its device {i} is {}, here it is {}", t.type_name, h.type_name));
        }
        if h.state.version != t.state.version {
            let error = LoadError::Version {
                found: t.state.version,
                expected: h.state.version,
            };
            let part = h.type_name.clone();
            return Err(RestoreError::Part { part, error });
        }
    }
    if here.cpus.len() != there.cpus.len() {
        let (here, there) = (here.cpus.len(), there.cpus.len());
        return foreign(format!("it has {there} processors, this one has {here}"));
    }
    if here.firmware.is_some() != there.firmware.is_some() {
        return foreign("one has firmware that the host executes and one has none".into());
    }
    if there.semihosting.is_some() && here.semihosting.is_none() {
        return foreign("it has semihosting, this one has none".into());
    }
    let memory = |w: &Whole| w.ram.iter().map(|r| (r.name.clone(), r.len)).collect::<Vec<_>>();
    if memory(here) != memory(there) {
        return foreign("its memory is of other blocks or sizes".into());
    }
    Ok(())
}

fn check_ram(whole: &Whole) -> Result<(), RestoreError> {
    for image in &whole.ram {
        let mut end = 0;
        for (offset, data) in &image.runs {
            let after = offset.checked_add(data.len() as u64);
            let whole_pages = |a: u64| a == image.len || a < image.len && a.is_multiple_of(PAGE as u64);
            let fits = *offset >= end
                && offset.is_multiple_of(PAGE as u64)
                && !data.is_empty()
                && after.is_some_and(whole_pages);
            if !fits {
                let error = LoadError::Impossible("a page outside RAM");
                let part = image.name.clone();
                return Err(RestoreError::Part { part, error });
            }
            end = after.unwrap_or(image.len);
        }
    }
    Ok(())
}
