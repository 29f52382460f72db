//! Memory packets.

use southbridge_core::Machine;
use southbridge_protocol_gdb::MAX_PACKET;

/// Bytes that one reply can hold.
const MOST: u64 = MAX_PACKET as u64 / 2;

/// Reads as many bytes as there are, at most those asked for; `None` if not even the first.
pub(crate) fn read(machine: &mut Machine, address: u64, len: u64) -> Option<Vec<u8>> {
    let mut out = vec![0; usize::try_from(len.min(MOST)).ok()?];
    if machine.peek(address, &mut out).is_ok() {
        return Some(out);
    }
    // Part of it stands somewhere: gdb asks for the rest by itself.
    let mut there = Vec::new();
    for i in 0..len.min(64) {
        let mut byte = [0];
        if machine.peek(address.checked_add(i)?, &mut byte).is_err() {
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
pub(crate) fn crc(machine: &mut Machine, address: u64, len: u64) -> Option<u32> {
    let mut sum = u32::MAX;
    let mut done = 0;
    // A length that no board's memory has is a mistake or mischief.
    while done < len.min(1 << 28) {
        let n = (len - done).min(MOST);
        let part = read(machine, address.checked_add(done)?, n)?;
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
