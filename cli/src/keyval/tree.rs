//! Dotted keys as a tree: `a.b=1,a.c.0=x` is `a` with `b` and the list `c`.

use super::{Entry, Props};
use crate::error::{ErrorKind, OptError};
use crate::location::Located;

/// A node of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A value.
    Leaf(Located<String>),
    /// Named children, in order of first mention.
    Object(Vec<(String, Node)>),
    /// Numbered children, from 0 without gap.
    List(Vec<Node>),
}

impl Node {
    /// The child of that name.
    pub fn get(&self, name: &str) -> Option<&Node> {
        match self {
            Self::Object(children) => children.iter().find(|(n, _)| n == name).map(|(_, node)| node),
            Self::List(items) => items.get(name.parse::<usize>().ok()?),
            Self::Leaf(_) => None,
        }
    }

    /// The value, if this is one.
    pub fn leaf(&self) -> Option<&Located<String>> {
        match self {
            Self::Leaf(value) => Some(value),
            _ => None,
        }
    }
}

/// Keys deeper than this are refused: the tree is walked by recursion.
const MAX_DEPTH: usize = 64;

pub(super) fn build(props: &Props) -> Result<Node, OptError> {
    let mut root = Node::Object(Vec::new());
    for entry in props.entries() {
        let path: Vec<&str> = entry.key.split('.').collect();
        if path.len() > MAX_DEPTH || path.iter().any(|p| p.is_empty()) {
            return Err(syntax(entry, format!("'{}' is not a dotted key", entry.key)));
        }
        insert(&mut root, &path, entry)?;
    }
    let mut listed = listify(root).map_err(|key| match props.entries().iter().find(|e| e.key.contains(&key)) {
        Some(entry) => syntax(entry, format!("the list '{key}' has a gap, or names beside numbers")),
        None => OptError::nowhere(ErrorKind::Syntax {
            why: format!("the list '{key}' has a gap"),
        }),
    })?;
    // The root is an object, even if someone calls its keys 0, 1, 2.
    if let Node::List(items) = listed {
        listed = Node::Object(items.into_iter().enumerate().map(|(i, n)| (i.to_string(), n)).collect());
    }
    Ok(listed)
}

fn syntax(entry: &Entry, why: String) -> OptError {
    OptError::new(ErrorKind::Syntax { why }, entry.key_at.clone())
}

fn insert(node: &mut Node, path: &[&str], entry: &Entry) -> Result<(), OptError> {
    let Some((name, rest)) = path.split_first() else {
        return Ok(());
    };
    let clash = || syntax(entry, format!("'{}' is used both as a value and as a group", entry.key));
    let Node::Object(children) = node else {
        return Err(clash());
    };
    let index = match children.iter().position(|(n, _)| n == name) {
        Some(index) => index,
        None => {
            let fresh = if rest.is_empty() {
                Node::Leaf(entry.located())
            } else {
                Node::Object(Vec::new())
            };
            children.push(((*name).to_owned(), fresh));
            children.len() - 1
        }
    };
    let child = &mut children[index].1;
    match (rest.is_empty(), &child) {
        (true, Node::Leaf(_)) => *child = Node::Leaf(entry.located()),
        (true, _) => return Err(clash()),
        (false, _) => insert(child, rest, entry)?,
    }
    Ok(())
}

/// Objects whose keys are all numbers become lists. Gives the name of a list with gaps as error.
fn listify(node: Node) -> Result<Node, String> {
    let Node::Object(children) = node else { return Ok(node) };
    let mut done = Vec::with_capacity(children.len());
    for (name, child) in children {
        let child = listify(child).map_err(|inner| if inner.is_empty() { name.clone() } else { inner })?;
        done.push((name, child));
    }
    let numbers = done
        .iter()
        .filter(|(n, _)| n.bytes().all(|b| b.is_ascii_digit()))
        .count();
    if numbers == 0 {
        return Ok(Node::Object(done));
    }
    if numbers < done.len() {
        return Err(String::new());
    }
    let mut slots: Vec<Option<Node>> = done.iter().map(|_| None).collect();
    for (name, child) in done {
        *name
            .parse::<usize>()
            .ok()
            .and_then(|i| slots.get_mut(i))
            .ok_or_else(String::new)? = Some(child);
    }
    slots
        .into_iter()
        .collect::<Option<Vec<_>>>()
        .map(Node::List)
        .ok_or_else(String::new)
}
