//! Disks and what is behind them.

use serde_json::{Map, Value};
use southbridge_backend_block::{BlockBackend, BlockError, Blocks, Drive, Node, Stats};
use southbridge_core::{DeviceId, Machine, Notice, NoticeValue, RunState};
use southbridge_protocol_qmp::Error;
use std::time::{Duration, Instant};

use super::{Result, device, refuse};
use crate::Cx;
use crate::schema::{
    BlockDeviceInfo, BlockDeviceIoStatus, BlockDeviceStats, BlockInfo, BlockResizeArgs, BlockStats, BlockdevCacheInfo,
    BlockdevDelArgs, BlockdevDetectZeroesOptions, ImageInfo, QueryBlockstatsArgs, QueryNamedBlockNodesArgs,
};
use crate::tree;

/// A disk as the queries see it.
struct Disk {
    /// Name of the drive, or empty.
    drive: String,
    users: Vec<DeviceId>,
    node: std::sync::Arc<Node>,
    write_back: bool,
    stats: Stats,
}

/// Lets go of what devices that are gone have used, and of their drives.
pub(crate) fn sweep(machine: &mut Machine) {
    Blocks::of(&mut machine.sys.host, Blocks::sweep);
}

/// Images are locked where the machine is: not before it has come, and not after it has gone.
pub(crate) fn follow(machine: &mut Machine) {
    let here = match machine.run_state() {
        RunState::Inmigrate => return,
        RunState::Postmigrate => false,
        _ => true,
    };
    if Blocks::peek(&machine.sys.host).is_none() {
        return;
    }
    // Who sends a machine gives its images up a moment after it is all here.
    for attempt in 0..PATIENCE {
        match Blocks::of(&mut machine.sys.host, |b, _| b.set_here(here)) {
            Ok(()) => return,
            Err(_) if attempt + 1 < PATIENCE => std::thread::sleep(Duration::from_millis(10)),
            Err(e) => {
                machine
                    .sys
                    .log
                    .warning(format_args!("{e}; it goes on without the lock"));
                Blocks::of(&mut machine.sys.host, |b, _| b.do_without_locks());
            }
        }
    }
}

/// Tries to lock the images of a machine that has come, ten milliseconds apart.
const PATIENCE: u32 = 50;

/// All drives, and nodes that have a back end.
fn disks(cx: &mut Cx<'_>) -> Vec<Disk> {
    sweep(cx.machine);
    let host = &cx.machine.sys.host;
    let Some(blocks) = Blocks::peek(host) else {
        return Vec::new();
    };
    let backends = blocks.iter().filter_map(|(_, id)| host.peek::<BlockBackend>(id));
    let disk = |b: &BlockBackend| Disk {
        drive: if b.is_drive() {
            b.name().to_owned()
        } else {
            String::new()
        },
        users: b.users().collect(),
        node: b.node().clone(),
        write_back: b.habits().write_back,
        stats: b.stats(),
    };
    backends.map(disk).collect()
}

/// Those that `query-block` shows, with the device that uses each.
fn shown(cx: &mut Cx<'_>) -> Vec<(Disk, Option<String>)> {
    let mut all = Vec::new();
    for mut disk in disks(cx) {
        let users = std::mem::take(&mut disk.users);
        if disk.drive.is_empty() && users.is_empty() {
            continue;
        }
        let qdev = users.first().map(|d| named(cx, *d));
        all.push((disk, qdev));
    }
    all
}

/// A disk that a snapshot would leave behind: one that a device may have written to. Its contents are in no snapshot, and a guest that
/// went back without them would destroy its file system.
pub(crate) fn not_in_snapshots(cx: &mut Cx<'_>) -> Option<String> {
    let all = shown(cx);
    let (disk, _) = all.into_iter().find(|(d, _)| !d.node.is_read_only())?;
    Some(match disk.drive.is_empty() {
        true => disk.node.name().to_owned(),
        false => disk.drive,
    })
}

/// Makes a drive that a device may name, in words of `-drive`.
pub(crate) fn add_drive(cx: &mut Cx<'_>, id: &str, pairs: &[(String, String)]) -> Result<()> {
    sweep(cx.machine);
    let drive = Drive::parse(id, pairs).map_err(|e| refused(&e))?;
    let added = Blocks::of(&mut cx.machine.sys.host, |b, host| b.add_drive(host, &drive));
    added.map(drop).map_err(|e| refused(&e))
}

/// Removes a drive.
pub(crate) fn remove_drive(cx: &mut Cx<'_>, id: &str) -> Result<()> {
    sweep(cx.machine);
    let removed = Blocks::of(&mut cx.machine.sys.host, |b, host| b.remove_drive(host, id));
    removed.map_err(|e| refused(&e))
}

fn named(cx: &Cx<'_>, device: DeviceId) -> String {
    let id = cx.machine.sys.slot(device).and_then(|s| s.id.clone());
    id.unwrap_or_else(|| tree::device_path(cx.machine, cx.world, device))
}

pub(crate) fn query_block(cx: &mut Cx<'_>) -> Result<Vec<BlockInfo>> {
    let info = |(disk, qdev): (Disk, Option<String>)| BlockInfo {
        inserted: Some(node_info(&disk.node, disk.write_back)),
        device: disk.drive,
        r#type: "unknown".into(),
        removable: qdev.is_none(),
        locked: false,
        tray_open: None,
        io_status: qdev.is_some().then_some(BlockDeviceIoStatus::Ok),
        qdev,
    };
    Ok(shown(cx).into_iter().map(info).collect())
}

fn node_info(node: &Node, write_back: bool) -> BlockDeviceInfo {
    let int = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    BlockDeviceInfo {
        file: node.filename(),
        node_name: Some(node.name().to_owned()),
        ro: node.is_read_only(),
        drv: node.driver().to_owned(),
        backing_file_depth: node.is_temporary().into(),
        active: true,
        encrypted: false,
        detect_zeroes: BlockdevDetectZeroesOptions::Off,
        bps: 0,
        bps_rd: 0,
        bps_wr: 0,
        iops: 0,
        iops_rd: 0,
        iops_wr: 0,
        image: ImageInfo {
            filename: node.filename(),
            format: node.driver().to_owned(),
            virtual_size: int(node.len()),
            actual_size: node.allocated().map(int),
        },
        cache: BlockdevCacheInfo {
            writeback: write_back,
            direct: node.is_direct(),
            no_flush: node.is_no_flush(),
        },
        write_threshold: 0,
    }
}

pub(super) fn query_named_block_nodes(
    cx: &mut Cx<'_>,
    _args: QueryNamedBlockNodesArgs,
) -> Result<Vec<BlockDeviceInfo>> {
    sweep(cx.machine);
    let blocks = Blocks::peek(&cx.machine.sys.host);
    let nodes = blocks.into_iter().flat_map(Blocks::nodes);
    Ok(nodes.map(|n| node_info(n, true)).collect())
}

pub(crate) fn query_blockstats(cx: &mut Cx<'_>, args: QueryBlockstatsArgs) -> Result<Vec<BlockStats>> {
    let by_node = args.query_nodes == Some(true);
    let of_node = |disk: Disk| BlockStats {
        device: None,
        qdev: None,
        node_name: Some(disk.node.name().to_owned()),
        stats: counts(&disk.stats),
    };
    if by_node {
        return Ok(disks(cx).into_iter().map(of_node).collect());
    }
    let of_disk = |(disk, qdev): (Disk, Option<String>)| BlockStats {
        device: Some(disk.drive.clone()),
        qdev,
        ..of_node(disk)
    };
    Ok(shown(cx).into_iter().map(of_disk).collect())
}

fn counts(s: &Stats) -> BlockDeviceStats {
    let int = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let ns = |d: Duration| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX);
    BlockDeviceStats {
        rd_bytes: int(s.read.bytes),
        wr_bytes: int(s.write.bytes),
        zone_append_bytes: 0,
        unmap_bytes: int(s.discard.bytes),
        rd_operations: int(s.read.operations),
        wr_operations: int(s.write.operations),
        zone_append_operations: 0,
        flush_operations: int(s.flush.operations),
        unmap_operations: int(s.discard.operations),
        rd_total_time_ns: ns(s.read.time),
        wr_total_time_ns: ns(s.write.time),
        zone_append_total_time_ns: 0,
        flush_total_time_ns: ns(s.flush.time),
        unmap_total_time_ns: ns(s.discard.time),
        wr_highest_offset: int(s.highest),
        rd_merged: 0,
        wr_merged: 0,
        zone_append_merged: 0,
        unmap_merged: 0,
        idle_time_ns: s.last.map(|t| ns(Instant::now().saturating_duration_since(t))),
        failed_rd_operations: int(s.read.failed),
        failed_wr_operations: int(s.write.failed),
        failed_zone_append_operations: 0,
        failed_flush_operations: int(s.flush.failed),
        failed_unmap_operations: int(s.discard.failed),
        invalid_rd_operations: int(s.read.invalid),
        invalid_wr_operations: int(s.write.invalid),
        invalid_zone_append_operations: 0,
        invalid_flush_operations: 0,
        invalid_unmap_operations: 0,
        account_invalid: true,
        account_failed: true,
        timed_stats: Vec::new(),
    }
}

fn refused(error: &BlockError) -> Error {
    Error::generic(error.to_string())
}

pub(super) fn blockdev_add(cx: &mut Cx<'_>, args: Map<String, Value>) -> Result<()> {
    let mut pairs = Vec::new();
    flatten("", &args, &mut pairs)?;
    sweep(cx.machine);
    let added = Blocks::of(&mut cx.machine.sys.host, |b, host| b.add(host, &pairs));
    added.map_err(|e| refused(&e))
}

/// Nested objects as the command line spells them: `cache.direct`.
fn flatten(prefix: &str, args: &Map<String, Value>, pairs: &mut Vec<(String, String)>) -> Result<()> {
    for (name, value) in args {
        let name = format!("{prefix}{name}");
        match (value, device::spelled(value)) {
            (Value::Object(nested), _) => flatten(&format!("{name}."), nested, pairs)?,
            (_, Some(text)) => pairs.push((name, text)),
            (_, None) => return refuse(format!("'{name}' takes a string, a number, true, false or an object")),
        }
    }
    Ok(())
}

pub(super) fn blockdev_del(cx: &mut Cx<'_>, args: BlockdevDelArgs) -> Result<()> {
    sweep(cx.machine);
    let removed = Blocks::of(&mut cx.machine.sys.host, |b, host| b.remove(host, &args.node_name));
    removed.map_err(|e| refused(&e))
}

pub(crate) fn block_resize(cx: &mut Cx<'_>, args: BlockResizeArgs) -> Result<()> {
    let name = match (args.device.as_deref(), args.node_name.as_deref()) {
        (Some(name), None) | (None, Some(name)) => name.to_owned(),
        _ => return refuse("one of 'device' and 'node-name' names the disk"),
    };
    let Ok(size) = u64::try_from(args.size) else {
        return refuse("'size' cannot be negative");
    };
    let resized = Blocks::of(&mut cx.machine.sys.host, |b, host| b.resize(host, &name, size));
    resized.map_err(|e| refused(&e))
}

/// What a disk says of an error, with the path that only who sees the tree knows.
pub(crate) fn translate(notice: &mut Notice, machine: &Machine, world: &crate::World) {
    if notice.event == "BLOCK_IO_ERROR" {
        let path = tree::device_path(machine, world, notice.device);
        notice.members.push(("qom-path", NoticeValue::Text(path)));
    }
}
