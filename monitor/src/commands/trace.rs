//! Trace events by name.

use southbridge_core::trace::Glob;

use super::{Result, refuse};
use crate::Cx;
use crate::schema::{TraceEventGetStateArgs, TraceEventInfo, TraceEventSetStateArgs, TraceEventState};

pub(super) fn trace_event_get_state(cx: &mut Cx<'_>, args: TraceEventGetStateArgs) -> Result<Vec<TraceEventInfo>> {
    let glob = Glob::new(&args.name);
    let events = cx.machine.sys.trace.events().filter(|(e, _)| glob.matches(e.name));
    let found: Vec<_> = events
        .map(|(e, on)| TraceEventInfo {
            name: e.name.to_owned(),
            state: if on {
                TraceEventState::Enabled
            } else {
                TraceEventState::Disabled
            },
        })
        .collect();
    match found.is_empty() && !args.name.contains('*') {
        true => refuse(format!("there is no trace event '{}'", args.name)),
        false => Ok(found),
    }
}

/// All events of this program can be switched, so `ignore-unavailable` has nothing to ignore.
pub(super) fn trace_event_set_state(cx: &mut Cx<'_>, args: TraceEventSetStateArgs) -> Result<()> {
    let switched = cx.machine.sys.trace_enable(&args.name, args.enable);
    match switched == 0 && !args.name.contains('*') {
        true => refuse(format!("there is no trace event '{}'", args.name)),
        false => Ok(()),
    }
}
