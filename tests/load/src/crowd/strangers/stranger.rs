//! One stranger: its connection, and its seat in a chat.

use std::{collections::VecDeque, time::Duration};

use crate::{
    delivery::{Checker, Direction, Ledger},
    net::Socket,
};

/// Most messages that may be unacknowledged.
const WINDOW: u64 = 64;

/// Where a stranger is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    /// Not connected, and not yet or no more about to be.
    #[default]
    Out,
    /// The connection is being made.
    Connecting,
    /// The upgrade was asked for.
    Upgrading,
    /// `hello` was said.
    Greeting,
    /// `hello` was said with a token of a chat, and answered.
    Resuming,
    /// In, and nothing else.
    Idle,
    /// Wants to meet somebody.
    Waiting,
    /// In a chat.
    Chatting,
    /// `leave` was said.
    Leaving,
    /// The socket is being closed.
    Closing,
}

impl State {
    pub(super) fn is_open(self) -> bool {
        self != Self::Out
    }

    pub(super) fn is_present(self) -> bool {
        matches!(self, Self::Idle | Self::Waiting | Self::Chatting | Self::Leaving)
    }
}

#[derive(Debug, Default)]
pub(super) struct Stranger {
    pub(super) state: State,
    pub(super) socket: Option<Socket>,
    /// Which of its sockets it is: what is meant for an earlier one is for nobody.
    pub(super) generation: u32,
    /// The beginning of a frame whose end has not come yet.
    pub(super) rest: Vec<u8>,
    /// Since when it has wanted to come in, until it is.
    pub(super) coming: Option<Duration>,
    /// Since when it has wanted to meet somebody.
    pub(super) asked: Duration,
    /// When its socket was dropped, until it is back.
    pub(super) dropped: Option<Duration>,
    /// Tokens of `welcome` and `matched`, or newer ones.
    pub(super) session: Box<[u8]>,
    pub(super) resume: Box<[u8]>,
    /// How many chats it has had.
    pub(super) chats: u32,
    pub(super) seat: Option<Box<Seat>>,
}

impl Stranger {
    /// The `hello` that says what it was.
    pub(super) fn hello(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"type":"hello","adult":true,"terms":true"#);
        let resume: &[u8] = if self.seat.is_some() { &self.resume } else { b"" };
        for (name, token) in [("session", &*self.session), ("resume", resume)] {
            if !token.is_empty() {
                out.extend_from_slice(format!(",\"{name}\":\"").as_bytes());
                out.extend_from_slice(token);
                out.push(b'"');
            }
        }
        out.push(b'}');
    }
}

/// A seat in a chat. Messages are numbered from 1.
#[derive(Debug)]
pub(super) struct Seat {
    /// Stands for the chat's id.
    pub(super) chat: u64,
    /// This stranger's number.
    me: u64,
    /// The other one's, once it has said something.
    other: Option<u64>,
    /// Whether this one leaves, and not the other.
    pub(super) leaves: bool,
    /// Nothing new is said any more.
    pub(super) is_quiet: bool,
    /// Nothing is written until a moment that was told.
    pub(super) is_held: bool,
    /// When each message was due that is not acknowledged, in microseconds.
    unsettled: VecDeque<u64>,
    acknowledged: u64,
    /// The last one written on this connection, and on any.
    written: u64,
    ever_written: u64,
    resent: u64,
    arrivals: Checker,
    repeats: u64,
}

/// A message to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outgoing {
    pub(super) seq: u64,
    pub(super) due: u64,
    /// Whether it was written before.
    pub(super) is_again: bool,
}

impl Seat {
    pub(super) fn new(chat: u64, me: u64, leaves: bool) -> Self {
        Self {
            chat,
            me,
            other: None,
            leaves,
            is_quiet: false,
            is_held: false,
            unsettled: VecDeque::new(),
            acknowledged: 0,
            written: 0,
            ever_written: 0,
            resent: 0,
            arrivals: Checker::default(),
            repeats: 0,
        }
    }

    /// One more is to be said. Returns whether there is room for it.
    pub(super) fn say(&mut self, due: u64) -> bool {
        self.unsettled.push_back(due);
        self.unsettled() <= WINDOW
    }

    /// How many are not acknowledged, written or not.
    pub(super) fn unsettled(&self) -> u64 {
        u64::try_from(self.unsettled.len()).unwrap_or_default()
    }

    /// The next one to write now.
    pub(super) fn next(&mut self) -> Option<Outgoing> {
        let ahead = self.written - self.acknowledged;
        if self.is_held || ahead >= WINDOW {
            return None;
        }
        let due = *self.unsettled.get(usize::try_from(ahead).ok()?)?;
        self.written += 1;
        let is_again = self.written <= self.ever_written;
        self.ever_written = self.ever_written.max(self.written);
        self.resent += u64::from(is_again);
        Some(Outgoing { seq: self.written, due, is_again })
    }

    /// The other one has everything up to here. Returns how many that settles.
    pub(super) fn acknowledge(&mut self, seq: u64) -> u64 {
        let news = seq.min(self.ever_written).saturating_sub(self.acknowledged);
        self.unsettled.drain(..usize::try_from(news).unwrap_or_default());
        self.acknowledged += news;
        self.written = self.written.max(self.acknowledged);
        news
    }

    /// What was written since may not have arrived, and is to be written again.
    pub(super) fn go_back(&mut self) {
        self.written = self.acknowledged;
    }

    /// A message has come, from a stranger who told its number. Returns what it is, and up to where all have come.
    pub(super) fn arrived(&mut self, seq: u64, sender: Option<u64>) -> (crate::delivery::Arrival, u64) {
        self.other = self.other.or(sender);
        let arrival = self.arrivals.arrived(seq);
        self.repeats += u64::from(arrival == crate::delivery::Arrival::Repeat);
        (arrival, self.arrivals.complete())
    }

    /// The chat is over: writes what is known into the ledger.
    pub(super) fn settle(&self, ended_by_me: bool, ledger: &mut Ledger) {
        let under_way = if ended_by_me { 0 } else { self.ever_written - self.acknowledged };
        let mine = Direction { chat: self.chat, sender: self.me };
        if self.ever_written > 0 {
            ledger.sent(mine, self.ever_written, under_way, self.resent);
        }
        if let Some(sender) = self.other {
            ledger.received(Direction { chat: self.chat, sender }, self.arrivals.received(), self.repeats);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writes(seat: &mut Seat) -> Vec<u64> {
        std::iter::from_fn(|| seat.next()).map(|outgoing| outgoing.seq).collect()
    }

    #[test]
    fn no_more_than_the_window_is_written_and_the_rest_follows() {
        let mut seat = Seat::new(1, 2, true);
        let room: Vec<_> = (0..70).map(|due| seat.say(due)).collect();
        assert_eq!(room.iter().filter(|room| **room).count(), 64);
        assert_eq!(writes(&mut seat), (1..=64).collect::<Vec<_>>());
        assert_eq!(seat.acknowledge(3), 3);
        assert_eq!(writes(&mut seat), [65, 66, 67]);
        assert_eq!(seat.acknowledge(2), 0);
        assert_eq!(seat.acknowledge(1_000), 64);
        assert_eq!(writes(&mut seat), [68, 69, 70]);
        assert_eq!(seat.unsettled(), 3);
    }

    #[test]
    fn what_was_not_acknowledged_is_written_again() {
        let mut seat = Seat::new(1, 2, true);
        (0..4).for_each(|due| assert!(seat.say(due)));
        assert_eq!(writes(&mut seat), [1, 2, 3, 4]);
        seat.acknowledge(2);
        seat.go_back();
        assert_eq!(seat.next(), Some(Outgoing { seq: 3, due: 2, is_again: true }));
        seat.is_held = true;
        assert_eq!(seat.next(), None);
        seat.is_held = false;
        assert_eq!(writes(&mut seat), [4]);
        let mut ledger = Ledger::default();
        seat.settle(true, &mut ledger);
        assert_eq!(ledger.balance().sent, 4);
        assert_eq!(ledger.balance().lost, 4, "nobody has told of having received them");
    }

    #[test]
    fn hello_tells_of_a_chat_only_while_there_is_one() {
        let mut stranger = Stranger { resume: (*b"r").into(), ..Stranger::default() };
        let mut out = Vec::new();
        stranger.hello(&mut out);
        assert_eq!(out, br#"{"type":"hello","adult":true,"terms":true}"#);
        stranger.session = (*b"s").into();
        stranger.seat = Some(Box::new(Seat::new(1, 2, true)));
        out.clear();
        stranger.hello(&mut out);
        assert_eq!(out, br#"{"type":"hello","adult":true,"terms":true,"session":"s","resume":"r"}"#);
    }
}
