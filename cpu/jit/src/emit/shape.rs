//! What can be told of a region before its code is made.

use crate::ir::{End, Op, Region, Target};

/// Registers that need a variable, one bit each.
pub(super) fn touched(region: &Region) -> u64 {
    let of = |op: &Op| match op {
        Op::Get(r) | Op::Set(r, _) => 1u64 << r,
        Op::Load { register, .. } => 1 << register,
        Op::LoadMany { registers, .. } | Op::StoreMany { registers, .. } => *registers,
        _ => 0,
    };
    region
        .blocks
        .iter()
        .flat_map(|b| &b.ops)
        .fold(0, |all, op| all | of(op))
}

fn successors(end: &End) -> impl Iterator<Item = usize> {
    let (targets, guesses): (Vec<Target>, &[u32]) = match end {
        End::Jump(t) => (vec![*t], &[]),
        End::Branch(_, t, e) => (vec![*t, *e], &[]),
        End::Indirect(_, guesses) => (Vec::new(), guesses),
    };
    let inside = targets.into_iter().filter_map(|t| match t {
        Target::Block(n) => Some(n as usize),
        Target::Outside(_) => None,
    });
    inside
        .chain(guesses.iter().map(|n| *n as usize))
        .collect::<Vec<_>>()
        .into_iter()
}

/// Registers of `lazy` that may be stale at home when a block is left, by those that may be when it is entered.
fn after(ops: &[Op], before: u64, lazy: u64) -> u64 {
    let mut stale = before;
    let mut rest = ops;
    while let Some((op, behind)) = rest.split_first() {
        rest = behind;
        stale = match op {
            Op::Set(r, _) => stale | 1 << r & lazy,
            Op::Load { register, .. } => stale | 1 << register & lazy,
            Op::LoadMany { registers, .. } => stale | registers & lazy,
            Op::Call(_) => 0,
            Op::If(_, n) => {
                let (inner, behind) = behind.split_at((*n as usize).min(behind.len()));
                rest = behind;
                stale | after(inner, stale, lazy)
            }
            _ => stale,
        };
    }
    stale
}

/// Registers that may be stale at home at the start of each block, if in each those of `keep` may.
pub(super) fn stale(region: &Region, keep: &[u64]) -> Vec<u64> {
    let mut at = vec![0; region.blocks.len()];
    let mut changed = keep.iter().any(|k| *k != 0);
    while std::mem::take(&mut changed) {
        for (i, block) in region.blocks.iter().enumerate() {
            let out = after(&block.ops, at[i], keep.get(i).copied().unwrap_or(0));
            for s in successors(&block.end) {
                let out = out & keep.get(s).copied().unwrap_or(0);
                if let Some(there) = at.get_mut(s)
                    && *there | out != *there
                {
                    *there |= out;
                    changed = true;
                }
            }
        }
    }
    at
}

/// Guest instructions of a loop at most that registers stay away from home in.
const SMALL: u32 = 64;

/// Registers that may be stale at home in each block: those of `lazy`, and, if `late`, in small loops all.
pub(super) fn keep(region: &Region, lazy: u64, late: bool) -> Vec<u64> {
    let mut all = vec![lazy; region.blocks.len()];
    if !late {
        return all;
    }
    let next: Vec<Vec<usize>> = region.blocks.iter().map(|b| successors(&b.end).collect()).collect();
    for (last, head) in next
        .iter()
        .enumerate()
        .flat_map(|(i, s)| s.iter().map(move |s| (i, *s)))
    {
        if head > last {
            continue;
        }
        // What leads from the head around to it.
        let mut body = vec![head];
        let mut todo = vec![last];
        let mut size = region.blocks.get(head).map_or(0, |b| b.count);
        while let Some(n) = todo.pop() {
            if body.contains(&n) {
                continue;
            }
            size += region.blocks[n].count;
            if size > SMALL {
                break;
            }
            body.push(n);
            todo.extend((0..next.len()).filter(|p| next[*p].contains(&n)));
        }
        if size <= SMALL {
            body.into_iter().for_each(|n| all[n] = u64::MAX);
        }
    }
    all
}

/// Blocks that may be entered from outside, other than the first.
pub(super) fn entries(region: &Region) -> Vec<usize> {
    let blocks = region.blocks.iter().enumerate().skip(1);
    let entries = blocks.filter(|(_, b)| b.ops.first() == Some(&Op::Entry));
    entries.map(|(i, _)| i).collect()
}

/// Blocks that every loop passes at least one of: where it is looked whether somebody waits. The first is one, so that going from region
/// to region is not endless either.
pub(super) fn loops(region: &Region) -> Vec<bool> {
    let mut all = vec![false; region.blocks.len()];
    all[0] = true;
    entries(region).into_iter().for_each(|i| all[i] = true);
    for (i, block) in region.blocks.iter().enumerate() {
        for s in successors(&block.end).filter(|s| *s <= i) {
            if let Some(back) = all.get_mut(s) {
                *back = true;
            }
        }
    }
    all
}

/// Instructions after which the limit is looked at again at the latest, but for the block in hand.
const FAR: u32 = 96;

/// How many instructions may follow until the next look at the limit, for the blocks that look at it; 0 for the others. Looked at are the
/// heads of loops, and what is far from the last look.
pub(super) fn checks(region: &Region, loops: &[bool]) -> Vec<u32> {
    let blocks = &region.blocks;
    // Only heads of loops have edges from behind: all others can be gone through in order.
    let mut since = vec![0u32; blocks.len()];
    let mut looks = loops.to_vec();
    for (i, block) in blocks.iter().enumerate() {
        looks[i] |= since[i].saturating_add(block.count) > FAR;
        let here = if looks[i] { 0 } else { since[i] };
        for s in successors(&block.end).filter(|s| *s > i) {
            if let Some(there) = since.get_mut(s) {
                *there = (*there).max(here.saturating_add(block.count));
            }
        }
    }
    let mut need = vec![0u32; blocks.len()];
    for (i, block) in blocks.iter().enumerate().rev() {
        let further = successors(&block.end).filter(|s| *s > i && !looks.get(*s).copied().unwrap_or(true));
        let most = further.filter_map(|s| need.get(s)).max().copied().unwrap_or(0);
        need[i] = block.count.saturating_add(most);
    }
    need.iter().zip(&looks).map(|(n, l)| if *l { *n } else { 0 }).collect()
}
