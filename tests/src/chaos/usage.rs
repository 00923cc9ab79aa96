//! Whether the machine could keep up: what was computed, and how late this process got to run.

use std::time::Duration;

use tokio::time::Instant;

use crate::process::Process;

/// Linux counts processor time in hundredths of a second, on every machine of today.
const TICK_MS: u64 = 10;
/// How often it is looked how late this process runs.
const LOOK: Duration = Duration::from_millis(50);
/// How late is much.
const STALL: Duration = Duration::from_millis(100);

/// Processor time that was used up to a moment.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    at: Instant,
    busy: Duration,
    idle: Duration,
}

impl Usage {
    /// The machine's, now.
    #[must_use]
    pub fn of_machine() -> Self {
        let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        let ticks = stat.lines().next().map(numbers).unwrap_or_default();
        let idle = ticks.iter().skip(3).take(2).sum::<u64>();
        let busy = ticks.iter().take(8).sum::<u64>() - idle;
        let time = |ticks| Duration::from_millis(TICK_MS * ticks);
        Self { at: Instant::now(), busy: time(busy), idle: time(idle) }
    }

    /// How busy the machine was since, in percent of all its processors.
    #[must_use]
    pub fn percent_since(&self, before: &Self) -> u128 {
        let (busy, idle) = (self.busy - before.busy, self.idle - before.idle);
        busy.as_millis() * 100 / (busy + idle).as_millis().max(1)
    }

    /// Processor time of a process over its life, in percent of one processor since `self`.
    #[must_use]
    pub fn percent_of(&self, process: Option<&Process>) -> u128 {
        let id = process.map_or_else(|| Some(std::process::id()), Process::id);
        let stat = id.and_then(|id| std::fs::read_to_string(format!("/proc/{id}/stat")).ok());
        // The name, in brackets, may have spaces; of what follows the 12th and 13th are its times.
        let times = stat.as_deref().and_then(|stat| stat.rsplit_once(')')).map_or("", |(_, times)| times);
        let times = times.split_whitespace().skip(11).take(2);
        let used = times.filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>();
        u128::from(TICK_MS * used) * 100 / self.at.elapsed().as_millis().max(1)
    }
}

fn numbers(line: &str) -> Vec<u64> {
    line.split_whitespace().filter_map(|number| number.parse().ok()).collect()
}

/// A time in which this process did not get to run, counted from the beginning of the run.
pub type Stall = (Duration, Duration);

/// When this process ran much later than it should, until `end`.
pub async fn watch_stalls(start: Instant, end: Instant) -> Vec<Stall> {
    let mut stalls = Vec::new();
    while Instant::now() < end {
        let due = Instant::now() + LOOK;
        tokio::time::sleep_until(due).await;
        if due.elapsed() >= STALL {
            stalls.push((due - start, start.elapsed()));
        }
    }
    stalls
}
