//! The set of extensions of a hart, in the spelling of `-cpu` properties and of ISA strings.
//!
//! One table gives all names: properties, `misa`, `riscv,isa` and `riscv,isa-extensions` come from it.

use std::fmt;

macro_rules! extensions {
    ($($(#[$($doc:tt)*])* $flag:ident = $bit:literal, $name:literal, $default:literal;)+) => {
        bitflags::bitflags! {
            /// Extensions. A flag that another implies is set with it; see [`Extensions::normalized`].
            #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
            pub struct Extensions: u64 {
                $($(#[$($doc)*])* const $flag = 1 << $bit;)+
            }
        }

        /// Name of each extension as a property of `-cpu`, and whether `-cpu rv64` has it. Single letters and multi-letter names stand
        /// in the canonical order of ISA strings (Unprivileged ISA, chapter "ISA Extension Naming Conventions").
        pub const NAMES: &[(Extensions, &str, bool)] = &[$((Extensions::$flag, $name, $default),)+];
    };
}

extensions! {
    /// Base integer set.
    I = 0, "i", true;
    /// Multiply and divide.
    M = 1, "m", true;
    /// Atomics.
    A = 2, "a", true;
    /// Single precision.
    F = 3, "f", true;
    /// Double precision.
    D = 4, "d", true;
    /// Compressed encodings.
    C = 5, "c", true;
    /// Cache-block management.
    ZICBOM = 6, "zicbom", true;
    /// Cache-block prefetch: hints, which do nothing.
    ZICBOP = 7, "zicbop", true;
    /// Cache-block zero.
    ZICBOZ = 8, "zicboz", true;
    /// Basic counters.
    ZICNTR = 9, "zicntr", true;
    /// Conditional zero.
    ZICOND = 10, "zicond", false;
    /// CSR instructions.
    ZICSR = 11, "zicsr", true;
    /// Instruction fence.
    ZIFENCEI = 12, "zifencei", true;
    /// `pause`: a hint.
    ZIHINTPAUSE = 13, "zihintpause", true;
    /// Hardware performance counters.
    ZIHPM = 14, "zihpm", true;
    /// Compare and swap.
    ZACAS = 15, "zacas", false;
    /// Wait on reservation set.
    ZAWRS = 16, "zawrs", true;
    /// Half precision.
    ZFH = 17, "zfh", false;
    /// Half precision, conversions only.
    ZFHMIN = 18, "zfhmin", false;
    /// Address generation.
    ZBA = 19, "zba", true;
    /// Basic bit manipulation.
    ZBB = 20, "zbb", true;
    /// Carry-less multiplication.
    ZBC = 21, "zbc", true;
    /// Single-bit instructions.
    ZBS = 22, "zbs", true;
    /// Debug triggers.
    SDTRIG = 23, "sdtrig", true;
    /// Advanced interrupt architecture, machine level.
    SMAIA = 24, "smaia", false;
    /// State enable.
    SMSTATEEN = 25, "smstateen", false;
    /// Advanced interrupt architecture, supervisor level.
    SSAIA = 26, "ssaia", false;
    /// Counter overflow.
    SSCOFPMF = 27, "sscofpmf", false;
    /// Supervisor timer.
    SSTC = 28, "sstc", true;
    /// Page faults instead of hardware updates of A and D.
    SVADE = 29, "svade", false;
    /// Hardware updates of A and D.
    SVADU = 30, "svadu", true;
    /// Fine-grained invalidation.
    SVINVAL = 31, "svinval", false;
    /// Naturally aligned powers of two of pages.
    SVNAPOT = 32, "svnapot", false;
    /// Page-based memory types.
    SVPBMT = 33, "svpbmt", false;
    /// Supervisor mode.
    S = 34, "s", true;
    /// User mode.
    U = 35, "u", true;
}

impl Default for Extensions {
    /// What `-cpu rv64` has.
    fn default() -> Self {
        NAMES
            .iter()
            .filter(|(_, _, default)| *default)
            .fold(Self::empty(), |all, (flag, _, _)| all | *flag)
    }
}

impl fmt::Display for Extensions {
    /// The ISA string of a device tree (`riscv,isa`).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("rv64")?;
        for name in self.list().filter(|n| n.len() == 1) {
            f.write_str(name)?;
        }
        self.list()
            .filter(|n| n.len() > 1)
            .try_for_each(|name| write!(f, "_{name}"))
    }
}

impl Extensions {
    /// The extension that a property of `-cpu` names, if it is one.
    pub fn named(property: &str) -> Option<Self> {
        let found = NAMES.iter().find(|(_, name, _)| *name == property);
        found.map(|(flag, _, _)| *flag)
    }

    /// With everything that the set implies, and without what cannot be alone.
    pub fn normalized(mut self) -> Self {
        self |= Self::I;
        for (whole, part) in [
            (Self::ZFH, Self::ZFHMIN),
            (Self::ZFHMIN, Self::F),
            (Self::D, Self::F),
            (Self::F, Self::ZICSR),
            (Self::S, Self::U),
            (Self::ZACAS, Self::A),
            (Self::SSCOFPMF, Self::ZIHPM),
        ] {
            if self.contains(whole) {
                self |= part;
            }
        }
        self
    }

    /// Names as a device tree lists them (`riscv,isa-extensions`), in canonical order; modes are no extensions there.
    pub fn list(&self) -> impl Iterator<Item = &'static str> {
        let have = *self;
        NAMES
            .iter()
            .filter(move |(flag, _, _)| have.contains(*flag) && !(Self::S | Self::U).contains(*flag))
            .map(|(_, name, _)| *name)
    }

    /// `misa`: RV64 and the single letters (Privileged ISA, "Machine ISA Register").
    pub fn misa(&self) -> u64 {
        let letters = NAMES
            .iter()
            .filter(|(flag, name, _)| name.len() == 1 && self.contains(*flag));
        letters.fold(2 << 62, |misa, (_, name, _)| misa | 1 << (name.as_bytes()[0] - b'a'))
    }
}
