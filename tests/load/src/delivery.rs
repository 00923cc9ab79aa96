//! Whether messages arrive once and in order. Pure.
//!
//! The receiving side of each direction of a chat keeps a [`Checker`], the sending side knows what it sent; a [`Ledger`] brings the two together when
//! the chat is over.

use std::collections::{BTreeSet, HashMap};

/// What a message is, given those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The next one, or one after a gap.
    New,
    /// One that a later one had overtaken.
    Late,
    /// One that had come before.
    Repeat,
}

/// One direction of a chat, at the receiver.
#[derive(Clone, Debug, Default)]
pub struct Checker {
    /// The highest number seen.
    highest: u64,
    /// Those below it that were not seen.
    missing: BTreeSet<u64>,
}

impl Checker {
    /// A message of this number has come; the first one has 1.
    pub fn arrived(&mut self, seq: u64) -> Arrival {
        if seq > self.highest {
            self.missing.extend(self.highest + 1..seq);
            self.highest = seq;
            Arrival::New
        } else if self.missing.remove(&seq) {
            Arrival::Late
        } else {
            Arrival::Repeat
        }
    }

    /// Everything up to here has come.
    #[must_use]
    pub fn complete(&self) -> u64 {
        self.missing.first().map_or(self.highest, |first| first - 1)
    }

    /// How many different ones have come.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.highest - u64::try_from(self.missing.len()).unwrap_or_default()
    }
}

/// A direction of a chat: the chat, and who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Direction {
    /// Stands for the chat's id.
    pub chat: u64,
    /// The sender's number.
    pub sender: u64,
}

/// What is known of a direction when the chat is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Account {
    sent: u64,
    /// Of these, how many were under way when the other one left: nobody promises them.
    under_way: u64,
    /// How many the sender sent again.
    resent: u64,
    received: u64,
    repeats: u64,
}

/// The accounts of all directions.
#[derive(Clone, Debug, Default)]
pub struct Ledger(HashMap<Direction, Account>);

/// What became of all messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Messages that were sent, each counted once.
    pub sent: u64,
    /// Of these, how many arrived.
    pub received: u64,
    /// How many did not, though both were there.
    pub lost: u64,
    /// How many were under way when the receiver left, and did not arrive.
    pub cut_off: u64,
    /// How many came again that nobody had sent again.
    pub duplicated: u64,
}

impl Ledger {
    /// What the sender knows.
    pub fn sent(&mut self, direction: Direction, sent: u64, under_way: u64, resent: u64) {
        let account = self.0.entry(direction).or_default();
        account.sent += sent;
        account.under_way += under_way;
        account.resent += resent;
    }

    /// What the receiver knows.
    pub fn received(&mut self, direction: Direction, received: u64, repeats: u64) {
        let account = self.0.entry(direction).or_default();
        account.received += received;
        account.repeats += repeats;
    }

    /// Takes in what another worker knows.
    pub fn merge(&mut self, other: Self) {
        for (direction, Account { sent, under_way, resent, received, repeats }) in other.0 {
            self.sent(direction, sent, under_way, resent);
            self.received(direction, received, repeats);
        }
    }

    /// The sum.
    #[must_use]
    pub fn balance(&self) -> Balance {
        self.0.values().fold(Balance::default(), |balance, account| {
            let missing = account.sent.saturating_sub(account.received);
            let cut_off = missing.min(account.under_way);
            Balance {
                sent: balance.sent + account.sent,
                received: balance.received + account.received,
                lost: balance.lost + missing - cut_off,
                cut_off: balance.cut_off + cut_off,
                duplicated: balance.duplicated + account.repeats.saturating_sub(account.resent),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(seqs: &[u64]) -> (Vec<Arrival>, Checker) {
        let mut checker = Checker::default();
        (seqs.iter().map(|seq| checker.arrived(*seq)).collect(), checker)
    }

    #[test]
    fn gaps_late_ones_and_repeats_are_told_apart() {
        use Arrival::{Late, New, Repeat};
        let (seen, checker) = arrivals(&[1, 2, 5, 3, 3, 2, 6]);
        assert_eq!(seen, [New, New, New, Late, Repeat, Repeat, New]);
        assert_eq!((checker.received(), checker.complete()), (5, 3));
        let (_, checker) = arrivals(&[1, 2, 3]);
        assert_eq!((checker.received(), checker.complete()), (3, 3));
        let (_, checker) = arrivals(&[]);
        assert_eq!((checker.received(), checker.complete()), (0, 0));
    }

    #[test]
    fn the_balance_tells_lost_ones_from_those_that_were_under_way() {
        let direction = |sender| Direction { chat: 7, sender };
        let mut sender = Ledger::default();
        sender.sent(direction(1), 10, 0, 0);
        sender.sent(direction(2), 10, 3, 0);
        sender.sent(direction(3), 10, 3, 2);
        let mut receiver = Ledger::default();
        receiver.received(direction(1), 9, 0);
        receiver.received(direction(2), 8, 1);
        receiver.received(direction(3), 5, 2);
        sender.merge(receiver);
        let balance = Balance { sent: 30, received: 22, lost: 1 + 2, cut_off: 2 + 3, duplicated: 1 };
        assert_eq!(sender.balance(), balance);
    }
}
