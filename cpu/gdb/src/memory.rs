//! Memory packets.

use southbridge_core::{CpuId, Machine};
use southbridge_protocol_gdb::MAX_PACKET;

/// Bytes that one reply can hold.
const MOST: u64 = MAX_PACKET as u64 / 2;

/// The smallest page of any architecture: what stands side by side in it does so behind a translation, too.
const PAGE: u64 = 4096;

/// Where a core finds a stretch of its memory: in pieces of one page each, by their place in the stretch. Without a core, addresses are
/// physical.
fn pieces(
    machine: &mut Machine,
    cpu: Option<CpuId>,
    address: u64,
    len: usize,
) -> Option<Vec<(u64, std::ops::Range<usize>)>> {
    let mut out: Vec<(u64, std::ops::Range<usize>)> = Vec::new();
    let mut done = 0;
    while done < len {
        let at = address.checked_add(done as u64)?;
        let n = ((PAGE - at % PAGE) as usize).min(len - done);
        let sys = &mut machine.sys;
        let physical = match cpu.and_then(|cpu| machine.cpus.get(usize::from(cpu.0))) {
            Some(cpu) => cpu.translate(at, sys)?,
            None => at,
        };
        match out.last_mut() {
            Some((first, range)) if *first + (done - range.start) as u64 == physical => range.end = done + n,
            _ => out.push((physical, done..done + n)),
        }
        done += n;
    }
    Some(out)
}

fn peek(machine: &mut Machine, cpu: Option<CpuId>, address: u64, out: &mut [u8]) -> bool {
    let Some(pieces) = pieces(machine, cpu, address, out.len()) else {
        return false;
    };
    pieces
        .into_iter()
        .all(|(at, range)| machine.peek(at, &mut out[range]).is_ok())
}

/// Writes; `false` if not all of it stands somewhere.
pub(crate) fn write(machine: &mut Machine, cpu: Option<CpuId>, address: u64, data: &[u8]) -> bool {
    let Some(pieces) = pieces(machine, cpu, address, data.len()) else {
        return false;
    };
    pieces
        .into_iter()
        .all(|(at, range)| machine.poke(at, &data[range]).is_ok())
}

/// Reads as many bytes as there are, at most those asked for; `None` if not even the first.
pub(crate) fn read(machine: &mut Machine, cpu: Option<CpuId>, address: u64, len: u64) -> Option<Vec<u8>> {
    let mut out = vec![0; usize::try_from(len.min(MOST)).ok()?];
    if peek(machine, cpu, address, &mut out) {
        return Some(out);
    }
    // Part of it stands somewhere: gdb asks for the rest by itself.
    let mut there = Vec::new();
    for i in 0..len.min(64) {
        let mut byte = [0];
        if !peek(machine, cpu, address.checked_add(i)?, &mut byte) {
            break;
        }
        there.push(byte[0]);
    }
    (!there.is_empty()).then_some(there)
}

/// Makes flash empty.
pub(crate) fn erase(machine: &mut Machine, address: u64, len: u64) -> bool {
    let Some(end) = address.checked_add(len) else {
        return false;
    };
    let flat = machine.sys.memory.find(address).map(|r| r.last);
    // What is erased must be one stretch of memory: a guest's address space has no room for a loop over all that gdb can name.
    if flat.is_none_or(|last| end > last.saturating_add(1)) || machine.sys.ram_window(address).is_none() {
        return false;
    }
    let blank = [0xff; 0x400];
    let mut at = address;
    while at < end {
        let n = (end - at).min(blank.len() as u64);
        if machine.poke(at, &blank[..n as usize]).is_err() {
            return false;
        }
        at += n;
    }
    true
}

/// The checksum of `qCRC`: CRC-32 with the polynomial 0x04c11db7, most significant bit first, from all ones, not inverted.
pub(crate) fn crc(machine: &mut Machine, cpu: Option<CpuId>, address: u64, len: u64) -> Option<u32> {
    let mut sum = u32::MAX;
    let mut done = 0;
    // A length that no board's memory has is a mistake or mischief.
    while done < len.min(1 << 28) {
        let n = (len - done).min(MOST);
        let part = read(machine, cpu, address.checked_add(done)?, n)?;
        if part.len() as u64 != n {
            return None;
        }
        for byte in part {
            sum ^= u32::from(byte) << 24;
            for _ in 0..8 {
                sum = sum << 1 ^ if sum >> 31 != 0 { 0x04c1_1db7 } else { 0 };
            }
        }
        done += n;
    }
    (done == len).then_some(sum)
}
