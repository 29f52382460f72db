//! `-monitor`, `-qmp`, `-qmp-pretty`, `-mon`: channels that lead to a monitor.

use crate::argv::RawOption;
use crate::error::OptError;
use crate::keyval::Props;
use crate::location::Source;

use super::Config;
use super::serial::{self, SerialBackend, SerialOpt};

/// A channel that leads to a monitor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonitorOpt {
    /// The channel.
    pub channel: SerialOpt,
    /// For people, not QMP.
    pub human: bool,
    /// QMP: indent what is sent.
    pub pretty: bool,
}

/// `-qmp` and `-qmp-pretty`. A channel of its own is called `compat_monitorN`, as in QEMU.
pub(super) fn qmp(option: &RawOption, pretty: bool, config: &mut Config) -> Result<(), OptError> {
    config.no_monitor = true;
    let own = format!("compat_monitor{}", config.monitors.len());
    let channel = serial::channel(&option.source, &own)?;
    config.monitors.push(MonitorOpt {
        channel,
        human: false,
        pretty,
    });
    Ok(())
}

/// `-monitor`.
pub(super) fn human(option: &RawOption, config: &mut Config) -> Result<(), OptError> {
    config.no_monitor = true;
    let own = format!("compat_monitor{}", config.monitors.len());
    let channel = serial::channel(&option.source, &own)?;
    if channel.backend != SerialBackend::None {
        config.monitors.push(MonitorOpt {
            channel,
            human: true,
            pretty: false,
        });
    }
    Ok(())
}

/// `-nographic` has the monitor on the terminal also where the serial port is elsewhere, if nobody else uses the terminal.
pub(super) fn on_terminal(config: &mut Config) -> Result<(), OptError> {
    if config.nographic.is_none() || config.nodefaults || config.no_monitor || config.daemonize.is_some() {
        return Ok(());
    }
    let own = |c: &SerialOpt| match &c.backend {
        SerialBackend::Own(option) => Some(option.backend.value.clone()),
        _ => None,
    };
    let channels = config.serials.iter().chain(&config.gdb).chain(&config.qtest);
    let named = config.chardevs.iter().map(|c| c.backend.value.clone());
    let is_used = channels.filter_map(own).chain(named).any(|kind| kind == "stdio");
    if config.serials.is_empty() || config.serials.iter().any(|s| s.monitor) || is_used {
        return Ok(());
    }
    let channel = serial::channel(&Source::implied("-nographic", "stdio"), "compat_monitor0")?;
    config.monitors.push(MonitorOpt {
        channel,
        human: true,
        pretty: false,
    });
    Ok(())
}

/// `-mon`.
pub(super) fn mon(props: &Props, config: &mut Config) -> Result<(), OptError> {
    props.only("-mon", &["id", "chardev", "mode", "pretty"])?;
    let chardev = props.required("-mon", "chardev")?;
    let mode = props.one_of("mode", &["readline", "control"])?;
    config.no_monitor = true;
    config.monitors.push(MonitorOpt {
        channel: SerialOpt {
            backend: SerialBackend::Existing(chardev),
            monitor: true,
        },
        human: mode.is_none_or(|m| m.value == 0),
        pretty: props.switch("pretty")?.is_some_and(|p| p.value),
    });
    Ok(())
}
