//! A queue of tickets with something in common, oldest first.

use std::collections::BTreeSet;

use super::{
    language::Language,
    ticket::{Ticket, Wish},
};
use crate::pool::EntryId;

/// Where somebody stands in the queue: since when, and the entry.
pub(super) type Place = (u64, EntryId);

/// What those of a line have in common: a language, and what they wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    tongue: u64,
    waits_for: u64,
}

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

impl Key {
    pub(super) fn new(tongue: u64, waits_for: u64) -> Self {
        Self { tongue, waits_for }
    }

    /// Of those who hold this token.
    pub(super) fn again(token: &[u8; 16]) -> Self {
        let [half, _] = token.as_chunks::<8>().0 else { return Self::new(WHATEVER, 0) };
        Self::new(WHATEVER, u64::from_le_bytes(*half))
    }
}

/// Where a ticket looks for others: with those who name one of its languages, and with those who name none. One that names none
/// looks everywhere.
pub(super) fn looks_in(ticket: &Ticket) -> impl Iterator<Item = u64> + Clone {
    let rest = if ticket.languages.is_empty() { WHATEVER } else { UNNAMED };
    ticket.languages.iter().copied().map(Language::number).chain([rest])
}

/// Calls `visit` with each line in which a ticket stands.
pub(super) fn each(ticket: &Ticket, willing: bool, comes_first: bool, mut visit: impl FnMut(Key)) {
    if let Wish::Again(token) = &ticket.wish {
        return visit(Key::again(token));
    }
    let unnamed = ticket.languages.is_empty().then_some(UNNAMED);
    let tongues = ticket.languages.iter().copied().map(Language::number).chain(unnamed).chain([WHATEVER]);
    let spy_mode = match ticket.wish {
        Wish::Ask(_) => Some(ASK),
        Wish::Discuss => Some(DISCUSS),
        Wish::Chat | Wish::Again(_) => None,
    };
    for tongue in tongues {
        for interest in &ticket.interests {
            visit(Key::new(tongue, interest.key));
        }
        for waits_for in
            [spy_mode, willing.then_some(ANYBODY), comes_first.then_some(OVERDUE)].into_iter().flatten()
        {
            visit(Key::new(tongue, waits_for));
        }
    }
}

/// Never empty while it is kept. Most have one place, since those who have much in common soon meet.
#[derive(Debug)]
pub(super) enum Line {
    One(Place),
    Many(BTreeSet<Place>),
}

impl Line {
    pub(super) fn add(&mut self, place: Place) {
        match self {
            Self::One(first) => *self = Self::Many(BTreeSet::from([*first, place])),
            Self::Many(places) => drop(places.insert(place)),
        }
    }

    /// Returns whether it is empty now.
    pub(super) fn remove(&mut self, place: Place) -> bool {
        match self {
            Self::One(first) => *first == place,
            Self::Many(places) => {
                places.remove(&place);
                places.is_empty()
            }
        }
    }

    /// Oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Place> {
        let (one, many) = match self {
            Self::One(place) => (Some(place), None),
            Self::Many(places) => (None, Some(places)),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}
