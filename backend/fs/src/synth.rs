//! `-fsdev synth`: a tree without a file behind it.
//!
//! What it is for: tests of 9P clients. Its root cannot be changed. Under `-qtest` it has the files that QEMU's tree has there, under
//! the same names; otherwise it is empty, as QEMU's.

use rustix::fd::OwnedFd;
use rustix::fs::OFlags;
use rustix::io::Errno;
use southbridge_protocol_p9::Statfs;
use std::sync::Arc;

use crate::fs::{
    Change, Credentials, DIRECTORY, Entry, FileStat, FileSystem, New, OpenFile, Opened, REGULAR, Result, Spot,
};

/// What a file of the tree does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Directory,
    /// Empty, and cannot be written.
    Empty,
    /// Takes whatever is written and keeps nothing.
    Sink,
    /// Fails to be written for now (a client that would wait takes its request back).
    Busy,
}

struct Node {
    name: String,
    parent: usize,
    content: Content,
    mode: u32,
}

/// A tree without a file behind it.
pub(crate) struct Synth {
    /// The root is the first; its own parent.
    nodes: Arc<Vec<Node>>,
}

impl Synth {
    /// An empty tree, or the one for tests.
    pub(crate) fn new(for_tests: bool) -> Self {
        let mut nodes = Vec::new();
        let mut add = |name: &str, parent, content, mode| {
            nodes.push(Node {
                name: name.to_owned(),
                parent,
                content,
                mode,
            });
            nodes.len() - 1
        };
        let root = add("", 0, Content::Directory, 0o555);
        if for_tests {
            for i in 0..16 {
                add(&format!("WALK{i}"), root, Content::Directory, 0o500);
            }
            add("LOPEN", root, Content::Empty, 0);
            add("WRITE", root, Content::Sink, 0);
            add("FLUSH", root, Content::Busy, 0);
            let many = add("ReadDirDir", root, Content::Directory, 0o500);
            for i in 0..100 {
                add(&format!("ReadDirFile{i}"), many, Content::Empty, 0);
            }
        }
        Self { nodes: Arc::new(nodes) }
    }

    fn find(&self, at: &Spot) -> Result<usize> {
        let mut here = 0;
        for name in &at.path {
            here = child(&self.nodes, here, name)?;
        }
        Ok(here)
    }
}

fn child(nodes: &[Node], dir: usize, name: &[u8]) -> Result<usize> {
    let is = |(i, n): &(usize, &Node)| *i != 0 && n.parent == dir && n.name.as_bytes() == name;
    let found = nodes.iter().enumerate().find(is);
    found.map(|(i, _)| i).ok_or(Errno::NOENT)
}

fn stat(nodes: &[Node], at: usize) -> Result<FileStat> {
    let node = nodes.get(at).ok_or(Errno::NOENT)?;
    let kind = if node.content == Content::Directory {
        DIRECTORY
    } else {
        REGULAR
    };
    Ok(FileStat {
        ino: at as u64 + 1,
        mode: kind | node.mode,
        links: 1,
        block_size: 512,
        ..FileStat::default()
    })
}

impl FileSystem for Synth {
    fn stat(&self, at: &Spot) -> Result<FileStat> {
        stat(&self.nodes, self.find(at)?)
    }

    fn statfs(&self, _at: &Spot) -> Result<Statfs> {
        Ok(Statfs {
            block_size: 512,
            blocks: 0,
            files: self.nodes.len() as u64,
            name_max: 255,
            ..Statfs::default()
        })
    }

    fn read_link(&self, _at: &Spot) -> Result<Vec<u8>> {
        Err(Errno::INVAL)
    }

    fn open(&self, at: &Spot, _flags: OFlags) -> Result<Opened> {
        let node = self.find(at)?;
        Ok(Arc::new(SynthFile {
            nodes: self.nodes.clone(),
            node,
        }))
    }

    fn create(&self, _dir: &Spot, _name: &[u8], _flags: OFlags, _creds: Credentials) -> Result<Opened> {
        Err(Errno::NOSYS)
    }

    fn make(&self, _dir: &Spot, _name: &[u8], _what: New<'_>, _creds: Credentials) -> Result<()> {
        Err(Errno::PERM)
    }

    fn link(&self, _target: &Spot, _dir: &Spot, _name: &[u8]) -> Result<()> {
        Err(Errno::PERM)
    }

    fn rename(&self, _from: (&Spot, &[u8]), _to: (&Spot, &[u8])) -> Result<()> {
        Err(Errno::PERM)
    }

    fn remove(&self, _dir: &Spot, _name: &[u8], _directory: bool) -> Result<()> {
        Err(Errno::PERM)
    }

    fn change(&self, _at: &Spot, _change: &Change) -> Result<()> {
        Err(Errno::PERM)
    }

    fn get_xattr(&self, _at: &Spot, _name: &[u8]) -> Result<Vec<u8>> {
        Err(Errno::NOTSUP)
    }

    fn list_xattrs(&self, _at: &Spot) -> Result<Vec<u8>> {
        Err(Errno::NOTSUP)
    }

    fn set_xattr(&self, _at: &Spot, _name: &[u8], _value: &[u8], _flags: u32) -> Result<()> {
        Err(Errno::NOTSUP)
    }

    fn remove_xattr(&self, _at: &Spot, _name: &[u8]) -> Result<()> {
        Err(Errno::NOTSUP)
    }

    fn keep(&self, _at: &Spot) -> Option<Arc<OwnedFd>> {
        None
    }
}

struct SynthFile {
    nodes: Arc<Vec<Node>>,
    node: usize,
}

impl SynthFile {
    fn content(&self) -> Content {
        self.nodes.get(self.node).map_or(Content::Empty, |n| n.content)
    }
}

impl OpenFile for SynthFile {
    fn read(&self, _offset: u64, _to: &mut [u8]) -> Result<usize> {
        match self.content() {
            Content::Directory => Err(Errno::ISDIR),
            _ => Ok(0),
        }
    }

    fn write(&self, _offset: u64, data: &[u8]) -> Result<usize> {
        match self.content() {
            Content::Sink => Ok(data.len()),
            Content::Busy => Err(Errno::AGAIN),
            Content::Empty | Content::Directory => Err(Errno::PERM),
        }
    }

    fn entries(&self, offset: u64, take: &mut dyn FnMut(Entry<'_>) -> bool) -> Result<()> {
        if self.content() != Content::Directory {
            return Err(Errno::NOTDIR);
        }
        let parent = self.nodes.get(self.node).map_or(0, |n| n.parent);
        let inside = self
            .nodes
            .iter()
            .enumerate()
            .filter(|(i, n)| *i != 0 && n.parent == self.node);
        let dots = [(".", self.node, Content::Directory), ("..", parent, Content::Directory)];
        let all = dots
            .into_iter()
            .chain(inside.map(|(i, n)| (n.name.as_str(), i, n.content)));
        let skipped = usize::try_from(offset).unwrap_or(usize::MAX);
        for (at, (name, node, content)) in all.enumerate().skip(skipped) {
            let entry = Entry {
                name: name.as_bytes(),
                next: at as u64 + 1,
                kind: if content == Content::Directory { 4 } else { 8 },
                ino: node as u64 + 1,
            };
            if !take(entry) {
                break;
            }
        }
        Ok(())
    }

    fn stat(&self) -> Result<FileStat> {
        stat(&self.nodes, self.node)
    }

    fn stat_in(&self, name: &[u8]) -> Result<FileStat> {
        stat(&self.nodes, child(&self.nodes, self.node, name)?)
    }

    fn truncate(&self, _len: u64) -> Result<()> {
        Err(Errno::PERM)
    }

    fn sync(&self, _data_only: bool) -> Result<()> {
        Ok(())
    }
}
