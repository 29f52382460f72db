//! The engine as the CPU of a real machine: memory, time, semihosting, save and load through `core`.

use southbridge_core::cpu::{Cpu, SemihostingCall, SemihostingDone, SemihostingHost};
use southbridge_core::machine::Pacing;
use southbridge_core::memory::{Mapping, RamBlock, Target};
use southbridge_core::{ClockRate, Machine, Outcome, System, VirtualTime};
use southbridge_cpu_armv7m::{CORTEX_M3, Config, CortexM};

/// Ends the run with the low half of the argument.
struct ExitOnly;
impl SemihostingHost for ExitOnly {
    fn call(&mut self, call: SemihostingCall, _: &mut System) -> SemihostingDone {
        SemihostingDone::Exit(call.arg as u32 & 0xffff)
    }
}

fn board(image: &[u8]) -> Machine {
    let mut m = Machine::empty(ClockRate::Hz(25_000_000)).expect("a machine");
    for (name, start, len, readonly) in [("rom", 0, 0x4_0000, true), ("ram", 0x2000_0000, 0x1_0000, false)] {
        let block: RamBlock = m.add_ram(name, len).expect("memory");
        if readonly {
            assert!(block.write(0, image));
        }
        let target = Target::Ram {
            block,
            offset: 0,
            readonly,
        };
        m.sys.memory.map(Mapping {
            start,
            len,
            priority: 0,
            name: name.into(),
            target,
        });
    }
    m.sys.memory.map(Mapping {
        start: 0x4000_0000,
        len: 4,
        priority: 0,
        name: "tap".into(),
        target: Target::Empty,
    });
    let mut cpu = CortexM::new(Config::new(&CORTEX_M3, 32));
    cpu.set_semihosting(true);
    cpu.set_jit(super::options()).expect("a compiler for this host");
    m.set_cpu(Box::new(cpu));
    m.semihosting = Some(Box::new(ExitOnly));
    m.pacing = Pacing::SkipIdle;
    m
}

fn registers(m: &Machine) -> Vec<u64> {
    m.cpus.iter().flat_map(|c| c.registers()).map(|r| r.value).collect()
}

#[test]
fn a_compiled_program_runs() {
    let mut m = board(include_bytes!("../../examples/coremark_like.bin"));
    assert_eq!(m.run(), Outcome::GuestExit(0x8fa9));
    assert_eq!(m.sys.clock.executed(), 24_914_020);
}

#[test]
fn sleeping_takes_virtual_time_and_no_instructions() {
    let mut m = board(include_bytes!("../guest/timer.bin"));
    assert!(matches!(m.run(), Outcome::GuestExit(_)));
    let clock = &m.sys.clock;
    // Two sleeps of most of a 100-cycle period each, and SLEEPONEXIT for four more.
    let slept = clock.ticks() - clock.executed();
    assert!((300..900).contains(&slept), "slept {slept} of {} ticks", clock.ticks());
}

#[test]
fn a_saved_machine_goes_on_as_if_nothing_had_happened() {
    let image = include_bytes!("../../examples/coremark_like.bin");
    let mut one = board(image);
    let half = VirtualTime(400_000_000);
    assert_eq!(one.run_until(half), Outcome::Deadline);
    let saved = one.save().expect("can be saved");
    let mut two = board(image);
    two.run_until(VirtualTime(1_000));
    two.load(&saved).expect("what was saved");
    assert_eq!(registers(&one), registers(&two));
    assert_eq!(
        (one.run(), two.run()),
        (Outcome::GuestExit(0x8fa9), Outcome::GuestExit(0x8fa9))
    );
    assert_eq!(
        (registers(&one), one.sys.clock.ticks()),
        (registers(&two), two.sys.clock.ticks())
    );
}

#[test]
fn code_written_by_others_is_seen() {
    // start: ldr r0, =0x20000401; movs r2, #0; 1: blx r0; b 1b
    let mut image = [0u8; 0x40];
    image[..4].copy_from_slice(&0x2000_1000u32.to_le_bytes());
    image[4..8].copy_from_slice(&0x21u32.to_le_bytes());
    let code: [u16; 8] = [0x4802, 0x2200, 0x4780, 0xe7fd, 0xbf00, 0xbf00, 0x0401, 0x2000];
    for (i, h) in code.iter().enumerate() {
        image[0x20 + 2 * i..0x22 + 2 * i].copy_from_slice(&h.to_le_bytes());
    }
    let mut m = board(&image);
    // adds r2, #n; bx lr
    let put = |m: &mut Machine, n: u8| m.sys.write_bytes(0x2000_0400, &[n, 0x32, 0x70, 0x47]).expect("RAM");
    put(&mut m, 1);
    m.run_until(VirtualTime(40_000));
    let before = m.cpus.first().map(|c| c.registers()[2].value).expect("r2");
    assert!(before > 100, "r2 grew by ones to {before}");
    put(&mut m, 0);
    m.run_until(VirtualTime(80_000));
    let after = m.cpus.first().map(|c| c.registers()[2].value).expect("r2");
    assert!(after <= before + 1, "and then no more: {after}");
}

/// Code is put into memory that had none by a loop that has long stored there.
#[test]
fn code_in_memory_that_had_none_is_seen() {
    #[rustfmt::skip]
    let code: [u16; 32] = [
        // ldr r0, =0x20000400; ldr r1, =200000; movs r3, #0
        0x4809, 0x490a, 0x2300,
        // 1: str r1, [r0, #8]; subs r1, #1; bne 1b
        0x6081, 0x3901, 0xd1fc,
        // ldr r4, =adds r3, #1; bx lr; movs r6, #200
        0x4c08, 0x26c8,
        // 2: str r4, [r0]; orr r5, r0, #1; blx r5; add r4, r4, #1; subs r6, #1; bne 2b
        0x6004, 0xf040, 0x0501, 0x47a8, 0xf104, 0x0401, 0x3e01, 0xd1f7,
        // mov r1, r3; bkpt 0xab
        0x4619, 0xbeab, 0xe7fe, 0xbf00,
        0x0400, 0x2000, 0x0d40, 0x0003, 0x3301, 0x4770, 0, 0, 0, 0, 0, 0,
    ];
    let mut image = [0u8; 0x60];
    image[..4].copy_from_slice(&0x2000_1000u32.to_le_bytes());
    image[4..8].copy_from_slice(&0x21u32.to_le_bytes());
    for (i, h) in code.iter().enumerate() {
        image[0x20 + 2 * i..0x22 + 2 * i].copy_from_slice(&h.to_le_bytes());
    }
    let mut m = board(&image);
    // 1 and 2 and so on, up to 255 and then modulo 256, whatever of it is for the other half of the instruction.
    let sum: u32 = (1..=200).sum();
    assert_eq!(m.run(), Outcome::GuestExit(sum & 0xffff));
}

#[test]
fn lockup_is_told_with_its_reason() {
    let mut m = board(include_bytes!("../guest/lockup.bin"));
    let Outcome::Lockup(text) = m.run() else {
        panic!("no lockup")
    };
    assert!(
        text.contains("CFSR 0x00010000") && text.contains("HFSR 0x40000000"),
        "{text}"
    );
}

#[test]
fn a_damaged_state_is_refused_and_changes_nothing() {
    let mut cpu = CortexM::new(Config::new(&CORTEX_M3, 32));
    let before = cpu.save();
    let mut bad = before.clone();
    bad.cbor.truncate(bad.cbor.len() / 2);
    assert!(cpu.load(&bad).is_err());
    bad = before.clone();
    bad.version += 1;
    assert!(cpu.load(&bad).is_err());
    assert_eq!(cpu.save(), before);
}
