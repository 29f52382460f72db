//! Devices, objects and channels that come and go. Their words are those of the command line, read by its own parser.

use serde_json::json;
use southbridge_cli::OptError;
use southbridge_cli::keyval::{Entry, Grammar, Props, value};
use southbridge_cli::location::Source;
use southbridge_cpu_gdb::GdbServer;
use southbridge_machine::Spec;

use super::{Call, Refusal, Remote, failed};
use crate::commands::device::plug;

type Done = Result<(), Refusal>;

/// An error of the command line's parser in one line.
fn worded(error: &OptError) -> Refusal {
    let help = error.help().map(|h| format!(" ({h})")).unwrap_or_default();
    Refusal::Failed(format!("{}{help}", error.message()))
}

/// The list that is a command's first argument.
fn list(call: &Call<'_, '_>, option: &str, first: &'static str) -> Result<Props, Refusal> {
    let source = Source::implied(option, &call.args.word(0));
    Props::parse(&source, Grammar::list(first)).map_err(|e| worded(&e))
}

fn required(props: &Props, key: &str) -> Result<String, Refusal> {
    let found = props.get(key).map(|e| e.value.clone());
    found.ok_or_else(|| Refusal::Failed(format!("'{key}' is missing")))
}

fn checked_id(id: String) -> Result<String, Refusal> {
    match value::is_id(&id) {
        true => Ok(id),
        false => failed(format!("'id' cannot be '{id}'; it takes {}", value::EXPECT_ID)),
    }
}

/// Keys and values but for these keys.
fn others<'p>(props: &'p Props, but: &'p [&str]) -> impl Iterator<Item = (&'p str, &'p str)> {
    let own = move |e: &&Entry| !but.contains(&e.key.as_str());
    props
        .entries()
        .iter()
        .filter(own)
        .map(|e| (e.key.as_str(), e.value.as_str()))
}

pub(super) fn device_add(call: &mut Call<'_, '_>) -> Done {
    let props = list(call, "device_add", "driver")?;
    let driver = required(&props, "driver")?;
    let word = |key: &str| props.get(key).map(|e| e.value.clone());
    let id = word("id").map(checked_id).transpose()?;
    let bus = word("bus");
    let spec = Spec {
        driver: &driver,
        id: id.as_deref(),
        bus: bus.as_deref(),
        properties: others(&props, &["driver", "id", "bus"]).collect(),
    };
    Ok(plug(call.cx, &spec)?)
}

pub(super) fn device_del(call: &mut Call<'_, '_>) -> Done {
    let id = call.args.word(0);
    call.qmp("device_del", json!({ "id": id })).map(drop)
}

pub(super) fn object_add(call: &mut Call<'_, '_>) -> Done {
    let props = list(call, "object_add", "qom-type")?;
    let (of, id) = (required(&props, "qom-type")?, checked_id(required(&props, "id")?)?);
    let sys = &mut call.cx.machine.sys;
    let words = others(&props, &["qom-type", "id"]);
    call.cx.world.objects.add(sys, &of, &id, words).or_else(failed)
}

pub(super) fn object_del(call: &mut Call<'_, '_>) -> Done {
    let id = call.args.word(0);
    call.qmp("object-del", json!({ "id": id })).map(drop)
}

pub(super) fn chardev_add(call: &mut Call<'_, '_>) -> Done {
    let props = list(call, "chardev-add", "backend")?;
    let (kind, id) = (required(&props, "backend")?, checked_id(required(&props, "id")?)?);
    let options = others(&props, &["backend", "id"]);
    let host = &mut call.cx.machine.sys.host;
    match call.cx.world.chardevs.open(host, &kind, &id, options) {
        Ok(_) => Ok(()),
        Err(e) => failed(e),
    }
}

pub(super) fn chardev_remove(call: &mut Call<'_, '_>) -> Done {
    let id = call.args.word(0);
    call.qmp("chardev-remove", json!({ "id": id })).map(drop)
}

pub(super) fn chardev_send_break(call: &mut Call<'_, '_>) -> Done {
    let id = call.args.word(0);
    call.qmp("chardev-send-break", json!({ "id": id })).map(drop)
}

/// The channel that gdb's server here is on.
const GDB_CHANNEL: &str = "hmp_gdb";

pub(super) fn gdbserver(call: &mut Call<'_, '_>) -> Done {
    let device = call.args.text(0).unwrap_or("tcp::1234").to_owned();
    let machine = &mut *call.cx.machine;
    let chardevs = &mut call.cx.world.chardevs;
    if chardevs.get(GDB_CHANNEL).is_some() {
        machine.remove_attendants::<GdbServer>();
        chardevs.remove(&mut machine.sys.host, GDB_CHANNEL);
    }
    if device == "none" {
        call.say(format_args!("Disabled gdbserver"));
        return Ok(());
    }
    let (kind, options) = match device.split_once(':') {
        _ if device.starts_with("chardev:") => return failed("name the channel as tcp:[HOST]:PORT or unix:PATH"),
        Some(("unix", path)) => ("socket", vec![("path", path)]),
        Some(("tcp", rest)) => match rest.split(',').next().unwrap_or("").rsplit_once(':') {
            Some((host, port)) => ("socket", vec![("host", host), ("port", port)]),
            None => return failed(format!("'{rest}' is no [HOST]:PORT")),
        },
        _ => {
            return failed(format!(
                "'{device}' is no channel for gdb: there are tcp:[HOST]:PORT, unix:PATH and none"
            ));
        }
    };
    let server = [("server", "on"), ("wait", "off"), ("nodelay", "on")];
    let options = options
        .into_iter()
        .chain(server.into_iter().take(if device.starts_with("tcp") { 3 } else { 2 }));
    let backend = match chardevs.open(&mut machine.sys.host, kind, GDB_CHANNEL, options) {
        Ok(backend) => backend,
        Err(e) => return failed(e),
    };
    match GdbServer::attach(machine, backend, Box::new(Remote)) {
        Ok(()) => {
            call.say(format_args!("Waiting for gdb connection on device '{device}'"));
            Ok(())
        }
        Err(e) => {
            chardevs.remove(&mut machine.sys.host, GDB_CHANNEL);
            failed(format!("the channel {e}"))
        }
    }
}
