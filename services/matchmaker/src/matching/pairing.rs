//! Those who meet, as the index finds them.

use super::{
    language::{Common, Language},
    ticket::{Ticket, Wish},
};

/// Those who meet. Of the strangers, seat 1 is the one who has waited longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// Seats 1 and 2.
    pub(crate) strangers: [Box<Ticket>; 2],
    /// Seat 3, in spy mode.
    pub(crate) spy: Option<Box<Ticket>>,
}

/// Why they met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// They share an interest.
    Interest,
    /// At least one would rather have met somebody else, until their patience was over.
    Widened,
    /// Neither looked for anything.
    Anybody,
    /// A question is discussed.
    Spy,
    /// They met before, and both asked for it.
    Again,
}

impl Match {
    /// Of two tickets, whichever waited longer first.
    #[must_use]
    pub(crate) fn of(one: impl Into<Box<Ticket>>, other: impl Into<Box<Ticket>>) -> Self {
        let (one, other) = (one.into(), other.into());
        let strangers = if one.place() <= other.place() { [one, other] } else { [other, one] };
        Self { strangers, spy: None }
    }

    /// Of one who asks, and two.
    #[must_use]
    pub(crate) fn watched(
        spy: impl Into<Box<Ticket>>,
        one: impl Into<Box<Ticket>>,
        other: impl Into<Box<Ticket>>,
    ) -> Self {
        Self { spy: Some(spy.into()), ..Self::of(one, other) }
    }

    /// All, by seat.
    pub(crate) fn tickets(&self) -> impl Iterator<Item = &Ticket> + Clone {
        self.strangers.iter().chain(&self.spy).map(AsRef::as_ref)
    }

    /// All, by seat.
    pub(crate) fn into_tickets(self) -> impl Iterator<Item = Box<Ticket>> {
        self.strangers.into_iter().chain(self.spy)
    }

    /// The first of seat 1's languages that all have in common who name any.
    #[must_use]
    pub(crate) fn language(&self) -> Option<Language> {
        Common::of(self.tickets().map(|ticket| ticket.languages.as_slice())).language()
    }

    /// That language, if both who talk name it.
    #[must_use]
    pub(crate) fn shared_language(&self) -> Option<Language> {
        let is_shared =
            |language: &Language| self.strangers.iter().all(|one| one.languages.contains(language));
        self.language().filter(is_shared)
    }

    /// Whether two discuss a question, be it a stranger's or the operator's.
    #[must_use]
    pub(crate) fn discusses(&self) -> bool {
        self.strangers.iter().all(|ticket| ticket.wish == Wish::Discuss)
    }

    /// Why they met.
    #[must_use]
    pub(crate) fn outcome(&self) -> Outcome {
        let [one, other] = &self.strangers;
        if self.discusses() {
            Outcome::Spy
        } else if matches!(one.wish, Wish::Again(_)) {
            Outcome::Again
        } else if one.shares(other) {
            Outcome::Interest
        } else if one.meets_anybody_at() == Some(0) && other.meets_anybody_at() == Some(0) {
            Outcome::Anybody
        } else {
            Outcome::Widened
        }
    }
}
