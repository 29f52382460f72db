//! What the machine is.

use southbridge_backend_block::IoThread;
use southbridge_core::{CpuId, Properties};
use southbridge_machine::BOARDS;
use southbridge_machine::board::Board;
use southbridge_machine::board::cores::Isa;

use super::{Result, refuse};
use crate::schema::{
    CpuDefinitionInfo, CpuInfoFast, CpuInfoFastBy, CpuInstanceProperties, CurrentMachineParams, HostMemPolicy,
    HotpluggableCPU, IOThreadInfo, KvmInfo, MachineInfo, Memdev, MemoryInfo, NameInfo, QueryMachinesArgs, SysEmuTarget,
    TargetInfo, UuidInfo,
};
use crate::{Cx, tree};

pub(super) fn query_name(cx: &mut Cx<'_>) -> Result<NameInfo> {
    Ok(NameInfo {
        name: cx.world.facts.name.clone(),
    })
}

pub(super) fn query_uuid(cx: &mut Cx<'_>) -> Result<UuidInfo> {
    let hex: String = cx.world.facts.uuid.iter().map(|b| format!("{b:02x}")).collect();
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|r| hex.get(r).unwrap_or_default());
    Ok(UuidInfo { uuid: parts.join("-") })
}

pub(super) fn query_kvm(_cx: &mut Cx<'_>) -> Result<KvmInfo> {
    Ok(KvmInfo {
        enabled: false,
        present: false,
    })
}

pub(super) fn query_target(cx: &mut Cx<'_>) -> Result<TargetInfo> {
    Ok(TargetInfo { arch: target(cx) })
}

/// The emulator of QEMU's that this is: that of the processors, where they leave it open that of the program's name.
fn target(cx: &Cx<'_>) -> SysEmuTarget {
    match cx.machine.cpus.first().map(|c| c.arch().name) {
        Some("riscv64") => SysEmuTarget::Riscv64,
        _ => cx.world.facts.target,
    }
}

fn offered(cx: &Cx<'_>) -> impl Iterator<Item = &'static Board> {
    let names = cx.world.facts.machines.clone();
    BOARDS.iter().copied().filter(move |b| names.contains(&b.name))
}

pub(super) fn query_machines(cx: &mut Cx<'_>, args: QueryMachinesArgs) -> Result<Vec<MachineInfo>> {
    let info = |b: &'static Board| MachineInfo {
        name: b.name.to_owned(),
        alias: None,
        is_default: None,
        cpu_max: b.cpu.as_ref().map_or(1, |c| c.most().into()),
        hotpluggable_cpus: false,
        numa_mem_supported: false,
        deprecated: false,
        default_cpu_type: b
            .cpu
            .as_ref()
            .and_then(|c| c.models().first().map(|m| tree::cpu_type(m, c.isa()))),
        default_ram_id: None,
        acpi: b.properties.iter().any(|p| p.name == "acpi"),
        compat_props: args.compat_props.filter(|wanted| *wanted).map(|_| Vec::new()),
    };
    Ok(offered(cx).map(info).collect())
}

pub(super) fn query_current_machine(_cx: &mut Cx<'_>) -> Result<CurrentMachineParams> {
    Ok(CurrentMachineParams {
        wakeup_suspend_support: false,
    })
}

pub(super) fn query_cpus_fast(cx: &mut Cx<'_>) -> Result<Vec<CpuInfoFast>> {
    // The machine's thread runs all processors, and this command.
    let thread = rustix::thread::gettid().as_raw_nonzero().get();
    let cpu = |id: CpuId| CpuInfoFast {
        cpu_index: id.0.into(),
        qom_path: tree::cpu_path(cx.machine, cx.world, id),
        thread_id: thread.into(),
        props: (cx.machine.cpu(id).map(|c| c.arch().name) == Some("riscv64")).then(|| sits_at(id)),
        by: match cx.machine.cpu(id).map(|c| c.arch().name) {
            Some("riscv64") => CpuInfoFastBy::Riscv64,
            Some("riscv32") => CpuInfoFastBy::Riscv32,
            _ => CpuInfoFastBy::Arm,
        },
    };
    Ok(tree::cpus(cx.machine).map(cpu).collect())
}

fn sits_at(id: CpuId) -> CpuInstanceProperties {
    CpuInstanceProperties {
        node_id: None,
        drawer_id: None,
        book_id: None,
        socket_id: None,
        die_id: None,
        cluster_id: None,
        module_id: None,
        core_id: Some(id.0.into()),
        thread_id: None,
    }
}

pub(super) fn query_cpu_definitions(cx: &mut Cx<'_>) -> Result<Vec<CpuDefinitionInfo>> {
    let isa = match target(cx) {
        SysEmuTarget::Arm | SysEmuTarget::Aarch64 => Isa::Arm,
        SysEmuTarget::Riscv64 => Isa::Rv64,
        _ => return Ok(Vec::new()),
    };
    let cores = BOARDS.iter().filter_map(|b| b.cpu.as_ref());
    let mut models: Vec<&str> = cores
        .filter(|c| c.isa() == isa)
        .flat_map(|c| c.models().to_vec())
        .collect();
    models.sort_unstable();
    models.dedup();
    let info = |name: &str| CpuDefinitionInfo {
        name: name.to_owned(),
        migration_safe: None,
        r#static: false,
        unavailable_features: None,
        typename: tree::cpu_type(name, isa),
        alias_of: None,
        deprecated: false,
    };
    Ok(models.into_iter().map(info).collect())
}

pub(super) fn query_iothreads(cx: &mut Cx<'_>) -> Result<Vec<IOThreadInfo>> {
    let host = &cx.machine.sys.host;
    let number = |p: &Properties, name| i64::try_from(p.uint(name)).unwrap_or(i64::MAX);
    let info = |(id, p): (&str, &Properties)| IOThreadInfo {
        id: id.to_owned(),
        thread_id: IoThread::find(host, id).map_or(0, |t| i64::from(t.number())),
        poll_max_ns: number(p, "poll-max-ns"),
        poll_grow: number(p, "poll-grow"),
        poll_shrink: number(p, "poll-shrink"),
        aio_max_batch: number(p, "aio-max-batch"),
    };
    Ok(cx.world.objects.iothreads().map(info).collect())
}

/// The memory that `-m` sizes: the board's largest, where it has such.
pub(super) fn query_memdev(cx: &mut Cx<'_>) -> Result<Vec<Memdev>> {
    let size = cx.world.layout.choices.ram;
    let ram = cx
        .machine
        .ram
        .iter()
        .find(|(_, block)| size != 0 && block.len() == size);
    let info = |(name, block): &(String, southbridge_core::RamBlock)| Memdev {
        id: Some(name.clone()),
        size: block.len(),
        merge: false,
        dump: true,
        prealloc: false,
        share: false,
        reserve: Some(true),
        host_nodes: Vec::new(),
        policy: HostMemPolicy::Default,
    };
    Ok(ram.iter().map(|r| info(r)).collect())
}

pub(super) fn query_memory_size_summary(cx: &mut Cx<'_>) -> Result<MemoryInfo> {
    let board = cx.world.layout.choices.ram;
    let all = cx.machine.ram.iter().map(|(_, block)| block.len()).sum();
    Ok(MemoryInfo {
        base_memory: if board == 0 { all } else { board },
        plugged_memory: Some(0),
    })
}

pub(super) fn query_hotpluggable_cpus(_cx: &mut Cx<'_>) -> Result<Vec<HotpluggableCPU>> {
    refuse("this machine has no processors to plug")
}
