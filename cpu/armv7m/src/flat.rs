//! A bus of RAM and nothing else, for tests and for programs that need no board.

use std::cell::Cell;
use std::rc::Rc;

use crate::bus::{Bus, BusFault, CODE_GRANULE, Window};

struct Memory {
    id: u64,
    words: Vec<Cell<u32>>,
    code: Vec<Cell<bool>>,
}

/// Handle of one stretch of RAM.
#[derive(Clone)]
pub struct FlatWindow {
    /// First address that may be accessed.
    first: u32,
    /// Last address that may be accessed.
    last: u32,
    /// Where the memory begins.
    base: u32,
    readonly: bool,
    memory: Rc<Memory>,
}

impl FlatWindow {
    #[inline(always)]
    fn word(&self, addr: u32, n: u32) -> Option<(&Cell<u32>, u32)> {
        if addr < self.first || addr.checked_add(n - 1)? > self.last || addr & (n - 1) != 0 {
            return None;
        }
        let offset = addr - self.base;
        Some((self.memory.words.get(offset as usize >> 2)?, 8 * (offset & 3)))
    }
    #[inline(always)]
    fn put(&self, addr: u32, n: u32, value: u32) -> Option<bool> {
        if self.readonly {
            return None;
        }
        let (cell, shift) = self.word(addr, n)?;
        let mask = (u32::MAX >> (32 - 8 * n)) << shift;
        cell.set(cell.get() & !mask | value << shift & mask);
        let granule = u64::from(addr - self.base) / CODE_GRANULE;
        Some(self.memory.code.get(granule as usize).is_some_and(Cell::get))
    }
}

impl Window for FlatWindow {
    #[inline(always)]
    fn read_u8(&self, addr: u32) -> Option<u8> {
        self.word(addr, 1).map(|(w, s)| (w.get() >> s) as u8)
    }
    #[inline(always)]
    fn read_u16(&self, addr: u32) -> Option<u16> {
        self.word(addr, 2).map(|(w, s)| (w.get() >> s) as u16)
    }
    #[inline(always)]
    fn read_u32(&self, addr: u32) -> Option<u32> {
        self.word(addr, 4).map(|(w, _)| w.get())
    }
    #[inline(always)]
    fn write_u8(&self, addr: u32, value: u8) -> Option<bool> {
        self.put(addr, 1, value.into())
    }
    #[inline(always)]
    fn write_u16(&self, addr: u32, value: u16) -> Option<bool> {
        self.put(addr, 2, value.into())
    }
    #[inline(always)]
    fn write_u32(&self, addr: u32, value: u32) -> Option<bool> {
        self.put(addr, 4, value)
    }
    fn narrow(&self, first: u32, last: u32, readonly: bool) -> Option<Self> {
        let (first, last) = (self.first.max(first), self.last.min(last));
        (first <= last).then(|| FlatWindow {
            first,
            last,
            readonly: self.readonly || readonly,
            ..self.clone()
        })
    }
    fn place(&self, addr: u32) -> (u64, u64) {
        (self.memory.id, addr.wrapping_sub(self.base).into())
    }
    fn mark_code(&self, addr: u32, on: bool) {
        let granule = u64::from(addr.wrapping_sub(self.base)) / CODE_GRANULE;
        if let Some(c) = self.memory.code.get(granule as usize) {
            c.set(on);
        }
    }
}

/// RAM at fixed addresses, line changes put in by hand, and a clock.
#[derive(Default)]
pub struct FlatBus {
    windows: Vec<FlatWindow>,
    cycles: u64,
    lines: Vec<(u32, bool)>,
    code_writes: Vec<(u64, u64, u64)>,
    /// Address and interrupt of the one device; see [`FlatBus::tap`].
    tap: Option<(u32, u32)>,
    /// What was stored to the tap, with the cycle count of the store.
    pub stores: Vec<(u64, u32)>,
}

impl FlatBus {
    /// An empty bus.
    pub fn new() -> Self {
        FlatBus::default()
    }
    /// Adds `len` bytes of RAM (or ROM) at `start`, both multiples of 4.
    pub fn add(&mut self, start: u32, len: u32, readonly: bool) {
        let memory = Memory {
            id: self.windows.len() as u64,
            words: vec![Cell::new(0); len as usize / 4],
            code: vec![Cell::new(false); (u64::from(len) / CODE_GRANULE) as usize + 1],
        };
        let last = start + (len - 1);
        self.windows.push(FlatWindow {
            first: start,
            last,
            base: start,
            readonly,
            memory: Rc::new(memory),
        });
    }
    /// Makes a word at `addr` a device: a store sets external interrupt line `irq` to bit 0 of the value and is recorded; a load
    /// gives the cycle count.
    pub fn tap(&mut self, addr: u32, irq: u32) {
        self.tap = Some((addr, irq));
    }
    /// Puts bytes into memory, ROM too. False where there is none.
    pub fn load(&mut self, addr: u32, data: &[u8]) -> bool {
        data.iter().zip(addr..).all(|(b, at)| {
            let window = self.windows.iter().find(|w| w.first <= at && at <= w.last);
            let Some(w) = window else { return false };
            let code = FlatWindow {
                readonly: false,
                ..w.clone()
            }
            .write_u8(at, *b);
            if code == Some(true) {
                self.code_writes.push((w.memory.id, u64::from(at - w.base), 1));
            }
            code.is_some()
        })
    }
    /// The word at `addr`, aligned; 0 where there is none.
    pub fn word(&mut self, addr: u32) -> u32 {
        self.window(addr).and_then(|w| w.read_u32(addr)).unwrap_or(0)
    }
    /// An interrupt line changes before the next instruction that is executed.
    pub fn line(&mut self, input: u32, level: bool) {
        self.lines.push((input, level));
    }
    /// Lets time pass without instructions, as a machine does while its core sleeps.
    pub fn sleep_until(&mut self, cycles: u64) {
        self.cycles = self.cycles.max(cycles);
    }
}

impl Bus for FlatBus {
    type Window = FlatWindow;

    fn read(&mut self, addr: u32, size: u8) -> Result<u32, BusFault> {
        if self.tap.is_some_and(|(at, _)| at == addr) {
            return Ok(self.cycles as u32);
        }
        let w = self.window(addr).ok_or(BusFault)?;
        match size {
            1 => w.read_u8(addr).map(u32::from),
            2 => w.read_u16(addr).map(u32::from),
            _ => w.read_u32(addr),
        }
        .ok_or(BusFault)
    }
    fn write(&mut self, addr: u32, size: u8, value: u32) -> Result<(), BusFault> {
        if let Some((_, irq)) = self.tap.filter(|(at, _)| *at == addr) {
            self.stores.push((self.cycles, value));
            self.lines.push((irq, value & 1 != 0));
            return Ok(());
        }
        let w = self.window(addr).ok_or(BusFault)?;
        let _ = match size {
            1 => w.write_u8(addr, value as u8),
            2 => w.write_u16(addr, value as u16),
            _ => w.write_u32(addr, value),
        };
        Ok(())
    }
    fn window(&mut self, addr: u32) -> Option<FlatWindow> {
        self.windows.iter().find(|w| w.first <= addr && addr <= w.last).cloned()
    }
    fn generation(&self) -> u64 {
        self.windows.len() as u64
    }
    fn cycles(&self) -> u64 {
        self.cycles
    }
    fn consume(&mut self, n: u64) {
        self.cycles += n;
    }
    fn cpu_hz(&self) -> u64 {
        25_000_000
    }
    #[inline(always)]
    fn attention(&self) -> bool {
        false
    }
    #[inline(always)]
    fn news(&self, _cpu: u8) -> bool {
        !self.lines.is_empty() || !self.code_writes.is_empty()
    }
    fn take_lines(&mut self, _cpu: u8) -> Vec<(u32, bool)> {
        std::mem::take(&mut self.lines)
    }
    fn take_code_writes(&mut self, _cpu: u8) -> Vec<(u64, u64, u64)> {
        std::mem::take(&mut self.code_writes)
    }
    fn code_written(&mut self, memory: u64, offset: u64, len: u64) {
        self.code_writes.push((memory, offset, len));
    }
}
