//! Whether anything else uses the CPU while something is measured.
//!
//! All processes are looked at once a second. What neither this process, nor its children, nor those watched have used is foreign, and so is what the
//! hypervisor took. What is in `/proc/stat` and in no process that was seen belongs to those that came and went between two looks.

use std::{collections::HashMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::procfs::{self, CpuTimes, ProcessStat};
use crate::clock::Clock;

/// Kernel threads that do the network's work, which is ours.
const NETWORK: &str = "ksoftirqd/";
/// How many offenders are named.
const NAMED: usize = 5;

/// Looks at all processes over a time.
#[derive(Debug)]
pub struct Quiet {
    /// Those whose use is no disturbance, and whose children's is none either.
    ours: Vec<u32>,
    first: CpuTimes,
    last: CpuTimes,
    /// By id and start: what was seen first and last.
    seen: HashMap<(u32, u64), Seen>,
    clock: Clock,
    /// When it was looked last.
    until: Duration,
}

#[derive(Clone, Debug)]
struct Seen {
    name: String,
    is_ours: bool,
    first: u64,
    last: u64,
}

/// Somebody who used the CPU.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Offender {
    /// Process id; 0 for the hypervisor and for processes that nobody saw.
    pub pid: u32,
    /// Name.
    pub name: String,
    /// CPU time, in seconds.
    pub seconds: f64,
}

/// What others used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Foreign {
    /// Of one core, in percent, on average.
    pub percent: f64,
    /// Over how many seconds.
    pub seconds: f64,
    /// Who it was, the worst first.
    pub offenders: Vec<Offender>,
}

impl Quiet {
    /// Begins to look.
    #[must_use]
    pub fn begin(ours: Vec<u32>) -> Self {
        let mut quiet = Self {
            ours,
            first: CpuTimes::default(),
            last: CpuTimes::default(),
            seen: HashMap::new(),
            clock: Clock::start(),
            until: Duration::ZERO,
        };
        quiet.look_at(machine(), processes(), Duration::ZERO, true);
        quiet
    }

    /// Looks again.
    pub fn look(&mut self) {
        self.look_at(machine(), processes(), self.clock.now(), false);
    }

    fn look_at(
        &mut self,
        machine: CpuTimes,
        processes: Vec<(u32, ProcessStat)>,
        now: Duration,
        is_first: bool,
    ) {
        if is_first {
            self.first = machine;
        }
        (self.last, self.until) = (machine, now);
        let parents: HashMap<u32, u32> = processes.iter().map(|(pid, stat)| (*pid, stat.parent)).collect();
        for (pid, stat) in processes {
            // One that came later has used all of its time since.
            let first = if is_first { stat.ticks } else { 0 };
            let is_ours = self.is_ours(pid, &parents) || stat.name.starts_with(NETWORK);
            let new = Seen { name: stat.name, is_ours, first, last: 0 };
            self.seen.entry((pid, stat.started)).or_insert(new).last = stat.ticks;
        }
    }

    /// Itself, or a child of one of them.
    fn is_ours(&self, pid: u32, parents: &HashMap<u32, u32>) -> bool {
        let ancestors = std::iter::successors(Some(pid), |pid| parents.get(pid).copied());
        // There are no circles, but while one reads, an id may come to be used again.
        ancestors.take(64).any(|ancestor| self.ours.contains(&ancestor))
    }

    /// What others have used so far.
    #[must_use]
    pub fn foreign(&self) -> Foreign {
        let seconds = self.until.as_secs_f64();
        let used = |seen: &Seen| seen.last.saturating_sub(seen.first);
        let mut offenders: Vec<_> = self
            .seen
            .iter()
            .filter(|(_, seen)| !seen.is_ours)
            .map(|((pid, _), seen)| (*pid, seen.name.clone(), used(seen)))
            .collect();
        let all: u64 = self.seen.values().map(used).sum();
        let unseen = (self.last.busy.saturating_sub(self.first.busy)).saturating_sub(all);
        let stolen = self.last.stolen.saturating_sub(self.first.stolen);
        offenders.push((0, "processes that came and went".to_owned(), unseen));
        offenders.push((0, "the hypervisor".to_owned(), stolen));
        offenders.retain(|(_, _, ticks)| *ticks > 0);
        offenders.sort_by_key(|(_, _, ticks)| std::cmp::Reverse(*ticks));
        let total: u64 = offenders.iter().map(|(_, _, ticks)| ticks).sum();
        let percent = if seconds > 0.0 { procfs::ticks(total).as_secs_f64() / seconds * 100.0 } else { 0.0 };
        let named = offenders.into_iter().take(NAMED).map(|(pid, name, ticks)| {
            let seconds = procfs::ticks(ticks).as_secs_f64();
            Offender { pid, name, seconds }
        });
        Foreign { percent, seconds, offenders: named.collect() }
    }
}

fn machine() -> CpuTimes {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    procfs::parse_stat(&text).unwrap_or_default()
}

/// All that can be seen.
fn processes() -> Vec<(u32, ProcessStat)> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten();
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some((pid, procfs::parse_process_stat(&text)?))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32, name: &str, parent: u32, ticks: u64) -> (u32, ProcessStat) {
        (pid, ProcessStat { name: name.to_owned(), parent, ticks, started: 1 })
    }

    fn quiet() -> Quiet {
        Quiet {
            ours: vec![10, 20],
            first: CpuTimes::default(),
            last: CpuTimes::default(),
            seen: HashMap::new(),
            clock: Clock::start(),
            until: Duration::ZERO,
        }
    }

    #[test]
    fn those_that_are_ours_and_their_children_do_not_count() {
        let mut quiet = quiet();
        let at = |busy, stolen| CpuTimes { busy, stolen };
        let before =
            vec![process(10, "load", 1, 5), process(20, "gateway", 1, 100), process(30, "cc1", 1, 40)];
        quiet.look_at(at(1_000, 0), before, Duration::ZERO, true);
        let after = vec![
            process(10, "load", 1, 55),
            process(11, "pipe", 10, 50),
            process(12, "a thread of it", 11, 20),
            process(20, "gateway", 1, 300),
            process(30, "cc1", 1, 90),
            process(40, "make", 1, 30),
            process(2, "ksoftirqd/0", 0, 500),
        ];
        // 50 + 50 + 20 + 200 + 50 + 30 + 500 are accounted for, 7 are not.
        quiet.look_at(at(1_907, 3), after, Duration::from_secs(10), false);
        let foreign = quiet.foreign();
        let names: Vec<_> =
            foreign.offenders.iter().map(|offender| (offender.pid, &*offender.name)).collect();
        let expected =
            [(30, "cc1"), (40, "make"), (0, "processes that came and went"), (0, "the hypervisor")];
        assert_eq!(names, expected);
        let ticks = [50, 30, 7, 3].map(|ticks| procfs::ticks(ticks).as_secs_f64());
        let expected: f64 = ticks.iter().map(|seconds| seconds * 10.0).sum();
        assert!((foreign.percent - expected).abs() < 1e-9, "{foreign:?}");
    }

    #[test]
    fn a_process_that_ends_keeps_what_it_used() {
        let mut quiet = quiet();
        quiet.look_at(CpuTimes::default(), vec![process(30, "cc1", 1, 40)], Duration::ZERO, true);
        quiet.look_at(CpuTimes::default(), vec![process(30, "cc1", 1, 140)], Duration::from_secs(1), false);
        quiet.look_at(CpuTimes::default(), vec![], Duration::from_secs(2), false);
        let foreign = quiet.foreign();
        assert_eq!((foreign.offenders.len(), &*foreign.offenders[0].name), (1, "cc1"));
    }
}
