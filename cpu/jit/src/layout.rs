//! Where compiled code finds things in an engine's state.
//!
//! The engine's struct is passed to the code as a plain address. Places in it are named by [`crate::slot!`], which proves type and offset
//! at compile time.

use southbridge_core::memory::HostSpan;

/// The place of an integer field in the engine's struct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    offset: u32,
    bytes: u8,
}

/// An integer that may stand in a [`Slot`].
pub trait SlotType {
    /// Its size.
    const BYTES: u8;
}
impl SlotType for u8 {
    const BYTES: u8 = 1;
}
impl SlotType for bool {
    const BYTES: u8 = 1;
}
impl SlotType for u32 {
    const BYTES: u8 = 4;
}
impl SlotType for u64 {
    const BYTES: u8 = 8;
}

impl Slot {
    /// Use [`crate::slot!`]. `_field` only says what type stands there.
    pub const fn new<G, T: SlotType>(offset: usize, _field: fn(&G) -> &T) -> Self {
        assert!(offset + T::BYTES as usize <= size_of::<G>() && offset <= i32::MAX as usize / 2);
        Self {
            offset: offset as u32,
            bytes: T::BYTES,
        }
    }

    /// The element `n` of an array of such integers that begins here; `len` of them exist.
    pub const fn element(self, n: usize, len: usize) -> Self {
        assert!(n < len);
        Self {
            offset: self.offset + n as u32 * self.bytes as u32,
            ..self
        }
    }

    /// Bytes from the start of the struct.
    pub(crate) fn offset(self) -> i32 {
        self.offset as i32
    }

    /// 1, 4 or 8.
    pub(crate) fn bytes(self) -> u8 {
        self.bytes
    }
}

/// The [`Slot`] of a field: `slot!(Struct, path.to.field)`.
#[macro_export]
macro_rules! slot {
    ($g:ty, $($field:tt)+) => {
        $crate::Slot::new::<$g, _>(core::mem::offset_of!($g, $($field)+), |g: &$g| &g.$($field)+)
    };
}

/// The place of an array of [`Page`]s in the engine's struct.
#[derive(Clone, Copy, Debug)]
pub struct Pages {
    pub(crate) offset: u32,
    /// log2 of their number.
    pub(crate) log2: u32,
}

impl Pages {
    /// Use with `offset_of!`; `_field` only says what stands there.
    pub const fn new<G, const N: usize>(offset: usize, _field: fn(&G) -> &[Page; N]) -> Self {
        assert!(N.is_power_of_two() && offset <= i32::MAX as usize / 2);
        Self {
            offset: offset as u32,
            log2: N.trailing_zeros(),
        }
    }
}

impl Pages {
    /// Distances of the parts of the first entry from the start of the engine's struct.
    pub(crate) const fn tag(self) -> i32 {
        self.offset as i32 + std::mem::offset_of!(Page, tag) as i32
    }
    pub(crate) const fn rest(self) -> i32 {
        self.offset as i32 + std::mem::offset_of!(Page, rest) as i32
    }
    pub(crate) const fn host(self) -> i32 {
        self.offset as i32 + Page::HOST
    }
    pub(crate) const fn marks(self) -> i32 {
        self.offset as i32 + Page::MARKS
    }
}

/// A translation of one guest page of 4 KiB, as compiled code reads it. Slot `n` of an array is for pages whose number is `n` modulo
/// its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Page {
    /// Page number or'ed with the context of the access. All ones for none.
    pub tag: u64,
    /// For fetches: from bit 12, what to add to a guest address for the key of the code there. Otherwise the engine's own.
    pub rest: u64,
    /// What to add to a guest address for the host's.
    host: u64,
    /// What to add to a guest address shifted right by the granule's size for the host address of its code mark.
    marks: u64,
}

/// log2 of the bytes that share a code mark.
pub(crate) const GRANULE_SHIFT: u32 = southbridge_core::memory::CODE_GRANULE.trailing_zeros();

impl Page {
    pub(crate) const HOST: i32 = std::mem::offset_of!(Page, host) as i32;
    pub(crate) const MARKS: i32 = std::mem::offset_of!(Page, marks) as i32;

    /// No page: matches no access.
    pub const NONE: Page = Page::fetch(u64::MAX, 0);

    /// A page of code.
    pub const fn fetch(tag: u64, rest: u64) -> Self {
        Self {
            tag,
            rest,
            host: 0,
            marks: 0,
        }
    }

    /// A page of data: where the page that guest address `addr` is on stands. `None` if that is not 4 KiB from the start of a granule.
    ///
    /// Whoever puts it into an array that code is run with keeps the memory mapped for as long.
    pub fn data(tag: u64, rest: u64, addr: u64, there: HostSpan) -> Option<Self> {
        let page = addr & !0xfff;
        (there.len() >= 0x1000 && there.skew() == 0).then(|| Self {
            tag,
            rest,
            host: (there.memory() as u64).wrapping_sub(page),
            marks: (there.marks() as u64).wrapping_sub(page >> GRANULE_SHIFT),
        })
    }
}

/// How guest memory is reached.
#[derive(Clone, Copy, Debug)]
pub enum Memory {
    /// Through translations of pages.
    Paged {
        /// Pages that may be read.
        read: Pages,
        /// Pages that may be written.
        write: Pages,
        /// What tags carry beside the page number.
        context: Slot,
    },
    /// Through a few large windows.
    Windows(WindowsAt),
}

/// How the code behind an address is found.
#[derive(Clone, Copy, Debug)]
pub enum Chain {
    /// By the address that a translation gives.
    Paged {
        /// Pages of code.
        fetch: Pages,
        /// What tags carry beside the page number.
        context: Slot,
    },
    /// By the address and a word beside it in the upper half.
    Plain {
        /// That word.
        beside: Slot,
    },
}

/// The place of an array of [`Window`]s in the engine's struct.
#[derive(Clone, Copy, Debug)]
pub struct WindowsAt {
    pub(crate) offset: u32,
    /// The window for an address is number address >> shift.
    pub(crate) shift: u8,
}

impl WindowsAt {
    /// Use with `offset_of!`; `_field` only says what stands there. The window for an address is number address >> shift.
    pub const fn new<G, const N: usize>(offset: usize, _field: fn(&G) -> &[Window; N], shift: u8) -> Self {
        assert!(N == 1 << (32 - shift) && offset <= i32::MAX as usize / 2);
        Self {
            offset: offset as u32,
            shift,
        }
    }
}

/// A stretch of plain RAM as compiled code reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Window {
    pub(crate) first: u32,
    /// Bytes that may be read, written.
    read: u32,
    write: u32,
    unused: u32,
    pub(crate) host: u64,
    pub(crate) marks: u64,
}

/// By its place in the guest: where it is in the host differs from run to run.
impl std::fmt::Display for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#010x} +{:#x}", self.first, self.read)?;
        f.write_str(if self.write == 0 { " read-only" } else { "" })
    }
}

impl Window {
    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.read == 0
    }

    /// The number of the last place where `n` units of `bytes` fit, counted in units, for reads or writes; `None` if they fit nowhere.
    pub(crate) fn last(&self, bytes: u8, n: u32, write: bool) -> Option<u32> {
        let len = if write { self.write } else { self.read };
        (len >> bytes.trailing_zeros()).checked_sub(n)
    }

    pub(crate) const FIRST: i32 = std::mem::offset_of!(Window, first) as i32;
    pub(crate) const READ: i32 = std::mem::offset_of!(Window, read) as i32;
    pub(crate) const WRITE: i32 = std::mem::offset_of!(Window, write) as i32;
    pub(crate) const HOST: i32 = std::mem::offset_of!(Window, host) as i32;
    pub(crate) const MARKS: i32 = std::mem::offset_of!(Window, marks) as i32;

    /// Holds nothing.
    pub const NONE: Window = Window {
        first: 0,
        read: 0,
        write: 0,
        unused: 0,
        host: 0,
        marks: 0,
    };

    /// Guest memory from address `first`. `None` if that is not of whole words, its granules are not those of the addresses, or it is
    /// longer than the address space.
    ///
    /// Whoever puts it into an array that code is run with keeps the memory mapped for as long.
    pub fn new(first: u32, readonly: bool, there: HostSpan) -> Option<Self> {
        let len = u32::try_from(there.len()).ok()?;
        let same = first as u8 == there.skew() && (first | len) & 3 == 0;
        same.then(|| Self {
            first,
            read: len,
            write: if readonly || there.readonly() { 0 } else { len },
            unused: 0,
            host: (there.memory() as u64).wrapping_sub(first.into()),
            marks: (there.marks() as u64).wrapping_sub((first >> GRANULE_SHIFT).into()),
        })
    }
}

/// A question of compiled code to the function for called instructions: where is this RAM? The answer, a host address or 0, goes to
/// [`Layout::exit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Guest address.
    pub address: u32,
    /// What would be called if it is none: [`crate::ir::Call::what`], modulo 2^21.
    pub who: u32,
    bytes: u8,
    n: u32,
    write: bool,
}

impl Reach {
    const TAG: u64 = 1 << 41;

    /// What is or'ed to the address.
    pub(crate) fn what(who: u32, bytes: u8, n: u32, write: bool) -> u64 {
        let who = u64::from(who & 0x1f_ffff) << 42;
        who | Self::TAG | u64::from(bytes.trailing_zeros()) << 33 | u64::from(n & 31) << 35 | u64::from(write) << 40
    }

    /// The question, if what the function is told is one.
    #[inline(always)]
    pub fn new(what: u64) -> Option<Self> {
        (what & Self::TAG != 0).then_some(Self {
            address: what as u32,
            who: (what >> 42) as u32 & 0x1f_ffff,
            bytes: 1 << (what >> 33 & 3),
            n: (what >> 35) as u32 & 31,
            write: what >> 40 & 1 != 0,
        })
    }

    /// The answer, if `window` is the one that has the address. The window must be true.
    pub fn through(self, window: &Window) -> u64 {
        let Self {
            address,
            bytes,
            n,
            write,
            ..
        } = self;
        let unit = address.wrapping_sub(window.first).rotate_right(bytes.trailing_zeros());
        if window.last(bytes, n, write).is_none_or(|last| unit > last) {
            return 0;
        }
        let end = address.wrapping_add(u32::from(bytes) * n - 1);
        let is_code = |at: u32| {
            let mark = window.marks.wrapping_add(u64::from(at >> GRANULE_SHIFT)) as *const u8;
            // SAFETY: the window is true: its memory is mapped, and there is a mark for each granule of it, which others may change.
            unsafe { mark.read_volatile() != 0 }
        };
        if write && (is_code(address) || is_code(end)) {
            return 0;
        }
        window.host.wrapping_add(address.into())
    }
}

/// What the function for called instructions is told before a store, or'ed with the bytes that are stored.
pub const NOTE: u64 = 1 << 32;

/// Everything that code generation knows of an engine.
#[derive(Clone, Debug)]
pub struct Layout {
    /// 32 or 64.
    pub word: u8,
    /// Guest registers. Narrower ones are zero-extended; wider values are cut.
    pub registers: Vec<Slot>,
    /// Registers, one bit each, that are mostly overwritten before anything looks at them.
    pub lazy: u64,
    /// The guest's PC.
    pub pc: Slot,
    /// Where the PC at which the running region began is noted, for engines that work out from it where an instruction stands that they
    /// are to execute. The PC itself is stale until the region ends.
    pub base: Option<Slot>,
    /// Executed instructions, as of the start of the running block.
    pub retired: Slot,
    /// The count that must not be passed. A called instruction sets it to 0 to stop the run at the end of its block.
    pub limit: Slot,
    /// Where the function for called instructions leaves what the region is to end with ([`crate::Exit`]); 0 to go on.
    pub exit: Slot,
    /// For code that is checked: before each store its address is put there and the function for called instructions is told
    /// [`NOTE`] and the bytes; what the engine would have to execute ends the run before it instead.
    pub note: Option<Slot>,
    /// Guest memory.
    pub memory: Memory,
    /// From one region to the next.
    pub chain: Chain,
}

impl Layout {
    /// Whether registers that a small loop changes go home when it is left, rather than each time: more code for each way out, but less of it
    /// is executed. It pays where guests are small and run long.
    pub(crate) fn is_late(&self) -> bool {
        matches!(self.memory, Memory::Windows(_))
    }
}
