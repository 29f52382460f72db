//! `DESC`: what machine a stream is of.

use serde::{Deserialize, Serialize};
use southbridge_core::machine::Whole;
use southbridge_core::{DeviceId, Machine};

/// What machine a state is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The program that wrote it, for people.
    pub program: String,
    /// The board, as `-M` names it.
    pub board: String,
    /// What the machine was doing, in the words of `query-status`.
    pub run_state: String,
    /// Virtual time in nanoseconds.
    pub virtual_time: u64,
    /// Executed instructions.
    pub executed: u64,
    /// Seconds since 1970 when it was written; 0 if nobody asked.
    pub written: u64,
    /// Name of the snapshot, if it is one.
    pub name: Option<String>,
    /// Layout version of the part `BORD`.
    pub board_layout: u32,
    /// The processors, by number.
    pub cpus: Vec<Layout>,
    /// Layout version of firmware that the host executes.
    pub firmware: Option<u32>,
    /// Layout version of semihosting.
    pub semihosting: Option<u32>,
    /// Devices, in the order of their sections.
    pub devices: Vec<DeviceAbout>,
    /// Blocks of RAM.
    pub ram: Vec<RamAbout>,
}

/// A part by name and layout version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Its model.
    pub name: String,
    /// Layout version of its state.
    pub version: u32,
}

/// A device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceAbout {
    /// Its place in the machine.
    pub place: DeviceId,
    /// Its type.
    pub type_name: String,
    /// The id that its user gave it.
    pub id: Option<String>,
    /// Layout version of its state.
    pub version: u32,
}

/// A block of RAM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RamAbout {
    /// Its name.
    pub name: String,
    /// Bytes.
    pub len: u64,
}

impl About {
    pub(super) fn of(machine: &Machine, board: &str, whole: &Whole) -> Self {
        let cpus = machine.cpus.iter().zip(&whole.cpus);
        let devices = whole.devices.iter().map(|d| DeviceAbout {
            place: d.id,
            type_name: d.type_name.clone(),
            id: machine.sys.slot(d.id).and_then(|s| s.id.clone()),
            version: d.state.version,
        });
        let ram = whole.ram.iter().map(|r| RamAbout {
            name: r.name.clone(),
            len: r.len,
        });
        Self {
            program: concat!("southbridge ", env!("CARGO_PKG_VERSION")).to_owned(),
            board: board.to_owned(),
            run_state: machine.run_state().name().to_owned(),
            virtual_time: machine.sys.clock.now().0,
            executed: machine.sys.clock.executed(),
            written: 0,
            name: None,
            board_layout: whole.board.version,
            cpus: cpus
                .map(|(cpu, state)| Layout {
                    name: cpu.model().to_owned(),
                    version: state.version,
                })
                .collect(),
            firmware: whole.firmware.as_ref().map(|f| f.version),
            semihosting: whole.semihosting.as_ref().map(|s| s.version),
            devices: devices.collect(),
            ram: ram.collect(),
        }
    }

    /// Bytes of RAM, zero or not.
    pub fn ram_bytes(&self) -> u64 {
        self.ram.iter().fold(0, |sum, r| sum.saturating_add(r.len))
    }

    /// In what a state of `there` does not fit this machine; `None` if it fits as far as can be said from outside.
    pub fn difference(&self, there: &Self) -> Option<String> {
        if self.board != there.board {
            return Some(format!("it is of machine '{}', this is '{}'", there.board, self.board));
        }
        if self.models() != there.models() {
            return Some(format!(
                "its processor is {}, here it is {}",
                there.models(),
                self.models()
            ));
        }
        if self.board_layout != there.board_layout || self.cpus != there.cpus {
            return Some("its board or processor is saved in another layout version".into());
        }
        if self.firmware != there.firmware {
            return Some(
                "one has firmware that the host executes, and the other none or of another layout version".into(),
            );
        }
        if let Some(text) = self.device_difference(there) {
            return Some(text);
        }
        if there.semihosting.is_some() && there.semihosting != self.semihosting {
            return Some("it has semihosting of another layout version, or this machine has none".into());
        }
        if self.ram != there.ram {
            let list = |a: &Self| {
                let blocks = a.ram.iter().map(|r| format!("{} of {} KiB", r.name, r.len >> 10));
                blocks.collect::<Vec<_>>().join(", ")
            };
            return Some(format!("its memory is [{}], here it is [{}]", list(there), list(self)));
        }
        None
    }

    fn models(&self) -> String {
        match self.cpus.as_slice() {
            [] => "none".into(),
            [one] => one.name.clone(),
            [first, ..] => format!("{} x {}", self.cpus.len(), first.name),
        }
    }

    fn device_difference(&self, there: &Self) -> Option<String> {
        let name = |d: &DeviceAbout| match &d.id {
            Some(id) => format!("{} '{id}'", d.type_name),
            None => d.type_name.clone(),
        };
        for (here, there) in self.devices.iter().zip(&there.devices) {
            if (here.place, &here.type_name, &here.id) != (there.place, &there.type_name, &there.id) {
                return Some(format!("where it has device {}, this has {}", name(there), name(here)));
            }
            if here.version != there.version {
                let (n, found, expected) = (name(here), there.version, here.version);
                return Some(format!(
                    "device {n} is saved in layout version {found}, this program has {expected}"
                ));
            }
        }
        let (here, there) = (self.devices.len(), there.devices.len());
        (here != there).then(|| format!("it has {there} devices, this has {here}"))
    }
}
