//! Several CPUs on one clock: who runs when is a fact of the machine and of nothing else.

use std::sync::{Arc, Mutex};

use southbridge_core::cpu::{Arch, Cpu, CpuId, Exit, Firmware, FirmwareDone, RegisterValue};
use southbridge_core::machine::{Outcome, Pacing};
use southbridge_core::{
    Access, ClockRate, Ctx, Device, DeviceType, LoadError, Machine, Mmio, Properties, Region, Register, ResetPhase,
    SavedState, System, VirtualTime, role,
};

static TOY: Arch = Arch {
    name: "toy",
    bits: 64,
    elf_machine: 0,
    qom_suffix: "toy-cpu",
    qom_home: ("toys", "container"),
    qom_name: "cpu[]",
    gdb: "toy",
};

const MAILBOX: u64 = 0x1000;

/// What a toy does at an instruction count of its own.
#[derive(Clone, Copy, PartialEq)]
enum Act {
    Work,
    /// Writes the number of another CPU into the mailbox.
    Send(u64),
    /// Sleeps until a message, or for so many nanoseconds at most.
    Sleep(Option<u64>),
    Firmware,
}

/// (executed instructions, CPU, count of its own): a line for each instruction.
type Trace = Arc<Mutex<Vec<(u64, u8, u64)>>>;

/// A CPU whose program is a function of how many instructions it has executed.
struct Toy {
    id: u8,
    program: fn(u8, u64) -> Act,
    trace: Trace,
    count: u64,
    heard: u64,
    asleep: Option<Option<VirtualTime>>,
}

impl Toy {
    fn take_lines(&mut self, sys: &mut System) {
        if sys.cpu_news(CpuId(self.id)) {
            for _ in sys.take_lines(CpuId(self.id)) {
                self.heard += 1;
                self.asleep = None;
            }
        }
    }
}

impl Cpu for Toy {
    fn model(&self) -> &'static str {
        "toy"
    }
    fn arch(&self) -> &'static Arch {
        &TOY
    }
    fn reset(&mut self, _: &mut System) {
        (self.count, self.heard, self.asleep) = (0, 0, None);
    }
    fn run(&mut self, sys: &mut System, budget: u64) -> Exit {
        for _ in 0..budget {
            self.take_lines(sys);
            if let Some(until) = self.asleep {
                if until.is_none_or(|u| u > sys.clock.now()) {
                    return Exit::Idle { until };
                }
                self.asleep = None;
            }
            if sys.attention() {
                return Exit::Budget;
            }
            let act = (self.program)(self.id, self.count);
            self.trace
                .lock()
                .unwrap()
                .push((sys.clock.executed(), self.id, self.count + 1_000_000 * self.heard));
            self.count += 1;
            sys.clock.consume(1);
            match act {
                Act::Work => {}
                Act::Send(to) => sys.write(MAILBOX, 4, to).unwrap(),
                Act::Sleep(ns) => self.asleep = Some(ns.map(|ns| sys.clock.now().after_ns(ns))),
                Act::Firmware => return Exit::FirmwareCall,
            }
        }
        Exit::Budget
    }
    fn on_line(&mut self, _: u32, _: bool, _: &mut System) {
        self.heard += 1;
        self.asleep = None;
    }
    fn finish_semihosting(&mut self, _: u64) {}
    fn save(&self) -> SavedState {
        SavedState::of(1, &(self.count, self.heard, self.asleep.map(|a| a.map_or(0, |t| t.0))))
    }
    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        let (count, heard, asleep): (u64, u64, Option<u64>) = state.read(1)?;
        let asleep = asleep.map(|t| (t != 0).then_some(VirtualTime(t)));
        (self.count, self.heard, self.asleep) = (count, heard, asleep);
        Ok(())
    }
    fn registers(&self) -> Vec<RegisterValue> {
        let r = |name, value| RegisterValue { name, bits: 64, value };
        vec![r("pc", self.count), r("heard", self.heard)]
    }
    fn set_register(&mut self, name: &str, value: u64) -> bool {
        if name == "pc" {
            self.count = value;
        }
        name == "pc"
    }
    fn pc(&self) -> u64 {
        self.count
    }
}

/// Passes on what is written to it.
struct Mailbox;

impl Mmio for Mailbox {
    fn read(&mut self, _: Access, _: &mut Ctx<'_>) -> u64 {
        0
    }
    fn write(&mut self, _: Access, value: u64, cx: &mut Ctx<'_>) {
        cx.message_cpu(CpuId(value as u8), 7);
    }
}

impl Device for Mailbox {
    fn reset(&mut self, _: ResetPhase, _: &mut Ctx<'_>) {}
    fn save(&self) -> SavedState {
        SavedState::of(1, &())
    }
    fn load(&mut self, _: &SavedState) -> Result<(), LoadError> {
        Ok(())
    }
}

static MAILBOX_TYPE: DeviceType = DeviceType {
    name: "mailbox",
    summary: "a register that sends messages to CPUs",
    regions: &[Region::mmio32("regs", 4, &[Register::rw(0, "TO")])],
    roles: &[role!(Mailbox as dyn Mmio)],
    create: |_, _| Ok(Box::new(Mailbox)),
    ..DeviceType::BASE
};

/// Moves the other CPUs a little back at each call.
struct Back(u64);

impl Firmware for Back {
    fn call(&mut self, cpu: CpuId, cpus: &mut [Box<dyn Cpu>], _: &mut System) -> FirmwareDone {
        self.0 += 1;
        for (i, other) in cpus.iter_mut().enumerate() {
            if i != usize::from(cpu.0) {
                let pc = other.pc();
                other.set_register("pc", pc.saturating_sub(3));
            }
        }
        FirmwareDone::Continue
    }
    fn reset(&mut self, _: &mut [Box<dyn Cpu>], _: &mut System) {
        self.0 = 0;
    }
    fn save(&self) -> SavedState {
        SavedState::of(1, &self.0)
    }
    fn load(&mut self, state: &SavedState) -> Result<(), LoadError> {
        self.0 = state.read(1)?;
        Ok(())
    }
}

fn machine(program: fn(u8, u64) -> Act, cpus: u8) -> (Machine, Trace) {
    let trace = Trace::default();
    let mut m = Machine::empty(ClockRate::Hz(1_000_000_000)).unwrap();
    m.pacing = Pacing::SkipIdle;
    for id in 0..cpus {
        m.add_cpu(Box::new(Toy {
            id,
            program,
            trace: trace.clone(),
            count: 0,
            heard: 0,
            asleep: None,
        }));
    }
    let Ok(device) = m.sys.add_device(&MAILBOX_TYPE, None, Properties::default(), &[]) else {
        panic!("a mailbox has nothing that could be refused");
    };
    m.sys.map_device(device, 0, MAILBOX, 0);
    m.firmware = Some(Box::new(Back(0)));
    (m, trace)
}

/// CPU 0 works and sends now and then to 2; 1 sleeps and wakes by itself; 2 only answers; 3 works alone and calls firmware.
fn busy(id: u8, n: u64) -> Act {
    match (id, n) {
        (0, n) if n % 3_000 == 1_999 => Act::Send(2),
        (1, n) if n % 700 == 699 => Act::Sleep(Some(4_321)),
        (2, n) if n % 50 == 49 => Act::Sleep(None),
        (2, n) if n % 50 == 17 => Act::Send(0),
        (3, n) if n % 25_000 == 24_999 => Act::Firmware,
        _ => Act::Work,
    }
}

const END: VirtualTime = VirtualTime(300_000);

fn whole_run() -> Vec<(u64, u8, u64)> {
    let (mut m, trace) = machine(busy, 4);
    assert_eq!(m.run_until(END), Outcome::Deadline);
    trace.lock().unwrap().clone()
}

#[test]
fn all_get_their_turn() {
    let run = whole_run();
    let share = |id| run.iter().filter(|(_, cpu, _)| *cpu == id).count();
    assert!(share(0) > 50_000 && share(3) > 50_000, "{} {}", share(0), share(3));
    assert!(share(1) > 3_000, "the one that sleeps wakes by itself: {}", share(1));
    assert!(share(2) > 500, "the one that waits gets its messages: {}", share(2));
    let longest = run.chunk_by(|a, b| a.1 == b.1).map(<[_]>::len).max();
    assert!(
        longest <= Some(10_000),
        "nobody runs for more than a slice: {longest:?}"
    );
}

#[test]
fn a_message_is_seen_at_once() {
    let (mut m, trace) = machine(
        |id, n| match (id, n) {
            (0, 4) => Act::Send(1),
            (1, 0) => Act::Sleep(None),
            _ => Act::Work,
        },
        2,
    );
    // CPU 0 works for a slice, 1 sleeps, 0 sends.
    m.run_until(VirtualTime(25_000));
    let trace = trace.lock().unwrap();
    let first = trace.iter().position(|(_, cpu, _)| *cpu == 1).unwrap();
    assert_eq!(trace[first - 1], (4, 0, 4), "the sender is cut, and the other one runs");
    assert_eq!(trace[first], (5, 1, 1_000_000), "it has the message when it begins");
}

#[test]
fn where_the_run_is_cut_makes_no_difference() {
    let whole = whole_run();
    for step in [777, 10_000, 12_345] {
        let (mut m, trace) = machine(busy, 4);
        let mut at = 0;
        while at < END.0 {
            at = (at + step).min(END.0);
            m.run_until(VirtualTime(at));
        }
        assert!(*trace.lock().unwrap() == whole, "cut every {step} ns");
    }
}

#[test]
fn a_saved_machine_goes_on_as_it_would_have() {
    let whole = whole_run();
    for at in [1, 2_000, 2_001, 9_999, 10_000, 33_333, 123_456] {
        let (mut m, trace) = machine(busy, 4);
        m.run_until(VirtualTime(at));
        let saved = m.save_whole().unwrap();
        let (mut other, rest) = machine(busy, 4);
        other.load_whole(&saved).unwrap();
        other.run_until(END);
        let mut both = trace.lock().unwrap().clone();
        both.extend(rest.lock().unwrap().iter());
        assert!(both == whole, "saved at {at}");
        // The one that was saved goes on alike.
        m.run_until(END);
        assert!(*trace.lock().unwrap() == whole, "saved at {at}, the same machine");
    }
}

#[test]
fn a_state_of_another_number_of_cpus_is_refused() {
    let (mut four, _) = machine(busy, 4);
    four.run_until(VirtualTime(5_000));
    let saved = four.save_whole().unwrap();
    let (mut three, _) = machine(busy, 3);
    three.start();
    let error = three.load_whole(&saved).unwrap_err().to_string();
    assert!(error.contains("4 processors"), "{error}");
    let mut few = saved.clone();
    few.cpus.pop();
    assert!(four.load_whole(&few).is_err());
}

#[test]
fn all_asleep_is_idle() {
    let (mut m, trace) = machine(|id, _| Act::Sleep((id == 2).then_some(1_000)), 3);
    m.run_until(VirtualTime(10_500));
    let trace = trace.lock().unwrap();
    let of_2 = trace.iter().filter(|(_, cpu, _)| *cpu == 2).count();
    // One nanosecond of work between two naps of a microsecond.
    assert!((10..=11).contains(&of_2), "{of_2}");
    assert_eq!(
        trace.len(),
        of_2 + 2,
        "the others do an instruction each and sleep for good"
    );
    assert!(m.is_asleep(CpuId(0)) && m.is_asleep(CpuId(1)));
}

#[test]
fn a_debugger_steps_one_cpu() {
    let (mut m, trace) = machine(|_, _| Act::Work, 3);
    m.run_until(VirtualTime(15_000));
    assert_eq!(m.current_cpu(), CpuId(1));
    m.step = Some(CpuId(1));
    assert_eq!(m.run(), Outcome::Debug);
    assert_eq!((m.current_cpu(), m.cpus[1].pc()), (CpuId(1), 5_001));
    m.run_only(Some(CpuId(0)));
    m.step = Some(CpuId(0));
    assert_eq!(m.run(), Outcome::Debug);
    assert_eq!((m.current_cpu(), m.cpus[0].pc()), (CpuId(0), 10_001));
    assert_eq!(m.cpus[1].pc(), 5_001, "it stands");
    assert_eq!(trace.lock().unwrap().len(), 15_002);
}

#[test]
fn history_leads_back_to_the_same_turns() {
    let (mut m, trace) = machine(busy, 4);
    m.start();
    m.keep_history(true);
    m.run_until(VirtualTime(80_000));
    let now = m.sys.clock.executed();
    let pcs = |m: &Machine| m.cpus.iter().map(|c| c.pc()).collect::<Vec<_>>();
    let (there, then) = (pcs(&m), trace.lock().unwrap().clone());
    trace.lock().unwrap().clear();
    m.rewind(0).unwrap();
    m.run_past(now);
    assert_eq!(pcs(&m), there);
    assert!(*trace.lock().unwrap() == then);
}
