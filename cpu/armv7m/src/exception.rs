//! Exception entry and return (ARM ARM B1.5): what is taken when, stacking, EXC_RETURN checks, escalation, lockup.

use crate::bus::{Bus, Window};
use crate::core::{Core, Fault, Flow};
use crate::observe::{Observation, Observe};
use crate::scs::nvic::{IDLE, number::*};
use crate::scs::scb::{ccr, cfsr, demcr, hfsr, scr};
use crate::state::Sleep;

/// Where in entry or return a memory access failed; the status bits for MPU and bus.
#[derive(Clone, Copy)]
enum During {
    Stacking,
    Unstacking,
}

impl<B: Bus> Core<B> {
    /// Something became pending: with SEVONPEND that is an event.
    pub(crate) fn pended(&mut self) {
        self.look_up = true;
        if self.s.scb.scr & scr::SEVONPEND != 0 {
            self.s.event = true;
        }
    }

    /// The priority that a new exception must beat (B1.5.4).
    pub(crate) fn execution_priority(&self) -> i16 {
        let s = &self.s;
        let mut boosted = IDLE;
        if s.basepri != 0 {
            boosted = s.nvic.group(s.basepri.into());
        }
        if s.primask {
            boosted = boosted.min(0);
        }
        if s.faultmask {
            boosted = boosted.min(-1);
        }
        boosted.min(s.nvic.active_priority())
    }

    /// The exception to take now, if any.
    pub(crate) fn takeable(&self) -> Option<u16> {
        let (n, priority) = self.s.nvic.best()?;
        (priority < self.execution_priority()).then_some(n)
    }

    /// Whether a sleeping core wakes up. PRIMASK does not keep it asleep (B1.5.19).
    pub(crate) fn wakes(&self) -> bool {
        let urgent = || {
            let Some((_, priority)) = self.s.nvic.best() else {
                return false;
            };
            let mut limit = self.s.nvic.active_priority();
            if self.s.basepri != 0 {
                limit = limit.min(self.s.nvic.group(self.s.basepri.into()));
            }
            if self.s.faultmask {
                limit = limit.min(-1);
            }
            priority < limit
        };
        match self.s.sleep {
            Sleep::Awake => true,
            Sleep::Interrupt => urgent(),
            Sleep::Event => self.s.event || self.takeable().is_some(),
        }
    }

    /// A fault of the instruction at the PC.
    pub(crate) fn instruction_fault(&mut self, bus: &mut B, fault: Fault) {
        let scb = &mut self.s.scb;
        let n = match fault {
            Fault::DataAccess(addr) => {
                scb.mmfar = addr;
                scb.cfsr |= cfsr::DACCVIOL | cfsr::MMARVALID;
                MEM_MANAGE
            }
            Fault::DataBus(addr) => {
                scb.bfar = addr;
                scb.cfsr |= cfsr::PRECISERR | cfsr::BFARVALID;
                BUS_FAULT
            }
            Fault::FetchAccess => {
                scb.cfsr |= cfsr::IACCVIOL;
                MEM_MANAGE
            }
            Fault::FetchBus => {
                scb.cfsr |= cfsr::IBUSERR;
                BUS_FAULT
            }
            usage => {
                scb.cfsr |= match usage {
                    Fault::NoCoprocessor => cfsr::NOCP,
                    Fault::InvalidState => cfsr::INVSTATE,
                    Fault::Unaligned => cfsr::UNALIGNED,
                    Fault::DivideByZero => cfsr::DIVBYZERO,
                    _ => cfsr::UNDEFINSTR,
                };
                USAGE_FAULT
            }
        };
        self.synchronous(bus, n);
    }

    /// An exception that the running instruction must take: at once, as HardFault, or the core locks up (B1.5.14, B1.5.15).
    pub(crate) fn synchronous(&mut self, bus: &mut B, n: u16) {
        let now = self.execution_priority();
        let nvic = &mut self.s.nvic;
        if nvic.enabled.has(n) && nvic.group(nvic.priority(n)) < now {
            nvic.pending.put(n, true);
        } else if now <= -1 {
            self.lock_up();
            return;
        } else {
            self.s.scb.hfsr |= hfsr::FORCED;
            self.s.nvic.pending.put(HARD_FAULT, true);
        }
        self.enter(bus);
    }

    /// BKPT without a debugger (C1.4.1): the debug monitor if it is on and urgent enough, else HardFault.
    pub(crate) fn breakpoint(&mut self, bus: &mut B) {
        self.s.scb.dfsr |= 2;
        let now = self.execution_priority();
        let nvic = &mut self.s.nvic;
        if self.s.scb.demcr & demcr::MON_EN != 0 && nvic.group(nvic.priority(DEBUG_MONITOR)) < now {
            nvic.pending.put(DEBUG_MONITOR, true);
        } else if now <= -1 {
            return self.lock_up();
        } else {
            self.s.scb.hfsr |= hfsr::DEBUGEVT;
            nvic.pending.put(HARD_FAULT, true);
        }
        self.enter(bus);
    }

    fn lock_up(&mut self) {
        self.s.lockup = true;
        self.s.pc = 0xffff_fffe;
        self.s.it = 0;
    }

    /// Takes the most urgent pending exception from the running code (B1.5.6): `pc`, `it` name the instruction to return to.
    pub(crate) fn enter(&mut self, bus: &mut B) {
        let s = &self.s;
        let on_psp = s.on_psp();
        let align = s.scb.ccr & ccr::STKALIGN != 0 && s.regs[13] & 4 != 0;
        let frame = s.regs[13].wrapping_sub(32) & !(if s.scb.ccr & ccr::STKALIGN != 0 { 4 } else { 0 });
        let r = &s.regs;
        let words = [
            r[0],
            r[1],
            r[2],
            r[3],
            r[12],
            r[14],
            s.pc,
            s.xpsr() & !0x200 | u32::from(align) << 9,
        ];
        let link = match (s.ipsr != 0, on_psp) {
            (true, _) => 0xffff_fff1,
            (false, false) => 0xffff_fff9,
            (false, true) => 0xffff_fffd,
        };
        self.s.regs[13] = frame;
        for (i, word) in (0u32..).zip(words) {
            if self.store::<4>(bus, frame.wrapping_add(4 * i), word, 0) == Flow::FAULT {
                self.derived(self.fault, During::Stacking);
                break;
            }
        }
        self.take(bus, link);
    }

    /// A fault during entry or return joins the pending exceptions (B1.5.10).
    fn derived(&mut self, fault: Fault, during: During) {
        let (bits, n) = match (fault, during) {
            (Fault::DataAccess(_), During::Stacking) => (cfsr::MSTKERR, MEM_MANAGE),
            (Fault::DataAccess(_), During::Unstacking) => (cfsr::MUNSTKERR, MEM_MANAGE),
            (_, During::Stacking) => (cfsr::STKERR, BUS_FAULT),
            (_, During::Unstacking) => (cfsr::UNSTKERR, BUS_FAULT),
        };
        self.s.scb.cfsr |= bits;
        if matches!(during, During::Stacking) && self.execution_priority() <= -1 {
            // Only NMI can be on its way in: it is taken, and HardFault waits behind it.
            self.s.scb.hfsr |= hfsr::FORCED;
            self.s.nvic.pending.put(HARD_FAULT, true);
        } else {
            self.pend_fault(n);
        }
    }

    /// Makes fault `n` pending, as HardFault if it could not be taken.
    fn pend_fault(&mut self, n: u16) {
        let now = self.execution_priority();
        let nvic = &mut self.s.nvic;
        if nvic.enabled.has(n) && nvic.group(nvic.priority(n)) < now {
            nvic.pending.put(n, true);
        } else if now <= -1 {
            self.lock_up();
        } else {
            self.s.scb.hfsr |= hfsr::FORCED;
            nvic.pending.put(HARD_FAULT, true);
        }
    }

    /// Starts the handler of the most urgent pending exception: after stacking, and again when one tail-chains. An exception that
    /// became pending during stacking arrives late and is taken first by the same choice.
    fn take(&mut self, bus: &mut B, link: u32) {
        if self.s.lockup {
            return;
        }
        let Some((n, _)) = self.s.nvic.best() else { return };
        let vector = self.s.scb.vtor.wrapping_add(4 * u32::from(n));
        let target = match self.rights {
            // The MPU is off: the translations at hand are the default map's.
            0 => Some(self.load::<4>(bus, vector, 0))
                .filter(|(_, flow)| *flow != Flow::FAULT)
                .map(|(v, _)| v),
            _ => fetch_vector(bus, vector),
        };
        match target {
            Some(target) => {
                let entry = Observation::Entry {
                    number: n,
                    priority: self.s.nvic.priority(n),
                    from: self.s.pc,
                    handler: target & !1,
                };
                self.tell(bus, Observe::EXCEPTIONS, &entry);
                self.start_handler(n, target, link);
            }
            None => {
                self.s.scb.hfsr |= hfsr::VECTTBL;
                if n <= HARD_FAULT {
                    return self.lock_up();
                }
                // The exception stays pending; HardFault goes first.
                self.s.nvic.pending.put(HARD_FAULT, true);
                self.take(bus, link);
            }
        }
    }

    fn start_handler(&mut self, n: u16, target: u32, link: u32) {
        let s = &mut self.s;
        s.set_mode(n, s.control & !2);
        s.regs[14] = link;
        s.pc = target & !1;
        s.t = target & 1 != 0;
        s.it = 0;
        s.nvic.enter(n);
        s.exclusive = None;
        s.event = true;
        self.rights_changed(false);
        self.look_up = true;
    }

    /// A branch to the EXC_RETURN value in the PC, in handler mode (B1.5.8).
    pub(crate) fn exception_return(&mut self, bus: &mut B) {
        let link = self.s.pc;
        let n = self.s.ipsr;
        let active = self.s.nvic.active.count();
        let valid = match link & 0xf {
            _ if link < 0xffff_fff0 => false,
            0x1 => active > 1,
            0x9 | 0xd => active == 1 || self.s.scb.ccr & ccr::NONBASETHRDENA != 0,
            _ => false,
        };
        if !valid || !self.s.nvic.active.has(n) {
            return self.bad_return(bus, n, link);
        }
        self.deactivate(n);
        self.s.set_mode(
            n,
            if link & 0xf == 0xd {
                self.s.control | 2
            } else {
                self.s.control & !2
            },
        );
        if self.takeable().is_some() {
            self.tell_return(bus, n, link, None);
            // Tail-chaining: the frame stays where it is.
            return self.take(bus, link);
        }
        self.unstack(bus, n, link);
        self.look_up = true;
    }

    fn deactivate(&mut self, n: u16) {
        if n != NMI {
            self.s.faultmask = false;
        }
        self.s.nvic.leave(n);
    }

    /// INVPC: the returning handler ends, and UsageFault is taken on its frame.
    fn bad_return(&mut self, bus: &mut B, n: u16, link: u32) {
        self.deactivate(n);
        self.s.scb.cfsr |= cfsr::INVPC;
        self.pend_fault(USAGE_FAULT);
        self.tell_return(bus, n, link, None);
        self.take(bus, 0xf000_0000 | link);
    }

    fn tell_return(&self, bus: &mut B, number: u16, link: u32, to: Option<u32>) {
        self.tell(bus, Observe::EXCEPTIONS, &Observation::Return { number, link, to });
    }

    fn unstack(&mut self, bus: &mut B, n: u16, link: u32) {
        let to_thread = link & 0xf != 1;
        let control = self.s.control;
        let on_psp = link & 0xf == 0xd;
        let frame = if on_psp { self.s.psp() } else { self.s.msp() };
        let privileged = !to_thread || control & 1 == 0;
        let mut words = [0; 8];
        for (i, word) in (0u32..).zip(&mut words) {
            let addr = frame.wrapping_add(4 * i);
            let (v, flow) = match privileged {
                true => self.load::<4>(bus, addr, 0),
                false => self.load_slow(bus, addr, 4, 0, true),
            };
            if flow == Flow::FAULT {
                self.derived(self.fault, During::Unstacking);
                self.tell_return(bus, n, link, None);
                return self.take(bus, link);
            }
            *word = v;
        }
        let psr = words[7];
        let ipsr = (psr & 0x1ff) as u16;
        // The frame must lead to the mode that EXC_RETURN names.
        if to_thread != (ipsr == 0) {
            self.s.scb.cfsr |= cfsr::INVPC;
            self.pend_fault(USAGE_FAULT);
            self.tell_return(bus, n, link, None);
            return self.take(bus, link);
        }
        self.resume(words, ipsr, on_psp);
        self.tell_return(bus, n, link, Some(self.s.pc));
        if to_thread && self.s.nvic.active.is_empty() && self.s.scb.scr & scr::SLEEPONEXIT != 0 {
            self.s.sleep = Sleep::Interrupt;
        }
    }

    fn resume(&mut self, words: [u32; 8], ipsr: u16, on_psp: bool) {
        let s = &mut self.s;
        let [r0, r1, r2, r3, r12, lr, pc, psr] = words;
        let align = s.scb.ccr & ccr::STKALIGN != 0 && psr & 0x200 != 0;
        let pop = |sp: u32| sp.wrapping_add(32) | u32::from(align) << 2;
        if on_psp {
            s.set_psp(pop(s.psp()));
        } else {
            s.set_msp(pop(s.msp()));
        }
        s.regs[..4].copy_from_slice(&[r0, r1, r2, r3]);
        (s.regs[12], s.regs[14], s.pc) = (r12, lr, pc & !1);
        s.set_mode(
            ipsr,
            if ipsr == 0 && on_psp {
                s.control | 2
            } else {
                s.control & !2
            },
        );
        s.set_xpsr_flags(psr);
        s.exclusive = None;
        s.event = true;
        self.rights_changed(false);
    }
}

/// Vectors are read by the default map, whatever the MPU says (B3.5.1).
pub(crate) fn fetch_vector<B: Bus>(bus: &mut B, addr: u32) -> Option<u32> {
    match bus.window(addr) {
        Some(w) => w.read_u32(addr),
        None => bus.read(addr, 4).ok(),
    }
}
