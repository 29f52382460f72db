//! `fw_cfg_mem`: how a machine of QEMU's family tells firmware and kernel what only it knows.
//!
//! The guest selects an item and reads its bytes, one register access or one DMA request at a time. Items are set by the machine through
//! [`FirmwareConfig`] before it starts; they are not part of a saved state, because the same machine makes the same ones. There are no
//! items that a guest can write.

mod items;
mod regs;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use southbridge_core::{
    Access, Build, CreateError, Ctx, Device, DeviceType, Endian, LoadError, Mmio, PropKind, Properties, Property,
    Region, RegionKind, ResetPhase, SavedState, role,
};

pub use items::FileError;
pub use regs::key;

use items::Items;
use regs::{Control, Features};

const VERSION: u32 = 1;
const CONTROL: usize = 0;
const DATA: usize = 1;

/// Zeros that one DMA request may write behind an item's end: a guest that asks for gigabytes of nothing is refused.
const MAX_PADDING: u64 = 16 << 20;

const fn region(name: &'static str, size: u64, valid: (u8, u8)) -> Region {
    Region {
        name,
        kind: RegionKind::Mmio,
        size,
        valid,
        native: valid,
        endian: Endian::Big,
        registers: &[],
    }
}

/// The type.
pub static TYPE: DeviceType = DeviceType {
    name: "fw_cfg_mem",
    summary: "QEMU firmware configuration in memory",
    properties: &[
        Property {
            name: "data_width",
            kind: PropKind::Uint(32),
            default: Some("8"),
            help: "bytes of the data register",
        },
        Property {
            name: "dma_enabled",
            kind: PropKind::Bool,
            default: Some("on"),
            help: "whether there is a DMA register",
        },
        Property {
            name: "x-file-slots",
            kind: PropKind::Uint(16),
            default: Some("32"),
            help: "how many files there can be",
        },
    ],
    regions: &[
        region("control", 2, (2, 2)),
        region("data", 8, (1, 8)),
        region("dma", 8, (1, 8)),
    ],
    roles: &[role!(FwCfg as dyn Mmio), role!(FwCfg as dyn FirmwareConfig)],
    create: FwCfg::create,
    ..DeviceType::BASE
};

/// The role through which a machine sets what its firmware reads. Call it before the machine starts.
pub trait FirmwareConfig {
    /// Sets the item with a number of [`key`], or of [`key::ARCH_LOCAL`]. An earlier one is replaced.
    fn set(&mut self, key: u16, bytes: Vec<u8>);

    /// Adds a named file, such as `opt/org.example/name` or `etc/acpi/tables`.
    ///
    /// # Errors
    /// The name is too long or taken, or the directory is full.
    fn add_file(&mut self, name: &str, bytes: Vec<u8>) -> Result<(), FileError>;

    /// Sets an item to a number of 16 bits.
    fn set_u16(&mut self, key: u16, value: u16) {
        self.set(key, value.to_le_bytes().to_vec());
    }

    /// Sets an item to a number of 32 bits.
    fn set_u32(&mut self, key: u16, value: u32) {
        self.set(key, value.to_le_bytes().to_vec());
    }

    /// Sets an item to a number of 64 bits.
    fn set_u64(&mut self, key: u16, value: u64) {
        self.set(key, value.to_le_bytes().to_vec());
    }

    /// Sets an item to a text with a zero at its end.
    fn set_string(&mut self, key: u16, text: &str) {
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        self.set(key, bytes);
    }

    /// A kernel, its initial RAM disk and command line, for firmware that loads them itself: sizes and bytes.
    fn set_kernel(&mut self, kernel: Option<Vec<u8>>, initrd: Option<Vec<u8>>, command_line: Option<&str>) {
        for (size, data, bytes) in [
            (key::KERNEL_SIZE, key::KERNEL_DATA, kernel),
            (key::INITRD_SIZE, key::INITRD_DATA, initrd),
        ] {
            if let Some(bytes) = bytes {
                self.set_u32(size, u32::try_from(bytes.len()).unwrap_or(u32::MAX));
                self.set(data, bytes);
            }
        }
        if let Some(text) = command_line {
            self.set_u32(key::CMDLINE_SIZE, u32::try_from(text.len() + 1).unwrap_or(u32::MAX));
            self.set_string(key::CMDLINE_DATA, text);
        }
    }
}

/// The device.
pub struct FwCfg {
    // Fixed.
    data_width: u8,
    dma: bool,
    items: Items,
    // Volatile.
    state: State,
    /// The selected item's bytes.
    item: Option<Arc<[u8]>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
struct State {
    /// `None`: something that cannot be.
    selected: Option<u16>,
    offset: u32,
    /// The high half of the address of the next DMA request.
    dma_high: u32,
}

impl State {
    const RESET: Self = Self {
        selected: Some(key::SIGNATURE),
        offset: 0,
        dma_high: 0,
    };
}

impl FwCfg {
    fn create(p: &Properties, _: &mut Build<'_>) -> Result<Box<dyn Device>, CreateError> {
        let bad = |property, value: u64, expected: &str| CreateError::BadValue {
            property,
            value: value.to_string(),
            expected: expected.into(),
        };
        let width = p.uint("data_width");
        if !matches!(width, 1 | 2 | 4 | 8) {
            return Err(bad("data_width", width, "1, 2, 4 or 8"));
        }
        let slots = p.uint("x-file-slots");
        if !(regs::SLOTS_MIN..0x1000).contains(&slots) {
            return Err(bad("x-file-slots", slots, "16 to 4095"));
        }
        let dma = p.bool("dma_enabled");
        let features = Features::TRADITIONAL | if dma { Features::DMA } else { Features::empty() };
        let mut device = Self {
            data_width: width as u8,
            dma,
            items: Items::new(slots as u16, features),
            state: State::RESET,
            item: None,
        };
        device.find();
        Ok(Box::new(device))
    }

    fn select(&mut self, key: u16) {
        self.state.selected = Some(key).filter(|k| self.items.is_selectable(*k));
        self.state.offset = 0;
        self.find();
    }

    fn find(&mut self) {
        self.item = self.state.selected.and_then(|key| self.items.get(key));
    }

    /// The bytes of the item that have not been read yet.
    fn rest(&self) -> &[u8] {
        let item = self.item.as_deref().unwrap_or_default();
        item.get(self.state.offset as usize..).unwrap_or_default()
    }

    fn skip(&mut self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.state.offset = self.state.offset.saturating_add(bytes);
    }

    /// The next bytes as they stand, zeros behind the end.
    fn next(&mut self, size: u8) -> u64 {
        let mut bytes = [0; 8];
        let n = self.rest().len().min(size.into());
        let first = 8 - usize::from(size.min(8));
        if let (Some(to), Some(from)) = (bytes.get_mut(first..first + n), self.rest().get(..n)) {
            to.copy_from_slice(from);
        }
        self.skip(n);
        u64::from_be_bytes(bytes)
    }

    /// A DMA request. What comes of it stands in its control word, in the guest's memory.
    fn transfer(&mut self, address: u64, cx: &mut Ctx<'_>) {
        let mut request = [0; regs::REQUEST];
        let result = match cx.dma_read(address, &mut request) {
            Ok(()) => self.perform(&request, cx),
            Err(_) => Err(()),
        };
        let done = if result.is_ok() {
            Control::empty()
        } else {
            Control::ERROR
        };
        if cx.dma_write(address, &done.bits().to_be_bytes()).is_err() {
            cx.guest_error(format_args!("the DMA request at {address:#x} is not in memory"));
        }
    }

    fn perform(&mut self, request: &[u8; regs::REQUEST], cx: &mut Ctx<'_>) -> Result<(), ()> {
        let [c0, c1, c2, c3, l0, l1, l2, l3, address @ ..] = *request;
        let control = u32::from_be_bytes([c0, c1, c2, c3]);
        let length = u64::from(u32::from_be_bytes([l0, l1, l2, l3]));
        let address = u64::from_be_bytes(address);
        let what = Control::from_bits_truncate(control);
        if what.contains(Control::SELECT) {
            self.select((control >> 16) as u16);
        }
        let here = length.min(self.rest().len() as u64) as usize;
        if what.contains(Control::READ) {
            // The item is shared, so that a request that reaches this device again finds it whole.
            let item = self.item.clone().unwrap_or_default();
            let from = self.state.offset as usize;
            let bytes = item.get(from..from + here).unwrap_or_default();
            self.skip(here);
            cx.dma_write(address, bytes).map_err(drop)?;
            pad(address.wrapping_add(here as u64), length - here as u64, cx)
        } else if what.contains(Control::WRITE) {
            // Nothing can be written.
            if length == 0 { Ok(()) } else { Err(()) }
        } else {
            if what.contains(Control::SKIP) {
                self.skip(here);
            }
            Ok(())
        }
    }
}

/// Zeros behind the end of an item.
fn pad(mut address: u64, mut length: u64, cx: &mut Ctx<'_>) -> Result<(), ()> {
    if length > MAX_PADDING {
        return Err(());
    }
    let zeros = [0; 4096];
    while length > 0 {
        let n = length.min(zeros.len() as u64);
        cx.dma_write(address, &zeros[..n as usize]).map_err(drop)?;
        address = address.wrapping_add(n);
        length -= n;
    }
    Ok(())
}

impl FirmwareConfig for FwCfg {
    fn set(&mut self, key: u16, bytes: Vec<u8>) {
        self.items.set(key, bytes);
        self.find();
    }

    fn add_file(&mut self, name: &str, bytes: Vec<u8>) -> Result<(), FileError> {
        self.items.add_file(name, bytes)?;
        self.find();
        Ok(())
    }
}

impl Mmio for FwCfg {
    fn read(&mut self, access: Access, _: &mut Ctx<'_>) -> u64 {
        match access.region {
            CONTROL => 0,
            DATA if access.offset == 0 && access.size <= self.data_width => self.next(access.size),
            DATA => 0,
            _ if self.dma => {
                let from = 8 * (8 - u32::from(access.size) - (access.offset & 7) as u32);
                regs::DMA_SIGNATURE >> from
            }
            _ => 0,
        }
    }

    fn write(&mut self, access: Access, value: u64, cx: &mut Ctx<'_>) {
        match (access.region, access.offset, access.size) {
            (CONTROL, _, _) => self.select(value as u16),
            (DATA, _, _) => cx.guest_error(format_args!("items cannot be written")),
            (_, 0, 4) if self.dma => self.state.dma_high = value as u32,
            (_, 4, 4) if self.dma => {
                let high = std::mem::take(&mut self.state.dma_high);
                self.transfer(u64::from(high) << 32 | value & 0xffff_ffff, cx);
            }
            (_, 0, 8) if self.dma => {
                self.state.dma_high = 0;
                self.transfer(value, cx);
            }
            _ => cx.guest_error(format_args!("write of {} bytes to the DMA register", access.size)),
        }
    }
}

impl Device for FwCfg {
    fn reset(&mut self, phase: ResetPhase, _: &mut Ctx<'_>) {
        if phase == ResetPhase::Enter {
            self.state = State::RESET;
            self.find();
        }
    }

    fn save(&self) -> SavedState {
        let Self {
            data_width: _,
            dma: _,
            items: _,
            state,
            item: _,
        } = self;
        SavedState::of(VERSION, state)
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        let state: State = state.read(VERSION)?;
        if state.selected.is_some_and(|k| !self.items.is_selectable(k)) {
            return Err(LoadError::Impossible("fw_cfg selector"));
        }
        self.state = state;
        self.find();
        Ok(())
    }
}
