//! `-object filter-…`: what stands between a NIC and its network back end.

use southbridge_backend_net::filter::{self, FilterError, MAX_LEN, PlaceError, Position, Ways, Wish, Work};
use southbridge_core::{BackendId, PropKind, Properties, Property, System};
use std::path::Path;
use std::time::Duration;

use super::{ObjectError, ObjectType, Running, bad, property};

const NETDEV: Property = property("netdev", PropKind::Backend("netdev"), None, "The network back end");
const QUEUE: Property = property(
    "queue",
    PropKind::Enum(&["all", "rx", "tx"]),
    Some("all"),
    "Which frames: all, those for the back end, those of the back end",
);
const STATUS: Property = property("status", PropKind::Bool, Some("on"), "Whether it does anything");
const POSITION: Property = property(
    "position",
    PropKind::Str,
    Some("tail"),
    "Place among the filters of the back end: head, tail or id=FILTER",
);
const INSERT: Property = property(
    "insert",
    PropKind::Enum(&["before", "behind"]),
    Some("behind"),
    "On which side of the filter that 'position' names",
);
const HEADER: Property = property(
    "vnet_hdr_support",
    PropKind::Bool,
    Some("off"),
    "Frames on the character device say how long their virtio header is",
);

pub(super) const DUMP: ObjectType = ObjectType {
    name: "filter-dump",
    summary: "Captures frames in a file (pcap)",
    properties: &[
        NETDEV,
        property("file", PropKind::Str, None, "The file, which is begun anew"),
        property("maxlen", PropKind::Uint(32), Some("65536"), "Most bytes of each frame"),
        QUEUE,
        STATUS,
        POSITION,
        INSERT,
    ],
    start: dump,
};

pub(super) const MIRROR: ObjectType = ObjectType {
    name: "filter-mirror",
    summary: "Copies frames to a character device",
    properties: &[
        NETDEV,
        property("outdev", PropKind::Backend("chardev"), None, "The character device"),
        HEADER,
        QUEUE,
        STATUS,
        POSITION,
        INSERT,
    ],
    start: mirror,
};

pub(super) const REDIRECTOR: ObjectType = ObjectType {
    name: "filter-redirector",
    summary: "Sends frames to one character device and takes others from another",
    properties: &[
        NETDEV,
        property("outdev", PropKind::Backend("chardev"), None, "Where frames go"),
        property("indev", PropKind::Backend("chardev"), None, "Where frames come from"),
        HEADER,
        QUEUE,
        STATUS,
        POSITION,
        INSERT,
    ],
    start: redirector,
};

pub(super) const REWRITER: ObjectType = ObjectType {
    name: "filter-rewriter",
    summary: "Gives a guest in another's shadow the other's TCP numbers",
    properties: &[
        NETDEV,
        property(
            "vnet_hdr_support",
            PropKind::Bool,
            Some("off"),
            "Accepted: filters see frames without virtio headers",
        ),
        QUEUE,
        STATUS,
        POSITION,
        INSERT,
    ],
    start: |id, p, sys| add("filter-rewriter", id, p, sys, Work::Rewrite),
};

pub(super) const BUFFER: ObjectType = ObjectType {
    name: "filter-buffer",
    summary: "Lets frames wait for the end of an interval",
    properties: &[
        NETDEV,
        property("interval", PropKind::Uint(32), None, "The interval in microseconds"),
        QUEUE,
        STATUS,
        POSITION,
        INSERT,
    ],
    start: buffer,
};

pub(super) const REPLAY: ObjectType = ObjectType {
    name: "filter-replay",
    summary: "Accepted: a recorded run has the frames of every NIC",
    properties: &[NETDEV, QUEUE, STATUS, POSITION, INSERT],
    start: |id, p, sys| add("filter-replay", id, p, sys, Work::Replay),
};

fn missing(type_name: &'static str, property: &'static str) -> ObjectError {
    ObjectError::Missing { type_name, property }
}

fn dump(id: &str, p: &Properties, sys: &mut System) -> Result<Running, ObjectError> {
    let file = p.str("file").ok_or_else(|| missing("filter-dump", "file"))?;
    let max_len = u32::try_from(p.uint("maxlen")).unwrap_or(MAX_LEN);
    if max_len == 0 {
        return Err(bad("maxlen", "0", "a number of bytes from 1 on".into()));
    }
    let work = Work::Dump {
        file: Path::new(file),
        max_len,
    };
    add("filter-dump", id, p, sys, work)
}

fn mirror(id: &str, p: &Properties, sys: &mut System) -> Result<Running, ObjectError> {
    let work = Work::Mirror {
        to: p.backend("outdev").ok_or_else(|| missing("filter-mirror", "outdev"))?,
        with_header: p.bool("vnet_hdr_support"),
    };
    add("filter-mirror", id, p, sys, work)
}

fn redirector(id: &str, p: &Properties, sys: &mut System) -> Result<Running, ObjectError> {
    let (to, from) = (p.backend("outdev"), p.backend("indev"));
    if to.is_none() && from.is_none() {
        return Err(missing("filter-redirector", "outdev"));
    }
    if to == from {
        return Err(bad(
            "indev",
            "the same as 'outdev'",
            "another character device than 'outdev'".into(),
        ));
    }
    let work = Work::Redirect {
        to,
        from,
        with_header: p.bool("vnet_hdr_support"),
    };
    add("filter-redirector", id, p, sys, work)
}

fn buffer(id: &str, p: &Properties, sys: &mut System) -> Result<Running, ObjectError> {
    let interval = p
        .opt_uint("interval")
        .ok_or_else(|| missing("filter-buffer", "interval"))?;
    if interval == 0 {
        return Err(bad("interval", "0", "a number of microseconds from 1 on".into()));
    }
    add(
        "filter-buffer",
        id,
        p,
        sys,
        Work::Buffer(Duration::from_micros(interval)),
    )
}

fn add(
    type_name: &'static str,
    id: &str,
    p: &Properties,
    sys: &mut System,
    work: Work<'_>,
) -> Result<Running, ObjectError> {
    let netdev: BackendId = p.backend("netdev").ok_or_else(|| missing(type_name, "netdev"))?;
    let text = p.str("position").unwrap_or("tail");
    let before = p.str("insert") == Some("before");
    let position = match (text, text.strip_prefix("id=")) {
        ("head", _) => Position::Head,
        ("tail", _) => Position::Tail,
        (_, Some(other)) if before => Position::Before(other),
        (_, Some(other)) => Position::Behind(other),
        _ => return Err(bad("position", text, "head, tail or id=FILTER".into())),
    };
    let wish = Wish {
        id,
        work,
        ways: p.str("queue").and_then(Ways::parse).unwrap_or_default(),
        on: p.bool("status"),
        position,
    };
    filter::add(&mut sys.host, netdev, &wish).map_err(|e| refused(&e, text))?;
    Ok(Running::Filter(netdev))
}

fn refused(error: &FilterError, position: &str) -> ObjectError {
    let host = |property| ObjectError::Host {
        property,
        why: error.to_string(),
    };
    match error {
        FilterError::Place(PlaceError::NoFilter(_)) => {
            bad("position", position, "the id of a filter at the same back end".into())
        }
        FilterError::Place(PlaceError::NoNetdev) => host("netdev"),
        FilterError::File(_) => host("file"),
        FilterError::Chardev(_) => host("outdev"),
    }
}
