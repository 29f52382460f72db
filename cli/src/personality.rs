//! What the program is called decides what it is: a link named `qemu-system-arm` behaves as that program.

use std::ffi::OsStr;
use std::path::Path;

/// The version of QEMU whose command line this program follows; tools look for it in the version line.
pub const QEMU_VERSION: &str = "10.0.2";
/// This program's own version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What the program is today.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Itself: every machine it has.
    Southbridge,
    /// `qemu-system-TARGET`: only the machines of that target.
    QemuSystem(&'static str),
    /// The server for shared memory.
    IvshmemServer,
    /// The test client for shared memory.
    IvshmemClient,
}

/// Targets of QEMU that a link may name.
const TARGETS: &[&str] = &[
    "aarch64",
    "alpha",
    "arm",
    "avr",
    "hppa",
    "i386",
    "loongarch64",
    "m68k",
    "microblaze",
    "microblazeel",
    "mips",
    "mips64",
    "mips64el",
    "mipsel",
    "or1k",
    "ppc",
    "ppc64",
    "riscv32",
    "riscv64",
    "rx",
    "s390x",
    "sh4",
    "sh4eb",
    "sparc",
    "sparc64",
    "tricore",
    "x86_64",
    "xtensa",
    "xtensaeb",
];

/// The program's name and role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Personality {
    /// The last part of `argv[0]`, for messages.
    pub program: String,
    /// What it is.
    pub role: Role,
}

impl Default for Personality {
    fn default() -> Self {
        Self {
            program: "southbridge".to_owned(),
            role: Role::Southbridge,
        }
    }
}

impl Personality {
    /// From `argv[0]`.
    pub fn from_argv0(argv0: &OsStr) -> Self {
        let Some(program) = Path::new(argv0).file_name().map(|n| n.to_string_lossy().into_owned()) else {
            return Self::default();
        };
        let role = match program.as_str() {
            "ivshmem-server" => Role::IvshmemServer,
            "ivshmem-client" => Role::IvshmemClient,
            name => match name
                .strip_prefix("qemu-system-")
                .and_then(|t| TARGETS.iter().find(|known| **known == t))
            {
                Some(target) => Role::QemuSystem(target),
                None => Role::Southbridge,
            },
        };
        Self { program, role }
    }

    /// The target whose machines are to be offered; `None` for all.
    pub fn target(&self) -> Option<&'static str> {
        match self.role {
            Role::QemuSystem(target) => Some(target),
            _ => None,
        }
    }

    /// What `-version` prints. Under a name of QEMU's the first line is the one that existing tools look for.
    pub fn version_text(&self) -> String {
        match self.role {
            Role::QemuSystem(_) => format!("QEMU emulator version {QEMU_VERSION} (Southbridge {VERSION})\n"),
            _ => format!("southbridge {VERSION}\n"),
        }
    }
}
