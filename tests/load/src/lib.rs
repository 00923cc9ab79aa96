//! `stroll-load`: plays many strangers against gateways, and tells how fast the cluster was and what it cost.
//!
//! [`mod@play`] directs workers, each of which is a thread that plays a [`crowd`] with non-blocking sockets ([`net`]) and the wire formats of
//! [`wire`]. [`schedule`] says what is due when, [`delivery`] whether messages arrive once and in order, [`stats`] holds what was seen,
//! and [`machine`] looks at processes. [`outcome`] is what a play came to, [`highest`] how one looks for the highest rate,
//! [`report`] what a run tells. [`redis_count`] looks at Redis, and [`pipe`] is the baseline. [`summary`] and [`chart`] make one of several runs.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a tool of its own, on the host's clock and network"
)]

pub mod baseline;
pub mod chart;
pub mod cli;
pub mod clock;
pub mod crowd;
pub mod delivery;
pub mod highest;
pub mod machine;
pub mod net;
pub mod outcome;
pub mod pipe;
pub mod play;
pub mod random;
pub mod redis_count;
pub mod report;
pub mod saying;
pub mod scenario;
pub mod schedule;
pub mod stats;
pub mod summary;
pub mod wire;
pub mod worker;

use std::{
    ffi::OsString,
    io::{IsTerminal as _, Write as _},
    path::Path,
    process::ExitCode,
    thread,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;

use crate::{
    baseline::Pipe,
    cli::{Cli, Command, Common},
    machine::{Foreign, Machine, Quiet, Watch},
    outcome::Outcome,
    play::{Rest, Scenario, Target, play},
    redis_count::Counter,
    report::{Baseline, Report, SCHEMA, table},
    summary::Summary,
};

/// Something else used the CPU.
const NOT_QUIET: u8 = 3;
/// How long one looks for that before anything is played.
const FIRST_LOOK: Duration = Duration::from_secs(2);

/// Runs the program.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<_> = arguments.collect();
    let cli = match cli::parse(arguments.iter().cloned()) {
        Ok(cli) => cli,
        Err(error) => {
            // It goes to stdout or stderr, whichever is right; if that is closed, nobody reads it.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    match run(&cli, &arguments) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "stroll-load: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli, arguments: &[OsString]) -> anyhow::Result<ExitCode> {
    let Some(scenario) = scenario::of(cli) else {
        return other(cli).map(|()| ExitCode::SUCCESS);
    };
    let common = &cli.common;
    check(&scenario)?;
    anyhow::ensure!(common.redis.is_some() || !common.redis_monitor, "--redis-monitor needs --redis");
    let mut ours = vec![std::process::id()];
    ours.extend(common.watch.iter().map(|watched| watched.pid));
    let mut report = Report {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        unix_time: SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs(),
        arguments: arguments
            .iter()
            .skip(1)
            .map(|argument| without_password(&argument.to_string_lossy()))
            .collect(),
        scenario: scenario.name.to_owned(),
        valid: true,
        refusal: None,
        machine: Machine::this(),
        foreign: Foreign::default(),
        outcome: None,
        baseline: None,
    };
    let mut first = Quiet::begin(ours.clone());
    thread::sleep(FIRST_LOOK);
    first.look();
    judge(&mut report, first.foreign(), common);
    if report.valid || common.anyway {
        let mut quiet = Quiet::begin(ours);
        let (outcome, baseline) = measure(&scenario, common, &mut quiet)?;
        quiet.look();
        judge(&mut report, quiet.foreign(), common);
        if report.valid || common.anyway {
            report.outcome = Some(outcome);
            report.baseline = baseline;
        }
    }
    tell(&report, common)
}

/// What plays nothing.
fn other(cli: &Cli) -> anyhow::Result<()> {
    let common = &cli.common;
    match &cli.command {
        Command::Summary(summary) => {
            let summary = Summary::of(&report::read(&summary.files)?, common.anyway)?;
            if let Some(path) = &common.json {
                write_json(path, &summary)?;
            }
            write!(std::io::stdout(), "{}", summary::markdown(&summary))?;
            Ok(())
        }
        Command::Chart(cli::Chart { out, files }) => {
            let svg = chart::chart(&report::read(files)?, common.anyway)?;
            std::fs::write(out, svg).with_context(|| format!("writing {}", out.display()))
        }
        _ => pipe::run(),
    }
}

/// An argument as reports may show it: a URL without its user and password.
fn without_password(argument: &str) -> String {
    match argument.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?))) {
        Some((scheme, (_, place))) => format!("{scheme}://{place}"),
        None => argument.to_owned(),
    }
}

/// Says beforehand what can't go well.
fn check(scenario: &Scenario) -> anyhow::Result<()> {
    let files = machine::raise_file_limit();
    let sockets = scenario.plan.strangers * if scenario.is_classic { 2 } else { 1 };
    anyhow::ensure!(
        files > sockets + 64,
        "{sockets} sockets don't fit into this process, which may have {files} files open: see `ulimit -n`"
    );
    let Scenario { plan, .. } = scenario;
    anyhow::ensure!(plan.strangers > 0 && plan.arrivals > 0.0, "somebody has to come");
    Ok(())
}

/// Against the cluster, and against the baseline before and after where that is wanted.
fn measure(
    scenario: &Scenario,
    common: &Common,
    quiet: &mut Quiet,
) -> anyhow::Result<(Outcome, Option<Baseline>)> {
    let shows_progress = common.progress || std::io::stderr().is_terminal();
    let has_baseline = common.baseline && scenario::has_baseline(scenario);
    if common.baseline && !has_baseline {
        writeln!(
            std::io::stderr(),
            "stroll-load: there is nothing to compare `{}` with, so it is played without a baseline",
            scenario.name
        )?;
    }
    let pipe = |quiet: &mut Quiet| {
        highest::find(scenario, |scenario| {
            let pipe = Pipe::start()?;
            let gateways = vec![pipe.address];
            let mut target = Target { name: "pipe", gateways, watch: pipe.watch(), redis: None };
            play(scenario, &mut target, quiet, shows_progress)
        })
    };
    let mut baselines = Vec::new();
    if has_baseline {
        baselines.push(pipe(quiet)?);
    }
    let mut target = cluster(common)?;
    let outcome = highest::find(scenario, |scenario| play(scenario, &mut target, quiet, shows_progress))?;
    if has_baseline {
        baselines.push(pipe(quiet)?);
    }
    if shows_progress && std::io::stderr().is_terminal() {
        writeln!(std::io::stderr())?;
    }
    let baseline = has_baseline.then(|| Baseline::new(&outcome, baselines));
    Ok((outcome, baseline))
}

/// The cluster.
fn cluster(common: &Common) -> anyhow::Result<Target> {
    let connect = |client| -> anyhow::Result<Rest> {
        Ok(Rest { counter: Counter::connect(client, common.redis_monitor)?, time: common.redis_rest })
    };
    Ok(Target {
        name: "stroll",
        gateways: common.gateway.iter().map(|gateway| gateway.0).collect(),
        watch: Watch(common.watch.clone()),
        redis: common.redis.as_ref().map(connect).transpose()?,
    })
}

/// Whether others used too much of the CPU.
fn judge(report: &mut Report, foreign: Foreign, common: &Common) {
    report.valid = foreign.percent <= common.quiet;
    report.refusal = None;
    if !report.valid {
        let who: Vec<_> = foreign
            .offenders
            .iter()
            .map(|offender| match offender.pid {
                0 => format!("{} {:.1} s", offender.name, offender.seconds),
                pid => format!("{} (process {pid}) {:.1} s", offender.name, offender.seconds),
            })
            .collect();
        report.refusal = Some(format!(
            "others used {:.0} % of a core over {:.0} s, which is more than {} %: {}. A process that belongs to the cluster is named with --watch",
            foreign.percent,
            foreign.seconds,
            common.quiet,
            who.join(", ")
        ));
    }
    report.foreign = foreign;
}

fn tell(report: &Report, common: &Common) -> anyhow::Result<ExitCode> {
    if let Some(path) = &common.json {
        write_json(path, report)?;
    }
    if report.outcome.is_some() {
        write!(std::io::stdout(), "{}", table(report))?;
        return Ok(ExitCode::SUCCESS);
    }
    let refusal = report.refusal.as_deref().unwrap_or_default();
    writeln!(std::io::stderr(), "stroll-load: no report, because {refusal}. --anyway reports all the same")?;
    Ok(ExitCode::from(NOT_QUIET))
}

fn write_json(path: &Path, value: &impl serde::Serialize) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(value)?;
    std::fs::write(path, json + "\n").with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_show_no_password() {
        for (argument, shown) in [
            ("redis://me:p@ss@host:1/0", "redis://host:1/0"),
            ("--redis=redis://:secret@host", "--redis=redis://host"),
            ("ws://127.0.0.1:1/v1/ws", "ws://127.0.0.1:1/v1/ws"),
            ("a@b", "a@b"),
        ] {
            assert_eq!(without_password(argument), shown);
        }
    }
}
