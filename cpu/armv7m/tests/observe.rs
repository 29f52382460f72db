//! What `-d` shows of the core, on a machine's real address space.

use southbridge_core::cpu::{SemihostingCall, SemihostingDone, SemihostingHost};
use southbridge_core::log::Log;
use southbridge_core::machine::Pacing;
use southbridge_core::memory::{Mapping, RamBlock, Target};
use southbridge_core::{ClockRate, LogItems, Machine, Outcome, System};
use southbridge_cpu_armv7m::{CORTEX_M3, Config, CortexM};
use std::io::Write;
use std::sync::{Arc, Mutex};

struct ExitOnly;
impl SemihostingHost for ExitOnly {
    fn call(&mut self, _: SemihostingCall, _: &mut System) -> SemihostingDone {
        SemihostingDone::Exit(7)
    }
}

#[derive(Clone, Default)]
struct Text(Arc<Mutex<Vec<u8>>>);

impl Write for Text {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("the log").extend(data);
        Ok(data.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Vectors: stack, reset, HardFault, SVCall.
const VECTORS: [(usize, u32); 4] = [(0, 0x2000_1000), (1, 0x31), (3, 0x4b), (11, 0x57)];
/// From 0x30: SVC; MPU region 2 over 0x20000800 without rights; a load from there, which ends in HardFault; exit. At 0x56 the
/// handler of SVC, which returns.
const CODE: [u16; 26] = [
    0xdf00, 0x4809, 0x2102, 0x6041, 0x4908, 0x6081, 0xf04f, 0x010f, 0x60c1, 0x2105, 0x6001, 0x4906, 0x680a, 0x2018,
    0xf04f, 0x0107, 0xbeab, 0xe7fe, 0xe7f9, 0x4770, 0xed94, 0xe000, 0x0800, 0x2000, 0x0810, 0x2000,
];

fn image() -> Vec<u8> {
    let mut image = vec![0; 0x30];
    for (i, word) in VECTORS {
        image[4 * i..4 * i + 4].copy_from_slice(&word.to_le_bytes());
    }
    image.extend(CODE.iter().flat_map(|h| h.to_le_bytes()));
    image
}

/// The log of a run with these items.
fn log_of(items: LogItems) -> String {
    let text = Text::default();
    let mut m = Machine::empty(ClockRate::Hz(25_000_000)).expect("a machine");
    m.sys.log = Log::new(items, Box::new(text.clone()));
    for (name, start, readonly) in [("rom", 0, true), ("ram", 0x2000_0000, false)] {
        let len = 0x1_0000;
        let block: RamBlock = m.add_ram(name, len).expect("memory");
        if readonly {
            assert!(block.write(0, &image()));
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
    let mut cpu = CortexM::new(Config::new(&CORTEX_M3, 32));
    cpu.set_semihosting(true);
    m.set_cpu(Box::new(cpu));
    m.semihosting = Some(Box::new(ExitOnly));
    m.pacing = Pacing::SkipIdle;
    assert_eq!(m.run(), Outcome::GuestExit(7));
    let bytes = text.0.lock().expect("the log").clone();
    String::from_utf8(bytes).expect("text")
}

#[test]
fn int_shows_entries_and_returns() {
    let log = log_of(LogItems::INT);
    let lines: Vec<_> = log.lines().collect();
    assert_eq!(
        lines,
        [
            "CPU 0: exception 11 [SVCall] taken, priority 0, from pc 0x00000032 to handler 0x00000056",
            "CPU 0: exception 11 [SVCall] returns with EXC_RETURN 0xfffffff9 to pc 0x00000032",
            "CPU 0: exception 3 [HardFault] taken, priority -1, from pc 0x00000048 to handler 0x0000004a",
        ]
    );
}

#[test]
fn cpu_reset_shows_registers() {
    let log = log_of(LogItems::CPU_RESET);
    assert!(log.starts_with("CPU 0: reset\nR0=00000000 R1=00000000"), "{log}");
    assert!(log.contains("PC=00000030"), "{log}");
    assert!(log.contains("SP=20001000"), "{log}");
}

#[test]
fn in_asm_shows_each_block_once_and_exec_each_time() {
    let log = log_of(LogItems::IN_ASM);
    assert!(
        log.starts_with("CPU 0: in:\n0x00000030:  df00       svc     #0\n"),
        "{log}"
    );
    assert!(log.contains("0x00000048:  680a       ldr     r2, [r1]"), "{log}");
    assert!(log.contains("0x0000003c:  f04f 010f  mov     r1, #0xf"), "{log}");
    assert_eq!(log.matches("0x00000056:").count(), 1);
    let log = log_of(LogItems::EXEC);
    assert!(
        log.starts_with("CPU 0: exec 0x00000030 (1 instructions)\nCPU 0: exec 0x00000056"),
        "{log}"
    );
}

#[test]
fn mmu_shows_who_decided() {
    let log = log_of(LogItems::MMU);
    assert!(
        log.contains("MPU refuses privileged read at 0x20000810: region 2, RASR 0x0000000f (AP 0, XN 0,"),
        "{log}"
    );
}

#[test]
fn off_is_silent() {
    assert_eq!(log_of(LogItems::empty()), "");
}
