//! `-qmp`, `-qmp-pretty`, `-mon`: channels that lead to a monitor.

use crate::argv::RawOption;
use crate::error::OptError;
use crate::keyval::Props;

use super::Config;
use super::serial::{self, SerialBackend, SerialOpt};

/// A channel that speaks QMP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonitorOpt {
    /// The channel.
    pub channel: SerialOpt,
    /// Indent what is sent.
    pub pretty: bool,
}

/// `-qmp` and `-qmp-pretty`. A channel of its own is called `compat_monitorN`, as in QEMU.
pub(super) fn qmp(option: &RawOption, pretty: bool, config: &mut Config) -> Result<(), OptError> {
    config.no_monitor = true;
    let own = format!("compat_monitor{}", config.monitors.len());
    let channel = serial::channel(&option.source, &own)?;
    config.monitors.push(MonitorOpt { channel, pretty });
    Ok(())
}

/// `-mon`.
pub(super) fn mon(props: &Props, config: &mut Config) -> Result<(), OptError> {
    props.only("-mon", &["id", "chardev", "mode", "pretty"])?;
    let chardev = props.required("-mon", "chardev")?;
    let mode = props.one_of("mode", &["readline", "control"])?;
    if mode.as_ref().map(|m| m.value) != Some(1) {
        let at = mode.map_or_else(|| props.at(), |m| m.at);
        return Err(OptError::not_yet("the human monitor (mode=readline)", at).with_help("mode=control is here"));
    }
    config.no_monitor = true;
    config.monitors.push(MonitorOpt {
        channel: SerialOpt {
            backend: SerialBackend::Existing(chardev),
            monitor: true,
        },
        pretty: props.switch("pretty")?.is_some_and(|p| p.value),
    });
    Ok(())
}
