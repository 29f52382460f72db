//! What the user chooses about a board, in typed form: the input of its description.

use southbridge_core::Properties;

pub use southbridge_cpu_rv64::jit::{Options as Jit, is_available as can_compile};

use super::Board;

/// What the user chooses about a board.
#[derive(Debug, Clone, Default)]
pub struct Choices {
    /// Number of processors.
    pub cpus: u8,
    /// Model of the processors.
    pub model: String,
    /// Properties of the processors (`-cpu MODEL,zba=off`), in order; later ones win.
    pub features: Vec<(String, String)>,
    /// Bytes of main memory.
    pub ram: u64,
    /// The memory back end that is the main memory.
    pub ram_backend: Option<String>,
    /// The board's own properties, with their defaults.
    pub properties: Properties,
    /// NUMA nodes; none: memory and processors are all alike.
    pub numa: Vec<NumaNode>,
    /// Contents of flash chips, by chip.
    pub flash: Vec<FlashFile>,
    /// Firmware runs on the host's side, so that programs start in supervisor mode.
    pub built_in_firmware: bool,
    /// How hot code is compiled; none: all of it is interpreted.
    pub jit: Option<Jit>,
    /// Seed of what is random on the board.
    pub seed: u64,
}

/// A file with the contents of a flash chip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlashFile {
    /// Which chip.
    pub chip: u64,
    /// The file.
    pub path: String,
    /// What the guest writes is refused.
    pub readonly: bool,
    /// What the guest writes does not reach the file.
    pub temporary: bool,
}

/// A NUMA node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NumaNode {
    /// Its processors.
    pub cpus: Vec<u8>,
    /// Bytes of memory.
    pub memory: u64,
    /// The memory back end that is its memory.
    pub memdev: Option<String>,
}

impl Choices {
    /// What a board is if the user chooses nothing.
    pub fn of(board: &Board) -> Self {
        let mut properties = Properties::default();
        properties.apply_defaults(board.properties);
        Self {
            cpus: u8::from(board.cpu.is_some()),
            model: board
                .cpu
                .as_ref()
                .and_then(|c| c.models().first())
                .map_or_else(String::new, |m| (*m).to_owned()),
            ram: board.ram.default_size(),
            properties,
            ..Self::default()
        }
    }

    /// The NUMA node of a processor, if there are nodes. Processors that no node names belong to the first.
    pub fn node_of_cpu(&self, cpu: u8) -> Option<usize> {
        let of = self.numa.iter().position(|n| n.cpus.contains(&cpu));
        of.or_else(|| (!self.numa.is_empty()).then_some(0))
    }
}
