//! Since when the one waits who has waited longest.

use std::{cmp::Reverse, collections::BinaryHeap};

use crate::pool::EntryId;

/// Below this many places it isn't worth while to look for those who have gone.
const FEW: usize = 1_024;

/// Those who began to wait. Who has gone is taken out when it is in the way, or when there are too many such.
#[derive(Debug, Default)]
pub(super) struct Oldest(BinaryHeap<Reverse<(u64, EntryId)>>);

impl Oldest {
    /// Somebody waits, of `waiting`.
    pub(super) fn add(
        &mut self,
        place: (u64, EntryId),
        waiting: usize,
        is_waiting: impl Fn(EntryId) -> bool,
    ) {
        if self.0.len() > 2 * waiting + FEW {
            self.0.retain(|Reverse((_, entry))| is_waiting(*entry));
        }
        self.0.push(Reverse(place));
    }

    /// Since when the first of those who still wait does, in milliseconds since the Unix epoch.
    pub(super) fn since(&mut self, is_waiting: impl Fn(EntryId) -> bool) -> Option<u64> {
        while let Some(Reverse((since, entry))) = self.0.peek().copied() {
            if is_waiting(entry) {
                return Some(since);
            }
            self.0.pop();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_oldest_is_the_first_who_has_not_gone_and_those_who_have_gone_take_no_room() {
        let mut oldest = Oldest::default();
        let mut waiting = BTreeSet::new();
        let id = |ms| EntryId { ms, seq: 0 };
        for ms in 0..100_000 {
            waiting.insert(id(ms));
            oldest.add((ms, id(ms)), waiting.len(), |entry| waiting.contains(&entry));
            // The first one stays, so that nobody behind it is ever in the way.
            if ms > 0 {
                waiting.remove(&id(ms));
            }
        }
        assert!(oldest.0.len() <= 2 * FEW, "{}", oldest.0.len());
        assert_eq!(oldest.since(|entry| waiting.contains(&entry)), Some(0));
        assert_eq!(oldest.since(|_| false), None);
    }
}
