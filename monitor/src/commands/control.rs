//! The monitor itself.

use southbridge_cli::options;
use southbridge_cli::personality::{QEMU_VERSION, VERSION};
use southbridge_core::machine::Cause;

use super::{Result, read, refuse};
use crate::Cx;
use crate::schema::{
    CommandInfo, CommandLineOptionInfo, CommandLineParameterInfo, CommandLineParameterType, HumanMonitorCommandArgs,
    Kind, QueryCommandLineOptionsArgs, SchemaInfo, VersionInfo, VersionTriple, introspect, schema,
};

/// Which program this is.
pub(crate) fn version() -> VersionInfo {
    let mut numbers = QEMU_VERSION.split('.').map(|n| n.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    VersionInfo {
        qemu: VersionTriple {
            major: next(),
            minor: next(),
            micro: next(),
        },
        package: format!("Southbridge {VERSION}"),
    }
}

pub(super) fn query_version(_cx: &mut Cx<'_>) -> Result<VersionInfo> {
    Ok(version())
}

pub(super) fn query_commands(_cx: &mut Cx<'_>) -> Result<Vec<CommandInfo>> {
    let commands = schema().entities.iter().filter(|e| matches!(e.kind, Kind::Command(_)));
    Ok(commands.map(|e| CommandInfo { name: e.name.clone() }).collect())
}

pub(super) fn query_qmp_schema(_cx: &mut Cx<'_>) -> Result<Vec<SchemaInfo>> {
    read(introspect(schema()).into())
}

pub(super) fn quit(cx: &mut Cx<'_>) -> Result<()> {
    cx.machine.stop_handle().stop(Cause::HostQuit);
    Ok(())
}

pub(super) fn human_monitor_command(cx: &mut Cx<'_>, args: HumanMonitorCommandArgs) -> Result<String> {
    let cpu = args.cpu_index.map(|index| super::cpu(cx, index)).transpose()?;
    match cx.world.human {
        Some(human) => {
            // For this one line.
            let before = cx.world.hmp.cpu;
            cx.world.hmp.cpu = cpu.unwrap_or(before);
            let said = human(cx, &args.command_line);
            if cpu.is_some() {
                cx.world.hmp.cpu = before;
            }
            Ok(said)
        }
        None => refuse("there is no human monitor in this program yet"),
    }
}

pub(super) fn query_command_line_options(
    _cx: &mut Cx<'_>,
    args: QueryCommandLineOptionsArgs,
) -> Result<Vec<CommandLineOptionInfo>> {
    let name = |o: &options::OptionDef| o.group.filter(|_| o.is_here()).map(str::to_owned);
    let wanted = |n: &String| args.option.as_ref().is_none_or(|o| o == n);
    let all: Vec<_> = options::all()
        .filter_map(|o| Some((name(o).filter(wanted)?, o)))
        .map(|(option, o)| CommandLineOptionInfo {
            option,
            parameters: keys(o.argument.unwrap_or_default()),
        })
        .collect();
    match args.option {
        Some(option) if all.is_empty() => refuse(format!("there is no option '{option}' that takes a list")),
        _ => Ok(all),
    }
}

/// The keys in the shape of an argument, as the table of options writes it: `[shift=]N|auto[,align=on|off]`.
fn keys(shape: &str) -> Vec<CommandLineParameterInfo> {
    let words = shape.split(['[', ']', ',']);
    let pairs = words.filter_map(|w| w.split_once('='));
    let mut keys: Vec<CommandLineParameterInfo> = Vec::new();
    for (key, value) in pairs.filter(|(k, _)| !k.is_empty() && k.chars().all(|c| c.is_ascii_lowercase() || c == '-')) {
        let of = match value {
            v if v.starts_with("on|off") => CommandLineParameterType::Boolean,
            "N" => CommandLineParameterType::Number,
            "SIZE" => CommandLineParameterType::Size,
            _ => CommandLineParameterType::String,
        };
        if keys.iter().all(|k| k.name != key) {
            keys.push(CommandLineParameterInfo {
                name: key.to_owned(),
                r#type: of,
                help: None,
                default: None,
            });
        }
    }
    keys
}
