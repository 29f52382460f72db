//! Disks: `info block`, `info blockstats`, `block_resize`, `drive_add`, `drive_del`.

use southbridge_cli::keyval::{Grammar, Props, value};
use southbridge_cli::location::Source;

use crate::commands::block;
use crate::schema::{BlockDeviceInfo, BlockResizeArgs, QueryBlockstatsArgs};

use super::{Call, Refusal, failed};

type Done = Result<(), Refusal>;

pub(super) fn info(call: &mut Call<'_, '_>) -> Done {
    let wanted = call.args.word(0).to_owned();
    let disks = block::query_block(call.cx)?;
    for disk in &disks {
        let Some(node) = &disk.inserted else { continue };
        let name = node.node_name.as_deref().unwrap_or_default();
        if !wanted.is_empty() && wanted != disk.device && wanted != name && disk.qdev.as_ref() != Some(&wanted) {
            continue;
        }
        let title = match disk.device.as_str() {
            "" => name.to_owned(),
            device => format!("{device} ({name})"),
        };
        node_lines(call, &title, node, disk.qdev.as_deref(), disk.removable);
    }
    Ok(())
}

fn node_lines(call: &mut Call<'_, '_>, title: &str, node: &BlockDeviceInfo, qdev: Option<&str>, removable: bool) {
    let read_only = if node.ro { ", read-only" } else { "" };
    call.say(format_args!("{title}: {} ({}{read_only})", node.file, node.drv));
    if let Some(qdev) = qdev {
        call.say(format_args!("    Attached to:      {qdev}"));
    }
    if removable {
        call.say(format_args!("    Removable device: not locked, tray closed"));
    }
    let cache = &node.cache;
    call.say(format_args!(
        "    Cache mode:       {}{}{}",
        if cache.writeback { "writeback" } else { "writethrough" },
        if cache.direct { ", direct" } else { "" },
        if cache.no_flush { ", ignore flushes" } else { "" },
    ));
}

pub(super) fn stats(call: &mut Call<'_, '_>) -> Done {
    let args = QueryBlockstatsArgs { query_nodes: None };
    let all = block::query_blockstats(call.cx, args)?;
    for disk in &all {
        let name = disk.device.as_deref().filter(|d| !d.is_empty());
        let name = name.or(disk.node_name.as_deref()).unwrap_or_default();
        let s = &disk.stats;
        call.say(format_args!(
            "{name}: rd_bytes={} wr_bytes={} rd_operations={} wr_operations={} flush_operations={} wr_total_time_ns={} \
             rd_total_time_ns={} flush_total_time_ns={} rd_merged={} wr_merged={} idle_time_ns={}",
            s.rd_bytes,
            s.wr_bytes,
            s.rd_operations,
            s.wr_operations,
            s.flush_operations,
            s.wr_total_time_ns,
            s.rd_total_time_ns,
            s.flush_total_time_ns,
            s.rd_merged,
            s.wr_merged,
            s.idle_time_ns.unwrap_or(0),
        ));
    }
    Ok(())
}

pub(super) fn resize(call: &mut Call<'_, '_>) -> Done {
    let name = call.args.word(0).to_owned();
    // As everywhere in this monitor a size without suffix counts MiB.
    let text = call.args.word(1);
    let bytes = match text.parse::<u64>() {
        Ok(mib) => mib.checked_mul(1 << 20),
        Err(_) => southbridge_core::property::parse_size(&text),
    };
    let Some(size) = bytes.and_then(|n| i64::try_from(n).ok()) else {
        return failed(format!("'{text}' is no size"));
    };
    let args = BlockResizeArgs {
        device: Some(name),
        node_name: None,
        size,
    };
    Ok(block::block_resize(call.cx, args)?)
}

/// The place of a disk on a PCI bus is not looked at: a device takes it, by `device_add`.
pub(super) fn drive_add(call: &mut Call<'_, '_>) -> Done {
    let (only_node, text) = (call.args.flag(0), call.args.word(2));
    let source = Source::implied("drive_add", &text);
    let props = Props::parse(&source, Grammar::plain()).map_err(|e| Refusal::Failed(e.message()))?;
    let word = |key: &str| props.get(key).map(|e| e.value.clone());
    let all = props.entries().iter();
    let pairs: Vec<_> = all.map(|e| (e.key.clone(), e.value.clone())).collect();
    if only_node {
        let args = pairs.into_iter().map(|(n, v)| (n, v.into())).collect();
        crate::run(call.cx, "blockdev-add", args, false)?;
        return Ok(());
    }
    match word("if").as_deref() {
        Some("none") => {}
        other => {
            let other = other.unwrap_or("virtio");
            return failed(format!(
                "a drive with if={other} cannot come while the machine runs; if=none can"
            ));
        }
    }
    let id = word("id").filter(|id| value::is_id(id));
    let id = id.ok_or_else(|| Refusal::Failed(format!("'id' is {}", value::EXPECT_ID)))?;
    block::add_drive(call.cx, &id, &pairs)?;
    call.say(format_args!("OK"));
    Ok(())
}

pub(super) fn drive_del(call: &mut Call<'_, '_>) -> Done {
    let id = call.args.word(0);
    Ok(block::remove_drive(call.cx, &id)?)
}
