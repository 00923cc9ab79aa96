//! A place among those who wait, kept over the loss of a gateway.
//!
//! The token of `waiting` tells where the ticket lies and since when. Who comes back with it and wishes again goes on from there, and takes
//! the old ticket out, which nobody holds any more. How old a place can be is bounded, since a token may be shown again.

use chassis::{Section, id::TicketId};

use super::{Effect, Env, Place, Session, State};
use crate::protocol::{Find, Mode};

/// How far back a place reaches that was kept, in milliseconds.
const KEPT_MS: u64 = 10 * 60_000;

/// A ticket that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waited {
    /// Since when.
    pub since_unix_ms: u64,
    /// The ticket.
    pub ticket: TicketId,
    /// Where it lies.
    pub place: Place,
    /// In which pool.
    pub mode: Mode,
    /// In which pool.
    pub section: Section,
}

impl Session {
    /// The ticket that waits, once the pool has it; else what a token told of one.
    pub(super) fn waited(&self) -> Option<Waited> {
        let State::Waiting(waiting) = &self.state else { return self.waited.clone() };
        let (wanted, place) = (&waiting.wanted, waiting.place.clone().or_else(|| waiting.old_place.clone())?);
        let Find { mode, section, .. } = &wanted.find;
        let (mode, section) = (*mode, section.clone());
        Some(Waited { since_unix_ms: wanted.since_unix_ms, ticket: wanted.ticket, place, mode, section })
    }

    /// Since when a new wish waits: from now on, unless it is one that waited already and was interrupted. That one's ticket is taken out.
    pub(super) fn since(&mut self, find: &Find, env: &Env<'_>) -> (u64, Option<Effect>) {
        let Some(Waited { since_unix_ms, ticket, place, mode, section }) = self.waited.take() else {
            return (env.now_ms, None);
        };
        let is_same = mode == find.mode && section == find.section;
        let kept = since_unix_ms.clamp(env.now_ms.saturating_sub(KEPT_MS), env.now_ms);
        let since = if is_same { kept } else { env.now_ms };
        (since, Some(Effect::Forget(ticket, Some(place))))
    }
}
