//! One classic session after another of the same stranger.

use std::{collections::VecDeque, time::Duration};

use super::line::Line;
use crate::delivery::{Checker, Direction, Ledger};

/// What was sent so shortly before the other one left may not have reached it.
const UNDER_WAY: Duration = Duration::from_secs(1);

/// Where a stranger is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    /// Has no session.
    #[default]
    Out,
    /// `/start` was called.
    Starting,
    /// Has a session and looks for somebody.
    Waiting,
    /// In a chat.
    Chatting,
    /// `/disconnect` was called, or waits for its turn.
    Leaving,
}

/// A call under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Start,
    /// A message: its number, and when it was due.
    Send {
        seq: u64,
        due: Duration,
    },
    Disconnect,
}

#[derive(Debug, Default)]
pub(super) struct Session {
    pub(super) state: State,
    pub(super) id: String,
    /// For all calls but polls, one after the other.
    pub(super) calls: Line,
    pub(super) call: Option<Call>,
    /// For polls, and for which session the one under way is.
    pub(super) polls: Line,
    pub(super) poll: Option<u32>,
    /// How many sessions it has had.
    pub(super) number: u32,
    /// Since when it has wanted to come in, at first.
    pub(super) coming: Option<Duration>,
    /// Since when it has wanted to meet somebody.
    pub(super) asked: Duration,
    /// When each message was due that was not sent yet.
    pub(super) queue: VecDeque<Duration>,
    /// No call is made until a moment that was told.
    pub(super) is_held: bool,
    pub(super) seat: Option<Seat>,
}

/// A seat in a chat. Nobody acknowledges; what a gateway took counts as sent.
#[derive(Debug, Default)]
pub(super) struct Seat {
    /// Stands for the chat: both get the same digests.
    pub(super) chat: u64,
    other: Option<u64>,
    pub(super) is_quiet: bool,
    sent: u64,
    /// When those of the last second were sent.
    recent: VecDeque<Duration>,
    pub(super) arrivals: Checker,
    repeats: u64,
}

impl Seat {
    /// The number of the next message.
    pub(super) fn next(&self) -> u64 {
        self.sent + 1
    }

    /// The gateway has taken one.
    pub(super) fn sent(&mut self, now: Duration) {
        self.sent += 1;
        self.recent.push_back(now);
        self.forget(now);
    }

    fn forget(&mut self, now: Duration) {
        while self.recent.front().is_some_and(|at| *at + UNDER_WAY < now) {
            self.recent.pop_front();
        }
    }

    pub(super) fn arrived(&mut self, seq: u64, sender: u64) -> crate::delivery::Arrival {
        self.other.get_or_insert(sender);
        let arrival = self.arrivals.arrived(seq);
        self.repeats += u64::from(arrival == crate::delivery::Arrival::Repeat);
        arrival
    }

    /// The chat is over: writes what is known into the ledger.
    pub(super) fn settle(mut self, me: u64, now: Duration, ended_by_me: bool, ledger: &mut Ledger) {
        self.forget(now);
        let under_way = if ended_by_me { 0 } else { u64::try_from(self.recent.len()).unwrap_or_default() };
        if self.sent > 0 {
            ledger.sent(Direction { chat: self.chat, sender: me }, self.sent, under_way, 0);
        }
        if let Some(sender) = self.other {
            ledger.received(Direction { chat: self.chat, sender }, self.arrivals.received(), self.repeats);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_sent_just_before_the_end_may_be_missing() {
        let second = Duration::from_secs(1);
        let settle = |ended_by_me| {
            let mut seat = Seat { chat: 5, ..Seat::default() };
            for at in [0, 1, 5, 6] {
                assert_eq!(seat.next(), seat.sent + 1);
                seat.sent(at * second);
            }
            let mut ledger = Ledger::default();
            seat.settle(1, 6 * second + second / 2, ended_by_me, &mut ledger);
            ledger.balance()
        };
        assert_eq!((settle(false).lost, settle(false).cut_off), (3, 1));
        assert_eq!((settle(true).lost, settle(true).cut_off), (4, 0));
    }
}
