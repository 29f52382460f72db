//! Where the parts of a ring are for drivers of before version 1: behind each other from one page on (Virtio 1.3, section 2.7.2).

use crate::queue::{DESCRIPTOR, QueueConfig};

/// Sets the addresses of a queue that begins at `start`; the used ring is aligned to `align`, a power of two.
pub fn layout(queue: &mut QueueConfig, start: u64, align: u64) {
    let size = u64::from(queue.size);
    queue.desc = start;
    queue.driver = start.wrapping_add(size * DESCRIPTOR);
    let end = queue.driver.wrapping_add(4 + 2 * size + 2);
    let align = if align.is_power_of_two() { align } else { 1 };
    queue.device = end.wrapping_add(align - 1) & !(align - 1);
}

/// The page on which a queue begins; 0 if it is not set up.
pub fn page_of(queue: &QueueConfig, page: u64) -> u64 {
    if queue.enabled {
        queue.desc.checked_div(page).unwrap_or(0)
    } else {
        0
    }
}
