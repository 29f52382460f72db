//! Facts of the memory balloon (Virtio 1.3, section 5.5).

/// Statistics of the guest.
pub(super) const F_STATS_VQ: u64 = 1 << 1;
/// A guest that runs out of memory takes some back by itself.
pub(super) const F_DEFLATE_ON_OOM: u64 = 1 << 2;
/// The guest tells which pages are free when it is asked to.
pub(super) const F_HINTS: u64 = 1 << 3;
/// The guest fills free pages with a pattern, and says which.
pub(super) const F_PAGE_POISON: u64 = 1 << 4;
/// The guest reports pages that are free for now.
pub(super) const F_REPORTING: u64 = 1 << 5;

pub(super) const INFLATE: u16 = 0;
pub(super) const DEFLATE: u16 = 1;
pub(super) const STATS: u16 = 2;
/// Those for hints and for reports have the next numbers, if they are there, in this order.
pub(super) const FIRST_OPTIONAL: u16 = 3;

/// Entries of the first three queues, QEMU's number.
pub(super) const QUEUE_SIZE: u16 = 128;
/// Entries of the queue for hints.
pub(super) const HINTS_SIZE: u16 = 1024;
/// Entries of the queue for reports.
pub(super) const REPORTING_SIZE: u16 = 32;

/// Pages of the balloon have this many bytes, whatever the guest's own have.
pub(super) const PAGE: u64 = 4096;

/// Offsets in the configuration space: pages that the host wants, pages that it has, a command for hints, the pattern.
pub(super) const ACTUAL: usize = 4;
pub(super) const POISON: usize = 12;
/// Its length without both, with the command, and with the pattern.
pub(super) const CONFIG_SHORT: usize = 8;
pub(super) const CONFIG_HINTS: usize = 12;
pub(super) const CONFIG_LONG: usize = 16;

/// Commands for hints (section 5.5.6.6): no more of them; what was hinted is the guest's again; and the first of those that ask for hints.
pub(super) const COMMAND_STOP: u32 = 0;
pub(super) const COMMAND_DONE: u32 = 1;
pub(super) const COMMAND_FIRST: u32 = 0x8000_0000;

/// Bytes of a statistic: its tag and its value, without a gap.
pub(super) const STAT_LEN: usize = 10;

/// Names of the statistics by their tags, as QEMU's `guest-stats` has them.
pub(super) const STATS_NAMES: [&str; 16] = [
    "stat-swap-in",
    "stat-swap-out",
    "stat-major-faults",
    "stat-minor-faults",
    "stat-free-memory",
    "stat-total-memory",
    "stat-available-memory",
    "stat-disk-caches",
    "stat-htlb-pgalloc",
    "stat-htlb-pgfail",
    "stat-oom-kills",
    "stat-alloc-stalls",
    "stat-async-scans",
    "stat-direct-scans",
    "stat-async-reclaims",
    "stat-direct-reclaims",
];
