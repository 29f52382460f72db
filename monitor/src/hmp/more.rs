//! Commands of the human monitor that QMP has in other words, and small looks at the machine.

use serde_json::{Value, json};
use southbridge_core::memory::Target;

use super::{Call, Refusal, failed};

type Done = Result<(), Refusal>;

pub(super) fn memsave(call: &mut Call<'_, '_>) -> Done {
    save(call, "memsave")
}

pub(super) fn pmemsave(call: &mut Call<'_, '_>) -> Done {
    save(call, "pmemsave")
}

fn save(call: &mut Call<'_, '_>, command: &str) -> Done {
    let (start, size) = (call.args.number(0), call.args.number(1));
    let filename = call.args.word(2);
    let arguments = json!({ "val": start, "size": size, "filename": filename });
    call.qmp(command, arguments).map(drop)
}

pub(super) fn dump_guest_memory(call: &mut Call<'_, '_>) -> Done {
    let detach = call.args.flag(0);
    let mut arguments = json!({ "paging": false, "protocol": format!("file:{}", call.args.word(1)), "detach": detach });
    match (call.args.number(2), call.args.number(3)) {
        (None, None) => {}
        (Some(begin), Some(length)) => {
            arguments["begin"] = json!(begin);
            arguments["length"] = json!(length);
        }
        _ => return Err(Refusal::Usage("a part has a begin and a length".into())),
    }
    call.qmp("dump-guest-memory", arguments).map(drop)
}

/// The old checksum of Unix, byte by byte.
pub(super) fn sum(call: &mut Call<'_, '_>) -> Done {
    /// Bytes beyond which a client would wait too long.
    const MOST: u64 = 1 << 28;
    let (start, size) = (call.args.number(0).unwrap_or(0), call.args.number(1).unwrap_or(0));
    if size > MOST {
        return failed(format!("{size} bytes are too many; {MOST} is the most"));
    }
    let mut sum = 0u16;
    let mut page = [0; 4096];
    let mut done = 0;
    while done < size {
        let n = (size - done).min(page.len() as u64) as usize;
        page[..n].fill(0);
        crate::commands::memory::look(call.cx, start.wrapping_add(done), &mut page[..n]);
        for byte in &page[..n] {
            sum = sum.rotate_right(1).wrapping_add(u16::from(*byte));
        }
        done += n as u64;
    }
    call.say(format_args!("{sum:05}"));
    Ok(())
}

/// Microcontrollers have no address translation.
pub(super) fn gva2gpa(call: &mut Call<'_, '_>) -> Done {
    let address = call.args.number(0).unwrap_or(0);
    let cpu = call.cx.world.hmp.cpu;
    let found = super::memory::physical(call.cx.machine, Some(cpu), address);
    let mut flat = call.cx.machine.sys.memory.flat().iter();
    if let Some(address) = found.filter(|a| flat.any(|r| r.start <= *a && *a <= r.last)) {
        call.say(format_args!("gpa: {address:#x}"));
    } else {
        call.say(format_args!("Unmapped"));
    }
    Ok(())
}

pub(super) fn watchdog_action(call: &mut Call<'_, '_>) -> Done {
    let action = call.args.word(0);
    call.qmp("watchdog-set-action", json!({ "action": action })).map(drop)
}

pub(super) fn ringbuf_read(call: &mut Call<'_, '_>) -> Done {
    let (device, size) = (call.args.word(0), call.args.number(1));
    let data = call.qmp("ringbuf-read", json!({ "device": device, "size": size }))?;
    for c in data.as_str().unwrap_or_default().chars() {
        match c {
            '\\' => call.out += "\\\\",
            c if c.is_control() && !matches!(c, '\n' | '\t') => call.out += &format!("\\u{:04X}", u32::from(c)),
            c => call.out.push(c),
        }
    }
    call.out.push('\n');
    Ok(())
}

pub(super) fn ringbuf_write(call: &mut Call<'_, '_>) -> Done {
    let (device, data) = (call.args.word(0), call.args.word(1));
    call.qmp("ringbuf-write", json!({ "device": device, "data": data }))
        .map(drop)
}

// ----- info -------------------------------------------------------------------------------------------------------------------------

pub(super) fn kvm(call: &mut Call<'_, '_>) -> Done {
    call.say(format_args!("kvm support: not compiled"));
    Ok(())
}

pub(super) fn numa(call: &mut Call<'_, '_>) -> Done {
    call.say(format_args!("0 nodes"));
    Ok(())
}

pub(super) fn iothreads(call: &mut Call<'_, '_>) -> Done {
    for thread in call
        .qmp("query-iothreads", Value::Null)?
        .as_array()
        .into_iter()
        .flatten()
    {
        let id = thread.get("id").and_then(Value::as_str).unwrap_or_default();
        call.say(format_args!("{id}:"));
        for (key, word) in [
            ("thread-id", "thread_id"),
            ("poll-max-ns", "poll-max-ns"),
            ("poll-grow", "poll-grow"),
            ("poll-shrink", "poll-shrink"),
            ("aio-max-batch", "aio-max-batch"),
        ] {
            let number = thread.get(key).and_then(Value::as_i64).unwrap_or_default();
            call.say(format_args!("  {word}={number}"));
        }
    }
    Ok(())
}

pub(super) fn hotpluggable_cpus(call: &mut Call<'_, '_>) -> Done {
    call.qmp("query-hotpluggable-cpus", Value::Null).map(drop)
}

pub(super) fn memory_size(call: &mut Call<'_, '_>) -> Done {
    let sizes = call.qmp("query-memory-size-summary", Value::Null)?;
    for (key, words) in [("base-memory", "base memory"), ("plugged-memory", "plugged memory")] {
        if let Some(size) = sizes.get(key) {
            call.say(format_args!("{words}: {size}"));
        }
    }
    Ok(())
}

pub(super) fn memdev(call: &mut Call<'_, '_>) -> Done {
    let all = call.qmp("query-memdev", Value::Null)?;
    for m in all.as_array().into_iter().flatten() {
        let id = m.get("id").and_then(Value::as_str).unwrap_or_default();
        call.say(format_args!("memory backend: {id}"));
        for key in ["size", "merge", "dump", "prealloc", "share", "reserve"] {
            if let Some(value) = m.get(key) {
                call.say(format_args!("  {key}:  {value}"));
            }
        }
    }
    call.out.push('\n');
    Ok(())
}

pub(super) fn ramblock(call: &mut Call<'_, '_>) -> Done {
    let (name, page, used) = ("Block Name", "PSize", "Used");
    call.say(format_args!(
        "{name:>24} {page:>8}  {:>18} {used:>18} {:>18}",
        "Offset", "Total"
    ));
    let mut offset = 0;
    for (name, block) in call.cx.machine.ram.clone() {
        let len = block.len();
        call.say(format_args!(
            "{name:>24} {:>8}  {offset:#018x} {len:#018x} {len:#018x}",
            "4 KiB"
        ));
        offset += len;
    }
    Ok(())
}

pub(super) fn dump_status(call: &mut Call<'_, '_>) -> Done {
    let status = call.qmp("query-dump", Value::Null)?;
    let word = status
        .get("status")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    call.say(format_args!("Status: {word}"));
    if word == "active" {
        let of = |key: &str| status.get(key).and_then(Value::as_f64).unwrap_or(0.0);
        call.say(format_args!(
            "Finished: {:.2} %",
            100.0 * of("completed") / of("total").max(1.0)
        ));
    }
    Ok(())
}

/// Whether a RAM stands there, for completeness of `info`.
pub(super) fn gpa2hva(call: &mut Call<'_, '_>) -> Done {
    let address = call.args.number(0).unwrap_or(0);
    let flat = call.cx.machine.sys.memory.flat();
    let at = flat.iter().find(|r| r.start <= address && address <= r.last);
    match at.map(|r| &r.target) {
        Some(Target::Ram { .. }) => failed("this program does not tell addresses of its own memory"),
        Some(_) => failed(format!("memory at address {address:#x} is not RAM")),
        None => failed(format!("no memory is mapped at address {address:#x}")),
    }
}

pub(super) fn balloon(call: &mut Call<'_, '_>) -> Done {
    // Megabytes, as the line has them.
    let bytes = call.args.number(0).unwrap_or(0).checked_mul(1 << 20);
    let Some(bytes) = bytes.and_then(|b| i64::try_from(b).ok()) else {
        return failed("so much memory cannot be");
    };
    call.qmp("balloon", json!({ "value": bytes })).map(drop)
}

pub(super) fn info_balloon(call: &mut Call<'_, '_>) -> Done {
    let info = call.qmp("query-balloon", json!({}))?;
    call.say(format_args!(
        "balloon: actual={}",
        info["actual"].as_u64().unwrap_or(0) >> 20
    ));
    Ok(())
}
