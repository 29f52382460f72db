//! Split rings (Virtio 1.3, section 2.7).

use super::{DESCRIPTOR, Descriptor, Memory, Parts, Queue, RingError};
use crate::spec::{feature, ring};
use std::sync::atomic::Ordering;

const IDX: u64 = 2;
const RING: u64 = 4;
const USED_ELEMENT: u64 = 8;

fn slot(q: &Queue, index: u16) -> u16 {
    index % q.config.size
}

/// Where the driver says at which used index it wants an interrupt.
fn used_event(q: &Queue) -> u64 {
    q.config.driver.wrapping_add(RING + 2 * u64::from(q.config.size))
}

/// Where the device says at which available index it wants a notification.
fn avail_event(q: &Queue) -> u64 {
    let used = USED_ELEMENT * u64::from(q.config.size);
    q.config.device.wrapping_add(RING + used)
}

/// How many chains wait.
fn waiting(q: &mut Queue, dma: &mut dyn Memory) -> Result<u16, RingError> {
    // The index is read again only when what was seen of it is used up.
    if q.seen == q.at.avail {
        q.seen = dma.u16(q.config.driver.wrapping_add(IDX))?;
        dma.order(Ordering::Acquire);
    }
    let n = q.seen.wrapping_sub(q.at.avail);
    if n > q.config.size {
        let (avail, at, size) = (q.seen, q.at.avail, q.config.size);
        return Err(RingError::Index { avail, at, size });
    }
    Ok(n)
}

pub(super) fn has_next(q: &mut Queue, dma: &mut dyn Memory) -> Result<bool, RingError> {
    Ok(waiting(q, dma)? > 0)
}

pub(super) fn pop(q: &mut Queue, dma: &mut dyn Memory) -> Result<Option<(u16, u16, Parts)>, RingError> {
    if waiting(q, dma)? == 0 {
        return Ok(None);
    }
    if q.at.in_use >= q.config.size {
        return Err(RingError::InUse);
    }
    let entry = RING + 2 * u64::from(slot(q, q.at.avail));
    let head = dma.u16(q.config.driver.wrapping_add(entry))?;
    let parts = walk(q, head, dma)?;
    q.at.avail = q.at.avail.wrapping_add(1);
    q.at.in_use += 1;
    Ok(Some((head, 1, parts)))
}

/// The chain from `head` on: descriptors of the ring and, as the last of them, perhaps a table.
fn walk(q: &Queue, head: u16, dma: &mut dyn Memory) -> Result<Parts, RingError> {
    let mut parts = Parts::default();
    let mut next = head;
    for _ in 0..q.config.size {
        if next >= q.config.size {
            return Err(RingError::Descriptor(next));
        }
        let d = Descriptor::split(q.config.desc.wrapping_add(DESCRIPTOR * u64::from(next)), dma)?;
        if d.is(ring::INDIRECT) {
            if d.is(ring::NEXT) || !q.has(feature::INDIRECT_DESC) {
                return Err(RingError::Indirect);
            }
            walk_table(&d, &mut parts, dma)?;
            return Ok(parts);
        }
        parts.add(d)?;
        if !d.is(ring::NEXT) {
            return Ok(parts);
        }
        next = d.other;
    }
    Err(RingError::Loop)
}

fn walk_table(table: &Descriptor, parts: &mut Parts, dma: &mut dyn Memory) -> Result<(), RingError> {
    let size = u64::from(table.len) / DESCRIPTOR;
    if size == 0 || !u64::from(table.len).is_multiple_of(DESCRIPTOR) {
        return Err(RingError::Indirect);
    }
    let mut next = 0u16;
    for _ in 0..size {
        if u64::from(next) >= size {
            return Err(RingError::Descriptor(next));
        }
        let d = Descriptor::split(table.addr.wrapping_add(DESCRIPTOR * u64::from(next)), dma)?;
        if d.is(ring::INDIRECT) {
            return Err(RingError::Indirect);
        }
        // Ends long tables and loops in them: it refuses what is beyond the limit.
        parts.add(d)?;
        if !d.is(ring::NEXT) {
            return Ok(());
        }
        next = d.other;
    }
    Err(RingError::Loop)
}

pub(super) fn step_back(q: &mut Queue) {
    q.at.avail = q.at.avail.wrapping_sub(1);
}

pub(super) fn put(q: &mut Queue, id: u16, written: u32, dma: &mut dyn Memory) -> Result<(), RingError> {
    let at = RING + USED_ELEMENT * u64::from(slot(q, q.at.used));
    let element = u64::from(id) | u64::from(written) << 32;
    dma.write(q.config.device.wrapping_add(at), &element.to_le_bytes())?;
    q.at.used = q.at.used.wrapping_add(1);
    Ok(())
}

pub(super) fn flush(q: &Queue, dma: &mut dyn Memory) -> Result<(), RingError> {
    dma.order(Ordering::Release);
    dma.set_u16(q.config.device.wrapping_add(IDX), q.at.used)
}

pub(super) fn wants_interrupt(q: &mut Queue, dma: &mut dyn Memory) -> Result<bool, RingError> {
    // The driver writes its wish and looks for what is new; here it is the other way round.
    dma.order(Ordering::SeqCst);
    if q.has(feature::NOTIFY_ON_EMPTY) && q.at.in_use == 0 && !has_next(q, dma)? {
        return Ok(true);
    }
    if !q.has(feature::EVENT_IDX) {
        return Ok(dma.u16(q.config.driver)? & ring::NO_INTERRUPT == 0);
    }
    let now = q.at.used;
    let Some(before) = q.at.signalled.replace(now) else {
        return Ok(true);
    };
    let event = dma.u16(used_event(q))?;
    Ok(passed(event, before, now))
}

/// Whether the way from `before` to `now` leads past `event` (section 2.7.7.2).
pub(super) fn passed(event: u16, before: u16, now: u16) -> bool {
    now.wrapping_sub(event).wrapping_sub(1) < now.wrapping_sub(before)
}

pub(super) fn ask_for_kicks(q: &Queue, dma: &mut dyn Memory) -> Result<(), RingError> {
    if !q.has(feature::EVENT_IDX) {
        return dma.set_u16(q.config.device, if q.at.kicks { 0 } else { ring::NO_NOTIFY });
    }
    if q.at.kicks {
        return dma.set_u16(avail_event(q), q.at.avail);
    }
    Ok(())
}
