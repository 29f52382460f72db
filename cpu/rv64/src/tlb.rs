//! The software TLB: for each page that was used, where it is in a window of RAM.
//!
//! An entry's tag has the page and the context of the access (address space, privilege, SUM, MXR), so that changes of mode flush
//! nothing. The interpreter's hit ends in a bounds-checked access of the window; compiled code reads the same entries and goes to the
//! host's address that they carry, so that both tiers know the same pages. The windows keep the memory mapped.

use southbridge_core::{RamWindow, System};
use southbridge_cpu_jit::Page;

/// Entries of each kind of access; a power of two.
pub(crate) const SIZE: usize = 512;
/// Windows kept before all is dropped.
const MAX_WINDOWS: usize = 64;
/// Address spaces kept apart before all is dropped; the last number of 8 bits is that of no entry.
const MAX_SPACES: usize = 200;
const CONTEXT_SHIFT: u32 = 52;

const EMPTY: Page = Page::NONE;
const WINDOW: u64 = MAX_WINDOWS as u64 - 1;
const SHIFT_AT: u32 = 6;
const _: () = assert!(MAX_WINDOWS == 1 << SHIFT_AT);

/// What a translation has beside its tag. From bit 12: virtual page to page of the window; for fetches to physical page. Wrapping.
/// Below: the number of the window, and log2 of the page's size as the page table has it.
fn rest(addend: u64, window: u32, shift: u32) -> u64 {
    addend & !0xfff | (u64::from(shift) & 63) << SHIFT_AT | u64::from(window) & WINDOW
}

/// A translation, read as this file writes it. Compiled code reads the same ones.
trait Translation {
    fn to(&self, addr: u64) -> u64;
    fn window(&self) -> usize;
    fn shift(&self) -> u32;
}

impl Translation for Page {
    #[inline(always)]
    fn to(&self, addr: u64) -> u64 {
        addr.wrapping_add(self.rest & !0xfff)
    }

    #[inline(always)]
    fn window(&self) -> usize {
        (self.rest & WINDOW) as usize
    }

    fn shift(&self) -> u32 {
        (self.rest >> SHIFT_AT & 63) as u32
    }
}

/// A kind of access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
    Fetch,
}

/// An unsigned integer of 1, 2, 4 or 8 bytes in guest memory.
pub(crate) trait Word: Copy {
    const N: u64;
    fn get(w: &RamWindow, offset: u64) -> Option<Self>;
    fn put(self, w: &RamWindow, offset: u64) -> Option<bool>;
    fn widen(self) -> u64;
    fn cut(v: u64) -> Self;
}

macro_rules! words {
    ($($t:ty, $read:ident, $write:ident;)+) => { $(
        impl Word for $t {
            const N: u64 = size_of::<$t>() as u64;
            #[inline(always)]
            fn get(w: &RamWindow, offset: u64) -> Option<Self> {
                w.$read(offset)
            }
            #[inline(always)]
            fn put(self, w: &RamWindow, offset: u64) -> Option<bool> {
                w.$write(offset, self)
            }
            #[inline(always)]
            fn widen(self) -> u64 {
                self.into()
            }
            #[inline(always)]
            fn cut(v: u64) -> Self {
                v as $t
            }
        }
    )+ };
}
words! {
    u8, read_u8, write_u8;
    u16, read_u16, write_u16;
    u32, read_u32, write_u32;
    u64, read_u64, write_u64;
}

/// All translations of a hart.
pub(crate) struct Tlb {
    pub(crate) read: [Page; SIZE],
    pub(crate) write: [Page; SIZE],
    pub(crate) fetch: [Page; SIZE],
    windows: Vec<RamWindow>,
    /// `satp` values by number less 1; number 0 is untranslated.
    spaces: Vec<u64>,
    /// The last one that was looked for, and its number.
    last: (u64, u64),
    /// Whether there may be translations of pages above 4 KiB, in the lower and the upper half of the addresses.
    large: [bool; 2],
}

#[inline(always)]
fn slot(addr: u64) -> usize {
    (addr >> 12) as usize & (SIZE - 1)
}

fn half(addr: u64) -> usize {
    usize::from(addr >> 63 != 0)
}

impl Tlb {
    pub(crate) fn new() -> Self {
        Self {
            read: [EMPTY; SIZE],
            write: [EMPTY; SIZE],
            fetch: [EMPTY; SIZE],
            windows: Vec::new(),
            spaces: Vec::new(),
            last: (0, 0),
            large: [false; 2],
        }
    }

    /// Drops all translations; windows stay.
    pub(crate) fn flush(&mut self) {
        self.read.fill(EMPTY);
        self.write.fill(EMPTY);
        self.fetch.fill(EMPTY);
        self.large = [false; 2];
    }

    /// Drops everything: addresses may mean something else now.
    pub(crate) fn clear(&mut self) {
        self.flush();
        self.windows.clear();
    }

    /// The memory map has changed: drops everything, unless all memory that is known is where it was.
    pub(crate) fn follow_map(&mut self, sys: &mut System) {
        let mut windows = self.windows.iter();
        if !windows.all(|w| sys.ram_window(w.start).is_some_and(|now| now.is_same(w))) {
            self.clear();
        }
    }

    /// Drops the translations of `addr` (all if none), of one address space identifier (all if none).
    pub(crate) fn flush_some(&mut self, addr: Option<u64>, asid: Option<u16>) {
        let (None, None) = (addr, asid) else {
            let spaces = &self.spaces;
            let is_meant = |e: &Page| {
                // The tag has 52 bits of page number and the context above: compare below the context.
                let same = |a: u64| {
                    let differs = (e.tag ^ a >> 12) << (64 - CONTEXT_SHIFT) >> (64 - CONTEXT_SHIFT);
                    differs >> e.shift().saturating_sub(12) == 0
                };
                let number = (e.tag >> (CONTEXT_SHIFT + 4)) as usize;
                let of = |a: u16| {
                    number
                        .checked_sub(1)
                        .and_then(|n| spaces.get(n))
                        .is_some_and(|s| (s >> 44) as u16 == a)
                };
                addr.is_none_or(same) && asid.is_none_or(of)
            };
            // A page of 4 KiB can be in one place only.
            let places = match addr.filter(|a| !self.large[half(*a)]) {
                Some(a) => slot(a)..slot(a) + 1,
                None => 0..SIZE,
            };
            for all in [&mut self.read, &mut self.write, &mut self.fetch] {
                for e in all[places.clone()].iter_mut().filter(|e| is_meant(e)) {
                    *e = EMPTY;
                }
            }
            return;
        };
        self.flush();
    }

    /// The context of accesses with these rights under this `satp` (0 if untranslated).
    pub(crate) fn context(&mut self, satp: u64, mode: u8, sum: bool, mxr: bool) -> u64 {
        let space = if satp == 0 { 0 } else { self.space(satp) };
        let rights = u64::from(mode & 3) | u64::from(sum) << 2 | u64::from(mxr) << 3;
        (space << 4 | rights) << CONTEXT_SHIFT
    }

    fn space(&mut self, satp: u64) -> u64 {
        // Mostly it is the one that was asked for last.
        if self.last.0 == satp && self.last.1 != 0 {
            return self.last.1;
        }
        let number = self.find_space(satp);
        self.last = (satp, number);
        number
    }

    fn find_space(&mut self, satp: u64) -> u64 {
        if let Some(i) = self.spaces.iter().position(|s| *s == satp) {
            return i as u64 + 1;
        }
        if self.spaces.len() >= MAX_SPACES {
            self.spaces.clear();
            self.flush();
        }
        self.spaces.push(satp);
        self.spaces.len() as u64
    }

    /// The value at a virtual address, if its page is known and is RAM.
    #[inline(always)]
    pub(crate) fn load<T: Word>(&self, addr: u64, context: u64) -> Option<T> {
        let e = &self.read[slot(addr)];
        if e.tag != addr >> 12 | context || addr & 0xfff > 0x1000 - T::N {
            return None;
        }
        T::get(self.windows.get(e.window())?, e.to(addr))
    }

    /// Stores there; `Some(true)` if it may have hit decoded code.
    #[inline(always)]
    pub(crate) fn store<T: Word>(&self, addr: u64, value: T, context: u64) -> Option<bool> {
        let (w, offset) = self.writable(addr, T::N, context)?;
        value.put(w, offset)
    }

    /// The writable RAM at a virtual address, if its page is known.
    #[inline(always)]
    pub(crate) fn writable(&self, addr: u64, n: u64, context: u64) -> Option<(&RamWindow, u64)> {
        let e = &self.write[slot(addr)];
        if e.tag != addr >> 12 | context || addr & 0xfff > 0x1000 - n {
            return None;
        }
        Some((self.windows.get(e.window())?, e.to(addr)))
    }

    /// The physical address of an instruction, if its page is known.
    #[inline(always)]
    pub(crate) fn fetch(&self, addr: u64, context: u64) -> Option<u64> {
        let e = &self.fetch[slot(addr)];
        (e.tag == addr >> 12 | context).then(|| e.to(addr))
    }

    /// The RAM at a physical address.
    pub(crate) fn window(&mut self, sys: &mut System, paddr: u64) -> Option<(u32, &RamWindow)> {
        let inside = |w: &RamWindow| paddr.wrapping_sub(w.start) < w.len;
        let i = match self.windows.iter().position(inside) {
            Some(i) => i,
            None => {
                let window = sys.ram_window(paddr)?;
                if self.windows.len() >= MAX_WINDOWS {
                    self.clear();
                }
                self.windows.push(window);
                self.windows.len() - 1
            }
        };
        Some((i as u32, self.windows.get(i)?))
    }

    /// Remembers a page. `shift` is the size that the page table gives it. What is not RAM from end to end is not kept, but for fetches.
    pub(crate) fn keep(&mut self, sys: &mut System, access: Access, addr: u64, paddr: u64, shift: u32, context: u64) {
        let page = paddr & !0xfff;
        let tag = addr >> 12 | context;
        let shift = shift.clamp(12, 63);
        self.large[half(addr)] |= shift > 12;
        if access == Access::Fetch {
            self.fetch[slot(addr)] = Page::fetch(tag, rest(paddr.wrapping_sub(addr), 0, shift));
            return;
        }
        let Some((i, w)) = self.window(sys, paddr) else {
            return;
        };
        let whole = page >= w.start && page - w.start <= w.len.saturating_sub(0x1000) && w.len >= 0x1000;
        let addend = paddr.wrapping_sub(w.start).wrapping_sub(addr);
        if !whole || addend & 0xfff != 0 || (access == Access::Write && w.readonly) {
            return;
        }
        let there = w.host(page - w.start, 0x1000);
        let Some(e) = there.and_then(|there| Page::data(tag, rest(addend, i, shift), addr, there)) else {
            return;
        };
        match access {
            Access::Read => self.read[slot(addr)] = e,
            _ => self.write[slot(addr)] = e,
        }
    }
}
