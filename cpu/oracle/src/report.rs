//! A difference, told so that a person can decide who is right.

use std::fmt::Write as _;
use std::process::{Command, Stdio};

use crate::layout::{CODE, HANDLER, INPUT};
use crate::ours::Ours;
use crate::qemu::Qemu;
use crate::stream::{Outcome, Stream};

use southbridge_cpu_armv7m::decode::is_wide;

const NAMES: [&str; 17] = [
    "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "sp", "lr", "pc", "xpsr",
];

/// Seed, set-up, what differs, and the code.
pub fn describe(stream: &Stream, ours: &Outcome, theirs: &Outcome) -> String {
    let mut out = format!("seed {:#x}: {:x?}\n", stream.seed, stream.setup);
    for (name, a, b) in ours.differences(theirs).iter().take(12) {
        let _ = writeln!(out, "  {name:14} ours {a:08x}  oracle {b:08x}");
    }
    out
}

/// The first instruction after which the registers differ, found by stepping both; with the instruction, and the registers before and
/// after on both sides.
pub fn first_difference(stream: &Stream, ours: &mut Ours, qemu: &mut Qemu) -> String {
    let mine = ours.trace(stream);
    let theirs = match qemu.trace(stream, mine.len() + 8) {
        Ok(t) => t,
        Err(e) => return format!("  no trace of QEMU: {e}\n"),
    };
    let begin = |t: &[[u32; 17]]| t.iter().position(|r| r[15] == CODE.start).unwrap_or(t.len());
    let (mine, theirs) = (&mine[begin(&mine)..], &theirs[begin(&theirs)..]);
    // In the handler both run the same code; what it reads is compared already.
    let handler = |r: &&[u32; 17]| r[15] > 0x190 && r[15] < CODE.start;
    let len = mine.iter().take_while(|r| !handler(r)).count();
    let at = mine[..len].iter().zip(theirs).position(|(a, b)| a != b);
    let mut out = String::new();
    match at {
        None => {
            let _ = writeln!(
                out,
                "  registers agree over {} steps (memory or system registers differ)",
                len.min(theirs.len())
            );
        }
        Some(0) => {
            let _ = writeln!(out, "  they differ at the start of the stream");
            rows(&mut out, None, &mine[0], &theirs[0]);
        }
        Some(i) => {
            let pc = mine[i - 1][15];
            let _ = writeln!(out, "  step {i}, at {pc:#x}: {}", instruction(stream, pc));
            rows(&mut out, Some(&mine[i - 1]), &mine[i], &theirs[i]);
        }
    }
    out
}

fn rows(out: &mut String, before: Option<&[u32; 17]>, mine: &[u32; 17], theirs: &[u32; 17]) {
    for i in 0..17 {
        let old = before.map(|b| b[i]);
        if old != Some(mine[i]) || mine[i] != theirs[i] {
            let mark = if mine[i] == theirs[i] { ' ' } else { '*' };
            let old = old.map_or("-".into(), |v| format!("{v:08x}"));
            let _ = writeln!(
                out,
                "  {mark} {:5} before {old:8}  ours {:08x}  oracle {:08x}",
                NAMES[i], mine[i], theirs[i]
            );
        }
    }
    if let Some(b) = before {
        let _ = write!(out, "    all before:");
        for v in b {
            let _ = write!(out, " {v:x}");
        }
        out.push('\n');
    }
}

fn instruction(stream: &Stream, pc: u32) -> String {
    let (code, start) = if pc < HANDLER.start {
        (&stream.code, CODE.start)
    } else {
        (&stream.handler, HANDLER.start)
    };
    match code.get((pc.wrapping_sub(start) / 2) as usize..) {
        Some([a, b, ..]) if is_wide(*a) => format!("{a:04x} {b:04x}"),
        Some([a, ..]) => format!("{a:04x}"),
        _ => "outside the stream".into(),
    }
}

/// The code and its handler of SVC without NOPs and padding, disassembled where binutils for ARM are there.
pub fn disassembly(stream: &Stream) -> String {
    let path = std::env::temp_dir().join(format!("southbridge-oracle-{}.bin", std::process::id()));
    let image = stream.image();
    let bytes = &image[(CODE.start - INPUT) as usize..(HANDLER.end - INPUT) as usize];
    let text = std::fs::write(&path, bytes).ok().and_then(|()| {
        let out = Command::new("arm-none-eabi-objdump")
            .args(["-D", "-b", "binary", "-m", "arm", "-M", "force-thumb"])
            .arg(format!("--adjust-vma={:#x}", CODE.start))
            .arg(&path)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .ok()
            .filter(|o| o.status.success())?;
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        Some(
            text.lines()
                .skip(7)
                .filter(|l| !l.ends_with("\tnop") && !l.contains("de5a"))
                .map(|l| format!("  {l}\n"))
                .collect::<String>(),
        )
    });
    let _ = std::fs::remove_file(&path);
    text.unwrap_or_else(|| format!("  {:04x?}\n", stream.code))
}

/// Leaves out instructions as long as the sides still differ: NOPs take their place, so that addresses stay.
pub fn shrink(stream: &Stream, ours: &mut Ours, qemu: &mut Qemu) -> Stream {
    let mut best = stream.clone();
    let starts = instructions(&stream.code);
    let mut size = starts.len() - 1;
    while size > 0 {
        for chunk in starts.windows(size + 1).step_by(size) {
            let mut tried = best.clone();
            tried.code[chunk[0]..chunk[size]].fill(0xbf00);
            if tried != best && differs(&tried, ours, qemu) {
                best = tried;
            }
        }
        size /= 2;
    }
    best
}

/// Where instructions begin, and the end.
fn instructions(code: &[u16]) -> Vec<usize> {
    let mut out = vec![0];
    let mut at = 0;
    while let Some(h) = code.get(at) {
        at += if is_wide(*h) { 2 } else { 1 };
        out.push(at.min(code.len()));
    }
    out
}

fn differs(stream: &Stream, ours: &mut Ours, qemu: &mut Qemu) -> bool {
    let crate::ours::Ran::Done(mine) = ours.run(stream) else {
        return false;
    };
    matches!(qemu.run(stream), Ok(Some(theirs)) if theirs != mine)
}
