//! The one table of options. Parsing, `-help`, the man page and shell completion all come from it.
//!
//! It lists *every* option of QEMU 10 (names from `qemu-options.hx`; all words here are ours), so that one which this
//! program does not have yet is named as such instead of being called unknown.

mod table;
#[cfg(test)]
mod tests;

use crate::error::nearest;
use crate::keyval::Grammar;

pub use table::all;

/// Under which heading an option stands in help and man page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Category {
    /// Machine, processor, memory, devices.
    Machine,
    /// Characters in and out.
    Character,
    /// What the guest runs.
    Boot,
    /// Time, running and stopping.
    Run,
    /// Looking inside.
    Debug,
    /// Objects, files of options, and the program itself.
    Program,
    /// Disks.
    Disk,
    /// Network.
    Network,
    /// Display, sound, input.
    Display,
    /// USB, TPM and what else plugs in.
    Peripheral,
}

impl Category {
    /// All, in the order of the help text.
    pub const ALL: [Self; 10] = [
        Self::Machine,
        Self::Character,
        Self::Boot,
        Self::Run,
        Self::Debug,
        Self::Program,
        Self::Disk,
        Self::Network,
        Self::Display,
        Self::Peripheral,
    ];

    /// The heading.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Machine => "Machine and devices",
            Self::Character => "Character devices",
            Self::Boot => "What the guest runs",
            Self::Run => "Time, running and stopping",
            Self::Debug => "Debugging and logging",
            Self::Program => "Objects, option files and the program itself",
            Self::Disk => "Disks",
            Self::Network => "Network",
            Self::Display => "Display, sound and input",
            Self::Peripheral => "USB, TPM and other peripherals",
        }
    }
}

/// Whether an option does anything here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It works.
    Works,
    /// QEMU has it, this program does not; the text says what it waits for.
    NotYet(&'static str),
    /// Only the argument `none` works, which asks for nothing; the text says what the rest waits for.
    NoneOnly(&'static str),
}

/// What happens when an option is given more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Each occurrence adds one more.
    Adds,
    /// Occurrences merge into one list; the later value of a key wins.
    Merges,
    /// The last occurrence wins.
    LastWins,
}

/// Which part of the configuration an option fills; one arm of the builder in [`crate::config`] for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the option of that name")]
pub enum Handler {
    /// Not parsed at all: the option is not here yet.
    Absent,
    /// Its argument must be `none`.
    NoneOnly,
    Help,
    Version,
    Machine,
    Cpu,
    Accel,
    Smp,
    Memory,
    Device,
    Global,
    Object,
    Chardev,
    Fsdev,
    Virtfs,
    Netdev,
    Nic,
    Net,
    Serial,
    Monitor,
    Qmp,
    QmpPretty,
    Mon,
    Kernel,
    Append,
    Bios,
    Initrd,
    Dtb,
    Pflash,
    Drive,
    Blockdev,
    Numa,
    Nographic,
    Display,
    Nodefaults,
    NoUserConfig,
    StartPaused,
    Icount,
    Pace,
    Rtc,
    Semihosting,
    SemihostingConfig,
    LogItems,
    LogFile,
    Trace,
    Gdb,
    GdbDefault,
    Qtest,
    QtestLog,
    Name,
    Uuid,
    Pidfile,
    Daemonize,
    ReadConfig,
    WriteConfig,
    NoReboot,
    /// `-snapshot`
    Snapshot,
    NoShutdown,
    Action,
    WatchdogAction,
    Seed,
    Incoming,
    Loadvm,
    SnapshotDir,
    Boot,
    Overcommit,
    Sandbox,
    Msg,
}

/// Where completion finds the values of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Complete {
    /// Free text.
    Nothing,
    /// A file name.
    File,
    /// These words.
    Words(&'static [&'static str]),
    /// What `-OPTION help` of this program lists, first word of each line after the heading.
    HelpOf(&'static str),
}

/// One option.
#[derive(Debug, Clone, Copy)]
pub struct OptionDef {
    /// The name without dash.
    pub name: &'static str,
    /// Other names of the same option.
    pub aliases: &'static [&'static str],
    /// The shape of the argument, or `None` for an option without one.
    pub argument: Option<&'static str>,
    /// How the argument is split, if it is a list.
    pub grammar: Option<Grammar>,
    /// The section of a `-readconfig` file that stands for it.
    pub group: Option<&'static str>,
    /// Heading.
    pub category: Category,
    /// One line.
    pub summary: &'static str,
    /// More, for the man page; may be empty.
    pub detail: &'static str,
    /// Works or not.
    pub status: Status,
    /// Meaning of repetition.
    pub repeat: Repeat,
    /// Its part of the configuration.
    pub handler: Handler,
    /// Its values for completion.
    pub complete: Complete,
    /// Whether QEMU has it too.
    pub in_qemu: bool,
}

impl OptionDef {
    /// The name as it is said: `-device`.
    pub fn dashed(&self) -> String {
        format!("-{}", self.name)
    }

    /// All names, the main one first.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// Whether a user can make it do anything.
    pub fn is_here(&self) -> bool {
        !matches!(self.status, Status::NotYet(_))
    }
}

/// The option of that name, without dashes.
pub fn find(name: &str) -> Option<&'static OptionDef> {
    all().find(|def| def.names().any(|n| n == name))
}

/// The option whose section in a config file has that name.
pub fn find_group(group: &str) -> Option<&'static OptionDef> {
    all().find(|def| def.group == Some(group))
}

/// The option that a person most probably meant.
pub fn nearest_option(name: &str) -> Option<&'static str> {
    let names: Vec<&'static str> = all().filter(|d| d.is_here()).flat_map(OptionDef::names).collect();
    let near = nearest(name, names.iter().copied().filter(|n| n.len() > 1))?;
    names.into_iter().find(|n| *n == near)
}
