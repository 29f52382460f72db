//! Running and stopping: the commands of QMP, without words of their own.

use serde_json::Value;

use super::{Call, Refusal};

type Done = Result<(), Refusal>;

pub(super) fn stop(call: &mut Call<'_, '_>) -> Done {
    call.qmp("stop", Value::Null).map(drop)
}

pub(super) fn cont(call: &mut Call<'_, '_>) -> Done {
    call.qmp("cont", Value::Null).map(drop)
}

pub(super) fn quit(call: &mut Call<'_, '_>) -> Done {
    call.qmp("quit", Value::Null).map(drop)
}

pub(super) fn system_reset(call: &mut Call<'_, '_>) -> Done {
    call.qmp("system_reset", Value::Null).map(drop)
}

pub(super) fn system_powerdown(call: &mut Call<'_, '_>) -> Done {
    call.qmp("system_powerdown", Value::Null).map(drop)
}

pub(super) fn nmi(call: &mut Call<'_, '_>) -> Done {
    call.qmp("inject-nmi", Value::Null).map(drop)
}
