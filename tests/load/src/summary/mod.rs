//! Several runs of the same scenario, as one: the median of each value, and from where to where they go.

mod markdown;

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde::Serialize;

pub use self::markdown::markdown;
pub(crate) use self::markdown::short;
use crate::{
    machine::Machine,
    outcome::{Outcome, Process},
    report::{Report, SCHEMA, values},
};

/// Settings that don't change what is played, and whether a value follows them.
const ELSEWHERE: [(&str, bool); 8] = [
    ("--json", true),
    ("--watch", true),
    ("--gateway", true),
    ("--redis", true),
    ("--redis-rest", true),
    ("--quiet", true),
    ("--anyway", false),
    ("--progress", false),
];
const GIB_IN_KB: f64 = 1_048_576.0;

/// A value over several runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Half of the runs have at most this. Of an even number, the mean of the two in the middle.
    pub median: f64,
    /// The lowest.
    pub lowest: f64,
    /// The highest.
    pub highest: f64,
    /// How many runs have it.
    pub runs: usize,
}

/// Several runs.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The version of this JSON, which is that of the reports.
    pub schema: u32,
    /// What was played.
    pub scenario: String,
    /// With which settings, those left out that don't change what is played.
    pub settings: Vec<String>,
    /// How often.
    pub runs: usize,
    /// Whether all runs are valid.
    pub valid: bool,
    /// Where.
    pub machine: Machine,
    /// What did not go as planned, and connections that ended, each with its run.
    pub problems: Vec<String>,
    /// Figures, percentiles of latencies and seconds of storms, by name.
    pub values: BTreeMap<String, Spread>,
    /// The same by those of the baseline.
    pub ratios: BTreeMap<String, Spread>,
    /// Of each watched process.
    pub processes: BTreeMap<String, BTreeMap<&'static str, Spread>>,
    /// What operators calculate with.
    pub sizing: BTreeMap<&'static str, Spread>,
}

impl Summary {
    /// Of reports, each with a name.
    ///
    /// # Errors
    /// If they are not of the same scenario; or not valid, and nobody wants them anyway.
    pub fn of(reports: &[(String, Report)], anyway: bool) -> anyhow::Result<Self> {
        let (first_name, first) = reports.first().context("there is nothing to sum up")?;
        let mut outcomes = Vec::new();
        for (name, report) in reports {
            outcomes.push(played(name, report, anyway)?);
            let (these, those) = (settings(report), settings(first));
            anyhow::ensure!(
                these == those,
                "{name} played `{}`, and {first_name} `{}`",
                these.join(" "),
                those.join(" ")
            );
            anyhow::ensure!(
                names(report) == names(first),
                "{name} watched {:?}, and {first_name} {:?}",
                names(report),
                names(first)
            );
        }
        let mut processes: BTreeMap<String, Vec<&Process>> = BTreeMap::new();
        for process in outcomes.iter().flat_map(|outcome| &outcome.processes) {
            processes.entry(process.name.clone()).or_default().push(process);
        }
        let ratios = reports.iter().filter_map(|(_, report)| Some(report.baseline.as_ref()?.ratios.clone()));
        Ok(Self {
            schema: SCHEMA,
            scenario: first.scenario.clone(),
            settings: settings(first),
            runs: reports.len(),
            valid: reports.iter().all(|(_, report)| report.valid),
            machine: first.machine.clone(),
            problems: reports.iter().zip(&outcomes).flat_map(problems).collect(),
            values: spreads(outcomes.iter().map(|outcome| all_values(outcome))),
            ratios: spreads(ratios),
            processes: processes
                .into_iter()
                .map(|(name, of)| (name, spreads(of.into_iter().map(costs))))
                .collect(),
            sizing: spreads(outcomes.iter().map(|outcome| sizing(outcome))),
        })
    }
}

/// What a report tells, if it may be used.
///
/// # Errors
/// If it is not valid, and nobody wants it anyway; or has nothing.
pub fn played<'report>(
    name: &str,
    report: &'report Report,
    anyway: bool,
) -> anyhow::Result<&'report Outcome> {
    let refusal = report.refusal.as_deref().unwrap_or("it says so");
    anyhow::ensure!(
        report.valid || anyway,
        "{name} is not valid (--anyway takes it all the same): {refusal}"
    );
    report.outcome.as_ref().with_context(|| format!("{name} has no outcome: {refusal}"))
}

/// The arguments, without those that don't change what is played.
fn settings(report: &Report) -> Vec<String> {
    let mut settings = Vec::new();
    let mut arguments = report.arguments.iter();
    while let Some(argument) = arguments.next() {
        let name = argument.split('=').next().unwrap_or_default();
        match ELSEWHERE.iter().find(|(known, _)| *known == name) {
            Some((_, has_value)) => {
                if *has_value && !argument.contains('=') {
                    arguments.next();
                }
            }
            None => settings.push(argument.clone()),
        }
    }
    settings
}

fn names(report: &Report) -> Vec<&str> {
    let mut names: Vec<_> =
        report.outcome.iter().flat_map(|outcome| &outcome.processes).map(|process| &*process.name).collect();
    names.sort_unstable();
    names
}

fn problems(((name, report), outcome): (&(String, Report), &&Outcome)) -> Vec<String> {
    let baselines = report.baseline.iter().flat_map(|baseline| &baseline.outcomes);
    let mut problems: Vec<_> = report.refusal.iter().map(|refusal| format!("{name}: {refusal}")).collect();
    problems.extend(outcome.problems.iter().map(|problem| format!("{name}: {problem}")));
    problems.extend(
        baselines
            .flat_map(|outcome| &outcome.problems)
            .map(|problem| format!("{name}, the baseline: {problem}")),
    );
    let closed = |(code, count): (&u16, &u64)| {
        format!("{name}: {count} connections ended with {code}, which nobody had asked for")
    };
    problems.extend(outcome.closed.iter().map(closed));
    problems
        .extend(outcome.refused.iter().map(|(code, count)| format!("{name}: {code} was said {count} times")));
    problems
}

fn all_values(outcome: &Outcome) -> BTreeMap<String, f64> {
    let mut values = values(outcome);
    if let Some(storm) = outcome.storm {
        for (name, count) in [("storm_resumed", storm.resumed), ("storm_failed", storm.failed)] {
            values.insert(name.to_owned(), crate::outcome::number(count));
        }
    }
    values
}

fn costs(process: &Process) -> BTreeMap<&'static str, f64> {
    let number = crate::outcome::number;
    BTreeMap::from([
        ("rss_before_kb", number(process.rss_before_kb)),
        ("rss_steady_kb", number(process.rss_steady_kb)),
        ("rss_after_kb", number(process.rss_after_kb)),
        ("kb_per_session", process.kb_per_session),
        ("cpu_percent", process.cpu_percent),
        ("cpu_us_per_session_second", process.cpu_us_per_session_second),
    ])
}

fn sizing(outcome: &Outcome) -> BTreeMap<&'static str, f64> {
    let figure = |name: &str| outcome.figures.get(name).copied();
    let gateways: Vec<_> =
        outcome.processes.iter().filter(|process| process.name.starts_with("gateway")).collect();
    let is_silent = figure("messages_per_second").is_none();
    let at_gateways: f64 = gateways.iter().map(|process| process.kb_per_session).sum();
    let sizing = [
        ("sessions_per_gib", figure("kb_per_session").map(|kb| GIB_IN_KB / kb)),
        ("sessions_per_gib_of_gateway", Some(GIB_IN_KB / at_gateways)),
        // Who talks costs what is said.
        ("sessions_per_core", figure("cpu_us_per_session_second").filter(|_| is_silent).map(|us| 1e6 / us)),
        ("messages_per_core", figure("cpu_us_per_message").map(|us| 1e6 / us)),
        ("redis_commands_per_10000_chats", figure("redis_commands_per_chat").map(|commands| commands * 1e4)),
        ("redis_requests_per_10000_chats", figure("redis_requests_per_chat").map(|requests| requests * 1e4)),
        ("redis_mb_per_10000_chats", figure("redis_bytes_per_chat").map(|bytes| bytes * 1e4 / 1_048_576.0)),
    ];
    // Where nothing was used, or less than before, nothing can be said.
    let known = |(name, value): (_, Option<f64>)| {
        let value = value.filter(|value| value.is_finite() && (*value > 0.0 || !is_quotient(name)))?;
        Some((name, value))
    };
    sizing.into_iter().filter_map(known).collect()
}

fn is_quotient(name: &str) -> bool {
    !name.starts_with("redis_")
}

fn spreads<K: Ord>(runs: impl Iterator<Item = BTreeMap<K, f64>>) -> BTreeMap<K, Spread> {
    let mut all: BTreeMap<K, Vec<f64>> = BTreeMap::new();
    for (name, value) in runs.flatten() {
        all.entry(name).or_default().push(value);
    }
    all.into_iter().filter_map(|(name, values)| Some((name, Spread::of(values)?))).collect()
}

impl Spread {
    /// Of values, of which there has to be one.
    #[must_use]
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let runs = values.len();
        let (lowest, highest) = (*values.first()?, *values.last()?);
        let median = f64::midpoint(values[(runs - 1) / 2], values[runs / 2]);
        Some(Self { median, lowest, highest, runs })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::report::tests::{outcome, report};

    /// Three runs whose messages took 30, 10 and 20 ms.
    pub(crate) fn runs() -> Vec<(String, Report)> {
        [30, 10, 20]
            .map(|milliseconds| {
                let mut outcome = outcome("stroll", milliseconds);
                outcome.processes[0].kb_per_session = 8.0;
                outcome.processes[0].rss_after_kb = 1_000 + milliseconds;
                for (name, value) in [("kb_per_session", 16.0), ("redis_commands_per_chat", 4.5)] {
                    outcome.figures.insert(name.to_owned(), value);
                }
                outcome.figures.insert("cpu_us_per_message".to_owned(), 50.0);
                (format!("{milliseconds}.json"), Report { outcome: Some(outcome), ..report() })
            })
            .into()
    }

    fn is_about(value: f64, expected: f64) -> bool {
        (value - expected).abs() <= expected.abs() * 0.002
    }

    #[test]
    fn medians_and_spreads_are_of_all_runs() {
        let summary = Summary::of(&runs(), false).expect("the same scenario");
        let Spread { median, lowest, highest, runs } = summary.values["message_p99_ms"];
        assert!(is_about(median, 20.0) && is_about(lowest, 10.0) && is_about(highest, 30.0), "{summary:?}");
        assert_eq!((runs, summary.runs, summary.valid), (3, 3, true));
        let after = summary.processes["gateway"]["rss_after_kb"];
        assert_eq!(after, Spread { median: 1_020.0, lowest: 1_010.0, highest: 1_030.0, runs: 3 });
        assert!(summary.ratios.contains_key("message_p50_ms"));
        assert!(!summary.values.contains_key("storm_seconds_to_99"), "nobody came back");
        assert_eq!(summary.values["storm_failed"].median.to_bits(), 2.0_f64.to_bits());
        for (name, expected) in [
            ("sessions_per_gib", 65_536.0),
            ("sessions_per_gib_of_gateway", 131_072.0),
            ("messages_per_core", 20_000.0),
            ("redis_commands_per_10000_chats", 45_000.0),
        ] {
            assert!(is_about(summary.sizing[name].median, expected), "{name}: {:?}", summary.sizing[name]);
        }
        assert!(!summary.sizing.contains_key("sessions_per_core"), "no CPU time was used");
        assert!(summary.problems.iter().any(|problem| problem.contains("1012")), "{:?}", summary.problems);
    }

    #[test]
    fn of_an_even_number_the_median_is_between_the_two() {
        let spread = Spread::of(vec![4.0, 1.0, 2.0, 9.0]);
        assert_eq!(spread, Some(Spread { median: 3.0, lowest: 1.0, highest: 9.0, runs: 4 }));
        assert_eq!(Spread::of(vec![]), None);
    }

    #[test]
    fn what_is_not_valid_is_only_taken_anyway() {
        let mut reports = runs();
        reports[1].1.valid = false;
        reports[1].1.refusal = Some("cc1 ran".to_owned());
        let error = Summary::of(&reports, false).expect_err("not valid").to_string();
        assert!(error.contains("10.json") && error.contains("cc1 ran"), "{error}");
        let summary = Summary::of(&reports, true).expect("anyway");
        assert!(!summary.valid && summary.problems.contains(&"10.json: cc1 ran".to_owned()));
        reports[1].1.outcome = None;
        assert!(Summary::of(&reports, true).is_err(), "there is nothing to take");
        assert!(Summary::of(&[], true).is_err());
    }

    #[test]
    fn runs_are_of_the_same_scenario() {
        let with = |arguments: &str| {
            let mut reports = runs();
            reports[1].1.arguments = arguments.split(' ').map(str::to_owned).collect();
            Summary::of(&reports, false)
        };
        for same in ["pairs --json other.json --watch=a=1 --anyway", "pairs --gateway ws://other"] {
            assert!(with(same).is_ok(), "{same}");
        }
        for other in ["pairs --rate 7", "match", "pairs --json rate --rate=7"] {
            let error = with(other).expect_err("another scenario").to_string();
            assert!(error.contains("10.json played"), "{error}");
        }
        let mut reports = runs();
        reports[2].1.outcome.iter_mut().for_each(|outcome| outcome.processes.clear());
        assert!(Summary::of(&reports, false).is_err(), "another cluster");
    }
}
