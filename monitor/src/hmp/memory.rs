//! Memory, ports and expressions.

use southbridge_core::memory::Target;
use southbridge_core::{CpuId, Machine};
use std::fmt::Write;

use super::args::Format;
use super::{Call, Refusal, failed};

type Done = Result<(), Refusal>;

/// How memory was shown last: what a later command leaves open is as before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    style: char,
    width: u8,
}

impl Default for Shape {
    fn default() -> Self {
        Self { style: 'x', width: 4 }
    }
}

/// Items in one dump beyond which it is refused: a client that reads slowly would be sent it for hours.
const MOST_ITEMS: u64 = 1 << 20;

pub(super) fn virtual_dump(call: &mut Call<'_, '_>) -> Done {
    if call.cx.machine.cpus.is_empty() {
        return failed("this machine has no processor; 'xp' shows its memory");
    }
    dump(call, false)
}

pub(super) fn physical_dump(call: &mut Call<'_, '_>) -> Done {
    dump(call, true)
}

fn dump(call: &mut Call<'_, '_>, physical: bool) -> Done {
    let (format, start) = (call.args.format(0), call.args.number(1).unwrap_or(0));
    let last = &mut call.cx.world.hmp.dump;
    let count = format.map_or(1, |f| f.count);
    if let Some(style) = format.and_then(|f| f.style) {
        last.style = style;
    }
    if let Some(width) = format.and_then(|f| f.width) {
        last.width = width;
    }
    let shape = *last;
    let cpu = call.cx.world.hmp.cpu;
    let cpu = (!physical).then_some(cpu);
    if count > MOST_ITEMS {
        return failed(format!("{count} items are too many; {MOST_ITEMS} is the most"));
    }
    if shape.style == 'i' {
        return instructions(call, cpu, start, count);
    }
    let width = if shape.style == 'c' { 1 } else { shape.width };
    let wide = physical || call.cx.machine.cpus.first().is_some_and(|c| c.arch().bits > 32);
    let each = if shape.width == 1 { 8 } else { 16 };
    let mut left = count * u64::from(shape.width);
    let mut at = start;
    while left > 0 {
        let here = left.min(each);
        let mut line = if wide {
            format!("{at:016x}:")
        } else {
            format!("{at:08x}:")
        };
        let mut known = true;
        for offset in (0..here).step_by(usize::from(width)) {
            match peek(call.cx.machine, cpu, at.wrapping_add(offset), width) {
                Some(value) => line += &format!(" {}", shown(value, width, shape.style)),
                None => {
                    known = false;
                    line += " Cannot access memory";
                    break;
                }
            }
        }
        call.say(format_args!("{line}"));
        if !known {
            break;
        }
        at = at.wrapping_add(here);
        left -= here;
    }
    Ok(())
}

fn shown(value: u64, width: u8, style: char) -> String {
    let bits = usize::from(width) * 8;
    let signed = ((value << (64 - bits)) as i64) >> (64 - bits);
    match style {
        'o' => {
            let text = if value == 0 { "0".into() } else { format!("0{value:o}") };
            format!("{text:>digits$}", digits = bits.div_ceil(3))
        }
        'd' => format!("{signed:>digits$}", digits = (bits * 10).div_ceil(33)),
        'u' => format!("{value:>digits$}", digits = (bits * 10).div_ceil(33)),
        'c' => character(value),
        _ => format!("0x{value:0digits$x}", digits = bits / 4),
    }
}

fn character(value: u64) -> String {
    let byte = value as u8;
    match byte {
        b'\'' => "'\\''".into(),
        b'\\' => "'\\\\'".into(),
        b'\n' => "'\\n'".into(),
        b'\r' => "'\\r'".into(),
        b' '..=126 => format!("'{}'", char::from(byte)),
        _ => format!("'\\x{byte:02x}'"),
    }
}

/// Where that processor would find an address; as it is without one.
pub(super) fn physical(machine: &mut Machine, cpu: Option<CpuId>, at: u64) -> Option<u64> {
    match cpu.and_then(|c| machine.cpus.get(usize::from(c.0))) {
        Some(cpu) => cpu.translate(at, &mut machine.sys),
        None => Some(at),
    }
}

/// One access as the processor would do it: its own registers, then the address space.
fn peek(machine: &mut Machine, cpu: Option<CpuId>, at: u64, width: u8) -> Option<u64> {
    if width == 8 {
        let low = peek(machine, cpu, at, 4)?;
        return Some(low | peek(machine, cpu, at.checked_add(4)?, 4)? << 32);
    }
    let at = physical(machine, cpu, at)?;
    let sys = &mut machine.sys;
    if let Some(debug) = machine.cpus.first_mut().and_then(|c| c.debug())
        && debug
            .private()
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&at))
    {
        return debug.read_private(at, width, sys);
    }
    sys.read(at, width).ok()
}

fn instructions(call: &mut Call<'_, '_>, view: Option<CpuId>, start: u64, count: u64) -> Done {
    let chosen = usize::from(call.cx.world.hmp.cpu.0);
    let machine = &mut call.cx.machine;
    let Some(cpu) = machine.cpus.get(chosen) else {
        return failed("this machine has no processor whose instructions they could be");
    };
    let mut at = start & !1;
    for _ in 0..count {
        let mut code = [0; 4];
        // The last halfword of a memory may be an instruction.
        let mut got = 0;
        for half in 0..2 {
            let place = at.wrapping_add(2 * half as u64);
            let place = match view {
                Some(_) => cpu.translate(place, &mut machine.sys),
                None => Some(place),
            };
            let Some(place) = place else { break };
            let in_memory = machine
                .sys
                .memory
                .find(place)
                .is_some_and(|r| matches!(r.target, Target::Ram { .. }));
            if !in_memory
                || machine
                    .sys
                    .read_bytes(place, &mut code[2 * half..2 * half + 2])
                    .is_err()
            {
                break;
            }
            got = 2 * half + 2;
        }
        let Some((len, text)) = cpu.disassemble(at, &code[..got]) else {
            let _ = writeln!(call.out, "0x{at:08x}:  Cannot access memory");
            break;
        };
        let units: Vec<_> = code[..len]
            .chunks(2)
            .map(|u| format!("{:02x}{:02x}", u[1], u[0]))
            .collect();
        let _ = writeln!(call.out, "0x{at:08x}:  {:<9}  {text}", units.join(" "));
        at = at.wrapping_add(len as u64);
    }
    Ok(())
}

pub(super) fn print(call: &mut Call<'_, '_>) -> Done {
    let value = call.args.number(1).unwrap_or(0);
    let last = &mut call.cx.world.hmp.dump;
    last.style = call.args.format(0).and_then(|f| f.style).unwrap_or(last.style);
    let text = match last.style {
        'o' if value != 0 => format!("0{value:o}"),
        'o' => "0".into(),
        'x' => format!("{value:#x}"),
        'u' => format!("{value}"),
        'c' => character(value),
        _ => format!("{}", value as i64),
    };
    call.say(format_args!("{text}"));
    Ok(())
}

/// The boards have no I/O ports: reads see an empty bus, writes reach nothing.
pub(super) fn port_read(call: &mut Call<'_, '_>) -> Done {
    let width = port_width(call.args.format(0))?;
    let port = call.args.number(1).unwrap_or(0) & 0xffff;
    let (letter, digits) = (letter(width), 2 * usize::from(width));
    let value = u32::MAX >> (32 - 8 * u32::from(width));
    call.say(format_args!("port{letter}[0x{port:04x}] = 0x{value:0digits$x}"));
    Ok(())
}

pub(super) fn port_write(call: &mut Call<'_, '_>) -> Done {
    port_width(call.args.format(0)).map(drop)
}

fn port_width(format: Option<Format>) -> Result<u8, Refusal> {
    match format.and_then(|f| f.width).unwrap_or(1) {
        8 => failed("a port is at most 4 bytes wide"),
        width => Ok(width),
    }
}

fn letter(width: u8) -> char {
    match width {
        1 => 'b',
        2 => 'w',
        _ => 'l',
    }
}
