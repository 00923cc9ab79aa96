//! Who may meet whom.
//!
//! Hard rules hold always and in both directions: a common language as far as they name any, nobody whom one of them has
//! blocked, not oneself, those of a college among themselves. Soft is only that two who met lately leave others the precedence for a moment.

use super::{college, language::Common, ticket::Ticket};

/// Why two never meet, whatever they wish. In the order in which it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Forbidden {
    /// They are one session.
    Session,
    /// One of them has blocked the other.
    Blocked,
    /// Their colleges keep them apart.
    College,
    /// They have no language in common.
    Language,
}

/// What forbids these two to meet, if anything.
#[must_use]
pub(crate) fn forbidden(one: &Ticket, other: &Ticket) -> Option<Forbidden> {
    if one.session == other.session {
        return Some(Forbidden::Session);
    }
    if names(&one.blocked, other) || names(&other.blocked, one) {
        return Some(Forbidden::Blocked);
    }
    if !college::may_meet(one.college.as_deref(), other.college.as_deref()) {
        return Some(Forbidden::College);
    }
    let languages = [one.languages.as_slice(), other.languages.as_slice()];
    if Common::of(languages.into_iter()) == Common::Nothing {
        return Some(Forbidden::Language);
    }
    None
}

/// Whether the two met lately, by the memory of either.
#[must_use]
pub(crate) fn met_lately(one: &Ticket, other: &Ticket) -> bool {
    names(&one.met_lately, other) || names(&other.met_lately, one)
}

fn names(remembered: &[u64], ticket: &Ticket) -> bool {
    remembered.iter().any(|alias| ticket.aliases.contains(alias))
}
