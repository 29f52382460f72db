//! Packed rings (Virtio 1.3, section 2.8).

use super::{DESCRIPTOR, Descriptor, Memory, Parts, Queue, RingError};
use crate::spec::{feature, ring};
use std::sync::atomic::Ordering;

const FLAGS: u64 = 14;
/// Of the two structures of event suppression.
const EVENT_FLAGS: u64 = 2;

fn entry(q: &Queue, index: u16) -> u64 {
    q.config.desc.wrapping_add(DESCRIPTOR * u64::from(index))
}

fn is_available(flags: u16, wrap: bool) -> bool {
    let (avail, used) = (flags & ring::AVAIL != 0, flags & ring::USED != 0);
    avail != used && avail == wrap
}

pub(super) fn has_next(q: &mut Queue, dma: &mut dyn Memory) -> Result<bool, RingError> {
    let flags = dma.u16(entry(q, q.at.avail).wrapping_add(FLAGS))?;
    Ok(is_available(flags, q.at.avail_wrap))
}

pub(super) fn pop(q: &mut Queue, dma: &mut dyn Memory) -> Result<Option<(u16, u16, Parts)>, RingError> {
    if !has_next(q, dma)? {
        return Ok(None);
    }
    dma.order(Ordering::Acquire);
    let first = Descriptor::packed(entry(q, q.at.avail), dma)?;
    let mut parts = Parts::default();
    let (id, entries) = if first.is(ring::INDIRECT) {
        if first.is(ring::NEXT) || !q.has(feature::INDIRECT_DESC) {
            return Err(RingError::Indirect);
        }
        walk_table(&first, &mut parts, dma)?;
        (first.other, 1)
    } else {
        walk(q, first, &mut parts, dma)?
    };
    if id >= q.config.size {
        return Err(RingError::Descriptor(id));
    }
    if entries > q.config.size.saturating_sub(q.at.in_use) {
        return Err(RingError::InUse);
    }
    (q.at.avail, q.at.avail_wrap) = ahead(q, q.at.avail, q.at.avail_wrap, entries);
    q.at.in_use += entries;
    Ok(Some((id, entries, parts)))
}

/// The chain from `first` on, which is at the device's place. Its id stands in its last descriptor.
fn walk(q: &Queue, first: Descriptor, parts: &mut Parts, dma: &mut dyn Memory) -> Result<(u16, u16), RingError> {
    let mut d = first;
    for entries in 1..=q.config.size {
        if d.is(ring::INDIRECT) {
            return Err(RingError::Indirect);
        }
        parts.add(d)?;
        if !d.is(ring::NEXT) {
            return Ok((d.other, entries));
        }
        let (at, _) = ahead(q, q.at.avail, true, entries);
        d = Descriptor::packed(entry(q, at), dma)?;
    }
    Err(RingError::Loop)
}

fn walk_table(table: &Descriptor, parts: &mut Parts, dma: &mut dyn Memory) -> Result<(), RingError> {
    let size = u64::from(table.len) / DESCRIPTOR;
    if size == 0 || !u64::from(table.len).is_multiple_of(DESCRIPTOR) {
        return Err(RingError::Indirect);
    }
    for i in 0..size {
        let d = Descriptor::packed(table.addr.wrapping_add(DESCRIPTOR * i), dma)?;
        if d.is(ring::INDIRECT) {
            return Err(RingError::Indirect);
        }
        // Ends long tables: it refuses what is beyond the limit.
        parts.add(d)?;
    }
    Ok(())
}

/// `n` entries on from a place, and the wrap counter there. `n` is at most the size of the ring.
fn ahead(q: &Queue, at: u16, wrap: bool, n: u16) -> (u16, bool) {
    let sum = u32::from(at) + u32::from(n);
    match sum.checked_sub(u32::from(q.config.size)) {
        Some(rest) => (rest as u16, !wrap),
        None => (sum as u16, wrap),
    }
}

pub(super) fn step_back(q: &mut Queue, n: u16) {
    match q.at.avail.checked_sub(n) {
        Some(at) => q.at.avail = at,
        None => {
            q.at.avail = q.at.avail.wrapping_add(q.config.size).wrapping_sub(n);
            q.at.avail_wrap = !q.at.avail_wrap;
        }
    }
}

pub(super) fn put(q: &mut Queue, id: u16, n: u16, written: u32, dma: &mut dyn Memory) -> Result<(), RingError> {
    let at = entry(q, q.at.used);
    let mut flags = if q.at.used_wrap { ring::AVAIL | ring::USED } else { 0 };
    if written > 0 {
        flags |= ring::WRITE;
    }
    let body = u64::from(written) | u64::from(id) << 32;
    dma.write(at.wrapping_add(8), &body.to_le_bytes()[..6])?;
    // The flags give the descriptor to the driver: last.
    dma.order(Ordering::Release);
    dma.set_u16(at.wrapping_add(FLAGS), flags)?;
    let n = n.min(q.config.size);
    (q.at.used, q.at.used_wrap) = ahead(q, q.at.used, q.at.used_wrap, n);
    q.at.since = q.at.since.saturating_add(n);
    Ok(())
}

pub(super) fn wants_interrupt(q: &mut Queue, dma: &mut dyn Memory) -> Result<bool, RingError> {
    // The driver writes its wish and looks for what is new; here it is the other way round.
    dma.order(Ordering::SeqCst);
    let flags = dma.u16(q.config.driver.wrapping_add(EVENT_FLAGS))? & 3;
    let since = std::mem::take(&mut q.at.since);
    match flags {
        ring::EVENT_DISABLE => Ok(false),
        ring::EVENT_DESC if q.has(feature::EVENT_IDX) => {
            let place = dma.u16(q.config.driver)?;
            Ok(passed(q, place, since))
        }
        _ => Ok(true),
    }
}

/// Whether the last `since` entries led past a place in the ring. Where the place's wrap counter is not the device's, the place lies one
/// round behind (section 2.8.10).
fn passed(q: &Queue, place: u16, since: u16) -> bool {
    let mut event = place & 0x7fff;
    if (place >> 15 != 0) != q.at.used_wrap {
        event = event.wrapping_sub(q.config.size);
    }
    let now = q.at.used;
    since >= q.config.size || super::split::passed(event, now.wrapping_sub(since), now)
}

pub(super) fn ask_for_kicks(q: &Queue, dma: &mut dyn Memory) -> Result<(), RingError> {
    let flags = match (q.at.kicks, q.has(feature::EVENT_IDX)) {
        (false, _) => ring::EVENT_DISABLE,
        (true, false) => ring::EVENT_ENABLE,
        (true, true) => {
            let wrap = u16::from(q.at.avail_wrap) << 15;
            dma.set_u16(q.config.device, q.at.avail | wrap)?;
            dma.order(Ordering::Release);
            ring::EVENT_DESC
        }
    };
    dma.set_u16(q.config.device.wrapping_add(EVENT_FLAGS), flags)
}
