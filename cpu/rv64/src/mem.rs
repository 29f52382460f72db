//! Data accesses: the fast path through the TLB, and everything else.

use southbridge_core::System;
use southbridge_core::system::CodeWrite;

use crate::hart::{Flow, Hart, Trap, cause};
use crate::tlb::{Access, Word};

impl Hart {
    /// Loads from a virtual address, for operation `idx` of the block. `Err` is how the operation must end.
    #[inline(always)]
    pub(crate) fn load<T: Word>(&mut self, sys: &mut System, addr: u64, idx: u8) -> Result<T, Flow> {
        match self.tlb.load::<T>(addr, self.data_context) {
            Some(v) => Ok(v),
            None => self.load_slow(sys, addr, T::N, idx).map(T::cut),
        }
    }

    /// Stores to a virtual address, for operation `idx` of the block.
    #[inline(always)]
    pub(crate) fn store<T: Word>(&mut self, sys: &mut System, addr: u64, value: T, idx: u8) -> Flow {
        match self.tlb.store::<T>(addr, value, self.data_context) {
            Some(false) => Flow::NEXT,
            Some(true) => self.stored_to_code(sys, addr, T::N),
            None => self.store_slow(sys, addr, T::N, value.widen(), idx),
        }
    }

    /// Reads, changes and writes: the core of the AMOs. The old value and how the operation ends.
    #[inline(always)]
    pub(crate) fn modify<T: Word>(
        &mut self,
        sys: &mut System,
        addr: u64,
        idx: u8,
        change: impl FnOnce(T) -> T,
    ) -> Result<(T, Flow), Flow> {
        if addr & (T::N - 1) != 0 {
            return Err(self.raise(cause::STORE_MISALIGNED, addr));
        }
        let known = self.tlb.writable(addr, T::N, self.data_context);
        match known.and_then(|(w, offset)| T::get(w, offset)) {
            Some(old) => Ok((old, self.store(sys, addr, change(old), idx))),
            None => self.modify_slow(sys, addr, idx, change),
        }
    }

    #[cold]
    #[inline(never)]
    fn modify_slow<T: Word>(
        &mut self,
        sys: &mut System,
        addr: u64,
        idx: u8,
        change: impl FnOnce(T) -> T,
    ) -> Result<(T, Flow), Flow> {
        self.publish(sys, idx);
        let paddr = self.reach(sys, addr, T::N, Access::Write).map_err(|t| self.fail(t))?;
        let denied = Access::Write.denied(addr);
        let old = match self.read_ram(sys, paddr, T::N) {
            Some(v) => v,
            None => sys.read(paddr, T::N as u8).map_err(|_| self.fail(denied))?,
        };
        let new = change(T::cut(old)).widen();
        if !self.write_physical(sys, paddr, T::N, new) {
            sys.write(paddr, T::N as u8, new).map_err(|_| self.fail(denied))?;
        }
        Ok((T::cut(old), self.after_access(sys)))
    }

    #[cold]
    #[inline(never)]
    fn load_slow(&mut self, sys: &mut System, addr: u64, n: u64, idx: u8) -> Result<u64, Flow> {
        self.publish(sys, idx);
        self.read(sys, addr, n).map_err(|trap| self.fail(trap))
    }

    #[cold]
    #[inline(never)]
    fn store_slow(&mut self, sys: &mut System, addr: u64, n: u64, value: u64, idx: u8) -> Flow {
        self.publish(sys, idx);
        match self.write(sys, addr, n, value) {
            Ok(()) => self.after_access(sys),
            Err(trap) => self.fail(trap),
        }
    }

    pub(crate) fn fail(&mut self, trap: Trap) -> Flow {
        self.trap = trap;
        Flow::TRAP
    }

    /// Whether an access that may have reached a device had effects that the next instruction must see.
    pub(crate) fn after_access(&self, sys: &System) -> Flow {
        if self.look_up || sys.attention() || sys.cpu_news(self.cfg.cpu) {
            Flow::SYNC
        } else {
            Flow::NEXT
        }
    }

    /// Reads `n` bytes with all checks.
    pub(crate) fn read(&mut self, sys: &mut System, addr: u64, n: u64) -> Result<u64, Trap> {
        if addr & 0xfff > 0x1000 - n {
            return self.read_across(sys, addr, n);
        }
        let paddr = self.reach(sys, addr, n, Access::Read)?;
        self.read_at(sys, paddr, n, addr)
    }

    fn read_at(&mut self, sys: &mut System, paddr: u64, n: u64, addr: u64) -> Result<u64, Trap> {
        if let Some(v) = self.read_ram(sys, paddr, n) {
            return Ok(v);
        }
        if addr & (n - 1) != 0 {
            let cause = cause::LOAD_MISALIGNED;
            return Err(Trap { cause, tval: addr });
        }
        sys.read(paddr, n as u8).map_err(|_| Access::Read.denied(addr))
    }

    /// Writes `n` bytes with all checks.
    pub(crate) fn write(&mut self, sys: &mut System, addr: u64, n: u64, value: u64) -> Result<(), Trap> {
        if addr & 0xfff > 0x1000 - n {
            return self.write_across(sys, addr, n, value);
        }
        let paddr = self.reach(sys, addr, n, Access::Write)?;
        if self.is_ram(sys, paddr, n) {
            self.write_physical(sys, paddr, n, value);
            return Ok(());
        }
        if addr & (n - 1) != 0 {
            let cause = cause::STORE_MISALIGNED;
            return Err(Trap { cause, tval: addr });
        }
        sys.write(paddr, n as u8, value).map_err(|_| Access::Write.denied(addr))
    }

    /// Translates, watches, and keeps the page where that is sound.
    pub(crate) fn reach(&mut self, sys: &mut System, addr: u64, n: u64, access: Access) -> Result<u64, Trap> {
        self.trigger(addr, n, access)?;
        let page = self.translate(sys, addr, n, access)?;
        let watched = self.watches_page(addr);
        if watched {
            let write = access == Access::Write;
            self.look_up |= self.watch.touched(addr, n, write);
        }
        if page.whole && !watched {
            let context = self.data_context;
            self.tlb.keep(sys, access, addr, page.paddr, page.shift, context);
        }
        Ok(page.paddr)
    }

    fn read_across(&mut self, sys: &mut System, addr: u64, n: u64) -> Result<u64, Trap> {
        let first = 0x1000 - (addr & 0xfff);
        let low = self.reach(sys, addr, first, Access::Read)?;
        let high = self.reach(sys, addr.wrapping_add(first), n - first, Access::Read)?;
        (0..n).try_fold(0, |v, i| {
            let at = if i < first { low + i } else { high + (i - first) };
            Ok(v | self.read_at(sys, at, 1, addr)? << (8 * i))
        })
    }

    fn write_across(&mut self, sys: &mut System, addr: u64, n: u64, value: u64) -> Result<(), Trap> {
        let first = 0x1000 - (addr & 0xfff);
        let low = self.reach(sys, addr, first, Access::Write)?;
        let high = self.reach(sys, addr.wrapping_add(first), n - first, Access::Write)?;
        if !self.is_ram(sys, low, first) || !self.is_ram(sys, high, n - first) {
            let cause = cause::STORE_MISALIGNED;
            return Err(Trap { cause, tval: addr });
        }
        for i in 0..n {
            let at = if i < first { low + i } else { high + (i - first) };
            self.write_physical(sys, at, 1, value >> (8 * i));
        }
        Ok(())
    }

    pub(crate) fn is_ram(&mut self, sys: &mut System, paddr: u64, n: u64) -> bool {
        let window = self.tlb.window(sys, paddr);
        window.is_some_and(|(_, w)| !w.readonly && w.len - (paddr - w.start) >= n)
    }

    /// What stands at a physical address of RAM.
    pub(crate) fn read_ram(&mut self, sys: &mut System, paddr: u64, n: u64) -> Option<u64> {
        let (_, w) = self.tlb.window(sys, paddr)?;
        let at = paddr.wrapping_sub(w.start);
        match n {
            1 => w.read_u8(at).map(u64::from),
            2 => w.read_u16(at).map(u64::from),
            4 => w.read_u32(at).map(u64::from),
            _ => w.read_u64(at),
        }
    }

    /// Writes RAM by physical address; `false` where there is none to write.
    pub(crate) fn write_physical(&mut self, sys: &mut System, paddr: u64, n: u64, value: u64) -> bool {
        let Some((_, w)) = self.tlb.window(sys, paddr) else {
            return false;
        };
        let at = paddr.wrapping_sub(w.start);
        let done = match n {
            1 => w.write_u8(at, value as u8),
            2 => w.write_u16(at, value as u16),
            4 => w.write_u32(at, value as u32),
            _ => w.write_u64(at, value),
        };
        if done == Some(true) {
            let w = w.clone();
            self.tell_code_write(sys, &w, at, n);
        }
        done.is_some()
    }

    #[cold]
    #[inline(never)]
    fn stored_to_code(&mut self, sys: &mut System, addr: u64, n: u64) -> Flow {
        if let Some((w, offset)) = self.tlb.writable(addr, n, self.data_context) {
            let w = w.clone();
            self.tell_code_write(sys, &w, offset, n);
        }
        Flow::SYNC
    }

    /// Every hart drops what it decoded there before it executes again, so that the marks can go at once. None may take a mark off
    /// later: by then it may be that of another hart.
    fn tell_code_write(&mut self, sys: &mut System, w: &southbridge_core::RamWindow, at: u64, n: u64) {
        let offset = w.block_offset().wrapping_add(at);
        w.block().clear_code(offset);
        w.block().clear_code(offset.saturating_add(n - 1));
        let block = w.block().id();
        // Told as the whole granules whose marks are gone.
        let first = offset & !(southbridge_core::memory::CODE_GRANULE - 1);
        sys.code_written(CodeWrite {
            block,
            offset: first,
            len: offset - first + n,
        });
        self.look_up = true;
    }
}
