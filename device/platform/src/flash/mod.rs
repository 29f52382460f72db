//! `cfi.pflash01`: NOR flash with Intel's command set, one or several chips side by side.
//!
//! While it is read it is memory: CPUs read and execute it like RAM, and only writes come here. A command makes it registers until the
//! guest says "read array". Operations take no time. As in QEMU, programming replaces bytes instead of only clearing bits.
//!
//! There is no block back end yet: `drive` names a raw file, which is read at the start and written as the guest writes.
//! The contents are memory of the machine: its board puts [`Flash::memory`] among its RAM, which saves and restores them.

mod cfi;
mod image;
mod state;
#[cfg(test)]
mod tests;

use southbridge_core::{
    Access, Build, CreateError, Ctx, Device, DeviceType, Endian, LoadError, Mmio, PropKind, Properties, Property,
    RamBlock, Region, RegionKind, ResetPhase, SavedState, role,
};

use cfi::Bank;
use image::Image;
use state::{Action, ERASE_ERROR, Mode, PROGRAM_ERROR, State};

const VERSION: u32 = 1;
/// No board has more flash, in bytes.
const MAX_SIZE: u64 = 1 << 30;

const fn number(name: &'static str, bits: u8, default: &'static str, help: &'static str) -> Property {
    Property {
        name,
        kind: PropKind::Uint(bits),
        default: Some(default),
        help,
    }
}

const fn flag(name: &'static str, help: &'static str) -> Property {
    Property {
        name,
        kind: PropKind::Bool,
        default: Some("off"),
        help,
    }
}

/// The type. Defaults are those of the `virt` board.
pub static TYPE: DeviceType = DeviceType {
    name: "cfi.pflash01",
    category: southbridge_core::Category::Storage,
    summary: "NOR flash with Intel's command set",
    properties: &[
        Property {
            name: "drive",
            kind: PropKind::Str,
            default: None,
            help: "a raw file with the contents; zeros without",
        },
        flag(
            "readonly",
            "the guest's changes are refused and the file is not written",
        ),
        flag("x-temporary", "the guest's changes are not written to the file"),
        number("num-blocks", 32, "128", "erase blocks"),
        number("sector-length", 64, "262144", "bytes of an erase block"),
        number("width", 8, "4", "bytes of the bus"),
        number(
            "device-width",
            8,
            "2",
            "bytes of the bus that one chip drives; 0 is all",
        ),
        number(
            "max-device-width",
            8,
            "0",
            "bytes that a chip could drive; 0 is as many as it does",
        ),
        flag("big-endian", "byte order of data"),
        number("id0", 16, "0x89", "manufacturer"),
        number("id1", 16, "0x18", "device"),
        number(
            "id2",
            16,
            "0",
            "accepted for QEMU's sake: only banks without device-width show it there",
        ),
        number("id3", 16, "0", "accepted for QEMU's sake, as id2"),
        Property {
            name: "name",
            kind: PropKind::Str,
            default: None,
            help: "accepted for QEMU's sake: parts have names on the board",
        },
        flag("old-multiple-chip-handling", "chips count as one behind the other"),
    ],
    regions: &[Region {
        name: "flash",
        kind: RegionKind::Mmio,
        size: 32 << 20,
        valid: (1, 8),
        native: (1, 4),
        endian: Endian::Little,
        registers: &[],
    }],
    roles: &[role!(Pflash as dyn Mmio), role!(Pflash as dyn Flash)],
    create: Pflash::create,
    ..DeviceType::BASE
};

/// The role of memory that keeps its contents.
pub trait Flash {
    /// The contents. The board adds them to the machine's RAM, so that they are saved and restored.
    fn memory(&self) -> RamBlock;
}

/// A bank of flash.
pub struct Pflash {
    // Fixed.
    bank: Bank,
    big_endian: bool,
    readonly: bool,
    image: Image,
    /// The user was told that the file cannot be written.
    told: bool,
    // Volatile.
    state: State,
}

impl Pflash {
    fn create(p: &Properties, build: &mut Build<'_>) -> Result<Box<dyn Device>, CreateError> {
        let bank = bank(p)?;
        let readonly = p.bool("readonly");
        let image = match p.str("drive") {
            Some(path) => Image::of(path, bank.size(), readonly || p.bool("x-temporary"))?,
            None => Image::blank(bank.size())?,
        };
        build.region_size(0, bank.size());
        Ok(Box::new(Self {
            bank,
            big_endian: p.bool("big-endian"),
            readonly,
            image,
            told: false,
            state: State::new(),
        }))
    }

    /// It is memory, or it is registers.
    fn sync(&mut self, cx: &mut Ctx<'_>) {
        let memory = (self.state.mode == Mode::Array).then(|| self.image.memory.clone());
        cx.back_region(0, memory);
    }

    fn change(&mut self, offset: u64, data: &[u8], cx: &mut Ctx<'_>) {
        let result = self.image.write(offset, data);
        cx.changed_memory(&self.image.memory, offset, data.len() as u64);
        self.tell(result, cx);
    }

    fn tell(&mut self, result: std::io::Result<()>, cx: &mut Ctx<'_>) {
        if let Err(e) = result
            && !std::mem::replace(&mut self.told, true)
        {
            cx.warning(format_args!("changes of the flash do not reach its file: {e}"));
        }
    }

    fn datum(&self, value: u32, size: u8) -> ([u8; 4], usize) {
        let size = usize::from(size.min(4));
        let mut bytes = value.to_le_bytes();
        if self.big_endian {
            bytes[..size].reverse();
        }
        (bytes, size)
    }

    fn erase(&mut self, offset: u64, cx: &mut Ctx<'_>) {
        if self.readonly {
            self.state.status |= ERASE_ERROR;
            return;
        }
        let first = offset - offset % self.bank.sector;
        let erased = [0xff; 4096];
        let mut at = first;
        let end = (first + self.bank.sector).min(self.bank.size());
        while at < end {
            let n = (end - at).min(erased.len() as u64);
            self.change(at, &erased[..n as usize], cx);
            at += n;
        }
    }

    /// A datum for the write buffer: the first one says which block it is for.
    fn buffer(&mut self, offset: u64, data: &[u8]) {
        let len = self.bank.buffer();
        if self.state.buffer.is_empty() {
            self.state.buffer_at = offset - offset % len as u64;
            self.state.buffer.resize(len, 0);
            if !self.image.read(self.state.buffer_at, &mut self.state.buffer) {
                self.state.status |= PROGRAM_ERROR;
            }
        }
        let at = offset
            .checked_sub(self.state.buffer_at)
            .and_then(|at| usize::try_from(at).ok());
        let place = at.and_then(|at| self.state.buffer.get_mut(at..at + data.len()));
        match place {
            Some(place) if !self.readonly => place.copy_from_slice(data),
            _ => self.state.status |= PROGRAM_ERROR,
        }
    }

    fn act(&mut self, action: Action, access: Access, value: u32, cx: &mut Ctx<'_>) {
        let (bytes, size) = self.datum(value, access.size);
        let data = &bytes[..size];
        match action {
            Action::None => {}
            Action::Program if self.readonly => self.state.status |= PROGRAM_ERROR,
            Action::Program => self.change(access.offset, data, cx),
            Action::Erase => self.erase(access.offset, cx),
            Action::Buffer => self.buffer(access.offset, data),
            Action::Flush => {
                let buffer = std::mem::take(&mut self.state.buffer);
                self.change(self.state.buffer_at, &buffer, cx);
            }
            Action::Unknown => cx.unimplemented(format_args!(
                "unknown command or confirmation {value:#x} at offset {:#x}",
                access.offset
            )),
        }
    }
}

/// How the properties say the chips are wired up.
fn bank(p: &Properties) -> Result<Bank, CreateError> {
    let bad = |property, expected: &str| CreateError::BadValue {
        property,
        value: p.uint(property).to_string(),
        expected: expected.into(),
    };
    let width = p.uint("width");
    if !matches!(width, 1 | 2 | 4) {
        return Err(bad("width", "1, 2 or 4"));
    }
    let or = |property, other| match p.uint(property) {
        0 => other,
        n => n,
    };
    let device_width = or("device-width", width);
    if !matches!(device_width, 1 | 2 | 4) || device_width > width {
        return Err(bad("device-width", "1, 2 or 4, and at most the width"));
    }
    let max_device_width = or("max-device-width", device_width);
    if !matches!(max_device_width, 1 | 2 | 4) || max_device_width < device_width {
        return Err(bad("max-device-width", "1, 2 or 4, and at least the device-width"));
    }
    let blocks = p.uint("num-blocks");
    let sector = p.uint("sector-length");
    if !sector.is_power_of_two() || !(0x1000..=0x100_0000).contains(&sector) {
        return Err(bad("sector-length", "a power of two from 4096 to 16777216"));
    }
    if !(1..=MAX_SIZE / sector).contains(&blocks) {
        return Err(bad("num-blocks", "at least 1, and at most 1 GiB in all"));
    }
    Ok(Bank {
        width: width as u32,
        device_width: device_width as u32,
        max_device_width: max_device_width as u32,
        blocks: blocks as u32,
        sector,
        old_multiple_chips: p.bool("old-multiple-chip-handling"),
        ids: [p.uint("id0") as u16, p.uint("id1") as u16],
    })
}

impl Flash for Pflash {
    fn memory(&self) -> RamBlock {
        self.image.memory.clone()
    }
}

impl Mmio for Pflash {
    fn read(&mut self, access: Access, _: &mut Ctx<'_>) -> u64 {
        let (offset, size) = (access.offset, access.size);
        let value = match self.state.mode {
            Mode::Array => {
                let mut bytes = [0; 4];
                let n = usize::from(size.min(4));
                let _ = self.image.read(offset, &mut bytes[..n]);
                u32::from_le_bytes(bytes)
            }
            Mode::Identification => self.bank.wide(offset, size, Bank::identification),
            Mode::Query => self.bank.wide(offset, size, Bank::query),
            _ => self.bank.status(self.state.status, size),
        };
        value.into()
    }

    fn write(&mut self, access: Access, value: u64, cx: &mut Ctx<'_>) {
        let mask = u32::MAX >> (32 - 8 * self.bank.device_width);
        let action = self.state.write(value as u32, mask);
        self.act(action, access, value as u32, cx);
        self.sync(cx);
    }
}

impl Device for Pflash {
    fn reset(&mut self, phase: ResetPhase, cx: &mut Ctx<'_>) {
        match phase {
            ResetPhase::Enter => self.state = State::new(),
            ResetPhase::Hold => self.sync(cx),
            ResetPhase::Exit => {}
        }
    }

    fn save(&self) -> SavedState {
        let Self {
            bank: _,
            big_endian: _,
            readonly: _,
            image: _,
            told: _,
            state,
        } = self;
        SavedState::of(VERSION, state)
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        let state: State = state.read(VERSION)?;
        state.check(self.bank.buffer(), self.bank.size())?;
        self.state = state;
        Ok(())
    }

    fn after_load(&mut self, cx: &mut Ctx<'_>) {
        self.sync(cx);
        let result = self.image.write_back();
        self.tell(result, cx);
    }
}
