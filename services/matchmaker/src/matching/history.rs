//! How long tickets waited lately, and so how long the next one will.
//!
//! Of each kind of ticket the last arrivals are kept, with what became of them. The estimate is the median of their waits by
//! the product-limit estimator (Kaplan and Meier, 1958): those who still wait, gave up or went elsewhere count for as long as they
//! were seen to wait. So it says what an arrival may expect, and not how long those waited who were lucky.

use std::{array, collections::VecDeque};

use super::ticket::{Ticket, Wish};

/// How many arrivals of a kind are kept.
const KEPT: usize = 512;
/// How old they may be, in milliseconds.
const MAX_AGE_MS: u64 = 300_000;
/// Fewer pairings than this are no history.
const LEAST: usize = 5;

/// Tickets whose waits are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Meets anybody.
    Anybody,
    /// Looks for shared interests first.
    Interests,
    /// Asks.
    Ask,
    /// Discusses.
    Discuss,
}

impl Kind {
    /// How many there are.
    pub(crate) const COUNT: usize = 4;

    /// Of a ticket. Those who meet somebody again, or only those of colleges, are of none.
    #[must_use]
    pub(crate) fn of(ticket: &Ticket) -> Option<Self> {
        match &ticket.wish {
            Wish::Chat if ticket.college.is_some() => None,
            Wish::Chat if ticket.interests.is_empty() => Some(Self::Anybody),
            Wish::Chat => Some(Self::Interests),
            Wish::Ask(_) => Some(Self::Ask),
            Wish::Discuss => Some(Self::Discuss),
            Wish::Again(_) => None,
        }
    }

    /// From 0.
    #[must_use]
    pub(crate) fn index(self) -> usize {
        match self {
            Self::Anybody => 0,
            Self::Interests => 1,
            Self::Ask => 2,
            Self::Discuss => 3,
        }
    }
}

/// The waits of one shard's tickets.
#[derive(Debug)]
pub(crate) struct History([Arrivals; Kind::COUNT]);

impl Default for History {
    fn default() -> Self {
        Self(array::from_fn(|_| Arrivals::default()))
    }
}

/// The last arrivals of a kind. The first one has number `first`.
#[derive(Debug, Default)]
struct Arrivals {
    first: u64,
    kept: VecDeque<Sample>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    since: u64,
    /// How long it waited, if that is over.
    waited: Option<u64>,
    paired: bool,
}

impl History {
    /// A ticket arrived; it is given its number here.
    pub(crate) fn arrived(&mut self, ticket: &mut Ticket) {
        let Some(kind) = Kind::of(ticket) else { return };
        let arrivals = &mut self.0[kind.index()];
        ticket.sample = arrivals.first + arrivals.kept.len() as u64;
        arrivals.kept.push_back(Sample { since: ticket.since_unix_ms, waited: None, paired: false });
        if arrivals.kept.len() > KEPT {
            arrivals.kept.pop_front();
            arrivals.first += 1;
        }
    }

    /// It was paired at `now`.
    pub(crate) fn paired(&mut self, ticket: &Ticket, now: u64) {
        self.settle(ticket, now, true);
    }

    /// It gave up or went elsewhere at `now`.
    pub(crate) fn left(&mut self, ticket: &Ticket, now: u64) {
        self.settle(ticket, now, false);
    }

    /// How long one that arrives now waits, in milliseconds, more likely than not; none if too little is known, or most don't
    /// meet anybody.
    #[must_use]
    pub(crate) fn estimate(&self, kind: Kind, now: u64) -> Option<u64> {
        let arrivals = self.0[kind.index()].kept.iter();
        let recent = arrivals.filter(|sample| now.saturating_sub(sample.since) <= MAX_AGE_MS);
        let mut waits: Vec<_> = recent
            .map(|sample| (sample.waited.unwrap_or_else(|| now.saturating_sub(sample.since)), !sample.paired))
            .collect();
        if waits.iter().filter(|(_, censored)| !censored).count() < LEAST {
            return None;
        }
        // Of the same wait, those who were paired come first, as the estimator has it.
        waits.sort_unstable();
        let mut still = 1.0;
        let mut at_risk = u32::try_from(waits.len()).unwrap_or(u32::MAX);
        for (wait, censored) in waits {
            if !censored {
                still *= 1.0 - 1.0 / f64::from(at_risk);
                if still <= 0.5 {
                    return Some(wait);
                }
            }
            at_risk -= 1;
        }
        None
    }

    fn settle(&mut self, ticket: &Ticket, now: u64, paired: bool) {
        let Some(kind) = Kind::of(ticket) else { return };
        let arrivals = &mut self.0[kind.index()];
        let place = ticket.sample.checked_sub(arrivals.first).and_then(|place| usize::try_from(place).ok());
        if let Some(sample) = place.and_then(|place| arrivals.kept.get_mut(place)) {
            sample.waited = Some(now.saturating_sub(sample.since));
            sample.paired = paired;
        }
    }
}

#[cfg(test)]
mod tests {
    use stroll_proto::v1::{self, Mode, Subject};

    use super::*;
    use crate::pool::EntryId;

    fn ticket(since: u64) -> Ticket {
        let ticket = v1::Ticket {
            id: vec![1; 16].into(),
            mode: Mode::Text.into(),
            gateway: "gateway-a".to_owned(),
            subject: Some(Subject { session: vec![1; 16].into(), ..Subject::default() }),
            since_unix_ms: since,
            ..v1::Ticket::default()
        };
        Ticket::parse(EntryId { ms: since, seq: 0 }, ticket).expect("a good ticket")
    }

    /// Arrivals at time 0, and after how long each was paired, left, or is still there.
    fn history(paired: &[u64], left: &[u64], waiting: usize) -> History {
        let mut history = History::default();
        let arrive = |history: &mut History| {
            let mut ticket = ticket(0);
            history.arrived(&mut ticket);
            ticket
        };
        for wait in paired {
            let ticket = arrive(&mut history);
            history.paired(&ticket, *wait);
        }
        for wait in left {
            let ticket = arrive(&mut history);
            history.left(&ticket, *wait);
        }
        for _ in 0..waiting {
            arrive(&mut history);
        }
        history
    }

    #[test]
    fn the_estimate_is_the_median_wait_and_those_who_still_wait_count() {
        let table: [(&str, History, Option<u64>); 6] = [
            ("too few", history(&[1, 2, 3, 4], &[], 0), None),
            ("all paired", history(&[10, 20, 30, 40, 50], &[], 0), Some(30)),
            ("as many still wait", history(&[10, 20, 30, 40, 50], &[], 4), Some(50)),
            ("most still wait", history(&[10, 20, 30, 40, 50], &[], 6), None),
            // Who left early says little, and who left late waited longer.
            ("some gave up at once", history(&[10, 20, 30, 40, 50], &[1; 50], 0), Some(30)),
            ("some gave up late", history(&[10, 20, 30, 40, 50], &[1_000; 4], 0), Some(50)),
        ];
        for (what, history, expected) in table {
            assert_eq!(history.estimate(Kind::Anybody, 2_000), expected, "{what}");
            assert_eq!(history.estimate(Kind::Ask, 2_000), None);
        }
    }

    #[test]
    fn a_college_of_few_does_not_make_others_expect_a_long_wait() {
        let mut history = history(&[10; 9], &[], 0);
        let college = v1::Ticket { college: "uni.example".to_owned(), ..ticket(0).to_message() };
        for _ in 0..50 {
            history.arrived(&mut Ticket::parse(EntryId::default(), college.clone()).expect("a good ticket"));
        }
        assert_eq!(history.estimate(Kind::Anybody, 2_000), Some(10));
    }

    #[test]
    fn what_is_long_ago_and_what_was_many_arrivals_ago_is_forgotten() {
        let old = history(&[10; 9], &[], 0);
        assert_eq!(old.estimate(Kind::Anybody, MAX_AGE_MS + 1), None);
        let mut history = history(&[10; KEPT], &[], 0);
        let mut first = ticket(0);
        first.sample = 0;
        for _ in 0..KEPT {
            let mut ticket = ticket(0);
            history.arrived(&mut ticket);
            history.paired(&ticket, 70);
        }
        history.paired(&first, 1);
        assert_eq!(history.estimate(Kind::Anybody, 100), Some(70));
    }
}
