//! Whole boards: their address space without a processor, their saved states, and any bytes as their firmware.

use southbridge_backend_chardev::testing::Loop;
use southbridge_core::machine::{Outcome, Pacing};
use southbridge_core::memory::{FlatRange, Target};
use southbridge_core::system::Requests;
use southbridge_core::{ClockRate, Machine, System, VirtualTime};
use southbridge_machine::build::{Options, build};
use southbridge_machine::load::{Format, install, parse};
use southbridge_machine::{BOARDS, Built};
use southbridge_testing::damage;

use crate::parts::{REGISTRY, peer_does, poll_host, registers};

struct Board {
    built: Built,
    peers: Vec<Loop>,
    /// Addresses of the registers that each device declares.
    registers: Vec<Vec<u64>>,
    /// Devices and other stretches of the address space: first address and length.
    devices: Vec<(u64, u64)>,
    others: Vec<(u64, u64)>,
    saves: u8,
    /// Whether it has little memory.
    small: bool,
}

impl Board {
    fn new(which: u8) -> Option<Self> {
        let boards = BOARDS.iter().filter(|b| b.cpu.is_some());
        let board = *boards.clone().nth(usize::from(which) % boards.count())?;
        let mut machine = Machine::empty(ClockRate::Hz(1)).ok()?;
        let mut options = Options::default();
        let mut peers = Vec::new();
        for _ in 0..board.serial_ports {
            let (id, peer) = Loop::new(&mut machine.sys);
            options.serial.push(Some(id));
            peers.push(peer);
        }
        let mut built = build(machine, board, &REGISTRY, &options).expect("every board builds");
        built.machine.pacing = Pacing::SkipIdle;
        built.machine.policy.reset_ends = true;
        built.machine.reset();
        built.machine.resume();
        let flat = built.machine.sys.memory.flat();
        let range = |is_device| {
            flat.iter()
                .filter(move |r| matches!(r.target, Target::Device { .. }) == is_device)
                .map(|r| (r.start, r.last - r.start))
                .collect()
        };
        let (devices, others) = (range(true), range(false));
        let registers = flat.iter().filter_map(|r| declared(&built.machine.sys, r)).collect();
        let small = built.description.memory.iter().map(|m| m.len).sum::<u64>() < 1 << 20;
        Some(Self {
            built,
            peers,
            registers,
            devices,
            others,
            saves: 0,
            small,
        })
    }

    /// Eight bytes an operation.
    fn run(&mut self, operations: &[u8]) {
        for chunk in operations.as_chunks::<8>().0 {
            self.step(*chunk);
            let machine = &mut self.built.machine;
            machine.flush_lines();
            if machine.sys.requests.contains(Requests::RESET) {
                machine.reset();
            }
            machine.sys.requests = Requests::empty();
        }
    }

    fn step(&mut self, [kind, range, o0, o1, v0, v1, v2, v3]: [u8; 8]) {
        let offset = u16::from_le_bytes([o0, o1]);
        let value = u32::from_le_bytes([v0, v1, v2, v3]);
        let sys = &mut self.built.machine.sys;
        match kind & 0xf {
            0..=5 => by_register(sys, &self.registers, [kind, range, o0, o1], value),
            6..=9 => access(sys, &self.devices, kind, range, offset, value),
            10 => access(sys, &self.others, kind, range, offset, value),
            11 | 12 => {
                let end = sys.clock.now().after_ns(u64::from(value) << (range % 16));
                sys.advance_at_most(end, 1000);
            }
            13 => {
                if let Some(peer) = self.peers.get(usize::from(range) % self.peers.len().max(1)) {
                    peer_does(peer, o0, &[o1, v0, v1, v2, v3]);
                    poll_host(sys);
                }
            }
            // Looking through all memory costs more than all else together, on the larger board many times more.
            14 if self.saves == 0 && (self.small || range == 0xa5) => self.save_and_load(),
            15 if range == 0 => self.built.machine.reset(),
            _ => {}
        }
    }

    fn save_and_load(&mut self) {
        self.saves += 1;
        let machine = &mut self.built.machine;
        let saved = machine.save().expect("a board without foreign devices can be saved");
        assert_eq!(machine.load(&saved), Ok(()), "a board loads what it saved");
        assert!(machine.save() == Ok(saved), "a loaded board saves the same again");
    }
}

/// Where the registers of the device behind a range stand.
fn declared(sys: &System, range: &FlatRange) -> Option<Vec<u64>> {
    let Target::Device { device, region, .. } = range.target else {
        return None;
    };
    let decl = sys.slot(device)?.device_type.regions.get(region)?;
    let all: Vec<u64> = registers(decl).map(|offset| range.start + offset).collect();
    (!all.is_empty()).then_some(all)
}

fn by_register(sys: &mut System, all: &[Vec<u64>], [kind, device, register, width]: [u8; 4], value: u32) {
    let device = all.get(usize::from(device) % all.len().max(1));
    let address = device.and_then(|d| d.get(usize::from(register) % d.len()));
    let Some(address) = address else { return };
    let size = match width >> 5 {
        0 => 1,
        1 => 2,
        _ => 4,
    };
    // Bus errors are a legal answer.
    if kind & 1 != 0 {
        let _ = sys.write(*address, size, value.into());
    } else {
        let _ = sys.read(*address, size);
    }
}

/// Most accesses are words; a range larger than 64 KiB is reached at all its granules of 64 KiB in turn.
fn access(sys: &mut System, ranges: &[(u64, u64)], kind: u8, range: u8, offset: u16, value: u32) {
    let Some((start, last)) = ranges.get(usize::from(range) % ranges.len().max(1)) else {
        return;
    };
    let size = match kind >> 5 {
        0 => 1,
        1 => 2,
        2 => 8,
        _ => 4,
    };
    let far = u64::from(value >> 16) << 16;
    let address = start + ((u64::from(offset) | far) % (last.saturating_add(1)).max(1));
    let address = if kind & 0x10 == 0 {
        address & !(u64::from(size) - 1)
    } else {
        address
    };
    // Bus errors are a legal answer.
    if kind & 1 != 0 {
        let _ = sys.write(address, size, value.into());
    } else {
        let _ = sys.read(address, size);
    }
}

/// The first byte picks the board; then eight bytes an operation: an access, time, what a serial peer does, save and load, reset.
pub fn board(data: &[u8]) {
    let Some((which, operations)) = data.split_first() else {
        return;
    };
    if let Some(mut board) = Board::new(*which) {
        board.run(operations);
    }
}

/// The first byte picks the board, the next 32 alter its saved state, the rest are operations before and after loading it. Then the
/// processor runs what memory there is.
pub fn board_state(data: &[u8]) {
    let Some((which, rest)) = data.split_first() else {
        return;
    };
    let (edits, operations) = rest.split_at(rest.len().min(32));
    // The larger board costs twenty times the smaller one, and has nothing that its devices alone have not.
    let which = u8::from(which % 16 == 15);
    let Some(mut board) = Board::new(which) else { return };
    board.saves = 1;
    board.run(operations);
    let Ok(saved) = board.built.machine.save() else { return };
    let bad = damage(&saved, edits);
    if board.built.machine.load(&bad).is_ok() {
        board.run(operations);
        run_cpu(&mut board, 2_000);
        let _ = board.built.machine.save();
    }
    board.built.machine.reset();
    board.run(operations);
}

/// At most `instructions`, and any idle time between.
fn run_cpu(board: &mut Board, instructions: u64) -> Option<Outcome> {
    let machine = &mut board.built.machine;
    let hz = machine.sys.clock.hz();
    let end = VirtualTime(machine.sys.clock.now().0).after_ticks(instructions, hz);
    (end.0 < u64::MAX).then(|| machine.run_until(end))
}

/// The first byte picks the board, of those with a vector table; the next twelve give six registers a device's address; the rest is code behind a vector table whose
/// handlers are all inside it.
pub fn firmware(data: &[u8]) {
    const CODE: usize = 0x140;
    const STACK: u32 = 0x2000_2000;
    let Some(([which, bases @ ..], code)) = data.split_first_chunk::<13>() else {
        return;
    };
    let Some(mut board) = Board::new(*which) else { return };
    let entry = |n: usize| ((CODE + (n * 6) % code.len().clamp(1, 256)) as u32) | 1;
    let vectors = (0..CODE / 4).map(|n| if n == 0 { STACK } else { entry(n - 1) });
    let mut image: Vec<u8> = vectors.flat_map(u32::to_le_bytes).collect();
    image.extend(code);
    let program = parse(&image, Format::Raw, 0).expect("raw bytes are a program");
    if install(&mut board.built.machine, "fuzz", program).is_err() {
        // No memory stands at 0: a board whose processor starts without a vector table. Its code has a target of its own.
        return;
    }
    let machine = &mut board.built.machine;
    machine.reset();
    if let Some(cpu) = machine.cpus.first_mut() {
        for (n, base) in bases.as_chunks::<2>().0.iter().enumerate() {
            let (start, _) = board.devices[usize::from(base[0]) % board.devices.len()];
            cpu.set_register(REGISTERS[n], start + u64::from(base[1]) * 4);
        }
        cpu.set_register("r6", 0xe000_e000);
        cpu.set_register("r7", 0x2000_0100);
    }
    run_cpu(&mut board, 4_000);
}

const REGISTERS: [&str; 6] = ["r0", "r1", "r2", "r3", "r4", "r5"];
