//! What a run came to: as JSON for machines, as a table for people.

mod table;

use std::{collections::BTreeMap, path::Path};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::{
    machine::{Foreign, Machine},
    outcome::Outcome,
};

pub use self::table::table;

/// The version of the JSON. It changes when a field gets another meaning or goes.
pub const SCHEMA: u32 = 1;

/// A whole run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// The version of this JSON.
    pub schema: u32,
    /// The version of `stroll-load`.
    pub version: String,
    /// When it began, in seconds since 1970.
    pub unix_time: u64,
    /// Its arguments, as they were given.
    pub arguments: Vec<String>,
    /// What was played.
    pub scenario: String,
    /// Whether nothing else used the CPU.
    pub valid: bool,
    /// Why not, if not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// Where.
    pub machine: Machine,
    /// What others used.
    pub foreign: Foreign,
    /// Against the cluster. Not there if the run is not valid and nobody asked for it anyway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Against the baseline, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
}

/// The same against the baseline.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Baseline {
    /// Before and after the cluster's turn.
    pub outcomes: Vec<Outcome>,
    /// The cluster's value by the mean of the baseline's, of all figures and latencies that both have.
    pub ratios: BTreeMap<String, f64>,
}

/// Reads reports, each with its file's name.
///
/// # Errors
/// If one can't be read, or is of another version.
pub fn read(paths: &[impl AsRef<Path>]) -> anyhow::Result<Vec<(String, Report)>> {
    let read = |path: &Path| {
        let text = std::fs::read_to_string(path)?;
        let report: Report = serde_json::from_str(&text)?;
        anyhow::ensure!(report.schema == SCHEMA, "it has schema {}, not {SCHEMA}", report.schema);
        let name = path.file_name().unwrap_or(path.as_os_str());
        anyhow::Ok((name.to_string_lossy().into_owned(), report))
    };
    paths
        .iter()
        .map(|path| read(path.as_ref()).with_context(|| format!("reading {}", path.as_ref().display())))
        .collect()
}

impl Baseline {
    /// Compares.
    #[must_use]
    pub fn new(outcome: &Outcome, outcomes: Vec<Outcome>) -> Self {
        let all: Vec<_> = outcomes.iter().map(values).collect();
        let ratio = |(name, value): (String, f64)| {
            let others: Vec<f64> = all.iter().filter_map(|values| values.get(&name).copied()).collect();
            let mean = others.iter().sum::<f64>()
                / crate::outcome::number(u64::try_from(others.len()).unwrap_or_default());
            let ratio = value / mean;
            ratio.is_finite().then_some((name, ratio))
        };
        let is_measured = |(name, _): &(String, f64)| !name.ends_with("_wanted");
        let ratios = values(outcome).into_iter().filter(is_measured).filter_map(ratio).collect();
        Self { outcomes, ratios }
    }
}

/// All numbers that can be compared, by name.
pub(crate) fn values(outcome: &Outcome) -> BTreeMap<String, f64> {
    let mut values = outcome.figures.clone();
    for (name, latency) in &outcome.latency_ms {
        for (percentile, value) in [
            ("p50", latency.p50),
            ("p90", latency.p90),
            ("p99", latency.p99),
            ("p99.9", latency.p999),
            ("max", latency.max),
        ] {
            values.insert(format!("{name}_{percentile}_ms"), value);
        }
    }
    if let Some(storm) = outcome.storm {
        for (share, seconds) in [
            ("50", storm.seconds_to_50),
            ("90", storm.seconds_to_90),
            ("99", storm.seconds_to_99),
            ("100", storm.seconds_to_100),
        ] {
            values.extend(seconds.map(|seconds| (format!("storm_seconds_to_{share}"), seconds)));
        }
    }
    values
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        machine::{Usage, Watch, Watched},
        outcome::{Observed, Wanted},
        stats::{Count, Latency, Stats},
    };

    /// An outcome whose messages take so long.
    pub(crate) fn outcome(against: &str, milliseconds: u64) -> Outcome {
        let mut stats = Stats::new().expect("bounds");
        stats.took(Latency::Message, Duration::from_millis(milliseconds));
        stats.count(Count::ReceivedSteady);
        stats.refuse("slow_down");
        stats.closed.insert(1012, 3);
        let usage = vec![Some(Usage { resident_kb: 1_000, cpu: Duration::ZERO })];
        let observed = Observed {
            strangers: 2,
            steady: Duration::from_secs(1),
            before: usage.clone(),
            begin: usage.clone(),
            end: usage.clone(),
            after: usage,
            dropped: Some(2),
            ..Observed::default()
        };
        let watch = Watch(vec![Watched { name: "gateway".to_owned(), pid: 7 }]);
        Outcome::new(against, Wanted { messages: Some(1.0), pairs: None }, &stats, &observed, &watch)
    }

    pub(crate) fn report() -> Report {
        let cluster = outcome("stroll", 30);
        let baseline = Baseline::new(&cluster, vec![outcome("pipe", 10), outcome("pipe", 20)]);
        Report {
            schema: SCHEMA,
            version: "0".to_owned(),
            unix_time: 1,
            arguments: vec!["pairs".to_owned()],
            scenario: "pairs".to_owned(),
            valid: true,
            refusal: None,
            machine: Machine::this(),
            foreign: Foreign::default(),
            outcome: Some(cluster),
            baseline: Some(baseline),
        }
    }

    #[test]
    fn ratios_are_to_the_mean_of_the_baselines() {
        let ratios = report().baseline.expect("a baseline").ratios;
        assert!((ratios["message_p50_ms"] - 2.0).abs() < 0.01, "{ratios:?}");
        assert!((ratios["messages_per_second"] - 1.0).abs() < 1e-9);
        assert!(!ratios.contains_key("lost"), "nothing by nothing is no ratio");
        assert!(!ratios.contains_key("messages_per_second_wanted"));
    }

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("one.json");
        let report = report();
        let json = serde_json::to_string(&report).expect("JSON");
        std::fs::write(&path, &json).expect("a file");
        let read_again = read(&[&path]).expect("a report");
        assert_eq!(read_again[0].0, "one.json");
        assert_eq!(serde_json::to_string(&read_again[0].1).expect("JSON"), json);
        let other = serde_json::to_string(&Report { schema: 2, ..report }).expect("JSON");
        std::fs::write(&path, other).expect("a file");
        let error = format!("{:#}", read(&[&path]).expect_err("another schema"));
        assert!(error.contains("one.json") && error.contains("schema 2"), "{error}");
    }

    #[test]
    fn the_json_has_the_shape_that_is_documented() {
        let json = serde_json::to_value(report()).expect("JSON");
        for (path, expected) in [
            ("/schema", "1"),
            ("/valid", "true"),
            ("/outcome/against", "\"stroll\""),
            ("/outcome/latency_ms/message/count", "1"),
            ("/outcome/figures/messages_per_second", "1.0"),
            ("/outcome/refused/slow_down", "1"),
            ("/outcome/closed/1012", "3"),
            ("/outcome/storm/dropped", "2"),
            ("/outcome/storm/seconds_to_99", "null"),
            ("/outcome/processes/0/rss_before_kb", "1000"),
            ("/outcome/counts/received_steady", "1"),
            ("/baseline/outcomes/1/against", "\"pipe\""),
        ] {
            let value = json.pointer(path).unwrap_or_else(|| panic!("{path}"));
            assert_eq!(value.to_string(), expected, "{path}");
        }
        assert!(json.pointer("/outcome/latency_ms/message/p99.9").is_some());
        assert!(json.pointer("/refusal").is_none());
        for field in ["cores", "cpu", "kernel", "memory_kb"] {
            assert!(json["machine"].get(field).is_some(), "{field}");
        }
    }
}
