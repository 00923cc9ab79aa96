//! The two kinds of strangers: those of `stroll.v1`, and those of the classic protocol.

pub mod classic;
pub mod strangers;

use std::{net::SocketAddr, time::Duration};

use crate::schedule::{Schedule, Share};

/// What strangers are to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where they connect, each at the next.
    pub gateways: Vec<SocketAddr>,
    /// How many they are.
    pub strangers: u64,
    /// How many of them come in a second.
    pub arrivals: f64,
    /// What they do once they are in.
    pub act: Act,
    /// Bytes of a message.
    pub size: usize,
    /// Over how long they come back after their sockets were dropped.
    pub spread: Duration,
}

/// What strangers do once they are in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Act {
    /// Nothing.
    Stay,
    /// Find somebody, talk, leave, and again.
    Talk {
        /// Messages a second, of all together.
        rate: f64,
        /// How long a chat lasts on average; for ever without.
        stay: Option<Duration>,
        /// Between a chat and the next wish.
        pause: Duration,
    },
    /// Find somebody and leave at once.
    Match {
        /// Pairs a second, of all together.
        rate: f64,
    },
}

/// One worker's part of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which worker.
    pub worker: u64,
    /// Of how many.
    pub workers: u64,
}

impl Part {
    /// The number of this worker's stranger at a place of its list.
    fn number(self, place: usize) -> u64 {
        self.worker + u64::try_from(place).unwrap_or_default() * self.workers
    }

    /// How many of so many strangers this worker has.
    fn of(self, strangers: u64) -> usize {
        usize::try_from((strangers + self.workers - 1 - self.worker) / self.workers).unwrap_or_default()
    }

    /// The place of the stranger whose turn an event of this index is, where there are so many.
    fn place(self, index: u64, strangers: usize) -> usize {
        usize::try_from(index / self.workers).unwrap_or_default() % strangers.max(1)
    }

    /// This worker's events of a schedule that begins and ends.
    fn share(self, from: Duration, until: Duration, rate: f64) -> Share {
        Share::new(Schedule::new(from, rate), until, self.worker, self.workers)
    }

    /// This worker's arrivals of so many strangers.
    fn arrivals(self, from: Duration, plan: &Plan) -> Share {
        let schedule = Schedule::new(from, plan.arrivals);
        Share::new(schedule, schedule.time_of(plan.strangers), self.worker, self.workers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stranger_belongs_to_one_worker() {
        for (strangers, workers) in [(10, 3), (9, 3), (2, 4), (1, 1), (0, 2)] {
            let parts = (0..workers).map(|worker| Part { worker, workers });
            let mut numbers: Vec<_> =
                parts.flat_map(|part| (0..part.of(strangers)).map(move |place| part.number(place))).collect();
            numbers.sort_unstable();
            assert_eq!(numbers, (0..strangers).collect::<Vec<_>>(), "{strangers} with {workers}");
        }
    }

    #[test]
    fn turns_go_round() {
        let part = Part { worker: 1, workers: 3 };
        let places: Vec<_> = [1, 4, 7, 10].map(|index| part.place(index, 3)).into();
        assert_eq!(places, [0, 1, 2, 0]);
    }
}
