//! What polls of other gateways took lately, in case that it did not arrive there.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

/// For how long it is kept. Longer than another gateway tries.
const KEPT: Duration = Duration::from_secs(10);
/// How many are kept at most.
const MOST: usize = 65_536;

/// Events by the number of the poll that took them. Bounded.
#[derive(Debug, Default)]
pub(super) struct Handed {
    events: HashMap<u64, String>,
    order: VecDeque<(Instant, u64)>,
}

impl Handed {
    /// A poll took these.
    pub(super) fn insert(&mut self, number: u64, events: String) {
        self.forget();
        self.events.insert(number, events);
        self.order.push_back((Instant::now(), number));
    }

    /// What this poll took before.
    pub(super) fn get(&mut self, number: u64) -> Option<String> {
        self.forget();
        self.events.get(&number).cloned()
    }

    /// Lets go of what is too old, or too much.
    pub(super) fn forget(&mut self) {
        while self.order.front().is_some_and(|(at, _)| at.elapsed() >= KEPT || self.order.len() > MOST) {
            if let Some((_, number)) = self.order.pop_front() {
                self.events.remove(&number);
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

    #[tokio::test(start_paused = true)]
    async fn what_was_handed_out_is_there_again_for_a_while() {
        let mut handed = Handed::default();
        handed.insert(7, "[1]".to_owned());
        tokio::time::advance(KEPT / 2).await;
        handed.insert(8, "[2]".to_owned());
        assert_eq!((handed.get(7).as_deref(), handed.get(9)), (Some("[1]"), None));
        tokio::time::advance(KEPT / 2).await;
        assert_eq!((handed.get(7), handed.get(8).as_deref()), (None, Some("[2]")));
        tokio::time::advance(KEPT).await;
        handed.forget();
        assert!(handed.events.is_empty() && handed.order.is_empty());
    }
}
