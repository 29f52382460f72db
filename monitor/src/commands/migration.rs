//! The machine goes to another process. What happens is in `southbridge_migration`; here are its words.

mod settings;

use southbridge_migration::{Migration, Status};

use super::{Result, refuse};
use crate::Cx;
use crate::schema::{
    MigrateArgs, MigrateIncomingArgs, MigrateRecoverArgs, MigrationInfo, MigrationStats, MigrationStatus,
};
pub(crate) use settings::Settings;
pub(super) use settings::{
    migrate_set_capabilities, migrate_set_parameters, query_migrate_capabilities, query_migrate_parameters,
};

fn of(cx: &Cx<'_>) -> Result<Migration> {
    match &cx.world.migration {
        Some(migration) => Ok(migration.clone()),
        None => refuse("this machine cannot be migrated"),
    }
}

/// The descriptor that the client knows by the name in `fd:NAME`; it is used up.
fn given(cx: &mut Cx<'_>, uri: &str) -> Option<std::os::fd::OwnedFd> {
    cx.world.named_fds.remove(uri.strip_prefix("fd:")?)
}

pub(crate) fn status(status: Status) -> MigrationStatus {
    let named = MigrationStatus::ALL.iter().copied().find(|s| s.name() == status.name());
    named.unwrap_or(MigrationStatus::None)
}

pub(super) fn query_migrate(cx: &mut Cx<'_>) -> Result<MigrationInfo> {
    let info = of(cx)?.query();
    let shown = info.status != Status::None;
    let int = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let out = shown && !info.incoming;
    let ram = info.ram.filter(|_| out).map(|r| {
        let seconds = (info.total_time.max(1) as f64) / 1000.0;
        MigrationStats {
            transferred: int(r.transferred),
            remaining: int(r.remaining),
            total: int(r.total),
            duplicate: int(r.duplicate),
            normal: int(r.normal),
            normal_bytes: int(r.normal * r.page_size),
            dirty_pages_rate: 0,
            mbps: r.transferred as f64 * 8.0 / 1e6 / seconds,
            dirty_sync_count: r.passes.into(),
            postcopy_requests: 0,
            page_size: int(r.page_size),
            multifd_bytes: 0,
            pages_per_second: (r.normal as f64 / seconds) as u64,
            precopy_bytes: 0,
            downtime_bytes: r.transferred,
            postcopy_bytes: 0,
            dirty_sync_missed_zero_copy: 0,
        }
    });
    Ok(MigrationInfo {
        status: shown.then(|| status(info.status)),
        ram,
        total_time: out.then(|| int(info.total_time)),
        downtime: (out && info.status == Status::Completed).then(|| int(info.downtime)),
        setup_time: (out && info.status != Status::Setup).then(|| int(info.setup_time)),
        error_desc: info.error,
    })
}

pub(super) fn migrate(cx: &mut Cx<'_>, args: MigrateArgs) -> Result<()> {
    let migration = of(cx)?;
    let fd = given(cx, &args.uri);
    migration.migrate(cx.machine, &args.uri, fd).or_else(refuse)?;
    cx.world.hear_begin();
    Ok(())
}

pub(super) fn migrate_cancel(cx: &mut Cx<'_>) -> Result<()> {
    of(cx)?.cancel();
    cx.world.hear_migration();
    Ok(())
}

pub(super) fn migrate_incoming(cx: &mut Cx<'_>, args: MigrateIncomingArgs) -> Result<()> {
    let migration = of(cx)?;
    let fd = given(cx, &args.uri);
    let exit = args.exit_on_error.unwrap_or(true);
    migration.incoming(cx.machine, &args.uri, fd, exit).or_else(refuse)?;
    cx.world.hear_begin();
    Ok(())
}

/// No guest runs on the other side before all of its state is there, so there is never anything to interrupt.
pub(super) fn migrate_pause(_cx: &mut Cx<'_>) -> Result<()> {
    refuse("migrate-pause needs a migration that is in its postcopy phase, and there is none")
}

pub(super) fn migrate_recover(_cx: &mut Cx<'_>, _args: MigrateRecoverArgs) -> Result<()> {
    refuse("migrate-recover needs a migration that was paused in its postcopy phase, and there is none")
}
