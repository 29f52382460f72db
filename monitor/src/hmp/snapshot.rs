//! `savevm` and `migrate` and their kin, in the words of lines.

use serde_json::{Value, json};

use super::{Call, Refusal, failed};

type Done = Result<(), Refusal>;

pub(super) fn savevm(call: &mut Call<'_, '_>) -> Done {
    let saved = call.cx.world.snapshots.save(call.cx.machine, call.args.text(0));
    saved.map(drop).or_else(failed)
}

pub(super) fn loadvm(call: &mut Call<'_, '_>) -> Done {
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
