//! What can be set for migrations: capabilities and parameters. Who knows QEMU sets some of them before each migration, so what does no
//! harm is taken and kept, checked as there; what would promise something that does not happen is refused.

use serde_json::{Map, Value};
use southbridge_migration::Capability;
use std::collections::BTreeSet;

use super::of;
use crate::Cx;
use crate::commands::{Result, read, refuse};
use crate::schema::{
    MigMode, MigrateSetCapabilitiesArgs, MigrationCapability as Name, MigrationCapabilityStatus, MigrationParameters,
    MultiFDCompression, ZeroPageDetection,
};

/// What is set.
pub(crate) struct Settings {
    /// What is on, besides events: the migration itself knows of those.
    capabilities: BTreeSet<Name>,
    pub(crate) parameters: MigrationParameters,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            capabilities: BTreeSet::new(),
            parameters: defaults(),
        }
    }
}

/// As QEMU has them.
fn defaults() -> MigrationParameters {
    MigrationParameters {
        announce_initial: Some(50),
        announce_max: Some(550),
        announce_rounds: Some(5),
        announce_step: Some(100),
        throttle_trigger_threshold: Some(50),
        cpu_throttle_initial: Some(20),
        cpu_throttle_increment: Some(10),
        cpu_throttle_tailslow: Some(false),
        tls_creds: Some(String::new()),
        tls_hostname: Some(String::new()),
        tls_authz: Some(String::new()),
        max_bandwidth: Some(128 << 20),
        avail_switchover_bandwidth: Some(0),
        downtime_limit: Some(300),
        x_checkpoint_delay: Some(20_000),
        multifd_channels: Some(2),
        xbzrle_cache_size: Some(64 << 20),
        max_postcopy_bandwidth: Some(0),
        max_cpu_throttle: Some(99),
        multifd_compression: Some(MultiFDCompression::None),
        multifd_zlib_level: Some(1),
        multifd_qatzip_level: Some(1),
        multifd_zstd_level: Some(1),
        x_vcpu_dirty_limit_period: Some(1000),
        vcpu_dirty_limit: Some(1),
        mode: Some(MigMode::Normal),
        zero_page_detection: Some(ZeroPageDetection::Multifd),
        direct_io: Some(false),
    }
}

/// Numbers that are possible.
const RANGES: &[(&str, u64, u64)] = &[
    ("announce-initial", 0, 100_000),
    ("announce-max", 0, 100_000),
    ("announce-rounds", 0, 1000),
    ("announce-step", 1, 10_000),
    ("throttle-trigger-threshold", 1, 100),
    ("cpu-throttle-initial", 1, 99),
    ("cpu-throttle-increment", 1, 99),
    ("downtime-limit", 0, 2_000_000),
    ("multifd-channels", 1, 255),
    ("multifd-zlib-level", 0, 9),
    ("multifd-qatzip-level", 1, 9),
    ("multifd-zstd-level", 0, 20),
    ("x-vcpu-dirty-limit-period", 1, 1000),
    ("vcpu-dirty-limit", 1, u64::MAX),
];
const PAGE: u64 = 4096;

fn is_harmless(name: Name) -> bool {
    matches!(
        name,
        Name::Events
            | Name::Xbzrle
            | Name::AutoConverge
            | Name::ZeroBlocks
            | Name::ReleaseRam
            | Name::ReturnPath
            | Name::DirtyBitmaps
            | Name::LateBlockActivate
    )
}

/// Nothing is set while the machine is on its way out.
fn check_idle(cx: &Cx<'_>) -> Result<()> {
    let info = of(cx)?.query();
    if info.status.is_under_way() && !info.incoming {
        return refuse("there is a migration in progress");
    }
    Ok(())
}

pub(in crate::commands) fn migrate_set_capabilities(cx: &mut Cx<'_>, args: MigrateSetCapabilitiesArgs) -> Result<()> {
    check_idle(cx)?;
    if let Some(c) = args.capabilities.iter().find(|c| c.state && !is_harmless(c.capability)) {
        let name = c.capability.name();
        return refuse(format!(
            "capability '{name}' is not there: machines are not sent that way here"
        ));
    }
    let migration = of(cx)?;
    for c in args.capabilities {
        let on = &mut cx.world.settings.capabilities;
        match (c.capability, c.state) {
            (Name::Events, state) => migration.set_capability(Capability::Events, state),
            (other, true) => _ = on.insert(other),
            (other, false) => _ = on.remove(&other),
        }
    }
    Ok(())
}

pub(in crate::commands) fn query_migrate_capabilities(cx: &mut Cx<'_>) -> Result<Vec<MigrationCapabilityStatus>> {
    let events = of(cx)?.has_capability(Capability::Events);
    let on = &cx.world.settings.capabilities;
    let all = Name::ALL.iter().map(|capability| MigrationCapabilityStatus {
        capability: *capability,
        state: on.contains(capability) || *capability == Name::Events && events,
    });
    Ok(all.collect())
}

pub(in crate::commands) fn query_migrate_parameters(cx: &mut Cx<'_>) -> Result<MigrationParameters> {
    Ok(cx.world.settings.parameters.clone())
}

/// All that are given, or none.
pub(in crate::commands) fn migrate_set_parameters(cx: &mut Cx<'_>, args: MigrationParameters) -> Result<()> {
    check_idle(cx)?;
    let (given, mut all) = (members(&args)?, members(&cx.world.settings.parameters)?);
    all.extend(given.clone());
    check(&given, &all)?;
    cx.world.settings.parameters = read(all.into())?;
    Ok(())
}

fn members(parameters: &MigrationParameters) -> Result<Map<String, Value>> {
    match serde_json::to_value(parameters) {
        Ok(Value::Object(members)) => Ok(members),
        _ => refuse("the parameters have no form"),
    }
}

/// What is given, and all as they would be.
fn check(given: &Map<String, Value>, all: &Map<String, Value>) -> Result<()> {
    let expects = |name: &str, what: String| refuse(format!("Parameter '{name}' expects {what}"));
    let number = |name: &str| all.get(name).and_then(Value::as_u64).unwrap_or(0);
    for name in given.keys().map(String::as_str) {
        if let Some((_, least, most)) = RANGES.iter().find(|(n, ..)| *n == name)
            && !(*least..=*most).contains(&number(name))
        {
            return expects(name, format!("a number from {least} to {most}"));
        }
        let n = number(name);
        match name {
            "xbzrle-cache-size" if n < PAGE || !n.is_power_of_two() => {
                return expects(name, format!("a power of two from {PAGE} on"));
            }
            "max-cpu-throttle" if n > 99 || n < number("cpu-throttle-initial") => {
                return expects(name, "a number from that of cpu-throttle-initial to 99".into());
            }
            "tls-creds" | "tls-hostname" | "tls-authz" if all[name] != "" => {
                return refuse(format!(
                    "parameter '{name}' must be empty: migrations are not encrypted here"
                ));
            }
            "mode" if all[name] != "normal" => {
                return refuse(format!(
                    "mode {} is not there: machines are not sent that way here",
                    all[name]
                ));
            }
            _ => {}
        }
    }
    Ok(())
}
