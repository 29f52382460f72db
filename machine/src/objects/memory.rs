//! `-object memory-backend-…`: from words to memory of the host.

use southbridge_backend_memory::{Config, Kind, MemoryBackend, MemoryError};
use southbridge_core::{PropKind, Properties, Property, System};

use super::{ObjectError, ObjectType, Running, bad, property};

const SIZE: Property = property("size", PropKind::Size, None, "Bytes of memory");
const PREALLOC: Property = property(
    "prealloc",
    PropKind::Bool,
    Some("off"),
    "Take all of it from the host at once",
);
const MERGE: Property = property(
    "merge",
    PropKind::Bool,
    Some("off"),
    "Accepted; the host merges no pages",
);
const DUMP: Property = property(
    "dump",
    PropKind::Bool,
    Some("on"),
    "Accepted; dumps are of the whole guest",
);
const RESERVE: Property = property(
    "reserve",
    PropKind::Bool,
    Some("off"),
    "Accepted; no swap space is set aside",
);

const fn share(default: &'static str) -> Property {
    property(
        "share",
        PropKind::Bool,
        Some(default),
        "What the guest writes reaches whoever has the same memory",
    )
}

pub(super) const RAM: ObjectType = ObjectType {
    name: "memory-backend-ram",
    summary: "Memory of the host that has no name",
    properties: &[SIZE, share("off"), PREALLOC, MERGE, DUMP, RESERVE],
    start: ram,
};

pub(super) const FILE: ObjectType = ObjectType {
    name: "memory-backend-file",
    summary: "Memory that is a file, or has huge pages from a mount of hugetlbfs",
    properties: &[
        SIZE,
        share("off"),
        PREALLOC,
        MERGE,
        DUMP,
        RESERVE,
        property(
            "mem-path",
            PropKind::Str,
            None,
            "The file, or a folder for a file without a name",
        ),
        property(
            "offset",
            PropKind::Size,
            Some("0"),
            "Where in the file the memory begins",
        ),
        property("readonly", PropKind::Bool, Some("off"), "The file is only read"),
        property(
            "discard-data",
            PropKind::Bool,
            Some("off"),
            "Give the file's contents up at the end",
        ),
        property("align", PropKind::Size, Some("0"), "Accepted; the host aligns to pages"),
        property(
            "pmem",
            PropKind::Bool,
            Some("off"),
            "Accepted; nothing is made persistent by force",
        ),
        property("rom", PropKind::OnOffAuto, Some("auto"), "Accepted; 'readonly' decides"),
    ],
    start: file,
};

pub(super) const MEMFD: ObjectType = ObjectType {
    name: "memory-backend-memfd",
    summary: "Memory behind a memfd, perhaps in huge pages",
    properties: &[
        SIZE,
        share("on"),
        PREALLOC,
        MERGE,
        DUMP,
        RESERVE,
        property("hugetlb", PropKind::Bool, Some("off"), "In huge pages"),
        property(
            "hugetlbsize",
            PropKind::Size,
            Some("0"),
            "Their size; 0: the host's usual one",
        ),
        property(
            "seal",
            PropKind::Bool,
            Some("on"),
            "Its size cannot be changed by others",
        ),
    ],
    start: memfd,
};

pub(super) const SHM: ObjectType = ObjectType {
    name: "memory-backend-shm",
    summary: "Memory that is POSIX shared memory",
    properties: &[SIZE, share("on"), PREALLOC, MERGE, DUMP, RESERVE],
    start: shm,
};

fn ram(id: &str, p: &Properties, sys: &mut System) -> Result<Running, ObjectError> {
    start(RAM.name, Kind::Ram, id, p, sys)
}

fn shm(id: &str, p: &Properties, sys: &mut System) -> Result<Running, ObjectError> {
    if !p.bool("share") {
        return Err(bad("share", "off", "on, for such memory".into()));
    }
    start(SHM.name, Kind::Shm, id, p, sys)
}

fn memfd(id: &str, p: &Properties, sys: &mut System) -> Result<Running, ObjectError> {
    let page = p.uint("hugetlbsize");
    if page != 0 && !page.is_power_of_two() {
        return Err(bad("hugetlbsize", &page.to_string(), "a power of two".into()));
    }
    let huge = p.bool("hugetlb").then_some(page);
    let kind = Kind::Memfd {
        huge,
        seal: p.bool("seal"),
    };
    start(MEMFD.name, kind, id, p, sys)
}

fn file(id: &str, p: &Properties, sys: &mut System) -> Result<Running, ObjectError> {
    let path = p.str("mem-path").ok_or(ObjectError::Missing {
        type_name: FILE.name,
        property: "mem-path",
    })?;
    let kind = Kind::File {
        path: path.into(),
        offset: p.uint("offset"),
        readonly: p.bool("readonly"),
        discard: p.bool("discard-data"),
    };
    start(FILE.name, kind, id, p, sys)
}

fn start(
    type_name: &'static str,
    kind: Kind,
    id: &str,
    p: &Properties,
    sys: &mut System,
) -> Result<Running, ObjectError> {
    let missing = |property| ObjectError::Missing { type_name, property };
    let config = Config {
        kind,
        size: p.opt_uint("size").ok_or_else(|| missing("size"))?,
        share: p.bool("share"),
        prealloc: p.bool("prealloc"),
    };
    let refused = |e: MemoryError| ObjectError::Host {
        property: match e {
            MemoryError::File { .. } => "mem-path",
            MemoryError::NotYet(_) => "share",
            MemoryError::Empty | MemoryError::Host { .. } => "size",
        },
        why: e.to_string(),
    };
    let (backend, block) = MemoryBackend::add(sys, id, &config).map_err(refused)?;
    Ok(Running::Memory(backend, block))
}
