//! `-numa`: which memory and which processors are near to each other.

use crate::error::OptError;
use crate::keyval::Props;
use crate::location::Located;

use super::Config;

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumaOpt {
    /// Its number.
    pub id: u64,
    /// Where it was said.
    pub at: crate::location::Location,
    /// Bytes of memory.
    pub memory: Option<Located<u64>>,
    /// The memory back end that is its memory.
    pub memdev: Option<Located<String>>,
    /// Its processors: first and last of each range.
    pub cpus: Vec<Located<(u64, u64)>>,
}

const KINDS: [&str; 5] = ["node", "dist", "cpu", "hmat-lb", "hmat-cache"];

/// `-numa`.
pub(super) fn parse(props: &Props, config: &mut Config) -> Result<(), OptError> {
    let kind = props.required("-numa", "type")?;
    if kind.value != "node" {
        if !KINDS.contains(&kind.value.as_str()) {
            return Err(OptError::no_such("kind of -numa", &kind.value, KINDS, kind.at));
        }
        return Err(OptError::not_yet(format!("-numa {}", kind.value), kind.at));
    }
    props.only("-numa node", &["type", "nodeid", "mem", "memdev", "cpus"])?;
    let next = config.numa.len() as u64;
    let id = props.number("nodeid")?;
    if let Some(id) = id.as_ref().filter(|id| id.value != next) {
        let expected = format!("{next} here: nodes are numbered in order");
        return Err(OptError::bad_value(
            Some("nodeid"),
            &id.value.to_string(),
            expected,
            id.at.clone(),
        ));
    }
    let mut cpus = Vec::new();
    for entry in props.all("cpus") {
        let range = range(&entry.value).ok_or_else(|| entry.bad_value("a number or FIRST-LAST"))?;
        cpus.push(Located::new(range, entry.value_at.clone()));
    }
    config.numa.push(NumaOpt {
        id: next,
        at: props.at(),
        memory: props.read("mem", crate::keyval::value::EXPECT_SIZE, |text| {
            crate::keyval::value::parse_size(text, crate::keyval::value::Unit::Mebibyte)
        })?,
        memdev: props.text("memdev"),
        cpus,
    });
    Ok(())
}

fn range(text: &str) -> Option<(u64, u64)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last && last < 1 << 16).then_some((first, last))
}
