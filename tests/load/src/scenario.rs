//! From the command line to what is played.

use std::time::Duration;

use crate::{
    cli::{self, Cli},
    crowd::{Act, Plan},
    play::Scenario,
};

/// What these arguments want to be played; none if they want something else.
#[must_use]
pub fn of(cli: &Cli) -> Option<Scenario> {
    let common = &cli.common;
    let scenario = |name, plan, duration| Scenario {
        name,
        plan,
        is_classic: false,
        duration,
        storm: None,
        highest: None,
        settle: common.settle,
        threads: common.threads,
    };
    let plan = |strangers, arrivals, act| Plan {
        gateways: Vec::new(),
        strangers,
        arrivals,
        act,
        size: 100,
        spread: Duration::ZERO,
    };
    Some(match &cli.command {
        cli::Command::Idle(idle) => {
            scenario("idle", plan(idle.sockets, idle.arrivals, Act::Stay), idle.duration)
        }
        cli::Command::Pairs(pairs) => {
            let act = Act::Talk { rate: pairs.rate, stay: pairs.stay, pause: pairs.pause };
            let plan = Plan { size: pairs.size, ..plan(2 * pairs.pairs, pairs.arrivals, act) };
            Scenario { highest: pairs.highest, ..scenario("pairs", plan, pairs.duration) }
        }
        cli::Command::Match(matching) => {
            let act = Act::Match { rate: matching.rate };
            scenario("match", plan(matching.sockets, matching.arrivals, act), matching.duration)
        }
        cli::Command::Storm(storm) => {
            let act = Act::Talk { rate: storm.rate, stay: None, pause: Duration::ZERO };
            let plan = Plan { spread: storm.spread, ..plan(storm.sockets, storm.arrivals, act) };
            Scenario { storm: Some(storm.patience), ..scenario("storm", plan, storm.talk) }
        }
        cli::Command::Classic(classic) => {
            let act = Act::Talk { rate: classic.rate, stay: classic.stay, pause: classic.pause };
            let plan = Plan { size: classic.size, ..plan(2 * classic.pairs, classic.arrivals, act) };
            Scenario { is_classic: true, ..scenario("classic", plan, classic.duration) }
        }
        cli::Command::Pipe | cli::Command::Summary(_) | cli::Command::Chart(_) => return None,
    })
}

/// Whether a server that only pairs sockets can be played the same way: it matches nobody by anything, and does not speak HTTP.
#[must_use]
pub fn has_baseline(scenario: &Scenario) -> bool {
    !scenario.is_classic && !matches!(scenario.plan.act, Act::Match { .. })
}
