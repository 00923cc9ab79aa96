//! Ranks in sorted lists.

use std::time::Duration;

/// The value at so many per mille of a sorted list; nothing of an empty one.
#[must_use]
pub fn percentile(sorted: &[Duration], per_mille: usize) -> Duration {
    let rank = (sorted.len() * per_mille).div_ceil(1_000).saturating_sub(1);
    sorted.get(rank).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let at = Duration::from_millis;
        let sorted: Vec<_> = (1..=200).map(at).collect();
        assert_eq!([500, 990, 1_000].map(|rank| percentile(&sorted, rank)), [100, 198, 200].map(at));
        assert_eq!(percentile(&[], 990), Duration::ZERO);
    }
}
