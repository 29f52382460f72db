//! A core file for debuggers: ELF, little-endian, one note with the registers of each processor, one segment for each memory.
//!
//! Layout: System V ABI, "Object Files"; a note is Linux's `elf_prstatus`: for Arm 148 bytes with the registers from byte 72, for
//! RISC-V of 64 bits 376 with them from byte 112.

use southbridge_core::cpu::{Arch, Cpu};
use southbridge_core::memory::{RamBlock, Target};
use southbridge_core::{CpuId, Machine};
use std::io::{self, Write};

use crate::tree::cpus;

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

/// What differs between files of 32 and of 64 bits, and between architectures.
struct Form {
    wide: bool,
    machine: u16,
    header: u16,
    segment: u16,
    /// Bytes of a status, and where its registers begin.
    status: usize,
    registers_at: usize,
    /// gdb's numbers of the registers in it, in its order.
    registers: Vec<u32>,
}

const CORE: u16 = 4;
const LOAD: u32 = 1;
const NOTE: u32 = 4;

impl Form {
    fn of(arch: &Arch) -> Self {
        let wide = arch.bits == 64;
        // Arm: r0 to pc, xPSR, and r0 again, as at a system call. RISC-V: pc, x1 to x31.
        let registers = match arch.name {
            "arm" => (0..16).chain([25, 0]).collect(),
            _ => [32].into_iter().chain(1..32).collect::<Vec<u32>>(),
        };
        let (word, registers_at) = if wide { (8, 112) } else { (4, 72) };
        // Behind the registers: whether there are those of floating point, as one word.
        let status = registers_at + word * registers.len() + word;
        Self {
            wide,
            machine: arch.elf_machine,
            header: if wide { 64 } else { 52 },
            segment: if wide { 56 } else { 32 },
            status,
            registers_at,
            registers,
        }
    }

    /// An address or an offset.
    fn place(&self, out: &mut Vec<u8>, values: &[u64]) -> io::Result<()> {
        for v in values {
            match (self.wide, u32::try_from(*v)) {
                (true, _) => out.extend(v.to_le_bytes()),
                (false, Ok(v)) => out.extend(v.to_le_bytes()),
                (false, Err(_)) => return Err(too_large()),
            }
        }
        Ok(())
    }

    fn header(&self, segments: u16) -> io::Result<Vec<u8>> {
        let mut out = b"\x7fELF".to_vec();
        out.extend([if self.wide { 2 } else { 1 }, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        half(&mut out, &[CORE, self.machine]);
        words(&mut out, &[1]);
        self.place(&mut out, &[0, self.header.into(), 0])?;
        words(&mut out, &[0]);
        half(&mut out, &[self.header, self.segment, segments, 0, 0, 0]);
        Ok(out)
    }

    fn segment(&self, out: &mut Vec<u8>, kind: u32, at: u64, start: u64, len: [u64; 2]) -> io::Result<()> {
        let flags = if kind == LOAD { 7 } else { 0 };
        words(out, &[kind]);
        if self.wide {
            words(out, &[flags]);
        }
        self.place(out, &[at, start, start, len[0], len[1]])?;
        if !self.wide {
            words(out, &[flags]);
        }
        self.place(out, &[0])
    }
}

fn too_large() -> io::Error {
    io::Error::other("more memory than such a file holds")
}

/// Writes the file.
pub(super) fn core_file(machine: &Machine, regions: &[Stretch], out: &mut impl Write) -> io::Result<()> {
    let Some(form) = machine.cpus.first().map(|c| Form::of(c.arch())) else {
        return Err(io::Error::other("a machine without processor"));
    };
    let segments = u16::try_from(regions.len() + 1).map_err(|_| too_large())?;
    let notes: Vec<u8> = cpus(machine).flat_map(|cpu| note(machine, cpu, &form)).collect();
    let note_at = u64::from(form.header) + u64::from(form.segment) * u64::from(segments);
    let mut at = note_at + notes.len() as u64;
    let mut head = form.header(segments)?;
    form.segment(&mut head, NOTE, note_at, 0, [notes.len() as u64, 0])?;
    for r in regions {
        form.segment(&mut head, LOAD, at, r.start, [r.len, r.len])?;
        at = at.checked_add(r.len).ok_or_else(too_large)?;
    }
    out.write_all(&head)?;
    out.write_all(&notes)?;
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

/// The status of one processor.
fn note(machine: &Machine, id: CpuId, form: &Form) -> Vec<u8> {
    let cpu = machine.cpu(id);
    let features = cpu.map(Cpu::gdb_features).unwrap_or_default();
    let value = |number: u32| {
        let mut all = features.iter().flat_map(|f| &f.registers);
        let r = all.find(|r| r.number == number)?;
        cpu?.register(r.name, &machine.sys)
    };
    let mut status = vec![0; form.status];
    // The thread's number: gdb calls it by it.
    let number_at = if form.wide { 32 } else { 24 };
    status[number_at] = id.0 + 1;
    let width = if form.wide { 8 } else { 4 };
    for (i, number) in form.registers.iter().enumerate() {
        let value = value(*number).unwrap_or(0).to_le_bytes();
        status[form.registers_at + width * i..][..width].copy_from_slice(&value[..width]);
    }
    let mut note = Vec::new();
    words(&mut note, &[5, form.status as u32, 1]);
    note.extend(b"CORE\0\0\0\0");
    note.extend(status);
    note
}
