//! Every type of device through what a guest, a board, a peer and a saved file can do to it.

use southbridge_core::memory::{Mapping, RamBlock, Target};
use southbridge_core::{ClockRate, DeviceType, System};
use southbridge_testing::{Bench, Op, REGION_STRIDE, damage};

use crate::parts::{REGISTRY, peer_does, peers, pick_type, poll_host, registers};
use southbridge_backend_chardev::testing::Loop;

/// Where DMA finds memory.
const MEMORY_START: u64 = 0x8000_0000;
const MEMORY_SIZE: u64 = 0x1_0000;

fn bench(device_type: &'static DeviceType) -> Option<(Bench, Vec<Loop>)> {
    let mut sys = System::new(ClockRate::Hz(1_000_000_000)).ok()?;
    let (properties, peers) = peers(&mut sys, device_type);
    // A type that cannot stand alone (it needs a disk, say) is driven by its own tests and on its board.
    let mut bench = Bench::try_on(sys, device_type, properties).ok()?;
    add_memory(&mut bench.sys);
    Some((bench, peers))
}

/// Memory for DMA, where no region of a device on the bench is.
fn add_memory(sys: &mut System) {
    let Ok(block) = RamBlock::new("fuzz", MEMORY_SIZE) else {
        return;
    };
    sys.memory.map(Mapping {
        start: MEMORY_START,
        len: MEMORY_SIZE,
        priority: -1,
        name: "memory".into(),
        target: Target::Ram {
            block,
            offset: 0,
            readonly: false,
        },
    });
}

/// Two bytes pick the type; then eight bytes an operation: as `Op::sequence` has them, or with bits 4 and 5 of the
/// first byte set an access to a declared register, or with 255 something else.
pub fn device(data: &[u8]) {
    say_what_is_skipped();
    let Some((key, operations)) = data.split_first_chunk() else {
        return;
    };
    let Some((mut bench, peers)) = pick_type(*key).and_then(bench) else {
        return;
    };
    run(&mut bench, &peers, operations);
}

fn run(bench: &mut Bench, peers: &[Loop], operations: &[u8]) {
    for chunk in operations.as_chunks::<8>().0 {
        match *chunk {
            [0xff, what, rest @ ..] => special(bench, peers, what, rest),
            [kind, _, _, _, v0, v1, v2, v3] if kind & 0x30 == 0x30 => {
                by_register(bench, *chunk, u32::from_le_bytes([v0, v1, v2, v3]));
            }
            _ => Op::sequence(chunk).for_each(|op| bench.step_by(&op)),
        }
        // A device that asked for a reset gets it, as in a machine.
        if !std::mem::take(&mut bench.sys.requests).is_empty() {
            bench.sys.reset();
        }
    }
}

/// An access to a register that the type declares, or far into a region that has no table (its device decodes by itself): a byte's
/// worth of words, shifted, and perhaps the next word. Most are words.
fn by_register(bench: &mut Bench, [kind, register, width, ..]: [u8; 8], value: u32) {
    let regions = bench.device_type().regions;
    let region = usize::from(kind >> 6) % regions.len().max(1);
    let Some(decl) = regions.get(region) else { return };
    let offsets: Vec<u64> = registers(decl).collect();
    let offset = match offsets.get(usize::from(register) % offsets.len().max(1)) {
        Some(offset) => *offset,
        None => {
            let slot = bench.sys.slot(bench.device).and_then(|s| s.regions.get(region));
            let far = (u64::from(register) << (2 + (width & 0xf))) + u64::from(width >> 4 & 1) * 4;
            far % slot.map_or(1, |r| r.size.max(1))
        }
    };
    let size = match width >> 5 {
        0 => 1,
        1 => 2,
        _ => 4,
    };
    let address = region as u64 * REGION_STRIDE + offset;
    // Bus errors are a legal answer.
    if kind & 1 != 0 {
        let _ = bench.sys.write(address, size, value.into());
    } else {
        let _ = bench.sys.read(address, size);
    }
}

fn special(bench: &mut Bench, peers: &[Loop], what: u8, rest: [u8; 6]) {
    let [a, b, c, d, e, _] = rest;
    match what % 8 {
        0..=3 => {
            if let Some(peer) = peers.get(usize::from(a) % peers.len().max(1)) {
                peer_does(peer, b, &rest[2..]);
                poll_host(&mut bench.sys);
            }
        }
        4 => save_and_load(bench),
        5 => {
            let clocks = bench.clocks();
            if let Some(node) = clocks.get(usize::from(a) % clocks.len().max(1)) {
                let hz = u64::from(u32::from_le_bytes([b, c, d, 0])) << (e % 16);
                bench.sys.set_clock_hz(*node, hz);
                bench.sys.settle();
            }
        }
        _ => {
            let ns = u64::from(u16::from_le_bytes([a, b])) << (c % 48);
            let end = bench.sys.clock.now().after_ns(ns);
            bench.sys.advance_at_most(end, 100);
        }
    }
}

/// What a device saved it takes back, at any moment, and so does another of its type.
fn save_and_load(bench: &mut Bench) {
    let saved = bench.save();
    let loaded = bench.sys.with_device(bench.device, |d, _| d.load(&saved));
    assert_eq!(loaded, Some(Ok(())), "a device loads what it saved");
    assert_eq!(bench.save(), saved, "a loaded device saves the same again");
}

/// Two bytes pick the type, one says how many operations come before the state is taken; the next 64 bytes alter it; the rest are
/// operations on a device that loaded it.
pub fn device_state(data: &[u8]) {
    say_what_is_skipped();
    let Some(([a, b, before], rest)) = data.split_first_chunk() else {
        return;
    };
    let Some(device_type) = pick_type([*a, *b]) else { return };
    let Some((mut bench_a, peers_a)) = bench(device_type) else {
        return;
    };
    let (edits, operations) = rest.split_at(rest.len().min(64));
    let before = usize::from(before % 32) * 8;
    run(&mut bench_a, &peers_a, &operations[..before.min(operations.len())]);
    let bad = damage(&bench_a.save(), edits);
    let Some((mut bench_b, peers_b)) = bench(device_type) else {
        return;
    };
    let fresh = bench_b.save();
    match bench_b.sys.with_device(bench_b.device, |d, _| d.load(&bad)) {
        Some(Ok(())) => run(&mut bench_b, &peers_b, operations),
        Some(Err(_)) => assert_eq!(bench_b.save(), fresh, "a refused state changes nothing"),
        None => {}
    }
}

/// Types that cannot stand alone on a bench, with the reason: they are driven by their own tests and on their board.
pub fn skipped() -> Vec<(&'static str, String)> {
    let reason = |t: &'static DeviceType| {
        let mut sys = System::new(ClockRate::Hz(1_000_000_000)).ok()?;
        let (properties, _peers) = peers(&mut sys, t);
        let error = Bench::try_on(sys, t, properties).err()?;
        Some((t.name, error.to_string()))
    };
    REGISTRY.iter().filter_map(reason).collect()
}

/// Says once which types are left out: a campaign that skips silently looks better than it is.
fn say_what_is_skipped() {
    static SAID: std::sync::Once = std::sync::Once::new();
    SAID.call_once(|| {
        for (name, why) in skipped() {
            eprintln!("device: {name} is skipped: {why}");
        }
    });
}
