//! Memory Protection Unit, PMSAv7 (ARM ARM B3.5).

use serde::{Deserialize, Serialize};

/// Kind of access that is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Access {
    Read,
    Write,
    Fetch,
}

/// What one stretch of addresses allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Rights {
    pub read: bool,
    pub write: bool,
    pub execute: bool,
}

impl Rights {
    const NONE: Rights = Rights {
        read: false,
        write: false,
        execute: false,
    };

    /// Whether `access` is among them.
    pub fn allow(self, access: Access) -> bool {
        match access {
            Access::Read => self.read,
            Access::Write => self.write,
            Access::Fetch => self.execute,
        }
    }
}

/// Region registers: RBAR's address and RASR.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Region {
    base: u32,
    rasr: u32,
}

const ENABLE: u32 = 1;
const HFNMIENA: u32 = 2;
const PRIVDEFENA: u32 = 4;
/// Most regions any core has.
const MAX: usize = 16;

/// MPU state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mpu {
    ctrl: u32,
    number: u8,
    regions: [Region; MAX],
}

impl Mpu {
    /// MPU_CTRL.ENABLE.
    pub fn enabled(&self) -> bool {
        self.ctrl & ENABLE != 0
    }

    /// Whether checks beyond the default map take place; `negative` tells execution priority below zero.
    pub fn applies(&self, negative: bool) -> bool {
        self.ctrl & ENABLE != 0 && (!negative || self.ctrl & HFNMIENA != 0)
    }

    /// Rights at `addr`, and the span of addresses around it over which they are the same (at most).
    pub fn rights(&self, addr: u32, privileged: bool, negative: bool) -> (Rights, Span) {
        let mut span = Span {
            first: addr & 0xe000_0000,
            last: addr | 0x1fff_ffff,
        };
        if !self.applies(negative) {
            return (default_map(addr), span);
        }
        let background = if privileged && self.ctrl & PRIVDEFENA != 0 {
            default_map(addr)
        } else {
            Rights::NONE
        };
        let mut found = None;
        for region in self.regions.iter().rev().filter(|r| r.rasr & 1 != 0) {
            if region.covers(addr, &mut span) && found.is_none() {
                found = Some(region.rights(privileged));
            }
        }
        let mut rights = found.unwrap_or(background);
        if addr >= 0xe000_0000 {
            rights.execute = false;
        }
        (rights, span)
    }

    /// The region that decides about `addr`, with its RASR; none when the background (or the default map) does.
    pub fn decider(&self, addr: u32, negative: bool) -> Option<(u8, u32)> {
        let mut span = Span {
            first: 0,
            last: u32::MAX,
        };
        let numbered = (0u8..MAX as u8).zip(&self.regions).rev();
        let mut all = numbered.filter(|(_, r)| r.rasr & 1 != 0);
        all.find(|(_, r)| self.applies(negative) && r.covers(addr, &mut span))
            .map(|(n, r)| (n, r.rasr))
    }

    /// Register read at byte `offset` from MPU_TYPE.
    pub fn read(&self, offset: u32, count: u8) -> u32 {
        let region = self.regions[usize::from(self.number) & (MAX - 1)];
        match offset {
            0x0 => u32::from(count) << 8,
            0x4 => self.ctrl,
            0x8 => self.number.into(),
            0xc | 0x14 | 0x1c | 0x24 => region.base | u32::from(self.number & 15),
            0x10 | 0x18 | 0x20 | 0x28 => region.rasr,
            _ => 0,
        }
    }

    /// Register write.
    pub fn write(&mut self, offset: u32, value: u32, count: u8) {
        let index = usize::from(self.number) & (MAX - 1);
        match offset {
            // Without ENABLE, HFNMIENA is unpredictable: kept off, as QEMU does.
            0x4 => self.ctrl = if value & 3 == HFNMIENA { value & 4 } else { value & 7 },
            0x8 if value < u32::from(count) => self.number = value as u8,
            0xc | 0x14 | 0x1c | 0x24 => {
                let mut index = index;
                if value & 0x10 != 0 {
                    if value & 15 >= u32::from(count) {
                        return;
                    }
                    index = (value & 15) as usize;
                    self.number = index as u8;
                }
                self.regions[index].base = value & !0x1f;
            }
            0x10 | 0x18 | 0x20 | 0x28 => self.regions[index].rasr = value & 0x173f_ff3f,
            _ => {}
        }
    }
}

/// An inclusive range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Span {
    pub first: u32,
    pub last: u32,
}

impl Span {
    /// Narrows to the side of the border [first, last] on which `addr` stands; true when inside.
    fn cut(&mut self, first: u32, last: u32, addr: u32) -> bool {
        if addr < first {
            self.last = self.last.min(first - 1);
            false
        } else if addr > last {
            self.first = self.first.max(last + 1);
            false
        } else {
            self.first = self.first.max(first);
            self.last = self.last.min(last);
            true
        }
    }
}

impl Region {
    fn covers(&self, addr: u32, span: &mut Span) -> bool {
        let bits = (self.rasr >> 1 & 31) + 1;
        // Regions below 32 bytes do not exist.
        if bits < 5 {
            return false;
        }
        let low = if bits >= 32 { u32::MAX } else { (1 << bits) - 1 };
        // A base that is not a multiple of the size is UNPREDICTABLE: no region, as in QEMU.
        let base = self.base;
        if base & low != 0 || !span.cut(base, base | low, addr) {
            return false;
        }
        let disabled = self.rasr >> 8 & 0xff;
        if bits < 8 || disabled == 0 {
            return true;
        }
        let part = bits - 3;
        let first = addr & !((1 << part) - 1);
        span.cut(first, first | ((1 << part) - 1), addr);
        disabled >> (addr.wrapping_sub(base) >> part & 7) & 1 == 0
    }

    /// Table B3-15.
    fn rights(&self, privileged: bool) -> Rights {
        let (read, write) = match (self.rasr >> 24 & 7, privileged) {
            (1 | 2, true) | (3, _) => (true, true),
            (2, false) | (5, true) | (6 | 7, _) => (true, false),
            _ => (false, false),
        };
        Rights {
            read,
            write,
            execute: read && self.rasr >> 28 & 1 == 0,
        }
    }
}

/// The default memory map (table B3-1): everything may be read and written, devices and the system may not be executed.
fn default_map(addr: u32) -> Rights {
    let execute = !matches!(addr >> 29, 2 | 5 | 6 | 7);
    Rights {
        read: true,
        write: true,
        execute,
    }
}
