//! `-object iothread`: accepted, listed, and honest about what it does.
//!
//! A thread of its own would serve rings beside the processors. Here devices belong to the machine's thread (see the architecture), and
//! what can wait for the host (disks, shared folders, sockets) has threads of its own behind the back ends already. So the object is
//! there for command lines that name one, its settings can be read, and the user is told that nothing moves.

use southbridge_core::{PropKind, Properties, System};

use super::{ObjectError, ObjectType, Running, property};

pub(super) const IOTHREAD: ObjectType = ObjectType {
    name: "iothread",
    summary: "Accepted for QEMU's sake: the machine's own thread serves all rings",
    properties: &[
        property(
            "poll-max-ns",
            PropKind::Uint(63),
            Some("32768"),
            "Longest time of polling; there is none",
        ),
        property("poll-grow", PropKind::Uint(63), Some("0"), "How polling would grow"),
        property("poll-shrink", PropKind::Uint(63), Some("0"), "How polling would shrink"),
        property(
            "aio-max-batch",
            PropKind::Uint(63),
            Some("0"),
            "Most requests in one go",
        ),
        property(
            "thread-pool-min",
            PropKind::Uint(31),
            Some("0"),
            "Least helpers of the thread",
        ),
        property(
            "thread-pool-max",
            PropKind::Uint(31),
            Some("64"),
            "Most helpers of the thread",
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
    sys.log.warning(format_args!(
        "iothread '{id}' has no thread of its own: the machine's thread serves all rings"
    ));
    Ok(Running::IoThread)
}

#[cfg(test)]
mod tests {
    use super::super::{ObjectError, Objects};
    use southbridge_core::{ClockRate, System};

    #[test]
    fn it_is_made_listed_and_removed() {
        let mut sys = System::new(ClockRate::Hz(1_000_000)).unwrap();
        sys.log.set_warnings(Box::new(std::io::sink()));
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
        assert!(all.remove(&mut sys, "t0"));
        assert_eq!(all.iothreads().count(), 0);
    }
}
