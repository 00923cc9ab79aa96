//! What one play of a scenario came to. Its JSON is documented in `README.md`.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::{
    machine::{Usage, Watch},
    redis_count::{Done, Looks, Redis},
    stats::{Count, Latency, Stats},
};

/// Names of the single figures, and what they mean.
pub const FIGURES: [(&str, &str); 19] = [
    ("messages_per_second", "messages that arrived"),
    ("messages_per_second_wanted", "messages that were due"),
    ("pairs_per_second", "pairs that were made"),
    ("pairs_per_second_wanted", "pairs that were due"),
    ("sent", "messages sent in the whole run, each counted once"),
    ("received", "of these, how many arrived"),
    ("lost", "of these, how many did not arrive, though both were there"),
    (
        "cut_off",
        "of these, how many were under way when the receiver left, and did not arrive: nobody promises them",
    ),
    ("duplicated", "messages that arrived again though nobody had sent them again"),
    (
        "kb_per_session",
        "memory (RSS) of the watched processes at the end of the steady state less that before, by strangers present, in kB",
    ),
    ("rss_after_to_before", "memory of the watched processes after all have left, to that before they came"),
    (
        "cpu_us_per_session_second",
        "CPU time of the watched processes by strangers present and second, in microseconds",
    ),
    ("cpu_us_per_message", "CPU time of the watched processes by messages that arrived, in microseconds"),
    ("generator_cpu_percent", "CPU time of the generator itself, of one core"),
    (
        "redis_background_per_second",
        "commands that Redis (--redis) runs while nobody is there: leases, heartbeats, reads that time out. Counted as Redis does: a \
         script is one, and each command that it calls is one more",
    ),
    (
        "redis_commands_per_message",
        "commands in the steady state without those of the background, by messages that arrived; only where nobody finds anybody meanwhile",
    ),
    (
        "redis_commands_per_chat",
        "commands of the whole run without those of the background, by chats, each from both finds to its end",
    ),
    (
        "redis_requests_per_chat",
        "the same without what scripts called: only what clients sent (--redis-monitor)",
    ),
    (
        "redis_bytes_per_chat",
        "Redis' `used_memory` at the end of the steady state less that before, by chats at a time",
    ),
];

/// One play of a scenario.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// What it was played against: `stroll` or `pipe`.
    pub against: String,
    /// What did not go as planned, so that the figures may not mean what they should.
    pub problems: Vec<String>,
    /// How many strangers were there in the steady state.
    pub strangers: u64,
    /// How long the steady state was.
    pub seconds: f64,
    /// Single figures, by name; those that the scenario has.
    pub figures: BTreeMap<String, f64>,
    /// Latencies, by name; those that the scenario has.
    pub latency_ms: BTreeMap<String, Percentiles>,
    /// How coming back went.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storm: Option<Storm>,
    /// Counts, by name.
    pub counts: BTreeMap<String, u64>,
    /// Refusals by code.
    pub refused: BTreeMap<String, u64>,
    /// Connections that ended though nobody had asked for it, by close code.
    pub closed: BTreeMap<u16, u64>,
    /// Seats whose chat ended, by who ended it.
    pub ended: BTreeMap<String, u64>,
    /// What each watched process used.
    pub processes: Vec<Process>,
    /// What was used of Redis, if that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redis: Option<Redis>,
}

/// A distribution, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// How many values.
    pub count: u64,
    /// Half were at most this.
    pub p50: f64,
    /// Nine of ten.
    pub p90: f64,
    /// All but one in a hundred.
    pub p99: f64,
    /// All but one in a thousand.
    #[serde(rename = "p99.9")]
    pub p999: f64,
    /// All.
    pub max: f64,
    /// The mean.
    pub mean: f64,
}

/// How coming back went. Seconds since the drop; none where too few came back.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Storm {
    /// Sockets dropped.
    pub dropped: u64,
    /// Of these, how many were back where they had been.
    pub resumed: u64,
    /// Of these, how many were not, or not in time.
    pub failed: u64,
    /// Until half were back.
    pub seconds_to_50: Option<f64>,
    /// Until nine of ten were.
    pub seconds_to_90: Option<f64>,
    /// Until all but one in a hundred were.
    pub seconds_to_99: Option<f64>,
    /// Until all were.
    pub seconds_to_100: Option<f64>,
}

/// What a watched process used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// What it is called.
    pub name: String,
    /// Its id.
    pub pid: u32,
    /// Memory (RSS) before anybody came, at the end of the steady state, and after all had left.
    pub rss_before_kb: u64,
    /// See above.
    pub rss_steady_kb: u64,
    /// See above.
    pub rss_after_kb: u64,
    /// By strangers present.
    pub kb_per_session: f64,
    /// CPU time in the steady state.
    pub cpu_seconds: f64,
    /// Of one core.
    pub cpu_percent: f64,
    /// By strangers present and second.
    pub cpu_us_per_session_second: f64,
}

impl Percentiles {
    /// Of values in nanoseconds; none of no values.
    #[must_use]
    pub fn of(histogram: &Histogram<u64>) -> Option<Self> {
        if histogram.is_empty() {
            return None;
        }
        let at = |quantile| milliseconds(histogram.value_at_quantile(quantile));
        Some(Self {
            count: histogram.len(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: milliseconds(histogram.max()),
            mean: histogram.mean() / 1e6,
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "three digits are what histograms have")]
fn milliseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^53")]
pub(crate) fn number(count: u64) -> f64 {
    count as f64
}

impl Storm {
    /// Of those who came back, when of how many.
    #[must_use]
    pub fn of(back: &Histogram<u64>, dropped: u64) -> Self {
        let resumed = back.len().min(dropped);
        let until = |share: f64| {
            let needed = share * number(dropped);
            let is_reached = dropped > 0 && number(resumed) >= needed;
            is_reached.then(|| milliseconds(back.value_at_quantile(needed / number(resumed.max(1)))) / 1e3)
        };
        Self {
            dropped,
            resumed,
            failed: dropped - resumed,
            seconds_to_50: until(0.5),
            seconds_to_90: until(0.9),
            seconds_to_99: until(0.99),
            seconds_to_100: until(1.0),
        }
    }
}

/// What was looked at while a scenario was played.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// How many strangers were there.
    pub strangers: u64,
    /// How long the steady state was.
    pub steady: Duration,
    /// What watched processes had used before all, at both ends of the steady state, and after all.
    pub before: Vec<Option<Usage>>,
    /// See above.
    pub begin: Vec<Option<Usage>>,
    /// See above.
    pub end: Vec<Option<Usage>>,
    /// See above.
    pub after: Vec<Option<Usage>>,
    /// CPU time of the generator in the steady state.
    pub generator: Duration,
    /// What did not go as planned.
    pub problems: Vec<String>,
    /// How many sockets were dropped, if that was part of it.
    pub dropped: Option<u64>,
    /// Redis' counters, if they were looked at.
    pub redis: Option<Looks>,
}

/// What was due in a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Wanted {
    /// Messages.
    pub messages: Option<f64>,
    /// Pairs.
    pub pairs: Option<f64>,
}

impl Outcome {
    /// Puts together what workers saw and what was looked at.
    #[must_use]
    pub fn new(against: &str, wanted: Wanted, stats: &Stats, observed: &Observed, watch: &Watch) -> Self {
        let processes = processes(observed, watch);
        let mut problems = observed.problems.clone();
        for (place, watched) in watch.0.iter().enumerate() {
            if [&observed.before, &observed.end, &observed.after].iter().any(|usage| usage[place].is_none()) {
                problems
                    .push(format!("{} (process {}) was not there all the time", watched.name, watched.pid));
            }
        }
        let mut figures = figures(wanted, stats, observed, &processes);
        let done = done(wanted, stats, observed);
        let redis = observed.redis.as_ref().and_then(|looks| Redis::of(looks, done));
        if observed.redis.is_some() && redis.is_none() {
            problems.push("Redis was not there all the time, or has begun to count anew".to_owned());
        }
        for (name, value) in redis.iter().flat_map(|redis| redis.figures(done)) {
            figures.insert(name.to_owned(), value);
        }
        let latencies = Latency::ALL.into_iter().filter_map(|latency| {
            Some((latency.words().0.to_owned(), Percentiles::of(stats.latency(latency))?))
        });
        let counts = Count::ALL.into_iter().map(|count| (count.words().0.to_owned(), stats.get(count)));
        Self {
            against: against.to_owned(),
            problems,
            strangers: observed.strangers,
            seconds: observed.steady.as_secs_f64(),
            figures,
            latency_ms: latencies.collect(),
            storm: observed.dropped.map(|dropped| Storm::of(stats.latency(Latency::Resume), dropped)),
            counts: counts.collect(),
            refused: stats.refused.clone(),
            closed: stats.closed.clone(),
            ended: stats.ended.clone(),
            processes,
            redis,
        }
    }
}

fn done(wanted: Wanted, stats: &Stats, observed: &Observed) -> Done {
    Done {
        seats: stats.get(Count::Seats),
        seats_steady: stats.get(Count::SeatsSteady),
        messages_steady: stats.get(Count::ReceivedSteady),
        // Where there are messages, all who are there are in a chat.
        chatting: wanted.messages.map_or(0.0, |_| number(observed.strangers) / 2.0),
    }
}

fn processes(observed: &Observed, watch: &Watch) -> Vec<Process> {
    let seconds = observed.steady.as_secs_f64().max(f64::EPSILON);
    let strangers = number(observed.strangers.max(1));
    let at = |usage: &[Option<Usage>], place: usize| usage.get(place).copied().flatten().unwrap_or_default();
    let of = |(place, watched): (usize, &crate::machine::Watched)| {
        let [before, begin, end, after] =
            [&observed.before, &observed.begin, &observed.end, &observed.after].map(|usage| at(usage, place));
        let cpu_seconds = end.cpu.saturating_sub(begin.cpu).as_secs_f64();
        Process {
            name: watched.name.clone(),
            pid: watched.pid,
            rss_before_kb: before.resident_kb,
            rss_steady_kb: end.resident_kb,
            rss_after_kb: after.resident_kb,
            kb_per_session: (number(end.resident_kb) - number(before.resident_kb)) / strangers,
            cpu_seconds,
            cpu_percent: cpu_seconds / seconds * 100.0,
            cpu_us_per_session_second: cpu_seconds * 1e6 / strangers / seconds,
        }
    };
    watch.0.iter().enumerate().map(of).collect()
}

fn figures(
    wanted: Wanted,
    stats: &Stats,
    observed: &Observed,
    processes: &[Process],
) -> BTreeMap<String, f64> {
    let seconds = observed.steady.as_secs_f64().max(f64::EPSILON);
    let mut figures = BTreeMap::new();
    let mut add = |name: &str, value: f64| {
        debug_assert!(FIGURES.iter().any(|(known, _)| *known == name), "{name} is explained");
        figures.insert(name.to_owned(), value);
    };
    let received = number(stats.get(Count::ReceivedSteady));
    if let Some(messages) = wanted.messages {
        add("messages_per_second", received / seconds);
        add("messages_per_second_wanted", messages);
        let balance = stats.ledger.balance();
        add("sent", number(balance.sent));
        add("received", number(balance.received));
        add("lost", number(balance.lost));
        add("cut_off", number(balance.cut_off));
        add("duplicated", number(balance.duplicated));
    }
    if let Some(pairs) = wanted.pairs {
        add("pairs_per_second", number(stats.get(Count::SeatsSteady)) / 2.0 / seconds);
        add("pairs_per_second_wanted", pairs);
    }
    if !processes.is_empty() {
        let sum = |of: fn(&Process) -> f64| processes.iter().map(of).sum::<f64>();
        add("kb_per_session", sum(|process| process.kb_per_session));
        add("cpu_us_per_session_second", sum(|process| process.cpu_us_per_session_second));
        let (before, after) =
            (sum(|process| number(process.rss_before_kb)), sum(|process| number(process.rss_after_kb)));
        if before > 0.0 {
            add("rss_after_to_before", after / before);
        }
        if received > 0.0 {
            add("cpu_us_per_message", sum(|process| process.cpu_seconds) * 1e6 / received);
        }
    }
    add("generator_cpu_percent", observed.generator.as_secs_f64() / seconds * 100.0);
    figures
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Watched;

    fn histogram(milliseconds: impl Iterator<Item = u64>) -> Histogram<u64> {
        let mut histogram = Histogram::new_with_bounds(100, 600_000_000_000, 3).expect("bounds");
        milliseconds.for_each(|ms| histogram.saturating_record(ms * 1_000_000));
        histogram
    }

    fn is_about(value: f64, expected: f64) -> bool {
        (value - expected).abs() <= expected * 0.002
    }

    #[test]
    fn percentiles_are_in_milliseconds() {
        let percentiles = Percentiles::of(&histogram(1..=1_000)).expect("values");
        for (value, expected) in [
            (percentiles.p50, 500.0),
            (percentiles.p99, 990.0),
            (percentiles.p999, 999.0),
            (percentiles.max, 1_000.0),
        ] {
            assert!(is_about(value, expected), "{value} for {expected}");
        }
        assert_eq!(percentiles.count, 1_000);
        assert_eq!(Percentiles::of(&histogram(0..0)), None);
    }

    #[test]
    fn a_storm_is_over_for_a_share_of_all_who_were_dropped() {
        // 95 of 100 are back, one each 100 ms.
        let storm = Storm::of(&histogram((1..=95).map(|place| place * 100)), 100);
        assert_eq!((storm.resumed, storm.failed), (95, 5));
        assert!(storm.seconds_to_50.is_some_and(|seconds| is_about(seconds, 5.0)), "{storm:?}");
        assert!(storm.seconds_to_90.is_some_and(|seconds| is_about(seconds, 9.0)), "{storm:?}");
        assert_eq!((storm.seconds_to_99, storm.seconds_to_100), (None, None));
        let storm = Storm::of(&histogram(1..=100), 100);
        assert!(storm.seconds_to_100.is_some_and(|seconds| is_about(seconds, 0.1)), "{storm:?}");
        assert_eq!(Storm::of(&histogram(0..0), 0).seconds_to_50, None);
    }

    #[test]
    fn costs_are_by_stranger_and_second() {
        let usage = |resident_kb, ms| vec![Some(Usage { resident_kb, cpu: Duration::from_millis(ms) })];
        let observed = Observed {
            strangers: 1_000,
            steady: Duration::from_secs(20),
            before: usage(10_000, 5),
            begin: usage(18_000, 500),
            end: usage(20_000, 520),
            after: usage(11_000, 900),
            generator: Duration::from_secs(1),
            ..Observed::default()
        };
        let watch = Watch(vec![Watched { name: "gateway".to_owned(), pid: 7 }]);
        let stats = Stats::new().expect("bounds");
        let outcome = Outcome::new("stroll", Wanted::default(), &stats, &observed, &watch);
        for (name, expected) in [
            ("kb_per_session", 10.0),
            ("cpu_us_per_session_second", 1.0),
            ("rss_after_to_before", 1.1),
            ("generator_cpu_percent", 5.0),
        ] {
            assert!(is_about(outcome.figures[name], expected), "{name}: {}", outcome.figures[name]);
        }
        assert!(!outcome.figures.contains_key("lost"), "nobody was to talk");
        assert!(outcome.problems.is_empty());
        let gone = Observed { after: vec![None], ..observed };
        let outcome = Outcome::new("stroll", Wanted::default(), &stats, &gone, &watch);
        assert_eq!(outcome.problems.len(), 1);
    }
}
