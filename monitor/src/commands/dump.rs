//! A core file for debuggers: ELF32 for Arm, little-endian, one note with the processor's registers, one segment for each memory.
//!
//! Layout: System V ABI, "Object Files"; the note is Linux's `elf_prstatus` for Arm, 148 bytes with the registers from byte 72.

use southbridge_core::Machine;
use southbridge_core::memory::{RamBlock, Target};
use std::io::{self, Write};

/// A stretch of memory.
pub(super) struct Stretch {
    start: u64,
    pub(super) len: u64,
    block: RamBlock,
    offset: u64,
}

/// All memory of the machine by address, or the part of it from an address on for so many bytes.
pub(super) fn regions(machine: &Machine, part: Option<(u64, u64)>) -> Vec<Stretch> {
    let (from, to) = part.map_or((0, u64::MAX), |(begin, len)| (begin, begin.saturating_add(len - 1)));
    let flat = machine
        .sys
        .memory
        .flat()
        .iter()
        .filter(|r| r.start <= to && from <= r.last);
    flat.filter_map(|r| match &r.target {
        Target::Ram { block, offset, .. } => {
            let (start, last) = (r.start.max(from), r.last.min(to));
            Some(Stretch {
                start,
                len: last - start + 1,
                block: block.clone(),
                offset: offset + (start - r.start),
            })
        }
        _ => None,
    })
    .collect()
}

const HEADER: u32 = 52;
const SEGMENT: u32 = 32;
const STATUS: usize = 148;
const REGISTERS_AT: usize = 72;
const ARM: u16 = 40;
const CORE: u16 = 4;
const LOAD: u32 = 1;
const NOTE: u32 = 4;

/// Writes the file.
pub(super) fn core_file(machine: &Machine, regions: &[Stretch], out: &mut impl Write) -> io::Result<()> {
    let too_large = || io::Error::other("more memory than an ELF32 file holds");
    let segments = u16::try_from(regions.len() + 1).map_err(|_| too_large())?;
    let note = note(machine);
    let note_at = HEADER + SEGMENT * u32::from(segments);
    let mut at = note_at + note.len() as u32;
    let mut head = Vec::new();
    head.extend(b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0");
    half(&mut head, &[CORE, ARM]);
    words(&mut head, &[1, 0, HEADER, 0, 0]);
    half(&mut head, &[HEADER as u16, SEGMENT as u16, segments, 0, 0, 0]);
    words(&mut head, &[NOTE, note_at, 0, 0, note.len() as u32, 0, 0, 0]);
    for r in regions {
        let (start, len) = (u32::try_from(r.start), u32::try_from(r.len));
        let (Ok(start), Ok(len)) = (start, len) else {
            return Err(too_large());
        };
        words(&mut head, &[LOAD, at, start, start, len, len, 7, 0]);
        at = at.checked_add(len).ok_or_else(too_large)?;
    }
    out.write_all(&head)?;
    out.write_all(&note)?;
    for r in regions {
        copy(r, out)?;
    }
    out.flush()
}

fn half(out: &mut Vec<u8>, values: &[u16]) {
    values.iter().for_each(|v| out.extend(v.to_le_bytes()));
}

fn words(out: &mut Vec<u8>, values: &[u32]) {
    values.iter().for_each(|v| out.extend(v.to_le_bytes()));
}

fn copy(r: &Stretch, out: &mut impl Write) -> io::Result<()> {
    let mut page = [0; 1 << 16];
    let mut done = 0;
    while done < r.len {
        let n = (r.len - done).min(page.len() as u64) as usize;
        if !r.block.read(r.offset + done, &mut page[..n]) {
            return Err(io::Error::other("memory ends too early"));
        }
        out.write_all(&page[..n])?;
        done += n as u64;
    }
    Ok(())
}

/// Registers r0 to r12, sp, lr, pc, xPSR; and r0 again, as at a system call.
fn note(machine: &Machine) -> Vec<u8> {
    const NAMES: [&str; 18] = [
        "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "sp", "lr", "pc", "xpsr", "r0",
    ];
    let registers = machine.cpus.first().map(|c| c.registers()).unwrap_or_default();
    let value = |name: &str| {
        registers
            .iter()
            .find(|r| r.name.eq_ignore_ascii_case(name))
            .map_or(0, |r| r.value as u32)
    };
    let mut status = vec![0; STATUS];
    // The thread's number: gdb calls it by it.
    status[24] = 1;
    for (i, name) in NAMES.into_iter().enumerate() {
        status[REGISTERS_AT + 4 * i..][..4].copy_from_slice(&value(name).to_le_bytes());
    }
    let mut note = Vec::new();
    words(&mut note, &[5, STATUS as u32, 1]);
    note.extend(b"CORE\0\0\0\0");
    note.extend(status);
    note
}
