//! `savevm` and `migrate` and their kin, in the words of lines.

use serde_json::{Value, json};

use super::{Call, Refusal, failed};

type Done = Result<(), Refusal>;

pub(super) fn savevm(call: &mut Call<'_, '_>) -> Done {
    if let Some(name) = crate::commands::block::not_in_snapshots(call.cx) {
        return failed(format!("Device '{name}' is writable but does not support snapshots"));
    }
    let saved = call.cx.world.snapshots.save(call.cx.machine, call.args.text(0));
    saved.map(drop).or_else(failed)
}

pub(super) fn loadvm(call: &mut Call<'_, '_>) -> Done {
    if let Some(name) = crate::commands::block::not_in_snapshots(call.cx) {
        return failed(format!("Device '{name}' is writable but does not support snapshots"));
    }
    let name = call.args.word(0);
    call.cx.world.snapshots.load(call.cx.machine, &name).or_else(failed)
}

pub(super) fn delvm(call: &mut Call<'_, '_>) -> Done {
    let name = call.args.word(0);
    call.cx.world.snapshots.delete(&name).or_else(failed)
}

pub(super) fn list(call: &mut Call<'_, '_>) -> Done {
    call.out += &call.cx.world.snapshots.render().or_else(failed)?;
    Ok(())
}

pub(super) fn migrate(call: &mut Call<'_, '_>) -> Done {
    let uri = call.args.word(1);
    call.qmp("migrate", json!({ "uri": uri })).map(drop)
}

pub(super) fn migrate_cancel(call: &mut Call<'_, '_>) -> Done {
    call.qmp("migrate_cancel", Value::Null).map(drop)
}

pub(super) fn migrate_incoming(call: &mut Call<'_, '_>) -> Done {
    let uri = call.args.word(0);
    call.qmp("migrate-incoming", json!({ "uri": uri })).map(drop)
}

pub(super) fn migrate_set_capability(call: &mut Call<'_, '_>) -> Done {
    let one = json!({ "capability": call.args.word(0), "state": call.args.switch(1) });
    call.qmp("migrate-set-capabilities", json!({ "capabilities": [one] }))
        .map(drop)
}

/// The value is of the type that the parameter has now.
pub(super) fn migrate_set_parameter(call: &mut Call<'_, '_>) -> Done {
    let (name, text) = (call.args.word(0), call.args.word(1));
    let all = call.qmp("query-migrate-parameters", Value::Null)?;
    let value: Value = match all.get(&name) {
        None => return failed(format!("there is no parameter '{name}'")),
        Some(Value::Bool(_)) => match text.as_str() {
            "on" => true.into(),
            "off" => false.into(),
            _ => return failed(format!("parameter '{name}' is on or off")),
        },
        Some(Value::Number(_)) => match number(&text, name.ends_with("-bandwidth")) {
            Some(n) => n.into(),
            None => return failed(format!("parameter '{name}' is a number, not '{text}'")),
        },
        Some(_) => text.into(),
    };
    call.qmp("migrate-set-parameters", json!({ name: value })).map(drop)
}

/// A number, decimal or after `0x`, with a letter for its unit; in MiB without one if `mebibytes`.
fn number(text: &str, mebibytes: bool) -> Option<u64> {
    let (digits, shift) = match text.char_indices().next_back()? {
        (i, 'k' | 'K') => (&text[..i], 10),
        (i, 'm' | 'M') => (&text[..i], 20),
        (i, 'g' | 'G') => (&text[..i], 30),
        (i, 'b' | 'B') if !text.starts_with("0x") => (&text[..i], 0),
        _ => (text, if mebibytes { 20 } else { 0 }),
    };
    let n = match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok()?,
        None => digits.parse().ok()?,
    };
    n.checked_mul(1 << shift)
}

pub(super) fn info_migrate_capabilities(call: &mut Call<'_, '_>) -> Done {
    let all = call.qmp("query-migrate-capabilities", Value::Null)?;
    for c in all.as_array().into_iter().flatten() {
        let name = c["capability"].as_str().unwrap_or_default();
        let state = if c["state"] == true { "on" } else { "off" };
        call.say(format_args!("{name}: {state}"));
    }
    Ok(())
}

/// Parameters in QEMU's order, with their units.
const PARAMETERS: &[(&str, &str)] = &[
    ("announce-initial", " ms"),
    ("announce-max", " ms"),
    ("announce-rounds", ""),
    ("announce-step", " ms"),
    ("throttle-trigger-threshold", ""),
    ("cpu-throttle-initial", ""),
    ("cpu-throttle-increment", ""),
    ("cpu-throttle-tailslow", ""),
    ("max-cpu-throttle", ""),
    ("tls-creds", ""),
    ("tls-hostname", ""),
    ("max-bandwidth", " bytes/second"),
    ("avail-switchover-bandwidth", " bytes/second"),
    ("downtime-limit", " ms"),
    ("x-checkpoint-delay", " ms"),
    ("multifd-channels", ""),
    ("multifd-compression", ""),
    ("zero-page-detection", ""),
    ("xbzrle-cache-size", " bytes"),
    ("max-postcopy-bandwidth", ""),
    ("tls-authz", ""),
    ("x-vcpu-dirty-limit-period", " ms"),
    ("vcpu-dirty-limit", " MB/s"),
    ("mode", ""),
    ("direct-io", ""),
];

pub(super) fn info_migrate_parameters(call: &mut Call<'_, '_>) -> Done {
    let all = call.qmp("query-migrate-parameters", Value::Null)?;
    for (name, unit) in PARAMETERS {
        match &all[*name] {
            Value::Bool(on) => call.say(format_args!("{name}: {}", if *on { "on" } else { "off" })),
            Value::String(text) if name.starts_with("tls-") => call.say(format_args!("{name}: '{text}'")),
            Value::String(text) => call.say(format_args!("{name}: {text}")),
            number => call.say(format_args!("{name}: {number}{unit}")),
        }
    }
    Ok(())
}

/// What `query-migrate` says, a line each; nothing before the first migration.
pub(super) fn info_migrate(call: &mut Call<'_, '_>) -> Done {
    let info = call.qmp("query-migrate", Value::Null)?;
    let Some(status) = info["status"].as_str() else {
        return Ok(());
    };
    match info["error-desc"].as_str() {
        Some(why) => call.say(format_args!("Migration status: {status} ({why})")),
        None => call.say(format_args!("Migration status: {status}")),
    }
    for (name, member) in [
        ("total time", "total-time"),
        ("downtime", "downtime"),
        ("setup", "setup-time"),
    ] {
        if let Some(ms) = info[member].as_u64() {
            call.say(format_args!("{name}: {ms} ms"));
        }
    }
    let ram = &info["ram"];
    if let Some(mbps) = ram["mbps"].as_f64() {
        let kb = |member: &str| ram[member].as_u64().unwrap_or(0) >> 10;
        call.say(format_args!("transferred ram: {} kbytes", kb("transferred")));
        call.say(format_args!("throughput: {mbps:.2} mbps"));
        call.say(format_args!("remaining ram: {} kbytes", kb("remaining")));
        call.say(format_args!("total ram: {} kbytes", kb("total")));
        call.say(format_args!("duplicate: {} pages", ram["duplicate"]));
        call.say(format_args!("normal: {} pages", ram["normal"]));
        call.say(format_args!("normal bytes: {} kbytes", kb("normal-bytes")));
        call.say(format_args!("page size: {} kbytes", kb("page-size")));
    }
    Ok(())
}
