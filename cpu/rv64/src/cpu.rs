//! The engine as a CPU of a machine: `core`'s `Cpu` and `CpuDebug`, and what firmware on the host's side uses.

use southbridge_core::cpu::{Arch, Cpu, CpuDebug, Exit, GdbFeature, RegisterValue, Watchpoint};
use southbridge_core::{LoadError, SavedState, System};

use crate::config::Config;
use crate::csr;
use crate::debug::csr_number;
use crate::engine::{Engine, Stop};
use crate::hart::Hart;
use crate::state::{Sleep, State, mode, status};
use crate::tlb::Tlb;
use crate::trigger::Trigger;

/// Layout version of the saved state.
const VERSION: u32 = 1;
/// Inputs from here on are messages to an interrupt file.
const MESSAGE: u32 = 0x1_0000;

/// A RISC-V hart of a machine.
///
/// Interrupt inputs: 3 (MSIP), 7 (MTIP), 11 (MEIP) and 9 (SEIP) are levels, a rising edge of 1 sets SSIP, and
/// `0x10000 | file << 12 | identity` is a message to interrupt file 0 (M) or 1 (S).
pub struct Rv64 {
    pub(crate) engine: Engine,
}

impl State {
    fn new(cfg: &Config) -> Self {
        let imsic = match cfg.imsic_ids {
            0 => Vec::new(),
            ids => vec![crate::imsic::File::new(ids); 2],
        };
        // As QEMU's CPU starts: what M-mode software has to switch on, except that memory types and A/D updates are on where only one
        // scheme exists.
        let svadu =
            cfg.extensions.contains(crate::Extensions::SVADU) && !cfg.extensions.contains(crate::Extensions::SVADE);
        let svpbmt = cfg.extensions.contains(crate::Extensions::SVPBMT);
        let envcfg = if svadu { crate::state::envcfg::ADUE } else { 0 };
        let envcfg = envcfg | if svpbmt { crate::state::envcfg::PBMTE } else { 0 };
        let mut state = State {
            x: [0; 32].into(),
            f: [0; 32],
            pc: cfg.reset_pc,
            prv: mode::M,
            fflags: 0,
            frm: 0,
            mstatus: 0,
            mie: 0,
            mip: 0,
            lines: 0,
            mideleg: 0,
            medeleg: 0,
            mcountinhibit: 0,
            m: Default::default(),
            s: Default::default(),
            satp: 0,
            stimecmp: u64::MAX,
            pmpcfg: [0; 16],
            pmpaddr: [0; 16],
            counters: Default::default(),
            retired: 0,
            reservation: None,
            sleep: Sleep::Awake,
            imsic,
            tselect: 0,
            triggers: [Trigger::default(); crate::trigger::COUNT],
        };
        state.m.envcfg = envcfg;
        state
    }

    /// Makes impossible values of a saved state harmless.
    fn sanitize(&mut self, cfg: &Config) {
        if !matches!(self.prv, mode::U | mode::S | mode::M) {
            self.prv = mode::M;
        }
        self.pc &= !1;
        self.fflags &= 31;
        self.frm &= 7;
        let mpp = self.mstatus >> status::MPP_SHIFT & 3;
        if mpp == 2 {
            self.mstatus &= !status::MPP;
        }
        if self.satp >> 60 != 0 && cfg.mmu.levels(self.satp >> 60).is_none() {
            self.satp = 0;
        }
        for a in &mut self.pmpaddr {
            *a &= (1 << 54) - 1;
        }
        if let Some(r) = self.reservation.filter(|r| !matches!(r.size, 4 | 8)) {
            let _ = r;
            self.reservation = None;
        }
        let files = if cfg.imsic_ids == 0 { 0 } else { 2 };
        self.imsic.resize_with(files, || crate::imsic::File::new(cfg.imsic_ids));
        for f in &mut self.imsic {
            f.sanitize(cfg.imsic_ids);
        }
        self.retired = self.retired.min(1 << 62);
    }
}

impl Hart {
    pub(crate) fn new(cfg: Config) -> Self {
        let mut hart = Hart {
            s: State::new(&cfg),
            cfg,
            published: 0,
            trap: crate::hart::Trap { cause: 0, tval: 0 },
            tlb: Tlb::new(),
            data_context: 0,
            fetch_context: 0,
            look_up: false,
            watch: Default::default(),
            observe: Default::default(),
            seen: (0, 0),
            semihosting: false,
            calls: Vec::new(),
            exit: 0,
            limit: 0,
            base: 0,
            note: 0,
            journal: Vec::new(),
        };
        hart.rights_changed();
        hart
    }

    /// An interrupt input changes. Unknown inputs are ignored.
    pub(crate) fn line(&mut self, input: u32, level: bool) {
        match input {
            1 if level => self.s.mip |= crate::state::irq::SSI,
            3 | 7 | 9 | 11 => {
                let bit = 1 << input;
                self.s.lines = self.s.lines & !bit | if level { bit } else { 0 };
            }
            MESSAGE.. if level => {
                let file = (input >> 12 & 0xf) as usize;
                if let Some(f) = self.s.imsic.get_mut(file) {
                    f.message(input & 0xfff);
                }
            }
            _ => {}
        }
        self.look_up = true;
    }

    /// Whether the EBREAK at `at` stands between the two instructions that mark a semihosting call.
    pub(crate) fn is_semihosting_call(&mut self, sys: &mut System, at: u64) -> bool {
        const BEFORE: u32 = 0x01f0_1013;
        const BEHIND: u32 = 0x4070_5013;
        let mut word = |at: u64| {
            let half = |h: &mut Self, sys: &mut System, at: u64| {
                let page = h.translate(sys, at, 2, crate::tlb::Access::Fetch).ok()?;
                h.read_ram(sys, page.paddr, 2)
            };
            let low = half(self, sys, at)?;
            let high = half(self, sys, at.wrapping_add(2))?;
            Some(low as u32 | (high as u32) << 16)
        };
        word(at.wrapping_sub(4)) == Some(BEFORE) && word(at.wrapping_add(4)) == Some(BEHIND)
    }
}

impl Rv64 {
    /// A hart as configured, not yet reset.
    pub fn new(mut cfg: Config) -> Self {
        cfg.extensions = cfg.extensions.normalized();
        Rv64 {
            engine: Engine::new(cfg),
        }
    }

    /// How it was configured.
    pub fn config(&self) -> &Config {
        &self.engine.hart.cfg
    }

    /// Whether the semihosting sequence is a call rather than a breakpoint.
    pub fn set_semihosting(&mut self, on: bool) {
        self.engine.hart.semihosting = on;
    }

    /// Compiles hot code, or no longer does. An error says why it cannot be done here.
    pub fn set_jit(&mut self, options: Option<southbridge_cpu_jit::Options>) -> Result<(), String> {
        let Engine { hart, cache, .. } = &mut self.engine;
        // Without compressed instructions jumps can be misaligned, which no region looks at.
        let options = options.filter(|_| hart.has(crate::Extensions::C));
        cache.clear();
        cache.fast = options.map(crate::fast::Fast::new).transpose()?;
        Ok(())
    }

    /// Numbers about compiled code, if there is any.
    pub fn jit_statistics(&self) -> Option<southbridge_cpu_jit::Statistics> {
        self.engine.cache.fast.as_ref().map(crate::fast::Fast::statistics)
    }

    /// An integer register.
    pub fn gpr(&self, n: u8) -> u64 {
        self.engine.hart.x(n & 31)
    }

    /// Sets an integer register; `x0` stays zero.
    pub fn set_gpr(&mut self, n: u8, v: u64) {
        if n & 31 != 0 {
            self.engine.hart.set_x(n & 31, v);
        }
    }

    /// Starts a stopped hart in S-mode at `pc` with translation off and interrupts disabled (SBI, "Hart Start"): `a0` is its id,
    /// `a1` what the caller passes.
    pub fn start(&mut self, pc: u64, a0: u64, a1: u64) {
        let h = &mut self.engine.hart;
        h.s.sleep = Sleep::Awake;
        h.s.prv = mode::S;
        h.s.pc = pc & h.pc_mask();
        h.s.satp = 0;
        h.s.mstatus &= !(status::SIE | status::MPRV);
        h.s.reservation = None;
        h.set_x(10, a0);
        h.set_x(11, a1);
        h.look_up = true;
        h.rights_changed();
    }

    /// Puts the hart to sleep until [`Rv64::start`].
    pub fn stop(&mut self) {
        self.engine.hart.s.sleep = Sleep::Stopped;
        self.engine.hart.look_up = true;
    }

    /// Whether it sleeps until somebody starts it.
    pub fn is_stopped(&self) -> bool {
        self.engine.hart.s.sleep == Sleep::Stopped
    }

    /// Puts the hart to sleep until an enabled interrupt is pending, as WFI does.
    pub fn suspend(&mut self) {
        self.engine.hart.s.sleep = Sleep::Wfi;
        self.engine.hart.look_up = true;
    }

    /// Whether it waits for an interrupt.
    pub fn is_suspended(&self) -> bool {
        self.engine.hart.s.sleep == Sleep::Wfi
    }

    /// The call that `run` ended with is answered: execution goes on behind the ECALL.
    pub fn finish_firmware_call(&mut self) {
        let h = &mut self.engine.hart;
        h.s.pc = h.s.pc.wrapping_add(4);
    }

    /// Sets or clears the pending bit of interrupt `bit` as M-mode software would.
    pub fn set_pending(&mut self, bit: u8, on: bool) {
        let h = &mut self.engine.hart;
        let mask = 1u64.checked_shl(bit.into()).unwrap_or(0);
        let v = h.s.mip & !mask | if on { mask } else { 0 };
        h.set_mip(v);
    }

    /// Drops translations (SFENCE.VMA): all of `len` bytes from `addr`, or of everything; of one address space, or of all.
    pub fn flush_tlb(&mut self, range: Option<(u64, u64)>, asid: Option<u16>) {
        /// More pages than that are as much as everything.
        const MANY: u64 = 64;
        let tlb = &mut self.engine.hart.tlb;
        match range {
            Some((addr, len)) if len > 0 && len <= MANY << 12 => {
                let pages = (len + (addr & 0xfff)).div_ceil(0x1000);
                (0..pages).for_each(|i| tlb.flush_some(Some(addr.wrapping_add(i << 12)), asid));
            }
            _ => tlb.flush_some(None, asid),
        }
    }

    /// What was stored before is executed from now on (FENCE.I). Decoded blocks follow stores by themselves.
    pub fn flush_icache(&mut self) {
        self.engine.hart.look_up = true;
    }

    /// Sets `stimecmp`.
    pub fn set_timer(&mut self, v: u64, sys: &mut System) {
        self.engine.hart.set_stimecmp(Some(sys), v);
    }

    /// Reads a CSR with the rights of M-mode; `None` if the hart has none of that number.
    pub fn csr(&mut self, number: u16, sys: &mut System) -> Option<u64> {
        csr::read(&self.engine.hart, Some(sys), number)
    }

    /// Writes a CSR with the rights of M-mode; `false` if the hart has none of that number that can be written.
    pub fn set_csr(&mut self, number: u16, v: u64, sys: &mut System) -> bool {
        csr::write(&mut self.engine.hart, Some(sys), number, v)
    }

    /// Privilege mode: 0 U, 1 S, 3 M.
    pub fn privilege(&self) -> u8 {
        self.engine.hart.s.prv
    }
}

static RISCV64: Arch = Arch {
    name: "riscv64",
    bits: 64,
    elf_machine: 243,
    qom_suffix: "riscv-cpu",
    qom_home: ("soc0", "riscv.hart_array"),
    qom_name: "harts[]",
    gdb: "riscv:rv64",
};

impl Cpu for Rv64 {
    fn model(&self) -> &'static str {
        self.engine.hart.cfg.model
    }

    fn arch(&self) -> &'static Arch {
        &RISCV64
    }

    fn gdb_features(&self) -> Vec<GdbFeature> {
        crate::debug::gdb_features(&self.engine.hart)
    }

    fn translate(&self, address: u64, sys: &mut System) -> Option<u64> {
        self.engine.hart.look_up_address(sys, address)
    }

    fn translates(&self) -> bool {
        true
    }

    fn reset(&mut self, sys: &mut System) {
        // The devices were reset just now: lines that they let go must not be seen as still high.
        self.engine.news(sys);
        let h = &mut self.engine.hart;
        let lines = h.s.lines;
        h.s = State {
            lines,
            retired: h.s.retired,
            ..State::new(&h.cfg)
        };
        self.engine.state_changed();
        self.engine.begin(sys);
        let h = &self.engine.hart;
        h.tell_reset(sys, h.plain_registers().into_iter().map(|r| (r.name, r.value)));
    }

    fn run(&mut self, sys: &mut System, budget: u64) -> Exit {
        match self.engine.run(sys, budget) {
            Stop::Budget => Exit::Budget,
            Stop::Idle { until } => Exit::Idle { until },
            Stop::Firmware => Exit::FirmwareCall,
            Stop::Semihosting => Exit::Semihosting {
                op: self.gpr(10) as u32,
                arg: self.gpr(11),
            },
            Stop::Debug => Exit::Debug,
            Stop::Differs(text) => Exit::Lockup(text),
        }
    }

    fn on_line(&mut self, input: u32, level: bool, _: &mut System) {
        self.engine.hart.line(input, level);
    }

    fn finish_semihosting(&mut self, result: u64) {
        self.set_gpr(10, result);
        let h = &mut self.engine.hart;
        h.s.pc = h.s.pc.wrapping_add(4);
    }

    fn save(&self) -> SavedState {
        SavedState::of(VERSION, &self.engine.hart.s)
    }

    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        let mut s = state.read::<State>(VERSION)?;
        s.sanitize(&self.engine.hart.cfg);
        self.engine.hart.s = s;
        self.engine.state_changed();
        Ok(())
    }

    fn registers(&self) -> Vec<RegisterValue> {
        let mut all = self.engine.hart.plain_registers();
        all.extend(csr::all(&self.engine.hart).map(|(name, value)| RegisterValue { name, bits: 64, value }));
        all
    }

    fn register(&self, name: &str, sys: &System) -> Option<u64> {
        let h = &self.engine.hart;
        let plain = h
            .plain_registers()
            .into_iter()
            .find(|r| r.name == name)
            .map(|r| r.value);
        plain.or_else(|| csr::read(h, Some(sys), csr_number(name)?))
    }

    fn set_register(&mut self, name: &str, value: u64) -> bool {
        let h = &mut self.engine.hart;
        h.set_plain_register(name, value) || csr_number(name).is_some_and(|n| csr::write(h, None, n, value))
    }

    fn pc(&self) -> u64 {
        self.engine.hart.s.pc
    }

    fn disassemble(&self, address: u64, code: &[u8]) -> Option<(usize, String)> {
        crate::disasm::at(address, code)
    }

    fn execution(&self) -> Vec<String> {
        match self.jit_statistics() {
            Some(numbers) => numbers.lines(),
            None => vec!["All code is interpreted.".into()],
        }
    }

    fn debug(&mut self) -> Option<&mut dyn CpuDebug> {
        Some(self)
    }
}

impl CpuDebug for Rv64 {
    fn set_stops(&mut self, breakpoints: &[u64], watchpoints: &[Watchpoint]) {
        self.engine.set_breakpoints(breakpoints);
        let h = &mut self.engine.hart;
        h.watch.points = watchpoints.to_vec();
        h.watch.hit = None;
        h.tlb.flush();
    }

    fn has_watch_hit(&mut self) -> bool {
        self.engine.hart.watch.hit.is_some()
    }

    fn take_watch_hit(&mut self) -> Option<(Watchpoint, u64)> {
        self.engine.hart.watch.hit.take()
    }

    fn private(&self) -> &'static [(u64, u64)] {
        &[]
    }

    fn read_private(&mut self, _: u64, _: u8, _: &mut System) -> Option<u64> {
        None
    }

    fn write_private(&mut self, _: u64, _: u8, _: u64, _: &mut System) -> bool {
        false
    }
}
