use super::*;
use southbridge_core::cpu::CpuId;
use southbridge_core::memory::{Mapping, Target};
use southbridge_core::{ClockRate, RamBlock};
use std::sync::{Arc, Mutex};

const RAM: u64 = 0x2000_0000;
const BLOCK: u64 = RAM + 0x100;

#[derive(Clone, Default)]
struct Console(Arc<Mutex<Vec<u8>>>);
impl Write for Console {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(data);
        Ok(data.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct Guest {
    sys: System,
    semi: Semihosting,
    console: Console,
}

impl Guest {
    fn new() -> Self {
        let mut sys = System::new(ClockRate::Hz(1_000_000)).unwrap();
        let block = RamBlock::new("ram", 0x10000).unwrap();
        let target = Target::Ram {
            block,
            offset: 0,
            readonly: false,
        };
        sys.memory.map(Mapping {
            start: RAM,
            len: 0x10000,
            priority: 0,
            name: "ram".into(),
            target,
        });
        let console = Console::default();
        let heap = HeapInfo {
            heap_base: 1,
            heap_limit: 2,
            stack_base: 3,
            stack_limit: 4,
        };
        let command_line = "fw.elf one two".into();
        let config = Config {
            word: 4,
            command_line,
            heap,
            epoch: 1000,
            console: Box::new(console.clone()),
        };
        Self {
            sys,
            semi: Semihosting::new(config),
            console,
        }
    }

    fn call(&mut self, op: u32, args: &[u32]) -> i32 {
        for (i, a) in args.iter().enumerate() {
            self.sys.write(BLOCK + 4 * i as u64, 4, (*a).into()).unwrap();
        }
        match self.semi.call(of(op, BLOCK), &mut self.sys) {
            SemihostingDone::Result(r) => r as u32 as i32,
            SemihostingDone::Exit(code) => panic!("exit {code}"),
        }
    }

    fn put(&mut self, at: u64, text: &[u8]) -> u32 {
        self.sys.write_bytes(at, text).unwrap();
        at as u32
    }
}

#[test]
fn a_file_is_written_read_measured_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f").to_str().unwrap().to_owned();
    let mut g = Guest::new();
    let name = g.put(RAM + 0x1000, path.as_bytes());
    let data = g.put(RAM + 0x2000, b"hello");
    let h = g.call(op::OPEN, &[name, 6, path.len() as u32]);
    assert!(h > 0);
    assert_eq!(g.call(op::WRITE, &[h as u32, data, 5]), 0);
    assert_eq!(g.call(op::FLEN, &[h as u32]), 5);
    assert_eq!(g.call(op::SEEK, &[h as u32, 1]), 0);
    assert_eq!(g.call(op::READ, &[h as u32, (RAM + 0x3000) as u32, 10]), 6);
    let mut back = [0; 4];
    g.sys.read_bytes(RAM + 0x3000, &mut back).unwrap();
    assert_eq!(&back, b"ello");
    assert_eq!(g.call(op::CLOSE, &[h as u32]), 0);
    assert_eq!(g.call(op::CLOSE, &[h as u32]), -1);
    assert_eq!(g.call(op::ERRNO, &[]), 9);
    assert_eq!(g.call(op::REMOVE, &[name, path.len() as u32]), 0);
    assert!(!std::path::Path::new(&path).exists());
}

#[test]
fn the_console_is_one_stream() {
    let mut g = Guest::new();
    let tt = g.put(RAM + 0x1000, b":tt");
    let text = g.put(RAM + 0x2000, b"out\0");
    let h = g.call(op::OPEN, &[tt, 4, 3]) as u32;
    assert_eq!(g.call(op::ISTTY, &[h]), 1);
    assert_eq!(g.call(op::WRITE, &[h, text, 3]), 0);
    assert_eq!(
        g.semi.call(of(op::WRITE0, text.into()), &mut g.sys),
        SemihostingDone::Result(0)
    );
    assert_eq!(g.call(op::READ, &[h, text, 3]), 3, "end of file");
    assert_eq!(*g.console.0.lock().unwrap(), b"outout");
}

#[test]
fn features_command_line_heap_and_time() {
    let mut g = Guest::new();
    let name = g.put(RAM + 0x1000, FEATURES_NAME);
    let h = g.call(op::OPEN, &[name, 0, FEATURES_NAME.len() as u32]) as u32;
    assert_eq!(g.call(op::READ, &[h, (RAM + 0x2000) as u32, 5]), 0);
    assert_eq!(g.sys.read(RAM + 0x2000, 4), Ok(0x4246_4853));
    assert_eq!(
        g.call(op::GET_CMDLINE, &[(RAM + 0x2000) as u32, 14]),
        -1,
        "no room for the end"
    );
    assert_eq!(g.call(op::GET_CMDLINE, &[(RAM + 0x2000) as u32, 15]), 0);
    assert_eq!(g.sys.read(BLOCK + 4, 4), Ok(14));
    assert_eq!(g.call(op::HEAPINFO, &[(RAM + 0x2000) as u32]), 0);
    assert_eq!(g.sys.read(RAM + 0x200c, 4), Ok(4));
    g.sys.clock.consume(2_500_000);
    assert_eq!(g.call(op::TIME, &[]), 1002);
    assert_eq!(g.call(op::CLOCK, &[]), 250);
}
const FEATURES_NAME: &[u8] = b":semihosting-features";

#[test]
fn exits() {
    let mut g = Guest::new();
    assert_eq!(g.semi.call(of(op::EXIT, 0x20026), &mut g.sys), SemihostingDone::Exit(0));
    assert_eq!(g.semi.call(of(op::EXIT, 0x20023), &mut g.sys), SemihostingDone::Exit(1));
    g.sys.write(BLOCK, 4, 0x20026).unwrap();
    g.sys.write(BLOCK + 4, 4, 42).unwrap();
    assert_eq!(
        g.semi.call(of(op::EXIT_EXTENDED, BLOCK), &mut g.sys),
        SemihostingDone::Exit(42)
    );
}

#[test]
fn lies_are_answered() {
    let mut g = Guest::new();
    let name = g.put(RAM + 0x1000, b"/dev/zero");
    assert_eq!(g.call(op::OPEN, &[name, 0, 9]), -1, "only regular files");
    assert_eq!(g.call(op::OPEN, &[name, 99, 9]), -1);
    assert_eq!(g.call(op::OPEN, &[name, 0, u32::MAX]), -1);
    assert_eq!(g.call(op::OPEN, &[0xffff_fff0, 0, 100]), -1);
    assert_eq!(g.call(op::ERRNO, &[]), EFAULT);
    assert_eq!(g.call(op::SYSTEM, &[name, 9]), -1);
    assert_eq!(g.call(0x999, &[]), -1);
    assert_eq!(
        g.semi.call(of(op::WRITE0, 0xffff_ffff), &mut g.sys),
        SemihostingDone::Result(u32::MAX.into())
    );
}

fn of(op: u32, arg: u64) -> SemihostingCall {
    SemihostingCall { cpu: CpuId(0), op, arg }
}
