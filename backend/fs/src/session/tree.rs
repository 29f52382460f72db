//! Which files the fids of a session mean: a tree of names, as far as somebody refers to it.
//!
//! Fids of one file share a node, and a node knows its parent rather than its path: when a directory is renamed, all that is below
//! moves with it. A node whose name was removed keeps a descriptor of what it was, so that its fids go on to mean that file.
//! Nodes are counted and stand in an arena, because a chain of directories may be as deep as a guest likes.

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use std::collections::HashMap;
use std::sync::Arc;

use crate::fs::{Name, Result, Spot};

/// A node.
pub(super) type NodeId = usize;

/// The root, which is always there.
pub(super) const ROOT: NodeId = 0;

/// Longest path from the root, in bytes (`PATH_MAX`, with its NUL).
pub(super) const LONGEST_PATH: usize = 4095;

/// Most removed files whose descriptors are kept.
const MOST_KEPT: usize = 1024;

struct Node {
    parent: NodeId,
    name: Name,
    /// By name: those below that somebody refers to.
    children: HashMap<Name, NodeId>,
    /// Fids, children and requests that refer to it.
    users: usize,
    /// The name is gone; what was kept of the file, if that could be done.
    removed: Option<Option<Arc<OwnedFd>>>,
}

pub(super) struct Tree {
    nodes: Vec<Option<Node>>,
    free: Vec<NodeId>,
    kept: usize,
}

impl Tree {
    pub(super) fn new() -> Self {
        let root = Node {
            parent: ROOT,
            name: Arc::from(&b""[..]),
            children: HashMap::new(),
            users: 1,
            removed: None,
        };
        Self {
            nodes: vec![Some(root)],
            free: Vec::new(),
            kept: 0,
        }
    }

    fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id)?.as_ref()
    }

    fn node_mut(&mut self, id: NodeId) -> Option<&mut Node> {
        self.nodes.get_mut(id)?.as_mut()
    }

    /// How many nodes there are beside the root.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.nodes.iter().flatten().count() - 1
    }

    /// One more refers to a node.
    pub(super) fn hold(&mut self, id: NodeId) -> NodeId {
        if let Some(n) = self.node_mut(id) {
            n.users += 1;
        }
        id
    }

    /// One less does. A node to which nobody refers is gone, and perhaps its parents.
    pub(super) fn release(&mut self, mut id: NodeId) {
        while let Some(node) = self.node_mut(id) {
            node.users = node.users.saturating_sub(1);
            if node.users > 0 || id == ROOT {
                return;
            }
            let Some(node) = self.nodes.get_mut(id).and_then(Option::take) else {
                return;
            };
            self.free.push(id);
            match node.removed {
                // It has left its parent already.
                Some(kept) => {
                    self.kept -= usize::from(kept.is_some());
                    return;
                }
                None => {
                    if let Some(parent) = self.node_mut(node.parent) {
                        parent.children.remove(&node.name);
                    }
                }
            }
            id = node.parent;
        }
    }

    pub(super) fn parent(&self, id: NodeId) -> NodeId {
        self.node(id).map_or(ROOT, |n| n.parent)
    }

    pub(super) fn name(&self, id: NodeId) -> Option<Name> {
        let node = self.node(id).filter(|n| n.removed.is_none())?;
        Some(node.name.clone())
    }

    pub(super) fn is_removed(&self, id: NodeId) -> bool {
        self.node(id).is_none_or(|n| n.removed.is_some())
    }

    pub(super) fn is_kept(&self, id: NodeId) -> bool {
        self.node(id).is_some_and(|n| matches!(n.removed, Some(Some(_))))
    }

    /// The node of a name in a directory, held.
    pub(super) fn child(&mut self, parent: NodeId, name: &[u8]) -> Result<NodeId> {
        let above = self.node(parent).ok_or(Errno::NOENT)?;
        if let Some(known) = above.children.get(name) {
            return Ok(self.hold(*known));
        }
        if above.removed.is_some() {
            return Err(Errno::NOENT);
        }
        let name: Name = Arc::from(name);
        let node = Node {
            parent,
            name: name.clone(),
            children: HashMap::new(),
            users: 1,
            removed: None,
        };
        let id = match self.free.pop() {
            Some(id) => id,
            None => {
                self.nodes.push(None);
                self.nodes.len() - 1
            }
        };
        self.nodes[id] = Some(node);
        self.hold(parent);
        if let Some(above) = self.node_mut(parent) {
            above.children.insert(name, id);
        }
        Ok(id)
    }

    /// The node of a name in a directory, if somebody refers to it.
    pub(super) fn known(&self, parent: NodeId, name: &[u8]) -> Option<NodeId> {
        self.node(parent)?.children.get(name).copied()
    }

    /// Where a node is.
    pub(super) fn spot(&self, mut id: NodeId) -> Result<Spot> {
        let mut path = Vec::new();
        let mut length = 0;
        let mut node = self.node(id).ok_or(Errno::NOENT)?;
        if let Some(kept) = &node.removed {
            let kept = Some(kept.clone().ok_or(Errno::NOENT)?);
            return Ok(Spot { path, kept });
        }
        while id != ROOT {
            length += node.name.len() + 1;
            if length > LONGEST_PATH {
                return Err(Errno::NAMETOOLONG);
            }
            path.push(node.name.clone());
            id = node.parent;
            node = self.node(id).filter(|n| n.removed.is_none()).ok_or(Errno::NOENT)?;
        }
        path.reverse();
        Ok(Spot { path, kept: None })
    }

    /// The name in a directory was removed; `kept` is the file.
    pub(super) fn removed(&mut self, parent: NodeId, name: &[u8], kept: Option<Arc<OwnedFd>>) {
        let Some(id) = self.node_mut(parent).and_then(|p| p.children.remove(name)) else {
            return;
        };
        let kept = kept.filter(|_| self.kept < MOST_KEPT);
        self.kept += usize::from(kept.is_some());
        if let Some(node) = self.node_mut(id) {
            node.removed = Some(kept);
            node.parent = ROOT;
        }
        self.release(parent);
    }

    /// A name was replaced by another. `kept` is the file that the new name had before.
    pub(super) fn renamed(&mut self, from: (NodeId, &[u8]), to: (NodeId, &[u8]), kept: Option<Arc<OwnedFd>>) {
        if (from.0, from.1) == (to.0, to.1) {
            return;
        }
        self.removed(to.0, to.1, kept);
        let Some(id) = self.known(from.0, from.1) else {
            return;
        };
        if self.is_below(to.0, id) {
            // The host let a directory move into itself: what is here is no longer what is there.
            self.removed(from.0, from.1, None);
            return;
        }
        let name: Name = Arc::from(to.1);
        if let Some(parent) = self.node_mut(from.0) {
            parent.children.remove(from.1);
        }
        self.hold(to.0);
        if let Some(parent) = self.node_mut(to.0) {
            parent.children.insert(name.clone(), id);
        }
        if let Some(node) = self.node_mut(id) {
            node.parent = to.0;
            node.name = name;
        }
        self.release(from.0);
    }

    fn is_below(&self, mut id: NodeId, above: NodeId) -> bool {
        // No chain is longer than the arena.
        for _ in 0..self.nodes.len() {
            if id == above {
                return true;
            }
            if id == ROOT {
                return false;
            }
            id = self.parent(id);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(tree: &Tree, id: NodeId) -> std::result::Result<String, Errno> {
        let spot = tree.spot(id)?;
        Ok(String::from_utf8(spot.path.join(&b'/')).unwrap())
    }

    #[test]
    fn what_is_below_moves_along() {
        let mut t = Tree::new();
        let a = t.child(ROOT, b"a").unwrap();
        let b = t.child(a, b"b").unwrap();
        let c = t.child(b, b"c").unwrap();
        assert_eq!(t.child(b, b"c").unwrap(), c);
        t.release(c);
        t.renamed((ROOT, b"a"), (ROOT, b"x"), None);
        assert_eq!(path(&t, c).unwrap(), "x/b/c");
        let y = t.child(ROOT, b"y").unwrap();
        t.renamed((a, b"b"), (y, b"z"), None);
        assert_eq!(path(&t, c).unwrap(), "y/z/c");
        for id in [a, b, c, y] {
            t.release(id);
        }
        assert_eq!(t.len(), 0);
    }

    #[test]
    fn a_removed_name_can_be_given_again() {
        let mut t = Tree::new();
        let old = t.child(ROOT, b"f").unwrap();
        t.removed(ROOT, b"f", None);
        assert_eq!(path(&t, old), Err(Errno::NOENT));
        let new = t.child(ROOT, b"f").unwrap();
        assert_ne!(old, new);
        assert_eq!(path(&t, new).unwrap(), "f");
        t.release(old);
        assert_eq!(t.known(ROOT, b"f"), Some(new));
        t.release(new);
        assert_eq!(t.len(), 0);
    }

    #[test]
    fn replaced_files_and_moves_into_oneself() {
        let mut t = Tree::new();
        let a = t.child(ROOT, b"a").unwrap();
        let b = t.child(ROOT, b"b").unwrap();
        t.renamed((ROOT, b"a"), (ROOT, b"b"), None);
        assert_eq!(path(&t, a).unwrap(), "b");
        assert!(t.is_removed(b));
        let inner = t.child(a, b"i").unwrap();
        t.renamed((ROOT, b"b"), (inner, b"me"), None);
        assert!(t.is_removed(a));
        assert_eq!(path(&t, inner), Err(Errno::NOENT));
        for id in [a, b, inner] {
            t.release(id);
        }
        assert_eq!(t.len(), 0);
    }

    #[test]
    fn depth_is_bounded_in_paths_and_not_in_chains() {
        let mut t = Tree::new();
        let mut chain = vec![ROOT];
        for _ in 0..100_000 {
            chain.push(t.child(*chain.last().unwrap(), b"d").unwrap());
        }
        assert_eq!(t.spot(*chain.last().unwrap()).err(), Some(Errno::NAMETOOLONG));
        for id in chain.into_iter().skip(1) {
            t.release(id);
        }
        assert_eq!(t.len(), 0);
    }
}
