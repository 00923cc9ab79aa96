//! Looks for the highest rate of messages that is carried.

use std::{ops::RangeInclusive, time::Duration};

use crate::{crowd::Act, outcome::Outcome, play::Scenario};

/// The rate is known once what is too much is at most so much more.
const PRECISION: f64 = 1.05;
/// What comes of the messages that are due, when all come in time; the last of a steady state may come after it.
const IN_TIME: RangeInclusive<f64> = 0.98..=f64::INFINITY;

/// Plays a scenario as it is, or if the highest rate is wanted again and again. Returns the best play; if not even the first was good, that one,
/// which says so.
///
/// # Errors
/// If it can't be played.
pub fn find(
    scenario: &Scenario,
    mut play: impl FnMut(&Scenario) -> anyhow::Result<Outcome>,
) -> anyhow::Result<Outcome> {
    let (Some(limit), Act::Talk { rate, stay, pause }) = (scenario.highest, scenario.plan.act) else {
        return play(scenario);
    };
    let mut at = |rate| {
        let mut scenario = scenario.clone();
        scenario.plan.act = Act::Talk { rate, stay, pause };
        play(&scenario)
    };
    let mut best = at(rate)?;
    if !is_carried(&best, rate, limit) {
        best.problems.push(format!("not even {rate} messages a second are carried"));
        return Ok(best);
    }
    let (mut good, mut bad) = (rate, f64::INFINITY);
    while bad / good > PRECISION {
        let next = if bad.is_finite() { (good * bad).sqrt() } else { 2.0 * good };
        let outcome = at(next)?;
        if is_carried(&outcome, next, limit) {
            (good, best) = (next, outcome);
        } else {
            bad = next;
        }
    }
    Ok(best)
}

fn is_carried(outcome: &Outcome, rate: f64, limit: Duration) -> bool {
    let figure = |name: &str| outcome.figures.get(name).copied().unwrap_or_default();
    let is_fast =
        outcome.latency_ms.get("message").is_some_and(|latency| latency.p99 <= limit.as_secs_f64() * 1e3);
    is_fast
        && outcome.problems.is_empty()
        && outcome.closed.is_empty()
        && IN_TIME.contains(&(figure("messages_per_second") / rate))
        && figure("lost") + figure("duplicated") < 0.5
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cli, report::tests::outcome, scenario};

    /// Plays against something that carries so much. Returns the outcome, and which rates were played.
    fn found(carries: f64) -> (Outcome, Vec<f64>) {
        let arguments = ["stroll-load", "pairs", "--rate", "1000", "--highest", "50ms"];
        let cli = cli::parse(arguments.iter().map(Into::into)).expect("good arguments");
        let mut rates = Vec::new();
        let best = find(&scenario::of(&cli).expect("a scenario"), |scenario| {
            let Act::Talk { rate, .. } = scenario.plan.act else { panic!("they talk") };
            rates.push(rate);
            let mut outcome = outcome("stroll", if rate > carries { 70 } else { 10 });
            outcome.closed.clear();
            let figures = [("messages_per_second", rate), ("lost", 0.0), ("duplicated", 0.0)];
            outcome.figures.extend(figures.map(|(name, value)| (name.to_owned(), value)));
            Ok(outcome)
        });
        (best.expect("played"), rates)
    }

    #[test]
    fn the_best_play_is_close_below_what_is_too_much() {
        for carries in [1_000.0, 1_999.0, 11_111.0] {
            let (best, rates) = found(carries);
            let rate = best.figures["messages_per_second"];
            assert!((carries / PRECISION..=carries).contains(&rate), "{rate} of {carries}, after {rates:?}");
            assert!(rates.len() < 12 && best.problems.is_empty());
        }
    }

    #[test]
    fn where_the_first_rate_is_too_much_it_is_said() {
        let (best, rates) = found(999.0);
        assert_eq!((rates.len(), best.problems.len()), (1, 1));
    }
}
