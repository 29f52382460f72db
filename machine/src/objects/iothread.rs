//! `-object iothread`: a thread for the disks that name it (`iothread=`).
//!
//! It serves their rings, moves their data and waits for the host, while processors go on. Settings about polling and batches are accepted
//! and told again; the thread sleeps when it has nothing to do.

use southbridge_backend_block::IoThread;
use southbridge_core::{PropKind, Properties, System};

use super::{ObjectError, ObjectType, Running, property};

pub(super) const IOTHREAD: ObjectType = ObjectType {
    name: "iothread",
    summary: "A thread that serves the queues of disks, while processors go on",
    properties: &[
        property(
            "poll-max-ns",
            PropKind::Uint(63),
            Some("32768"),
            "Accepted, told again: the thread sleeps when it has nothing to do",
        ),
        property("poll-grow", PropKind::Uint(63), Some("0"), "Accepted, told again"),
        property("poll-shrink", PropKind::Uint(63), Some("0"), "Accepted, told again"),
        property(
            "aio-max-batch",
            PropKind::Uint(63),
            Some("0"),
            "Accepted, told again: one request after another",
        ),
        property(
            "thread-pool-min",
            PropKind::Uint(31),
            Some("0"),
            "Accepted: it works alone",
        ),
        property(
            "thread-pool-max",
            PropKind::Uint(31),
            Some("64"),
            "Accepted: it works alone",
        ),
    ],
    start,
};

fn start(id: &str, p: &Properties, sys: &mut System) -> Result<Running, ObjectError> {
    let (least, most) = (p.uint("thread-pool-min"), p.uint("thread-pool-max"));
    if most == 0 || least > most {
        return Err(ObjectError::BadValue {
            property: "thread-pool-max",
            value: most.to_string(),
            expected: format!("a number from {} on, no less than thread-pool-min", least.max(1)),
        });
    }
    let refused = |e: std::io::Error| ObjectError::Host {
        property: "id",
        why: format!("the host has no thread to give: {e}"),
    };
    IoThread::add(&mut sys.host, id).map_err(refused)?;
    Ok(Running::IoThread)
}

#[cfg(test)]
mod tests {
    use super::super::{ObjectError, Objects};
    use southbridge_backend_block::IoThread;
    use southbridge_core::{ClockRate, System};

    #[test]
    fn it_is_made_listed_and_removed() {
        let mut sys = System::new(ClockRate::Hz(1_000_000)).unwrap();
        let mut all = Objects::default();
        let mut add = |id: &str, given: &[(&'static str, &'static str)]| {
            let given = given.iter().copied();
            all.add(&mut sys, &|_, _| None, "iothread", id, given)
        };
        add("t0", &[("poll-max-ns", "0")]).unwrap();
        assert!(matches!(add("t0", &[]), Err(ObjectError::DuplicateId(_))));
        let bad = add("t1", &[("thread-pool-min", "9"), ("thread-pool-max", "3")]);
        assert!(matches!(bad, Err(ObjectError::BadValue { .. })));
        let settings: Vec<_> = all
            .iothreads()
            .map(|(id, p)| (id.to_owned(), p.uint("poll-max-ns")))
            .collect();
        assert_eq!(settings, [("t0".to_owned(), 0)]);
        let thread = IoThread::find(&sys.host, "t0").unwrap();
        assert_ne!(u32::try_from(thread.number()), Ok(std::process::id()));
        assert!(all.is_used(&sys, "t0"), "a handle of it is out");
        drop(thread);
        assert!(!all.is_used(&sys, "t0"));
        assert!(all.remove(&mut sys, "t0"));
        assert!(IoThread::find(&sys.host, "t0").is_none());
        assert_eq!(all.iothreads().count(), 0);
    }
}
