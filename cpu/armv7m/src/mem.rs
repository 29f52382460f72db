//! Data accesses that leave the fast path: alignment, protection, bit-band aliases, the private peripheral bus, devices.

use crate::bus::{Bus, Window};
use crate::core::{Core, Fault, Flow};
use crate::observe::{Observation, Observe};
use crate::scs::mpu::{Access, Span};
use crate::scs::regs;
use crate::scs::scb::ccr;

impl<B: Bus> Core<B> {
    /// A load of `n` bytes by operation `idx`; `unprivileged` for LDRT and its kind.
    #[cold]
    #[inline(never)]
    pub(crate) fn load_slow(&mut self, bus: &mut B, addr: u32, n: u8, idx: u8, unprivileged: bool) -> (u32, Flow) {
        self.publish(bus, idx);
        let rights = self.s.privileged() && !unprivileged;
        match self.read(bus, addr, n, rights) {
            Ok(v) => (v, self.after_access(bus)),
            Err(fault) => (0, self.raise(fault)),
        }
    }

    /// A store of `n` bytes by operation `idx`.
    #[cold]
    #[inline(never)]
    pub(crate) fn store_slow(
        &mut self,
        bus: &mut B,
        addr: u32,
        n: u8,
        value: u32,
        idx: u8,
        unprivileged: bool,
    ) -> Flow {
        self.publish(bus, idx);
        let rights = self.s.privileged() && !unprivileged;
        match self.write(bus, addr, n, value, rights) {
            Ok(()) => self.after_access(bus),
            Err(fault) => self.raise(fault),
        }
    }

    /// Whether an access that may have reached a device had effects that the next instruction must see.
    fn after_access(&mut self, bus: &B) -> Flow {
        if self.look_up || bus.attention() || bus.news(self.cfg.cpu) {
            Flow::SYNC
        } else {
            Flow::NEXT
        }
    }

    /// Reads with all checks at the current time.
    pub(crate) fn read(&mut self, bus: &mut B, addr: u32, n: u8, privileged: bool) -> Result<u32, Fault> {
        if addr & u32::from(n - 1) != 0 {
            return self.read_unaligned(bus, addr, n, privileged);
        }
        if addr >> 20 == 0xe00 {
            self.watch(addr, n, false, None);
            let now = self.published;
            return regs::read(self, addr, n, privileged, now).or_else(|_| self.data_bus_fault(addr));
        }
        let span = self.check(bus, addr, Access::Read, privileged)?;
        if let (target, Some(bit)) = self.bitband(addr, n) {
            self.watch(addr, n, false, Some(target));
            return match bus.read(target, n) {
                Ok(v) => Ok(v >> bit & 1),
                Err(_) => self.data_bus_fault(addr),
            };
        }
        self.watch(addr, n, false, None);
        if let Some(w) = self.direct(bus, addr, span, privileged)
            && let Some(v) = narrow_read(&w, addr, n)
        {
            return Ok(v);
        }
        bus.read(addr, n).or_else(|_| self.data_bus_fault(addr))
    }

    /// Writes with all checks at the current time.
    pub(crate) fn write(&mut self, bus: &mut B, addr: u32, n: u8, value: u32, privileged: bool) -> Result<(), Fault> {
        if addr & u32::from(n - 1) != 0 {
            return self.write_unaligned(bus, addr, n, value, privileged);
        }
        if addr >> 20 == 0xe00 {
            self.watch(addr, n, true, None);
            let now = self.published;
            return regs::write(self, addr, n, value, privileged, now).or_else(|_| self.data_bus_fault(addr).map(drop));
        }
        let span = self.check(bus, addr, Access::Write, privileged)?;
        if let (target, Some(bit)) = self.bitband(addr, n) {
            self.watch(addr, n, true, Some(target));
            return self.write_bit(bus, target, n, bit, value);
        }
        self.watch(addr, n, true, None);
        if let Some(w) = self.direct(bus, addr, span, privileged)
            && let Some(code) = narrow_write(&w, addr, n, value)
        {
            if code {
                let (memory, offset) = w.place(addr);
                bus.code_written(memory, offset, n.into());
            }
            return Ok(());
        }
        bus.write(addr, n, value)
            .or_else(|_| self.data_bus_fault(addr).map(drop))
    }

    /// A write through a bit-band alias: read, change one bit, write (ARM ARM B3.1, TRM 3.7).
    fn write_bit(&mut self, bus: &mut B, addr: u32, n: u8, bit: u32, value: u32) -> Result<(), Fault> {
        let Ok(old) = bus.read(addr, n) else {
            return self.data_bus_fault(addr).map(drop);
        };
        let new = old & !(1 << bit) | (value & 1) << bit;
        if let Some(w) = bus.window(addr)
            && let Some(code) = narrow_write(&w, addr, n, new)
        {
            if code {
                let (memory, offset) = w.place(addr);
                bus.code_written(memory, offset, n.into());
            }
            return Ok(());
        }
        bus.write(addr, n, new).or_else(|_| self.data_bus_fault(addr).map(drop))
    }

    /// Where an access through a bit-band alias goes, and to which bit.
    fn bitband(&self, addr: u32, n: u8) -> (u32, Option<u32>) {
        if !self.cfg.bitband || !matches!(addr >> 25, 0x11 | 0x21) {
            return (addr, None);
        }
        let offset = addr & 0x01ff_ffff;
        let target = (addr & 0xf000_0000 | offset >> 5) & !u32::from(n - 1);
        (target, Some(offset >> 2 & (u32::from(n) * 8 - 1)))
    }

    /// The directly accessible memory at `addr`, kept for the next access where rights are those of the running code.
    fn direct(&mut self, bus: &mut B, addr: u32, span: Span, privileged: bool) -> Option<B::Window> {
        if addr >> 12 == self.device_page {
            return None;
        }
        let Some(w) = bus.window(addr) else {
            self.device_page = addr >> 12;
            return None;
        };
        if privileged == self.s.privileged() {
            let readonly = !self.s.mpu.rights(addr, privileged, self.exempt()).0.write;
            let unwatched = self.watch.clear_around(addr, span);
            self.keep(addr, unwatched.and_then(|s| w.narrow(s.first, s.last, readonly)));
        }
        Some(w)
    }

    fn check(&mut self, bus: &mut B, addr: u32, access: Access, privileged: bool) -> Result<Span, Fault> {
        let (rights, span) = self.s.mpu.rights(addr, privileged, self.exempt());
        if self.observe.contains(Observe::MPU) {
            self.tell_mpu(bus, addr, access, privileged);
        }
        if rights.allow(access) {
            Ok(span)
        } else {
            Err(Fault::DataAccess(addr))
        }
    }

    /// Every decision beyond the default map: those about memory come once per translation.
    #[cold]
    pub(crate) fn tell_mpu(&self, bus: &mut B, addr: u32, access: Access, privileged: bool) {
        let (rights, _) = self.s.mpu.rights(addr, privileged, self.exempt());
        if self.s.mpu.applies(self.exempt()) || !rights.allow(access) {
            let what = Observation::Mpu {
                addr,
                access,
                privileged,
                region: self.s.mpu.decider(addr, self.exempt()),
                rights,
            };
            self.tell(bus, Observe::MPU, &what);
        }
    }

    /// A refused data access: ignored by handlers of negative priority under CCR.BFHFNMIGN.
    fn data_bus_fault(&self, addr: u32) -> Result<u32, Fault> {
        if self.s.scb.ccr & ccr::BFHFNMIGN != 0 && self.negative() {
            Ok(0)
        } else {
            Err(Fault::DataBus(addr))
        }
    }

    /// Execution at negative priority as far as the MPU cares: not at all while it is off.
    fn exempt(&self) -> bool {
        self.rights != 0 && self.negative()
    }

    /// Execution priority below zero: HardFault, NMI, or FAULTMASK.
    pub(crate) fn negative(&self) -> bool {
        self.s.faultmask || self.s.nvic.active_priority() < 0
    }

    fn read_unaligned(&mut self, bus: &mut B, addr: u32, n: u8, privileged: bool) -> Result<u32, Fault> {
        if self.s.scb.ccr & ccr::UNALIGN_TRP != 0 {
            return Err(Fault::Unaligned);
        }
        (0..u32::from(n)).try_fold(0, |v, i| {
            Ok(v | self.read(bus, addr.wrapping_add(i), 1, privileged)? << (8 * i))
        })
    }

    fn write_unaligned(&mut self, bus: &mut B, addr: u32, n: u8, value: u32, privileged: bool) -> Result<(), Fault> {
        if self.s.scb.ccr & ccr::UNALIGN_TRP != 0 {
            return Err(Fault::Unaligned);
        }
        (0..u32::from(n))
            .try_for_each(|i| self.write(bus, addr.wrapping_add(i), 1, value >> (8 * i) & 0xff, privileged))
    }
}

fn narrow_read<W: Window>(w: &W, addr: u32, n: u8) -> Option<u32> {
    match n {
        1 => w.read_u8(addr).map(u32::from),
        2 => w.read_u16(addr).map(u32::from),
        _ => w.read_u32(addr),
    }
}

fn narrow_write<W: Window>(w: &W, addr: u32, n: u8, value: u32) -> Option<bool> {
    match n {
        1 => w.write_u8(addr, value as u8),
        2 => w.write_u16(addr, value as u16),
        _ => w.write_u32(addr, value),
    }
}
