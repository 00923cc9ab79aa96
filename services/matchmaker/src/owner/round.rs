//! One owner's work in memory: the index, who met and is not committed yet, who goes to another shard, and what is to be deleted.
//!
//! Invariant: every entry that was taken in is in exactly one of the index, `steps`, `finished` and the batch in flight; or it
//! was cancelled, and its entry is gone.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use chassis::id::TicketId;
use prost::Message as _;
use stroll_proto::v1;
use tracing::warn;

use super::oldest::Oldest;
use crate::{
    matching::{Arrival, History, Index, Kind, Match, Questions, Ticket},
    members::{Absent, ShardState},
    metrics::{Dropped, Metrics},
    pool::{Entry, EntryId, EntryKind, Outcome, Shard},
};

/// How long a ticket waits in a shard that is not its pool's first before it goes there, in milliseconds. Long enough to meet
/// somebody where many arrive, and short enough for two who are alone to meet within a second (I4).
pub(crate) const MOVES_AFTER_MS: u64 = 300;

/// How long it stays in the stream that a ticket was withdrawn which is not here, in milliseconds: it may be on its way, and
/// arrive only when another owner has taken over. Longer than that takes.
const WITHDRAWN_KEPT_MS: u64 = 10_000;

/// How many entries are deleted with one batch at most: about as long as the store takes for the pairings.
const MOST_FINISHED: usize = 2_048;
/// How many are looked at to know what tickets are like.
const SAMPLED: usize = 64;

/// What an owner has in hand.
pub(super) struct Round {
    shard: Shard,
    index: Index,
    steps: VecDeque<Step>,
    finished: Vec<EntryId>,
    history: History,
    /// Numbers in the history of those who are on their way to the end of the stream.
    staying: HashMap<TicketId, u64>,
    oldest: Oldest,
    /// When who goes to the pool's first shard; nobody does from there.
    moving: VecDeque<(u64, EntryId)>,
    /// The shard is about to be no more: everybody goes at once.
    closing: bool,
    /// Entries of withdrawals that are kept for a while, and until when.
    withdrawn: VecDeque<(u64, EntryId)>,
    absent: Absent,
    /// Gateways of tickets, and those of them that were not told of yet.
    gateways: HashSet<Arc<str>>,
    new_gateways: Vec<Arc<str>>,
    metrics: Metrics,
}

/// What is committed in one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Some who met.
    Meet(Box<Match>),
    /// One who goes to the pool's first shard.
    Move(Box<Ticket>),
    /// One who goes to the end of the same stream.
    Stay(Box<Ticket>),
}

/// What is committed together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// In order.
    pub(super) steps: Vec<Step>,
    /// Entries that are of no further use.
    pub(super) finished: Vec<EntryId>,
}

impl Round {
    pub(super) fn new(shard: Shard, questions: Arc<Questions>, metrics: Metrics) -> Self {
        Self {
            shard,
            index: Index::new(questions),
            steps: VecDeque::new(),
            finished: Vec::new(),
            history: History::default(),
            staying: HashMap::new(),
            oldest: Oldest::default(),
            moving: VecDeque::new(),
            closing: false,
            withdrawn: VecDeque::new(),
            absent: Absent::default(),
            gateways: HashSet::new(),
            new_gateways: Vec::new(),
            metrics,
        }
    }

    /// Takes in an entry of the shard's stream at `now` (milliseconds since the Unix epoch).
    pub(super) fn take_in(&mut self, entry: Entry, now: u64, is_banned: impl Fn(&Ticket) -> bool) {
        match entry.kind {
            EntryKind::Withdrawn(ticket) => self.withdraw(ticket, entry.id, now),
            EntryKind::Unreadable => self.drop(entry.id, Dropped::Unreadable),
            EntryKind::Ticket(ticket) => {
                let parsed = v1::Ticket::decode(ticket).ok();
                match parsed.and_then(|ticket| Ticket::parse(entry.id, ticket).ok()) {
                    None => self.drop(entry.id, Dropped::Unreadable),
                    Some(ticket) if is_banned(&ticket) => self.drop(entry.id, Dropped::Banned),
                    Some(ticket) => self.arrive(ticket.into(), now),
                }
            }
        }
    }

    /// Looks again for those whose time for something has come, and lets those go who have waited here long enough.
    pub(super) fn on_time(&mut self, now: u64) {
        while let Some((_, entry)) = self.withdrawn.front().copied().filter(|(at, _)| *at <= now) {
            self.withdrawn.pop_front();
            self.finished.push(entry);
        }
        let met = self.index.widen(now);
        self.meet(met);
        while let Some((_, entry)) = self.moving.front().copied().filter(|(at, _)| *at <= now || self.closing)
        {
            self.moving.pop_front();
            if let Some(ticket) = self.index.leave(entry, now) {
                self.history.left(&ticket, now);
                self.steps.push_back(Step::Move(ticket));
            }
        }
    }

    /// Lets so many of those who wait go to the end of the stream, the earliest of them. What is left of the entries
    /// before them is freed only when no one of their neighbours is there any more.
    pub(super) fn compact(&mut self, most: usize) {
        for entry in self.index.earliest(most) {
            if let Some(ticket) = self.index.remove(entry) {
                self.staying.insert(ticket.id, ticket.sample);
                self.steps.push_back(Step::Stay(ticket));
            }
        }
    }

    /// When [`Round::on_time`] has something to do next, in milliseconds since the Unix epoch.
    pub(super) fn next_time(&self) -> Option<u64> {
        let withdrawn = self.withdrawn.front().map(|(at, _)| *at);
        let moving = self.moving.front().map(|(at, _)| if self.closing { 0 } else { *at });
        self.index.next_widening().into_iter().chain(moving).chain(withdrawn).min()
    }

    /// Whether the shard is about to be no more.
    pub(super) fn close(&mut self, closing: bool) {
        self.closing = closing;
    }

    /// Gateways of tickets, of which this was not told before.
    pub(super) fn new_gateways(&mut self) -> Vec<Arc<str>> {
        std::mem::take(&mut self.new_gateways)
    }

    /// These gateways are not there: their tickets meet nobody, and those of the lost ones are dropped.
    pub(super) fn set_absent(&mut self, absent: &Absent, now: u64) {
        if *absent == self.absent {
            return;
        }
        let before = std::mem::replace(&mut self.absent, absent.clone());
        for gateway in absent.away.iter().filter(|gateway| !before.away.contains(gateway)) {
            self.index.set_aside(gateway);
        }
        for gateway in before.away.iter().filter(|gateway| !absent.away.contains(gateway)) {
            let met = self.index.bring_back(gateway, now);
            self.meet(met);
        }
        for gateway in absent.lost.iter().filter(|gateway| !before.lost.contains(gateway)) {
            self.gateways.remove(gateway);
            for ticket in self.index.remove_all(|ticket| ticket.gateway == *gateway) {
                self.history.left(&ticket, now);
                self.drop(ticket.entry, Dropped::GatewayLost);
            }
        }
    }

    /// Takes out who waits and is banned by now.
    pub(super) fn drop_banned(&mut self, now: u64, is_banned: impl Fn(&Ticket) -> bool) {
        for ticket in self.index.remove_all(is_banned) {
            self.history.left(&ticket, now);
            self.drop(ticket.entry, Dropped::Banned);
        }
    }

    /// The next batch of at most `most` steps; `None` if there is nothing to do. Who was banned since they met is dropped,
    /// and the others wait again.
    pub(super) fn next_batch(
        &mut self,
        most: usize,
        now: u64,
        is_banned: impl Fn(&Ticket) -> bool,
    ) -> Option<Batch> {
        let mut steps = Vec::new();
        while steps.len() < most {
            match self.steps.pop_front() {
                None => break,
                Some(Step::Meet(met)) if met.tickets().any(&is_banned) => {
                    for ticket in met.into_tickets() {
                        if is_banned(&ticket) {
                            self.drop(ticket.entry, Dropped::Banned);
                        } else {
                            self.put_back(ticket, now);
                        }
                    }
                }
                Some(step) => steps.push(step),
            }
        }
        let later = self.finished.split_off(self.finished.len().min(MOST_FINISHED));
        let finished = std::mem::replace(&mut self.finished, later);
        (!steps.is_empty() || !finished.is_empty()).then_some(Batch { steps, finished })
    }

    /// Puts a batch's steps back that could not be prepared.
    pub(super) fn postpone(&mut self, steps: Vec<Step>) {
        for step in steps.into_iter().rev() {
            self.steps.push_front(step);
        }
    }

    /// A step was tried. Who lost the others to a cancel waits again, or meets somebody else at once.
    pub(super) fn settle(&mut self, step: Step, outcome: &Outcome, now: u64) {
        match (step, outcome) {
            (Step::Meet(met), Outcome::Committed) => {
                for ticket in met.tickets() {
                    self.history.paired(ticket, now);
                }
            }
            (Step::Meet(met), Outcome::Gone(gone)) => {
                for ticket in met.into_tickets() {
                    if !gone.contains(&ticket.entry) {
                        self.put_back(ticket, now);
                    }
                }
            }
            (Step::Stay(ticket), Outcome::Gone(_)) => drop(self.staying.remove(&ticket.id)),
            (Step::Move(_) | Step::Stay(_), _) => {}
        }
    }

    /// How many bytes the tickets of those who wait have on average, of some of them.
    pub(super) fn average_size(&self) -> usize {
        let sizes: Vec<_> =
            self.index.some(SAMPLED).map(|ticket| ticket.to_message().encoded_len()).collect();
        sizes.iter().sum::<usize>() / sizes.len().max(1)
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.index.len()
    }

    /// Since when the one waits who has waited longest, in milliseconds since the Unix epoch.
    pub(super) fn oldest(&mut self) -> Option<u64> {
        self.oldest.since(|entry| self.index.holds(entry))
    }

    /// How many steps are not in a batch yet.
    pub(super) fn steps(&self) -> usize {
        self.steps.len()
    }

    /// Whether there is nothing in hand.
    pub(super) fn is_empty(&self) -> bool {
        let withdrawn = self.withdrawn.is_empty() && self.finished.is_empty();
        withdrawn && self.index.is_empty() && self.steps.is_empty()
    }

    /// What others are told of the shard.
    pub(super) fn state(&self, now: u64) -> ShardState {
        let kinds = [Kind::Anybody, Kind::Interests, Kind::Ask, Kind::Discuss];
        let estimates =
            kinds.map(|kind| self.history.estimate(kind, now).map_or(0, |ms| ms.saturating_add(1)));
        let waiting = u64::try_from(self.index.len()).unwrap_or(u64::MAX);
        ShardState { shard: self.shard.name().to_owned(), waiting, estimates: estimates.into() }
    }

    /// Takes a ticket out that is not wanted any more.
    fn withdraw(&mut self, id: TicketId, entry: EntryId, now: u64) {
        match self.index.remove_by_id(id, now) {
            Some(ticket) => {
                self.history.left(&ticket, now);
                self.finished.extend([ticket.entry, entry]);
            }
            None => self.withdrawn.push_back((now.saturating_add(WITHDRAWN_KEPT_MS), entry)),
        }
    }

    fn arrive(&mut self, mut ticket: Box<Ticket>, now: u64) {
        match self.gateways.get(&ticket.gateway) {
            Some(known) => ticket.gateway = Arc::clone(known),
            None => {
                self.gateways.insert(Arc::clone(&ticket.gateway));
                self.new_gateways.push(Arc::clone(&ticket.gateway));
            }
        }
        let (entry, place) = (ticket.entry, ticket.place());
        if self.absent.lost.contains(&ticket.gateway) {
            return self.drop(entry, Dropped::GatewayLost);
        }
        let absent = self.absent.away.contains(&ticket.gateway);
        match self.staying.remove(&ticket.id) {
            Some(sample) => ticket.sample = sample,
            None if self.index.knows(&ticket) => {}
            None => self.history.arrived(&mut ticket),
        }
        let arrival =
            if absent { self.index.insert_aside(ticket, now) } else { self.index.insert(ticket, now) };
        match arrival {
            // The store's clock may be ahead of this one.
            Arrival::Waits => self.waits(place, entry.ms.min(now)),
            Arrival::Meets(met) => self.steps.push_back(Step::Meet(Box::new(met))),
            Arrival::Duplicate => self.drop(entry, Dropped::Duplicate),
        }
    }

    fn put_back(&mut self, ticket: Box<Ticket>, now: u64) {
        let place = ticket.place();
        if self.absent.away.contains(&ticket.gateway) {
            self.index.put_aside(ticket);
        } else if let Some(met) = self.index.put_back(ticket, now) {
            return self.steps.push_back(Step::Meet(Box::new(met)));
        }
        self.waits(place, now);
    }

    fn waits(&mut self, place: (u64, EntryId), from: u64) {
        let (_, entry) = place;
        self.oldest.add(place, self.index.len(), |entry| self.index.holds(entry));
        if !self.shard.is_first() {
            self.moving.push_back((from.saturating_add(MOVES_AFTER_MS), entry));
        }
    }

    fn meet(&mut self, met: Vec<Match>) {
        self.steps.extend(met.into_iter().map(Box::new).map(Step::Meet));
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
        Entry { id: id(number), kind: EntryKind::Ticket(ticket.encode_to_vec().into()) }
    }

    fn id(number: u8) -> EntryId {
        EntryId { ms: number.into(), seq: 0 }
    }

    fn is_one(ticket: &Ticket) -> bool {
        ticket.entry == id(1)
    }

    fn round(numbers: &[u8]) -> Round {
        let shard = Shard::named("text.main.0").expect("a shard");
        let mut round = Round::new(shard, Arc::default(), Metrics::new());
        for number in numbers {
            round.take_in(entry(*number), 100, |_| false);
        }
        round
    }

    #[test]
    fn what_is_of_no_use_is_deleted_with_the_next_batch() {
        let mut round = round(&[1]);
        let again = Entry { id: id(7), ..entry(1) };
        let kinds = [EntryKind::Unreadable, EntryKind::Ticket("x".into())];
        for (number, kind) in (8..).zip(kinds) {
            round.take_in(Entry { id: id(number), kind }, 100, |_| false);
        }
        round.take_in(again, 100, |_| false);
        round.take_in(
            Entry { id: id(10), kind: EntryKind::Withdrawn(chassis::id::TicketId([1; 16])) },
            100,
            |_| false,
        );
        let batch = round.next_batch(10, 100, |_| false).expect("something to do");
        assert_eq!(batch.finished, [id(8), id(9), id(7), id(1), id(10)]);
        assert_eq!((round.waiting(), batch.steps.len()), (0, 0));
        assert!(round.next_batch(10, 100, |_| false).is_none());
    }

    #[test]
    fn the_banned_are_dropped_on_arrival_while_they_wait_and_when_they_have_met() {
        let mut arriving = round(&[]);
        arriving.take_in(entry(1), 100, is_one);
        assert_eq!(arriving.next_batch(10, 100, is_one).expect("a deletion").finished, [id(1)]);

        let mut waiting = round(&[1]);
        waiting.drop_banned(100, is_one);
        assert_eq!(waiting.next_batch(10, 100, is_one).expect("a deletion").finished, [id(1)]);

        let mut met = round(&[1, 2, 3]);
        let batch = met.next_batch(10, 100, is_one).expect("the other two");
        assert_eq!(batch.finished, [id(1)]);
        assert_eq!(who(&batch), [[id(2), id(3)]]);
    }

    #[test]
    fn who_lost_the_other_one_waits_again_or_meets_the_next() {
        let mut round = round(&[1, 2]);
        let mut batch = round.next_batch(10, 100, |_| false).expect("a pair");
        round.take_in(entry(3), 100, |_| false);
        round.settle(batch.steps.remove(0), &Outcome::Gone(vec![id(1)]), 100);
        let batch = round.next_batch(10, 100, |_| false).expect("a pair again");
        assert_eq!(who(&batch), [[id(2), id(3)]]);
    }

    #[test]
    fn a_batch_has_a_bound_and_what_is_postponed_keeps_its_order() {
        let mut round = round(&[1, 2, 3, 4, 5, 6]);
        assert_eq!(round.steps(), 3);
        let batch = round.next_batch(2, 100, |_| false).expect("two pairs");
        assert_eq!((batch.steps.len(), round.steps()), (2, 1));
        round.postpone(batch.steps);
        let batch = round.next_batch(9, 100, |_| false).expect("all");
        assert_eq!(who(&batch), [[id(1), id(2)], [id(3), id(4)], [id(5), id(6)]]);
    }

    #[test]
    fn who_finds_nobody_goes_to_the_pools_first_shard_after_a_moment_and_at_once_when_the_shard_closes() {
        let shard = Shard::named("text.main.2").expect("a shard");
        let mut round = Round::new(shard, Arc::default(), Metrics::new());
        round.take_in(entry(1), 100, |_| false);
        assert_eq!(round.next_time(), Some(1 + MOVES_AFTER_MS));
        round.on_time(MOVES_AFTER_MS);
        assert!(round.next_batch(10, 100, |_| false).is_none());
        round.on_time(1 + MOVES_AFTER_MS);
        let batch = round.next_batch(10, 400, |_| false).expect("a move");
        assert!(matches!(&batch.steps[..], [Step::Move(ticket)] if ticket.entry == id(1)), "{batch:?}");
        assert_eq!(round.waiting(), 0);
        // It would meet the other half of a pairing that is taken back, too.
        round.take_in(entry(2), 400, |_| false);
        round.close(true);
        assert_eq!(round.next_time(), Some(0));
        round.on_time(0);
        let batch = round.next_batch(10, 400, |_| false).expect("a move");
        assert!(matches!(&batch.steps[..], [Step::Move(ticket)] if ticket.entry == id(2)), "{batch:?}");
        assert!(round.is_empty());
    }

    #[test]
    fn the_earliest_go_to_the_end_and_are_taken_in_again_by_their_new_entries() {
        let mut round = round(&[]);
        for number in 1..=3 {
            let EntryKind::Ticket(ticket) = entry(number).kind else { panic!("a ticket") };
            let mut ticket = v1::Ticket::decode(ticket).expect("a ticket");
            (ticket.interests, ticket.only_interests) = (vec![format!("interest {number}")], true);
            let kind = EntryKind::Ticket(ticket.encode_to_vec().into());
            round.take_in(Entry { id: id(number), kind }, 100, |_| false);
        }
        round.compact(2);
        assert_eq!(round.waiting(), 1);
        let batch = round.next_batch(10, 100, |_| false).expect("two stay");
        for (number, step) in (11..).zip(batch.steps) {
            let Step::Stay(ticket) = &step else { panic!("{step:?}") };
            let kind = EntryKind::Ticket(ticket.to_message().encode_to_vec().into());
            round.settle(step.clone(), &Outcome::Committed, 100);
            round.take_in(Entry { id: id(number), kind: kind.clone() }, 100, |_| false);
            round.take_in(Entry { id: id(number + 10), kind }, 100, |_| false);
        }
        assert_eq!(round.waiting(), 3);
        let finished = round.next_batch(10, 100, |_| false).expect("deletions").finished;
        assert_eq!(finished, [id(21), id(22)], "what is delivered twice is of no use");
    }

    #[test]
    fn a_ticket_that_is_withdrawn_is_taken_out_wherever_it_is_and_also_before_it_comes() {
        let mut round = round(&[1]);
        for (at, number) in [(7, 1), (8, 2)] {
            let kind = EntryKind::Withdrawn(chassis::id::TicketId([number; 16]));
            round.take_in(Entry { id: id(at), kind }, 100, |_| false);
        }
        round.take_in(entry(2), 100, |_| false);
        let batch = round.next_batch(10, 100, |_| false).expect("deletions");
        assert_eq!(batch.finished, [id(1), id(7), id(2)]);
        assert_eq!(round.waiting(), 0);
        // The next owner has to know it too, if the ticket arrives only then.
        assert_eq!(round.next_time(), Some(100 + WITHDRAWN_KEPT_MS));
        round.on_time(100 + WITHDRAWN_KEPT_MS);
        assert_eq!(round.next_batch(10, 100, |_| false).expect("a deletion").finished, [id(8)]);
    }

    #[test]
    fn tickets_of_a_gateway_that_is_away_meet_nobody_until_it_is_back_and_go_when_it_is_lost() {
        let mut round = round(&[1]);
        assert_eq!(round.new_gateways(), [Arc::from("gateway-a")]);
        let away = Absent { away: vec!["gateway-a".into()], lost: Vec::new() };
        round.set_absent(&away, 100);
        round.take_in(entry(2), 100, |_| false);
        assert!(round.next_batch(10, 100, |_| false).is_none());
        assert_eq!(round.oldest(), Some(0));
        round.set_absent(&Absent::default(), 100);
        let mut batch = round.next_batch(10, 100, |_| false).expect("they meet");
        assert_eq!(who(&batch), [[id(1), id(2)]]);
        round.set_absent(&away, 100);
        round.settle(batch.steps.remove(0), &Outcome::Gone(vec![id(1)]), 100);
        let lost = Absent { away: vec!["gateway-a".into()], lost: vec!["gateway-a".into()] };
        round.set_absent(&lost, 100);
        assert_eq!(round.next_batch(10, 100, |_| false).expect("a deletion").finished, [id(2)]);
        assert_eq!((round.waiting(), round.oldest()), (0, None));
    }

    fn who(batch: &Batch) -> Vec<Vec<EntryId>> {
        let met = batch.steps.iter().map(|step| match step {
            Step::Meet(met) => met.tickets().map(|ticket| ticket.entry).collect(),
            Step::Move(_) | Step::Stay(_) => panic!("nobody moves"),
        });
        met.collect()
    }
}
