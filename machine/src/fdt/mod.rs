//! Device trees as data: nodes with properties, made from a board or read from a file, and written as the blob that kernels read.
//!
//! The format is that of the Devicetree Specification v0.4, chapter 5. Writing is left to `vm-fdt`; reading stands in `read`, because
//! what a user gives is to be changed (command line, initial RAM disk) and not only passed on.

mod read;
#[cfg(test)]
mod tests;

pub use read::DamagedTree;

/// A node: a name, properties and children, in the order in which they are written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Node {
    /// Name with unit address; empty for the root.
    pub name: String,
    /// Properties: name and raw value.
    pub properties: Vec<(String, Vec<u8>)>,
    /// Children.
    pub children: Vec<Node>,
}

/// Numbers as a property has them.
pub fn cells(values: impl IntoIterator<Item = u32>) -> Vec<u8> {
    values.into_iter().flat_map(u32::to_be_bytes).collect()
}

/// The two cells of a number of 64 bits.
pub const fn wide(value: u64) -> [u32; 2] {
    [(value >> 32) as u32, value as u32]
}

/// The value of a `reg` property: addresses and sizes of two cells each.
pub fn ranges(values: &[(u64, u64)]) -> Vec<u8> {
    cells(values.iter().flat_map(|(at, len)| [wide(*at), wide(*len)]).flatten())
}

impl Node {
    /// An empty node.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// With a property of raw bytes.
    #[must_use]
    pub fn bytes(mut self, name: &str, value: Vec<u8>) -> Self {
        self.set(name, value);
        self
    }

    /// With a property that is there or not.
    #[must_use]
    pub fn flag(self, name: &str) -> Self {
        self.bytes(name, Vec::new())
    }

    /// With a number.
    #[must_use]
    pub fn cell(self, name: &str, value: u32) -> Self {
        self.cells(name, [value])
    }

    /// With several numbers.
    #[must_use]
    pub fn cells(self, name: &str, values: impl IntoIterator<Item = u32>) -> Self {
        self.bytes(name, cells(values))
    }

    /// With a text.
    #[must_use]
    pub fn text(self, name: &str, value: &str) -> Self {
        self.texts(name, &[value])
    }

    /// With several texts.
    #[must_use]
    pub fn texts<S: AsRef<str>>(self, name: &str, values: &[S]) -> Self {
        let mut bytes = Vec::new();
        for v in values {
            bytes.extend(v.as_ref().as_bytes());
            bytes.push(0);
        }
        self.bytes(name, bytes)
    }

    /// With addresses and sizes.
    #[must_use]
    pub fn reg(self, values: &[(u64, u64)]) -> Self {
        self.bytes("reg", ranges(values))
    }

    /// With a child.
    #[must_use]
    pub fn child(mut self, child: Self) -> Self {
        self.children.push(child);
        self
    }

    /// Sets a property, replacing an earlier value.
    pub fn set(&mut self, name: &str, value: Vec<u8>) {
        match self.properties.iter_mut().find(|(n, _)| n == name) {
            Some((_, old)) => *old = value,
            None => self.properties.push((name.to_owned(), value)),
        }
    }

    /// The value of a property.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.properties
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_slice())
    }

    /// The node at a path below this one, such as `soc/serial@10000000`.
    pub fn find(&self, path: &str) -> Option<&Self> {
        path.split('/')
            .filter(|step| !step.is_empty())
            .try_fold(self, |node, step| node.children.iter().find(|c| c.name == step))
    }

    /// A child by its name, which is made if there is none.
    pub fn child_mut(&mut self, name: &str) -> &mut Self {
        let i = self.children.iter().position(|c| c.name == name).unwrap_or_else(|| {
            self.children.push(Self::new(name));
            self.children.len() - 1
        });
        &mut self.children[i]
    }

    /// The blob.
    ///
    /// # Errors
    /// When a name or value cannot be expressed in one: what is wrong.
    pub fn to_blob(&self) -> Result<Vec<u8>, String> {
        let mut writer = vm_fdt::FdtWriter::new().map_err(|e| e.to_string())?;
        self.write(&mut writer)?;
        writer.finish().map_err(|e| e.to_string())
    }

    fn write(&self, writer: &mut vm_fdt::FdtWriter) -> Result<(), String> {
        let wrong = |what: &str, e: vm_fdt::Error| format!("'{what}': {e}");
        let node = writer.begin_node(&self.name).map_err(|e| wrong(&self.name, e))?;
        for (name, value) in &self.properties {
            writer.property(name, value).map_err(|e| wrong(name, e))?;
        }
        for child in &self.children {
            child.write(writer)?;
        }
        writer.end_node(node).map_err(|e| wrong(&self.name, e))
    }
}
