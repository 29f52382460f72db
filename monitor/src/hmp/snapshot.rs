//! `savevm` and its kin, in the words of lines.

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
