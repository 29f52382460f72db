//! `info virtio` and its kin: what the commands of QMP say, a line each.

use serde_json::{Value, json};

use super::{Call, Refusal, failed};

type Done = Result<(), Refusal>;

pub(super) fn list(call: &mut Call<'_, '_>) -> Done {
    let Ok(all) = call.qmp("x-query-virtio", Value::Null) else {
        call.say(format_args!("No VirtIO devices"));
        return Ok(());
    };
    for device in all.as_array().into_iter().flatten() {
        call.say(format_args!("{} [{}]", word(&device["path"]), word(&device["name"])));
    }
    Ok(())
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Lines of a table: words are set off to `width` columns.
fn table(call: &mut Call<'_, '_>, from: &Value, width: usize, lines: &[(&str, &str)]) {
    for (title, member) in lines {
        let title = format!("{title}:");
        call.say(format_args!("  {title:<width$}{}", word(&from[*member])));
    }
}

fn names(call: &mut Call<'_, '_>, list: &Value) {
    let all: Vec<_> = list.as_array().into_iter().flatten().map(word).collect();
    let text: Vec<_> = all.iter().map(|n| format!("\t{n}")).collect();
    call.say(format_args!("{}", text.join(",\n")));
}

fn features(call: &mut Call<'_, '_>, title: &str, of: &Value) {
    call.say(format_args!("  {title}:"));
    names(call, &of["transports"]);
    if of["dev-features"].as_array().is_some_and(|a| !a.is_empty()) {
        names(call, &of["dev-features"]);
    }
    if let Some(bits) = of["unknown-dev-features"].as_u64() {
        call.say(format_args!("  unknown-features(0x{bits:016x})"));
    }
}

pub(super) fn status(call: &mut Call<'_, '_>) -> Done {
    let path = call.args.word(0);
    let s = call.qmp("x-query-virtio-status", json!({ "path": path }))?;
    call.say(format_args!("{path}:"));
    call.say(format_args!("  device_name:             {} ", word(&s["name"])));
    table(
        call,
        &s,
        25,
        &[
            ("device_id", "device-id"),
            ("vhost_started", "vhost-started"),
            ("bus_name", "bus-name"),
            ("broken", "broken"),
            ("disabled", "disabled"),
            ("disable_legacy_check", "disable-legacy-check"),
            ("started", "started"),
            ("use_started", "use-started"),
            ("start_on_kick", "start-on-kick"),
            ("use_guest_notifier_mask", "use-guest-notifier-mask"),
            ("vm_running", "vm-running"),
            ("num_vqs", "num-vqs"),
            ("queue_sel", "queue-sel"),
            ("isr", "isr"),
            ("endianness", "device-endian"),
        ],
    );
    call.say(format_args!("  status:"));
    names(call, &s["status"]["statuses"]);
    if let Some(bits) = s["status"]["unknown-statuses"].as_u64() {
        call.say(format_args!("  unknown-statuses(0x{bits:016x})"));
    }
    features(call, "Guest features", &s["guest-features"]);
    features(call, "Host features", &s["host-features"]);
    features(call, "Backend features", &s["backend-features"]);
    Ok(())
}

/// The number of a queue or an entry.
fn number(call: &Call<'_, '_>, i: usize, what: &str) -> Result<u16, Refusal> {
    let n = call.args.number(i).unwrap_or(0);
    u16::try_from(n).or_else(|_| failed(format!("there is no {what} {n}")))
}

pub(super) fn queue_status(call: &mut Call<'_, '_>) -> Done {
    let (path, queue) = (call.args.word(0), number(call, 1, "queue")?);
    let s = call.qmp("x-query-virtio-queue-status", json!({ "path": path, "queue": queue }))?;
    call.say(format_args!("{path}:"));
    table(
        call,
        &s,
        22,
        &[
            ("device_name", "name"),
            ("queue_index", "queue-index"),
            ("inuse", "inuse"),
            ("used_idx", "used-idx"),
            ("signalled_used", "signalled-used"),
            ("signalled_used_valid", "signalled-used-valid"),
            ("last_avail_idx", "last-avail-idx"),
            ("shadow_avail_idx", "shadow-avail-idx"),
        ],
    );
    call.say(format_args!("  VRing:"));
    table(
        call,
        &s,
        16,
        &[
            ("  num", "vring-num"),
            ("  num_default", "vring-num-default"),
            ("  align", "vring-align"),
        ],
    );
    for (title, member) in [("desc", "vring-desc"), ("avail", "vring-avail"), ("used", "vring-used")] {
        let at = s[member].as_u64().unwrap_or(0);
        let title = format!("{title}:");
        call.say(format_args!("    {title:<14}0x{at:016x}"));
    }
    Ok(())
}

pub(super) fn vhost_queue_status(call: &mut Call<'_, '_>) -> Done {
    let (path, queue) = (call.args.word(0), number(call, 1, "queue")?);
    let args = json!({ "path": path, "queue": queue });
    call.qmp("x-query-virtio-vhost-queue-status", args).map(drop)
}

pub(super) fn queue_element(call: &mut Call<'_, '_>) -> Done {
    let (path, queue) = (call.args.word(0), number(call, 1, "queue")?);
    let mut args = json!({ "path": path, "queue": queue });
    if call.args.number(2).is_some() {
        args["index"] = number(call, 2, "entry")?.into();
    }
    let e = call.qmp("x-query-virtio-queue-element", args)?;
    call.say(format_args!("{path}:"));
    call.say(format_args!("  device_name: {}", word(&e["name"])));
    call.say(format_args!("  index:   {}", e["index"]));
    call.say(format_args!("  desc:\n    descs:"));
    let lines: Vec<_> = e["descs"].as_array().into_iter().flatten().map(descriptor).collect();
    call.say(format_args!("{}", lines.join(",\n")));
    call.say(format_args!("  avail:"));
    table(
        call,
        &e["avail"],
        9,
        &[("  flags", "flags"), ("  idx", "idx"), ("  ring", "ring")],
    );
    call.say(format_args!("  used:"));
    table(call, &e["used"], 9, &[("  flags", "flags"), ("  idx", "idx")]);
    Ok(())
}

fn descriptor(d: &Value) -> String {
    let flags: Vec<_> = d["flags"].as_array().into_iter().flatten().map(word).collect();
    let flags = match flags.is_empty() {
        true => String::new(),
        false => format!(" ({})", flags.join(", ")),
    };
    let addr = d["addr"].as_u64().unwrap_or(0);
    format!("        addr 0x{addr:x} len {}{flags}", d["len"])
}
