//! How programs come into a machine before it starts: what the user gives, and what a board does with it.

pub(crate) mod efi;
pub mod image;
#[cfg(test)]
mod tests;

use thiserror::Error;

use crate::build::Built;
use crate::load::LoadError;

/// How programs come into a board.
pub enum Boot {
    /// The processor reads its start from a table of vectors: programs go where their files say.
    Vectors,
    /// Firmware, a kernel and a device tree are put into memory.
    Firmware(fn(&mut Built, &Files) -> Result<Booted, BootError>),
}

/// A file and where it came from.
#[derive(Debug, Clone, Default)]
pub struct File {
    /// Name for people.
    pub name: String,
    /// Contents.
    pub contents: Vec<u8>,
}

/// `-bios`.
#[derive(Debug, Clone, Default)]
pub enum Bios {
    /// What is built in.
    #[default]
    Default,
    /// Nothing: the program starts in the most privileged mode.
    None,
    /// A file.
    File(File),
}

/// What the user gives for the guest to run.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// `-bios`.
    pub bios: Bios,
    /// `-kernel`.
    pub kernel: Option<File>,
    /// `-initrd`.
    pub initrd: Option<File>,
    /// `-append`.
    pub append: Option<String>,
    /// `-dtb`.
    pub dtb: Option<File>,
    /// The first flash bank has contents of the user.
    pub flash: bool,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Booted {
    /// The device tree.
    pub tree: Vec<u8>,
    /// Where it was put.
    pub tree_at: u64,
    /// Where the kernel was put, if there is one, or firmware shall go on.
    pub kernel_at: Option<u64>,
    /// Where the initial RAM disk was put: first address and the one behind it.
    pub initrd: Option<(u64, u64)>,
}

/// Which of the user's words a mistake is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// `-bios`.
    Bios,
    /// `-kernel`.
    Kernel,
    /// `-initrd`.
    Initrd,
    /// `-dtb`.
    Dtb,
    /// `-m`.
    Memory,
}

/// Why a machine cannot start with what it was given.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum BootError {
    /// A file is not what it should be, or does not fit.
    #[error("{why}")]
    File {
        /// Which.
        word: Word,
        /// Why.
        why: String,
    },
    /// The board's own device tree cannot be expressed.
    #[error("the device tree: {0}")]
    Tree(String),
    /// What firmware is to read cannot be given to it.
    #[error("the firmware's configuration: {0}")]
    Firmware(String),
}

impl BootError {
    /// A mistake about one of the user's files.
    pub fn at(word: Word, file: &File, why: impl std::fmt::Display) -> Self {
        Self::File {
            word,
            why: format!("'{}': {why}", file.name),
        }
    }

    pub(crate) fn load(word: Word, file: &File) -> impl Fn(LoadError) -> Self {
        move |e| Self::at(word, file, e)
    }
}
