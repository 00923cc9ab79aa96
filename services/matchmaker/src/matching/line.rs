//! Queues of tickets with something in common, oldest first.
//!
//! A line is of those who wait for the same in one realm and have a language in common. Who waits for something that nobody else waits for
//! needs no lines: where there is only one, it is found by what it waits for alone. That is most who wait, since those who
//! have much in common soon meet.

use std::collections::{BTreeSet, HashMap, hash_map::Entry};

use foldhash::fast::FixedState;

use super::{
    language::Language,
    room::Slot,
    ticket::{Ticket, Wish},
};
use crate::pool::EntryId;

/// Where somebody stands in a line: since when and by which entry they wait; and the slot that they have.
type Place = ((u64, EntryId), Slot);

/// Those who name no language. (No language has this number, nor the next.)
const UNNAMED: u64 = 1;
/// All, whatever they name.
const WHATEVER: u64 = 2;

/// Anybody. (An interest has this number, or one of the next, as rarely as any other.)
pub(super) const ANYBODY: u64 = 1;
/// Anybody, and for too long.
pub(super) const OVERDUE: u64 = 2;
/// Two who discuss.
pub(super) const ASK: u64 = 3;
/// Somebody to discuss with.
pub(super) const DISCUSS: u64 = 4;

/// Who holds this token.
pub(super) fn again(token: &[u8; 16]) -> u64 {
    let [half, _] = token.as_chunks::<8>().0 else { return 0 };
    u64::from_le_bytes(*half)
}

/// Calls `visit` with all that a ticket waits for, in each of its realms.
pub(super) fn waits_for(ticket: &Ticket, willing: bool, comes_first: bool, mut visit: impl FnMut(u64)) {
    let mut visit = |what| ticket.realms().for_each(|realm| visit(realm.key(what)));
    match &ticket.wish {
        Wish::Again(token) => return visit(again(token)),
        Wish::Ask(_) => visit(ASK),
        Wish::Discuss => visit(DISCUSS),
        Wish::Chat => {}
    }
    ticket.interests.iter().for_each(|interest| visit(interest.key));
    if willing {
        visit(ANYBODY);
    }
    if comes_first {
        visit(OVERDUE);
    }
}

/// Where a ticket looks for others: with those who name one of its languages, and with those who name none. One that names none
/// looks everywhere.
fn looks_in(ticket: &Ticket) -> impl Iterator<Item = u64> {
    let rest = if ticket.languages.is_empty() { WHATEVER } else { UNNAMED };
    ticket.languages.iter().copied().map(Language::number).chain([rest])
}

/// Where a ticket stands.
fn stands_in(ticket: &Ticket) -> impl Iterator<Item = u64> {
    let unnamed = ticket.languages.is_empty().then_some(UNNAMED);
    ticket.languages.iter().copied().map(Language::number).chain(unnamed).chain([WHATEVER])
}

/// All lines, by what those in them wait for.
#[derive(Debug, Default)]
pub(super) struct Lines(HashMap<u64, Group, FixedState>);

/// Those who wait for the same.
#[derive(Debug)]
enum Group {
    /// There is one.
    One(Slot),
    /// There are more, or were; by language.
    Many(Box<ByLanguage>),
}

#[derive(Debug, Default)]
struct ByLanguage(HashMap<u64, Line, FixedState>);

impl Lines {
    /// Somebody waits for this. `ticket_in` tells the tickets of those who do already.
    pub(super) fn add<'a>(
        &mut self,
        waits_for: u64,
        ticket: &Ticket,
        slot: Slot,
        ticket_in: impl Fn(Slot) -> Option<&'a Ticket>,
    ) {
        match self.0.entry(waits_for) {
            Entry::Vacant(group) => drop(group.insert(Group::One(slot))),
            Entry::Occupied(mut group) => match group.get_mut() {
                Group::Many(lines) => lines.add(ticket, slot),
                Group::One(first) => {
                    let mut lines = Box::<ByLanguage>::default();
                    ticket_in(*first).into_iter().for_each(|ticket| lines.add(ticket, *first));
                    lines.add(ticket, slot);
                    group.insert(Group::Many(lines));
                }
            },
        }
    }

    /// Somebody does no more.
    pub(super) fn remove(&mut self, waits_for: u64, ticket: &Ticket, slot: Slot) {
        let Entry::Occupied(mut group) = self.0.entry(waits_for) else { return };
        let is_empty = match group.get_mut() {
            Group::One(first) => *first == slot,
            Group::Many(lines) => lines.remove(ticket, slot),
        };
        if is_empty {
            group.remove();
        }
    }

    /// The lines in which `looking` finds those who wait for this, in each of its realms. Where there is only one, their
    /// languages may differ.
    pub(super) fn of(
        &self,
        waits_for: u64,
        looking: &Ticket,
    ) -> impl Iterator<Item = impl Iterator<Item = Slot>> {
        looking.realms().flat_map(move |realm| self.of_realm(realm.key(waits_for), looking))
    }

    fn of_realm(&self, waits_for: u64, looking: &Ticket) -> impl Iterator<Item = impl Iterator<Item = Slot>> {
        let (one, many) = match self.0.get(&waits_for) {
            None => (None, None),
            Some(Group::One(slot)) => (Some((Some(*slot), None)), None),
            Some(Group::Many(lines)) => (None, Some(lines)),
        };
        let lines = many.into_iter().flat_map(|lines| lines.looked_in_by(looking));
        one.into_iter().chain(lines.map(Line::parts)).map(in_order)
    }

    /// The line of all who wait for this, whatever they name.
    pub(super) fn of_all(&self, waits_for: u64) -> Option<impl Iterator<Item = Slot>> {
        let parts = match self.0.get(&waits_for)? {
            Group::One(slot) => (Some(*slot), None),
            Group::Many(lines) => lines.0.get(&WHATEVER)?.parts(),
        };
        Some(in_order(parts))
    }
}

// === impl ByLanguage ===

impl ByLanguage {
    fn add(&mut self, ticket: &Ticket, slot: Slot) {
        let place = (ticket.place(), slot);
        for tongue in stands_in(ticket) {
            match self.0.entry(tongue) {
                Entry::Occupied(line) => line.into_mut().add(place),
                Entry::Vacant(line) => drop(line.insert(Line::One(place))),
            }
        }
    }

    fn looked_in_by(&self, looking: &Ticket) -> impl Iterator<Item = &Line> {
        looks_in(looking).filter_map(|tongue| self.0.get(&tongue))
    }

    /// Returns whether nobody is left.
    fn remove(&mut self, ticket: &Ticket, slot: Slot) -> bool {
        for tongue in stands_in(ticket) {
            if let Entry::Occupied(mut line) = self.0.entry(tongue)
                && line.get_mut().remove((ticket.place(), slot))
            {
                line.remove();
            }
        }
        self.0.is_empty()
    }
}

// === impl Line ===

/// Never empty while it is kept.
#[derive(Debug)]
enum Line {
    One(Place),
    Many(BTreeSet<Place>),
}

impl Line {
    fn add(&mut self, place: Place) {
        match self {
            Self::One(first) => *self = Self::Many(BTreeSet::from([*first, place])),
            Self::Many(places) => drop(places.insert(place)),
        }
    }

    /// Returns whether it is empty now.
    fn remove(&mut self, place: Place) -> bool {
        match self {
            Self::One(first) => *first == place,
            Self::Many(places) => {
                places.remove(&place);
                places.is_empty()
            }
        }
    }

    fn parts(&self) -> Parts<'_> {
        match self {
            Self::One((_, slot)) => (Some(*slot), None),
            Self::Many(places) => (None, Some(places)),
        }
    }
}

/// The only one, or all of them.
type Parts<'a> = (Option<Slot>, Option<&'a BTreeSet<Place>>);

/// Oldest first.
fn in_order((one, many): Parts<'_>) -> impl Iterator<Item = Slot> {
    one.into_iter().chain(many.into_iter().flatten().map(|(_, slot)| *slot))
}

#[cfg(test)]
impl Lines {
    /// Whether somebody stands where they should, for one thing that they wait for.
    pub(super) fn has(&self, waits_for: u64, ticket: &Ticket, slot: Slot) -> bool {
        match self.0.get(&waits_for) {
            None => false,
            Some(Group::One(one)) => *one == slot,
            Some(Group::Many(lines)) => {
                let is_in = |line: &Line| in_order(line.parts()).any(|other| other == slot);
                stands_in(ticket).all(|tongue| lines.0.get(&tongue).is_some_and(is_in))
            }
        }
    }

    /// How many there are, counted once for each thing that they wait for.
    pub(super) fn count(&self) -> usize {
        self.0.keys().filter_map(|waits_for| self.of_all(*waits_for)).map(Iterator::count).sum()
    }

    /// Whether all who stand in a line stand in the one of all, and no line is empty.
    pub(super) fn are_tidy(&self) -> bool {
        let slots = |line: &Line| in_order(line.parts()).collect::<BTreeSet<_>>();
        self.0.values().all(|group| match group {
            Group::One(_) => true,
            Group::Many(lines) => {
                let all = lines.0.get(&WHATEVER).map(slots).unwrap_or_default();
                lines.0.values().map(slots).all(|line| !line.is_empty() && line.is_subset(&all))
            }
        })
    }
}
