//! What the RISC-V machine takes from others: kernels, device trees, code, and the calls of its built-in firmware.

use southbridge_core::cpu::{Firmware, FirmwareDone};
use southbridge_core::machine::Pacing;
use southbridge_core::memory::{Mapping, Target};
use southbridge_core::{ClockRate, CpuId, Machine};
use southbridge_cpu_rv64::{Config, Rv64};
use southbridge_cpu_sbi::{Boot, Sbi};
use southbridge_machine::boot::image;
use southbridge_machine::fdt::Node;
use std::any::Any;

const RAM: u64 = 0x8000_0000;
const RAM_LEN: u64 = 1 << 16;
/// Where code of the fuzzer begins, behind the trap handler.
const CODE: u64 = RAM + 0x100;
/// Virtual time that code gets, in nanoseconds, which are instructions.
const TIME: u64 = 20_000;

/// A file for `-kernel` of `virt`, perhaps compressed.
pub fn kernel(data: &[u8]) {
    if let Ok(kernel) = image::unpack(data) {
        assert!(kernel.contents.len() as u64 <= image::MAX_UNPACKED);
    }
}

/// A file for `-dtb`: what is understood means the same when it was written out and read again.
pub fn device_tree(data: &[u8]) {
    let Ok(tree) = Node::from_blob(data) else { return };
    // Names that no tree may have are refused when it is written.
    let Ok(blob) = tree.to_blob() else { return };
    let again = Node::from_blob(&blob).expect("what was written can be read");
    assert_eq!(again.to_blob().as_ref(), Ok(&blob));
}

fn machine(harts: u8, config: impl Fn(u8) -> Config) -> Option<Machine> {
    let mut m = Machine::empty(ClockRate::Hz(1_000_000_000)).ok()?;
    let block = m.add_ram("ram", RAM_LEN).ok()?;
    m.sys.memory.map(Mapping {
        start: RAM,
        len: RAM_LEN,
        priority: 0,
        name: "ram".into(),
        target: Target::Ram {
            block,
            offset: 0,
            readonly: false,
        },
    });
    m.pacing = Pacing::SkipIdle;
    for i in 0..harts {
        m.add_cpu(Box::new(Rv64::new(config(i))));
    }
    Some(m)
}

fn hart(m: &mut Machine, id: u8) -> Option<&mut Rv64> {
    (m.cpus.get_mut(usize::from(id))?.as_mut() as &mut dyn Any).downcast_mut()
}

/// Calls of the firmware, made by either of two harts: which one, extension, function, six arguments; between them the harts execute
/// what is in memory, so that those which were started, stopped or sent to sleep do something.
pub fn sbi(data: &[u8]) {
    const EXTENSIONS: [u64; 16] = {
        use southbridge_cpu_sbi::spec::extension::*;
        [
            BASE,
            TIME,
            IPI,
            RFENCE,
            HSM,
            SRST,
            PMU,
            DBCN,
            SUSP,
            LEGACY_SET_TIMER,
            LEGACY_PUTCHAR,
            LEGACY_GETCHAR,
            LEGACY_CLEAR_IPI,
            LEGACY_SHUTDOWN,
            5,
            0x5555_5555,
        ]
    };
    let config = |i: u8| Config {
        firmware: true,
        ..Config::max(CpuId(i), i.into())
    };
    let Some(mut m) = machine(2, config) else { return };
    let boot = Boot {
        entry: CODE,
        device_tree: 0,
    };
    // No UART stands there: the console must live with that.
    let mut firmware = Sbi::new(0x1000_0000, boot);
    m.start();
    firmware.reset(&mut m.cpus, &mut m.sys);
    for chunk in data.as_chunks::<10>().0 {
        let [who, extension, function, arguments @ ..] = *chunk;
        let caller = CpuId(who & 1);
        let Some(cpu) = hart(&mut m, caller.0) else { return };
        cpu.set_gpr(17, EXTENSIONS[usize::from(extension) % EXTENSIONS.len()]);
        cpu.set_gpr(16, u64::from(function % 10));
        for (n, a) in arguments.iter().enumerate().take(6) {
            cpu.set_gpr(10 + n as u8, argument(*a));
        }
        if firmware.call(caller, &mut m.cpus, &mut m.sys) == FirmwareDone::Reset {
            firmware.reset(&mut m.cpus, &mut m.sys);
        }
        let saved = firmware.save();
        assert_eq!(firmware.load(&saved), Ok(()), "firmware loads what it saved");
        let end = m.sys.clock.now().after_ns(u64::from(arguments[6]));
        m.run_until(end);
    }
}

/// A number that matters, from a byte.
fn argument(a: u8) -> u64 {
    match a {
        0..=15 => a.into(),
        16..=79 => 1 << (a - 16),
        80..=143 => (1_u64 << (a - 80)).wrapping_neg(),
        144..=199 => RAM + u64::from(a - 144) * 0x400,
        _ => u64::MAX - u64::from(255 - a),
    }
}

/// Any bytes as code in machine mode, cut into slices in two ways that must agree. Traps go to a handler that steps over the instruction.
pub fn rv64_code(data: &[u8]) {
    let Some((cut, code)) = data.split_first() else { return };
    let whole = run_code(code, TIME);
    let sliced = run_code(code, u64::from(*cut) * 7 + 3);
    assert_eq!(whole, sliced, "how a run is cut is not seen");
}

fn run_code(code: &[u8], slice: u64) -> Option<Vec<u64>> {
    // Trap handler: mepc += 4 without its low bits, back to machine mode.
    const HANDLER: [u32; 9] = [
        0x3400_1073 | 5 << 15, // csrw mscratch, t0
        0x3410_22f3,           // csrr t0, mepc
        0x0042_8293,           // addi t0, t0, 4
        0xffc2_f293,           // andi t0, t0, -4
        0x3412_9073,           // csrw mepc, t0
        0x0000_22b7,           // lui t0, 2
        0x8002_8293,           // addi t0, t0, -2048
        0x3002_a073,           // csrs mstatus, t0
        0x3400_22f3,           // csrr t0, mscratch
    ];
    const MRET: u32 = 0x3020_0073;
    let config = |i: u8| Config {
        reset_pc: CODE,
        imsic_ids: 255,
        ..Config::max(CpuId(i), i.into())
    };
    let mut m = machine(1, config)?;
    let handler: Vec<u8> = HANDLER.iter().chain(&[MRET]).flat_map(|w| w.to_le_bytes()).collect();
    m.sys.load_bytes(RAM, &handler).ok()?;
    m.sys.load_bytes(CODE, code.get(..code.len().min(0x8000))?).ok()?;
    m.start();
    m.cpus[0].set_register("mtvec", RAM);
    let end = m.sys.clock.now().after_ns(TIME);
    while m.sys.clock.now() < end {
        let now = m.sys.clock.now();
        let next = now.after_ns(slice).min(end);
        m.run_until(next);
        if m.sys.clock.now() == now {
            break;
        }
    }
    let registers = m.cpus[0].registers();
    // A sleeping hart shows the time at which it was asked last.
    let timeless = registers
        .iter()
        .filter(|r| !matches!(r.name, "mcycle" | "cycle" | "time"));
    Some(timeless.map(|r| r.value).collect())
}
