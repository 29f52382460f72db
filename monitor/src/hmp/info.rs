//! `info`, where a few lines do.

use southbridge_backend_chardev::Chardev;
use southbridge_cli::personality::QEMU_VERSION;
use southbridge_core::CpuId;
use southbridge_core::cpu::RegisterValue;
use southbridge_core::line::Sink;

use super::table::{COMMANDS, INFOS, find};
use super::{Call, Refusal, failed};

type Done = Result<(), Refusal>;

pub(super) fn help(call: &mut Call<'_, '_>) -> Done {
    let wanted = call.args.word(0);
    let words: Vec<&str> = wanted.split_whitespace().collect();
    match words.as_slice() {
        [] => COMMANDS.iter().for_each(|c| call.out += &c.line("")),
        ["info"] => INFOS.iter().for_each(|c| call.out += &c.line("info ")),
        ["info", name] => match find(INFOS, name) {
            Some(c) => call.out += &c.line("info "),
            None => return failed(format!("there is no 'info {name}'")),
        },
        [name] => match find(COMMANDS, name) {
            Some(c) => call.out += &c.line(""),
            None => return failed(format!("there is no command '{name}'")),
        },
        [_, _, ..] => return Err(Refusal::Usage("one command at a time".into())),
    }
    Ok(())
}

/// `info` alone.
pub(super) fn list(call: &mut Call<'_, '_>) -> Done {
    INFOS.iter().for_each(|c| call.out += &c.line("info "));
    Ok(())
}

pub(super) fn status(call: &mut Call<'_, '_>) -> Done {
    let state = call.cx.machine.run_state().name();
    match state {
        "running" | "paused" => call.say(format_args!("VM status: {state}")),
        _ => call.say(format_args!("VM status: paused ({state})")),
    }
    Ok(())
}

pub(super) fn version(call: &mut Call<'_, '_>) -> Done {
    let package = crate::commands::version().package;
    call.say(format_args!("{QEMU_VERSION} ({package})"));
    Ok(())
}

pub(super) fn name(call: &mut Call<'_, '_>) -> Done {
    if let Some(name) = call.cx.world.facts.name.clone() {
        call.say(format_args!("{name}"));
    }
    Ok(())
}

pub(super) fn uuid(call: &mut Call<'_, '_>) -> Done {
    let hex: String = call.cx.world.facts.uuid.iter().map(|b| format!("{b:02x}")).collect();
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    call.say(format_args!("{}", parts.join("-")));
    Ok(())
}

/// All processors run on the machine's one thread, which is the process.
pub(super) fn cpus(call: &mut Call<'_, '_>) -> Done {
    let chosen = call.cx.world.hmp.cpu;
    for cpu in crate::tree::cpus(call.cx.machine) {
        let mark = if cpu == chosen { '*' } else { ' ' };
        call.say(format_args!("{mark} CPU #{}: thread_id={}", cpu.0, std::process::id()));
    }
    Ok(())
}

/// Chooses the processor that commands are about.
pub(super) fn choose(call: &mut Call<'_, '_>) -> Done {
    let n = call.args.number(0).unwrap_or(0);
    match u8::try_from(n).map(CpuId) {
        Ok(cpu) if call.cx.machine.cpu(cpu).is_some() => call.cx.world.hmp.cpu = cpu,
        _ => return failed(format!("there is no processor {n}")),
    }
    Ok(())
}

pub(super) fn history(call: &mut Call<'_, '_>) -> Done {
    for (i, line) in call.history.iter().enumerate() {
        call.out += &format!("{i}: '{line}'\n");
    }
    Ok(())
}

pub(super) fn chardev(call: &mut Call<'_, '_>) -> Done {
    let ids: Vec<_> = call
        .cx
        .world
        .chardevs
        .iter()
        .map(|(id, b)| (id.to_owned(), b))
        .collect();
    for (id, backend) in ids {
        let found = call.cx.machine.sys.host.get::<Chardev>(backend);
        let what = found.map(|(c, _)| c.describe()).unwrap_or_default();
        call.say(format_args!("{id}: filename={what}"));
    }
    Ok(())
}

/// Interrupts of the board, who drives them, and their levels: machines do not count interrupts, so there are no statistics.
pub(super) fn irq(call: &mut Call<'_, '_>) -> Done {
    let machine = &call.cx.machine;
    let mut lines: Vec<(u32, String)> = Vec::new();
    for (id, slot) in machine.sys.devices() {
        let outputs = slot
            .device_type
            .lines
            .iter()
            .filter(|l| l.direction == southbridge_core::LineDirection::Out);
        let names = outputs.flat_map(|l| (0..l.count).map(move |i| (l, i)));
        for (output, (line, i)) in (0u16..).zip(names) {
            let Some(net) = machine.sys.net_of(id, output) else {
                continue;
            };
            let level = u8::from(machine.sys.output_level(id, output));
            let index = if line.count > 1 {
                format!("[{i}]")
            } else {
                String::new()
            };
            let text = format!("{} {}{index} (level {level})", machine.sys.label(id), line.name);
            let to_cpu = machine.sys.net_sinks(net).into_iter().filter_map(|sink| match sink {
                Sink::Cpu(cpu, n) if cpu == call.cx.world.hmp.cpu => Some(n),
                _ => None,
            });
            lines.extend(to_cpu.map(|n| (n, text.clone())));
        }
    }
    lines.sort();
    for (n, text) in lines {
        let number = if n < 1 << 15 { n.to_string() } else { "NMI".into() };
        call.say(format_args!("{number:>4}: {text}"));
    }
    Ok(())
}

/// Interrupt controllers inside processors: the NVIC of ARMv7-M.
pub(super) fn pic(call: &mut Call<'_, '_>) -> Done {
    let Some(cpu) = call.cx.machine.cpus.first_mut() else {
        return Ok(());
    };
    let sys = &mut call.cx.machine.sys;
    if cpu.arch().name != "arm" {
        return Ok(());
    }
    let Some(debug) = cpu.debug() else { return Ok(()) };
    let mut read = |at: u64| debug.read_private(at, 4, sys).unwrap_or(0);
    // ARMv7-M ARM, B3.4: ICTR, then ISER, ISPR and IABR, a word for each 32 interrupts.
    let words = read(0xe000_e004) & 0xf;
    let mut text = String::from("nvic:\n");
    for i in 0..=words {
        let (enabled, pending, active) = (
            read(0xe000_e100 + 4 * i),
            read(0xe000_e200 + 4 * i),
            read(0xe000_e300 + 4 * i),
        );
        let first = 32 * i;
        text += &format!(
            "  {first:3}..{:<3} enabled={enabled:08x} pending={pending:08x} active={active:08x}\n",
            first + 31
        );
    }
    call.out += &text;
    Ok(())
}

pub(super) fn roms(call: &mut Call<'_, '_>) -> Done {
    let images = &call.cx.machine.images;
    let text: String = images
        .iter()
        .map(|i| {
            format!(
                "addr={:016x} size={:#08x} mem=ram name=\"{}\"\n",
                i.address,
                i.data.len(),
                i.name
            )
        })
        .collect();
    call.out += &text;
    Ok(())
}

/// What was executed, and how, of each processor.
pub(super) fn jit(call: &mut Call<'_, '_>) -> Done {
    let executed = call.cx.machine.sys.clock.executed();
    call.out += "Accelerator settings:\none-insn-per-tb: off\n\n";
    call.say(format_args!("Instructions executed  {executed}"));
    let lines: Vec<_> = call.cx.machine.cpus.iter().map(|cpu| cpu.execution()).collect();
    for (n, lines) in lines.iter().enumerate() {
        call.say(format_args!("CPU #{n}"));
        lines.iter().for_each(|line| call.say(format_args!("  {line}")));
    }
    Ok(())
}

pub(super) fn registers(call: &mut Call<'_, '_>) -> Done {
    if call.cx.machine.cpus.is_empty() {
        return failed("this machine has no processor");
    }
    let wanted = match call.args.number(1) {
        Some(n) => vec![u8::try_from(n).map(CpuId).unwrap_or(CpuId(u8::MAX))],
        None if call.args.flag(0) => crate::tree::cpus(call.cx.machine).collect(),
        None => vec![call.cx.world.hmp.cpu],
    };
    for id in wanted {
        let Some(cpu) = call.cx.machine.cpu(id) else {
            let n = call.args.number(1).unwrap_or(id.0.into());
            return failed(format!("there is no processor {n}"));
        };
        let text = match cpu.arch().name {
            "riscv64" => super::riscv::registers(&cpu.registers()),
            _ => registers_of(&cpu.registers()),
        };
        call.out += &format!("\nCPU#{}\n{text}", id.0);
    }
    Ok(())
}

/// Four in a line; those of ARMv7-M with its flags and mode in words.
fn registers_of(all: &[RegisterValue]) -> String {
    let mut out = String::new();
    let value = |name: &str| all.iter().find(|r| r.name == name).map(|r| r.value);
    let Some(xpsr) = value("xpsr") else {
        for line in all.chunks(4) {
            let cells = line.iter().map(|r| {
                let digits = usize::from(r.bits).div_ceil(4);
                format!(" {:<8} {:0digits$x}", r.name, r.value)
            });
            out += &format!("{}\n", cells.collect::<String>());
        }
        return out;
    };
    for (i, r) in all.iter().take(16).enumerate() {
        let end = if i % 4 == 3 { '\n' } else { ' ' };
        out += &format!("R{i:02}={:08x}{end}", r.value);
    }
    let control = value("control").unwrap_or(0);
    let flag = |bit: u32, c: char| if xpsr >> bit & 1 != 0 { c } else { '-' };
    let mode = match (xpsr & 0x1ff, control & 1) {
        (0, 0) => "priv-thread",
        (0, _) => "unpriv-thread",
        _ => "handler",
    };
    let state = if xpsr >> 24 & 1 != 0 { 'T' } else { 'A' };
    out += &format!(
        "XPSR={xpsr:08x} {}{}{}{} {state} {mode}\n",
        flag(31, 'N'),
        flag(30, 'Z'),
        flag(29, 'C'),
        flag(28, 'V')
    );
    let rest = all.iter().skip(16).filter(|r| r.name != "xpsr");
    let rest: Vec<_> = rest
        .map(|r| format!("{}={:08x}", r.name.to_uppercase(), r.value))
        .collect();
    for line in rest.chunks(4) {
        out += &format!("{}\n", line.join(" "));
    }
    out
}
