//! Devices, objects and channels that come and go. Their words are those of the command line, read by its own parser.

use serde_json::json;
use southbridge_backend_chardev::Chardevs;
use southbridge_cli::OptError;
use southbridge_cli::keyval::{Entry, Grammar, Props, value};
use southbridge_cli::location::Source;
use southbridge_core::{BackendId, Machine};
use southbridge_cpu_gdb::GdbServer;
use southbridge_machine::{Spec, help, objects};

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

/// What help is asked for: `help` or `?` in place of the type, or among its options. The type, if one is named.
fn help_asked(text: &str) -> Option<Option<&str>> {
    let is = |word: &&str| matches!(*word, "help" | "?");
    let mut words = text.split(',').map(str::trim);
    let first = words.next()?;
    if is(&first) {
        return Some(None);
    }
    let of = first.split_once('=').map_or(first, |(_, of)| of);
    words.any(|w| is(&w)).then_some(Some(of))
}

pub(super) fn device_add(call: &mut Call<'_, '_>) -> Done {
    let text = call.args.word(0);
    match help_asked(&text) {
        None => {}
        Some(None) => {
            call.out += &help::device_types(&call.cx.world.registry);
            return Ok(());
        }
        Some(Some(of)) => {
            let Some(t) = call.cx.world.registry.get(of) else {
                return failed(format!("there is no device type '{of}'"));
            };
            call.out += &match t.properties {
                [] => format!("There are no options for {of}.\n"),
                all => help::properties(&format!("{of} options:"), all),
            };
            return Ok(());
        }
    }
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
    let text = call.args.word(0);
    match help_asked(&text) {
        None => {}
        Some(None) => {
            call.say(format_args!("List of user creatable objects:"));
            objects::TYPES
                .iter()
                .for_each(|t| call.say(format_args!("  {}", t.name)));
            return Ok(());
        }
        Some(Some(of)) => {
            let t = objects::find(of).or_else(failed)?;
            call.out += &help::properties(&format!("{of} options:"), t.properties);
            return Ok(());
        }
    }
    let props = list(call, "object_add", "qom-type")?;
    let (of, id) = (required(&props, "qom-type")?, checked_id(required(&props, "id")?)?);
    let words = others(&props, &["qom-type", "id"]);
    let (world, sys) = (&mut *call.cx.world, &mut call.cx.machine.sys);
    let (objects, find) = world.objects_and_backends();
    objects.add(sys, &find, &of, &id, words).or_else(failed)
}

pub(super) fn object_del(call: &mut Call<'_, '_>) -> Done {
    let id = call.args.word(0);
    call.qmp("object-del", json!({ "id": id })).map(drop)
}

pub(super) fn chardev_add(call: &mut Call<'_, '_>) -> Done {
    let text = call.args.word(0);
    match help_asked(&text) {
        None => {}
        Some(None) => {
            call.out += &southbridge_backend_chardev::help();
            return Ok(());
        }
        Some(Some(of)) => {
            let kind = southbridge_backend_chardev::find(of).or_else(failed)?;
            call.out += &southbridge_backend_chardev::kind_help(kind);
            return Ok(());
        }
    }
    let props = list(call, "chardev-add", "backend")?;
    let (kind, id) = (required(&props, "backend")?, checked_id(required(&props, "id")?)?);
    let options = others(&props, &["backend", "id"]);
    let host = &mut call.cx.machine.sys.host;
    match call.cx.world.chardevs.open(host, &kind, &id, options) {
        Ok(_) => Ok(()),
        Err(e) => failed(e),
    }
}

pub(super) fn chardev_change(call: &mut Call<'_, '_>) -> Done {
    let id = call.args.word(0);
    let source = Source::implied("chardev-change", &call.args.word(1));
    let props = Props::parse(&source, Grammar::list("backend")).map_err(|e| worded(&e))?;
    let kind = required(&props, "backend")?;
    let options: Vec<_> = others(&props, &["backend", "id"]).collect();
    Ok(crate::commands::chardev::change(call.cx, &id, &kind, &options)?)
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

/// Opens a channel for gdb's server.
fn gdb_channel(machine: &mut Machine, chardevs: &mut Chardevs, device: &str) -> Result<BackendId, Refusal> {
    let (kind, options) = match device.split_once(':') {
        Some(("unix", path)) => ("socket", vec![("path", path)]),
        Some(("tcp", rest)) => match rest.split(',').next().unwrap_or("").rsplit_once(':') {
            Some((host, port)) => ("socket", vec![("host", host), ("port", port)]),
            None => return failed(format!("'{rest}' is no [HOST]:PORT")),
        },
        _ => {
            return failed(format!(
                "'{device}' is no channel for gdb: there are tcp:[HOST]:PORT, unix:PATH, chardev:ID and none"
            ));
        }
    };
    let server = [("server", "on"), ("wait", "off"), ("nodelay", "on")];
    let server = server.into_iter().take(if device.starts_with("tcp") { 3 } else { 2 });
    let options = options.into_iter().chain(server);
    let opened = chardevs.open(&mut machine.sys.host, kind, GDB_CHANNEL, options);
    opened.or_else(failed)
}

pub(super) fn gdbserver(call: &mut Call<'_, '_>) -> Done {
    let device = call.args.text(0).unwrap_or("tcp::1234").to_owned();
    let machine = &mut *call.cx.machine;
    let chardevs = &mut call.cx.world.chardevs;
    machine.remove_attendants::<GdbServer>();
    chardevs.remove(&mut machine.sys.host, GDB_CHANNEL);
    if device == "none" {
        call.say(format_args!("Disabled gdbserver"));
        return Ok(());
    }
    let backend = match device.strip_prefix("chardev:") {
        Some(id) => match chardevs.get(id) {
            Some(backend) => backend,
            None => return failed(format!("there is no chardev '{id}'")),
        },
        None => gdb_channel(machine, chardevs, &device)?,
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
