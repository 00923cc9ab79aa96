//! The table.

use std::fmt::Write as _;

use super::{Baseline, Report, values};
use crate::{
    outcome::{FIGURES, Outcome, Percentiles, Storm},
    summary,
};

/// A report for people.
#[must_use]
pub fn table(report: &Report) -> String {
    let mut out = String::new();
    // A string takes everything, here and below.
    let machine = &report.machine;
    let gigabytes = machine.memory_kb / 1024 / 1024;
    let _ = writeln!(
        out,
        "{}: {} cores, {}, Linux {}, {gigabytes} GiB",
        report.scenario, machine.cores, machine.cpu, machine.kernel
    );
    let _ = writeln!(out, "others used {:.1} % of a core", report.foreign.percent);
    if let Some(refusal) = &report.refusal {
        let _ = writeln!(out, "NOT VALID: {refusal}");
    }
    if let Some(outcome) = &report.outcome {
        write_outcome(&mut out, outcome, report.baseline.as_ref());
    }
    out
}

fn write_outcome(out: &mut String, outcome: &Outcome, baseline: Option<&Baseline>) {
    let _ = writeln!(out, "{} strangers, steady for {:.1} s", outcome.strangers, outcome.seconds);
    for problem in &outcome.problems {
        let _ = writeln!(out, "PROBLEM: {problem}");
    }
    if let Some(baseline) = baseline {
        for problem in baseline.outcomes.iter().flat_map(|outcome| &outcome.problems) {
            let _ = writeln!(out, "PROBLEM of the baseline: {problem}");
        }
    }
    write_figures(out, outcome, baseline);
    write_latencies(out, outcome, baseline);
    if let Some(storm) = outcome.storm {
        write_storm(out, storm);
    }
    write_processes(out, outcome);
    let requests = outcome.redis.iter().filter_map(|redis| redis.run.requests.as_ref());
    for (what, counts) in [
        ("count", text_keys(&outcome.counts)),
        ("refused", text_keys(&outcome.refused)),
        ("closed", text_keys(&outcome.closed)),
        ("ended by", text_keys(&outcome.ended)),
        ("Redis' commands", outcome.redis.iter().flat_map(|redis| text_keys(&redis.run.commands)).collect()),
        ("of these sent by clients", requests.flat_map(text_keys).collect()),
    ] {
        let line: Vec<_> = counts
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        if !line.is_empty() {
            let _ = writeln!(out, "\n{what}: {}", line.join(", "));
        }
    }
}

fn text_keys<K: ToString>(counts: &std::collections::BTreeMap<K, u64>) -> Vec<(String, u64)> {
    counts.iter().map(|(name, count)| (name.to_string(), *count)).collect()
}

fn write_figures(out: &mut String, outcome: &Outcome, baseline: Option<&Baseline>) {
    let heading = if baseline.is_some() {
        ["stroll", "pipe before", "pipe after", "ratio"].as_slice()
    } else {
        &["stroll"]
    };
    let _ = write!(out, "\n{:<32}", "");
    for column in heading {
        let _ = write!(out, "{column:>14}");
    }
    out.push('\n');
    for (name, _) in FIGURES {
        if let Some(value) = outcome.figures.get(name) {
            write_row(out, name, *value, baseline, |outcome| outcome.figures.get(name).copied());
        }
    }
    let is_storm = |name: &&String| name.starts_with("storm_");
    let storm = values(outcome);
    for name in storm.keys().filter(is_storm) {
        write_row(out, name, storm[name], baseline, |outcome| values(outcome).get(name).copied());
    }
}

fn write_row(
    out: &mut String,
    name: &str,
    value: f64,
    baseline: Option<&Baseline>,
    of: impl Fn(&Outcome) -> Option<f64>,
) {
    let _ = write!(out, "{name:<32}{:>14}", short(value));
    if let Some(baseline) = baseline {
        for outcome in &baseline.outcomes {
            let _ = write!(out, "{:>14}", of(outcome).map_or_else(|| "–".to_owned(), short));
        }
        let ratio = baseline.ratios.get(name).map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"));
        let _ = write!(out, "{ratio:>14}");
    }
    out.push('\n');
}

fn write_latencies(out: &mut String, outcome: &Outcome, baseline: Option<&Baseline>) {
    let _ = writeln!(
        out,
        "\n{:<32}{:>10}{:>10}{:>10}{:>10}{:>10}{:>12}",
        "milliseconds", "p50", "p90", "p99", "p99.9", "max", "values"
    );
    for (name, latency) in &outcome.latency_ms {
        write_latency(out, name, latency);
        for (outcome, when) in
            baseline.iter().flat_map(|baseline| baseline.outcomes.iter().zip(["before", "after"]))
        {
            if let Some(latency) = outcome.latency_ms.get(name) {
                write_latency(out, &format!("  pipe {when}"), latency);
            }
        }
        if let Some(baseline) = baseline {
            let ratio = |percentile: &str| {
                let ratio = baseline.ratios.get(&format!("{name}_{percentile}_ms"));
                ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"))
            };
            let [p50, p90, p99, p999, max] = ["p50", "p90", "p99", "p99.9", "max"].map(ratio);
            let _ = writeln!(out, "{:<32}{p50:>10}{p90:>10}{p99:>10}{p999:>10}{max:>10}", "  ratio");
        }
    }
}

fn write_latency(out: &mut String, name: &str, latency: &Percentiles) {
    let Percentiles { count, p50, p90, p99, p999, max, mean: _ } = latency;
    let _ = writeln!(out, "{name:<32}{p50:>10.3}{p90:>10.3}{p99:>10.3}{p999:>10.3}{max:>10.3}{count:>12}");
}

fn write_storm(out: &mut String, storm: Storm) {
    let Storm { dropped, resumed, failed, seconds_to_50, seconds_to_90, seconds_to_99, seconds_to_100 } =
        storm;
    let [half, most, nearly, all] = [seconds_to_50, seconds_to_90, seconds_to_99, seconds_to_100]
        .map(|seconds| seconds.map_or_else(|| "never".to_owned(), |seconds| format!("{seconds:.2} s")));
    let _ = writeln!(
        out,
        "\nstorm: {dropped} dropped, {resumed} back, {failed} failed; 50 % after {half}, 90 % after {most}, 99 % after {nearly}, \
         all after {all}"
    );
}

fn write_processes(out: &mut String, outcome: &Outcome) {
    if outcome.processes.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "\n{:<24}{:>12}{:>12}{:>12}{:>14}{:>10}{:>18}",
        "process", "RSS before", "steady", "after, kB", "kB a session", "CPU %", "µs/session/s"
    );
    for process in &outcome.processes {
        let _ = writeln!(
            out,
            "{:<24}{:>12}{:>12}{:>12}{:>14.2}{:>10.1}{:>18.2}",
            process.name,
            process.rss_before_kb,
            process.rss_steady_kb,
            process.rss_after_kb,
            process.kb_per_session,
            process.cpu_percent,
            process.cpu_us_per_session_second
        );
    }
}

/// Whole numbers as such, others with three decimals, or where these tell little with three digits.
fn short(value: f64) -> String {
    if value.abs() < 0.1 {
        summary::short(value)
    } else if value.fract().abs() < 1e-9 {
        format!("{value:.0}")
    } else {
        format!("{value:.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    #[test]
    fn the_table_has_figures_ratios_and_what_went_wrong() {
        let mut report = report();
        report.outcome.iter_mut().for_each(|outcome| outcome.problems.push("it rained".to_owned()));
        let table = table(&report);
        for text in [
            "pipe before",
            "messages_per_second",
            "ratio",
            "closed: 1012 3",
            "slow_down 1",
            "it rained",
            "storm: 2 dropped",
        ] {
            assert!(table.contains(text), "{text} in {table}");
        }
    }

    #[test]
    fn a_refusal_comes_without_figures() {
        let report = Report {
            outcome: None,
            baseline: None,
            valid: false,
            refusal: Some("cc1".to_owned()),
            ..report()
        };
        let table = table(&report);
        assert!(table.contains("NOT VALID: cc1") && !table.contains("message"), "{table}");
    }
}
