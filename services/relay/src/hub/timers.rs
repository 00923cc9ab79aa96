//! The chats' deadlines.

use std::{cmp::Reverse, collections::BinaryHeap};

use chassis::id::ChatId;
use parking_lot::Mutex;

use crate::chat::Moment;

/// A heap of deadlines. Entries are not taken back: whoever gets one has to see whether it still counts.
#[derive(Default)]
pub(super) struct Timers(Mutex<BinaryHeap<Reverse<(Moment, ChatId)>>>);

impl Timers {
    /// One more.
    pub(super) fn add(&self, deadline: Moment, chat: ChatId) {
        self.0.lock().push(Reverse((deadline, chat)));
    }

    /// How many there are, counting those that are left over.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// Takes out those that have come, the earliest first.
    pub(super) fn due(&self, now: Moment) -> Vec<(Moment, ChatId)> {
        let mut heap = self.0.lock();
        let mut due = Vec::new();
        while let Some(Reverse((deadline, chat))) = heap.peek().copied() {
            if deadline > now {
                break;
            }
            heap.pop();
            due.push((deadline, chat));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn deadlines_come_in_order_and_not_before_their_time() {
        let timers = Timers::default();
        for second in [3, 1, 2] {
            timers.add(Duration::from_secs(second), ChatId([0; 16]));
        }
        let due: Vec<_> =
            timers.due(Duration::from_secs(2)).into_iter().map(|(at, _)| at.as_secs()).collect();
        assert_eq!(due, [1, 2]);
        assert_eq!(timers.due(Duration::from_secs(2)), []);
    }
}
