//! Running and stopping.

use southbridge_core::system::WatchdogPolicy;
use southbridge_core::{MachineEvent, RunState as State};
use southbridge_machine::Layout;
use southbridge_machine::board::Irq;

use super::{Result, refuse};
use crate::Cx;
use crate::schema::{RunState, SetActionArgs, StatusInfo, WatchdogAction, WatchdogSetActionArgs};

pub(super) fn query_status(cx: &mut Cx<'_>) -> Result<StatusInfo> {
    let name = cx.machine.run_state().name();
    Ok(StatusInfo {
        running: cx.machine.is_running(),
        status: RunState::ALL
            .iter()
            .copied()
            .find(|s| s.name() == name)
            .unwrap_or(RunState::Paused),
    })
}

pub(super) fn stop(cx: &mut Cx<'_>) -> Result<()> {
    if cx.machine.is_running() {
        cx.pause(State::Paused);
    }
    Ok(())
}

pub(super) fn cont(cx: &mut Cx<'_>) -> Result<()> {
    match cx.machine.run_state() {
        State::Shutdown | State::InternalError => {
            refuse("the machine cannot go on from here: reset it first (system_reset)")
        }
        State::Inmigrate => refuse("the machine waits for its state and will go on by itself"),
        _ => {
            cx.resume();
            Ok(())
        }
    }
}

pub(super) fn system_reset(cx: &mut Cx<'_>) -> Result<()> {
    cx.reset();
    Ok(())
}

/// Boards for microcontrollers have no power button that a guest could see; the event tells that it was pressed.
pub(super) fn system_powerdown(cx: &mut Cx<'_>) -> Result<()> {
    cx.world.hear(&MachineEvent::Powerdown);
    Ok(())
}

/// A pulse on the NMI input.
pub(super) fn inject_nmi(cx: &mut Cx<'_>) -> Result<()> {
    let Some(sink) = cx.world.layout.irq_sink(Irq::Nmi) else {
        return refuse("this machine has no processor that could take an NMI");
    };
    cx.machine.sys.pulse(sink);
    Ok(())
}

pub(super) fn set_action(cx: &mut Cx<'_>, args: SetActionArgs) -> Result<()> {
    cx.set_policy(&args);
    if let Some(watchdog) = args.watchdog {
        cx.machine.sys.watchdog = watchdog_policy(watchdog, &cx.world.layout);
    }
    Ok(())
}

fn watchdog_policy(action: WatchdogAction, layout: &Layout) -> WatchdogPolicy {
    match action {
        WatchdogAction::Reset => WatchdogPolicy::Reset,
        // No board here has a power button that its guest listens to.
        WatchdogAction::Shutdown | WatchdogAction::Poweroff => WatchdogPolicy::Poweroff,
        WatchdogAction::Pause => WatchdogPolicy::Pause,
        WatchdogAction::InjectNmi => layout
            .irq_sink(Irq::Nmi)
            .map_or(WatchdogPolicy::Ignore, WatchdogPolicy::Nmi),
        WatchdogAction::Debug => WatchdogPolicy::Tell,
        WatchdogAction::None => WatchdogPolicy::Ignore,
    }
}

pub(super) fn watchdog_set_action(cx: &mut Cx<'_>, args: WatchdogSetActionArgs) -> Result<()> {
    cx.machine.sys.watchdog = watchdog_policy(args.action, &cx.world.layout);
    Ok(())
}
