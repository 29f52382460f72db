//! `iothread=` and `iothread-vq-mapping=`: which thread serves which queue.

use southbridge_core::{CreateError, Properties};
use std::collections::BTreeMap;

const MAPPING: &str = "iothread-vq-mapping";

/// One thread of the list, with the queues that it is given by number.
#[derive(Debug, Default)]
struct Item {
    thread: Option<String>,
    queues: Vec<u16>,
}

fn bad<T>(value: impl Into<String>, expected: impl Into<String>) -> Result<T, CreateError> {
    Err(CreateError::BadValue {
        property: MAPPING,
        value: value.into(),
        expected: expected.into(),
    })
}

/// The names of the threads by queue; none if the user names none.
pub(super) fn threads(p: &Properties, queues: u16) -> Result<Vec<String>, CreateError> {
    let parts = p.nested(MAPPING);
    match p.str("iothread") {
        Some(_) if !parts.is_empty() => bad("a list", "nothing beside iothread=, which is for all queues"),
        Some(name) => Ok(vec![name.to_owned(); usize::from(queues)]),
        None if parts.is_empty() => Ok(Vec::new()),
        None => assign(&items(parts)?, queues),
    }
}

fn items(parts: &[(String, String)]) -> Result<Vec<(String, Vec<u16>)>, CreateError> {
    let mut items = BTreeMap::<u32, Item>::new();
    for (key, value) in parts {
        let words: Vec<&str> = key.split('.').collect();
        let item = words.first().and_then(|n| n.parse().ok());
        match (item, words.get(1..).unwrap_or_default()) {
            (Some(n), ["iothread"]) => items.entry(n).or_default().thread = Some(value.clone()),
            (Some(n), ["vqs", _]) => match value.parse() {
                Ok(queue) => items.entry(n).or_default().queues.push(queue),
                Err(_) => return bad(value, "the number of a queue in 'vqs'"),
            },
            _ => {
                return bad(
                    format!("{key}={value}"),
                    "a list of {\"iothread\": ID, \"vqs\": [NUMBER, …]}",
                );
            }
        }
    }
    let item = |(n, item): (u32, Item)| match item.thread {
        Some(thread) => Ok((thread, item.queues)),
        None => bad(format!("item {n}"), "'iothread' in each item of the list"),
    };
    items.into_iter().map(item).collect()
}

fn assign(items: &[(String, Vec<u16>)], queues: u16) -> Result<Vec<String>, CreateError> {
    for (i, (name, _)) in items.iter().enumerate() {
        if items.iter().take(i).any(|(other, _)| other == name) {
            return bad(name, "each thread once");
        }
    }
    if items.iter().all(|(_, numbers)| numbers.is_empty()) {
        // In turns.
        let names = items.iter().map(|(name, _)| name.clone()).cycle();
        return Ok(names.take(queues.into()).collect());
    }
    let mut by_queue = vec![None; usize::from(queues)];
    for (name, numbers) in items {
        if numbers.is_empty() {
            return bad(name, "'vqs' in all items of the list or in none");
        }
        for n in numbers {
            match by_queue.get_mut(usize::from(*n)) {
                Some(slot @ None) => *slot = Some(name.clone()),
                Some(Some(_)) => return bad(format!("queue {n}"), "one thread for each queue"),
                None => return bad(format!("queue {n}"), format!("a queue below num-queues, {queues}")),
            }
        }
    }
    let all = by_queue.into_iter().enumerate();
    all.map(|(n, name)| name.map_or_else(|| bad(format!("nothing for queue {n}"), "a thread for each queue"), Ok))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(parts: &[(&str, &str)], queues: u16) -> Result<Vec<String>, String> {
        let mut p = Properties::default();
        for (key, value) in parts {
            p.add_part(MAPPING, key, value);
        }
        threads(&p, queues).map_err(|e| e.to_string())
    }

    #[test]
    fn threads_take_queues_in_turns_or_by_number() {
        assert_eq!(of(&[], 3).unwrap(), Vec::<String>::new());
        let two = [("0.iothread", "a"), ("1.iothread", "b")];
        assert_eq!(of(&two, 3).unwrap(), ["a", "b", "a"]);
        let numbers = [("0.vqs.0", "2"), ("1.vqs.0", "0"), ("1.vqs.1", "1")];
        assert_eq!(of(&[&two[..], &numbers].concat(), 3).unwrap(), ["b", "b", "a"]);
    }

    #[test]
    fn what_does_not_go_together_is_named() {
        let two = [("0.iothread", "a"), ("1.iothread", "b")];
        for (more, part) in [
            (&[("1.vqs.0", "1")][..], "in all items"),
            (&[("0.vqs.0", "1"), ("1.vqs.0", "1")], "one thread for each"),
            (&[("0.vqs.0", "0"), ("1.vqs.0", "2")], "below num-queues, 2"),
            (&[("0.vqs.0", "0"), ("1.vqs.0", "x")], "the number of a queue"),
            (&[("0.cpus", "0")], "a list of"),
            (&[("2.iothread", "a")], "each thread once"),
            (&[("2.vqs.0", "1")], "'iothread' in each"),
        ] {
            let error = of(&[&two[..], more].concat(), 2).unwrap_err();
            assert!(error.contains(part), "{more:?}: {error}");
        }
        let error = of(&[("0.iothread", "a"), ("0.vqs.0", "1")], 2).unwrap_err();
        assert!(error.contains("nothing for queue 0"), "{error}");
    }
}
