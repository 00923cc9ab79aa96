//! What polls of other gateways took lately, in case that it did not arrive there.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use chassis::id::SessionId;
use tokio::time::Instant;

use crate::classic::Event;

/// For how long it is kept. Longer than another gateway tries.
const KEPT: Duration = Duration::from_secs(10);
/// How many are kept at most.
const MOST: usize = 65_536;

/// Events by the number of the poll that took them. Bounded.
#[derive(Default)]
pub(super) struct Handed {
    events: HashMap<(SessionId, u64), Vec<Event>>,
    order: VecDeque<(Instant, SessionId, u64)>,
}

impl Handed {
    /// A session's poll took these.
    pub(super) fn insert(&mut self, session: SessionId, number: u64, events: Vec<Event>) {
        self.forget();
        self.events.insert((session, number), events);
        self.order.push_back((Instant::now(), session, number));
    }

    /// What this poll took before.
    pub(super) fn get(&self, session: SessionId, number: u64) -> Option<&[Event]> {
        self.events.get(&(session, number)).map(Vec::as_slice)
    }

    /// What this poll took was not handed out.
    pub(super) fn take(&mut self, session: SessionId, number: u64) -> Option<Vec<Event>> {
        self.events.remove(&(session, number))
    }

    /// Lets go of what is too old, or too much.
    pub(super) fn forget(&mut self) {
        while self.order.front().is_some_and(|(at, ..)| at.elapsed() >= KEPT || self.order.len() > MOST) {
            if let Some((_, session, number)) = self.order.pop_front() {
                self.events.remove(&(session, number));
            }
        }
        if self.order.is_empty() {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: SessionId = SessionId([1; 16]);

    #[tokio::test(start_paused = true)]
    async fn what_was_handed_out_is_there_again_for_a_while() {
        let mut handed = Handed::default();
        handed.insert(ONE, 7, vec![Event::Waiting]);
        tokio::time::advance(KEPT / 2).await;
        handed.insert(ONE, 8, vec![Event::Connected]);
        assert!(handed.get(ONE, 7) == Some(&[Event::Waiting]));
        assert!(handed.get(SessionId([2; 16]), 7).is_none() && handed.get(ONE, 9).is_none());
        tokio::time::advance(KEPT / 2).await;
        handed.forget();
        assert!(handed.get(ONE, 7).is_none());
        assert!(handed.take(ONE, 8) == Some(vec![Event::Connected]));
        assert!(handed.take(ONE, 8).is_none(), "once");
        tokio::time::advance(KEPT).await;
        handed.forget();
        assert!(handed.events.is_empty() && handed.order.is_empty());
    }
}
