//! How rare an interest is, from how often it came lately.
//!
//! A table of counters by hash, halved from time to time: of a bounded size whatever people type, and what was common last
//! year is forgotten. Two interests that share a counter look more common than they are, which only shifts a preference.

const COUNTERS: usize = 1 << 14;
/// After so many interests all counters are halved.
const HALVED_AFTER: u32 = 1 << 17;

/// Counts interests.
#[derive(Debug)]
pub(super) struct Rarity {
    counters: Box<[u16]>,
    counted: u32,
}

impl Default for Rarity {
    fn default() -> Self {
        Self { counters: vec![0; COUNTERS].into(), counted: 0 }
    }
}

impl Rarity {
    /// Somebody has this interest.
    pub(super) fn count(&mut self, key: u64) {
        let counter = &mut self.counters[place(key)];
        *counter = counter.saturating_add(1);
        self.counted += 1;
        if self.counted >= HALVED_AFTER {
            self.counted = 0;
            self.counters.iter_mut().for_each(|counter| *counter /= 2);
        }
    }

    /// Higher the rarer it is.
    #[must_use]
    pub(super) fn weight(&self, key: u64) -> u64 {
        (1 << 20) / (1 + u64::from(self.counters[place(key)]))
    }
}

#[cfg(test)]
impl Rarity {
    /// One that weighs everything alike: everything has come as often as can be counted.
    pub(super) fn level() -> Self {
        Self { counters: vec![u16::MAX; COUNTERS].into(), counted: 0 }
    }
}

fn place(key: u64) -> usize {
    usize::try_from(key % COUNTERS as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_often_weighs_less_until_it_is_forgotten() {
        let mut rarity = Rarity::default();
        for _ in 0..100 {
            rarity.count(1);
        }
        rarity.count(2);
        assert!(rarity.weight(1) < rarity.weight(2) && rarity.weight(2) < rarity.weight(3));
        for _ in 0..20 * HALVED_AFTER {
            rarity.count(4);
        }
        assert_eq!(rarity.weight(1), rarity.weight(3));
    }
}
