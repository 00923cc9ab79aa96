//! How cost grows, as a chart: small multiples, each with its points and a straight line through them.

mod fit;
mod svg;

use crate::{
    outcome::{Outcome, Process, number},
    report::Report,
    summary::played,
};

/// A small multiple.
#[derive(Clone, Debug, PartialEq)]
struct Panel {
    title: &'static str,
    /// What is on the axes, with the unit.
    x: &'static str,
    y: &'static str,
    /// The slope's unit, and by how much it is multiplied to be in that.
    slope: (&'static str, f64),
    points: Vec<(f64, f64)>,
}

/// The chart of reports, each with a name, as SVG: those of `idle` by sessions, those of `pairs` by relays.
///
/// # Errors
/// If one is not valid, and nobody wants it anyway; or if none is of such a scenario.
pub fn chart(reports: &[(String, Report)], anyway: bool) -> anyhow::Result<String> {
    let (mut idle, mut pairs) = (Vec::new(), Vec::new());
    for (name, report) in reports {
        let outcome = played(name, report, anyway)?;
        match &*report.scenario {
            "idle" => idle.push(outcome),
            "pairs" => pairs.push(outcome),
            other => anyhow::bail!("{name} is of `{other}`; growth is drawn of `idle` and `pairs`"),
        }
    }
    let panels = panels(&idle, &pairs);
    anyhow::ensure!(
        !panels.is_empty(),
        "there is nothing to draw: watched processes have to be called gateway… and relay…"
    );
    let mut notes = vec![
        "RSS and CPU time of processes in the steady state. 1 MB is 1,024 KB. Lines: least squares."
            .to_owned(),
    ];
    if let Some((_, report)) = reports.first() {
        let machine = &report.machine;
        notes.push(format!("{} cores, {}, Linux {}", machine.cores, machine.cpu, machine.kernel));
    }
    if reports.iter().any(|(_, report)| !report.valid) {
        notes.push("NOT VALID: something else used the CPU in some of these runs.".to_owned());
    }
    Ok(svg::draw(&panels, &notes))
}

fn panels(idle: &[&Outcome], pairs: &[&Outcome]) -> Vec<Panel> {
    let by_sessions = |of: fn(&Process) -> f64| {
        points(idle, |outcome| Some((number(outcome.strangers), sum(outcome, "gateway", of)?)))
    };
    let relays = |outcome: &Outcome| {
        let relays = outcome.processes.iter().filter(|process| process.name.starts_with("relay")).count();
        (relays > 0).then(|| number(u64::try_from(relays).unwrap_or_default()))
    };
    let all = [
        Panel {
            title: "Memory of gateways, above what they had before",
            x: "idle sessions",
            y: "MB",
            slope: ("KB per session", 1_024.0),
            points: by_sessions(|process| {
                (number(process.rss_steady_kb) - number(process.rss_before_kb)) / 1_024.0
            }),
        },
        Panel {
            title: "CPU time of gateways",
            x: "idle sessions",
            y: "% of a core",
            // A hundredth of a core is 10 ms a second.
            slope: ("µs per session and second", 1e4),
            points: by_sessions(|process| process.cpu_percent),
        },
        Panel {
            title: "CPU time of a message, whole cluster",
            x: "relays",
            y: "µs per message",
            slope: ("µs per relay", 1.0),
            points: points(pairs, |outcome| {
                Some((relays(outcome)?, outcome.figures.get("cpu_us_per_message").copied()?))
            }),
        },
        Panel {
            title: "Memory of all relays together",
            x: "relays",
            y: "MB",
            slope: ("MB per relay", 1.0),
            points: points(pairs, |outcome| {
                let memory = sum(outcome, "relay", |process| number(process.rss_steady_kb) / 1_024.0);
                Some((relays(outcome)?, memory?))
            }),
        },
    ];
    all.into_iter().filter(|panel| !panel.points.is_empty()).collect()
}

/// Of all processes with such a name, if there are any.
fn sum(outcome: &Outcome, name: &str, of: fn(&Process) -> f64) -> Option<f64> {
    let mut values = outcome.processes.iter().filter(|process| process.name.starts_with(name)).map(of);
    values.next().map(|first| first + values.sum::<f64>())
}

/// In an order that does not depend on that of the files.
fn points(outcomes: &[&Outcome], of: impl Fn(&Outcome) -> Option<(f64, f64)>) -> Vec<(f64, f64)> {
    let mut points: Vec<_> = outcomes.iter().filter_map(|outcome| of(outcome)).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    points
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{outcome, report};

    /// So many sessions at two gateways, each of which has 20 MB, and 3 KB and 2 µs/s for each session.
    fn idle(sessions: u64) -> (String, Report) {
        let mut outcome = outcome("stroll", 1);
        outcome.strangers = sessions;
        let gateway = Process {
            rss_before_kb: 20_480,
            rss_steady_kb: 20_480 + 3 * sessions,
            cpu_percent: number(sessions) * 2.0 / 1e4,
            ..outcome.processes[0].clone()
        };
        outcome.processes = vec![gateway.clone(), Process { name: "gateway-2".to_owned(), ..gateway }];
        let report = Report { scenario: "idle".to_owned(), outcome: Some(outcome), ..report() };
        (format!("idle-{sessions}.json"), report)
    }

    /// So many relays, each of which has 8 MB; a message costs 40 µs, and 5 more for each relay.
    fn pairs(relays: u8) -> (String, Report) {
        let mut outcome = outcome("stroll", 1);
        let gateway = outcome.processes[0].clone();
        let relay =
            |number| Process { name: format!("relay-{number}"), rss_steady_kb: 8_192, ..gateway.clone() };
        outcome.processes = (0..relays).map(relay).chain([gateway.clone()]).collect();
        outcome.figures.insert("cpu_us_per_message".to_owned(), 5.0_f64.mul_add(relays.into(), 40.0));
        (format!("pairs-{relays}.json"), Report { outcome: Some(outcome), ..report() })
    }

    #[test]
    fn each_cost_has_its_line() {
        let reports =
            [idle(1_000), idle(5_000), idle(15_000), pairs(1), pairs(2), pairs(3), pairs(3), idle(15_000)];
        let svg = chart(&reports, false).expect("a chart");
        for text in [
            "6 KB per session, R² 1.000",
            "4 µs per session and second, R² 1.000",
            "5 µs per relay, R² 1.000",
            "8 MB per relay, R² 1.000",
            ">15,000</text>",
            ">% of a core</text>",
            ">relays</text>",
        ] {
            assert!(svg.contains(text), "{text} in {svg}");
        }
        // Two panels of four points each, and two of four.
        assert_eq!(svg.matches("<circle").count(), 16);
        assert_eq!(svg.matches("class=\"fit\"").count(), 4);
        assert!(!svg.contains("NOT VALID"));
    }

    #[test]
    fn the_order_of_the_files_does_not_matter() {
        let one = chart(&[idle(1_000), idle(5_000), pairs(1)], false).expect("a chart");
        let other = chart(&[pairs(1), idle(5_000), idle(1_000)], false).expect("a chart");
        assert_eq!(one, other);
    }

    #[test]
    fn one_place_has_no_line_and_other_scenarios_no_place() {
        let svg = chart(&[idle(1_000), idle(1_000)], false).expect("a chart");
        assert_eq!((svg.matches("<circle").count(), svg.matches("class=\"fit\"").count()), (4, 0));
        let (name, mut storm) = idle(1_000);
        storm.scenario = "storm".to_owned();
        assert!(chart(&[(name, storm)], false).is_err());
        assert!(chart(&[], false).is_err());
    }

    #[test]
    fn a_chart_of_what_is_not_valid_says_so() {
        let (name, mut report) = idle(1_000);
        report.valid = false;
        report.machine.cpu = "A & B <fast>".to_owned();
        let reports = [(name, report)];
        assert!(chart(&reports, false).is_err());
        let svg = chart(&reports, true).expect("anyway");
        assert!(svg.contains("NOT VALID") && svg.contains("A &amp; B &lt;fast&gt;"), "{svg}");
    }
}
