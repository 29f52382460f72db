//! Which bytes behind the in-order end have already come.

/// At most this many gaps are remembered; a segment that would make another is dropped, and comes again.
const MOST: usize = 32;

/// Disjoint ascending ranges, as offsets from the head of the ring they describe.
#[derive(Debug, Default)]
pub(crate) struct Ranges {
    list: Vec<(usize, usize)>,
}

impl Ranges {
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Adds `start..end`; `false`: there are too many already.
    pub(crate) fn add(&mut self, start: usize, end: usize) -> bool {
        let first = self.list.partition_point(|r| r.1 < start);
        let last = self.list.partition_point(|r| r.0 <= end);
        if first == last {
            if self.list.len() >= MOST {
                return false;
            }
            self.list.insert(first, (start, end));
            return true;
        }
        let merged = (self.list[first].0.min(start), self.list[last - 1].1.max(end));
        self.list.drain(first + 1..last);
        self.list[first] = merged;
        true
    }

    /// Takes out what now follows `end` without a gap; returns the new end.
    pub(crate) fn join(&mut self, mut end: usize) -> usize {
        let mut joined = 0;
        for range in &self.list {
            if range.0 > end {
                break;
            }
            end = end.max(range.1);
            joined += 1;
        }
        self.list.drain(..joined);
        end
    }

    /// The head has moved on.
    pub(crate) fn shift(&mut self, by: usize) {
        for range in &mut self.list {
            *range = (range.0.saturating_sub(by), range.1.saturating_sub(by));
        }
    }

    pub(crate) fn clear(&mut self) {
        self.list.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_a_bitmap(adds in proptest::collection::vec((1_usize..200, 1_usize..20), 0..40), end in 0_usize..200) {
            let mut ranges = Ranges::default();
            let mut map = [false; 256];
            for (start, len) in adds {
                if ranges.add(start, start + len) {
                    map[start..start + len].fill(true);
                }
            }
            let mut expect = end;
            while expect < 256 && map[expect] {
                expect += 1;
            }
            let covered = ranges.list.iter().map(|r| r.1 - r.0).sum::<usize>();
            prop_assert_eq!(covered, map.iter().filter(|b| **b).count());
            prop_assert_eq!(ranges.join(end), expect);
        }
    }
}
