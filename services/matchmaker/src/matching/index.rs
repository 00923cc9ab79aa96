//! The tickets of one shard that wait, and who of them meets whom.
//!
//! Data: the tickets; and lines, oldest first, one per (language, interest) and one per (language, willing to meet anybody) and
//! the like, in each realm (see `college`). A ticket stands in the lines of the languages that it names (or of "names none"),
//! and in those of "whatever it names", where a ticket that names none looks. Where only one waits for something, there is one
//! line of it.
//!
//! Who arrives, and whose time for something has come, looks for others in this order:
//! 1. unless they look for shared interests for ever, who is overdue and willing to meet anybody, so that nobody starves;
//! 2. who shares interests: who is overdue, then who shares most, of those who shares the rarer ones, of those who has waited
//!    longest;
//! 3. if they are willing to meet anybody, who has waited longest of those who are willing too;
//! 4. the same with those whom they met lately, if either has waited for a moment.
//!
//! Invariants (`check_invariants`):
//! - No two tickets that wait could meet: whoever arrives, or becomes willing, is paired at once with the best there is.
//!   That keeps the lines short, however many wait.
//! - A ticket id is held once.
//! - Every ticket stands in exactly its lines, and no line is empty. One that is set aside stands in none.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use chassis::id::TicketId;
use foldhash::fast::FixedState;

use super::{
    line::{self, ANYBODY, Lines, OVERDUE},
    pairing::Match,
    questions::Questions,
    rarity::Rarity,
    room::{Room, Slot},
    rules,
    ticket::{Ticket, Wish},
};
use crate::pool::EntryId;

/// For how long it is remembered that a ticket was paired, or taken out. A gateway that heard no answer puts a ticket in again
/// within seconds, and by then the first entry may be gone.
const GONE_KEPT_MS: u64 = 30_000;
/// How many of them are remembered at most.
const GONE_MAX: usize = 65_536;
/// How many of a line are looked at, at most. Only those who may not meet the one who looks are passed over.
pub(super) const SCAN: usize = 256;

/// What became of a ticket that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Nobody is there for it yet.
    Waits,
    /// It meets somebody, and none of them is in the index any more.
    Meets(Match),
    /// The same ticket is or was here by another entry, so this one is of no use.
    Duplicate,
}

/// The tickets of one shard that wait.
#[derive(Debug, Default)]
pub struct Index {
    room: Room,
    lines: Lines,
    /// When whose time for something has come.
    due: BTreeSet<(u64, EntryId)>,
    overdue: usize,
    /// The entries of those that went lately, and when each went.
    gone: HashMap<TicketId, (EntryId, u64), FixedState>,
    /// When who went, the first to go first. Who was put back and went again is in it twice.
    went: VecDeque<(u64, TicketId)>,
    rarity: Rarity,
    questions: Arc<Questions>,
}

/// A ticket that waits, and what it may do by now.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) ticket: Box<Ticket>,
    pub(super) willing: bool,
    overdue: bool,
    due: Option<u64>,
    aside: bool,
}

impl Waiting {
    /// Overdue, and may meet anybody.
    fn comes_first(&self) -> bool {
        self.overdue && self.willing
    }
}

/// Who was found.
pub(super) enum Found {
    Nobody,
    One(EntryId),
    /// In spy mode: the two others.
    Two(EntryId, EntryId),
}

/// A ticket that looks for others, and when.
pub(super) struct Looking<'a> {
    pub(super) ticket: &'a Ticket,
    pub(super) willing: bool,
    pub(super) now: u64,
}

/// How well somebody fits: more is better.
type Rating = (bool, usize, u64, Reverse<(u64, EntryId)>);

impl Index {
    /// An empty one, with the operator's questions.
    #[must_use]
    pub fn new(questions: Arc<Questions>) -> Self {
        Self { questions, ..Self::default() }
    }

    /// Takes in a ticket at `now` (milliseconds since the Unix epoch), and pairs it if there is somebody for it.
    pub fn insert(&mut self, ticket: impl Into<Box<Ticket>>, now: u64) -> Arrival {
        let ticket = ticket.into();
        if let Some(known) = self.known(&ticket, now) {
            return known;
        }
        for interest in &ticket.interests {
            self.rarity.count(interest.key);
        }
        self.settle(ticket, now).map_or(Arrival::Waits, Arrival::Meets)
    }

    /// Takes in a ticket whose gateway is not there at the moment.
    pub(crate) fn insert_aside(&mut self, ticket: Box<Ticket>, now: u64) -> Arrival {
        if let Some(known) = self.known(&ticket, now) {
            return known;
        }
        self.put_aside(ticket);
        Arrival::Waits
    }

    /// Takes back a ticket that was paired with one that had gone, and whose gateway is not there at the moment.
    pub(crate) fn put_aside(&mut self, ticket: Box<Ticket>) {
        self.room.insert(Waiting { ticket, willing: false, overdue: false, due: None, aside: true });
    }

    /// Takes back a ticket that was paired with one that had gone.
    pub(crate) fn put_back(&mut self, ticket: Box<Ticket>, now: u64) -> Option<Match> {
        self.settle(ticket, now)
    }

    /// Takes a ticket out, by its entry.
    pub fn remove(&mut self, entry: EntryId) -> Option<Box<Ticket>> {
        let ticket = self.take(entry)?;
        self.gone.remove(&ticket.id);
        Some(ticket)
    }

    /// Takes a ticket out, wherever its entry is, and remembers that it is gone in case that it has yet to come.
    pub fn remove_by_id(&mut self, id: TicketId, now: u64) -> Option<Box<Ticket>> {
        let entry = self.entry(id);
        let ticket = entry.and_then(|entry| self.take(entry));
        self.remember(id, entry.unwrap_or_default(), now);
        ticket
    }

    /// Takes a ticket out that goes elsewhere, and remembers that.
    pub(crate) fn leave(&mut self, entry: EntryId, now: u64) -> Option<Box<Ticket>> {
        let ticket = self.take(entry)?;
        self.remember(ticket.id, entry, now);
        Some(ticket)
    }

    /// The entries of at most so many of those who wait, the earliest of them.
    pub(crate) fn earliest(&self, most: usize) -> Vec<EntryId> {
        let mut entries = self.entries(|_| true);
        entries.truncate(most);
        entries
    }

    /// Some of those who wait.
    pub(crate) fn some(&self, most: usize) -> impl Iterator<Item = &Ticket> {
        self.room.iter().take(most).map(|(_, waiting)| &*waiting.ticket)
    }

    /// Whether the ticket is or was here, by whatever entry.
    pub(crate) fn knows(&self, ticket: &Ticket) -> bool {
        self.entry(ticket.id).is_some()
    }

    /// Takes out all tickets that `unwanted` says so of.
    pub(crate) fn remove_all(&mut self, unwanted: impl Fn(&Ticket) -> bool) -> Vec<Ticket> {
        self.entries(|waiting| unwanted(&waiting.ticket))
            .into_iter()
            .filter_map(|entry| self.remove(entry).map(|ticket| *ticket))
            .collect()
    }

    /// Sets all tickets of a gateway aside that is not there at the moment: they meet nobody.
    pub(crate) fn set_aside(&mut self, gateway: &str) {
        for entry in self.entries(|waiting| !waiting.aside && &*waiting.ticket.gateway == gateway) {
            if let Some(ticket) = self.take(entry) {
                self.put_aside(ticket);
            }
        }
    }

    /// The gateway is there again.
    pub(crate) fn bring_back(&mut self, gateway: &str, now: u64) -> Vec<Match> {
        let aside = self.entries(|waiting| waiting.aside && &*waiting.ticket.gateway == gateway);
        let mut matches = Vec::new();
        for entry in aside {
            matches.extend(self.take(entry).and_then(|ticket| self.settle(ticket, now)));
        }
        matches
    }

    /// Looks again for those whose time for something has come by `now`.
    pub fn widen(&mut self, now: u64) -> Vec<Match> {
        let mut matches = Vec::new();
        while let Some((_, entry)) = self.due.first().copied().filter(|(at, _)| *at <= now) {
            let Some(ticket) = self.take(entry) else {
                debug_assert!(false, "only for a ticket that waits a time comes");
                break;
            };
            matches.extend(self.settle(ticket, now));
        }
        matches
    }

    /// When [`Index::widen`] has something to do next, in milliseconds since the Unix epoch.
    #[must_use]
    pub(crate) fn next_widening(&self) -> Option<u64> {
        self.due.first().map(|(at, _)| *at)
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.room.len()
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.room.len() == 0
    }

    /// Whether a ticket waits, by its entry.
    #[must_use]
    pub(crate) fn holds(&self, entry: EntryId) -> bool {
        self.room.holds(entry)
    }

    fn known(&mut self, ticket: &Ticket, now: u64) -> Option<Arrival> {
        self.forget_gone(now);
        let entry = self.entry(ticket.id)?;
        // The same entry may be read twice.
        Some(if entry == ticket.entry { Arrival::Waits } else { Arrival::Duplicate })
    }

    /// By which entry a ticket id is known.
    fn entry(&self, id: TicketId) -> Option<EntryId> {
        let gone = || self.gone.get(&id).map(|(entry, _)| *entry);
        self.room.entry(id).or_else(gone)
    }

    /// Pairs a ticket, or lets it wait.
    fn settle(&mut self, ticket: Box<Ticket>, now: u64) -> Option<Match> {
        let willing = has_come(ticket.meets_anybody_at(), now);
        let (found, avoided) = self.look(&Looking { ticket: &ticket, willing, now });
        let met = match found {
            Found::Nobody => None,
            Found::One(other) => self.take(other).map(|other| (other, None)),
            Found::Two(one, other) => self.take(one).map(|one| (one, self.take(other))),
        };
        let met = match met {
            None => {
                self.add(ticket, avoided, now);
                return None;
            }
            Some((other, None)) => Match::of(ticket, other),
            Some((one, Some(other))) => spied_on([ticket, one, other]),
        };
        for ticket in met.tickets() {
            self.remember(ticket.id, ticket.entry, now);
        }
        Some(met)
    }

    /// Whom a ticket meets now; and whether somebody was avoided who will do later.
    fn look(&self, looking: &Looking<'_>) -> (Found, bool) {
        match looking.ticket.wish {
            Wish::Chat => self.look_for_partner(looking),
            Wish::Ask(_) => (self.look_for_two(looking), !looking.ticket.met_lately.is_empty()),
            Wish::Discuss => match self.look_for_discussion(looking, &self.questions) {
                Found::Nobody => {
                    let (found, avoided) = self.look_for_partner(looking);
                    (found, avoided || !looking.ticket.met_lately.is_empty())
                }
                found => (found, false),
            },
            Wish::Again(token) => (self.look_for_same(looking, &token), false),
        }
    }

    fn look_for_partner(&self, looking: &Looking<'_>) -> (Found, bool) {
        let (mut avoided, mut again) = (false, false);
        let mut fresh = |waiting: &&Waiting| {
            let may = rules::forbidden(looking.ticket, &waiting.ticket).is_none();
            let known = may && rules::met_lately(looking.ticket, &waiting.ticket);
            if known {
                *(if looking.will_do(waiting) { &mut again } else { &mut avoided }) = true;
            }
            may && !known
        };
        let found = self.overdue(looking, &mut fresh);
        let found = found.or_else(|| self.best_sharing(looking, &mut fresh));
        let found = found.or_else(|| self.longest_willing(looking, &mut fresh));
        if found.is_some() || !again {
            return (found.map_or(Found::Nobody, Found::One), avoided);
        }
        let mut will_do = |waiting: &&Waiting| {
            rules::forbidden(looking.ticket, &waiting.ticket).is_none() && looking.will_do(waiting)
        };
        let found = self.best_sharing(looking, &mut will_do);
        let found = found.or_else(|| self.longest_willing(looking, &mut will_do));
        (found.map_or(Found::Nobody, Found::One), avoided)
    }

    /// Who is overdue and willing to meet anybody. Then this one's patience doesn't count.
    fn overdue(&self, looking: &Looking<'_>, fits: &mut impl FnMut(&&Waiting) -> bool) -> Option<EntryId> {
        let yields = looking.ticket.meets_anybody_at().is_some();
        if yields && self.overdue > 0 { self.longest(looking.ticket, OVERDUE, fits) } else { None }
    }

    fn best_sharing(
        &self,
        looking: &Looking<'_>,
        fits: &mut impl FnMut(&&Waiting) -> bool,
    ) -> Option<EntryId> {
        let ticket = looking.ticket;
        let mut best: Option<(Rating, EntryId)> = None;
        for interest in &ticket.interests {
            for waiting in self.lines(interest.key, ticket).flatten().filter(&mut *fits) {
                let (mut shared, mut weight) = (0, 0);
                for key in ticket.shared(&waiting.ticket) {
                    shared += 1;
                    weight += self.rarity.weight(key);
                }
                let rating = (waiting.overdue, shared, weight, Reverse(waiting.ticket.place()));
                if best.as_ref().is_none_or(|(known, _)| *known < rating) {
                    best = Some((rating, waiting.ticket.entry));
                }
            }
        }
        best.map(|(_, entry)| entry)
    }

    fn longest_willing(
        &self,
        looking: &Looking<'_>,
        fits: &mut impl FnMut(&&Waiting) -> bool,
    ) -> Option<EntryId> {
        if looking.willing { self.longest(looking.ticket, ANYBODY, fits) } else { None }
    }

    fn look_for_same(&self, looking: &Looking<'_>, token: &[u8; 16]) -> Found {
        let fits = |waiting: &&Waiting| {
            let forbidden = rules::forbidden(looking.ticket, &waiting.ticket);
            waiting.ticket.wish == Wish::Again(*token)
                && forbidden.is_none_or(|rule| rule == rules::Forbidden::Language)
        };
        let all = self.lines.of_all(line::again(token));
        let same = all.and_then(|all| self.oldest(all).find(fits));
        same.map_or(Found::Nobody, |same| Found::One(same.ticket.entry))
    }

    /// Of those in the lines where a ticket looks, the one who fits and has waited longest.
    fn longest(
        &self,
        ticket: &Ticket,
        waits_for: u64,
        mut fits: impl FnMut(&&Waiting) -> bool,
    ) -> Option<EntryId> {
        let firsts = self.lines(waits_for, ticket).filter_map(|mut line| line.find(&mut fits));
        firsts.map(|waiting| waiting.ticket.place()).min().map(|(_, entry)| entry)
    }

    /// The lines in which `looking` finds those who wait for this, and the oldest of each. Whether they may meet is to be
    /// asked of each.
    pub(super) fn lines(
        &self,
        waits_for: u64,
        looking: &Ticket,
    ) -> impl Iterator<Item = impl Iterator<Item = &Waiting>> {
        self.lines.of(waits_for, looking).map(|line| self.oldest(line))
    }

    /// The oldest of a line.
    fn oldest(&self, line: impl Iterator<Item = Slot>) -> impl Iterator<Item = &Waiting> {
        line.take(SCAN).filter_map(|slot| self.room.get(slot))
    }

    fn add(&mut self, ticket: Box<Ticket>, avoided: bool, now: u64) {
        let willing = has_come(ticket.meets_anybody_at(), now);
        let overdue = has_come(ticket.overdue_at(), now);
        let again = avoided.then(|| ticket.meets_again_at());
        let times = [ticket.meets_anybody_at(), ticket.overdue_at(), again].into_iter().flatten();
        let due = times.filter(|at| *at > now).min();
        self.due.extend(due.map(|at| (at, ticket.entry)));
        self.overdue += usize::from(overdue && willing);
        let slot = self.room.insert(Waiting { ticket, willing, overdue, due, aside: false });
        let ticket_in = |slot| self.room.get(slot).map(|waiting| &*waiting.ticket);
        if let Some(ticket) = ticket_in(slot) {
            line::waits_for(ticket, willing, overdue && willing, |what| {
                self.lines.add(what, ticket, slot, ticket_in);
            });
        }
    }

    /// Out of everything.
    fn take(&mut self, entry: EntryId) -> Option<Box<Ticket>> {
        let (slot, waiting) = self.room.remove(entry)?;
        if !waiting.aside {
            if let Some(at) = waiting.due {
                self.due.remove(&(at, entry));
            }
            self.overdue -= usize::from(waiting.comes_first());
            line::waits_for(&waiting.ticket, waiting.willing, waiting.comes_first(), |what| {
                self.lines.remove(what, &waiting.ticket, slot);
            });
        }
        Some(waiting.ticket)
    }

    /// The entries of those who wait and are wanted, in an order that a seed gives again.
    fn entries(&self, wanted: impl Fn(&Waiting) -> bool) -> Vec<EntryId> {
        let wanted = self.room.iter().map(|(_, waiting)| waiting).filter(|waiting| wanted(waiting));
        let mut entries: Vec<_> = wanted.map(|waiting| waiting.ticket.entry).collect();
        entries.sort_unstable();
        entries
    }

    /// A ticket is gone, and is known for a while.
    fn remember(&mut self, id: TicketId, entry: EntryId, now: u64) {
        self.gone.insert(id, (entry, now));
        self.went.push_back((now, id));
    }

    fn forget_gone(&mut self, now: u64) {
        while let Some((at, id)) = self.went.front().copied() {
            if self.went.len() <= GONE_MAX && at.saturating_add(GONE_KEPT_MS) > now {
                return;
            }
            self.went.pop_front();
            // One that went again since is known from then on.
            if self.gone.get(&id).is_some_and(|(_, last)| *last == at) {
                self.gone.remove(&id);
            }
        }
    }
}

// === impl Looking ===

impl Looking<'_> {
    /// Whether the two meet although they met lately, because one of them has waited for a moment.
    fn will_do(&self, other: &Waiting) -> bool {
        self.ticket.meets_again_at() <= self.now || other.ticket.meets_again_at() <= self.now
    }

    /// Whether the two may meet at this moment.
    pub(super) fn may_meet(&self, other: &Waiting) -> bool {
        rules::forbidden(self.ticket, &other.ticket).is_none()
            && (self.will_do(other) || !rules::met_lately(self.ticket, &other.ticket))
    }
}

fn has_come(at: Option<u64>, now: u64) -> bool {
    at.is_some_and(|at| at <= now)
}

/// One who asks, and two who discuss, in any order.
fn spied_on(mut three: [Box<Ticket>; 3]) -> Match {
    three.sort_by_key(|ticket| !matches!(ticket.wish, Wish::Ask(_)));
    let [spy, one, other] = three;
    Match::watched(spy, one, other)
}

#[cfg(test)]
impl Index {
    /// From now on no interest is rarer than another.
    pub(super) fn weigh_all_alike(&mut self) {
        self.rarity = Rarity::level();
    }

    /// Checks what the module's head promises, at the time of the last [`Index::widen`].
    pub(super) fn check_invariants(&self, now: u64) {
        let mut standing = 0;
        self.room.check_invariants();
        for (slot, waiting) in self.room.iter() {
            let ticket = &waiting.ticket;
            if waiting.aside {
                continue;
            }
            line::waits_for(ticket, waiting.willing, waiting.comes_first(), |what| {
                standing += 1;
                assert!(self.lines.has(what, ticket, slot), "{ticket:?} stands where it waits for {what}");
            });
            let looking = Looking { ticket, willing: waiting.willing, now };
            for other in self.room.iter().map(|(_, waiting)| waiting).filter(|other| !other.aside) {
                let chat = ticket.wish == Wish::Chat && other.ticket.wish == Wish::Chat;
                let agree = ticket.shares(&other.ticket) || (waiting.willing && other.willing);
                assert!(
                    !(chat && agree && looking.may_meet(other)),
                    "{ticket:?} could meet {:?}",
                    other.ticket
                );
            }
        }
        assert!(self.gone.len() <= self.went.len(), "who went is forgotten some day");
        assert_eq!(self.lines.count(), standing, "a line holds somebody who is not here");
        assert!(self.lines.are_tidy(), "a line is empty");
        assert_eq!(
            self.overdue,
            self.room.iter().map(|(_, waiting)| waiting).filter(|waiting| waiting.comes_first()).count()
        );
        let due =
            self.room.iter().map(|(_, waiting)| waiting).filter(|waiting| waiting.due.is_some()).count();
        assert_eq!(self.due.len(), due);
    }
}
