//! A whole machine as a state in memory, and back: what snapshots for going back and tests use. Streams are [`super::Whole`]'s.

use serde::{Deserialize, Serialize};

use super::Machine;
use super::turns::SavedTurns;
use crate::clock::{Clock, Timebase, TimerIndex, VirtualTime};
use crate::cpu::CpuId;
use crate::device::DeviceId;
use crate::memory::RamBlock;
use crate::saved::{LoadError, SavedState};

pub(super) const PAGE: usize = 4096;

#[derive(Serialize, Deserialize)]
pub(super) struct SavedRam {
    name: String,
    len: u64,
    /// Pages that are not all zero.
    pages: Vec<(u64, Vec<u8>)>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct SavedMachine {
    pub(super) clock: Clock,
    pub(super) timers: Vec<(VirtualTime, DeviceId, TimerIndex)>,
    pub(super) nets: Vec<u32>,
    pub(super) outputs: Vec<Vec<bool>>,
    pub(super) clocks: Vec<u64>,
    pub(super) devices: Vec<(DeviceId, String, SavedState)>,
    pub(super) cpus: Vec<SavedState>,
    pub(super) turns: SavedTurns,
    pub(super) timebase: Timebase,
    pub(super) firmware: Option<SavedState>,
    pub(super) ram: Vec<SavedRam>,
}

pub(super) const SAVE_VERSION: u32 = 2;

impl Machine {
    /// The whole machine. Fails with the reason of the first device that cannot be saved now.
    pub fn save(&mut self) -> Result<SavedState, String> {
        let mut saved = self.save_parts()?;
        saved.ram = self.ram.iter().map(|(name, block)| save_ram(name, block)).collect();
        Ok(SavedState::of(SAVE_VERSION, &saved))
    }

    /// Everything but RAM.
    pub(super) fn save_parts(&mut self) -> Result<SavedMachine, String> {
        self.flush_lines();
        let mut devices = Vec::new();
        let ids: Vec<_> = self.sys.devices().map(|(id, s)| (id, s.device_type.name)).collect();
        for (id, name) in ids {
            let saved = self.sys.with_device(id, |d, _| match d.migration_blocker() {
                Some(reason) => Err(format!("{name}: {reason}")),
                None => Ok(d.save()),
            });
            if let Some(saved) = saved {
                devices.push((id, name.to_owned(), saved?));
            }
        }
        Ok(SavedMachine {
            clock: self.sys.clock.clone(),
            timers: self.sys.timers.list(),
            nets: self.sys.nets.levels(),
            outputs: self.sys.output_levels(),
            clocks: self.sys.clock_frequencies(),
            devices,
            cpus: self.cpus.iter().map(|c| c.save()).collect(),
            turns: self.save_turns(),
            timebase: self.sys.timebase,
            firmware: self.firmware.as_ref().map(|f| f.save()),
            ram: Vec::new(),
        })
    }

    /// Takes a saved machine back into one built by the same command line. On error the machine must be reset before it runs.
    pub fn load(&mut self, saved: &SavedState) -> Result<(), LoadError> {
        let s: SavedMachine = saved.read(SAVE_VERSION)?;
        if s.ram.len() != self.ram.len() {
            return Err(LoadError::Impossible("another number of RAM blocks"));
        }
        if !s.clock.is_possible() {
            return Err(LoadError::Impossible("a clock that no machine has"));
        }
        if s.timebase.hz != self.sys.timebase.hz {
            return Err(LoadError::Impossible("another timebase"));
        }
        for (saved, (name, block)) in s.ram.iter().zip(&self.ram) {
            load_ram(saved, name, block)?;
        }
        self.load_parts(&s)?;
        self.started = true;
        Ok(())
    }

    /// Everything but RAM.
    pub(super) fn load_parts(&mut self, s: &SavedMachine) -> Result<(), LoadError> {
        for (id, name, state) in &s.devices {
            if self.sys.slot(*id).is_none_or(|slot| slot.device_type.name != name) {
                return Err(LoadError::Damaged(format!(
                    "there is no {name} where the state has one"
                )));
            }
            self.sys.with_device(*id, |d, _| d.load(state)).unwrap_or(Ok(()))?;
        }
        if s.cpus.len() != self.cpus.len() {
            return Err(LoadError::Impossible("another number of processors"));
        }
        for (cpu, state) in self.cpus.iter_mut().zip(&s.cpus) {
            cpu.load(state)?;
        }
        match (&mut self.firmware, &s.firmware) {
            (Some(firmware), Some(state)) => firmware.load(state)?,
            (None, None) => {}
            _ => {
                return Err(LoadError::Impossible(
                    "firmware where there is none, or none where there is",
                ));
            }
        }
        let fits = self.sys.nets.restore(&s.nets)
            && self.sys.restore_output_levels(&s.outputs)
            && self.sys.restore_clock_frequencies(&s.clocks);
        if !fits {
            return Err(LoadError::Impossible("another wiring"));
        }
        self.sys.clock = s.clock.clone();
        self.sys.timers.clear();
        for (deadline, device, timer) in &s.timers {
            let device = self.sys.in_place_of(*device).unwrap_or(*device);
            self.sys.timers.set(device, *timer, *deadline);
        }
        self.sys.timebase = s.timebase;
        self.load_turns(&s.turns)?;
        for i in (0..).take(self.cpus.len()) {
            let _ = self.sys.take_lines(CpuId(i));
        }
        for (id, ..) in &s.devices {
            self.sys.with_device(*id, |d, cx| d.after_load(cx));
        }
        Ok(())
    }
}

fn save_ram(name: &str, block: &RamBlock) -> SavedRam {
    let mut pages = Vec::new();
    let mut page = [0; PAGE];
    let mut offset = 0;
    while offset < block.len() {
        let len = (block.len() - offset).min(PAGE as u64) as usize;
        if block.read(offset, &mut page[..len]) && page[..len].iter().any(|b| *b != 0) {
            pages.push((offset, page[..len].to_vec()));
        }
        offset += PAGE as u64;
    }
    SavedRam {
        name: name.to_owned(),
        len: block.len(),
        pages,
    }
}

fn load_ram(saved: &SavedRam, name: &str, block: &RamBlock) -> Result<(), LoadError> {
    if saved.name != name || saved.len != block.len() {
        return Err(LoadError::Impossible("another RAM block"));
    }
    let zero = [0; PAGE];
    let mut offset = 0;
    while offset < block.len() {
        let len = (block.len() - offset).min(PAGE as u64) as usize;
        let mut now = [0; PAGE];
        let dirty = block.read(offset, &mut now[..len]) && now[..len] != zero[..len];
        if dirty && !block.write(offset, &zero[..len]) {
            return Err(LoadError::Impossible("a page outside RAM"));
        }
        offset += PAGE as u64;
    }
    for (offset, data) in &saved.pages {
        if !block.write(*offset, data) {
            return Err(LoadError::Impossible("a page outside RAM"));
        }
    }
    Ok(())
}
