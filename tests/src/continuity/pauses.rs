//! How long each pair had to wait for a message, by what had gone wrong.

use std::{collections::BTreeMap, fmt, time::Duration};

use super::{Delivery, Pair};
use crate::percentile::percentile;

/// A pause that somebody may notice.
const NOTICEABLE: Duration = Duration::from_millis(250);

/// Something that went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// When it began.
    pub at: Duration,
    /// What.
    pub what: String,
}

/// The longest pause of each pair after each fault: how long a message that was said was not shown.
#[derive(Clone, Debug, Default)]
pub struct Pauses {
    by_fault: BTreeMap<String, Group>,
    all: Group,
}

/// Pauses after the same kind of fault.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// How often it happened.
    pub times: usize,
    /// The longest pause of each pair that talked then, after each of them, in ascending order.
    pub longest: Vec<Duration>,
}

impl Pauses {
    /// Of all pairs. A message counts for the fault that came last before it was shown, whether it was said before or after: it was on its way.
    /// Times are whole only where the pair talks all the time: a pause in which nobody says anything is none.
    #[must_use]
    pub fn new(pairs: &[Pair], marks: &[Mark]) -> Self {
        let mut pauses = Self::default();
        for mark in marks {
            pauses.by_fault.entry(mark.what.clone()).or_default().times += 1;
        }
        for pair in pairs {
            for (fault, pause) in longest(&pair.deliveries, marks) {
                let what =
                    fault.map_or_else(|| "(before any fault)".to_owned(), |fault| marks[fault].what.clone());
                pauses.by_fault.entry(what).or_default().longest.push(pause);
            }
            pauses.all.longest.extend(pair.deliveries.iter().map(Delivery::pause).max());
        }
        for group in pauses.by_fault.values_mut().chain([&mut pauses.all]) {
            group.longest.sort_unstable();
        }
        pauses
    }

    /// After one kind of fault, if it happened.
    #[must_use]
    pub fn after(&self, what: &str) -> Option<&Group> {
        self.by_fault.get(what)
    }
}

impl Delivery {
    /// How long it took.
    #[must_use]
    pub fn pause(&self) -> Duration {
        self.shown.saturating_sub(self.said)
    }
}

impl Group {
    /// The pause that so many per mille of all did not exceed.
    #[must_use]
    pub fn percentile(&self, per_mille: usize) -> Duration {
        percentile(&self.longest, per_mille)
    }

    /// Those that somebody may have noticed.
    #[must_use]
    pub fn noticeable(&self) -> &[Duration] {
        &self.longest[self.longest.partition_point(|pause| *pause < NOTICEABLE)..]
    }
}

/// The longest pause after each fault, by its number; none: before the first.
fn longest(deliveries: &[Delivery], marks: &[Mark]) -> BTreeMap<Option<usize>, Duration> {
    let mut longest = BTreeMap::<_, Duration>::new();
    for delivery in deliveries {
        let fault = marks.partition_point(|mark| mark.at <= delivery.shown).checked_sub(1);
        let pause = longest.entry(fault).or_default();
        *pause = delivery.pause().max(*pause);
    }
    longest
}

impl fmt::Display for Pauses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noticeable = format!("over {} ms", NOTICEABLE.as_millis());
        writeln!(
            f,
            "{:<36} {:>5} {:>6} {:>8} {:>8} {:>8} {noticeable:>12} {:>8}",
            "longest pause of a pair, after", "times", "pairs", "p50", "p99", "max", "of them p99"
        )?;
        let groups = self.by_fault.iter().map(|(what, group)| (what.as_str(), group));
        for (what, group) in groups.chain([("all of it", &self.all)]) {
            let [p50, p99, max] = [500, 990, 1_000].map(|rank| seconds(group.percentile(rank)));
            let (times, pairs) = (group.times, group.longest.len());
            let noticed = group.noticeable();
            let of_them = seconds(percentile(noticed, 990));
            let noticed = noticed.len();
            writeln!(
                f,
                "{what:<36} {times:>5} {pairs:>6} {p50:>8} {p99:>8} {max:>8} {noticed:>12} {of_them:>11}"
            )?;
        }
        Ok(())
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn pair(deliveries: &[(u64, u64)]) -> Pair {
        let deliveries =
            deliveries.iter().map(|(said, shown)| Delivery { said: at(*said), shown: at(*shown) });
        Pair { id: "a".into(), time: [at(0), at(9_000)], deliveries: deliveries.collect() }
    }

    #[test]
    fn a_pair_has_one_pause_after_each_fault_also_for_what_was_on_its_way_then() {
        let mark = |ms, what: &str| Mark { at: at(ms), what: what.into() };
        let marks = [mark(1_000, "kill"), mark(5_000, "stop"), mark(8_000, "kill")];
        let one =
            pair(&[(100, 150), (990, 2_990), (2_000, 2_990), (4_000, 4_001), (6_000, 6_400), (8_500, 8_503)]);
        let other = pair(&[(7_000, 7_020), (8_100, 8_110)]);
        let pauses = Pauses::new(&[one, other], &marks);
        let after = |what| pauses.after(what).map(|group| (group.times, group.longest.clone()));
        assert_eq!(after("kill"), Some((2, vec![at(3), at(10), at(2_000)])));
        assert_eq!(after("stop"), Some((1, vec![at(20), at(400)])));
        assert_eq!(after("(before any fault)"), Some((0, vec![at(50)])));
        assert_eq!(pauses.all.longest, [at(20), at(2_000)]);
        assert_eq!(pauses.after("stop").map(|group| group.noticeable().len()), Some(1));
    }
}
