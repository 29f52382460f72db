//! Reads a blob. What a file says is never trusted: every offset is checked, and depth and size are bounded.

use thiserror::Error;

use super::Node;

const MAGIC: u32 = 0xd00d_feed;
const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROP: u32 = 3;
const NOP: u32 = 4;
const END: u32 = 9;
/// The oldest version with the fields that are read here.
const VERSION: u32 = 17;
/// Deeper than any tree that makes sense.
const MAX_DEPTH: usize = 48;

/// Why bytes are not a device tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DamagedTree {
    /// Something else.
    #[error("it is not a device tree blob (dtc makes one out of source text)")]
    NotOne,
    /// Of a version from before 2005, or of the future.
    #[error("its format is not version 17")]
    Version,
    /// Ends early, or refers to what is outside.
    #[error("it is damaged or truncated")]
    Damaged,
    /// Too many levels.
    #[error("its nodes are nested more than {MAX_DEPTH} deep")]
    Deep,
}

impl Node {
    /// The tree in a blob. Memory reservations are not kept.
    ///
    /// # Errors
    /// When it is not one, or damaged.
    pub fn from_blob(blob: &[u8]) -> Result<Self, DamagedTree> {
        let header = |i: usize| word(blob, i * 4);
        if header(0) != Some(MAGIC) {
            return Err(DamagedTree::NotOne);
        }
        let field = |i| header(i).ok_or(DamagedTree::Damaged);
        if field(5)? < VERSION || field(6)? > VERSION {
            return Err(DamagedTree::Version);
        }
        let part = |start: u32, len: u32| {
            let start = start as usize;
            blob.get(start..start.checked_add(len as usize)?)
        };
        let structure = part(field(2)?, field(9)?).ok_or(DamagedTree::Damaged)?;
        let strings = part(field(3)?, field(8)?).ok_or(DamagedTree::Damaged)?;
        let mut reader = Reader {
            structure,
            strings,
            at: 0,
        };
        if reader.token()? != BEGIN_NODE {
            return Err(DamagedTree::Damaged);
        }
        let root = reader.node(0)?;
        if reader.token()? != END {
            return Err(DamagedTree::Damaged);
        }
        Ok(root)
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(four.try_into().ok()?))
}

fn text(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|b| *b == 0)?;
    let text = std::str::from_utf8(bytes.get(..end)?).ok()?;
    Some(text.to_owned())
}

struct Reader<'a> {
    structure: &'a [u8],
    strings: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn word(&mut self) -> Result<u32, DamagedTree> {
        let w = word(self.structure, self.at).ok_or(DamagedTree::Damaged)?;
        self.at += 4;
        Ok(w)
    }

    fn token(&mut self) -> Result<u32, DamagedTree> {
        loop {
            match self.word()? {
                NOP => {}
                token => return Ok(token),
            }
        }
    }

    fn skip(&mut self, len: usize) -> Result<(), DamagedTree> {
        let end = self.at.checked_add(len).and_then(|n| n.checked_next_multiple_of(4));
        self.at = end.ok_or(DamagedTree::Damaged)?;
        Ok(())
    }

    /// The node whose beginning has just been read.
    fn node(&mut self, depth: usize) -> Result<Node, DamagedTree> {
        if depth > MAX_DEPTH {
            return Err(DamagedTree::Deep);
        }
        let name = self.structure.get(self.at..).and_then(text);
        let mut node = Node::new(name.ok_or(DamagedTree::Damaged)?);
        self.skip(node.name.len() + 1)?;
        loop {
            match self.token()? {
                PROP => {
                    let property = self.property()?;
                    node.properties.push(property);
                }
                BEGIN_NODE => node.children.push(self.node(depth + 1)?),
                END_NODE => return Ok(node),
                _ => return Err(DamagedTree::Damaged),
            }
        }
    }

    fn property(&mut self) -> Result<(String, Vec<u8>), DamagedTree> {
        let len = self.word()? as usize;
        let name = self.word()? as usize;
        let name = self.strings.get(name..).and_then(text).ok_or(DamagedTree::Damaged)?;
        let end = self.at.checked_add(len).ok_or(DamagedTree::Damaged)?;
        let value = self.structure.get(self.at..end).ok_or(DamagedTree::Damaged)?.to_vec();
        self.skip(len)?;
        Ok((name, value))
    }
}
