//! One end of a chat, as the protocol wants a client to keep it. Pure.

use std::collections::VecDeque;

/// Most messages that a client keeps. The protocol's bound is 64.
const MAX_UNHEARD: usize = 60;

/// One end of a chat.
#[derive(Clone, Debug, Default)]
pub struct Seat {
    /// The highest number that was given away.
    said: u64,
    /// What the stranger's client has not acknowledged, with its numbers.
    unheard: VecDeque<(u64, String)>,
    /// The highest number that was shown.
    seen: u64,
    /// Whether numbered frames may be sent: not between a new socket's hello and `resumed`.
    open: bool,
}

/// What a numbered frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// To be shown.
    New,
    /// Shown already: to be dropped, and acknowledged again.
    Repeat,
}

impl Seat {
    /// Of a chat that has just begun.
    #[must_use]
    pub fn new() -> Self {
        Self { open: true, ..Self::default() }
    }

    /// What the stranger may not have.
    #[must_use]
    pub fn unheard(&self) -> usize {
        self.unheard.len()
    }

    /// The number of the next thing to say, if there is room for it.
    #[must_use]
    pub fn next(&self) -> Option<u64> {
        (self.unheard.len() < MAX_UNHEARD).then_some(self.said + 1)
    }

    /// Says it. Returns its number if it can be sent now; if not, it is once the chat is resumed.
    pub fn say(&mut self, text: &str) -> Option<u64> {
        self.said += 1;
        self.unheard.push_back((self.said, text.to_owned()));
        self.open.then_some(self.said)
    }

    /// The stranger's client has everything up to `seq`. Whether that can be.
    pub fn heard(&mut self, seq: u64) -> bool {
        self.unheard.retain(|(number, _)| *number > seq);
        seq <= self.said
    }

    /// The socket is gone, or a new one took its place.
    pub fn close(&mut self) {
        self.open = false;
    }

    /// The chat goes on, and the stranger has everything up to `received`. Whether that can be.
    pub fn resume(&mut self, received: u64) -> bool {
        self.open = true;
        self.heard(received)
    }

    /// What is to be sent again, with its numbers, unless the chat is to be resumed first.
    pub fn repeats(&self) -> impl Iterator<Item = &(u64, String)> {
        self.unheard.iter().filter(|_| self.open)
    }

    /// A numbered frame of the stranger's came. What comes after a gap is shown: a client has no way to ask for what is missing.
    pub fn incoming(&mut self, seq: u64) -> Incoming {
        if seq <= self.seen {
            return Incoming::Repeat;
        }
        self.seen = seq;
        Incoming::New
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(seat: &Seat) -> Vec<u64> {
        seat.repeats().map(|(number, _)| *number).collect()
    }

    #[test]
    fn what_is_not_acknowledged_is_repeated_after_received() {
        let mut seat = Seat::new();
        let said = ["a", "b", "c"].map(|text| seat.say(text));
        assert_eq!(said, [Some(1), Some(2), Some(3)]);
        assert!(seat.heard(1));
        seat.close();
        assert_eq!((seat.say("d"), numbers(&seat)), (None, Vec::new()));
        assert!(seat.resume(2));
        assert_eq!((numbers(&seat), seat.say("e"), seat.unheard()), (vec![3, 4], Some(5), 3));
        assert!(!seat.heard(6), "there is no sixth");
    }

    #[test]
    fn what_was_seen_is_a_repeat_and_what_comes_after_a_gap_is_not() {
        let mut seat = Seat::new();
        let incoming = [1, 2, 1, 2, 4, 3].map(|seq| seat.incoming(seq));
        use Incoming::{New, Repeat};
        assert_eq!(incoming, [New, New, Repeat, Repeat, New, Repeat]);
    }

    #[test]
    fn who_is_not_heard_says_no_more_at_some_point() {
        let mut seat = Seat::new();
        while seat.next().is_some() {
            seat.say("anybody there?");
        }
        assert_eq!(seat.unheard(), MAX_UNHEARD);
        seat.heard(1);
        assert_eq!(seat.next(), Some(61));
    }
}
