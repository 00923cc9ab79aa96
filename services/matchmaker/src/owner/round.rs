//! One owner's work in memory: the index, who met and is not committed yet, and what is to be deleted.
//!
//! Invariant: every entry that was taken in is in exactly one of the index, `met`, `finished` and the batch in flight; or it
//! was cancelled, and its entry is gone.

use std::collections::VecDeque;

use prost::Message as _;
use stroll_proto::v1;
use tracing::warn;

use crate::{
    matching::{Arrival, Index, Match, Ticket},
    metrics::{Dropped, Metrics},
    pool::{Entry, EntryId, EntryKind, Outcome},
};

/// What an owner has in hand.
pub(super) struct Round {
    index: Index,
    met: VecDeque<Match>,
    finished: Vec<EntryId>,
    metrics: Metrics,
}

/// What is committed together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Who met.
    pub(super) met: Vec<Match>,
    /// Entries that are of no further use.
    pub(super) finished: Vec<EntryId>,
}

impl Round {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self { index: Index::default(), met: VecDeque::new(), finished: Vec::new(), metrics }
    }

    /// Takes in an entry of the shard's stream at `now` (milliseconds since the Unix epoch).
    pub(super) fn take_in(&mut self, entry: Entry, now: u64, is_banned: impl Fn(&Ticket) -> bool) {
        match entry.kind {
            EntryKind::Cancelled(ticket) => {
                self.index.remove(ticket);
                self.finished.push(entry.id);
            }
            EntryKind::Unreadable => self.drop(entry.id, Dropped::Unreadable),
            EntryKind::Ticket { ticket, traceparent } => {
                let parsed = v1::Ticket::decode(ticket).ok();
                match parsed.and_then(|ticket| Ticket::parse(entry.id, ticket, traceparent).ok()) {
                    None => self.drop(entry.id, Dropped::Unreadable),
                    Some(ticket) if is_banned(&ticket) => self.drop(entry.id, Dropped::Banned),
                    Some(ticket) => self.arrive(ticket, now),
                }
            }
        }
    }

    /// Pairs those whose patience is over.
    pub(super) fn widen(&mut self, now: u64) {
        self.met.extend(self.index.widen(now));
    }

    /// When the next patience is over, in milliseconds since the Unix epoch.
    pub(super) fn next_widening(&self) -> Option<u64> {
        self.index.next_widening()
    }

    /// Takes out who waits and is banned by now.
    pub(super) fn drop_banned(&mut self, is_banned: impl Fn(&Ticket) -> bool) {
        for ticket in self.index.remove_all(is_banned) {
            self.drop(ticket.entry, Dropped::Banned);
        }
    }

    /// The next batch of at most `most` pairs; `None` if there is nothing to do. Who was banned since they met is dropped,
    /// and the other one waits again.
    pub(super) fn next_batch(
        &mut self,
        most: usize,
        now: u64,
        is_banned: impl Fn(&Ticket) -> bool,
    ) -> Option<Batch> {
        let mut met = Vec::new();
        while met.len() < most {
            let Some(next) = self.met.pop_front() else { break };
            if !next.tickets().into_iter().any(&is_banned) {
                met.push(next);
                continue;
            }
            for ticket in [next.first, next.second] {
                if is_banned(&ticket) {
                    self.drop(ticket.entry, Dropped::Banned);
                } else {
                    self.met.extend(self.index.put_back(ticket, now));
                }
            }
        }
        let finished = std::mem::take(&mut self.finished);
        (!met.is_empty() || !finished.is_empty()).then_some(Batch { met, finished })
    }

    /// Puts a batch's pairs back that could not be placed anywhere.
    pub(super) fn postpone(&mut self, met: Vec<Match>) {
        for pair in met.into_iter().rev() {
            self.met.push_front(pair);
        }
    }

    /// A pairing was tried. Who lost the other one to a cancel waits again, or meets somebody else at once.
    pub(super) fn settle(&mut self, pair: Match, outcome: &Outcome, now: u64) {
        let Outcome::Gone(gone) = outcome else { return };
        for ticket in [pair.first, pair.second] {
            if !gone.contains(&ticket.entry) {
                self.met.extend(self.index.put_back(ticket, now));
            }
        }
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.index.len()
    }

    /// How many pairs met and are not in a batch yet.
    pub(super) fn met(&self) -> usize {
        self.met.len()
    }

    fn arrive(&mut self, ticket: Ticket, now: u64) {
        let entry = ticket.entry;
        match self.index.insert(ticket, now) {
            Arrival::Waits => {}
            Arrival::Meets(met) => self.met.push_back(*met),
            Arrival::Duplicate => self.drop(entry, Dropped::Duplicate),
        }
    }

    fn drop(&mut self, entry: EntryId, reason: Dropped) {
        if reason == Dropped::Unreadable {
            warn!(%entry, "an entry of the pool cannot be read, dropped");
        }
        self.metrics.dropped(reason);
        self.finished.push(entry);
    }
}

#[cfg(test)]
mod tests {
    use stroll_proto::v1::{Mode, Subject};

    use super::*;

    fn entry(number: u8) -> Entry {
        let ticket = v1::Ticket {
            id: vec![number; 16].into(),
            gateway: "gateway-a".to_owned(),
            subject: Some(Subject { session: vec![number; 16].into(), ..Subject::default() }),
            mode: Mode::Text.into(),
            ..v1::Ticket::default()
        };
        let kind = EntryKind::Ticket { ticket: ticket.encode_to_vec().into(), traceparent: String::new() };
        Entry { id: id(number), kind }
    }

    fn id(number: u8) -> EntryId {
        EntryId { ms: number.into(), seq: 0 }
    }

    fn is_one(ticket: &Ticket) -> bool {
        ticket.entry == id(1)
    }

    fn round(numbers: &[u8]) -> Round {
        let mut round = Round::new(Metrics::new());
        for number in numbers {
            round.take_in(entry(*number), 100, |_| false);
        }
        round
    }

    #[test]
    fn what_is_of_no_use_is_deleted_with_the_next_batch() {
        let mut round = round(&[1]);
        let again = Entry { id: id(7), ..entry(1) };
        let kinds =
            [EntryKind::Unreadable, EntryKind::Ticket { ticket: "x".into(), traceparent: String::new() }];
        for (number, kind) in (8..).zip(kinds) {
            round.take_in(Entry { id: id(number), kind }, 100, |_| false);
        }
        round.take_in(again, 100, |_| false);
        round.take_in(Entry { id: id(10), kind: EntryKind::Cancelled(id(1)) }, 100, |_| false);
        let batch = round.next_batch(10, 100, |_| false).expect("something to do");
        assert_eq!(batch.finished, [id(8), id(9), id(7), id(10)]);
        assert_eq!((round.waiting(), batch.met.len()), (0, 0));
        assert!(round.next_batch(10, 100, |_| false).is_none());
    }

    #[test]
    fn the_banned_are_dropped_on_arrival_while_they_wait_and_when_they_have_met() {
        let mut arriving = round(&[]);
        arriving.take_in(entry(1), 100, is_one);
        assert_eq!(arriving.next_batch(10, 100, is_one).expect("a deletion").finished, [id(1)]);

        let mut waiting = round(&[1]);
        waiting.drop_banned(is_one);
        assert_eq!(waiting.next_batch(10, 100, is_one).expect("a deletion").finished, [id(1)]);

        let mut met = round(&[1, 2, 3]);
        let batch = met.next_batch(10, 100, is_one).expect("the other two");
        assert_eq!(batch.finished, [id(1)]);
        assert_eq!(
            batch.met.iter().map(|pair| pair.tickets().map(|ticket| ticket.entry)).collect::<Vec<_>>(),
            [[id(2), id(3)]]
        );
    }

    #[test]
    fn who_lost_the_other_one_waits_again_or_meets_the_next() {
        let mut round = round(&[1, 2]);
        let mut batch = round.next_batch(10, 100, |_| false).expect("a pair");
        round.take_in(entry(3), 100, |_| false);
        round.settle(batch.met.remove(0), &Outcome::Gone(vec![id(1)]), 100);
        let batch = round.next_batch(10, 100, |_| false).expect("a pair again");
        assert_eq!(batch.met[0].tickets().map(|ticket| ticket.entry), [id(2), id(3)]);
    }

    #[test]
    fn a_batch_has_a_bound_and_what_is_postponed_keeps_its_order() {
        let mut round = round(&[1, 2, 3, 4, 5, 6]);
        assert_eq!(round.met(), 3);
        let batch = round.next_batch(2, 100, |_| false).expect("two pairs");
        assert_eq!((batch.met.len(), round.met()), (2, 1));
        round.postpone(batch.met);
        let batch = round.next_batch(9, 100, |_| false).expect("all");
        assert_eq!(batch.met.iter().map(|pair| pair.first.entry).collect::<Vec<_>>(), [id(1), id(3), id(5)]);
    }
}
