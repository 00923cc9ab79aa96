//! Numbering, acknowledgement and repeat of one seat, seen from its gateway.
//!
//! The clients keep what is not acknowledged; the gateway keeps a few numbers. Outgoing is what this client says,
//! incoming what the stranger says. A gateway that a client has come to with a token knows none of them at first: the relay tells
//! it, or the stranger's gateway through the relay; and where nobody knows any more, the first number that a client uses shows
//! what it need not repeat. Invariant, of those that are known: `acknowledged ≤ sent` and `received ≤ shown`.

use crate::protocol::{Code, MAX_UNACKED, Refusal};

/// The highest number, which is as far as a browser can count.
const MAX_SEQ: u64 = 1 << 53;

/// What to do with a numbered frame from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// The next one: pass it on.
    New,
    /// A repeat that the stranger may lack: pass it on.
    Repeat,
    /// A repeat that the stranger has: tell the client so.
    Known,
    /// The first one since nobody knows what came before it. What did come before, the stranger has: tell the relay so, then pass
    /// this one on.
    First,
}

/// The numbers of one seat.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Highest number that the client has sent.
    sent: Option<u64>,
    /// Everything of the client's up to here is at the stranger's client.
    acknowledged: Option<u64>,
    /// Highest number of the stranger's that was handed to the client's socket.
    shown: Option<u64>,
    /// Everything of the stranger's up to here is at the client, by its own word.
    received: u64,
    /// The client may have up to here from an earlier socket.
    claimable: u64,
    /// Repeats that are free of the rate limit, since the client was asked for them.
    repeats: u64,
    /// What is new here up to this number may have been sent through another gateway before.
    perhaps_sent: u64,
}

impl Default for Delivery {
    /// Of a chat that begins.
    fn default() -> Self {
        Self { sent: Some(0), acknowledged: Some(0), shown: Some(0), ..Self::unknown() }
    }
}

impl Delivery {
    /// Of a chat that has gone on for nobody knows how long.
    pub fn unknown() -> Self {
        Self {
            sent: None,
            acknowledged: None,
            shown: None,
            received: 0,
            claimable: 0,
            repeats: 0,
            perhaps_sent: 0,
        }
    }

    /// Judges a numbered frame from the client.
    ///
    /// # Errors
    /// `bad_seq` for a gap or a number that was used without being asked for again, `slow_down` when too much is unacknowledged.
    pub fn outgoing(&mut self, seq: u64) -> Result<Outgoing, Refusal> {
        let bad_seq = || Err(Refusal::new(Code::BadSeq, "not the next number"));
        let Some(before) = seq.checked_sub(1).filter(|_| seq <= MAX_SEQ) else { return bad_seq() };
        let Some(acknowledged) = self.acknowledged else {
            (self.sent, self.acknowledged) = (Some(before), Some(before));
            self.perhaps_sent = before.saturating_add(MAX_UNACKED);
            return Ok(Outgoing::First);
        };
        if seq > self.sent.unwrap_or(acknowledged).saturating_add(1) {
            return bad_seq();
        }
        if seq <= acknowledged {
            return Ok(Outgoing::Known);
        }
        if seq > acknowledged.saturating_add(MAX_UNACKED) {
            let refusal = Refusal::new(Code::SlowDown, "too much that the stranger has not acknowledged");
            return Err(refusal.retry_after(1_000));
        }
        let sent = *self.sent.get_or_insert(acknowledged);
        if seq <= sent.max(self.perhaps_sent) {
            return Ok(Outgoing::Repeat);
        }
        Ok(Outgoing::New)
    }

    /// The client's frame was passed on.
    pub fn passed_on(&mut self, seq: u64) {
        self.sent = self.sent.max(Some(seq));
    }

    /// Whether a repeat was asked for; each request for repeats is good for one window of them.
    pub fn take_free_repeat(&mut self) -> bool {
        let free = self.repeats > 0;
        self.repeats = self.repeats.saturating_sub(1);
        free
    }

    /// The stranger's client has everything of ours up to `seq`. Returns the number to tell, if it is news.
    pub fn acknowledged_by_stranger(&mut self, seq: u64) -> Option<u64> {
        let news = self.acknowledged.is_none_or(|acknowledged| seq > acknowledged)
            && self.sent.is_none_or(|sent| seq <= sent.max(self.perhaps_sent));
        if news {
            self.acknowledged = Some(seq);
        }
        news.then_some(seq)
    }

    /// Whether a frame of the stranger's is to be handed to the client: only the next one in order is. What comes
    /// twice, or after a gap, is dropped; the stranger's client repeats what is missing.
    pub fn incoming(&mut self, seq: u64) -> bool {
        let next = self.shown.is_some_and(|shown| shown.checked_add(1) == Some(seq));
        if next {
            self.shown = Some(seq);
        }
        next
    }

    /// The client says that it has everything up to `seq`. Returns the number to pass on, if it is news.
    ///
    /// # Errors
    /// `bad_seq` for something that it was never shown.
    pub fn acknowledged_by_client(&mut self, seq: u64) -> Result<Option<u64>, Refusal> {
        let Some(shown) = self.shown.filter(|shown| seq <= self.claimable.max(*shown)) else {
            return Err(Refusal::new(Code::BadSeq, "there was no message of that number"));
        };
        let news = seq > self.received;
        self.received = self.received.max(seq);
        self.shown = Some(shown.max(seq));
        Ok(news.then_some(seq))
    }

    /// A new socket took the old one's place: what the client has not acknowledged may be lost, and comes again. Returns what it
    /// has for sure, where that is known.
    pub fn begin_anew(&mut self) -> Option<u64> {
        if let Some(shown) = &mut self.shown {
            self.claimable = self.claimable.max(*shown);
            *shown = self.received;
        }
        self.known().0
    }

    /// The relay says, as far as it knows, that the stranger has ours up to `received` and our client theirs up to `confirmed`,
    /// and that the client is to be asked to repeat the rest. It knows of numbers of ours up to `said`. Returns the number to tell.
    pub fn ask_for_repeats(&mut self, received: Option<u64>, confirmed: Option<u64>, said: u64) -> u64 {
        self.perhaps_sent = self.perhaps_sent.max(said);
        if let Some(confirmed) = confirmed {
            self.confirmed(confirmed);
        }
        let received = received
            .map(|received| self.sent.map_or(received, |sent| received.min(sent.max(self.perhaps_sent))));
        self.acknowledged = self.acknowledged.max(received);
        self.repeats = MAX_UNACKED;
        self.acknowledged.unwrap_or_default()
    }

    /// Our client has everything of the stranger's up to `seq`, which is taken for true where nothing is known.
    pub fn confirmed(&mut self, seq: u64) {
        if self.shown.is_none() {
            (self.shown, self.received) = (Some(seq), seq);
            self.claimable = seq.saturating_add(MAX_UNACKED);
        }
    }

    /// What is known for a relay: up to where our client has the stranger's, and the stranger's client has ours.
    pub fn known(&self) -> (Option<u64>, Option<u64>) {
        (self.shown.map(|_| self.received), self.acknowledged)
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
        assert_eq!(delivery.begin_anew(), Some(2));
        let shown = [2, 3, 4].map(|seq| delivery.incoming(seq));
        assert_eq!(shown, [false, true, true]);
        assert_eq!(delivery.begin_anew(), Some(2));
        assert_eq!(delivery.acknowledged_by_client(4), Ok(Some(4)), "it had them by the socket before");
        let shown = [3, 4, 5].map(|seq| delivery.incoming(seq));
        assert_eq!(shown, [false, false, true]);
        assert_eq!(delivery.acknowledged_by_client(6).map_err(|refusal| refusal.code), Err(Code::BadSeq));
    }

    #[test]
    fn a_gateway_that_knows_nothing_learns_from_the_relay_where_a_client_goes_on() {
        let mut delivery = Delivery::unknown();
        assert!(!delivery.incoming(8), "nobody has said what the client has");
        assert_eq!(delivery.known(), (None, None));
        assert_eq!(delivery.begin_anew(), None, "nor does a new socket of the client's tell");
        assert_eq!(delivery.ask_for_repeats(Some(4), Some(7), 66), 4);
        assert_eq!(delivery.known(), (Some(7), Some(4)));
        let shown = [7, 9, 8, 9].map(|seq| delivery.incoming(seq));
        assert_eq!(shown, [false, false, true, true]);
        let gap = delivery.clone().outgoing(6).map_err(|refusal| refusal.code);
        assert_eq!(gap, Err(Code::BadSeq), "what the stranger has not got comes again first");
        assert_eq!(delivery.outgoing(4), Ok(Outgoing::Known));
        for seq in 5..=66 {
            assert_eq!(delivery.outgoing(seq), Ok(Outgoing::Repeat), "sent before, so free");
            delivery.passed_on(seq);
        }
        assert_eq!(delivery.outgoing(67), Ok(Outgoing::New));
        assert_eq!(delivery.acknowledged_by_stranger(66), Some(66));
        assert_eq!(delivery.acknowledged_by_client(12), Ok(Some(12)), "its acknowledgement was lost before");
        let shown = [10, 12, 13].map(|seq| delivery.incoming(seq));
        assert_eq!(shown, [false, false, true]);
    }

    #[test]
    fn where_nobody_knows_the_first_number_that_a_client_uses_tells() {
        let mut delivery = Delivery::unknown();
        assert_eq!(delivery.ask_for_repeats(None, None, 0), 0);
        assert_eq!(delivery.outgoing(9), Ok(Outgoing::First));
        delivery.passed_on(9);
        assert_eq!(delivery.known(), (None, Some(8)));
        assert_eq!(delivery.outgoing(10), Ok(Outgoing::Repeat));
        assert_eq!(delivery.outgoing(8), Ok(Outgoing::Known));
        assert_eq!(delivery.outgoing(0).map_err(|refusal| refusal.code), Err(Code::BadSeq));
        assert!(!delivery.incoming(3));
        delivery.confirmed(2);
        delivery.confirmed(1);
        assert!(delivery.incoming(3));
    }

    #[test]
    fn repeats_are_passed_on_free_of_the_limit_once_they_were_asked_for() {
        let mut delivery = Delivery::default();
        for seq in 1..=5 {
            delivery.passed_on(seq);
        }
        assert!(!delivery.take_free_repeat());
        assert_eq!(delivery.ask_for_repeats(Some(2), Some(0), 5), 2);
        assert_eq!(delivery.outgoing(2), Ok(Outgoing::Known));
        assert_eq!(delivery.outgoing(3), Ok(Outgoing::Repeat));
        assert!(delivery.take_free_repeat());
        assert_eq!(delivery.outgoing(6), Ok(Outgoing::New));
    }
}
