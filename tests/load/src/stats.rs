//! What a run counts and measures.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;

use crate::delivery::Ledger;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Count {
    /// Connections begun.
    Attempts,
    /// Strangers let in.
    Welcomes,
    /// Seats taken in chats.
    Seats,
    /// The same, within the steady state.
    SeatsSteady,
    /// Messages written within the steady state.
    SentSteady,
    /// Messages that arrived within the steady state.
    ReceivedSteady,
    /// Messages not said.
    Skipped,
    /// Messages that had to wait.
    Withheld,
    /// Messages sent again.
    Resent,
    /// Messages overtaken.
    Reordered,
    /// Messages outside of a chat.
    Strays,
    /// Pings answered.
    Pings,
    /// Words from moderation or the operator.
    Notices,
    /// Moves to another gateway that one asked for.
    Moves,
    /// Chats come back to.
    Resumed,
    /// Chats that could not be come back to.
    ResumeFailed,
    /// Connections that could not be made.
    ConnectFailed,
    /// Answers that make no sense.
    Unexpected,
}

impl Count {
    /// All of them, in their order.
    pub const ALL: [Self; 18] = [
        Self::Attempts,
        Self::Welcomes,
        Self::Seats,
        Self::SeatsSteady,
        Self::SentSteady,
        Self::ReceivedSteady,
        Self::Skipped,
        Self::Withheld,
        Self::Resent,
        Self::Reordered,
        Self::Strays,
        Self::Pings,
        Self::Notices,
        Self::Moves,
        Self::Resumed,
        Self::ResumeFailed,
        Self::ConnectFailed,
        Self::Unexpected,
    ];

    /// Its name in the table and in JSON, and what it means.
    #[must_use]
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Attempts => ("attempts", "connections begun"),
            Self::Welcomes => ("welcomes", "strangers let in: `welcome`, or the answer of /start"),
            Self::Seats => ("seats", "seats taken in chats, two a chat"),
            Self::SeatsSteady => ("seats_steady", "the same, within the steady state"),
            Self::SentSteady => {
                ("sent_steady", "messages written within the steady state, repeats not counted")
            }
            Self::ReceivedSteady => {
                ("received_steady", "messages that arrived within the steady state, repeats not counted")
            }
            Self::Skipped => (
                "skipped",
                "messages that were due while their stranger was in no chat, or about to leave it; never sent",
            ),
            Self::Withheld => (
                "withheld",
                "messages that waited until fewer than 64 were unacknowledged; their latency counts from when they were due",
            ),
            Self::Resent => ("resent", "messages sent again, after coming back or after a refusal"),
            Self::Reordered => ("reordered", "messages that arrived after a later one"),
            Self::Strays => ("strays", "messages that arrived outside of a chat"),
            Self::Pings => ("pings", "pings answered"),
            Self::Notices => ("notices", "words from moderation or the operator"),
            Self::Moves => ("moves", "times a gateway asked a stranger to go to another"),
            Self::Resumed => ("resumed", "chats come back to after a lost connection"),
            Self::ResumeFailed => ("resume_failed", "chats that could not be come back to"),
            Self::ConnectFailed => ("connect_failed", "connections that could not be made"),
            Self::Unexpected => ("unexpected", "frames or answers that make no sense where they came"),
        }
    }
}

/// What is measured, from when it was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Latency {
    /// Of a message.
    Message,
    /// Of finding somebody.
    Pair,
    /// Of coming in.
    Connect,
    /// Of coming back.
    Resume,
    /// Of the generator itself.
    Lag,
}

impl Latency {
    /// All of them, in their order.
    pub const ALL: [Self; 5] = [Self::Message, Self::Pair, Self::Connect, Self::Resume, Self::Lag];

    /// Its name in the table and in JSON, and what it means.
    #[must_use]
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Message => {
                ("message", "from when a message was due to its arrival at the other stranger's socket")
            }
            Self::Pair => ("pair", "from when a `find` (or /start) was due to `matched` (or connected)"),
            Self::Connect => {
                ("connect", "from when a stranger was due to `welcome`, refused attempts included")
            }
            Self::Resume => (
                "resume",
                "from when all sockets were dropped to `resumed` (or `welcome`, outside of a chat)",
            ),
            Self::Lag => (
                "lag",
                "from when the generator should have written a message to when it did: its own delay, which is part of `message`",
            ),
        }
    }
}

/// Everything that one worker, or all of them, saw.
#[derive(Clone, Debug)]
pub struct Stats {
    counts: [u64; Count::ALL.len()],
    latencies: [Histogram<u64>; Latency::ALL.len()],
    /// Refusals, by their code: `error` frames, and handshakes as `http_503`.
    pub refused: BTreeMap<String, u64>,
    /// All of them.
    pub refusals: u64,
    /// Connections that ended though the generator had not asked for it, by their close code; 1006 without one.
    pub closed: BTreeMap<u16, u64>,
    /// Ends of chats, by who ended them.
    pub ended: BTreeMap<String, u64>,
    /// What became of the messages.
    pub ledger: Ledger,
}

impl Stats {
    /// Nothing seen yet.
    ///
    /// # Errors
    /// If histograms can't have such bounds, which are fixed.
    pub fn new() -> anyhow::Result<Self> {
        // Nanoseconds: up to ten minutes, three digits.
        let histogram = Histogram::new_with_bounds(100, 600_000_000_000, 3)?;
        Ok(Self {
            counts: [0; Count::ALL.len()],
            latencies: std::array::from_fn(|_| histogram.clone()),
            refused: BTreeMap::new(),
            refusals: 0,
            closed: BTreeMap::new(),
            ended: BTreeMap::new(),
            ledger: Ledger::default(),
        })
    }

    /// One more.
    pub fn count(&mut self, count: Count) {
        self.counts[count as usize] += 1;
    }

    /// How many.
    #[must_use]
    pub fn get(&self, count: Count) -> u64 {
        self.counts[count as usize]
    }

    /// How long something took.
    pub fn took(&mut self, what: Latency, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.latencies[what as usize].saturating_record(nanoseconds);
    }

    /// How long it took each time.
    #[must_use]
    pub fn latency(&self, what: Latency) -> &Histogram<u64> {
        &self.latencies[what as usize]
    }

    /// A steady state begins: what an earlier one brought is for nothing.
    pub fn begin_steady(&mut self) {
        for count in [Count::SeatsSteady, Count::SentSteady, Count::ReceivedSteady] {
            self.counts[count as usize] = 0;
        }
        for latency in [Latency::Message, Latency::Pair, Latency::Lag] {
            self.latencies[latency as usize].reset();
        }
    }

    /// A refusal.
    pub fn refuse(&mut self, code: &str) {
        *self.refused.entry(code.to_owned()).or_default() += 1;
        self.refusals += 1;
    }

    /// Takes in what another worker saw.
    ///
    /// # Errors
    /// If its histograms have other bounds, which they have not.
    pub fn merge(&mut self, other: Self) -> anyhow::Result<()> {
        for (mine, others) in self.counts.iter_mut().zip(other.counts) {
            *mine += others;
        }
        for (mine, others) in self.latencies.iter_mut().zip(&other.latencies) {
            mine.add(others)?;
        }
        self.refusals += other.refusals;
        for (code, count) in other.refused {
            *self.refused.entry(code).or_default() += count;
        }
        for (code, count) in other.closed {
            *self.closed.entry(code).or_default() += count;
        }
        for (by, count) in other.ended {
            *self.ended.entry(by).or_default() += count;
        }
        self.ledger.merge(other.ledger);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_latencies_are_in_the_order_of_their_lists() {
        for (place, count) in Count::ALL.into_iter().enumerate() {
            assert_eq!(count as usize, place);
        }
        for (place, latency) in Latency::ALL.into_iter().enumerate() {
            assert_eq!(latency as usize, place);
        }
    }

    #[test]
    fn what_workers_saw_adds_up() {
        let mut one = Stats::new().expect("bounds");
        let mut two = one.clone();
        for ms in 1..=50 {
            one.took(Latency::Message, Duration::from_millis(ms));
            two.took(Latency::Message, Duration::from_millis(ms + 50));
        }
        one.count(Count::Seats);
        two.count(Count::Seats);
        two.refuse("busy");
        two.closed.insert(1006, 2);
        one.merge(two).expect("the same bounds");
        let all = one.latency(Latency::Message);
        assert_eq!(all.len(), 100);
        let median = all.value_at_quantile(0.5);
        assert!((49_900_000..50_100_000).contains(&median), "{median}");
        let last = all.max();
        assert!((99_900_000..100_200_000).contains(&last), "{last}");
        assert_eq!((one.get(Count::Seats), one.refused["busy"], one.closed[&1006]), (2, 1, 2));
    }
}
