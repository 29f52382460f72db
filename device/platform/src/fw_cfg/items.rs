//! What a machine tells its firmware: items by number, files by name.

use std::collections::BTreeMap;
use std::sync::Arc;
use thiserror::Error;

use super::regs::{self, Features, key};

/// Why a file was not added.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FileError {
    /// The directory has 55 bytes for a name.
    #[error("the fw_cfg file name '{0}' is longer than 55 bytes")]
    Name(String),
    /// There is a file of that name.
    #[error("there are two fw_cfg files of the name '{0}'")]
    Twice(String),
    /// No more slots.
    #[error("there is no room for the fw_cfg file '{0}': the directory has {1} places (x-file-slots=)")]
    Full(String, u16),
    /// More than 4 GiB.
    #[error("the fw_cfg file '{0}' is too large")]
    Large(String),
}

/// The items.
#[derive(Debug, Clone)]
pub(crate) struct Items {
    slots: u16,
    by_key: BTreeMap<u16, Arc<[u8]>>,
    files: BTreeMap<String, Arc<[u8]>>,
}

impl Items {
    pub(crate) fn new(slots: u16, features: Features) -> Self {
        let mut items = Self {
            slots,
            by_key: BTreeMap::new(),
            files: BTreeMap::new(),
        };
        items.set(key::SIGNATURE, regs::SIGNATURE.to_vec());
        items.set(key::ID, features.bits().to_le_bytes().to_vec());
        items
    }

    pub(crate) fn set(&mut self, key: u16, bytes: Vec<u8>) {
        self.by_key.insert(key & !key::WRITE_CHANNEL, bytes.into());
    }

    pub(crate) fn add_file(&mut self, name: &str, bytes: Vec<u8>) -> Result<(), FileError> {
        let name = name.to_owned();
        if name.len() >= regs::FILE_NAME || name.contains('\0') {
            return Err(FileError::Name(name));
        }
        if self.files.contains_key(&name) {
            return Err(FileError::Twice(name));
        }
        if self.files.len() >= usize::from(self.slots) {
            return Err(FileError::Full(name, self.slots));
        }
        if u32::try_from(bytes.len()).is_err() {
            return Err(FileError::Large(name));
        }
        self.files.insert(name, bytes.into());
        Ok(())
    }

    /// What is there to select: nothing beyond the last slot.
    pub(crate) fn is_selectable(&self, key: u16) -> bool {
        key & !(key::WRITE_CHANNEL | key::ARCH_LOCAL) < key::FILE_FIRST + self.slots
    }

    pub(crate) fn get(&self, key: u16) -> Option<Arc<[u8]>> {
        let key = key & !key::WRITE_CHANNEL;
        if key == key::FILE_DIR {
            return Some(self.directory().into());
        }
        match key.checked_sub(key::FILE_FIRST) {
            Some(i) if key & key::ARCH_LOCAL == 0 => self.files.values().nth(i.into()).cloned(),
            _ => self.by_key.get(&key).cloned(),
        }
    }

    /// The count, and an entry for each slot, used or not.
    fn directory(&self) -> Vec<u8> {
        let count = self.files.len() as u32;
        let mut d = count.to_be_bytes().to_vec();
        for ((name, bytes), key) in self.files.iter().zip(key::FILE_FIRST..) {
            d.extend((bytes.len() as u32).to_be_bytes());
            d.extend(key.to_be_bytes());
            d.extend([0; 2]);
            d.extend(name.as_bytes());
            d.resize(d.len() + regs::FILE_NAME - name.len(), 0);
        }
        d.resize(4 + usize::from(self.slots) * regs::FILE_ENTRY, 0);
        d
    }
}
