//! What is to happen when: an open loop's schedule, and a heap of timers.
//!
//! Times are durations on the run's one clock, see [`crate::clock`].

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

/// Events at a steady rate, of which each of several workers has every so-manieth.
///
/// The time of an event follows from its index alone, so a late one does not make those after it late.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    start: Duration,
    rate: f64,
}

impl Schedule {
    /// From `start` on, so many a second; never, if that is none.
    #[must_use]
    pub fn new(start: Duration, rate: f64) -> Self {
        Self { start, rate }
    }

    /// When the event of this index is due.
    #[must_use]
    pub fn time_of(&self, index: u64) -> Duration {
        if self.rate <= 0.0 {
            return Duration::MAX;
        }
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
        let after = index as f64 / self.rate;
        self.start.saturating_add(Duration::try_from_secs_f64(after).unwrap_or(Duration::MAX))
    }
}

/// One worker's share of a [`Schedule`], gone through in order.
#[derive(Clone, Debug)]
pub struct Share {
    schedule: Schedule,
    next: u64,
    step: u64,
    /// No event is due from then on.
    end: Duration,
}

impl Share {
    /// Nothing at all.
    #[must_use]
    pub fn none() -> Self {
        Self::new(Schedule::new(Duration::MAX, 0.0), Duration::MAX, 0, 1)
    }

    /// The events of worker `worker` of `workers`, before `end`.
    #[must_use]
    pub fn new(schedule: Schedule, end: Duration, worker: u64, workers: u64) -> Self {
        Self { schedule, next: worker, step: workers.max(1), end }
    }

    /// When the next event is due; [`Duration::MAX`] if there is none.
    #[must_use]
    pub fn next_due(&self) -> Duration {
        let due = self.schedule.time_of(self.next);
        if due >= self.end { Duration::MAX } else { due }
    }

    /// The next event, if it is due: its index and when it was due.
    pub fn take(&mut self, now: Duration) -> Option<(u64, Duration)> {
        let due = self.next_due();
        if due > now || due == Duration::MAX {
            return None;
        }
        let index = self.next;
        self.next += self.step;
        Some((index, due))
    }
}

/// Timers, soonest first.
#[derive(Debug)]
pub struct Timers<T: Ord> {
    heap: BinaryHeap<Reverse<(Duration, T)>>,
}

impl<T: Ord> Default for Timers<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new() }
    }
}

impl<T: Ord> Timers<T> {
    /// One more.
    pub fn add(&mut self, due: Duration, timer: T) {
        self.heap.push(Reverse((due, timer)));
    }

    /// When the next is due; [`Duration::MAX`] if there is none.
    #[must_use]
    pub fn next_due(&self) -> Duration {
        self.heap.peek().map_or(Duration::MAX, |Reverse((due, _))| *due)
    }

    /// The next one, if it is due.
    pub fn take(&mut self, now: Duration) -> Option<(Duration, T)> {
        if self.next_due() > now {
            return None;
        }
        self.heap.pop().map(|Reverse(timer)| timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn workers_share_a_schedule_without_gap_or_overlap() {
        let schedule = Schedule::new(SECOND, 10.0);
        let mut shares = [0, 1, 2].map(|worker| Share::new(schedule, 3 * SECOND, worker, 3));
        let mut all: Vec<_> = shares
            .iter_mut()
            .flat_map(|share| std::iter::from_fn(|| share.take(10 * SECOND)).collect::<Vec<_>>())
            .collect();
        all.sort_unstable();
        let expected: Vec<_> = (0..20).map(|index| (index, schedule.time_of(index))).collect();
        assert_eq!(all, expected);
        assert_eq!(schedule.time_of(15), Duration::from_millis(2_500));
    }

    #[test]
    fn nothing_comes_early_and_what_is_late_keeps_its_time() {
        let mut share = Share::new(Schedule::new(SECOND, 2.0), Duration::MAX, 0, 1);
        assert_eq!(share.take(SECOND / 2), None);
        assert_eq!(share.take(5 * SECOND), Some((0, SECOND)));
        assert_eq!(share.take(5 * SECOND), Some((1, SECOND * 3 / 2)));
        assert_eq!(share.next_due(), 2 * SECOND);
    }

    #[test]
    fn a_rate_of_none_is_never_due() {
        let mut share = Share::new(Schedule::new(SECOND, 0.0), Duration::MAX, 0, 1);
        assert_eq!((share.next_due(), share.take(Duration::MAX)), (Duration::MAX, None));
        assert_eq!(Share::none().take(Duration::MAX), None);
    }

    #[test]
    fn timers_come_in_their_order_and_not_before_their_time() {
        let mut timers = Timers::default();
        timers.add(3 * SECOND, 'c');
        timers.add(SECOND, 'a');
        timers.add(2 * SECOND, 'b');
        assert_eq!(timers.next_due(), SECOND);
        let due: Vec<_> = std::iter::from_fn(|| timers.take(2 * SECOND)).map(|(_, name)| name).collect();
        assert_eq!(due, ['a', 'b']);
    }
}
