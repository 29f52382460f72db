//! Memory out of the machine.

use southbridge_core::CpuId;
use southbridge_core::memory::Target;
use std::fs::File;
use std::io::{self, BufWriter, Write};

use super::dump::{core_file, regions};
use super::{Result, refuse};
use crate::Cx;
use crate::schema::{
    DumpCompletedEvent, DumpGuestMemoryArgs, DumpGuestMemoryCapability, DumpGuestMemoryFormat, DumpQueryResult,
    DumpStatus, MemsaveArgs, PmemsaveArgs,
};

/// What a processor sees by its own addresses. Pages that it does not see are zero.
pub(super) fn memsave(cx: &mut Cx<'_>, args: MemsaveArgs) -> Result<()> {
    let cpu = super::cpu(cx, args.cpu_index.unwrap_or(0))?;
    save(cx, Some(cpu), args.val, args.size, &args.filename)
}

pub(super) fn pmemsave(cx: &mut Cx<'_>, args: PmemsaveArgs) -> Result<()> {
    save(cx, None, args.val, args.size, &args.filename)
}

fn save(cx: &mut Cx<'_>, cpu: Option<CpuId>, start: u64, size: u64, filename: &str) -> Result<()> {
    if start.checked_add(size).is_none() {
        return refuse("the address space ends before that");
    }
    let written = File::create(filename).and_then(|f| {
        let mut out = BufWriter::new(f);
        let mut page = [0; 4096];
        let mut done = 0;
        while done < size {
            let at = start + done;
            // No more than to the end of its page, behind which its neighbour may be elsewhere.
            let n = (size - done).min(page.len() as u64 - at % page.len() as u64) as usize;
            page[..n].fill(0);
            if let Some(at) = physical(cx, cpu, at) {
                peek(cx, at, &mut page[..n]);
            }
            out.write_all(&page[..n])?;
            done += n as u64;
        }
        out.flush()
    });
    written.or_else(|e| refuse(format!("cannot write '{filename}': {e}")))
}

fn physical(cx: &mut Cx<'_>, cpu: Option<CpuId>, address: u64) -> Option<u64> {
    let machine = &mut *cx.machine;
    match cpu.and_then(|c| machine.cpus.get(usize::from(c.0))) {
        Some(cpu) => cpu.translate(address, &mut machine.sys),
        None => Some(address),
    }
}

/// The same, and whether all of it is memory.
pub(crate) fn all_memory(cx: &mut Cx<'_>, start: u64, out: &mut [u8]) -> bool {
    let Some(end) = start.checked_add(out.len() as u64) else {
        return false;
    };
    let mut at = start;
    let ranges = cx.machine.sys.memory.flat().iter();
    for r in ranges.filter(|r| matches!(r.target, Target::Ram { .. })) {
        if r.start <= at && at <= r.last {
            at = r.last.saturating_add(1);
        }
    }
    if at >= end {
        peek(cx, start, out);
    }
    at >= end
}

/// Memory only: looking at a register might change it. What is no memory stays as it is in `out`.
pub(crate) fn look(cx: &mut Cx<'_>, start: u64, out: &mut [u8]) {
    peek(cx, start, out);
}

fn peek(cx: &mut Cx<'_>, start: u64, out: &mut [u8]) {
    let last = start.saturating_add(out.len() as u64 - 1);
    for r in cx
        .machine
        .sys
        .memory
        .flat()
        .iter()
        .filter(|r| r.start <= last && start <= r.last)
    {
        if let Target::Ram { block, offset, .. } = &r.target {
            let (from, to) = (r.start.max(start), r.last.min(last));
            let place = (from - start) as usize..=(to - start) as usize;
            // What the flat view says is there is there.
            let _ = block.read(offset + (from - r.start), &mut out[place]);
        }
    }
}

pub(super) fn dump_guest_memory(cx: &mut Cx<'_>, args: DumpGuestMemoryArgs) -> Result<()> {
    if args.format.is_some_and(|f| f != DumpGuestMemoryFormat::Elf) {
        return refuse("only the format 'elf' is here");
    }
    let part = match (args.begin, args.length) {
        (None, None) => None,
        (Some(begin), Some(length)) if args.paging => {
            return refuse(format!("'paging' does not go with a part ({begin}, {length})"));
        }
        (Some(begin), Some(length)) => match (u64::try_from(begin), u64::try_from(length)) {
            (Ok(begin), Ok(length)) if length > 0 => Some((begin, length)),
            _ => return refuse("'begin' and 'length' are not negative, and the part is not empty"),
        },
        _ => return refuse("'begin' and 'length' go together"),
    };
    if cx.machine.cpus.is_empty() {
        return refuse("this machine has no processor whose core file it could be");
    }
    let file = target(cx, &args.protocol)?;
    let regions = regions(cx.machine, part);
    let total = regions.iter().map(|r| r.len).sum::<u64>();
    let written = core_file(cx.machine, &regions, &mut BufWriter::new(file));
    let result = DumpQueryResult {
        status: if written.is_ok() {
            DumpStatus::Completed
        } else {
            DumpStatus::Failed
        },
        completed: if written.is_ok() { total as i64 } else { 0 },
        total: total as i64,
    };
    cx.world.last_dump = result.clone();
    let error = written.as_ref().err().map(io::Error::to_string);
    cx.world.emit(&DumpCompletedEvent {
        result,
        error: error.clone(),
    });
    match error {
        Some(e) if args.detach != Some(true) => refuse(format!("cannot write the dump: {e}")),
        _ => Ok(()),
    }
}

fn target(cx: &mut Cx<'_>, protocol: &str) -> Result<File> {
    if let Some(path) = protocol.strip_prefix("file:") {
        return File::create(path).or_else(|e| refuse(format!("cannot write '{path}': {e}")));
    }
    match protocol.strip_prefix("fd:") {
        Some(name) => match cx.world.named_fds.remove(name) {
            Some(fd) => Ok(File::from(fd)),
            None => refuse(format!("there is no descriptor '{name}' from getfd")),
        },
        None => refuse("'protocol' begins with 'file:' or 'fd:'"),
    }
}

pub(super) fn query_dump(cx: &mut Cx<'_>) -> Result<DumpQueryResult> {
    Ok(cx.world.last_dump.clone())
}

pub(super) fn query_dump_guest_memory_capability(_cx: &mut Cx<'_>) -> Result<DumpGuestMemoryCapability> {
    Ok(DumpGuestMemoryCapability {
        formats: vec![DumpGuestMemoryFormat::Elf],
    })
}
