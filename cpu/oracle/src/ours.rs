//! Our engine over a stream.

use southbridge_cpu_armv7m::{Bus, BusFault, CORTEX_M3, Config, Engine, Exit, FlatBus, FlatWindow, State, jit};

use crate::layout::{DONE, HANDLER, HARNESS, INPUT, RESULT, SCRATCH, SCRATCH_LEN, START};
use crate::stream::{Outcome, Stream};

/// Instructions after which a stream counts as endless.
const BUDGET: u64 = 3000;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ran {
    /// In the harness; both implementations must agree.
    Done(Outcome),
    /// The stream left what the comparison covers.
    Outside(Why),
}

/// Why a stream is not compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It touched memory that is not the stream's: what QEMU's board has there is a device or nothing.
    Wild(u32),
    /// It went on for ever.
    Endless,
    /// It went to sleep.
    Asleep,
    /// A fault at priority -1: QEMU ends the whole process then.
    Lockup,
    /// It asked for a reset.
    Reset,
}

/// A core with the harness in its memory, ready for streams.
pub struct Ours {
    engine: Engine<Arena>,
    bus: Arena,
    ready: State,
}

impl Default for Ours {
    fn default() -> Self {
        Ours::new()
    }
}

impl Ours {
    /// A core that waits at [`DONE`].
    pub fn new() -> Self {
        let mut bus = Arena::new();
        let mut engine = Engine::new(Config::new(&CORTEX_M3, 32));
        engine.reset(&mut bus);
        engine.set_breakpoint(DONE, true);
        let exit = engine.run(&mut bus, 1000);
        assert_eq!(
            exit,
            Exit::Breakpoint,
            "the harness comes up: {:x?}",
            engine.registers()
        );
        let ready = engine.state().clone();
        Ours { engine, bus, ready }
    }

    /// Compiles all code that runs more than once, from now on.
    pub fn compile(&mut self) -> Result<(), String> {
        let options = jit::Options {
            threads: 0,
            hot: 1,
            ..Default::default()
        };
        self.engine.set_jit(Some(options))
    }

    /// Runs a stream `n` times over, in what its runs left behind: the state after each, and memory. Where a core compiles, all but the
    /// first run what it compiled.
    pub fn again_and_again(&mut self, stream: &Stream, n: usize) -> Vec<(State, Vec<u8>)> {
        // Whoever stops at addresses does not run compiled code: here the budget ends it.
        self.engine.set_breakpoint(DONE, false);
        self.load(stream);
        let passes = (0..n).map(|_| {
            self.engine.set_register("pc", START);
            let _ = self.engine.run(&mut self.bus, BUDGET);
            (self.engine.state().clone(), self.bus.dump())
        });
        let all = passes.collect();
        self.engine.set_breakpoint(DONE, true);
        all
    }

    /// Regions that were compiled so far.
    pub fn compiled(&self) -> u64 {
        self.engine.jit_statistics().map_or(0, |s| s.regions)
    }

    fn load(&mut self, stream: &Stream) {
        self.bus.load(stream);
        self.engine.set_state(self.ready.clone());
        self.engine.set_register("pc", START);
    }

    /// Runs a stream to its end.
    pub fn run(&mut self, stream: &Stream) -> Ran {
        self.load(stream);
        let exit = self.engine.run(&mut self.bus, BUDGET);
        if let Some(addr) = self.bus.wild {
            return Ran::Outside(Why::Wild(addr));
        }
        match exit {
            Exit::Breakpoint => match Outcome::from_memory(&self.bus.dump()) {
                Some(o) => Ran::Done(o),
                None => Ran::Outside(Why::Endless),
            },
            Exit::Idle { .. } => Ran::Outside(Why::Asleep),
            Exit::Lockup => Ran::Outside(Why::Lockup),
            Exit::Reset => Ran::Outside(Why::Reset),
            _ => Ran::Outside(Why::Endless),
        }
    }

    /// Runs a stream in slices of `slice` instructions: must come to the same as in one.
    pub fn run_sliced(&mut self, stream: &Stream, slice: u64) -> Ran {
        self.load(stream);
        for _ in 0..BUDGET {
            match self.engine.run(&mut self.bus, slice) {
                Exit::Budget => {}
                Exit::Breakpoint => {
                    return Outcome::from_memory(&self.bus.dump()).map_or(Ran::Outside(Why::Endless), Ran::Done);
                }
                _ => break,
            }
        }
        Ran::Outside(Why::Endless)
    }

    /// Registers (R0 to R15 and xPSR) after each instruction, from the first of the stream on.
    pub fn trace(&mut self, stream: &Stream) -> Vec<[u32; 17]> {
        self.load(stream);
        let mut out = Vec::new();
        for _ in 0..BUDGET {
            let exit = self.engine.run(&mut self.bus, 1);
            let r = self.registers();
            if exit != Exit::Budget || r[15] == DONE {
                break;
            }
            out.push(r);
        }
        out
    }

    fn registers(&self) -> [u32; 17] {
        let mut out = [0; 17];
        for (slot, (_, value)) in out.iter_mut().zip(self.engine.registers()) {
            *slot = value;
        }
        out
    }
}

/// Memory of the run, with everything else noticed.
struct Arena {
    flat: FlatBus,
    result: [u8; (RESULT.end - RESULT.start) as usize],
    /// First access outside.
    wild: Option<u32>,
}

impl Arena {
    fn new() -> Self {
        let mut flat = FlatBus::new();
        flat.add(0, 0x400, true);
        flat.add(INPUT, SCRATCH.start - INPUT, true);
        flat.add(SCRATCH.start, SCRATCH_LEN as u32, false);
        assert!(flat.load(0, HARNESS), "the harness fits");
        Arena {
            flat,
            result: [0; _],
            wild: None,
        }
    }
    fn load(&mut self, stream: &Stream) {
        self.wild = None;
        self.flat.load(INPUT, &stream.image());
    }
    fn dump(&mut self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SCRATCH_LEN + self.result.len());
        for at in SCRATCH.step_by(4) {
            out.extend(self.flat.word(at).to_le_bytes());
        }
        out.extend(self.result);
        out
    }
    /// Nothing there on the board either: a bus fault on both sides.
    fn refuse<T>(&mut self, addr: u32) -> Result<T, BusFault> {
        if !matches!(addr, 0x6000_0000..=0xdfff_ffff | 0xe010_0000..) {
            self.wild.get_or_insert(addr);
        }
        Err(BusFault)
    }
}

impl Bus for Arena {
    type Window = FlatWindow;

    fn read(&mut self, addr: u32, size: u8) -> Result<u32, BusFault> {
        match self.flat.read(addr, size) {
            Ok(v) => Ok(v),
            Err(_) => self.refuse(addr),
        }
    }
    fn write(&mut self, addr: u32, size: u8, value: u32) -> Result<(), BusFault> {
        if RESULT.contains(&addr) && size == 4 {
            let at = (addr - RESULT.start) as usize;
            self.result[at..at + 4].copy_from_slice(&value.to_le_bytes());
            return Ok(());
        }
        if SCRATCH.contains(&addr) {
            return self.flat.write(addr, size, value);
        }
        self.refuse(addr)
    }
    fn window(&mut self, addr: u32) -> Option<FlatWindow> {
        self.flat.window(addr)
    }
    fn generation(&self) -> u64 {
        self.flat.generation()
    }
    fn cycles(&self) -> u64 {
        self.flat.cycles()
    }
    fn consume(&mut self, n: u64) {
        self.flat.consume(n);
    }
    fn cpu_hz(&self) -> u64 {
        self.flat.cpu_hz()
    }
    fn attention(&self) -> bool {
        false
    }
    fn news(&self, cpu: u8) -> bool {
        self.flat.news(cpu)
    }
    fn take_lines(&mut self, cpu: u8) -> Vec<(u32, bool)> {
        self.flat.take_lines(cpu)
    }
    fn take_code_writes(&mut self, cpu: u8) -> Vec<(u64, u64, u64)> {
        self.flat.take_code_writes(cpu)
    }
    fn code_written(&mut self, memory: u64, offset: u64, len: u64) {
        self.flat.code_written(memory, offset, len);
    }
}

const _: () = assert!(HANDLER.end == SCRATCH.start, "one window holds input and code");
