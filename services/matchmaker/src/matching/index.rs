//! The tickets of one shard that wait, and who of them meets whom.
//!
//! Data: the tickets; and lists of their places in the queue, one per (language, interest) and one per (language, willing to
//! meet anybody). A ticket stands in the lists of the languages that it names (or of "names none"), and in those of
//! "whatever it names", where a ticket that names none looks.
//!
//! Invariants (`check_invariants`):
//! - No two tickets that wait could meet: whoever arrives, or becomes willing, is paired at once with the best there is.
//!   That keeps the lists short, however many wait: whoever stands in one with somebody is the same session.
//! - A ticket id is held once.
//! - Every ticket stands in exactly its lists, and no list is empty.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use chassis::id::TicketId;

use super::ticket::{Match, Ticket};
use crate::pool::EntryId;

/// For how long it is remembered that a ticket was paired. A gateway that heard no answer puts a ticket in again within
/// seconds, and by then the first entry may be gone.
const PAIRED_KEPT_MS: u64 = 30_000;
/// How many paired tickets are remembered at most.
const PAIRED_MAX: usize = 65_536;

/// Where somebody stands in the queue: since when, and the entry.
type Place = (u64, EntryId);

/// What became of a ticket that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// Nobody is there for it yet.
    Waits,
    /// It meets somebody, and neither is in the index any more.
    Meets(Box<Match>),
    /// The same ticket is or was here by another entry, so this one is of no use.
    Duplicate,
}

/// The tickets of one shard that wait.
#[derive(Debug, Default)]
pub(crate) struct Index {
    tickets: HashMap<EntryId, Ticket>,
    lists: HashMap<List, BTreeSet<Place>>,
    /// When whose patience ends.
    patient: BTreeSet<(u64, EntryId)>,
    /// By which entry a ticket id is known, and since when: of those that wait, and of those that were paired lately.
    known: HashMap<TicketId, (EntryId, u64)>,
    /// The paired ones among them, oldest first, and when they were paired.
    paired: VecDeque<(u64, TicketId)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct List {
    tongue: Tongue,
    wish: Wish,
}

/// By language.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Tongue {
    /// Those who name this one.
    Named(Arc<str>),
    /// Those who name none.
    Unnamed,
    /// All.
    Whatever,
}

/// By what they wait for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Wish {
    /// Somebody with this interest.
    Interest(Arc<str>),
    /// Anybody.
    Anybody,
}

impl Index {
    /// Takes in a ticket at `now` (milliseconds since the Unix epoch), and pairs it if there is somebody for it: who shares
    /// most interests with it, and among those who has waited longest.
    pub(crate) fn insert(&mut self, ticket: Ticket, now: u64) -> Arrival {
        self.forget_paired(now);
        match self.known.get(&ticket.id) {
            // The same entry read twice.
            Some((entry, _)) if *entry == ticket.entry => Arrival::Waits,
            Some(_) => Arrival::Duplicate,
            None => self.settle(ticket, now).map_or(Arrival::Waits, |met| Arrival::Meets(Box::new(met))),
        }
    }

    /// Takes back a ticket that was paired with one that had gone.
    pub(crate) fn put_back(&mut self, ticket: Ticket, now: u64) -> Option<Match> {
        self.known.remove(&ticket.id);
        self.settle(ticket, now)
    }

    /// Takes a ticket out.
    pub(crate) fn remove(&mut self, entry: EntryId) -> Option<Ticket> {
        let ticket = self.take(entry)?;
        self.known.remove(&ticket.id);
        Some(ticket)
    }

    /// Takes out all tickets that `unwanted` says so of.
    pub(crate) fn remove_all(&mut self, unwanted: impl Fn(&Ticket) -> bool) -> Vec<Ticket> {
        let mut entries: Vec<_> =
            self.tickets.values().filter(|ticket| unwanted(ticket)).map(|ticket| ticket.entry).collect();
        // In an order that a seed gives again.
        entries.sort_unstable();
        entries.into_iter().filter_map(|entry| self.remove(entry)).collect()
    }

    /// Pairs those whose patience is over at `now`.
    pub(crate) fn widen(&mut self, now: u64) -> Vec<Match> {
        let mut matches = Vec::new();
        while let Some((_, entry)) = self.patient.first().copied().filter(|(ends, _)| *ends <= now) {
            let Some(ticket) = self.take(entry) else {
                debug_assert!(false, "only a ticket that waits is patient");
                break;
            };
            matches.extend(self.settle(ticket, now));
        }
        matches
    }

    /// When the next patience ends, in milliseconds since the Unix epoch.
    #[must_use]
    pub(crate) fn next_widening(&self) -> Option<u64> {
        self.patient.first().map(|(ends, _)| *ends)
    }

    /// How many wait.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.tickets.len()
    }

    /// Pairs a ticket, or lets it wait.
    fn settle(&mut self, ticket: Ticket, now: u64) -> Option<Match> {
        self.known.insert(ticket.id, (ticket.entry, now));
        let willing = ticket.meets_anybody_at().is_some_and(|at| at <= now);
        let best = self.best_sharing(&ticket).or_else(|| self.longest_willing(&ticket).filter(|_| willing));
        let Some(other) = best.and_then(|entry| self.take(entry)) else {
            self.add(ticket, willing);
            return None;
        };
        for ticket in [&ticket, &other] {
            self.known.insert(ticket.id, (ticket.entry, now));
            self.paired.push_back((now, ticket.id));
        }
        Some(Match::of(ticket, other))
    }

    fn best_sharing(&self, ticket: &Ticket) -> Option<EntryId> {
        let lists = look_in(ticket).flat_map(|tongue| {
            let wishes = ticket.interests.iter().map(|interest| Wish::Interest(Arc::clone(&interest.key)));
            wishes.map(move |wish| List { tongue: tongue.clone(), wish })
        });
        let places: HashSet<Place> =
            lists.filter_map(|list| self.lists.get(&list)).flatten().copied().collect();
        let others = places.iter().filter_map(|(_, entry)| self.tickets.get(entry));
        let others = others.filter(|other| other.session != ticket.session);
        let best = others.max_by_key(|other| (other.shares(ticket), Reverse(other.place())));
        best.map(|best| best.entry)
    }

    fn longest_willing(&self, ticket: &Ticket) -> Option<EntryId> {
        let heads = look_in(ticket).filter_map(|tongue| {
            let places = self.lists.get(&List { tongue, wish: Wish::Anybody })?;
            places.iter().find(|(_, entry)| self.tickets[entry].session != ticket.session)
        });
        heads.min().map(|(_, entry)| *entry)
    }

    fn add(&mut self, ticket: Ticket, willing: bool) {
        for list in lists_of(&ticket, willing) {
            self.lists.entry(list).or_default().insert(ticket.place());
        }
        if let (false, Some(at)) = (willing, ticket.meets_anybody_at()) {
            self.patient.insert((at, ticket.entry));
        }
        self.tickets.insert(ticket.entry, ticket);
    }

    /// Out of everything but `known`.
    fn take(&mut self, entry: EntryId) -> Option<Ticket> {
        let ticket = self.tickets.remove(&entry)?;
        if let Some(at) = ticket.meets_anybody_at() {
            self.patient.remove(&(at, entry));
        }
        for list in lists_of(&ticket, true) {
            if let Some(places) = self.lists.get_mut(&list) {
                places.remove(&ticket.place());
                if places.is_empty() {
                    self.lists.remove(&list);
                }
            }
        }
        Some(ticket)
    }

    fn forget_paired(&mut self, now: u64) {
        while let Some((at, id)) = self.paired.front().copied() {
            if self.paired.len() <= PAIRED_MAX && at.saturating_add(PAIRED_KEPT_MS) > now {
                return;
            }
            self.paired.pop_front();
            // One that was put back waits, and is known for as long as it does; or it was paired again since, and is
            // known from then on.
            let is_over = |(entry, last): &(EntryId, u64)| *last == at && !self.tickets.contains_key(entry);
            if self.known.get(&id).is_some_and(is_over) {
                self.known.remove(&id);
            }
        }
    }
}

/// Where a ticket stands.
fn lists_of(ticket: &Ticket, willing: bool) -> Vec<List> {
    let named = ticket.languages.iter().cloned().map(Tongue::Named);
    let unnamed = ticket.languages.is_empty().then_some(Tongue::Unnamed);
    let tongues = named.chain(unnamed).chain([Tongue::Whatever]);
    let interests = ticket.interests.iter().map(|interest| Wish::Interest(Arc::clone(&interest.key)));
    let wishes: Vec<_> = interests.chain(willing.then_some(Wish::Anybody)).collect();
    tongues
        .flat_map(|tongue| wishes.iter().map(move |wish| List { tongue: tongue.clone(), wish: wish.clone() }))
        .collect()
}

/// Where a ticket looks for others.
fn look_in(ticket: &Ticket) -> impl Iterator<Item = Tongue> + use<> {
    if ticket.languages.is_empty() {
        return vec![Tongue::Whatever].into_iter();
    }
    let named = ticket.languages.iter().cloned().map(Tongue::Named);
    named.chain([Tongue::Unnamed]).collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
impl Index {
    /// Checks what the module's head promises, at the time of the last [`Index::widen`].
    pub(super) fn check_invariants(&self) {
        for (list, places) in &self.lists {
            assert!(!places.is_empty(), "{list:?} is empty");
            for (since, entry) in places {
                assert_eq!(self.tickets.get(entry).map(|ticket| ticket.since_unix_ms), Some(*since));
            }
        }
        for (entry, ticket) in &self.tickets {
            let known = self.known.get(&ticket.id).map(|(entry, _)| entry);
            assert_eq!(known, Some(entry), "a waiting ticket is known");
            let willing = self.is_willing(ticket);
            for list in lists_of(ticket, true) {
                let stands = self.lists.get(&list).is_some_and(|places| places.contains(&ticket.place()));
                assert_eq!(stands, willing || list.wish != Wish::Anybody, "{ticket:?} in {list:?}");
            }
            for other in self.tickets.values().filter(|other| other.session != ticket.session) {
                let agree = other.shares(ticket) > 0 || (willing && self.is_willing(other));
                assert!(!(agree && other.understands(ticket)), "{ticket:?} could meet {other:?}");
            }
        }
        let total: usize = self.lists.values().map(BTreeSet::len).sum();
        let expected: usize = self.tickets.values().map(|t| lists_of(t, self.is_willing(t)).len()).sum();
        assert_eq!(total, expected, "a list holds somebody who is not here");
    }

    fn is_willing(&self, ticket: &Ticket) -> bool {
        let patient = ticket.meets_anybody_at().map(|at| self.patient.contains(&(at, ticket.entry)));
        patient == Some(false)
    }
}
