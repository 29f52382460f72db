//! Random register traffic on our devices and on those of an installed `qemu-system-arm`, compared read by read.
//!
//! Where the two differ on purpose (the devices' own documentation says where), the traffic below stays away.

use southbridge_core::{DeviceType, Properties};
use southbridge_device_primecell::{pl011, pl022, pl061};
use southbridge_testing::{Bench, Noise, skip};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A QEMU that executes nothing and takes bus accesses on its standard input.
struct Qemu {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Qemu {
    fn start(test: &str) -> Option<Self> {
        let started = Command::new("qemu-system-arm")
            .args(["-M", "lm3s6965evb", "-S", "-qtest", "stdio", "-display", "none"])
            .args(["-serial", "null", "-monitor", "none", "-nodefaults"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut child) = started else {
            skip(test, "no qemu-system-arm is installed");
            return None;
        };
        let (input, output) = (child.stdin.take()?, BufReader::new(child.stdout.take()?));
        Some(Self { child, input, output })
    }

    fn ask(&mut self, line: std::fmt::Arguments<'_>) -> String {
        writeln!(self.input, "{line}").unwrap();
        self.input.flush().unwrap();
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        answer
            .trim()
            .strip_prefix("OK")
            .expect("QEMU takes the command")
            .trim()
            .to_owned()
    }

    fn write(&mut self, address: u64, value: u32) {
        self.ask(format_args!("writel {address:#x} {value:#x}"));
    }

    fn read(&mut self, address: u64) -> u32 {
        let answer = self.ask(format_args!("readl {address:#x}"));
        u64::from_str_radix(answer.trim_start_matches("0x"), 16).unwrap() as u32
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The same device twice.
struct Pair {
    qemu: Qemu,
    base: u64,
    ours: Bench,
    trace: Vec<(u64, u32)>,
}

impl Pair {
    fn new(test: &str, base: u64, device: &'static DeviceType) -> Option<Self> {
        Some(Self {
            qemu: Qemu::start(test)?,
            base,
            ours: Bench::new(device, Properties::default()),
            trace: Vec::new(),
        })
    }

    fn write(&mut self, offset: u64, value: u32) {
        self.trace.push((offset, value));
        self.qemu.write(self.base + offset, value);
        self.ours.write32(offset, value);
    }

    fn read(&mut self, offset: u64) -> u32 {
        let (theirs, ours) = (self.qemu.read(self.base + offset), self.ours.read32(offset));
        let last = &self.trace[self.trace.len().saturating_sub(12)..];
        assert_eq!(ours, theirs, "read of {offset:#x} (ours, QEMU's), after {last:x?}");
        ours
    }
}

#[test]
fn pl061_luminary_is_as_in_qemu() {
    let Some(mut p) = Pair::new("pl061_luminary_is_as_in_qemu", 0x4000_4000, &pl061::TYPE_LUMINARY) else {
        return;
    };
    let registers: Vec<u64> = (0x400..=0x420).step_by(4).chain((0x500..=0x528).step_by(4)).collect();
    let mut noise = Noise::new(1);
    for _ in 0..3000 {
        let n = noise.next_u64();
        let value = (n >> 32) as u32 & 0xff;
        match n % 3 {
            0 => p.write(n >> 8 & 0x3fc, value),
            _ => {
                let offset = registers[(n >> 8) as usize % registers.len()];
                let read_only = matches!(offset, 0x414 | 0x418);
                let unlock = offset == 0x520 && n & 1 << 40 != 0;
                match read_only {
                    true => {}
                    false => p.write(offset, if unlock { 0x0acc_e551 } else { value }),
                }
            }
        }
        p.read(n >> 16 & 0x3fc);
        p.read(registers[(n >> 20) as usize % registers.len()]);
    }
    for offset in (0xfd0..0x1000).step_by(4) {
        p.read(offset);
    }
}

#[test]
fn pl022_is_as_in_qemu() {
    let Some(mut p) = Pair::new("pl022_is_as_in_qemu", 0x4000_8000, &pl022::TYPE) else {
        return;
    };
    p.read(0x0c);
    p.read(0x18);
    p.write(0x00, 0x7);
    p.write(0x10, 2);
    let mut noise = Noise::new(2);
    for _ in 0..3000 {
        let n = noise.next_u64();
        let value = (n >> 32) as u32;
        match n % 16 {
            0 => p.write(0x00, value & 0xffff),
            1 | 2 => p.write(0x04, value & 3),
            3 => p.write(0x14, value & 0xf),
            4 => p.write(0x20, value & 0xf),
            5 => p.write(0x10, value & 0xfe),
            6..=11 => p.write(0x08, value & 0xffff),
            _ => drop(p.read(0x08)),
        }
        for offset in [0x00, 0x04, 0x0c, 0x10, 0x14, 0x18, 0x1c] {
            p.read(offset);
        }
    }
    for offset in (0xfe0..0x1000).step_by(4) {
        p.read(offset);
    }
}

#[test]
fn pl011_luminary_is_as_in_qemu() {
    let Some(mut p) = Pair::new("pl011_luminary_is_as_in_qemu", 0x4000_c000, &pl011::TYPE_LUMINARY) else {
        return;
    };
    const RXFE: u32 = 1 << 4;
    const RXFF: u32 = 1 << 6;
    p.read(0x30);
    p.write(0x30, 0x381); // loopback
    let mut noise = Noise::new(3);
    for _ in 0..3000 {
        let n = noise.next_u64();
        let value = (n >> 32) as u32;
        let flags = p.read(0x18);
        match n % 16 {
            0 => p.write(0x24, value & 0xffff),
            1 => p.write(0x28, value & 0x3f),
            2 => p.write(0x2c, value & 0xfe),
            3 => p.write(0x34, value & 0x3f),
            4 => p.write(0x38, value & 0x7ff),
            5 => p.write(0x44, value & 0x7ff),
            6 => p.write(0x04, value & 0xff),
            7..=11 if flags & RXFF == 0 => p.write(0x00, value & 0xff),
            _ if flags & RXFE == 0 => drop(p.read(0x00)),
            _ => {}
        }
        for offset in [0x04, 0x18, 0x24, 0x28, 0x2c, 0x30, 0x34, 0x38, 0x3c, 0x40] {
            p.read(offset);
        }
    }
    for offset in (0xfe0..0x1000).step_by(4) {
        p.read(offset);
    }
}
