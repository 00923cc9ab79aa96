//! Numbering, acknowledgement and repeat of one seat, seen from its gateway.
//!
//! The clients keep what is not acknowledged; the gateway keeps four numbers. Outgoing is what this client says,
//! incoming what the stranger says. Invariant: `acknowledged ≤ sent` and `received ≤ shown`.

use crate::protocol::{Code, MAX_UNACKED, Refusal};

/// What to do with a numbered frame from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// The next one: pass it on.
    New,
    /// A repeat that the stranger may lack: pass it on.
    Repeat,
    /// A repeat that the stranger has: tell the client so.
    Known,
}

/// The numbers of one seat.
#[derive(Clone, Debug, Default)]
pub struct Delivery {
    /// Highest number that the client has sent.
    sent: u64,
    /// Everything of the client's up to here is at the stranger's client.
    acknowledged: u64,
    /// Highest number of the stranger's that was handed to the client's socket.
    shown: u64,
    /// Everything of the stranger's up to here is at the client, by its own word.
    received: u64,
    /// Repeats that are free of the rate limit, since the client was asked for them.
    repeats: u64,
}

impl Delivery {
    /// Judges a numbered frame from the client.
    ///
    /// # Errors
    /// `bad_seq` for a gap or a number that was used without being asked for again, `slow_down` when too much is unacknowledged.
    pub fn outgoing(&self, seq: u64) -> Result<Outgoing, Refusal> {
        if seq == 0 || seq > self.sent + 1 {
            return Err(Refusal::new(Code::BadSeq, "not the next number"));
        }
        if seq <= self.acknowledged {
            return Ok(Outgoing::Known);
        }
        if seq > self.acknowledged + MAX_UNACKED {
            let refusal = Refusal::new(Code::SlowDown, "too much that the stranger has not acknowledged");
            return Err(refusal.retry_after(1_000));
        }
        if seq <= self.sent {
            return Ok(Outgoing::Repeat);
        }
        Ok(Outgoing::New)
    }

    /// The client's frame was passed on.
    pub fn passed_on(&mut self, seq: u64) {
        self.sent = self.sent.max(seq);
    }

    /// Whether a repeat was asked for; each request for repeats is good for one window of them.
    pub fn take_free_repeat(&mut self) -> bool {
        let free = self.repeats > 0;
        self.repeats = self.repeats.saturating_sub(1);
        free
    }

    /// The stranger's client has everything of ours up to `seq`. Returns the number to tell, if it is news.
    pub fn acknowledged_by_stranger(&mut self, seq: u64) -> Option<u64> {
        let news = seq > self.acknowledged && seq <= self.sent;
        if news {
            self.acknowledged = seq;
        }
        news.then_some(seq)
    }

    /// Whether a frame of the stranger's is to be handed to the client: only the next one in order is. What comes
    /// twice, or after a gap, is dropped; the stranger's client repeats what is missing.
    pub fn incoming(&mut self, seq: u64) -> bool {
        let next = seq == self.shown + 1;
        if next {
            self.shown = seq;
        }
        next
    }

    /// The client says that it has everything up to `seq`. Returns the number to pass on, if it is news.
    ///
    /// # Errors
    /// `bad_seq` for something that it was never shown.
    pub fn acknowledged_by_client(&mut self, seq: u64) -> Result<Option<u64>, Refusal> {
        if seq > self.shown {
            return Err(Refusal::new(Code::BadSeq, "there was no message of that number"));
        }
        let news = seq > self.received;
        self.received = self.received.max(seq);
        Ok(news.then_some(seq))
    }

    /// A new socket took the old one's place: what the client has not acknowledged may be lost, and comes again. Returns what it
    /// has for sure.
    pub fn begin_anew(&mut self) -> u64 {
        self.shown = self.received;
        self.received
    }

    /// The stranger has ours up to `received`, and the client is asked to repeat the rest. Returns the number to tell.
    pub fn ask_for_repeats(&mut self, received: u64) -> u64 {
        self.acknowledged = self.acknowledged.max(received.min(self.sent));
        self.repeats = MAX_UNACKED;
        self.acknowledged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_run_without_gaps_and_stop_at_the_window() {
        let mut delivery = Delivery::default();
        assert_eq!(delivery.outgoing(0).map_err(|refusal| refusal.code), Err(Code::BadSeq));
        assert_eq!(delivery.outgoing(2).map_err(|refusal| refusal.code), Err(Code::BadSeq));
        for seq in 1..=MAX_UNACKED {
            assert_eq!(delivery.outgoing(seq), Ok(Outgoing::New));
            delivery.passed_on(seq);
        }
        let past = delivery.outgoing(MAX_UNACKED + 1);
        assert_eq!(past.map_err(|refusal| refusal.code), Err(Code::SlowDown));
        assert_eq!(delivery.acknowledged_by_stranger(1), Some(1));
        assert_eq!(delivery.outgoing(MAX_UNACKED + 1), Ok(Outgoing::New));
    }

    #[test]
    fn a_stranger_can_acknowledge_only_what_was_sent_and_only_forwards() {
        let mut delivery = Delivery::default();
        delivery.passed_on(1);
        assert_eq!(delivery.acknowledged_by_stranger(9), None);
        assert_eq!(delivery.acknowledged_by_stranger(1), Some(1));
        assert_eq!(delivery.acknowledged_by_stranger(1), None);
    }

    #[test]
    fn what_comes_twice_or_after_a_gap_is_not_shown() {
        let mut delivery = Delivery::default();
        let shown = [1, 1, 3, 2, 3, 2].map(|seq| delivery.incoming(seq));
        assert_eq!(shown, [true, false, false, true, true, false]);
    }

    #[test]
    fn after_a_new_socket_unacknowledged_ones_are_shown_again_and_acknowledged_ones_not() {
        let mut delivery = Delivery::default();
        for seq in 1..=3 {
            assert!(delivery.incoming(seq));
        }
        assert_eq!(delivery.acknowledged_by_client(2), Ok(Some(2)));
        assert_eq!(delivery.begin_anew(), 2);
        let shown = [2, 3, 4].map(|seq| delivery.incoming(seq));
        assert_eq!(shown, [false, true, true]);
        assert_eq!(delivery.acknowledged_by_client(5).map_err(|refusal| refusal.code), Err(Code::BadSeq));
    }

    #[test]
    fn repeats_are_passed_on_free_of_the_limit_once_they_were_asked_for() {
        let mut delivery = Delivery::default();
        for seq in 1..=5 {
            delivery.passed_on(seq);
        }
        assert!(!delivery.take_free_repeat());
        assert_eq!(delivery.ask_for_repeats(2), 2);
        assert_eq!(delivery.outgoing(2), Ok(Outgoing::Known));
        assert_eq!(delivery.outgoing(3), Ok(Outgoing::Repeat));
        assert!(delivery.take_free_repeat());
        assert_eq!(delivery.outgoing(6), Ok(Outgoing::New));
    }
}
