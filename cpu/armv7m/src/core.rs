//! The running core: state, plus what the engine needs beside it while it runs (translations, a fault on its way, time).

use crate::bus::{Bus, Window as _};
use crate::fast::Calls;
use crate::meaning::Flags;
use crate::observe::{Observation, Observe};
use crate::scs::systick::Rates;
use crate::state::State;
use crate::variant::Config;
use crate::windows::Windows;

/// Translations kept; see [`slot_of`].
pub(crate) const TLB: usize = 32;

/// No address has this page number.
const NO_PAGE: u32 = u32::MAX;

/// Where a window for `addr` is kept: RAM is few and large, so that 4 MiB is a good page.
#[inline(always)]
pub(crate) fn slot_of(addr: u32) -> usize {
    ((addr >> 22) ^ (addr >> 26)) as usize & (TLB - 1)
}

/// How an instruction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flow(pub(crate) u8);

impl Flow {
    /// Done; on to the next operation of the block.
    pub(crate) const NEXT: Flow = Flow(0);
    /// Done, and the PC says where to go on: only from the last operation of a block.
    pub(crate) const BRANCH: Flow = Flow(1);
    /// Done, but something may have changed that the next instruction must see.
    pub(crate) const SYNC: Flow = Flow(2);
    /// Both.
    pub(crate) const SYNC_BRANCH: Flow = Flow(3);
    /// Not done: `Core::fault` says why.
    pub(crate) const FAULT: Flow = Flow(4);
    /// Branch to the EXC_RETURN value in the PC.
    pub(crate) const EXCEPTION_RETURN: Flow = Flow(5);
    pub(crate) const SVC: Flow = Flow(6);
    pub(crate) const BKPT: Flow = Flow(7);
    pub(crate) const SLEEP: Flow = Flow(8);
    /// Leave out the next `n` operations (IT).
    pub(crate) const fn skip(n: u8) -> Flow {
        Flow(16 + n)
    }
    /// How many operations to leave out, if that is it.
    #[inline(always)]
    pub(crate) fn skipped(self) -> Option<u32> {
        self.0.checked_sub(16).map(u32::from)
    }
}

/// Why an instruction could not be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// MPU refused the data access at this address.
    DataAccess(u32),
    /// The bus refused the data access at this address.
    DataBus(u32),
    /// MPU or default map refused the fetch.
    FetchAccess,
    /// The bus refused the fetch.
    FetchBus,
    Undefined,
    NoCoprocessor,
    InvalidState,
    Unaligned,
    DivideByZero,
}

/// State and companions.
pub(crate) struct Core<B: Bus> {
    pub(crate) s: State,
    /// Cycle count at the start of the running block.
    pub(crate) cycles: u64,
    /// CCR.DIV_0_TRP and friends live in `s`; this is the pending fault of a handler that returned [`Flow::FAULT`].
    pub(crate) fault: Fault,
    tlb: [Option<B::Window>; TLB],
    /// The same for compiled code, which does with a simpler number.
    pub(crate) windows: Windows<B::Window>,
    pub(crate) cfg: Config,
    /// Cycle count that the bus knows of.
    pub(crate) published: u64,
    pub(crate) cpu_hz: u64,
    /// A register write asked the engine to look up (interrupts, deadlines) before the next instruction.
    pub(crate) look_up: bool,
    pub(crate) reset_request: bool,
    /// Names the rights of the running code; changes with MPU, privilege and priority sign. 0: the MPU plays no part.
    pub(crate) rights: u32,
    mpu_writes: u32,
    /// 4 KiB page (address >> 12) last found to be no RAM, so that device accesses need not ask. Where RAM shares the page, its
    /// accesses go through the bus: slower, not wrong.
    pub(crate) device_page: u32,
    /// Data that a debugger watches: no window that is kept reaches it, so that its accesses are seen on the slow path.
    pub(crate) watch: crate::debugger::Watch,
    /// What the bus wants to hear of during this run.
    pub(crate) observe: Observe,
    /// The bus was told that the core sleeps.
    pub(crate) told_asleep: bool,
    /// For compiled code: instructions that it has executed here, the flags while it runs, how such an instruction ended, the count at
    /// which it must return, and where a branch goes that it leaves to the engine.
    pub(crate) calls: Calls<B>,
    pub(crate) flags: Flags<u32>,
    pub(crate) exit: u64,
    pub(crate) limit: u64,
    pub(crate) target: u32,
    /// Of compiled code that is checked: the address that is about to be stored to, and what stood there.
    pub(crate) note: u64,
    pub(crate) journal: Vec<crate::check::Stored>,
}

impl<B: Bus> Core<B> {
    pub(crate) fn new(cfg: Config) -> Self {
        let rates = Rates {
            cpu_hz: cfg.cpu_hz,
            ref_hz: cfg.ref_hz,
        };
        Core {
            s: State::new(&cfg, 0, rates),
            cycles: 0,
            fault: Fault::Undefined,
            tlb: [const { None }; TLB],
            windows: Windows::new(),
            cpu_hz: cfg.cpu_hz,
            cfg,
            published: 0,
            look_up: false,
            reset_request: false,
            rights: 0,
            mpu_writes: 0,
            device_page: NO_PAGE,
            watch: crate::debugger::Watch::default(),
            observe: Observe::empty(),
            told_asleep: false,
            calls: Calls::new(),
            flags: Flags {
                kind: 0,
                nz: 1,
                a: 0,
                b: 0,
            },
            exit: 0,
            limit: 0,
            target: 0,
            note: 0,
            journal: Vec::new(),
        }
    }

    pub(crate) fn rates(&self) -> Rates {
        Rates {
            cpu_hz: self.cpu_hz,
            ref_hz: self.cfg.ref_hz,
        }
    }

    /// Forgets all translations.
    pub(crate) fn flush_tlb(&mut self) {
        self.tlb = [const { None }; TLB];
        self.windows.clear();
        self.device_page = NO_PAGE;
    }

    /// Keeps what is around `addr` for the next access.
    pub(crate) fn keep(&mut self, addr: u32, window: Option<B::Window>) {
        if let Some(window) = &window {
            self.windows.keep(addr, window);
        }
        self.tlb[slot_of(addr)] = window;
    }

    /// Rights may have changed: privilege, execution at negative priority, or (`written`) the MPU's registers.
    pub(crate) fn rights_changed(&mut self, written: bool) {
        if written {
            self.mpu_writes = self.mpu_writes.wrapping_add(1) & 0x0fff_ffff;
        }
        let rights = match self.s.mpu.enabled() {
            true => self.mpu_writes << 3 | u32::from(self.s.privileged()) << 2 | u32::from(self.negative()) << 1 | 1,
            false => 0,
        };
        if rights != self.rights {
            self.flush_tlb();
            self.rights = rights;
        }
    }

    /// Tells the bus the time at operation `idx` of the running block, and returns it.
    pub(crate) fn publish(&mut self, bus: &mut B, idx: u8) -> u64 {
        let now = self.cycles.saturating_add(idx.into());
        bus.consume(now.saturating_sub(self.published));
        self.published = self.published.max(now);
        now
    }

    /// Tells the bus, if it wants to hear of such things. Callers on warm paths test [`Core::observe`] themselves.
    #[cold]
    pub(crate) fn tell(&self, bus: &mut B, kind: Observe, what: &Observation<'_>) {
        if self.observe.intersects(kind) {
            bus.observed(self.cfg.cpu, what);
        }
    }

    /// Stops the instruction with `fault`.
    #[cold]
    pub(crate) fn raise(&mut self, fault: Fault) -> Flow {
        self.fault = fault;
        Flow::FAULT
    }

    /// Loads `N` (1, 2, 4) bytes for operation `idx`; the value only counts unless the flow is a fault.
    #[inline(always)]
    pub(crate) fn load<const N: u32>(&mut self, bus: &mut B, addr: u32, idx: u8) -> (u32, Flow) {
        if addr & (N - 1) == 0
            && let Some(w) = &self.tlb[slot_of(addr)]
        {
            let value = match N {
                1 => w.read_u8(addr).map(u32::from),
                2 => w.read_u16(addr).map(u32::from),
                _ => w.read_u32(addr),
            };
            if let Some(v) = value {
                return (v, Flow::NEXT);
            }
        }
        self.load_slow(bus, addr, N as u8, idx, false)
    }

    /// Stores `N` bytes for operation `idx`.
    #[inline(always)]
    pub(crate) fn store<const N: u32>(&mut self, bus: &mut B, addr: u32, value: u32, idx: u8) -> Flow {
        if addr & (N - 1) == 0
            && let Some(w) = &self.tlb[slot_of(addr)]
        {
            let done = match N {
                1 => w.write_u8(addr, value as u8),
                2 => w.write_u16(addr, value as u16),
                _ => w.write_u32(addr, value),
            };
            match done {
                Some(false) => return Flow::NEXT,
                Some(true) => return self.code_stored(bus, addr, N),
                None => {}
            }
        }
        self.store_slow(bus, addr, N as u8, value, idx, false)
    }

    #[cold]
    pub(crate) fn code_stored(&mut self, bus: &mut B, addr: u32, len: u32) -> Flow {
        if let Some(w) = &self.tlb[slot_of(addr)] {
            let (memory, offset) = w.place(addr);
            bus.code_written(memory, offset, len.into());
        }
        Flow::SYNC
    }
}
